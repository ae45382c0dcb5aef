package chats

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
)

const (
	// daysMost is how many days with activity are looked at for one page; more
	// than a few are only where the caller may not see what is on them.
	daysMost = 31
	// atOnce is how many conversations are looked at together. To know their
	// order, all of a day are: a message to ten thousand customers is a day of
	// ten thousand conversations, and has to fit the function's time.
	atOnce = 32
	// aheadChars is how much of a digest names a conversation that comes next in
	// a page token, which has room for more than 500 of them: the pages of most
	// days need one look at all of a day.
	aheadChars = 5
	// lookBack is how many messages are looked at for one to show.
	lookBack = 50
	// leftMost is how many conversations that a party left are remembered in a
	// page token. Beyond it, one of them may be listed again.
	leftMost = 128
	// partiesMost is how many parties of a conversation a list names, in
	// partiesBytes at most. A room may have thousands.
	partiesMost  = 100
	partiesBytes = 16 << 10
	// entryMost is the most that an entry with a preview comes to. What a
	// malformed message says of itself may be longer; then it has none.
	entryMost = 256 << 10
)

type conversationJSON struct {
	ID         string       `json:"id"`
	Kind       string       `json:"kind"`
	Parties    []string     `json:"parties"`
	PartyCount int          `json:"party_count"`
	Room       *string      `json:"room"`
	LastAt     string       `json:"last_at"`
	Newest     *previewJSON `json:"newest"`
}

type previewJSON struct {
	MessageID string `json:"message_id"`
	Time      string `json:"time"`
	From      string `json:"from"`
	Action    string `json:"action"`
	Type      string `json:"type"`
	Kind      string `json:"kind"`
	Text      string `json:"text"`
}

// listPage is where a page of conversations begins: on a day, after an entry
// of it if Digest is set. Left are the digests of conversations that the party
// left and that were listed already. An id may be too long for a token.
type listPage struct {
	Day    archive.Day `json:"d"`
	Milli  int64       `json:"t,omitempty"`
	Digest string      `json:"c,omitempty"`
	Left   []string    `json:"l,omitempty"`
	// Ahead are the beginnings of the digests of the entries that come next, in
	// their order, so that no others need to be looked at for them. Behind these
	// the day has more if Rest is set.
	Ahead string `json:"a,omitempty"`
	Rest  bool   `json:"r,omitempty"`
}

// carry notes which entries come next: those, then the ones noted in ahead,
// then others if rest is set; as many as a token has room for.
func (p *listPage) carry(entries []entry, ahead string, rest bool) {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.digest[:aheadChars])
	}
	b.WriteString(ahead)
	// A token is base64 of JSON, in which each of Left takes 14 bytes; the rest
	// of it, and what hides it, fit into 200.
	room := max(input.MaxPageToken/4*3-200-14*len(p.Left), 0) / aheadChars * aheadChars
	p.Ahead, p.Rest = b.String(), rest
	if len(p.Ahead) > room {
		p.Ahead, p.Rest = p.Ahead[:room], true
	}
}

// among are those of the conversations that are noted in ahead.
func among(conversations []archive.ConversationID, ahead string) []archive.ConversationID {
	noted := make(map[string]bool)
	for begin := range slices.Chunk([]byte(ahead), aheadChars) {
		noted[string(begin)] = true
	}
	return slices.DeleteFunc(slices.Clone(conversations), func(conv archive.ConversationID) bool {
		return !noted[digestOf(conv)[:aheadChars]]
	})
}

// entry is a conversation in a list.
type entry struct {
	conversation archive.ConversationID
	digest       string           // of the conversation's id
	at           time.Time        // of the newest message that the list is about
	left         bool             // the party took no part in the newest of all
	message      *archive.Message // to show, without its bytes; nil where there is none near
	fields       message.Fields
	kind, text   string // of the preview
}

// show makes m the entry's preview. The bytes are not kept: there may be
// thousands of entries.
func (e *entry) show(m archive.Message, f message.Fields, raw []byte) {
	view, _ := read(f, raw)
	m.Raw = nil
	e.message, e.fields, e.at, e.kind, e.text = &m, f, m.Time, view.Kind, beginning(view.Text)
}

// compareEntries sorts the newest first.
func compareEntries(a, b entry) int {
	return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.digest, b.digest))
}

func (p listPage) passed(e entry) bool {
	return p.Digest != "" && compareEntries(e, entry{digest: p.Digest, at: time.UnixMilli(p.Milli)}) <= 0
}

