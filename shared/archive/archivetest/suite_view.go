package archivetest

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// TestView checks a view. It calls open once, for an empty view.
func TestView(t *testing.T, open func(t testing.TB) ViewStore) {
	v := open(t)
	for name, test := range map[string]func(*testing.T, ViewStore){
		"Bytes":           viewBytes,
		"Order":           viewOrder,
		"Queries":         viewQueries,
		"TwoSeqs":         viewTwoSeqs,
		"NoMsgIDs":        viewNoMsgIDs,
		"LargePages":      viewLargePages,
		"Activities":      viewActivities,
		"Attendance":      viewAttendance,
		"SetAside":        viewSetAside,
		"OtherCorps":      viewOtherCorps,
		"ClearAndRebuild": viewClear,
		"Check":           viewCheck,
		"FirstSeen":       viewFirstSeen,
	} {
		t.Run(name, func(t *testing.T) { test(t, v) })
	}
}

const room = archive.ConversationID("room:wrAbC-_9")

// saidAt makes a message of corp in room, ms after the epoch.
func saidAt(corp string, ms int, msgID string, seq uint64) archive.Message {
	return archive.Message{
		Corp: corp, Conversation: room, Time: epoch.Add(time.Duration(ms) * time.Millisecond), MsgID: msgID, Seq: seq,
		KeyVersion: 3, Raw: fmt.Appendf(nil, `{"msgid":%q,"seq":%d}`, msgID, seq),
	}
}

func writeMessages(t *testing.T, v ViewStore, corp string, msgs ...archive.Message) {
	t.Helper()
	ok(t, v.WritePage(t.Context(), decode.Decoded{Corp: corp, Messages: msgs}))
}

// list reads a conversation in parts of the query's limit, each from the end of
// the part before, and checks the limits.
func list(t *testing.T, v ViewStore, corp string, conv archive.ConversationID, q archive.MessageQuery) []archive.Message {
	t.Helper()
	var all []archive.Message
	for range 1000 {
		msgs, more, err := v.Messages(t.Context(), corp, conv, q)
		ok(t, err)
		if len(msgs) > q.Limit {
			t.Fatalf("got %d messages, want at most %d", len(msgs), q.Limit)
		}
		if all = append(all, msgs...); !more {
			return all
		}
		if len(msgs) == 0 {
			t.Fatal("got no messages, and more to follow")
		}
		last := msgs[len(msgs)-1].Position()
		q.Start = &last
	}
	t.Fatal("got more to follow after 1000 parts")
	return nil
}

func seqs(msgs []archive.Message) []uint64 {
	s := make([]uint64, len(msgs))
	for i, m := range msgs {
		s[i] = m.Seq
	}
	return s
}

func viewBytes(t *testing.T, v ViewStore) {
	corp := corpFor(t, 1)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	raws := [][]byte{[]byte(`{"a":1}`), every, []byte("\x00"), []byte("\xff\xfe not UTF-8 \x01"), {}}
	var msgs []archive.Message
	for i, raw := range raws {
		m := saidAt(corp, i, fmt.Sprint("m", i), far+uint64(i))
		m.Raw, m.After = raw, far-1
		msgs = append(msgs, m)
	}
	blob := saidAt(corp, 100, "blob", far+99)
	blob.Raw, blob.Overflow = nil, &archive.Overflow{Sum: Sum(every), Size: archive.InlineLimit + 1}
	msgs = append(msgs, blob)
	for range 2 {
		writeMessages(t, v, corp, msgs...)
	}
	got := list(t, v, corp, room, archive.MessageQuery{Limit: 1000})
	if len(got) != len(msgs) {
		t.Fatalf("got %d messages, want %d", len(got), len(msgs))
	}
	for i, want := range msgs {
		if !bytes.Equal(got[i].Raw, want.Raw) {
			t.Errorf("message %d: got %q, want %q", i, got[i].Raw, want.Raw)
		}
		got[i].Raw, want.Raw = nil, nil // nil and empty are equal here
		same(t, fmt.Sprint("message ", i), got[i], want)
	}
	one, err := v.Message(t.Context(), corp, room, blob.Position())
	ok(t, err)
	same(t, "message read by itself", one, blob)
}

// oddIDs are msgids in bytewise order. Some are prefixes of others, and some hold
// characters that may separate the parts of a key.
var oddIDs = []string{
	"", " ", "!", "\"", "#", "#1", "%23", "/", "0", "00000000000000000001", "1_2_external", "A=", "CAQQ+/=", "a", "a ", "a!", "a!!",
	"a\"", "a#", "a#00000000000000000000", "a/b", "a0", "aa", "a|", "a~", "b", "é", "消息", "消息1", "\U0001F600",
}

