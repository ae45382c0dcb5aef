package simulation

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// staleFor is how old the answers may be of reads that need not be consistent.
const staleFor = 3 * time.Second

// past has what a read answered some seconds ago.
type past[T any] struct {
	sim *sim
	mu  sync.Mutex
	was map[string]moment[T] // by corp: before the last changes
}

type moment[T any] struct {
	answer T
	at     time.Time
}

func newPast[T any](s *sim) *past[T] { return &past[T]{sim: s, was: make(map[string]moment[T])} }

// keep notes the present answer before a change, unless a younger one is kept.
func (p *past[T]) keep(corp string, present func() T) {
	if p.sim.weather.stale == 0 || p.sim.calm {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.was[corp].at) > staleFor {
		p.was[corp] = moment[T]{present(), time.Now()}
	}
}

// read returns an answer of the last seconds: the present one, or an older one.
func (p *past[T]) read(corp string, present T) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, kept := p.was[corp]; kept && time.Since(old.at) <= staleFor && p.sim.chance(2) {
		return old.answer
	}
	return present
}

// staleLedger answers the reads as they were some seconds ago that need not be
// consistent: AllRunning, PullStates, Pendings and Notified, and Rows of the chain
// only.
type staleLedger struct {
	*archivetest.Ledger
	sim      *sim
	running  *past[[]decode.Running] // of all corps: by the empty text
	states   *past[archive.PullState]
	pending  *past[[]archive.Pending]
	notified *past[watch.Notified]
}

func newStaleLedger(s *sim) *staleLedger {
	return &staleLedger{
		Ledger: s.world.Ledger, sim: s, running: newPast[[]decode.Running](s), states: newPast[archive.PullState](s),
		pending: newPast[[]archive.Pending](s), notified: newPast[watch.Notified](s),
	}
}

// AllRunning implements [watch.Ledger].
func (l *staleLedger) AllRunning(ctx context.Context) ([]decode.Running, error) {
	now, err := l.Ledger.AllRunning(ctx)
	if err == nil {
		now = slices.Clone(l.running.read("", now))
	}
	return now, err
}

// SetRunning implements [decode.RunningJobs].
func (l *staleLedger) SetRunning(ctx context.Context, r decode.Running) error {
	l.keepRunning()
	return l.Ledger.SetRunning(ctx, r)
}

// ReplaceRunning implements [decode.RunningJobs].
func (l *staleLedger) ReplaceRunning(ctx context.Context, old, now decode.Running) error {
	l.keepRunning()
	return l.Ledger.ReplaceRunning(ctx, old, now)
}

// RemoveRunning implements [decode.RunningJobs].
func (l *staleLedger) RemoveRunning(ctx context.Context, old decode.Running) error {
	l.keepRunning()
	return l.Ledger.RemoveRunning(ctx, old)
}

func (l *staleLedger) keepRunning() {
	l.running.keep("", func() []decode.Running {
		was, _ := l.Ledger.AllRunning(context.Background()) // without a process, it always works
		return was
	})
}

// PullStates implements [watch.Ledger].
func (l *staleLedger) PullStates(ctx context.Context, corps []string) (map[string]archive.PullState, error) {
	now, err := l.Ledger.PullStates(ctx, corps)
	if err == nil {
		for _, corp := range corps {
			now[corp] = l.states.read(corp, now[corp])
		}
	}
	return now, err
}

// SavePullState implements [pull.Ledger].
func (l *staleLedger) SavePullState(ctx context.Context, s archive.PullState) error {
	l.states.keep(s.Corp, func() archive.PullState {
		was, _ := l.Ledger.PullState(context.Background(), s.Corp)
		return was
	})
	return l.Ledger.SavePullState(ctx, s)
}

// Pendings implements [watch.Ledger].
func (l *staleLedger) Pendings(ctx context.Context, corp string, limit int) ([]archive.Pending, error) {
	now, err := l.Ledger.Pendings(ctx, corp, limit)
	if err == nil {
		now = slices.Clone(l.pending.read(corp, now))
	}
	return now[:min(len(now), limit)], err
}

// Append implements [pull.Ledger].
func (l *staleLedger) Append(ctx context.Context, prev archive.Head, row archive.Row) error {
	l.keepPending(row.Corp)
	return l.Ledger.Append(ctx, prev, row)
}

// Finish implements [decode.Ledger].
func (l *staleLedger) Finish(ctx context.Context, corp string, after uint64, result archive.Result, files []string) error {
	l.keepPending(corp)
	return l.Ledger.Finish(ctx, corp, after, result, files)
}

// NoteRequest implements [archive.PendingPages].
func (l *staleLedger) NoteRequest(ctx context.Context, p archive.Pending, at time.Time, stuck bool) error {
	l.keepPending(p.Corp)
	return l.Ledger.NoteRequest(ctx, p, at, stuck)
}

