package chats

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

const (
	// daysMost bounds the days with activity that are read together.
	daysMost = 64
	// dayMost is the most conversations of a day that are read to sort them.
	dayMost = 10000
	// aheadChars is how many characters of a digest identify an upcoming
	// conversation in a page token. A token has room for more than 500
	// conversations, so most days are read in full only once, for the first page.
	aheadChars = 5
)

// listPage is the place where a page of conversations begins: on a day and, if
// Digest is set, after an entry of that day. A token holds digests because an id
// may be too long for it.
type listPage struct {
	Day    archive.Day `json:"d"`
	Milli  int64       `json:"t,omitempty"`
	Digest string      `json:"c,omitempty"`
	// Ahead holds the beginnings of the digests of the upcoming entries, in their
	// order, so that the next page reads only these conversations. If Rest is set,
	// the day has more entries after them.
	Ahead string `json:"a,omitempty"`
	Rest  bool   `json:"r,omitempty"`
	// Moved is the time, in ms, of the newest entry of moves that may hold upcoming
	// chats; zero if none is newer than the place. Listed says that of the day only
	// moves are left.
	Moved  int64 `json:"m,omitempty"`
	Listed bool  `json:"l,omitempty"`
	// Slow says that the time of an answer is too short for the day, see
	// [walker.slowly]. Done is the digest of the last conversation that is done.
	Slow bool   `json:"w,omitempty"`
	Done string `json:"d1,omitempty"`
	// SearchDay and Search are where the search in the next conversation goes on:
	// on a day, after a message.
	SearchDay archive.Day `json:"sd,omitempty"`
	Search    *position   `json:"s,omitempty"`
}

// search notes where a search ended.
func (p *listPage) search(e ending) {
	p.SearchDay, p.Search = e.day, nil
	if e.after != nil {
		at := positionAt(*e.after)
		p.Search = &at
	}
}

// ended returns what search noted.
func (p *listPage) ended() ending {
	e := ending{day: p.SearchDay}
	if p.Search != nil {
		at := p.Search.read()
		e.after = &at
	}
	return e
}

// carry records the upcoming entries in the token, as many as it has room for:
// first those in entries, then those in ahead. rest says that the day has more
// entries after these.
func (p *listPage) carry(entries []entry, ahead string, rest bool) {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.digest[:aheadChars])
	}
	b.WriteString(ahead)
	// A token is base64 of JSON. The other fields, and the encryption, take at most
	// 200 bytes.
	const room = (input.MaxPageToken/4*3 - 200) / aheadChars * aheadChars
	p.Ahead, p.Rest = b.String(), rest
	if len(p.Ahead) > room {
		p.Ahead, p.Rest = p.Ahead[:room], true
	}
}

// passed reports whether an earlier page has passed the entry.
func (p *listPage) passed(e entry) bool {
	return p.Digest != "" && compareEntries(e, p.last()) <= 0
}

// before reports whether the entry comes before the page: an earlier page has passed
// it, or it belongs to a later day.
func (p *listPage) before(e entry) bool {
	return p.passed(e) || p.Day != "" && dayOf(e.at) > p.Day
}

// last is the entry after which the page begins, without its content.
func (p *listPage) last() entry { return entry{digest: p.Digest, at: time.UnixMilli(p.Milli)} }

// advance moves the place to behind an entry of a day. It never moves back: if
// a new message moves a chat while pages are read, its entry may stand after its place.
func (p *listPage) advance(day archive.Day, e entry) {
	if p.Digest == "" || compareEntries(p.last(), e) < 0 {
		p.Day, p.Milli, p.Digest = day, e.at.UnixMilli(), e.digest
	}
}

// among returns the conversations listed in ahead.
func among(conversations []archive.ConversationID, ahead string) []archive.ConversationID {
	noted := make(map[string]bool)
	for begin := range slices.Chunk([]byte(ahead), aheadChars) {
		noted[string(begin)] = true
	}
	return slices.DeleteFunc(slices.Clone(conversations), func(conv archive.ConversationID) bool {
		return !noted[digestOf(conv)[:aheadChars]]
	})
}

