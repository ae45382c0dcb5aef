package chats

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/message"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

const (
	// atOnce is the number of conversations that are read together. To sort the
	// conversations of a day, all of them must be read. A broadcast to ten thousand
	// customers makes ten thousand conversations on one day, which must be read
	// before the function times out.
	atOnce = 32
	// partiesMost bounds the parties of a conversation in a list, and partiesBytes
	// their bytes. A room may have thousands of members.
	partiesMost  = 100
	partiesBytes = 16 << 10
	// entryMost bounds an entry with a preview, in bytes. The fields of a malformed
	// message may be longer; its entry has no preview.
	entryMost = 256 << 10
	// seenBytes is room for seen_at, which an entry gets after it was measured.
	seenBytes = 32
)

type conversationJSON struct {
	ID         string       `json:"id"`
	Kind       string       `json:"kind"`
	Parties    []string     `json:"parties"`
	PartyCount int          `json:"party_count"`
	Room       *string      `json:"room"`
	LastAt     string       `json:"last_at"`
	SeenAt     *string      `json:"seen_at"` // by the caller
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

// entry is a conversation in a list.
type entry struct {
	conversation archive.ConversationID
	digest       string           // of the conversation's id
	at           time.Time        // of the newest message in which the party takes part and that the caller may see
	message      *archive.Message // of the preview, without its bytes; nil without a preview
	fields       message.Fields
	kind, text   string // of the preview
}

func newEntry(conv archive.ConversationID) entry { return newEntryAt(conv, time.Time{}) }

func newEntryAt(conv archive.ConversationID, at time.Time) entry {
	return entry{conversation: conv, digest: digestOf(conv), at: at}
}

// show makes a message the preview of the entry. The entry does not keep the
// bytes: a day may have thousands of entries.
func (e *entry) show(s shown) {
	m := s.Message
	m.Raw = nil
	e.message, e.fields, e.at, e.kind, e.text = &m, s.content.Fields, m.Time, s.content.Kind, beginning(s.content.Text)
}

// compareEntries sorts the newest first.
func compareEntries(x, y entry) int {
	return cmp.Or(y.at.Compare(x.at), cmp.Compare(x.digest, y.digest))
}

// ListConversations lists the conversations of a party, those in which a member
// and an external contact take part together, one room, or all rooms.
func (h *Handlers) ListConversations(ctx context.Context, c *session.Call) (output.Answer, error) {
	var given []string
	for _, name := range []string{"member", "external_contact", "room", "unplaced", "rooms"} {
		if c.Query.Has(name) {
			given = append(given, name)
		}
	}
	var parties []string // none for unplaced: these messages have no party
	filter := readFilter(c)
	day := c.Day("day", "")
	if c.Query.Has("day") {
		if len(given) > 0 || c.Query.Has("since") {
			c.Reject("day", problem.Exclusive, problem.RemedyOneDay, nil)
		}
		given = []string{"day"}
	}
	pair := slices.Equal(given, []string{"member", "external_contact"})
	for _, name := range given {
		if name != "unplaced" && name != "rooms" && name != "day" && (len(given) == 1 || pair) {
			parties = append(parties, c.Party(name))
		}
	}
	if len(given) != 1 && !pair && !c.Mistaken() {
		c.Reject("", problem.Exclusive, problem.RemedyExactlyOne, nil)
	}
	c.Only("unplaced")
	c.Only("rooms")
	text := strings.ToLower(strings.TrimSpace(c.Query.Get("q")))
	if c.Query.Has("q") && !slices.Equal(given, []string{"rooms"}) {
		c.Reject("q", problem.Exclusive, problem.RemedyRoomSearch, nil)
	}
	var at listPage
	if c.Page(&at) && at.Day.Start().IsZero() {
		c.RejectPage()
	}
	limit := c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	if (given[0] == "day" || given[0] == "rooms") && c.Caller.Limited {
		return output.Answer{}, problem.New(problem.Forbidden, nil)
	}
	for i, party := range parties {
		if err := mayList(c, given[i], party); err != nil {
			return output.Answer{}, err
		}
	}
	page := entryPage{corp: c.CorpID, limit: limit, filter: filter, shown: []conversationJSON{}}
	var next *listPage
	var err error
	switch {
	case given[0] == "room":
		next, err = h.room(ctx, c, &page, parties[0], at)
	case given[0] == "day":
		next, err = h.dayList(ctx, c, &page, day, at.Digest)
	case given[0] == "rooms":
		next, err = h.rooms(ctx, c, &page, text, at)
	case given[0] == "unplaced" && c.Caller.Limited: // no member takes part in these messages
	default:
		next, err = h.walk(ctx, c, &page, parties, at)
	}
	if err != nil {
		return output.Answer{}, err
	}
	if err := h.noteSeen(ctx, c, page.shown, page.of); err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Conversations []conversationJSON `json:"conversations"`
		Names         names.Names        `json:"names"`
		Next          *string            `json:"next"`
	}{Conversations: page.shown}
	if next != nil {
		if out.Next, err = c.SealPage(next); err != nil {
			return output.Answer{}, err
		}
	}
	for _, r := range readLists(given[0], parties, day) {
		if err := c.RecordReading(ctx, h.Readings, h.Now(), r); err != nil {
			return output.Answer{}, err
		}
	}
	out.Names = h.named(ctx, c, page.people, page.rooms)
	ans, err := output.JSON(200, out)
	if err != nil || next == nil {
		return ans, err
	}
	// The page token of a limited caller is encrypted and differs each time, so the
	// ETag is made of an answer with an empty token.
	out.Next = new(string)
	return ans.TaggedBy(out)
}

