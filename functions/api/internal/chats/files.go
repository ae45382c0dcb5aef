package chats

import (
	"cmp"
	"context"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/message"
)

const (
	// linkLife is how long a link to a file is good.
	linkLife = 5 * time.Minute
	// filesMost is how many files a view lists at most. A message with more is
	// none that a client of WeCom's makes.
	filesMost = 5000
	// filesRead is the longest message that is read for its files: that took up to
	// 38 times its size in memory, of the function's 1 GB.
	filesRead = 8 << 20
	// filesAtOnce is how many files are looked up together for a list of
	// messages, but for a single message that has more.
	filesAtOnce = 1000
	// listedMost is how many of the files that wait, or have a problem, are
	// read for one answer.
	listedMost = 2000
)

// stateUnknown is the state of a file that was never asked for: its message
// was decoded before files were.
const stateUnknown media.State = "unknown"

// fileJSON is a file as its message says, and what we have of it.
type fileJSON struct {
	message.File
	Copy copyJSON `json:"copy"`
}

type copyJSON struct {
	State     media.State `json:"state"`
	Reason    *string     `json:"reason"`
	Size      *int64      `json:"size"`
	Type      *string     `json:"type"`
	HoursLeft *float64    `json:"hours_left"`
	LinkPath  *string     `json:"link_path"`
}

// knownFiles are the rows of files, by [media.ID], at a time.
type knownFiles struct {
	rows map[string]media.File
	now  time.Time
}

// show is the n-th file of the message with the given id.
func (k knownFiles) show(corp, messageID string, n int, named message.File) fileJSON {
	row, ok := k.rows[media.ID(named.SDKFileID)]
	if !ok {
		return fileJSON{named, copyJSON{State: stateUnknown}}
	}
	j := copyJSON{State: row.State, Reason: output.TextOrNull(row.Reason)}
	if row.State == media.Waiting {
		j.HoursLeft = output.Hours(row.Deadline.Sub(k.now))
	}
	if s := row.Stored; s != nil {
		path := "/v1/corps/" + corp + "/messages/" + messageID + "/files/" + strconv.Itoa(n)
		j.Size, j.Type, j.LinkPath = &s.Size, output.TextOrNull(string(s.Type)), &path
	}
	return fileJSON{named, j}
}

// filesOf are the files of a message; ok is false for one that is too long.
func filesOf(raw []byte) (files []message.File, ok bool) {
	if len(raw) > filesRead {
		return nil, false
	}
	return message.Files(raw), true
}

// filesIn are the ids of the files that a message is shown with.
func filesIn(raw []byte) []string {
	files, _ := filesOf(raw)
	if len(files) > filesMost {
		return nil
	}
	ids := make([]string, len(files))
	for i, f := range files {
		ids[i] = media.ID(f.SDKFileID)
	}
	return ids
}

// lookUp reads what is known of the files.
func (h *Handlers) lookUp(ctx context.Context, corp string, ids []string) (knownFiles, error) {
	k := knownFiles{now: h.Now()}
	if len(ids) == 0 {
		return k, nil
	}
	var err error
	k.rows, err = h.Files.Files(ctx, corp, ids)
	return k, err
}

// lookUpList is lookUp for those messages of a list that are wanted and that
// the caller may see. Of very many files it looks up the first, and covered
// says for how many messages that is enough, at least one.
func (h *Handlers) lookUpList(ctx context.Context, c *session.Call, list []archive.Message, wanted func(archive.Message) bool) (k knownFiles, covered int, err error) {
	var ids []string
	for _, m := range list {
		// Of what is too long for the table a list shows no files.
		if m.Overflow == nil && wanted(m) {
			named := filesIn(m.Raw)
			if covered > 0 && len(ids)+len(named) > filesAtOnce {
				break
			}
			if len(named) > 0 {
				if f, _ := message.Parse(m.Raw); c.Caller.Sees(f) {
					ids = append(ids, named...)
				}
			}
		}
		covered++
	}
	k, err = h.lookUp(ctx, c.CorpID, ids)
	return k, covered, err
}

type linkedFileJSON struct {
	URL         string      `json:"url"`
	ExpiresAt   string      `json:"expires_at"`
	ContentType string      `json:"content_type"`
	FileName    string      `json:"file_name"`
	Size        int64       `json:"size"`
	MD5         string      `json:"md5"`
	State       media.State `json:"state"`
}

