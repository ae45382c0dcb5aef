package watch_test

import (
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

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
			t.Errorf("without new callbacks: got %d pulls in 30 minutes, want one in most minutes again", got)
		}
	})
	t.Run("none while paused, at once after the secret changed", func(t *testing.T) {
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
	t.Run("none when switched off", func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		d.Must(d.Corps.SetEnabled(t.Context(), archivetest.Corp, false, archivetest.Start))
		if got := count(d, disp, 3); got != 0 {
			t.Errorf("got %d pulls, want none", got)
		}
	})
}
