package chats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// longMessages is a table of messages whose bytes are in the journal.
type longMessages struct {
	chats.MessageStore
	list []archive.Message
}

func (l longMessages) Messages(_ context.Context, _ string, _ archive.ConversationID, q archive.MessageQuery) ([]archive.Message, bool, error) {
	from := 0
	for q.Start != nil && from < len(l.list) && !l.list[from].Time.After(q.Start.Time) {
		from++
	}
	to := min(from+q.Limit, len(l.list))
	return l.list[from:to], to < len(l.list), nil
}

func (longMessages) FirstRevocations(context.Context, string, archive.ConversationID, int) ([]archive.Revocation, bool, error) {
	return nil, false, nil
}

// countedBytes is a journal that counts the bytes that an answer reads.
type countedBytes struct{ read int }

func (b *countedBytes) Message(_ context.Context, _ string, o archive.Overflow) ([]byte, error) {
	b.read += o.Size
	return []byte(`{"from":"zhao"}`), nil
}

// AttendedDays says that the parties were in the room on the day of all messages,
// which it finds after an older day.
func (l longMessages) AttendedDays(_ context.Context, _ string, _ archive.ConversationID, q archive.AttendanceQuery) ([]archive.Day, archive.Day, error) {
	day := archive.DayOf(l.list[0].Time)
	if q.From < day {
		return nil, day, nil
	}
	return []archive.Day{day}, "", nil
}

type noNames struct{ chats.Directory }

func (noNames) Beside(context.Context, archive.Corp, []string, []string) names.Names {
	return names.Names{}
}

type nothingSeen struct{ chats.SeenStore }

func (nothingSeen) Seen(context.Context, string, string, []archive.ConversationID) (map[archive.ConversationID]time.Time, error) {
	return nil, nil
}

type forgottenReadings struct{}

func (forgottenReadings) RecordReading(context.Context, archive.Reading) error { return nil }

// A page reads a bounded number of bytes from the journal. The pages together
// still reach every message.
func TestPagesReadABoundedNumberOfBytes(t *testing.T) {
	const corp, size, n = "ww0123456789abcdef", 5 << 20, 20
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	var list []archive.Message
	for i := range n {
		list = append(list, archive.Message{
			Corp: corp, Conversation: archive.RoomConversation("wr1"), Time: start.Add(time.Duration(i) * time.Second), MsgID: fmt.Sprintf("m%02d", i),
			Seq: uint64(i + 1), Overflow: &archive.Overflow{Size: size},
		})
	}
	journal := &countedBytes{}
	h := &chats.Handlers{Messages: longMessages{list: list}, Blobs: journal, Names: noNames{}, Readings: forgottenReadings{}, Seen: nothingSeen{}, Now: func() time.Time { return start }}
	conv, err := opaque.Conversation(corp).Seal(archive.RoomConversation("wr1"))
	if err != nil {
		t.Fatal(err)
	}
	read, pages := 0, 0
	for next := ""; ; pages++ {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/list", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetPathValue("conversation", conv)
		c := &session.Call{Request: r, CorpID: corp}
		query := ""
		if next != "" {
			query = "page=" + next
		}
		c.ReadQuery(query, []string{"page"})
		c.UsePages(opaque.Page("/list", nil))
		journal.read = 0
		ans, err := h.ListMessages(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if journal.read > chats.LookBytes {
			t.Fatalf("a page read %d bytes, want at most %d", journal.read, chats.LookBytes)
		}
		read += journal.read
		var page struct{ Next *string }
		if err := json.Unmarshal(ans.Body, &page); err != nil {
			t.Fatal(err)
		}
		if page.Next == nil {
			break
		}
		next = *page.Next
	}
	if read != n*size || pages < 3 {
		t.Errorf("%d pages read %d bytes, want all %d", pages+1, read, n*size)
	}
}

// A page whose time is over ends early, even if it shows nothing. The pages
// together still reach every message that a limited caller may see.
func TestPagesEndWithTheirTime(t *testing.T) {
	const corp, n = "ww0123456789abcdef", 3000
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	var list []archive.Message
	for i := range n {
		raw := `{"from":"zhao"}`
		if i == 1000 || i == 2000 {
			raw = `{"from":"lin.hua"}`
		}
		list = append(list, archive.Message{
			Corp: corp, Conversation: archive.RoomConversation("wr1"), Time: start.Add(time.Duration(i) * time.Second), MsgID: fmt.Sprintf("m%04d", i), Seq: uint64(i + 1), Raw: []byte(raw),
		})
	}
	h := &chats.Handlers{Messages: longMessages{list: list}, Names: noNames{}, Readings: forgottenReadings{}, Seen: nothingSeen{}, Now: func() time.Time { return start }}
	conv, err := opaque.Conversation(corp).Seal(archive.RoomConversation("wr1"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	empty := 0
	for next := ""; ; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // less than what a search leaves for its answer
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/list", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetPathValue("conversation", conv)
		c := &session.Call{Request: r, CorpID: corp, Caller: session.Caller{Limited: true, Staff: []string{"lin.hua"}}}
		c.ReadQuery(next, []string{"page"})
		c.UsePages(opaque.Page("/list", nil))
		ans, err := h.ListMessages(ctx, c)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			Messages []struct{ MsgID string }
			Next     *string
		}
		if err := json.Unmarshal(ans.Body, &page); err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			found = append(found, m.MsgID)
		}
		if len(page.Messages) == 0 {
			empty++
		}
		if page.Next == nil {
			break
		}
		next = "page=" + *page.Next
	}
	if !slices.Equal(found, []string{"m1000", "m2000"}) || empty < 3 {
		t.Errorf("got %v, and %d empty pages", found, empty)
	}
}

