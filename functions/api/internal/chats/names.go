package chats

import (
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
)

// mentions holds the ids whose names are added to an answer.
type mentions struct {
	people, rooms []string
}

// add adds the ids of a message: the sender, and the room or else the parties.
// It leaves out the receivers in a room: a room may have 2000 members, and no
// page shows them.
func (m *mentions) add(conv archive.ConversationID, f message.Fields) {
	m.people = append(m.people, sender(f))
	if conv.Kind() == "room" {
		m.rooms = append(m.rooms, conv.Parties()...)
		return
	}
	m.people = append(append(m.people, conv.Parties()...), f.Parties()...)
}
