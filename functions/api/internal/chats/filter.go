package chats

import (
	"slices"
	"strings"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
)

const (
	// kindsMost bounds the kinds of one request, and textMost the characters of a
	// text that is searched for.
	kindsMost = 50
	textMost  = 100
)

// messageFilter says which messages a list shows; all, if it is zero.
type messageFilter struct {
	revoked bool     // only revoked messages
	files   bool     // only those with files
	kinds   []string // only those of these kinds
	msgID   string   // only the first with this msgid, whatever suffix it has
	from    string   // only those of this sender
	text    []rune   // only those with this text, in lower case
}

func readMessageFilter(c *session.Call) messageFilter {
	f := messageFilter{revoked: c.Only("revoked"), files: c.Only("files"), from: c.Party("from_party")}
	if c.Query.Has("msgid") {
		f.msgID = archive.RevocationKey(c.Query.Get("msgid"))
		c.Characters("msgid", 1, input.MaxParty)
	}
	if c.Query.Has("kinds") {
		f.kinds = strings.Split(c.Query.Get("kinds"), ",")
		if len(f.kinds) > kindsMost || slices.Contains(f.kinds, "") {
			c.Reject("kinds", problem.Length, problem.RemedyList, problem.Args{"max": "50"})
		}
	}
	return f
}

// all reports whether the filter shows every message.
func (f messageFilter) all() bool {
	return !f.revoked && !f.files && f.kinds == nil && f.msgID == "" && f.from == "" && f.text == nil
}

// mayShow reports whether the filter may show a message, before its content is
// read.
func (f messageFilter) mayShow(m archive.Message, revoked *revocationJSON) bool {
	return (!f.revoked || revoked != nil) && (f.msgID == "" || archive.RevocationKey(m.MsgID) == f.msgID)
}

// shows decides by the content of a message for which mayShow is true.
func (f messageFilter) shows(c message.Content) bool {
	if f.from != "" && sender(c.Fields) != f.from || f.kinds != nil && !slices.Contains(f.kinds, c.Kind) || f.files && len(c.Files) == 0 {
		return false
	}
	return f.text == nil || f.place(c) != nil
}

// found is a text with the place of the first match in it, in characters.
type found struct {
	text []rune
	at   int
}

// place finds the text in the message, or in the name of one of its files.
func (f messageFilter) place(c message.Content) *found {
	texts := []string{c.Text}
	for _, file := range c.Files {
		texts = append(texts, file.Name)
	}
	for _, text := range texts {
		runes := []rune(text)
		if i := indexFold(runes, f.text); i >= 0 {
			return &found{runes, i}
		}
	}
	return nil
}
