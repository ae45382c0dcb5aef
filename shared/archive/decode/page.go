package decode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// ErrUnfinished says that the time ran out in the middle of a page. The
// messages decoded so far are stored. The page stays pending and must be
// requested again.
var ErrUnfinished = errors.New("page not finished in time")

// Redo says how to treat a page that an earlier call may have decoded.
type Redo int

// The ways to treat it.
const (
	FirstTime Redo = iota // leave a decoded page alone
	Again                 // decode the page again, including the records that broke the library
	CarryOn               // as Again, after an [ErrUnfinished]: the records that broke the library stay set aside
)

// A Decoder turns journal pages into messages. Several calls may run at once if
// its Decrypters give each of them a decrypter of its own.
type Decoder struct {
	cfg     Config
	replays JobStarter
}

// Decode writes everything that the view has of one page. Calling it again writes
// the same (law 2). With [FirstTime] it leaves a decoded page alone.
//
// The order of writes:
//  1. messages over [archive.InlineLimit], to the journal's bucket
//  2. the decoded page, to the view, in the order of [Decoded]
//  3. consents
//  4. rows of the files that messages name
//  5. the result of the page, then the removal of its pending item
//  6. requests for the files
//  7. the removal of stored records from those that are set aside, and the result once
//     more, see clearStale
//  8. the announcements of the conversations with new messages
//  9. the request for the next page of the lane, see [archive.PageRequests]
//
// A crash before 5 leaves the page pending: its request is delivered again, or
// dispatch requests it again, and the next call writes the same. In a replay the
// result then counts more records as set aside than the view has, so the replay
// selects the page again. A crash between 5 and 6 loses the requests for the files: dispatch makes them again.
// A crash between 5 and 7 leaves such a record, which a verification finds. A crash
// between 5 and 8 loses the announcements; the SCRM finds these messages when it
// next asks for changes. After a crash before 9 SQS delivers the request again, and
// the next call does 9.
//
// A record that cannot be decrypted is set aside, and the other records are
// stored (laws 5 and 7). An error is [ErrUnfinished], or says that a private key
// that a record may need could not be read, or that a store or the library as a
// whole failed. The caller should then try the request again.
func (d *Decoder) Decode(ctx context.Context, corp string, after uint64, redo Redo) error {
	row, err := d.cfg.Ledger.Row(ctx, corp, after)
	if errors.Is(err, archive.ErrNotFound) {
		// A page is requested only after the transaction that stores its row.
		// So this request is not ours, or the ledger was restored to an earlier
		// state. Another try cannot help.
		d.cfg.Log.ErrorContext(ctx, "decode requested for a page that the ledger does not have", "corp", corp, "after", after)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read ledger row after %d: %w", after, err)
	}
	if row.Kind != archive.PageRow {
		return nil
	}
	// A decoded page with records that lack a key is decoded again: this request
	// may be the second delivery of a run that crashed before it checked for new
	// keys, see decodeIfKeysCame.
	if redo != FirstTime || row.State != archive.RowDecoded || lacksKey(row.Result) {
		if err := d.decode(ctx, row, redo); err != nil {
			return err
		}
	}
	if redo != FirstTime && row.State == archive.RowDecoded { // a replay: the lane's pending pages are unchanged
		return nil
	}
	pages := archive.PageRequests{Pages: d.cfg.Ledger, Queue: d.cfg.Decodes, Now: d.cfg.Now}
	return pages.RequestNext(ctx, corp, after)
}

// decode writes the view of a page, and its result.
func (d *Decoder) decode(ctx context.Context, row archive.Row, redo Redo) error {
	corp, after := row.Corp, row.After
	begun := d.cfg.Now()
	p := d.page(row)
	if err := p.run(ctx, redo); err != nil {
		return fmt.Errorf("decode page after %d: %w", after, err)
	}
	p.touchKeys(ctx)
	p.result.At = d.cfg.Now().Truncate(time.Millisecond)
	// A crash before this line leaves the page pending.
	if err := d.cfg.Ledger.Finish(ctx, corp, after, p.result, p.fileIDs); err != nil {
		return fmt.Errorf("finish page after %d: %w", after, err)
	}
	// A crash before this line loses the requests. The files are on the list of
	// waiting files, where dispatch finds them.
	if err := d.cfg.Media.RequestMedia(ctx, media.Requests(corp, p.lanes)...); err != nil {
		return fmt.Errorf("request files of page after %d: %w", after, err)
	}
	overtaken, err := p.clearStale(ctx)
	if err != nil {
		return fmt.Errorf("clear records of page after %d: %w", after, err)
	}
	p.announce(ctx)
	level := slog.LevelInfo
	if p.result.CountSetAside() > 0 {
		level = slog.LevelError
	}
	d.cfg.Log.Log(ctx, level, "decoded", "corp", corp, "after", after, "records", row.Count, "stored", p.result.Stored,
		"unreadable", p.result.Unreadable, "set_aside", p.result.SetAside, "elapsed", d.cfg.Now().Sub(begun))
	if overtaken {
		return d.decodeAgain(ctx, p)
	}
	return d.decodeIfKeysCame(ctx, p)
}

