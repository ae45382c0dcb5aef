package dynamostore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// A corp's days name what became active in the corp on a day: each conversation
// and each party once or a few times. A page adds one entry to a day, and none if
// the lists of its parties hold all of it already.

func corpDaysPK(corp string) string { return corp + "#d" }

// corpDayItem is an entry of a corp's day.
type corpDayItem struct {
	Conversations []archive.ConversationID `dynamodbav:"conversations,omitempty"`
	Parties       []string                 `dynamodbav:"parties,omitempty"` // whom no conversation of the day names
}

// parties returns the ids that the entry names.
func (e corpDayItem) parties() []string {
	parties := slices.Clone(e.Parties)
	for _, conv := range e.Conversations {
		if conv.Kind() != "room" {
			parties = append(parties, conv.Parties()...)
		}
	}
	return archive.Distinct(parties)
}

// corpDayEntries makes the entries of what became active: a conversation that no
// party's list holds for the day yet, and a party whose list has no entry for the
// day. lists says what the parties' lists hold. An activity that becomes a move
// brings no party: the id of its conversation contains the member.
func corpDayEntries(activities []archive.Activity, lists partyLists, moved map[archive.Activity]bool) ([]item, error) {
	type corpDay struct {
		corp string
		day  archive.Day
	}
	known := make(map[archive.Activity]bool) // conversations that some party's list holds, without the party
	for a := range lists.listed {
		a.Party = ""
		known[a] = true
	}
	fresh := make(map[corpDay]*corpDayItem)
	for _, a := range activities {
		of := corpDay{a.Corp, a.Day}
		if fresh[of] == nil {
			fresh[of] = &corpDayItem{}
		}
		if held, read := lists.held[dayOf(a)]; a.Party != "" && read && held == 0 && !moved[a] {
			fresh[of].Parties = append(fresh[of].Parties, a.Party)
		}
		if a.Party = ""; !known[a] {
			fresh[of].Conversations = append(fresh[of].Conversations, a.Conversation)
		}
	}
	var items []item
	for of, all := range fresh {
		slices.Sort(all.Conversations)
		conversations := slices.Compact(all.Conversations)
		named := corpDayItem{Conversations: conversations}.parties()
		parties := slices.DeleteFunc(archive.Distinct(all.Parties), func(party string) bool { _, there := slices.BinarySearch(named, party); return there })
		for len(parties)+len(conversations) > 0 {
			var part corpDayItem
			size := 0
			part.Conversations, conversations = cutAt(conversations, &size)
			part.Parties, parties = cutAt(parties, &size)
			sum := sha256.New()
			_, _ = fmt.Fprintf(sum, "%q %q", part.Conversations, part.Parties) // a hash never fails
			it, err := encode(corpDaysPK(of.corp), string(of.day)+"#"+hex.EncodeToString(sum.Sum(nil)[:16]), part)
			if err != nil {
				return nil, err
			}
			items = append(items, it)
		}
	}
	return items, nil
}

// cutAt returns the first ids that fit beside size bytes into [entryBytes], at
// least one if size is 0, and the rest. It adds their bytes to size.
func cutAt[T ~string](ids []T, size *int) (first, rest []T) {
	n := 0
	for n < len(ids) && (*size == 0 || *size+len(ids[n]) <= entryBytes) {
		*size += len(ids[n])
		n++
	}
	return ids[:n], ids[n:]
}

// CorpDays lists the newest days on which anything was active in the corp, newest
// first, at most limit, each with all of it. An upTo that is not empty is the
// latest day allowed.
func (m *Messages) CorpDays(ctx context.Context, corp string, upTo archive.Day, limit int) ([]archive.CorpDay, error) {
	hi := ":" // after all digits
	if upTo != "" {
		hi = string(upTo) + "$" // after '#'
	}
	in := dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk AND sk < :hi"),
		ExpressionAttributeValues: item{":pk": text(corpDaysPK(corp)), ":hi": text(hi)},
		ScanIndexForward:          aws.Bool(false),
	}
	var days []archive.CorpDay
	for it, err := range m.query(ctx, m.client, in) {
		var e corpDayItem
		if err == nil {
			e, err = readItem[corpDayItem](it)
		}
		if err != nil {
			return nil, fmt.Errorf("read the days of corp %s: %w", corp, err)
		}
		name, _, _ := strings.Cut(keyOf(it, "sk"), "#")
		if n := len(days); n == 0 || days[n-1].Day != archive.Day(name) {
			if n == limit {
				break
			}
			days = append(days, archive.CorpDay{Day: archive.Day(name)})
		}
		day := &days[len(days)-1]
		day.Conversations, day.Parties = append(day.Conversations, e.Conversations...), append(day.Parties, e.parties()...)
	}
	for i := range days {
		slices.Sort(days[i].Conversations)
		days[i].Conversations = slices.Compact(days[i].Conversations)
		days[i].Parties = archive.Distinct(days[i].Parties)
	}
	return days, nil
}

