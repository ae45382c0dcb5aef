package archivetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// View is a [ViewStore].
type View struct {
	t       testing.TB
	faults  *Faults
	journal *Journal // nil: overflowing messages are not looked for

	mu    sync.Mutex
	corps map[string]*corpView
}

// itemLimit is a little under what an item of DynamoDB may take, in bytes.
const itemLimit = 390 << 10

type corpView struct {
	messages   map[archive.ConversationID][]archive.Message // by Time, MsgID, Seq
	places     map[uint64]place                             // of the message of a seq
	activities map[archive.Activity]bool
	revoked    map[revokedKey]archive.Revocation
	aside      map[uint64]archive.SetAside // by Seq
	kinds      map[string]time.Time        // by Name
}

type revokedKey struct {
	conv archive.ConversationID
	key  string // archive.RevocationKey
}

// place is where a message is kept.
type place struct {
	conv  archive.ConversationID
	ms    int64
	msgID string
}

var _ ViewStore = (*View)(nil)

// NewView makes an empty one.
func NewView(t testing.TB, f *Faults) *View {
	return &View{t: t, faults: f, corps: make(map[string]*corpView)}
}

// corp is called with mu held.
func (v *View) corp(id string) *corpView {
	c, ok := v.corps[id]
	if !ok {
		c = &corpView{
			messages:   make(map[archive.ConversationID][]archive.Message),
			places:     make(map[uint64]place),
			activities: make(map[archive.Activity]bool),
			revoked:    make(map[revokedKey]archive.Revocation),
			aside:      make(map[uint64]archive.SetAside),
			kinds:      make(map[string]time.Time),
		}
		v.corps[id] = c
	}
	return c
}

// WritePage implements [decode.ViewWriter].
func (v *View) WritePage(ctx context.Context, p decode.Decoded) error {
	return write(ctx, v.faults, "View.WritePage", p.Corp, func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		c := v.corp(p.Corp)
		for _, m := range p.Messages {
			v.store(c, p.Corp, m)
		}
		for _, r := range p.Revocations {
			if len(r.MsgID)+len(r.By)+len(r.Conversation) > itemLimit {
				return fmt.Errorf("revocation: item size has exceeded the maximum")
			}
			if r.Corp != p.Corp || r.Conversation == "" || r.MsgID == "" {
				v.t.Errorf("page of %s: revocation %+v is foreign or incomplete", p.Corp, r)
			}
			k := revokedKey{r.Conversation, archive.RevocationKey(r.MsgID)}
			if was, ok := c.revoked[k]; !ok || r.Seq < was.Seq {
				r.At = kept(r.At)
				c.revoked[k] = r
			}
		}
		for i, a := range p.Activities {
			if len(a.Party)+len(a.Conversation) > itemLimit {
				return fmt.Errorf("activity: item size has exceeded the maximum")
			}
			if a.Corp != p.Corp || a.Day.Start().IsZero() || a.Conversation == "" || slices.Contains(p.Activities[:i], a) {
				v.t.Errorf("page of %s: activity %+v is foreign, incomplete, or there twice", p.Corp, a)
			}
			c.activities[a] = true
		}
		for _, u := range p.SetAside {
			if u.Corp != p.Corp || u.Reason == "" || slices.ContainsFunc(p.Messages, func(m archive.Message) bool { return m.Seq == u.Seq }) {
				v.t.Errorf("page of %s: seq %d is set aside as of %s for %q, or is a message also", p.Corp, u.Seq, u.Corp, u.Reason)
			}
			u.At = kept(u.At)
			c.aside[u.Seq] = u
		}
		for _, seq := range p.Cleared {
			if slices.ContainsFunc(p.SetAside, func(u archive.SetAside) bool { return u.Seq == seq }) {
				v.t.Errorf("page of %s: seq %d is both set aside and cleared", p.Corp, seq)
			}
			delete(c.aside, seq)
		}
		for _, k := range p.FirstSeen {
			if k.Corp != p.Corp || k.At.IsZero() {
				v.t.Errorf("page of %s: kind %+v is foreign or of no time", p.Corp, k)
			}
			if was, there := c.kinds[k.Name]; !there || k.At.Before(was) {
				c.kinds[k.Name] = kept(k.At)
			}
		}
		return nil
	})
}