// decodeAgain decodes the page of p once more.
func (d *Decoder) decodeAgain(ctx context.Context, p *pageDecode) error {
	row := p.row
	row.State = archive.RowDecoded
	return d.decode(ctx, row, Again)
}

// clearStale takes records that p stored off those that are set aside. SQS may deliver
// a request twice, and the library may break in one run only: then the other run sets
// a record aside that this run stores, and its result counts the record as set aside.
// Whichever result is the later one, it becomes that of the view: this run finishes
// again after it has cleared, and the other run, if it finishes after that, is
// overtaken: a record that it set aside is not on the list.
func (p *pageDecode) clearStale(ctx context.Context) (overtaken bool, _ error) {
	setAside, err := p.storedSetAside(ctx)
	if err != nil {
		return false, err
	}
	stale := Decoded{Corp: p.row.Corp}
	for _, m := range p.decoded.Messages {
		if _, there := setAside[m.Seq]; there {
			stale.Cleared = append(stale.Cleared, m.Seq)
		}
	}
	overtaken = slices.ContainsFunc(p.decoded.SetAside, func(a archive.SetAside) bool {
		_, there := setAside[a.Seq]
		return !there
	})
	if len(stale.Cleared) == 0 || overtaken {
		return overtaken, nil
	}
	if err := p.cfg.View.WritePage(ctx, stale); err != nil {
		return false, err
	}
	// A crash before this line leaves a result that counts too many records as set aside:
	// the next replay of records set aside selects the page again.
	return false, p.cfg.Ledger.Finish(ctx, p.row.Corp, p.row.After, p.result, p.fileIDs)
}

// decodeIfKeysCame decodes the page again if a key was added after p read the
// keys. It closes a race: the new key started a replay job, and that job may
// have passed this page before the page was finished. So the keys are read a
// second time after the page is finished.
//
// A crash before this check leaves the page decoded without the new key. The
// request is then delivered again, and Decode decodes the page again.
func (d *Decoder) decodeIfKeysCame(ctx context.Context, p *pageDecode) error {
	if !lacksKey(&p.result) {
		return nil
	}
	set, err := d.cfg.Keys.KeySet(ctx, p.row.Corp)
	if err != nil {
		return fmt.Errorf("read keys again: %w", err)
	}
	if len(set.Keys) == len(p.keys.set.Keys) { // keys are never removed
		return nil
	}
	return d.decodeAgain(ctx, p)
}

// lacksKey reports whether a new key could open records of the page that are
// set aside. That includes records of a version that another key was proved
// for, and those that the library refused: their text may be that of a wrong key.
func lacksKey(r *archive.Result) bool {
	return r != nil && r.SetAside[string(archive.ReasonNoKey)]+r.SetAside[string(archive.ReasonBadKey)]+r.SetAside[string(archive.ReasonLibrary)] > 0
}

// pageDecode decodes one page: it collects the decoded page and its result,
// then writes them.
type pageDecode struct {
	*Decoder
	row       archive.Row
	keys      *pageKeys
	decrypter Decrypter
	// verifying: the page is decoded for comparison only. Nothing is written,
	// including the proofs of keys.
	verifying bool
	alone     bool // a batch broke the library

	// What the records gave.
	decoded  Decoded
	activity map[archive.Activity]bool // the activities that are in decoded.Activities
	large    []largeMessage
	consents []archive.Consent
	files    []media.File // one for each time that a message names a file

	// About the page as a whole.
	result  archive.Result
	fileIDs []string        // distinct, sorted, at most [archive.MaxFileIDs]
	lanes   []int           // lanes with files of the page that wait
	used    map[string]bool // ids of the keys that opened a message
}

// largeMessage is a message whose bytes are stored in the journal's bucket.
type largeMessage struct {
	archive.Overflow
	raw []byte
}

// page prepares to decode the row's page.
func (d *Decoder) page(row archive.Row) *pageDecode {
	return &pageDecode{
		Decoder: d, row: row, activity: make(map[archive.Activity]bool), used: make(map[string]bool), decoded: Decoded{Corp: row.Corp},
		result: archive.Result{SetAside: make(map[string]int), Types: make(map[string]int)},
	}
}

