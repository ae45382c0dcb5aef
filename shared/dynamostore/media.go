package dynamostore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// MediaClient lists the methods of the SDK's client that [Media] calls.
type MediaClient interface {
	getClient
	putClient
	queryClient
	batchGetClient
	batchStatementClient
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
}

// Media is the table of files: their rows, the list of waiting files, and the
// list of files with a problem.
type Media struct {
	table
	client MediaClient
}

// NewMedia uses the table of that name.
func NewMedia(client MediaClient, table string, options ...Option) *Media {
	return &Media{table: newTable(table, options), client: client}
}

var (
	_ media.Table        = (*Media)(nil)
	_ watch.WaitingFiles = (*Media)(nil)
)

const (
	filePrefix    = "file#"
	waitingPrefix = "waiting#"
	problemPrefix = "problem#"
)

// As in the table of corps, the items have the fields of the domain's types.
type (
	fileItem struct {
		SDKFileID string      `dynamodbav:"sdkfileid"`
		Kind      string      `dynamodbav:"kind"`
		Name      string      `dynamodbav:"name,omitempty"`
		Ext       string      `dynamodbav:"ext,omitempty"`
		MD5       string      `dynamodbav:"md5,omitempty"`
		Size      int64       `dynamodbav:"size,omitempty"`
		From      useItem     `dynamodbav:"from"`
		Deadline  time.Time   `dynamodbav:"deadline"`
		State     media.State `dynamodbav:"state"`
		Reason    string      `dynamodbav:"reason,omitempty"`
		Tries     int         `dynamodbav:"tries,omitempty"`
		NotBefore time.Time   `dynamodbav:"not_before"`
		Reached   int64       `dynamodbav:"reached,omitempty"`
		// Registered is zero in rows that are older than the field.
		Registered time.Time   `dynamodbav:"registered"`
		Wholes     int         `dynamodbav:"wholes,omitempty"`
		Resume     *resumeItem `dynamodbav:"resume,omitempty"`
		Stored     *storedItem `dynamodbav:"stored,omitempty"`
		Rev        uint64      `dynamodbav:"rev"`
	}
	useItem struct {
		Conversation archive.ConversationID `dynamodbav:"conversation"`
		Time         time.Time              `dynamodbav:"time"`
		MsgID        string                 `dynamodbav:"msgid"`
		Seq          uint64                 `dynamodbav:"seq"`
	}
	resumeItem struct {
		Upload string     `dynamodbav:"upload"`
		Index  string     `dynamodbav:"index"`
		Parts  int        `dynamodbav:"parts"`
		Chunks int        `dynamodbav:"chunks"`
		Bytes  int64      `dynamodbav:"bytes"`
		Digest []byte     `dynamodbav:"digest"`
		SHA256 []byte     `dynamodbav:"sha256"`
		Type   media.Type `dynamodbav:"type"`
	}
	storedItem struct {
		Size     int64      `dynamodbav:"size"`
		MD5      string     `dynamodbav:"md5"`
		SHA256   string     `dynamodbav:"sha256"`
		Checksum string     `dynamodbav:"checksum"`
		Type     media.Type `dynamodbav:"type"`
		At       time.Time  `dynamodbav:"at"`
		Differs  string     `dynamodbav:"differs,omitempty"`
	}
)

func newFileItem(f media.File) fileItem {
	return fileItem{
		SDKFileID: f.SDKFileID, Kind: f.Kind, Name: f.Name, Ext: f.Ext, MD5: f.MD5, Size: f.Size, From: useItem(f.From),
		Deadline: f.Deadline, State: f.State, Reason: f.Reason, Tries: f.Tries, NotBefore: f.NotBefore, Reached: f.Reached, Registered: f.Registered,
		Wholes: f.CompleteDownloads,
		Resume: (*resumeItem)(f.Resume), Stored: (*storedItem)(f.Stored), Rev: f.Rev,
	}
}

