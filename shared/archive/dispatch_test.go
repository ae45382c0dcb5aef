package archive_test

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
)

type depth int

func (d depth) Depth(context.Context) (int, error) { return int(d), nil }

// gauge keeps the last numbers of the fleet.
type gauge struct{ last archive.Fleet }

func (g *gauge) Fleet(_ context.Context, f archive.Fleet) { g.last = f }

func newDispatch(t testing.TB, f *archivetest.Faults) (*decoding, *archive.Dispatcher) {
	d := newDecoding(t, f)
	return d, &archive.Dispatcher{
		Corps: d.Corps, Ledger: d.Ledger, Aside: d.View, Pulls: d.Pulls, Decodes: d.Decodes, DecodeDepth: depth(0),
		Files: d.Files, Media: d.Media, MediaDepth: depth(0),
		Notifier: d.Told, Metrics: &gauge{},
		Now: d.clock.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func TestTickRequestsPulls(t *testing.T) {
	count := func(d *decoding, disp *archive.Dispatcher, ticks int) int {
		n := 0
		for range ticks {
			d.must(disp.Tick(t.Context()))
			n += len(d.Pulls.Take())
			d.clock.advance(time.Minute)
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
			d.must(d.Corps.TouchCallback(t.Context(), corp, d.clock.Now()))
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
		d.must(d.Ledger.SavePullState(t.Context(), archive.PullState{
			Corp: corp, NotBefore: d.clock.Now().Add(6 * time.Hour), SecretRefusedAt: secretSet, Refusals: 3}))
		if got := count(d, disp, 10); got != 0 {
			t.Errorf("got %d pulls, want none", got)
		}
		d.must(d.Corps.SetSecret(t.Context(), corp, "neww", d.clock.Now()))
		if got := count(d, disp, 1); got != 1 {
			t.Errorf("got %d pulls after the secret changed, want 1", got)
		}
	})
	t.Run("not when switched off", func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		d.must(d.Corps.SetEnabled(t.Context(), corp, false, start))
		if got := count(d, disp, 3); got != 0 {
			t.Errorf("got %d pulls, want none", got)
		}
	})
}

func TestTickRequestsLostPagesAgain(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.addKey(corp, "k1", 1)
	d.say(corp, 1, 3)
	d.must(d.pull(archive.PullRequest{}))
	d.Decodes.Take() // and it is lost
	var asked []time.Duration
	begun := d.clock.Now()
	for range 4 * 60 {
		d.must(disp.Tick(t.Context()))
		if len(d.Decodes.Take()) > 0 {
			asked = append(asked, d.clock.Now().Sub(begun).Round(time.Hour/4))
		}
		d.clock.advance(time.Minute)
	}
	want := "[15m0s 30m0s 45m0s 1h0m0s 1h15m0s 2h15m0s 3h15m0s]"
	if got := fmt.Sprint(asked); got != want {
		t.Errorf("asked again after %s, want %s", got, want)
	}
	if row := d.rows()[0]; row.State != archive.RowStuck {
		t.Errorf("got state %s, want stuck", row.State)
	}
	d.must(d.decoder.Decode(t.Context(), corp, 0, archive.FirstTime))
	d.work()
	d.clock.advance(48 * time.Hour)
	d.must(disp.Tick(t.Context()))
	if got := d.Decodes.Take(); len(got) != 0 || d.rows()[0].State != archive.RowDecoded {
		t.Errorf("decoded at last: got %v requested and state %s", got, d.rows()[0].State)
	}
}

func TestTickDoesNotMultiplyABacklog(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.addKey(corp, "k1", 1)
	for i := range uint64(300) {
		d.say(corp, i+1, 1)
		d.must(d.pull(archive.PullRequest{Force: true}))
	}
	d.Decodes.Take()
	d.clock.advance(time.Hour)
	disp.DecodeDepth = depth(300)
	d.must(disp.Tick(t.Context()))
	if got := d.Decodes.Take(); len(got) != 0 {
		t.Errorf("got %d pages requested again while they wait in the queue, want none", len(got))
	}
	if got := disp.Metrics.(*gauge).last.Overdue; got != 300 {
		t.Errorf("got %d overdue pages measured, want 300: a long queue hides nothing", got)
	}

	// Nor does one corp's backlog cost another its lost page (law 8).
	const other = "wwfedcba9876543210"
	d.register(other)
	d.say(other, 1, 1)
	d.must(d.puller.Pull(t.Context(), archive.PullRequest{V: 1, Corp: other, Force: true}))
	d.Decodes.Take()
	d.clock.advance(time.Hour)
	d.must(disp.Tick(t.Context()))
	if got := d.Decodes.Take(); len(got) != 1 || got[0].Corp != other {
		t.Errorf("got %v requested again, want the other corp's page alone", got)
	}
	disp.DecodeDepth = depth(0)
	d.must(disp.Tick(t.Context()))
	if got := len(d.Decodes.Take()); got == 0 || got > 20 {
		t.Errorf("got %d pages requested again at once, want 1 to 20", got)
	}
}

func TestTickFindsStalledReplays(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.must(d.Ledger.CreateReplay(t.Context(), archive.Replay{Corp: corp, ID: "r", CreatedAt: d.clock.Now(), UpdatedAt: d.clock.Now()}))
	d.must(disp.Tick(t.Context()))
	if got := d.Decodes.Take(); len(got) != 0 {
		t.Errorf("got %v, want nothing yet", got)
	}
	d.clock.advance(16 * time.Minute)
	d.must(disp.Tick(t.Context()))
	if got := d.Decodes.Take(); len(got) != 1 || got[0].Replay != "r" {
		t.Errorf("got %v, want the job requested again", got)
	}
	for range 10 {
		d.clock.advance(time.Minute)
		d.must(disp.Tick(t.Context()))
	}
	if got := d.Decodes.Take(); len(got) != 0 {
		t.Errorf("got %d more requests within ten minutes, want none", len(got))
	}
}

func TestTickRecordsLosses(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.must(d.pull(archive.PullRequest{}))
	since := d.clock.Now()
	d.clock.advance(archive.Retention - time.Minute)
	losses := func() int {
		d.must(disp.Tick(t.Context()))
		got, err := d.Ledger.Losses(t.Context(), corp)
		d.must(err)
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
	d.clock.advance(2 * time.Minute)
	if got := losses() + losses(); got != 2 { // one, seen twice
		t.Errorf("got %d, want one loss however often the clock ticks", got)
	}
}

// Switching off and on does not set the clock of a corp back that was never
// caught up.
func TestSwitchingDoesNotHideALoss(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.clock.advance(100 * time.Hour)
	d.must(d.Corps.SetEnabled(t.Context(), corp, false, d.clock.Now()))
	d.must(d.Corps.SetEnabled(t.Context(), corp, true, d.clock.Now()))
	d.clock.advance(21 * time.Hour)
	d.must(disp.Tick(t.Context()))
	if got, err := d.Ledger.Losses(t.Context(), corp); err != nil || len(got) != 1 || !got[0].Since.Equal(start) {
		t.Errorf("got losses %+v, %v; want one since %v", got, err, start)
	}
}

// One corp's failure stops no other (law 8), and whatever fails, the next tick
// makes up for it.
func TestTickSurvivesEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		d, disp := newDispatch(t, f)
		d.register("wwsecond000000000")
		d.addKey(corp, "k1", 1)
		d.say(corp, 1, 1)
		d.must(d.pull(archive.PullRequest{}))
		d.Decodes.Take()
		d.clock.advance(20 * time.Minute)
		arm()
		_ = disp.Tick(t.Context())
		f.Disarm()
		d.clock.advance(20 * time.Minute)
		d.must(disp.Tick(t.Context()))
		d.work()
		d.Check()
		if got := len(d.Pulls.Take()); got < 2 {
			t.Errorf("got %d pulls requested, want both corps", got)
		}
		if len(d.stored(single)) != 1 {
			t.Error("the lost page was not decoded")
		}
	})
}

