package decode_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// startReplay starts a job of the fixture's corp.
func startReplay(d *archivetest.DecodeFixture, job decode.Replay) {
	d.T.Helper()
	job.Corp, job.CreatedAt, job.UpdatedAt = archivetest.Corp, d.Clock.Now(), d.Clock.Now()
	d.Must(d.Replayer.StartReplay(d.T.Context(), job))
}

// wantDone reads the job back and requires that it is done, after so many pages.
func wantDone(d *archivetest.DecodeFixture, id string, pages int) {
	d.T.Helper()
	job, err := d.Ledger.Replay(d.T.Context(), archivetest.Corp, id)
	if err != nil || !job.Done || job.Pages != pages {
		d.T.Errorf("got job %+v, %v; want it done with %d pages", job, err, pages)
	}
}

// runUntilIdle serves the requests for the job's runs until none is left, each
// in an invocation with so much time. It returns how many invocations there were.
func runUntilIdle(d *archivetest.DecodeFixture, each time.Duration) int {
	d.T.Helper()
	for runs := 0; ; runs++ {
		reqs := d.Decodes.Take()
		if len(reqs) == 0 {
			return runs
		}
		if runs == 10 {
			d.T.Fatal("job still requested after ten invocations")
		}
		d.Clock.Set(time.Now())
		ctx, cancel := context.WithDeadline(d.T.Context(), time.Now().Add(each))
		d.Must(d.Replayer.Run(ctx, reqs[0]))
		cancel()
	}
}

// A replay rebuilds the view from the journal alone, with the same result: WeCom
// has deleted the messages (law 2).
func TestReplayRebuildsTheView(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	for i := range uint64(250) { // more rows than a replay reads at a time
		d.Say(archivetest.Corp, 10*i+1, 2)
		d.Must(d.Pull(archive.PullRequest{Force: true}))
	}
	d.Work()
	before := d.StoredIn(archivetest.SingleChat)
	if len(before) != 500 {
		t.Fatalf("got %d messages, want 500", len(before))
	}
	d.Must(d.View.Clear(t.Context(), archivetest.Corp, nil))
	d.Library.Forget(archivetest.Corp, 1<<62)
	startReplay(d, decode.Replay{ID: "all", By: "test"})
	d.Work()
	d.Check()
	after := d.StoredIn(archivetest.SingleChat)
	if !slices.EqualFunc(before, after, func(a, b archive.Message) bool {
		return a.Seq == b.Seq && a.MsgID == b.MsgID && a.Time.Equal(b.Time) && bytes.Equal(a.Raw, b.Raw)
	}) {
		t.Errorf("got a different view: %d messages, want %d", len(after), len(before))
	}
	wantDone(d, "all", 250)
}

func TestReplayTakesItsRangeOnly(t *testing.T) {
	tests := []struct {
		from, to uint64
		want     int // pages: each covers ten seqs
	}{
		{0, 0, 10}, {0, 10, 1}, {0, 11, 2}, {9, 10, 1}, {10, 20, 1}, {10, 21, 2}, {95, 0, 1}, {95, 500, 1}, {100, 0, 0}, {15, 45, 4},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("(%d,%d]", tt.from, tt.to), func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			for i := range uint64(10) {
				d.Say(archivetest.Corp, 10*i+1, 10)
				d.Must(d.Pull(archive.PullRequest{Force: true}))
			}
			d.Work()
			startReplay(d, decode.Replay{ID: "r", From: tt.from, To: tt.to})
			d.Work()
			wantDone(d, "r", tt.want)
		})
	}
}

func TestReplayOfOneVersion(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.AddKey(archivetest.Corp, "k2", 2)
	for i, version := range []uint32{1, 2, 1, 2, 2} {
		d.Library.Say(archivetest.Corp, archivetest.TextRecord(uint64(i+1), version, fmt.Sprint("k", version)))
		d.Must(d.Pull(archive.PullRequest{Force: true}))
	}
	d.Work()
	startReplay(d, decode.Replay{ID: "r", Version: 2})
	d.Work()
	wantDone(d, "r", 3)
}

