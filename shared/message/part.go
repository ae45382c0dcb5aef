package message

// A Part is a piece of a message that is drawn by itself. Each type of part
// is a struct whose Type is first in its JSON, and names it: the msgtype, as
// wecom.md 2.3 spells it, or generic, too_deep, more. A mixed message is the
// list of its parts and no part itself.
//
// Times are in ms since 1970, 0 for unknown. Texts are as their senders wrote
// them: a page must escape them, and mistrust addresses. File is an index into
// [View].Files, nil where the message has no sdkfileid.
type Part interface {
	render(*rendering)
}

// The types of parts that are no msgtype.
const (
	PartGeneric = "generic"
	PartTooDeep = "too_deep"
	PartMore    = "more"
)

// Text is text, of text or markdown.
type Text struct {
	Type  string `json:"type"`
	Text  string `json:"text"`            // all of it, the quote too
	Quote *Quote `json:"quote,omitempty"` // what Text reads as, if it is a reply that quotes
}

// Quote is a reply that quotes, taken apart.
type Quote struct {
	Who   string `json:"who"` // a display name; empty if it could not be told from the text
	Text  string `json:"text"`
	Reply string `json:"reply"`
}

// Image is a picture.
type Image struct {
	Type string `json:"type"`
	File *int   `json:"file"`
}

// Voice is a voice message.
type Voice struct {
	Type    string `json:"type"`
	Seconds int64  `json:"seconds"`
	File    *int   `json:"file"`
}

// Video is a video.
type Video struct {
	Type    string `json:"type"`
	Seconds int64  `json:"seconds"`
	File    *int   `json:"file"`
}

// Emotion is a sticker.
type Emotion struct {
	Type   string `json:"type"`
	Format string `json:"format"` // gif, png; else as sent
	Width  int64  `json:"width"`  // pixels
	Height int64  `json:"height"`
	File   *int   `json:"file"`
}

// Attachment is a file that was sent as such.
type Attachment struct {
	Type string `json:"type"`
	Name string `json:"name"`
	File *int   `json:"file"`
}

// Link is a shared page.
type Link struct {
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	URL         string `json:"url"`
	ImageURL    string `json:"image_url"`
}

// Weapp is a mini program.
type Weapp struct {
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Username    string `json:"username"` // gh_…@app
	Name        string `json:"name"`     // 服务须知 for the notice that asks for consent
	AppID       string `json:"appid"`    // often absent, as is Page
	Page        string `json:"page"`
}

// Location is a place.
type Location struct {
	Type      string  `json:"type"`
	Longitude float64 `json:"longitude"`
	Latitude  float64 `json:"latitude"`
	Title     string  `json:"title"`
	Address   string  `json:"address"`
	Zoom      int64   `json:"zoom"`
}

// Card recommends a person.
type Card struct {
	Type   string `json:"type"`
	Corp   string `json:"corp"` // 微信联系人 for WeChat users
	UserID string `json:"userid"`
}

// RedPacket is money, of redpacket or external_redpacket.
type RedPacket struct {
	Type   string `json:"type"`
	Packet string `json:"packet"` // ordinary, lucky, incentive; else as sent
	Wish   string `json:"wish"`
	Count  int64  `json:"count"`
	Fen    int64  `json:"fen"`    // 0.01 CNY, all packets together
	Amount string `json:"amount"` // the same in yuan, such as 30.00
}

// Meeting is an invitation or the answer to one.
type Meeting struct {
	Type       string `json:"type"`
	Event      string `json:"event"` // invitation, answer; else as sent
	Topic      string `json:"topic"`
	Start      int64  `json:"start"`
	End        int64  `json:"end"`
	Address    string `json:"address"`
	Remarks    string `json:"remarks"`
	MeetingID  string `json:"meeting_id"`  // may be beyond 2^53
	Status     string `json:"status"`      // of an answer, see meetingStatus; else as sent, empty if absent
	StatusText string `json:"status_text"` // the same in Chinese; empty if we have no word
}

// MeetingNotification is a line about a meeting under way.
type MeetingNotification struct {
	Type         string `json:"type"`
	MeetingID    string `json:"meeting_id"`   // may be beyond 2^53
	Notification string `json:"notification"` // a number whose meaning WeCom does not document
	Text         string `json:"text"`
}

// Doc is an online document.
type Doc struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	URL     string `json:"url"`
	Creator string `json:"creator"` // userid or external_userid
}

// News is a robot's articles.
type News struct {
	Type     string    `json:"type"`
	Articles []Article `json:"articles"`
}

// Article is one of [News].
type Article struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	URL         string `json:"url"`
	ImageURL    string `json:"image_url"`
}

// Calendar is an entry in calendars. People are named, not identified.
type Calendar struct {
	Type      string   `json:"type"`
	Title     string   `json:"title"`
	Creator   string   `json:"creator"`
	Attendees []string `json:"attendees"`
	Start     int64    `json:"start"`
	End       int64    `json:"end"`
	Place     string   `json:"place"`
	Remarks   string   `json:"remarks"`
}

