package watch_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// depth is a queue with so many requests in it.
type depth int

func (d depth) Depth(context.Context) (int, error) { return int(d), nil }

// gauge keeps the last numbers of the fleet.
type gauge struct{ last watch.Fleet }

func (g *gauge) Fleet(_ context.Context, f watch.Fleet) { g.last = f }

func newDispatch(t testing.TB, f *archivetest.Faults) (*archivetest.DecodeFixture, *watch.Dispatcher) {
	d := archivetest.NewDecodeFixture(t, f)
	return d, &watch.Dispatcher{
		Corps: d.Corps, Ledger: d.Ledger, SetAside: d.View, Pulls: d.Pulls, Decodes: d.Decodes, DecodeDepth: depth(0),
		Files: d.Files, Media: d.Media, MediaDepth: depth(0),
		Heads: d.Journal, Jobs: d.Replayer, Notifier: d.Notified, Metrics: &gauge{},
		Now: d.Clock.Now, Log: slog.New(slog.DiscardHandler),
	}
}

// Whichever call fails or is the last before a crash, the next tick makes up for
// it. One corp's failure stops no other (law 8).
func TestTickSurvivesEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		d, disp := newDispatch(t, f)
		d.Register("wwsecond000000000")
		d.AddKey(archivetest.Corp, "k1", 1)
		d.Say(archivetest.Corp, 1, 1)
		d.Must(d.Pull(archive.PullRequest{}))
		d.Decodes.Take()
		d.Clock.Advance(20 * time.Minute)
		arm()
		_ = disp.Tick(t.Context())
		f.Disarm()
		d.Clock.Advance(20 * time.Minute)
		d.Must(disp.Tick(t.Context()))
		d.Work()
		d.Check()
		if got := len(d.Pulls.Take()); got < 2 {
			t.Errorf("got %d pulls requested, want both corps", got)
		}
		if len(d.StoredIn(archivetest.SingleChat)) != 1 {
			t.Error("the page whose request was lost is not decoded")
		}
	})
}