// A job for one version over the records set aside takes the pages where a
// record of that version is set aside.
func TestReplayOfOneVersionSetAside(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	for i, version := range []uint32{1, 2, 3, 2} {
		d.Library.Say(archivetest.Corp, archivetest.TextRecord(uint64(i+1), version, fmt.Sprint("k", version)))
		d.PullAndDecode()
	}
	startReplay(d, decode.Replay{ID: "r", Version: 2, OnlySetAside: true})
	d.Work()
	wantDone(d, "r", 2)
}

// Whichever call fails or is the last before a crash: once its requests are delivered
// again, a record whose key came later is stored, its file is registered, and the row
// says so. The record is off the list of those set aside before all of this is done.
func TestKeyProvedSurvivesEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		d := archivetest.NewDecodeFixture(t, f)
		d.AddKey(archivetest.Corp, "k1", 1)
		say := func(seq uint64) {
			d.Library.Say(archivetest.Corp, archivetest.Record{Seq: seq, MsgID: fmt.Sprint("m", seq), KeyVersion: 2, KeyID: "k2", Text: fmt.Appendf(nil,
				`{"msgid":"m%d","action":"send","from":"lin.hua","tolist":["wmcustomer"],"msgtime":%d,"msgtype":"image","image":{"sdkfileid":"file %d"}}`, seq, archivetest.Start.UnixMilli(), seq)})
		}
		say(1)
		d.PullAndDecode()
		d.AddKey(archivetest.Corp, "k2", 2)
		say(2) // proves the key
		d.Must(d.Pull(archive.PullRequest{Force: true}))
		serve := func(r archive.DecodeRequest) error {
			if r.Replay != "" {
				return d.Replayer.Run(t.Context(), r)
			}
			return d.Decoder.Decode(t.Context(), r.Corp, r.After, decode.FirstTime)
		}
		arm()
		var failed []archive.DecodeRequest
		for reqs := d.Decodes.Take(); len(reqs) > 0; reqs = d.Decodes.Take() {
			for _, r := range reqs {
				if serve(r) != nil {
					failed = append(failed, r)
				}
			}
		}
		f.Disarm()
		d.Clock.Advance(time.Second)
		for _, r := range failed {
			d.Must(serve(r))
		}
		d.Work()
		if running, err := d.Ledger.Running(t.Context(), archivetest.Corp, false); err == nil { // dispatch requests it again
			d.Must(serve(archive.DecodeRequest{Corp: archivetest.Corp, Replay: running.ID}))
			d.Work()
		}
		d.Check()
		row, err := d.Ledger.Row(t.Context(), archivetest.Corp, 0)
		d.Must(err)
		if row.Result.Stored != 1 || row.Result.CountSetAside() != 0 {
			t.Errorf("got result %+v, want one message stored and none set aside", row.Result)
		}
		if got := d.SetAsideReasons(); len(got) > 0 {
			t.Errorf("got %v set aside, want none", got)
		}
		if _, err := d.Files.File(t.Context(), archivetest.Corp, media.ID("file 1")); err != nil {
			t.Errorf("file of the message: %v", err)
		}
	})
}

// Whichever call fails or is the last before a crash: starting the job again
// completes it.
func TestReplaySurvivesEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		d := archivetest.NewDecodeFixture(t, f)
		d.AddKey(archivetest.Corp, "k1", 1)
		for i := range uint64(3) {
			d.Say(archivetest.Corp, 2*i+1, 2)
			d.Must(d.Pull(archive.PullRequest{Force: true}))
		}
		d.Work()
		d.Must(d.View.Clear(t.Context(), archivetest.Corp, nil))
		job := decode.Replay{Corp: archivetest.Corp, ID: "r", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}
		arm()
		if d.Replayer.StartReplay(t.Context(), job) == nil {
			for _, req := range d.Decodes.Take() {
				_ = d.Replayer.Run(t.Context(), req)
			}
		}
		f.Disarm()
		d.Clock.Advance(time.Second)
		d.Must(d.Replayer.StartReplay(t.Context(), job))
		d.Work()
		d.Check()
		if got := d.StoredIn(archivetest.SingleChat); len(got) != 6 {
			t.Errorf("got %d messages, want 6", len(got))
		}
	})
}

