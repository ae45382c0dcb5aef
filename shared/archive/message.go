package archive

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Message is a decrypted record as the view stores it. All fields follow from
// the journal page and the key alone, so storing it again stores the same item,
// and it never changes.
type Message struct {
	Corp         string
	Conversation ConversationID
	Time         time.Time // when it was sent, in ms; the time of the pull where msgtime is absent or implausible
	MsgID        string    // the page record's msgid
	Seq          uint64
	After        uint64 // names the page: Row.After
	KeyVersion   uint32
	// Raw is the message exactly as decrypted (law 4). It is nil for a message over
	// [InlineLimit], whose bytes are in the object that Overflow names.
	Raw      []byte
	Overflow *Overflow
}

// InlineLimit is the largest message in bytes that is kept in the table. DynamoDB
// accepts items of up to 400 KB, with keys and names; the rest is for those.
const InlineLimit = 300 << 10

// Overflow names the object that holds the bytes of a large message.
type Overflow struct {
	Sum  string // hex SHA-256
	Size int
}

// Position is a place in a conversation. Messages are ordered by Time, then by
// MsgID bytewise, then by Seq. Messages at the same position are one message
// under several seqs; the lowest seq counts.
type Position struct {
	Time  time.Time
	MsgID string
	Seq   uint64 // set only where MsgID is empty: the seq then distinguishes messages
}

// Position is the message's place in its conversation.
func (m Message) Position() Position {
	p := Position{Time: m.Time, MsgID: m.MsgID}
	if m.MsgID == "" {
		p.Seq = m.Seq
	}
	return p
}

// Compare is negative if p is before o, and positive if p is after o.
func (p Position) Compare(o Position) int {
	return cmp.Or(p.Time.Compare(o.Time), strings.Compare(p.MsgID, o.MsgID), cmp.Compare(p.Seq, o.Seq))
}

// MessageQuery selects messages of a conversation.
type MessageQuery struct {
	From, To   time.Time // From <= Time < To; zero for no bound
	Start      *Position // exclusive unless Including; the end of the previous page of results
	Including  bool      // a message at Start belongs to the results
	Descending bool      // newest first
	Limit      int       // at most this many, 1 to 1000
	MaxBytes   int       // the most bytes of Raw together; at least one message is returned
}

// Revocation says that a message was revoked. It is an item beside the message,
// which stays unchanged. Either of the two may be decoded first.
type Revocation struct {
	Corp         string
	Conversation ConversationID // of the revoking message and of the revoked one
	MsgID        string         // of the revoked message, as pre_msgid names it
	By           string         // who revoked it
	At           time.Time      // when it was revoked
	Seq          uint64         // of the revoking message; the lowest of several counts
}

// RevocationKey is the common part of the msgids in a message and in its
// revocation. One of the two may lack the suffix that says the kind of the
// conversation (wecom.md 2.3).
func RevocationKey(msgID string) string {
	for _, suffix := range []string{"_external", "_updown_stream"} {
		msgID = strings.TrimSuffix(msgID, suffix)
	}
	return msgID
}

// SetAside is a record that could not be turned into a message. It is kept until
// a later decode of its page succeeds (law 5).
type SetAside struct {
	Corp       string
	Seq        uint64
	After      uint64 // names the page
	MsgID      string
	KeyVersion uint32
	Reason     Reason
	Detail     string // the library's code; never content
	At         time.Time
}

// Reason is why a record is set aside.
type Reason string

// The reasons, and the remedy of each.
const (
	ReasonNoKey     Reason = "no_key"           // no key of the corp opens this version: import its private key
	ReasonBadRecord Reason = "malformed_record" // the record lacks fields or is not base64: replay after an upgrade that reads it
	ReasonBadKey    Reason = "bad_key_text"     // the version's proved key does not open it, nor does any other key of the corp
	ReasonLibrary   Reason = "library_refused"  // DecryptData returned a code
	ReasonCrash     Reason = "library_crashed"  // DecryptData crashed twice on this record, the second time alone
	ReasonJournal   Reason = "journal_damaged"  // the page's object is missing or has another digest; one row stands for the whole page
	ReasonHang      Reason = "library_hung"     // DecryptData exceeded its time limit twice
)

// ConversationID names a conversation within a corp, in one of the forms below.
// The ids in it are escaped: a '#', '/' or ':' of an id does not appear.
type ConversationID string

// Unplaced is the conversation of messages without a recognisable party:
// unreadable ones, and those of an unknown shape.
const Unplaced ConversationID = "unplaced"

// RoomConversation is the conversation of a room.
func RoomConversation(roomID string) ConversationID {
	return ConversationID("room:" + url.QueryEscape(roomID))
}