func viewOrder(t *testing.T, v ViewStore) {
	corp := corpFor(t, 1)
	var want []archive.Message
	for i, id := range oddIDs {
		if i > 0 && oddIDs[i-1] >= id {
			t.Fatalf("%q is not after %q", id, oddIDs[i-1])
		}
		want = append(want, saidAt(corp, 0, id, uint64(100-i)))
	}
	// Two msgids that are longer than a key may be, and differ only at the end.
	long := strings.Repeat("消", 1000)
	want = append(want, saidAt(corp, 1, "z", 200), saidAt(corp, 2, long+"1", 201), saidAt(corp, 2_000_000, "a", 202))
	shuffled := slices.Clone(want)
	slices.Reverse(shuffled[5:])
	for half := range slices.Chunk(shuffled, 11) {
		writeMessages(t, v, corp, half...)
	}
	for _, limit := range []int{1000, 7, 1} {
		got := list(t, v, corp, room, archive.MessageQuery{Limit: limit})
		same(t, fmt.Sprint("ascending by ", limit), got, want)
	}
	down := slices.Clone(want)
	slices.Reverse(down)
	for _, limit := range []int{1000, 7, 1} {
		got := list(t, v, corp, room, archive.MessageQuery{Limit: limit, Descending: true})
		same(t, fmt.Sprint("descending by ", limit), got, down)
	}
	for _, m := range want {
		got, err := v.Message(t.Context(), corp, room, m.Position())
		ok(t, err)
		same(t, "by itself", got, m)
	}
	for what, c := range map[string]struct {
		conv archive.ConversationID
		at   time.Time
		id   string
	}{
		"another msgid":                  {room, epoch, "none"},
		"a msgid and one character more": {room, epoch, "a!!!"},
		"another time":                   {room, epoch.Add(time.Millisecond), "a"},
		"another conversation":           {archive.Unplaced, epoch, "a"},
		"the zero time":                  {room, time.Time{}, "a"},
		"another long msgid":             {room, epoch.Add(2 * time.Millisecond), long + "2"},
	} {
		_, err := v.Message(t.Context(), corp, c.conv, archive.Position{Time: c.at, MsgID: c.id})
		fails(t, what, err, archive.ErrNotFound)
	}
	newest, err := v.Newest(t.Context(), corp, room)
	ok(t, err)
	same(t, "newest", newest, want[len(want)-1])
	_, err = v.Newest(t.Context(), corp, archive.Unplaced)
	fails(t, "newest of an empty conversation", err, archive.ErrNotFound)
}

func viewQueries(t *testing.T, v ViewStore) {
	corp := corpFor(t, 1)
	var msgs []archive.Message
	for i := range 9 { // three messages at each of three times
		m := saidAt(corp, 1000*(i/3), string(rune('a'+i%3)), uint64(i+1))
		m.Raw = bytes.Repeat([]byte{'x'}, 10)
		msgs = append(msgs, m)
	}
	writeMessages(t, v, corp, msgs...)
	at := func(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }
	start := func(ms int, id string) *archive.Position { return &archive.Position{Time: at(ms), MsgID: id} }
	for _, c := range []struct {
		name string
		q    archive.MessageQuery
		want []uint64
		more bool
	}{
		{"all", archive.MessageQuery{Limit: 9}, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9}, false},
		{"limited", archive.MessageQuery{Limit: 8}, []uint64{1, 2, 3, 4, 5, 6, 7, 8}, true},
		{"descending", archive.MessageQuery{Limit: 2, Descending: true}, []uint64{9, 8}, true},
		{"from", archive.MessageQuery{Limit: 9, From: at(1000)}, []uint64{4, 5, 6, 7, 8, 9}, false},
		{"from just after", archive.MessageQuery{Limit: 9, From: at(1000).Add(1)}, []uint64{7, 8, 9}, false},
		{"to", archive.MessageQuery{Limit: 9, To: at(1000)}, []uint64{1, 2, 3}, false},
		{"to just after", archive.MessageQuery{Limit: 9, To: at(1001)}, []uint64{1, 2, 3, 4, 5, 6}, false},
		{"one time", archive.MessageQuery{Limit: 9, From: at(1000), To: at(1001), Descending: true}, []uint64{6, 5, 4}, false},
		{"ends where it begins", archive.MessageQuery{Limit: 9, From: at(1000), To: at(1000)}, nil, false},
		{"ends before it begins", archive.MessageQuery{Limit: 9, From: at(2000), To: at(0)}, nil, false},
		{"before all", archive.MessageQuery{Limit: 9, To: at(-5000)}, nil, false},
		{"after all", archive.MessageQuery{Limit: 9, From: at(2001)}, nil, false},
		{"started", archive.MessageQuery{Limit: 2, Start: start(1000, "a")}, []uint64{5, 6}, true},
		{"started, descending", archive.MessageQuery{Limit: 9, Start: start(1000, "b"), Descending: true}, []uint64{4, 3, 2, 1}, false},
		{"started, including the start", archive.MessageQuery{Limit: 9, Start: start(1000, "b"), Including: true}, []uint64{5, 6, 7, 8, 9}, false},
		{"started, including the start, descending", archive.MessageQuery{Limit: 9, Start: start(1000, "b"), Descending: true, Including: true}, []uint64{5, 4, 3, 2, 1}, false},
		{"started between messages, including the start", archive.MessageQuery{Limit: 9, Start: start(1000, "ab"), Including: true}, []uint64{5, 6, 7, 8, 9}, false},
		{"started between messages", archive.MessageQuery{Limit: 9, Start: start(1000, "ab")}, []uint64{5, 6, 7, 8, 9}, false},
		{"started between messages, descending", archive.MessageQuery{Limit: 9, Start: start(1000, "ab"), Descending: true}, []uint64{4, 3, 2, 1}, false},
		{"started before from", archive.MessageQuery{Limit: 9, Start: start(0, "b"), From: at(2000)}, []uint64{7, 8, 9}, false},
		{"started after from", archive.MessageQuery{Limit: 9, Start: start(2000, "a"), From: at(1000)}, []uint64{8, 9}, false},
		{"started after to, descending", archive.MessageQuery{Limit: 9, Start: start(2000, "c"), To: at(1000), Descending: true}, []uint64{3, 2, 1}, false},
		{"started at the end", archive.MessageQuery{Limit: 9, Start: start(2000, "c")}, nil, false},
		{"few bytes", archive.MessageQuery{Limit: 9, MaxBytes: 1}, []uint64{1}, true},
		{"bytes of three", archive.MessageQuery{Limit: 9, MaxBytes: 39}, []uint64{1, 2, 3}, true},
		{"bytes of four", archive.MessageQuery{Limit: 9, MaxBytes: 40, Descending: true}, []uint64{9, 8, 7, 6}, true},
		{"bytes of all", archive.MessageQuery{Limit: 9, MaxBytes: 90}, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9}, false},
	} {
		got, more, err := v.Messages(t.Context(), corp, room, c.q)
		ok(t, err)
		if !slices.Equal(seqs(got), c.want) || more != c.more {
			t.Errorf("%s: got seqs %v, more %v, want %v, %v", c.name, seqs(got), more, c.want, c.more)
		}
	}
}

