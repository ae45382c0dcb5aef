package watch_test

import (
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

func TestTickMeasuresTheFleet(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.Register("wwsecond000000000")
	d.Register("wwthird0000000000")
	d.Register("wwoff000000000000")
	d.Must(d.Corps.SetEnabled(t.Context(), "wwoff000000000000", false, "admin", "", archivetest.Start))
	d.Clock.Advance(130 * time.Hour)
	now := d.Clock.Now()
	d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, LastEmptyAt: now.Add(-time.Minute)}))
	d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{
		Corp: "wwsecond000000000", LastEmptyAt: now.Add(-50 * time.Hour),
		Standing: archive.Standing{Trouble: &archive.Trouble{Cause: archive.CauseSecret, Since: now, At: now}},
	}))
	want := watch.Fleet{Corps: 3, WorstLag: 130 * time.Hour, LeastLeft: -10 * time.Hour, FilesLeft: 120 * time.Hour, Broken: 1, Losing: 1}
	tick := func(what string) {
		t.Helper()
		d.Must(disp.Tick(t.Context()))
		if got := disp.Metrics.(*gauge).last; got != want {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	tick("without files")
	waits := func(corp, id string, left time.Duration) {
		t.Helper()
		f := media.File{Corp: corp, ID: media.ID(id), SDKFileID: id, State: media.Waiting, Deadline: now.Add(left), NotBefore: now}
		_, err := d.Files.AddFiles(t.Context(), []media.File{f})
		d.Must(err)
	}
	waits(archivetest.Corp, "a", 100*time.Hour)
	waits("wwsecond000000000", "b", 30*time.Hour) // in trouble, and measured too
	waits("wwsecond000000000", "c", 50*time.Hour)
	waits("wwthird0000000000", "d", -time.Hour) // past its deadline
	waits("wwoff000000000000", "e", time.Hour)
	want.FilesLeft = 30 * time.Hour
	tick("with waiting files")
	disp.MediaDepth = depth(501)
	tick("with a long queue")
}

// A number that could not be counted is negative, so that no alarm takes a
// failed count for a good one.
func TestFailedCountIsNegative(t *testing.T) {
	f := &archivetest.Faults{}
	d, disp := newDispatch(t, f)
	f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
		switch c.Name {
		case "Ledger.Pendings", "View.ListSetAside", "Files.Waiting":
			return archivetest.FailsBefore, nil
		}
		return archivetest.Works, nil
	})
	if err := disp.Tick(t.Context()); err == nil {
		t.Error("got no error, want the failures")
	}
	f.Disarm()
	if got := disp.Metrics.(*gauge).last; got.Overdue >= 0 || got.Stuck >= 0 || got.SetAside >= 0 || got.FilesLeft >= 0 || got.Corps != 1 {
		t.Errorf("got %+v, want negative counts for what failed, and one corp", got)
	}
	if sent := d.Notified.Take(); len(sent) != 0 {
		t.Errorf("got notifications %v, want none while the records set aside are unknown", sent)
	}
}
