package chats_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
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
	s.convs[conv] = append(s.convs[conv], archive.Message{
		Corp: "ww0123456789abcdef", Conversation: conv, Time: at, MsgID: fmt.Sprintf("%s-%06d", chats.DigestOf(conv), n), Seq: uint64(n + 1), Raw: raw,
	})
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

func (s *talk) ActiveDays(_ context.Context, _, party string, upTo archive.Day, limit int) ([]archive.ActiveDay, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	byDay := make(map[archive.Day][]archive.ConversationID)
	for conv, list := range s.convs {
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
		c.ReadQuery(query+next, []string{"member", "external_contact", "room", "page"})
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
	for i := range 200 {
		customer := fmt.Sprint("wm", i)
		at := start.AddDate(0, 0, -i%2).Add(time.Duration(i) * time.Minute)
		store.say(archive.PartyConversation([]string{"lin.hua", customer}), at, "lin.hua", customer)
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