// Files whose request was lost, or that were to be tried again, are asked for
// by lane; those of a corp in trouble seldom.
func TestTickRequestsFilesThatAreDue(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	f := archive.File{
		Corp: corp, ID: archive.FileID("x"), SDKFileID: "x", State: archive.FileWaiting,
		Deadline: archive.FileDeadline(start, start), NotBefore: start,
	}
	want := []archive.MediaRequest{{V: 1, Corp: corp, Lane: archive.FileLane(f.ID)}}
	tick := func() []archive.MediaRequest {
		t.Helper()
		d.must(disp.Tick(t.Context()))
		return d.Media.Take()
	}
	d.must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: corp, SecretOKAt: secretSet}))
	if got := tick(); len(got) != 0 {
		t.Errorf("no files: got %v", got)
	}
	d.must(d.Files.CreateFile(t.Context(), f))
	f.Rev = 1
	d.must(d.Files.ListFile(t.Context(), f))
	if got := tick(); len(got) != 0 {
		t.Errorf("just requested: got %v", got)
	}
	d.clock.advance(time.Minute)
	if got := tick(); !slices.Equal(got, want) {
		t.Errorf("due for a minute: got %v, want %v", got, want)
	}
	disp.MediaDepth = depth(501)
	if got := tick(); len(got) != 0 {
		t.Errorf("the queue is long: got %v", got)
	}
	disp.MediaDepth = depth(0)
	d.must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: corp, SecretOKAt: secretSet, Trouble: &archive.Trouble{Cause: archive.CauseNetwork}}))
	n := 0
	for range 10 {
		n += len(tick())
		d.clock.advance(time.Minute)
	}
	if n != 2 {
		t.Errorf("in trouble: got %d requests in 10 minutes, want 2", n)
	}
}
