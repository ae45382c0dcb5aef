package chats

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// moves reads the moves of a member's list: chats in the order of their newest
// messages. It opens entries and looks at chats only as far as a page needs them,
// however many the day has. An entry may hold older moves than the entry after it,
// so a move is next only if no unopened entry can hold a newer one.
type moves struct {
	next  func() (archive.Moves, error, bool)
	stop  func()
	begin listPage
	ahead *archive.Moves // the next entry that is not open; nil at the end
	err   error
	// open holds moves of open entries: of each chat that the walk has not looked at
	// the newest one.
	open map[archive.ConversationID]openMove
	// ready holds the entries of chats that the walk has looked at and not put on the
	// page, newest first.
	ready []readyEntry
}

// openMove is a move with the time in the key of its entry.
type openMove struct {
	archive.Move
	newest time.Time
}

type readyEntry struct {
	entry
	newest time.Time // as in [openMove]
}

// readMoves begins to read the moves for the page that begins at a place.
func (h *Handlers) readMoves(ctx context.Context, corp, member string, at listPage) *moves {
	var upTo time.Time
	switch {
	case at.Moved > 0:
		upTo = time.UnixMilli(at.Moved)
	case at.Digest != "":
		upTo = time.UnixMilli(at.Milli)
	case at.Day != "":
		upTo = input.DayEnd(at.Day).Add(-time.Millisecond)
	}
	m := &moves{begin: at, open: make(map[archive.ConversationID]openMove)}
	m.next, m.stop = iter.Pull2(h.Messages.Moves(ctx, corp, member, upTo))
	m.read()
	return m
}

func (m *moves) read() {
	m.ahead = nil
	if e, err, ok := m.next(); err != nil {
		m.err = err
	} else if ok {
		m.ahead = &e
	}
}

// horizon is the time of the newest chat that the walk has not looked at: it has no
// newer one. It is zero if every chat was looked at.
func (m *moves) horizon() time.Time {
	var at time.Time
	if m.ahead != nil {
		at = m.ahead.Newest
	}
	for _, o := range m.open {
		if o.At.After(at) {
			at = o.At
		}
	}
	return at
}

// day is the day of the next chat; empty at the end. No chat is ready between days.
func (m *moves) day() (archive.Day, error) {
	if m == nil {
		return "", nil
	}
	return dayOf(m.horizon()), m.err
}

// upcoming opens entries until it has n moves that come next and are not before
// since, or all of them, and returns at most n, newest first. It leaves out chats
// that are known, and those that an earlier page has passed.
func (m *moves) upcoming(n int, since time.Time, known map[archive.ConversationID]*entry) []openMove {
	for {
		var next []openMove
		for conv, o := range m.open {
			if _, seen := known[conv]; seen {
				delete(m.open, conv)
			} else if !o.At.Before(since) && (m.ahead == nil || !o.At.Before(m.ahead.Newest)) {
				next = append(next, o)
			}
		}
		if len(next) >= n || m.ahead == nil || m.ahead.Newest.Before(since) {
			slices.SortFunc(next, func(x, y openMove) int { return y.At.Compare(x.At) })
			return next[:min(len(next), n)]
		}
		for _, move := range m.ahead.Moves {
			if !m.open[move.Conversation].At.After(move.At) && !m.begin.before(newEntryAt(move.Conversation, move.At)) {
				m.open[move.Conversation] = openMove{move, m.ahead.Newest}
			}
		}
		m.read()
	}
}

// place is what a page token notes of the moves, see [listPage]: the time of the
// newest open entry. Every entry that is not open is older than the place of the page.
func (m *moves) place() int64 {
	if m == nil {
		return 0
	}
	var at time.Time
	for _, o := range m.open {
		if o.newest.After(at) {
			at = o.newest
		}
	}
	for _, e := range m.ready {
		if e.newest.After(at) {
			at = e.newest
		}
	}
	return max(at.UnixMilli(), 0)
}

// moved puts the moves of a day that come before an entry on the page, or all moves
// of the day if before is nil. It reports whether the page is full.
//
// A chat belongs to its newest message, which is looked at. If an earlier page has
// passed the chat, moved skips it. So the pages need no memory of each other.
func (w *walker) moved(ctx context.Context, day archive.Day, before *entry) (full bool, _ error) {
	m := w.moves
	if m == nil {
		return false, nil
	}
	since := day.Start()
	if before != nil {
		since = before.at
	}
	for {
		// One chat more than the page holds shows that the page is full.
		next := m.upcoming(min(max(1, w.page.limit-len(w.page.shown)+1-len(m.ready)), atOnce), since, w.known)
		if m.err != nil {
			return false, m.err
		}
		horizon := m.horizon()
		for len(m.ready) > 0 && m.ready[0].at.After(horizon) {
			e := m.ready[0].entry
			if before != nil && compareEntries(e, *before) > 0 {
				return false, nil
			}
			if full, err := w.put(day, e); full || err != nil {
				return full, err
			}
			m.ready = m.ready[1:]
		}
		if len(next) == 0 {
			return false, nil
		}
		if w.lookedAtMoves && session.Ending(ctx) {
			// All moves up to this one are on the page, or will never be.
			w.next.advance(day, entry{at: horizon, digest: beforeDigests})
			return true, nil
		}
		if err := w.lookAtMoves(ctx, next); err != nil {
			return false, err
		}
	}
}

// beforeDigests sorts before the digest of every conversation.
const beforeDigests = "!"

// lookAtMoves makes the chats of moves known, and ready if the page may show them.
func (w *walker) lookAtMoves(ctx context.Context, list []openMove) error {
	var conversations []archive.ConversationID
	for _, o := range list {
		conversations = append(conversations, o.Conversation)
	}
	if err := w.lookAt(ctx, conversations); err != nil {
		return err
	}
	w.lookedAtMoves = true
	for _, o := range list {
		if e := w.known[o.Conversation]; e != nil && w.page.filter.shows(*e) && !w.begin.before(*e) && !w.done[o.Conversation] {
			w.moves.ready = append(w.moves.ready, readyEntry{*e, o.newest})
		}
	}
	slices.SortStableFunc(w.moves.ready, func(x, y readyEntry) int { return compareEntries(x.entry, y.entry) })
	return nil
}