func viewTwoSeqs(t *testing.T, v ViewStore) {
	corp := corpFor(t, 1)
	// The higher seq stored first, the lower stored first, three seqs of one
	// msgid, and seqs far apart.
	for _, m := range []archive.Message{
		saidAt(corp, 0, "a", 12), saidAt(corp, 0, "a", 3), saidAt(corp, 0, "b", 4), saidAt(corp, 0, "b", 13),
		saidAt(corp, 0, "c", 5), saidAt(corp, 0, "c", 20), saidAt(corp, 0, "c", 15), saidAt(corp, 1, "c", 6),
		saidAt(corp, 1, "d", 9), saidAt(corp, 1, "d", far),
	} {
		writeMessages(t, v, corp, m)
	}
	want := []uint64{3, 4, 5, 6, 9}
	for limit := 1; limit <= 6; limit++ {
		got := list(t, v, corp, room, archive.MessageQuery{Limit: limit})
		if !slices.Equal(seqs(got), want) {
			t.Errorf("upwards by %d: got seqs %v, want %v", limit, seqs(got), want)
		}
		got = list(t, v, corp, room, archive.MessageQuery{Limit: limit, Descending: true})
		slices.Reverse(got)
		if !slices.Equal(seqs(got), want) {
			t.Errorf("downwards by %d: got seqs %v, want %v", limit, seqs(got), want)
		}
	}
	_, more, err := v.Messages(t.Context(), corp, room, archive.MessageQuery{Limit: len(want)})
	ok(t, err)
	if more {
		t.Error("a second seq of the last message counts as a message to follow")
	}
	one, err := v.Message(t.Context(), corp, room, archive.Position{Time: epoch, MsgID: "a"})
	ok(t, err)
	same(t, "by itself", one, saidAt(corp, 0, "a", 3))
	newest, err := v.Newest(t.Context(), corp, room)
	ok(t, err)
	same(t, "newest", newest, saidAt(corp, 1, "d", 9))
}

// Messages without a msgid may share the time of their pull. They are still
// distinct messages.
func viewNoMsgIDs(t *testing.T, v ViewStore) {
	corp := corpFor(t, 1)
	want := []archive.Message{
		saidAt(corp, 0, "z", 9), saidAt(corp, 1, "", 1), saidAt(corp, 1, "", 2), saidAt(corp, 1, "", 5), saidAt(corp, 1, "", far),
		saidAt(corp, 1, "a", 3), saidAt(corp, 2, "", 4),
	}
	writeMessages(t, v, corp, want[3:]...)
	writeMessages(t, v, corp, want[:3]...)
	down := slices.Clone(want)
	slices.Reverse(down)
	for limit := 1; limit <= len(want); limit++ {
		same(t, fmt.Sprint("ascending by ", limit), list(t, v, corp, room, archive.MessageQuery{Limit: limit}), want)
		same(t, fmt.Sprint("descending by ", limit), list(t, v, corp, room, archive.MessageQuery{Limit: limit, Descending: true}), down)
	}
	for _, m := range want {
		got, err := v.Message(t.Context(), corp, room, m.Position())
		ok(t, err)
		same(t, "by itself", got, m)
	}
	for seq, behind := range map[uint64]int{0: 1, 1: 2, 3: 3, math.MaxUint64: 5} {
		start := &archive.Position{Time: want[1].Time, Seq: seq}
		same(t, fmt.Sprint("from ", seq), list(t, v, corp, room, archive.MessageQuery{Limit: 9, Start: start}), want[behind:])
	}
	for seq, behind := range map[uint64]int{0: 1, 1: 1, 3: 3, math.MaxUint64: 5} {
		start := &archive.Position{Time: want[1].Time, Seq: seq}
		same(t, fmt.Sprint("including from ", seq), list(t, v, corp, room, archive.MessageQuery{Limit: 9, Start: start, Including: true}), want[behind:])
	}
	for seq, behind := range map[uint64]int{0: 6, 1: 5, 3: 4, math.MaxUint64: 2} {
		start := &archive.Position{Time: want[1].Time, Seq: seq}
		same(t, fmt.Sprint("descending, including from ", seq), list(t, v, corp, room, archive.MessageQuery{Limit: 9, Start: start, Descending: true, Including: true}), down[behind:])
	}
	for seq, behind := range map[uint64]int{0: 6, 1: 6, 3: 4, math.MaxUint64: 2} {
		start := &archive.Position{Time: want[1].Time, Seq: seq}
		same(t, fmt.Sprint("descending from ", seq), list(t, v, corp, room, archive.MessageQuery{Limit: 9, Start: start, Descending: true}), down[behind:])
	}
	for _, at := range []archive.Position{{Time: want[1].Time}, {Time: want[1].Time, Seq: 3}, {Time: want[6].Time, Seq: 1}} {
		_, err := v.Message(t.Context(), corp, room, at)
		fails(t, fmt.Sprint("seq ", at.Seq), err, archive.ErrNotFound)
	}
}

