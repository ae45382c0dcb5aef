package chats

import (
	"context"
	"encoding/json"
	"iter"
	"slices"

	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

const (
	// lookMost and lookBytes bound the messages that are read for one page. A page
	// reads more than it shows only for a limited caller, or with revoked.
	lookMost  = 2000
	lookBytes = 32 << 20
	// filesAtOnce bounds the files that are looked up together for a list. A single
	// message with more files is an exception.
	filesAtOnce = 1000
	// maxMilli is the last millisecond of the year 9999. No message has a later
	// time.
	maxMilli = 253402300799999
)

// messagePage is the place where a page of messages begins: after a message, in
// the order of the list or, for the previous page, in the reverse order.
type messagePage struct {
	position
	Back bool `json:"b,omitempty"`
}

// listQuery is the query of a list of messages.
type listQuery struct {
	conversation archive.ConversationID
	messages     archive.MessageQuery
	limit        int
	revokedOnly  bool
	continued    bool // from a page token
	back         bool // towards the previous pages
}

func readListQuery(c *session.Call) (listQuery, error) {
	var q listQuery
	if opaque.Conversation(c.CorpID).Open(c.PathValue("conversation"), &q.conversation) != nil || q.conversation == "" {
		return q, problem.New(problem.NotFound, nil)
	}
	var at messagePage
	q.continued = c.Page(&at)
	q.back = at.Back
	if at.Milli < 0 || at.Milli > maxMilli {
		c.RejectPage()
	}
	from, to := c.Moment("from"), c.Moment("to")
	q.messages = archive.MessageQuery{From: from, To: to, Descending: c.Descending() != q.back}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		c.Reject("to", problem.Range, problem.RemedyTimeOrder, nil)
	}
	q.limit, q.revokedOnly = c.Limit(), c.Only("revoked")
	if q.continued {
		start := at.read()
		q.messages.Start = &start
	}
	return q, c.Err()
}

// ListMessages lists the messages of a conversation.
func (h *Handlers) ListMessages(ctx context.Context, c *session.Call) (output.Answer, error) {
	q, err := readListQuery(c)
	if err != nil {
		return output.Answer{}, err
	}
	found, err := h.collect(ctx, c, q)
	if err != nil {
		return output.Answer{}, err
	}
	if err := c.RecordReading(ctx, h.Readings, h.Now(), q.conversation, ""); err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Messages []json.RawMessage `json:"messages"`
		Names    names.Names       `json:"names"`
		Next     *string           `json:"next"`
		Prev     *string           `json:"prev"`
	}{Messages: found.shown, Names: h.Names.Beside(ctx, c.Corp, found.people, found.rooms)}
	ahead, behind := &out.Next, &out.Prev
	if q.back {
		slices.Reverse(out.Messages)
		ahead, behind = behind, ahead
	}
	if found.more {
		if *ahead, err = c.SealPage(messagePage{found.last, q.back}); err != nil {
			return output.Answer{}, err
		}
	}
	// The page token came from the page behind, so that page exists.
	if q.continued && len(found.shown) > 0 {
		if *behind, err = c.SealPage(messagePage{found.first, !q.back}); err != nil {
			return output.Answer{}, err
		}
	}
	return output.JSON(200, out)
}

// collected is a page of messages, in the order of its query.
type collected struct {
	mentions
	limit int
	shown []json.RawMessage
	size  int // bytes of shown
	// first is the first shown message, last the last message that was read, which
	// the page may have passed over.
	first, last position
	more        bool // whether the list goes on after last
}

func (p *collected) full() bool { return len(p.shown) == p.limit }

// put shows a message on the page, unless the caller may not see it. It reports
// whether the page has room for the message.
func (p *collected) put(c *session.Call, m listed, known knownFiles) (fits bool, _ error) {
	if !c.Caller.Sees(m.content.Fields) {
		return true, nil
	}
	b, err := showMessage(m.shown, known, m.revoked, nil)
	if err != nil {
		return false, err
	}
	if p.size += len(b); p.size > output.PageBytes && len(p.shown) > 0 {
		return false, nil
	}
	if len(p.shown) == 0 {
		p.first = positionOf(m.Message)
	}
	p.shown = append(p.shown, b)
	p.add(m.Conversation, m.content.Fields)
	return true, nil
}

// budget counts the messages and bytes that were read for a page.
type budget struct{ messages, bytes int }

func (b *budget) left() bool { return b.messages < lookMost && b.bytes < lookBytes }

