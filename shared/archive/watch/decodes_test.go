package watch_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// A page whose request was lost is requested every 15 minutes, and once an hour
// when it is stuck.
func TestTickRequestsLostPagesAgain(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 3)
	d.Must(d.Pull(archive.PullRequest{}))
	d.Decodes.Take() // the request is lost
	var requested []time.Duration
	begun := d.Clock.Now()
	for range 4 * 60 {
		d.Must(disp.Tick(t.Context()))
		if len(pageRequests(d)) > 0 {
			requested = append(requested, d.Clock.Now().Sub(begun).Round(time.Hour/4))
		}
		d.Clock.Advance(time.Minute)
	}
	want := "[15m0s 30m0s 45m0s 1h0m0s 1h15m0s 2h15m0s 3h15m0s]"
	if got := fmt.Sprint(requested); got != want {
		t.Errorf("requested again after %s, want %s", got, want)
	}
	if row := d.Rows()[0]; row.State != archive.RowStuck {
		t.Errorf("got state %s, want stuck", row.State)
	}
	d.Must(d.Decoder.Decode(t.Context(), archivetest.Corp, 0, decode.FirstTime))
	d.Work()
	d.Clock.Advance(48 * time.Hour)
	d.Must(disp.Tick(t.Context()))
	if got := pageRequests(d); len(got) != 0 || d.Rows()[0].State != archive.RowDecoded {
		t.Errorf("after it is decoded: got %v requested and state %s", got, d.Rows()[0].State)
	}
}

// pageRequests takes the requests for pages, and drops those for jobs.
func pageRequests(d *archivetest.DecodeFixture) []archive.DecodeRequest {
	return slices.DeleteFunc(d.Decodes.Take(), func(r archive.DecodeRequest) bool { return r.Replay != "" })
}

// While the decode queue has a backlog, no page is requested again.
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
		t.Errorf("got %d pages requested again while the queue has a backlog, want none", len(got))
	}
	if got := disp.Metrics.(*gauge).last.Overdue; got != 300 {
		t.Errorf("got %d overdue pages measured, want 300 also while the queue has a backlog", got)
	}

	disp.DecodeDepth = depth(0)
	d.Must(disp.Tick(t.Context()))
	if got := len(d.Decodes.Take()); got == 0 || got > 20 {
		t.Errorf("got %d pages requested again at once, want 1 to 20", got)
	}
}

// A replay job without progress for 15 minutes is requested again, once.
func TestTickRequestsIdleReplayJobs(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: "r", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}))
	lost := d.Decodes.Take()
	d.Must(disp.Tick(t.Context()))
	if got := d.Decodes.Take(); len(got) != 0 {
		t.Errorf("got %v, want no request yet", got)
	}
	d.Clock.Advance(16 * time.Minute)
	d.Must(disp.Tick(t.Context()))
	again := d.Decodes.Take()
	if len(again) != 1 || again[0].Replay != "r" {
		t.Errorf("got %v, want the job requested again", again)
	}
	for range 10 {
		d.Clock.Advance(time.Minute)
		d.Must(disp.Tick(t.Context()))
	}
	if got := d.Decodes.Take(); len(got) != 0 {
		t.Errorf("got %d more requests within ten minutes, want none", len(got))
	}
	// The request was late, not lost: it no longer counts.
	for _, r := range lost {
		d.Must(d.Replayer.Run(t.Context(), r))
	}
	if job, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "r"); err != nil || job.Done {
		t.Errorf("got job %+v, %v; want it not run by its first request", job, err)
	}
	for _, r := range again {
		d.Must(d.Replayer.Run(t.Context(), r))
	}
	d.Clock.Advance(time.Hour)
	d.Must(disp.Tick(t.Context()))
	if job, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "r"); err != nil || !job.Done || len(d.Decodes.Take()) != 0 {
		t.Errorf("got job %+v, %v; want it done and no longer requested", job, err)
	}
}

// A job whose runs always fail ends after 20 requests. Then a key that came while
// it ran is tried, and other jobs start.
func TestJobWithoutProgressEnds(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	job := decode.Replay{Corp: archivetest.Corp, ID: "r", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}
	d.Must(d.Replayer.StartReplay(t.Context(), job))
	retry := job
	retry.ID, retry.OnlySetAside = "retry", true
	_, err := d.Replayer.StartRetry(t.Context(), retry)
	d.Must(err)
	stored := func() decode.Replay {
		t.Helper()
		job, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "r")
		d.Must(err)
		return job
	}
	tick := func(times int) {
		t.Helper()
		for range times {
			d.Decodes.Take() // no run comes to its end
			d.Clock.Advance(15 * time.Minute)
			d.Must(disp.Tick(t.Context()))
		}
	}
	tick(15)
	begun := stored()
	moved := begun
	moved.Next, moved.UpdatedAt = 1, d.Clock.Now()
	d.Must(d.Ledger.AdvanceReplay(t.Context(), begun, moved))
	tick(19)
	if got := stored(); got.Done {
		t.Errorf("got %+v, want the job to go on: it moved within five hours", got)
	}
	tick(1)
	if got := stored(); !got.Done || !got.Failed {
		t.Errorf("got %+v, want the job ended as failed", got)
	}
	d.Work()
	jobs, err := d.Ledger.Replays(t.Context(), archivetest.Corp, 10)
	if err != nil || len(jobs) != 2 || jobs[1].OnlySetAside == jobs[0].OnlySetAside || !jobs[0].Done || !jobs[1].Done {
		t.Errorf("got jobs %+v, %v; want the retry done after the failed job", jobs, err)
	}
	job.ID = "other"
	d.Must(d.Replayer.StartReplay(t.Context(), job))
}

