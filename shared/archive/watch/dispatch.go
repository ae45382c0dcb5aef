// Package watch is the round of every minute: it requests pulls and whatever
// was left behind, records losses, notifies people of changes and measures
// the fleet (laws 3 and 9).
package watch

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// CorpLister lists every registered corp, in no order. The sequence ends
// after the first error.
type CorpLister interface {
	Corps(ctx context.Context) iter.Seq2[archive.Corp, error]
}

// A DispatchLedger is what the dispatcher looks at. Safe for concurrent use.
type Ledger interface {
	// PullStates reads the states of the corps, those never saved included.
	PullStates(ctx context.Context, corps []string) (map[string]archive.PullState, error)
	// PendingBefore lists pages whose last decode request is older than
	// before, oldest seq first, at most limit.
	PendingBefore(ctx context.Context, corp string, before time.Time, limit int) ([]archive.Pending, error)
	// Rerequested notes another decode request on a pending page, as p was
	// read: Tries goes up by one, and Stuck may be set, which also sets the
	// row's state. [archive.ErrConflict] if the page was requested or decoded
	// meanwhile.
	Rerequested(ctx context.Context, p archive.Pending, at time.Time, stuck bool) error
	// RecordLoss stores a loss once: the same Corp and Since again changes
	// nothing.
	RecordLoss(ctx context.Context, l archive.Loss) error
	// Told reads what people were last told of the corps, those of whom they
	// were told nothing included.
	Notified(ctx context.Context, corps []string) (map[string]Notified, error)
	// SaveTold replaces old by now; [archive.ErrConflict] if it is no longer old.
	SaveNotified(ctx context.Context, old, now Notified) error
	// UnfinishedReplays and AdvanceReplay are as for [decode.ReplayLedger].
	UnfinishedReplays(ctx context.Context, corp string, before time.Time) ([]decode.Replay, error)
	AdvanceReplay(ctx context.Context, old, now decode.Replay) error
}

// An AsideLister lists rows set aside with a seq above after, lowest first, at
// most limit, and whether there are more. They may be some seconds old. Safe
// for concurrent use.
type SetAsideLister interface {
	ListSetAside(ctx context.Context, corp string, after uint64, limit int) (list []archive.SetAside, more bool, err error)
}

// A WaitingFiles tells of files that wait. Safe for concurrent use.
type WaitingFiles interface {
	// Waiting are the lanes in which a file waits that could have been fetched
	// before the given time, and the next deadline after now of any that waits;
	// zero for none. It may miss what is some seconds old.
	Waiting(ctx context.Context, corp string, before, now time.Time) (lanes []int, next time.Time, err error)
}

// The dispatcher's times and bounds.
const (
	overdueAfter  = 15 * time.Minute // a decode request is given up for lost after this
	stuckAfter    = 5                // requests; then once an hour
	stuckPause    = time.Hour
	callbackLive  = 15 * time.Minute // a corp whose last callback is younger gets every fifth tick only
	fewTicks      = 5
	backlogBound  = 50 // decode requests waiting; above it only lonely pages are requested again
	fewOverdue    = 5  // overdue pages of a corp: more are a backlog of its own
	pendingRead   = 10_000
	rerequestCorp = 20  // pages requested again, per corp and tick
	rerequestAll  = 200 // of all corps
	corpsAtOnce   = 16
	fileOverdue   = time.Minute // a file that is due for longer is asked for again
	mediaBound    = 500         // media requests waiting; above it none is added
	setAsideRead  = 1000        // rows set aside that are counted of one corp
	notifyEach    = 10          // changes to one health that get a message each; more share some
)

// A Dispatcher is the guarantee that callbacks are not (law 3): at every tick
// it asks for a pull of each corp that is due, requests again what was not
// decoded, records what may have been lost, tells people of corps whose
// health changed, and measures the fleet. Its fields never change.
type Dispatcher struct {
	Corps       CorpLister
	Ledger      Ledger
	SetAside    SetAsideLister
	Pulls       archive.PullQueue
	Decodes     archive.DecodeQueue
	DecodeDepth archive.QueueDepth
	Files       WaitingFiles
	Media       media.Queue
	MediaDepth  archive.QueueDepth
	Notifier    Notifier
	Metrics     Metrics
	Now         func() time.Time
	Log         *slog.Logger
}

