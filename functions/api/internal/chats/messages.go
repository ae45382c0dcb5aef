// Package chats answers readers: conversations, their messages, and the files of
// messages. It records each reading before it answers.
package chats

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
	"unicode/utf8"

	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// position is an [archive.Position] in ids and page tokens.
type position struct {
	Milli int64  `json:"t"`
	MsgID string `json:"m"`
	Seq   uint64 `json:"s,omitempty"`
}

func positionOf(m archive.Message) position { return positionAt(m.Position()) }

func positionAt(p archive.Position) position {
	return position{Milli: p.Time.UnixMilli(), MsgID: p.MsgID, Seq: p.Seq}
}

func (p position) read() archive.Position {
	at := archive.Position{Time: time.UnixMilli(p.Milli), MsgID: p.MsgID}
	if p.MsgID == "" {
		at.Seq = p.Seq
	}
	return at
}

// place says where a message is stored. The id of a message in the API is its
// place, as [opaque] encodes it: every holder of the id can read it.
type place struct {
	Conversation archive.ConversationID `json:"c"`
	position
}

// messageID returns the id of a message in the API.
func messageID(m archive.Message) (string, error) {
	return opaque.Message(m.Corp).Seal(place{m.Conversation, positionOf(m)})
}

type messageJSON struct {
	ID           string          `json:"id"`
	Conversation string          `json:"conversation"`
	Seq          *string         `json:"seq"`
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
	Names        *names.Names    `json:"names,omitempty"` // of a single message; a list has its own
}

// showMessage shows a message, as complete as PageBytes allows. names is nil for
// a message in a list. A list never shows a message over [archive.InlineLimit]
// whole.
func showMessage(s shown, known knownFiles, revoked *revocationJSON, beside *names.Names) ([]byte, error) {
	inList := beside == nil
	j, err := describe(s)
	if err != nil {
		return nil, err
	}
	few := len(s.content.Files) <= filesMost
	whole := s.whole && few && (!inList || s.Overflow == nil)
	files := []fileJSON{}
	if few && (whole || !inList) {
		for n, named := range s.content.Files {
			files = append(files, known.show(s.Corp, j.ID, n, named))
		}
	}
	j.Content, j.Revoked, j.Names = showContent(s.content, whole), revoked, beside
	j.Content.Files, j.Content.RevokesID = files, s.revokes
	ans, err := output.JSON(200, j)
	if err == nil && len(ans.Body) > output.PageBytes && whole {
		j.Content = showContent(s.content, false)
		j.Content.RevokesID = s.revokes
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

// describe shows everything of a message except its content.
func describe(s shown) (messageJSON, error) {
	id, err := messageID(s.Message)
	if err != nil {
		return messageJSON{}, err
	}
	conv, err := opaque.Conversation(s.Corp).Seal(s.Conversation)
	if err != nil {
		return messageJSON{}, err
	}
	sum, f := sha256.Sum256(s.bytes), s.content.Fields
	j := messageJSON{
		ID: id, Conversation: conv, MsgID: s.MsgID, Time: output.Moment(s.Time),
		Action: f.Action, From: sender(f), To: f.ToList, Room: output.TextOrNull(f.RoomID), Type: f.Type,
		Version: s.KeyVersion, Size: len(s.bytes), Sum: hex.EncodeToString(sum[:]),
	}
	if !s.hides.seq {
		seq := output.Decimal(s.Seq)
		j.Seq = &seq
	}
	if j.To == nil {
		j.To = []string{}
	}
	if s.Overflow == nil && !s.hides.raw {
		// A new slice, so that an empty message is "" and not null.
		j.Raw = append([]byte{}, s.bytes...)
	}
	if s.Overflow == nil && !s.hides.json {
		if b := bytes.TrimLeft(s.bytes, " \t\r\n"); len(b) > 0 && b[0] == '{' && utf8.Valid(s.bytes) && json.Valid(s.bytes) {
			j.JSON = s.bytes
		}
	}
	return j, nil
}

// sender returns the user who sent the message. A message of action switch (the
// user changed to another corp) names the user in another field.
func sender(f message.Fields) string {
	if f.From == "" {
		return f.User
	}
	return f.From
}

// find reads the message whose id is in the path, and records the reading. A
// message that the caller may not see is not found.
func (h *Handlers) find(ctx context.Context, c *session.Call, d depth) (shown, error) {
	var p place
	if opaque.Message(c.CorpID).Open(c.PathValue("id"), &p) != nil {
		return shown{}, problem.New(problem.NotFound, nil)
	}
	m, err := h.Messages.Message(ctx, c.CorpID, p.Conversation, p.read())
	if err != nil {
		return shown{}, err
	}
	s, err := h.read(ctx, m, d)
	if err != nil {
		return shown{}, err
	}
	if !c.Caller.Sees(s.content.Fields) {
		return shown{}, problem.New(problem.NotFound, nil)
	}
	s.hides.seq = c.Caller.Limited
	return s, c.RecordReading(ctx, h.Readings, h.Now(), archive.Reading{Conversation: m.Conversation})
}

// GetMessage returns a single message.
func (h *Handlers) GetMessage(ctx context.Context, c *session.Call) (output.Answer, error) {
	hide := hides(c)
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	s, err := h.find(ctx, c, readAlone)
	if err != nil {
		return output.Answer{}, err
	}
	s.hides = hide
	revocations, err := h.revocations(ctx, c, s.Conversation, []archive.Message{s.Message})
	if err != nil {
		return output.Answer{}, err
	}
	known, err := h.lookUp(ctx, c.CorpID, fileIDs(s.content.Files))
	if err != nil {
		return output.Answer{}, err
	}
	if s.revokes, err = h.revokedBy(ctx, c, s); err != nil {
		return output.Answer{}, err
	}
	var about mentions
	about.add(s.Conversation, s.content.Fields)
	beside := h.named(ctx, c, about.people, about.rooms)
	body, err := showMessage(s, known, showRevocation(s.Message, revocations), &beside)
	return output.Answer{Status: 200, ContentType: "application/json", Body: body}, err
}
