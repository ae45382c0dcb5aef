package dynamostore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// MessagesClient is what [Messages] uses of the SDK's client.
type MessagesClient interface {
	queryClient
	batchGetClient
	batchWriteClient
	putClient
	Scan(context.Context, *dynamodb.ScanInput, ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error)
}

// Messages is the table of the view: messages, who was active when, and the
// rows that could not be decrypted. All of it can be made again from the
// journal (law 2).
//
// Reading messages and activity is eventually consistent: it may miss what
// was stored in the last second.
type Messages struct {
	table
	client MessagesClient
}

// NewMessages uses the table of that name.
func NewMessages(client MessagesClient, table string, options ...Option) *Messages {
	return &Messages{table: newTable(table, options), client: client}
}

var _ decode.ViewWriter = (*Messages)(nil)

// messageItem holds what the key does not say.
type messageItem struct {
	After      uint64 `dynamodbav:"after"`
	KeyVersion uint32 `dynamodbav:"kv"`
	MsgID      string `dynamodbav:"msgid,omitempty"` // only where the key holds its digest
	// Either raw, which may be empty, or sum and size.
	Raw  *[]byte `dynamodbav:"raw,omitempty"`
	Sum  string  `dynamodbav:"sum,omitempty"`
	Size int     `dynamodbav:"size,omitempty"`
}

// entryItem is an entry of a party's list: conversations of one day. The key
// says which, where it is one with an id that fits.
type entryItem struct {
	Conversation  archive.ConversationID   `dynamodbav:"conversation,omitempty"`  // one, of which the key holds a digest
	Conversations []archive.ConversationID `dynamodbav:"conversations,omitempty"` // several, sorted
}

type setAsideItem struct {
	Corp       string         `dynamodbav:"-"`
	Seq        uint64         `dynamodbav:"seq"`
	After      uint64         `dynamodbav:"after"`
	MsgID      string         `dynamodbav:"msgid"`
	KeyVersion uint32         `dynamodbav:"kv"`
	Reason     archive.Reason `dynamodbav:"reason"`
	Detail     string         `dynamodbav:"detail"`
	At         time.Time      `dynamodbav:"at"`
}

func conversationPK(corp string, conv archive.ConversationID) string {
	return corp + "#c#" + conversationPart(conv)
}

func partyPK(corp, party string) string { return corp + "#p#" + part(party) }

func setAsidePK(corp string) string { return corp + "#u" }

// positionSK is the beginning of the sort keys of the messages at a time with
// a msgid; what follows is the seq.
func positionSK(at time.Time, msgID string) (sk string, whole bool, err error) {
	ms, err := millis(at)
	if err != nil {
		return "", false, err
	}
	id, whole := msgIDPart(msgID)
	return ms + string(partEnd) + id + string(partEnd), whole, nil
}

func encodeMessage(m archive.Message) (item, error) {
	position, whole, err := positionSK(m.Time, m.MsgID)
	if err != nil {
		return nil, fmt.Errorf("message of seq %d: %w", m.Seq, err)
	}
	attributes := messageItem{After: m.After, KeyVersion: m.KeyVersion}
	if !whole {
		attributes.MsgID = m.MsgID
	}
	if m.Overflow != nil {
		attributes.Sum, attributes.Size = m.Overflow.Sum, m.Overflow.Size
	} else {
		raw := m.Raw
		if raw == nil {
			raw = []byte{}
		}
		attributes.Raw = &raw
	}
	return encode(conversationPK(m.Corp, m.Conversation), position+padded(m.Seq), attributes)
}

func decodeMessage(corp string, conv archive.ConversationID, it item) (archive.Message, error) {
	attributes, err := readItem[messageItem](it)
	if err != nil {
		return archive.Message{}, err
	}
	m := archive.Message{
		Corp: corp, Conversation: conv,
		After: attributes.After, KeyVersion: attributes.KeyVersion, MsgID: attributes.MsgID,
	}
	if m.Time, m.Seq, err = parseMessageSK(keyOf(it, "sk"), &m.MsgID); err != nil {
		return archive.Message{}, fmt.Errorf("item %s: %w", keyOf(it, "sk"), err)
	}
	if attributes.Raw != nil {
		m.Raw = *attributes.Raw
	} else {
		m.Overflow = &archive.Overflow{Sum: attributes.Sum, Size: attributes.Size}
	}
	return m, nil
}

