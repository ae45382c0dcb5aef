package dynamostore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
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

// MessagesClient lists the methods of the SDK's client that [Messages] calls.
type MessagesClient interface {
	queryClient
	batchGetClient
	batchWriteClient
	putClient
	Scan(context.Context, *dynamodb.ScanInput, ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error)
}

// Messages is the table of the view: messages, revocations, the lists of active
// parties, and the records set aside. All of it can be rebuilt from the journal
// (law 2).
//
// Reading messages and activity is eventually consistent: a read may miss items
// that were stored in the last second.
type Messages struct {
	table
	client MessagesClient
}

// NewMessages uses the table of that name.
func NewMessages(client MessagesClient, table string, options ...Option) *Messages {
	return &Messages{table: newTable(table, options), client: client}
}

var _ decode.ViewWriter = (*Messages)(nil)

// messageItem holds the fields of a message that its key lacks.
type messageItem struct {
	After      uint64 `dynamodbav:"after"`
	KeyVersion uint32 `dynamodbav:"kv"`
	MsgID      string `dynamodbav:"msgid,omitempty"` // only where the key holds a digest of the msgid
	// A message has either raw, which may be empty, or sum and size.
	Raw  *[]byte `dynamodbav:"raw,omitempty"`
	Sum  string  `dynamodbav:"sum,omitempty"`
	Size int     `dynamodbav:"size,omitempty"`
}

