package watch_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

func TestHealthOf(t *testing.T) {
	now := archivetest.Start.Add(200 * time.Hour)
	on := archive.Corp{ID: archivetest.Corp, Enabled: true, EnabledAt: archivetest.Start}
	off := archive.Corp{ID: archivetest.Corp}
	caughtUp := func(ago time.Duration) archive.PullState {
		return archive.PullState{Corp: archivetest.Corp, LastEmptyAt: now.Add(-ago)}
	}
	troubled := func(c archive.Cause, since, ago time.Duration) archive.PullState {
		s := caughtUp(ago)
		s.Trouble = &archive.Trouble{Cause: c, Since: now.Add(-since), At: now}
		return s
	}
	network, secret := watch.Health(archive.CauseNetwork), watch.Health(archive.CauseSecret)
	for _, c := range []struct {
		name   string
		corp   archive.Corp
		state  archive.PullState
		aside  int
		before watch.Health
		want   watch.Health
	}{
		{"off", off, caughtUp(0), 0, watch.Well, watch.Off},
		{"off, and once in trouble", off, troubled(archive.CauseSecret, time.Hour, time.Hour), 3, secret, watch.Off},
		{"well", on, caughtUp(time.Minute), 0, "", watch.Well},
		{"two days behind", on, caughtUp(47 * time.Hour), 0, watch.Well, watch.Well},
		{"more than two days behind", on, caughtUp(49 * time.Hour), 0, watch.Well, watch.Late},
		{"five days behind", on, caughtUp(120 * time.Hour), 0, watch.Late, watch.Losing},
		{"five days behind and in trouble", on, troubled(archive.CauseSecret, time.Hour, 121*time.Hour), 0, secret, watch.Losing},
		{"never caught up since it was switched on", on, archive.PullState{Corp: archivetest.Corp}, 0, watch.Well, watch.Losing},
		{"a person has to help: at once", on, troubled(archive.CauseSecret, 0, time.Minute), 0, watch.Well, secret},
		{"trouble before lateness", on, troubled(archive.CauseSecret, 0, 60*time.Hour), 0, watch.Late, secret},
		{"may pass: not at once", on, troubled(archive.CauseNetwork, 9*time.Minute, 9*time.Minute), 0, watch.Well, watch.Well},
		{"may pass: after a while", on, troubled(archive.CauseNetwork, 10*time.Minute, 10*time.Minute), 0, watch.Well, network},
		{"another that may pass does not take turns", on, troubled(archive.CauseBusy, time.Minute, time.Hour), 0, network, network},
		{"may pass, while rows wait", on, troubled(archive.CauseBusy, time.Minute, time.Minute), 2, watch.SetAside, watch.SetAside},
		{"rows wait", on, caughtUp(time.Minute), 1, watch.Well, watch.SetAside},
		{"no row waits any more", on, caughtUp(time.Minute), 0, watch.SetAside, watch.Well},
		{"trouble is over", on, caughtUp(0), 0, secret, watch.Well},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := watch.HealthOf(c.corp, c.state, c.aside, c.before, now); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// said is what people were told in a tick, such as "ww… off>well".
func said(d *archivetest.DecodeFixture) string {
	var all []string
	for _, message := range d.Notified.Take() {
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
			d.Must(disp.Tick(t.Context()))
		}
		if got := said(d); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	d.Must(d.Corps.CreateCorp(t.Context(), archive.Corp{ID: "wxneverswitchedon", Name: "x", CreatedAt: archivetest.Start}))
	tick("ww01 off>well")
	state := archive.PullState{
		Corp: archivetest.Corp, LastEmptyAt: d.Clock.Now(),
		Standing: archive.Standing{Trouble: &archive.Trouble{Cause: archive.CauseTrustedIP, FromIP: "203.0.113.9", Since: d.Clock.Now(), At: d.Clock.Now()}},
	}
	d.Must(d.Ledger.SavePullState(t.Context(), state))
	tick("ww01 well>trusted_ip")
	state.Trouble.Cause = archive.CauseExpired
	d.Must(d.Ledger.SavePullState(t.Context(), state))
	tick("ww01 trusted_ip>licence_expired")
	d.Must(d.Corps.SetEnabled(t.Context(), archivetest.Corp, false, d.Clock.Now()))
	tick("ww01 licence_expired>off")
	d.Must(d.Corps.SetEnabled(t.Context(), archivetest.Corp, true, d.Clock.Now()))
	d.Clock.Advance(121 * time.Hour)
	tick("ww01 off>losing")
}

func TestTickTellsOfRowsThatWait(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 2, "k2")) // a key that we do not have
	d.Must(d.Pull(archive.PullRequest{}))
	d.Work()
	d.Must(disp.Tick(t.Context()))
	told := d.Notified.Take()
	if len(told) != 1 || len(told[0]) != 1 {
		t.Fatalf("got %v, want one message about one corp", told)
	}
	c := told[0][0]
	if c.To != watch.SetAside || len(c.SetAside) != 1 || c.SetAside[0].KeyVersion != 2 || c.SetAside[0].Reason != archive.ReasonNoKey {
		t.Errorf("got %+v, want a row of version 2 that has no key", c)
	}
	if got := disp.Metrics.(*gauge).last.SetAside; got != 1 {
		t.Errorf("got %d rows counted, want 1", got)
	}
}

