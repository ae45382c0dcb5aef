package chats

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
)

// lookMost and lookBytes bound what is looked at for one page. More than a page
// holds is looked at only for callers who may not see all of it, or want only
// what was withdrawn.
const (
	lookMost  = 2000
	lookBytes = 32 << 20
)

// maxMilli is the last millisecond of the year 9999, after which no message
// can be.
const maxMilli = 253402300799999

// position is an [archive.Position] in ids and page tokens.
type position struct {
	Milli int64  `json:"t"`
	MsgID string `json:"m"`
	Seq   uint64 `json:"s,omitempty"`
}

func positionOf(m archive.Message) position {
	p := m.Position()
	return position{Milli: p.Time.UnixMilli(), MsgID: p.MsgID, Seq: p.Seq}
}

func (p position) read() archive.Position {
	at := archive.Position{Time: time.UnixMilli(p.Milli), MsgID: p.MsgID}
	if p.MsgID == "" {
		at.Seq = p.Seq
	}
	return at
}

// place is where a message is: what its id holds.
type place struct {
	Conversation archive.ConversationID `json:"c"`
	position
}

type messageJSON struct {
	ID           string          `json:"id"`
	Conversation string          `json:"conversation"`
	Seq          string          `json:"seq"`
	MsgID        string          `json:"msgid"`
	Time         string          `json:"time"`
	Action       string          `json:"action"`
	From         string          `json:"from"`
	To           []string        `json:"to"`
	Room         *string         `json:"room"`
	Type         string          `json:"type"`
	Version      uint32          `json:"publickey_ver"`
	Size         int             `json:"size"`
	Sum          string          `json:"sha256"`
	Raw          []byte          `json:"raw"`
	JSON         json.RawMessage `json:"json"`
	Content      contentJSON     `json:"content"`
	Revoked      *revocationJSON `json:"revoked"`
	Names        *names.Names    `json:"names,omitempty"` // of a message alone; lists have theirs
}

// bytesOf is the message as decrypted, wherever it is kept.
func (h *Handlers) bytesOf(ctx context.Context, m archive.Message) ([]byte, error) {
	if m.Overflow == nil {
		return m.Raw, nil
	}
	raw, err := h.Blobs.Message(ctx, m.Corp, *m.Overflow)
	if err != nil {
		// A message whose bytes are gone is our fault, not an unknown id.
		return nil, fmt.Errorf("bytes of message %d of corp %s: %v", m.Seq, m.Corp, err)
	}
	return raw, nil
}

// fields reads what the message says of itself; what is no JSON object says
// nothing.
func (h *Handlers) fields(ctx context.Context, m archive.Message) (message.Fields, []byte, error) {
	raw, err := h.bytesOf(ctx, m)
	if err != nil {
		return message.Fields{}, nil, err
	}
	f, _ := message.Parse(raw)
	return f, raw, nil
}

func messageID(m archive.Message) (string, error) {
	return opaque.Message(m.Corp).Seal(place{m.Conversation, positionOf(m)})
}

// showMessage is the message as JSON, as whole as it fits into output.PageBytes. In a
// list, where names is nil, what is too long for the table is too long.
func showMessage(m archive.Message, f message.Fields, raw []byte, known knownFiles, revoked *revocationJSON, names *names.Names) ([]byte, error) {
	inList := names == nil
	j, err := describe(m, f, raw)
	if err != nil {
		return nil, err
	}
	view, whole := read(f, raw)
	if !whole && !inList { // too long for a view, perhaps not for its files
		view.Files, _ = filesOf(raw)
	}
	few := len(view.Files) <= filesMost
	whole = whole && few && (!inList || m.Overflow == nil)
	j.Content, j.Revoked, j.Names = showContent(view, whole), revoked, names
	files := []fileJSON{}
	if few && (whole || !inList) {
		for n, named := range view.Files {
			files = append(files, known.show(m.Corp, j.ID, n, named))
		}
	}
	j.Content.Files = files
	ans, err := output.JSON(200, j)
	if err == nil && len(ans.Body) > output.PageBytes && j.Content.Whole {
		j.Content = showContent(view, false)
		if !inList {
			j.Content.Files = files
		}
		ans, err = output.JSON(200, j)
	}
	if err == nil && len(ans.Body) > output.PageBytes && len(j.Content.Files) > 0 {
		j.Content.Files = []fileJSON{}
		ans, err = output.JSON(200, j)
	}
	return ans.Body, err
}

