package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// CallbackKind names one of the two callbacks of a corp. Each has pairs of its
// own.
type CallbackKind string

// The callbacks.
const (
	ArchiveCallback CallbackKind = "archive"
	AppCallback     CallbackKind = "app" // of the self-built app
)

const (
	// OldPairMost is the longest time for which a replaced pair is accepted.
	OldPairMost = 7 * 24 * time.Hour
	// OldPairOverlap is the time for which a replaced pair is accepted after the
	// first event that was signed with the new pair. WeCom may still repeat events
	// that it signed with the old pair.
	OldPairOverlap = 24 * time.Hour
)

// Callback says which callback pairs of a corp are accepted, and holds them as
// text that only a holder of the stack's pair key can open. A corp without a
// Callback accepts none.
type Callback struct {
	Pair       string // id of the newest pair
	PairSealed string
	// Old is the id of the pair that Pair replaced; empty, like OldSealed, if
	// there is none, or if it was revoked.
	Old       string
	OldSealed string
	// MadeAt is when Pair replaced another one, or when the replaced one was
	// revoked; zero for a corp's first pair.
	MadeAt time.Time
	// FirstEventAt is when the first event that was signed with Pair arrived. It
	// is noted only while there is an Old.
	FirstEventAt time.Time

	// What arrived, for the set-up page. A lost note costs nothing: the next
	// request is noted.
	VerifiedAt time.Time // WeCom last checked the URL with Pair
	EventAt    time.Time // the last authentic event; it may lag by [EventTouch]
	SeenFrom   string    // the address that the newest of the two came from
	// Refused requests on the Beijing day RefusedDay. Refused is at least the
	// number that is noted: a process that ends forgets up to [CallbackTouch] of
	// them. Everybody on the internet can send requests that are refused.
	RefusedDay  Day
	Refused     int
	RefusedAt   time.Time
	RefusedWhy  RefusedWhy
	RefusedFrom string
}

// EventTouch is the shortest time between two notes of an event on its callback.
const EventTouch = 10 * time.Minute

// RefusedWhy says which check of a callback a request failed. Its values are
// part of the HTTP API.
type RefusedWhy string

// The checks.
const (
	RefusedSignature RefusedWhy = "signature" // another Token
	RefusedDecrypt   RefusedWhy = "decrypt"   // another EncodingAESKey
	RefusedReceiver  RefusedWhy = "receiver"  // another company's event
)

// OldUntil is the time at which the old pair stops being accepted, as far as it
// is known now; zero if there is no old pair.
func (c Callback) OldUntil() time.Time {
	if c.Old == "" {
		return time.Time{}
	}
	until := c.MadeAt.Add(OldPairMost)
	if overlap := c.FirstEventAt.Add(OldPairOverlap); !c.FirstEventAt.IsZero() && overlap.Before(until) {
		return overlap
	}
	return until
}

// AcceptsOld reports whether the old pair is accepted.
func (c Callback) AcceptsOld(now time.Time) bool { return now.Before(c.OldUntil()) }

const (
	// EventAge is the age up to which an event is fresh. WeCom repeats an event
	// within seconds; only a recorded and replayed event is older.
	EventAge = time.Hour
	// EventAhead is how far the sender's clock may be ahead of ours.
	EventAhead = 5 * time.Minute
)

// The bounds of the events that are stored for a corp on a day, see [Event.Bounds]. A
// corp can sign events itself, and events are kept permanently.
const (
	MaxEvents     = 10_000
	MaxEventBytes = 16 << 20 // of [Event.Size]
)

// The event that reports a consent (wecom.md 4.2).
const (
	ContactChanged  = "change_external_contact"
	ConsentApproved = "msg_audit_approved" // a ChangeType of ContactChanged
)

// Event is an authentic callback event, with what proves that it is authentic.
type Event struct {
	Type       string    // Event element, such as msgaudit_notify
	ChangeType string    // ChangeType element, often empty
	SentAt     time.Time // CreateTime element, by the sender's clock; zero if absent
	ArrivedAt  time.Time // by our clock
	Body       []byte    // the decrypted XML

	// The envelope, as it arrived: the signature covers Timestamp, Nonce and
	// Encrypted.
	Signature string
	Timestamp string
	Nonce     string
	Encrypted string
}

// Fresh reports whether the event was sent at about the time of its arrival. An
// event that is not may be a replay.
func (e Event) Fresh() bool {
	return !e.SentAt.Before(e.ArrivedAt.Add(-EventAge)) && !e.SentAt.After(e.ArrivedAt.Add(EventAhead))
}

// At is the time under which the event is listed: when it was sent, or, if it is
// not fresh, when it arrived. So a repetition shortly after midnight is the same
// event, and no sender can choose a day.
func (e Event) At() time.Time {
	if e.Fresh() {
		return e.SentAt
	}
	return e.ArrivedAt
}

// Place is the place of the event in the list of its day. All deliveries of an event that
// are listed on one day have the same place. First come the events that were sent on
// that day, in the order of SentAt, then the others.
func (e Event) Place() string {
	sent := "late"
	if DayOf(e.SentAt) == DayOf(e.At()) {
		sent = fmt.Sprintf("%011d", e.SentAt.Unix())
	}
	sum := sha256.Sum256(append([]byte(e.Type+"\n"), e.Body...))
	return sent + "#" + hex.EncodeToString(sum[:8])
}

// Size is the number of bytes that count towards [Event.Bounds].
func (e Event) Size() int {
	return len(e.Type) + len(e.ChangeType) + len(e.Body) + len(e.Signature) + len(e.Timestamp) + len(e.Nonce) + len(e.Encrypted)
}

// Bounds are the events and the bytes of a day up to which this event is stored.
// Consents have half as much room again: a company that tags its contacts causes more
// events than a day has room for, and they must not keep a consent from being recorded.
// Consents have a bound too: each one is kept permanently in the contact's history.
func (e Event) Bounds() (events, bytes int) {
	if e.Type == ContactChanged && e.ChangeType == ConsentApproved {
		return MaxEvents + MaxEvents/2, MaxEventBytes + MaxEventBytes/2
	}
	return MaxEvents, MaxEventBytes
}

// EventCount is the number of events that arrived on a day.
type EventCount struct {
	Stored int
	Bytes  int
	// Dropped counts the events beyond the bounds, with their repetitions.
	Dropped int
}
