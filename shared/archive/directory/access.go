// Package directory asks the HTTP API of WeCom for names, scope and consents,
// and gives names to readers.
package directory

import (
	"context"
	"fmt"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// App is a corp's self-built app, the optional seventh set-up step. It may
// tell names that the archive secret may not (wecom.md 5.8).
type App struct {
	AgentID      string // as WeCom's console shows it; empty if nobody entered it
	SecretPrefix string // its first 4 characters, for the set-up page
	// SetAt changes with every saved secret, as [archive.Corp.SecretSetAt]; zero for no
	// app.
	SetAt time.Time
}

// Access is a part of WeCom's HTTP API that is allowed or refused as a whole.
// Its values are part of our HTTP API.
type Access string

// The parts.
const (
	AccessArchive   Access = "archive"   // msgaudit/*, with the archive secret
	AccessMembers   Access = "members"   // user/get, with the app's secret; without an app the archive secret is tried
	AccessCustomers Access = "customers" // externalcontact/*, with the app's secret
)

// Accesses lists all parts.
var Accesses = []Access{AccessArchive, AccessMembers, AccessCustomers}

func accessFor(k PersonKind) Access {
	switch k {
	case Robot:
		return AccessArchive
	case External:
		return AccessCustomers
	}
	return AccessMembers
}

// AppStep is the set-up step of the self-built app.
const AppStep = 7

// Step is the set-up step to redo when c is what is wrong with the access, 0
// where none helps: the same refusal is mended on the app's own page if it is
// the app that is refused.
func (a Access) Step(c archive.Cause) int {
	if s := c.Step(); a == AccessArchive || s == 0 {
		return s
	}
	return AppStep
}

// okTouch bounds how often success is noted.
const okTouch = time.Hour

// Scope is who is archived, as WeCom says.
type Scope struct {
	Count   int
	Members []string // userids, at most [ScopeMost] of them
	At      time.Time
}

// ScopeMost is how many members of the scope are kept.
const ScopeMost = 2000

// Reach is how we stand with WeCom's HTTP API for one corp.
type Reach struct {
	App App
	// Access is the standing of the secret of each access; nothing is there for
	// an access that was never used. A standing about another secret than the
	// present one says nothing. OKAt may lag by an hour. An id that was asked for
	// before NotBefore is asked for again afterwards.
	Access map[Access]archive.Standing
	Scope  *Scope // nil if never told
	// CheckedAt is when all accesses were last tried, zero for never.
	CheckedAt time.Time
}

// asksAsApp reports whether the app's secret is what the access is asked with,
// not the archive secret.
func (r Reach) asksAsApp(a Access) bool {
	return a == AccessCustomers || a == AccessMembers && !r.App.SetAt.IsZero()
}

// Standing is what is known of an access with its present secret.
func (r Reach) Standing(a Access, c archive.Corp) archive.Standing {
	at := c.SecretSetAt
	if r.asksAsApp(a) {
		at = r.App.SetAt
	}
	if known, ok := r.Access[a]; ok && known.SecretSetAt.Equal(at) {
		return known
	}
	return archive.Standing{SecretSetAt: at}
}

// mayAsk reports whether a read may have something asked through the access.
// To have asked at or after since is enough: that was today, with the present
// secret, and after the last pause.
func (r Reach) mayAsk(a Access, c archive.Corp, now time.Time) (since time.Time, ok bool) {
	state := r.Standing(a, c)
	if state.SecretSetAt.IsZero() || now.Before(state.NotBefore) {
		return time.Time{}, false
	}
	since = archive.DayOf(now).Start()
	for _, t := range []time.Time{state.SecretSetAt, r.App.SetAt, state.NotBefore} {
		if t.After(since) && !t.After(now) {
			since = t
		}
	}
	return since, true
}

// A ReachReader reads how we stand; a zero Reach for a corp of which
// nothing is stored. Safe for concurrent use.
type ReachReader interface {
	Reach(ctx context.Context, corp string) (Reach, error)
}

// A ReachWriter keeps what was learned. Each part is replaced whole; the
// one inspector of the corp is the one writer, the last wins.
type ReachWriter interface {
	SaveAccess(ctx context.Context, corp string, a Access, s archive.Standing) error
	SaveScope(ctx context.Context, corp string, s Scope) error
	SaveChecked(ctx context.Context, corp string, at time.Time) error
}

// A Credential is what WeCom gives tokens for.
type Credential struct {
	Corp   string
	Secret secret.Value
}

// APIError is a refusal of WeCom's HTTP API, or no answer. It says nothing of
// a request's content.
type APIError struct {
	Op     string // path below /cgi-bin/, such as gettoken or user/get
	Code   int    // errcode; 0 if Cause is set
	FromIP string // the address WeCom saw, where it tells
	// Cause is set if no errcode came: CauseNetwork, CauseTLS, CauseBusy (HTTP
	// 5xx) or CauseBadAnswer.
	Cause archive.Cause
}

func (e *APIError) Error() string {
	if e.Cause != "" {
		return fmt.Sprintf("%s: %s", e.Op, e.Cause)
	}
	return fmt.Sprintf("%s: errcode %d", e.Op, e.Code)
}

// FromIP is the caller's address in an errmsg of WeCom's, or empty.
func FromIP(errmsg string) string { return archive.CallerIP(errmsg) }

// missing is what a refusal says about the id that was asked for; false if it
// is about the access.
func (e *APIError) missing() (Missing, bool) {
	switch e.Code {
	case 40003, 46004, 60111:
		return MissingNotFound, true
	case 50002, 60011:
		return MissingRange, true
	case 40096, 84061:
		return MissingRelation, true
	case 92002:
		return MissingForeign, true
	case 40058, 40063, 301059, 301061: // a parameter that does not fit: the id
		return MissingNotFound, true
	}
	return "", false
}

// classify maps a refusal of an access to a cause and a response (law 10). What
// a page of the archive and this API have in common is in [classify].
func (e *APIError) classify() (archive.Cause, archive.Response) {
	switch {
	case e.Cause == archive.CauseNetwork, e.Cause == archive.CauseBusy, e.Cause == archive.CauseBadAnswer:
		return e.Cause, archive.RespondRetry
	case e.Cause != "":
		return e.Cause, archive.RespondStop
	}
	switch e.Code {
	case 40056, 50003, 84074, 95017: // the app is off, or lacks the right
		return archive.CauseSecretKind, archive.RespondPause
	case 301042, 60020: // takes effect about a minute after it is mended
		return archive.CauseTrustedIP, archive.RespondPause
	}
	return archive.Classify(e.Op, e.Code, false)
}
