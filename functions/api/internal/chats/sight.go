package chats

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/message"
)

// Answers to a limited caller must not depend on messages that the caller may
// not see. So every search goes on until it finds a further message that the
// caller may see, or the end: it never stops merely because it has read many
// messages that the caller may not see. The lists of the caller's members keep the
// search in a room short: it reads only the days on which one of them took part.
// Only a search that lasts too long ends a page early ([session.Ending]).

const (
	// depthFirst and depthMost bound how many conversations of a member's list are
	// read together. A search that finds nothing reads more each time.
	depthFirst = 100
	depthMost  = 6400
	// readFirst and readMost bound the messages of one read from the table. A
	// search that finds nothing reads more each time.
	readFirst = 50
	readMost  = 1000
)

// sight is how much of a conversation the caller may see.
type sight int

const (
	seesNothing    sight = iota
	seesSome             // in a room: the messages in which a member of the caller's staff takes part
	seesEverything       // outside rooms all messages of a conversation have the same parties
)

// sightOf finds how much of a conversation the caller may see.
func (h *Handlers) sightOf(ctx context.Context, c *session.Call, conv archive.ConversationID) (sight, error) {
	switch {
	case !c.Caller.Limited:
		return seesEverything, nil
	case conv.Kind() == "room":
		return seesSome, nil
	case conv.Kind() == "group": // its id does not say who is in it
		m, err := h.Messages.Newest(ctx, c.CorpID, conv)
		if errors.Is(err, archive.ErrNotFound) {
			return seesNothing, nil
		}
		if err != nil {
			return seesNothing, err
		}
		s, err := h.read(ctx, m, readFields)
		if err == nil && c.Caller.Sees(s.content.Fields) {
			return seesEverything, nil
		}
		return seesNothing, err
	case slices.ContainsFunc(conv.Parties(), c.Caller.Includes):
		return seesEverything, nil
	}
	return seesNothing, nil
}

// mayList refuses a limited caller the list of a colleague, whichever parameter
// names the colleague.
func mayList(c *session.Call, parameter, party string) error {
	if !c.Caller.Limited || c.Caller.Includes(party) {
		return nil
	}
	if parameter == "member" || parameter == "external_contact" && directory.KindOf(party) == directory.Member {
		return problem.New(problem.Forbidden, nil)
	}
	return nil
}

// ending says where a search stood when its time was over: after a position within
// a day, or before a day.
type ending struct {
	day   archive.Day
	after *archive.Position
}

func (ending) Error() string { return "search ended early" }

// attended yields, in batches, the days on which one of q's parties took part in
// the room, from the lists of these parties. At the time limit it ends with an
// ending.
func (h *Handlers) attended(ctx context.Context, corp string, room archive.ConversationID, q archive.AttendanceQuery) iter.Seq2[[]archive.Day, error] {
	return func(yield func([]archive.Day, error) bool) {
		for q.Depth = depthFirst; len(q.OneOf) > 0; q.Depth = min(4*q.Depth, depthMost) {
			days, rest, err := h.Messages.AttendedDays(ctx, corp, room, q)
			if !yield(days, err) || err != nil || rest == "" {
				return
			}
			switch {
			case session.Ending(ctx):
				yield(nil, ending{day: rest})
				return
			case q.Descending:
				q.To = rest
			default:
				q.From = rest
			}
		}
	}
}

// spans yields the parts of a query that may hold messages for the caller, in
// the order of the query: the whole query, or the days on which a member of the
// caller's staff took part.
func (h *Handlers) spans(ctx context.Context, c *session.Call, conv archive.ConversationID, q archive.MessageQuery) iter.Seq2[archive.MessageQuery, error] {
	return func(yield func(archive.MessageQuery, error) bool) {
		switch sight, err := h.sightOf(ctx, c, conv); {
		case err != nil || sight == seesEverything:
			yield(q, err)
			return
		case sight == seesNothing:
			return
		}
		for days, err := range h.attended(ctx, c.CorpID, conv, attendanceIn(q, c.Caller.Staff)) {
			if err != nil {
				yield(q, err)
				return
			}
			for len(days) > 0 {
				n := successive(days)
				if !yield(between(q, min(days[0], days[n-1]), max(days[0], days[n-1])), nil) {
					return
				}
				days = days[n:]
			}
		}
	}
}

// successive returns how many days at the beginning of the list are consecutive
// dates, ascending or descending. One query reads them together.
func successive(days []archive.Day) int {
	n := 1
	for n < len(days) && (input.DaysAfter(days[n-1], 1) == days[n] || input.DaysAfter(days[n], 1) == days[n-1]) {
		n++
	}
	return n
}

