package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// pageBytes is the most that the entries of a page come to: the largest
// answer, less the names beside them and the rest of its JSON.
const pageBytes = gateway.MaxBody - namesBytes - 64<<10

// seal makes the token of a page.
func seal(u opaque.Use, at any) (*string, error) {
	s, err := u.Seal(at)
	return &s, err
}

type rowJSON struct {
	Kind     archive.RowKind  `json:"kind"`
	After    string           `json:"after"`
	First    string           `json:"first"`
	Last     string           `json:"last"`
	Count    int              `json:"count"`
	Sum      string           `json:"sha256"`
	Size     int              `json:"size"`
	At       string           `json:"at"`
	Reason   string           `json:"reason"`
	Evidence string           `json:"evidence"`
	Prev     string           `json:"prev"`
	Hash     string           `json:"hash"`
	State    archive.RowState `json:"state"`
	Tries    int              `json:"tries"`
	Result   *resultJSON      `json:"result"`
}

type resultJSON struct {
	At         string         `json:"at"`
	Stored     int            `json:"stored"`
	Unreadable int            `json:"unreadable"`
	SetAside   map[string]int `json:"set_aside"`
	Types      map[string]int `json:"types"`
	Files      int            `json:"files"`
}

func (a *api) listLedger(ctx context.Context, c *call) (answer, error) {
	q := archive.RowQuery{Descending: c.descending(), Limit: c.limit()}
	if c.query.Has("from") {
		q.From, _ = c.parseSeq("from", c.query.Get("from"))
	} else if q.Descending {
		head, err := a.ledger.Head(ctx, c.corpID)
		if err != nil {
			return answer{}, err
		}
		q.From = head.Last
	}
	if err := c.err(); err != nil {
		return answer{}, err
	}
	limit := q.Limit
	q.Limit++ // one more tells whether there are more
	rows, err := a.ledger.Rows(ctx, c.corpID, q)
	if err != nil {
		return answer{}, err
	}
	out := struct {
		Rows []rowJSON `json:"rows"`
		Next *string   `json:"next"`
	}{Rows: []rowJSON{}}
	if len(rows) > limit {
		next := decimal(rows[limit].After)
		rows, out.Next = rows[:limit], &next
	}
	for _, r := range rows {
		out.Rows = append(out.Rows, showRow(r))
	}
	return asJSON(200, out)
}

func showRow(r archive.Row) rowJSON {
	j := rowJSON{
		Kind: r.Kind, After: decimal(r.After), First: decimal(r.First), Last: decimal(r.Last), Count: r.Count,
		Sum: r.Sum, Size: r.Size, At: moment(r.At), Reason: r.Reason, Evidence: r.Evidence, Prev: r.Prev, Hash: r.Hash,
		State: r.State, Tries: r.Tries,
	}
	if res := r.Result; res != nil {
		j.Result = &resultJSON{
			At: moment(res.At), Stored: res.Stored, Unreadable: res.Unreadable,
			SetAside: counts(res.SetAside), Types: counts(res.Types), Files: res.Files,
		}
	}
	return j
}

// counts is an object in JSON, also where nothing was counted.
func counts(m map[string]int) map[string]int {
	if m == nil {
		return map[string]int{}
	}
	return m
}

type setAsideJSON struct {
	Seq     string         `json:"seq"`
	After   string         `json:"after"`
	MsgID   string         `json:"msgid"`
	Version uint32         `json:"publickey_ver"`
	Reason  archive.Reason `json:"reason"`
	Detail  string         `json:"detail"`
	At      string         `json:"at"`
}

func (a *api) listSetAside(ctx context.Context, c *call) (answer, error) {
	var after uint64
	c.page(&after)
	limit := c.limit()
	if err := c.err(); err != nil {
		return answer{}, err
	}
	list, more, err := a.messages.ListSetAside(ctx, c.corpID, after, limit)
	if err != nil {
		return answer{}, err
	}
	out := struct {
		List []setAsideJSON `json:"set_aside"`
		Next *string        `json:"next"`
	}{List: []setAsideJSON{}}
	for _, u := range list {
		out.List = append(out.List, setAsideJSON{
			Seq: decimal(u.Seq), After: decimal(u.After), MsgID: u.MsgID, Version: u.KeyVersion, Reason: u.Reason, Detail: u.Detail, At: moment(u.At),
		})
		after = u.Seq
	}
	if more {
		if out.Next, err = seal(c.use, after); err != nil {
			return answer{}, err
		}
	}
	return asJSON(200, out)
}

