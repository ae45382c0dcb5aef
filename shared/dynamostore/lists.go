package dynamostore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Two lists say who was active where: a party's list names its conversations of
// each day, and a room's attendance names its parties of each day. Outside rooms
// a conversation always has the same parties, so only rooms have an attendance.
// Both are stored alike: a day of a list has entries, and an entry names one id
// or several. An entry never changes, because its key follows from its content.

// dayList is a day of a list. Its entries have keys that begin with pk and day.
type dayList struct {
	pk  string
	day archive.Day
}

// A line says that a list names an id on a day.
type line struct {
	of dayList
	id string // escaped
}

// entryItem is an entry: one or several ids. Both fields are empty where the key
// holds the one id.
type entryItem struct {
	ID  string   `dynamodbav:"id,omitempty"`  // set where the key holds a digest of this id
	IDs []string `dynamodbav:"ids,omitempty"` // several, sorted
}

func partyPK(corp, party string) string { return corp + "#p#" + part(party) }

func attendancePK(corp string, room archive.ConversationID) string {
	return corp + "#a#" + escapedPart(string(room))
}

// attendanceID is the id of a party in an attendance. It has no '~', with which
// the key of an entry with several ids begins.
func attendanceID(party string) string {
	return strings.ReplaceAll(url.QueryEscape(party), "~", "%7E")
}

// linesOf are the lines that activities add to the lists. No reader asks for the
// empty party, so no attendance names it.
func linesOf(activities ...archive.Activity) []line {
	var lines []line
	for _, a := range activities {
		lines = append(lines, line{dayList{partyPK(a.Corp, a.Party), a.Day}, string(a.Conversation)})
		if a.Party != "" && a.Conversation.Kind() == "room" {
			lines = append(lines, line{dayList{attendancePK(a.Corp, a.Conversation), a.Day}, attendanceID(a.Party)})
		}
	}
	return lines
}

// writeActivities reads before it writes: the lists already have nearly every
// line of a page, and a read costs a fifth of a write. The ids that a day of a
// list lacks become one new entry, however many they are. Nothing is remembered
// between pages: an operator may have cleared the lists meanwhile.
func (m *Messages) writeActivities(ctx context.Context, activities []archive.Activity) error {
	lines := linesOf(activities...)
	listed, err := m.listed(ctx, lines)
	if err != nil {
		return err
	}
	missing := make(map[dayList][]string)
	for _, l := range lines {
		if !listed[l] {
			missing[l.of] = append(missing[l.of], l.id)
		}
	}
	var items []item
	for of, ids := range missing {
		entries, err := encodeEntries(of, ids)
		if err != nil {
			return err
		}
		items = append(items, entries...)
	}
	return m.writeAll(ctx, m.client, puts(items))
}