// PartyConversation is the conversation of the given parties outside rooms.
// Their order and repetitions do not matter:
//   - two parties: their single chat;
//   - one: messages that concern only this party (action switch, a note to
//     oneself);
//   - more: a group, named by a digest of its members (voice calls carry no
//     roomid, wecom.md 2.3);
//   - none: [Unplaced].
func PartyConversation(parties []string) ConversationID {
	ids := Distinct(parties)
	switch len(ids) {
	case 0:
		return Unplaced
	case 1:
		return ConversationID("own:" + url.QueryEscape(ids[0]))
	case 2:
		return ConversationID("single:" + url.QueryEscape(ids[0]) + ":" + url.QueryEscape(ids[1]))
	}
	h := sha256.New()
	for _, id := range ids {
		h.Write([]byte(url.QueryEscape(id) + "\n"))
	}
	return ConversationID("group:" + hex.EncodeToString(h.Sum(nil)[:16]))
}

// Distinct returns each non-empty id once, sorted bytewise.
func Distinct(ids []string) []string {
	out := slices.Clone(ids)
	slices.Sort(out)
	out = slices.Compact(out)
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

// Kind is the part of the id before its first colon: room, single, own, group
// or unplaced.
func (c ConversationID) Kind() string {
	kind, _, _ := strings.Cut(string(c), ":")
	return kind
}

// Parties returns the ids in the conversation's id: the room id of a room, both
// parties of a single chat, the party of an own one; nil otherwise.
func (c ConversationID) Parties() []string {
	kind, rest, ok := strings.Cut(string(c), ":")
	if !ok || kind == "group" {
		return nil
	}
	var ids []string
	for part := range strings.SplitSeq(rest, ":") {
		id, err := url.QueryUnescape(part)
		if err != nil {
			return nil
		}
		ids = append(ids, id)
	}
	return ids
}

// Room returns the roomid of a room's conversation; empty for any other.
func (c ConversationID) Room() string {
	if ids := c.Parties(); c.Kind() == "room" && len(ids) == 1 {
		return ids[0]
	}
	return ""
}

// Activity says that a party took part in a conversation on a day. One entry
// stands for all messages of that day.
type Activity struct {
	Corp         string
	Party        string // userid, external_userid or robot id; "" for Unplaced
	Day          Day
	Conversation ConversationID
}

// ActiveDay holds the conversations in which a party took part on a day.
type ActiveDay struct {
	Day           Day
	Conversations []ConversationID // sorted
}

// Move says when a conversation of a member had a message.
type Move struct {
	Conversation ConversationID
	At           time.Time // in ms
}

// Moves is an entry of the part of a member's list that is in the order of time:
// conversations that had messages on one day, each once.
type Moves struct {
	Newest time.Time // the time of the first move; places the entry among others
	Moves  []Move    // newest first
}

// CorpDay holds what became active in a corp on a day.
type CorpDay struct {
	Day           Day
	Conversations []ConversationID // sorted
	Parties       []string         // sorted; without the empty party of [Unplaced]
}

// Change says that messages were stored, and of whom. Changes are kept for an hour
// at least, so that pages learn within seconds that something is new. They are no
// evidence: a change may be noted twice, or without a new message.
type Change struct {
	At      time.Time // when the messages were stored
	After   uint64    // names their page
	Parties []byte    // a digest of each party, see [PartyMark]
}

// partyMarkBytes is the length of a [PartyMark].
const partyMarkBytes = 8

// PartyMark is a digest of a party's id, short enough to keep one for each party
// of a page.
func PartyMark(party string) []byte {
	sum := sha256.Sum256([]byte(party))
	return sum[:partyMarkBytes]
}

// NewChange makes the change of a page.
func NewChange(at time.Time, after uint64, parties []string) Change {
	c := Change{At: at, After: after}
	for _, party := range Distinct(parties) {
		c.Parties = append(c.Parties, PartyMark(party)...)
	}
	return c
}

// Concerns reports whether the change is one of a party's messages.
func (c Change) Concerns(party string) bool {
	mark := PartyMark(party)
	for own := range slices.Chunk(c.Parties, partyMarkBytes) {
		if bytes.Equal(own, mark) {
			return true
		}
	}
	return false
}

// AttendanceQuery selects days on which parties took part in a room.
type AttendanceQuery struct {
	OneOf      []string // at least one of these parties took part
	With       string   // and this party too, unless empty
	From, To   Day      // From <= day <= To; empty for no bound
	Descending bool     // newest first
	// Depth bounds the conversations of each party's list that are read together,
	// but for the rest of a day.
	Depth int
}

// Day is a date in Beijing, 2006-01-02: the users of the archive and WeCom itself
// reckon in this time zone.
type Day string

var beijing = time.FixedZone("UTC+8", 8*60*60)

// DayOf is the Beijing date of t.
func DayOf(t time.Time) Day { return Day(t.In(beijing).Format(time.DateOnly)) }

// ClockOf is the Beijing date and time of t, to the minute, for people.
func ClockOf(t time.Time) string { return t.In(beijing).Format("2006-01-02 15:04") }

// Next is the following day.
func (d Day) Next() Day { return DayOf(d.Start().AddDate(0, 0, 1)) }

// Start is the first moment of the day; the zero time for an invalid day.
func (d Day) Start() time.Time {
	t, err := time.ParseInLocation(time.DateOnly, string(d), beijing)
	if err != nil {
		return time.Time{}
	}
	return t
}
