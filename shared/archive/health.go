package archive

import (
	"context"
	"time"
)

// Health says in one word how a corp is doing, as people are told of it: one
// of the words below, or a [Cause] that lasts.
type Health string

// The kinds of health that are no cause.
const (
	HealthOff           Health = "off"           // switched off: nobody asks WeCom for it
	HealthWell          Health = "well"          // messages come in and are decoded
	HealthLate          Health = "late"          // no cause is known, but nothing was caught up for two days
	HealthLosing        Health = "losing"        // WeCom may be deleting what was not pulled (law 9)
	HealthUndecryptable Health = "undecryptable" // messages come in, and rows wait that could not be decrypted (law 5)
)

const (
	// lateBelow is how many of the 120 hours have to be left.
	lateBelow = 72 * time.Hour
	// passesWithin is how long a trouble that passes by itself goes unmentioned.
	passesWithin = 10 * time.Minute
)

// passes reports whether the trouble usually ends without anybody's help.
func (c Cause) passes() bool {
	switch c {
	case CauseNetwork, CauseBusy, CauseRate, CauseBudget, CauseTLS, CauseLibraryCrash, CauseBadAnswer, CauseRecordTooLarge, CauseUnknownResponse:
		return true
	}
	return false
}

// Cause is the cause that the health is, false if it is none.
func (h Health) Cause() (Cause, bool) {
	switch h {
	case "", HealthOff, HealthWell, HealthLate, HealthLosing, HealthUndecryptable:
		return "", false
	}
	return Cause(h), true
}

// HealthOf judges a corp of which people were last told that it is before.
// The worst comes first. A trouble that may pass changes nothing until it has
// lasted, so that nobody is told of one bad minute, or of two causes that take
// turns.
func HealthOf(c Corp, s PullState, aside int, before Health, now time.Time) Health {
	if !c.Enabled {
		return HealthOff
	}
	left := HoursLeft(c, s, now)
	if left <= 0 {
		return HealthLosing
	}
	if t := s.Trouble; t != nil {
		if !t.Cause.passes() || now.Sub(t.Since) >= passesWithin {
			return Health(t.Cause)
		}
		if _, broken := before.Cause(); broken {
			return before
		}
	}
	switch {
	case left < lateBelow:
		return HealthLate
	case aside > 0:
		return HealthUndecryptable
	}
	return HealthWell
}

// Told is what people were last told of a corp.
type Told struct {
	Corp   string
	Health Health // empty if they were never told anything
	At     time.Time
}

// A Change is a corp whose health has changed, with what there is to say.
type Change struct {
	Corp, Name string
	From, To   Health // From is never empty
	At         time.Time
	Trouble    *Trouble      // of the last pull; nil for none
	Left       time.Duration // see [HoursLeft]
	// Aside are the rows set aside, the lowest seqs first, not all of them if
	// AsideMore.
	Aside     []Undecryptable
	AsideMore bool
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
	LeastLeft time.Duration // least [HoursLeft] of them; [Retention] without corps
	Broken    int           // with a cause that lasts
	Losing    int           // in [HealthLosing]
	// FilesLeft is the least time until WeCom deletes a file that waits, [Retention]
	// where none does. Those of which the time is over do not count: they may be
	// lost already.
	FilesLeft time.Duration
	// What could not be counted at this tick is negative, FilesLeft too. Of one corp no more
	// than 1000 are counted.
	Undecryptable int // rows set aside
	Overdue       int // pages requested over 15 minutes ago and not decoded
	Stuck         int // of these, given up but for one try an hour
}

// Metrics takes the fleet's numbers at the end of each tick.
type Metrics interface {
	Fleet(ctx context.Context, f Fleet)
}
