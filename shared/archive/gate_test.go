package archive_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
)

// gateWorld is a gate with a clock, and WeCom, which refuses wrong secrets.
type gateWorld struct {
	t    *testing.T
	now  time.Time
	log  *archivetest.TryLog
	gate *archive.Gate
}

func newGateWorld(t *testing.T) *gateWorld {
	w := &gateWorld{t: t, now: archivetest.Start, log: archivetest.NewTryLog(&archivetest.Faults{})}
	w.gate = &archive.Gate{Log: w.log, Now: func() time.Time { return w.now }}
	return w
}

// company is a corp whose secret is right or wrong.
type company struct {
	ask      archive.Ask
	standing archive.Standing
	right    bool
	shown    []time.Time
}

func newCompany(id string, registered time.Time, right bool) *company {
	return &company{
		ask:      archive.Ask{Way: archive.Trusted, Corp: id, Registered: registered, By: "pull"},
		standing: archive.Standing{SecretSetAt: registered.Add(-time.Hour)},
		right:    right,
	}
}

// pull shows the company's secret, if the gate admits it.
func (w *gateWorld) pull(c *company, force bool) (shown bool) {
	w.t.Helper()
	c.ask.Force = force
	a, s, err := w.gate.Admit(w.t.Context(), c.ask, c.standing)
	w.must(err)
	if c.standing = s; a == nil {
		return false
	}
	c.shown = append(c.shown, w.now)
	if c.right {
		c.standing, err = w.gate.Answered(w.t.Context(), a, s)
	} else {
		c.standing, err = w.gate.Refused(w.t.Context(), a, s, archive.Trouble{Cause: archive.CauseSecret}, archive.RespondRefuse, 0)
	}
	w.must(err)
	return true
}

