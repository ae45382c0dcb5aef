package watch

import (
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Health describes the state of a corp in one word, for people: one of the words
// below, or an [archive.Cause] that lasts.
type Health string

// The kinds of health that are not a cause.
const (
	Off      Health = "off"       // switched off: no pulls are requested
	Well     Health = "well"      // messages are pulled and decoded
	Late     Health = "late"      // not caught up for two days, with no known cause
	Losing   Health = "losing"    // WeCom may be deleting messages that were not pulled (law 9)
	SetAside Health = "set_aside" // messages are pulled, and some records are set aside (law 5)
)

// If the health is a cause, Cause returns it. For the other kinds of health
// Cause returns false.
func (h Health) Cause() (archive.Cause, bool) {
	switch h {
	case "", Off, Well, Late, Losing, SetAside:
		return "", false
	}
	return archive.Cause(h), true
}

// HealthOf decides a corp's health. setAside is the number of its records set
// aside. before is the health that people were last notified of. Of several
// kinds of health that apply, the worst one counts.
//
// A trouble that usually passes by itself changes nothing before
// [archive.PassesWithin].
// So people are not notified of a one-minute outage, or of two alternating
// causes.
func HealthOf(c archive.Corp, s archive.PullState, setAside int, before Health, now time.Time) Health {
	if !c.Enabled {
		return Off
	}
	left := archive.HoursLeft(c, s, now)
	if left <= 0 {
		return Losing
	}
	if t := archive.TroubleOf(c, s); t != nil {
		if !t.Cause.Passes() || now.Sub(t.Since) >= archive.PassesWithin {
			return Health(t.Cause)
		}
		if _, broken := before.Cause(); broken {
			return before
		}
	}
	switch {
	case left < archive.LateBelow:
		return Late
	case setAside > 0:
		return SetAside
	}
	return Well
}