// A job that does not finish in one invocation requests another.
func TestReplayContinuesInAnotherInvocation(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	for i := range uint64(6) {
		d.Say(archivetest.Corp, i+1, 1)
		d.Must(d.Pull(archive.PullRequest{Force: true}))
	}
	d.Work()
	startReplay(d, decode.Replay{ID: "r"})
	d.Library.OnDecrypt = func(string, uint64, int) *archivetest.Answer { d.Clock.Advance(10 * time.Second); return nil }
	if runs := runUntilIdle(d, 115*time.Second); runs < 2 {
		t.Errorf("got %d runs, want several", runs)
	}
	wantDone(d, "r", 6)
}

// A replay of a page with many records that break the library ends: each run
// leaves the records alone that broke the library in the run before.
func TestReplayOfHangingRecordsEnds(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 40)
	d.Must(d.Pull(archive.PullRequest{}))
	d.Library.OnDecrypt = func(string, uint64, int) *archivetest.Answer {
		d.Clock.Advance(5 * time.Second)
		return &archivetest.Answer{Err: &archive.CrashError{Op: "DecryptData", How: archive.Hung}}
	}
	d.Work()
	startReplay(d, decode.Replay{ID: "r", OnlySetAside: true})
	if runs := runUntilIdle(d, 300*time.Second); runs < 2 {
		t.Errorf("got %d runs, want several", runs)
	}
	wantDone(d, "r", 1)
	if n := len(d.SetAsideReasons()); n != 40 {
		t.Errorf("got %d records set aside, want 40", n)
	}
}

// A replay stores its place also where it has found no page to decode.
func TestReplayKeepsItsPlace(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	for i := range uint64(30) {
		d.Say(archivetest.Corp, i+1, 1)
		d.Must(d.Pull(archive.PullRequest{}))
	}
	d.Work()
	readPagesSlowly(d, func(archive.Row) time.Duration { return 20 * time.Second })
	startReplay(d, decode.Replay{ID: "r", Version: 9})
	if runs := runUntilIdle(d, 300*time.Second); runs < 2 {
		t.Errorf("got %d runs, want several", runs)
	}
	wantDone(d, "r", 0)
}

// slowJournal is a journal in which reading a page takes some time.
type slowJournal struct {
	archive.Journal
	clock *archivetest.Clock
	takes func(archive.Row) time.Duration
}

func (s slowJournal) Page(ctx context.Context, r archive.Row) ([]byte, error) {
	s.clock.Advance(s.takes(r))
	return s.Journal.Page(ctx, r)
}

// readPagesSlowly lets reading a page take some time.
func readPagesSlowly(d *archivetest.DecodeFixture, takes func(archive.Row) time.Duration) {
	cfg := d.Config
	cfg.Journal = slowJournal{d.Journal, d.Clock, takes}
	d.Configure(cfg)
}

// A job that had begun a page forgets that once it moves past the page. The next
// page is then tried in full, including the record that broke the library.
func TestReplayForgetsThePageItHadBegun(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	crash := dies(archive.Crashed, 2)
	d.Library.OnDecrypt = func(_ string, _ uint64, try int) *archivetest.Answer { return crash(try) }
	for seq, version := range []uint32{2, 1} {
		d.Library.Say(archivetest.Corp, archivetest.TextRecord(uint64(seq+1), version, "k1"))
		d.PullAndDecode()
	}
	if got := d.SetAsideReasons(); len(got) != 2 {
		t.Fatalf("got %v set aside, want both records", got)
	}
	startReplay(d, decode.Replay{ID: "r", Version: 1, To: 2})
	job, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "r")
	d.Must(err)
	begun := job
	begun.Begun = true
	d.Must(d.Ledger.AdvanceReplay(t.Context(), job, begun))
	readPagesSlowly(d, func(r archive.Row) time.Duration {
		if r.After == 0 {
			return 230 * time.Second // the first run ends before the second page
		}
		return 0
	})
	if runs := runUntilIdle(d, 300*time.Second); runs < 2 {
		t.Errorf("got %d runs, want several", runs)
	}
	wantDone(d, "r", 1)
	if got := d.SetAsideReasons(); got[2] != "" {
		t.Errorf("got %v set aside, want the record of the second page stored", got)
	}
}

