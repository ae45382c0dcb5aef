package archive_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
)

func TestHealthOf(t *testing.T) {
	now := start.Add(200 * time.Hour)
	on := archive.Corp{ID: corp, Enabled: true, EnabledAt: start}
	off := archive.Corp{ID: corp}
	caughtUp := func(ago time.Duration) archive.PullState {
		return archive.PullState{Corp: corp, LastEmptyAt: now.Add(-ago)}
	}
	troubled := func(c archive.Cause, since, ago time.Duration) archive.PullState {
		s := caughtUp(ago)
		s.Trouble = &archive.Trouble{Cause: c, Since: now.Add(-since), At: now}
		return s
	}
	network, secret := archive.Health(archive.CauseNetwork), archive.Health(archive.CauseSecret)
	for _, c := range []struct {
		name   string
		corp   archive.Corp
		state  archive.PullState
		aside  int
		before archive.Health
		want   archive.Health
	}{
		{"off", off, caughtUp(0), 0, archive.HealthWell, archive.HealthOff},
		{"off, and once in trouble", off, troubled(archive.CauseSecret, time.Hour, time.Hour), 3, secret, archive.HealthOff},
		{"well", on, caughtUp(time.Minute), 0, "", archive.HealthWell},
		{"two days behind", on, caughtUp(47 * time.Hour), 0, archive.HealthWell, archive.HealthWell},
		{"more than two days behind", on, caughtUp(49 * time.Hour), 0, archive.HealthWell, archive.HealthLate},
		{"five days behind", on, caughtUp(120 * time.Hour), 0, archive.HealthLate, archive.HealthLosing},
		{"five days behind and in trouble", on, troubled(archive.CauseSecret, time.Hour, 121*time.Hour), 0, secret, archive.HealthLosing},
		{"never caught up since it was switched on", on, archive.PullState{Corp: corp}, 0, archive.HealthWell, archive.HealthLosing},
		{"a person has to help: at once", on, troubled(archive.CauseSecret, 0, time.Minute), 0, archive.HealthWell, secret},
		{"trouble before lateness", on, troubled(archive.CauseSecret, 0, 60*time.Hour), 0, archive.HealthLate, secret},
		{"may pass: not at once", on, troubled(archive.CauseNetwork, 9*time.Minute, 9*time.Minute), 0, archive.HealthWell, archive.HealthWell},
		{"may pass: after a while", on, troubled(archive.CauseNetwork, 10*time.Minute, 10*time.Minute), 0, archive.HealthWell, network},
		{"another that may pass does not take turns", on, troubled(archive.CauseBusy, time.Minute, time.Hour), 0, network, network},
		{"may pass, while rows wait", on, troubled(archive.CauseBusy, time.Minute, time.Minute), 2, archive.HealthUndecryptable, archive.HealthUndecryptable},
		{"rows wait", on, caughtUp(time.Minute), 1, archive.HealthWell, archive.HealthUndecryptable},
		{"no row waits any more", on, caughtUp(time.Minute), 0, archive.HealthUndecryptable, archive.HealthWell},
		{"trouble is over", on, caughtUp(0), 0, secret, archive.HealthWell},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := archive.HealthOf(c.corp, c.state, c.aside, c.before, now); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// said is what people were told in a tick, such as "ww… off>well".
func said(d *decoding) string {
	var all []string
	for _, message := range d.Told.Take() {
		var parts []string
		for _, c := range message {
			parts = append(parts, fmt.Sprintf("%s %s>%s", c.Corp[:4], c.From, c.To))
		}
		all = append(all, strings.Join(parts, ", "))
	}
	return strings.Join(all, "; ")
}

// People get one message for each change of a corp, and none while nothing
// changes.
func TestTickTellsOfChanges(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	tick := func(want string) {
		t.Helper()
		for range 3 {
			d.must(disp.Tick(t.Context()))
		}
		if got := said(d); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	d.must(d.Corps.CreateCorp(t.Context(), archive.Corp{ID: "wxneverswitchedon", Name: "x", CreatedAt: start}))
	tick("ww01 off>well")
	state := archive.PullState{
		Corp: corp, LastEmptyAt: d.clock.Now(),
		Trouble: &archive.Trouble{Cause: archive.CauseTrustedIP, FromIP: "203.0.113.9", Since: d.clock.Now(), At: d.clock.Now()},
	}
	d.must(d.Ledger.SavePullState(t.Context(), state))
	tick("ww01 well>trusted_ip")
	state.Trouble.Cause = archive.CauseExpired
	d.must(d.Ledger.SavePullState(t.Context(), state))
	tick("ww01 trusted_ip>licence_expired")
	d.must(d.Corps.SetEnabled(t.Context(), corp, false, d.clock.Now()))
	tick("ww01 licence_expired>off")
	d.must(d.Corps.SetEnabled(t.Context(), corp, true, d.clock.Now()))
	d.clock.advance(121 * time.Hour)
	tick("ww01 off>losing")
}

func TestTickTellsOfRowsThatWait(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.addKey(corp, "k1", 1)
	d.Library.Say(corp, record(1, 2, "k2")) // a key that we do not have
	d.must(d.pull(archive.PullRequest{}))
	d.work()
	d.must(disp.Tick(t.Context()))
	told := d.Told.Take()
	if len(told) != 1 || len(told[0]) != 1 {
		t.Fatalf("got %v, want one message about one corp", told)
	}
	c := told[0][0]
	if c.To != archive.HealthUndecryptable || len(c.Aside) != 1 || c.Aside[0].KeyVersion != 2 || c.Aside[0].Reason != archive.ReasonNoKey {
		t.Errorf("got %+v, want a row of version 2 that has no key", c)
	}
	if got := disp.Metrics.(*gauge).last.Undecryptable; got != 1 {
		t.Errorf("got %d rows counted, want 1", got)
	}
}

// A fault of our own that befalls all corps is few messages.
func TestTickTellsOfManyAtOnce(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	for i := range 250 {
		d.register(fmt.Sprintf("ww%014d", i))
	}
	d.must(disp.Tick(t.Context()))
	if got := d.Told.Take(); len(got) != 2 || len(got[0])+len(got[1]) != 251 {
		t.Errorf("got %d messages, want two about 251 corps", len(got))
	}
}

func TestTickMeasuresTheFleet(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.register("wwsecond000000000")
	d.register("wwthird0000000000")
	d.register("wwoff000000000000")
	d.must(d.Corps.SetEnabled(t.Context(), "wwoff000000000000", false, start))
	d.clock.advance(130 * time.Hour)
	now := d.clock.Now()
	d.must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: corp, LastEmptyAt: now.Add(-time.Minute)}))
	d.must(d.Ledger.SavePullState(t.Context(), archive.PullState{
		Corp: "wwsecond000000000", LastEmptyAt: now.Add(-50 * time.Hour),
		Trouble: &archive.Trouble{Cause: archive.CauseSecret, Since: now, At: now},
	}))
	want := archive.Fleet{Corps: 3, WorstLag: 130 * time.Hour, LeastLeft: -10 * time.Hour, FilesLeft: 120 * time.Hour, Broken: 1, Losing: 1}
	tick := func(what string) {
		t.Helper()
		d.must(disp.Tick(t.Context()))
		if got := disp.Metrics.(*gauge).last; got != want {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	tick("no files")
	waits := func(corp, id string, left time.Duration) {
		t.Helper()
		f := archive.File{Corp: corp, ID: archive.FileID(id), SDKFileID: id, State: archive.FileWaiting, Deadline: now.Add(left), NotBefore: now}
		d.must(d.Files.CreateFile(t.Context(), f))
		d.must(d.Files.ListFile(t.Context(), f))
	}
	waits(corp, "a", 100*time.Hour)
	waits("wwsecond000000000", "b", 30*time.Hour) // in trouble: measured all the same
	waits("wwsecond000000000", "c", 50*time.Hour)
	waits("wwthird0000000000", "d", -time.Hour) // over
	waits("wwoff000000000000", "e", time.Hour)
	want.FilesLeft = 30 * time.Hour
	tick("files wait")
	disp.MediaDepth = depth(501)
	tick("the queue is long")
}

// Whatever fails, nobody stays untold: the next tick says it.
func TestTickTellsDespiteEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		d, disp := newDispatch(t, f)
		d.register("wwsecond000000000")
		arm()
		_ = disp.Tick(t.Context())
		f.Disarm()
		d.must(disp.Tick(t.Context()))
		told := said(d)
		for _, c := range []string{"ww01 off>well", "wwse off>well"} {
			if !strings.Contains(told, c) {
				t.Errorf("got %q, want %q in it", told, c)
			}
		}
		d.must(disp.Tick(t.Context()))
		if got := said(d); got != "" {
			t.Errorf("told again: %q", got)
		}
	})
}
