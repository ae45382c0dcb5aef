package watch_test

import (
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
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
		{"off, with an old trouble", off, troubled(archive.CauseSecret, time.Hour, time.Hour), 3, secret, watch.Off},
		{"well", on, caughtUp(time.Minute), 0, "", watch.Well},
		{"two days behind", on, caughtUp(47 * time.Hour), 0, watch.Well, watch.Well},
		{"more than two days behind", on, caughtUp(49 * time.Hour), 0, watch.Well, watch.Late},
		{"five days behind", on, caughtUp(120 * time.Hour), 0, watch.Late, watch.Losing},
		{"five days behind and in trouble", on, troubled(archive.CauseSecret, time.Hour, 121*time.Hour), 0, secret, watch.Losing},
		{"never caught up since it was switched on", on, archive.PullState{Corp: archivetest.Corp}, 0, watch.Well, watch.Losing},
		{"a trouble that needs a person counts at once", on, troubled(archive.CauseSecret, 0, time.Minute), 0, watch.Well, secret},
		{"a trouble counts more than lateness", on, troubled(archive.CauseSecret, 0, 60*time.Hour), 0, watch.Late, secret},
		{"a trouble that may pass does not count at once", on, troubled(archive.CauseNetwork, 9*time.Minute, 9*time.Minute), 0, watch.Well, watch.Well},
		{"a trouble that may pass counts after ten minutes", on, troubled(archive.CauseNetwork, 10*time.Minute, 10*time.Minute), 0, watch.Well, network},
		{"a second trouble that may pass changes nothing", on, troubled(archive.CauseBusy, time.Minute, time.Hour), 0, network, network},
		{"a trouble that may pass, with records set aside", on, troubled(archive.CauseBusy, time.Minute, time.Minute), 2, watch.SetAside, watch.SetAside},
		{"records set aside", on, caughtUp(time.Minute), 1, watch.Well, watch.SetAside},
		{"records no longer set aside", on, caughtUp(time.Minute), 0, watch.SetAside, watch.Well},
		{"trouble is over", on, caughtUp(0), 0, secret, watch.Well},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := watch.HealthOf(c.corp, c.state, c.aside, c.before, now); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