// GetFile links to a file of a message. The file is found by way of the
// message, which the caller may see, in the corp of his token: no link can be
// asked for by the name of a file.
func (h *Handlers) GetFile(ctx context.Context, c *session.Call) (output.Answer, error) {
	redirect := c.Only("redirect")
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	n, err := strconv.Atoi(c.PathValue("n"))
	if err != nil || n < 0 || strconv.Itoa(n) != c.PathValue("n") {
		return output.Answer{}, problem.New(problem.NotFound, nil)
	}
	m, _, raw, err := h.find(ctx, c)
	if err != nil {
		return output.Answer{}, err
	}
	files, ok := filesOf(raw)
	if !ok {
		return output.Answer{}, problem.New(problem.FileUnread, problem.Args{"size": strconv.Itoa(len(raw))})
	}
	if n >= len(files) {
		return output.Answer{}, problem.New(problem.NotFound, nil)
	}
	named := files[n]
	id := media.ID(named.SDKFileID)
	known, err := h.lookUp(ctx, c.CorpID, []string{id})
	if err != nil {
		return output.Answer{}, err
	}
	row, ok := known.rows[id]
	if !ok || row.Stored == nil {
		return output.Answer{}, notStored(row, m.Seq, known.now)
	}
	// The row has the name that another message gave the file first, perhaps in
	// a chat that the caller may not see.
	row.Name, row.Ext = named.Name, named.Ext
	link, err := h.Links.Link(ctx, row, linkLife)
	if err != nil {
		return output.Answer{}, err
	}
	if redirect {
		return output.Answer{Status: http.StatusFound, Header: http.Header{"Location": {link}}}, nil
	}
	j := linkedFileJSON{
		URL: link, ExpiresAt: output.Moment(known.now.Add(linkLife)), Size: row.Stored.Size, MD5: row.Stored.MD5, State: row.State,
	}
	if row.State == media.Waiting { // anew: what is linked is what differed
		j.State = media.Mismatch
	}
	if j.ContentType, j.FileName, err = servedAs(link); err != nil {
		return output.Answer{}, fmt.Errorf("link to file %s: %w", id, err)
	}
	return output.JSON(200, j)
}

// servedAs reads in a link under which type and name S3 will answer the file
// (GetObject, "Overriding response header values").
func servedAs(link string) (contentType, name string, err error) {
	u, err := url.Parse(link)
	if err != nil {
		return "", "", err
	}
	q := u.Query()
	_, params, err := mime.ParseMediaType(q.Get("response-content-disposition"))
	return q.Get("response-content-type"), params["filename"], err
}

// notStored says why there is no link to a file; the zero row is one that is
// not there.
func notStored(row media.File, seq uint64, now time.Time) error {
	switch row.State {
	case media.Waiting:
		left := strconv.FormatFloat(max(*output.Hours(row.Deadline.Sub(now)), 0), 'f', -1, 64)
		return problem.New(problem.FileWaiting, problem.Args{"hours": left})
	case media.Expired:
		return problem.New(problem.FileExpired, problem.Args{"reason": row.Reason})
	case media.Failed:
		return problem.New(problem.FileFailed, problem.Args{"reason": row.Reason, "seq": output.Decimal(seq)})
	}
	return problem.New(problem.FileUnknown, problem.Args{"seq": output.Decimal(seq)})
}

// waitingFiles are those that wait, the most urgent first; not whole if there
// are more than listedMost.
func (h *Handlers) waitingFiles(ctx context.Context, corp string) (files []media.File, whole bool, err error) {
	// No file is put off for as long as WeCom keeps it, so these are all.
	due := h.Now().Add(archive.Retention)
	var ids []string
	for lane := range media.Lanes {
		some, err := h.Files.DueFiles(ctx, corp, lane, due, listedMost+1)
		if err != nil {
			return nil, false, err
		}
		ids = append(ids, some...)
	}
	rows, err := h.Files.Files(ctx, corp, ids)
	if err != nil {
		return nil, false, err
	}
	for _, row := range rows {
		files = append(files, row)
	}
	slices.SortFunc(files, compareFiles)
	whole = len(files) <= listedMost
	return files[:min(len(files), listedMost)], whole, nil
}

