package decode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// readsAtOnce is how many pages, and how many checksums of files, a verification
// reads at the same time.
const readsAtOnce = 16

// A verifier proves that ledger, journal, view and files agree on pages, or says
// where they differ, down to the message. It reads and decrypts. It writes
// nothing. [chainCheck] and [objectCheck] verify the place of a row.
type verifier struct{ decoder *Decoder }

// pageCheck is the verification of one page.
type pageCheck struct {
	row     archive.Row
	found   *findings
	raw     []byte
	records []archive.Record
	page    *pageDecode // nil if the page cannot be compared
}

// pages verifies the pages, which are in the order of the chain. done is how many
// of them it verified before the time was nearly over. With rowsOnly it compares
// them with their rows only, which needs neither a key nor the library. An
// [ErrRefused] comes after this comparison of all pages.
//
// Pages that follow one another are compared with the view together: most pages
// have few messages, and a request for each would cost more than what they hold.
func (v verifier) pages(ctx context.Context, checks []pageCheck, rowsOnly bool) (done int, err error) {
	if len(checks) == 0 {
		return 0, nil
	}
	if err := v.read(ctx, checks); err != nil {
		return 0, err
	}
	if rowsOnly {
		return len(checks), nil
	}
	if err := v.progress(ctx, checks); err != nil {
		return 0, err
	}
	decoder, err := v.prepared(ctx, checks)
	if err != nil {
		return 0, err
	}
	for done = range checks {
		if err = v.decode(ctx, decoder, &checks[done]); err != nil {
			break
		}
	}
	if err == nil {
		done = len(checks)
	} else if !errors.Is(err, ErrUnfinished) {
		return 0, err
	}
	for run := range runs(checks[:done]) {
		if err := v.compare(ctx, run); err != nil {
			return 0, err
		}
	}
	return done, v.files(ctx, checks[:done])
}

// read reads the pages from the journal, and compares each row with the records of
// its page.
func (v verifier) read(ctx context.Context, checks []pageCheck) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for i := range checks {
		group.Go(func() error { return v.readPage(groupCtx, &checks[i]) })
	}
	return group.Wait()
}

// progress reads from the ledger what became of the pages.
func (v verifier) progress(ctx context.Context, checks []pageCheck) error {
	progress := make(map[uint64]archive.Row, len(checks))
	q := archive.RowQuery{From: checks[0].row.After, Limit: len(checks)}
	for q.From <= checks[len(checks)-1].row.After {
		rows, err := v.decoder.cfg.Jobs.Rows(ctx, checks[0].row.Corp, q)
		if err != nil {
			return fmt.Errorf("read progress of pages: %w", err)
		}
		for _, r := range rows {
			progress[r.After], q.From = r, r.After+1
		}
		if len(rows) == 0 {
			break
		}
	}
	for i := range checks {
		r := progress[checks[i].row.After]
		checks[i].row.State, checks[i].row.Result = r.State, r.Result
	}
	return nil
}

func (v verifier) readPage(ctx context.Context, c *pageCheck) error {
	raw, err := v.decoder.cfg.Journal.Page(ctx, c.row)
	switch {
	case errors.Is(err, archive.ErrNotFound):
		c.found.add(FaultJournalMissing, 0)
		return nil
	case errors.Is(err, archive.ErrCorrupt):
		c.found.add(FaultJournalChanged, 0)
		return nil
	case err != nil:
		return fmt.Errorf("read page after %d: %w", c.row.After, err)
	}
	answer, err := archive.ParseAnswer(raw)
	if err != nil {
		return fmt.Errorf("parse page after %d: %w", c.row.After, err) // unexpected: the puller parsed the same bytes
	}
	c.raw, c.records = raw, answer.Records
	n := len(c.records)
	if n == 0 || n != c.row.Count || c.records[0].Seq != c.row.First || c.records[n-1].Seq != c.row.Last {
		c.found.add(FaultRecords, 0)
	}
	return nil
}

