package archive

import (
	"time"
)

// Consent is an external contact's answer about the archiving of chats with one
// member, or in one room. The newest answer is kept for each corp, contact and
// member or room.
type Consent struct {
	Corp    string
	Contact string // external_userid
	// Member is set for single chats, Room for a room; never both.
	Member string
	Room   string
	Status ConsentStatus
	// ChangedAt is when the contact answered, in whole seconds, as WeCom's check
	// reports it; zero for a contact who never answered.
	ChangedAt time.Time
	Source    ConsentSource
	// At is when we learned of the answer.
	At time.Time
}

// ConsentStatus is an answer. Its values are part of the HTTP API.
type ConsentStatus string

// The answers.
const (
	Agreed        ConsentStatus = "agree"
	Disagreed     ConsentStatus = "disagree"
	AgreedDefault ConsentStatus = "default_agree" // no answer, which counts as agreed
)

// ConsentSource is how we learned of an answer.
type ConsentSource string

// The sources.
const (
	ConsentMessage ConsentSource = "message" // an agree or disagree message of the archive
	ConsentEvent   ConsentSource = "event"   // msg_audit_approved
	ConsentCheck   ConsentSource = "check"   // check_single_agree, check_room_agree
)

// Order decides between answers about the same contact and member or room: the
// larger one is kept. It follows from the content of the answers and not from
// their arrival, so every order of arrival gives the same result. The later
// answer counts; within one second a disagreement counts; of two equal answers
// the message is kept, because it is its own proof.
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
