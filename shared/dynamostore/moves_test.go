package dynamostore_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

// said is a message of two parties at a number of seconds after sent.
func said(member, other string, seconds int, after uint64) (archive.Message, []archive.Activity) {
	m := message(1000*seconds, fmt.Sprint(member, other, seconds), after+1)
	m.Conversation, m.After = archive.PartyConversation([]string{member, other}), after
	var activities []archive.Activity
	for _, party := range []string{member, other} {
		activities = append(activities, archive.Activity{Corp: corp, Party: party, Day: archive.DayOf(m.Time), Conversation: m.Conversation})
	}
	return m, activities
}

// add adds a message to a page.
func add(p *decode.Decoded, member, other string, seconds int) {
	m, activities := said(member, other, seconds, 10)
	p.Messages = append(p.Messages, m)
	for _, a := range activities {
		if !slices.Contains(p.Activities, a) {
			p.Activities = append(p.Activities, a)
		}
	}
}

// broadcast is a page in which a member writes to n customers, one each second.
func broadcast(n int) decode.Decoded {
	p := decode.Decoded{Corp: corp}
	for i := range n {
		add(&p, "lin.hua", fmt.Sprintf("wm%030d", i), i)
	}
	return p
}

// readAllMoves reads the moves of lin.hua.
func readAllMoves(t *testing.T, s *dynamostore.Messages, upTo time.Time) (all []archive.Moves) {
	t.Helper()
	for e, err := range s.Moves(t.Context(), corp, "lin.hua", upTo) {
		must(t, err)
		if e.Newest != e.Moves[0].At || len(all) > 0 && e.Newest.After(all[len(all)-1].Newest) || !slices.IsSortedFunc(e.Moves, func(x, y archive.Move) int { return y.At.Compare(x.At) }) {
			t.Errorf("got an entry of %s with %v, out of order", e.Newest, e.Moves)
		}
		all = append(all, e)
	}
	return all
}

// A long day of a member has its chats with customers in the order of time.
// Everything else is listed as on other days.
func TestMovesOfALongDay(t *testing.T) {
	s, written := writtenUnits(t)
	ctx, day := t.Context(), archive.DayOf(sent)
	const n = 250
	p := broadcast(n)
	page := decode.Decoded{Corp: corp, Messages: p.Messages, Activities: p.Activities}
	must(t, s.WritePage(ctx, page))
	var got []archive.Move
	entries := readAllMoves(t, s, time.Time{})
	for _, e := range entries {
		got = append(got, e.Moves...)
	}
	if len(entries) > n/20 {
		t.Errorf("got %d entries of %d moves, want at most one for 20", len(entries), n)
	}
	written()
	must(t, s.WritePage(ctx, page))
	check(t, "the messages and the same moves again", written(), float64(n+len(entries)))
	var want []archive.Move
	for _, m := range slices.Backward(p.Messages) {
		want = append(want, archive.Move{Conversation: m.Conversation, At: m.Time})
	}
	check(t, "moves", got, want)
	for _, e := range readAllMoves(t, s, sent.Add(9*time.Second)) {
		if e.Newest.After(sent.Add(9 * time.Second)) {
			t.Errorf("got an entry of %s, which is later", e.Newest)
		}
	}

	listed, err := s.ListedDays(ctx, corp, "lin.hua", "", 9)
	must(t, err)
	check(t, "days without moves", len(listed), 0)
	var all []archive.ConversationID
	for _, m := range p.Messages {
		all = append(all, m.Conversation)
	}
	slices.Sort(all)
	for _, upTo := range []archive.Day{"", day} {
		days, err := s.ActiveDays(ctx, corp, "lin.hua", upTo, 9)
		must(t, err)
		check(t, "all days", days, []archive.ActiveDay{{Day: day, Conversations: all}})
	}
	for _, upTo := range []archive.Day{archive.DayOf(day.Start().Add(-time.Hour)), "0001-01-01"} {
		none, err := s.ActiveDays(ctx, corp, "lin.hua", upTo, 9)
		must(t, err)
		check(t, "days before", len(none), 0)
	}
	corpDays, err := s.CorpDays(ctx, corp, "", 1)
	must(t, err)
	check(t, "the corp's day", [2]int{len(corpDays[0].Conversations), len(corpDays[0].Parties)}, [2]int{n, n + 1})
	customers, err := s.ActiveDays(ctx, corp, fmt.Sprintf("wm%030d", 7), "", 9)
	must(t, err)
	check(t, "the customer's list", customers, []archive.ActiveDay{{Day: day, Conversations: []archive.ConversationID{p.Messages[7].Conversation}}})

	// A room and a colleague are never moves.
	more := decode.Decoded{Corp: corp, Activities: []archive.Activity{{Corp: corp, Party: "lin.hua", Day: day, Conversation: room}}}
	for i := range 120 {
		add(&more, "lin.hua", fmt.Sprint("zhao", i), n+i)
	}
	must(t, s.WritePage(ctx, more))
	listed, err = s.ListedDays(ctx, corp, "lin.hua", "", 9)
	must(t, err)
	check(t, "rooms and colleagues", len(listed[0].Conversations), 121)

	// The day has more than a hundred conversations now: every new message of a
	// customer is one move, for one unit.
	written()
	for i := range 3 {
		later := decode.Decoded{Corp: corp}
		add(&later, "lin.hua", fmt.Sprintf("wm%030d", 3), 1000+i)
		must(t, s.WritePage(ctx, later))
		check(t, "a message and its move", written(), 2.0)
	}
	newest := readAllMoves(t, s, time.Time{})[0]
	check(t, "the newest move", newest, archive.Moves{Newest: sent.Add(1002 * time.Second), Moves: []archive.Move{{Conversation: p.Messages[3].Conversation, At: sent.Add(1002 * time.Second)}}})

	last, err := s.LastDay(ctx, corp, "lin.hua")
	must(t, err)
	check(t, "last day", last, day)
	must(t, s.WritePage(ctx, decode.Decoded{Corp: corp, Activities: []archive.Activity{{Corp: corp, Party: "lin.hua", Day: day.Next(), Conversation: room}}}))
	last, err = s.LastDay(ctx, corp, "lin.hua")
	must(t, err)
	check(t, "last day, without moves", last, day.Next())
	days, err := s.ActiveDays(ctx, corp, "lin.hua", "", 1)
	must(t, err)
	check(t, "the newest day", days, []archive.ActiveDay{{Day: day.Next(), Conversations: []archive.ConversationID{room}}})
}

