package archivetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
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
	journal *Journal // holds the bytes of large messages; nil: not checked

	mu    sync.Mutex
	corps map[string]*corpView
}

// itemLimit is a little below the limit of a DynamoDB item, in bytes.
const itemLimit = 390 << 10

type corpView struct {
	messages   map[archive.ConversationID][]archive.Message // by Time, MsgID, Seq
	places     map[uint64]place                             // by Seq: where the message is stored
	activities map[archive.Activity]bool
	revoked    map[revokedKey]archive.Revocation
	setAside   map[uint64]archive.SetAside // by Seq
	firstSeen  map[string]time.Time        // by Name
}

type revokedKey struct {
	conv archive.ConversationID
	key  string // archive.RevocationKey
}

// place is where a message is stored.
type place struct {
	conv  archive.ConversationID
	ms    int64
	msgID string
}

var _ ViewStore = (*View)(nil)

// NewView makes an empty view.
func NewView(t testing.TB, f *Faults) *View {
	return &View{t: t, faults: f, corps: make(map[string]*corpView)}
}

// corp returns what is stored of the corp. The caller holds mu.
func (v *View) corp(id string) *corpView {
	c, ok := v.corps[id]
	if !ok {
		c = &corpView{
			messages:   make(map[archive.ConversationID][]archive.Message),
			places:     make(map[uint64]place),
			activities: make(map[archive.Activity]bool),
			revoked:    make(map[revokedKey]archive.Revocation),
			setAside:   make(map[uint64]archive.SetAside),
			firstSeen:  make(map[string]time.Time),
		}
		v.corps[id] = c
	}
	return c
}

// WritePage implements [decode.ViewWriter]. It complains about a page that
// breaks a rule of [decode.Decoded].
func (v *View) WritePage(ctx context.Context, p decode.Decoded) error {
	return write(ctx, v.faults, "View.WritePage", p.Corp, func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		c := v.corp(p.Corp)
		for _, m := range p.Messages {
			v.store(c, p.Corp, m)
		}
		if err := v.storeRevocations(c, p); err != nil {
			return err
		}
		if err := v.storeActivities(c, p); err != nil {
			return err
		}
		v.storeSetAside(c, p)
		v.storeFirstSeen(c, p)
		return nil
	})
}

func (v *View) storeRevocations(c *corpView, p decode.Decoded) error {
	for _, r := range p.Revocations {
		if len(r.MsgID)+len(r.By)+len(r.Conversation) > itemLimit {
			return fmt.Errorf("revocation: item size has exceeded the maximum")
		}
		if r.Corp != p.Corp || r.Conversation == "" || r.MsgID == "" {
			v.t.Errorf("page of %s: revocation %+v is of another corp or incomplete", p.Corp, r)
		}
		k := revokedKey{r.Conversation, archive.RevocationKey(r.MsgID)}
		if was, ok := c.revoked[k]; !ok || r.Seq < was.Seq {
			r.At = kept(r.At)
			c.revoked[k] = r
		}
	}
	return nil
}

func (v *View) storeActivities(c *corpView, p decode.Decoded) error {
	for i, a := range p.Activities {
		if len(a.Party)+len(a.Conversation) > itemLimit {
			return fmt.Errorf("activity: item size has exceeded the maximum")
		}
		if a.Corp != p.Corp || a.Day.Start().IsZero() || a.Conversation == "" || slices.Contains(p.Activities[:i], a) {
			v.t.Errorf("page of %s: activity %+v is of another corp, incomplete, or repeated", p.Corp, a)
		}
		c.activities[a] = true
	}
	return nil
}

func (v *View) storeSetAside(c *corpView, p decode.Decoded) {
	for _, u := range p.SetAside {
		if u.Corp != p.Corp || u.Reason == "" || slices.ContainsFunc(p.Messages, func(m archive.Message) bool { return m.Seq == u.Seq }) {
			v.t.Errorf("page of %s: seq %d set aside for corp %s with reason %q, or a message too", p.Corp, u.Seq, u.Corp, u.Reason)
		}
		u.At = kept(u.At)
		c.setAside[u.Seq] = u
	}
	for _, seq := range p.Cleared {
		if slices.ContainsFunc(p.SetAside, func(u archive.SetAside) bool { return u.Seq == seq }) {
			v.t.Errorf("page of %s: seq %d is both set aside and cleared", p.Corp, seq)
		}
		delete(c.setAside, seq)
	}
}

