package dynamostore_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

const room = archive.ConversationID("room:wr1")

// sent is the time of messages, in whole milliseconds as in WeCom's messages.
var sent = start.Truncate(time.Millisecond)

func message(ms int, msgID string, seq uint64) archive.Message {
	return archive.Message{
		Corp: corp, Conversation: room, Time: sent.Add(time.Duration(ms) * time.Millisecond), MsgID: msgID,
		Seq: seq, After: 1, KeyVersion: 2, Raw: fmt.Appendf(nil, "%d", seq),
	}
}

func write(t *testing.T, s *dynamostore.Messages, messages ...archive.Message) {
	t.Helper()
	must(t, s.WritePage(t.Context(), decode.Decoded{Corp: corp, Messages: messages}))
}

// readThrough follows the pages of a query to its end.
func readThrough(t *testing.T, s *dynamostore.Messages, q archive.MessageQuery) []archive.Message {
	t.Helper()
	var all []archive.Message
	for {
		page, more, err := s.Messages(t.Context(), corp, room, q)
		must(t, err)
		if len(page) > q.Limit {
			t.Fatalf("got a page of %d, want at most %d", len(page), q.Limit)
		}
		all = append(all, page...)
		if !more {
			return all
		}
		if len(page) == 0 {
			t.Fatal("got an empty page with more to follow")
		}
		last := page[len(page)-1].Position()
		q.Start = &last
	}
}

func seqs(messages []archive.Message) []uint64 {
	var out []uint64
	for _, m := range messages {
		out = append(out, m.Seq)
	}
	return out
}

// The msgids are those that a careless key would confuse or sort wrongly.
func TestMessagesInEveryOrderAndPageSize(t *testing.T) {
	s := newMessages(t)
	long := strings.Repeat("长", 400)
	ids := []string{"", " ", "!", "\"", "#", "a", "a\x00", "a!", "a\"", "a#", "a#1", "aa", "b_2", "é", "文", "\U0001F600", long + "a", long + "b", "\xff"}
	slices.Sort(ids)
	var stored, want []archive.Message
	seq := uint64(math.MaxUint64 - 1000)
	for ms := range 3 {
		for _, id := range ids {
			m := message(ms, id, seq)
			want = append(want, m)
			stored = append(stored, m)
			if seq%3 == 0 && id != "" { // the same msgid again, under higher seqs
				m.Seq += 500
				stored = append(stored, m)
				m.Seq++
				stored = append(stored, m)
			}
			seq++
		}
	}
	// Msgids that are too long for a key, and msgids that are not UTF-8, have some
	// fixed order, which need not be bytewise.
	ordered := func(m archive.Message) bool { return len(m.MsgID) < 300 && m.MsgID != "\xff" }
	rand.Shuffle(len(stored), func(i, j int) { stored[i], stored[j] = stored[j], stored[i] })
	write(t, s, stored...)
	write(t, s, stored[:10]...)

	for _, limit := range []int{1, 2, 3, 7, 1000} {
		for _, descending := range []bool{false, true} {
			got := readThrough(t, s, archive.MessageQuery{Limit: limit, Descending: descending})
			if descending {
				slices.Reverse(got)
			}
			name := fmt.Sprintf("limit %d, descending %v", limit, descending)
			check(t, name, keep(got, ordered), keep(want, ordered))
			slices.SortFunc(got, func(a, b archive.Message) int { return cmp.Compare(a.Seq, b.Seq) })
			check(t, name+", by seq", got, want)
		}
	}
	for _, m := range want {
		got, err := s.Message(t.Context(), corp, room, m.Position())
		must(t, err)
		check(t, "message", got, m)
	}
	_, err := s.Message(t.Context(), corp, room, archive.Position{Time: sent, MsgID: "other"})
	checkError(t, "no such message", err, archive.ErrNotFound)
	_, err = s.Message(t.Context(), corp, room, archive.Position{MsgID: "a"})
	checkError(t, "no such time", err, archive.ErrNotFound)
	_, _, err = s.Messages(t.Context(), corp, room, archive.MessageQuery{Start: &archive.Position{}, Limit: 1})
	checkError(t, "no such start", err, archive.ErrNotFound)
}