// listed returns the lines that the lists have: of those given, and possibly
// others of the same days. Most pages have one line of a party's day, and most
// often an entry of its own holds it; these entries are read together in batches.
// For a day that needs more, all its entries are read.
func (m *Messages) listed(ctx context.Context, lines []line) (map[line]bool, error) {
	days := make(map[dayList][]line)
	for _, l := range lines {
		days[l.of] = append(days[l.of], l)
	}
	var alone []line
	var keys []item
	for of, said := range days {
		if len(said) > 1 {
			continue
		}
		it, err := encodeEntry(of, []string{said[0].id})
		if err != nil {
			return nil, err
		}
		alone, keys = append(alone, said[0]), append(keys, it)
	}
	stored, err := m.readByKey(ctx, keys)
	if err != nil {
		return nil, err
	}
	listed := make(map[line]bool)
	for i, l := range alone {
		if _, there := stored[fullKey(keys[i])]; there {
			listed[l] = true
			delete(days, l.of)
		}
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(daysAtOnce)
	for of := range days {
		group.Go(func() error {
			entries, err := collect(m.query(ctx, m.client, consistently(startingWith(of.pk, string(of.day)+"#"))), readEntry)
			if err != nil {
				return fmt.Errorf("reading the entries of a day: %w", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, e := range entries {
				for _, id := range e.ids {
					listed[line{of, id}] = true
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return listed, nil
}

// daysAtOnce bounds the requests for the entries of a day. It may be high: the
// answers are small, and a room may have two thousand members.
const daysAtOnce = 32

// readByKey reads the stored items with the keys of the given items.
func (m *Messages) readByKey(ctx context.Context, like []item) (map[[2]string]item, error) {
	keys := make([]item, len(like))
	for i, it := range like {
		keys[i] = item{"pk": it["pk"], "sk": it["sk"]}
	}
	stored, err := m.readAll(ctx, m.client, distinct(keys))
	if err != nil {
		return nil, err
	}
	byKey := make(map[[2]string]item, len(stored))
	for _, it := range stored {
		byKey[fullKey(it)] = it
	}
	return byKey, nil
}

// encodeEntries makes one entry of the ids, or several entries where one would
// be over [entryBytes].
func encodeEntries(of dayList, ids []string) ([]item, error) {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	var items []item
	for len(ids) > 0 {
		n := 1
		for size := len(ids[0]); n < len(ids) && size+len(ids[n]) <= entryBytes; n++ {
			size += len(ids[n])
		}
		it, err := encodeEntry(of, ids[:n])
		if err != nil {
			return nil, err
		}
		items = append(items, it)
		ids = ids[n:]
	}
	return items, nil
}

func encodeEntry(of dayList, ids []string) (item, error) {
	if len(ids) == 1 {
		inKey, attributes := escapedPart(ids[0]), entryItem{}
		if isDigestPart(inKey) {
			attributes.ID = ids[0]
		}
		return encode(of.pk, string(of.day)+"#"+inKey, attributes)
	}
	sum := sha256.New()
	for _, id := range ids {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(id), id) // a hash never fails
	}
	// No id begins with '~'.
	return encode(of.pk, string(of.day)+"#~"+hex.EncodeToString(sum.Sum(nil)[:16]), entryItem{IDs: ids})
}

// entry is an entry, or a day with all its entries, after reading.
type entry struct {
	day archive.Day
	ids []string
}

func readEntry(it item) (entry, error) {
	attributes, err := readItem[entryItem](it)
	if err != nil {
		return entry{}, err
	}
	day, inKey, _ := strings.Cut(keyOf(it, "sk"), "#")
	e := entry{archive.Day(day), attributes.IDs}
	switch {
	case attributes.ID != "":
		e.ids = []string{attributes.ID}
	case len(e.ids) == 0:
		e.ids = []string{inKey}
	}
	return e, nil
}

// byDay puts the entries of each day together. The items are in the order of
// their keys or its reverse.
func byDay(items iter.Seq2[item, error]) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		var day entry
		for it, err := range items {
			var e entry
			if err == nil {
				e, err = readEntry(it)
			}
			switch {
			case err != nil:
				yield(entry{}, err)
				return
			case day.ids == nil:
				day = e
			case day.day == e.day:
				day.ids = append(day.ids, e.ids...)
			case !yield(day, nil):
				return
			default:
				day = e
			}
		}
		if day.ids != nil {
			yield(day, nil)
		}
	}
}

// listPageEntries is the number of entries that a request for days of a list
// reads. It suffices for nearly every day and reads little beyond it.
const listPageEntries = 100

// ActiveDays lists the newest days on which the party was active, newest first,
// at most limit, each with all conversations. An upTo that is not empty is the
// latest day allowed.
func (m *Messages) ActiveDays(ctx context.Context, corp, party string, upTo archive.Day, limit int) ([]archive.ActiveDay, error) {
	hi := ":" // after all digits
	if upTo != "" {
		hi = string(upTo) + "$" // after '#'
	}
	in := dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk AND sk < :hi"),
		ExpressionAttributeValues: item{":pk": text(partyPK(corp, party)), ":hi": text(hi)},
	}
	in.ScanIndexForward = aws.Bool(false)
	in.Limit = aws.Int32(int32(listPageEntries * limit))
	var days []archive.ActiveDay
	for e, err := range byDay(m.query(ctx, m.client, in)) {
		if err != nil {
			return nil, fmt.Errorf("reading activity in corp %s: %w", corp, err)
		}
		slices.Sort(e.ids)
		day := archive.ActiveDay{Day: e.day}
		for _, id := range slices.Compact(e.ids) {
			day.Conversations = append(day.Conversations, archive.ConversationID(id))
		}
		if days = append(days, day); len(days) == limit {
			break
		}
	}
	return days, nil
}

// AttendedDays lists the days that q selects in the attendance of a room, in
// order. It reads the entries of all days between, which are small: one names
// every party that a page brought.
func (m *Messages) AttendedDays(ctx context.Context, corp string, room archive.ConversationID, q archive.AttendanceQuery) ([]archive.Day, error) {
	if len(q.OneOf) == 0 || q.Limit < 1 {
		return nil, nil
	}
	lo, hi := "0", ":" // before and after all digits
	if q.From != "" {
		lo = string(q.From)
	}
	if q.To != "" {
		hi = string(q.To) + "$" // after '#'
	}
	if lo > hi {
		return nil, nil // DynamoDB refuses such a range
	}
	in := within(attendancePK(corp, room), lo, hi)
	in.ScanIndexForward = aws.Bool(!q.Descending)
	in.Limit = aws.Int32(listPageEntries)
	oneOf := make(map[string]bool, len(q.OneOf))
	for _, party := range q.OneOf {
		oneOf[attendanceID(party)] = true
	}
	var days []archive.Day
	for e, err := range byDay(m.query(ctx, m.client, in)) {
		if err != nil {
			return nil, fmt.Errorf("reading an attendance in corp %s: %w", corp, err)
		}
		if !slices.ContainsFunc(e.ids, func(id string) bool { return oneOf[id] }) || q.With != "" && !slices.Contains(e.ids, attendanceID(q.With)) {
			continue
		}
		if days = append(days, e.day); len(days) == q.Limit {
			break
		}
	}
	return days, nil
}