// Vote is a vote that somebody started or took part in.
type Vote struct {
	Type    string   `json:"type"`
	Event   string   `json:"event"` // started, joined; else as sent
	Title   string   `json:"title"`
	Options []string `json:"options"` // those chosen, for joined
	VoteID  string   `json:"vote_id"` // joins the two events
}

// Todo is a to-do.
type Todo struct {
	Type    string `json:"type"`
	Title   string `json:"title"` // where it came from
	Content string `json:"content"`
}

// Collect is a form to fill in.
type Collect struct {
	Type      string     `json:"type"`
	Title     string     `json:"title"`
	Room      string     `json:"room"`       // its name
	Creator   string     `json:"creator"`    // a display name in the room
	Created   string     `json:"created"`    // as sent, such as 2026-01-01 08:01:43
	CreatedAt int64      `json:"created_at"` // the same, taken as Beijing time
	Questions []Question `json:"questions"`
}

// Question is one of [Collect].
type Question struct {
	ID       string `json:"id"` // may be beyond 2^53
	Question string `json:"question"`
	Kind     string `json:"kind"` // Text, Number, Date, Time
}

// Solitaire is a list that everybody adds a line to. WeCom's fields are not
// known but for the title, so the others are as sent.
type Solitaire struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Fields []Field `json:"fields"`
}

// Note is a note of several parts.
type Note struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	Parts []Part `json:"parts"`
}

// ChatRecord is a bundle of forwarded messages. WeCom does not tell who sent
// them.
type ChatRecord struct {
	Type  string       `json:"type"`
	Title string       `json:"title"`
	Items []RecordItem `json:"items"`
}

// RecordItem is a forwarded message.
type RecordItem struct {
	Time     int64  `json:"time"`
	FromRoom bool   `json:"from_room"`
	Parts    []Part `json:"parts"`
}

// MeetingVoiceCall is the recording of a voice call.
type MeetingVoiceCall struct {
	Type    string        `json:"type"`
	CallID  string        `json:"call_id"`
	End     int64         `json:"end"` // WeCom does not tell the start
	File    *int          `json:"file"`
	Demos   []Demo        `json:"demos"`
	Screens []ScreenShare `json:"screens"`
}

// Demo is a document shown in a call.
type Demo struct {
	Name  string `json:"name"`
	By    string `json:"by"`
	Start int64  `json:"start"`
	End   int64  `json:"end"`
}

// ScreenShare is a screen shown in a call.
type ScreenShare struct {
	By    string `json:"by"`
	Start int64  `json:"start"`
	End   int64  `json:"end"`
}

// VoipDocShare is a document shown in a call, with its file.
type VoipDocShare struct {
	Type   string `json:"type"`
	CallID string `json:"call_id"`
	Name   string `json:"name"`
	File   *int   `json:"file"`
}

// SphFeed is a post in WeChat Channels.
type SphFeed struct {
	Type        string `json:"type"`
	Feed        string `json:"feed"` // picture, video, live; else as sent
	Name        string `json:"name"` // of the channel
	Description string `json:"description"`
}

// VoipText is the line that a call leaves in a chat.
type VoipText struct {
	Type    string `json:"type"`
	Seconds int64  `json:"seconds"`
	Call    string `json:"call"` // video, voice, group_video, group_voice; else as sent
}

// QyDiskFile is a file in WeDrive. The archive gets its name only.
type QyDiskFile struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

// Consent is a customer's answer to the notice that chats are archived, of
// agree or disagree.
type Consent struct {
	Type   string `json:"type"`
	Agreed bool   `json:"agreed"`
	UserID string `json:"userid"` // the sender if WeCom names nobody
	At     int64  `json:"at"`     // the sending time if WeCom names none
}

// Revoke withdraws a message, which stays in the archive.
type Revoke struct {
	Type  string `json:"type"`
	MsgID string `json:"msgid"` // of the message withdrawn, which may be unknown
}

// Switch says that a member turned to another corp in the client.
type Switch struct {
	Type   string `json:"type"`
	UserID string `json:"userid"`
	At     int64  `json:"at"`
}

// Generic is what we have no better form for: an unknown type, or a message
// that is no JSON object.
type Generic struct {
	Type   string  `json:"type"`
	Name   string  `json:"name"`   // the type as sent
	Fields []Field `json:"fields"` // to be shown as a table
	Raw    string  `json:"raw"`    // the payload as JSON text, so that a reader may keep all digits
}

// Field is a member of an object that we do not know.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"` // a text, or JSON; its beginning, if it is long
}

// Rest is what was not taken apart, because it nests too deep (too_deep) or
// there are too many parts (more).
type Rest struct {
	Type  string `json:"type"`
	Count int    `json:"count"` // items
	Raw   string `json:"raw"`   // JSON text
}