// describe is what there is to say of a message without understanding it.
func describe(m archive.Message, f message.Fields, raw []byte) (messageJSON, error) {
	id, err := messageID(m)
	if err != nil {
		return messageJSON{}, err
	}
	conv, err := opaque.Conversation(m.Corp).Seal(m.Conversation)
	if err != nil {
		return messageJSON{}, err
	}
	sum := sha256.Sum256(raw)
	j := messageJSON{
		ID: id, Conversation: conv, Seq: output.Decimal(m.Seq), MsgID: m.MsgID, Time: output.Moment(m.Time),
		Action: f.Action, From: sender(f), To: f.ToList, Room: output.TextOrNull(f.RoomID), Type: f.Type,
		Version: m.KeyVersion, Size: len(raw), Sum: hex.EncodeToString(sum[:]),
	}
	if j.To == nil {
		j.To = []string{}
	}
	if m.Overflow == nil {
		// Not nil, so that an empty message is "" and not null.
		j.Raw = append([]byte{}, raw...)
		if b := bytes.TrimLeft(raw, " \t\r\n"); len(b) > 0 && b[0] == '{' && utf8.Valid(raw) && json.Valid(raw) {
			j.JSON = raw
		}
	}
	return j, nil
}

// sender is who sent the message, or who switched.
func sender(f message.Fields) string {
	if f.From == "" {
		return f.User
	}
	return f.From
}

// messagePage is where a page of messages begins: after a message, and in the
// order of the list or, for the page before, against it.
type messagePage struct {
	position
	Back bool `json:"b,omitempty"`
}

func (h *Handlers) ListMessages(ctx context.Context, c *session.Call) (output.Answer, error) {
	var conv archive.ConversationID
	if opaque.Conversation(c.CorpID).Open(c.PathValue("conversation"), &conv) != nil || conv == "" {
		return output.Answer{}, problem.New(problem.NotFound, nil)
	}
	var at messagePage
	continued := c.Page(&at)
	if at.Milli < 0 || at.Milli > maxMilli {
		c.RejectPage()
	}
	q := archive.MessageQuery{From: c.Moment("from"), To: c.Moment("to"), Descending: c.Descending() != at.Back}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		c.Reject("to", problem.Range, problem.RemedyTimeOrder, nil)
	}
	limit, revokedOnly := c.Limit(), c.Only("revoked")
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	if continued {
		start := at.read()
		q.Start = &start
	}
	found, err := h.collect(ctx, c, conv, q, limit, revokedOnly)
	if err != nil {
		return output.Answer{}, err
	}
	if err := c.RecordReading(ctx, h.Readings, h.Now(), conv, ""); err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Messages []json.RawMessage `json:"messages"`
		Names    names.Names       `json:"names"`
		Next     *string           `json:"next"`
		Prev     *string           `json:"prev"`
	}{Messages: found.shown, Names: h.Names.Beside(ctx, c.Corp, found.people, found.rooms)}
	ahead, behind := &out.Next, &out.Prev
	if at.Back {
		slices.Reverse(out.Messages)
		ahead, behind = behind, ahead
	}
	if found.more {
		if *ahead, err = c.SealPage(messagePage{found.last, at.Back}); err != nil {
			return output.Answer{}, err
		}
	}
	// Behind is where we came from, so there is something.
	if continued && len(found.shown) > 0 {
		if *behind, err = c.SealPage(messagePage{found.first, !at.Back}); err != nil {
			return output.Answer{}, err
		}
	}
	return output.JSON(200, out)
}

