package dynamostore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// LedgerClient lists the methods of the SDK's client that [Ledger] calls.
type LedgerClient interface {
	getClient
	putClient
	queryClient
	transactClient
	batchGetClient
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// Ledger is the table of chains: heads, rows, pending pages, pull states, losses,
// notifications and jobs.
type Ledger struct {
	table
	client LedgerClient
}

// NewLedger uses the table of that name.
func NewLedger(client LedgerClient, table string, options ...Option) *Ledger {
	return &Ledger{table: newTable(table, options), client: client}
}

var (
	_ pull.Ledger         = (*Ledger)(nil)
	_ decode.Ledger       = (*Ledger)(nil)
	_ decode.ReplayLedger = (*Ledger)(nil)
	_ watch.Ledger        = (*Ledger)(nil)
)

const (
	headSK        = "head"
	stateSK       = "state"
	rowPrefix     = "row#"
	resultPrefix  = "result#"
	filesPrefix   = "files#"
	pendingPrefix = "pending#"
	lossPrefix    = "loss#"
	replayPrefix  = "replay#"

	addressPK = "@address" // never a corp id, which begins with a letter
	tryPrefix = "try#"
	waitMark  = "wait#" // sorts after every key that begins with a time
	// tryLife is a little more than the day that the gate looks back.
	tryLife = 25 * time.Hour
)

// Each item type mirrors a domain type, as in corps.go.
type (
	headItem struct {
		Corp string    `dynamodbav:"-"`
		Last uint64    `dynamodbav:"last"`
		Rows uint64    `dynamodbav:"rows"`
		Hash string    `dynamodbav:"hash"`
		At   time.Time `dynamodbav:"at"`
	}
	// rowItem has the fields of a row that never change. The result and the tries
	// of its page are items of another partition.
	rowItem struct {
		Kind     archive.RowKind `dynamodbav:"kind"`
		After    uint64          `dynamodbav:"after"`
		First    uint64          `dynamodbav:"first"`
		Last     uint64          `dynamodbav:"last"`
		Count    int             `dynamodbav:"count"`
		Sum      string          `dynamodbav:"sum"`
		Size     int             `dynamodbav:"size"`
		At       time.Time       `dynamodbav:"at"`
		Reason   string          `dynamodbav:"reason,omitempty"`
		Evidence string          `dynamodbav:"evidence,omitempty"`
		Prev     string          `dynamodbav:"prev"`
		Hash     string          `dynamodbav:"hash"`
	}
	resultItem struct {
		After      uint64      `dynamodbav:"after"`
		At         time.Time   `dynamodbav:"at"`
		Stored     int         `dynamodbav:"stored"`
		Unreadable int         `dynamodbav:"unreadable"`
		SetAside   []countItem `dynamodbav:"set_aside"`
		Types      []countItem `dynamodbav:"types"`
		Unknown    []countItem `dynamodbav:"unknown,omitempty"`
		Files      int         `dynamodbav:"files"`
	}
	// countItem is an entry of a map whose keys come from messages. It is not an
	// entry of a DynamoDB map, because DynamoDB refuses some texts as names.
	countItem struct {
		Of string `dynamodbav:"of"`
		N  int    `dynamodbav:"n"`
	}
	filesItem struct {
		After uint64 `dynamodbav:"after"`
		IDs   []byte `dynamodbav:"ids"` // digests, concatenated
	}
	pendingItem struct {
		Corp        string    `dynamodbav:"-"`
		After       uint64    `dynamodbav:"after"`
		RequestedAt time.Time `dynamodbav:"requested"`
		Tries       int       `dynamodbav:"tries"`
		Stuck       bool      `dynamodbav:"stuck"`
	}
	stateItem struct {
		LastCallAt  time.Time      `dynamodbav:"last_call"`
		LastPageAt  time.Time      `dynamodbav:"last_page"`
		LastEmptyAt time.Time      `dynamodbav:"last_empty"`
		Unannounced time.Time      `dynamodbav:"unannounced"`
		Standing    standingItem   `dynamodbav:"standing"`
		Limit       int            `dynamodbav:"limit"`
		GapSearch   *gapSearchItem `dynamodbav:"gap_search,omitempty"`
		Gaps        int            `dynamodbav:"gaps"`
		LastGap     *gapItem       `dynamodbav:"last_gap,omitempty"`
	}
	standingItem struct {
		SecretSetAt time.Time    `dynamodbav:"secret_set"`
		OKAt        time.Time    `dynamodbav:"ok"`
		Refusals    int          `dynamodbav:"refusals"`
		RefusedAt   time.Time    `dynamodbav:"refused"`
		NotBefore   time.Time    `dynamodbav:"not_before"`
		HeldUntil   time.Time    `dynamodbav:"held_until"`
		Trouble     *troubleItem `dynamodbav:"trouble,omitempty"`
	}
	gapItem struct {
		After  uint64    `dynamodbav:"after"`
		Last   uint64    `dynamodbav:"last"`
		Reason string    `dynamodbav:"reason"`
		At     time.Time `dynamodbav:"at"`
	}
	troubleItem struct {
		Cause  archive.Cause `dynamodbav:"cause"`
		Op     string        `dynamodbav:"op"`
		Code   int           `dynamodbav:"code"`
		Native bool          `dynamodbav:"native"`
		FromIP string        `dynamodbav:"from_ip"`
		Since  time.Time     `dynamodbav:"since"`
		At     time.Time     `dynamodbav:"at"`
	}
	gapSearchItem struct {
		After    uint64    `dynamodbav:"after"`
		Reason   string    `dynamodbav:"reason"`
		Since    time.Time `dynamodbav:"since"`
		Attempts int       `dynamodbav:"attempts"`
		At       uint64    `dynamodbav:"at"`
		Good     uint64    `dynamodbav:"good"`
		Failed   uint64    `dynamodbav:"failed"`
		Sampled  bool      `dynamodbav:"sampled"`
		Doubts   int       `dynamodbav:"doubts"`
	}
	lossItem struct {
		Corp  string    `dynamodbav:"-"`
		Since time.Time `dynamodbav:"since"`
		At    time.Time `dynamodbav:"at"`
	}
	replayItem struct {
		Corp         string    `dynamodbav:"-"`
		ID           string    `dynamodbav:"id"`
		CreatedAt    time.Time `dynamodbav:"created"`
		By           string    `dynamodbav:"by"`
		Asked        bool      `dynamodbav:"asked"`
		From         uint64    `dynamodbav:"from"`
		To           uint64    `dynamodbav:"to"`
		OnlySetAside bool      `dynamodbav:"only_set_aside"`
		Version      uint32    `dynamodbav:"version"`
		Next         uint64    `dynamodbav:"next"`
		Begun        bool      `dynamodbav:"begun"`
		Pages        int       `dynamodbav:"pages"`
		UpdatedAt    time.Time `dynamodbav:"updated"`
		Done         bool      `dynamodbav:"done"`
		Failed       bool      `dynamodbav:"failed"`
		StoppedBy    string    `dynamodbav:"stopped_by"`

		Verify    bool             `dynamodbav:"verify"`
		Weekly    bool             `dynamodbav:"weekly"`
		ChainOnly bool             `dynamodbav:"chain_only"`
		ToEnd     bool             `dynamodbav:"to_end"`
		Faults    int              `dynamodbav:"faults"`
		Findings  []decode.Finding `dynamodbav:"findings,omitempty"`
	}
)

// chainPK is the partition of a corp's rows and head. pull alone may write to it,
// and no function may delete from it (template.yaml).
func chainPK(corp string) string { return corp + "#chain" }

func newRowItem(r archive.Row) rowItem {
	return rowItem{
		Kind: r.Kind, After: r.After, First: r.First, Last: r.Last, Count: r.Count, Sum: r.Sum, Size: r.Size, At: r.At,
		Reason: r.Reason, Evidence: r.Evidence, Prev: r.Prev, Hash: r.Hash,
	}
}

// readRow reads the fields that never change.
func readRow(it item) (archive.Row, error) {
	r, err := readItem[rowItem](it)
	if err != nil {
		return archive.Row{}, err
	}
	return archive.Row{
		Corp: strings.TrimSuffix(keyOf(it, "pk"), chainPK("")),
		Kind: r.Kind, After: r.After, First: r.First, Last: r.Last, Count: r.Count, Sum: r.Sum, Size: r.Size, At: r.At,
		Reason: r.Reason, Evidence: r.Evidence, Prev: r.Prev, Hash: r.Hash,
	}, nil
}

// progress is what became of pages: their results, and their pending items.
type progress struct {
	results map[uint64]*archive.Result
	pending map[uint64]archive.Pending
}

func (p *progress) add(it item) error {
	if strings.HasPrefix(keyOf(it, "sk"), resultPrefix) {
		r, err := readItem[resultItem](it)
		p.results[r.After] = r.result()
		return err
	}
	pending, err := readPending(it)
	p.pending[pending.After] = pending
	return err
}

// of sets the state, the tries and the result of a row. A page with a pending item
// is not decoded, also if it has a result: Finish may have crashed between the two.
func (p *progress) of(r *archive.Row) {
	r.State = archive.RowRequested
	if pending, ok := p.pending[r.After]; ok {
		if r.Tries = pending.Tries; pending.Stuck {
			r.State = archive.RowStuck
		}
		return
	}
	if r.Result = p.results[r.After]; r.Result != nil || r.Kind == archive.GapRow {
		r.State = archive.RowDecoded
	}
}

func newResultItem(after uint64, r archive.Result) resultItem {
	return resultItem{
		After: after, At: r.At, Stored: r.Stored, Unreadable: r.Unreadable,
		SetAside: newCountItems(r.SetAside), Types: newCountItems(r.Types), Unknown: newCountItems(r.Unknown), Files: r.Files,
	}
}

func (r resultItem) result() *archive.Result {
	return &archive.Result{
		At: r.At, Stored: r.Stored, Unreadable: r.Unreadable,
		SetAside: counts(r.SetAside), Types: counts(r.Types), Unknown: counts(r.Unknown), Files: r.Files,
	}
}

// newCountItems sorts the counts, so that equal results make equal items.
func newCountItems(m map[string]int) []countItem {
	if m == nil {
		return nil
	}
	list := make([]countItem, 0, len(m))
	for of, n := range m {
		list = append(list, countItem{of, n})
	}
	slices.SortFunc(list, func(a, b countItem) int { return cmp.Compare(a.Of, b.Of) })
	return list
}

func counts(list []countItem) map[string]int {
	if list == nil {
		return nil
	}
	m := make(map[string]int, len(list))
	for _, c := range list {
		m[c.Of] = c.N
	}
	return m
}

// Head implements [pull.Ledger].
func (l *Ledger) Head(ctx context.Context, corp string) (archive.Head, error) {
	heads, err := l.Heads(ctx, []string{corp})
	return heads[corp], err
}

// Heads implements [watch.Ledger], reading consistently.
func (l *Ledger) Heads(ctx context.Context, corps []string) (map[string]archive.Head, error) {
	heads := make(map[string]archive.Head, len(corps))
	var keys []item
	for _, corp := range corps {
		if _, twice := heads[corp]; !twice {
			heads[corp] = archive.NewHead(corp)
			keys = append(keys, key(chainPK(corp), headSK))
		}
	}
	found, err := l.readAll(ctx, l.client, keys)
	if err != nil {
		return nil, fmt.Errorf("read heads: %w", err)
	}
	for _, it := range found {
		h, err := readItem[headItem](it)
		if err != nil {
			return nil, fmt.Errorf("read heads: %w", err)
		}
		h.Corp = strings.TrimSuffix(keyOf(it, "pk"), chainPK(""))
		heads[h.Corp] = archive.Head(h)
	}
	return heads, nil
}

// Append implements [pull.Ledger]. Row, head and pending page are written in one
// transaction (law 1): after a crash either all of them are stored or the ledger
// is as before.
func (l *Ledger) Append(ctx context.Context, prev archive.Head, row archive.Row) error {
	rowIt, err := encode(chainPK(row.Corp), rowPrefix+padded(row.After), newRowItem(row))
	if err != nil {
		return err
	}
	headIt, err := encode(chainPK(row.Corp), headSK, headItem(prev.Next(row)))
	if err != nil {
		return err
	}
	head := &types.Put{TableName: &l.name, Item: headIt, ConditionExpression: aws.String(absent)}
	if prev.Rows > 0 {
		head.ConditionExpression = aws.String("#last = :last AND #rows = :rows AND #hash = :hash")
		head.ExpressionAttributeNames = map[string]string{"#last": "last", "#rows": "rows", "#hash": "hash"}
		head.ExpressionAttributeValues = item{
			":last": number(prev.Last), ":rows": number(prev.Rows), ":hash": text(prev.Hash),
		}
	}
	writes := []types.TransactWriteItem{l.putNew(rowIt), {Put: head}}
	if row.Kind == archive.PageRow {
		pendingIt, err := encode(row.Corp, pendingPrefix+padded(row.After), pendingItem{
			After: row.After, RequestedAt: row.At, Tries: row.Tries, Stuck: row.State == archive.RowStuck,
		})
		if err != nil {
			return err
		}
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{TableName: &l.name, Item: pendingIt}})
	}
	err = l.transact(ctx, l.client, writes...)
	// A collision with another transaction on the head counts as a lost race. The
	// caller reads the head again and sees whether the other transaction succeeded.
	if at, _ := failedAt(err); at >= 0 || collided(err) {
		err = archive.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("append row %d of corp %s: %w", row.After, row.Corp, err)
	}
	return nil
}

