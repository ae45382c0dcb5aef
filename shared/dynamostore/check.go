package dynamostore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

var _ decode.ViewChecker = (*Messages)(nil)

// Check implements [decode.ViewChecker]. It makes the items that storing the
// pages would make, and compares them with the stored items. It writes nothing.
//
// A read that may miss the newest writes costs half of a consistent one, and nearly
// every check finds no difference. So only a check that finds one reads
// consistently, and reports what it then finds.
func (m *Messages) Check(ctx context.Context, p decode.Decoded) (decode.Checked, error) {
	c, err := m.checkBy(ctx, eventually, p)
	if err == nil && !reflect.DeepEqual(c, decode.Checked{}) {
		c, err = m.checkBy(ctx, consistently, p)
	}
	if err != nil {
		return decode.Checked{}, fmt.Errorf("check a page of corp %s: %w", p.Corp, err)
	}
	return c, nil
}

// checkBy checks with one kind of reads of messages and markers.
func (m *Messages) checkBy(ctx context.Context, by reads, p decode.Decoded) (c decode.Checked, err error) {
	if c, err = m.checkMessages(ctx, by, p); err == nil {
		c.SetAsideMissing, c.SetAsideStale, err = m.checkSetAside(ctx, p)
	}
	if err == nil {
		c.NotRevoked, c.ExtraRevoked, err = m.checkRevocations(ctx, by, p)
	}
	if err == nil {
		c.NotInLists, err = m.checkLists(ctx, p)
	}
	return c, err
}

// checkMessages reads what is stored in the page's conversations within the
// page's time, and compares in both directions: the page's messages must be stored,
// and no other stored message may name the page as its origin or have one of its
// seqs.
func (m *Messages) checkMessages(ctx context.Context, by reads, p decode.Decoded) (decode.Checked, error) {
	keys := make([][2]string, len(p.Messages)) // by message
	want := make(map[[2]string]item, len(p.Messages))
	for i, msg := range p.Messages {
		it, err := encodeMessage(msg)
		if err != nil {
			return decode.Checked{}, err
		}
		keys[i] = fullKey(it)
		if want[keys[i]] == nil { // of two messages with one key, WritePage stores the first
			want[keys[i]] = it
		}
	}
	var c decode.Checked
	same := make(map[[2]string]bool, len(want))
	err := m.eachStored(ctx, by, p, func(it item) error {
		if w := want[fullKey(it)]; w != nil {
			same[fullKey(it)] = reflect.DeepEqual(it, w)
			return nil
		}
		seq, claims, err := claimsPage(it, p)
		if claims {
			c.Extra = append(c.Extra, seq)
		}
		return err
	})
	if err != nil {
		return decode.Checked{}, err
	}
	slices.Sort(c.Extra)
	for i, msg := range p.Messages {
		switch same, stored := same[keys[i]]; {
		case !stored:
			c.Missing = append(c.Missing, msg.Seq)
		case !same:
			c.Differing = append(c.Differing, msg.Seq)
		}
	}
	return c, nil
}

