package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// chainCheck verifies that rows form a chain. It is given the rows of a job in
// their order. It also verifies that the heads which were written at the start
// of each day lie on the chain.
type chainCheck struct {
	journal archive.Journal
	corp    string
	from    uint64         // the job's Next when this run began: After of the first row, if no row is missing
	to      uint64         // seq at which the job's range ends
	first   uint64         // After of the first row seen
	prev    *archive.Row   // the row before; nil until the chain has one
	heads   []archive.Head // day heads whose row is still to come
	day     archive.Day    // the day of prev
}

// chainAt prepares to follow the chain from the job's place. If an earlier run
// has verified rows, the chain continues from the last of them.
func (r *Replayer) chainAt(ctx context.Context, job Replay) (*chainCheck, error) {
	c := &chainCheck{journal: r.cfg.Journal, corp: job.Corp, from: job.Next, to: job.To, first: job.Next}
	if !job.Verify || job.Next == 0 {
		return c, nil
	}
	before, err := r.cfg.Jobs.Rows(ctx, job.Corp, archive.RowQuery{From: job.Next - 1, Descending: true, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("find the row before: %w", err)
	}
	if len(before) == 1 {
		c.prev = &before[0]
		c.day = archive.DayOf(before[0].At)
	}
	return c, nil
}

// next verifies that the row follows the row before it, and that the day heads
// up to it lie on the chain.
func (c *chainCheck) next(ctx context.Context, row archive.Row) ([]Finding, error) {
	found := findings{after: row.After}
	if !c.follows(row) {
		found.add(FaultChain, 0)
	}
	if c.prev == nil {
		c.first = row.After
	}
	c.prev = &row
	if day := archive.DayOf(row.At); day != c.day {
		c.day = day
		if err := c.readDayHead(ctx, &found); err != nil {
			return nil, err
		}
	}
	c.heads = slices.DeleteFunc(c.heads, func(h archive.Head) bool {
		if h.Last > row.After {
			return false
		}
		if h.Last < row.After || h.Hash != row.Prev {
			found.add(FaultHead, 0)
		}
		return true
	})
	return found.list, nil
}

// follows reports whether the row continues the chain, or begins it.
func (c *chainCheck) follows(row archive.Row) bool {
	if c.prev != nil {
		return row.After == c.prev.Last && row.Prev == c.prev.Hash
	}
	return row.After == c.from && (row.After > 0 || row.Prev == archive.GenesisHash(c.corp))
}

// readDayHead reads the head that was written when c.day began.
func (c *chainCheck) readDayHead(ctx context.Context, found *findings) error {
	head, err := c.journal.Head(ctx, c.corp, c.day)
	switch {
	case errors.Is(err, archive.ErrNotFound):
		// The pull that stored this row began on an earlier day, and no pull had
		// begun on the new day yet.
	case errors.Is(err, archive.ErrCorrupt):
		found.add(FaultHead, 0)
	case err != nil:
		return fmt.Errorf("read head of %s: %w", c.day, err)
	case head.Last >= c.first: // a lower head is of a row that the job does not read
		c.heads = append(c.heads, head)
	}
	return nil
}

// end verifies the heads at the end of the chain: the ledger's own, and those
// of days after which no row came.
func (c *chainCheck) end(head archive.Head) []Finding {
	last := c.from
	if c.prev != nil {
		last = c.prev.Last
	}
	found := findings{after: last}
	if last < min(c.to, head.Last) {
		found.add(FaultRowsMissing, 0)
	}
	if c.prev == nil {
		return found.list
	}
	found.after = c.prev.After
	for _, h := range append(slices.Clip(c.heads), head) {
		if h.Last == c.prev.Last && h.Hash != c.prev.Hash {
			found.add(FaultHead, 0)
		}
	}
	return found.list
}