func keep(messages []archive.Message, f func(archive.Message) bool) []archive.Message {
	var out []archive.Message
	for _, m := range messages {
		if f(m) {
			out = append(out, m)
		}
	}
	return out
}

func TestMessagesBetween(t *testing.T) {
	s := newMessages(t)
	write(t, s, message(0, "a", 1), message(0, "b", 2), message(1, "a", 3), message(2, "a", 4), message(3, "a", 5))
	at := func(ms int) time.Time { return sent.Add(time.Duration(ms) * time.Millisecond) }
	for _, c := range []struct {
		name string
		q    archive.MessageQuery
		want []uint64
	}{
		{"all", archive.MessageQuery{}, []uint64{1, 2, 3, 4, 5}},
		{"from is included", archive.MessageQuery{From: at(1)}, []uint64{3, 4, 5}},
		{"to is not", archive.MessageQuery{To: at(1)}, []uint64{1, 2}},
		{"parts of a millisecond", archive.MessageQuery{From: at(0).Add(1), To: at(2).Add(1)}, []uint64{3, 4}},
		{"nothing between", archive.MessageQuery{From: at(1), To: at(1)}, nil},
		{"swapped", archive.MessageQuery{From: at(3), To: at(1)}, nil},
		{"before and after all keys", archive.MessageQuery{From: time.Unix(-1e15, 0), To: time.Unix(1e15, 0)}, []uint64{1, 2, 3, 4, 5}},
		{"start before from", archive.MessageQuery{From: at(1), Start: &archive.Position{Time: at(0), MsgID: "a"}}, []uint64{3, 4, 5}},
		{"start after to", archive.MessageQuery{To: at(1), Start: &archive.Position{Time: at(2), MsgID: "a"}}, nil},
		{"start between messages", archive.MessageQuery{Start: &archive.Position{Time: at(0), MsgID: "aa"}}, []uint64{2, 3, 4, 5}},
		{"down from start", archive.MessageQuery{Start: &archive.Position{Time: at(1), MsgID: "a"}, Descending: true}, []uint64{2, 1}},
		{"down from between messages", archive.MessageQuery{Start: &archive.Position{Time: at(0), MsgID: "aa"}, Descending: true}, []uint64{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.q.Limit = 1000
			got, more, err := s.Messages(t.Context(), corp, room, c.q)
			must(t, err)
			check(t, "messages", seqs(got), c.want)
			check(t, "more", more, false)
		})
	}
}

func TestMaxBytes(t *testing.T) {
	s, ctx := newMessages(t), t.Context()
	for i, size := range []int{10, 20, 30, 0} {
		m := message(i, "m", uint64(i))
		m.Raw = make([]byte, size)
		write(t, s, m)
	}
	for _, c := range []struct {
		max, want int
		more      bool
	}{{1, 1, true}, {10, 1, true}, {29, 1, true}, {30, 2, true}, {59, 2, true}, {60, 4, false}, {0, 4, false}} {
		got, more, err := s.Messages(ctx, corp, room, archive.MessageQuery{Limit: 10, MaxBytes: c.max})
		must(t, err)
		check(t, fmt.Sprintf("messages within %d bytes", c.max), len(got), c.want)
		check(t, "more", more, c.more)
	}
}

// DynamoDB answers a Query in parts of 1 MB; these messages need several parts.
func TestMessagesOfSeveralAnswers(t *testing.T) {
	s := newMessages(t)
	var stored []archive.Message
	for i := range 12 {
		m := message(i, "m", uint64(i))
		m.Raw = make([]byte, archive.InlineLimit)
		stored = append(stored, m)
	}
	write(t, s, stored...)
	got := readThrough(t, s, archive.MessageQuery{Limit: 1000})
	check(t, "messages", len(got), len(stored))
}