// eachStored calls visit with every message stored in the page's conversations
// within the page's time, one call at a time and in no order.
func (m *Messages) eachStored(ctx context.Context, by reads, p decode.Decoded, visit func(item) error) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(chatsAtOnce)
	for s := range stretches(p.Messages) {
		lo, hi := fmt.Sprintf("%0*d", millisDigits, s.from), fmt.Sprintf("%0*d%c", millisDigits, s.to, escape)
		group.Go(func() error {
			for it, err := range m.query(ctx, m.client, by(within(conversationPK(p.Corp, s.conversation), lo, hi))) {
				if err == nil {
					mu.Lock()
					err = visit(it)
					mu.Unlock()
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// claimsPage reports whether a stored message names the page or has one of its
// seqs. A damaged item is reported too, because no page can own it.
func claimsPage(it item, p decode.Decoded) (seq uint64, claims bool, _ error) {
	var msgID string
	_, seq, err := parseMessageSK(keyOf(it, "sk"), &msgID)
	if err != nil {
		return seq, true, nil
	}
	attributes, err := readItem[messageItem](it)
	if errors.Is(err, archive.ErrCorrupt) {
		return seq, true, nil
	}
	if err != nil {
		return 0, false, err
	}
	first, last := seqsOf(p)
	from, to := aftersOf(p)
	return seq, from <= attributes.After && attributes.After <= to || first <= seq && seq <= last, nil
}

// chatsAtOnce bounds the requests of a check. It may be high: most chats of a
// page have few messages within the page's time.
const chatsAtOnce = 32

// seqsOf returns the lowest and the highest seq of the page's messages and
// records set aside, or zeros for an empty page.
func seqsOf(p decode.Decoded) (first, last uint64) {
	var seqs []uint64
	for _, msg := range p.Messages {
		seqs = append(seqs, msg.Seq)
	}
	for _, u := range p.SetAside {
		seqs = append(seqs, u.Seq)
	}
	if len(seqs) == 0 {
		return 0, 0
	}
	return slices.Min(seqs), slices.Max(seqs)
}

// aftersOf returns the lowest and the highest After of the pages that the
// messages are of. p has at least one message.
func aftersOf(p decode.Decoded) (first, last uint64) {
	first, last = p.Messages[0].After, p.Messages[0].After
	for _, msg := range p.Messages {
		first, last = min(first, msg.After), max(last, msg.After)
	}
	return first, last
}

// A stretch is a time span of a conversation, in milliseconds, both ends
// included.
type stretch struct {
	conversation archive.ConversationID
	from, to     int64
}

// stretches returns the time spans in which a check reads the page's
// conversations: from the page's first message to its last. A pause longer than
// WeCom keeps messages means that a clock was wrong. Such a pause splits the
// span, so that one wrong time does not make the check read whole chats.
func stretches(messages []archive.Message) map[stretch]bool {
	var times []int64
	for _, msg := range messages {
		times = append(times, msg.Time.UnixMilli())
	}
	slices.Sort(times)
	var starts, ends []int64
	for i, at := range times {
		if i == 0 || at-times[i-1] > archive.Retention.Milliseconds() {
			starts, ends = append(starts, at), append(ends, at)
		}
		ends[len(ends)-1] = at
	}
	all := make(map[stretch]bool)
	for _, msg := range messages {
		i, found := slices.BinarySearch(starts, msg.Time.UnixMilli())
		if !found {
			i--
		}
		all[stretch{msg.Conversation, starts[i], ends[i]}] = true
	}
	return all
}

// checkSetAside compares the stored records set aside, within the page's seqs,
// with those of the page, in both directions.
func (m *Messages) checkSetAside(ctx context.Context, p decode.Decoded) (missing, stale []uint64, err error) {
	if len(p.Messages)+len(p.SetAside) == 0 {
		return nil, nil, nil
	}
	wanted := make(map[uint64]bool, len(p.SetAside))
	for _, u := range p.SetAside {
		wanted[u.Seq] = true
	}
	first, last := seqsOf(p)
	rows, err := m.SetAside(ctx, p.Corp, first, last)
	if err != nil {
		return nil, nil, err
	}
	stored := make(map[uint64]bool, len(rows))
	for _, u := range rows {
		stored[u.Seq] = true
		if !wanted[u.Seq] {
			stale = append(stale, u.Seq)
		}
	}
	for _, u := range p.SetAside {
		if !stored[u.Seq] {
			missing = append(missing, u.Seq)
		}
	}
	return missing, stale, nil
}

// A place is where the marker of a revocation is stored.
type place struct {
	conversation archive.ConversationID
	sk           string
}

// checkRevocations compares the stored markers of the page's conversations with
// the page's revocations, in both directions.
func (m *Messages) checkRevocations(ctx context.Context, by reads, p decode.Decoded) (missing []uint64, extra []decode.Marking, err error) {
	stored, err := m.markers(ctx, by, p)
	if err != nil {
		return nil, nil, err
	}
	revoked := make(map[place][]uint64) // seqs of the page's revocations
	for _, r := range p.Revocations {
		at := place{r.Conversation, revocationSK(r.MsgID)}
		if at.sk == "" {
			continue // the revocation names no message
		}
		revoked[at] = append(revoked[at], r.Seq)
		if was, found := stored[at]; !found || !marks(was, r) {
			missing = append(missing, r.Seq)
		}
	}
	extra, err = m.extraMarkers(ctx, by, p, stored, revoked)
	return missing, extra, err
}

// markers reads all markers of the page's conversations.
func (m *Messages) markers(ctx context.Context, by reads, p decode.Decoded) (map[place]archive.Revocation, error) {
	conversations := make(map[archive.ConversationID]bool)
	for _, msg := range p.Messages {
		conversations[msg.Conversation] = true
	}
	stored := make(map[place]archive.Revocation)
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(chatsAtOnce)
	for conv := range conversations {
		group.Go(func() error {
			for it, err := range m.query(ctx, m.client, by(partition(revocationPK(p.Corp, conv)))) {
				var r archive.Revocation
				if err == nil {
					r, err = readRevocation(p.Corp, conv, it)
				}
				if err != nil {
					return err
				}
				mu.Lock()
				stored[place{conv, keyOf(it, "sk")}] = r
				mu.Unlock()
			}
			return nil
		})
	}
	return stored, group.Wait()
}

// marks reports whether a stored marker is right for a revocation of the same
// message: it is of this revocation, or of one with a lower seq.
func marks(was, r archive.Revocation) bool {
	return was.Seq < r.Seq || was.Seq == r.Seq && was.MsgID == r.MsgID && was.By == r.By && was.At.Equal(r.At)
}

// extraMarkers lists the markers that no message explains. A marker with
// a seq of the page must be of a revocation in the page. A marker with another
// seq is checked only where it names a message of the page: then the message
// that revokes must be stored.
func (m *Messages) extraMarkers(ctx context.Context, by reads, p decode.Decoded, stored map[place]archive.Revocation, revoked map[place][]uint64) (extra []decode.Marking, err error) {
	named := make(map[place]uint64) // seqs of the page's messages
	for _, msg := range p.Messages {
		named[place{msg.Conversation, revocationSK(msg.MsgID)}] = msg.Seq
	}
	first, last := seqsOf(p)
	for at, r := range stored {
		explained, of := true, r.Seq
		switch {
		case first <= r.Seq && r.Seq <= last:
			explained = slices.Contains(revoked[at], r.Seq)
		case named[at] > 0:
			of = named[at]
			if explained, err = m.holds(ctx, by, p.Corp, at.conversation, r.At, r.Seq); err != nil {
				return nil, err
			}
		}
		if !explained {
			extra = append(extra, decode.Marking{Seq: r.Seq, Of: of})
		}
	}
	slices.SortFunc(extra, func(a, b decode.Marking) int { return cmp.Compare(a.Seq, b.Seq) })
	return extra, nil
}

// holds reports whether the conversation has a message with that time and seq.
func (m *Messages) holds(ctx context.Context, by reads, corp string, conv archive.ConversationID, at time.Time, seq uint64) (bool, error) {
	ms, err := millis(at)
	if err != nil {
		return false, nil // no key has this time, so no message has it
	}
	for it, err := range m.query(ctx, m.client, by(startingWith(conversationPK(corp, conv), ms+string(partEnd)))) {
		if err != nil {
			return false, err
		}
		if strings.HasSuffix(keyOf(it, "sk"), string(partEnd)+padded(seq)) {
			return true, nil
		}
	}
	return false, nil
}

// checkLists lists the activities that the parties' lists or the corp's days lack,
// each once.
func (m *Messages) checkLists(ctx context.Context, p decode.Decoded) (missing []archive.Activity, err error) {
	lists, err := m.lists(ctx, p.Activities)
	if err != nil {
		return nil, err
	}
	absent, err := m.notMoved(ctx, p.Activities, lists, p.Messages)
	if err != nil {
		return nil, err
	}
	lacks, err := m.notInCorpDays(ctx, p.Activities)
	if err != nil {
		return nil, err
	}
	said := make(map[archive.Activity]bool)
	for _, a := range p.Activities {
		if (absent(a) || lacks(a)) && !said[a] {
			missing, said[a] = append(missing, a), true
		}
	}
	return missing, nil
}
