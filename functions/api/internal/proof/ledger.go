// Package proof answers auditors: the chain of pages and gaps, daily statements,
// records set aside, replay jobs, callback events, readings, and the status.
package proof

import (
	"cmp"
	"context"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
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
	Day      archive.Day      `json:"day"`
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

// ListLedger lists the rows of the chain.
func (h *Handlers) ListLedger(ctx context.Context, c *session.Call) (output.Answer, error) {
	q := archive.RowQuery{Descending: c.Descending(), Limit: c.Limit()}
	day := c.Day("day", "")
	if c.Query.Has("from") {
		q.From, _ = c.QuerySeq("from")
	}
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	if !c.Query.Has("from") {
		var err error
		if q.From, err = h.ledgerStart(ctx, c.CorpID, day, q.Descending); err != nil {
			return output.Answer{}, err
		}
	}
	limit := q.Limit
	q.Limit++ // one row more shows whether the list goes on
	rows, err := h.Ledger.Rows(ctx, c.CorpID, q)
	if err == nil && len(rows) > 0 && c.Query.Has("from") && beside(rows[0], day, q.Descending) < 0 {
		rows, err = h.rowsOfDay(ctx, c.CorpID, day, q)
	}
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Rows []rowJSON `json:"rows"`
		Next *string   `json:"next"`
	}{Rows: []rowJSON{}}
	for i, r := range rows {
		side := beside(r, day, q.Descending)
		if side > 0 {
			break // no row of the day follows
		}
		if i == limit {
			next := output.Decimal(r.After)
			out.Next = &next
		} else if side == 0 { // a row whose clock was behind may be among those of the day
			out.Rows = append(out.Rows, showRow(r))
		}
	}
	return output.JSON(200, out)
}

// beside tells whether a list comes to the row before the rows of the day (-1),
// among them (0), or after them (1). Rows are in the order of their times, unless a
// clock was wrong.
func beside(r archive.Row, day archive.Day, descending bool) int {
	switch side := cmp.Compare(archive.DayOf(r.At), day); {
	case day == "":
		return 0
	case descending:
		return -side
	default:
		return side
	}
}

// rowsOfDay reads the rows of a query that begins before the rows of the day: it
// begins with those.
func (h *Handlers) rowsOfDay(ctx context.Context, corp string, day archive.Day, q archive.RowQuery) ([]archive.Row, error) {
	start, err := h.ledgerStart(ctx, corp, day, q.Descending)
	if err != nil {
		return nil, err
	}
	if q.Descending {
		q.From = min(q.From, start)
	} else {
		q.From = max(q.From, start)
	}
	return h.Ledger.Rows(ctx, corp, q)
}

// ledgerStart is the after from which a list of rows goes: the end of the chain
// or of the day from which it goes.
func (h *Handlers) ledgerStart(ctx context.Context, corp string, day archive.Day, descending bool) (uint64, error) {
	switch {
	case day != "" && descending:
		_, end, err := h.chainBefore(ctx, corp, input.DayEnd(day))
		return max(end.last, 1) - 1, err
	case day != "":
		from, _, err := h.chainBefore(ctx, corp, day.Start())
		return from, err
	case descending:
		head, err := h.Ledger.Head(ctx, corp)
		return head.Last, err
	}
	return 0, nil
}

func showRow(r archive.Row) rowJSON {
	j := rowJSON{
		Kind: r.Kind, After: output.Decimal(r.After), First: output.Decimal(r.First), Last: output.Decimal(r.Last), Count: r.Count,
		Sum: r.Sum, Size: r.Size, At: output.Moment(r.At), Day: archive.DayOf(r.At), Reason: r.Reason, Evidence: r.Evidence, Prev: r.Prev, Hash: r.Hash,
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