// digestOf returns the name of a conversation in a page token.
func digestOf(conv archive.ConversationID) string {
	sum := sha256.Sum256([]byte(conv))
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

// walk lists the conversations of a party, or those in which two parties take
// part together; without parties, those whose parties cannot be read. It walks back
// over the days on which the last of the parties was active. A conversation belongs
// to the day of its newest message in which the parties take part and that the
// caller may see; the walk skips it on other days. The walk goes on until it finds
// an entry that the page has no room for, so the list has a further page only if it
// has a further entry, or if the time of the page is over. walk returns the place
// of that page, nil at the end of the list.
func (h *Handlers) walk(ctx context.Context, c *session.Call, page *entryPage, parties []string, at listPage) (*listPage, error) {
	w := walker{
		h: h, c: c, parties: parties, page: page, begin: at, known: make(map[archive.ConversationID]*entry), done: make(map[archive.ConversationID]bool),
		next: listPage{Day: at.Day, Milli: at.Milli, Digest: at.Digest, Slow: at.Slow, Done: at.Done, SearchDay: at.SearchDay, Search: at.Search},
	}
	party := ""
	if len(parties) > 0 {
		party = parties[len(parties)-1] // of two, the customer: customers have fewer conversations than members
	}
	if len(parties) == 1 && (page.filter.kind == "" || page.filter.kind == "single") {
		w.moves = h.readMoves(ctx, c.CorpID, party, at)
		defer w.moves.stop()
	}
	begun := false
	for day, err := range w.days(ctx, party) {
		if err != nil {
			return nil, err
		}
		if day.Day < dayOf(page.filter.since) {
			return nil, nil // every further entry is older
		}
		full, err := w.day(ctx, day)
		if _, ended := errors.AsType[ending](err); ended {
			w.unfinished(day.Day, begun || len(page.shown) > 0)
			full, err = true, nil
		}
		if full || err != nil {
			w.next.Moved = w.moves.place()
			return &w.next, err
		}
		if begun = true; session.Ending(ctx) {
			return &listPage{Day: input.DaysAfter(day.Day, -1)}, nil
		}
	}
	return nil, nil
}

// days yields the days on which the party was active, from the first day of the
// page back, each with the conversations that its list names. The caller reads all
// moves of a day before it asks for the next one.
func (w *walker) days(ctx context.Context, party string) iter.Seq2[archive.ActiveDay, error] {
	return func(yield func(archive.ActiveDay, error) bool) {
		var listed []archive.ActiveDay
		upTo, more := w.begin.Day, true
		for atOnce := 1; ; {
			if len(listed) == 0 && more {
				var err error
				if listed, err = w.h.Messages.ListedDays(ctx, w.c.CorpID, party, upTo, atOnce); err != nil {
					yield(archive.ActiveDay{}, err)
					return
				}
				if more = len(listed) == atOnce; more {
					upTo = input.DaysAfter(listed[atOnce-1].Day, -1)
				}
				atOnce = min(4*atOnce, daysMost)
			}
			moved, err := w.moves.day()
			day := archive.ActiveDay{Day: moved}
			if len(listed) > 0 && listed[0].Day >= moved {
				day, listed = listed[0], listed[1:]
			}
			if day.Day == "" && err == nil || !yield(day, err) || err != nil {
				return
			}
		}
	}
}

// walker holds the state of one walk.
type walker struct {
	h       *Handlers
	c       *session.Call
	parties []string
	page    *entryPage
	begin   listPage // the place where the page begins
	next    listPage // the place after the last entry of the page
	moves   *moves   // nil if the list has none
	// known holds the entries of the conversations that the walk has looked at; nil
	// for one that the caller may not see. A conversation may be on many days.
	known map[archive.ConversationID]*entry
	// done holds the conversations of the days whose lists are done: a move of one of
	// them is no further entry, whichever page shows it.
	done map[archive.ConversationID]bool
	// lookedAtMoves says that the page has looked at chats of moves, so that its time
	// may end.
	lookedAtMoves bool
}

// unfinished notes the place of the next page if the time of this one is over
// before the entries of a day are known. If this page made no progress before it
// reached the day, the next page is slow, see [walker.slowly].
func (w *walker) unfinished(day archive.Day, progress bool) {
	if w.next.Day != day {
		w.next = listPage{Day: day}
	}
	w.next.Slow = !progress
}

// day lists the entries of a day. It reports whether the page is full.
func (w *walker) day(ctx context.Context, day archive.ActiveDay) (full bool, err error) {
	left := listPage{Rest: true}
	if day.Day == w.begin.Day && (w.begin.Ahead != "" || w.begin.Listed) {
		left = w.begin
	}
	conversations := slices.DeleteFunc(day.Conversations, func(conv archive.ConversationID) bool { return !w.page.filter.mayShow(conv) })
	if !left.Listed {
		if full, err = w.listed(ctx, day.Day, conversations, left.Ahead, left.Rest); full || err != nil {
			return full, err
		}
	}
	for _, conv := range conversations {
		w.done[conv] = true
	}
	if full, err = w.moved(ctx, day.Day, nil); full {
		w.next.Listed = true
	}
	return full, err
}

// listed lists the entries of a day: first those that ahead notes, then the others if
// rest is set. It reports whether the page is full.
func (w *walker) listed(ctx context.Context, day archive.Day, conversations []archive.ConversationID, ahead string, rest bool) (full bool, err error) {
	if w.next.Slow || len(conversations) > dayMost {
		if w.next.Day != day {
			w.next = listPage{Day: day}
		}
		if full, err = w.slowly(ctx, day, conversations); !full && err == nil {
			w.next.Slow, w.next.Done = false, ""
		}
		return full, err
	}
	for later := ahead; later != ""; {
		// One entry more than the page holds shows that the page is full.
		n := min((w.page.limit-len(w.page.shown)+1)*aheadChars, len(later))
		some := among(conversations, later[:n])
		if len(some) > n/aheadChars {
			// Two digests begin alike. Only the order of all entries shows which of them
			// comes next.
			rest = true
			break
		}
		later = later[n:]
		if full, err := w.list(ctx, day, some, later, rest); full || err != nil {
			return full, err
		}
	}
	if !rest {
		return false, nil
	}
	return w.list(ctx, day, conversations, "", false)
}

// list puts the entries of conversations of a day on the page, and the moves that
// come before them. It reports whether the page is full. ahead and rest describe
// the entries of the day that come after these (see [listPage]).
func (w *walker) list(ctx context.Context, day archive.Day, conversations []archive.ConversationID, ahead string, rest bool) (full bool, _ error) {
	entries, err := w.entriesOf(ctx, day, conversations)
	if err != nil {
		return false, err
	}
	entries = slices.DeleteFunc(entries, func(e entry) bool { return w.next.passed(e) })
	for i, e := range entries {
		full, err := w.moved(ctx, day, &e)
		if !full && err == nil {
			full, err = w.put(day, e)
		}
		if err != nil {
			return false, err
		}
		if full {
			w.next.carry(entries[i:], ahead, rest)
			return true, nil
		}
	}
	return false, nil
}

// put shows an entry of a day, and reports whether the page is full before it.
func (w *walker) put(day archive.Day, e entry) (full bool, _ error) {
	fits, err := w.page.put(e)
	if err != nil {
		return false, err
	}
	if !fits {
		if w.next.Day != day {
			w.next = listPage{Day: day}
		}
		return true, nil
	}
	w.next.advance(day, e)
	return false, nil
}

// entriesOf returns the entries of those conversations that belong to the day,
// newest first. It returns ending at the time limit.
func (w *walker) entriesOf(ctx context.Context, day archive.Day, conversations []archive.ConversationID) ([]entry, error) {
	if err := w.lookAt(ctx, conversations); err != nil {
		return nil, err
	}
	var entries []entry
	for _, conv := range conversations {
		if e := w.known[conv]; e != nil && archive.DayOf(e.at) == day && w.page.filter.shows(*e) {
			entries = append(entries, *e)
		}
	}
	slices.SortFunc(entries, compareEntries)
	return entries, nil
}

// lookAt makes the conversations known. It returns ending at the time limit.
func (w *walker) lookAt(ctx context.Context, conversations []archive.ConversationID) error {
	var unknown []archive.ConversationID
	for _, conv := range conversations {
		if _, ok := w.known[conv]; !ok {
			unknown = append(unknown, conv)
		}
	}
	found := make([]*entry, len(unknown))
	g, looking := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, conv := range unknown {
		g.Go(func() (err error) {
			if i >= atOnce && session.Ending(looking) {
				return ending{}
			}
			found[i], err = w.entryOf(looking, conv, searchFor(w.c, w.parties))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, conv := range unknown {
		w.known[conv] = found[i]
	}
	return nil
}

// entryOf returns the entry of a conversation that the party's list names, or nil
// if the caller may not see the conversation.
func (w *walker) entryOf(ctx context.Context, conv archive.ConversationID, want search) (*entry, error) {
	if named := conv.Parties(); len(w.parties) == 2 && conv.Kind() != "room" && named != nil && conv != archive.PartyConversation(w.parties) {
		return nil, nil // a single chat with another party
	}
	newest, err := w.h.newest(ctx, w.c, conv, want)
	if errors.Is(err, archive.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e := newEntry(conv)
	e.show(newest)
	return &e, nil
}

// slowly lists the entries of a day one after the other, in the order of their
// digests, because the time of an answer is too short to read all of them and to
// sort them. Each page reads at least one more message, so the pages reach the end
// of the day.
func (w *walker) slowly(ctx context.Context, day archive.Day, conversations []archive.ConversationID) (full bool, _ error) {
	left := slices.DeleteFunc(slices.Clone(conversations), func(conv archive.ConversationID) bool { return digestOf(conv) <= w.next.Done })
	slices.SortFunc(left, func(x, y archive.ConversationID) int { return cmp.Compare(digestOf(x), digestOf(y)) })
	for i, conv := range left {
		if i > 0 && session.Ending(ctx) {
			return true, nil
		}
		want := searchFor(w.c, w.parties)
		if w.next.SearchDay != "" {
			want = want.from(w.next.ended())
		}
		e, err := w.entryOf(ctx, conv, want)
		if end, ended := errors.AsType[ending](err); ended {
			w.next.search(end)
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if e != nil && archive.DayOf(e.at) == day && w.page.filter.shows(*e) && !w.next.passed(*e) {
			if fits, err := w.page.put(*e); err != nil || !fits {
				return true, err
			}
		}
		w.next.Done, w.next.SearchDay, w.next.Search = digestOf(conv), "", nil
	}
	return false, nil
}