// PullState implements [pull.Ledger], reading consistently.
func (l *Ledger) PullState(ctx context.Context, corp string) (archive.PullState, error) {
	it, err := l.get(ctx, l.client, key(corp, stateSK))
	if errors.Is(err, archive.ErrNotFound) {
		return archive.PullState{Corp: corp}, nil
	}
	var s archive.PullState
	if err == nil {
		s, err = readState(it)
	}
	if err != nil {
		return archive.PullState{}, fmt.Errorf("read the pull state of corp %s: %w", corp, err)
	}
	return s, nil
}

// SavePullState implements [pull.Ledger].
func (l *Ledger) SavePullState(ctx context.Context, s archive.PullState) error {
	it, err := encode(s.Corp, stateSK, stateItem{
		LastCallAt: s.LastCallAt, LastPageAt: s.LastPageAt, LastEmptyAt: s.LastEmptyAt, Unannounced: s.UnannouncedAt,
		Standing: newStandingItem(s.Standing),
		Limit:    s.Limit, GapSearch: (*gapSearchItem)(s.GapSearch), Gaps: s.Gaps, LastGap: (*gapItem)(s.LastGap),
	})
	if err != nil {
		return err
	}
	if err := l.put(ctx, l.client, it); err != nil {
		return fmt.Errorf("save the pull state of corp %s: %w", s.Corp, err)
	}
	return nil
}