// viewLargePages writes and reads more than a table accepts or returns in one
// request.
func viewLargePages(t *testing.T, v ViewStore) {
	corp := corpFor(t, 1)
	p := decode.Decoded{Corp: corp}
	for i := range 60 {
		m := saidAt(corp, i, fmt.Sprint("m", i), uint64(i+1))
		if i%10 == 0 {
			m.Raw = bytes.Repeat([]byte{byte(i)}, archive.InlineLimit)
		}
		p.Messages = append(p.Messages, m)
		p.Activities = append(p.Activities, archive.Activity{Corp: corp, Party: fmt.Sprint("p", i%3), Day: "2025-03-01", Conversation: archive.ConversationID(fmt.Sprint("room:", i))})
		p.SetAside = append(p.SetAside, archive.SetAside{Corp: corp, Seq: uint64(1000 + i), Reason: archive.ReasonNoKey})
	}
	ok(t, v.WritePage(t.Context(), p))
	got := list(t, v, corp, room, archive.MessageQuery{Limit: 1000})
	if len(got) != 60 {
		t.Fatalf("got %d messages, want 60", len(got))
	}
	for i, m := range got {
		if !bytes.Equal(m.Raw, p.Messages[i].Raw) {
			t.Errorf("message %d: got %d bytes, want %d of the same", i, len(m.Raw), len(p.Messages[i].Raw))
		}
	}
	days, err := v.ActiveDays(t.Context(), corp, "p0", "", 1)
	ok(t, err)
	if len(days) != 1 || len(days[0].Conversations) != 20 {
		t.Errorf("got %v, want 20 conversations of a day", days)
	}
	aside, err := v.SetAside(t.Context(), corp, 0, ^uint64(0))
	ok(t, err)
	same(t, "set aside", aside, p.SetAside)
}

func viewActivities(t *testing.T, v ViewStore) {
	corp := corpFor(t, 1)
	parties := []string{"", "zhangsan", "zhangsan#2", "zhang san", "张三", "wmAbc_-", "2025-03-02#room:x", "a!b", strings.Repeat("长", 700)}
	var all []archive.Activity
	for _, party := range parties {
		for _, day := range []archive.Day{"2025-02-28", "2025-03-01", "2025-03-03"} {
			for _, conv := range []archive.ConversationID{room, "single:" + archive.ConversationID(day), archive.PartyConversation([]string{"a b", "c:d"})} {
				all = append(all, archive.Activity{Corp: corp, Party: party, Day: day, Conversation: conv})
			}
		}
	}
	for half := range slices.Chunk(all, len(all)/2+1) {
		ok(t, v.WritePage(t.Context(), decode.Decoded{Corp: corp, Activities: half}))
	}
	ok(t, v.WritePage(t.Context(), decode.Decoded{Corp: corp, Activities: all[3:9]})) // some again
	for _, party := range parties {
		for _, c := range []struct {
			upTo  archive.Day
			limit int
			want  []archive.Day
		}{
			{"", 1, []archive.Day{"2025-03-03"}}, {"", 2, []archive.Day{"2025-03-03", "2025-03-01"}}, {"", 9, []archive.Day{"2025-03-03", "2025-03-01", "2025-02-28"}},
			{"2026-01-01", 1, []archive.Day{"2025-03-03"}}, {"2025-03-03", 1, []archive.Day{"2025-03-03"}}, {"2025-03-02", 1, []archive.Day{"2025-03-01"}},
			{"2025-03-01", 9, []archive.Day{"2025-03-01", "2025-02-28"}}, {"2025-02-28", 1, []archive.Day{"2025-02-28"}}, {"2025-02-27", 9, nil},
		} {
			var want []archive.ActiveDay
			for _, day := range c.want {
				conversations := []archive.ConversationID{room, "single:" + archive.ConversationID(day), archive.PartyConversation([]string{"a b", "c:d"})}
				slices.Sort(conversations)
				want = append(want, archive.ActiveDay{Day: day, Conversations: conversations})
			}
			got, err := v.ActiveDays(t.Context(), corp, party, c.upTo, c.limit)
			ok(t, err)
			if len(got) != 0 || len(want) != 0 {
				same(t, fmt.Sprintf("%d days of %.20s up to %q", c.limit, party, c.upTo), got, want)
			}
		}
	}
	for _, party := range []string{"zhangsa", "zhangsan#", "ZHANGSAN", "%", strings.Repeat("长", 701)} {
		if got, err := v.ActiveDays(t.Context(), corp, party, "", 9); err != nil || len(got) != 0 {
			t.Errorf("a party without activity: got %v, %v", got, err)
		}
	}
}