// problemFiles are those that have a problem, the latest deadline first; not
// whole if there are more than listedMost.
func (h *Handlers) problemFiles(ctx context.Context, corp string) (files []media.File, whole bool, err error) {
	files, err = h.Files.FileProblems(ctx, corp, listedMost+1)
	return files[:min(len(files), listedMost)], len(files) <= listedMost, err
}

// compareFiles sorts the earliest deadline first.
func compareFiles(x, y media.File) int {
	return cmp.Or(x.Deadline.Compare(y.Deadline), cmp.Compare(x.ID, y.ID))
}

// filePlace is a place in a list of files.
type filePlace struct {
	Milli int64  `json:"t"`
	ID    string `json:"f"`
}

type listedFileJSON struct {
	MessageID *string     `json:"message_id"`
	MsgID     string      `json:"msgid"`
	Seq       string      `json:"seq"`
	Time      string      `json:"time"`
	Kind      string      `json:"kind"`
	Size      int64       `json:"size"`
	State     media.State `json:"state"`
	Reason    *string     `json:"reason"`
	Tries     int         `json:"tries"`
	Deadline  string      `json:"deadline"`
	HoursLeft *float64    `json:"hours_left"`
}

// ListFiles lists files that are not, or not well, stored. What a chat calls
// them is not for everybody who may ask.
func (h *Handlers) ListFiles(ctx context.Context, c *session.Call) (output.Answer, error) {
	state := fileState(&c.Input)
	var at filePlace
	continued := c.Page(&at)
	limit := c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	compare, list := compareFiles, h.waitingFiles
	if state != media.Waiting {
		compare, list = func(x, y media.File) int { return compareFiles(y, x) }, h.problemFiles
	}
	files, whole, err := list(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	after := media.File{ID: at.ID, Deadline: time.UnixMilli(at.Milli)}
	files = slices.DeleteFunc(files, func(f media.File) bool {
		// A row is right before the list is.
		return f.State != state || continued && compare(f, after) <= 0
	})
	out := struct {
		Files []listedFileJSON `json:"files"`
		Whole bool             `json:"whole"`
		Next  *string          `json:"next"`
	}{Files: []listedFileJSON{}, Whole: whole}
	for i, f := range files {
		if i == limit {
			last := files[i-1]
			if out.Next, err = c.SealPage(filePlace{Milli: last.Deadline.UnixMilli(), ID: last.ID}); err != nil {
				return output.Answer{}, err
			}
			break
		}
		j, err := showListed(f, h.Now())
		if err != nil {
			return output.Answer{}, err
		}
		out.Files = append(out.Files, j)
	}
	return output.JSON(200, out)
}

// fileState is the state that a list of files is asked for.
func fileState(in *input.Input) media.State {
	states := []media.State{media.Waiting, media.Failed, media.Mismatch, media.Expired}
	state := media.State(in.Query.Get("state"))
	switch {
	case slices.Contains(states, state):
	case in.Query.Has("state"):
		var values []string
		for _, s := range states {
			values = append(values, string(s))
		}
		in.Reject("state", problem.OneOf, problem.RemedyOneOf, problem.Args{"values": strings.Join(values, ", ")})
	default:
		in.Reject("state", problem.Required, problem.RemedyRequired, nil)
	}
	return state
}

func showListed(f media.File, now time.Time) (listedFileJSON, error) {
	j := listedFileJSON{
		MsgID: f.From.MsgID, Seq: output.Decimal(f.From.Seq), Time: output.Moment(f.From.Time), Kind: f.Kind, Size: f.Size,
		State: f.State, Reason: output.TextOrNull(f.Reason), Tries: f.Tries, Deadline: output.Moment(f.Deadline),
	}
	if f.State == media.Waiting {
		j.HoursLeft = output.Hours(f.Deadline.Sub(now))
	}
	if f.From.Conversation == "" { // too long to be kept
		return j, nil
	}
	id, err := messageID(archive.Message{Corp: f.Corp, Conversation: f.From.Conversation, Time: f.From.Time, MsgID: f.From.MsgID, Seq: f.From.Seq})
	j.MessageID = &id
	return j, err
}
