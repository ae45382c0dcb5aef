package dynamostore_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

// writtenUnits counts the write units of a table.
func writtenUnits(t *testing.T) (*dynamostore.Messages, func() float64) {
	t.Helper()
	var mu sync.Mutex
	var units float64
	s := dynamostore.NewMessages(client(t), awstest.Table(t, "MessagesTable"), dynamostore.WithCapacity(func(_, _ string, wcu, _ float64) {
		mu.Lock()
		defer mu.Unlock()
		units += wcu
	}))
	return s, func() float64 {
		mu.Lock()
		defer mu.Unlock()
		sum := units
		units = 0
		return sum
	}
}

// A corp's day names each conversation and each party of the day, in one entry
// for each page that brings any.
func TestCorpDays(t *testing.T) {
	s, written := writtenUnits(t)
	ctx := t.Context()
	write := func(day archive.Day, of map[string][]archive.ConversationID) float64 {
		t.Helper()
		p := decode.Decoded{Corp: corp}
		for party, conversations := range of {
			for _, conv := range conversations {
				p.Activities = append(p.Activities, archive.Activity{Corp: corp, Party: party, Day: day, Conversation: conv})
			}
		}
		must(t, s.WritePage(ctx, p))
		return written()
	}
	a, b, c := archive.PartyConversation([]string{"p", "q"}), archive.RoomConversation("r"), archive.PartyConversation([]string{"q", "z"})
	both := map[string][]archive.ConversationID{"p": {a}, "q": {a}}
	check(t, "the first of the day", write("2026-03-01", both), 3.0)
	check(t, "again", write("2026-03-01", both), 0.0)
	check(t, "another conversation of two", write("2026-03-01", map[string][]archive.ConversationID{"p": {a, b}, "q": {a, b}}), 3.0)
	check(t, "a new party in it", write("2026-03-01", map[string][]archive.ConversationID{"p": {b}, "z": {b}}), 2.0)
	check(t, "without parties", write("2026-03-01", map[string][]archive.ConversationID{"": {archive.Unplaced}}), 2.0)
	check(t, "the next day", write("2026-03-02", map[string][]archive.ConversationID{"q": {c}, "z": {c}}), 3.0)
	must(t, s.WritePage(ctx, decode.Decoded{Corp: "wwffffffffffffffff", Activities: []archive.Activity{{Corp: "wwffffffffffffffff", Party: "x", Day: "2026-03-01", Conversation: b}}}))

	first := archive.CorpDay{Day: "2026-03-01", Conversations: []archive.ConversationID{b, a, archive.Unplaced}, Parties: []string{"p", "q", "z"}}
	second := archive.CorpDay{Day: "2026-03-02", Conversations: []archive.ConversationID{c}, Parties: []string{"q", "z"}}
	for _, q := range []struct {
		upTo  archive.Day
		limit int
		want  []archive.CorpDay
	}{
		{"", 9, []archive.CorpDay{second, first}}, {"", 1, []archive.CorpDay{second}}, {"2026-03-01", 9, []archive.CorpDay{first}},
		{"2026-03-02", 2, []archive.CorpDay{second, first}}, {"2026-02-28", 9, nil},
	} {
		days, err := s.CorpDays(ctx, corp, q.upTo, q.limit)
		must(t, err)
		check(t, fmt.Sprintf("up to %q by %d", q.upTo, q.limit), days, q.want)
	}
	for party, want := range map[string]archive.Day{"p": "2026-03-01", "q": "2026-03-02", "": "2026-03-01", "nobody": ""} {
		day, err := s.LastDay(ctx, corp, party)
		must(t, err)
		check(t, "last day of "+party, day, want)
	}
}

// What is too much for one item becomes several.
func TestALargeCorpDay(t *testing.T) {
	s := newMessages(t)
	p := decode.Decoded{Corp: corp}
	for i := range 300 {
		party := strings.Repeat("员", 200) + fmt.Sprint(i)
		p.Activities = append(p.Activities, archive.Activity{Corp: corp, Party: party, Day: "2026-03-01", Conversation: archive.PartyConversation([]string{party})})
	}
	must(t, s.WritePage(t.Context(), p))
	days, err := s.CorpDays(t.Context(), corp, "", 1)
	must(t, err)
	if len(days) != 1 || len(days[0].Conversations) != 300 || len(days[0].Parties) != 300 {
		t.Errorf("got %d days, %d conversations, %d parties", len(days), len(days[0].Conversations), len(days[0].Parties))
	}
}

// A verification finds what a corp's day lacks.
func TestCheckReadsCorpDays(t *testing.T) {
	db, table := client(t), awstest.Table(t, "MessagesTable")
	s := dynamostore.NewMessages(db, table)
	a := archive.Activity{Corp: corp, Party: "p", Day: "2026-03-01", Conversation: room}
	p := decode.Decoded{Corp: corp, Activities: []archive.Activity{a}}
	must(t, s.WritePage(t.Context(), p))
	found, err := s.Check(t.Context(), p)
	must(t, err)
	check(t, "complete", len(found.NotInLists), 0)
	entries, err := db.Query(t.Context(), &dynamodb.QueryInput{
		TableName: &table, KeyConditionExpression: aws.String("pk = :pk"), ProjectionExpression: aws.String("pk, sk"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":pk": &types.AttributeValueMemberS{Value: corp + "#d"}},
	})
	must(t, err)
	for _, key := range entries.Items {
		_, err := db.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: key})
		must(t, err)
	}
	found, err = s.Check(t.Context(), p)
	must(t, err)
	check(t, "removed", found.NotInLists, []archive.Activity{a})
}

func TestChanges(t *testing.T) {
	s, written := writtenUnits(t)
	ctx := t.Context()
	var noted []archive.Change
	for i := range 5 {
		c := archive.NewChange(sent.Add(time.Duration(i)*time.Second), uint64(100-i), []string{"p", "", fmt.Sprint("only", i), "p"})
		must(t, s.WritePage(ctx, decode.Decoded{Corp: corp, Change: c}))
		noted = append([]archive.Change{c}, noted...)
	}
	check(t, "units", written(), 5.0)
	must(t, s.WritePage(ctx, decode.Decoded{Corp: corp})) // no change
	check(t, "units of no change", written(), 0.0)
	list := func(corp string, since time.Time, atOnce int) (list []archive.Change) {
		t.Helper()
		for c, err := range s.Changes(ctx, corp, since, atOnce) {
			must(t, err)
			list = append(list, c)
		}
		return list
	}
	for _, q := range []struct {
		since  time.Time
		atOnce int
		want   []archive.Change
	}{
		{sent, 9, noted}, {sent, 2, noted}, {sent.Add(3 * time.Second), 1, noted[:2]}, {sent.Add(time.Hour), 9, nil},
	} {
		got := list(corp, q.since, q.atOnce)
		check(t, "changes", len(got), len(q.want))
		for i := range got {
			if !got[i].At.Equal(q.want[i].At) || got[i].After != q.want[i].After || string(got[i].Parties) != string(q.want[i].Parties) {
				t.Errorf("got %+v, want %+v", got[i], q.want[i])
			}
		}
	}
	check(t, "another corp", len(list("wwffffffffffffffff", sent, 9)), 0)
	if c := noted[0]; !c.Concerns("p") || !c.Concerns("only4") || c.Concerns("only3") || c.Concerns("") || c.Concerns("q") {
		t.Errorf("got a change of the wrong parties: %+v", c)
	}
}