func viewAttendance(t *testing.T, v ViewStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	long := strings.Repeat("长", 700)
	attended := map[archive.Day][]string{
		"2025-02-28": {"lin", "zhao", "wmA"}, "2025-03-01": {"lin", long}, "2025-03-03": {"zhao", "wmA", "~tilde"}, "2025-03-04": {"lin#1", "~tilde"},
		"2025-03-09": {"", "lin hua", "张三"}, "2025-03-10": {"lin", "wmA"},
	}
	for day, parties := range attended {
		var all []archive.Activity
		for _, party := range parties {
			for _, conv := range []archive.ConversationID{room, archive.PartyConversation([]string{party, "x"})} {
				all = append(all, archive.Activity{Corp: corp, Party: party, Day: day, Conversation: conv})
			}
		}
		// One page brings the first party, another all of them.
		ok(t, v.WritePage(t.Context(), decode.Decoded{Corp: corp, Activities: all[:1]}))
		for range 2 {
			ok(t, v.WritePage(t.Context(), decode.Decoded{Corp: corp, Activities: all}))
		}
	}
	ok(t, v.WritePage(t.Context(), decode.Decoded{Corp: corp, Activities: []archive.Activity{{Corp: corp, Party: "lin", Day: "2025-05-05", Conversation: room + "1"}}}))
	of := func(parties ...string) archive.AttendanceQuery { return archive.AttendanceQuery{OneOf: parties} }
	// whole reads the days part by part.
	whole := func(corp string, conv archive.ConversationID, q archive.AttendanceQuery) (all []archive.Day) {
		t.Helper()
		for range 99 {
			days, rest, err := v.AttendedDays(t.Context(), corp, conv, q)
			ok(t, err)
			if all = append(all, days...); rest == "" {
				return all
			}
			if q.Descending {
				q.To = rest
			} else {
				q.From = rest
			}
		}
		t.Fatal("got more to search after 99 parts")
		return nil
	}
	change := func(q archive.AttendanceQuery, f func(*archive.AttendanceQuery)) archive.AttendanceQuery {
		f(&q)
		return q
	}
	for name, c := range map[string]struct {
		q    archive.AttendanceQuery
		want []archive.Day
	}{
		"one party":          {of("lin"), []archive.Day{"2025-02-28", "2025-03-01", "2025-03-10"}},
		"one of several":     {of("nobody", "zhao", "lin#1"), []archive.Day{"2025-02-28", "2025-03-03", "2025-03-04"}},
		"a long id":          {of(long), []archive.Day{"2025-03-01"}},
		"odd ids":            {of("~tilde", "lin hua"), []archive.Day{"2025-03-03", "2025-03-04", "2025-03-09"}},
		"Chinese":            {of("张三"), []archive.Day{"2025-03-09"}},
		"absent":             {of("li", "lin#", "Lin", "%7Etilde", "长"), nil},
		"no party":           {of(), nil},
		"with another":       {change(of("lin", "zhao"), func(q *archive.AttendanceQuery) { q.With = "wmA" }), []archive.Day{"2025-02-28", "2025-03-03", "2025-03-10"}},
		"with nobody":        {change(of("lin", "zhao"), func(q *archive.AttendanceQuery) { q.With = "wmB" }), nil},
		"from":               {change(of("lin"), func(q *archive.AttendanceQuery) { q.From = "2025-03-01" }), []archive.Day{"2025-03-01", "2025-03-10"}},
		"to":                 {change(of("lin"), func(q *archive.AttendanceQuery) { q.To = "2025-03-01" }), []archive.Day{"2025-02-28", "2025-03-01"}},
		"between":            {change(of("lin"), func(q *archive.AttendanceQuery) { q.From, q.To = "2025-03-02", "2025-03-09" }), nil},
		"backwards":          {change(of("lin"), func(q *archive.AttendanceQuery) { q.From, q.To = "2025-03-09", "2025-03-02" }), nil},
		"newest first":       {change(of("lin"), func(q *archive.AttendanceQuery) { q.Descending = true }), []archive.Day{"2025-03-10", "2025-03-01", "2025-02-28"}},
		"newest first, with": {change(of("lin", "zhao"), func(q *archive.AttendanceQuery) { q.With, q.Descending, q.To = "wmA", true, "2025-03-09" }), []archive.Day{"2025-03-03", "2025-02-28"}},
	} {
		for _, depth := range []int{1, 2, 3, 5, 1000} {
			c.q.Depth = depth
			if got := whole(corp, room, c.q); !slices.Equal(got, c.want) {
				t.Errorf("%s, depth %d: got %v, want %v", name, depth, got, c.want)
			}
		}
	}
	for what, at := range map[string][2]string{"another corp": {other, string(room)}, "another room": {corp, string(room) + "2"}} {
		if got := whole(at[0], archive.ConversationID(at[1]), change(of("lin"), func(q *archive.AttendanceQuery) { q.Depth = 9 })); len(got) != 0 {
			t.Errorf("%s: got %v", what, got)
		}
	}
}