// Tick does one round. A failure with one corp is reported at the end and
// stops no other.
func (d *Dispatcher) Tick(ctx context.Context) error {
	now := d.Now()
	var corps []archive.Corp
	for c, err := range d.Corps.Corps(ctx) {
		if err != nil {
			return fmt.Errorf("list corps: %w", err)
		}
		corps = append(corps, c)
	}
	ids := make([]string, len(corps))
	for i, c := range corps {
		ids[i] = c.ID
	}
	states, err := d.Ledger.PullStates(ctx, ids)
	if err != nil {
		return fmt.Errorf("read pull states: %w", err)
	}
	fleet := Fleet{LeastLeft: archive.Retention}
	err = errors.Join(
		d.requestPulls(ctx, corps, states, now),
		d.recordLosses(ctx, corps, states, now),
		d.requestAgain(ctx, corps, now, &fleet),
		d.requestFiles(ctx, corps, states, now, &fleet),
		d.notifyChanges(ctx, corps, states, now, &fleet),
	)
	d.Metrics.Fleet(ctx, fleet)
	return err
}

func (d *Dispatcher) requestPulls(ctx context.Context, corps []archive.Corp, states map[string]archive.PullState, now time.Time) error {
	minute := now.Unix() / 60
	var reqs []archive.PullRequest
	for _, c := range corps {
		if !c.Enabled || !states[c.ID].Due(c.SecretSetAt, now) {
			continue
		}
		if now.Sub(c.CallbackAt) < callbackLive && (minute+int64(turn(c.ID)))%fewTicks != 0 {
			continue
		}
		reqs = append(reqs, archive.PullRequest{Corp: c.ID, Why: "timer"})
	}
	if err := d.Pulls.RequestPulls(ctx, reqs...); err != nil {
		return fmt.Errorf("request %d pulls: %w", len(reqs), err)
	}
	d.Log.InfoContext(ctx, "tick", "corps", len(corps), "pulls", len(reqs))
	return nil
}

// turn spreads the corps that get only some ticks evenly over them.
func turn(corp string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(corp))
	return h.Sum32() % fewTicks
}

// recordLosses keeps law 9: past 120 hours without an empty page WeCom may
// have deleted what was not pulled.
func (d *Dispatcher) recordLosses(ctx context.Context, corps []archive.Corp, states map[string]archive.PullState, now time.Time) error {
	var errs []error
	for _, c := range corps {
		if !c.Enabled {
			continue
		}
		s := states[c.ID]
		left := archive.HoursLeft(c, s, now)
		if left > 0 {
			continue
		}
		loss := archive.LossOf(c, s)
		d.Log.ErrorContext(ctx, "messages may have been lost", "corp", c.ID, "since", loss.Since)
		if err := d.Ledger.RecordLoss(ctx, loss); err != nil {
			errs = append(errs, fmt.Errorf("record loss of %s: %w", c.ID, err))
		}
	}
	return errors.Join(errs...)
}

// requestAgain requests pages and jobs whose request was lost, and counts the
// pages. While many requests wait, pages that were not decoded in time are most
// likely waiting too, and nothing is added of a corp with many. One with few is
// still asked for: the backlog may be another corp's (law 8).
func (d *Dispatcher) requestAgain(ctx context.Context, corps []archive.Corp, now time.Time, fleet *Fleet) error {
	fleet.Overdue, fleet.Stuck = -1, -1
	depth, err := d.DecodeDepth.Depth(ctx)
	if err != nil {
		return fmt.Errorf("read depth of the decode queue: %w", err)
	}
	backlog := depth > backlogBound
	if backlog {
		d.Log.InfoContext(ctx, "decode queue is long, little requested again", "depth", depth)
	}
	var budget, overdue, stuck atomic.Int64
	budget.Store(rerequestAll)
	err = eachCorp(corps, func(_ int, c archive.Corp) error {
		pending, err := d.Ledger.PendingBefore(ctx, c.ID, now.Add(-overdueAfter), pendingRead)
		if err != nil {
			return fmt.Errorf("list pending pages of %s: %w", c.ID, err)
		}
		for _, p := range pending {
			overdue.Add(1)
			if p.Stuck {
				stuck.Add(1)
			}
		}
		if backlog && len(pending) > fewOverdue {
			return nil
		}
		return d.requestCorpAgain(ctx, c.ID, pending, now, &budget)
	})
	if err == nil {
		fleet.Overdue, fleet.Stuck = int(overdue.Load()), int(stuck.Load())
	}
	return err
}