func (v *View) storeFirstSeen(c *corpView, p decode.Decoded) {
	for _, k := range p.FirstSeen {
		if k.Corp != p.Corp || k.At.IsZero() {
			v.t.Errorf("page of %s: first seen %+v is of another corp or has no time", p.Corp, k)
		}
		if was, there := c.firstSeen[k.Name]; !there || k.At.Before(was) {
			c.firstSeen[k.Name] = kept(k.At)
		}
	}
}

// store adds a message. It complains about a message that breaks a rule, or that
// differs from the one stored before.
func (v *View) store(c *corpView, corp string, m archive.Message) {
	bad := func(what string) { v.t.Errorf("message of %s, seq %d: %s", m.Corp, m.Seq, what) }
	if m.Corp != corp || m.Conversation == "" || m.Seq <= m.After {
		bad("another corp, no conversation, or seq not above After")
	}
	if !m.Time.Equal(m.Time.Truncate(time.Millisecond)) {
		bad("time finer than a millisecond, which its key cannot hold")
	}
	switch o := m.Overflow; {
	case o == nil && len(m.Raw) > archive.InlineLimit:
		bad("too long for the table")
	case o != nil && (m.Raw != nil || o.Size <= archive.InlineLimit || len(o.Sum) != 64):
		bad("overflow of a short message, or bytes in the table too")
	case o != nil && v.journal != nil && !v.journal.holds(messageName(corp, *o)):
		bad("bytes missing from the journal")
	}
	m = keptMessage(m)
	at := place{m.Conversation, m.Time.UnixMilli(), m.MsgID}
	if was, ok := c.places[m.Seq]; ok && was != at {
		bad("conversation, time or msgid changed: a message never changes")
	}
	c.places[m.Seq] = at
	list := c.messages[m.Conversation]
	i, there := slices.BinarySearchFunc(list, m, inOrder)
	switch {
	case !there:
		c.messages[m.Conversation] = slices.Insert(list, i, m)
	case list[i].After != m.After || list[i].KeyVersion != m.KeyVersion ||
		!bytes.Equal(list[i].Raw, m.Raw) || !sameOverflow(list[i].Overflow, m.Overflow):
		bad("content changed: a message never changes")
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
		return slices.DeleteFunc(v.corp(corp).setAsideBySeq(), func(u archive.SetAside) bool {
			return u.Seq < first || u.Seq > last
		}), nil
	})
}

// ListSetAside lists the records set aside with Seq > afterSeq: the lowest seq
// first, at most limit. It also reports whether there are more.
func (v *View) ListSetAside(ctx context.Context, corp string, afterSeq uint64, limit int) ([]archive.SetAside, bool, error) {
	type page struct {
		rows []archive.SetAside
		more bool
	}
	p, err := read(ctx, v.faults, "View.ListSetAside", corp, func() (page, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		rows := slices.DeleteFunc(v.corp(corp).setAsideBySeq(), func(u archive.SetAside) bool {
			return u.Seq <= afterSeq
		})
		n := min(len(rows), limit)
		return page{rows[:n], n < len(rows)}, nil
	})
	return p.rows, p.more, err
}

func (c *corpView) setAsideBySeq() []archive.SetAside {
	return slices.SortedFunc(maps.Values(c.setAside), func(a, b archive.SetAside) int {
		return cmp.Compare(a.Seq, b.Seq)
	})
}

// Messages lists the messages of a conversation that q selects, and reports
// whether there are more. Of a msgid that is stored under two seqs it returns the
// lower seq. Messages without a msgid are distinct if their seqs are. A MaxBytes
// of 0 is no bound.
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

// selected returns all messages that q selects, without its limits.
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
			order = -order
		}
		return order < 0 || order == 0 && !q.Including
	})
	if q.Descending {
		slices.Reverse(list)
	}
	return list
}

// distinct copies a conversation, with one message for each position.
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

