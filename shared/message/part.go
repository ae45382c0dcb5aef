package message

// A Part is a piece of a message that a screen shows by itself. Each type of part is
// a struct. Its field Type comes first in the JSON and names the type: the msgtype, as
// wecom.md 2.3 spells it, or generic, too_deep, more. A mixed message is the list of
// its parts and not a part itself.
//
// Times are in ms since 1970, 0 if unknown. Texts are unchanged texts of their
// senders: a page must escape them, and must not trust addresses. File is an index
// into [Content].Files, nil if the part has no sdkfileid.
type Part interface {
	render(*rendering)
}

// The types of parts that are not a msgtype.
const (
	PartGeneric = "generic"
	PartTooDeep = "too_deep"
	PartMore    = "more"
)

// Text is a text of kind text or markdown.
type Text struct {
	Type  string `json:"type"`
	Text  string `json:"text"`            // the whole text with the quote
	Quote *Quote `json:"quote,omitempty"` // the parts of Text, if it is a reply that quotes
}

// Quote holds the parts of a reply that quotes another message.
type Quote struct {
	Who   string `json:"who"` // the display name of the quoted sender; empty if the text does not show it
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
	Format string `json:"format"` // gif, png, or WeCom's value
	Width  int64  `json:"width"`  // pixels
	Height int64  `json:"height"`
	File   *int   `json:"file"`
}

// Attachment is a message of kind file.
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
	AppID       string `json:"appid"`    // often absent
	Page        string `json:"page"`     // often absent
}

// Location is a place. Both coordinates are 0 if they are unknown.
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

// RedPacket is a red packet of kind redpacket or external_redpacket.
type RedPacket struct {
	Type   string `json:"type"`
	Packet string `json:"packet"` // ordinary, lucky, incentive, or WeCom's value
	Wish   string `json:"wish"`
	Count  int64  `json:"count"`  // 0 if unknown
	Fen    int64  `json:"fen"`    // the sum of all packets, in 0.01 CNY
	Amount string `json:"amount"` // the same sum in yuan, such as 30.00; empty if unknown
}

// Meeting is an invitation to a meeting, or the answer to an invitation.
type Meeting struct {
	Type       string `json:"type"`
	Event      string `json:"event"` // invitation, answer, or WeCom's value
	Topic      string `json:"topic"`
	Start      int64  `json:"start"`
	End        int64  `json:"end"`
	Address    string `json:"address"`
	Remarks    string `json:"remarks"`
	MeetingID  string `json:"meeting_id"`  // may be beyond 2^53
	Status     string `json:"status"`      // of an answer: a word of meetingStatus, or WeCom's value; empty if absent
	StatusText string `json:"status_text"` // the same in Chinese; empty for an unknown status
}

// MeetingNotification is a line about a running meeting.
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

// Article is an article of [News].
type Article struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	URL         string `json:"url"`
	ImageURL    string `json:"image_url"`
}

// Calendar is a calendar entry. It holds the names of people and not their ids.
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

// Vote says that a user started a vote or took part in a vote.
type Vote struct {
	Type    string   `json:"type"`
	Event   string   `json:"event"` // started, joined, or WeCom's value
	Title   string   `json:"title"`
	Options []string `json:"options"` // for joined, the chosen options
	VoteID  string   `json:"vote_id"` // the same in both events of a vote
}

// Todo is a to-do.
type Todo struct {
	Type    string `json:"type"`
	Title   string `json:"title"` // the source of the to-do
	Content string `json:"content"`
}

// Collect is a form to fill in.
type Collect struct {
	Type      string     `json:"type"`
	Title     string     `json:"title"`
	Room      string     `json:"room"`       // the name of the room
	Creator   string     `json:"creator"`    // a display name in the room
	Created   string     `json:"created"`    // WeCom's text, such as 2026-01-01 08:01:43
	CreatedAt int64      `json:"created_at"` // the same time, taken as Beijing time
	Questions []Question `json:"questions"`
}

// Question is a question of [Collect].
type Question struct {
	ID       string `json:"id"` // may be beyond 2^53
	Question string `json:"question"`
	Kind     string `json:"kind"` // Text, Number, Date, Time
}

// Solitaire is a list to which the members of a room add lines. Only its title is
// known; Fields holds WeCom's other fields.
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

// ChatRecord is a bundle of forwarded messages. WeCom does not name their senders.
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
	End     int64         `json:"end"` // WeCom does not send the start
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
	Feed        string `json:"feed"` // picture, video, live, or WeCom's value
	Name        string `json:"name"` // of the channel
	Description string `json:"description"`
}

// VoipText is the line in a chat about a call.
type VoipText struct {
	Type    string `json:"type"`
	Seconds int64  `json:"seconds"`
	Call    string `json:"call"` // video, voice, group_video, group_voice, or WeCom's value
}

// QyDiskFile is a file in WeDrive. The archive gets only its name.
type QyDiskFile struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

// Consent is an external contact's answer to archiving, of kind agree or disagree.
type Consent struct {
	Type   string `json:"type"`
	Agreed bool   `json:"agreed"`
	UserID string `json:"userid"` // the sender if WeCom names no user
	At     int64  `json:"at"`     // the sending time if WeCom names no time
}

// Revoke revokes a message. The revoked message stays in the archive.
type Revoke struct {
	Type  string `json:"type"`
	MsgID string `json:"msgid"` // of the revoked message, which may be unknown
}

// Switch says that a member changed to another corp in the client.
type Switch struct {
	Type   string `json:"type"`
	UserID string `json:"userid"`
	At     int64  `json:"at"`
}

// Generic is content of an unknown type or form, or a message that is not a JSON
// object. Behind the part of a known type, it holds what that part leaves unread.
type Generic struct {
	Type   string  `json:"type"`
	Name   string  `json:"name"`   // WeCom's name of the type
	Fields []Field `json:"fields"` // for a table
	Raw    string  `json:"raw"`    // the payload as JSON text, which keeps all digits
}

// Field is a member of an unknown object.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"` // a text or JSON; only its beginning if it is long
}

// Rest is content that is not read because it is nested too deep (too_deep) or
// because the message has too many parts (more).
type Rest struct {
	Type  string `json:"type"`
	Count int    `json:"count"` // items
	Raw   string `json:"raw"`   // JSON text
}