// However many jobs run, a tick requests few of them again, and none while the
// decode queue has a backlog.
func TestTickRequestsFewJobs(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	for i := range 500 {
		d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{
			Corp: fmt.Sprintf("ww%014d", i), ID: "r", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}))
	}
	d.Decodes.Take()
	d.Clock.Advance(time.Hour)
	disp.DecodeDepth = depth(51)
	d.Must(disp.Tick(t.Context()))
	if got := len(d.Decodes.Take()); got != 0 {
		t.Errorf("got %d jobs requested while the queue has a backlog, want none", got)
	}
	disp.DecodeDepth = depth(0)
	d.Must(disp.Tick(t.Context()))
	if got := len(d.Decodes.Take()); got != 20 {
		t.Errorf("got %d jobs requested at one tick, want 20", got)
	}
}

// At one tick at most 200 pages of all corps are requested again.
func TestTickRequestsFewPagesOfAllCorps(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	for i := range 30 { // each has at most eight pages whose turn has come
		id := fmt.Sprintf("ww%014d", i)
		d.Register(id)
		for seq := range uint64(20) {
			d.Say(id, seq+1, 1)
			d.Must(d.Puller.Pull(t.Context(), archive.PullRequest{Corp: id, Force: true}))
		}
	}
	d.Decodes.Take()
	d.Clock.Advance(time.Hour)
	d.Must(disp.Tick(t.Context()))
	if got := len(d.Decodes.Take()); got != 200 {
		t.Errorf("got %d pages requested again at one tick, want 200", got)
	}
}

// Two pages of a lane that can never be decoded stop no later page of the lane.
func TestPagesThatFailStopNoLane(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	var fail []uint64
	for i := range uint64(60) {
		d.Say(archivetest.Corp, i+1, 1)
		d.Must(d.Pull(archive.PullRequest{Force: true}))
		if archive.DecodeLane(i) == 0 && len(fail) < archive.LaneRequests {
			fail = append(fail, i)
		}
	}
	for range 40 {
		for reqs := d.Decodes.Take(); len(reqs) > 0; reqs = d.Decodes.Take() {
			for _, r := range reqs {
				if r.Replay == "" && !slices.Contains(fail, r.After) {
					d.Must(d.Decoder.Decode(t.Context(), r.Corp, r.After, decode.FirstTime))
				}
			}
		}
		d.Clock.Advance(time.Minute)
		d.Must(disp.Tick(t.Context()))
	}
	left, err := d.Ledger.Pendings(t.Context(), archivetest.Corp, 100)
	d.Must(err)
	if len(left) != len(fail) {
		t.Errorf("got %d pending pages after 40 minutes, want the %d that fail", len(left), len(fail))
	}
}

// While pages wait for their turn in their lane, and the decoder goes on, none of
// them is requested again: nothing was lost.
func TestPagesThatWaitForTheirTurnAreNotLost(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	for i := range uint64(300) {
		d.Say(archivetest.Corp, i+1, 1)
		d.Must(d.Pull(archive.PullRequest{Force: true}))
	}
	waiting := d.Decodes.Take()
	for minute := 0; len(waiting) > 0; minute++ {
		for _, r := range waiting {
			d.Must(d.Decoder.Decode(t.Context(), r.Corp, r.After, decode.FirstTime))
		}
		next := d.Decodes.Take()
		d.Clock.Advance(time.Minute)
		d.Must(disp.Tick(t.Context()))
		if again := pageRequests(d); len(again) > 0 {
			t.Fatalf("minute %d: got %v requested again, want none", minute, again)
		}
		waiting = next
	}
	if left, err := d.Ledger.Pendings(t.Context(), archivetest.Corp, 1); err != nil || len(left) > 0 {
		t.Errorf("got pages %v, %v; want none pending", left, err)
	}
}

// slowNotes note a request and then let the time of the step end.
type slowNotes struct{ watch.Ledger }

func (s slowNotes) NoteRequest(ctx context.Context, p archive.Pending, at time.Time, stuck bool) error {
	err := s.Ledger.NoteRequest(ctx, p, at, stuck)
	<-ctx.Done()
	return err
}

func (s slowNotes) ReplaceRunning(ctx context.Context, old, now decode.Running) error {
	err := s.Ledger.ReplaceRunning(ctx, old, now)
	<-ctx.Done()
	return err
}

// A request that is noted when the time of the step ends is still sent.
func TestTickSendsWhatItNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		d.AddKey(archivetest.Corp, "k1", 1)
		d.Say(archivetest.Corp, 1, 1)
		d.Must(d.Pull(archive.PullRequest{}))
		d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: "r", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}))
		d.Decodes.Take()
		d.Clock.Advance(20 * time.Minute)
		disp.Ledger = slowNotes{d.Ledger}
		_ = disp.Tick(t.Context())
		pages, jobs := 0, 0
		for _, r := range d.Decodes.Take() {
			if r.Replay == "r" {
				jobs++
			} else if r.Replay == "" {
				pages++
			}
		}
		if pages != 1 || jobs != 1 {
			t.Errorf("got %d pages and %d jobs requested, want 1 of each", pages, jobs)
		}
	})
}