func viewSetAside(t *testing.T, v ViewStore) {
	corp := corpFor(t, 1)
	record := func(seq uint64, reason archive.Reason, detail string) archive.SetAside {
		return archive.SetAside{
			Corp: corp, Seq: seq, After: seq - 1, MsgID: fmt.Sprint("消息#", seq), KeyVersion: 7, Reason: reason, Detail: detail, At: epoch,
		}
	}
	a, b, c, d := record(5, archive.ReasonNoKey, ""), record(30, archive.ReasonLibrary, "10006"), record(31, archive.ReasonCrash, "crashed"), record(far, archive.ReasonHang, "")
	ok(t, v.WritePage(t.Context(), decode.Decoded{Corp: corp, SetAside: []archive.SetAside{d, b, a, c}}))
	for _, r := range []struct {
		first, last uint64
		want        []archive.SetAside
	}{
		{0, ^uint64(0), []archive.SetAside{a, b, c, d}}, {5, 30, []archive.SetAside{a, b}}, {31, 31, []archive.SetAside{c}},
		{6, 29, nil}, {far, far, []archive.SetAside{d}}, {31, 5, nil},
	} {
		got, err := v.SetAside(t.Context(), corp, r.first, r.last)
		ok(t, err)
		if len(got) != 0 || len(r.want) != 0 {
			same(t, fmt.Sprintf("set aside from %d to %d", r.first, r.last), got, r.want)
		}
	}
	for _, u := range []struct {
		after uint64
		limit int
		want  []archive.SetAside
		more  bool
	}{
		{0, 10, []archive.SetAside{a, b, c, d}, false}, {0, 4, []archive.SetAside{a, b, c, d}, false},
		{0, 3, []archive.SetAside{a, b, c}, true}, {5, 1, []archive.SetAside{b}, true}, {31, 1, []archive.SetAside{d}, false},
		{far, 1, nil, false}, {^uint64(0), 1, nil, false},
	} {
		got, more, err := v.ListSetAside(t.Context(), corp, u.after, u.limit)
		ok(t, err)
		if len(got) != 0 || len(u.want) != 0 {
			same(t, fmt.Sprintf("%d after %d", u.limit, u.after), got, u.want)
		}
		if more != u.more {
			t.Errorf("%d after %d: got more %v, want %v", u.limit, u.after, more, u.more)
		}
	}

	b.Reason, b.Detail, b.At = archive.ReasonBadKey, "", epoch.Add(time.Hour)
	opened := saidAt(corp, 0, a.MsgID, a.Seq)
	for range 2 {
		ok(t, v.WritePage(t.Context(), decode.Decoded{
			Corp: corp, Messages: []archive.Message{opened}, SetAside: []archive.SetAside{b}, Cleared: []uint64{5, 31, 77},
		}))
	}
	got, err := v.SetAside(t.Context(), corp, 0, ^uint64(0))
	ok(t, err)
	same(t, "replaced and cleared", got, []archive.SetAside{b, d})
}

func viewOtherCorps(t *testing.T, v ViewStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	elsewhere := saidAt(corp, 0, "m", 2)
	elsewhere.Conversation = room + "1"
	writeMessages(t, v, corp, saidAt(corp, 0, "m", 1), elsewhere)
	ok(t, v.WritePage(t.Context(), decode.Decoded{
		Corp:       corp,
		Activities: []archive.Activity{{Corp: corp, Party: "p", Day: "2025-03-01", Conversation: room}},
		SetAside:   []archive.SetAside{{Corp: corp, Seq: 3, Reason: archive.ReasonNoKey}},
	}))
	if got := list(t, v, corp, room, archive.MessageQuery{Limit: 9}); len(got) != 1 || got[0].Seq != 1 {
		t.Errorf("got seqs %v, want only those of the conversation", seqs(got))
	}
	if got := list(t, v, other, room, archive.MessageQuery{Limit: 9}); len(got) != 0 {
		t.Errorf("another corp: got %d messages, want 0", len(got))
	}
	if got, err := v.SetAside(t.Context(), other, 0, 9); err != nil || len(got) != 0 {
		t.Errorf("another corp: got %d set aside, error %v, want 0", len(got), err)
	}
	_, err := v.Message(t.Context(), other, room, archive.Position{Time: epoch, MsgID: "m"})
	fails(t, "another corp's message", err, archive.ErrNotFound)
	if days, err := v.ActiveDays(t.Context(), other, "p", "", 1); err != nil || len(days) != 0 {
		t.Errorf("another corp's activity: got %v, %v", days, err)
	}
}