func (w *gateWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// refuse records refusals of a corp, a millisecond apart, the last one ago.
func (w *gateWorld) refuse(corp string, n int, ago time.Duration) {
	for i := range n {
		w.must(w.log.PutTry(w.t.Context(), archive.Try{
			Way: archive.Trusted, Corp: corp, By: "pull", At: w.now.Add(-ago - time.Duration(n-1-i)*time.Millisecond), State: archive.TryRefused,
		}))
	}
}

// Law 8 in one table: may the secret be shown, and if not, why and until when.
func TestGateAdmits(t *testing.T) {
	const corp, other = "ww0000000000000001", "ww0000000000000002"
	set := archivetest.Start.Add(-time.Hour)
	fresh := archive.Standing{SecretSetAt: set}
	paused := archive.Standing{SecretSetAt: set, Refusals: 1, NotBefore: archivetest.Start.Add(10 * time.Minute), Trouble: &archive.Trouble{Cause: archive.CauseSecret}}
	works := archive.Standing{SecretSetAt: set, OKAt: set}
	type before func(w *gateWorld)
	refused := func(corp string, n int, ago time.Duration) before {
		return func(w *gateWorld) { w.refuse(corp, n, ago) }
	}
	waits := func(corp string, registered, ago time.Duration) before {
		return func(w *gateWorld) {
			w.must(w.log.PutTry(w.t.Context(), archive.Try{Way: archive.Trusted, Corp: corp, At: w.now.Add(-ago), State: archive.TryWaiting, Registered: w.now.Add(-registered)}))
		}
	}
	for _, tt := range []struct {
		name     string
		standing archive.Standing
		ask      archive.Ask
		before   []before
		cause    archive.Cause // empty: admitted, or paused as before
		wait     time.Duration // 0: admitted
	}{
		{name: "never tried", standing: fresh},
		{name: "works, and the budget is used up", standing: works, before: []before{refused(other, 10, time.Minute)}},
		{name: "works, and pauses for another cause", standing: archive.Standing{SecretSetAt: set, OKAt: set, NotBefore: archivetest.Start.Add(time.Minute)}, wait: time.Minute},
		{name: "refused: pauses", standing: paused, cause: archive.CauseSecret, wait: 10 * time.Minute},
		{name: "refused: a person asks", standing: paused, ask: archive.Ask{Force: true}},
		{name: "another secret was saved since the refusal", standing: paused.For(set.Add(time.Minute))},

		{name: "one refusal in the hour", standing: fresh, before: []before{refused(corp, 1, time.Minute)}},
		{name: "two refusals in the hour", standing: fresh, before: []before{refused(corp, 2, 20*time.Minute)}, cause: archive.CauseShare, wait: 40*time.Minute - time.Millisecond},
		{name: "two refusals in the hour: a person asks", standing: paused, ask: archive.Ask{Force: true}, before: []before{refused(corp, 2, 20*time.Minute)}, cause: archive.CauseSecret, wait: 40*time.Minute - time.Millisecond},
		{name: "two refusals an hour ago", standing: fresh, before: []before{refused(corp, 2, time.Hour)}},
		{name: "four refusals in the day", standing: fresh, before: []before{refused(corp, 4, 2*time.Hour)}},
		{name: "five refusals in the day", standing: fresh, before: []before{refused(corp, 5, 2*time.Hour)}, cause: archive.CauseShare, wait: 22*time.Hour - 4*time.Millisecond},
		{name: "five refusals a day ago", standing: fresh, before: []before{refused(corp, 5, 24*time.Hour)}},
		{name: "two refusals of another corp", standing: fresh, before: []before{refused(other, 2, time.Minute)}},

		{name: "the budget is used up", standing: fresh, before: []before{refused(other, 10, 20*time.Minute)}, cause: archive.CauseBudget, wait: time.Minute},
		{name: "the budget has one place", standing: fresh, before: []before{refused(other, 9, 20*time.Minute)}},
		{name: "the half without the reserve is used up", standing: fresh, before: []before{refused(other, 5, 20*time.Minute)}},
		{name: "the half is used up, and the corp was refused today", standing: fresh, before: []before{refused(other, 5, 20*time.Minute), refused(corp, 1, 2*time.Hour)},
			cause: archive.CauseBudget, wait: 40*time.Minute - 4*time.Millisecond},
		{name: "the half has a place, and the corp was refused today", standing: fresh, before: []before{refused(other, 4, 20*time.Minute), refused(corp, 1, 2*time.Hour)}},
		{name: "the last place, and a newer corp waits", standing: fresh, ask: archive.Ask{Registered: archivetest.Start.Add(-2 * time.Hour)},
			before: []before{refused(other, 9, 20*time.Minute), waits(other, time.Hour, time.Minute)}, cause: archive.CauseBudget, wait: time.Minute},
		{name: "the last place, and an older corp waits", standing: fresh, ask: archive.Ask{Registered: archivetest.Start.Add(-time.Minute)},
			before: []before{refused(other, 9, 20*time.Minute), waits(other, time.Hour, time.Minute)}},
		{name: "the last place, and a newer corp has stopped asking", standing: fresh, ask: archive.Ask{Registered: archivetest.Start.Add(-2 * time.Hour)},
			before: []before{refused(other, 9, 20*time.Minute), waits(other, time.Hour, 3*time.Minute)}},

		{name: "accepted on the open way: neither hold nor share nor half holds it", standing: archive.Standing{SecretSetAt: set.Add(-time.Hour), HeldUntil: archivetest.Start.Add(time.Hour)}.For(set),
			ask: archive.Ask{Accepted: true}, before: []before{refused(corp, 5, 20*time.Minute), refused(other, 4, 20*time.Minute)}},
		{name: "accepted on the open way, and the budget is used up", standing: fresh, ask: archive.Ask{Accepted: true},
			before: []before{refused(corp, 2, 20*time.Minute), refused(other, 8, 20*time.Minute)}, cause: archive.CauseBudget, wait: 40*time.Minute - 7*time.Millisecond},
		{name: "accepted on the open way, and the corp was held: a person asks", standing: archive.Standing{SecretSetAt: set, NotBefore: archivetest.Start.Add(time.Hour), HeldUntil: archivetest.Start.Add(time.Hour)},
			ask: archive.Ask{Accepted: true, Force: true}},
		{name: "accepted on the open way, and another cause pauses it", standing: archive.Standing{SecretSetAt: set, NotBefore: archivetest.Start.Add(10 * time.Minute), HeldUntil: archivetest.Start.Add(time.Hour)},
			ask: archive.Ask{Accepted: true}, wait: 10 * time.Minute},
		{name: "accepted on the open way, and refused on the trusted way since", standing: paused, ask: archive.Ask{Accepted: true}, cause: archive.CauseSecret, wait: 10 * time.Minute},

		{name: "open: the trusted way's refusals do not count", standing: fresh, ask: archive.Ask{Way: archive.Open}, before: []before{refused(corp, 10, time.Minute)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newGateWorld(t)
			for _, do := range tt.before {
				do(w)
			}
			tt.ask.Corp, tt.ask.By = corp, "pull"
			if tt.ask.Way == "" {
				tt.ask.Way = archive.Trusted
			}
			next, err := w.gate.NextTry(t.Context(), tt.ask, tt.standing)
			w.must(err)
			a, s, err := w.gate.Admit(t.Context(), tt.ask, tt.standing)
			w.must(err)
			if (a != nil) != (tt.wait == 0) {
				t.Fatalf("admitted: %v, standing %+v", a != nil, s)
			}
			if a != nil {
				if tt.ask.Accepted && s.NotBefore.After(w.now) {
					t.Errorf("got a pause until %v after an accepted try, want none", s.NotBefore)
				}
				if !next.Equal(w.now) {
					t.Errorf("next try at %v, want it now", next)
				}
				return
			}
			if got := s.NotBefore.Sub(w.now); got != tt.wait {
				t.Errorf("got a pause of %v, want %v", got, tt.wait)
			}
			if tt.cause != "" && (s.Trouble == nil || s.Trouble.Cause != tt.cause) {
				t.Errorf("got trouble %+v, want %s", s.Trouble, tt.cause)
			}
			if next.Before(s.NotBefore) && !tt.ask.Force {
				t.Errorf("next try at %v, before the pause ends at %v", next, s.NotBefore)
			}
		})
	}
}

func TestGateSharesOfTheOpenWay(t *testing.T) {
	w := newGateWorld(t)
	c := newCompany("ww0000000000000001", w.now.Add(-time.Hour), false)
	c.ask.Way = archive.Open
	for range 20 {
		w.pull(c, true)
		w.now = w.now.Add(time.Minute)
	}
	if len(c.shown) != 10 || c.standing.NotBefore.Sub(c.shown[0]) != 24*time.Hour {
		t.Errorf("shown %d times, next at %v; want 10 times a day", len(c.shown), c.standing.NotBefore)
	}
	// Too many calls, or a refused address, mean that the secret was not tried.
	for _, cause := range []archive.Cause{archive.CauseRate, archive.CauseTrustedIP} {
		d := newCompany("ww0000000000000002", w.now, false)
		d.ask.Way = archive.Open
		a, s, err := w.gate.Admit(t.Context(), d.ask, d.standing)
		w.must(err)
		after, err := w.gate.Refused(t.Context(), a, s, archive.Trouble{Cause: cause}, archive.RespondPause, time.Hour)
		w.must(err)
		if after != d.standing {
			t.Errorf("%s: got standing %+v, want it unchanged", cause, after)
		}
		tries, err := w.log.Tries(t.Context(), archive.Open, w.now)
		w.must(err)
		if len(tries) != 1 || tries[0].State != archive.TryReleased {
			t.Errorf("%s: got %+v, want the try given back", cause, tries)
		}
		w.now = w.now.Add(time.Second)
	}
}

// admit shows the gate a secret of the first company, which must be admitted.
func (w *gateWorld) admit(s archive.Standing) (*archive.Admission, archive.Standing) {
	w.t.Helper()
	a, s, err := w.gate.Admit(w.t.Context(), archive.Ask{Way: archive.Trusted, Corp: "ww0000000000000001", By: "pull"}, s)
	w.must(err)
	if a == nil {
		w.t.Fatalf("not admitted: %+v", s)
	}
	return a, s
}

// wantTries compares the tries of the day on the trusted way.
func (w *gateWorld) wantTries(want ...archive.TryState) {
	w.t.Helper()
	tries, err := w.log.Tries(w.t.Context(), archive.Trusted, w.now.Add(-24*time.Hour))
	w.must(err)
	var got []archive.TryState
	for _, try := range tries {
		got = append(got, try.State)
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("got tries %v, want %v", got, want)
	}
}

// wantTriedBy checks what became of the tries of the first company by a function.
func (w *gateWorld) wantTriedBy(by string, since time.Time, want archive.TryState) {
	w.t.Helper()
	if got, err := w.gate.TriedBy(w.t.Context(), archive.Trusted, "ww0000000000000001", by, since); got != want || err != nil {
		w.t.Errorf("tried by %s: got %s, %v; want %s", by, got, err, want)
	}
}

// A try without an answer counts as refused once no call can still run.
func TestGateTellsATryThatRunsFromOneThatDied(t *testing.T) {
	w := newGateWorld(t)
	begun := w.now
	w.wantTriedBy("pull", begun, archive.TryReleased)
	w.admit(archive.Standing{SecretSetAt: begun.Add(-time.Hour)})
	w.now = begun.Add(time.Minute - time.Second)
	w.wantTriedBy("pull", begun, archive.TryRunning)
	w.now = begun.Add(time.Minute)
	w.wantTriedBy("pull", begun, archive.TryRefused)
	w.wantTriedBy("pull", begun.Add(time.Second), archive.TryReleased)
}

// What WeCom's answers change.
func TestGateAnswers(t *testing.T) {
	set := archivetest.Start.Add(-time.Hour)
	t.Run("accepted", func(t *testing.T) {
		w := newGateWorld(t)
		a, s := w.admit(archive.Standing{SecretSetAt: set, Refusals: 2, Trouble: &archive.Trouble{Cause: archive.CauseSecret}})
		s, err := w.gate.Answered(t.Context(), a, s)
		w.must(err)
		if !s.Works(set) || s.Works(set.Add(1)) || s.Trouble != nil || !s.NotBefore.IsZero() {
			t.Errorf("got %+v, want it to work", s)
		}
		w.wantTries(archive.TryReleased)
	})
	t.Run("a process that dies leaves the try counted", func(t *testing.T) {
		w := newGateWorld(t)
		w.admit(archive.Standing{SecretSetAt: set})
		w.now = w.now.Add(time.Second)
		w.admit(archive.Standing{SecretSetAt: set})
		w.wantTries(archive.TryRunning, archive.TryRunning)
		w.now = w.now.Add(time.Second)
		if c := newCompany("ww0000000000000001", set, true); w.pull(c, true) {
			t.Error("a third try within the hour was admitted")
		}
	})
	t.Run("growing pauses", func(t *testing.T) {
		w := newGateWorld(t)
		s := archive.Standing{SecretSetAt: set}
		for _, want := range []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour, 6 * time.Hour} {
			a, before := w.admit(s)
			after, err := w.gate.Refused(t.Context(), a, before, archive.Trouble{Cause: archive.CauseSecret}, archive.RespondRefuse, 0)
			w.must(err)
			if got := after.NotBefore.Sub(w.now); got != want {
				t.Errorf("got a pause of %v, want %v", got, want)
			}
			s, w.now = after, after.NotBefore
		}
		if s.Refusals != 4 || !s.RefusedAt.Before(w.now) || s.Trouble.Since.Equal(s.Trouble.At) {
			t.Errorf("got %+v", s)
		}
	})
	t.Run("the settling minute", func(t *testing.T) {
		w := newGateWorld(t)
		a, s := w.admit(archive.Standing{SecretSetAt: w.now.Add(-20 * time.Second)})
		s, err := w.gate.Refused(t.Context(), a, s, archive.Trouble{Cause: archive.CauseSecret}, archive.RespondRefuse, 0)
		w.must(err)
		if s.Refusals != 0 || s.NotBefore.Sub(w.now) != 40*time.Second {
			t.Errorf("got %+v, want the secret shown again in 40 seconds", s)
		}
		w.wantTries(archive.TryRefused)
	})
	t.Run("a secret that worked is refused", func(t *testing.T) {
		w := newGateWorld(t)
		a, s := w.admit(archive.Standing{SecretSetAt: set, OKAt: set})
		w.wantTries() // the secret works
		_, err := w.gate.Refused(t.Context(), a, s, archive.Trouble{Cause: archive.CauseSecret}, archive.RespondRefuse, 0)
		w.must(err)
		w.wantTries(archive.TryRefused)
		w.wantTriedBy("pull", w.now, archive.TryRefused)
		w.wantTriedBy("decode", w.now, archive.TryReleased)
	})
}

