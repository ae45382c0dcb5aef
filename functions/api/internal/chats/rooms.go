package chats

import (
	"context"
	"slices"

	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// rooms fills a page with the rooms of the company, as walk lists the conversations
// of a party.
func (h *Handlers) rooms(ctx context.Context, c *session.Call, page *entryPage, text string, at listPage) (*listPage, error) {
	all := *h
	all.Messages = &roomDays{MessageStore: h.Messages, names: h.Names, text: text, sought: make(map[string]bool)}
	return all.walk(ctx, c, page, nil, at)
}

// roomDays lists the rooms of the company in place of the conversations of a party.
type roomDays struct {
	MessageStore
	names  Directory
	text   string          // in the name or the id; any if empty
	sought map[string]bool // whether a room matches, by id
}

func (r *roomDays) ListedDays(ctx context.Context, corp, _ string, upTo archive.Day, limit int) ([]archive.ActiveDay, error) {
	days, err := r.CorpDays(ctx, corp, upTo, limit)
	if err != nil {
		return nil, err
	}
	list := make([]archive.ActiveDay, len(days))
	for i, d := range days {
		rooms := slices.DeleteFunc(d.Conversations, func(conv archive.ConversationID) bool { return conv.Kind() != "room" })
		if r.text != "" {
			if err := r.look(ctx, corp, rooms); err != nil {
				return nil, err
			}
			rooms = slices.DeleteFunc(rooms, func(conv archive.ConversationID) bool { return !r.sought[conv.Room()] })
		}
		list[i] = archive.ActiveDay{Day: d.Day, Conversations: rooms}
	}
	return list, nil
}

// look finds which of the rooms match.
func (r *roomDays) look(ctx context.Context, corp string, rooms []archive.ConversationID) error {
	var unknown []string
	for _, conv := range rooms {
		if _, ok := r.sought[conv.Room()]; !ok {
			unknown = append(unknown, conv.Room())
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	matching, err := r.names.RoomsWith(ctx, corp, unknown, r.text)
	for _, id := range unknown {
		r.sought[id] = slices.Contains(matching, id)
	}
	return err
}