// between returns the part of a query from the first to the last day.
func between(q archive.MessageQuery, first, last archive.Day) archive.MessageQuery {
	if start := first.Start(); q.From.Before(start) {
		q.From = start
	}
	if end := input.DayEnd(last); q.To.IsZero() || end.Before(q.To) {
		q.To = end
	}
	return q
}

// attendanceIn selects the days of a query on which one of the parties took
// part.
func attendanceIn(q archive.MessageQuery, parties []string) archive.AttendanceQuery {
	from, to := q.From, q.To
	switch start := q.Start; {
	case start == nil:
	case !q.Descending && start.Time.After(from):
		from = start.Time
	case q.Descending && (to.IsZero() || start.Time.Before(to)):
		// No message of this time is before a place without a message. A search that
		// looked at this day again would never go on.
		if to = start.Time; start.MsgID != "" || start.Seq != 0 {
			to = to.Add(time.Millisecond)
		}
	}
	if !to.IsZero() {
		to = to.Add(-time.Millisecond) // the last moment of the query
	}
	return archive.AttendanceQuery{OneOf: parties, From: dayOf(from), To: dayOf(to), Descending: q.Descending}
}

// dayOf returns the day of a query's bound. It is empty if there is no bound, or if
// the bound is outside of the days that messages can have.
func dayOf(t time.Time) archive.Day {
	if day := archive.DayOf(t); !t.IsZero() && len(day) == len(time.DateOnly) {
		return day
	}
	return ""
}

// search is what a search for the newest message of a conversation looks for.
type search struct {
	visible func(message.Fields) bool
	// attendance selects the days of a room that may have such a message.
	attendance archive.AttendanceQuery
	// after is where an earlier search ended, on the last of these days.
	after *archive.Position
}

// from goes on where an earlier search ended.
func (s search) from(e ending) search {
	s.attendance.To, s.after = e.day, e.after
	return s
}

// searchFor looks for messages in which all parties (at most two) take part and
// which the caller may see. Without parties it looks for any message that the
// caller may see.
func searchFor(c *session.Call, parties []string) search {
	s := search{
		visible:    func(f message.Fields) bool { return takePart(parties, f) && c.Caller.Sees(f) },
		attendance: archive.AttendanceQuery{Descending: true},
	}
	with := parties
	if c.Caller.Limited && !slices.ContainsFunc(parties, c.Caller.Includes) {
		s.attendance.OneOf = c.Caller.Staff
	} else if len(parties) > 0 {
		s.attendance.OneOf, with = parties[:1], parties[1:]
	}
	if len(with) > 0 {
		s.attendance.With = with[0]
	}
	return s
}

// newest finds the newest message of a conversation that the search looks for.
// It returns [archive.ErrNotFound] if there is none, and ending if the time is
// over.
func (h *Handlers) newest(ctx context.Context, c *session.Call, conv archive.ConversationID, want search) (shown, error) {
	switch sight, err := h.sightOf(ctx, c, conv); {
	case err != nil:
		return shown{}, err
	case sight == seesNothing:
		return shown{}, archive.ErrNotFound
	}
	if want.attendance.To == "" {
		m, err := h.Messages.Newest(ctx, c.CorpID, conv)
		if err != nil {
			return shown{}, err
		}
		s, err := h.read(ctx, m, readListed)
		if err != nil || want.visible(s.content.Fields) {
			return s, err
		}
	}
	if conv.Kind() != "room" {
		return shown{}, archive.ErrNotFound
	}
	for days, err := range h.attended(ctx, c.CorpID, conv, want.attendance) {
		if err != nil {
			return shown{}, err
		}
		for _, day := range days {
			var after *archive.Position
			if day == want.attendance.To {
				after = want.after
			}
			if s, err := h.newestOn(ctx, c, conv, day, after, want.visible); !errors.Is(err, archive.ErrNotFound) {
				return s, err
			}
		}
	}
	return shown{}, archive.ErrNotFound
}

// newestOn finds the newest message of a day that is visible. It begins after a
// position, if that is not nil.
func (h *Handlers) newestOn(ctx context.Context, c *session.Call, conv archive.ConversationID, day archive.Day, after *archive.Position, visible func(message.Fields) bool) (shown, error) {
	q := between(archive.MessageQuery{Descending: true, Limit: readFirst, Start: after}, day, day)
	for {
		list, more, err := h.Messages.Messages(ctx, c.CorpID, conv, q)
		if err != nil {
			return shown{}, err
		}
		for _, m := range list {
			s, err := h.read(ctx, m, readListed)
			if err != nil || visible(s.content.Fields) {
				return s, err
			}
			start := m.Position()
			q.Start = &start
			if session.Ending(ctx) {
				return shown{}, ending{day, &start}
			}
		}
		if !more {
			return shown{}, archive.ErrNotFound
		}
		q.Limit = min(4*q.Limit, readMost)
	}
}