// A day of a hundred conversations costs what it costs without moves.
func TestMovesOfAShortDay(t *testing.T) {
	s := newMessages(t)
	p := broadcast(100)
	must(t, s.WritePage(t.Context(), p))
	must(t, s.WritePage(t.Context(), decode.Decoded{Corp: corp, Messages: p.Messages[:1], Activities: p.Activities[:2]}))
	check(t, "moves", len(readAllMoves(t, s, time.Time{})), 0)
	days, err := s.ListedDays(t.Context(), corp, "lin.hua", "", 1)
	must(t, err)
	check(t, "conversations of the day", len(days[0].Conversations), 100)
}

// The beginning of a day of ten thousand chats is read for few units.
func TestTheNewestMovesCostLittle(t *testing.T) {
	var mu sync.Mutex
	var read float64
	s := dynamostore.NewMessages(client(t), awstest.Table(t, "MessagesTable"), dynamostore.WithCapacity(func(_, _ string, _, rcu float64) {
		mu.Lock()
		defer mu.Unlock()
		read += rcu
	}))
	p := broadcast(10_000)
	for page := range slices.Chunk(p.Messages, 1000) {
		part := decode.Decoded{Corp: corp, Messages: page}
		for _, m := range page {
			part.Activities = append(part.Activities, archive.Activity{Corp: corp, Party: "lin.hua", Day: archive.DayOf(m.Time), Conversation: m.Conversation})
		}
		must(t, s.WritePage(t.Context(), part))
	}
	for _, upTo := range []time.Time{{}, p.Messages[5000].Time} {
		mu.Lock()
		read = 0
		mu.Unlock()
		n := 0
		for e, err := range s.Moves(t.Context(), corp, "lin.hua", upTo) {
			must(t, err)
			if n += len(e.Moves); n > 50 {
				break
			}
		}
		if read > 17 {
			t.Errorf("read %.1f units for %d moves up to %s", read, n, upTo)
		}
	}
}

