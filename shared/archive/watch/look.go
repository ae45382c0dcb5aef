package watch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

const (
	setAsideRead = 1000 // records set aside that are read of one corp
	pendingRead  = 1000 // pending pages that are read of one corp
)

// sight is what a tick sees of a corp, beside its settings and its pull state.
type sight struct {
	setAside    []archive.SetAside
	moreAside   bool
	setAsideErr error             // why setAside is unknown
	overdue     []archive.Pending // whose turn in their lane has come
	late        int               // overdue pages, whether their turn has come or not
	stuck       int               // those of them that are stuck
	lanes       []int             // lanes with files that are due
	filesLeft   time.Duration     // until WeCom deletes the next waiting file
}

// look reads what each corp has set aside, which of its pages are pending, and
// which of its files wait: one read for each question. It also counts these for
// the fleet. What could not be read is not counted.
func (t *tick) look(ctx context.Context) error {
	t.seen = make([]sight, len(t.corps))
	steps := []struct {
		look  func(context.Context, archive.Corp, *sight) error
		count func()
	}{{t.lookAside, t.countAside}, {t.lookPages, t.countPages}, {t.lookFiles, t.countFiles}}
	failed := make([]bool, len(steps))
	errs := make([][]error, len(t.corps))
	_ = t.eachCorp(func(i int, c archive.Corp) error {
		for _, s := range steps {
			errs[i] = append(errs[i], s.look(ctx, c, &t.seen[i]))
		}
		return nil
	})
	var all []error
	for _, of := range errs {
		for n, err := range of {
			failed[n] = failed[n] || err != nil
			all = append(all, err)
		}
	}
	for n, s := range steps {
		if !failed[n] {
			s.count()
		}
	}
	return errors.Join(all...)
}

func (t *tick) lookAside(ctx context.Context, c archive.Corp, s *sight) error {
	if s.setAside, s.moreAside, s.setAsideErr = t.SetAside.ListSetAside(ctx, c.ID, 0, setAsideRead); s.setAsideErr != nil {
		return fmt.Errorf("list records set aside of %s: %w", c.ID, s.setAsideErr)
	}
	return nil
}

func (t *tick) countAside() {
	t.fleet.SetAside = 0
	for _, s := range t.seen {
		t.fleet.SetAside += len(s.setAside)
	}
}

func (t *tick) lookPages(ctx context.Context, c archive.Corp, s *sight) error {
	pages, err := t.Ledger.Pendings(ctx, c.ID, pendingRead)
	if err != nil {
		return fmt.Errorf("list pending pages of %s: %w", c.ID, err)
	}
	var before [archive.DecodeLanes]int // pages of the lane that hold a place
	for _, p := range pages {
		lane := archive.DecodeLane(p.After)
		turn := !p.HoldsPlace() || before[lane] < archive.LaneRequests
		if p.HoldsPlace() {
			before[lane]++
		}
		if t.now.Sub(p.RequestedAt) <= overdueAfter {
			continue
		}
		if s.late++; p.Stuck {
			s.stuck++
		}
		if turn {
			s.overdue = append(s.overdue, p)
		}
	}
	return nil
}

func (t *tick) countPages() {
	t.fleet.Overdue, t.fleet.Stuck = 0, 0
	for _, s := range t.seen {
		t.fleet.Overdue += s.late
		t.fleet.Stuck += s.stuck
	}
}

func (t *tick) lookFiles(ctx context.Context, c archive.Corp, s *sight) error {
	lanes, next, err := t.Files.Waiting(ctx, c.ID, t.now.Add(-fileOverdue), t.now)
	if err != nil {
		return fmt.Errorf("list waiting files of %s: %w", c.ID, err)
	}
	s.lanes, s.filesLeft = lanes, t.filesLeft(c, next)
	if s.filesLeft < archive.LateBelow {
		t.Log.WarnContext(ctx, "waiting files deleted by WeCom soon", "corp", c.ID, "hours_left", math.Round(s.filesLeft.Hours()))
	}
	return nil
}

// filesLeft returns the time until the corp's next deadline of a waiting file.
func (t *tick) filesLeft(c archive.Corp, next time.Time) time.Duration {
	if !c.Enabled || next.IsZero() {
		return archive.Retention
	}
	return min(next.Sub(t.now), archive.Retention)
}

func (t *tick) countFiles() {
	t.fleet.FilesLeft = archive.Retention
	for _, s := range t.seen {
		t.fleet.FilesLeft = min(t.fleet.FilesLeft, s.filesLeft)
	}
}