func (h *Handlers) ListConversations(ctx context.Context, c *session.Call) (output.Answer, error) {
	var given []string
	for _, name := range []string{"member", "external_contact", "room", "unplaced"} {
		if c.Query.Has(name) {
			given = append(given, name)
		}
	}
	var party string // stays empty for unplaced: those messages have none
	if len(given) == 1 && given[0] != "unplaced" {
		party = c.Party(given[0])
	}
	if len(given) != 1 && !c.Mistaken() {
		c.Reject("", problem.Exclusive, problem.RemedyExactlyOne, nil)
	}
	c.Only("unplaced")
	var at listPage
	if c.Page(&at) && at.Day.Start().IsZero() {
		c.RejectPage()
	}
	limit := c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	if given[0] == "member" && c.Caller.Limited && !c.Caller.Includes(party) {
		return output.Answer{}, problem.New(problem.Forbidden, nil)
	}
	page := entryPage{corp: c.CorpID, limit: limit, shown: []json.RawMessage{}}
	var next *listPage
	var err error
	if given[0] == "room" {
		err = h.room(ctx, c, &page, party)
	} else {
		next, err = h.walk(ctx, c, &page, party, at)
	}
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Conversations []json.RawMessage `json:"conversations"`
		Names         names.Names       `json:"names"`
		Next          *string           `json:"next"`
	}{Conversations: page.shown}
	if next != nil {
		if out.Next, err = c.SealPage(next); err != nil {
			return output.Answer{}, err
		}
	}
	if err := c.RecordReading(ctx, h.Readings, h.Now(), "", party); err != nil {
		return output.Answer{}, err
	}
	out.Names = h.Names.Beside(ctx, c.Corp, page.people, page.rooms)
	return output.JSON(200, out)
}

// entryPage is a page of conversations as it fills: up to limit, or output.PageBytes.
type entryPage struct {
	corp   string
	limit  int
	shown  []json.RawMessage
	bytes  int
	people []string // to be named
	rooms  []string
}

// add puts an entry on the page, and reports false if the page is full.
func (p *entryPage) add(e entry) (bool, error) {
	if len(p.shown) == p.limit {
		return false, nil
	}
	shown, err := showEntry(p.corp, e)
	if err != nil {
		return false, err
	}
	if p.bytes += len(shown); p.bytes > output.PageBytes && len(p.shown) > 0 {
		return false, nil
	}
	p.shown = append(p.shown, shown)
	p.people, p.rooms = named(p.people, p.rooms, e.conversation, e.fields)
	return true, nil
}

// room fills the page of one room: with itself, or nothing.
func (h *Handlers) room(ctx context.Context, c *session.Call, page *entryPage, roomID string) error {
	e := entry{conversation: archive.RoomConversation(roomID)}
	q := archive.MessageQuery{Limit: 1}
	if c.Caller.Limited {
		q.Limit = lookBack
	}
	if err := h.preview(ctx, c, &e, q, c.Caller.Sees); err != nil || e.message == nil {
		return err
	}
	_, err := page.add(e)
	return err
}