func viewClear(t *testing.T, v ViewStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	page := func(corp string) decode.Decoded {
		p := decode.Decoded{
			Corp:       corp,
			Activities: []archive.Activity{{Corp: corp, Party: "p", Day: "2025-03-01", Conversation: room}},
			SetAside:   []archive.SetAside{{Corp: corp, Seq: 300, Reason: archive.ReasonNoKey}},
			FirstSeen:  []decode.FirstSeen{{Corp: corp, Name: "text", At: epoch}},
		}
		for i := range 30 {
			p.Messages = append(p.Messages, saidAt(corp, i, "m", uint64(i+1)))
		}
		return p
	}
	for _, c := range []string{corp, other} {
		ok(t, v.WritePage(t.Context(), page(c)))
	}
	for _, want := range []int{34, 0} {
		removed := 0
		ok(t, v.Clear(t.Context(), corp, func(items int) { removed += items }))
		if removed != want {
			t.Errorf("got %d items removed, want %d", removed, want)
		}
		if got := list(t, v, corp, room, archive.MessageQuery{Limit: 99}); len(got) != 0 {
			t.Errorf("cleared: got %d messages, want 0", len(got))
		}
		if got, err := v.SetAside(t.Context(), corp, 0, 999); err != nil || len(got) != 0 {
			t.Errorf("cleared: got %d set aside, error %v, want 0", len(got), err)
		}
		if days, err := v.ActiveDays(t.Context(), corp, "p", "", 1); err != nil || len(days) != 0 {
			t.Errorf("cleared: got %v, %v", days, err)
		}
	}
	if got := list(t, v, other, room, archive.MessageQuery{Limit: 99}); len(got) != 30 {
		t.Errorf("another corp: got %d messages, want 30", len(got))
	}
	ok(t, v.WritePage(t.Context(), page(corp)))
	same(t, "rebuilt", list(t, v, corp, room, archive.MessageQuery{Limit: 99}), page(corp).Messages)
	days, err := v.ActiveDays(t.Context(), corp, "p", "", 9)
	ok(t, err)
	same(t, "rebuilt activity", days, []archive.ActiveDay{{Day: "2025-03-01", Conversations: []archive.ConversationID{room}}})
}

// checkedPage is a page with messages of a room and of a single chat, two
// revocations, and one record set aside.
func checkedPage(corp string) decode.Decoded {
	p := decode.Decoded{Corp: corp}
	for i := range 6 {
		m := saidAt(corp, 1000*i, fmt.Sprint("m", i), uint64(11+i))
		m.After = 10
		if i >= 4 {
			m.Conversation = archive.PartyConversation([]string{"a", "b"})
		}
		p.Messages = append(p.Messages, m)
		p.Activities = append(p.Activities, archive.Activity{Corp: corp, Party: fmt.Sprint("p", i), Day: "2025-03-01", Conversation: m.Conversation})
	}
	revokes := func(m archive.Message, msgID string) archive.Revocation {
		return archive.Revocation{Corp: corp, Conversation: m.Conversation, MsgID: msgID, By: "b", At: m.Time, Seq: m.Seq}
	}
	p.Revocations = []archive.Revocation{revokes(p.Messages[3], "m1_external"), revokes(p.Messages[5], "of another page")}
	p.SetAside = []archive.SetAside{{Corp: corp, Seq: 17, After: 10, MsgID: "m9", Reason: archive.ReasonNoKey, At: epoch}}
	return p
}

