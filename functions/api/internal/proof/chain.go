package proof

import (
	"context"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// chainEnd is the end of the chain after some of its rows.
type chainEnd struct {
	last uint64
	hash string
}

func (e chainEnd) show() linkJSON { return linkJSON{Seq: output.Decimal(e.last), Hash: e.hash} }

// follows reports whether the row matches its hash and continues the chain at e.
func (e chainEnd) follows(r archive.Row) bool {
	return r.After == e.last && r.Prev == e.hash && archive.ChainHash(r) == r.Hash
}

// chainBefore finds the first row that was pulled at a time or later. from lies
// between the After of the row before it (exclusive) and its own After
// (inclusive); end is the end of the chain after the row before it.
func (h *Handlers) chainBefore(ctx context.Context, corp string, at time.Time) (from uint64, end chainEnd, err error) {
	fail := func(err error) (uint64, chainEnd, error) { return 0, chainEnd{}, err }
	head, err := h.Ledger.Head(ctx, corp)
	if err != nil {
		return fail(err)
	}
	// The rows are in the order of their times, so a binary search over the seqs
	// finds the row.
	lo, hi := uint64(0), head.Last
	for lo < hi {
		middle := lo + (hi-lo)/2
		rows, err := h.Ledger.Rows(ctx, corp, archive.RowQuery{From: middle, Limit: 1})
		if err != nil {
			return fail(err)
		}
		if len(rows) == 1 && rows[0].At.Before(at) {
			lo = rows[0].After + 1
		} else {
			hi = middle
		}
	}
	end = chainEnd{0, archive.GenesisHash(corp)}
	if lo == 0 {
		return lo, end, nil
	}
	before, err := h.Ledger.Rows(ctx, corp, archive.RowQuery{From: lo - 1, Descending: true, Limit: 1})
	if err != nil {
		return fail(err)
	}
	if len(before) == 1 {
		end = chainEnd{before[0].Last, before[0].Hash}
	}
	return lo, end, nil
}

// filesTime is the time that is left for the files of statements when their rows
// are read.
const filesTime = 5 * time.Second

// eachRow calls f for each row whose After is at or above at, up to the end of a
// day. It stops after rowsMost rows, or when the time for rows is over; then whole
// is false.
func (h *Handlers) eachRow(ctx context.Context, corp string, at uint64, last archive.Day, f func(archive.Row)) (whole bool, err error) {
	end := input.DayEnd(last)
	for n := 0; n < rowsMost && (n == 0 || !archive.NearlyOver(ctx, time.Now(), filesTime)); {
		rows, err := h.Ledger.Rows(ctx, corp, archive.RowQuery{From: at, Limit: rowsAtOnce})
		if err != nil {
			return false, err
		}
		for _, r := range rows {
			if !r.At.Before(end) {
				return true, nil
			}
			f(r)
			at = r.After + 1
		}
		if n += len(rows); len(rows) < rowsAtOnce {
			return true, nil
		}
	}
	return false, nil
}

// continued is the day with which the next answer begins if this one stopped
// within the day reached, which may have more rows. whole is false if the first
// day is too long for an answer.
func continued(first, reached, last archive.Day) (next *archive.Day, whole bool) {
	if reached > first {
		return &reached, true
	}
	if first < last {
		day := input.DaysAfter(first, 1)
		next = &day
	}
	return next, false
}