func readFile(it item) (media.File, error) {
	f, err := readItem[fileItem](it)
	if err != nil {
		return media.File{}, err
	}
	return media.File{
		Corp: keyOf(it, "pk"), ID: strings.TrimPrefix(keyOf(it, "sk"), filePrefix),
		SDKFileID: f.SDKFileID, Kind: f.Kind, Name: f.Name, Ext: f.Ext, MD5: f.MD5, Size: f.Size, From: media.Use(f.From),
		Deadline: f.Deadline, State: f.State, Reason: f.Reason, Tries: f.Tries, NotBefore: f.NotBefore, Reached: f.Reached, Registered: f.Registered,
		CompleteDownloads: f.Wholes,
		Resume:            (*media.Resume)(f.Resume), Stored: (*media.Object)(f.Stored), Rev: f.Rev,
	}, nil
}

// AddFiles implements [media.Table].
func (m *Media) AddFiles(ctx context.Context, files []media.File) (had []string, err error) {
	fail := func(err error) ([]string, error) {
		return nil, fmt.Errorf("add %d files: %w", len(files), err)
	}
	var rows []item
	for _, f := range files {
		f.Rev = 1
		it, err := encode(f.Corp, filePrefix+f.ID, newFileItem(f))
		if err != nil {
			return fail(err)
		}
		rows = append(rows, it)
	}
	taken, err := m.createAll(ctx, m.client, rows)
	if err != nil {
		return fail(err)
	}
	// A crash here leaves rows that are on no list, as the contract says.
	var added []media.File
	var entries []item
	for i, f := range files {
		if taken[i] {
			had = append(had, f.ID)
			continue
		}
		f.Rev = 1
		on, _, err := places(f)
		var it item
		if err == nil {
			it, err = entryOf(f, on)
		}
		if err != nil {
			return fail(err)
		}
		added, entries = append(added, f), append(entries, it)
	}
	if taken, err = m.createAll(ctx, m.client, entries); err != nil {
		return fail(err)
	}
	for i, f := range added {
		if !taken[i] {
			continue
		}
		// Another page found the row and listed the file, perhaps in a later revision.
		if err := m.ListFile(ctx, f); err != nil {
			return nil, err
		}
	}
	return had, nil
}

// File implements [media.Table].
func (m *Media) File(ctx context.Context, corp, id string) (media.File, error) {
	it, err := m.get(ctx, m.client, key(corp, filePrefix+id))
	var f media.File
	if err == nil {
		f, err = readFile(it)
	}
	if err != nil {
		return media.File{}, fmt.Errorf("read file %s of corp %s: %w", id, corp, err)
	}
	return f, nil
}

// Files implements [media.Table], reading consistently.
func (m *Media) Files(ctx context.Context, corp string, ids []string) (map[string]media.File, error) {
	found := make(map[string]media.File, len(ids))
	asked := make(map[string]bool, len(ids))
	var keys []item
	for _, id := range ids {
		if !asked[id] {
			asked[id] = true
			keys = append(keys, key(corp, filePrefix+id))
		}
	}
	items, err := m.readAll(ctx, m.client, keys)
	if err != nil {
		return nil, fmt.Errorf("read files of corp %s: %w", corp, err)
	}
	for _, it := range items {
		f, err := readFile(it)
		if err != nil {
			return nil, fmt.Errorf("read files of corp %s: %w", corp, err)
		}
		found[f.ID] = f
	}
	return found, nil
}

// SaveFile implements [media.Table].
func (m *Media) SaveFile(ctx context.Context, f media.File) (media.File, error) {
	was := f.Rev
	f.Rev++
	it, err := encode(f.Corp, filePrefix+f.ID, newFileItem(f))
	if err != nil {
		return media.File{}, err
	}
	err = m.putIf(ctx, m.client, dynamodb.PutItemInput{
		Item:                      it,
		ConditionExpression:       aws.String("rev = :was"),
		ExpressionAttributeValues: item{":was": number(was)},
	})
	if _, failed := conditionFailed(err); failed {
		err = archive.ErrConflict
	}
	if err != nil {
		return media.File{}, fmt.Errorf("save file %s of corp %s: %w", f.ID, f.Corp, err)
	}
	return f, nil
}

// listedItem is a file on a list. It holds the row's values of the moment when
// the file came onto the list.
type listedItem struct {
	State     media.State `dynamodbav:"state"`
	NotBefore time.Time   `dynamodbav:"not_before"`
	Rev       uint64      `dynamodbav:"rev"` // absent in items that are older than the field
}

// notNewer is the condition that no later revision of the file is on the list.
const notNewer = "attribute_not_exists(rev) OR rev <= :rev"