// maxReplays is how many jobs the list shows.
const maxReplays = 100

type replayJSON struct {
	ID        string  `json:"id"`
	CreatedAt string  `json:"created_at"`
	By        string  `json:"by"`
	From      string  `json:"from_seq"`
	To        *string `json:"to_seq"`
	Waiting   bool    `json:"waiting"`
	Version   *uint32 `json:"publickey_ver"`
	Next      string  `json:"next_seq"`
	Pages     int     `json:"pages"`
	UpdatedAt string  `json:"updated_at"`
	Done      bool    `json:"done"`

	Verify   bool          `json:"verify"`
	Faults   int           `json:"faults"`
	Findings []findingJSON `json:"findings"`
}

type findingJSON struct {
	After string       `json:"after"`
	Seq   *string      `json:"seq"`
	What  decode.Fault `json:"what"`
}

func showReplay(r decode.Replay) replayJSON {
	j := replayJSON{
		ID: r.ID, CreatedAt: moment(r.CreatedAt), By: r.By, From: decimal(r.From), Waiting: r.OnlySetAside, Version: versionOrNull(r.Version),
		Next: decimal(r.Next), Pages: r.Pages, UpdatedAt: moment(r.UpdatedAt), Done: r.Done,
		Verify: r.Verify, Faults: r.Faults, Findings: []findingJSON{},
	}
	for _, f := range r.Findings {
		shown := findingJSON{After: decimal(f.After), What: f.What}
		if f.Seq != 0 {
			seq := decimal(f.Seq)
			shown.Seq = &seq
		}
		j.Findings = append(j.Findings, shown)
	}
	if r.To != 0 {
		to := decimal(r.To)
		j.To = &to
	}
	return j
}

// newReplay is a job over the whole journal, with an id that sorts by time.
func (a *api) newReplay(corp, by string) decode.Replay {
	now := a.now()
	return decode.Replay{Corp: corp, ID: now.UTC().Format("20060102T150405.000Z") + "-" + a.newID(), CreatedAt: now, UpdatedAt: now, By: by}
}

func (a *api) createReplay(ctx context.Context, c *call) (answer, error) {
	job := a.newReplay(c.corpID, c.caller.subject)
	var toGiven bool
	job.From, _ = c.seq("from_seq")
	job.To, toGiven = c.seq("to_seq")
	job.OnlySetAside, job.Version, job.Verify = c.flag("waiting"), c.version("publickey_ver"), c.flag("verify")
	if job.Verify && (job.OnlySetAside || job.Version != 0) {
		// A chain is followed row by row.
		c.reject("verify", problem.Exclusive, problem.MendVerify, nil)
	}
	if toGiven && job.To <= job.From {
		c.reject("to_seq", problem.Range, problem.MendSeqOrder, nil)
	}
	if err := c.err(); err != nil {
		return answer{}, err
	}
	if c.caller.role == auditor && !job.Verify {
		return answer{}, problem.New(problem.Forbidden, nil)
	}
	if err := a.replays.StartReplay(ctx, job); err != nil {
		return answer{}, err
	}
	return asJSON(202, showReplay(job))
}

func (a *api) listReplays(ctx context.Context, c *call) (answer, error) {
	list, err := a.ledger.Replays(ctx, c.corpID)
	if err != nil {
		return answer{}, err
	}
	out := struct {
		Replays []replayJSON `json:"replays"`
	}{Replays: []replayJSON{}}
	for _, r := range list[:min(len(list), maxReplays)] {
		out.Replays = append(out.Replays, showReplay(r))
	}
	return asJSON(200, out)
}

