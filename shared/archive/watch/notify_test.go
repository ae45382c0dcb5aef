package watch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// notified returns the changes that people were notified of, such as
// "ww01 off>well". A semicolon separates the messages.
func notified(d *archivetest.DecodeFixture) string {
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

// Each change of a corp is one message. While nothing changes there is none.
func TestTickNotifiesOfChanges(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	tick := func(want string) {
		t.Helper()
		for range 3 {
			d.Must(disp.Tick(t.Context()))
		}
		if got := notified(d); got != want {
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
	d.Must(d.Corps.SetEnabled(t.Context(), archivetest.Corp, false, "admin", "", d.Clock.Now()))
	tick("ww01 licence_expired>off")
	d.Must(d.Corps.SetEnabled(t.Context(), archivetest.Corp, true, "admin", "", d.Clock.Now()))
	d.Clock.Advance(121 * time.Hour)
	tick("ww01 off>losing")
}

func TestTickNotifiesOfRecordsSetAside(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Library.Say(archivetest.Corp, archivetest.TextRecord(1, 2, "k2")) // a key that the corp does not have
	d.Must(d.Pull(archive.PullRequest{}))
	d.Work()
	d.Must(disp.Tick(t.Context()))
	sent := d.Notified.Take()
	if len(sent) != 1 || len(sent[0]) != 1 {
		t.Fatalf("got %v, want one message about one corp", sent)
	}
	c := sent[0][0]
	if c.To != watch.SetAside || len(c.SetAside) != 1 || c.SetAside[0].KeyVersion != 2 || c.SetAside[0].Reason != archive.ReasonNoKey {
		t.Errorf("got %+v, want a record of version 2 without a key", c)
	}
	if got := disp.Metrics.(*gauge).last.SetAside; got != 1 {
		t.Errorf("got %d records counted, want 1", got)
	}
}

// A cause of our own that affects all corps gives few messages.
func TestTickNotifiesOfManyCorpsTogether(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	for i := range 250 {
		d.Register(fmt.Sprintf("ww%014d", i))
	}
	d.Must(disp.Tick(t.Context()))
	if got := d.Notified.Take(); len(got) != 2 || len(got[0])+len(got[1]) != 251 {
		t.Errorf("got %d messages, want two about 251 corps", len(got))
	}
}

// Whichever call fails, people are notified by the next tick.
func TestTickNotifiesDespiteEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		d, disp := newDispatch(t, f)
		d.Register("wwsecond000000000")
		arm()
		_ = disp.Tick(t.Context())
		f.Disarm()
		d.Must(disp.Tick(t.Context()))
		sent := notified(d)
		for _, c := range []string{"ww01 off>well", "wwse off>well"} {
			if !strings.Contains(sent, c) {
				t.Errorf("got %q, want %q in it", sent, c)
			}
		}
		d.Must(disp.Tick(t.Context()))
		if got := notified(d); got != "" {
			t.Errorf("notified again: %q", got)
		}
	})
}

// meanwhile is a notifier during whose first message another tick does something.
type meanwhile struct {
	watch.Notifier
	do func()
}

func (m *meanwhile) Notify(ctx context.Context, changes []watch.Change) error {
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return m.Notifier.Notify(ctx, changes)
}

// Two ticks run at once and see different healths. The notice that was sent last is
// noted, so that the next tick corrects what people read last.
func TestTickNotesTheNoticeThatWasSentLast(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	d.Must(disp.Tick(t.Context()))
	healthy := archive.PullState{Corp: archivetest.Corp, LastEmptyAt: d.Clock.Now()}
	troubled := healthy
	troubled.Trouble = &archive.Trouble{Cause: archive.CauseTrustedIP, Since: d.Clock.Now(), At: d.Clock.Now()}
	d.Must(d.Ledger.SavePullState(t.Context(), troubled))
	d.Must(disp.Tick(t.Context()))
	d.Notified.Take()

	// The first tick sees the corp well and is about to say so. The second sees the
	// trouble of a moment later.
	d.Must(d.Ledger.SavePullState(t.Context(), healthy))
	second := *disp
	disp.Notifier = &meanwhile{disp.Notifier, func() {
		expired := troubled
		expired.Trouble = &archive.Trouble{Cause: archive.CauseExpired, Since: d.Clock.Now(), At: d.Clock.Now()}
		d.Must(d.Ledger.SavePullState(t.Context(), expired))
		d.Must(second.Tick(t.Context()))
	}}
	d.Must(disp.Tick(t.Context()))
	if got, want := notified(d), "ww01 well>licence_expired; ww01 trusted_ip>well"; got != want {
		t.Errorf("two ticks at once: got %q, want %q", got, want)
	}
	d.Must(disp.Tick(t.Context()))
	if got, want := notified(d), "ww01 well>licence_expired"; got != want {
		t.Errorf("the next tick: got %q, want %q", got, want)
	}
}

// Whichever call fails, people never read last what no longer holds: a trouble ends
// in the minute after a notice that may have been sent.
func TestTickCorrectsANoticeDespiteEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		d, disp := newDispatch(t, f)
		d.Must(disp.Tick(t.Context()))
		healthy := archive.PullState{Corp: archivetest.Corp, LastEmptyAt: d.Clock.Now()}
		troubled := healthy
		troubled.Trouble = &archive.Trouble{Cause: archive.CauseTrustedIP, Since: d.Clock.Now(), At: d.Clock.Now()}
		d.Must(d.Ledger.SavePullState(t.Context(), troubled))
		arm()
		_ = disp.Tick(t.Context())
		f.Disarm()
		d.Must(d.Ledger.SavePullState(t.Context(), healthy))
		d.Must(disp.Tick(t.Context()))
		if got := notified(d); !strings.HasSuffix(got, ">well") {
			t.Errorf("got %q, want the last notice to say well", got)
		}
		d.Must(disp.Tick(t.Context()))
		if got := notified(d); got != "" {
			t.Errorf("notified again: %q", got)
		}
	})
}

// Up to ten changes to one health get a message each.
func TestTickNotifiesOfFewCorpsOneByOne(t *testing.T) {
	d, disp := newDispatch(t, &archivetest.Faults{})
	for i := range 9 {
		d.Register(fmt.Sprintf("ww%014d", i))
	}
	d.Must(disp.Tick(t.Context()))
	if got := d.Notified.Take(); len(got) != 10 {
		t.Errorf("got %d messages about 10 corps, want 10", len(got))
	}
}

// Without the last notifications every health would seem new, so people are not
// notified at that tick.
func TestTickNotifiesOfNothingUnknown(t *testing.T) {
	f := &archivetest.Faults{}
	d, disp := newDispatch(t, f)
	d.Must(disp.Tick(t.Context()))
	d.Notified.Take()
	f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
		if c.Name == "Ledger.Notified" {
			return archivetest.FailsBefore, nil
		}
		return archivetest.Works, nil
	})
	if err := disp.Tick(t.Context()); err == nil {
		t.Error("got no error, want the failure")
	}
	f.Disarm()
	if got := notified(d); got != "" {
		t.Errorf("got notifications %q, want none", got)
	}
}