func (v *View) store(c *corpView, corp string, m archive.Message) {
	bad := func(what string) { v.t.Errorf("message of %s, seq %d: %s", m.Corp, m.Seq, what) }
	if m.Corp != corp || m.Conversation == "" || m.Seq <= m.After {
		bad("not of the page's corp, in no conversation, or not of its page")
	}
	if !m.Time.Equal(m.Time.Truncate(time.Millisecond)) {
		bad("its time is finer than a millisecond, which its key cannot hold")
	}
	switch o := m.Overflow; {
	case o == nil && len(m.Raw) > archive.InlineLimit:
		bad("too long to be kept in the table")
	case o != nil && (m.Raw != nil || o.Size <= archive.InlineLimit || len(o.Sum) != 64):
		bad("overflows without need, or is kept in the table as well")
	case o != nil && v.journal != nil && !v.journal.holds(messageName(corp, *o)):
		bad("its bytes are not in the journal")
	}
	m = keptMessage(m)
	at := place{m.Conversation, m.Time.UnixMilli(), m.MsgID}
	if was, ok := c.places[m.Seq]; ok && was != at {
		bad("stored before under another conversation, time or msgid: a message never changes")
	}
	c.places[m.Seq] = at
	list := c.messages[m.Conversation]
	i, there := slices.BinarySearchFunc(list, m, inOrder)
	switch {
	case !there:
		c.messages[m.Conversation] = slices.Insert(list, i, m)
	case list[i].After != m.After || list[i].KeyVersion != m.KeyVersion ||
		!bytes.Equal(list[i].Raw, m.Raw) || !sameOverflow(list[i].Overflow, m.Overflow):
		bad("stored before with another content: a message never changes")
	}
}

func inOrder(a, b archive.Message) int {
	return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.MsgID, b.MsgID), cmp.Compare(a.Seq, b.Seq))
}

func sameOverflow(a, b *archive.Overflow) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func keptMessage(m archive.Message) archive.Message {
	m.Time, m.Raw = kept(m.Time), bytes.Clone(m.Raw)
	if m.Overflow != nil {
		o := *m.Overflow
		m.Overflow = &o
	}
	return m
}

// SetAside implements [decode.ViewWriter].
func (v *View) SetAside(ctx context.Context, corp string, first, last uint64) ([]archive.SetAside, error) {
	return read(ctx, v.faults, "View.SetAside", corp, func() ([]archive.SetAside, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		return slices.DeleteFunc(v.corp(corp).asideBySeq(), func(u archive.SetAside) bool {
			return u.Seq < first || u.Seq > last
		}), nil
	})
}

// ListSetAside lists the rows set aside with Seq > afterSeq, by Seq, at most
// limit, and whether there are more.
func (v *View) ListSetAside(ctx context.Context, corp string, afterSeq uint64, limit int) ([]archive.SetAside, bool, error) {
	type page struct {
		rows []archive.SetAside
		more bool
	}
	p, err := read(ctx, v.faults, "View.ListSetAside", corp, func() (page, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		rows := slices.DeleteFunc(v.corp(corp).asideBySeq(), func(u archive.SetAside) bool {
			return u.Seq <= afterSeq
		})
		n := min(len(rows), limit)
		return page{rows[:n], n < len(rows)}, nil
	})
	return p.rows, p.more, err
}

func (c *corpView) asideBySeq() []archive.SetAside {
	return slices.SortedFunc(maps.Values(c.aside), func(a, b archive.SetAside) int {
		return cmp.Compare(a.Seq, b.Seq)
	})
}

