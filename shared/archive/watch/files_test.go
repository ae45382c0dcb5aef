package watch_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
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
	_, err := d.Files.AddFiles(t.Context(), []media.File{f})
	d.Must(err)
	d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, Standing: archivetest.Accepted(), LastPageAt: archivetest.Start}))
	f.Rev = 1
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

// lists counts how often the records set aside of a corp are listed.
type lists struct {
	watch.SetAsideLister
	n int
}

func (l *lists) ListSetAside(ctx context.Context, corp string, after uint64, limit int) ([]archive.SetAside, bool, error) {
	l.n++
	return l.SetAsideLister.ListSetAside(ctx, corp, after, limit)
}

// A corp for which a look found nothing is looked at again when a page came, and at
// one tick in five. While something waits, every tick looks.
func TestCalmCorpIsLookedAtRarely(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	looks := &lists{SetAsideLister: disp.SetAside}
	disp.SetAside = looks
	ticks := func(n int) int {
		t.Helper()
		looks.n = 0
		for range n {
			d.Must(disp.Tick(t.Context()))
			d.Clock.Advance(time.Minute)
		}
		return looks.n
	}
	ticks(1)
	if got := ticks(20); got != 4 {
		t.Errorf("nothing waits: got %d looks at 20 ticks, want 4", got)
	}
	d.AddKey(archivetest.Corp, "k1", 1)
	for ticks(1) == 0 { // until the slow turn; the next tick is another one
	}
	d.Say(archivetest.Corp, 1, 1)
	d.Must(d.Pull(archive.PullRequest{Force: true}))
	if got := ticks(10); got != 10 {
		t.Errorf("a page is not decoded: got %d looks at 10 ticks, want 10", got)
	}
	d.Work()
	ticks(1)
	if got := ticks(20); got != 4 {
		t.Errorf("the page is decoded: got %d looks at 20 ticks, want 4", got)
	}
	d.Clock.Advance(10 * time.Minute)
	if got := ticks(1); got != 1 {
		t.Errorf("after a pause of the timer: got %d looks, want 1", got)
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
			_, err := d.Files.AddFiles(t.Context(), []media.File{f})
			d.Must(err)
		}
	}
	d.Clock.Advance(time.Minute)
	d.Must(disp.Tick(t.Context()))
	if got := len(d.Media.Take()); got != 400 {
		t.Errorf("got %d lanes requested again at one tick, want 400", got)
	}
}
