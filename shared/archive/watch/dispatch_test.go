package watch_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

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
		Notifier: d.Notified, Metrics: &gauge{},
		Now: d.Clock.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func TestTickRequestsPulls(t *testing.T) {
	count := func(d *archivetest.DecodeFixture, disp *watch.Dispatcher, ticks int) int {
		n := 0
		for range ticks {
			d.Must(disp.Tick(t.Context()))
			n += len(d.Pulls.Take())
			d.Clock.Advance(time.Minute)
		}
		return n
	}
	t.Run("every minute without callbacks", func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		if got := count(d, disp, 10); got != 10 {
			t.Errorf("got %d pulls in 10 minutes, want 10", got)
		}
	})
	t.Run("every fifth where callbacks arrive", func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		n := 0
		for range 20 {
			d.Must(d.Corps.TouchCallback(t.Context(), archivetest.Corp, d.Clock.Now()))
			n += count(d, disp, 1)
		}
		if n != 4 {
			t.Errorf("got %d pulls in 20 minutes, want 4", n)
		}
		if got := count(d, disp, 30); got < 15 {
			t.Errorf("callbacks ceased: got %d pulls in 30 minutes, want most minutes again", got)
		}
	})
	t.Run("not while paused, at once when the secret changed", func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{
			Corp: archivetest.Corp, Standing: archive.Standing{SecretSetAt: archivetest.SecretSet, NotBefore: d.Clock.Now().Add(6 * time.Hour), Refusals: 3}}))
		if got := count(d, disp, 10); got != 0 {
			t.Errorf("got %d pulls, want none", got)
		}
		d.Must(d.Corps.SetSecret(t.Context(), archivetest.Corp, "neww", d.Clock.Now()))
		if got := count(d, disp, 1); got != 1 {
			t.Errorf("got %d pulls after the secret changed, want 1", got)
		}
	})
	t.Run("not when switched off", func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		d.Must(d.Corps.SetEnabled(t.Context(), archivetest.Corp, false, archivetest.Start))
		if got := count(d, disp, 3); got != 0 {
			t.Errorf("got %d pulls, want none", got)
		}
	})
}

func TestTickRequestsLostPagesAgain(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 3)
	d.Must(d.Pull(archive.PullRequest{}))
	d.Decodes.Take() // and it is lost
	var asked []time.Duration
	begun := d.Clock.Now()
	for range 4 * 60 {
		d.Must(disp.Tick(t.Context()))
		if len(d.Decodes.Take()) > 0 {
			asked = append(asked, d.Clock.Now().Sub(begun).Round(time.Hour/4))
		}
		d.Clock.Advance(time.Minute)
	}
	want := "[15m0s 30m0s 45m0s 1h0m0s 1h15m0s 2h15m0s 3h15m0s]"
	if got := fmt.Sprint(asked); got != want {
		t.Errorf("asked again after %s, want %s", got, want)
	}
	if row := d.Rows()[0]; row.State != archive.RowStuck {
		t.Errorf("got state %s, want stuck", row.State)
	}
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime))
	d.Work()
	d.Clock.Advance(48 * time.Hour)
	d.Must(disp.Tick(t.Context()))
	if got := d.Decodes.Take(); len(got) != 0 || d.Rows()[0].State != archive.RowDecoded {
		t.Errorf("decoded at last: got %v requested and state %s", got, d.Rows()[0].State)
	}
}

func TestTickDoesNotMultiplyABacklog(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	for i := range uint64(300) {
		d.Say(archivetest.Corp, i+1, 1)
		d.Must(d.Pull(archive.PullRequest{Force: true}))
	}
	d.Decodes.Take()
	d.Clock.Advance(time.Hour)
	disp.DecodeDepth = depth(300)
	d.Must(disp.Tick(t.Context()))
	if got := d.Decodes.Take(); len(got) != 0 {
		t.Errorf("got %d pages requested again while they wait in the queue, want none", len(got))
	}
	if got := disp.Metrics.(*gauge).last.Overdue; got != 300 {
		t.Errorf("got %d overdue pages measured, want 300: a long queue hides nothing", got)
	}

	// Nor does one corp's backlog cost another its lost page (law 8).
	const other = "wwfedcba9876543210"
	d.Register(other)
	d.Say(other, 1, 1)
	d.Must(d.Puller.Pull(t.Context(), archive.PullRequest{Corp: other, Force: true}))
	d.Decodes.Take()
	d.Clock.Advance(time.Hour)
	d.Must(disp.Tick(t.Context()))
	if got := d.Decodes.Take(); len(got) != 1 || got[0].Corp != other {
		t.Errorf("got %v requested again, want the other corp's page alone", got)
	}
	disp.DecodeDepth = depth(0)
	d.Must(disp.Tick(t.Context()))
	if got := len(d.Decodes.Take()); got == 0 || got > 20 {
		t.Errorf("got %d pages requested again at once, want 1 to 20", got)
	}
}