// again reports whether the page was decoded before, so that the SCRM knows of the
// messages that were stored then. A replay may be the first to decode a page.
func (p *pageDecode) again() bool { return p.row.State == archive.RowDecoded }

// run decodes the page and writes everything but the result on the ledger row.
// If the time runs out, or a key could not be read that a record may need, it writes
// the part that is decoded, and returns [ErrUnfinished] or an [errKeyUnread].
func (p *pageDecode) run(ctx context.Context, redo Redo) error {
	raw, err := p.cfg.Journal.Page(ctx, p.row)
	switch {
	case errors.Is(err, archive.ErrNotFound) || errors.Is(err, archive.ErrCorrupt):
		p.setPageAside(ctx, err)
		return p.write(ctx, redo)
	case err != nil:
		return fmt.Errorf("read journal: %w", err)
	}
	stopped := p.decode(ctx, raw, redo)
	if stopped != nil && !isPart(stopped) {
		return stopped
	}
	if err := p.write(ctx, redo); err != nil {
		return err
	}
	if stopped != nil && p.again() {
		p.announce(ctx) // the next run finds these messages stored
	}
	return stopped
}

// touchKeys notes which keys the page needed, at most once per [archive.KeyTouch]
// for each. A lost note only makes the set-up page show an older time.
func (p *pageDecode) touchKeys(ctx context.Context) {
	if p.keys == nil { // the journal has lost the page
		return
	}
	for _, key := range p.keys.set.Keys {
		if !p.used[key.ID] || !key.LastUsedAt.IsZero() && p.row.At.Sub(key.LastUsedAt) < archive.KeyTouch {
			continue
		}
		if err := p.cfg.Keys.TouchKey(ctx, p.row.Corp, key.ID, p.row.At); err != nil {
			p.cfg.Log.WarnContext(ctx, "use of a key not noted", "corp", p.row.Corp, "key", key.ID, "err", err)
		}
	}
}

// write makes durable what the records gave. A crash anywhere in it leaves the
// page pending: the next run writes the same again.
func (p *pageDecode) write(ctx context.Context, redo Redo) error {
	// The bucket comes first: a message in the view refers to bytes that exist.
	for _, m := range p.large {
		if err := p.cfg.Journal.PutMessage(ctx, p.row.Corp, m.Overflow, m.raw); err != nil {
			return fmt.Errorf("write large message to the bucket: %w", err)
		}
	}
	// A page that is decoded again notes a change only if messages are stored that
	// were set aside. Otherwise a replay of old pages would tell every reader that
	// something is new.
	if !p.again() && len(p.decoded.Messages) > 0 || len(p.decoded.Cleared) > 0 {
		var parties []string
		for _, a := range p.decoded.Activities {
			parties = append(parties, a.Party)
		}
		p.decoded.Change = archive.NewChange(p.cfg.Now(), p.row.After, parties)
	}
	if err := p.cfg.View.WritePage(ctx, p.decoded); err != nil {
		return fmt.Errorf("write view: %w", err)
	}
	if err := p.cfg.Consents.RecordConsents(ctx, p.consents); err != nil {
		return fmt.Errorf("record consents: %w", err)
	}
	var err error
	if p.lanes, err = media.Register(ctx, p.cfg.Files, p.row.Corp, p.files, redo != FirstTime); err != nil {
		return fmt.Errorf("register files: %w", err)
	}
	return nil
}

// isPart reports whether the error says that a part of the page is decoded.
func isPart(err error) bool {
	return errors.Is(err, ErrUnfinished) || errors.Is(err, errKeyUnread)
}

// decode decrypts the page's records in their order and collects what they
// give. With [ErrUnfinished] or an [errKeyUnread] it has collected a part.
func (p *pageDecode) decode(ctx context.Context, raw []byte, redo Redo) error {
	answer, err := archive.ParseAnswer(raw)
	if err != nil {
		return fmt.Errorf("parse page: %w", err) // unexpected: the puller parsed the same bytes
	}
	setAside, err := p.storedSetAside(ctx)
	if err != nil {
		return err
	}
	if p.keys, err = p.readKeys(ctx); err != nil {
		return err
	}
	if p.decrypter, err = p.cfg.Decrypters.Decrypter(ctx, p.row.Corp); err != nil {
		return fmt.Errorf("start the library: %w", err)
	}
	opening, cancel := context.WithCancel(ctx)
	defer cancel()
	err = p.decodeRecords(ctx, answer.Records, p.openAll(opening, answer.Records), setAside, redo)
	if err == nil || isPart(err) {
		p.sumUp()
	}
	return err
}

