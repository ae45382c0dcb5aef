package chats

import (
	"context"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
)

const (
	// previewRunes is how much of a message's text stands for it in a list.
	previewRunes = 100
	// contentMost is the longest message that is read for its view: of a longer
	// one no answer could hold the view, and reading it takes memory.
	contentMost = gateway.MaxBody
	// tooLong stands for the text of a longer one.
	tooLong = "[消息过长]"
)

// read makes the view of a message with the given fields.
func read(f message.Fields, raw []byte) (v message.Content, whole bool) {
	if len(raw) > contentMost {
		return message.Content{Kind: f.Kind(), Text: tooLong}, false
	}
	return message.Read(raw), true
}

type contentJSON struct {
	Kind    string           `json:"kind"`
	Text    string           `json:"text"`
	Whole   bool             `json:"whole"`
	Parts   []message.Part   `json:"parts"`
	Files   []fileJSON       `json:"files"`
	Revokes *string          `json:"revokes"`
	Consent *message.Consent `json:"consent"`
	Unknown []string         `json:"unknown"`
}

// showContent shows all of a view but its files, or, of a message that is too
// long for the answer, what a list needs.
func showContent(v message.Content, whole bool) contentJSON {
	j := contentJSON{
		Kind: v.Kind, Text: v.Text, Whole: whole, Revokes: output.TextOrNull(v.Revokes), Consent: v.Consent,
		Parts: []message.Part{}, Files: []fileJSON{}, Unknown: []string{},
	}
	if !whole {
		j.Text = beginning(v.Text)
		return j
	}
	j.Parts = append(j.Parts, v.Parts...)
	j.Unknown = append(j.Unknown, v.Unknown...)
	return j
}

// beginning is the first previewRunes characters of a text.
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

type revocationJSON struct {
	By           string `json:"by"`
	At           string `json:"at"`
	AfterSeconds int64  `json:"after_seconds"`
}

// showRevocation is null for a message that was not withdrawn. Where clocks
// disagree, it was at once.
func showRevocation(m archive.Message, r archive.Revocation, revoked bool) *revocationJSON {
	if !revoked {
		return nil
	}
	return &revocationJSON{By: r.By, At: output.Moment(r.At), AfterSeconds: max(int64(r.At.Sub(m.Time)/time.Second), 0)}
}

// revocations finds which of the messages, which are of one conversation, were
// withdrawn.
func (h *Handlers) revocations(ctx context.Context, corp string, conv archive.ConversationID, list []archive.Message) (map[string]archive.Revocation, error) {
	ids := make([]string, len(list))
	for i, m := range list {
		ids[i] = m.MsgID
	}
	return h.Messages.Revocations(ctx, corp, conv, ids)
}