func newStandingItem(s archive.Standing) standingItem {
	return standingItem{
		SecretSetAt: s.SecretSetAt, OKAt: s.OKAt, Refusals: s.Refusals, RefusedAt: s.RefusedAt, NotBefore: s.NotBefore, HeldUntil: s.HeldUntil,
		Trouble: (*troubleItem)(s.Trouble),
	}
}

func (s standingItem) standing() archive.Standing {
	return archive.Standing{
		SecretSetAt: s.SecretSetAt, OKAt: s.OKAt, Refusals: s.Refusals, RefusedAt: s.RefusedAt, NotBefore: s.NotBefore, HeldUntil: s.HeldUntil,
		Trouble: (*archive.Trouble)(s.Trouble),
	}
}

func readState(it item) (archive.PullState, error) {
	s, err := readItem[stateItem](it)
	if err != nil {
		return archive.PullState{}, err
	}
	return archive.PullState{
		Corp:       keyOf(it, "pk"),
		LastCallAt: s.LastCallAt, LastPageAt: s.LastPageAt, LastEmptyAt: s.LastEmptyAt, UnannouncedAt: s.Unannounced,
		Standing: s.Standing.standing(),
		Limit:    s.Limit, GapSearch: (*archive.GapSearch)(s.GapSearch), Gaps: s.Gaps, LastGap: (*archive.GapNote)(s.LastGap),
	}, nil
}