// collected is a page's messages in the order of its query.
type collected struct {
	shown       []json.RawMessage
	first, last position // of those shown; last may be one that was passed over
	more        bool
	people      []string // to be named
	rooms       []string
}

// collect reads messages that the caller may see, and wants, until there are
// limit, or output.PageBytes of them, or lookMost or lookBytes have been looked at.
func (h *Handlers) collect(ctx context.Context, c *session.Call, conv archive.ConversationID, q archive.MessageQuery, limit int, revokedOnly bool) (collected, error) {
	page := collected{shown: []json.RawMessage{}}
	if revokedOnly { // of most chats that is all there is to say
		if any, err := h.Messages.AnyRevoked(ctx, c.CorpID, conv); err != nil || !any {
			return page, err
		}
	}
	size, looked, lookedBytes := 0, 0, 0
	for looked < lookMost && lookedBytes < lookBytes {
		q.Limit = limit - len(page.shown)
		if c.Caller.Limited || revokedOnly {
			q.Limit = input.MaxLimit
		}
		q.MaxBytes = output.PageBytes
		list, more, err := h.Messages.Messages(ctx, c.CorpID, conv, q)
		if err != nil {
			return collected{}, err
		}
		revocations, err := h.revocations(ctx, c.CorpID, conv, list)
		if err != nil {
			return collected{}, err
		}
		wanted := func(m archive.Message) bool {
			_, revoked := revocations[m.MsgID]
			return revoked || !revokedOnly
		}
		known, covered, err := h.lookUpList(ctx, c, list, wanted)
		if err != nil {
			return collected{}, err
		}
		if covered < len(list) {
			list, more = list[:covered], true
		}
		for _, m := range list {
			if len(page.shown) == limit {
				page.more = true
				return page, nil
			}
			at := positionOf(m)
			if wanted(m) {
				r, revoked := revocations[m.MsgID]
				if m.Overflow != nil {
					lookedBytes += m.Overflow.Size
				}
				if lookedBytes > lookBytes && looked > 0 {
					page.more = true
					return page, nil
				}
				shown, err := h.showIfSeen(ctx, c, &page, m, known, showRevocation(m, r, revoked))
				if err != nil {
					return collected{}, err
				}
				if size += len(shown); size > output.PageBytes && len(page.shown) > 0 {
					page.more = true
					return page, nil
				}
				if shown != nil {
					if len(page.shown) == 0 {
						page.first = at
					}
					page.shown = append(page.shown, shown)
				}
			}
			page.last, looked, lookedBytes = at, looked+1, lookedBytes+len(m.Raw)
		}
		page.more = more
		if !more || len(list) == 0 || len(page.shown) == limit {
			return page, nil
		}
		start := page.last.read()
		q.Start = &start
	}
	return page, nil
}

// showIfSeen is the message as the page shows it; nil if the caller may not
// see it.
func (h *Handlers) showIfSeen(ctx context.Context, c *session.Call, page *collected, m archive.Message, known knownFiles, revoked *revocationJSON) ([]byte, error) {
	f, raw, err := h.fields(ctx, m)
	if err != nil || !c.Caller.Sees(f) {
		return nil, err
	}
	page.people, page.rooms = named(page.people, page.rooms, m.Conversation, f)
	return showMessage(m, f, raw, known, revoked, nil)
}

// find reads the message of an id that the caller may see, and records the
// view. A message that he may not see does not exist for him.
func (h *Handlers) find(ctx context.Context, c *session.Call) (archive.Message, message.Fields, []byte, error) {
	fail := func(err error) (archive.Message, message.Fields, []byte, error) {
		return archive.Message{}, message.Fields{}, nil, err
	}
	var p place
	if opaque.Message(c.CorpID).Open(c.PathValue("id"), &p) != nil {
		return fail(problem.New(problem.NotFound, nil))
	}
	m, err := h.Messages.Message(ctx, c.CorpID, p.Conversation, p.read())
	if err != nil {
		return fail(err)
	}
	f, raw, err := h.fields(ctx, m)
	if err != nil {
		return fail(err)
	}
	if !c.Caller.Sees(f) {
		return fail(problem.New(problem.NotFound, nil))
	}
	if err := c.RecordReading(ctx, h.Readings, h.Now(), m.Conversation, ""); err != nil {
		return fail(err)
	}
	return m, f, raw, nil
}

