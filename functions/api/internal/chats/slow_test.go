package chats_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
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
	read   int // entries of moves
	looked int // newest messages
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
	s.looked++
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
		return order == 0 || (order > 0) == q.Descending
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

// pages follows a list from a page to its end, each page with so much time, and
// returns the entries, and how many pages were empty.
func pages(t *testing.T, store chats.MessageStore, caller session.Caller, query, next string, most time.Duration) (list []chats.ConversationJSON, empty int) {
	t.Helper()
	const corp = "ww0123456789abcdef"
	h := &chats.Handlers{Messages: store, Names: noNames{}, Readings: forgottenReadings{}, Seen: nothingSeen{}, Now: time.Now}
	for n := 0; ; n++ {
		if n == 2000 {
			t.Fatal("the list never ends")
		}
		ctx, cancel := context.WithTimeout(t.Context(), most)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/list", nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &session.Call{Request: r, CorpID: corp, Caller: caller}
		c.ReadQuery(query+next, []string{"member", "external_contact", "room", "page", "limit", "kind"})
		c.UsePages(opaque.Page("/list", nil))
		ans, err := h.ListConversations(ctx, c)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			Conversations []chats.ConversationJSON
			Next          *string
		}
		if err := json.Unmarshal(ans.Body, &page); err != nil {
			t.Fatal(err)
		}
		if len(page.Conversations) == 0 {
			empty++
		}
		list = append(list, page.Conversations...)
		if page.Next == nil {
			return list, empty
		}
		next = "&page=" + *page.Next
	}
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
	store.moving = make(map[archive.ConversationID]bool)
	for i := range 200 {
		customer := fmt.Sprint("wm", i)
		at := start.AddDate(0, 0, -i%2).Add(time.Duration(i) * time.Minute)
		conv := archive.PartyConversation([]string{"lin.hua", customer})
		store.say(conv, at, "lin.hua", customer)
		store.moving[conv] = i%3 == 0
	}
	for _, query := range []string{"member=lin.hua", "external_contact=wm1"} {
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
	start := time.Date(2026, 1, 31, 1, 0, 0, 0, time.UTC)
	store := &talk{looks: 200 * time.Millisecond}
	for i := range 400 {
		customer := fmt.Sprint("wm", i)
		store.say(archive.PartyConversation([]string{"lin.hua", customer}), start.Add(time.Duration(i)*time.Second), "lin.hua", customer)
	}
	begun := time.Now()
	const most = 4 * time.Second // one second for the search: 160 conversations
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	h := &chats.Handlers{Messages: store, Names: noNames{}, Readings: forgottenReadings{}, Seen: nothingSeen{}, Now: time.Now}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/list", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &session.Call{Request: r, CorpID: "ww0123456789abcdef"}
	c.ReadQuery("member=lin.hua", []string{"member", "page"})
	c.UsePages(opaque.Page("/list", nil))
	ans, err := h.ListConversations(ctx, c)
	if err != nil || time.Since(begun) > most {
		t.Fatalf("got %v after %s", err, time.Since(begun))
	}
	var page struct{ Next *string }
	if err := json.Unmarshal(ans.Body, &page); err != nil || page.Next == nil {
		t.Errorf("got %s, %v; want the place to go on", ans.Body, err)
	}
	store.looks = 0
	if list, _ := pages(t, store, session.Caller{}, "member=lin.hua", "&page="+*page.Next, time.Minute); len(list) != 400 {
		t.Errorf("got %d conversations on the next pages, want 400", len(list))
	}
}

// The pages of a member's list have each conversation once, newest first, whether its
// days or moves name it, in whatever order and pages the messages were stored.
func TestMovesAndDaysAreOneList(t *testing.T) {
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 0))
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
		var together [][]archive.Message // pages of several messages, in no order
		r.Shuffle(len(store.pages), func(i, j int) { store.pages[i], store.pages[j] = store.pages[j], store.pages[i] })
		for page := range slices.Chunk(store.pages, 1+r.IntN(20)) {
			together = append(together, slices.Concat(page...))
		}
		store.pages = together
		for _, list := range store.convs {
			slices.SortFunc(list, func(a, b archive.Message) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.MsgID, b.MsgID)) })
		}
		newest := func(conv archive.ConversationID) time.Time { return store.convs[conv][len(store.convs[conv])-1].Time }
		slices.SortFunc(all, func(a, b archive.ConversationID) int {
			return cmp.Or(newest(b).Compare(newest(a)), cmp.Compare(chats.DigestOf(a), chats.DigestOf(b)))
		})
		for _, query := range []string{"member=lin.hua", "member=lin.hua&kind=single", "member=lin.hua&kind=room"} {
			var want []string
			for _, conv := range all {
				if kind := query[len("member=lin.hua"):]; kind == "" || kind == "&kind="+conv.Kind() {
					want = append(want, string(conv))
				}
			}
			for _, most := range []time.Duration{time.Minute, noTime} {
				limit := 1 + r.IntN(30)
				list, _ := pages(t, store, session.Caller{}, fmt.Sprintf("%s&limit=%d", query, limit), "", most)
				var got []string
				for _, c := range list {
					var conv archive.ConversationID
					if err := opaque.Conversation("ww0123456789abcdef").Open(c.ID, &conv); err != nil {
						t.Fatal(err)
					}
					got = append(got, string(conv))
				}
				if most == noTime && !slices.Equal(got, want) { // rooms without time are in no order
					slices.Sort(got)
					want = slices.Sorted(slices.Values(want))
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
		customer := fmt.Sprint("wm", i)
		conv := archive.PartyConversation([]string{"lin.hua", customer})
		store.moving[conv] = true
		store.say(conv, start.Add(time.Duration(i)*time.Second), "lin.hua", customer)
	}
	h := &chats.Handlers{Messages: store, Names: noNames{}, Readings: forgottenReadings{}, Seen: nothingSeen{}, Now: time.Now}
	next := ""
	for page := range 20 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/list", nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &session.Call{Request: r, CorpID: "ww0123456789abcdef"}
		c.ReadQuery(fmt.Sprintf("member=lin.hua&limit=%d%s", limit, next), []string{"member", "page", "limit"})
		c.UsePages(opaque.Page("/list", nil))
		store.read, store.looked = 0, 0
		ans, err := h.ListConversations(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Conversations []chats.ConversationJSON
			Next          *string
		}
		if err := json.Unmarshal(ans.Body, &got); err != nil || got.Next == nil {
			t.Fatalf("got %.200s, %v", ans.Body, err)
		}
		if n := len(got.Conversations); n != limit || got.Conversations[0].Parties[1] != fmt.Sprint("wm", 9999-page*limit) {
			t.Fatalf("page %d: got %d conversations, the first with %v", page, n, got.Conversations[0].Parties)
		}
		if store.looked > limit+1 || store.read > limit+3 {
			t.Errorf("page %d: read %d entries and %d messages for %d conversations", page, store.read, store.looked, limit)
		}
		next = "&page=" + *got.Next
	}
}