func TestTickFindsStalledReplays(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.Must(d.Ledger.CreateReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: "r", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}))
	d.Must(disp.Tick(t.Context()))
	if got := d.Decodes.Take(); len(got) != 0 {
		t.Errorf("got %v, want nothing yet", got)
	}
	d.Clock.Advance(16 * time.Minute)
	d.Must(disp.Tick(t.Context()))
	if got := d.Decodes.Take(); len(got) != 1 || got[0].Replay != "r" {
		t.Errorf("got %v, want the job requested again", got)
	}
	for range 10 {
		d.Clock.Advance(time.Minute)
		d.Must(disp.Tick(t.Context()))
	}
	if got := d.Decodes.Take(); len(got) != 0 {
		t.Errorf("got %d more requests within ten minutes, want none", len(got))
	}
}

func TestTickRecordsLosses(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.Must(d.Pull(archive.PullRequest{}))
	since := d.Clock.Now()
	d.Clock.Advance(archive.Retention - time.Minute)
	losses := func() int {
		d.Must(disp.Tick(t.Context()))
		got, err := d.Ledger.Losses(t.Context(), archivetest.Corp)
		d.Must(err)
		for _, l := range got {
			if !l.Since.Equal(since) {
				t.Errorf("got a loss since %v, want %v", l.Since, since)
			}
		}
		return len(got)
	}
	if got := losses(); got != 0 {
		t.Errorf("a minute before: got %d losses, want none", got)
	}
	d.Clock.Advance(2 * time.Minute)
	if got := losses() + losses(); got != 2 { // one, seen twice
		t.Errorf("got %d, want one loss however often the clock ticks", got)
	}
}

// Switching off and on does not set the clock of a corp back that was never
// caught up.
func TestSwitchingDoesNotHideALoss(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.Clock.Advance(100 * time.Hour)
	d.Must(d.Corps.SetEnabled(t.Context(), archivetest.Corp, false, d.Clock.Now()))
	d.Must(d.Corps.SetEnabled(t.Context(), archivetest.Corp, true, d.Clock.Now()))
	d.Clock.Advance(21 * time.Hour)
	d.Must(disp.Tick(t.Context()))
	if got, err := d.Ledger.Losses(t.Context(), archivetest.Corp); err != nil || len(got) != 1 || !got[0].Since.Equal(archivetest.Start) {
		t.Errorf("got losses %+v, %v; want one since %v", got, err, archivetest.Start)
	}
}

// One corp's failure stops no other (law 8), and whatever fails, the next tick
// makes up for it.
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
			t.Error("the lost page was not decoded")
		}
	})
}

// Files whose request was lost, or that were to be tried again, are asked for
// by lane; those of a corp in trouble seldom.
func TestTickRequestsFilesThatAreDue(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	f := media.File{
		Corp: archivetest.Corp, ID: media.ID("x"), SDKFileID: "x", State: media.Waiting,
		Deadline: media.Deadline(archivetest.Start, archivetest.Start), NotBefore: archivetest.Start,
	}
	want := []media.Request{{Corp: archivetest.Corp, Lane: media.Lane(f.ID)}}
	tick := func() []media.Request {
		t.Helper()
		d.Must(disp.Tick(t.Context()))
		return d.Media.Take()
	}
	d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, Standing: archivetest.Accepted()}))
	if got := tick(); len(got) != 0 {
		t.Errorf("no files: got %v", got)
	}
	d.Must(d.Files.CreateFile(t.Context(), f))
	f.Rev = 1
	d.Must(d.Files.ListFile(t.Context(), f))
	if got := tick(); len(got) != 0 {
		t.Errorf("just requested: got %v", got)
	}
	d.Clock.Advance(time.Minute)
	if got := tick(); !slices.Equal(got, want) {
		t.Errorf("due for a minute: got %v, want %v", got, want)
	}
	disp.MediaDepth = depth(501)
	if got := tick(); len(got) != 0 {
		t.Errorf("the queue is long: got %v", got)
	}
	disp.MediaDepth = depth(0)
	d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, Standing: archive.Standing{SecretSetAt: archivetest.SecretSet, OKAt: archivetest.Start, Trouble: &archive.Trouble{Cause: archive.CauseNetwork}}}))
	n := 0
	for range 10 {
		n += len(tick())
		d.Clock.Advance(time.Minute)
	}
	if n != 2 {
		t.Errorf("in trouble: got %d requests in 10 minutes, want 2", n)
	}
}
