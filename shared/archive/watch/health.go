package watch

import (
	"context"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Health says in one word how a corp is doing, as people are told of it: one
// of the words below, or a [archive.Cause] that lasts.
type Health string

// The kinds of health that are no cause.
const (
	Off      Health = "off"       // switched off: nobody asks WeCom for it
	Well     Health = "well"      // messages come in and are decoded
	Late     Health = "late"      // no cause is known, but nothing was caught up for two days
	Losing   Health = "losing"    // WeCom may be deleting what was not pulled (law 9)
	SetAside Health = "set_aside" // messages come in, and rows wait that could not be decrypted (law 5)
)

const (
	// lateBelow is how many of the 120 hours have to be left.
	lateBelow = 72 * time.Hour
	// passesWithin is how long a trouble that passes by itself goes unmentioned.
	passesWithin = 10 * time.Minute
)

// passes reports whether the trouble usually ends without anybody's help.
func passes(c archive.Cause) bool {
	switch c {
	case archive.CauseNetwork, archive.CauseBusy, archive.CauseRate, archive.CauseBudget, archive.CauseShare, archive.CauseTLS, archive.CauseLibraryCrash, archive.CauseBadAnswer, archive.CauseRecordTooLarge, archive.CauseUnknownResponse:
		return true
	}
	return false
}

// Cause is the cause that the health is, false if it is none.
func (h Health) Cause() (archive.Cause, bool) {
	switch h {
	case "", Off, Well, Late, Losing, SetAside:
		return "", false
	}
	return archive.Cause(h), true
}

// HealthOf judges a corp of which people were last told that it is before.
// The worst comes first. A trouble that may pass changes nothing until it has
// lasted, so that nobody is told of one bad minute, or of two causes that take
// turns.
func HealthOf(c archive.Corp, s archive.PullState, aside int, before Health, now time.Time) Health {
	if !c.Enabled {
		return Off
	}
	left := archive.HoursLeft(c, s, now)
	if left <= 0 {
		return Losing
	}
	if t := s.Trouble; t != nil {
		if !passes(t.Cause) || now.Sub(t.Since) >= passesWithin {
			return Health(t.Cause)
		}
		if _, broken := before.Cause(); broken {
			return before
		}
	}
	switch {
	case left < lateBelow:
		return Late
	case aside > 0:
		return SetAside
	}
	return Well
}

// Told is what people were last told of a corp.
type Notified struct {
	Corp   string
	Health Health // empty if they were never told anything
	At     time.Time
}

// A Change is a corp whose health has changed, with what there is to say.
type Change struct {
	Corp, Name string
	From, To   Health // From is never empty
	At         time.Time
	Trouble    *archive.Trouble // of the last pull; nil for none
	Left       time.Duration    // see [archive.HoursLeft]
	// Aside are the rows set aside, the lowest seqs first, not all of them if
	// AsideMore.
	SetAside     []archive.SetAside
	MoreSetAside bool
}

// NotifyMost is how many changes a message may be about, each of which it names.
const NotifyMost = 200

// A Notifier tells people.
type Notifier interface {
	// Notify sends one message about the changes, which all have the same To
	// and are 1 to [NotifyMost]. It may be called again with the same.
	Notify(ctx context.Context, changes []Change) error
}

// Fleet is how all corps together are doing at a tick. There is no number per
// corp here: what concerns one is told by a [Notifier], and shown by its
// status.
type Fleet struct {
	Corps     int           // switched on
	WorstLag  time.Duration // longest time since one of them was caught up
	LeastLeft time.Duration // least [archive.HoursLeft] of them; [archive.Retention] without corps
	Broken    int           // with a cause that lasts
	Losing    int           // in [Losing]
	// FilesLeft is the least time until WeCom deletes a file that waits, [archive.Retention]
	// where none does. Those of which the time is over do not count: they may be
	// lost already.
	FilesLeft time.Duration
	// What could not be counted at this tick is negative, FilesLeft too. Of one corp no more
	// than 1000 are counted.
	SetAside int // rows set aside
	Overdue  int // pages requested over 15 minutes ago and not decoded
	Stuck    int // of these, given up but for one try an hour
}

// Metrics takes the fleet's numbers at the end of each tick.
type Metrics interface {
	Fleet(ctx context.Context, f Fleet)
}