func (h *Handlers) GetMessage(ctx context.Context, c *session.Call) (output.Answer, error) {
	m, f, raw, err := h.find(ctx, c)
	if err != nil {
		return output.Answer{}, err
	}
	revocations, err := h.revocations(ctx, c.CorpID, m.Conversation, []archive.Message{m})
	if err != nil {
		return output.Answer{}, err
	}
	r, revoked := revocations[m.MsgID]
	people, rooms := named(nil, nil, m.Conversation, f)
	names := h.Names.Beside(ctx, c.Corp, people, rooms)
	known, err := h.lookUp(ctx, c.CorpID, filesIn(raw))
	if err != nil {
		return output.Answer{}, err
	}
	body, err := showMessage(m, f, raw, known, showRevocation(m, r, revoked), &names)
	return output.Answer{Status: 200, ContentType: "application/json", Body: body}, err
}

// GetMessageBytes answers the bytes as decrypted, whatever they are: a browser
// saves them and does not interpret them.
func (h *Handlers) GetMessageBytes(ctx context.Context, c *session.Call) (output.Answer, error) {
	m, _, raw, err := h.find(ctx, c)
	if err != nil {
		return output.Answer{}, err
	}
	sum := sha256.Sum256(raw)
	ans := output.Answer{Status: 200, ContentType: "application/octet-stream", Body: raw, Header: http.Header{
		"Etag":                {`"` + hex.EncodeToString(sum[:]) + `"`},
		"Accept-Ranges":       {"bytes"},
		"Content-Disposition": {`attachment; filename="message-` + output.Decimal(m.Seq) + `.json"`},
	}}
	size := len(raw)
	first, last, asked := byteRange(c.Header.Get("Range"), size)
	switch {
	case asked && first >= size:
		p := problem.New(problem.RangeNotSatisfiable, problem.Args{"size": strconv.Itoa(size)})
		p.Header = http.Header{"Content-Range": {"bytes */" + strconv.Itoa(size)}}
		return output.Answer{}, p
	case asked:
		last = min(last, first+gateway.MaxBody-1)
		ans.Status, ans.Body = 206, raw[first:last+1]
		ans.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
	case size > gateway.MaxBody:
		return output.Answer{}, problem.New(problem.MessageTooLarge, problem.Args{"size": strconv.Itoa(size), "ranges": ranges(size)})
	}
	return ans, nil
}

var rangeForm = regexp.MustCompile(`^bytes=([0-9]{0,18})-([0-9]{0,18})$`)

// byteRange reads a Range header of one range (RFC 9110, 14.2). asked is false
// for one that is absent, malformed, or of a kind not served: all of these are
// ignored, as the RFC allows. If first is not below size, nothing can be
// answered.
func byteRange(header string, size int) (first, last int, asked bool) {
	m := rangeForm.FindStringSubmatch(strings.TrimSpace(header))
	if m == nil || m[1] == "" && m[2] == "" {
		return 0, 0, false
	}
	if m[1] == "" { // the last so many
		n, _ := strconv.Atoi(m[2])
		if n == 0 {
			return size, 0, true
		}
		return max(size-n, 0), size - 1, true
	}
	first, _ = strconv.Atoi(m[1])
	last = size - 1
	if m[2] != "" {
		end, _ := strconv.Atoi(m[2])
		if end < first {
			return 0, 0, false
		}
		last = min(last, end)
	}
	return first, last, true
}

// ranges names the parts in which a message can be fetched.
func ranges(size int) string {
	var parts []string
	for first := 0; first < size; first += gateway.MaxBody {
		parts = append(parts, fmt.Sprintf("bytes=%d-%d", first, min(first+gateway.MaxBody, size)-1))
	}
	return strings.Join(parts, ", ")
}
