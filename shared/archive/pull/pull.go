// Package pull takes pages from WeCom into the journal and the ledger, and
// records a gap where a single record cannot be fetched (laws 1 and 3).
package pull

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// PageLimit is the largest number of records of one page (document 91774).
const PageLimit = 1000

// A Ledger is where the puller reads and moves the head. Safe for concurrent
// use.
type Ledger interface {
	// Head reads the end of the corp's chain consistently: it sees every Append
	// that has returned. For a corp without rows it returns [archive.NewHead].
	Head(ctx context.Context, corp string) (archive.Head, error)
	// Append makes row durable and moves the head from prev to it, in one
	// transaction, and marks a page row as pending. It returns
	// [archive.ErrConflict] and changes nothing if the head differs from prev or
	// the row exists. After any other error the row may or may not be durable.
	Append(ctx context.Context, prev archive.Head, row archive.Row) error
	archive.PendingPages
	// LastPending reads consistently the page with the highest seq that is not
	// decoded. It returns [archive.ErrNotFound] if every page is decoded.
	LastPending(ctx context.Context, corp string) (archive.Pending, error)
	// PullState reads the last saved state, or returns a zero state with Corp set
	// if none was saved.
	PullState(ctx context.Context, corp string) (archive.PullState, error)
	// SavePullState replaces the state.
	SavePullState(ctx context.Context, s archive.PullState) error
	// RecordLoss stores a loss once: a repeated call with the same Corp and Since
	// changes nothing.
	RecordLoss(ctx context.Context, l archive.Loss) error
}

// A Source asks WeCom as one corp, through the library. Not safe for concurrent
// use. Its errors are [*archive.SDKError], [*archive.CrashError],
// [*archive.LibraryError], and the context's; any other error means that the
// process is unusable. The Op of the first two may be Init or "start": the first
// call starts the process, and such an error is not about the call.
type Source interface {
	// ChatData returns WeCom's answer to GetChatData unchanged: JSON with its own
	// errcode. The caller owns the bytes.
	ChatData(ctx context.Context, after uint64, limit int) ([]byte, error)
}

// Sources opens sources. The process of a source is initialised with the corp
// and its secret and serves that corp alone (law 8). Opening is cheap while a
// process with the same corp and secret exists. It fails if no process can be
// started; the first call shows whether Init works.
type Sources interface {
	Source(ctx context.Context, corp string, archiveSecret secret.Value) (Source, error)
}

// Pulls says which corps want a pull. [archive.Wanted] has the contract of Take and
// Return.
type Pulls interface {
	archive.PullQueue
	Take(ctx context.Context, message archive.PullRequest) (archive.PullRequest, error)
	Return(ctx context.Context, r archive.PullRequest) error
}

// The puller's times. WeCom allows 600 calls a minute for a corp. A corp has
// one puller at a time, because of its queue group. So it is enough to pause
// between calls, also after the last call of the previous pull. No shared
// counter is needed.
const (
	callPause = 110 * time.Millisecond
	// stopMargin is the time for one more page: to start a process, to make a call,
	// and to make the page durable.
	stopMargin = archive.StartTimeout + archive.InitTimeout + archive.CallTimeout + archive.KillTimeout + 5*time.Second
)

// A Puller takes pages from WeCom into the journal. Its fields never change. It
// may be used concurrently for different corps.
type Puller struct {
	Corps   archive.CorpReader
	Secrets archive.SecretReader
	Sources Sources
	Ledger  Ledger
	Gate    *archive.Gate
	Journal archive.Journal
	Pulls   Pulls
	Decodes archive.DecodeQueue
	Now     func() time.Time
	Sleep   func(context.Context, time.Duration) error // returns early with the context's error
	Log     *slog.Logger
}

// Pull takes in all new pages of the corp. The order of writes for each page is:
// the journal object; then the ledger row, the head and the pending mark in one
// transaction; then the decode request, if the page is one of the first of its lane
// (see [archive.PageRequests]). A crash after the first leaves an object without a
// row, and the page is read again. A crash after the second leaves a pending page:
// the redelivered pull request, or dispatch at the latest, requests its decoding
// (laws 1 and 3). For a gap, its evidence is written instead of the page.
//
// A failure on WeCom's side is recorded in the corp's [archive.PullState] and is
// not an error. An error means that our own stores failed, and the request must
// be delivered again. If ctx has a deadline, Pull stops before it and requests
// another pull.
func (p *Puller) Pull(ctx context.Context, req archive.PullRequest) error {
	again := req.Again
	// A request from here on sends another message, because this pull may have
	// read before that request. After a crash from here on SQS delivers this
	// request again.
	req, err := p.Pulls.Take(ctx, req)
	if err == nil {
		err = p.pull(ctx, req, again)
	}
	if err != nil {
		return errors.Join(err, p.Pulls.Return(ctx, req)) // the message lacks a wish that joined it
	}
	return nil
}