// ListFile implements [media.Table]. A file comes onto its new list before it
// leaves its old list. After a crash in between the file is on both lists.
func (m *Media) ListFile(ctx context.Context, f media.File) error {
	on, off, err := places(f)
	if err != nil {
		return err
	}
	if on != "" {
		err = m.listAt(ctx, f, on)
	}
	for _, sk := range off {
		if err == nil {
			err = m.unlist(ctx, f, sk)
		}
	}
	if err != nil {
		return fmt.Errorf("list file %s of corp %s: %w", f.ID, f.Corp, err)
	}
	return nil
}

// places returns the key of the list that a file belongs on, empty for none, and the
// keys of the lists that it may have to leave.
func places(f media.File) (on string, off []string, err error) {
	waiting, problem, err := listKeys(f)
	switch {
	case err != nil:
		return "", nil, err
	case f.State == media.Waiting && f.Rev == 1: // a new file was never on the other list
		return waiting, nil, nil
	case f.State == media.Waiting:
		return waiting, []string{problem}, nil
	case f.State == media.Stored:
		return "", []string{waiting, problem}, nil
	}
	return problem, []string{waiting}, nil
}

// entryOf is the entry of a file on a list.
func entryOf(f media.File, sk string) (item, error) {
	return encode(f.Corp, sk, listedItem{State: f.State, NotBefore: f.NotBefore, Rev: f.Rev})
}

func (m *Media) listAt(ctx context.Context, f media.File, sk string) error {
	it, err := entryOf(f, sk)
	if err != nil {
		return err
	}
	return unlessNewer(m.putIf(ctx, m.client, dynamodb.PutItemInput{
		Item: it, ConditionExpression: aws.String(notNewer), ExpressionAttributeValues: item{":rev": number(f.Rev)},
	}))
}

func (m *Media) unlist(ctx context.Context, f media.File, sk string) error {
	out, err := m.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &m.name, Key: key(f.Corp, sk), ReturnConsumedCapacity: m.capacity(),
		ConditionExpression: aws.String(notNewer), ExpressionAttributeValues: item{":rev": number(f.Rev)},
	})
	if err == nil {
		m.wrote("DeleteItem", one(out.ConsumedCapacity))
	}
	return unlessNewer(err)
}

// unlessNewer makes a write succeed, without effect, where a writer with a later
// revision was first.
func unlessNewer(err error) error {
	if _, newer := conditionFailed(err); newer {
		return nil
	}
	return err
}

// listKeys returns the sort keys of a file in the two lists. They follow from
// fields that never change.
func listKeys(f media.File) (waiting, problem string, err error) {
	deadline, err := millis(f.Deadline)
	if err != nil {
		return "", "", fmt.Errorf("list file %s of corp %s: %w", f.ID, f.Corp, err)
	}
	return lanePrefix(media.Lane(f.ID)) + deadline + "#" + f.ID, problemPrefix + deadline + "#" + f.ID, nil
}

func lanePrefix(lane int) string { return waitingPrefix + strconv.Itoa(lane) + "#" }

// listed reads the deadline and the id from a key of a list.
func listed(it item) (deadline time.Time, id string, err error) {
	parts := strings.Split(keyOf(it, "sk"), "#")
	if len(parts) < 3 {
		return time.Time{}, "", archive.ErrCorrupt
	}
	deadline, err = parseMillis(parts[len(parts)-2])
	return deadline, parts[len(parts)-1], err
}

// DueFiles implements [media.Table].
func (m *Media) DueFiles(ctx context.Context, corp string, lane int, now time.Time, limit int) ([]string, error) {
	in := consistently(startingWith(corp, lanePrefix(lane)))
	in.FilterExpression = aws.String("not_before <= :now")
	in.ExpressionAttributeValues[":now"] = moment(now)
	ids, err := collect(m.first(ctx, m.client, limit, in), func(it item) (string, error) {
		_, id, err := listed(it)
		return id, err
	})
	if err != nil {
		return nil, fmt.Errorf("list waiting files of corp %s: %w", corp, err)
	}
	return ids, nil
}

// waitingRead is how many waiting files of a corp Waiting looks at.
const waitingRead = 200