// storedSetAside reads by seq the page's records that the view has as set
// aside.
func (p *pageDecode) storedSetAside(ctx context.Context) (map[uint64]archive.SetAside, error) {
	list, err := p.cfg.View.SetAside(ctx, p.row.Corp, p.row.First, p.row.Last)
	if err != nil {
		return nil, fmt.Errorf("list records set aside: %w", err)
	}
	bySeq := make(map[uint64]archive.SetAside, len(list))
	for _, s := range list {
		bySeq[s.Seq] = s
	}
	return bySeq, nil
}

// decodeRecords decodes the records in order, until the time runs out. It
// decrypts them in batches: an exchange with the library's process costs more than
// decrypting a record. A record whose key could not be read holds back no other: its
// error is returned after the last record.
func (p *pageDecode) decodeRecords(ctx context.Context, records []archive.Record, opening *openings, setAside map[uint64]archive.SetAside, redo Redo) error {
	var ahead batch
	var unread error
	for i, rec := range records {
		if err := ctx.Err(); err != nil {
			return err
		}
		if archive.NearlyOver(ctx, p.cfg.Now(), recordMargin) {
			return ErrUnfinished
		}
		stored, wasSetAside := setAside[rec.Seq]
		if wasSetAside && redo != Again && brokeLibrary(stored.Reason) {
			// The record cost several processes in a run that did not finish. If
			// every run tried it again, the page might never be finished.
			p.setAside(rec, failure{stored.Reason, stored.Detail})
			continue
		}
		if i >= ahead.end {
			var err error
			if ahead, err = p.decryptAhead(ctx, i, records, opening, setAside); err != nil {
				return err
			}
			if archive.NearlyOver(ctx, p.cfg.Now(), recordMargin) { // the batch may have hung
				return ErrUnfinished
			}
		}
		o, err := opening.wait(ctx, i)
		if err != nil {
			return err
		}
		ok, err := p.record(ctx, rec, o, ahead.results[i])
		if errors.Is(err, errKeyUnread) {
			unread = err
			continue
		}
		if err != nil {
			return err
		}
		if ok && wasSetAside {
			p.decoded.Cleared = append(p.decoded.Cleared, rec.Seq)
		}
	}
	return unread
}

// The bounds of a batch. A longer batch saves little more, and the whole batch must
// finish within the time limit of one call.
const (
	batchRecords = 32
	batchBytes   = 256 << 10
)

// batch is a number of successive records that were decrypted in one exchange.
type batch struct {
	end     int                // the index behind the batch's last record
	results map[int]*Decrypted // of the first candidate; none for a record that must be decrypted alone
}

// decryptAhead decrypts the records from start on in one exchange, with the first
// candidate of each. Records that broke the library before take no part. If the
// process dies, it is unknown which record is the cause, so the batch has no
// results. Its records, and all later records of the page, are decrypted alone (law
// 7): where one record breaks the library, others may.
func (p *pageDecode) decryptAhead(ctx context.Context, start int, records []archive.Record, opening *openings, setAside map[uint64]archive.SetAside) (batch, error) {
	b := batch{end: start, results: make(map[int]*Decrypted)}
	if p.alone {
		b.end = len(records)
		return b, nil
	}
	var sealed []Sealed
	var of []int
	for size := 0; b.end < len(records) && b.end-start < batchRecords && size < batchBytes; b.end++ {
		o, err := opening.wait(ctx, b.end)
		if err != nil {
			return batch{}, err
		}
		rec := records[b.end]
		if o.failed.reason != "" || len(o.candidates) == 0 || brokeLibrary(setAside[rec.Seq].Reason) {
			continue
		}
		sealed, of = append(sealed, Sealed{o.candidates[0].text, rec.Message}), append(of, b.end)
		size += len(rec.Message)
	}
	if len(sealed) < 2 {
		return b, nil
	}
	results, err := p.decrypter.DecryptAll(ctx, sealed)
	if err != nil {
		if f, _ := archive.LibraryFailed(err); ctx.Err() != nil || f.Op != "DecryptData" {
			return batch{}, fmt.Errorf("decrypt: %w", err)
		}
		p.alone = true
		p.cfg.Log.WarnContext(ctx, "batch breaks the library", "corp", p.row.Corp, "after", p.row.After, "records", len(sealed), "err", err)
		return b, nil
	}
	for i := range results {
		b.results[of[i]] = &results[i]
	}
	return b, nil
}
