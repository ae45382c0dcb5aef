package archive

import (
	"time"

	"github.com/yunduo-scrm/archive/shared/pattern"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// Corp is a company that was registered with us.
type Corp struct {
	ID        string // WeCom's corpid, see [ValidCorpID]
	Name      string
	CreatedAt time.Time
	// Enabled says whether dispatch asks for pulls. Decoding never stops.
	Enabled bool
	// EnabledAt is when Enabled first became true. Switching off and on does not
	// change it. Until the first empty page the hours left (law 9) count from here.
	EnabledAt time.Time
	// SecretPrefix is the first 4 characters of the archive secret, for the
	// set-up page; empty until a secret is saved.
	SecretPrefix string
	// SecretSetAt changes with every saved secret. What was learned about a
	// secret (accepted, refused) holds only for the SecretSetAt it was learned
	// with.
	SecretSetAt time.Time
	// SecretDigest is the digest of the archive secret once the secret store has
	// it; empty while a secret is being saved.
	SecretDigest secret.Digest
	// What WeCom answered when the secret was shown on the open way
	// ([Open]). Saving another secret clears it. Each time is zero if there was no
	// such answer.
	OpenOKAt      time.Time
	OpenRefusedAt time.Time
	OpenCause     Cause
	OpenCode      int
	// CurrentKey is the id of the key that the set-up page shows for copying.
	CurrentKey string
	// CallbackAt is when WeCom last announced messages by a callback, zero for
	// never. It may lag by [CallbackTouch].
	CallbackAt time.Time
	// StateAt is when Enabled was last switched, by the user StateBy, for
	// StateReason, which may be empty.
	StateAt     time.Time
	StateBy     string
	StateReason string
	// PageKey hides what the page tokens of limited readers and their versions in
	// getChanges are made of. It is random, never changes, and is never logged.
	PageKey [32]byte
}

// OpenAnswer is what WeCom answered about a secret on the open way. One of the
// times is set.
type OpenAnswer struct {
	OKAt, RefusedAt time.Time
	Cause           Cause // of a refusal
	Code            int
}

// OpenHold is how long a refusal on the open way keeps the secret from being
// shown on the trusted way. After that the trusted way decides: it is not known
// whether WeCom always accepts a right secret on the open way.
const OpenHold = 6 * time.Hour

// HeldByOpen is the time until which the present secret is not shown on the
// trusted way because WeCom refused it on the open way; zero if it may be shown.
func (c Corp) HeldByOpen(now time.Time) time.Time {
	if until := c.OpenRefusedAt.Add(OpenHold); !c.OpenRefusedAt.IsZero() && now.Before(until) {
		return until
	}
	return time.Time{}
}

// OpenTrouble is WeCom's refusal of the present secret on the open way. It is nil
// if there is no refusal, or if WeCom has answered about the secret on the trusted
// way since then.
func (c Corp) OpenTrouble(s PullState) *Trouble {
	trusted := s.For(c.SecretSetAt)
	if c.OpenRefusedAt.IsZero() || trusted.OKAt.After(c.OpenRefusedAt) || trusted.RefusedAt.After(c.OpenRefusedAt) {
		return nil
	}
	return &Trouble{Cause: c.OpenCause, Op: "gettoken", Code: c.OpenCode, Since: c.OpenRefusedAt, At: c.OpenRefusedAt}
}

// TroubleOf is why messages of the corp do not come in; nil when all is well.
func TroubleOf(c Corp, s PullState) *Trouble {
	if t := c.OpenTrouble(s); t != nil {
		return t
	}
	return s.Trouble
}

// CallbackTouch is the shortest time between two changes of [Corp.CallbackAt].
const CallbackTouch = time.Minute

var corpID = pattern.New(`^w[wx][0-9a-zA-Z]{8,40}$`)

// ValidCorpID reports whether s has the form of a corpid: ww or wx and then 8
// to 40 letters or digits. Known corpids have 16 hex digits after the prefix; the
// accepted form is wider because WeCom does not document it. A corpid of this
// form needs no escaping in keys and object names.
func ValidCorpID(s string) bool { return corpID().MatchString(s) }

// Key is the public half of an RSA key pair of a corp. The private half is
// in the secret store under the same id, created once, never overwritten.
type Key struct {
	// ID is the first 32 hex digits of the SHA-256 of the public key's
	// SubjectPublicKeyInfo: importing one key twice is one key.
	ID        string
	PublicPEM string
	Origin    KeyOrigin
	CreatedAt time.Time
	// ClaimedVersion is the 版本号 that a person last typed for this key, 0 for
	// none. A claim only decides which key is tried first (law 6).
	ClaimedVersion uint32
	ClaimedAt      time.Time
	ClaimedBy      string // who typed it: the sub of the token
	// LastUsedAt is the pull time of the newest page in which the key opened a
	// message; zero for never. It may lag by [KeyTouch].
	LastUsedAt time.Time
	// Retried: the job that tries an imported key on the records set aside is
	// requested. It is false after a crash before that.
	Retried bool
}

// KeyTouch is the shortest time between two notes of the use of a key.
const KeyTouch = time.Hour

// KeyOrigin is where a key pair came from.
type KeyOrigin string

// The origins.
const (
	KeyMade     KeyOrigin = "made"
	KeyImported KeyOrigin = "imported"
)

// Binding is the proof that a key belongs to a version: it opened a message
// of that version, which parsed and carried the record's msgid (law 6). One
// key may be bound to several versions (the same public key pasted again).
type Binding struct {
	Version uint32
	KeyID   string
	Seq     uint64 // of the message that proved it
	MsgID   string
	At      time.Time
}

// KeySet is all that is known of a corp's keys, read at one moment.
type KeySet struct {
	Keys     []Key // by CreatedAt, oldest first
	Bindings []Binding
}