// tryItem is a try. What its key says is not repeated.
type tryItem struct {
	State      archive.TryState `dynamodbav:"state"`
	At         time.Time        `dynamodbav:"at"`
	Registered time.Time        `dynamodbav:"registered"`
	Expires    int64            `dynamodbav:"ttl"` // Unix seconds, as DynamoDB wants them
}

// PutTry implements [archive.TryLog].
func (l *Ledger) PutTry(ctx context.Context, t archive.Try) error {
	sk := tryPrefix + string(t.Way) + "#" + timeText(t.At) + "#" + t.Corp + "#" + t.By + "#" + t.ID
	if t.Mark() {
		sk = tryPrefix + string(t.Way) + "#" + waitMark + t.Corp
	}
	it, err := encode(addressPK, sk, tryItem{State: t.State, At: t.At, Registered: t.Registered, Expires: t.At.Add(tryLife).Unix()})
	if err != nil {
		return err
	}
	if err := l.put(ctx, l.client, it); err != nil {
		return fmt.Errorf("store a try of %s: %w", t.Corp, err)
	}
	return nil
}

// Tries implements [archive.TryLog]. One Query reads the tries of a way and,
// after them, the waiting corps.
func (l *Ledger) Tries(ctx context.Context, way archive.Way, since time.Time) ([]archive.Try, error) {
	prefix := tryPrefix + string(way) + "#"
	in := consistently(within(addressPK, prefix+timeText(since), prefix+"~"))
	tries, err := collect(l.query(ctx, l.client, in), func(it item) (archive.Try, error) {
		v, err := readItem[tryItem](it)
		t := archive.Try{Way: way, At: v.At, State: v.State, Registered: v.Registered}
		place := strings.TrimPrefix(keyOf(it, "sk"), prefix)
		if corp, waits := strings.CutPrefix(place, waitMark); waits {
			t.Corp = corp
			return t, err
		}
		_, who, _ := strings.Cut(place, "#")
		t.Corp, who, _ = strings.Cut(who, "#")
		t.By, t.ID, _ = strings.Cut(who, "#")
		return t, err
	})
	if err != nil {
		return nil, fmt.Errorf("read tries: %w", err)
	}
	return tries, nil
}

