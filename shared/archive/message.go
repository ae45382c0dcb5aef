package archive

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Message is one decrypted record as the view stores it. All its fields
// follow from the journal page alone (and the key), so storing it again
// stores the same item, and it never changes.
type Message struct {
	Corp         string
	Conversation ConversationID
	Time         time.Time // sent, with ms; the time of the pull where msgtime is absent or not plausible
	MsgID        string    // the page record's msgid
	Seq          uint64
	After        uint64 // names the page: Row.After
	KeyVersion   uint32
	// Raw is the message exactly as decrypted (law 4). It is nil where the
	// bytes are over [InlineLimit]: then Overflow names the blob that holds
	// them.
	Raw      []byte
	Overflow *Overflow
}

// InlineLimit is the largest message kept in the table itself, in bytes;
// DynamoDB takes items of up to 400 KB, keys and names included.
const InlineLimit = 300 << 10

// Overflow names a message's bytes that are kept as a blob.
type Overflow struct {
	Sum  string // hex SHA-256
	Size int
}

// Position is a place among the messages of a conversation, which are in the
// order of Time, then MsgID bytewise, then Seq. Several messages at one are the
// same, under several seqs, of which the lowest counts.
type Position struct {
	Time  time.Time
	MsgID string
	Seq   uint64 // only where MsgID is empty: nothing else tells such messages apart
}

// Position is where the message is.
func (m Message) Position() Position {
	p := Position{Time: m.Time, MsgID: m.MsgID}
	if m.MsgID == "" {
		p.Seq = m.Seq
	}
	return p
}

// Compare is negative if p is before o, positive if it is behind.
func (p Position) Compare(o Position) int {
	return cmp.Or(p.Time.Compare(o.Time), strings.Compare(p.MsgID, o.MsgID), cmp.Compare(p.Seq, o.Seq))
}

// MessageQuery selects messages of a conversation.
type MessageQuery struct {
	From, To   time.Time // From <= Time < To; zero for no bound
	Start      *Position // exclusive; where the page before ended
	Descending bool      // newest first
	Limit      int       // at most this many, 1 to 1000
	MaxBytes   int       // stop before Raw adds up to more, but return one at least
}

// Revocation says that a message was withdrawn. It is an item beside the
// message, which stays as it is, and it is found from the message whichever of
// the two is decoded first.
type Revocation struct {
	Corp         string
	Conversation ConversationID // of the revoking message; the withdrawn one is in the same
	MsgID        string         // of the withdrawn message, as pre_msgid names it
	By           string         // who withdrew it
	At           time.Time      // when
	Seq          uint64         // of the revoking message; of several the lowest counts
}

// RevocationKey is what a message and the revocation of it agree on: the
// msgid without the suffix that tells the kind of conversation, which may be
// missing on one of the two (wecom.md 2.3).
func RevocationKey(msgID string) string {
	for _, suffix := range []string{"_external", "_updown_stream"} {
		msgID = strings.TrimSuffix(msgID, suffix)
	}
	return msgID
}

// SetAside is a record of a page that could not be turned into a
// message. It stays until a later decode of its page succeeds (law 5).
type SetAside struct {
	Corp       string
	Seq        uint64
	After      uint64 // names the page
	MsgID      string
	KeyVersion uint32
	Reason     Reason
	Detail     string // code of the library, never content
	At         time.Time
}

// Reason is why a record is set_aside.
type Reason string

// The reasons, and what mends each.
const (
	ReasonNoKey     Reason = "no_key"           // no key of the corp opens this version: its private key must be imported
	ReasonBadRecord Reason = "malformed_record" // the record lacks fields or is not base64: replay after an upgrade
	ReasonBadKey    Reason = "bad_key_text"     // of a version that a key is bound to, and neither it nor another key that is there opens it
	ReasonLibrary   Reason = "library_refused"  // DecryptData returned a code
	ReasonCrash     Reason = "library_crashed"  // DecryptData crashed twice on this record, the second time alone
	ReasonJournal   Reason = "journal_damaged"  // the page's bytes are gone or do not have their digest; one row stands for all of it
	ReasonHang      Reason = "library_hung"     // DecryptData exceeded its time limit, twice
)

// ConversationID names a conversation within a corp. It has one of the forms
// made below; its parts are escaped, so it holds no '#', '/', ':' of an id.
type ConversationID string

// Unplaced is the conversation of messages in which no party can be found:
// unreadable ones, and unknown shapes.
const Unplaced ConversationID = "unplaced"

// RoomConversation is the conversation of a room.
func RoomConversation(roomID string) ConversationID {
	return ConversationID("room:" + url.QueryEscape(roomID))
}

// PartyConversation is the conversation outside rooms of the given parties,
// whose order does not matter and who may repeat:
//   - two parties: their single chat;
//   - one: what concerns only that one (action switch, a message to oneself);
//   - more: a group of its own, named by a digest of its members (voice calls
//     carry no roomid, wecom.md 2.3);
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

// Distinct returns the non-empty ids, sorted bytewise, each once.
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

// Parties returns the ids that the conversation's own id names: the room id of
// a room, both parties of a single chat, the one of an own; nil otherwise.
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

// Activity says that a party took part in a conversation on a day. There is
// one entry per conversation, party and day however many messages.
type Activity struct {
	Corp         string
	Party        string // userid, external_userid or robot id; "" for Unplaced
	Day          Day
	Conversation ConversationID
}

// Day is a Beijing date, 2006-01-02: the archive's users live there, and so do
// WeCom's own dates.
type Day string

var beijing = time.FixedZone("UTC+8", 8*60*60)

// DayOf is the Beijing date of t.
func DayOf(t time.Time) Day { return Day(t.In(beijing).Format(time.DateOnly)) }

// Start is the first moment of the day; the zero time if the day is not one.
func (d Day) Start() time.Time {
	t, err := time.ParseInLocation(time.DateOnly, string(d), beijing)
	if err != nil {
		return time.Time{}
	}
	return t
}
