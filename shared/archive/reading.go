package archive

import (
	"time"
)

// Reading says that a user read a conversation within a slot of
// [ReadingSlot]. For a list, Conversation is empty and Party is the person whose list it is.
type Reading struct {
	Corp         string
	By           string // subject of the token
	Role         string
	Conversation ConversationID
	Party        string
	At           time.Time // start of the slot
}

// ReadingSlot is the length of a slot: repeated reading within it is one record.
const ReadingSlot = 10 * time.Minute
