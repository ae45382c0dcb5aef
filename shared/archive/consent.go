package archive

import (
	"time"
)

// Consent is what an external contact said to having chats archived: to those
// with one member, or to those in one room. There is one per corp, contact and
// member or room, the newest.
type Consent struct {
	Corp    string
	Contact string // external_userid
	// Member is set for single chats, Room for a room; never both.
	Member string
	Room   string
	Status ConsentStatus
	// ChangedAt is when the contact answered, in whole seconds as WeCom's check
	// tells it; zero for a contact who never did.
	ChangedAt time.Time
	Source    ConsentSource
	// At is when we learned it.
	At time.Time
}

// ConsentStatus is an answer. Its values are part of the HTTP API.
type ConsentStatus string

// The answers.
const (
	Agreed        ConsentStatus = "agree"
	Disagreed     ConsentStatus = "disagree"
	AgreedDefault ConsentStatus = "default_agree" // did not answer, which counts as agreed
)

// ConsentSource is how we learned of an answer.
type ConsentSource string

// The sources.
const (
	ConsentMessage ConsentSource = "message" // an agree or disagree message of the archive
	ConsentEvent   ConsentSource = "event"   // msg_audit_approved
	ConsentCheck   ConsentSource = "check"   // check_single_agree, check_room_agree
)

// Order is larger for an answer that takes the place of another about the same
// contact and member or room. It follows from what they say, never from when
// they came, so that any order of arrival ends the same: the later answer
// counts; within one second a refusal counts; and of two that say the same the
// message is kept, which proves itself.
func (c Consent) Order() int64 {
	var seconds int64
	if !c.ChangedAt.IsZero() {
		seconds = c.ChangedAt.Unix()
	}
	status := map[ConsentStatus]int64{AgreedDefault: 1, Agreed: 2, Disagreed: 3}[c.Status]
	source := map[ConsentSource]int64{ConsentCheck: 1, ConsentEvent: 2, ConsentMessage: 3}[c.Source]
	return seconds*100 + status*10 + source
}

// ConsentQuery selects answers: by exactly one of its fields, or by Member and
// Contact.
type ConsentQuery struct{ Member, Contact, Room string }