// Message reads one message. It returns [archive.ErrNotFound] if there is none at
// that position.
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

// Newest reads the last message of a conversation. It returns
// [archive.ErrNotFound] if the conversation is empty.
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
		c.checkSetAside(p, &checked)
		c.checkRevocations(p, &checked)
		for _, a := range p.Activities {
			if !c.activities[a] {
				checked.NotInLists = append(checked.NotInLists, a)
			}
		}
		return checked, nil
	})
}

// pageSeqs returns the first and the last seq of a page.
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

// pageAfters returns the lowest and the highest After of the messages' pages.
func pageAfters(p decode.Decoded) (first, last uint64) {
	first = ^uint64(0)
	for _, m := range p.Messages {
		first, last = min(first, m.After), max(last, m.After)
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
			from, to := pageAfters(p)
			of := from <= stored.After && stored.After <= to || first <= stored.Seq && stored.Seq <= last
			if within && of && !slices.ContainsFunc(messages, func(m archive.Message) bool { return inOrder(m, stored) == 0 }) {
				checked.Extra = append(checked.Extra, stored.Seq)
			}
		}
	}
	slices.Sort(checked.Extra)
}

// stretches divides the messages wherever more than [archive.Retention] passes
// between two of them. For the time of each message it returns the first and the
// last time of its part.
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

func (c *corpView) checkSetAside(p decode.Decoded, checked *decode.Checked) {
	first, last := pageSeqs(p)
	for _, u := range p.SetAside {
		if _, there := c.setAside[u.Seq]; !there {
			checked.SetAsideMissing = append(checked.SetAsideMissing, u.Seq)
		}
	}
	for _, stored := range c.setAsideBySeq() {
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
		of := stored.Seq
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
			of = p.Messages[slices.IndexFunc(p.Messages, func(m archive.Message) bool {
				return at == revokedKey{m.Conversation, archive.RevocationKey(m.MsgID)}
			})].Seq
			real = slices.ContainsFunc(c.messages[at.conv], func(m archive.Message) bool { return m.Seq == stored.Seq && m.Time.Equal(stored.At) })
		default:
			continue
		}
		if !real {
			checked.ExtraRevoked = append(checked.ExtraRevoked, decode.Marking{Seq: stored.Seq, Of: of})
		}
	}
	slices.SortFunc(checked.ExtraRevoked, func(a, b decode.Marking) int { return cmp.Compare(a.Seq, b.Seq) })
}

// Forget removes the corp's revocations and lists. A removal like this needs
// access to the table.
func (v *View) Forget(corp string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.corp(corp)
	clear(c.revoked)
	clear(c.activities)
}

// Plant adds messages and revocations that no page made. Such items come from an
// attacker with access to the table, or from a version that read messages wrongly.
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

// Tamper changes the bytes of a message to raw, or removes the message if raw is
// nil. A change like this needs access to the table.
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

// Revocations finds the revocations of the messages with those msgids, by msgid.
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

// NamesPerson implements [directory.Witness].
func (v *View) NamesPerson(ctx context.Context, corp, id string) (bool, error) {
	days, err := v.ActiveDays(ctx, corp, id, "", 1)
	return len(days) > 0, err
}

