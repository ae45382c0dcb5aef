package watch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

const (
	setAsideRead = 1000 // records set aside that are read of one corp
	pendingRead  = 1000 // pending pages that are read of one corp
	calmTicks    = 5    // the most ticks between two looks at a calm corp
)

// sight is what a tick sees of a corp, beside its settings and its pull state.
type sight struct {
	setAside  []archive.SetAside
	moreAside bool
	// Why the records set aside, the pages or the files are unknown; nil if they are known.
	setAsideErr, pagesErr, filesErr error
	overdue                         []archive.Pending // whose turn in their lane has come
	late                            int               // overdue pages, whether their turn has come or not
	stuck                           int               // those of them that are stuck
	lanes                           []int             // lanes with files that are due
	filesLeft                       time.Duration     // until WeCom deletes the next waiting file
	unverified                      bool              // the last weekly verification is late
	pending                         int               // pages that are not decoded, overdue or not
	wait                            bool              // files wait
	spared                          bool              // the corp was calm, and nothing was read
}

// A corp is calm after a look that found nothing. Records set aside, pending pages and
// waiting files come from pages, or rarely from a replay.
type calm struct {
	at     time.Time // of the look
	pageAt time.Time // when the last page had come then
}

// spares reports whether the corp is calm still: no page came since. It is looked at
// at every [calmTicks]-th tick all the same. That keeps what a replay adds, or a page
// whose state was not saved, from waiting for longer.
func (t *tick) spares(c archive.Corp) bool {
	last, ok := t.calm[c.ID]
	return ok && !t.hasTurn(c.ID, calmTicks) && t.now.Sub(last.at) < calmTicks*time.Minute && t.states[c.ID].LastPageAt.Equal(last.pageAt)
}

// remember notes which corps are calm, for the next ticks of this process.
func (t *tick) remember() {
	now := make(map[string]calm)
	for i, c := range t.corps {
		switch s := t.seen[i]; {
		case s.spared:
			now[c.ID] = t.calm[c.ID]
		case s.setAsideErr == nil && s.pagesErr == nil && s.filesErr == nil && len(s.setAside) == 0 && s.pending == 0 && !s.wait:
			now[c.ID] = calm{at: t.now, pageAt: t.states[c.ID].LastPageAt}
		}
	}
	t.calm = now
}

// errUnseen says that the time of look was over before it reached the corp.
var errUnseen = errors.New("time of the step over")

// look reads what each corp has set aside, which of its pages are pending, and
// which of its files wait: one read for each question. It reads nothing of a corp that
// is calm. It also counts these for the fleet. What could not be read is not counted.
func (t *tick) look(ctx context.Context) error {
	t.seen = make([]sight, len(t.corps))
	for i := range t.seen {
		t.seen[i] = sight{setAsideErr: errUnseen, pagesErr: errUnseen, filesErr: errUnseen}
	}
	err := t.eachCorp(ctx, func(i int, c archive.Corp) error {
		s := &t.seen[i]
		if t.spares(c) {
			*s = sight{spared: true, filesLeft: archive.Retention}
		} else {
			s.setAsideErr, s.pagesErr, s.filesErr = t.lookAside(ctx, c, s), t.lookPages(ctx, c, s), t.lookFiles(ctx, c, s)
		}
		var err error
		s.unverified, err = t.lookVerified(ctx, c)
		return errors.Join(s.setAsideErr, s.pagesErr, s.filesErr, err)
	})
	t.remember()
	for _, s := range t.seen {
		if s.unverified {
			t.fleet.Unverified++
		}
	}
	if t.all(func(s sight) error { return s.setAsideErr }) {
		t.countAside()
	}
	if t.all(func(s sight) error { return s.pagesErr }) {
		t.countPages()
	}
	if t.all(func(s sight) error { return s.filesErr }) {
		t.countFiles()
	}
	return err
}

// all reports whether a question was answered for every corp.
func (t *tick) all(failed func(sight) error) bool {
	return !slices.ContainsFunc(t.seen, func(s sight) bool { return failed(s) != nil })
}

func (t *tick) lookAside(ctx context.Context, c archive.Corp, s *sight) (err error) {
	if s.setAside, s.moreAside, err = t.SetAside.ListSetAside(ctx, c.ID, 0, setAsideRead); err != nil {
		return fmt.Errorf("list records set aside of %s: %w", c.ID, err)
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
	s.pending = len(pages)
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
	s.lanes, s.filesLeft, s.wait = lanes, t.filesLeft(c, next), len(lanes) > 0 || !next.IsZero()
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
