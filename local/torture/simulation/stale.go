package simulation

import (
	"context"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// staleFor is how old the answers may be of reads that need not be consistent.
const staleFor = 3 * time.Second

// staleLedger answers AllRunning, and Rows of the chain only, as they were some
// seconds ago.
type staleLedger struct {
	*archivetest.Ledger
	sim   *sim
	was   []decode.Running // before the last changes
	wasAt time.Time
}

// AllRunning implements [watch.Ledger].
func (l *staleLedger) AllRunning(ctx context.Context) ([]decode.Running, error) {
	now, err := l.Ledger.AllRunning(ctx)
	if err == nil && time.Since(l.wasAt) <= staleFor && l.sim.chance(2) {
		return slices.Clone(l.was), nil
	}
	return now, err
}

// SetRunning implements [decode.RunningJobs].
func (l *staleLedger) SetRunning(ctx context.Context, r decode.Running) error {
	l.keep()
	return l.Ledger.SetRunning(ctx, r)
}

// ReplaceRunning implements [decode.RunningJobs].
func (l *staleLedger) ReplaceRunning(ctx context.Context, old, now decode.Running) error {
	l.keep()
	return l.Ledger.ReplaceRunning(ctx, old, now)
}

// RemoveRunning implements [decode.RunningJobs].
func (l *staleLedger) RemoveRunning(ctx context.Context, old decode.Running) error {
	l.keep()
	return l.Ledger.RemoveRunning(ctx, old)
}

// keep notes the present answer before a change, unless a younger one is kept.
func (l *staleLedger) keep() {
	if time.Since(l.wasAt) > staleFor {
		l.was, _ = l.Ledger.AllRunning(context.Background()) // without a process, it always works
		l.wasAt = time.Now()
	}
}

// Rows implements [decode.ReplayLedger].
func (l *staleLedger) Rows(ctx context.Context, corp string, q archive.RowQuery) ([]archive.Row, error) {
	rows, err := l.Ledger.Rows(ctx, corp, q)
	if n := len(rows); err == nil && q.ChainOnly && !q.Descending && n > 0 && n < q.Limit && time.Since(rows[n-1].At) < staleFor && l.sim.chance(2) {
		return rows[:n-1], nil
	}
	return rows, err
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
