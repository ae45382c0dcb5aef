package chats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
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

// The search for a withdrawn message reads more each time, and ends with its time.
func TestSearchForAWithdrawnMessageIsBounded(t *testing.T) {
	const corp = "ww0123456789abcdef"
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	var list []archive.Message
	for i := range 3000 {
		list = append(list, archive.Message{
			Corp: corp, Conversation: archive.RoomConversation("wr1"), Time: start.Add(time.Duration(i) * time.Second), MsgID: fmt.Sprint("m", i), Seq: uint64(i + 1), Raw: []byte(`{"from":"zhao"}`),
		})
	}
	withdrawal := &list[len(list)-1]
	withdrawal.Raw = []byte(`{"from":"zhao","msgtype":"revoke","action":"recall","revoke":{"pre_msgid":"none"}}`)
	id, err := chats.MessageID(*withdrawal)
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
	days []archive.ActiveDay // newest first
}

func (manyDays) Moves(context.Context, string, string, time.Time) iter.Seq2[archive.Moves, error] {
	return func(func(archive.Moves, error) bool) {}
}

func (m manyDays) ListedDays(_ context.Context, _, _ string, upTo archive.Day, limit int) ([]archive.ActiveDay, error) {
	from := slices.IndexFunc(m.days, func(d archive.ActiveDay) bool { return upTo == "" || d.Day <= upTo })
	if from < 0 {
		return nil, nil
	}
	return m.days[from:min(from+limit, len(m.days))], nil
}

func (m manyDays) Newest(_ context.Context, corp string, conv archive.ConversationID) (archive.Message, error) {
	for _, d := range m.days {
		if slices.Contains(d.Conversations, conv) {
			return archive.Message{Corp: corp, Conversation: conv, Time: d.Day.Start(), MsgID: "m", Raw: []byte(`{"from":"lin.hua","tolist":["x"]}`)}, nil
		}
	}
	return archive.Message{}, archive.ErrNotFound
}

// A list whose time is over ends early, and its pages together reach its end.
func TestListsEndWithTheirTime(t *testing.T) {
	const corp, n = "ww0123456789abcdef", 7
	store := manyDays{}
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	for i := range n {
		store.days = append(store.days, archive.ActiveDay{
			Day: archive.DayOf(start.AddDate(0, 0, -i)), Conversations: []archive.ConversationID{archive.PartyConversation([]string{"lin.hua", fmt.Sprint("wm", i)})},
		})
	}
	h := &chats.Handlers{Messages: store, Names: noNames{}, Readings: forgottenReadings{}, Seen: nothingSeen{}, Now: func() time.Time { return start }}
	entries, pages := 0, 0
	for query := "member=lin.hua"; query != ""; pages++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/list", nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &session.Call{Request: r, CorpID: corp}
		c.ReadQuery(query, []string{"member", "page"})
		c.UsePages(opaque.Page("/list", c.Query))
		ans, err := h.ListConversations(ctx, c)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		var page listed
		if err := json.Unmarshal(ans.Body, &page); err != nil {
			t.Fatal(err)
		}
		if entries, query = entries+len(page.Conversations), ""; page.Next != nil {
			query = "member=lin.hua&page=" + *page.Next
		}
	}
	if entries != n || pages < n {
		t.Errorf("got %d entries on %d pages, want %d entries, a page for each day", entries, pages, n)
	}
}