// readLists says which lists a query with the parameter given reads. For the chats
// of a pair, these are the lists of both.
func readLists(given string, parties []string, day archive.Day) []archive.Reading {
	kind := archive.PartyList
	switch given {
	case "day":
		return []archive.Reading{{List: archive.DayList, Day: day}}
	case "rooms":
		return []archive.Reading{{List: archive.RoomsList}}
	case "unplaced":
		return []archive.Reading{{List: archive.UnplacedList}}
	case "room":
		kind = archive.RoomList
	}
	var lists []archive.Reading
	for _, party := range parties {
		lists = append(lists, archive.Reading{List: kind, Party: party})
	}
	return lists
}

// entryFilter says which conversations of a list are shown.
type entryFilter struct {
	kind     string    // any if empty
	external bool      // only those with an external contact
	since    time.Time // only those with a message at or after this time, unless it is zero
}

func readFilter(c *session.Call) entryFilter {
	return entryFilter{kind: c.Choice("kind", "single", "room", "group", "own", "unplaced"), external: c.Only("external"), since: c.Moment("since")}
}

// mayShow reports whether the filter may show a conversation, whatever its
// messages.
func (f entryFilter) mayShow(conv archive.ConversationID) bool {
	return f.kind == "" || conv.Kind() == f.kind
}

// shows reports whether the filter shows an entry.
func (f entryFilter) shows(e entry) bool {
	if !f.mayShow(e.conversation) || e.at.Before(f.since) {
		return false
	}
	parties := e.fields.Parties()
	if e.conversation.Kind() != "room" {
		parties = append(parties, e.conversation.Parties()...)
	}
	return !f.external || slices.ContainsFunc(parties, func(id string) bool { return directory.KindOf(id) == directory.External })
}

// entryPage is a page of conversations, up to limit entries or PageBytes.
type entryPage struct {
	mentions
	corp   string
	limit  int
	filter entryFilter
	shown  []conversationJSON
	of     []archive.ConversationID // those of shown
	bytes  int
}

// put shows an entry on the page, and reports false if the page is full.
func (p *entryPage) put(e entry) (bool, error) {
	if len(p.shown) == p.limit {
		return false, nil
	}
	shown, size, err := showEntry(p.corp, e)
	if err != nil {
		return false, err
	}
	if p.bytes += size; p.bytes > output.PageBytes && len(p.shown) > 0 {
		return false, nil
	}
	p.shown, p.of = append(p.shown, shown), append(p.of, e.conversation)
	p.add(e.conversation, e.fields)
	return true, nil
}

