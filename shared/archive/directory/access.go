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

// App is a corp's self-built app, the optional seventh set-up step. WeCom tells
// its secret names that it refuses to the archive secret (wecom.md 5.8).
type App struct {
	AgentID      string // as in WeCom's console; empty if it was not entered
	SecretPrefix string // its first 4 characters, for the set-up page
	// SetAt changes with every saved secret, as [archive.Corp.SecretSetAt] does; zero
	// without an app.
	SetAt time.Time
	// SecretDigest is as [archive.Corp.SecretDigest] is.
	SecretDigest secret.Digest
}

// Access is a part of WeCom's HTTP API that WeCom allows or refuses as a whole.
// Its values are part of our HTTP API.
type Access string

// The parts.
const (
	AccessArchive   Access = "archive"   // msgaudit/*, with the archive secret
	AccessMembers   Access = "members"   // user/get, with the app's secret, or without an app with the archive secret
	AccessCustomers Access = "customers" // externalcontact/*, with the app's secret
)

// Accesses lists all of them.
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

// Step is the set-up step to redo when c is the trouble of the access; 0 where no
// step helps. A refusal of the app is fixed on the app's page.
func (a Access) Step(c archive.Cause) int {
	if s := c.Step(); a == AccessArchive || s == 0 {
		return s
	}
	return AppStep
}

// okTouch is the shortest time between two notes of success.
const okTouch = time.Hour

// Reach is what a corp's secrets may ask of WeCom's HTTP API.
type Reach struct {
	App App
	// Access is the standing of the secret of each access; nothing is there for
	// an access that was never used. A standing about another secret than the
	// present one says nothing. OKAt may lag by an hour. An id that was asked for
	// before NotBefore is asked for again afterwards.
	Access map[Access]archive.Standing
	Scope  *Scope // nil before the first answer
	// CheckedAt is the last check of all accesses; zero for never.
	CheckedAt time.Time
}

// asksAsApp reports whether the access uses the app's secret and not the archive
// secret.
func (r Reach) asksAsApp(a Access) bool {
	return a == AccessCustomers || a == AccessMembers && !r.App.SetAt.IsZero()
}

// Standing is the standing of the access's present secret.
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

// mayAsk reports whether a reader's lookup may use the access. since is the
// latest of: start of today, last change of the secret, end of the last pause.
// An id that was asked for after it need not be asked for again.
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

// A ReachReader reads a corp's reach; a zero Reach if nothing is stored. Safe for
// concurrent use.
type ReachReader interface {
	Reach(ctx context.Context, corp string) (Reach, error)
}

// A ReachWriter stores the parts of a reach. Each write replaces its part. The
// corp's one inspector is the only writer.
type ReachWriter interface {
	SaveAccess(ctx context.Context, corp string, a Access, s archive.Standing) error
	SaveScope(ctx context.Context, corp string, s Scope) error
	SaveChecked(ctx context.Context, corp string, at time.Time) error
}

// A Credential is exchanged for a token of WeCom's.
type Credential struct {
	Corp   string
	Secret secret.Value
}

// APIError is a refusal of WeCom's HTTP API, or a missing answer. It holds
// nothing of the request's content.
type APIError struct {
	Op     string // path below /cgi-bin/, such as gettoken or user/get
	Code   int    // errcode; 0 if Cause is set
	FromIP string // our address as WeCom saw it; empty where the answer does not say
	// Cause is set if the answer had no errcode: CauseNetwork, CauseTLS, CauseBusy (HTTP
	// 5xx) or CauseBadAnswer.
	Cause archive.Cause
}

func (e *APIError) Error() string {
	if e.Cause != "" {
		return fmt.Sprintf("%s: %s", e.Op, e.Cause)
	}
	return fmt.Sprintf("%s: errcode %d", e.Op, e.Code)
}

// FromIP is our address in an errmsg of WeCom's, or empty.
func FromIP(errmsg string) string { return archive.CallerIP(errmsg) }

// missing is what a refusal says about the requested id; false if the refusal is
// about the access.
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
	case 40058, 40063, 301059, 301061: // an unfit parameter: the id
		return MissingNotFound, true
	}
	return "", false
}

// Classify maps a refusal of an access to a cause and a response (law 10). app
// says that the access uses the secret of the self-built app. [archive.Classify]
// has what this API shares with the archive's pages.
func (e *APIError) Classify(app bool) (archive.Cause, archive.Response) {
	switch {
	case e.Cause == archive.CauseNetwork, e.Cause == archive.CauseBusy, e.Cause == archive.CauseBadAnswer:
		return e.Cause, archive.RespondRetry
	case e.Cause != "":
		return e.Cause, archive.RespondStop
	}
	switch e.Code {
	case 84074: // the app lacks the right
		return archive.CauseSecretKind, archive.RespondPause
	case 40056, 50003, 95017: // the app is off, or lacks the right
		if app {
			return archive.CauseSecretKind, archive.RespondPause
		}
	case 301042, 60020: // a fix takes effect after about a minute
		return archive.CauseTrustedIP, archive.RespondPause
	}
	return archive.Classify(e.Op, e.Code, false)
}
