package watch_test

import (
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// Each corp is checked once a day, and examined when its health changes. A corp
// without a secret is not checked.
func TestTickRequestsChecks(t *testing.T) {
	f := &archivetest.Faults{}
	d, disp := newDispatch(t, f)
	queue := archivetest.NewInspectQueue(t, f, d.Marks)
	disp.Inspections = directory.NewWantedInspections(d.Marks, queue, d.Clock.Now)
	d.Must(d.Corps.CreateCorp(t.Context(), archive.Corp{ID: "wxneversavedone", Name: "x", CreatedAt: archivetest.Start}))
	checks, examinations := 0, 0
	for range 24 * 60 {
		d.Must(disp.Tick(t.Context()))
		for _, r := range queue.Take() {
			if r.Corp != archivetest.Corp || r.Force {
				t.Errorf("got %+v", r)
			}
			if r.Check {
				checks++
			}
			if r.Examine {
				examinations++
			}
		}
		d.Pulls.Take()
		d.Clock.Advance(time.Minute)
		d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, LastEmptyAt: d.Clock.Now()}))
	}
	if checks != 1 || examinations != 1 {
		t.Errorf("in a day: got %d checks, %d examinations, want one of each", checks, examinations)
	}
	d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, LastEmptyAt: d.Clock.Now(), Standing: archive.Standing{
		Trouble: &archive.Trouble{Cause: archive.CauseTrustedIP, Since: d.Clock.Now(), At: d.Clock.Now()}}}))
	d.Must(disp.Tick(t.Context()))
	examined := false
	for _, r := range queue.Take() {
		examined = examined || r.Examine
	}
	if !examined {
		t.Error("the health has changed, and no examination is requested")
	}
}
