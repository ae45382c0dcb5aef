package watch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// tickFor makes a tick every minute for a while, during which the jobs go on.
func tickFor(d *archivetest.DecodeFixture, disp *watch.Dispatcher, long time.Duration) {
	d.T.Helper()
	for end := d.Clock.Now().Add(long); d.Clock.Now().Before(end); d.Clock.Advance(time.Minute) {
		if d.Clock.Now().Minute() == 0 {
			moveJobs(d)
		}
		d.Must(disp.Tick(d.T.Context()))
	}
}

// moveJobs makes the running jobs look as if a run had just stored their place.
func moveJobs(d *archivetest.DecodeFixture) {
	d.T.Helper()
	running, err := d.Ledger.AllRunning(d.T.Context())
	d.Must(err)
	for _, r := range running {
		job, err := d.Ledger.Replay(d.T.Context(), r.Corp, r.ID)
		d.Must(err)
		moved := job
		moved.UpdatedAt = d.Clock.Now()
		d.Must(d.Ledger.AdvanceReplay(d.T.Context(), job, moved))
	}
}

// Each corp is verified once a week, by one job, which waits while another
// verification runs.
func TestEachCorpIsVerifiedEveryWeek(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	const week = 7 * 24 * time.Hour
	jobs := func() (weekly int) {
		t.Helper()
		list, err := d.Ledger.Replays(t.Context(), archivetest.Corp, 1000)
		d.Must(err)
		for _, job := range list {
			if job.Weekly && job.Verify && job.By == "weekly" {
				weekly++
			}
		}
		return weekly
	}
	for n := 1; n <= 2; n++ {
		tickFor(d, disp, week)
		d.Work()
		if got := jobs(); got != n {
			t.Fatalf("got %d jobs after %d weeks, want one a week", got, n)
		}
	}
	asked := decode.Replay{Corp: archivetest.Corp, ID: "asked", Verify: true, CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}
	d.Must(d.Replayer.StartReplay(t.Context(), asked))
	tickFor(d, disp, week-2*time.Hour) // the corp's turn comes in it
	if got := jobs(); got != 2 {
		t.Errorf("got %d jobs while another verification runs, want none for this week", got)
	}
}

// No verification is older than its corp: one that is registered after its turn waits
// for the next turn.
func TestNoVerificationIsOlderThanItsCorp(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.Clock.Advance(time.Minute)
	registered := d.Clock.Now()
	const corps = 30 // the turns of some of them have just passed
	for i := range corps {
		d.Must(d.Corps.CreateCorp(t.Context(), archive.Corp{ID: fmt.Sprintf("ww%016d", i), CreatedAt: registered}))
	}
	for day := 1; day <= 7; day++ {
		tickFor(d, disp, 24*time.Hour)
		d.Work()
	}
	for i := range corps {
		list, err := d.Ledger.Replays(t.Context(), fmt.Sprintf("ww%016d", i), 10)
		d.Must(err)
		if len(list) != 1 || list[0].CreatedAt.Before(registered.Truncate(time.Minute)) {
			t.Errorf("corp %d, registered at %s: got jobs %+v, want one later than that", i, registered, list)
		}
	}
}

// The stored state of pulls leaves no page out of a verification: the run finds out
// whether the library decrypts.
func TestWeeklyVerificationIsFullWhateverTheState(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, Standing: archive.Standing{SecretSetAt: archivetest.SecretSet, Refusals: 1}}))
	tickFor(d, disp, 7*24*time.Hour)
	if list, err := d.Ledger.Replays(t.Context(), archivetest.Corp, 1000); err != nil || len(list) != 1 || list[0].ChainOnly {
		t.Errorf("got jobs %+v, %v, want one that decodes pages", list, err)
	}
}

// A verification that could decode no page is late if that of the week before did not
// decode its pages either.
func TestVerificationOfTheChainAloneIsLateAfterTwoWeeks(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	for week, step := range []struct {
		chainOnly bool
		want      int
	}{{true, 0}, {true, 1}, {true, 1}, {false, 0}, {true, 0}, {true, 1}} {
		job := nextWeekly(d, disp)
		ended := job
		ended.Done, ended.ChainOnly = true, step.chainOnly
		d.Must(d.Ledger.AdvanceReplay(t.Context(), job, ended))
		d.Work()
		tickFor(d, disp, 3*24*time.Hour)
		if got := lateIn(d, disp); got != step.want {
			t.Errorf("week %d: got %d late in an hour, want %d", week, got, step.want)
		}
	}
}

// nextWeekly makes ticks until the next weekly verification since the registration
// was started.
func nextWeekly(d *archivetest.DecodeFixture, disp *watch.Dispatcher) decode.Replay {
	d.T.Helper()
	for {
		d.Work()
		tickFor(d, disp, time.Hour)
		list, err := d.Ledger.Replays(d.T.Context(), archivetest.Corp, 1)
		d.Must(err)
		if len(list) > 0 && !list[0].Done && !list[0].CreatedAt.Before(archivetest.Start) {
			return list[0]
		}
	}
}

