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
// process is unusable. The first call also starts the process. If the start fails,
// the Op of an SDKError or CrashError is "start" or Init, and the error says nothing
// about the requested page.
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

// Pulls says for which corps a pull is wanted. [archive.Wanted] has the contract of
// Take and Return.
type Pulls interface {
	archive.PullQueue
	Take(ctx context.Context, req archive.PullRequest) (archive.PullRequest, error)
	Return(ctx context.Context, r archive.PullRequest) error
}

// The puller's times. WeCom allows 600 calls a minute for a corp. A corp has one
// pull at a time, because of its queue group. So it is enough to pause between two
// calls, and no shared counter is needed. The time of the last call is in the pull
// state, so the first call of a pull waits too.
const (
	callPause = 110 * time.Millisecond
	// clocksDiffer is how far the last row may be ahead of a process whose clock is
	// right. If the row is farther ahead, its clock was wrong.
	clocksDiffer = time.Minute
	// noteEvery is how old the stored state of a quiet corp may be. It is below the
	// five minutes between two timer pulls of a corp with callbacks.
	noteEvery = 4*time.Minute + 30*time.Second
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
// the journal object; then the ledger row, the head and the pending item in one
// transaction; then the decode request, if the page is one of the first of its lane
// (see [archive.PageRequests]). A crash after the first leaves an object without a
// row, and the page is read again. A crash after the second leaves a pending page.
// The redelivered pull request requests its decoding; if it does not, dispatch does
// (laws 1 and 3). For a gap, its evidence is written instead of the page.
//
// A failure on WeCom's side is recorded in the corp's [archive.PullState] and is
// not an error. An error means that our own stores failed, and the request must
// be delivered again. If ctx has a deadline, Pull stops before it and requests
// another pull.
func (p *Puller) Pull(ctx context.Context, req archive.PullRequest) error {
	again := req.Again
	// From here on, whoever wants a pull sends a request of its own: this pull may
	// already have read the state that the other one is about. After a crash from here on
	// SQS delivers this request again.
	req, err := p.Pulls.Take(ctx, req)
	if err == nil {
		err = p.pull(ctx, req, again)
	}
	if err != nil {
		// SQS delivers the request again as it was sent. Return writes back to the mark
		// what others had added to the request, such as Force.
		return errors.Join(err, p.Pulls.Return(ctx, req))
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
	if !req.Force && !state.Due(corp, p.Now()) || !corp.HeldByOpen(p.Now()).IsZero() {
		return nil
	}
	begun, stored := p.Now(), state
	state.Standing = state.For(corp.SecretSetAt)
	r := &pullRun{Puller: p, corp: corp, state: state, force: req.Force}
	more, err := r.drain(ctx)
	if caughtUp := state.LastEmptyAt.Equal(state.LastCallAt); r.pages > 0 && req.Why == archive.Timer && caughtUp {
		r.state.UnannouncedAt = begun
	}
	if r.admission != nil {
		// Crashing here leaves the try counted as a refusal.
		err = errors.Join(err, p.Gate.Unanswered(ctx, r.admission))
	}
	if req.Why != archive.Timer || req.Force || !r.quiet(stored) {
		if saveErr := p.Ledger.SavePullState(ctx, r.state); saveErr != nil {
			err = errors.Join(err, fmt.Errorf("save pull state: %w", saveErr))
		}
	}
	if err != nil {
		return err
	}
	p.Log.InfoContext(ctx, "pulled", "corp", corp.ID, "why", req.Why, "pages", r.pages, "records", r.records,
		"calls", r.calls, "head", r.head.Last, "more", more, "cause", r.cause())
	if more {
		if err := p.Pulls.RequestPulls(ctx, archive.PullRequest{Corp: corp.ID, Why: "continued", Force: req.Force}); err != nil {
			return fmt.Errorf("request the rest: %w", err)
		}
	}
	return nil
}

// quiet reports whether the corp is caught up and only times differ from the stored
// state, by less than noteEvery. A timer's pull then saves nothing, because saving
// would cost a quiet corp a write unit a minute. The earlier times that stay stored
// are safe: they shorten the hours left.
func (r *pullRun) quiet(stored archive.PullState) bool {
	now := r.state
	caughtUp := !now.LastEmptyAt.IsZero() && now.LastEmptyAt.Equal(now.LastCallAt)
	recent := now.LastEmptyAt.Sub(stored.LastEmptyAt) < noteEvery
	now.LastCallAt, now.LastEmptyAt, now.OKAt = stored.LastCallAt, stored.LastEmptyAt, stored.OKAt
	return caughtUp && recent && now == stored
}

// pages requests the decoding of pages.
func (p *Puller) pages() archive.PageRequests {
	return archive.PageRequests{Pages: p.Ledger, Queue: p.Decodes, Now: p.Now}
}

// requestLast requests the decoding of the newest page, because the previous
// delivery may have crashed between the row of this page and its decode request.
// Every older page has a request or waits for its turn, because a pull requests each
// page before it fetches the next one. A needless request finds the page decoded. A
// page that was requested twice is left to dispatch: a request for each delivery
// would fill the queue.
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

// pullRun is one pull of one corp.
type pullRun struct {
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

func (r *pullRun) cause() archive.Cause {
	if r.state.Trouble == nil {
		return ""
	}
	return r.state.Trouble.Cause
}

// drain pulls until WeCom answers with an empty page, a failure ends the pull, or
// the deadline is near. more is true if the deadline was near.
func (r *pullRun) drain(ctx context.Context) (more bool, err error) {
	archiveSecret, err := r.Secrets.ArchiveSecret(ctx, r.corp.ID, r.corp.SecretSetAt)
	if errors.Is(err, archive.ErrNotFound) {
		r.trouble(archive.Trouble{Cause: archive.CauseSecretMissing})
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read archive secret: %w", err)
	}
	ask := archive.Ask{Way: archive.Trusted, Corp: r.corp.ID, Registered: r.corp.CreatedAt, By: "pull", Force: r.force, Accepted: !r.corp.OpenOKAt.IsZero()}
	r.admission, r.state.Standing, err = r.Gate.Admit(ctx, ask, r.state.Standing)
	if err != nil || r.admission == nil {
		return false, err
	}
	if r.source, err = r.Sources.Source(ctx, r.corp.ID, archiveSecret); err != nil {
		return false, fmt.Errorf("start the library: %w", err)
	}
	if r.head, err = r.Ledger.Head(ctx, r.corp.ID); err != nil {
		return false, fmt.Errorf("read head: %w", err)
	}
	for {
		if r.nearlyOver(ctx) {
			return true, nil
		}
		step := r.page
		if r.state.GapSearch != nil && r.state.GapSearch.After == r.head.Last {
			step = r.searchGap
		} else {
			r.state.GapSearch = nil
		}
		done, err := step(ctx)
		if done || err != nil {
			return false, err
		}
	}
}

func (r *pullRun) nearlyOver(ctx context.Context) bool {
	return archive.NearlyOver(ctx, r.Now(), stopMargin)
}

// page requests one page after the head and makes it durable. done means that
// this pull ends.
func (r *pullRun) page(ctx context.Context) (done bool, err error) {
	limit := r.limit()
	raw, answer, failure, err := r.ask(ctx, r.head.Last, limit)
	if failure != nil && failure.Native && failure.Code == archive.CodeExpired {
		// WeCom has deleted what follows the head. According to its documents, WeCom then
		// continues with the oldest record that it keeps. If it returns an error instead,
		// a call with seq 0 has the same effect.
		raw, answer, failure, err = r.ask(ctx, 0, limit)
	}
	if err != nil {
		return true, err
	}
	if failure == nil {
		if err := archive.CheckOrder(r.head.Last, answer.Records); err != nil {
			r.Log.ErrorContext(ctx, "seqs of page do not increase", "corp", r.corp.ID, "after", r.head.Last, "err", err)
			failure = &archive.Trouble{Cause: archive.CauseBadAnswer, Op: "GetChatData"}
		}
	}
	if failure != nil {
		return r.failed(ctx, *failure, limit)
	}
	if err := r.accepted(ctx); err != nil {
		return true, err
	}
	if len(answer.Records) == 0 {
		if now := r.Now(); archive.HoursLeft(r.corp, r.state, now) < 0 { // dispatch may have missed it
			if err := r.Ledger.RecordLoss(ctx, archive.LossOf(r.corp, r.state)); err != nil {
				return true, fmt.Errorf("record loss: %w", err)
			}
		}
		r.state.LastEmptyAt = r.state.LastCallAt // messages that arrived during the call may be missing in the answer
		r.state.Limit = 0
		return true, nil
	}
	if err := r.keep(ctx, raw, answer.Records); err != nil {
		return true, err
	}
	if r.state.Limit = limit * 2; r.state.Limit >= PageLimit {
		r.state.Limit = 0
	}
	return false, nil
}

func (r *pullRun) limit() int {
	if r.state.Limit < 1 || r.state.Limit > PageLimit {
		return PageLimit
	}
	return r.state.Limit
}

// accepted notes that WeCom answered a call with errcode 0.
func (r *pullRun) accepted(ctx context.Context) (err error) {
	r.state.Standing, err = r.Gate.Answered(ctx, r.admission, r.state.Standing)
	return err
}

// rowTime is the time of a new row: the present one, but not before that of the last
// row, because readers search the rows by their times and two processes' clocks differ
// a little. A last row whose clock was wrong is ignored.
func (r *pullRun) rowTime() time.Time {
	now := r.Now().Truncate(time.Millisecond)
	if last := r.head.At; last.After(now) && last.Sub(now) <= clocksDiffer {
		return last
	}
	return now
}

// keep makes a page durable and requests its decoding, or leaves it to the decoder
// that finishes a page of the same lane.
func (r *pullRun) keep(ctx context.Context, raw []byte, records []archive.Record) error {
	room, err := r.Puller.pages().Room(ctx, r.corp.ID, r.head.Last)
	if err != nil {
		return err
	}
	row := archive.Row{
		Corp:  r.corp.ID,
		Kind:  archive.PageRow,
		After: r.head.Last,
		First: records[0].Seq,
		Last:  records[len(records)-1].Seq,
		Count: len(records),
		Sum:   archive.Digest(raw),
		Size:  len(raw),
		At:    r.rowTime(),
		Prev:  r.head.Hash,
		State: archive.RowRequested,
	}
	if room {
		row.Tries = 1
	}
	row.Hash = archive.ChainHash(row)
	if err := r.Journal.PutPage(ctx, row, raw); err != nil {
		return fmt.Errorf("write page after %d to the journal: %w", row.After, err)
	}
	appended, err := r.append(ctx, row)
	if err != nil || !appended {
		return err
	}
	r.pages++
	r.records += row.Count
	r.state.LastPageAt = row.At
	if !room {
		// The decoder may have finished the pages before this one was pending.
		return r.Puller.pages().RequestOwn(ctx, r.corp.ID, row.After)
	}
	if err := r.Decodes.RequestDecodes(ctx, archive.DecodeRequest{Corp: r.corp.ID, After: row.After}); err != nil {
		return fmt.Errorf("request decoding of page after %d: %w", row.After, err)
	}
	return nil
}

// append moves the head to row. If another puller moved the head first, append
// reads the head again and appends nothing: the other puller's page covers the
// same records.
func (r *pullRun) append(ctx context.Context, row archive.Row) (bool, error) {
	err := r.Ledger.Append(ctx, r.head, row)
	if err == nil {
		r.head = r.head.Next(row)
		return true, nil
	}
	if !errors.Is(err, archive.ErrConflict) {
		return false, fmt.Errorf("append row after %d: %w", row.After, err)
	}
	if r.head, err = r.Ledger.Head(ctx, r.corp.ID); err != nil {
		return false, fmt.Errorf("read head again: %w", err)
	}
	return false, nil
}

// ask calls the library, at most 600 times a minute, and repeats a call if the
// failure looks temporary. failure is a failure of WeCom or of the library; err
// is the end of the context, or a failure of our own.
func (r *pullRun) ask(ctx context.Context, after uint64, limit int) (raw []byte, a archive.Answer, failure *archive.Trouble, err error) {
	for try := 1; ; try++ {
		if wait := callPause - r.Now().Sub(r.state.LastCallAt); wait > 0 {
			if err := r.Sleep(ctx, min(wait, callPause)); err != nil {
				return nil, archive.Answer{}, nil, err
			}
		}
		r.state.LastCallAt = r.Now()
		r.calls++
		raw, err = r.source.ChatData(ctx, after, limit)
		if ctx.Err() != nil {
			return nil, archive.Answer{}, nil, ctx.Err()
		}
		var again bool
		a, failure, again, err = r.readAnswer(ctx, raw, err)
		if failure != nil && limit == 1 && aboutRecords(*failure) {
			again = true // no page is smaller, so the same call is repeated
		}
		if err != nil || !again || try == archive.Tries || r.nearlyOver(ctx) {
			return raw, a, failure, err
		}
		if err := r.Sleep(ctx, archive.RetryPause); err != nil {
			return nil, archive.Answer{}, nil, err
		}
	}
}

// readAnswer reads both levels of error of one call (law 10).
func (r *pullRun) readAnswer(ctx context.Context, raw []byte, callErr error) (a archive.Answer, failure *archive.Trouble, again bool, err error) {
	if callErr != nil {
		f, known := archive.LibraryFailed(callErr)
		if !known {
			return archive.Answer{}, nil, false, fmt.Errorf("ask WeCom: %w", callErr)
		}
		if f.Cause == archive.CauseLibraryCrash || f.Cause == archive.CauseLibraryMissing {
			r.Log.ErrorContext(ctx, "library failed", "corp", r.corp.ID, "err", callErr)
		}
		return archive.Answer{}, &f.Trouble, f.Response == archive.RespondRetry, nil
	}
	if a, err = archive.ParseAnswer(raw); err != nil {
		r.Log.ErrorContext(ctx, "answer of WeCom unreadable", "corp", r.corp.ID, "err", err)
		return archive.Answer{}, &archive.Trouble{Cause: archive.CauseBadAnswer, Op: "GetChatData"}, true, nil
	}
	if a.ErrCode != 0 {
		cause, respond := archive.Classify("GetChatData", a.ErrCode, false)
		return a, &archive.Trouble{Cause: cause, Op: "GetChatData", Code: a.ErrCode, FromIP: a.FromIP}, respond == archive.RespondRetry, nil
	}
	return a, nil, false, nil
}

// failed records a failure and decides whether the pull goes on.
func (r *pullRun) failed(ctx context.Context, t archive.Trouble, limit int) (done bool, err error) {
	r.trouble(t)
	_, respond := archive.Classify(t.Op, t.Code, t.Native)
	switch {
	case aboutRecords(t):
		if limit > 1 {
			r.state.Limit = limit / 2
			return false, nil
		}
		r.beginSearch(t)
		return true, nil
	case t.Cause == archive.CauseBadAnswer:
		// Smaller pages are requested, down to one record. If that record alone
		// breaks the rules too, the head stays before it, and the corp's state shows
		// the trouble.
		if limit > 1 {
			r.state.Limit = limit / 2
			return false, nil
		}
		return true, nil
	}
	var pause time.Duration
	if respond == archive.RespondPause {
		pause = archive.PauseLong
	}
	r.state.Standing, err = r.Gate.Refused(ctx, r.admission, r.state.Standing, t, respond, pause)
	return true, err
}

// trouble notes why the pull stops.
func (r *pullRun) trouble(t archive.Trouble) {
	r.state.Standing = r.state.Paused(t, r.Now(), 0)
}
