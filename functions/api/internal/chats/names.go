package chats

import (
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
)

// named adds whom a reader wants named beside a message: the room, or else who
// takes part, and in any case the sender. Receivers in a room are not: there
// may be 2000 of them, and no page shows them.
func named(people, rooms []string, conv archive.ConversationID, f message.Fields) ([]string, []string) {
	people = append(people, sender(f))
	if conv.Kind() == "room" {
		return people, append(rooms, conv.Parties()...)
	}
	return append(append(people, conv.Parties()...), f.Parties()...), rooms
}