// While a job runs, another one is refused with its id, and a key that comes is
// tried when the job is done. The entry of a done job stops no other job.
func TestOneReplayAtATime(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 1, "k1"))
	d.PullAndDecode()
	if got := d.SetAsideReasons(); len(got) != 1 {
		t.Fatalf("got %v set aside, want the record without a key", got)
	}
	startReplay(d, decode.Replay{ID: "first"})
	second := decode.Replay{Corp: archivetest.Corp, ID: "second", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}
	var running *decode.RunningError
	if err := d.Replayer.StartReplay(t.Context(), second); !errors.As(err, &running) || running.ID != "first" {
		t.Errorf("got %v, want that the first job runs", err)
	}
	verify := second
	verify.ID, verify.Verify = "verify", true
	d.Must(d.Replayer.StartReplay(t.Context(), verify)) // beside the replay

	reqs := d.Decodes.Take()
	for _, r := range reqs { // both end before the key comes
		d.Must(d.Replayer.Run(t.Context(), r))
	}
	startReplay(d, decode.Replay{ID: "third"})
	d.AddKey(archivetest.Corp, "k1", 1)
	retry := second
	retry.ID, retry.OnlySetAside = "retry", true
	if started, err := d.Replayer.StartRetry(t.Context(), retry); err != nil || started {
		t.Errorf("got started %v, %v; want the retry after the third job", started, err)
	}
	job, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "third")
	d.Must(err)
	done := job
	done.Done = true
	d.Must(d.Ledger.AdvanceReplay(t.Context(), job, done)) // its run crashed before it ended
	d.Work()
	if got := d.SetAsideReasons(); len(got) != 0 {
		t.Errorf("got %v set aside, want the key tried after the job", got)
	}

	startReplay(d, decode.Replay{ID: "fourth"})
	waiting := d.Decodes.Take()
	end := func() {
		job, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "fourth")
		d.Must(err)
		done := job
		done.Done = true
		d.Must(d.Ledger.AdvanceReplay(t.Context(), job, done))
	}
	end()
	startReplay(d, decode.Replay{ID: "fifth"})
	if reqs := d.Decodes.Take(); len(reqs) != 0 {
		t.Errorf("got requests %v, want that of the fourth job to serve for the fifth", reqs)
	}
	for _, r := range waiting {
		d.Must(d.Replayer.Run(t.Context(), r))
	}
	wantDone(d, "fifth", 1)
	d.Must(d.Replayer.Run(t.Context(), waiting[0])) // delivered again
	if _, err := d.Ledger.Running(t.Context(), archivetest.Corp, false); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("got %v, want no running job", err)
	}
}

// stop ends a job as a person does, unless it is done.
func stop(d *archivetest.DecodeFixture, id string) {
	d.T.Helper()
	job, err := d.Ledger.Replay(d.T.Context(), archivetest.Corp, id)
	d.Must(err)
	if job.Done {
		return
	}
	stopped := job
	stopped.Done, stopped.StoppedBy = true, "admin"
	d.Must(d.Ledger.AdvanceReplay(d.T.Context(), job, stopped))
}

// A job is stopped, and another one started, while its run decodes a page. The run
// goes on with the other job.
func TestRunGoesOnWithTheJobThatFollows(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 1)
	d.PullAndDecode()
	startReplay(d, decode.Replay{ID: "stopped"})
	d.Library.OnDecrypt = func(string, uint64, int) *archivetest.Answer {
		d.Library.OnDecrypt = nil
		stop(d, "stopped")
		startReplay(d, decode.Replay{ID: "other"})
		return nil
	}
	reqs := d.Decodes.Take()
	d.Must(d.Replayer.Run(t.Context(), reqs[0]))
	wantDone(d, "other", 1)
	if left := d.Decodes.Take(); len(reqs) != 1 || len(left) != 0 {
		t.Errorf("got requests %v and %v, want one", reqs, left)
	}
}