// A fault of our own that befalls all corps is few messages.
func TestTickTellsOfManyAtOnce(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	for i := range 250 {
		d.Register(fmt.Sprintf("ww%014d", i))
	}
	d.Must(disp.Tick(t.Context()))
	if got := d.Notified.Take(); len(got) != 2 || len(got[0])+len(got[1]) != 251 {
		t.Errorf("got %d messages, want two about 251 corps", len(got))
	}
}

func TestTickMeasuresTheFleet(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.Register("wwsecond000000000")
	d.Register("wwthird0000000000")
	d.Register("wwoff000000000000")
	d.Must(d.Corps.SetEnabled(t.Context(), "wwoff000000000000", false, archivetest.Start))
	d.Clock.Advance(130 * time.Hour)
	now := d.Clock.Now()
	d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, LastEmptyAt: now.Add(-time.Minute)}))
	d.Must(d.Ledger.SavePullState(t.Context(), archive.PullState{
		Corp: "wwsecond000000000", LastEmptyAt: now.Add(-50 * time.Hour),
		Standing: archive.Standing{Trouble: &archive.Trouble{Cause: archive.CauseSecret, Since: now, At: now}},
	}))
	want := watch.Fleet{Corps: 3, WorstLag: 130 * time.Hour, LeastLeft: -10 * time.Hour, FilesLeft: 120 * time.Hour, Broken: 1, Losing: 1}
	tick := func(what string) {
		t.Helper()
		d.Must(disp.Tick(t.Context()))
		if got := disp.Metrics.(*gauge).last; got != want {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	tick("no files")
	waits := func(corp, id string, left time.Duration) {
		t.Helper()
		f := media.File{Corp: corp, ID: media.ID(id), SDKFileID: id, State: media.Waiting, Deadline: now.Add(left), NotBefore: now}
		d.Must(d.Files.CreateFile(t.Context(), f))
		d.Must(d.Files.ListFile(t.Context(), f))
	}
	waits(archivetest.Corp, "a", 100*time.Hour)
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
		d.Register("wwsecond000000000")
		arm()
		_ = disp.Tick(t.Context())
		f.Disarm()
		d.Must(disp.Tick(t.Context()))
		told := said(d)
		for _, c := range []string{"ww01 off>well", "wwse off>well"} {
			if !strings.Contains(told, c) {
				t.Errorf("got %q, want %q in it", told, c)
			}
		}
		d.Must(disp.Tick(t.Context()))
		if got := said(d); got != "" {
			t.Errorf("told again: %q", got)
		}
	})
}