// Row implements [decode.Ledger].
func (l *Ledger) Row(ctx context.Context, corp string, after uint64) (archive.Row, error) {
	row := rowPrefix + padded(after)
	found, err := l.readAll(ctx, l.client, []item{
		key(chainPK(corp), row), key(corp, resultPrefix+padded(after)), key(corp, pendingPrefix+padded(after)),
	})
	if err != nil {
		return archive.Row{}, fmt.Errorf("read row %d of corp %s: %w", after, corp, err)
	}
	rows, err := joined(found)
	if err == nil && len(rows) == 0 {
		err = archive.ErrNotFound
	}
	if err != nil {
		return archive.Row{}, fmt.Errorf("read row %d of corp %s: %w", after, corp, err)
	}
	return rows[0], nil
}

// joined reads rows from their own items and those of their pages' progress.
func joined(items []item) ([]archive.Row, error) {
	p := progress{make(map[uint64]*archive.Result), make(map[uint64]archive.Pending)}
	var rows []archive.Row
	for _, it := range items {
		var err error
		if strings.HasPrefix(keyOf(it, "sk"), rowPrefix) {
			var row archive.Row
			row, err = readRow(it)
			rows = append(rows, row)
		} else {
			err = p.add(it)
		}
		if err != nil {
			return nil, err
		}
	}
	for i := range rows {
		p.of(&rows[i])
	}
	return rows, nil
}

// Finish implements [decode.Ledger].
//
// It writes the files, then the result, and then removes the pending item, which
// makes the page decoded. After a crash before that the page is still pending, and
// Finish writes all again. A transaction would have the same effect for twice the
// units. The files are an item of their own, so that reads of the result do not
// read them.
func (l *Ledger) Finish(ctx context.Context, corp string, after uint64, result archive.Result, files []string) error {
	if err := l.putFiles(ctx, corp, after, files); err != nil {
		return fmt.Errorf("store the files of page %d of corp %s: %w", after, corp, err)
	}
	it, err := encode(corp, resultPrefix+padded(after), newResultItem(after, result))
	if err != nil {
		return err
	}
	if err := l.put(ctx, l.client, it); err != nil {
		return fmt.Errorf("store the result of page %d of corp %s: %w", after, corp, err)
	}
	// A crash before this line leaves the page pending.
	err = untilQuiet(ctx, func() error {
		out, err := l.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &l.name, Key: key(corp, pendingPrefix+padded(after)), ReturnConsumedCapacity: l.capacity(),
		})
		if err == nil {
			l.wrote("DeleteItem", one(out.ConsumedCapacity))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("finish row %d of corp %s: %w", after, corp, err)
	}
	return nil
}