func (a *api) getReplay(ctx context.Context, c *call) (answer, error) {
	r, err := a.ledger.Replay(ctx, c.corpID, c.PathValue("id"))
	if err != nil {
		return answer{}, err
	}
	return asJSON(200, showReplay(r))
}

type eventJSON struct {
	At         string `json:"at"`
	Type       string `json:"type"`
	ChangeType string `json:"change_type"`
	Body       []byte `json:"body"`
}

// eventAt is a place among the events of a day: a later arrival with an
// earlier time does not shift it.
type eventAt struct {
	Nano int64  `json:"t"`
	Sum  string `json:"s"`
}

func (e eventAt) compare(o eventAt) int {
	return cmp.Or(cmp.Compare(e.Nano, o.Nano), cmp.Compare(e.Sum, o.Sum))
}

func placeOf(e archive.Event) eventAt {
	sum := sha256.Sum256(append([]byte(e.Type+"\n"), e.Body...))
	return eventAt{Nano: e.At.UnixNano(), Sum: hex.EncodeToString(sum[:8])}
}

func (a *api) listEvents(ctx context.Context, c *call) (answer, error) {
	var at eventAt
	more := c.page(&at)
	day, limit := c.day("day", archive.DayOf(a.now())), c.limit()
	if err := c.err(); err != nil {
		return answer{}, err
	}
	events, err := a.corps.Events(ctx, c.corpID, day)
	if err != nil {
		return answer{}, err
	}
	slices.SortFunc(events, func(x, y archive.Event) int { return placeOf(x).compare(placeOf(y)) })
	if more {
		events = slices.DeleteFunc(events, func(e archive.Event) bool { return placeOf(e).compare(at) <= 0 })
	}
	out := struct {
		Events []eventJSON `json:"events"`
		Next   *string     `json:"next"`
	}{Events: []eventJSON{}}
	size := 0
	for i, e := range events {
		// As base64, and escaped, with the names.
		size += 2*len(e.Body) + 512
		if i == limit || i > 0 && size > pageBytes {
			if out.Next, err = seal(c.use, placeOf(events[i-1])); err != nil {
				return answer{}, err
			}
			break
		}
		out.Events = append(out.Events, eventJSON{At: moment(e.At), Type: e.Type, ChangeType: e.ChangeType, Body: e.Body})
	}
	return asJSON(200, out)
}

type readingJSON struct {
	At           string  `json:"at"`
	By           string  `json:"by"`
	Role         string  `json:"role"`
	Conversation *string `json:"conversation"`
	Party        *string `json:"party"`
}

func (a *api) listReadings(ctx context.Context, c *call) (answer, error) {
	var cursor string
	c.page(&cursor)
	day, limit := c.day("day", archive.DayOf(a.now())), c.limit()
	if err := c.err(); err != nil {
		return answer{}, err
	}
	readings, next, err := a.readings.Readings(ctx, c.corpID, day, cursor, limit)
	if err != nil {
		return answer{}, err
	}
	out := struct {
		Readings []readingJSON `json:"readings"`
		Next     *string       `json:"next"`
	}{Readings: []readingJSON{}}
	for _, v := range readings {
		j := readingJSON{At: moment(v.At), By: v.By, Role: v.Role}
		if v.Conversation == "" {
			j.Party = &v.Party
		} else if j.Conversation, err = seal(conversationUse(c.corpID), v.Conversation); err != nil {
			return answer{}, err
		}
		out.Readings = append(out.Readings, j)
	}
	if next != "" {
		if out.Next, err = seal(c.use, next); err != nil {
			return answer{}, err
		}
	}
	return asJSON(200, out)
}

// record notes that the caller is about to see a conversation or, if conv is
// empty, a party's list. Whoever shows chats calls it before they are
// answered, and does not answer them if it fails.
func (a *api) record(ctx context.Context, c *call, conv archive.ConversationID, party string) error {
	return a.readings.RecordReading(ctx, archive.Reading{
		Corp: c.corpID, By: c.caller.subject, Role: string(c.caller.role), Conversation: conv, Party: party,
		At: a.now().UTC().Truncate(archive.ReadingSlot),
	})
}
