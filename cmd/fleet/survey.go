package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

const (
	atOnce       = 10 // companies that are read in parallel
	mostCounted  = 1000
	overdueAfter = 15 * time.Minute // as dispatch counts
)

// A ledger is the part of the ledger that a survey reads.
type ledger interface {
	PullStates(ctx context.Context, corps []string) (map[string]archive.PullState, error)
	Pendings(ctx context.Context, corp string, limit int) ([]archive.Pending, error)
	Notified(ctx context.Context, corps []string) (map[string]watch.Notified, error)
}

// A survey reads every company at one moment.
type survey struct {
	corps    watch.CorpLister
	ledger   ledger
	setAside watch.SetAsideLister
	files    watch.WaitingFiles
	now      time.Time
}

// company is what an operator sees of a company.
type company struct {
	archive.Corp
	health   watch.Health
	since    time.Time        // when people were notified of this health; zero if they were not
	trouble  *archive.Trouble // of the last pull
	left     time.Duration    // see [archive.HoursLeft]
	files    time.Duration    // until WeCom deletes the next waiting file; [archive.Retention] if none waits
	overdue  int              // pages requested over 15 minutes ago and not decoded, at most mostCounted
	stuck    int              // of these, those that are requested once an hour only
	setAside int              // records, at most mostCounted
	err      error            // why some of the above is unknown
}

// lag is the time since the company was last caught up.
func (c company) lag() time.Duration { return archive.Retention - c.left }

// companies lists every company, the worst first. The error says what could not
// be read; the list then lacks it, and names the companies that it is about.
func (s survey) companies(ctx context.Context) ([]company, error) {
	var all []company
	var ids []string
	for c, err := range s.corps.Corps(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list companies: %w", err)
		}
		all, ids = append(all, company{Corp: c}), append(ids, c.ID)
	}
	states, err := s.ledger.PullStates(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read the states of pulls: %w", err)
	}
	notified, err := s.ledger.Notified(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read the last notices: %w", err)
	}
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i := range all {
		g.Go(func() error {
			s.look(ctx, &all[i], states[all[i].ID], notified[all[i].ID])
			return nil
		})
	}
	_ = g.Wait() // look keeps its error with the company
	slices.SortFunc(all, worse)
	var errs []error
	for _, c := range all {
		if c.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.ID, c.err))
		}
	}
	return all, errors.Join(errs...)
}

// look reads what the settings and the state of pulls do not say, and decides the
// health as dispatch does.
func (s survey) look(ctx context.Context, c *company, state archive.PullState, n watch.Notified) {
	aside, _, asideErr := s.setAside.ListSetAside(ctx, c.ID, 0, mostCounted)
	pending, pendingErr := s.ledger.Pendings(ctx, c.ID, mostCounted)
	_, next, filesErr := s.files.Waiting(ctx, c.ID, s.now, s.now)
	c.err = errors.Join(asideErr, pendingErr, filesErr)
	c.setAside, c.trouble = len(aside), state.Trouble
	for _, p := range pending {
		if s.now.Sub(p.RequestedAt) <= overdueAfter {
			continue
		}
		if c.overdue++; p.Stuck {
			c.stuck++
		}
	}
	c.files = archive.Retention
	if !next.IsZero() {
		c.files = next.Sub(s.now)
	}
	c.left = archive.HoursLeft(c.Corp, state, s.now)
	c.health = watch.HealthOf(c.Corp, state, c.setAside, n.Health, s.now)
	if n.Health == c.health {
		c.since = n.At
	}
}

// rank orders the kinds of health: lost messages, then messages that do not come,
// then messages that cannot be read.
func (c company) rank() int {
	if _, broken := c.health.Cause(); broken {
		return 1
	}
	switch c.health {
	case watch.Losing:
		return 0
	case watch.Late:
		return 2
	case watch.SetAside:
		return 3
	case watch.Well:
		if c.stuck > 0 || c.err != nil {
			return 4
		}
		return 5
	}
	return 6 // switched off
}

// worse orders companies: those that need a person soonest come first.
func worse(a, b company) int {
	return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.left, b.left), cmp.Compare(a.files, b.files), cmp.Compare(b.overdue, a.overdue), cmp.Compare(a.ID, b.ID))
}