// A weekly verification that another one delays is started when that one is done.
func TestWeeklyVerificationWaitsForAnother(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: "asked", Verify: true, CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}))
	for range 8 * 24 {
		tickFor(d, disp, time.Hour)
		list, err := d.Ledger.Replays(t.Context(), archivetest.Corp, 1000)
		d.Must(err)
		if len(list) > 1 {
			t.Fatal("two verifications at once")
		}
	}
	for _, r := range d.Decodes.Take() { // the newest request counts
		if r.Replay == "asked" {
			d.Must(d.Replayer.Run(t.Context(), r))
		}
	}
	tickFor(d, disp, 7*24*time.Hour)
	if list, err := d.Ledger.Replays(t.Context(), archivetest.Corp, 1000); err != nil || len(list) != 2 || !list[1].Weekly {
		t.Errorf("got jobs %+v, %v, want the weekly one behind the other", list, err)
	}
}

// A verification that starts late counts for the week in which it was due:
// otherwise a week would be left out, and with it the older pages that it reads.
func TestLateVerificationIsOfItsWeek(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	const week = 7 * 24 * time.Hour
	weekly := func() (jobs []decode.Replay) {
		t.Helper()
		list, err := d.Ledger.Replays(t.Context(), archivetest.Corp, 1000)
		d.Must(err)
		for _, job := range list {
			if job.Weekly {
				jobs = append(jobs, job)
			}
		}
		return jobs
	}
	for len(weekly()) == 0 {
		tickFor(d, disp, time.Minute)
	}
	due := weekly()[0].CreatedAt
	d.Work()
	tickFor(d, disp, due.Add(week-time.Hour).Sub(d.Clock.Now()))
	asked := decode.Replay{Corp: archivetest.Corp, ID: "asked", Verify: true, CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}
	d.Must(d.Replayer.StartReplay(t.Context(), asked))
	d.Decodes.Take()
	tickFor(d, disp, 6*time.Hour) // dispatch requests the job again meanwhile
	d.Work()
	tickFor(d, disp, time.Hour)
	if jobs := weekly(); len(jobs) != 2 || !jobs[0].CreatedAt.Equal(due.Add(week)) && !jobs[1].CreatedAt.Equal(due.Add(week)) {
		t.Errorf("got jobs %+v, want the second one of %s", jobs, due.Add(week))
	}
}

// lateIn counts the late verifications of an hour.
func lateIn(d *archivetest.DecodeFixture, disp *watch.Dispatcher) (n int) {
	d.T.Helper()
	for range 60 {
		tickFor(d, disp, time.Minute)
		n += disp.Metrics.(*gauge).last.Unverified
	}
	return n
}

// A person of the company can stop a weekly verification, and dispatch ends one that
// makes no progress. The operator learns of both.
func TestStoppedVerificationIsLate(t *testing.T) {
	for end, want := range map[string]int{"done": 0, "stopped": 1, "failed": 1} {
		d, disp := newDispatch(t, &archivetest.Faults{})
		job := nextWeekly(d, disp)
		ended := job
		switch ended.Done = true; end {
		case "stopped":
			ended.StoppedBy = "u-auditor"
		case "failed":
			ended.Failed = true
		}
		d.Must(d.Ledger.AdvanceReplay(t.Context(), job, ended))
		d.Work()
		tickFor(d, disp, 3*24*time.Hour)
		if got := lateIn(d, disp); got != want {
			t.Errorf("%s: got %d late in an hour, want %d", end, got, want)
		}
	}
}

// A weekly verification that is not done two days after the corp's turn is counted,
// once an hour: it did not start, it does not end, or it ended without a result.
func TestLateVerificationsAreCounted(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for name, hinder := range map[string]func(d *archivetest.DecodeFixture){
		"never started": func(d *archivetest.DecodeFixture) {
			d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: "asked", Verify: true, CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}))
		},
		"never done": func(*archivetest.DecodeFixture) {},
	} {
		t.Run(name, func(t *testing.T) {
			d, disp := newDispatch(t, &archivetest.Faults{})
			hinder(d)
			tickFor(d, disp, 24*time.Hour)
			if n := lateIn(d, disp); n != 0 {
				t.Errorf("got %d late on the day of the registration, want none", n)
			}
			tickFor(d, disp, 9*24*time.Hour)
			for range 3 {
				if n := lateIn(d, disp); n != 1 {
					t.Errorf("got %d late in an hour, want 1", n)
				}
			}
			d.Work() // what runs ends
			tickFor(d, disp, week)
			d.Work()
			tickFor(d, disp, 3*24*time.Hour)
			if n := lateIn(d, disp); n != 0 {
				t.Errorf("got %d late after a verification was done, want none", n)
			}
		})
	}
}