// Messages lists what q selects of a conversation, and whether there is more
// of it. Of a msgid that is stored under two seqs it gives the lower; messages
// without one are told apart by their seqs. A MaxBytes of 0 is no bound.
func (v *View) Messages(ctx context.Context, corp string, conv archive.ConversationID, q archive.MessageQuery) ([]archive.Message, bool, error) {
	type page struct {
		msgs []archive.Message
		more bool
	}
	p, err := read(ctx, v.faults, "View.Messages", corp, func() (page, error) {
		if q.Limit < 1 || q.Limit > 1000 {
			v.t.Errorf("Messages with limit %d, want 1 to 1000", q.Limit)
		}
		var p page
		size := 0
		for _, m := range v.selected(corp, conv, q) {
			size += len(m.Raw)
			if len(p.msgs) == q.Limit || q.MaxBytes > 0 && size > q.MaxBytes && len(p.msgs) > 0 {
				p.more = true
				break
			}
			p.msgs = append(p.msgs, m)
		}
		return p, nil
	})
	return p.msgs, p.more, err
}

func (v *View) selected(corp string, conv archive.ConversationID, q archive.MessageQuery) []archive.Message {
	list := v.distinct(corp, conv)
	list = slices.DeleteFunc(list, func(m archive.Message) bool {
		if !q.From.IsZero() && m.Time.Before(q.From) || !q.To.IsZero() && !m.Time.Before(q.To) {
			return true
		}
		if q.Start == nil {
			return false
		}
		order := m.Position().Compare(*q.Start)
		if q.Descending {
			return order >= 0
		}
		return order <= 0
	})
	if q.Descending {
		slices.Reverse(list)
	}
	return list
}

// distinct copies a conversation, with each position once.
func (v *View) distinct(corp string, conv archive.ConversationID) []archive.Message {
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []archive.Message
	for _, m := range v.corp(corp).messages[conv] {
		if n := len(list); n > 0 && list[n-1].Position().Compare(m.Position()) == 0 {
			continue
		}
		list = append(list, keptMessage(m))
	}
	return list
}

// Message reads one message; [archive.ErrNotFound].
func (v *View) Message(ctx context.Context, corp string, conv archive.ConversationID, at archive.Position) (archive.Message, error) {
	return read(ctx, v.faults, "View.Message", corp, func() (archive.Message, error) {
		for _, m := range v.distinct(corp, conv) {
			if m.Position().Compare(at) == 0 {
				return m, nil
			}
		}
		return archive.Message{}, archive.ErrNotFound
	})
}

// Newest reads the last message of a conversation; [archive.ErrNotFound].
func (v *View) Newest(ctx context.Context, corp string, conv archive.ConversationID) (archive.Message, error) {
	return read(ctx, v.faults, "View.Newest", corp, func() (archive.Message, error) {
		list := v.distinct(corp, conv)
		if len(list) == 0 {
			return archive.Message{}, archive.ErrNotFound
		}
		return list[len(list)-1], nil
	})
}

// Check implements [decode.ViewChecker].
func (v *View) Check(ctx context.Context, p decode.Decoded) (decode.Checked, error) {
	return read(ctx, v.faults, "View.Check", p.Corp, func() (decode.Checked, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		var checked decode.Checked
		c := v.corp(p.Corp)
		c.checkMessages(p, &checked)
		c.checkAside(p, &checked)
		c.checkRevocations(p, &checked)
		for _, a := range p.Activities {
			if !c.activities[a] {
				checked.NotInLists++
			}
		}
		return checked, nil
	})
}

// pageSeqs are the first and the last seq of a page.
func pageSeqs(p decode.Decoded) (first, last uint64) {
	first = ^uint64(0)
	for _, m := range p.Messages {
		first, last = min(first, m.Seq), max(last, m.Seq)
	}
	for _, u := range p.SetAside {
		first, last = min(first, u.Seq), max(last, u.Seq)
	}
	return first, last
}