// dayList fills a page with the conversations that were active on a day, in the
// order of their ids. The page begins after the conversation with the digest after.
// An entry shows the newest message of that day.
func (h *Handlers) dayList(ctx context.Context, c *session.Call, page *entryPage, day archive.Day, after string) (*listPage, error) {
	days, err := h.Messages.CorpDays(ctx, c.CorpID, day, 1)
	if err != nil || len(days) == 0 || days[0].Day != day {
		return nil, err
	}
	list := days[0].Conversations
	if after != "" { // the first page needs no digest of a day's ten thousand conversations
		list = list[slices.IndexFunc(list, func(conv archive.ConversationID) bool { return digestOf(conv) == after })+1:]
	}
	list = slices.DeleteFunc(list, func(conv archive.ConversationID) bool { return !page.filter.mayShow(conv) })
	next := &listPage{Day: day, Digest: after}
	for some := range slices.Chunk(list, atOnce) {
		entries, err := h.entriesOn(ctx, c, day, some)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.message != nil && page.filter.shows(e) {
				if fits, err := page.put(e); err != nil || !fits {
					return next, err
				}
			}
			next.Digest = e.digest
		}
		if session.Ending(ctx) {
			return next, nil
		}
	}
	return nil, nil
}

// entriesOn reads the newest message of a day for each conversation. The entry of a
// conversation without a message on the day has no message.
func (h *Handlers) entriesOn(ctx context.Context, c *session.Call, day archive.Day, conversations []archive.ConversationID) ([]entry, error) {
	entries := make([]entry, len(conversations))
	g, ctx := errgroup.WithContext(ctx)
	for i, conv := range conversations {
		entries[i] = newEntry(conv)
		g.Go(func() error {
			newest, err := h.newestOn(ctx, c, conv, day, nil, c.Caller.Sees)
			if errors.Is(err, archive.ErrNotFound) {
				return nil
			}
			if err == nil {
				entries[i].show(newest)
			}
			return err
		})
	}
	return entries, g.Wait()
}

// room lists the one room, if the caller may see a message of it. If the time limit
// ends the search, room returns the place where the next page continues it.
func (h *Handlers) room(ctx context.Context, c *session.Call, page *entryPage, roomID string, at listPage) (*listPage, error) {
	e := newEntry(archive.RoomConversation(roomID))
	want := searchFor(c, nil)
	if at.SearchDay != "" {
		want = want.from(at.ended())
	}
	newest, err := h.newest(ctx, c, e.conversation, want)
	if end, ended := errors.AsType[ending](err); ended {
		next := &listPage{Day: end.day}
		next.search(end)
		return next, nil
	}
	if errors.Is(err, archive.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if e.show(newest); !page.filter.shows(e) {
		return nil, nil
	}
	_, err = page.put(e)
	return nil, err
}

// takePart reports whether all the parties take part in a message.
func takePart(parties []string, f message.Fields) bool {
	named := f.Parties()
	return !slices.ContainsFunc(parties, func(party string) bool { return !slices.Contains(named, party) })
}

// showEntry shows an entry, and returns its size in bytes. Every entry fits on a
// page.
func showEntry(corp string, e entry) (j conversationJSON, size int, err error) {
	if j, err = describeEntry(corp, e); err != nil {
		return j, 0, err
	}
	ans, err := output.JSON(200, j)
	if err == nil && len(ans.Body) > entryMost {
		j.Newest = nil
		ans, err = output.JSON(200, j)
	}
	return j, len(ans.Body) + seenBytes, err
}

func describeEntry(corp string, e entry) (conversationJSON, error) {
	id, err := opaque.Conversation(corp).Seal(e.conversation)
	if err != nil {
		return conversationJSON{}, err
	}
	j := conversationJSON{ID: id, Kind: e.conversation.Kind(), Parties: []string{}, LastAt: output.Moment(e.at)}
	named := e.conversation.Parties()
	if j.Room = output.TextOrNull(e.conversation.Room()); j.Room != nil {
		named = nil
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
			return conversationJSON{}, err
		}
		j.Newest = &previewJSON{
			MessageID: messageID, Time: output.Moment(e.message.Time), From: sender(e.fields), Action: e.fields.Action, Type: e.fields.Type,
			Kind: e.kind, Text: e.text,
		}
	}
	return j, nil
}
