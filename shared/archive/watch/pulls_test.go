package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

func TestTickRequestsPulls(t *testing.T) {
	count := func(d *archivetest.DecodeFixture, disp *watch.Dispatcher, ticks int) int {
		n := 0
		for range ticks {
			d.Must(disp.Tick(t.Context()))
			n += len(d.Pulls.Take())
			d.Clock.Advance(time.Minute)
		}
		return n
	}
	t.Run("every minute without callbacks", func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		if got := count(d, disp, 10); got != 10 {
			t.Errorf("got %d pulls in 10 minutes, want 10", got)
		}
	})
	t.Run("every fifth where callbacks arrive", func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		n := 0
		for range 20 {
			d.Must(d.Corps.TouchCallback(t.Context(), archivetest.Corp, d.Clock.Now()))
			n += count(d, disp, 1)
		}
		if n != 4 {
			t.Errorf("got %d pulls in 20 minutes, want 4", n)
		}
		if got := count(d, disp, 30); got < 15 {
			t.Errorf("without new callbacks: got %d pulls in 30 minutes, want one in most minutes again", got)
		}
	})
	t.Run("none while paused, at once after the secret changed", func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{
			Corp: archivetest.Corp, Standing: archive.Standing{SecretSetAt: archivetest.SecretSet, NotBefore: d.Clock.Now().Add(6 * time.Hour), Refusals: 3}}))
		if got := count(d, disp, 10); got != 0 {
			t.Errorf("got %d pulls, want none", got)
		}
		d.Must(d.Corps.SetSecret(t.Context(), archivetest.Corp, "neww", d.Clock.Now()))
		if got := count(d, disp, 1); got != 1 {
			t.Errorf("got %d pulls after the secret changed, want 1", got)
		}
	})
	t.Run("none while the corp is held, at once if the open way accepts the secret", func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		until := d.Clock.Now().Add(6 * time.Hour)
		d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{
			Corp: archivetest.Corp, Standing: archive.Standing{SecretSetAt: archivetest.SecretSet, NotBefore: until, HeldUntil: until}}))
		if got := count(d, disp, 10); got != 0 {
			t.Errorf("got %d pulls, want none", got)
		}
		d.Must(d.Corps.NoteOpen(t.Context(), archivetest.Corp, archivetest.SecretSet, archive.OpenAnswer{OKAt: d.Clock.Now()}))
		if got := count(d, disp, 1); got != 1 {
			t.Errorf("got %d pulls of an accepted secret, want 1", got)
		}
	})
	t.Run("none while the open way refused the secret", func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		refused := archive.OpenAnswer{RefusedAt: d.Clock.Now(), Cause: archive.CauseSecret, Code: 40001}
		d.Must(d.Corps.NoteOpen(t.Context(), archivetest.Corp, archivetest.SecretSet, refused))
		if got := count(d, disp, 10); got != 0 {
			t.Errorf("got %d pulls, want none", got)
		}
		if got := notified(d); got != "ww01 off>secret_refused" {
			t.Errorf("got notices %q, want one of the refusal", got)
		}
		d.Clock.Advance(archive.OpenHold)
		if got := count(d, disp, 1); got != 1 {
			t.Errorf("got %d pulls after the hold, want 1", got)
		}
	})
	t.Run("none when switched off", func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		d.Must(d.Corps.SetEnabled(t.Context(), archivetest.Corp, false, "admin", "", archivetest.Start))
		if got := count(d, disp, 3); got != 0 {
			t.Errorf("got %d pulls, want none", got)
		}
	})
}

// A quiet corp that is pulled each minute costs no write of a mark, except once an hour.
func TestTimerNeedsNoMarkWhilePullKeepsUp(t *testing.T) {
	f := &archivetest.Faults{}
	d, disp := newDispatch(t, f)
	minute := func() (marks int) {
		t.Helper()
		f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
			if strings.HasPrefix(c.Name, "Marks.") {
				marks++
			}
			return archivetest.Works, nil
		})
		d.Must(disp.Tick(t.Context()))
		reqs := d.Pulls.Take()
		if len(reqs) != 1 {
			t.Fatalf("got %d requests, want 1", len(reqs))
		}
		d.Must(d.Pull(reqs[0]))
		f.Disarm()
		d.Clock.Advance(time.Minute)
		return marks
	}
	if minute() == 0 {
		t.Error("first pull: got no mark, want one: nothing says that pull serves the corp")
	}
	marked := 0
	for range 3 * 60 {
		if minute() > 0 {
			marked++
		}
	}
	if marked != 3 {
		t.Errorf("got %d pulls with a mark in three hours, want 3", marked)
	}
}

