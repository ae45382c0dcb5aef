package watch_test

import (
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
)

// Each corp has a head of each day within the first hour of the day, whether or
// not it is pulled, and the first head of a day stays.
func TestEveryDayHasAHead(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Register("wwsecond000000000")
	d.Clock.Set(archive.DayOf(archivetest.Start).Next().Start())
	first := archive.DayOf(d.Clock.Now())
	tickFor(d, disp, time.Hour)
	for _, corp := range []string{archivetest.Corp, "wwsecond000000000"} {
		if h, err := d.Journal.Head(t.Context(), corp, first); err != nil || h != archive.NewHead(corp) {
			t.Errorf("got head %+v, %v of %s, want that of a corp without rows", h, err, corp)
		}
	}
	d.Say(archivetest.Corp, 1, 2)
	d.Must(d.Pull(archive.PullRequest{Force: true}))
	tickFor(d, disp, 24*time.Hour)
	if h, err := d.Journal.Head(t.Context(), archivetest.Corp, first); err != nil || h.Rows != 0 {
		t.Errorf("got head %+v, %v of the day before, want the first one of that day", h, err)
	}
	if h, err := d.Journal.Head(t.Context(), archivetest.Corp, first.Next()); err != nil || h != d.Head() {
		t.Errorf("got head %+v, %v, want the present one", h, err)
	}
}

// What pull saves of itself does not decide whether a head is due.
func TestHeadsDoNotDependOnThePullState(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, LastPageAt: d.Clock.Now().AddDate(1, 0, 0), LastEmptyAt: d.Clock.Now().AddDate(1, 0, 0)}))
	tickFor(d, disp, time.Hour)
	if _, err := d.Journal.Head(t.Context(), archivetest.Corp, archive.DayOf(archivetest.Start)); err != nil {
		t.Errorf("got %v, want a head", err)
	}
}
