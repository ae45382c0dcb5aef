// Package doctor reports for each part of a corp's set-up whether it works, and if
// not, why. It uses stored data only and sends no request to WeCom.
package doctor

import (
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Check names a part of the set-up. Its values are part of the HTTP API.
type Check string

// The checks, in the order of the set-up steps.
const (
	CheckCorp        Check = "corp"         // WeCom knows the corpid
	CheckScope       Check = "scope"        // members are in scope, and the service may be used
	CheckSeats       Check = "seats"        // the members in scope have seats
	CheckSecret      Check = "secret"       // WeCom accepts the Secret
	CheckKey         Check = "key"          // messages are encrypted with the offered key
	CheckVersions    Check = "key_versions" // every version has a key
	CheckTrustedIP   Check = "trusted_ip"   // WeCom accepts our addresses
	CheckSwitch      Check = "switch_on"    // archiving is on, here and in WeCom
	CheckCallback    Check = "callback"     // WeCom announces messages
	CheckPulls       Check = "pulls"        // WeCom and the library answer
	CheckChats       Check = "chats"        // messages come
	CheckHours       Check = "hours_left"   // WeCom deletes no message before it is archived
	CheckLosses      Check = "losses"       // nothing was lost
	CheckPages       Check = "pages"        // pages are decoded
	CheckSetAside    Check = "set_aside"    // records are decrypted
	CheckFiles       Check = "files"        // files are fetched in time
	CheckApp         Check = "app"          // the self-built app may read names
	CheckAppCallback Check = "app_callback" // the app's events arrive
)

// Checks lists all checks, in their order.
var Checks = []Check{
	CheckCorp, CheckScope, CheckSeats, CheckSecret, CheckKey, CheckVersions, CheckTrustedIP, CheckSwitch, CheckCallback, CheckPulls, CheckChats,
	CheckHours, CheckLosses, CheckPages, CheckSetAside, CheckFiles, CheckApp, CheckAppCallback,
}

// Step is the set-up step (README.md) that a check belongs to.
func (c Check) Step() int {
	switch c {
	case CheckCorp:
		return 0
	case CheckScope, CheckSeats:
		return 1
	case CheckSecret:
		return 2
	case CheckKey, CheckVersions:
		return 3
	case CheckTrustedIP:
		return 4
	case CheckSwitch, CheckCallback:
		return 5
	case CheckApp, CheckAppCallback:
		return 7
	}
	return 6
}

// State is the state of a check. Its values are part of the HTTP API.
type State string

// The states.
const (
	OK      State = "ok"      // WeCom's answers show that it works
	Waiting State = "waiting" // it looks right; something must still come
	Bad     State = "bad"     // it does not work; the cause says why
	Unseen  State = "unseen"  // WeCom has not answered yet, or cannot tell
	Off     State = "off"     // it is not used
)

// Cause says why a check has its state: an [archive.Cause], an [archive.Reason],
// or one of the causes below. Its values are part of the HTTP API.
type Cause string

// The causes that only the doctor names.
const (
	CauseSeats        Cause = "scope_over_seats"
	CauseEmpty        Cause = "scope_empty"
	CauseUnclaimed    Cause = "key_unclaimed"
	CauseUnproved     Cause = "key_unproved"
	CauseElsewhere    Cause = "proved_elsewhere"
	CauseUnmatched    Cause = "version_unmatched"
	CauseEgress       Cause = "egress_differs"
	CauseSwitchedOff  Cause = "switched_off"
	CauseUnverified   Cause = "callback_unverified"
	CauseSilent       Cause = "callback_silent"
	CauseRefused      Cause = "callback_refused"
	CauseNothing      Cause = "nothing_yet"
	CauseLate         Cause = "late"
	CauseLosing       Cause = "losing"
	CauseLost         Cause = "lost"
	CauseGap          Cause = "gap"
	CauseStuck        Cause = "pages_stuck"
	CauseFilesShort   Cause = "files_short"
	CauseFilesMissing Cause = "files_missing"
	CauseAppUnused    Cause = "app_unused"
)

// Fact names a piece of evidence. Its values are part of the HTTP API.
type Fact string

// The facts. Times are RFC 3339.
const (
	FactCorpID     Fact = "corp_id"
	FactMembers    Fact = "members" // in scope
	FactSetAt      Fact = "set_at"
	FactMasked     Fact = "masked"
	FactVersion    Fact = "version"
	FactVersions   Fact = "versions"
	FactClaimed    Fact = "claimed"
	FactProved     Fact = "proved"
	FactCount      Fact = "count"
	FactAtLeast    Fact = "at_least" // a count that may be too low, because counting stopped at a limit
	FactFilesUntil Fact = "files_until"
	FactSeq        Fact = "seq"
	FactFromIP     Fact = "from_ip"
	FactTrustedIPs Fact = "trusted_ips"
	FactOnList     Fact = "on_list" // whether from_ip is one of trusted_ips: yes or no
	FactBy         Fact = "by"
	FactReason     Fact = "reason"
	FactLastCall   Fact = "last_call"
	FactEventAt    Fact = "event_at"
	FactVerifiedAt Fact = "verified_at"
	FactWhy        Fact = "why"
	FactSourceIP   Fact = "source_ip"
	FactHours      Fact = "hours"
	FactUntil      Fact = "until"
	FactOldest     Fact = "oldest"
	FactAccess     Fact = "access"
)

// Evidence is a fact with its value.
type Evidence struct {
	Fact  Fact
	Value string
}

// Result is the state of a check.
type Result struct {
	Check Check
	State State
	Cause Cause     // empty if there is nothing to say
	Since time.Time // when the state began; zero if the facts do not say
	At    time.Time // when the newest fact was learned; zero if the facts do not say
	// What WeCom answered; unset for a cause that no answer named.
	Op       string
	Code     int
	Native   bool
	FromIP   string
	Evidence []Evidence
}

func (r Result) with(fact Fact, value string) Result {
	r.Evidence = append(r.Evidence, Evidence{fact, value})
	return r
}

func (r Result) when(fact Fact, at time.Time) Result {
	if at.IsZero() {
		return r
	}
	return r.with(fact, at.UTC().Format(time.RFC3339))
}

// Operators reports whether the remedy is in the hands of the operators of this
// system and not of the company's admin.
func (c Cause) Operators() bool {
	switch c {
	case CauseEgress, CauseStuck, Cause(archive.CauseCorpID), Cause(archive.CauseNetwork), Cause(archive.CauseTLS), Cause(archive.CauseLibraryMissing), Cause(archive.CauseLibraryCrash),
		Cause(archive.ReasonJournal):
		return true
	}
	return false
}

// Who names the people with the remedy: operators or admin. Its values are part of
// the HTTP API.
func Who(operators bool) string {
	if operators {
		return "operators"
	}
	return "admin"
}
