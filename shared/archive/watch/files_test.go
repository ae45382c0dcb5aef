package watch_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// Files that are due are requested by lane. While fetching is blocked for the
// corp, they are requested at one tick in five.
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
		reqs := d.Media.Take()
		for i := range reqs {
			reqs[i].SentAt = time.Time{}
		}
		return reqs
	}
	d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, Standing: archivetest.Accepted()}))
	if got := tick(); len(got) != 0 {
		t.Errorf("without files: got %v", got)
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
		t.Errorf("with a long queue: got %v", got)
	}
	disp.MediaDepth = depth(0)
	d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, Standing: archive.Standing{SecretSetAt: archivetest.SecretSet, OKAt: archivetest.Start, Trouble: &archive.Trouble{Cause: archive.CauseNetwork}}}))
	n := 0
	for range 10 {
		n += len(tick())
		d.Clock.Advance(time.Minute)
	}
	if n != 2 {
		t.Errorf("while fetching is blocked: got %d requests in 10 minutes, want 2", n)
	}
}

// At one tick at most 400 lanes of files of all corps are requested again.
func TestTickRequestsFewLanesOfAllCorps(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	for i := range 110 {
		corp := fmt.Sprintf("ww%014d", i)
		d.Register(corp)
		d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: corp, Standing: archivetest.Accepted()}))
		for n := range 20 { // some in each lane
			name := fmt.Sprint(n)
			f := media.File{
				Corp: corp, ID: media.ID(name), SDKFileID: name, State: media.Waiting,
				Deadline: media.Deadline(archivetest.Start, archivetest.Start), NotBefore: archivetest.Start,
			}
			d.Must(d.Files.CreateFile(t.Context(), f))
			f.Rev = 1
			d.Must(d.Files.ListFile(t.Context(), f))
		}
	}
	d.Clock.Advance(time.Minute)
	d.Must(disp.Tick(t.Context()))
	if got := len(d.Media.Take()); got != 400 {
		t.Errorf("got %d lanes requested again at one tick, want 400", got)
	}
}