func (l *Ledger) putFiles(ctx context.Context, corp string, after uint64, files []string) error {
	if len(files) == 0 {
		return nil
	}
	packed, err := packDigests(files)
	if err != nil {
		return err
	}
	it, err := encode(corp, filesPrefix+padded(after), filesItem{After: after, IDs: packed})
	if err != nil {
		return err
	}
	return l.put(ctx, l.client, it)
}

// PageFiles returns the file ids of each page, keyed by the page's after. A
// page that names no files has an empty entry or no entry. afters must not
// contain duplicates.
func (l *Ledger) PageFiles(ctx context.Context, corp string, afters []uint64) (map[uint64][]string, error) {
	var keys []item
	for _, after := range afters {
		keys = append(keys, key(corp, filesPrefix+padded(after)))
	}
	found, err := l.readAll(ctx, l.client, keys)
	if err != nil {
		return nil, fmt.Errorf("read the files of pages of corp %s: %w", corp, err)
	}
	files := make(map[uint64][]string, len(found))
	for _, it := range found {
		f, err := readItem[filesItem](it)
		if err != nil {
			return nil, fmt.Errorf("read the files of pages of corp %s: %w", corp, err)
		}
		files[f.After] = unpackDigests(f.IDs)
	}
	return files, nil
}

// packDigests writes hex digests as concatenated bytes.
func packDigests(ids []string) ([]byte, error) {
	packed, err := hex.DecodeString(strings.Join(ids, ""))
	if err != nil || len(packed) != len(ids)*sha256.Size {
		return nil, errors.New("file id is not a digest")
	}
	return packed, nil
}

func unpackDigests(packed []byte) (ids []string) {
	for digest := range slices.Chunk(packed, sha256.Size) {
		ids = append(ids, hex.EncodeToString(digest))
	}
	return ids
}

// PullStates implements [watch.Ledger].
func (l *Ledger) PullStates(ctx context.Context, corps []string) (map[string]archive.PullState, error) {
	states := make(map[string]archive.PullState, len(corps))
	var keys []item
	for _, corp := range corps {
		if _, twice := states[corp]; !twice {
			states[corp] = archive.PullState{Corp: corp}
			keys = append(keys, key(corp, stateSK))
		}
	}
	found, err := l.readLagging(ctx, l.client, keys)
	if err != nil {
		return nil, fmt.Errorf("read pull states: %w", err)
	}
	for _, it := range found {
		s, err := readState(it)
		if err != nil {
			return nil, fmt.Errorf("read pull states: %w", err)
		}
		states[s.Corp] = s
	}
	return states, nil
}

func readPending(it item) (archive.Pending, error) {
	p, err := readItem[pendingItem](it)
	p.Corp = keyOf(it, "pk")
	return archive.Pending(p), err
}

// Pendings lists pending pages, which are not decoded yet, lowest seq first, at
// most limit. Changes of the last seconds may be missing.
func (l *Ledger) Pendings(ctx context.Context, corp string, limit int) ([]archive.Pending, error) {
	return l.pendings(ctx, corp, startingWith(corp, pendingPrefix), limit)
}

// LastPending implements [pull.Ledger].
func (l *Ledger) LastPending(ctx context.Context, corp string) (archive.Pending, error) {
	in := consistently(startingWith(corp, pendingPrefix))
	in.ScanIndexForward = aws.Bool(false)
	last, err := l.pendings(ctx, corp, in, 1)
	if err == nil && len(last) == 0 {
		err = fmt.Errorf("last pending page of corp %s: %w", corp, archive.ErrNotFound)
	}
	if err != nil {
		return archive.Pending{}, err
	}
	return last[0], nil
}

