package chats

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

const (
	// filesAtOnce bounds the files that are looked up together for a list. A single
	// message with more files is an exception.
	filesAtOnce = 1000
	// revocationsRead is how many revocations of a conversation are read together
	// with its messages. Most conversations have fewer.
	revocationsRead = 100
	// maxMilli is the last millisecond of the year 9999. No message has a later
	// time.
	maxMilli = 253402300799999
)

// messagePage says where a page of messages begins: after a position in the
// list. If Back is set, the page goes from there towards the previous pages.
type messagePage struct {
	position
	Back bool `json:"b,omitempty"`
}

// listQuery is the query of a list of messages.
type listQuery struct {
	conversation archive.ConversationID
	messages     archive.MessageQuery
	limit        int
	taken        int // bytes of the page that other messages take
	filter       messageFilter
	continued    bool              // from a page token
	back         bool              // towards the previous pages
	around       *archive.Position // the middle of the page; nil for a page that begins elsewhere
	hides        hidden
	revocations  *revocations // of the conversation; nil before the first search
	namesToo     bool         // look up the names beside the first messages
	// render makes what the page shows of a message.
	render func(m listed, known knownFiles) ([]byte, error)
}

// readListQuery reads the query. newestFirst is the order of a query that has none.
func readListQuery(c *session.Call, newestFirst bool) (listQuery, error) {
	conv, err := conversationOf(c)
	if err != nil {
		return listQuery{}, err
	}
	q := listQuery{conversation: conv, render: inList}
	var at messagePage
	q.continued = c.Page(&at)
	q.back = at.Back
	if at.Milli < 0 || at.Milli > maxMilli {
		c.RejectPage()
	}
	from, to := c.Moment("from"), c.Moment("to")
	q.messages = archive.MessageQuery{From: from, To: to, Descending: (c.Descending() || newestFirst) != q.back}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		c.Reject("to", problem.Range, problem.RemedyTimeOrder, nil)
	}
	middle, err := readMiddle(c, q.conversation)
	q.limit, q.filter, q.hides = c.Limit(), readMessageFilter(c), hides(c)
	switch {
	case c.Mistaken():
		return q, c.Err()
	case q.continued:
		start := at.read()
		q.messages.Start = &start
	default:
		q.around = middle
	}
	return q, err
}

// readMiddle reads the message or the time that the page surrounds; nil if the
// query names neither. The message need not exist: its id says its place.
func readMiddle(c *session.Call, conv archive.ConversationID) (*archive.Position, error) {
	if !c.Query.Has("around") && !c.Query.Has("at") {
		return nil, nil
	}
	others := []string{"at", "from", "to", "order"}
	if !c.Query.Has("around") {
		others = others[1:]
	}
	for _, other := range others {
		if c.Query.Has(other) {
			c.Reject(other, problem.Exclusive, problem.RemedyAround, nil)
		}
	}
	var p place
	if c.Query.Has("around") {
		if opaque.Message(c.CorpID).Open(c.Query.Get("around"), &p) != nil || p.Conversation != conv || p.Milli < 0 || p.Milli > maxMilli {
			return nil, problem.New(problem.NotFound, nil)
		}
	} else {
		p.Milli = min(max(c.Moment("at").UnixMilli(), 0), maxMilli)
	}
	at := p.read()
	return &at, nil
}

// inList shows a message in a list.
func inList(m listed, known knownFiles) ([]byte, error) {
	return showMessage(m.shown, known, m.revoked, nil)
}

// ListMessages lists the messages of a conversation.
func (h *Handlers) ListMessages(ctx context.Context, c *session.Call) (output.Answer, error) {
	q, err := readListQuery(c, false)
	if err != nil {
		return output.Answer{}, err
	}
	var out struct {
		Names  names.Names `json:"names"`
		Anchor *string     `json:"anchor"`
		Next   *string     `json:"next"`
		Prev   *string     `json:"prev"`
		Resume *string     `json:"resume"`
	}
	var before, after collected
	if err := h.reading(ctx, c, q.conversation, func(ctx context.Context) (err error) {
		if before, after, err = h.sides(ctx, c, q); err == nil {
			about := mentions{append(before.people, after.people...), append(before.rooms, after.rooms...)}
			out.Names = h.beside(ctx, c, about, cmp.Or(after.early, before.early))
		}
		return err
	}); err != nil {
		return output.Answer{}, err
	}
	slices.Reverse(before.shown)
	if q.around != nil && len(after.shown) > 0 {
		id, err := opaque.Message(c.CorpID).Seal(place{q.conversation, after.first})
		if err != nil {
			return output.Answer{}, err
		}
		out.Anchor = &id
	}
	// A continued list came here from the page on the other side, so that page
	// exists.
	if out.Next, err = sealSide(c, after, before, q.continued, false); err != nil {
		return output.Answer{}, err
	}
	if out.Prev, err = sealSide(c, before, after, q.continued, true); err != nil {
		return output.Answer{}, err
	}
	if out.Resume, err = c.SealPage(resume(q, before, after)); err != nil {
		return output.Answer{}, err
	}
	return output.List("messages", append(before.shown, after.shown...), out)
}