// NamesRoom implements [directory.Witness].
func (v *View) NamesRoom(ctx context.Context, corp, id string) (bool, error) {
	_, err := v.Newest(ctx, corp, archive.RoomConversation(id))
	if errors.Is(err, archive.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// ActiveDays lists the newest days on which the party was active, newest first,
// at most limit, each with the party's conversations. If upTo is not empty, later
// days do not count.
func (v *View) ActiveDays(ctx context.Context, corp, party string, upTo archive.Day, limit int) ([]archive.ActiveDay, error) {
	return read(ctx, v.faults, "View.ActiveDays", corp, func() ([]archive.ActiveDay, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		conversations := make(map[archive.Day][]archive.ConversationID)
		for a := range v.corp(corp).activities {
			if a.Party == party && (upTo == "" || a.Day <= upTo) {
				conversations[a.Day] = append(conversations[a.Day], a.Conversation)
			}
		}
		var days []archive.ActiveDay
		for _, day := range slices.Backward(slices.Sorted(maps.Keys(conversations))) {
			slices.Sort(conversations[day])
			days = append(days, archive.ActiveDay{Day: day, Conversations: conversations[day]})
		}
		return days[:min(len(days), limit)], nil
	})
}

// AttendedDays lists days that q selects, in its order: those on which one of its
// parties took part in the room, and its other party too. rest is the first day
// that is not searched yet, empty at the end: of each party it searches q.Depth
// conversations, and the rest of a day.
func (v *View) AttendedDays(ctx context.Context, corp string, room archive.ConversationID, q archive.AttendanceQuery) ([]archive.Day, archive.Day, error) {
	type found struct {
		days []archive.Day
		rest archive.Day
	}
	f, err := read(ctx, v.faults, "View.AttendedDays", corp, func() (found, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		attended := v.corp(corp).activities
		active := make(map[string]map[archive.Day]int) // conversations by party and day
		all := make(map[archive.Day]bool)
		for a := range attended {
			if (q.From == "" || q.From <= a.Day) && (q.To == "" || a.Day <= q.To) {
				if active[a.Party] == nil {
					active[a.Party] = make(map[archive.Day]int)
				}
				active[a.Party][a.Day]++
				all[a.Day] = true
			}
		}
		days := slices.Sorted(maps.Keys(all))
		if q.Descending {
			slices.Reverse(days)
		}
		was := func(party string, day archive.Day) bool {
			return attended[archive.Activity{Corp: corp, Party: party, Day: day, Conversation: room}]
		}
		var f found
		parties := slices.Clone(q.OneOf)
		if q.With != "" {
			parties = append(parties, q.With)
		}
		depth := make(map[string]int)
		for _, day := range days {
			for _, party := range parties {
				n := active[party][day]
				if n > 0 && depth[party] >= q.Depth {
					f.rest = day
					return f, nil
				}
				depth[party] += n
			}
			if (q.With == "" || was(q.With, day)) && slices.ContainsFunc(q.OneOf, func(party string) bool { return was(party, day) }) {
				f.days = append(f.days, day)
			}
		}
		return f, nil
	})
	return f.days, f.rest, err
}

// FirstSeen finds when types and fields were first seen, by name. A name that was
// never seen is absent.
func (v *View) FirstSeen(ctx context.Context, corp string, names []string) (map[string]time.Time, error) {
	return read(ctx, v.faults, "View.FirstSeen", corp, func() (map[string]time.Time, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		seen := make(map[string]time.Time)
		for _, name := range names {
			if at, there := v.corp(corp).firstSeen[name]; there {
				seen[name] = at
			}
		}
		return seen, nil
	})
}

// Clear removes the whole view of a corp. A replay can rebuild it.
func (v *View) Clear(ctx context.Context, corp string, removed func(items int)) error {
	return write(ctx, v.faults, "View.Clear", corp, func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		c := v.corp(corp)
		days := make(map[archive.Day]bool) // the corp's days have entries of their own
		for a := range c.activities {
			days[a.Day] = true
		}
		items := len(c.places) + len(c.revoked) + len(c.activities) + len(days) + len(c.setAside) + len(c.firstSeen)
		delete(v.corps, corp)
		if removed != nil && items > 0 {
			removed(items)
		}
		return nil
	})
}

// All lists every stored message of a corp by Seq, also those that share a
// position.
func (v *View) All(corp string) []archive.Message {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []archive.Message
	for _, list := range v.corp(corp).messages {
		for _, m := range list {
			all = append(all, keptMessage(m))
		}
	}
	slices.SortFunc(all, func(a, b archive.Message) int { return cmp.Compare(a.Seq, b.Seq) })
	return all
}

// AllActivities lists every entry of a corp's conversation lists, in any order.
func (v *View) AllActivities(corp string) []archive.Activity {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Collect(maps.Keys(v.corp(corp).activities))
}

// of counts what the view has of a page: messages, with each seq counted by
// itself, and records set aside.
func (v *View) of(corp string, after uint64) (stored, setAside int) {
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
	for _, u := range c.setAside {
		if u.After == after {
			setAside++
		}
	}
	return stored, setAside
}
