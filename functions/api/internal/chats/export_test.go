package chats

import (
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
)

// What tests see of the answers, the bounds and the parts of an answer.
type (
	ConversationJSON = conversationJSON
	FileJSON         = fileJSON
	LinkedFileJSON   = linkedFileJSON
	ListedFileJSON   = listedFileJSON
	MessageJSON      = messageJSON
	MessagePage      = messagePage
)

const (
	AheadChars  = aheadChars
	ContentMost = contentMost
	FilesMost   = filesMost
	FilesRead   = filesRead
	LookBytes   = lookBytes
	LookMost    = lookMost
	PartiesMost = partiesMost
	TooLong     = tooLong

	RevocationsRead = revocationsRead
)

var (
	Beginning = beginning
	ByteRange = byteRange
	DigestOf  = digestOf
	MessageID = messageID
)

// ShowUnknownFiles shows content whose files have no rows.
func ShowUnknownFiles(corp string, v message.Content) any {
	shown := showContent(v, true)
	for n, f := range v.Files {
		shown.Files = append(shown.Files, knownFiles{}.show(corp, "abc", n, f))
	}
	return shown
}

// StartOf returns where the query of a list of messages lets its page begin, or what it
// surrounds.
func StartOf(c *session.Call) (archive.Position, error) {
	q, err := readListQuery(c, false)
	switch {
	case err != nil:
		return archive.Position{}, err
	case q.around != nil:
		return *q.around, nil
	}
	return *q.messages.Start, nil
}

// PlaceOf is what a page token and an id of a message hold.
func PlaceOf(conv archive.ConversationID, at archive.Position) any {
	return place{conv, positionAt(at)}
}