// pull serves a request. again says that it was delivered before.
func (p *Puller) pull(ctx context.Context, req archive.PullRequest, again bool) error {
	corp, err := p.Corps.Corp(ctx, req.Corp)
	if errors.Is(err, archive.ErrNotFound) {
		p.Log.WarnContext(ctx, "corp of pull request not registered", "corp", req.Corp)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read corp: %w", err)
	}
	if again {
		if err := p.requestLast(ctx, corp.ID); err != nil {
			return err
		}
	}
	if !corp.Enabled {
		return nil
	}
	state, err := p.Ledger.PullState(ctx, corp.ID)
	if err != nil {
		return fmt.Errorf("read pull state: %w", err)
	}
	if !req.Force && !state.Due(corp.SecretSetAt, p.Now()) || !corp.HeldByOpen(p.Now()).IsZero() {
		return nil
	}
	begun := p.Now()
	state.Standing = state.For(corp.SecretSetAt)
	d := &drain{Puller: p, corp: corp, state: state, force: req.Force}
	more, err := d.run(ctx)
	if caughtUp := state.LastEmptyAt.Equal(state.LastCallAt); d.pages > 0 && req.Why == archive.Timer && caughtUp {
		d.state.UnannouncedAt = begun
	}
	if d.admission != nil {
		// Crashing here leaves the try counted as a refusal.
		err = errors.Join(err, p.Gate.Unanswered(ctx, d.admission))
	}
	if saveErr := p.Ledger.SavePullState(ctx, d.state); saveErr != nil {
		err = errors.Join(err, fmt.Errorf("save pull state: %w", saveErr))
	}
	if err != nil {
		return err
	}
	p.Log.InfoContext(ctx, "pulled", "corp", corp.ID, "why", req.Why, "pages", d.pages, "records", d.records,
		"calls", d.calls, "head", d.head.Last, "more", more, "cause", d.cause())
	if more {
		if err := p.Pulls.RequestPulls(ctx, archive.PullRequest{Corp: corp.ID, Why: "continued", Force: req.Force}); err != nil {
			return fmt.Errorf("request the rest: %w", err)
		}
	}
	return nil
}

// pages requests the decoding of pages.
func (p *Puller) pages() archive.PageRequests {
	return archive.PageRequests{Pages: p.Ledger, Queue: p.Decodes, Now: p.Now}
}

// requestLast requests the decoding of the newest page, because the previous
// delivery may have crashed between the row of this page and its decode
// request. Older pages have their request or wait for their turn: a pull goes on
// only after it has seen to that. A needless request finds the page decoded. A page
// that was requested twice is left to dispatch: a request for each delivery would
// fill the queue.
func (p *Puller) requestLast(ctx context.Context, corp string) error {
	last, err := p.Ledger.LastPending(ctx, corp)
	if errors.Is(err, archive.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a page without a request: %w", err)
	}
	switch last.Tries {
	case 0:
		return p.pages().RequestOwn(ctx, corp, last.After)
	case 1:
		return p.pages().Request(ctx, last)
	}
	return nil
}

// drain is one pull of one corp.
type drain struct {
	*Puller
	corp   archive.Corp
	state  archive.PullState
	force  bool
	head   archive.Head
	source Source
	// admission is the permission to use the corp's secret; nil before it is
	// given.
	admission *archive.Admission

	pages, records, calls int
}

func (d *drain) cause() archive.Cause {
	if d.state.Trouble == nil {
		return ""
	}
	return d.state.Trouble.Cause
}

// run pulls until WeCom answers with an empty page, a failure ends the pull, or
// the deadline is near. more is true if the deadline was near.
func (d *drain) run(ctx context.Context) (more bool, err error) {
	archiveSecret, err := d.Secrets.ArchiveSecret(ctx, d.corp.ID, d.corp.SecretSetAt)
	if errors.Is(err, archive.ErrNotFound) {
		d.trouble(archive.Trouble{Cause: archive.CauseSecretMissing})
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read archive secret: %w", err)
	}
	ask := archive.Ask{Way: archive.Trusted, Corp: d.corp.ID, Registered: d.corp.CreatedAt, By: "pull", Force: d.force, Accepted: !d.corp.OpenOKAt.IsZero()}
	d.admission, d.state.Standing, err = d.Gate.Admit(ctx, ask, d.state.Standing)
	if err != nil || d.admission == nil {
		return false, err
	}
	if d.source, err = d.Sources.Source(ctx, d.corp.ID, archiveSecret); err != nil {
		return false, fmt.Errorf("start the library: %w", err)
	}
	if d.head, err = d.Ledger.Head(ctx, d.corp.ID); err != nil {
		return false, fmt.Errorf("read head: %w", err)
	}
	for {
		if d.nearlyOver(ctx) {
			return true, nil
		}
		step := d.page
		if d.state.GapSearch != nil && d.state.GapSearch.After == d.head.Last {
			step = d.searchGap
		} else {
			d.state.GapSearch = nil
		}
		done, err := step(ctx)
		if done || err != nil {
			return false, err
		}
	}
}