// An answer of too many calls pauses the corp; after refusals it is a ban of the way.
func TestGateAnswersTooManyCalls(t *testing.T) {
	set := archivetest.Start.Add(-time.Hour)
	for name, tt := range map[string]struct {
		refusals int
		cause    archive.Cause
		pause    time.Duration
	}{
		"too many calls":               {0, archive.CauseRate, time.Minute},
		"too many calls: a banned way": {1, archive.CauseBudget, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			w := newGateWorld(t)
			w.refuse("ww0000000000000002", tt.refusals, 59*time.Minute)
			a, s := w.admit(archive.Standing{SecretSetAt: set})
			s, err := w.gate.Refused(t.Context(), a, s, archive.Trouble{Cause: archive.CauseRate}, archive.RespondPause, time.Hour)
			w.must(err)
			if s.Trouble.Cause != tt.cause || s.NotBefore.Sub(w.now) != tt.pause || s.Refusals != 0 {
				t.Errorf("got %+v, want %s and a pause of %v", s, tt.cause, tt.pause)
			}
		})
	}
}

// 30 companies force pulls with wrong secrets every 10 seconds for 130 hours,
// as long as WeCom keeps messages and longer; a newcomer with a right secret
// arrives every hour and is pulled by the timer. Each newcomer is tried within
// two minutes, or within an hour while the budget is used up, and the address
// never has more refusals within an hour than the budget.
func TestNoCompanySpendsTheBudgetOfAnother(t *testing.T) {
	w := newGateWorld(t)
	var wrong []*company
	for i := range 30 {
		wrong = append(wrong, newCompany(fmt.Sprintf("wwwrong%09d", i), w.now.Add(-time.Duration(i)*time.Minute), false))
	}
	type arrival struct {
		*company
		at    time.Time
		full  bool // the budget was used up at some moment while the company waited
		tried time.Time
	}
	var newcomers []*arrival
	var refusals []time.Time // within the last hour
	const step = 10 * time.Second
	most, quick := 0, 0
	for at := time.Duration(0); at < 130*time.Hour; at += step {
		w.now = archivetest.Start.Add(at)
		if at%time.Hour == 30*time.Second {
			newcomers = append(newcomers, &arrival{company: newCompany(fmt.Sprintf("wwnew%09d", len(newcomers)), w.now, true), at: w.now})
		}
		for _, c := range wrong {
			if w.pull(c, true) {
				refusals = append(refusals, w.now)
				// Saving another secret changes nothing.
				c.standing = c.standing.For(w.now.Add(-2 * time.Minute))
			}
		}
		refusals = slices.DeleteFunc(refusals, func(at time.Time) bool { return w.now.Sub(at) >= time.Hour })
		used := len(refusals)
		most = max(most, used)
		if at%time.Minute != 30*time.Second { // of the timer
			continue
		}
		for _, n := range newcomers {
			if !n.tried.IsZero() || w.now.Before(n.standing.NotBefore) {
				continue
			}
			n.full = n.full || used >= archive.RefusalBudget
			if w.pull(n.company, false) {
				n.tried = w.now
			}
		}
	}
	if most > archive.RefusalBudget {
		t.Errorf("the address had %d refusals within an hour, more than the budget of %d", most, archive.RefusalBudget)
	}
	if len(newcomers) != 130 {
		t.Fatalf("%d newcomers arrived, want 130", len(newcomers))
	}
	for i, n := range newcomers {
		limit := 2 * time.Minute
		if n.full {
			limit = time.Hour
		} else {
			quick++
		}
		if n.tried.IsZero() || n.tried.Sub(n.at) > limit {
			t.Errorf("newcomer %d: tried at %v, arrived at %v, limit %v", i, n.tried, n.at, limit)
		}
	}
	if quick < 100 {
		t.Errorf("%d newcomers found a free place at once, want nearly all: the reserve is not kept", quick)
	}
	for _, c := range wrong {
		for i, at := range c.shown {
			if i >= 2 && at.Sub(c.shown[i-2]) < time.Hour || i >= 5 && at.Sub(c.shown[i-5]) < 24*time.Hour {
				t.Fatalf("%s was shown more often than its share: %v", c.ask.Corp, c.shown)
			}
		}
	}
}