// reading reads messages of a conversation, and records at the same time that the
// caller reads them. If one of the two fails, the route fails.
func (h *Handlers) reading(ctx context.Context, c *session.Call, conv archive.ConversationID, read func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.RecordReading(ctx, h.Readings, h.Now(), archive.Reading{Conversation: conv}) })
	g.Go(func() error { return read(ctx) })
	return g.Wait()
}

// sealSide makes the token of the page after a side of a page; nil if there is
// none. If this side is empty, the previous page may be the other side's.
func sealSide(c *session.Call, side, other collected, continued, back bool) (*string, error) {
	switch {
	case side.more:
		return c.SealPage(messagePage{side.last, back})
	case continued && len(other.shown) > 0:
		return c.SealPage(messagePage{other.first, back})
	}
	return nil, nil
}

// resume is the place of the page of newer messages, which may not exist yet.
func resume(q listQuery, before, after collected) messagePage {
	descending := q.messages.Descending != q.back // of the list, whichever way the page goes
	if q.around != nil {
		descending = false
	}
	start := position{}
	switch {
	case q.messages.Start != nil:
		start = positionAt(*q.messages.Start)
	case q.around != nil:
		start = positionAt(*q.around)
	}
	switch {
	case !descending && len(after.shown)+after.scanned > 0: // the page ends with its newest message
		return messagePage{after.last, false}
	case !descending && len(before.shown) > 0:
		return messagePage{before.first, false}
	case descending && len(after.shown) > 0: // the page begins with it
		return messagePage{after.first, true}
	case descending && len(before.shown)+before.scanned > 0:
		return messagePage{before.last, true}
	}
	return messagePage{start, descending}
}

// sides collects the messages of a page: those after its beginning or its middle,
// and those before it, which are in the order of their search. Only a page around
// a message or a time has both.
func (h *Handlers) sides(ctx context.Context, c *session.Call, q listQuery) (before, after collected, err error) {
	none := collected{shown: []json.RawMessage{}}
	if q.around == nil {
		q.namesToo = true
		found, err := h.collect(ctx, c, q)
		if q.back {
			return found, none, err
		}
		return none, found, err
	}
	half := q.limit / 2
	q.revocations = &revocations{} // both searches use them
	q.messages.Start, q.messages.Including, q.limit = q.around, true, q.limit-half
	if after, err = h.collect(ctx, c, q); err != nil {
		return none, none, err
	}
	if session.Ending(ctx) {
		none.more, none.last = true, positionAt(*q.around)
		return none, after, nil
	}
	q.messages.Including, q.messages.Descending, q.limit, q.taken = false, true, half, after.size
	before, err = h.collect(ctx, c, q)
	return before, after, err
}

// collected is a page of messages, in the order of its query.
type collected struct {
	mentions
	limit int
	shown []json.RawMessage
	size  int // bytes of the messages on the page
	// scanned counts the messages that the page shows or passes over, and until is the
	// time of the last one. Messages that the caller may not see do not count.
	scanned int
	until   time.Time
	// first is the first shown message. last is the last message that the page
	// shows or passes over; messages that the caller may not see come in only if the
	// time of the page was over.
	first, last position
	more        bool        // whether the list goes on after last
	early       *earlyNames // beside the first messages; nil if they are not looked up early
}

// room returns how many more messages the page may show.
func (p *collected) room() int { return p.limit - len(p.shown) }

// put shows a message on the page, and reports whether the page has room for it.
func (p *collected) put(m listed, b []byte) (fits bool) {
	if p.size += len(b); p.size > output.PageBytes && p.size-len(b) > 0 {
		return false
	}
	if len(p.shown) == 0 {
		p.first = positionOf(m.Message)
	}
	p.shown = append(p.shown, b)
	p.add(m.Conversation, m.content.Fields)
	return true
}