// entryItem is an entry of a party's list: one or several conversations of one
// day. Both fields are empty where the key holds the id of the one conversation.
type entryItem struct {
	Conversation  archive.ConversationID   `dynamodbav:"conversation,omitempty"`  // set where the key holds a digest of this id
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

// positionSK is the beginning of the sort keys of all messages with this time and
// msgid. The seq follows.
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

// parseMessageSK reads <ms>!<msgid>!<seq>. It keeps *msgID unless that is empty:
// then the item holds no msgid, and the key does.
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

// WritePage implements [decode.ViewWriter]. It makes messages, revocations,
// lists, records set aside, first-seen types and the change durable in this order. After a
// crash between two of them, the earlier ones are stored, the page is still
// pending, and the next try writes the same items again. So a party's list never
// names a conversation whose messages are missing.
func (m *Messages) WritePage(ctx context.Context, p decode.Decoded) error {
	if err := onlyOf(p); err != nil {
		return err
	}
	if err := m.writeMessages(ctx, p.Messages); err != nil {
		return fmt.Errorf("store messages of corp %s: %w", p.Corp, err)
	}
	if err := m.writeRevocations(ctx, p.Revocations); err != nil {
		return fmt.Errorf("store revocations of corp %s: %w", p.Corp, err)
	}
	if err := m.writeActivities(ctx, p); err != nil {
		return fmt.Errorf("store activities of corp %s: %w", p.Corp, err)
	}
	if err := m.writeSetAside(ctx, p); err != nil {
		return fmt.Errorf("store records set aside of corp %s: %w", p.Corp, err)
	}
	if err := m.writeFirstSeen(ctx, p.Corp, p.FirstSeen); err != nil {
		return fmt.Errorf("store the first-seen types of corp %s: %w", p.Corp, err)
	}
	if p.Change.At.IsZero() {
		return nil
	}
	if err := m.noteChange(ctx, p.Corp, p.Change); err != nil {
		return fmt.Errorf("note a change of corp %s: %w", p.Corp, err)
	}
	return nil
}

// onlyOf refuses a page that holds anything of another corp (law 8).
func onlyOf(p decode.Decoded) error {
	if slices.ContainsFunc(p.Messages, func(m archive.Message) bool { return m.Corp != p.Corp }) ||
		slices.ContainsFunc(p.Revocations, func(r archive.Revocation) bool { return r.Corp != p.Corp }) ||
		slices.ContainsFunc(p.Activities, func(a archive.Activity) bool { return a.Corp != p.Corp }) ||
		slices.ContainsFunc(p.SetAside, func(u archive.SetAside) bool { return u.Corp != p.Corp }) ||
		slices.ContainsFunc(p.FirstSeen, func(k decode.FirstSeen) bool { return k.Corp != p.Corp }) {
		return fmt.Errorf("page of corp %s refused: it holds items of another corp", p.Corp)
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

// writeActivities reads before it writes: the lists already hold nearly every
// activity of a page, and a read costs a fifth of a write. The conversations that
// a party's list lacks for a day become one new entry, however many they are. An
// entry never changes, because its key follows from its content. Nothing is
// remembered between pages: an operator may have cleared the lists meanwhile.
//
// On a long day of a member, chats with customers become moves, see [Messages.Moves].
func (m *Messages) writeActivities(ctx context.Context, p decode.Decoded) error {
	lists, err := m.lists(ctx, p.Activities)
	if err != nil {
		return err
	}
	missing := make(map[partyDay][]archive.ConversationID)
	for _, a := range p.Activities {
		if !lists.listed[a] {
			missing[dayOf(a)] = append(missing[dayOf(a)], a.Conversation)
		}
	}
	newest := newestOf(p.Messages)
	moved := make(map[archive.Activity]bool)
	var items []item
	for of, conversations := range missing {
		slices.Sort(conversations)
		listed, moves := splitMissing(of, slices.Compact(conversations), lists.held[of], newest)
		for _, move := range moves {
			moved[archive.Activity{Corp: of.corp, Party: of.party, Day: of.day, Conversation: move.Conversation}] = true
		}
		entries, err := encodeEntries(of, listed)
		if err != nil {
			return err
		}
		inOrder, err := encodeMoves(of, moves)
		if err != nil {
			return err
		}
		items = append(append(items, entries...), inOrder...)
	}
	ofCorp, err := corpDayEntries(p.Activities, lists, moved)
	if err != nil {
		return err
	}
	if err := m.writeAll(ctx, m.client, puts(ofCorp)); err != nil {
		return err
	}
	// The entries of the corp's days come first: after a crash here the parties' lists
	// still lack the activities, so the next try writes these entries again.
	return m.writeAll(ctx, m.client, puts(items))
}

// partyDay names the entries of one day in a party's list.
type partyDay struct {
	corp, party string
	day         archive.Day
}

func dayOf(a archive.Activity) partyDay { return partyDay{a.Corp, a.Party, a.Day} }

// partyLists is what parties' lists hold of some days.
type partyLists struct {
	listed map[archive.Activity]bool
	held   map[partyDay]int // how many conversations each day holds that was read whole
}

// lists returns which of the activities the parties' lists hold, and possibly other
// activities of the same days. For most parties and days, a page has one activity,
// and the list mostly has an entry for it alone. So these entries are read first,
// together in batches. If a day needs more, all its entries are read.
func (m *Messages) lists(ctx context.Context, activities []archive.Activity) (partyLists, error) {
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
			return partyLists{}, err
		}
		alone, keys = append(alone, said[0]), append(keys, it)
	}
	stored, err := m.readByKey(ctx, keys)
	if err != nil {
		return partyLists{}, err
	}
	listed, held := make(map[archive.Activity]bool), make(map[partyDay]int)
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
				return fmt.Errorf("read the entries of a day: %w", err)
			}
			mu.Lock()
			defer mu.Unlock()
			n := 0
			for _, e := range entries {
				n += len(e.conversations)
				for _, conv := range e.conversations {
					listed[archive.Activity{Corp: of.corp, Party: of.party, Day: of.day, Conversation: conv}] = true
				}
			}
			held[of] = n
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return partyLists{}, err
	}
	return partyLists{listed, held}, nil
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

// encodeEntries makes one entry of the conversations, which are sorted, or several
// entries where one would be over [entryBytes].
func encodeEntries(of partyDay, conversations []archive.ConversationID) ([]item, error) {
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

// distinct drops every item that has the key of an earlier item.
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
		return nil, nil // DynamoDB refuses such a range
	}
	in := consistently(within(setAsidePK(corp), padded(first), padded(last)))
	all, err := collect(m.query(ctx, m.client, in), readSetAside(corp))
	if err != nil {
		return nil, fmt.Errorf("list records set aside of corp %s: %w", corp, err)
	}
	return all, nil
}