// Waiting implements [watch.WaitingFiles] with one Query. If the list is longer
// than waitingRead, every lane counts as due, and the deadlines of the first files
// stand for all: files are spread over the lanes by a digest. If none of these
// deadlines is after now, a second Query looks for one.
func (m *Media) Waiting(ctx context.Context, corp string, before, now time.Time) (lanes []int, next time.Time, err error) {
	due := make(map[int]bool)
	n := 0
	for it, err := range m.first(ctx, m.client, waitingRead, startingWith(corp, waitingPrefix)) {
		var f waitingFile
		if err == nil {
			f, err = readWaiting(it)
		}
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("list waiting files of corp %s: %w", corp, err)
		}
		n++
		due[f.lane] = due[f.lane] || !f.notBefore.After(before)
		if f.deadline.After(now) && (next.IsZero() || f.deadline.Before(next)) {
			next = f.deadline
		}
	}
	for lane := range media.Lanes {
		if n == waitingRead || due[lane] {
			lanes = append(lanes, lane)
		}
	}
	if n == waitingRead && next.IsZero() {
		if next, err = m.nextDeadline(ctx, corp, 0, now); err != nil {
			return nil, time.Time{}, fmt.Errorf("read the next deadline of corp %s: %w", corp, err)
		}
	}
	return lanes, next, nil
}

// waitingFile is an entry of the list of waiting files.
type waitingFile struct {
	lane                int
	deadline, notBefore time.Time
}

func readWaiting(it item) (f waitingFile, err error) {
	if f.deadline, _, err = listed(it); err != nil {
		return f, err
	}
	lane, _, _ := strings.Cut(strings.TrimPrefix(keyOf(it, "sk"), waitingPrefix), "#")
	if f.lane, err = strconv.Atoi(lane); err != nil {
		return f, archive.ErrCorrupt
	}
	v, err := readItem[listedItem](it)
	f.notBefore = v.NotBefore
	return f, err
}

// nextDeadline returns the earliest deadline in a lane after now, or the zero
// time.
func (m *Media) nextDeadline(ctx context.Context, corp string, lane int, now time.Time) (time.Time, error) {
	later, err := millis(now.Add(time.Millisecond))
	if err != nil {
		return time.Time{}, err
	}
	in := within(corp, lanePrefix(lane)+later, lanePrefix(lane)+"~")
	deadlines, err := collect(m.first(ctx, m.client, 1, in), func(it item) (time.Time, error) {
		deadline, _, err := listed(it)
		return deadline, err
	})
	if err != nil || len(deadlines) == 0 {
		return time.Time{}, err
	}
	return deadlines[0], nil
}

// Backlog counts the waiting files and the files with a problem, each up to
// [media.BacklogBound].
func (m *Media) Backlog(ctx context.Context, corp string, now time.Time) (media.Backlog, error) {
	b := media.Backlog{Problems: make(map[media.State]int)}
	for it, err := range m.first(ctx, m.client, media.BacklogBound, startingWith(corp, waitingPrefix)) {
		var deadline time.Time
		if err == nil {
			deadline, _, err = listed(it)
		}
		if err != nil {
			return media.Backlog{}, fmt.Errorf("count waiting files of corp %s: %w", corp, err)
		}
		b.Wait(deadline, now)
	}
	for it, err := range m.first(ctx, m.client, media.BacklogBound, startingWith(corp, problemPrefix)) {
		if err != nil {
			return media.Backlog{}, fmt.Errorf("count files of corp %s with a problem: %w", corp, err)
		}
		b.Problems[media.State(keyOf(it, "state"))]++
	}
	return b, nil
}

// FileProblems lists the files with a problem: neither waiting nor stored. The
// latest deadline comes first; at most limit.
func (m *Media) FileProblems(ctx context.Context, corp string, limit int) ([]media.File, error) {
	in := startingWith(corp, problemPrefix)
	in.ScanIndexForward = aws.Bool(false)
	ids, err := collect(m.first(ctx, m.client, limit, in), func(it item) (string, error) {
		_, id, err := listed(it)
		return id, err
	})
	if err != nil {
		return nil, fmt.Errorf("list files of corp %s with a problem: %w", corp, err)
	}
	rows, err := m.Files(ctx, corp, ids)
	if err != nil {
		return nil, err
	}
	var files []media.File
	for _, id := range ids {
		if f, ok := rows[id]; ok {
			files = append(files, f)
		}
	}
	return files, nil
}
