package watch_test

import (
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
)

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
		t.Errorf("a minute before the 120 hours are over: got %d losses, want none", got)
	}
	d.Clock.Advance(2 * time.Minute)
	if got := losses() + losses(); got != 2 { // one loss, read twice
		t.Errorf("got %d, want one loss after several ticks", got)
	}
}

// Switching a corp off and on does not restart the 120 hours of a corp that was
// never caught up.
func TestSwitchingDoesNotHideALoss(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.Clock.Advance(100 * time.Hour)
	d.Must(d.Corps.SetEnabled(t.Context(), archivetest.Corp, false, "admin", "", d.Clock.Now()))
	d.Must(d.Corps.SetEnabled(t.Context(), archivetest.Corp, true, "admin", "", d.Clock.Now()))
	d.Clock.Advance(21 * time.Hour)
	d.Must(disp.Tick(t.Context()))
	if got, err := d.Ledger.Losses(t.Context(), archivetest.Corp); err != nil || len(got) != 1 || !got[0].Since.Equal(archivetest.Start) {
		t.Errorf("got losses %+v, %v; want one since %v", got, err, archivetest.Start)
	}
}

// A corp that is switched off has no loss: messages are not pulled on purpose.
func TestSwitchedOffCorpHasNoLoss(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.Must(d.Corps.SetEnabled(t.Context(), archivetest.Corp, false, "admin", "", d.Clock.Now()))
	d.Clock.Advance(archive.Retention + time.Hour)
	d.Must(disp.Tick(t.Context()))
	if got, err := d.Ledger.Losses(t.Context(), archivetest.Corp); err != nil || len(got) != 0 {
		t.Errorf("got losses %+v, %v; want none", got, err)
	}
}
