package dynamostore

import (
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

// Check implements [decode.ViewChecker]: it makes the items that storing the
// page would make, and compares them with those that are there.
func (m *Messages) Check(ctx context.Context, p decode.Decoded) (c decode.Checked, err error) {
	if c, err = m.checkMessages(ctx, p); err == nil {
		c.SetAsideMissing, c.SetAsideStale, err = m.checkAside(ctx, p)
	}
	if err == nil {
		c.NotRevoked, c.ExtraRevoked, err = m.checkRevocations(ctx, p)
	}
	if err == nil {
		c.NotInLists, err = m.checkLists(ctx, p.Activities)
	}
	if err != nil {
		return decode.Checked{}, fmt.Errorf("checking a page of corp %s: %w", p.Corp, err)
	}
	return c, nil
}

// checkMessages reads what is stored of the page's conversations in the time
// of the page, and compares it in both directions.
func (m *Messages) checkMessages(ctx context.Context, p decode.Decoded) (c decode.Checked, err error) {
	want := make(map[[2]string]item, len(p.Messages))
	for _, msg := range p.Messages {
		it, err := encodeMessage(msg)
		if err != nil {
			return c, err
		}
		if want[fullKey(it)] == nil { // storing keeps the first, too
			want[fullKey(it)] = it
		}
	}
	first, last := seqsOf(p)
	// extra reports whether a stored item says that it is of the page, or says
	// nothing that can be read.
	extra := func(it item) (seq uint64, _ bool, _ error) {
		var msgID string
		_, seq, err := parseMessageSK(keyOf(it, "sk"), &msgID)
		if err != nil {
			return seq, true, nil
		}
		attributes, err := readItem[messageItem](it)
		if errors.Is(err, archive.ErrCorrupt) {
			return seq, true, nil
		}
		return seq, attributes.After == p.Messages[0].After || first <= seq && seq <= last, err
	}
	var mu sync.Mutex
	same := make(map[[2]string]bool, len(want))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(chatsAtOnce)
	for s := range stretches(p.Messages) {
		group.Go(func() error {
			lo, hi := fmt.Sprintf("%0*d", millisDigits, s.from), fmt.Sprintf("%0*d%c", millisDigits, s.to, escape)
			for it, err := range m.query(ctx, m.client, consistently(within(conversationPK(p.Corp, s.conversation), lo, hi))) {
				if err != nil {
					return err
				}
				k := fullKey(it)
				if w := want[k]; w != nil {
					mu.Lock()
					same[k] = reflect.DeepEqual(it, w)
					mu.Unlock()
					continue
				}
				seq, is, err := extra(it)
				if err != nil {
					return err
				}
				if is {
					mu.Lock()
					c.Extra = append(c.Extra, seq)
					mu.Unlock()
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return decode.Checked{}, err
	}
	slices.Sort(c.Extra)
	for _, msg := range p.Messages {
		it, err := encodeMessage(msg)
		if err != nil {
			return decode.Checked{}, err
		}
		switch same, there := same[fullKey(it)]; {
		case !there:
			c.Missing = append(c.Missing, msg.Seq)
		case !same:
			c.Differing = append(c.Differing, msg.Seq)
		}
	}
	return c, nil
}

// chatsAtOnce bounds the requests of a check: most chats of a page have little
// in its time.
const chatsAtOnce = 32

// seqsOf are the first and the last seq of what the page holds.
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

// A stretch is a time of a conversation, in milliseconds, both ends included.
type stretch struct {
	conversation archive.ConversationID
	from, to     int64
}

// stretches are the times in which a page's conversations are looked at: the
// page's own, from its first message to its last. Where nothing of the page is
// for longer than WeCom keeps messages, a clock was wrong, and the time is
// taken apart: one such message does not let whole chats be read.
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

// checkAside compares the rows set aside of the page's seqs in both
// directions.
func (m *Messages) checkAside(ctx context.Context, p decode.Decoded) (missing, stale []uint64, err error) {
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

// checkRevocations compares the markers of the page's conversations with what
// the page revokes, in both directions. A marker with a seq of another page is
// looked into where it names a message of this one: the revoking message has
// to be there.
func (m *Messages) checkRevocations(ctx context.Context, p decode.Decoded) (missing, extra []uint64, err error) {
	type place struct {
		conversation archive.ConversationID
		sk           string
	}
	named := make(map[place]bool) // the messages of the page
	conversations := make(map[archive.ConversationID]bool)
	for _, msg := range p.Messages {
		conversations[msg.Conversation] = true
		named[place{msg.Conversation, revocationSK(msg.MsgID)}] = true
	}
	first, last := seqsOf(p)
	stored := make(map[place]archive.Revocation)
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(chatsAtOnce)
	for conv := range conversations {
		group.Go(func() error {
			for it, err := range m.query(groupCtx, m.client, consistently(partition(revocationPK(p.Corp, conv)))) {
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
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	said := make(map[place][]uint64) // seqs of the page's revocations
	for _, r := range p.Revocations {
		at := place{r.Conversation, revocationSK(r.MsgID)}
		if at.sk == "" {
			continue // it names no message
		}
		said[at] = append(said[at], r.Seq)
		was, there := stored[at]
		if !there || was.Seq > r.Seq || was.Seq == r.Seq && (was.MsgID != r.MsgID || was.By != r.By || !was.At.Equal(r.At)) {
			missing = append(missing, r.Seq)
		}
	}
	for at, r := range stored {
		real := true
		switch {
		case first <= r.Seq && r.Seq <= last:
			real = slices.Contains(said[at], r.Seq)
		case named[at]:
			if real, err = m.holds(ctx, p.Corp, at.conversation, r.At, r.Seq); err != nil {
				return nil, nil, err
			}
		}
		if !real {
			extra = append(extra, r.Seq)
		}
	}
	slices.Sort(extra)
	return missing, extra, nil
}

// holds reports whether the conversation has a message of that time and seq.
func (m *Messages) holds(ctx context.Context, corp string, conv archive.ConversationID, at time.Time, seq uint64) (bool, error) {
	ms, err := millis(at)
	if err != nil {
		return false, nil // no message can be there
	}
	for it, err := range m.query(ctx, m.client, consistently(startingWith(conversationPK(corp, conv), ms+string(partEnd)))) {
		if err != nil {
			return false, err
		}
		if strings.HasSuffix(keyOf(it, "sk"), string(partEnd)+padded(seq)) {
			return true, nil
		}
	}
	return false, nil
}

func (m *Messages) checkLists(ctx context.Context, activities []archive.Activity) (missing int, err error) {
	listed, err := m.listed(ctx, activities)
	if err != nil {
		return 0, err
	}
	for _, a := range activities {
		if !listed[a] {
			missing++
		}
	}
	return missing, nil
}