// firstRead is how many pending pages one read of [Ledger.FirstPending] covers. The
// lanes of a corp take turns by chance, so few pages hold the first of each lane.
const firstRead = 25

// FirstPending implements [archive.PendingPages].
func (l *Ledger) FirstPending(ctx context.Context, corp string, lane, limit int) ([]archive.Pending, error) {
	in := consistently(startingWith(corp, pendingPrefix))
	in.Limit = aws.Int32(firstRead)
	var first []archive.Pending
	for it, err := range l.query(ctx, l.client, in) {
		var p archive.Pending
		if err == nil {
			p, err = readPending(it)
		}
		if err != nil {
			return nil, fmt.Errorf("read the first pending pages of corp %s: %w", corp, err)
		}
		if archive.DecodeLane(p.After) != lane || !p.HoldsPlace() {
			continue
		}
		if first = append(first, p); len(first) == limit {
			break
		}
	}
	return first, nil
}

func (l *Ledger) pendings(ctx context.Context, corp string, in dynamodb.QueryInput, limit int) ([]archive.Pending, error) {
	all, err := collect(l.first(ctx, l.client, limit, in), readPending)
	if err != nil {
		return nil, fmt.Errorf("list pending pages of corp %s: %w", corp, err)
	}
	return all, nil
}

// NoteRequest implements [archive.PendingPages]. A stuck page stays stuck until it is
// decoded.
func (l *Ledger) NoteRequest(ctx context.Context, p archive.Pending, at time.Time, stuck bool) error {
	in := dynamodb.UpdateItemInput{
		TableName:           &l.name,
		Key:                 key(p.Corp, pendingPrefix+padded(p.After)),
		ConditionExpression: aws.String("requested = :was AND tries = :tried"),
		UpdateExpression:    aws.String("SET requested = :at, tries = :tries"),
		ExpressionAttributeValues: item{
			":was": moment(p.RequestedAt), ":tried": number(p.Tries), ":at": moment(at), ":tries": number(p.Tries + 1),
		},
		ReturnConsumedCapacity: l.capacity(),
	}
	if stuck {
		*in.UpdateExpression += ", stuck = :stuck"
		in.ExpressionAttributeValues[":stuck"] = flag(true)
	}
	out, err := l.client.UpdateItem(ctx, &in)
	if err == nil {
		l.wrote("UpdateItem", one(out.ConsumedCapacity))
	}
	if _, failed := conditionFailed(err); failed || collided(err) {
		err = archive.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("record a request for page %d of corp %s: %w", p.After, p.Corp, err)
	}
	return nil
}

// lossesPK is a partition of its own: only dispatch may write there, and no function
// may delete (template.yaml).
func lossesPK(corp string) string { return corp + "#losses" }

// RecordLoss implements [watch.Ledger].
func (l *Ledger) RecordLoss(ctx context.Context, loss archive.Loss) error {
	it, err := encode(lossesPK(loss.Corp), lossPrefix+timeText(loss.Since), lossItem(loss))
	if err != nil {
		return err
	}
	if err := unlessExists(l.create(ctx, l.client, it)); err != nil {
		return fmt.Errorf("record a loss of corp %s: %w", loss.Corp, err)
	}
	return nil
}

// Losses lists a corp's losses, oldest first.
func (l *Ledger) Losses(ctx context.Context, corp string) ([]archive.Loss, error) {
	all, err := collect(l.query(ctx, l.client, startingWith(lossesPK(corp), lossPrefix)), func(it item) (archive.Loss, error) {
		loss, err := readItem[lossItem](it)
		loss.Corp = corp
		return archive.Loss(loss), err
	})
	if err != nil {
		return nil, fmt.Errorf("list losses of corp %s: %w", corp, err)
	}
	return all, nil
}

// Rows implements [decode.ReplayLedger].
func (l *Ledger) Rows(ctx context.Context, corp string, q archive.RowQuery) ([]archive.Row, error) {
	in := within(chainPK(corp), rowPrefix+padded(q.From), rowPrefix+padded(math.MaxUint64))
	if q.Descending {
		in = within(chainPK(corp), rowPrefix+padded(0), rowPrefix+padded(q.From))
		in.ScanIndexForward = aws.Bool(false)
	}
	if !q.ChainOnly {
		in = consistently(in)
	}
	rows, err := collect(l.first(ctx, l.client, q.Limit, in), readRow)
	if err == nil && !q.ChainOnly {
		err = l.addProgress(ctx, corp, rows)
	}
	if err != nil {
		return nil, fmt.Errorf("list rows of corp %s: %w", corp, err)
	}
	return rows, nil
}

