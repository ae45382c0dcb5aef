// Package proof answers auditors: the chain of pages and gaps, daily statements,
// records set aside, replay jobs, callback events, readings, and the status.
package proof

import (
	"context"

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
	q.Limit++ // one row more shows whether the list goes on
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