// ListSetAside lists records set aside with a seq above afterSeq, by seq, at most
// limit, and says whether more follow.
func (m *Messages) ListSetAside(ctx context.Context, corp string, afterSeq uint64, limit int) (_ []archive.SetAside, more bool, _ error) {
	if afterSeq == math.MaxUint64 || limit < 1 {
		return nil, false, nil
	}
	in := within(setAsidePK(corp), padded(afterSeq+1), padded(math.MaxUint64))
	all, err := collect(m.first(ctx, m.client, limit+1, in), readSetAside(corp))
	if err != nil {
		return nil, false, fmt.Errorf("list records set aside of corp %s: %w", corp, err)
	}
	if len(all) > limit {
		return all[:limit], true, nil
	}
	return all, false, nil
}

// Messages lists messages of a conversation in the order of [archive.Position] or
// its reverse, and says whether more follow in that direction. A msgid that is
// stored under several seqs is listed once, with its lowest seq; messages without
// a msgid are distinct if their seqs are. An unknown conversation has no messages.
//
// q.MaxBytes does not count messages kept as blobs; 0 means no limit. A q.Start
// whose time fits no key is [archive.ErrNotFound].
func (m *Messages) Messages(ctx context.Context, corp string, conv archive.ConversationID, q archive.MessageQuery) (_ []archive.Message, more bool, _ error) {
	fail := func(err error) ([]archive.Message, bool, error) {
		return nil, false, fmt.Errorf("list messages of corp %s: %w", corp, err)
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
	// One message above the limit shows whether more follow, and the one after it that
	// no lower seq has its position. A msgid under two seqs, which is rare, costs
	// another request.
	in.Limit = aws.Int32(int32(min(q.Limit, 1000) + 2))

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

// lowestSeqs keeps the message with the lowest seq of all messages at one
// position.
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

// bounds returns the lowest and the highest sort key that q allows. If the lowest
// is above the highest, q allows no key.
func bounds(q archive.MessageQuery) (lo, hi string, err error) {
	lo, hi = "0", ":" // before and after all digits
	if !q.From.IsZero() {
		lo = millisFrom(q.From)
	}
	if !q.To.IsZero() {
		// The keys of messages of this millisecond are longer, so they sort above hi.
		hi = millisFrom(q.To)
	}
	if q.Start == nil {
		return lo, hi, nil
	}
	start, _, err := positionSK(q.Start.Time, q.Start.MsgID)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", archive.ErrNotFound, err)
	}
	// below is the highest key under the keys of the position, and first the lowest
	// key of the position; last and above are the same at its end. A message without
	// a msgid has one key, and any other has one for each of its seqs.
	below, first, last, above := start, start, start, start
	if q.Start.MsgID == "" {
		first = start + padded(q.Start.Seq)
		last, above = first, first+string(partEnd)
		if q.Start.Seq > 0 {
			below = start + padded(q.Start.Seq-1)
		}
	} else {
		// This is above all seqs of the position, and below every msgid that begins
		// with the position's msgid.
		last = strings.TrimSuffix(start, string(partEnd)) + string(escape)
		above = last
	}
	switch {
	case q.Descending && q.Including:
		return lo, min(hi, last), nil
	case q.Descending:
		return lo, min(hi, below), nil
	case q.Including:
		return max(lo, first), hi, nil
	}
	return max(lo, above), hi, nil
}

// millisFrom is the form in keys of the first millisecond at or after t, limited
// to the times that keys can have.
func millisFrom(t time.Time) string {
	ms := t.Add(time.Millisecond - time.Nanosecond).UnixMilli()
	return fmt.Sprintf("%0*d", millisDigits, min(max(ms, 0), maxMillis))
}

// Message reads the message at a position; [archive.ErrNotFound] if it is absent.
// Of several messages at the position it reads the one with the lowest seq.
func (m *Messages) Message(ctx context.Context, corp string, conv archive.ConversationID, at archive.Position) (archive.Message, error) {
	position, _, err := positionSK(at.Time, at.MsgID)
	if err != nil {
		// No message has this time, because no key can have it.
		return archive.Message{}, fmt.Errorf("%w: %w", archive.ErrNotFound, err)
	}
	if at.MsgID == "" {
		position += padded(at.Seq)
	}
	in := startingWith(conversationPK(corp, conv), position)
	in.Limit = aws.Int32(1)
	for msg, err := range m.messages(ctx, corp, conv, in) {
		if err != nil {
			return archive.Message{}, fmt.Errorf("read a message of corp %s: %w", corp, err)
		}
		return msg, nil
	}
	return archive.Message{}, fmt.Errorf("message of corp %s: %w", corp, archive.ErrNotFound)
}

// Newest reads the last message of a conversation; [archive.ErrNotFound] if the
// conversation has no messages.
func (m *Messages) Newest(ctx context.Context, corp string, conv archive.ConversationID) (archive.Message, error) {
	in := partition(conversationPK(corp, conv))
	in.ScanIndexForward = aws.Bool(false)
	in.Limit = aws.Int32(2) // the second one has another position, except if a msgid has two seqs
	for msg, err := range lowestSeqs(m.messages(ctx, corp, conv, in)) {
		if err != nil {
			return archive.Message{}, fmt.Errorf("read the newest message of corp %s: %w", corp, err)
		}
		return msg, nil
	}
	return archive.Message{}, fmt.Errorf("newest message of corp %s: %w", corp, archive.ErrNotFound)
}

// NamesPerson implements [directory.Witness].
func (m *Messages) NamesPerson(ctx context.Context, corp, id string) (bool, error) {
	return m.has(ctx, partyPK(corp, id))
}

// NamesRoom implements [directory.Witness].
func (m *Messages) NamesRoom(ctx context.Context, corp, id string) (bool, error) {
	return m.has(ctx, conversationPK(corp, archive.RoomConversation(id)))
}

// has reports whether a partition has an item. It reads a single one.
func (m *Messages) has(ctx context.Context, pk string) (bool, error) {
	for _, err := range m.first(ctx, m.client, 1, partition(pk)) {
		if err != nil {
			return false, fmt.Errorf("look for messages: %w", err)
		}
		return true, nil
	}
	return false, nil
}

// listPageEntries is the number of entries that a request for days of a list reads. It
// suffices for nearly every day and reads little beyond it.
const listPageEntries = 100

// ActiveDays lists the newest days on which the party was active, newest first,
// at most limit, each with all the party's conversations of that day, sorted. An
// upTo that is not empty is the latest day allowed.
func (m *Messages) ActiveDays(ctx context.Context, corp, party string, upTo archive.Day, limit int) ([]archive.ActiveDay, error) {
	listed, err := m.ListedDays(ctx, corp, party, upTo, limit)
	if err != nil {
		return nil, err
	}
	moved, err := m.movedDays(ctx, corp, party, upTo, limit)
	if err != nil || len(moved) == 0 {
		return listed, err
	}
	days := append(listed, moved...)
	slices.SortStableFunc(days, func(x, y archive.ActiveDay) int { return cmp.Compare(y.Day, x.Day) })
	var all []archive.ActiveDay
	for _, day := range days {
		if n := len(all); n > 0 && all[n-1].Day == day.Day {
			all[n-1].Conversations = append(all[n-1].Conversations, day.Conversations...)
		} else {
			all = append(all, day)
		}
	}
	all = all[:min(len(all), limit)]
	for i := range all {
		slices.Sort(all[i].Conversations)
		all[i].Conversations = slices.Compact(all[i].Conversations)
	}
	return all, nil
}

// ListedDays is [Messages.ActiveDays] without the conversations that only
// [Messages.Moves] lists.
func (m *Messages) ListedDays(ctx context.Context, corp, party string, upTo archive.Day, limit int) ([]archive.ActiveDay, error) {
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
	for it, err := range m.query(ctx, m.client, in) {
		var e entry
		if err == nil {
			e, err = readEntry(it)
		}
		if err != nil {
			return nil, fmt.Errorf("read activity in corp %s: %w", corp, err)
		}
		if n := len(days); n == 0 || days[n-1].Day != e.day {
			if n == limit {
				break
			}
			days = append(days, archive.ActiveDay{Day: e.day})
		}
		day := &days[len(days)-1]
		day.Conversations = append(day.Conversations, e.conversations...)
	}
	for i := range days {
		slices.Sort(days[i].Conversations)
		days[i].Conversations = slices.Compact(days[i].Conversations)
	}
	return days, nil
}

// AttendedDays lists days that q selects, in its order. It reads a part of each
// party's list; rest is the first day that it has not searched, empty at the end
// of the lists.
func (m *Messages) AttendedDays(ctx context.Context, corp string, room archive.ConversationID, q archive.AttendanceQuery) (days []archive.Day, rest archive.Day, _ error) {
	parties := slices.Clone(q.OneOf)
	if q.With != "" {
		parties = append(parties, q.With)
	}
	parts := make([]attendance, len(parties))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(daysAtOnce)
	for i, party := range parties {
		group.Go(func() (err error) {
			parts[i], err = m.attendance(ctx, corp, party, room, q)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, "", fmt.Errorf("read activity in corp %s: %w", corp, err)
	}
	before := func(x, y archive.Day) bool { return q.Descending && x > y || !q.Descending && x < y }
	for _, p := range parts {
		if p.rest != "" && (rest == "" || before(p.rest, rest)) {
			rest = p.rest
		}
	}
	found := make(map[archive.Day]bool)
	for _, p := range parts[:len(q.OneOf)] {
		for day := range p.days {
			if (rest == "" || before(day, rest)) && (q.With == "" || parts[len(parts)-1].days[day]) {
				found[day] = true
			}
		}
	}
	days = slices.Sorted(maps.Keys(found))
	if q.Descending {
		slices.Reverse(days)
	}
	return days, rest, nil
}

// attendance holds the days on which a party took part in a room, as far as its
// list was read: rest is the first day that was not.
type attendance struct {
	days map[archive.Day]bool
	rest archive.Day
}

// attendance reads whole days of a party's list, until they name q.Depth
// conversations.
func (m *Messages) attendance(ctx context.Context, corp, party string, room archive.ConversationID, q archive.AttendanceQuery) (attendance, error) {
	a := attendance{days: make(map[archive.Day]bool)}
	lo, hi := "0", ":" // before and after all digits
	if q.From != "" {
		lo = string(q.From)
	}
	if q.To != "" {
		hi = string(q.To) + "$" // after '#'
	}
	if lo > hi {
		return a, nil // DynamoDB refuses such a range
	}
	in := within(partyPK(corp, party), lo, hi)
	in.ScanIndexForward = aws.Bool(!q.Descending)
	in.Limit = aws.Int32(int32(q.Depth + 1)) // one more shows where the last day ends
	var last archive.Day
	read := 0
	for it, err := range m.query(ctx, m.client, in) {
		var e entry
		if err == nil {
			e, err = readEntry(it)
		}
		if err != nil {
			return a, err
		}
		if read >= q.Depth && e.day != last {
			a.rest = e.day
			break
		}
		last, read = e.day, read+len(e.conversations)
		if slices.Contains(e.conversations, room) {
			a.days[e.day] = true
		}
	}
	return a, nil
}

// entry is an entry of a party's list after reading.
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

// Clear removes a corp's whole view, so that it can be rebuilt. After each part
// it calls removed, if that is not nil, with the number of items in the part.
// Clear may also remove items of a page that is decoded at the same time, so all
// pages must be decoded again afterwards.
//
// No item lists a corp's conversations and parties, so Clear reads the whole
// table, of all corps. It is for an operator: no function has the permission to
// Scan. After an error or a crash a part of the view is removed; call Clear again.
func (m *Messages) Clear(ctx context.Context, corp string, removed func(items int)) error {
	fail := func(err error) error { return fmt.Errorf("clear the view of corp %s: %w", corp, err) }
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