// Two callers of one corp at the same moment have a try each: one of them would
// hide the other, and the corp would exceed its share.
func TestGateCountsTwoCallersAtOneMoment(t *testing.T) {
	w := newGateWorld(t)
	c := newCompany("ww0000000000000001", w.now, false)
	admitted := 0
	for range 4 {
		a, s, err := w.gate.Admit(t.Context(), c.ask, c.standing)
		if err != nil {
			t.Fatal(err)
		}
		if a == nil {
			continue
		}
		admitted++
		if _, err := w.gate.Refused(t.Context(), a, s, archive.Trouble{Cause: archive.CauseSecret}, archive.RespondRefuse, 0); err != nil {
			t.Fatal(err)
		}
	}
	if admitted != 2 {
		t.Errorf("%d callers at one moment show a secret that WeCom refuses, want the share of 2", admitted)
	}
}

// However many callers ask at once, the budget bounds how many show a secret.
func TestGateAdmitsTogetherNoMoreThanTheBudget(t *testing.T) {
	w := newGateWorld(t)
	var admitted atomic.Int64
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			c := newCompany(fmt.Sprintf("ww%016d", i), w.now, false)
			a, _, err := w.gate.Admit(t.Context(), c.ask, c.standing)
			if err != nil {
				t.Error(err)
			}
			if a != nil {
				admitted.Add(1)
			}
		})
	}
	group.Wait()
	if n := admitted.Load(); n > archive.RefusalBudget {
		t.Errorf("%d callers at once show their secret, more than the budget of %d", n, archive.RefusalBudget)
	}
}