// Whatever order pages are stored in, however often and at the same time, a chat is
// named on the day of its newest message, or it has a move at the time of this
// message. Nothing depends on the pages before.
func TestEveryChatIsFoundByItsNewestMessage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s := newMessages(t)
	var pages []decode.Decoded
	var all []archive.Message
	for range 40 {
		p := decode.Decoded{Corp: corp}
		for range 1 + r.IntN(60) {
			add(&p, "lin.hua", fmt.Sprint("wm", r.IntN(160)), r.IntN(200_000))
		}
		add(&p, "lin.hua", fmt.Sprint("zhao", r.IntN(9)), r.IntN(200_000))
		pages = append(pages, p)
		all = append(all, p.Messages...)
	}
	pages = append(pages, pages[:10]...)
	r.Shuffle(len(pages), func(i, j int) { pages[i], pages[j] = pages[j], pages[i] })
	var lanes errgroup.Group
	lanes.SetLimit(4)
	for _, p := range pages {
		lanes.Go(func() error { return s.WritePage(t.Context(), p) })
	}
	must(t, lanes.Wait())

	moved := make(map[archive.Move]bool)
	for _, e := range readAllMoves(t, s, time.Time{}) {
		for _, m := range e.Moves {
			moved[m] = true
		}
	}
	named := make(map[archive.Activity]bool)
	days, err := s.ListedDays(t.Context(), corp, "lin.hua", "", 99)
	must(t, err)
	for _, d := range days {
		for _, conv := range d.Conversations {
			named[archive.Activity{Day: d.Day, Conversation: conv}] = true
		}
	}
	newest := make(map[archive.ConversationID]time.Time)
	for _, m := range all {
		if m.Time.After(newest[m.Conversation]) {
			newest[m.Conversation] = m.Time
		}
	}
	byMove := 0
	for conv, at := range newest {
		switch {
		case named[archive.Activity{Day: archive.DayOf(at), Conversation: conv}]:
		case moved[archive.Move{Conversation: conv, At: at}]:
			byMove++
		default:
			t.Errorf("%s has its newest message at %s and is not found there", conv, at)
		}
	}
	if byMove == 0 || len(days) < 3 {
		t.Errorf("%d of %d chats are found by moves, on %d days: the test shows nothing", byMove, len(newest), len(days))
	}
	for _, p := range pages {
		found, err := s.Check(t.Context(), p)
		must(t, err)
		check(t, "not in lists", len(found.NotInLists), 0)
	}
}

// Of two pages that are decoded at once, one may list a chat that the other moves.
// The other moves of that page are found all the same.
func TestCheckFindsMovesBesideAListedChat(t *testing.T) {
	db, table, apart := client(t), awstest.Table(t, "MessagesTable"), awstest.Table(t, "MessagesTable")
	s := dynamostore.NewMessages(db, table)
	must(t, s.WritePage(t.Context(), broadcast(100)))
	moves := decode.Decoded{Corp: corp}
	for i := range 5 {
		add(&moves, "lin.hua", fmt.Sprint("wmNew", i), 500+i)
	}
	must(t, s.WritePage(t.Context(), moves))
	// The newest of the five chats is listed by a page that saw a short list.
	lists := decode.Decoded{Corp: corp}
	add(&lists, "lin.hua", "wmNew4", 504)
	must(t, dynamostore.NewMessages(db, apart).WritePage(t.Context(), lists))
	written, err := db.Scan(t.Context(), &dynamodb.ScanInput{TableName: &apart})
	must(t, err)
	for _, it := range written.Items {
		_, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: it})
		must(t, err)
	}
	found, err := s.Check(t.Context(), moves)
	must(t, err)
	check(t, "not in lists", len(found.NotInLists), 0)
}

// A verification finds that a move is missing, also if the chat has other moves.
func TestCheckReadsMoves(t *testing.T) {
	db, table := client(t), awstest.Table(t, "MessagesTable")
	s := dynamostore.NewMessages(db, table)
	p := broadcast(120)
	again := decode.Decoded{Corp: corp}
	for i := range 101 {
		add(&again, "lin.hua", fmt.Sprintf("wm%030d", i), 500+i)
	}
	for i := range again.Messages {
		again.Messages[i].After, again.Messages[i].Seq = 999, uint64(2000+i)
	}
	must(t, s.WritePage(t.Context(), p))
	must(t, s.WritePage(t.Context(), again))
	both := p
	both.Messages, both.Activities = slices.Concat(p.Messages, again.Messages), slices.Concat(p.Activities, again.Activities)
	for _, pages := range []decode.Decoded{p, again, both} {
		found, err := s.Check(t.Context(), pages)
		must(t, err)
		check(t, "complete", len(found.NotInLists), 0)
	}
	entries, err := db.Query(t.Context(), &dynamodb.QueryInput{
		TableName: &table, KeyConditionExpression: aws.String("pk = :pk AND sk > :moves"), ProjectionExpression: aws.String("pk, sk"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":pk": &types.AttributeValueMemberS{Value: corp + "#p#lin.hua"}, ":moves": &types.AttributeValueMemberS{Value: "t#"}},
	})
	must(t, err)
	for _, key := range entries.Items { // the moves of the second page
		if sk := key["sk"].(*types.AttributeValueMemberS).Value; strings.Compare(sk, fmt.Sprintf("t#%015d", sent.Add(400*time.Second).UnixMilli())) > 0 {
			_, err := db.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: key})
			must(t, err)
		}
	}
	for pages, want := range map[*decode.Decoded]int{&p: 0, &again: 101, &both: 101} {
		found, err := s.Check(t.Context(), *pages)
		must(t, err)
		check(t, "chats of the member that are not in the list", len(found.NotInLists), want)
	}
}
