package chats_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// talk is a table of messages in memory, from which lists of conversations are
// derived. Each look at the newest message of a conversation takes a time.
type talk struct {
	chats.MessageStore
	looks time.Duration
	mu    sync.Mutex
	convs map[archive.ConversationID][]archive.Message // oldest first
	// moving are the chats that lists hold as moves, a move for each page.
	moving map[archive.ConversationID]bool
	both   map[archive.ConversationID]bool // those of them that days name too
	pages  [][]archive.Message
	asked  int // lists of moves
	read   int // entries of moves
	looked int // newest messages
	// onLook is called before each look at a conversation.
	onLook func(archive.ConversationID)
}

// chat adds a message of lin.hua and another party, whose chat moves or not.
func (s *talk) chat(other string, at time.Time, moves bool) archive.ConversationID {
	conv := archive.PartyConversation([]string{"lin.hua", other})
	s.moving[conv] = moves
	s.say(conv, at, "lin.hua", other)
	return conv
}

// say adds a message whose parties are the members and customers.
func (s *talk) say(conv archive.ConversationID, at time.Time, parties ...string) {
	if s.convs == nil {
		s.convs = make(map[archive.ConversationID][]archive.Message)
	}
	raw, err := json.Marshal(map[string]any{"from": parties[0], "tolist": parties[1:]})
	if err != nil {
		panic(err)
	}
	n := len(s.convs[conv])
	m := archive.Message{
		Corp: "ww0123456789abcdef", Conversation: conv, Time: at, MsgID: fmt.Sprintf("%s-%06d", chats.DigestOf(conv), n), Seq: uint64(n + 1), Raw: raw,
	}
	s.convs[conv] = append(s.convs[conv], m)
	s.pages = append(s.pages, []archive.Message{m})
}

func parties(m archive.Message) []string {
	var v struct {
		From   string
		ToList []string
	}
	_ = json.Unmarshal(m.Raw, &v)
	return append(v.ToList, v.From)
}