func (d *drain) nearlyOver(ctx context.Context) bool {
	return archive.NearlyOver(ctx, d.Now(), stopMargin)
}

// page requests one page after the head and makes it durable. done means that
// this pull ends.
func (d *drain) page(ctx context.Context) (done bool, err error) {
	limit := d.limit()
	raw, answer, failure, err := d.ask(ctx, d.head.Last, limit)
	if failure != nil && failure.Native && failure.Code == archive.CodeExpired {
		// WeCom has deleted what follows the head. By its documents WeCom then
		// continues with the oldest record that it keeps. If it returns an error
		// instead, a call with seq 0 has the same effect.
		raw, answer, failure, err = d.ask(ctx, 0, limit)
	}
	if err != nil {
		return true, err
	}
	if failure == nil {
		if err := archive.CheckOrder(d.head.Last, answer.Records); err != nil {
			d.Log.ErrorContext(ctx, "seqs of page do not increase", "corp", d.corp.ID, "after", d.head.Last, "err", err)
			failure = &archive.Trouble{Cause: archive.CauseBadAnswer, Op: "GetChatData"}
		}
	}
	if failure != nil {
		return d.failed(ctx, *failure, limit)
	}
	if err := d.accepted(ctx); err != nil {
		return true, err
	}
	if len(answer.Records) == 0 {
		if now := d.Now(); archive.HoursLeft(d.corp, d.state, now) < 0 { // dispatch may have missed it
			if err := d.Ledger.RecordLoss(ctx, archive.LossOf(d.corp, d.state)); err != nil {
				return true, fmt.Errorf("record loss: %w", err)
			}
		}
		d.state.LastEmptyAt = d.state.LastCallAt // messages that arrived during the call may be missing in the answer
		d.state.Limit = 0
		return true, nil
	}
	if err := d.keep(ctx, raw, answer.Records); err != nil {
		return true, err
	}
	if d.state.Limit = limit * 2; d.state.Limit >= PageLimit {
		d.state.Limit = 0
	}
	return false, nil
}

func (d *drain) limit() int {
	if d.state.Limit < 1 || d.state.Limit > PageLimit {
		return PageLimit
	}
	return d.state.Limit
}

// accepted notes that WeCom answered a call with errcode 0.
func (d *drain) accepted(ctx context.Context) (err error) {
	d.state.Standing, err = d.Gate.Answered(ctx, d.admission, d.state.Standing)
	return err
}

// keep makes a page durable and requests its decoding, or leaves it to the decoder
// that finishes a page of the same lane.
func (d *drain) keep(ctx context.Context, raw []byte, records []archive.Record) error {
	room, err := d.Puller.pages().Room(ctx, d.corp.ID, d.head.Last)
	if err != nil {
		return err
	}
	row := archive.Row{
		Corp:  d.corp.ID,
		Kind:  archive.PageRow,
		After: d.head.Last,
		First: records[0].Seq,
		Last:  records[len(records)-1].Seq,
		Count: len(records),
		Sum:   archive.Digest(raw),
		Size:  len(raw),
		At:    d.Now().Truncate(time.Millisecond),
		Prev:  d.head.Hash,
		State: archive.RowRequested,
	}
	if room {
		row.Tries = 1
	}
	row.Hash = archive.ChainHash(row)
	if err := d.Journal.PutPage(ctx, row, raw); err != nil {
		return fmt.Errorf("write page after %d to the journal: %w", row.After, err)
	}
	appended, err := d.append(ctx, row)
	if err != nil || !appended {
		return err
	}
	d.pages++
	d.records += row.Count
	d.state.LastPageAt = row.At
	if !room {
		// The decoder may have finished the pages before this one was pending.
		return d.Puller.pages().RequestOwn(ctx, d.corp.ID, row.After)
	}
	if err := d.Decodes.RequestDecodes(ctx, archive.DecodeRequest{Corp: d.corp.ID, After: row.After}); err != nil {
		return fmt.Errorf("request decoding of page after %d: %w", row.After, err)
	}
	return nil
}