// A depth that hangs, and requests of some corps that cannot be sent, take no pull from
// another corp (law 8).
func TestTimerReachesOtherCorps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, disp := newDispatch(t, &archivetest.Faults{})
		q := &heldPulls{}
		disp.Pulls = archive.NewWantedPulls(d.Marks, q, d.Clock.Now)
		const corps = 40
		for i := range corps - 1 {
			d.Register(fmt.Sprintf("ww%014d", i))
		}
		requested := func() int {
			t.Helper()
			q.reqs = nil
			if err := disp.Tick(t.Context()); err == nil {
				t.Error("got no error")
			}
			return len(q.reqs)
		}
		disp.PullDepth = hangingDepth{}
		if got := requested(); got != corps {
			t.Errorf("while the depth hangs: got %d of %d corps requested", got, corps)
		}
		for _, r := range q.reqs {
			d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: r.Corp, LastCallAt: d.Clock.Now(), LastEmptyAt: d.Clock.Now()}))
		}
		disp.PullDepth, q.failing = depth(0), "ww00000000000007"
		if got := requested(); got < corps-10 {
			t.Errorf("while requests of one corp fail: got %d of %d corps requested", got, corps)
		}
	})
}

// hangingDepth never says how many requests wait.
type hangingDepth struct{}

func (hangingDepth) Depth(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// heldPulls is a queue of pulls whose requests stay until a test serves them.
type heldPulls struct {
	mu      sync.Mutex
	reqs    []archive.PullRequest
	blind   bool   // its depth cannot be read
	failing string // a corp; the queue takes no requests together with one of this corp
}

func (q *heldPulls) SendPulls(_ context.Context, reqs ...archive.PullRequest) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if slices.ContainsFunc(reqs, func(r archive.PullRequest) bool { return r.Corp == q.failing }) {
		return errors.New("refused")
	}
	q.reqs = append(q.reqs, reqs...)
	return nil
}

func (q *heldPulls) Depth(context.Context) (int, error) {
	if q.blind {
		return 0, errors.New("unavailable")
	}
	return len(q.reqs), nil
}

// When pull stops, or stops for one corp, or the depth of the queue cannot be read, the
// queue gains few requests of a corp, and one of each corp.
func TestTimerFillsNoQueue(t *testing.T) {
	const corps = 20
	for name, c := range map[string]struct {
		served func(corp string) bool // by pull, when the corps are caught up
		blind  bool
		most   int // requests of a corp
	}{
		"pull stops":                    {func(string) bool { return false }, false, 2},
		"pull stops for one corp":       {func(corp string) bool { return corp != archivetest.Corp }, false, 8},
		"the depth is unknown":          {func(string) bool { return false }, true, 1},
		"the depth is unknown for pull": {func(string) bool { return true }, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d, disp := newDispatch(t, &archivetest.Faults{})
			q := &heldPulls{}
			disp.Pulls, disp.PullDepth = archive.NewWantedPulls(d.Marks, q, d.Clock.Now), q
			for i := range corps - 1 {
				d.Register(fmt.Sprintf("ww%014d", i))
			}
			served, most := func(string) bool { return true }, 0
			for minute := range 25 {
				if minute == 5 {
					served, q.blind = c.served, c.blind
				}
				if err := disp.Tick(t.Context()); (err != nil) != q.blind {
					t.Fatalf("minute %d: got error %v", minute, err)
				}
				of := make(map[string]int)
				for _, r := range q.reqs {
					of[r.Corp]++
					most = max(most, of[r.Corp])
				}
				if len(of) != corps {
					t.Errorf("minute %d: got requests of %d corps, want %d", minute, len(of), corps)
				}
				q.reqs = slices.DeleteFunc(q.reqs, func(r archive.PullRequest) bool {
					if !served(r.Corp) {
						return false
					}
					d.Must(d.Puller.Pull(t.Context(), r))
					return true
				})
				d.Clock.Advance(time.Minute)
			}
			if most > c.most {
				t.Errorf("got %d requests of a corp, want at most %d", most, c.most)
			}
		})
	}
}

// While callbacks are refused before they reach us, every corp is pulled at every
// tick, those too whose callbacks came lately. It takes at most seven minutes to
// notice, whenever the callbacks end.
func TestRefusedCallbacksMakeTheTimerPullAll(t *testing.T) {
	for offset := range 5 {
		t.Run(fmt.Sprint("callbacks end after minute ", 10+offset), func(t *testing.T) { checkRefusedCallbacks(t, 10+offset) })
	}
}