// Message implements [chats.MessageStore].
func (l longMessages) Message(_ context.Context, _ string, _ archive.ConversationID, at archive.Position) (archive.Message, error) {
	i := slices.IndexFunc(l.list, func(m archive.Message) bool { return m.Time.Equal(at.Time) && m.MsgID == at.MsgID })
	if i < 0 {
		return archive.Message{}, archive.ErrNotFound
	}
	return l.list[i], nil
}

func (longMessages) Revocations(context.Context, string, archive.ConversationID, []string) (map[string]archive.Revocation, error) {
	return nil, nil
}

// An answer about several messages whose time is over has the first of them, and says
// that the others came too late. Requests for these reach all of them.
func TestMessagesByIDEndWithTheirTime(t *testing.T) {
	const corp, n = "ww0123456789abcdef", 5
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	var list []archive.Message
	ids := []string{"abc"} // of no message
	for i := range n {
		m := archive.Message{
			Corp: corp, Conversation: archive.RoomConversation("wr1"), Time: start.Add(time.Duration(i) * time.Second), MsgID: fmt.Sprint("m", i), Seq: uint64(i + 1), Raw: []byte(`{"from":"zhao"}`),
		}
		id, err := chats.MessageID(m)
		if err != nil {
			t.Fatal(err)
		}
		list, ids = append(list, m), append(ids, id)
	}
	h := &chats.Handlers{Messages: longMessages{list: list}, Names: noNames{}, Readings: forgottenReadings{}, Seen: nothingSeen{}, Now: func() time.Time { return start }}
	var found, absent []string
	for answers := 0; len(ids) > 0; answers++ {
		if answers > n {
			t.Fatalf("got no end after %d answers", answers)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // less than what a search leaves for its answer
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/messages:batch", nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &session.Call{Request: r, CorpID: corp}
		body, err := json.Marshal(map[string]any{"ids": ids})
		if err != nil {
			t.Fatal(err)
		}
		c.ReadBody(body, []string{"ids", "omit"})
		ans, err := h.GetMessages(ctx, c)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Messages []struct{ MsgID string }
			Missing  []struct {
				ID      string
				Problem struct{ Type string }
			}
		}
		if err := json.Unmarshal(ans.Body, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Messages) != 1 {
			t.Errorf("got %d messages in an answer without time, want the first", len(got.Messages))
		}
		for _, m := range got.Messages {
			found = append(found, m.MsgID)
		}
		ids = nil
		for _, m := range got.Missing {
			if m.Problem.Type == "urn:yunduo-archive:problem:unavailable" {
				ids = append(ids, m.ID)
			} else {
				absent = append(absent, m.ID)
			}
		}
	}
	if !slices.Equal(found, []string{"m0", "m1", "m2", "m3", "m4"}) || !slices.Equal(absent, []string{"abc"}) {
		t.Errorf("got messages %q, and %q absent", found, absent)
	}
}

