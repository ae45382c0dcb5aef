package chats

import (
	"context"
	"fmt"
	"slices"

	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
)

const (
	// previewRunes is the number of characters of a text that a list shows.
	previewRunes = 100
	// contentMost is the longest message whose content is read, in bytes. No answer
	// could hold the content of a longer one, and reading it takes much memory.
	contentMost = gateway.MaxBody
	// tooLong is the text of a message over contentMost.
	tooLong = "[消息过长]"
	// filesRead is the longest message that is read for its files, in bytes.
	// Reading took up to 38 times the message's size in memory; the function has 1
	// GB.
	filesRead = 8 << 20
)

// shown is a message with its content. An answer reads each message once: the
// content holds the fields and the files too.
type shown struct {
	archive.Message
	bytes   []byte // as decrypted, from the table or the journal
	content message.Content
	whole   bool // false for a message over contentMost
	hides   hidden
	// revokes is the id of the message that this one revokes; nil if it revokes none,
	// or none that was found.
	revokes *string
}

// hidden says which JSON fields of a message an answer leaves null.
type hidden struct {
	// seq: a seq shows how many messages the corp has, so the answers to a limited
	// caller have no seq.
	seq       bool
	raw, json bool // if the caller asks to omit them
}

// hides reads from the request which fields the answer leaves null.
func hides(c *session.Call) hidden {
	omit := c.Several("omit", "raw", "json")
	return hidden{seq: c.Caller.Limited, raw: slices.Contains(omit, "raw"), json: slices.Contains(omit, "json")}
}

// name returns the name of the message in a problem that a person reads.
func (s shown) name() string {
	if s.hides.seq {
		return "msgid " + s.MsgID
	}
	return "seq " + output.Decimal(s.Seq)
}

// depth is a function that reads as much of a message as an answer needs.
type depth func(raw []byte) (c message.Content, whole bool)

// readFields reads only the fields.
func readFields(raw []byte) (message.Content, bool) {
	f, _ := message.Parse(raw)
	return message.Content{Fields: f, Kind: f.Kind(), Text: tooLong}, false
}

// readListed reads the content for a list.
func readListed(raw []byte) (message.Content, bool) {
	if len(raw) > contentMost {
		return readFields(raw)
	}
	return message.Read(raw), true
}

// readAlone reads the content for the answer of a single message. For a message
// over contentMost it still reads the files.
func readAlone(raw []byte) (message.Content, bool) {
	c, whole := readListed(raw)
	if !whole && len(raw) <= filesRead {
		c.Files = message.Files(raw)
	}
	return c, whole
}

// read reads a message.
func (h *Handlers) read(ctx context.Context, m archive.Message, d depth) (shown, error) {
	raw := m.Raw
	if m.Overflow != nil {
		var err error
		if raw, err = h.Blobs.Message(ctx, m.Corp, *m.Overflow); err != nil {
			// %v hides ErrNotFound: absent bytes of a known message are our fault, and
			// the caller must not take this for an unknown id.
			return shown{}, fmt.Errorf("read bytes of message %d of corp %s: %v", m.Seq, m.Corp, err)
		}
	}
	s := shown{Message: m, bytes: raw}
	s.content, s.whole = d(raw)
	return s, nil
}

type contentJSON struct {
	Kind      string           `json:"kind"`
	Text      string           `json:"text"`
	Whole     bool             `json:"whole"`
	Parts     []message.Part   `json:"parts"`
	Files     []fileJSON       `json:"files"`
	Revokes   *string          `json:"revokes"`
	RevokesID *string          `json:"revokes_id"`
	Consent   *message.Consent `json:"consent"`
	Unknown   []string         `json:"unknown"`
}

// showContent shows content without its files. If whole is false, it shows only
// what a list needs.
func showContent(c message.Content, whole bool) contentJSON {
	j := contentJSON{
		Kind: c.Kind, Text: c.Text, Whole: whole, Revokes: output.TextOrNull(c.Revokes), Consent: c.Consent,
		Parts: []message.Part{}, Files: []fileJSON{}, Unknown: []string{},
	}
	if !whole {
		j.Text = beginning(c.Text)
		return j
	}
	j.Parts = append(j.Parts, c.Parts...)
	j.Unknown = append(j.Unknown, c.Unknown...)
	return j
}

// beginning returns the first previewRunes characters of a text.
func beginning(text string) string {
	n := 0
	for i := range text {
		if n == previewRunes {
			return text[:i]
		}
		n++
	}
	return text
}