// requestFiles requests files that are due, because their request was lost or
// they were to be tried again, and measures how long WeCom has those that wait.
// Where they are being fetched one by one, asking once more costs a look at the
// table.
func (d *Dispatcher) requestFiles(ctx context.Context, corps []archive.Corp, states map[string]archive.PullState, now time.Time, fleet *Fleet) error {
	fleet.FilesLeft = -1
	depth, depthErr := d.MediaDepth.Depth(ctx)
	if depthErr != nil {
		depthErr = fmt.Errorf("read depth of the media queue: %w", depthErr)
	} else if depth > mediaBound {
		d.Log.InfoContext(ctx, "media queue is long, nothing requested again", "depth", depth)
	}
	minute := now.Unix() / 60
	left := make([]time.Duration, len(corps))
	err := eachCorp(corps, func(i int, c archive.Corp) error {
		lanes, next, err := d.Files.Waiting(ctx, c.ID, now.Add(-fileOverdue), now)
		if err != nil {
			return fmt.Errorf("look for files of %s that wait: %w", c.ID, err)
		}
		left[i] = archive.Retention
		if c.Enabled && !next.IsZero() {
			left[i] = min(next.Sub(now), archive.Retention)
		}
		if left[i] < lateBelow {
			d.Log.WarnContext(ctx, "files wait that WeCom deletes soon", "corp", c.ID, "hours_left", math.Round(left[i].Hours()))
		}
		held := media.FetchBlockedBy(c, states[c.ID]) != "" // then only what is past its time could be settled
		if depthErr != nil || depth > mediaBound || held && (minute+int64(turn(c.ID)))%fewTicks != 0 {
			return nil
		}
		if err := d.Media.RequestMedia(ctx, media.Requests(c.ID, lanes)...); err != nil {
			return fmt.Errorf("request files of %s: %w", c.ID, err)
		}
		return nil
	})
	if err == nil {
		fleet.FilesLeft = slices.Min(append(left, archive.Retention))
	}
	return errors.Join(depthErr, err)
}