// admits counts the bytes of a message in the journal, and reports whether the
// message may be read. The first message may always be read, so each page
// advances.
func (b *budget) admits(m archive.Message) bool {
	if m.Overflow != nil {
		b.bytes += m.Overflow.Size
	}
	return b.bytes <= lookBytes || b.messages == 0
}

// spend counts a message that was read or passed over.
func (b *budget) spend(m archive.Message) {
	b.messages++
	b.bytes += len(m.Raw)
}

// collect reads messages until the page has limit messages or PageBytes, or the
// budget is spent.
func (h *Handlers) collect(ctx context.Context, c *session.Call, q listQuery) (collected, error) {
	page := collected{limit: q.limit, shown: []json.RawMessage{}}
	if q.revokedOnly { // most conversations have no revocation, and end here
		if any, err := h.Messages.AnyRevoked(ctx, c.CorpID, q.conversation); err != nil || !any {
			return page, err
		}
	}
	var work budget
	for batch, err := range h.batches(ctx, c, q, &page, &work) {
		if err != nil {
			return collected{}, err
		}
		for _, m := range batch.messages {
			fits, err := h.take(ctx, c, &page, &work, m, batch.known)
			if err != nil {
				return collected{}, err
			}
			if !fits {
				page.more = true
				return page, nil
			}
		}
		page.more = batch.more
	}
	return page, nil
}

// take shows a message on the page, or passes over an unwanted one. It reports
// false if the message has to wait for the next page.
func (h *Handlers) take(ctx context.Context, c *session.Call, page *collected, work *budget, m listed, known knownFiles) (bool, error) {
	if page.full() {
		return false, nil
	}
	if m.wanted {
		if !work.admits(m.Message) {
			return false, nil
		}
		if m.Overflow != nil {
			// The journal is read for one message at a time: a batch of long messages
			// would exceed the memory of the function.
			var err error
			if m.shown, err = h.read(ctx, m.Message, readListed); err != nil {
				return false, err
			}
		}
		if fits, err := page.put(c, m, known); err != nil || !fits {
			return false, err
		}
	}
	page.last = positionOf(m.Message)
	work.spend(m.Message)
	return true, nil
}

// listed is a message of a batch. Its content is read if the message is wanted
// and in the table.
type listed struct {
	shown
	revoked *revocationJSON
	wanted  bool
}

// batch is what one look at the table gives.
type batch struct {
	messages []listed
	known    knownFiles // the files that the messages name
	more     bool       // whether the list goes on
}

// batches reads the list batch by batch, until it ends, the page is full or the
// budget is spent.
func (h *Handlers) batches(ctx context.Context, c *session.Call, q listQuery, page *collected, work *budget) iter.Seq2[batch, error] {
	return func(yield func(batch, error) bool) {
		at := q.messages
		at.MaxBytes = output.PageBytes
		for work.left() && !page.full() {
			at.Limit = page.limit - len(page.shown)
			if c.Caller.Limited || q.revokedOnly { // the page may pass over many
				at.Limit = input.MaxLimit
			}
			b, err := h.batch(ctx, c, q, at)
			if !yield(b, err) || err != nil || !b.more || len(b.messages) == 0 {
				return
			}
			start := page.last.read()
			at.Start = &start
		}
	}
}

// batch reads messages from the table, each wanted one once, and looks up the
// files that they name. It ends before a message whose files would exceed
// filesAtOnce, unless that message is the first.
func (h *Handlers) batch(ctx context.Context, c *session.Call, q listQuery, at archive.MessageQuery) (batch, error) {
	list, more, err := h.Messages.Messages(ctx, c.CorpID, q.conversation, at)
	if err != nil {
		return batch{}, err
	}
	revocations, err := h.revocations(ctx, c.CorpID, q.conversation, list)
	if err != nil {
		return batch{}, err
	}
	b := batch{more: more}
	var ids []string
	for i, m := range list {
		next := listed{shown: shown{Message: m}, revoked: showRevocation(m, revocations)}
		next.wanted = next.revoked != nil || !q.revokedOnly
		if next.wanted && m.Overflow == nil {
			if next.shown, err = h.read(ctx, m, readListed); err != nil {
				return batch{}, err
			}
			named := fileIDs(next.content.Files)
			if i > 0 && len(ids)+len(named) > filesAtOnce {
				b.more = true
				break
			}
			if c.Caller.Sees(next.content.Fields) {
				ids = append(ids, named...)
			}
		}
		b.messages = append(b.messages, next)
	}
	b.known, err = h.lookUp(ctx, c.CorpID, ids)
	return b, err
}
