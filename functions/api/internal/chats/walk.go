package chats

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
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
	return p.Digest != "" && compareEntries(e, entry{digest: p.Digest, at: time.UnixMilli(p.Milli)}) <= 0
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
		h: h, c: c, parties: parties, page: page, known: make(map[archive.ConversationID]*entry),
		next: listPage{Day: at.Day, Milli: at.Milli, Digest: at.Digest, Slow: at.Slow, Done: at.Done, SearchDay: at.SearchDay, Search: at.Search},
	}
	upTo, begun, party := at.Day, false, ""
	if len(parties) > 0 {
		party = parties[len(parties)-1] // of two, the customer: customers have fewer conversations than members
	}
	for atOnce := 1; ; atOnce = min(4*atOnce, daysMost) {
		days, err := h.Messages.ActiveDays(ctx, c.CorpID, party, upTo, atOnce)
		if err != nil {
			return nil, err
		}
		for _, day := range days {
			if day.Day < dayOf(page.filter.since) {
				return nil, nil // every further entry is older
			}
			ahead, rest := "", true
			if day.Day == at.Day && at.Ahead != "" {
				ahead, rest = at.Ahead, at.Rest
			}
			wanted := slices.DeleteFunc(day.Conversations, func(conv archive.ConversationID) bool { return !page.filter.mayShow(conv) })
			full, err := w.day(ctx, day.Day, wanted, ahead, rest)
			if _, ended := errors.AsType[ending](err); ended {
				return w.unfinished(day.Day, begun || len(page.shown) > 0), nil
			}
			if full || err != nil {
				return &w.next, err
			}
			upTo, begun = input.DaysAfter(day.Day, -1), true
			if session.Ending(ctx) {
				return &listPage{Day: upTo}, nil
			}
		}
		if len(days) < atOnce {
			return nil, nil
		}
	}
}

// walker holds the state of one walk.
type walker struct {
	h       *Handlers
	c       *session.Call
	parties []string
	page    *entryPage
	next    listPage // the place after the last entry of the page
	// known holds the entries of the conversations that the walk has looked at; nil
	// for one that the caller may not see. A conversation may be on many days.
	known map[archive.ConversationID]*entry
}

// unfinished returns the place of the next page if the time of this one is over
// before the entries of a day are known. If this page made no progress before it
// reached the day, the next page is slow, see [walker.slowly].
func (w *walker) unfinished(day archive.Day, progress bool) *listPage {
	if w.next.Day != day {
		w.next = listPage{Day: day}
	}
	w.next.Slow = !progress
	return &w.next
}

// day lists the entries of a day: first those that ahead notes, then the others if
// rest is set. It reports whether the page is full.
func (w *walker) day(ctx context.Context, day archive.Day, conversations []archive.ConversationID, ahead string, rest bool) (full bool, err error) {
	if slow := w.next.Slow && w.next.Day == day; slow || ahead == "" && len(conversations) > dayMost {
		if w.next.Day != day {
			w.next = listPage{Day: day}
		}
		w.next.Slow = true
		if full, err = w.slowly(ctx, day, conversations); !full && err == nil {
			w.next = listPage{}
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

// list puts the entries of conversations of a day on the page, and reports
// whether the page is full. ahead and rest describe the entries of the day that
// come after these (see [listPage]).
func (w *walker) list(ctx context.Context, day archive.Day, conversations []archive.ConversationID, ahead string, rest bool) (full bool, _ error) {
	entries, err := w.entriesOf(ctx, day, conversations)
	if err != nil {
		return false, err
	}
	entries = slices.DeleteFunc(entries, func(e entry) bool { return day == w.next.Day && w.next.passed(e) })
	for i, e := range entries {
		fits, err := w.page.put(e)
		if err != nil {
			return false, err
		}
		if !fits {
			if w.next.Day != day {
				w.next = listPage{Day: day}
			}
			w.next.carry(entries[i:], ahead, rest)
			return true, nil
		}
		w.next.Day, w.next.Milli, w.next.Digest = day, e.at.UnixMilli(), e.digest
	}
	return false, nil
}

// entriesOf returns the entries of those conversations that belong to the day,
// newest first. It returns ending if its time is over before all of them are known.
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

// lookAt makes the conversations known. It returns ending if its time is over
// before.
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