// addProgress sets the state, the tries and the result of the rows of one Query.
func (l *Ledger) addProgress(ctx context.Context, corp string, rows []archive.Row) error {
	if len(rows) == 0 {
		return nil
	}
	lo, hi := rows[0].After, rows[len(rows)-1].After
	lo, hi = min(lo, hi), max(lo, hi)
	p := progress{make(map[uint64]*archive.Result), make(map[uint64]archive.Pending)}
	for _, prefix := range []string{pendingPrefix, resultPrefix} { // a page without a pending item has its result by then
		for it, err := range l.query(ctx, l.client, consistently(within(corp, prefix+padded(lo), prefix+padded(hi)))) {
			if err == nil {
				err = p.add(it)
			}
			if err != nil {
				return err
			}
		}
	}
	for i := range rows {
		p.of(&rows[i])
	}
	return nil
}

// jobsPK is a partition beside the chain's. It keeps a function that may only
// start jobs away from rows and heads (template.yaml).
func jobsPK(corp string) string { return corp + "#jobs" }

func encodeReplay(r decode.Replay) (item, error) {
	return encode(jobsPK(r.Corp), replayPrefix+part(r.ID), replayItem(r))
}

func readReplay(it item) (decode.Replay, error) {
	r, err := readItem[replayItem](it)
	r.Corp = strings.TrimSuffix(keyOf(it, "pk"), jobsPK(""))
	return decode.Replay(r), err
}

// CreateReplay implements [decode.ReplayLedger].
func (l *Ledger) CreateReplay(ctx context.Context, r decode.Replay) error {
	it, err := encodeReplay(r)
	if err != nil {
		return err
	}
	if err := l.create(ctx, l.client, it); err != nil {
		return fmt.Errorf("create replay %s of corp %s: %w", r.ID, r.Corp, err)
	}
	return nil
}

// Replay implements [decode.ReplayLedger], reading consistently;
// [archive.ErrNotFound] if the job is absent.
func (l *Ledger) Replay(ctx context.Context, corp, id string) (decode.Replay, error) {
	it, err := l.get(ctx, l.client, key(jobsPK(corp), replayPrefix+part(id)))
	var r decode.Replay
	if err == nil {
		r, err = readReplay(it)
	}
	if err != nil {
		return decode.Replay{}, fmt.Errorf("read replay %s of corp %s: %w", id, corp, err)
	}
	return r, nil
}

// AdvanceReplay implements [decode.ReplayLedger]. An absent job counts as changed.
func (l *Ledger) AdvanceReplay(ctx context.Context, old, now decode.Replay) error {
	it, err := encodeReplay(now)
	if err != nil {
		return err
	}
	err = l.putIf(ctx, l.client, dynamodb.PutItemInput{
		Item:                     it,
		ConditionExpression:      aws.String("#next = :next AND #pages = :pages AND #updated = :updated AND #done = :done"),
		ExpressionAttributeNames: map[string]string{"#next": "next", "#pages": "pages", "#updated": "updated", "#done": "done"},
		ExpressionAttributeValues: item{
			":next": number(old.Next), ":pages": number(old.Pages), ":updated": moment(old.UpdatedAt), ":done": flag(old.Done),
		},
	})
	if _, failed := conditionFailed(err); failed {
		err = archive.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("advance replay %s of corp %s: %w", old.ID, old.Corp, err)
	}
	return nil
}

// Replays lists a corp's jobs, newest first, at most limit.
func (l *Ledger) Replays(ctx context.Context, corp string, limit int) ([]decode.Replay, error) {
	in := startingWith(jobsPK(corp), replayPrefix)
	in.ScanIndexForward = aws.Bool(false)
	all, err := collect(l.first(ctx, l.client, limit, in), readReplay)
	if err != nil {
		return nil, fmt.Errorf("list replays of corp %s: %w", corp, err)
	}
	return all, nil
}
