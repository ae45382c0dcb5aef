package chats

import "github.com/yunduo-scrm/archive/shared/message"

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