func viewCheck(t *testing.T, v ViewStore) {
	n := 0
	// check stores checkedPage and other pages. Then it changes checkedPage and
	// compares what the view's Check finds with want.
	check := func(name string, change func(p *decode.Decoded), want decode.Checked, others ...func(corp string) decode.Decoded) {
		t.Run(name, func(t *testing.T) {
			corp := corpFor(t, n)
			n++
			ok(t, v.WritePage(t.Context(), checkedPage(corp)))
			for _, other := range others {
				ok(t, v.WritePage(t.Context(), other(corp)))
			}
			p := checkedPage(corp)
			change(&p)
			for i := range want.NotInLists {
				want.NotInLists[i].Corp = p.Corp
			}
			got, err := v.Check(t.Context(), p)
			ok(t, err)
			same(t, "checked", got, want)
		})
	}
	nothing := func(*decode.Decoded) {}
	// later is a page of the same minutes in the same room. Its message revokes
	// another message.
	later := func(messages bool, revoked string) func(corp string) decode.Decoded {
		return func(corp string) decode.Decoded {
			m := saidAt(corp, 2500, "m20", 21)
			m.After = 20
			p := decode.Decoded{Corp: corp, Revocations: []archive.Revocation{{Corp: corp, Conversation: room, MsgID: revoked, By: "b", At: m.Time, Seq: 21}}}
			if messages {
				p.Messages = []archive.Message{m}
			}
			return p
		}
	}
	check("no difference", nothing, decode.Checked{})
	check("stored twice", nothing, decode.Checked{}, checkedPage)
	check("another page in the same room", nothing, decode.Checked{}, later(true, "m2"))
	check("nothing stored", func(p *decode.Decoded) {
		p.Corp += "0"
		for i := range p.Messages {
			p.Messages[i].Corp = p.Corp
		}
		for i := range p.Activities {
			p.Activities[i].Corp = p.Corp
		}
	}, decode.Checked{Missing: []uint64{11, 12, 13, 14, 15, 16}, SetAsideMissing: []uint64{17}, NotRevoked: []uint64{14, 16}, NotInLists: checkedPage("").Activities})
	check("message with another time", func(p *decode.Decoded) { p.Messages[1].Time = p.Messages[1].Time.Add(1e6) },
		decode.Checked{Missing: []uint64{12}, Extra: []uint64{12}})
	check("message with another msgid", func(p *decode.Decoded) { p.Messages[2].MsgID = "m" },
		decode.Checked{Missing: []uint64{13}, Extra: []uint64{13}})
	check("message in another chat", func(p *decode.Decoded) { p.Messages[2].Conversation = p.Messages[4].Conversation },
		decode.Checked{Missing: []uint64{13}, Extra: []uint64{13}})
	check("other bytes", func(p *decode.Decoded) { p.Messages[0].Raw = []byte("x") }, decode.Checked{Differing: []uint64{11}})
	check("another key version", func(p *decode.Decoded) { p.Messages[0].KeyVersion++ }, decode.Checked{Differing: []uint64{11}})
	check("bytes in the bucket", func(p *decode.Decoded) {
		p.Messages[0].Raw, p.Messages[0].Overflow = nil, &archive.Overflow{Sum: strings.Repeat("0", 64), Size: archive.InlineLimit + 1}
	}, decode.Checked{Differing: []uint64{11}})
	check("message that the page lacks", func(p *decode.Decoded) { p.Messages = slices.Delete(p.Messages, 1, 2) }, decode.Checked{Extra: []uint64{12}})
	check("message three years earlier", func(p *decode.Decoded) { p.Messages[5].Time = epoch.AddDate(-3, 0, 0) },
		decode.Checked{Missing: []uint64{16}}) // its chat is not searched in the years between
	check("message with a seq of the page and another After", func(p *decode.Decoded) {
		for i := range p.Messages {
			p.Messages[i].After = 9
		}
		p.Messages = slices.Delete(p.Messages, 4, 5)
	}, decode.Checked{Differing: []uint64{11, 12, 13, 14, 16}, Extra: []uint64{15}})
	check("record not set aside", func(p *decode.Decoded) {
		p.SetAside = append(p.SetAside, archive.SetAside{Corp: p.Corp, Seq: 18, After: 10, Reason: archive.ReasonNoKey})
	}, decode.Checked{SetAsideMissing: []uint64{18}})
	check("record still set aside", func(p *decode.Decoded) {
		m := saidAt(p.Corp, 0, "m9", 17)
		m.After = 10
		p.Messages, p.SetAside = append(p.Messages, m), nil
	}, decode.Checked{Missing: []uint64{17}, SetAsideStale: []uint64{17}})
	check("revocation not stored", func(p *decode.Decoded) { p.Revocations[0].MsgID = "m2" },
		decode.Checked{NotRevoked: []uint64{14}, ExtraRevoked: []decode.Marking{{Seq: 14, Of: 14}}})
	check("revocation by another member", func(p *decode.Decoded) { p.Revocations[0].By = "c" }, decode.Checked{NotRevoked: []uint64{14}})
	check("revocation at another time", func(p *decode.Decoded) { p.Revocations[0].At = epoch }, decode.Checked{NotRevoked: []uint64{14}})
	check("revocation that the page lacks", func(p *decode.Decoded) { p.Revocations = p.Revocations[:1] }, decode.Checked{ExtraRevoked: []decode.Marking{{Seq: 16, Of: 16}}})
	check("revocation by a message that is not stored", nothing, decode.Checked{ExtraRevoked: []decode.Marking{{Seq: 21, Of: 13}}}, later(false, "m2"))
	together := func(change func(more *decode.Decoded)) func(p *decode.Decoded) {
		return func(p *decode.Decoded) {
			more := later(true, "m2")(p.Corp)
			change(&more)
			p.Messages, p.Revocations = append(p.Messages, more.Messages...), append(p.Revocations, more.Revocations...)
		}
	}
	check("two pages together", together(nothing), decode.Checked{}, later(true, "m2"))
	check("message that the second of two pages lacks", together(func(more *decode.Decoded) {
		more.Messages[0].Conversation = archive.PartyConversation([]string{"a", "b"})
	}), decode.Checked{Missing: []uint64{21}, Extra: []uint64{21}}, later(true, "m2"))
	check("list entries not stored", func(p *decode.Decoded) {
		p.Activities = append(p.Activities, archive.Activity{Corp: p.Corp, Party: "p0", Day: "2025-03-02", Conversation: room},
			archive.Activity{Corp: p.Corp, Party: "p9", Day: "2025-03-01", Conversation: room})
	}, decode.Checked{NotInLists: []archive.Activity{
		{Party: "p0", Day: "2025-03-02", Conversation: room}, {Party: "p9", Day: "2025-03-01", Conversation: room},
	}})
}

// The earliest time stays, in whichever order the times are stored.
func viewFirstSeen(t *testing.T, v ViewStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	names := []string{"text", "text text.font", "text+text.font", "", "新", "a#b", strings.Repeat("长", 400)}
	seen := func(corp string) map[string]time.Time {
		got, err := v.FirstSeen(t.Context(), corp, append(names, "text", "voice"))
		ok(t, err)
		return got
	}
	if got := seen(corp); len(got) != 0 {
		t.Errorf("got %v before anything was seen", got)
	}
	for i, hours := range []int{5, 9, 3, 3, 4} {
		for _, name := range names[i:] {
			at := epoch.Add(time.Duration(hours) * time.Hour)
			ok(t, v.WritePage(t.Context(), decode.Decoded{Corp: corp, FirstSeen: []decode.FirstSeen{{Corp: corp, Name: name, At: at}}}))
		}
	}
	want := make(map[string]time.Time)
	for i, name := range names {
		want[name] = epoch.Add(time.Duration([]int{5, 5, 3, 3, 3, 3, 3}[i]) * time.Hour)
	}
	same(t, "first seen", seen(corp), want)
	if got := seen(other); len(got) != 0 {
		t.Errorf("another corp: got %v", got)
	}
}
