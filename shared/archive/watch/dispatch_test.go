package watch_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
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
		Corps: d.Corps, Ledger: d.Ledger, SetAside: d.View, Pulls: archive.NewWantedPulls(d.Marks, d.Pulls, d.Clock.Now), PullDepth: d.Pulls, Decodes: d.Decodes, DecodeDepth: depth(0),
		Files: d.Files, Media: media.NewWantedLanes(d.Marks, d.Media, d.Clock.Now), MediaDepth: depth(0),
		Heads: d.Journal, Jobs: d.Replayer, Inspections: directory.NewWantedInspections(d.Marks, archivetest.NewInspectQueue(t, f, d.Marks), d.Clock.Now), Notifier: d.Notified, Metrics: &gauge{},
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
		d.Clock.Advance(archive.PullKept + 2*time.Minute) // a mark without a message rests that long
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

// hanging never answers.
type hanging struct{}

func (hanging) Waiting(ctx context.Context, _ string, _, _ time.Time) ([]int, time.Time, error) {
	<-ctx.Done()
	return nil, time.Time{}, ctx.Err()
}

func (hanging) Depth(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// A store that hangs takes no time from the other steps: pulls are requested,
// people are notified and the fleet is measured at every tick.
func TestTickStepsHaveTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		disp.Files, disp.DecodeDepth, disp.MediaDepth = hanging{}, hanging{}, hanging{}
		begun := time.Now()
		if err := disp.Tick(t.Context()); err == nil {
			t.Error("got no error, want what hangs")
		}
		if took := time.Since(begun); took > watch.TickTime {
			t.Errorf("the tick took %v, want at most %v", took, watch.TickTime)
		}
		if got := len(d.Pulls.Take()); got != 1 {
			t.Errorf("got %d pulls, want 1", got)
		}
		if got := notified(d); got != "ww01 off>well" {
			t.Errorf("got notifications %q, want one", got)
		}
		if got := disp.Metrics.(*gauge).last; got.Corps != 1 || got.FilesLeft >= 0 || got.SetAside != 0 || got.Overdue != 0 {
			t.Errorf("got %+v, want everything but the files measured", got)
		}
	})
}

// slowAside takes a second for each list, and counts the lists.
type slowAside struct{ looks *atomic.Int64 }

func (s slowAside) ListSetAside(ctx context.Context, _ string, _ uint64, _ int) ([]archive.SetAside, bool, error) {
	s.looks.Add(1)
	return nil, false, archive.Sleep(ctx, time.Second)
}

// The look at thousands of corps ends with its time, and calls no store after it. It
// reaches every corp within some ticks.
func TestLookEndsWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &archivetest.Faults{}
		d, disp := newDispatch(t, f)
		for i := range 499 {
			d.Register(fmt.Sprintf("ww%014d", i))
		}
		var looks atomic.Int64
		disp.SetAside = slowAside{&looks}
		seen := make(map[string]bool)
		for range 5 {
			looks.Store(0)
			f.Arm(nil)
			begun := time.Now()
			if err := disp.Tick(t.Context()); err == nil {
				t.Error("got no error, want that the time was over")
			}
			if took := time.Since(begun); took > 15*time.Second {
				t.Errorf("the tick took %v, want the 14 s of the look", took)
			}
			f.Disarm()
			if n := looks.Load(); n > 160 { // the last ones begin as the time ends
				t.Errorf("got %d looks in 14 s at ten a second, want none after the end", n)
			}
			for _, c := range f.Calls() {
				if c.Name == "Files.Waiting" {
					seen[c.Corp] = true
				}
			}
			d.Clock.Advance(time.Minute)
		}
		if len(seen) != 500 {
			t.Errorf("got %d of 500 corps looked at in five ticks, want all", len(seen))
		}
	})
}

// A tick reads at most five times for a corp, however much lies there. A list that
// several corps share counts as a read of each. Daily heads and weekly
// verifications have a rhythm of their own: a read of a corp in an hour.
func TestTickReadsFiveTimesPerCorp(t *testing.T) {
	f := &archivetest.Faults{}
	d, disp := newDispatch(t, f)
	const corps = 20
	for i := range corps - 1 {
		d.Register(fmt.Sprintf("ww%014d", i))
	}
	d.AddKey(archivetest.Corp, "k1", 1)
	for i := range uint64(300) {
		d.Say(archivetest.Corp, i+1, 1)
		d.Must(d.Pull(archive.PullRequest{Force: true}))
		d.Must(d.Ledger.CreateReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: fmt.Sprint(i), CreatedAt: archivetest.Start, UpdatedAt: archivetest.Start}))
	}
	d.Decodes.Take()
	d.Clock.Advance(time.Hour)
	f.Arm(nil)
	d.Must(disp.Tick(t.Context()))
	f.Disarm()
	of, shared := make(map[string][]string), []string{}
	for _, c := range f.Calls() {
		switch {
		case c.Writes || c.Name == "Corps.Corps" || c.Name == "Ledger.AllRunning" || c.Name == "PullQueue.Depth": // once for all corps
		case c.Name == "Ledger.Heads" || c.Name == "Ledger.Replay" || c.Name == "Ledger.Running":
		case c.Corp == "":
			shared = append(shared, c.Name)
		default:
			of[c.Corp] = append(of[c.Corp], c.Name)
		}
	}
	for corp, names := range of {
		if got := len(names) + len(shared); got > 5 {
			t.Errorf("%s: got %d reads %v and %v, want at most 5", corp, got, names, shared)
		}
	}
	if len(of) != corps {
		t.Errorf("got reads of %d corps, want %d", len(of), corps)
	}
}