// parseMessageSK reads <ms>!<msgid>!<seq>. It leaves a msgid alone that is
// known from the item.
func parseMessageSK(sk string, msgID *string) (at time.Time, seq uint64, err error) {
	parts := strings.Split(sk, string(partEnd))
	if len(parts) != 3 {
		return at, 0, archive.ErrCorrupt
	}
	if at, err = parseMillis(parts[0]); err != nil {
		return at, 0, err
	}
	if *msgID == "" {
		if *msgID, err = parseMsgIDPart(parts[1]); err != nil {
			return at, 0, err
		}
	}
	if seq, err = strconv.ParseUint(parts[2], 10, 64); err != nil {
		return at, 0, archive.ErrCorrupt
	}
	return at, seq, nil
}

// WritePage implements [decode.ViewWriter]. Each kind is durable before the
// next begins: after a crash an entry in a party's list never names a
// conversation without its messages.
func (m *Messages) WritePage(ctx context.Context, p decode.Decoded) error {
	if err := onlyOf(p); err != nil {
		return err
	}
	if err := m.writeMessages(ctx, p.Messages); err != nil {
		return fmt.Errorf("storing messages of corp %s: %w", p.Corp, err)
	}
	if err := m.writeRevocations(ctx, p.Revocations); err != nil {
		return fmt.Errorf("storing revocations of corp %s: %w", p.Corp, err)
	}
	if err := m.writeActivities(ctx, p.Activities); err != nil {
		return fmt.Errorf("storing activities of corp %s: %w", p.Corp, err)
	}
	if err := m.writeSetAside(ctx, p); err != nil {
		return fmt.Errorf("setting aside rows of corp %s: %w", p.Corp, err)
	}
	if err := m.writeFirstSeen(ctx, p.Corp, p.FirstSeen); err != nil {
		return fmt.Errorf("storing what corp %s has seen: %w", p.Corp, err)
	}
	return nil
}

// onlyOf refuses a page with anything of another corp in it (law 8).
func onlyOf(p decode.Decoded) error {
	if slices.ContainsFunc(p.Messages, func(m archive.Message) bool { return m.Corp != p.Corp }) ||
		slices.ContainsFunc(p.Revocations, func(r archive.Revocation) bool { return r.Corp != p.Corp }) ||
		slices.ContainsFunc(p.Activities, func(a archive.Activity) bool { return a.Corp != p.Corp }) ||
		slices.ContainsFunc(p.SetAside, func(u archive.SetAside) bool { return u.Corp != p.Corp }) ||
		slices.ContainsFunc(p.FirstSeen, func(k decode.FirstSeen) bool { return k.Corp != p.Corp }) {
		return fmt.Errorf("a page of corp %s holds something of another corp", p.Corp)
	}
	return nil
}

func (m *Messages) writeMessages(ctx context.Context, messages []archive.Message) error {
	var items []item
	for _, msg := range messages {
		it, err := encodeMessage(msg)
		if err != nil {
			return err
		}
		items = append(items, it)
	}
	return m.writeAll(ctx, m.client, puts(distinct(items)))
}

// writeActivities reads before it writes: nearly all that a page says is in
// the lists already, and a read costs a fifth of a write. What a party's list
// lacks of a day becomes one entry, however many conversations it is, and is
// never changed after: its key says what it holds. What is known to be there
// is not remembered between pages, because it may have been cleared.
func (m *Messages) writeActivities(ctx context.Context, activities []archive.Activity) error {
	listed, err := m.listed(ctx, activities)
	if err != nil {
		return err
	}
	missing := make(map[partyDay][]archive.ConversationID)
	for _, a := range activities {
		if !listed[a] {
			missing[dayOf(a)] = append(missing[dayOf(a)], a.Conversation)
		}
	}
	var items []item
	for of, conversations := range missing {
		entries, err := encodeEntries(of, conversations)
		if err != nil {
			return err
		}
		items = append(items, entries...)
	}
	return m.writeAll(ctx, m.client, puts(items))
}

