// Package proof answers auditors: the chain of pages and gaps, daily statements,
// records set aside, replay jobs, callback events, readings, and the status.
package proof

import (
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
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Rows []rowJSON `json:"rows"`
		Next *string   `json:"next"`
	}{Rows: []rowJSON{}}
	var last archive.Row // the first one of the next page
	if len(rows) > limit {
		last = rows[limit]
		next := output.Decimal(last.After)
		rows, out.Next = rows[:limit], &next
	}
	for _, r := range rows {
		if day != "" && archive.DayOf(r.At) != day { // rows are in the order of their times
			out.Next = nil
			if !q.Descending && archive.DayOf(r.At) < day || q.Descending && archive.DayOf(r.At) > day {
				continue
			}
			break
		}
		out.Rows = append(out.Rows, showRow(r))
	}
	if day != "" && out.Next != nil && len(rows) == limit && archive.DayOf(last.At) != day {
		out.Next = nil
	}
	return output.JSON(200, out)
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