// notInCorpDays reports which activities the corp's days lack: the party or the
// conversation. It reads consistently.
func (m *Messages) notInCorpDays(ctx context.Context, activities []archive.Activity) (func(archive.Activity) bool, error) {
	type entry struct {
		day  archive.Day
		name string // of a conversation or of a party, which look different
	}
	there := make(map[entry]bool)
	read := make(map[archive.Day]bool)
	for _, a := range activities {
		if read[a.Day] {
			continue
		}
		read[a.Day] = true
		for it, err := range m.query(ctx, m.client, consistently(startingWith(corpDaysPK(a.Corp), string(a.Day)+"#"))) {
			var e corpDayItem
			if err == nil {
				e, err = readItem[corpDayItem](it)
			}
			if err != nil {
				return nil, fmt.Errorf("read the days of corp %s: %w", a.Corp, err)
			}
			for _, conv := range e.Conversations {
				there[entry{a.Day, "c " + string(conv)}] = true
			}
			for _, party := range e.parties() {
				there[entry{a.Day, "p " + party}] = true
			}
		}
	}
	return func(a archive.Activity) bool {
		return !there[entry{a.Day, "c " + string(a.Conversation)}] || a.Party != "" && !there[entry{a.Day, "p " + a.Party}]
	}, nil
}

// LastDay is the newest day on which the party was active; empty for a party that
// never was.
func (m *Messages) LastDay(ctx context.Context, corp, party string) (archive.Day, error) {
	fail := func(err error) (archive.Day, error) {
		return "", fmt.Errorf("read activity in corp %s: %w", corp, err)
	}
	pk := partyPK(corp, party)
	last, err := m.lastItem(ctx, partition(pk))
	if err != nil {
		return fail(err)
	}
	if !strings.HasPrefix(keyOf(last, "sk"), movesPart) {
		return dayOfEntry(last), nil
	}
	// Moves sort after all days, so a day may be newer than the newest move.
	moves, err := readMoves(party, last)
	if err != nil {
		return fail(err)
	}
	listed, err := m.lastItem(ctx, within(pk, "0", ":")) // before and after all digits
	if err != nil {
		return fail(err)
	}
	return max(dayOfEntry(listed), archive.DayOf(moves.Newest)), nil
}

// lastItem reads the last item that a Query selects; nil if it selects none.
func (m *Messages) lastItem(ctx context.Context, in dynamodb.QueryInput) (item, error) {
	in.ScanIndexForward = aws.Bool(false)
	for it, err := range m.first(ctx, m.client, 1, in) {
		return it, err
	}
	return nil, nil
}

// dayOfEntry is the day of an entry of a party's list; empty without an entry.
func dayOfEntry(it item) archive.Day {
	day, _, _ := strings.Cut(keyOf(it, "sk"), "#")
	return archive.Day(day)
}

// changeLife is how long a change stays: long enough for every page that asks
// again. DynamoDB removes it at some time after that.
const changeLife = time.Hour

func changesPK(corp string) string { return corp + "#n" }

// noteItem is a noted change. Its key has the time and the page.
type noteItem struct {
	Parties []byte `dynamodbav:"parties"`
	Expires int64  `dynamodbav:"expires"` // in seconds since 1970; the template names this attribute
}

func (m *Messages) noteChange(ctx context.Context, corp string, c archive.Change) error {
	at, err := millis(c.At)
	if err != nil {
		return err
	}
	it, err := encode(changesPK(corp), at+"#"+padded(c.After), noteItem{c.Parties, c.At.Add(changeLife).Unix()})
	if err != nil {
		return err
	}
	return m.put(ctx, m.client, it)
}

// Changes lists the changes since a time, newest first. It reads atOnce at a time, as
// the caller asks for them, and ends after the first error. A change of the last second
// may be missing.
func (m *Messages) Changes(ctx context.Context, corp string, since time.Time, atOnce int) iter.Seq2[archive.Change, error] {
	return func(yield func(archive.Change, error) bool) {
		in := within(changesPK(corp), millisFrom(since), ":") // after all digits
		in.ScanIndexForward, in.Limit = aws.Bool(false), aws.Int32(int32(atOnce))
		for it, err := range m.query(ctx, m.client, in) {
			var c archive.Change
			if err == nil {
				c, err = readChange(it)
			}
			if err != nil {
				yield(c, fmt.Errorf("read the changes of corp %s: %w", corp, err))
				return
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

func readChange(it item) (archive.Change, error) {
	attributes, err := readItem[noteItem](it)
	c := archive.Change{Parties: attributes.Parties}
	if err != nil {
		return c, err
	}
	at, after, _ := strings.Cut(keyOf(it, "sk"), "#")
	if c.At, err = parseMillis(at); err != nil {
		return c, err
	}
	if c.After, err = strconv.ParseUint(after, 10, 64); err != nil {
		return c, archive.ErrCorrupt
	}
	return c, nil
}
