package archive

import (
	"time"
)

// Reading says that a user read messages of a conversation, or a list of
// conversations, within a slot of [ReadingSlot].
type Reading struct {
	Corp         string
	By           string // subject of the token
	Role         string
	Conversation ConversationID // empty for a list
	List         ListKind       // empty for messages
	Party        string         // person or room whose list it is; empty for other lists
	Day          Day            // of a [DayList]; empty for other lists
	At           time.Time      // start of the slot
}

// ListKind says which conversations a list of conversations has.
type ListKind string

// The lists of conversations. Their names are stored and are part of the API.
const (
	PartyList    ListKind = "party"    // those of one person
	RoomList     ListKind = "room"     // one room
	RoomsList    ListKind = "rooms"    // all rooms
	DayList      ListKind = "day"      // those with a message on one day
	UnplacedList ListKind = "unplaced" // those whose parties the archive cannot read
)

// ReadingSlot is the length of a slot: repeated reading within it is one record.
const ReadingSlot = 10 * time.Minute
