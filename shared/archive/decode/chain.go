package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

const (
	// headDue is how long after its beginning a day must have a head. Dispatch
	// writes heads once an hour.
	headDue = 2 * time.Hour
	// headSkew is how much later than the time on its row a page may move the
	// head. A head of the first minutes of a day may be older than a row of the
	// day before.
	headSkew = 15 * time.Minute
)

// chainCheck verifies that rows form a chain, and that the daily heads lie on it.
// It is given the rows of a job in their order.
//
// A principal that can write to the ledger chooses the times of its rows. So the
// bucket says from which day on there are heads, and when each head was written.
type chainCheck struct {
	journal archive.Journal
	corp    string
	now     time.Time
	from    uint64                    // the job's Next when this run began: After of the first row, if no row is missing
	to      uint64                    // seq at which the job's range ends
	prev    *archive.Row              // the row before; nil until the chain has one
	first   archive.Day               // of the first head in the bucket; empty if there is none
	written map[archive.Day]time.Time // when each head was written
	day     archive.Day               // the last day whose head is read; empty before the first row
	heads   []dailyHead               // heads that were read and whose place on the chain is still to come
}

// dailyHead is the head of a day. No row up to it may be later than written; zero
// if that is unknown.
type dailyHead struct {
	archive.Head
	written time.Time
}

// chainAt prepares to follow the chain from the job's place. If a row comes
// before that place, the chain continues from it.
func (r *Replayer) chainAt(ctx context.Context, job Replay) (*chainCheck, error) {
	c := &chainCheck{journal: r.cfg.Journal, corp: job.Corp, now: r.cfg.Now(), from: job.Next, to: job.To, written: make(map[archive.Day]time.Time)}
	for h, err := range c.journal.Heads(ctx, c.corp) {
		if err != nil {
			return nil, fmt.Errorf("list daily heads: %w", err)
		}
		if c.first == "" {
			c.first = h.Day
		}
		c.written[h.Day] = h.At
	}
	if job.Next == 0 {
		return c, nil
	}
	before, err := r.cfg.Jobs.Rows(ctx, job.Corp, archive.RowQuery{From: job.Next - 1, Descending: true, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("find the row before: %w", err)
	}
	if len(before) == 0 {
		return c, nil
	}
	c.prev, c.day = &before[0], min(dayAfter(before[0]), archive.DayOf(c.now))
	if _, err := c.readHead(ctx, &findings{}); err != nil {
		return nil, err
	}
	// A head at or before the row's beginning has had its place.
	c.heads = slices.DeleteFunc(c.heads, func(h dailyHead) bool { return h.Last <= c.prev.After })
	return c, nil
}

// dayAfter is the latest day whose head may have been written before the row
// moved the head.
func dayAfter(r archive.Row) archive.Day { return archive.DayOf(r.At.Add(headSkew)) }

// next verifies the row by itself, that it follows the row before it, and that
// the daily heads up to it lie on the chain.
func (c *chainCheck) next(ctx context.Context, row archive.Row, found *findings) error {
	if !c.follows(row) {
		found.add(FaultChain, 0)
	}
	c.prev = &row
	if err := c.readHeads(ctx, dayAfter(row), found); err != nil {
		return err
	}
	if archive.ChainHash(row) != row.Hash || row.Kind != archive.PageRow && row.Kind != archive.GapRow || c.tooLate(row) {
		found.add(FaultRow, 0)
	}
	c.heads = slices.DeleteFunc(c.heads, func(h dailyHead) bool {
		if h.Last > row.After {
			return false
		}
		if h.Last < row.After || h.Hash != row.Prev {
			found.add(FaultHead, 0)
		}
		return true
	})
	return nil
}

// tooLate reports whether the row's time has not come, or is after the writing of a
// head that already has the row.
func (c *chainCheck) tooLate(row archive.Row) bool {
	return row.At.After(c.now.Add(headSkew)) || slices.ContainsFunc(c.heads, func(h dailyHead) bool {
		return h.Last >= row.Last && !h.written.IsZero() && row.At.After(h.written.Add(headSkew))
	})
}

// follows reports whether the row continues the chain, or begins it. A job that begins
// within the chain has a row before.
func (c *chainCheck) follows(row archive.Row) bool {
	if c.prev != nil {
		return row.After == c.prev.Last && row.Prev == c.prev.Hash
	}
	return row.After == c.from && row.Prev == archive.GenesisHash(c.corp)
}

// readHeads reads the heads of the days after c.day, up to a day. Every day after
// that of the first row, or after that of the first head in the bucket, must have a
// head. Of several days in a row without one, the first is the finding, so that a
// row with a wrong time costs one read.
func (c *chainCheck) readHeads(ctx context.Context, until archive.Day, found *findings) error {
	until = min(until, archive.DayOf(c.now))
	if c.day == "" {
		if c.day = until; c.first != "" {
			c.day = min(c.first, until)
		}
		if _, err := c.readHead(ctx, found); err != nil { // archiving may have begun on that day
			return err
		}
	}
	for c.day < until {
		c.day = c.day.Next()
		there, err := c.readHead(ctx, found)
		if err != nil {
			return err
		}
		if !there && c.now.Sub(c.day.Start()) > headDue {
			found.add(FaultHeadMissing, 0)
			c.day = until
		}
	}
	return nil
}

// readHead reads the head of c.day.
func (c *chainCheck) readHead(ctx context.Context, found *findings) (there bool, err error) {
	head, err := c.journal.Head(ctx, c.corp, c.day)
	switch {
	case errors.Is(err, archive.ErrNotFound):
		return false, nil
	case errors.Is(err, archive.ErrCorrupt):
		found.add(FaultHead, 0)
	case err != nil:
		return false, fmt.Errorf("read head of %s: %w", c.day, err)
	default:
		c.heads = append(c.heads, dailyHead{head, c.written[c.day]})
	}
	return true, nil
}

// end verifies the heads at the end of the chain: the ledger's own, and those
// of days after which no row came.
func (c *chainCheck) end(ctx context.Context, head archive.Head, found *findings) error {
	last := c.from
	if c.prev != nil {
		last = c.prev.Last
	}
	found.after = last
	if last < min(c.to, head.Last) {
		found.add(FaultRowsMissing, 0)
	}
	if c.prev == nil {
		return nil
	}
	found.after = c.prev.After
	ends := head.Last <= c.prev.Last // no row came after the job's range
	if ends {
		if err := c.readHeads(ctx, archive.DayOf(c.now), found); err != nil {
			return err
		}
	}
	for _, h := range append(slices.Clip(c.heads), dailyHead{Head: head}) {
		// The row before its last page had come when a head before it was written.
		if h.Last == c.prev.Last && h.Hash != c.prev.Hash || ends && h.Last != c.prev.Last {
			found.add(FaultHead, 0)
		}
	}
	return nil
}