func checkRefusedCallbacks(t *testing.T, announced int) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	ids := []string{archivetest.Corp}
	for i := range 19 {
		ids = append(ids, fmt.Sprintf("ww%014d", i))
		d.Register(ids[i+1])
	}
	seq := uint64(0)
	// minute lets the first busy corps archive a message each, and works as dispatch
	// and pull do. It returns how many corps were pulled. Each message has a callback,
	// which comes late: after the pull of the timer.
	minute := func(busy int, callbacks bool) int {
		seq++
		for _, id := range ids[:busy] {
			d.Say(id, seq, 1)
		}
		d.Must(disp.Tick(t.Context()))
		pulls := d.Pulls.Take()
		for _, r := range pulls {
			d.Must(d.Puller.Pull(t.Context(), r))
		}
		d.Clock.Advance(20 * time.Second)
		if callbacks {
			for _, id := range ids[:busy] {
				d.Must(d.Corps.TouchCallback(t.Context(), id, d.Clock.Now()))
				d.Must(d.Puller.Pull(t.Context(), archive.PullRequest{Corp: id, Why: "callback"}))
			}
		}
		d.Clock.Advance(40 * time.Second)
		return len(pulls)
	}
	for range announced {
		// Each corp once, because it had no callback yet; then every fifth minute.
		if got := minute(20, true); got == 20 && seq > 1 {
			t.Errorf("minute %d, while callbacks come late: got all 20 corps pulled, want few", seq)
		}
	}
	// Half of the corps are quiet: nothing of theirs shows that callbacks are refused.
	n := 0
	for minute(10, false) < 20 {
		if n++; n > 7 {
			t.Fatal("seven minutes later some corp is still pulled every fifth minute")
		}
	}
	for range 5 {
		if got := minute(10, false); got != 20 {
			t.Errorf("while callbacks are refused: got %d of 20 corps pulled in a minute, want all", got)
		}
	}
	minute(20, true)
	if got := minute(20, true); got == 20 {
		t.Error("when callbacks come again: got all corps pulled, want few")
	}
}

// A corp whose callbacks fail to announce its messages is pulled at every tick. Only
// from a tenth of the corps on does this concern every corp: a company could let the
// others be pulled so often otherwise.
func TestHowManyCallbacksMayFail(t *testing.T) {
	const corps = 40
	for name, c := range map[string]struct {
		failed   int           // corps whose messages no callback announced
		callback time.Duration // since their last callback is noted, when the timer found the messages
		ago      time.Duration // since the timer found the messages
		want     int           // corps that every tick pulls
	}{
		"none":                                   {0, 0, 0, 0},
		"one":                                    {1, 5 * time.Minute, time.Minute, 1},
		"fewer than a tenth":                     {3, 5 * time.Minute, time.Minute, 3},
		"a tenth":                                {4, 5 * time.Minute, time.Minute, corps},
		"callbacks that may be late":             {20, 5 * time.Minute, 29 * time.Second, 0},
		"callbacks that are no longer late":      {20, 5 * time.Minute, 30 * time.Second, corps},
		"callbacks that are not noted yet":       {20, archive.CallbackTouch, time.Minute, 0},
		"callbacks that would have been noted":   {20, archive.CallbackTouch + time.Second, time.Minute, corps},
		"callbacks of 14 minutes ago":            {4, 13 * time.Minute, time.Minute, corps},
		"callbacks that ended a quarter ago":     {4, 14 * time.Minute, time.Minute, 4}, // these corps count no more
		"no callback for a quarter of an hour":   {20, 15 * time.Minute, time.Minute, 20},
		"callbacks came after the messages were": {20, -time.Second, time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d, disp := newDispatch(t, &archivetest.Faults{})
			ids := []string{archivetest.Corp}
			for i := range corps - 1 {
				ids = append(ids, fmt.Sprintf("ww%014d", i))
				d.Register(ids[i+1])
			}
			const ticks = 5 // each corp has its turn in one of them
			pulled := make(map[string]int)
			for range ticks {
				now := d.Clock.Now()
				for i, id := range ids {
					at := now
					if i < c.failed {
						found := now.Add(-c.ago)
						d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: id, UnannouncedAt: found}))
						at = found.Add(-c.callback)
					}
					d.Must(d.Corps.TouchCallback(t.Context(), id, at))
				}
				d.Must(disp.Tick(t.Context()))
				for _, r := range d.Pulls.Take() {
					pulled[r.Corp]++
				}
				d.Clock.Advance(time.Minute + archive.PullKept) // 31 minutes: another turn, and no mark is left
			}
			every := slices.DeleteFunc(ids, func(id string) bool { return pulled[id] < ticks })
			if len(every) != c.want || len(pulled) != corps {
				t.Errorf("got %d corps pulled at every tick, and %d at some; want %d and %d", len(every), len(pulled), c.want, corps)
			}
		})
	}
}
