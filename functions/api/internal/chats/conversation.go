package chats

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

type conversationDetailJSON struct {
	conversationJSON
	FirstAt    *string             `json:"first_at"`
	RoomDetail *names.RoomJSON     `json:"room_detail"`
	Consents   []names.ConsentJSON `json:"consents"`
	Names      names.Names         `json:"names"`
}

// conversationOf reads the conversation whose id is in the path.
func conversationOf(c *session.Call) (archive.ConversationID, error) {
	var conv archive.ConversationID
	if opaque.Conversation(c.CorpID).Open(c.PathValue("conversation"), &conv) != nil || conv == "" {
		return "", problem.New(problem.NotFound, nil)
	}
	return conv, nil
}

// GetConversation describes a conversation for the page that opens it by its id. A
// conversation without a message that the caller may see is not found.
func (h *Handlers) GetConversation(ctx context.Context, c *session.Call) (output.Answer, error) {
	conv, err := conversationOf(c)
	if err != nil {
		return output.Answer{}, err
	}
	e := newEntry(conv)
	newest, err := h.newest(ctx, c, conv, searchFor(c, nil))
	if _, ended := errors.AsType[ending](err); ended {
		return output.Answer{}, problem.New(problem.Unavailable, nil)
	}
	if err != nil {
		return output.Answer{}, err
	}
	e.show(newest)
	shown, _, err := showEntry(c.CorpID, e)
	if err != nil {
		return output.Answer{}, err
	}
	out, err := h.detail(ctx, c, conv, shown)
	if err != nil {
		return output.Answer{}, err
	}
	var about mentions
	about.add(conv, e.fields)
	for _, consent := range out.Consents {
		about.people = append(about.people, consent.ExternalContact)
	}
	out.Names = h.named(ctx, c, about.people, about.rooms)
	return output.JSON(200, out)
}

// detail reads at the same time all that an entry lacks, and records the reading.
func (h *Handlers) detail(ctx context.Context, c *session.Call, conv archive.ConversationID, shown conversationJSON) (conversationDetailJSON, error) {
	out := conversationDetailJSON{Consents: []names.ConsentJSON{}}
	list := []conversationJSON{shown}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.RecordReading(ctx, h.Readings, h.Now(), archive.Reading{Conversation: conv}) })
	g.Go(func() error { return h.noteSeen(ctx, c, list, []archive.ConversationID{conv}) })
	g.Go(func() error {
		first, err := h.oldest(ctx, c, conv)
		out.FirstAt = output.MomentOrNull(first)
		return err
	})
	if q, ok := consentsIn(c, conv); ok {
		g.Go(func() (err error) {
			out.Consents, err = h.Names.ConsentsOf(ctx, c.CorpID, q)
			return err
		})
	}
	if shown.Room != nil {
		g.Go(func() error {
			// A limited caller may have left the room before today.
			room := h.Names.RoomOf(ctx, c.Corp, *shown.Room, !c.Caller.Limited)
			out.RoomDetail = &room
			return nil
		})
	}
	err := g.Wait()
	out.conversationJSON = list[0]
	return out, err
}

// oldest finds the time of the oldest message that the caller may see. The time is
// zero if there is no such message, or if the time limit ended the search.
func (h *Handlers) oldest(ctx context.Context, c *session.Call, conv archive.ConversationID) (time.Time, error) {
	found, err := h.collect(ctx, c, listQuery{conversation: conv, limit: 1, render: inList})
	if err != nil || len(found.shown) == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(found.first.Milli), nil
}

// consentsIn selects the consents that belong to a conversation: the consent of the
// external contact of a single chat, or all consents in a room. A limited caller
// gets no consents of a room: the newest consent may be newer than every message
// that the caller may see.
func consentsIn(c *session.Call, conv archive.ConversationID) (archive.ConsentQuery, bool) {
	parties := conv.Parties()
	switch room := conv.Room(); {
	case room != "" && !c.Caller.Limited:
		return archive.ConsentQuery{Room: room}, true
	case conv.Kind() == "single" && len(parties) == 2:
		for i, party := range parties {
			other := parties[1-i]
			if directory.KindOf(party) == directory.External && directory.KindOf(other) == directory.Member {
				return archive.ConsentQuery{Contact: party, Member: other}, true
			}
		}
	}
	return archive.ConsentQuery{}, false
}

// ListDays lists the days of a month on which the conversation has messages that
// the caller may see, and the first and last day that it has any.
func (h *Handlers) ListDays(ctx context.Context, c *session.Call) (output.Answer, error) {
	conv, err := conversationOf(c)
	if err != nil {
		return output.Answer{}, err
	}
	first, last := c.Month("month", archive.DayOf(h.Now()))
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	days, whole, err := h.daysBetween(ctx, c, conv, first, last)
	if err != nil {
		return output.Answer{}, err
	}
	newest, err := h.newest(ctx, c, conv, searchFor(c, nil))
	if _, ended := errors.AsType[ending](err); ended {
		whole = false
	} else if err != nil && !errors.Is(err, archive.ErrNotFound) {
		return output.Answer{}, err
	}
	oldest, err := h.oldest(ctx, c, conv)
	if err != nil {
		return output.Answer{}, err
	}
	if err := c.RecordReading(ctx, h.Readings, h.Now(), archive.Reading{Conversation: conv}); err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, struct {
		Days     []archive.Day `json:"days"`
		Whole    bool          `json:"whole"`
		Earliest *string       `json:"earliest"`
		Latest   *string       `json:"latest"`
	}{days, whole, dayOrNull(oldest), dayOrNull(newest.Time)})
}

func dayOrNull(t time.Time) *string { return output.TextOrNull(string(dayOf(t))) }

// daysBetween lists the days, from the first to the last one, on which the
// conversation has messages that the caller may see. whole is false if the time
// limit ended the search. For a limited caller in a room, the conversation lists of
// the caller's members say on which days they took part. In every other case the
// function looks for a message of each day.
func (h *Handlers) daysBetween(ctx context.Context, c *session.Call, conv archive.ConversationID, first, last archive.Day) (days []archive.Day, whole bool, _ error) {
	days = []archive.Day{}
	switch sight, err := h.sightOf(ctx, c, conv); {
	case err != nil || sight == seesNothing:
		return days, true, err
	case sight == seesSome:
		q := archive.AttendanceQuery{OneOf: c.Caller.Staff, From: first, To: last}
		for some, err := range h.attended(ctx, c.CorpID, conv, q) {
			if _, ended := errors.AsType[ending](err); ended {
				return days, false, nil
			}
			if err != nil {
				return nil, false, err
			}
			days = append(days, some...)
		}
		return days, true, nil
	}
	all := []archive.Day{}
	for day := first; day <= last; day = input.DaysAfter(day, 1) {
		all = append(all, day)
	}
	found := make([]bool, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, day := range all {
		g.Go(func() error {
			list, _, err := h.Messages.Messages(ctx, c.CorpID, conv, between(archive.MessageQuery{Limit: 1}, day, day))
			found[i] = len(list) > 0
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, false, err
	}
	for i, day := range all {
		if found[i] {
			days = append(days, day)
		}
	}
	return days, true, nil
}
