package archivetest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// Running implements [decode.RunningJobs].
func (l *Ledger) Running(ctx context.Context, corp string, verify bool) (decode.Running, error) {
	return read(ctx, l.faults, "Ledger.Running", corp, func() (decode.Running, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		r, ok := l.of(corp).running[verify]
		if !ok {
			return decode.Running{}, archive.ErrNotFound
		}
		return r, nil
	})
}

// AllRunning implements [watch.Ledger].
func (l *Ledger) AllRunning(ctx context.Context) ([]decode.Running, error) {
	return read(ctx, l.faults, "Ledger.AllRunning", "", func() ([]decode.Running, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		var all []decode.Running
		for _, corp := range slices.Sorted(maps.Keys(l.chains)) {
			for _, verify := range []bool{false, true} {
				if r, ok := l.chains[corp].running[verify]; ok {
					all = append(all, r)
				}
			}
		}
		return all, nil
	})
}

// SetRunning implements [decode.RunningJobs].
func (l *Ledger) SetRunning(ctx context.Context, r decode.Running) error {
	return write(ctx, l.faults, "Ledger.SetRunning", r.Corp, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, ok := l.of(r.Corp).running[r.Verify]; ok {
			return archive.ErrExists
		}
		l.keepRunning(r)
		return nil
	})
}

// ReplaceRunning implements [decode.RunningJobs].
func (l *Ledger) ReplaceRunning(ctx context.Context, old, now decode.Running) error {
	return write(ctx, l.faults, "Ledger.ReplaceRunning", now.Corp, func() error {
		if old.Corp != now.Corp || old.Verify != now.Verify {
			l.t.Errorf("running job %+v replaced by %+v", old, now)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.isRunning(old) {
			return archive.ErrConflict
		}
		l.keepRunning(now)
		return nil
	})
}

// RemoveRunning implements [decode.RunningJobs].
func (l *Ledger) RemoveRunning(ctx context.Context, old decode.Running) error {
	return write(ctx, l.faults, "Ledger.RemoveRunning", old.Corp, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.isRunning(old) {
			return archive.ErrConflict
		}
		delete(l.of(old.Corp).running, old.Verify)
		return nil
	})
}

// isRunning compares with the stored one. The caller holds mu.
func (l *Ledger) isRunning(r decode.Running) bool {
	stored, ok := l.of(r.Corp).running[r.Verify]
	return ok && stored.ID == r.ID && stored.RequestedAt.Equal(r.RequestedAt) && stored.KeyCame == r.KeyCame
}

// keepRunning stores a running job. The caller holds mu.
func (l *Ledger) keepRunning(r decode.Running) {
	if r.Corp == "" || r.ID == "" || r.RequestedAt.Equal(time.Time{}) {
		l.t.Errorf("running job %+v: want a corp, an id and the time of a request", r)
	}
	r.RequestedAt = kept(r.RequestedAt)
	l.of(r.Corp).running[r.Verify] = r
}