func (s *talk) Newest(ctx context.Context, _ string, conv archive.ConversationID) (archive.Message, error) {
	if s.looks > 0 {
		_ = archive.Sleep(ctx, s.looks)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looked++; s.onLook != nil {
		s.onLook(conv)
	}
	list := s.convs[conv]
	if len(list) == 0 {
		return archive.Message{}, archive.ErrNotFound
	}
	return list[len(list)-1], ctx.Err()
}

func (s *talk) Messages(_ context.Context, _ string, conv archive.ConversationID, q archive.MessageQuery) ([]archive.Message, bool, error) {
	list := slices.Clone(s.convs[conv])
	if q.Descending {
		slices.Reverse(list)
	}
	list = slices.DeleteFunc(list, func(m archive.Message) bool {
		if m.Time.Before(q.From) || !q.To.IsZero() && !m.Time.Before(q.To) {
			return true
		}
		if q.Start == nil {
			return false
		}
		order := cmp.Or(m.Time.Compare(q.Start.Time), cmp.Compare(m.MsgID, q.Start.MsgID))
		return order == 0 && !q.Including || order != 0 && (order > 0) == q.Descending
	})
	return list[:min(len(list), q.Limit)], len(list) > q.Limit, nil
}

func (s *talk) AttendedDays(_ context.Context, _ string, room archive.ConversationID, q archive.AttendanceQuery) ([]archive.Day, archive.Day, error) {
	var days []archive.Day
	for _, m := range s.convs[room] {
		day, there := archive.DayOf(m.Time), parties(m)
		one := slices.ContainsFunc(q.OneOf, func(p string) bool { return slices.Contains(there, p) })
		if one && !slices.Contains(days, day) && (q.To == "" || day <= q.To) && day >= q.From {
			days = append(days, day)
		}
	}
	if q.Descending {
		slices.Reverse(days)
	}
	return days, "", nil
}

func (s *talk) ListedDays(_ context.Context, _, party string, upTo archive.Day, limit int) ([]archive.ActiveDay, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	byDay := make(map[archive.Day][]archive.ConversationID)
	for conv, list := range s.convs {
		if s.moving[conv] && !s.both[conv] && party == "lin.hua" {
			continue
		}
		for _, m := range list {
			if day := archive.DayOf(m.Time); slices.Contains(parties(m), party) && (upTo == "" || day <= upTo) && !slices.Contains(byDay[day], conv) {
				byDay[day] = append(byDay[day], conv)
			}
		}
	}
	var days []archive.ActiveDay
	for day, convs := range byDay {
		days = append(days, archive.ActiveDay{Day: day, Conversations: convs})
	}
	slices.SortFunc(days, func(a, b archive.ActiveDay) int { return cmp.Compare(b.Day, a.Day) })
	return days[:min(len(days), limit)], nil
}

func (s *talk) Moves(_ context.Context, _, member string, upTo time.Time) iter.Seq2[archive.Moves, error] {
	s.asked++
	type move struct {
		day  archive.Day
		conv archive.ConversationID
	}
	var entries []archive.Moves
	for _, page := range s.pages {
		newest := make(map[move]time.Time)
		for _, m := range page {
			of := move{archive.DayOf(m.Time), m.Conversation}
			if member == "lin.hua" && s.moving[m.Conversation] && m.Time.After(newest[of]) {
				newest[of] = m.Time
			}
		}
		byDay := make(map[archive.Day][]archive.Move)
		for of, at := range newest {
			byDay[of.day] = append(byDay[of.day], archive.Move{Conversation: of.conv, At: at})
		}
		for _, moves := range byDay {
			slices.SortFunc(moves, func(a, b archive.Move) int { return b.At.Compare(a.At) })
			for part := range slices.Chunk(moves, 5) {
				entries = append(entries, archive.Moves{Newest: part[0].At, Moves: part})
			}
		}
	}
	slices.SortFunc(entries, func(a, b archive.Moves) int { return b.Newest.Compare(a.Newest) })
	return func(yield func(archive.Moves, error) bool) {
		for _, e := range entries {
			if upTo.IsZero() || !e.Newest.After(upTo) {
				s.read++
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// ask asks for a page of a list, to be answered within ctx.
func ask(ctx context.Context, t *testing.T, store chats.MessageStore, caller session.Caller, query string) (output.Answer, error) {
	t.Helper()
	h := &chats.Handlers{Messages: store, Names: noNames{}, Readings: forgottenReadings{}, Seen: nothingSeen{}, Now: time.Now}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/list", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &session.Call{Request: r, CorpID: "ww0123456789abcdef", Caller: caller}
	c.ReadQuery(query, []string{"member", "external_contact", "room", "page", "limit", "kind", "since", "external"})
	c.UsePages(opaque.Page("/list", nil))
	return h.ListConversations(ctx, c)
}

// page reads one page of a list, with so much time, and returns its entries and what
// to add to the query for the next page.
func page(t *testing.T, store chats.MessageStore, caller session.Caller, query string, most time.Duration) (list []chats.ConversationJSON, next string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	ans, err := ask(ctx, t, store, caller, query)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Conversations []chats.ConversationJSON
		Next          *string
	}
	if err := json.Unmarshal(ans.Body, &got); err != nil {
		t.Fatal(err)
	}
	if got.Next == nil {
		return got.Conversations, ""
	}
	return got.Conversations, "&page=" + *got.Next
}

// pages follows a list from a page to its end, with the times in turn, and returns the
// entries, and how many pages were empty.
func pages(t *testing.T, store chats.MessageStore, caller session.Caller, query, next string, most ...time.Duration) (list []chats.ConversationJSON, empty int) {
	t.Helper()
	for n := range 2000 {
		var some []chats.ConversationJSON
		some, next = page(t, store, caller, query+next, most[n%len(most)])
		if len(some) == 0 {
			empty++
		}
		if list = append(list, some...); next == "" {
			return list, empty
		}
	}
	t.Fatal("the list never ends")
	return nil, 0
}

// The shortest time: a search has time for one step only.
const noTime = time.Second

// A search in a room whose time is over gives the place where it goes on. The pages
// together find the room.
func TestSearchInARoomGoesOn(t *testing.T) {
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	for name, at := range map[string]func(i int) time.Time{
		"on one day":    func(i int) time.Time { return start.Add(time.Duration(i) * time.Second) },
		"at one moment": func(int) time.Time { return start },
		"on many days":  func(i int) time.Time { return start.AddDate(0, 0, i/2) },
	} {
		t.Run(name, func(t *testing.T) {
			store, room := &talk{}, archive.RoomConversation("wr1")
			store.say(room, at(0), "lin.hua", "wm1")
			for i := 1; i < 100; i++ {
				store.say(room, at(i), "zhao", "wm1")
			}
			list, empty := pages(t, store, session.Caller{Limited: true, Staff: []string{"lin.hua"}}, "room=wr1", "", noTime)
			if len(list) != 1 || name != "on many days" && empty == 0 { // on many days, the lists of lin.hua name the day
				t.Errorf("got %+v after %d empty pages, want the room after some", list, empty)
			}
			if list, _ := pages(t, store, session.Caller{Limited: true, Staff: []string{"qian"}}, "room=wr1", "", noTime); len(list) != 0 {
				t.Errorf("a caller without a message there: got %+v, want nothing", list)
			}
		})
	}
}

// A list whose time is over in the middle of a day shows every conversation once,
// also one whose newest visible message is behind many others.
func TestListOfADayGoesOn(t *testing.T) {
	start := time.Date(2026, 1, 31, 1, 0, 0, 0, time.UTC)
	store := &talk{}
	for room := range 3 {
		conv := archive.RoomConversation(fmt.Sprint("wr", room))
		store.say(conv, start, "lin.hua", "wm1")
		for i := range 30 {
			store.say(conv, start.Add(time.Duration(i+1)*time.Second), "zhao", "wm1")
		}
	}
	store.moving, store.both = make(map[archive.ConversationID]bool), make(map[archive.ConversationID]bool)
	for i := range 100 {
		customer := fmt.Sprint("wm", i)
		at := start.AddDate(0, 0, -i%2).Add(time.Duration(i) * time.Minute)
		if i%20 == 1 {
			customer = fmt.Sprint("colleague", i)
		}
		conv := archive.PartyConversation([]string{"lin.hua", customer})
		if i%10 == 0 {
			store.say(conv, at.AddDate(0, 0, -1), "lin.hua", customer)
		}
		store.say(conv, at, "lin.hua", customer)
		store.moving[conv], store.both[conv] = i%3 == 0, i%6 == 0
	}
	for _, query := range []string{"member=lin.hua", "member=lin.hua&external=true", "member=lin.hua&since=2026-01-31T02:00:00Z", "external_contact=wm1"} {
		for name, caller := range map[string]session.Caller{"any reader": {}, "a limited reader": {Limited: true, Staff: []string{"lin.hua"}}} {
			want, _ := pages(t, store, caller, query, "", time.Minute)
			got, _ := pages(t, store, caller, query, "", noTime)
			ids := func(list []chats.ConversationJSON) (ids []string) {
				for _, c := range list {
					ids = append(ids, fmt.Sprint(c.Room == nil, c.Parties, c.PartyCount))
				}
				slices.Sort(ids)
				return ids
			}
			if !slices.Equal(ids(got), ids(want)) {
				t.Errorf("%s, %s: got %d entries, want %d, each once", query, name, len(got), len(want))
			}
		}
	}
}

// A page that goes on after a day without order lists the next day in order, and all
// of it, also if that day has no order later.
func TestListAfterASlowDay(t *testing.T) {
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	const slow, next = 40, 100 // conversations of the two days; 32 are read together
	store := &talk{}
	var want []string
	for i := range slow + next {
		customer, at := fmt.Sprint("wm", i), start.Add(-time.Duration(i)*time.Second)
		if i >= slow {
			at = at.AddDate(0, 0, -1)
		}
		store.say(archive.PartyConversation([]string{"lin.hua", customer}), at, "lin.hua", customer)
		want = append(want, customer)
	}
	for unordered, most := range map[int][]time.Duration{
		slow:        {noTime, time.Minute, time.Minute, time.Minute},
		slow + next: {noTime, time.Minute},
	} {
		list, _ := pages(t, store, session.Caller{}, "member=lin.hua&limit=50", "", most...)
		var got []string
		for _, c := range list {
			got = append(got, c.Parties[1])
		}
		slices.Sort(got[:min(unordered, len(got))])
		if want := append(slices.Sorted(slices.Values(want[:unordered])), want[unordered:]...); !slices.Equal(got, want) {
			t.Errorf("got %q, want the first %d in any order, then the others in theirs: %q", got, unordered, want)
		}
	}
}

// A page whose time is over before the order of a day is known, but not without
// progress, is followed by a page in order.
func TestOrderAfterAPageThatEnds(t *testing.T) {
	const long = time.Minute
	evening, midnight := time.Date(2026, 1, 31, 15, 0, 0, 0, time.UTC), archive.Day("2026-01-31").Start()
	for name, c := range map[string]struct {
		query string
		start time.Time
		moves bool
		days  []int // conversations
		looks time.Duration
		most  []time.Duration
	}{
		"after a day":                  {"&limit=200", evening, false, []int{1, 40}, 100 * time.Millisecond, []time.Duration{3150 * time.Millisecond, long}},
		"after a day without an entry": {"&limit=200&external=true", evening, false, []int{1, 40}, 100 * time.Millisecond, []time.Duration{3150 * time.Millisecond, long}},
		// The token of the first page has room for the next 574.
		"after a part of the day":  {"&limit=200", evening, false, []int{1000}, 20 * time.Millisecond, []time.Duration{long, long, long, 3300 * time.Millisecond}},
		"before a day with moves":  {"&limit=7", evening, true, []int{1, 40}, 0, []time.Duration{noTime, long, long, long, long, long, long, long}},
		"within a day with moves":  {"&limit=7", evening, true, []int{40, 1}, 0, []time.Duration{long, noTime}},
		"after a move at midnight": {"&limit=7", midnight, true, []int{1, 40}, 0, []time.Duration{noTime}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &talk{looks: c.looks, moving: make(map[archive.ConversationID]bool)}
				var want, got []string
				for day, n := range c.days {
					for i := range n {
						other := fmt.Sprintf("wm%d-%d", day, i)
						if name == "after a day without an entry" && day == 0 {
							other = "zhao" // no external contact
						} else {
							want = append(want, other)
						}
						store.chat(other, c.start.AddDate(0, 0, -day).Add(-time.Duration(i)*time.Second), c.moves)
					}
				}
				store.pages = [][]archive.Message{slices.Concat(store.pages...)}
				list, _ := pages(t, store, session.Caller{}, "member=lin.hua"+c.query, "", c.most...)
				for _, c := range list {
					got = append(got, c.Parties[1])
				}
				if !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		})
	}
}

// A list looks at no conversation that its query excludes.
func TestListsLookOnlyAtWhatTheyMayShow(t *testing.T) {
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	store := &talk{moving: make(map[archive.ConversationID]bool)}
	for i := range 6 {
		customer := fmt.Sprint("wm", i)
		for _, member := range []string{"lin.hua", "zhao"} {
			conv := archive.PartyConversation([]string{member, customer})
			store.say(conv, start.AddDate(0, 0, -i), member, customer)
			store.moving[conv] = member == "lin.hua" && i%2 == 0
		}
	}
	for i := range 4 {
		room := archive.RoomConversation(fmt.Sprint("wr", i))
		store.say(room, start.AddDate(0, 0, -1), "lin.hua", "wm0")
		store.say(room, start, "lin.hua", "wm0")
	}
	for _, c := range []struct {
		query                string
		shown, looked, asked int
	}{
		{"member=lin.hua", 10, 10, 1},
		{"member=lin.hua&kind=room", 4, 4, 0},
		{"member=lin.hua&kind=single", 6, 6, 1},
		{"member=lin.hua&since=2026-01-29T07:00:00Z", 6, 7, 1},
		{"external_contact=wm0&member=lin.hua", 5, 5, 0}, // not the other chats of either
	} {
		store.looked, store.asked = 0, 0
		if list, _ := pages(t, store, session.Caller{}, c.query, "", time.Minute); len(list) != c.shown || store.looked != c.looked || store.asked != c.asked {
			t.Errorf("%s: looked at %d conversations and %d lists of moves for %d entries, want %d and %d for %d", c.query, store.looked, store.asked, len(list), c.looked, c.asked, c.shown)
		}
	}
}

// A page that begins with another day than the page before reads only what comes
// next.
func TestPagesOfANewDayReadLittle(t *testing.T) {
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	for _, moves := range []bool{false, true} { // of the second day
		store := &talk{moving: make(map[archive.ConversationID]bool)}
		for i := range 50 {
			store.chat(fmt.Sprint("wm", i), start.AddDate(0, 0, -min(i/10, 1)).Add(-time.Duration(i)*time.Second), moves && i >= 10)
		}
		_, next := page(t, store, session.Caller{}, "member=lin.hua&limit=10", time.Minute)
		if store.read > 3 {
			t.Errorf("moves %v: the page before it read %d of them", moves, store.read)
		}
		store.looked, store.read = 0, 0
		if list, _ := page(t, store, session.Caller{}, "member=lin.hua&limit=10"+next, time.Minute); len(list) != 10 || store.looked > 11 || store.read > 13 {
			t.Errorf("moves %v: looked at %d conversations and %d moves for %d entries, want 11 for 10", moves, store.looked, store.read, len(list))
		}
	}
}

// Chats of one moment, as a broadcast makes them, have an order too.
func TestChatsOfOneMoment(t *testing.T) {
	store := &talk{moving: make(map[archive.ConversationID]bool)}
	var want, got []archive.ConversationID
	for i := range 20 {
		want = append(want, store.chat(fmt.Sprint("wm", i), time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC), i%4 > 0))
	}
	slices.SortFunc(want, func(a, b archive.ConversationID) int { return cmp.Compare(chats.DigestOf(a), chats.DigestOf(b)) })
	list, _ := pages(t, store, session.Caller{}, "member=lin.hua&limit=5", "", time.Minute)
	for _, c := range list {
		got = append(got, archive.PartyConversation(c.Parties))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A page whose moves are all on earlier pages reads none of them again.
func TestPageAfterTheMovesReadsNone(t *testing.T) {
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	store := &talk{moving: make(map[archive.ConversationID]bool)}
	for i := range 50 {
		store.chat(fmt.Sprint("wm", i), start.Add(-time.Duration(i)*time.Second), i < 30)
	}
	_, next := page(t, store, session.Caller{}, "member=lin.hua&limit=40", time.Minute)
	store.read = 0
	if list, _ := page(t, store, session.Caller{}, "member=lin.hua&limit=40"+next, time.Minute); len(list) != 10 || store.read > 0 {
		t.Errorf("got %d entries after %d moves, want 10 without moves", len(list), store.read)
	}
}

// brokenStore fails in one of its methods.
type brokenStore struct {
	*talk
	broken string
}

var errBroken = errors.New("store broken")

func (b brokenStore) ListedDays(ctx context.Context, corp, party string, upTo archive.Day, limit int) ([]archive.ActiveDay, error) {
	if b.broken == "ListedDays" {
		return nil, errBroken
	}
	return b.talk.ListedDays(ctx, corp, party, upTo, limit)
}

func (b brokenStore) Newest(ctx context.Context, corp string, conv archive.ConversationID) (archive.Message, error) {
	if b.broken == "Newest" {
		return archive.Message{}, errBroken
	}
	return b.talk.Newest(ctx, corp, conv)
}

func (b brokenStore) Moves(ctx context.Context, corp, member string, upTo time.Time) iter.Seq2[archive.Moves, error] {
	return func(yield func(archive.Moves, error) bool) {
		n := 0
		for e, err := range b.talk.Moves(ctx, corp, member, upTo) {
			if n++; b.broken == "Moves" || b.broken == "later moves" && n > 1 {
				e, err = archive.Moves{}, errBroken
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// A list whose store fails is no shorter list.
func TestListsFailWithTheirStore(t *testing.T) {
	at := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	for broken, want := range map[string]error{"": nil, "ListedDays": errBroken, "Newest": errBroken, "Moves": errBroken, "later moves": errBroken} {
		store := brokenStore{&talk{moving: make(map[archive.ConversationID]bool)}, broken}
		for i := range 2 {
			store.chat(fmt.Sprint("wm", i), at.Add(-time.Duration(i)*time.Second), true)
		}
		if broken != "Moves" {
			store.say(archive.RoomConversation("wr1"), at.Add(-2*time.Second), "lin.hua", "wm1")
		}
		if _, err := ask(t.Context(), t, store, session.Caller{}, "member=lin.hua&limit=1"); !errors.Is(err, want) {
			t.Errorf("%s broken: got %v, want %v", broken, err, want)
		}
	}
}

// A chat that has a new message while a page is read does not make the next page
// repeat others.
func TestChatsThatMoveWhileAPageIsRead(t *testing.T) {
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	const chatsOfADay, limit = 40, 33 // more than are read together
	store := &talk{moving: make(map[archive.ConversationID]bool)}
	conv := func(i int) archive.ConversationID {
		return archive.PartyConversation([]string{"lin.hua", fmt.Sprint("wm", i)})
	}
	for i := range chatsOfADay {
		store.moving[conv(i)] = true
		store.say(conv(i), start.Add(-time.Duration(i)*time.Second), "lin.hua", fmt.Sprint("wm", i))
	}
	store.pages = [][]archive.Message{slices.Concat(store.pages...)}
	last := conv(limit - 1)
	store.onLook = func(looked archive.ConversationID) {
		if looked == last && len(store.convs[last]) == 1 {
			store.say(last, start.Add(-time.Second/2), "lin.hua", fmt.Sprint("wm", limit-1))
		}
	}
	list, _ := pages(t, store, session.Caller{}, fmt.Sprintf("member=lin.hua&limit=%d", limit), "", time.Minute)
	seen := make(map[string]bool)
	for _, c := range list {
		seen[c.ID] = true
	}
	if len(list) != chatsOfADay || len(seen) != chatsOfADay {
		t.Errorf("got %d entries of %d chats, want %d", len(list), len(seen), chatsOfADay)
	}
}

// emptyDays says of a room that one of the parties may have been in it on older days,
// and finds none.
type emptyDays struct {
	talk
	left int // days to look at
}

func (e *emptyDays) AttendedDays(context.Context, string, archive.ConversationID, archive.AttendanceQuery) ([]archive.Day, archive.Day, error) {
	if e.left--; e.left <= 0 {
		return nil, "", nil
	}
	return nil, archive.DayOf(time.Date(2026, 1, 1, 6, 0, 0, 0, time.UTC).AddDate(0, 0, e.left)), nil
}

// A search for the days of a room ends with its time, and goes on.
func TestSearchForDaysEndsWithItsTime(t *testing.T) {
	const days = 20
	store := &emptyDays{left: days}
	store.say(archive.RoomConversation("wr1"), time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC), "zhao", "wm1")
	list, empty := pages(t, store, session.Caller{Limited: true, Staff: []string{"lin.hua"}}, "room=wr1", "", noTime)
	if len(list) != 0 || empty != days {
		t.Errorf("got %+v on %d pages, want a page without entries for each of %d looks", list, empty, days)
	}
}

// A list of a day with more conversations than can be read in the time of an answer
// is answered in time, page by page.
func TestListOfALongDayIsAnsweredInTime(t *testing.T) {
	for _, moves := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Date(2026, 1, 31, 1, 0, 0, 0, time.UTC)
			store := &talk{looks: 300 * time.Millisecond, moving: make(map[archive.ConversationID]bool)}
			for i := range 400 {
				store.chat(fmt.Sprint("wm", i), start.Add(time.Duration(i)*time.Second), moves)
			}
			next, got := "", 0
			for range 2 {
				begun := time.Now()
				var list []chats.ConversationJSON
				list, next = page(t, store, session.Caller{}, "member=lin.hua&limit=200"+next, 4*time.Second) // one for the search
				if took := time.Since(begun); next == "" || took > 1500*time.Millisecond {
					t.Fatalf("moves %v: got next %q after %s, want the place to go on", moves, next, took)
				}
				got += len(list)
			}
			store.looks = 0
			if list, _ := pages(t, store, session.Caller{}, "member=lin.hua&limit=200", next, time.Minute); got == 0 || got+len(list) != 400 {
				t.Errorf("moves %v: got %d conversations, and %d on the next pages, want 400 together", moves, got, len(list))
			}
		})
	}
}

// newRandomTalk has chats and rooms of lin.hua, which it returns newest first. Days,
// moves or both name a chat. The messages were stored in any order and pages.
func newRandomTalk(r *rand.Rand) (*talk, []archive.ConversationID) {
	start := time.Date(2026, 1, 31, 1, 0, 0, 0, time.UTC)
	store := &talk{moving: make(map[archive.ConversationID]bool), both: make(map[archive.ConversationID]bool)}
	var all []archive.ConversationID
	for i := range 1 + r.IntN(40) {
		conv, other := archive.RoomConversation(fmt.Sprint("wr", i)), "zhao"
		if r.IntN(3) > 0 {
			other = fmt.Sprint("wm", i)
			conv = archive.PartyConversation([]string{"lin.hua", other})
			store.moving[conv], store.both[conv] = r.IntN(2) == 0, r.IntN(3) == 0
		}
		all = append(all, conv)
		for range 1 + r.IntN(5) {
			store.say(conv, start.Add(-time.Duration(r.IntN(50))*time.Hour/time.Duration(1+r.IntN(1000))).Truncate(time.Millisecond), "lin.hua", other)
		}
	}
	store.mixPages(r)
	for _, list := range store.convs {
		slices.SortFunc(list, func(a, b archive.Message) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.MsgID, b.MsgID)) })
	}
	newest := func(conv archive.ConversationID) time.Time { return store.convs[conv][len(store.convs[conv])-1].Time }
	slices.SortFunc(all, func(a, b archive.ConversationID) int {
		return cmp.Or(newest(b).Compare(newest(a)), cmp.Compare(chats.DigestOf(a), chats.DigestOf(b)))
	})
	return store, all
}

// mixPages makes pages of several messages, in no order.
func (s *talk) mixPages(r *rand.Rand) {
	var together [][]archive.Message
	r.Shuffle(len(s.pages), func(i, j int) { s.pages[i], s.pages[j] = s.pages[j], s.pages[i] })
	for page := range slices.Chunk(s.pages, 1+r.IntN(20)) {
		together = append(together, slices.Concat(page...))
	}
	s.pages = together
}

// ofKind is the conversations of a kind, or all.
func ofKind(all []archive.ConversationID, kind string) (convs []string) {
	for _, conv := range all {
		if kind == "" || kind == conv.Kind() {
			convs = append(convs, string(conv))
		}
	}
	return convs
}

// openIDs returns the conversations of a list.
func openIDs(t *testing.T, list []chats.ConversationJSON) (convs []string) {
	t.Helper()
	for _, c := range list {
		var conv archive.ConversationID
		if err := opaque.Conversation("ww0123456789abcdef").Open(c.ID, &conv); err != nil {
			t.Fatal(err)
		}
		convs = append(convs, string(conv))
	}
	return convs
}

// The pages of a member's list have each conversation once, newest first, whether its
// days or moves name it, in whatever order and pages the messages were stored.
func TestMovesAndDaysAreOneList(t *testing.T) {
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 0))
		store, all := newRandomTalk(r)
		for _, kind := range []string{"", "single", "room"} {
			query := "member=lin.hua"
			if kind != "" {
				query += "&kind=" + kind
			}
			for _, most := range [][]time.Duration{{time.Minute}, {noTime}, {noTime, time.Minute}} {
				limit := 1 + r.IntN(30)
				list, _ := pages(t, store, session.Caller{}, fmt.Sprintf("%s&limit=%d", query, limit), "", most...)
				got, want := openIDs(t, list), ofKind(all, kind)
				if most[0] == noTime && !slices.Equal(got, want) { // rooms without time are in no order
					slices.Sort(got)
					slices.Sort(want)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d, %s, pages of %d within %s: got\n%q\nwant\n%q", seed, query, limit, most, got, want)
				}
			}
		}
	}
}

// A page of a day with ten thousand chats reads as little as one of a day with a
// hundred.
func TestPagesOfALongDayReadLittle(t *testing.T) {
	const limit = 50
	start := time.Date(2026, 1, 31, 1, 0, 0, 0, time.UTC)
	store := &talk{moving: make(map[archive.ConversationID]bool)}
	for i := range 10_000 {
		store.chat(fmt.Sprint("wm", i), start.Add(time.Duration(i)*time.Second), true)
	}
	store.pages = [][]archive.Message{slices.Concat(store.pages...)}
	next := ""
	for n := range 20 {
		store.read, store.looked = 0, 0
		var got []chats.ConversationJSON
		got, next = page(t, store, session.Caller{}, fmt.Sprintf("member=lin.hua&limit=%d%s", limit, next), time.Minute)
		if len(got) != limit || next == "" || got[0].Parties[1] != fmt.Sprint("wm", 9999-n*limit) {
			t.Fatalf("page %d: got %d conversations, next %q", n, len(got), next)
		}
		if store.looked > limit+1 || store.read > limit+3 {
			t.Errorf("page %d: read %d entries and %d messages for %d conversations", n, store.read, store.looked, limit)
		}
	}
}
