package proof

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/replay"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

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

func (h *Handlers) ListLedger(ctx context.Context, c *session.Call) (output.Answer, error) {
	q := archive.RowQuery{Descending: c.Descending(), Limit: c.Limit()}
	if c.Query.Has("from") {
		q.From, _ = c.QuerySeq("from")
	} else if q.Descending {
		head, err := h.Ledger.Head(ctx, c.CorpID)
		if err != nil {
			return output.Answer{}, err
		}
		q.From = head.Last
	}
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	limit := q.Limit
	q.Limit++ // one more tells whether there are more
	rows, err := h.Ledger.Rows(ctx, c.CorpID, q)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Rows []rowJSON `json:"rows"`
		Next *string   `json:"next"`
	}{Rows: []rowJSON{}}
	if len(rows) > limit {
		next := output.Decimal(rows[limit].After)
		rows, out.Next = rows[:limit], &next
	}
	for _, r := range rows {
		out.Rows = append(out.Rows, showRow(r))
	}
	return output.JSON(200, out)
}

func showRow(r archive.Row) rowJSON {
	j := rowJSON{
		Kind: r.Kind, After: output.Decimal(r.After), First: output.Decimal(r.First), Last: output.Decimal(r.Last), Count: r.Count,
		Sum: r.Sum, Size: r.Size, At: output.Moment(r.At), Reason: r.Reason, Evidence: r.Evidence, Prev: r.Prev, Hash: r.Hash,
		State: r.State, Tries: r.Tries,
	}
	if res := r.Result; res != nil {
		j.Result = &resultJSON{
			At: output.Moment(res.At), Stored: res.Stored, Unreadable: res.Unreadable,
			SetAside: output.Counts(res.SetAside), Types: output.Counts(res.Types), Files: res.Files,
		}
	}
	return j
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

func (h *Handlers) ListSetAside(ctx context.Context, c *session.Call) (output.Answer, error) {
	var after uint64
	c.Page(&after)
	limit := c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	list, more, err := h.Messages.ListSetAside(ctx, c.CorpID, after, limit)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		List []setAsideJSON `json:"set_aside"`
		Next *string        `json:"next"`
	}{List: []setAsideJSON{}}
	for _, u := range list {
		out.List = append(out.List, setAsideJSON{
			Seq: output.Decimal(u.Seq), After: output.Decimal(u.After), MsgID: u.MsgID, Version: u.KeyVersion, Reason: u.Reason, Detail: u.Detail, At: output.Moment(u.At),
		})
		after = u.Seq
	}
	if more {
		if out.Next, err = c.SealPage(after); err != nil {
			return output.Answer{}, err
		}
	}
	return output.JSON(200, out)
}

// maxReplays is how many jobs the list shows.
const maxReplays = 100

func (h *Handlers) CreateReplay(ctx context.Context, c *session.Call) (output.Answer, error) {
	job := replay.New(c.CorpID, h.NewID(), c.Caller.Subject, h.Now())
	var toGiven bool
	job.From, _ = c.Seq("from_seq")
	job.To, toGiven = c.Seq("to_seq")
	job.OnlySetAside, job.Version, job.Verify = c.Flag("set_aside_only"), c.Version("publickey_ver"), c.Flag("verify")
	if job.Verify && (job.OnlySetAside || job.Version != 0) {
		// A chain is followed row by row.
		c.Reject("verify", problem.Exclusive, problem.RemedyVerify, nil)
	}
	if toGiven && job.To <= job.From {
		c.Reject("to_seq", problem.Range, problem.RemedySeqOrder, nil)
	}
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	if !job.Verify && !c.Caller.Role.MayRebuild() {
		return output.Answer{}, problem.New(problem.Forbidden, nil)
	}
	if err := h.Replays.StartReplay(ctx, job); err != nil {
		return output.Answer{}, err
	}
	return output.JSON(202, replay.Show(job))
}

func (h *Handlers) ListReplays(ctx context.Context, c *session.Call) (output.Answer, error) {
	list, err := h.Ledger.Replays(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Replays []replay.Document `json:"replays"`
	}{Replays: []replay.Document{}}
	for _, r := range list[:min(len(list), maxReplays)] {
		out.Replays = append(out.Replays, replay.Show(r))
	}
	return output.JSON(200, out)
}

func (h *Handlers) GetReplay(ctx context.Context, c *session.Call) (output.Answer, error) {
	r, err := h.Ledger.Replay(ctx, c.CorpID, c.PathValue("id"))
	if err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, replay.Show(r))
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

func (h *Handlers) ListEvents(ctx context.Context, c *session.Call) (output.Answer, error) {
	var at eventAt
	more := c.Page(&at)
	day, limit := c.Day("day", archive.DayOf(h.Now())), c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	events, err := h.Events.Events(ctx, c.CorpID, day)
	if err != nil {
		return output.Answer{}, err
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
		if i == limit || i > 0 && size > output.PageBytes {
			if out.Next, err = c.SealPage(placeOf(events[i-1])); err != nil {
				return output.Answer{}, err
			}
			break
		}
		out.Events = append(out.Events, eventJSON{At: output.Moment(e.At), Type: e.Type, ChangeType: e.ChangeType, Body: e.Body})
	}
	return output.JSON(200, out)
}

type readingJSON struct {
	At           string  `json:"at"`
	By           string  `json:"by"`
	Role         string  `json:"role"`
	Conversation *string `json:"conversation"`
	Party        *string `json:"party"`
}

func (h *Handlers) ListReadings(ctx context.Context, c *session.Call) (output.Answer, error) {
	var cursor string
	c.Page(&cursor)
	day, limit := c.Day("day", archive.DayOf(h.Now())), c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	readings, next, err := h.Readings.Readings(ctx, c.CorpID, day, cursor, limit)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Readings []readingJSON `json:"readings"`
		Next     *string       `json:"next"`
	}{Readings: []readingJSON{}}
	for _, v := range readings {
		j := readingJSON{At: output.Moment(v.At), By: v.By, Role: v.Role}
		if v.Conversation == "" {
			j.Party = &v.Party
		} else if j.Conversation, err = sealConversation(c.CorpID, v.Conversation); err != nil {
			return output.Answer{}, err
		}
		out.Readings = append(out.Readings, j)
	}
	if next != "" {
		if out.Next, err = c.SealPage(next); err != nil {
			return output.Answer{}, err
		}
	}
	return output.JSON(200, out)
}

func sealConversation(corp string, conv archive.ConversationID) (*string, error) {
	id, err := opaque.Conversation(corp).Seal(conv)
	return &id, err
}
