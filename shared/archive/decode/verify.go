package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// A verifier proves that ledger, journal and view agree on a page, or says
// where they differ, down to the message. It reads and decrypts. It writes
// nothing.
type verifier struct{ decoder *Decoder }

// page verifies one page by itself: the row's hash, the digest of the journal's
// object, every message, every record set aside, and the counts on the row.
// [chainCheck] verifies the row's place in the chain.
func (v verifier) page(ctx context.Context, row archive.Row) ([]Finding, error) {
	found := findings{after: row.After}
	if archive.ChainHash(row) != row.Hash {
		found.add(FaultRow, 0)
	}
	if row.Kind != archive.PageRow {
		return found.list, nil
	}
	raw, err := v.decoder.cfg.Journal.Page(ctx, row)
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
	p := v.decoder.page(row)
	p.verifying = true
	if err := p.decode(ctx, raw, CarryOn); err != nil {
		return nil, fmt.Errorf("decode page after %d: %w", row.After, err)
	}
	checked, err := v.compare(ctx, p)
	if err != nil {
		return nil, err
	}
	found.addChecked(checked)
	if row.Result.Stored != p.result.Stored || row.Result.CountSetAside() != p.result.CountSetAside() {
		found.add(FaultCount, 0)
	}
	return found.list, nil
}

// compare compares the decoded page with the view, and its large messages with
// the journal's bucket.
func (v verifier) compare(ctx context.Context, p *pageDecode) (Checked, error) {
	checked, err := v.decoder.cfg.View.Check(ctx, p.decoded)
	if err != nil {
		return Checked{}, fmt.Errorf("compare page after %d: %w", p.row.After, err)
	}
	for _, m := range p.decoded.Messages {
		if m.Overflow == nil || slices.Contains(checked.Missing, m.Seq) {
			continue
		}
		_, err := v.decoder.cfg.Journal.Message(ctx, m.Corp, *m.Overflow)
		if errors.Is(err, archive.ErrNotFound) || errors.Is(err, archive.ErrCorrupt) {
			checked.Differing = append(checked.Differing, m.Seq)
		} else if err != nil {
			return Checked{}, fmt.Errorf("read large message %d: %w", m.Seq, err)
		}
	}
	return checked, nil
}

// findings collects the findings about one row.
type findings struct {
	after uint64
	list  []Finding
}

// add adds a finding for each seq. Seq 0 stands for the row as a whole.
func (f *findings) add(what Fault, seqs ...uint64) {
	for _, seq := range seqs {
		f.list = append(f.list, Finding{After: f.after, Seq: seq, What: what})
	}
}

func (f *findings) addChecked(c Checked) {
	f.add(FaultMissing, c.Missing...)
	f.add(FaultDiffers, c.Differing...)
	f.add(FaultExtra, c.Extra...)
	f.add(FaultSetAsideMissing, c.SetAsideMissing...)
	f.add(FaultSetAsideStale, c.SetAsideStale...)
	f.add(FaultRevocation, c.NotRevoked...)
	f.add(FaultRevocationExtra, c.ExtraRevoked...)
	if c.NotInLists > 0 {
		f.add(FaultLists, 0)
	}
}