// beforeEachCall runs a request once for each of its calls. meanwhile happens just
// before that call. prepare makes the fixture and the request.
func beforeEachCall(t *testing.T, prepare func(*archivetest.DecodeFixture) archive.DecodeRequest, meanwhile, check func(*archivetest.DecodeFixture)) {
	for n, happened := int64(1), true; happened; n++ {
		t.Run(fmt.Sprint("call ", n), func(t *testing.T) {
			f := &archivetest.Faults{}
			d := archivetest.NewDecodeFixture(t, f)
			req := prepare(d)
			var calls atomic.Int64
			happened = false
			f.Through(func(_ context.Context, _ archivetest.Call, effect func()) error {
				if calls.Add(1) == n {
					happened = true
					meanwhile(d)
				}
				effect()
				return nil
			})
			d.Must(d.Replayer.Run(t.Context(), req))
			f.Through(nil)
			if happened {
				d.Work()
				check(d)
			}
			if _, err := d.Ledger.Running(t.Context(), archivetest.Corp, false); !errors.Is(err, archive.ErrNotFound) {
				t.Errorf("got %v, want no running job", err)
			}
		})
	}
}

// A job may take over the request of a stopped one until the run of that request has
// removed the entry. The run goes on with the other job, which has no request of its
// own.
func TestRunGoesOnWithAJobThatFollowsAtAnyTime(t *testing.T) {
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprint("stopped before the run ", before), func(t *testing.T) {
			beforeEachCall(t, func(d *archivetest.DecodeFixture) archive.DecodeRequest {
				d.AddKey(archivetest.Corp, "k1", 1)
				d.Say(archivetest.Corp, 1, 1)
				d.PullAndDecode()
				startReplay(d, decode.Replay{ID: "stopped"})
				if before {
					stop(d, "stopped")
				}
				return d.Decodes.Take()[0]
			}, func(d *archivetest.DecodeFixture) {
				stop(d, "stopped")
				startReplay(d, decode.Replay{ID: "other"})
			}, func(d *archivetest.DecodeFixture) {
				wantDone(d, "other", 1)
			})
		})
	}
}

// A key may come while a job runs, ends, or turns out never to have been stored. The
// records set aside are then tried.
func TestKeyComesWhileAJobEnds(t *testing.T) {
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprint("stored ", stored), func(t *testing.T) {
			beforeEachCall(t, func(d *archivetest.DecodeFixture) archive.DecodeRequest {
				d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 1, "k1"))
				d.PullAndDecode()
				if stored {
					startReplay(d, decode.Replay{ID: "r", From: 1})
					return d.Decodes.Take()[0]
				}
				lost := decode.Running{Corp: archivetest.Corp, ID: "r", RequestedAt: d.Clock.Now()}
				d.Must(d.Ledger.SetRunning(d.T.Context(), lost))
				return lost.Request()
			}, func(d *archivetest.DecodeFixture) {
				d.AddKey(archivetest.Corp, "k1", 1)
				retry := decode.Replay{Corp: archivetest.Corp, ID: "retry", OnlySetAside: true, CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}
				_, err := d.Replayer.StartRetry(d.T.Context(), retry)
				d.Must(err)
			}, func(d *archivetest.DecodeFixture) {
				if got := d.SetAsideReasons(); len(got) != 0 {
					d.T.Errorf("got %v set aside, want the key tried after the job", got)
				}
			})
		})
	}
}

// A key that comes while a job runs that was never stored is tried, also the
// second time.
func TestKeyCameWithoutAStoredJob(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	for i := range uint64(2) {
		name := fmt.Sprint("k", i+1)
		d.Library.Say(archivetest.Corp, archivetest.TextRecord(i+1, uint32(i+1), name))
		d.PullAndDecode()
		running := decode.Running{Corp: archivetest.Corp, ID: "lost" + name, RequestedAt: d.Clock.Now(), KeyCame: true}
		d.Must(d.Ledger.SetRunning(t.Context(), running))
		d.AddKey(archivetest.Corp, name, uint32(i+1))
		d.Must(d.Replayer.Run(t.Context(), running.Request()))
		d.Work()
		if got := d.SetAsideReasons(); len(got) != 0 {
			t.Errorf("key %d: got %v set aside, want the key tried", i+1, got)
		}
		d.Clock.Advance(time.Hour)
	}
}