// collector fills a page of messages.
type collector struct {
	h    *Handlers
	c    *session.Call
	q    listQuery
	page collected
	work budget
	done bool // the list shows no further message
}

// collect reads messages until the page has limit messages or PageBytes, or the
// budget or the time is spent.
func (h *Handlers) collect(ctx context.Context, c *session.Call, q listQuery) (collected, error) {
	if q.revocations == nil {
		q.revocations = &revocations{}
	}
	l := collector{h: h, c: c, q: q, page: collected{limit: q.limit, size: q.taken, shown: []json.RawMessage{}}}
	if start := q.messages.Start; start != nil {
		l.page.last = positionAt(*start)
	}
	if q.filter.revoked { // most conversations have no revocation, and end here
		if err := l.readRevocations(ctx); err != nil || len(q.revocations.first) == 0 {
			return l.page, err
		}
	}
	for span, err := range h.spans(ctx, c, q.conversation, q.messages) {
		if e, ended := errors.AsType[ending](err); ended {
			l.page.more, l.page.last = true, before(e.day, q.messages.Descending)
			return l.page, nil
		}
		if err != nil {
			return collected{}, err
		}
		if err := l.fill(ctx, span); err != nil {
			return collected{}, err
		}
		if l.page.more || l.done {
			break
		}
	}
	return l.page, nil
}

// before returns a position before all messages of a day, in the order of the
// list, and after the messages of the days before it.
func before(day archive.Day, descending bool) position {
	if descending {
		return position{Milli: input.DayEnd(day).UnixMilli()}
	}
	return position{Milli: day.Start().UnixMilli()}
}

// fill reads a span of the list batch by batch, until it ends or the page does.
func (l *collector) fill(ctx context.Context, at archive.MessageQuery) error {
	at.MaxBytes = output.PageBytes
	// If there is one message more than the page may show, the list goes on.
	for at.Limit = l.page.room() + 1; ; at.Limit = min(max(4*at.Limit, readFirst), readMost) {
		list, more, err := l.read(ctx, at)
		if err != nil {
			return err
		}
		for len(list) > 0 {
			b, rest, err := l.batch(ctx, list)
			if err != nil {
				return err
			}
			start := list[len(list)-len(rest)-1].Position()
			at.Start, at.Including, list = &start, false, rest
			if err := l.takeAll(ctx, b); err != nil || l.page.more || l.done {
				return err
			}
			if session.Ending(ctx) {
				l.page.more, l.page.last = true, positionAt(start)
				return nil
			}
		}
		if !more {
			return nil
		}
	}
}

// read reads messages. The first call also reads revocations, at the same time.
func (l *collector) read(ctx context.Context, q archive.MessageQuery) (list []archive.Message, more bool, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		list, more, err = l.h.Messages.Messages(ctx, l.c.CorpID, l.q.conversation, q)
		return err
	})
	if l.q.filter.text == nil { // a hit says nothing of revocations
		g.Go(func() error { return l.readRevocations(ctx) })
	}
	err = g.Wait()
	return list, more, err
}

// takeAll takes the messages of a batch, until the page or its time ends.
func (l *collector) takeAll(ctx context.Context, b batch) error {
	for i, m := range b.messages {
		if i > 0 && session.Ending(ctx) {
			l.page.more, l.page.last = true, positionOf(b.messages[i-1].Message)
			return nil
		}
		fits, err := l.take(ctx, m, b.known)
		if err != nil {
			return err
		}
		if !fits {
			l.page.more = true
		}
		if !fits || l.done {
			return nil
		}
	}
	return nil
}

// take shows a message on the page, or passes over one that is not wanted. It
// reports false if the message has to wait for the next page.
func (l *collector) take(ctx context.Context, m listed, known knownFiles) (bool, error) {
	if m.Overflow != nil && l.c.Caller.Limited {
		// Only the message's bytes show whether the caller may see it.
		var err error
		if m.shown, err = l.h.read(ctx, m.Message, readListed); err != nil || !l.c.Caller.Sees(m.content.Fields) {
			return true, err
		}
	}
	if !l.work.left() || m.wanted && (l.page.room() == 0 || !l.work.admits(m.Message)) {
		return false, nil
	}
	if m.wanted && m.Overflow != nil {
		if m.bytes == nil {
			// The journal is read for one message at a time: a batch of long messages
			// would exceed the memory of the function.
			var err error
			if m.shown, err = l.h.read(ctx, m.Message, readListed); err != nil {
				return false, err
			}
		}
		m.wanted = l.q.filter.shows(m.content)
	}
	if m.wanted {
		m.hides = l.q.hides
		var err error
		if l.q.filter.text == nil {
			if m.revokes, err = l.h.revokedBy(ctx, l.c, m.shown); err != nil {
				return false, err
			}
		}
		b, err := l.q.render(m, known)
		if err != nil || !l.page.put(m, b) {
			return false, err
		}
		l.done = l.q.filter.msgID != "" // there is one message with a msgid
	}
	l.page.last = positionOf(m.Message)
	l.page.scanned++
	l.page.until = m.Time
	l.work.spend(m.Message)
	return true, nil
}