// prepared is a decoder that has read keys and records set aside for all of the
// pages.
func (v verifier) prepared(ctx context.Context, checks []pageCheck) (*Decoder, error) {
	corp := checks[0].row.Corp
	set, err := v.decoder.cfg.Keys.KeySet(ctx, corp)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	var seqs []uint64
	for _, c := range checks {
		for _, r := range c.records {
			seqs = append(seqs, r.Seq)
		}
	}
	d := *v.decoder
	d.cfg.Keys = readKeys{d.cfg.Keys, set}
	if len(seqs) > 0 {
		list, err := d.cfg.View.SetAside(ctx, corp, slices.Min(seqs), slices.Max(seqs))
		if err != nil {
			return nil, fmt.Errorf("list records set aside: %w", err)
		}
		d.cfg.View = readSetAside{d.cfg.View, list}
	}
	return &d, nil
}

// readKeys are keys that were read before.
type readKeys struct {
	Keys
	set archive.KeySet
}

func (k readKeys) KeySet(context.Context, string) (archive.KeySet, error) { return k.set, nil }

// readSetAside is a view whose records set aside were read before.
type readSetAside struct {
	View
	list []archive.SetAside
}

func (s readSetAside) SetAside(_ context.Context, _ string, first, last uint64) (list []archive.SetAside, _ error) {
	for _, r := range s.list {
		if first <= r.Seq && r.Seq <= last {
			list = append(list, r)
		}
	}
	return list, nil
}

// decode decodes a page for its comparison with the view.
func (v verifier) decode(ctx context.Context, decoder *Decoder, c *pageCheck) error {
	if c.raw == nil {
		return nil
	}
	p := decoder.page(c.row)
	p.verifying = true
	err := p.decode(ctx, c.raw, CarryOn)
	pending := c.row.State != archive.RowDecoded || c.row.Result == nil
	if pending && !errors.Is(err, ErrRefused) { // a page that waits for the secret is no finding
		c.found.add(FaultNotDecoded, 0)
		return nil
	}
	if err != nil {
		return fmt.Errorf("decode page after %d: %w", c.row.After, err)
	}
	c.raw, c.page = nil, p
	return nil
}

// runs yields the longest runs of pages that can be compared with the view and
// follow one another.
func runs(checks []pageCheck) iter.Seq[[]pageCheck] {
	return func(yield func([]pageCheck) bool) {
		begin := 0
		for i := range checks {
			follows := i > begin && checks[i].row.After == checks[i-1].row.Last
			if checks[i].page != nil && (follows || i == begin) {
				continue
			}
			if i > begin && !yield(checks[begin:i]) {
				return
			}
			if begin = i; checks[i].page == nil {
				begin++
			}
		}
		if begin < len(checks) {
			yield(checks[begin:])
		}
	}
}

// compare compares decoded pages with the view, and their large messages with
// the journal's bucket.
func (v verifier) compare(ctx context.Context, run []pageCheck) error {
	all := Decoded{Corp: run[0].row.Corp}
	active := make(map[archive.Activity]bool)
	for _, c := range run {
		d := c.page.decoded
		all.Messages = append(all.Messages, d.Messages...)
		all.Revocations = append(all.Revocations, d.Revocations...)
		for _, a := range d.Activities {
			if !active[a] {
				active[a] = true
				all.Activities = append(all.Activities, a)
			}
		}
		all.SetAside = append(all.SetAside, d.SetAside...)
	}
	checked, err := v.decoder.cfg.View.Check(ctx, all)
	if err != nil {
		return fmt.Errorf("compare pages after %d: %w", run[0].row.After, err)
	}
	if err := v.largeMessages(ctx, all, &checked); err != nil {
		return err
	}
	addChecked(run, checked)
	for _, c := range run {
		if c.row.Result.Stored != c.page.result.Stored || c.row.Result.CountSetAside() != c.page.result.CountSetAside() {
			c.found.add(FaultCount, 0)
		}
	}
	return nil
}