func TestNewest(t *testing.T) {
	s, ctx := newMessages(t), t.Context()
	_, err := s.Newest(ctx, corp, room)
	checkError(t, "no message", err, archive.ErrNotFound)
	write(t, s, message(0, "z", 1), message(5, "a", 9), message(5, "a", 2), message(5, "A", 3))
	got, err := s.Newest(ctx, corp, room)
	must(t, err)
	check(t, "newest", got.Seq, uint64(2))
}

// counted counts Queries.
type counted struct {
	*dynamodb.Client
	queries int
}

func (c *counted) Query(ctx context.Context, in *dynamodb.QueryInput, options ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	c.queries++
	return c.Client.Query(ctx, in, options...)
}

// A reader waits for one Query, wherever the page lies in the conversation.
func TestMessagesNeedOneQuery(t *testing.T) {
	db := &counted{Client: client(t)}
	s := dynamostore.NewMessages(db, awstest.Table(t, "MessagesTable"))
	for i := range 12 {
		write(t, s, message(i, "m", uint64(i+1)))
	}
	for limit := 1; limit <= 13; limit++ {
		for _, descending := range []bool{false, true} {
			db.queries = 0
			got, more, err := s.Messages(t.Context(), corp, room, archive.MessageQuery{Limit: limit, Descending: descending})
			must(t, err)
			name := fmt.Sprintf("limit %d, descending %v", limit, descending)
			check(t, name+": messages", len(got), min(limit, 12))
			check(t, name+": more", more, limit < 12)
			check(t, name+": queries", db.queries, 1)
		}
	}
	db.queries = 0
	got, err := s.Newest(t.Context(), corp, room)
	must(t, err)
	check(t, "newest", got.Seq, uint64(12))
	check(t, "newest: queries", db.queries, 1)
}

func TestTimeThatFitsNoKeyIsRefused(t *testing.T) {
	m := message(0, "m", 1)
	m.Time = time.Unix(-1, 0)
	if err := newMessages(t).WritePage(t.Context(), decode.Decoded{Corp: corp, Messages: []archive.Message{m}}); err == nil {
		t.Error("got no error")
	}
}

func TestPageHoldsOneCorp(t *testing.T) {
	s := newMessages(t)
	for name, p := range map[string]decode.Decoded{
		"message":    {Messages: []archive.Message{{Corp: corp, Time: sent}}},
		"activity":   {Activities: []archive.Activity{{Corp: corp, Day: "2026-03-01", Conversation: room}}},
		"set aside":  {SetAside: []archive.SetAside{{Corp: corp}}},
		"revocation": {Revocations: []archive.Revocation{{Corp: corp, Conversation: room, MsgID: "m"}}},
		"first seen": {FirstSeen: []decode.FirstSeen{{Corp: corp, Name: "text", At: sent}}},
	} {
		p.Corp = neighbor
		if err := s.WritePage(t.Context(), p); err == nil {
			t.Errorf("%s of another corp: got no error", name)
		}
	}
}