// append moves the head to row. If another puller moved the head first, append
// reads the head again and appends nothing: the other puller's page covers the
// same records.
func (d *drain) append(ctx context.Context, row archive.Row) (bool, error) {
	err := d.Ledger.Append(ctx, d.head, row)
	if err == nil {
		d.head = d.head.Next(row)
		return true, nil
	}
	if !errors.Is(err, archive.ErrConflict) {
		return false, fmt.Errorf("append row after %d: %w", row.After, err)
	}
	if d.head, err = d.Ledger.Head(ctx, d.corp.ID); err != nil {
		return false, fmt.Errorf("read head again: %w", err)
	}
	return false, nil
}

// ask calls the library, at most 600 times a minute, and repeats a call if the
// failure looks temporary. failure is a failure of WeCom or of the library; err
// is the end of the context, or a failure of our own.
func (d *drain) ask(ctx context.Context, after uint64, limit int) (raw []byte, a archive.Answer, failure *archive.Trouble, err error) {
	for try := 1; ; try++ {
		if wait := callPause - d.Now().Sub(d.state.LastCallAt); wait > 0 {
			if err := d.Sleep(ctx, min(wait, callPause)); err != nil {
				return nil, archive.Answer{}, nil, err
			}
		}
		d.state.LastCallAt = d.Now()
		d.calls++
		raw, err = d.source.ChatData(ctx, after, limit)
		if ctx.Err() != nil {
			return nil, archive.Answer{}, nil, ctx.Err()
		}
		var again bool
		a, failure, again, err = d.readAnswer(ctx, raw, err)
		if failure != nil && limit == 1 && aboutRecords(*failure) {
			again = true // a smaller page does not exist
		}
		if err != nil || !again || try == archive.Tries || d.nearlyOver(ctx) {
			return raw, a, failure, err
		}
		if err := d.Sleep(ctx, archive.RetryPause); err != nil {
			return nil, archive.Answer{}, nil, err
		}
	}
}

// readAnswer reads both levels of error of one call (law 10).
func (d *drain) readAnswer(ctx context.Context, raw []byte, callErr error) (a archive.Answer, failure *archive.Trouble, again bool, err error) {
	if callErr != nil {
		f, known := archive.LibraryFailed(callErr)
		if !known {
			return archive.Answer{}, nil, false, fmt.Errorf("ask WeCom: %w", callErr)
		}
		if f.Cause == archive.CauseLibraryCrash || f.Cause == archive.CauseLibraryMissing {
			d.Log.ErrorContext(ctx, "library failed", "corp", d.corp.ID, "err", callErr)
		}
		return archive.Answer{}, &f.Trouble, f.Response == archive.RespondRetry, nil
	}
	if a, err = archive.ParseAnswer(raw); err != nil {
		d.Log.ErrorContext(ctx, "answer of WeCom unreadable", "corp", d.corp.ID, "err", err)
		return archive.Answer{}, &archive.Trouble{Cause: archive.CauseBadAnswer, Op: "GetChatData"}, true, nil
	}
	if a.ErrCode != 0 {
		cause, respond := archive.Classify("GetChatData", a.ErrCode, false)
		return a, &archive.Trouble{Cause: cause, Op: "GetChatData", Code: a.ErrCode, FromIP: a.FromIP}, respond == archive.RespondRetry, nil
	}
	return a, nil, false, nil
}

// failed records a failure and decides whether the pull goes on.
func (d *drain) failed(ctx context.Context, t archive.Trouble, limit int) (done bool, err error) {
	d.trouble(t)
	_, respond := archive.Classify(t.Op, t.Code, t.Native)
	switch {
	case aboutRecords(t):
		if limit > 1 {
			d.state.Limit = limit / 2
			return false, nil
		}
		d.beginSearch(t)
		return true, nil
	case t.Cause == archive.CauseBadAnswer:
		// A smaller page is requested as long as that may help. The head never moves
		// past a single record that breaks the rules: the corp's state shows the
		// trouble.
		if limit > 1 {
			d.state.Limit = limit / 2
			return false, nil
		}
		return true, nil
	}
	var pause time.Duration
	if respond == archive.RespondPause {
		pause = archive.PauseLong
	}
	d.state.Standing, err = d.Gate.Refused(ctx, d.admission, d.state.Standing, t, respond, pause)
	return true, err
}

// trouble notes why the pull stops.
func (d *drain) trouble(t archive.Trouble) {
	d.state.Standing = d.state.Paused(t, d.Now(), 0)
}