// largeMessages compares the messages that are kept in the journal's bucket.
func (v verifier) largeMessages(ctx context.Context, all Decoded, checked *Checked) error {
	for _, m := range all.Messages {
		if m.Overflow == nil || slices.Contains(checked.Missing, m.Seq) {
			continue
		}
		_, err := v.decoder.cfg.Journal.Message(ctx, m.Corp, *m.Overflow)
		if errors.Is(err, archive.ErrNotFound) || errors.Is(err, archive.ErrCorrupt) {
			checked.Differing = append(checked.Differing, m.Seq)
		} else if err != nil {
			return fmt.Errorf("read large message %d: %w", m.Seq, err)
		}
	}
	return nil
}

// addChecked adds what was found in a run of pages to the pages that it is about.
func addChecked(run []pageCheck, all Checked) {
	of := func(seq uint64) *findings { // of the page that covers the seq
		i, _ := slices.BinarySearchFunc(run, seq, func(c pageCheck, seq uint64) int { return cmp.Compare(c.row.After, seq) })
		return run[max(i, 1)-1].found
	}
	for _, kind := range []struct {
		what Fault
		seqs []uint64
	}{
		{FaultMissing, all.Missing}, {FaultDiffers, all.Differing}, {FaultExtra, all.Extra},
		{FaultSetAsideMissing, all.SetAsideMissing}, {FaultSetAsideStale, all.SetAsideStale}, {FaultRevocation, all.NotRevoked},
	} {
		for _, seq := range kind.seqs {
			of(seq).add(kind.what, seq)
		}
	}
	for _, m := range all.ExtraRevoked {
		of(m.Of).add(FaultRevocationExtra, m.Seq)
	}
	for _, c := range run {
		if slices.ContainsFunc(all.NotInLists, func(a archive.Activity) bool { return c.page.activity[a] }) {
			c.found.add(FaultLists, 0)
		}
	}
}

// files compares the objects of the files that the pages name with their rows, by
// the checksum that the store keeps. It reads no file.
func (v verifier) files(ctx context.Context, checks []pageCheck) error {
	type naming struct {
		found *findings
		seq   uint64
	}
	named := make(map[string]naming)
	var ids []string
	for _, c := range checks {
		if c.page == nil {
			continue
		}
		for _, f := range c.page.files {
			if _, twice := named[f.ID]; !twice {
				named[f.ID] = naming{c.found, f.From.Seq}
				ids = append(ids, f.ID)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := v.decoder.cfg.Files.Files(ctx, checks[0].row.Corp, ids)
	if err != nil {
		return fmt.Errorf("read %d files: %w", len(ids), err)
	}
	faults := make([]Fault, len(ids))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for i, id := range ids {
		group.Go(func() (err error) {
			row, there := rows[id]
			if faults[i] = FaultFileMissing; there {
				faults[i], err = v.file(groupCtx, row)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, id := range ids {
		if faults[i] != "" {
			named[id].found.add(faults[i], named[id].seq)
		}
	}
	return nil
}

// file is what is wrong with the object of a file; empty for nothing. The object
// of a file that waits may be replaced at any moment. A file that was given up, or
// that can no longer wait, has no object: otherwise its row was changed so that it
// hides the file.
func (v verifier) file(ctx context.Context, f media.File) (Fault, error) {
	if f.Waits(v.decoder.cfg.Now()) {
		return "", nil
	}
	size, checksum, err := v.decoder.cfg.Objects.StatFile(ctx, f.Corp, f.ID)
	switch {
	case errors.Is(err, archive.ErrNotFound) && f.Stored == nil:
		return "", nil
	case errors.Is(err, archive.ErrNotFound):
		return FaultFileMissing, nil
	case err != nil:
		return "", fmt.Errorf("read checksum of file %s: %w", f.ID, err)
	case f.Stored == nil || !f.Stored.Matches(size, checksum):
		return FaultFileDiffers, nil
	}
	return "", nil
}