// countedReads counts the reads of messages.
type countedReads struct {
	longMessages
	n *int
}

func (c countedReads) Messages(ctx context.Context, corp string, conv archive.ConversationID, q archive.MessageQuery) ([]archive.Message, bool, error) {
	*c.n++
	return c.longMessages.Messages(ctx, corp, conv, q)
}

// The search for a revoked message reads more each time, and ends with its time.
func TestSearchForARevokedMessageIsBounded(t *testing.T) {
	const corp = "ww0123456789abcdef"
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	var list []archive.Message
	for i := range 3000 {
		list = append(list, archive.Message{
			Corp: corp, Conversation: archive.RoomConversation("wr1"), Time: start.Add(time.Duration(i) * time.Second), MsgID: fmt.Sprint("m", i), Seq: uint64(i + 1), Raw: []byte(`{"from":"zhao"}`),
		})
	}
	revoking := &list[len(list)-1]
	revoking.Raw = []byte(`{"from":"zhao","msgtype":"revoke","action":"recall","revoke":{"pre_msgid":"none"}}`)
	id, err := chats.MessageID(*revoking)
	if err != nil {
		t.Fatal(err)
	}
	for most, want := range map[time.Duration][2]int{time.Minute: {4, 8}, time.Second: {0, 0}} {
		reads := 0
		h := &chats.Handlers{Messages: countedReads{longMessages{list: list}, &reads}, Names: noNames{}, Readings: forgottenReadings{}, Seen: nothingSeen{}, Now: func() time.Time { return start }}
		ctx, cancel := context.WithTimeout(t.Context(), most)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/messages:batch", nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &session.Call{Request: r, CorpID: corp}
		c.ReadBody([]byte(`{"ids":["`+id+`"]}`), []string{"ids", "omit"})
		_, err = h.GetMessages(ctx, c)
		cancel()
		if err != nil || reads < want[0] || reads > want[1] {
			t.Errorf("within %s: got %d reads, %v; want %d to %d", most, reads, err, want[0], want[1])
		}
	}
}

// manyDays is a table in which a party has one conversation on each of many days.
type manyDays struct {
	chats.MessageStore
	days   []archive.ActiveDay // newest first
	moves  []archive.Moves
	reads  [][2]int // of each read of days the limit and the number of days
	looked atomic.Int64
}

func newManyDays(n int) *manyDays {
	m := &manyDays{}
	for i := range n {
		m.days = append(m.days, archive.ActiveDay{
			Day: archive.DayOf(time.Date(2026, 1, 31-i, 6, 0, 0, 0, time.UTC)), Conversations: []archive.ConversationID{archive.PartyConversation([]string{"lin.hua", fmt.Sprint("wm", i)})},
		})
	}
	return m
}

func (m *manyDays) Moves(_ context.Context, _, _ string, upTo time.Time) iter.Seq2[archive.Moves, error] {
	return func(yield func(archive.Moves, error) bool) {
		for _, e := range m.moves {
			if (upTo.IsZero() || !e.Newest.After(upTo)) && !yield(e, nil) {
				return
			}
		}
	}
}