// partyDay names the entries of a party's list that are of one day.
type partyDay struct {
	corp, party string
	day         archive.Day
}

func dayOf(a archive.Activity) partyDay { return partyDay{a.Corp, a.Party, a.Day} }

// listed are the activities that the lists have, among those given and others
// of their days. Most pages say one thing of a party's day, which most often
// was written by itself: such entries are looked up together. Only of the other
// days all entries are read.
func (m *Messages) listed(ctx context.Context, activities []archive.Activity) (map[archive.Activity]bool, error) {
	days := make(map[partyDay][]archive.Activity)
	for _, a := range activities {
		days[dayOf(a)] = append(days[dayOf(a)], a)
	}
	var alone []archive.Activity
	var keys []item
	for of, said := range days {
		if len(said) > 1 {
			continue
		}
		it, err := encodeEntry(of, []archive.ConversationID{said[0].Conversation})
		if err != nil {
			return nil, err
		}
		alone, keys = append(alone, said[0]), append(keys, it)
	}
	stored, err := m.readByKey(ctx, keys)
	if err != nil {
		return nil, err
	}
	listed := make(map[archive.Activity]bool)
	for i, a := range alone {
		if _, there := stored[fullKey(keys[i])]; there {
			listed[a] = true
			delete(days, dayOf(a))
		}
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(daysAtOnce)
	for of := range days {
		group.Go(func() error {
			entries, err := collect(m.query(ctx, m.client, consistently(startingWith(partyPK(of.corp, of.party), string(of.day)+"#"))), readEntry)
			if err != nil {
				return fmt.Errorf("reading what is listed of a day: %w", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, e := range entries {
				for _, conv := range e.conversations {
					listed[archive.Activity{Corp: of.corp, Party: of.party, Day: of.day, Conversation: conv}] = true
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

// daysAtOnce bounds the requests for what is listed of a day, which are small:
// a room may have two thousand members.
const daysAtOnce = 32

// readByKey reads the items that have the keys of those given.
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

// entryBytes is about the most that an entry holds; DynamoDB takes 400 KB.
const entryBytes = 100 << 10

// encodeEntries makes the entry of conversations, or several if they are too
// much for one item.
func encodeEntries(of partyDay, conversations []archive.ConversationID) ([]item, error) {
	slices.Sort(conversations)
	conversations = slices.Compact(conversations)
	var items []item
	for len(conversations) > 0 {
		n := 1
		for size := len(conversations[0]); n < len(conversations) && size+len(conversations[n]) <= entryBytes; n++ {
			size += len(conversations[n])
		}
		it, err := encodeEntry(of, conversations[:n])
		if err != nil {
			return nil, err
		}
		items = append(items, it)
		conversations = conversations[n:]
	}
	return items, nil
}

func encodeEntry(of partyDay, conversations []archive.ConversationID) (item, error) {
	if len(conversations) == 1 {
		conv, attributes := conversationPart(conversations[0]), entryItem{}
		if isDigestPart(conv) {
			attributes.Conversation = conversations[0]
		}
		return encode(partyPK(of.corp, of.party), string(of.day)+"#"+conv, attributes)
	}
	sum := sha256.New()
	for _, conv := range conversations {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(conv), conv) // a hash never fails
	}
	// No conversation's id begins with '~'.
	return encode(partyPK(of.corp, of.party), string(of.day)+"#~"+hex.EncodeToString(sum.Sum(nil)[:16]), entryItem{Conversations: conversations})
}

func (m *Messages) writeSetAside(ctx context.Context, p decode.Decoded) error {
	var items []item
	for _, u := range p.SetAside {
		it, err := encode(setAsidePK(u.Corp), padded(u.Seq), setAsideItem(u))
		if err != nil {
			return err
		}
		items = append(items, it)
	}
	if err := m.writeAll(ctx, m.client, puts(distinct(items))); err != nil {
		return err
	}
	var cleared []item
	for _, seq := range p.Cleared {
		cleared = append(cleared, key(setAsidePK(p.Corp), padded(seq)))
	}
	return m.writeAll(ctx, m.client, deletes(distinct(cleared)))
}

// distinct drops items with the key of an earlier one.
func distinct(items []item) []item {
	seen := make(map[[2]string]bool, len(items))
	return slices.DeleteFunc(items, func(it item) bool {
		k := fullKey(it)
		if seen[k] {
			return true
		}
		seen[k] = true
		return false
	})
}

func fullKey(it item) [2]string { return [2]string{keyOf(it, "pk"), keyOf(it, "sk")} }

func readSetAside(corp string) func(item) (archive.SetAside, error) {
	return func(it item) (archive.SetAside, error) {
		u, err := readItem[setAsideItem](it)
		u.Corp = corp
		return archive.SetAside(u), err
	}
}

// SetAside implements [decode.ViewWriter], reading consistently.
func (m *Messages) SetAside(ctx context.Context, corp string, first, last uint64) ([]archive.SetAside, error) {
	if first > last {
		return nil, nil // DynamoDB refuses a range whose ends are swapped
	}
	in := consistently(within(setAsidePK(corp), padded(first), padded(last)))
	all, err := collect(m.query(ctx, m.client, in), readSetAside(corp))
	if err != nil {
		return nil, fmt.Errorf("listing rows set aside of corp %s: %w", corp, err)
	}
	return all, nil
}

// ListSetAside lists rows set aside with a seq above afterSeq, by seq, at
// most limit, and whether there are more.
func (m *Messages) ListSetAside(ctx context.Context, corp string, afterSeq uint64, limit int) (_ []archive.SetAside, more bool, _ error) {
	if afterSeq == math.MaxUint64 || limit < 1 {
		return nil, false, nil
	}
	in := within(setAsidePK(corp), padded(afterSeq+1), padded(math.MaxUint64))
	all, err := collect(atMost(limit+1, m.query(ctx, m.client, in)), readSetAside(corp))
	if err != nil {
		return nil, false, fmt.Errorf("listing records set aside of corp %s: %w", corp, err)
	}
	if len(all) > limit {
		return all[:limit], true, nil
	}
	return all, false, nil
}

// Messages lists messages of a conversation in the order of [archive.Position]
// or its reverse, and says whether there are more in that direction. A msgid
// that is stored under several seqs is listed once, with the lowest; messages
// without one are told apart by their seqs. A conversation that does not exist
// has none.
//
// Messages kept as blobs count as nothing in q.MaxBytes, 0 of which is no
// limit. A q.Start at which no message can be is [archive.ErrNotFound].
func (m *Messages) Messages(ctx context.Context, corp string, conv archive.ConversationID, q archive.MessageQuery) (_ []archive.Message, more bool, _ error) {
	fail := func(err error) ([]archive.Message, bool, error) {
		return nil, false, fmt.Errorf("listing messages of corp %s: %w", corp, err)
	}
	lo, hi, err := bounds(q)
	if err != nil {
		return fail(err)
	}
	if lo > hi || q.Limit < 1 {
		return nil, false, nil
	}
	in := within(conversationPK(corp, conv), lo, hi)
	in.ScanIndexForward = aws.Bool(!q.Descending)
	// One more than asked for tells whether there are more; a msgid under two
	// seqs, which is rare, costs another request.
	in.Limit = aws.Int32(int32(min(q.Limit, 1000) + 1))

	var list []archive.Message
	size := 0
	for msg, err := range lowestSeqs(m.messages(ctx, corp, conv, in)) {
		if err != nil {
			return fail(err)
		}
		size += len(msg.Raw)
		if len(list) == q.Limit || len(list) > 0 && q.MaxBytes > 0 && size > q.MaxBytes {
			return list, true, nil
		}
		list = append(list, msg)
	}
	return list, false, nil
}

// messages runs a Query of messages.
func (m *Messages) messages(ctx context.Context, corp string, conv archive.ConversationID, in dynamodb.QueryInput) iter.Seq2[archive.Message, error] {
	return func(yield func(archive.Message, error) bool) {
		for it, err := range m.query(ctx, m.client, in) {
			var msg archive.Message
			if err == nil {
				msg, err = decodeMessage(corp, conv, it)
			}
			if !yield(msg, err) || err != nil {
				return
			}
		}
	}
}

// lowestSeqs merges neighbours at one position.
func lowestSeqs(messages iter.Seq2[archive.Message, error]) iter.Seq2[archive.Message, error] {
	return func(yield func(archive.Message, error) bool) {
		var held *archive.Message
		for msg, err := range messages {
			switch {
			case err != nil:
				yield(archive.Message{}, err)
				return
			case held == nil:
			case held.Position().Compare(msg.Position()) == 0:
				if held.Seq < msg.Seq {
					continue
				}
			case !yield(*held, nil):
				return
			}
			held = &msg
		}
		if held != nil {
			yield(*held, nil)
		}
	}
}

// bounds are the lowest and highest sort key that q allows. If the lowest is
// above the highest there are none.
func bounds(q archive.MessageQuery) (lo, hi string, err error) {
	lo, hi = "0", ":" // before and after all digits
	if !q.From.IsZero() {
		lo = millisFrom(q.From)
	}
	if !q.To.IsZero() {
		// A message of this millisecond has a longer key, which is above.
		hi = millisFrom(q.To)
	}
	if q.Start == nil {
		return lo, hi, nil
	}
	start, _, err := positionSK(q.Start.Time, q.Start.MsgID)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", archive.ErrNotFound, err)
	}
	switch seq := q.Start.Seq; {
	case q.Start.MsgID == "" && q.Descending && seq > 0:
		return lo, min(hi, start+padded(seq-1)), nil
	case q.Start.MsgID == "" && !q.Descending:
		return max(lo, start+padded(seq)+string(partEnd)), hi, nil
	case q.Descending:
		// Below all seqs of the position, above all positions before it.
		return lo, min(hi, start), nil
	}
	// Above all seqs of the position, below all that its msgid begins.
	return max(lo, strings.TrimSuffix(start, string(partEnd))+string(escape)), hi, nil
}

// millisFrom is the key of the first millisecond that is not before t, of
// those that keys can have.
func millisFrom(t time.Time) string {
	ms := t.Add(time.Millisecond - time.Nanosecond).UnixMilli()
	return fmt.Sprintf("%0*d", millisDigits, min(max(ms, 0), maxMillis))
}

// Message reads the message at a position, with the lowest seq if there are
// several; [archive.ErrNotFound].
func (m *Messages) Message(ctx context.Context, corp string, conv archive.ConversationID, at archive.Position) (archive.Message, error) {
	position, _, err := positionSK(at.Time, at.MsgID)
	if err != nil {
		// No message can be stored there.
		return archive.Message{}, fmt.Errorf("%w: %w", archive.ErrNotFound, err)
	}
	if at.MsgID == "" {
		position += padded(at.Seq)
	}
	in := startingWith(conversationPK(corp, conv), position)
	in.Limit = aws.Int32(1)
	for msg, err := range m.messages(ctx, corp, conv, in) {
		if err != nil {
			return archive.Message{}, fmt.Errorf("reading a message of corp %s: %w", corp, err)
		}
		return msg, nil
	}
	return archive.Message{}, fmt.Errorf("message of corp %s: %w", corp, archive.ErrNotFound)
}

// Newest reads the last message of a conversation; [archive.ErrNotFound] if
// it has none.
func (m *Messages) Newest(ctx context.Context, corp string, conv archive.ConversationID) (archive.Message, error) {
	list, _, err := m.Messages(ctx, corp, conv, archive.MessageQuery{Descending: true, Limit: 1})
	if err != nil {
		return archive.Message{}, err
	}
	if len(list) == 0 {
		return archive.Message{}, fmt.Errorf("newest message of corp %s: %w", corp, archive.ErrNotFound)
	}
	return list[0], nil
}

// activityPage is how many entries a request for a party's latest day reads:
// enough for nearly every day, and little of the day before.
const activityPage = 100

// LatestDay finds the newest day on which the party was active, not later than
// upTo unless that is empty, and all its conversations of that day, sorted;
// [archive.ErrNotFound] if there is none.
func (m *Messages) LatestDay(ctx context.Context, corp, party string, upTo archive.Day) (archive.Day, []archive.ConversationID, error) {
	hi := ":" // after all digits
	if upTo != "" {
		hi = string(upTo) + "$" // after '#'
	}
	in := dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :pk AND sk < :hi"),
		ExpressionAttributeValues: item{":pk": text(partyPK(corp, party)), ":hi": text(hi)},
	}
	in.ScanIndexForward = aws.Bool(false)
	in.Limit = aws.Int32(activityPage)
	var latest archive.Day
	var conversations []archive.ConversationID
	for it, err := range m.query(ctx, m.client, in) {
		var e entry
		if err == nil {
			e, err = readEntry(it)
		}
		if err != nil {
			return "", nil, fmt.Errorf("reading activity in corp %s: %w", corp, err)
		}
		if latest != "" && e.day != latest {
			break
		}
		latest = e.day
		conversations = append(conversations, e.conversations...)
	}
	if latest == "" {
		return "", nil, fmt.Errorf("activity in corp %s: %w", corp, archive.ErrNotFound)
	}
	slices.Sort(conversations)
	return latest, slices.Compact(conversations), nil
}

// entry is an entry of a party's list as it is read.
type entry struct {
	day           archive.Day
	conversations []archive.ConversationID
}

func readEntry(it item) (entry, error) {
	attributes, err := readItem[entryItem](it)
	if err != nil {
		return entry{}, err
	}
	day, conv, _ := strings.Cut(keyOf(it, "sk"), "#")
	e := entry{archive.Day(day), attributes.Conversations}
	switch {
	case attributes.Conversation != "":
		e.conversations = []archive.ConversationID{attributes.Conversation}
	case len(e.conversations) == 0:
		e.conversations = []archive.ConversationID{archive.ConversationID(conv)}
	}
	return e, nil
}

// Clear removes a corp's whole view, for a rebuild from nothing, and calls
// removed, if that is not nil, with the number of items after every part of it.
// Of a page that is decoded meanwhile part may be removed too: let all pages be
// decoded again after it.
//
// No item lists a corp's conversations and parties, so this reads the whole
// table, of all corps: it is for an operator with time and rights, and no
// function has the permission to Scan. After an error, part may be gone; do it
// again.
func (m *Messages) Clear(ctx context.Context, corp string, removed func(items int)) error {
	fail := func(err error) error { return fmt.Errorf("clearing the view of corp %s: %w", corp, err) }
	scan := dynamodb.NewScanPaginator(m.client, &dynamodb.ScanInput{
		TableName:                 &m.name,
		FilterExpression:          aws.String("begins_with(pk, :corp)"),
		ExpressionAttributeValues: item{":corp": text(corp + "#")},
		ProjectionExpression:      aws.String("pk, sk"),
		ConsistentRead:            aws.Bool(true),
		ReturnConsumedCapacity:    m.capacity(),
	})
	for scan.HasMorePages() {
		page, err := scan.NextPage(ctx)
		if err != nil {
			return fail(err)
		}
		m.read("Scan", one(page.ConsumedCapacity))
		if err := m.writeAll(ctx, m.client, deletes(page.Items)); err != nil {
			return fail(err)
		}
		if removed != nil && len(page.Items) > 0 {
			removed(len(page.Items))
		}
	}
	return nil
}