// Whatever fails or hangs with one corp, the pulls of the others are requested
// (law 8).
func TestOneCorpStopsNoPull(t *testing.T) {
	f := &archivetest.Faults{}
	d, disp := newDispatch(t, f)
	for i := range 30 {
		d.Register(fmt.Sprintf("ww%014d", i))
	}
	f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
		if c.Corp == "ww00000000000003" {
			return archivetest.FailsBefore, nil
		}
		return archivetest.Works, nil
	})
	if err := disp.Tick(t.Context()); err == nil {
		t.Error("got no error, want that of the corp")
	}
	f.Disarm()
	if got := len(d.Pulls.Take()); got != 30 {
		t.Errorf("got %d pulls, want 30 of 31 corps", got)
	}
}

// queued counts the messages of stopped queues, which drop a message when it is
// old.
type queued struct {
	now  func() time.Time
	mu   sync.Mutex
	sent map[string][]time.Time // by corp, and lane if the queue has lanes
}

// put adds a message, and returns how many wait in its group.
func (q *queued) put(group string, kept time.Duration) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drop(group, kept)
	q.sent[group] = append(q.sent[group], q.now())
	return len(q.sent[group])
}

func (q *queued) drop(group string, kept time.Duration) {
	q.sent[group] = slices.DeleteFunc(q.sent[group], func(at time.Time) bool { return q.now().Sub(at) >= kept })
}

// pullDepth is the depth of a queue of pulls that holds requests of one corp.
type pullDepth struct{ *queued }

func (q pullDepth) Depth(context.Context) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drop("pull "+archivetest.Corp, archive.PullKept)
	return len(q.sent["pull "+archivetest.Corp]), nil
}

type stoppedQueues struct {
	*queued
	t       *testing.T
	decodes int
	ofPull  int // requests that pull made during the day
}

func (q *stoppedQueues) few(group string, kept time.Duration, most int) {
	if n := q.put(group, kept); n > most {
		q.t.Errorf("%s: got %d messages waiting, want at most %d", group, n, most)
	}
}

func (q *stoppedQueues) SendPulls(_ context.Context, reqs ...archive.PullRequest) error {
	for _, r := range reqs {
		q.few("pull "+r.Corp, archive.PullKept, 3) // one of them without a mark
	}
	return nil
}

func (q *stoppedQueues) SendMedia(_ context.Context, reqs ...media.Request) error {
	for _, r := range reqs {
		q.few(fmt.Sprint("media ", r.Corp, r.Lane), media.Kept, 2)
	}
	return nil
}

func (q *stoppedQueues) RequestDecodes(_ context.Context, reqs ...archive.DecodeRequest) error {
	q.decodes += len(reqs)
	return nil
}

func (q *stoppedQueues) Depth(context.Context) (int, error) { return q.decodes, nil }

// A day with the consumers stopped, a flood of callbacks, pages and files that
// wait, and jobs: three messages of a corp wait for pulls and two in each lane of files,
// and what is requested again of pages and jobs stays within its budget.
func TestDayWithConsumersStopped(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	q := &stoppedQueues{queued: &queued{now: d.Clock.Now, sent: map[string][]time.Time{}}, t: t}
	d.Puller.Decodes = q
	for i := range uint64(300) {
		d.Say(archivetest.Corp, i+1, 1)
		d.Must(d.Pull(archive.PullRequest{Force: true}))
	}
	const twoPerLane = 2 * archive.DecodeLanes
	if q.decodes > twoPerLane {
		t.Errorf("got %d requests for pages, want at most %d", q.decodes, twoPerLane)
	}
	for i := range 50 {
		f := media.File{
			Corp: archivetest.Corp, ID: media.ID(fmt.Sprint(i)), SDKFileID: fmt.Sprint(i), State: media.Waiting,
			Deadline: archivetest.Start.Add(100 * time.Hour), NotBefore: archivetest.Start,
		}
		_, err := d.Files.AddFiles(t.Context(), []media.File{f})
		d.Must(err)
	}
	d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, Standing: archivetest.Accepted()}))
	for _, verify := range []bool{false, true} {
		d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{
			Corp: archivetest.Corp, ID: fmt.Sprint(verify), Verify: verify, CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}))
	}
	pulls := archive.NewWantedPulls(d.Marks, q, d.Clock.Now)
	disp.Pulls, disp.PullDepth = pulls, pullDepth{q.queued}
	disp.Media, disp.Decodes, disp.DecodeDepth = media.NewWantedLanes(d.Marks, q, d.Clock.Now), q, q
	for minute := range uint64(24 * 60) {
		for range 5 {
			d.Must(pulls.RequestPulls(t.Context(), archive.PullRequest{Corp: archivetest.Corp, Why: "callback"}))
		}
		if before := q.decodes; before >= twoPerLane { // pull goes on
			d.Say(archivetest.Corp, 301+minute, 1)
			d.Must(d.Pull(archive.PullRequest{Force: true}))
			q.ofPull += q.decodes - before
		}
		d.Must(disp.Tick(t.Context()))
		d.Clock.Advance(time.Minute)
	}
	if most := 50 + 20 + 20; q.decodes > most || q.decodes == 0 {
		t.Errorf("got %d decode requests, want at most %d: the bound and one round's budget", q.decodes, most)
	}
	if q.ofPull > 0 {
		t.Errorf("got %d requests of pages that were pulled during the day, want none: others of their lanes wait", q.ofPull)
	}
	if len(q.sent) != 1+media.Lanes {
		t.Errorf("got messages of %d groups, want one of pulls and each lane", len(q.sent))
	}
}