func (m *manyDays) ListedDays(_ context.Context, _, _ string, upTo archive.Day, limit int) ([]archive.ActiveDay, error) {
	from := slices.IndexFunc(m.days, func(d archive.ActiveDay) bool { return upTo == "" || d.Day <= upTo })
	if from < 0 {
		return nil, nil
	}
	days := m.days[from:min(from+limit, len(m.days))]
	m.reads = append(m.reads, [2]int{limit, len(days)})
	return days, nil
}

func (m *manyDays) Newest(_ context.Context, corp string, conv archive.ConversationID) (archive.Message, error) {
	m.looked.Add(1)
	newest := archive.Message{Corp: corp, Conversation: conv, MsgID: "m", Raw: []byte(`{"from":"lin.hua","tolist":["x"]}`)}
	for _, d := range m.days {
		if slices.Contains(d.Conversations, conv) {
			newest.Time = d.Day.Start()
			return newest, nil
		}
	}
	for _, e := range m.moves {
		if e.Moves[0].Conversation == conv {
			newest.Time = e.Newest
			return newest, nil
		}
	}
	return archive.Message{}, archive.ErrNotFound
}

// A list whose time is over ends early, and its pages together reach its end.
func TestListsEndWithTheirTime(t *testing.T) {
	const n = 7
	store := newManyDays(n)
	list, _ := pages(t, store, session.Caller{}, "member=lin.hua", "", noTime)
	if len(list) != n || len(store.reads) < n {
		t.Errorf("got %d entries after %d reads of days, want %d entries, a page for each day", len(list), len(store.reads), n)
	}
}

// A list reads days in batches that grow up to a bound, and each day once.
func TestListsReadEachDayOnce(t *testing.T) {
	store := newManyDays(200)
	list, next := page(t, store, session.Caller{}, "member=lin.hua&limit=200", time.Minute)
	if want := [][2]int{{1, 1}, {4, 4}, {16, 16}, {64, 64}, {64, 64}, {64, 51}}; len(list) != 200 || next != "" || !slices.Equal(store.reads, want) {
		t.Errorf("got %d entries, next %q, and reads of days %v, want %v", len(list), next, store.reads, want)
	}
}

// A day with more conversations than can be sorted is listed without an order, and a
// page of it looks only at those that it shows.
func TestListOfADayThatIsTooLongToSort(t *testing.T) {
	day := archive.ActiveDay{Day: "2026-01-31"}
	for i := range 10_001 {
		day.Conversations = append(day.Conversations, archive.PartyConversation([]string{"lin.hua", fmt.Sprint("wm", i)}))
	}
	store := &manyDays{days: []archive.ActiveDay{day}}
	seen := make(map[string]bool)
	next := ""
	for range 3 {
		store.looked.Store(0)
		var list []chats.ConversationJSON
		list, next = page(t, store, session.Caller{}, "member=lin.hua&limit=5"+next, time.Minute)
		for _, c := range list {
			seen[c.ID] = true
		}
		if len(list) != 5 || next == "" || store.looked.Load() > 6 {
			t.Errorf("looked at %d conversations for %d entries, next %q", store.looked.Load(), len(list), next)
		}
	}
	if len(seen) != 15 {
		t.Errorf("got %d conversations on three pages, want 15", len(seen))
	}
	// After the last of them come the moves of the day.
	next, err := opaque.Page("/list", nil).Seal(map[string]any{"d": day.Day, "w": true, "d1": "~"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		at := day.Day.Start()
		conv := archive.PartyConversation([]string{"lin.hua", fmt.Sprint("wmove", i)})
		store.moves = append(store.moves, archive.Moves{Newest: at, Moves: []archive.Move{{Conversation: conv, At: at}}})
	}
	list, _ := pages(t, store, session.Caller{}, "member=lin.hua&limit=2", "&page="+next, time.Minute)
	if len(list) != 5 {
		t.Errorf("got %d conversations after the last one of the day, want its 5 moves", len(list))
	}
}