func TestActiveDays(t *testing.T) {
	s, ctx := newMessages(t), t.Context()
	long := archive.RoomConversation(strings.Repeat("房", 300))
	var activities []archive.Activity
	add := func(party string, day archive.Day, conversations ...archive.ConversationID) {
		for _, c := range conversations {
			activities = append(activities, archive.Activity{Corp: corp, Party: party, Day: day, Conversation: c})
		}
	}
	var many []archive.ConversationID
	for i := range 250 {
		many = append(many, archive.RoomConversation(fmt.Sprintf("%03d", i)))
	}
	add("li#si", "2026-01-01", room)
	add("li#si", "2026-02-28", long, room)
	add("li#si", "2026-03-01", many...)
	add("li", "2026-04-01", room) // a party whose id begins the other's
	add("", "2026-05-01", archive.Unplaced)
	page := decode.Decoded{Corp: corp, Activities: activities}
	must(t, s.WritePage(ctx, page))
	must(t, s.WritePage(ctx, page))

	for _, c := range []struct {
		name, party string
		upTo, want  archive.Day
		list        []archive.ConversationID
	}{
		{"newest", "li#si", "", "2026-03-01", many},
		{"up to that day", "li#si", "2026-03-01", "2026-03-01", many},
		{"up to a day between", "li#si", "2026-02-30", "2026-02-28", []archive.ConversationID{long, room}},
		{"oldest", "li#si", "2026-01-01", "2026-01-01", []archive.ConversationID{room}},
		{"no party", "", "", "2026-05-01", []archive.ConversationID{archive.Unplaced}},
	} {
		days, err := s.ActiveDays(ctx, corp, c.party, c.upTo, 1)
		must(t, err)
		slices.Sort(c.list)
		check(t, c.name, days, []archive.ActiveDay{{Day: c.want, Conversations: c.list}})
	}
	days, err := s.ActiveDays(ctx, corp, "li#si", "", 2)
	must(t, err)
	check(t, "days of more entries than a request reads", [2]int{len(days[0].Conversations), len(days[1].Conversations)}, [2]int{250, 2})
	for _, c := range [][2]string{{"li#si", "2025-12-31"}, {"li#si", "!"}, {"si", ""}} {
		days, err := s.ActiveDays(ctx, corp, c[0], archive.Day(c[1]), 1)
		must(t, err)
		check(t, "days of "+c[0]+" up to "+c[1], len(days), 0)
	}
}

// The conversations that a party's list lacks for a day are written as one entry,
// however many they are, and so are those that the corp's day lacks. Conversations
// that the list holds are not written again.
func TestListsArePacked(t *testing.T) {
	var units float64
	s := dynamostore.NewMessages(client(t), awstest.Table(t, "MessagesTable"), dynamostore.WithCapacity(func(_, _ string, wcu, _ float64) { units += wcu }))
	var activities []archive.Activity
	for i := range 40 {
		conv := archive.RoomConversation(fmt.Sprintf("%02d", i))
		if i%4 == 0 {
			conv = archive.RoomConversation(strings.Repeat("房", 200) + fmt.Sprint(i))
		}
		activities = append(activities, archive.Activity{Corp: corp, Party: "p", Day: "2026-03-01", Conversation: conv})
	}
	for _, step := range []struct {
		name  string
		list  []archive.Activity
		units float64
	}{
		{"one", activities[:1], 2 + 2}, // its id is over 1 KB
		{"again", activities[:1], 0},
		{"two more", activities[:3], 1 + 1},
		{"one of them", activities[2:3], 0},
		{"the rest, nine of them of 1.8 KB", activities, 17 + 17},
		{"all again", activities, 0},
	} {
		units = 0
		must(t, s.WritePage(t.Context(), decode.Decoded{Corp: corp, Activities: step.list}))
		check(t, step.name, units, step.units)
	}
	days, err := s.ActiveDays(t.Context(), corp, "p", "", 1)
	must(t, err)
	var want []archive.ConversationID
	for _, a := range activities {
		want = append(want, a.Conversation)
	}
	slices.Sort(want)
	check(t, "the list", days[0].Conversations, want)

	// These ids are too large for one item.
	var huge []archive.Activity
	for i := range 200 {
		huge = append(huge, archive.Activity{Corp: corp, Party: "q", Day: "2026-03-01", Conversation: archive.RoomConversation(strings.Repeat("间", 400) + fmt.Sprint(i))})
	}
	must(t, s.WritePage(t.Context(), decode.Decoded{Corp: corp, Activities: huge}))
	days, err = s.ActiveDays(t.Context(), corp, "q", "", 1)
	must(t, err)
	check(t, "conversations of the huge list", len(days[0].Conversations), len(huge))
}

