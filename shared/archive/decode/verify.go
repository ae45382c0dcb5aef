package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// A ViewChecker compares pages with what is stored. Safe for concurrent use.
type ViewChecker interface {
	// Check looks for everything that storing p would store, and for what is
	// stored of it besides, in the conversations that p has messages in and in
	// the time of its messages. What somebody put elsewhere it does not see.
	Check(ctx context.Context, p Decoded) (Checked, error)
}

// Checked is what does not agree with a page, by seq.
type Checked struct {
	Missing         []uint64 // messages that are not stored
	Differing       []uint64 // messages that are, with other content
	Extra           []uint64 // messages that say they are of the page, and are not
	SetAsideMissing []uint64 // rows set aside that are not stored
	SetAsideStale   []uint64 // rows set aside of the page's seqs that should not be
	NotRevoked      []uint64 // revocations that are not stored, or not so, by the revoking message
	ExtraRevoked    []uint64 // revocations that no message makes, by the seq that they name
	NotInLists      int      // entries of lists that are not stored
}

// A Verifier proves that ledger, journal and view agree, or names what does
// not, down to the message. It reads and decrypts; it writes nothing. Its
// fields never change.
type Verifier struct {
	Decoder *Decoder // of which only what reads is used
	View    ViewChecker
}

// Page verifies one page by itself: the row's hash, the journal object's
// digest, every message and every row set aside, and the counts on the row.
// Its place in the chain is for the caller to check.
func (v *Verifier) Page(ctx context.Context, row archive.Row) ([]Finding, error) {
	found := findings{after: row.After}
	if archive.ChainHash(row) != row.Hash {
		found.add(FaultRow, 0)
	}
	if row.Kind != archive.PageRow {
		return found.list, nil
	}
	raw, err := v.Decoder.Journal.Page(ctx, row)
	switch {
	case errors.Is(err, archive.ErrNotFound):
		found.add(FaultJournalMissing, 0)
		return found.list, nil
	case errors.Is(err, archive.ErrCorrupt):
		found.add(FaultJournalChanged, 0)
		return found.list, nil
	case err != nil:
		return nil, fmt.Errorf("read journal: %w", err)
	}
	if row.State != archive.RowDecoded || row.Result == nil {
		found.add(FaultNotDecoded, 0)
		return found.list, nil
	}
	p := v.Decoder.page(row)
	p.verifying = true
	if err := p.decode(ctx, raw, CarryOn); err != nil {
		return nil, fmt.Errorf("decode page after %d: %w", row.After, err)
	}
	checked, err := v.View.Check(ctx, p.decoded)
	if err != nil {
		return nil, fmt.Errorf("compare page after %d: %w", row.After, err)
	}
	for _, m := range p.decoded.Messages {
		if m.Overflow == nil || slices.Contains(checked.Missing, m.Seq) {
			continue
		}
		_, err := v.Decoder.Journal.Message(ctx, m.Corp, *m.Overflow)
		if errors.Is(err, archive.ErrNotFound) || errors.Is(err, archive.ErrCorrupt) {
			checked.Differing = append(checked.Differing, m.Seq)
		} else if err != nil {
			return nil, fmt.Errorf("read large message %d: %w", m.Seq, err)
		}
	}
	found.add(FaultMissing, checked.Missing...)
	found.add(FaultDiffers, checked.Differing...)
	found.add(FaultExtra, checked.Extra...)
	found.add(FaultSetAsideMissing, checked.SetAsideMissing...)
	found.add(FaultSetAsideStale, checked.SetAsideStale...)
	found.add(FaultRevocation, checked.NotRevoked...)
	found.add(FaultRevocationExtra, checked.ExtraRevoked...)
	if checked.NotInLists > 0 {
		found.add(FaultLists, 0)
	}
	if row.Result.Stored != p.result.Stored || row.Result.CountSetAside() != p.result.CountSetAside() {
		found.add(FaultCount, 0)
	}
	return found.list, nil
}

// findings are those of one row.
type findings struct {
	after uint64
	list  []Finding
}

func (f *findings) add(what Fault, seqs ...uint64) {
	for _, seq := range seqs {
		f.list = append(f.list, Finding{After: f.after, Seq: seq, What: what})
	}
}

// chainCheck follows rows in their order.
type chainCheck struct {
	journal archive.Journal
	corp    string
	first   uint64 // After of the row that the job begins with
	to      uint64 // seq up to which the job reads
	began   uint64 // After of the first row
	prev    *archive.Row
	heads   []archive.Head // of days, whose place in the chain is still to come
	day     archive.Day
}

// next checks the row's place behind the one before, and the heads that days
// began with.
func (c *chainCheck) next(ctx context.Context, row archive.Row) ([]Finding, error) {
	found := findings{after: row.After}
	switch {
	case c.prev != nil:
		if row.After != c.prev.Last || row.Prev != c.prev.Hash {
			found.add(FaultChain, 0)
		}
	case row.After != c.first || row.After == 0 && row.Prev != archive.GenesisHash(c.corp):
		found.add(FaultChain, 0)
	}
	if c.prev == nil {
		c.began = row.After
	}
	c.prev = &row
	if day := archive.DayOf(row.At); day != c.day {
		c.day = day
		head, err := c.journal.Head(ctx, c.corp, day)
		switch {
		case errors.Is(err, archive.ErrNotFound): // no pull began on that day before the row
		case errors.Is(err, archive.ErrCorrupt):
			found.add(FaultHead, 0)
		case err != nil:
			return nil, fmt.Errorf("read head of %s: %w", day, err)
		case head.Last >= c.began: // an earlier one is of a row that the job does not read
			c.heads = append(c.heads, head)
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

// end checks the heads that are the chain's end: the ledger's own, and a
// day's on which nothing was said any more.
func (c *chainCheck) end(head archive.Head) []Finding {
	last := c.first
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
	if head.Last == c.prev.Last && head.Hash != c.prev.Hash {
		found.add(FaultHead, 0)
	}
	for _, h := range c.heads {
		if h.Last == c.prev.Last && h.Hash != c.prev.Hash {
			found.add(FaultHead, 0)
		}
	}
	return found.list
}