func (l *staleLedger) keepPending(corp string) {
	l.pending.keep(corp, func() []archive.Pending {
		was, _ := l.Ledger.Pendings(context.Background(), corp, 1000)
		return was
	})
}

// Notified implements [watch.Ledger].
func (l *staleLedger) Notified(ctx context.Context, corps []string) (map[string]watch.Notified, error) {
	now, err := l.Ledger.Notified(ctx, corps)
	if err == nil {
		for _, corp := range corps {
			now[corp] = l.notified.read(corp, now[corp])
		}
	}
	return now, err
}

// SaveNotified implements [watch.Ledger].
func (l *staleLedger) SaveNotified(ctx context.Context, old, now watch.Notified) error {
	l.notified.keep(now.Corp, func() watch.Notified {
		was, _ := l.Ledger.Notified(context.Background(), []string{now.Corp})
		return was[now.Corp]
	})
	return l.Ledger.SaveNotified(ctx, old, now)
}

// Rows implements [decode.ReplayLedger].
func (l *staleLedger) Rows(ctx context.Context, corp string, q archive.RowQuery) ([]archive.Row, error) {
	rows, err := l.Ledger.Rows(ctx, corp, q)
	if n := len(rows); err == nil && q.ChainOnly && !q.Descending && n > 0 && n < q.Limit && time.Since(rows[n-1].At) < staleFor && l.sim.chance(2) {
		return rows[:n-1], nil
	}
	return rows, err
}

// staleCorps lists the corps as they were some seconds ago. So a corp that was
// erased since is still on the list.
type staleCorps struct {
	all    *archivetest.Corps
	listed *past[archive.Corp]
}

// Corps implements [watch.CorpLister].
func (c *staleCorps) Corps(ctx context.Context) iter.Seq2[archive.Corp, error] {
	return func(yield func(archive.Corp, error) bool) {
		now := make(map[string]archive.Corp)
		for corp, err := range c.all.Corps(ctx) {
			if err != nil {
				yield(archive.Corp{}, err)
				return
			}
			now[corp.ID] = corp
		}
		for _, id := range c.listed.sim.ids {
			if corp := c.listed.read(id, now[id]); corp.ID != "" && !yield(corp, nil) {
				return
			}
		}
	}
}

// SetEnabled is the method of [archivetest.Corps].
func (c *staleCorps) SetEnabled(ctx context.Context, id string, enabled bool, by, reason string, at time.Time) error {
	c.keep(id)
	return c.all.SetEnabled(ctx, id, enabled, by, reason, at)
}

// SetSecret is the method of [archivetest.Corps].
func (c *staleCorps) SetSecret(ctx context.Context, id, prefix string, at time.Time) error {
	c.keep(id)
	return c.all.SetSecret(ctx, id, prefix, at)
}

// TouchCallback is the method of [archivetest.Corps].
func (c *staleCorps) TouchCallback(ctx context.Context, id string, at time.Time) error {
	c.keep(id)
	return c.all.TouchCallback(ctx, id, at)
}

func (c *staleCorps) keep(id string) {
	c.listed.keep(id, func() archive.Corp {
		was, _ := c.all.Corp(context.Background(), id)
		return was
	})
}

// staleView lists the records set aside as they were some seconds ago.
type staleView struct {
	viewInParts
	aside *past[[]archive.SetAside]
}

// ListSetAside implements [watch.SetAsideLister]. Only the first part of the list may
// be old.
func (v *staleView) ListSetAside(ctx context.Context, corp string, after uint64, limit int) ([]archive.SetAside, bool, error) {
	now, more, err := v.View.ListSetAside(ctx, corp, after, limit)
	if err == nil && after == 0 && !more {
		now = slices.Clone(v.aside.read(corp, now))
	}
	return now, more, err
}

// WritePage implements [decode.ViewWriter].
func (v *staleView) WritePage(ctx context.Context, p decode.Decoded) error {
	v.keep(p.Corp)
	return v.viewInParts.WritePage(ctx, p)
}

func (v *staleView) keep(corp string) {
	v.aside.keep(corp, func() []archive.SetAside {
		was, _, _ := v.View.ListSetAside(context.Background(), corp, 0, 1000)
		return was
	})
}

// staleFiles lists waiting files as they were some seconds ago: a lane may be
// missing whose file was listed since.
type staleFiles struct {
	*archivetest.Files
	sim *sim
}

// Waiting implements [watch.WaitingFiles].
func (f staleFiles) Waiting(ctx context.Context, corp string, before, now time.Time) ([]int, time.Time, error) {
	lanes, next, err := f.Files.Waiting(ctx, corp, before, now)
	if err == nil && len(lanes) > 0 && f.sim.chance(8) {
		return lanes[1:], next, nil
	}
	return lanes, next, err
}