func TestListSetAside(t *testing.T) {
	s, ctx := newMessages(t), t.Context()
	row := func(seq uint64, reason archive.Reason) archive.SetAside {
		return archive.SetAside{Corp: corp, Seq: seq, Reason: reason, At: sent}
	}
	a, b, c := row(9, archive.ReasonNoKey), row(1<<63, archive.ReasonCrash), row(math.MaxUint64, archive.ReasonHang)
	must(t, s.WritePage(ctx, decode.Decoded{Corp: corp, SetAside: []archive.SetAside{c, row(9, archive.ReasonHang), b}}))
	must(t, s.WritePage(ctx, decode.Decoded{Corp: corp, SetAside: []archive.SetAside{a}}))

	for _, q := range []struct {
		after uint64
		limit int
		want  []archive.SetAside
		more  bool
	}{
		{0, 10, []archive.SetAside{a, b, c}, false},
		{0, 3, []archive.SetAside{a, b, c}, false},
		{0, 2, []archive.SetAside{a, b}, true},
		{9, 1, []archive.SetAside{b}, true},
		{1 << 63, 1, []archive.SetAside{c}, false},
		{math.MaxUint64, 1, nil, false},
	} {
		got, more, err := s.ListSetAside(ctx, corp, q.after, q.limit)
		must(t, err)
		check(t, fmt.Sprintf("after %d, %d", q.after, q.limit), [2]any{got, more}, [2]any{q.want, q.more})
	}

	must(t, s.WritePage(ctx, decode.Decoded{Corp: corp, Cleared: []uint64{1, 9, 9, 1 << 63}}))
	got, err := s.SetAside(ctx, corp, 0, math.MaxUint64)
	must(t, err)
	check(t, "after clearing", got, []archive.SetAside{c})
	got, err = s.SetAside(ctx, corp, 2, 1)
	must(t, err)
	check(t, "nothing between", len(got), 0)
}

func TestClearTakesOneCorp(t *testing.T) {
	s, ctx := newMessages(t), t.Context()
	page := func(c string) decode.Decoded {
		p := decode.Decoded{Corp: c, SetAside: []archive.SetAside{{Corp: c, Seq: 1}}}
		for i := range 60 {
			p.Messages = append(p.Messages, archive.Message{Corp: c, Conversation: room, Time: sent, MsgID: "m", Seq: uint64(i)})
		}
		p.Activities = []archive.Activity{{Corp: c, Party: "p", Day: "2026-03-01", Conversation: room}}
		return p
	}
	count := func(c string) (n int) {
		list, _, err := s.Messages(ctx, c, room, archive.MessageQuery{Limit: 1000})
		must(t, err)
		aside, err := s.SetAside(ctx, c, 0, 9)
		must(t, err)
		days, err := s.ActiveDays(ctx, c, "p", "", 1)
		must(t, err)
		return len(list) + len(aside) + len(days)
	}
	must(t, s.WritePage(ctx, page(corp)))
	must(t, s.WritePage(ctx, page(neighbor)))
	check(t, "before", [2]int{count(corp), count(neighbor)}, [2]int{3, 3})
	must(t, s.Clear(ctx, corp, nil))
	check(t, "after", [2]int{count(corp), count(neighbor)}, [2]int{0, 3})
	// The same page is written whole again: the store remembers no cleared item.
	must(t, s.WritePage(ctx, page(corp)))
	check(t, "rebuilt", [2]int{count(corp), count(neighbor)}, [2]int{3, 3})
}

func TestWritePageEndsWithItsContext(t *testing.T) {
	s := newMessages(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.WritePage(ctx, decode.Decoded{Corp: corp, Messages: []archive.Message{message(0, "m", 1)}})
	checkError(t, "WritePage", err, context.Canceled)
}