// walk lists a party's conversations by walking back over the days on which it
// was active. A conversation belongs to the day of the newest message in which
// the party takes part, and is passed over on the days before. It returns where
// the next page begins, if there is one.
func (h *Handlers) walk(ctx context.Context, c *session.Call, page *entryPage, party string, at listPage) (*listPage, error) {
	next := listPage{Day: at.Day, Milli: at.Milli, Digest: at.Digest, Left: at.Left}
	left := make(map[string]bool)
	for _, digest := range at.Left {
		left[digest] = true
	}
	// list adds those of a day's conversations that come next, and reports
	// whether the page is full; ahead and rest say what the day has behind them.
	list := func(day archive.Day, conversations []archive.ConversationID, ahead string, rest bool) (full bool, _ error) {
		entries, err := h.entriesOf(ctx, c, party, day, conversations)
		if err != nil {
			return false, err
		}
		entries = slices.DeleteFunc(entries, func(e entry) bool { return e.left && left[e.digest] || day == next.Day && next.passed(e) })
		for i, e := range entries {
			added, err := page.add(e)
			if err != nil {
				return false, err
			}
			if !added {
				if next.Day != day {
					next = listPage{Day: day, Left: next.Left}
				}
				next.carry(entries[i:], ahead, rest)
				return true, nil
			}
			next.Day, next.Milli, next.Digest = day, e.at.UnixMilli(), e.digest
			if e.left {
				left[e.digest] = true
				if len(next.Left) < leftMost {
					next.Left = append(next.Left, e.digest)
				}
			}
		}
		return false, nil
	}
	upTo := at.Day
	for range daysMost {
		day, conversations, err := h.Messages.LatestDay(ctx, c.CorpID, party, upTo)
		if errors.Is(err, archive.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		all := day != at.Day || at.Ahead == "" || at.Rest
		for ahead := at.Ahead; day == at.Day && ahead != ""; {
			// One more than the page holds shows that it is full.
			n := min((page.limit-len(page.shown)+1)*aheadChars, len(ahead))
			some := among(conversations, ahead[:n])
			if len(some) > n/aheadChars {
				// Two digests begin alike, and only the order of all tells which
				// of them comes next.
				all = true
				break
			}
			ahead = ahead[n:]
			if full, err := list(day, some, ahead, at.Rest); full || err != nil {
				return &next, err
			}
		}
		if all {
			if full, err := list(day, conversations, "", false); full || err != nil {
				return &next, err
			}
		}
		upTo = archive.DayOf(day.Start().AddDate(0, 0, -1))
	}
	return &listPage{Day: upTo, Left: next.Left}, nil
}

func digestOf(conv archive.ConversationID) string {
	sum := sha256.Sum256([]byte(conv))
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

// entriesOf are the conversations that belong to a day of a party and that the
// caller may see, newest first.
func (h *Handlers) entriesOf(ctx context.Context, c *session.Call, party string, day archive.Day, conversations []archive.ConversationID) ([]entry, error) {
	found := make([]*entry, len(conversations))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, conv := range conversations {
		g.Go(func() (err error) {
			found[i], err = h.entryOf(ctx, c, party, day, conv)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var entries []entry
	for _, e := range found {
		if e != nil {
			entries = append(entries, *e)
		}
	}
	slices.SortFunc(entries, compareEntries)
	return entries, nil
}

// entryOf is the conversation's entry for a party and one of its days; nil if
// it belongs to a later day or the caller may not see it.
func (h *Handlers) entryOf(ctx context.Context, c *session.Call, party string, day archive.Day, conv archive.ConversationID) (*entry, error) {
	newest, err := h.Messages.Newest(ctx, c.CorpID, conv)
	if errors.Is(err, archive.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	fields, raw, err := h.fields(ctx, newest)
	if err != nil {
		return nil, err
	}
	shown := func(f message.Fields) bool { return takesPart(party, f) && c.Caller.Sees(f) }
	e := &entry{conversation: conv, digest: digestOf(conv), at: newest.Time}
	start := newest.Position()
	q := archive.MessageQuery{Start: &start, Limit: lookBack}
	switch {
	case !takesPart(party, fields):
		// The party left. The last message that it saw is on this day, or the
		// conversation was listed on a later one.
		e.left, e.at = true, input.DayEnd(day).Add(-time.Millisecond)
		q = archive.MessageQuery{From: day.Start(), To: input.DayEnd(day), Limit: lookBack}
	case archive.DayOf(newest.Time) > day:
		return nil, nil
	case shown(fields):
		e.show(newest, fields, raw)
		return e, nil
	}
	if err := h.preview(ctx, c, e, q, shown); err != nil {
		return nil, err
	}
	if e.message == nil && c.Caller.Limited {
		return nil, nil
	}
	return e, nil
}

// takesPart reports whether the party takes part in a message; the empty party
// takes part in those of nobody.
func takesPart(party string, f message.Fields) bool {
	parties := f.Parties()
	if party == "" {
		return len(parties) == 0
	}
	return slices.Contains(parties, party)
}

// preview looks back within q for a message to show in e.
func (h *Handlers) preview(ctx context.Context, c *session.Call, e *entry, q archive.MessageQuery, shown func(message.Fields) bool) error {
	q.Descending, q.MaxBytes = true, output.PageBytes
	list, _, err := h.Messages.Messages(ctx, c.CorpID, e.conversation, q)
	if err != nil {
		return err
	}
	for _, m := range list {
		f, raw, err := h.fields(ctx, m)
		if err != nil {
			return err
		}
		if shown(f) {
			e.show(m, f, raw)
			return nil
		}
	}
	return nil
}

// showEntry is the entry as JSON. Whatever the conversation is, it fits on a
// page.
func showEntry(corp string, e entry) ([]byte, error) {
	id, err := opaque.Conversation(corp).Seal(e.conversation)
	if err != nil {
		return nil, err
	}
	j := conversationJSON{ID: id, Kind: e.conversation.Kind(), Parties: []string{}, LastAt: output.Moment(e.at)}
	named := e.conversation.Parties()
	if j.Kind == "room" && len(named) == 1 {
		j.Room, named = &named[0], nil
	}
	if named == nil {
		named = archive.Distinct(e.fields.Parties())
	}
	j.PartyCount = len(named)
	size := 0
	for _, party := range named[:min(len(named), partiesMost)] {
		if size += len(party); size > partiesBytes {
			break
		}
		j.Parties = append(j.Parties, party)
	}
	if e.message != nil {
		messageID, err := messageID(*e.message)
		if err != nil {
			return nil, err
		}
		j.Newest = &previewJSON{
			MessageID: messageID, Time: output.Moment(e.message.Time), From: sender(e.fields), Action: e.fields.Action, Type: e.fields.Type,
			Kind: e.kind, Text: e.text,
		}
	}
	ans, err := output.JSON(200, j)
	if err == nil && len(ans.Body) > entryMost {
		j.Newest = nil
		ans, err = output.JSON(200, j)
	}
	return ans.Body, err
}
