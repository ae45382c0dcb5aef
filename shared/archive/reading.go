package archive

import (
	"time"
)

// Reading says that a user read a conversation within a slot of
// [ReadingSlot]. For lists Conversation is empty and Party says whose list.
type Reading struct {
	Corp         string
	By           string // subject of the token
	Role         string
	Conversation ConversationID
	Party        string
	At           time.Time // start of the slot
}

// ReadingSlot is the grain of the readings.
const ReadingSlot = 10 * time.Minute