func (c *corpView) checkMessages(p decode.Decoded, checked *decode.Checked) {
	first, last := pageSeqs(p)
	wanted := make(map[archive.ConversationID][]archive.Message)
	for _, m := range p.Messages {
		m = keptMessage(m)
		list := c.messages[m.Conversation]
		i, there := slices.BinarySearchFunc(list, m, inOrder)
		switch {
		case !there:
			checked.Missing = append(checked.Missing, m.Seq)
		case list[i].After != m.After || list[i].KeyVersion != m.KeyVersion ||
			!bytes.Equal(list[i].Raw, m.Raw) || !sameOverflow(list[i].Overflow, m.Overflow):
			checked.Differing = append(checked.Differing, m.Seq)
		}
		wanted[m.Conversation] = append(wanted[m.Conversation], m)
	}
	times := stretches(p.Messages)
	for conv, messages := range wanted {
		for _, stored := range c.messages[conv] {
			within := slices.ContainsFunc(messages, func(m archive.Message) bool {
				return !stored.Time.Before(times[m.Time][0]) && !stored.Time.After(times[m.Time][1])
			})
			of := stored.After == p.Messages[0].After || first <= stored.Seq && stored.Seq <= last
			if within && of && !slices.ContainsFunc(messages, func(m archive.Message) bool { return inOrder(m, stored) == 0 }) {
				checked.Extra = append(checked.Extra, stored.Seq)
			}
		}
	}
	slices.Sort(checked.Extra)
}

// stretches are, for each time of a message, the first and the last of those
// that no pause longer than [archive.Retention] divides from it.
func stretches(messages []archive.Message) map[time.Time][2]time.Time {
	var times []time.Time
	for _, m := range messages {
		times = append(times, kept(m.Time))
	}
	slices.SortFunc(times, time.Time.Compare)
	all := make(map[time.Time][2]time.Time)
	for i, j := 0, 0; i < len(times); i = j {
		for j = i + 1; j < len(times) && times[j].Sub(times[j-1]) <= archive.Retention; j++ {
		}
		for _, at := range times[i:j] {
			all[at] = [2]time.Time{times[i], times[j-1]}
		}
	}
	return all
}

func (c *corpView) checkAside(p decode.Decoded, checked *decode.Checked) {
	first, last := pageSeqs(p)
	for _, u := range p.SetAside {
		if _, there := c.aside[u.Seq]; !there {
			checked.SetAsideMissing = append(checked.SetAsideMissing, u.Seq)
		}
	}
	for _, stored := range c.asideBySeq() {
		if first <= stored.Seq && stored.Seq <= last &&
			!slices.ContainsFunc(p.SetAside, func(u archive.SetAside) bool { return u.Seq == stored.Seq }) {
			checked.SetAsideStale = append(checked.SetAsideStale, stored.Seq)
		}
	}
}

func (c *corpView) checkRevocations(p decode.Decoded, checked *decode.Checked) {
	first, last := pageSeqs(p)
	for _, r := range p.Revocations {
		r.At = kept(r.At)
		stored, there := c.revoked[revokedKey{r.Conversation, archive.RevocationKey(r.MsgID)}]
		if !there || stored.Seq > r.Seq || stored.Seq == r.Seq && stored != r {
			checked.NotRevoked = append(checked.NotRevoked, r.Seq)
		}
	}
	for at, stored := range c.revoked {
		var real bool
		switch {
		case !slices.ContainsFunc(p.Messages, func(m archive.Message) bool { return m.Conversation == at.conv }):
			continue
		case first <= stored.Seq && stored.Seq <= last:
			real = slices.ContainsFunc(p.Revocations, func(r archive.Revocation) bool {
				return r.Seq == stored.Seq && at == revokedKey{r.Conversation, archive.RevocationKey(r.MsgID)}
			})
		case slices.ContainsFunc(p.Messages, func(m archive.Message) bool {
			return at == revokedKey{m.Conversation, archive.RevocationKey(m.MsgID)}
		}):
			real = slices.ContainsFunc(c.messages[at.conv], func(m archive.Message) bool { return m.Seq == stored.Seq && m.Time.Equal(stored.At) })
		default:
			continue
		}
		if !real {
			checked.ExtraRevoked = append(checked.ExtraRevoked, stored.Seq)
		}
	}
	slices.Sort(checked.ExtraRevoked)
}