// listed is a message of a batch. Its content is read if the message is wanted
// and in the table.
type listed struct {
	shown
	revoked *revocationJSON
	wanted  bool
}

// batch holds messages that the caller may see, and messages in the journal:
// whether the caller may see these, only their bytes show.
type batch struct {
	messages []listed
	known    knownFiles // the files that the messages name
}

// batch makes a batch of the first messages of a list, and returns the rest. It
// ends when it has one wanted message more than the page may show, and before a
// message whose files would exceed filesAtOnce, unless that message is the first.
func (l *collector) batch(ctx context.Context, list []archive.Message) (b batch, rest []archive.Message, err error) {
	var seen []archive.Message
	var after [][]archive.Message // the rest of the list, from each seen message on
	for rest = list; len(rest) > 0 && (!l.q.filter.all() || len(seen) <= l.page.room()); rest = rest[1:] {
		if m := rest[0]; l.maySee(m) {
			seen, after = append(seen, m), append(after, rest)
		}
	}
	revoked, err := l.revocationsOf(ctx, seen)
	if err != nil {
		return b, nil, err
	}
	var ids []string
	for i, m := range seen {
		next := listed{shown: shown{Message: m}, revoked: showRevocation(m, revoked)}
		next.wanted = l.q.filter.mayShow(m, next.revoked)
		if next.wanted && m.Overflow == nil {
			if next.shown, err = l.h.read(ctx, m, readListed); err != nil {
				return b, nil, err
			}
			if next.wanted = l.q.filter.shows(next.content); !next.wanted {
				next.shown = shown{Message: m} // what is passed over needs no memory
				b.messages = append(b.messages, next)
				continue
			}
			named := fileIDs(next.content.Files)
			if i > 0 && len(ids)+len(named) > filesAtOnce {
				rest = after[i]
				break
			}
			ids = append(ids, named...)
		}
		b.messages = append(b.messages, next)
	}
	if len(b.messages) > 0 && l.page.early == nil && l.q.namesToo {
		l.page.early = l.h.lookUpEarly(ctx, l.c, b.messages)
	}
	b.known, err = l.h.lookUp(ctx, l.c.CorpID, ids)
	return b, rest, err
}

// revocations are the first revocations of a conversation.
type revocations struct {
	read  bool
	first map[string]archive.Revocation // by [archive.RevocationKey]
	more  bool                          // whether the conversation has others
}

// readRevocations reads the revocations, unless an earlier call did.
func (l *collector) readRevocations(ctx context.Context) error {
	r := l.q.revocations
	if r.read {
		return nil
	}
	list, more, err := l.h.Messages.FirstRevocations(ctx, l.c.CorpID, l.q.conversation, revocationsRead)
	if err != nil {
		return err
	}
	*r = revocations{read: true, first: make(map[string]archive.Revocation, len(list)), more: more}
	for _, revocation := range list {
		r.first[archive.RevocationKey(revocation.MsgID)] = revocation
	}
	return nil
}

// revocationsOf returns, by msgid, the revocations of messages that the caller may
// see. It reads each of them only if the conversation has too many to read all.
func (l *collector) revocationsOf(ctx context.Context, list []archive.Message) (map[string]archive.Revocation, error) {
	if l.q.revocations.more {
		return l.h.revocations(ctx, l.c, l.q.conversation, list)
	}
	revoked := make(map[string]archive.Revocation)
	for _, m := range list {
		if r, ok := l.q.revocations.first[archive.RevocationKey(m.MsgID)]; ok {
			revoked[m.MsgID] = r
		}
	}
	return revoked, l.h.dropUnseen(ctx, l.c, l.q.conversation, revoked)
}

// maySee reports false for a message in the table that the caller may not see.
func (l *collector) maySee(m archive.Message) bool {
	if !l.c.Caller.Limited || m.Overflow != nil {
		return true
	}
	fields, _ := message.Parse(m.Raw)
	return l.c.Caller.Sees(fields)
}