// eachCorp calls f for every corp, some at a time. A failure stops no other.
func eachCorp(corps []archive.Corp, f func(i int, c archive.Corp) error) error {
	errs := make([]error, len(corps))
	var group errgroup.Group
	group.SetLimit(corpsAtOnce)
	for i, c := range corps {
		group.Go(func() error {
			errs[i] = f(i, c)
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(errs...)
}

func (d *Dispatcher) requestCorpAgain(ctx context.Context, corp string, pending []archive.Pending, now time.Time, budget *atomic.Int64) error {
	var reqs []archive.DecodeRequest
	for _, p := range pending {
		if p.Stuck && now.Sub(p.RequestedAt) < stuckPause {
			continue
		}
		if len(reqs) == rerequestCorp || budget.Add(-1) < 0 {
			break
		}
		stuck := p.Tries >= stuckAfter
		// Noted first: a crash before the request costs 15 minutes, the other
		// order could request one page twice.
		err := d.Ledger.Rerequested(ctx, p, now, stuck)
		if errors.Is(err, archive.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("note request of page after %d of %s: %w", p.After, corp, err)
		}
		level := slog.LevelWarn
		if stuck {
			level = slog.LevelError
		}
		d.Log.Log(ctx, level, "page not decoded, requested again", "corp", corp, "after", p.After, "tries", p.Tries+1, "stuck", stuck)
		reqs = append(reqs, archive.DecodeRequest{Corp: corp, After: p.After})
	}
	jobs, err := d.Ledger.UnfinishedReplays(ctx, corp, now.Add(-overdueAfter))
	if err != nil {
		return fmt.Errorf("list replays of %s: %w", corp, err)
	}
	for _, job := range jobs {
		next := job
		next.UpdatedAt = now
		err := d.Ledger.AdvanceReplay(ctx, job, next) // noted first, as pages are
		if errors.Is(err, archive.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("note request of job %s of %s: %w", job.ID, corp, err)
		}
		reqs = append(reqs, archive.DecodeRequest{Corp: corp, Replay: job.ID})
	}
	if err := d.Decodes.RequestDecodes(ctx, reqs...); err != nil {
		return fmt.Errorf("request decoding for %s: %w", corp, err)
	}
	return nil
}

// tellChanges tells people of every corp whose health is another than they
// were last told, and measures the fleet. They are told first and that they
// were is noted then: a crash between tells them twice, the other order could
// leave them without a word.
func (d *Dispatcher) notifyChanges(ctx context.Context, corps []archive.Corp, states map[string]archive.PullState, now time.Time, fleet *Fleet) error {
	ids := make([]string, len(corps))
	for i, c := range corps {
		ids[i] = c.ID
	}
	fleet.SetAside = -1
	told, toldErr := d.Ledger.Notified(ctx, ids)
	if toldErr != nil {
		toldErr = fmt.Errorf("read what people were told: %w", toldErr)
	}
	type rows struct {
		list []archive.SetAside
		more bool
		err  error
	}
	aside := make([]rows, len(corps))
	asideErr := eachCorp(corps, func(i int, c archive.Corp) error {
		r := &aside[i]
		if r.list, r.more, r.err = d.SetAside.ListSetAside(ctx, c.ID, 0, setAsideRead); r.err != nil {
			return fmt.Errorf("list rows set aside of %s: %w", c.ID, r.err)
		}
		return nil
	})
	if asideErr == nil {
		fleet.SetAside = 0
	}
	changes := make(map[Health][]Change)
	for i, c := range corps {
		rows, state, before := aside[i], states[c.ID], told[c.ID].Health
		left := archive.HoursLeft(c, state, now)
		health := HealthOf(c, state, len(rows.list), before, now)
		fleet.count(c, left, health)
		if asideErr == nil {
			fleet.SetAside += len(rows.list)
		}
		if before == "" {
			before = Off
		}
		if toldErr != nil || rows.err != nil || health == before {
			continue
		}
		changes[health] = append(changes[health], Change{
			Corp: c.ID, Name: c.Name, From: before, To: health, At: now, Trouble: state.Trouble, Left: left,
			SetAside: rows.list, MoreSetAside: rows.more,
		})
	}
	errs := []error{toldErr, asideErr}
	for _, health := range slices.Sorted(maps.Keys(changes)) {
		// One fault of ours may befall every corp at once.
		size := 1
		if len(changes[health]) > notifyEach {
			size = NotifyMost
		}
		for part := range slices.Chunk(changes[health], size) {
			errs = append(errs, d.notify(ctx, part, told, now))
		}
	}
	return errors.Join(errs...)
}

func (d *Dispatcher) notify(ctx context.Context, changes []Change, told map[string]Notified, now time.Time) error {
	for _, c := range changes {
		d.Log.InfoContext(ctx, "health changed", "corp", c.Corp, "from", c.From, "to", c.To)
	}
	if err := d.Notifier.Notify(ctx, changes); err != nil {
		return fmt.Errorf("tell of %d corps that are %s now: %w", len(changes), changes[0].To, err)
	}
	var errs []error
	for _, c := range changes {
		err := d.Ledger.SaveNotified(ctx, told[c.Corp], Notified{Corp: c.Corp, Health: c.To, At: now})
		if err != nil && !errors.Is(err, archive.ErrConflict) { // then another tick has told them
			errs = append(errs, fmt.Errorf("note what people were told of %s: %w", c.Corp, err))
		}
	}
	return errors.Join(errs...)
}

// count adds a corp to the fleet.
func (f *Fleet) count(c archive.Corp, left time.Duration, health Health) {
	if !c.Enabled {
		return
	}
	f.Corps++
	f.LeastLeft = min(f.LeastLeft, left)
	f.WorstLag = max(f.WorstLag, archive.Retention-left)
	if _, broken := health.Cause(); broken {
		f.Broken++
	}
	if health == Losing {
		f.Losing++
	}
}