// Forget removes the corp's markers of withdrawn messages and its lists, as
// only somebody with access to the table could.
func (v *View) Forget(corp string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.corp(corp)
	clear(c.revoked)
	clear(c.activities)
}

// Plant adds a message or a marker that no page made, as only somebody with
// access to the table could, or a version that read messages wrongly.
func (v *View) Plant(corp string, messages []archive.Message, revocations []archive.Revocation) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.corp(corp)
	for _, m := range messages {
		i, _ := slices.BinarySearchFunc(c.messages[m.Conversation], m, inOrder)
		c.messages[m.Conversation] = slices.Insert(c.messages[m.Conversation], i, keptMessage(m))
	}
	for _, r := range revocations {
		c.revoked[revokedKey{r.Conversation, archive.RevocationKey(r.MsgID)}] = r
	}
}

// Tamper removes the message of a seq, or changes its bytes if raw is not nil,
// as only somebody with access to the table could.
func (v *View) Tamper(corp string, seq uint64, raw []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.corp(corp)
	for conv, list := range c.messages {
		for i, m := range list {
			if m.Seq != seq {
				continue
			}
			if raw == nil {
				c.messages[conv] = slices.Delete(list, i, i+1)
			} else {
				list[i].Raw = raw
			}
			return
		}
	}
}

// Revocations finds which of the messages were withdrawn, by their msgids.
func (v *View) Revocations(ctx context.Context, corp string, conv archive.ConversationID, msgIDs []string) (map[string]archive.Revocation, error) {
	return read(ctx, v.faults, "View.Revocations", corp, func() (map[string]archive.Revocation, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		found := make(map[string]archive.Revocation)
		for _, id := range msgIDs {
			if r, ok := v.corp(corp).revoked[revokedKey{conv, archive.RevocationKey(id)}]; ok {
				found[id] = r
			}
		}
		return found, nil
	})
}

// LatestDay finds the newest day, not after upTo unless that is empty, on
// which the party was active, and its conversations on that day, sorted;
// [archive.ErrNotFound].
func (v *View) LatestDay(ctx context.Context, corp, party string, upTo archive.Day) (archive.Day, []archive.ConversationID, error) {
	type found struct {
		day   archive.Day
		convs []archive.ConversationID
	}
	f, err := read(ctx, v.faults, "View.LatestDay", corp, func() (found, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		var f found
		for a := range v.corp(corp).activities {
			if a.Party != party || upTo != "" && a.Day > upTo || a.Day < f.day {
				continue
			}
			if a.Day > f.day {
				f = found{day: a.Day}
			}
			f.convs = append(f.convs, a.Conversation)
		}
		if f.day == "" {
			return f, archive.ErrNotFound
		}
		slices.Sort(f.convs)
		return f, nil
	})
	return f.day, f.convs, err
}

// FirstSeen finds when types and fields were first seen, by name, for those
// that were.
func (v *View) FirstSeen(ctx context.Context, corp string, names []string) (map[string]time.Time, error) {
	return read(ctx, v.faults, "View.FirstSeen", corp, func() (map[string]time.Time, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		seen := make(map[string]time.Time)
		for _, name := range names {
			if at, there := v.corp(corp).kinds[name]; there {
				seen[name] = at
			}
		}
		return seen, nil
	})
}

// Clear removes the whole view of a corp, which can then be rebuilt.
func (v *View) Clear(ctx context.Context, corp string, removed func(items int)) error {
	return write(ctx, v.faults, "View.Clear", corp, func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		c := v.corp(corp)
		items := len(c.places) + len(c.revoked) + len(c.activities) + len(c.aside) + len(c.kinds)
		delete(v.corps, corp)
		if removed != nil && items > 0 {
			removed(items)
		}
		return nil
	})
}

// of counts what a page left in the view: messages, each seq by itself, and
// records set aside.
func (v *View) of(corp string, after uint64) (stored, aside int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.corp(corp)
	for _, list := range c.messages {
		for _, m := range list {
			if m.After == after {
				stored++
			}
		}
	}
	for _, u := range c.aside {
		if u.After == after {
			aside++
		}
	}
	return stored, aside
}
