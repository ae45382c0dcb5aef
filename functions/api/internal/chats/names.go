package chats

import (
	"context"
	"slices"

	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
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

// named finds the names of people and rooms for the caller. A limited caller gets
// today's names, because the archive keeps no others, and no owner of a room: the owner
// may have changed after the last day on which one of the caller's members took part.
func (h *Handlers) named(ctx context.Context, c *session.Call, people, rooms []string) names.Names {
	found := h.Names.Beside(ctx, c.Corp, people, rooms)
	if c.Caller.Limited {
		return found.WithoutOwners()
	}
	return found
}

// cover reports whether all ids of other are among these.
func (m mentions) cover(other mentions) bool {
	lacks := func(ids, of []string) bool {
		return slices.ContainsFunc(of, func(id string) bool { return !slices.Contains(ids, id) })
	}
	return !lacks(m.people, other.people) && !lacks(m.rooms, other.rooms)
}

// earlyNames are looked up while the page that they stand beside is made.
type earlyNames struct {
	of    mentions
	found chan names.Names
}

// lookUpEarly looks up the names beside messages of a batch. Most often they are all
// that the page shows.
func (h *Handlers) lookUpEarly(ctx context.Context, c *session.Call, list []listed) *earlyNames {
	e := &earlyNames{found: make(chan names.Names, 1)}
	for _, m := range list {
		if m.wanted && m.Overflow == nil {
			e.of.add(m.Conversation, m.content.Fields)
		}
	}
	e.of = mentions{archive.Distinct(e.of.people), archive.Distinct(e.of.rooms)}
	go func() { e.found <- h.named(ctx, c, e.of.people, e.of.rooms) }()
	return e
}

// beside returns the names beside a page: the early ones, if there are any and the
// page mentions no other id.
func (h *Handlers) beside(ctx context.Context, c *session.Call, about mentions, early *earlyNames) names.Names {
	about = mentions{archive.Distinct(about.people), archive.Distinct(about.rooms)}
	if early != nil {
		if found := <-early.found; early.of.cover(about) {
			return found.Only(about.people, about.rooms)
		}
	}
	return h.named(ctx, c, about.people, about.rooms)
}
