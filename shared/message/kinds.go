package message

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// kinds lists the known msgtypes, each with the keys that held its payload, besides
// its own name (wecom.md 2.1). The key info is tried for every msgtype.
var kinds = map[string][]string{
	"text": nil, "image": nil, "revoke": nil, "agree": nil, "disagree": {"agree"}, "voice": nil, "video": nil,
	"card": nil, "location": nil, "emotion": nil, "file": nil, "link": nil, "weapp": nil, "chatrecord": nil,
	"todo": nil, "vote": nil, "collect": nil, "redpacket": nil, "external_redpacket": {"redpacket"},
	"meeting": nil, "meeting_notification": nil, "docmsg": {"doc"}, "markdown": nil, "news": nil, "calendar": nil,
	"mixed": nil, "meeting_voice_call": nil, "voip_doc_share": nil, "sphfeed": nil, "voiptext": nil,
	"qydiskfile": nil, "solitaire": nil, "note": nil,
}

// squeezed finds a kind by its squeezed name. So it finds the spellings that were
// seen too: voipdocshare, ChatRecordSphFeed.
var squeezed = func() map[string]string {
	m := map[string]string{"doc": "docmsg"}
	for kind := range kinds {
		m[squeeze(kind)] = kind
	}
	return m
}()

// Canonical returns the kind of messages with a msgtype in any spelling, as in
// [Content].Kind: voipdocshare is voip_doc_share. It returns [KindUnknown] for an
// unknown msgtype; see [Known].
func Canonical(msgtype string) string {
	if kind := squeezed[squeeze(msgtype)]; kind != "" {
		return kind
	}
	return KindUnknown
}

// Known reports whether this package knows the fields of messages with a msgtype.
// Messages of other types appear as generic parts.
func Known(msgtype string) bool { return squeezed[squeeze(msgtype)] != "" }

// squeeze reduces the spellings of a type to one.
func squeeze(kind string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(kind)), "_", "")
}

// itemKind finds the kind of an item. Chat records usually prefix and capitalise the
// types of their items (wecom.md 2.3).
func itemKind(name string) string {
	s := squeeze(name)
	if plain := strings.TrimPrefix(s, "chatrecord"); plain != "" {
		s = plain
	}
	return squeezed[s]
}

// part reads the payload of one message or item of any kind except mixed.
func (r *reader) part(kind string, o *object) Part {
	switch kind {
	case "text", "markdown":
		t := Text{Type: kind, Text: o.str("content")}
		if kind == "text" {
			t.Quote = quoteOf(t.Text)
		}
		return t
	case "image":
		return Image{Type: kind, File: r.file(o, File{Kind: kind})}
	case "voice":
		seconds := o.num("play_length")
		return Voice{Type: kind, Seconds: seconds, File: r.file(o, File{Kind: kind, Ext: "amr", Seconds: seconds})}
	case "video":
		seconds := o.num("play_length")
		return Video{Type: kind, Seconds: seconds, File: r.file(o, File{Kind: kind, Ext: "mp4", Seconds: seconds})}
	case "emotion":
		format := r.word("emotion.type", emotionFormats, o.str("type"))
		e := Emotion{Type: kind, Format: format, Width: o.num("width"), Height: o.num("height")}
		f := File{Kind: kind}
		if format == "gif" || format == "png" {
			f.Ext = format
		}
		e.File = r.file(o, f)
		return e
	case "file":
		name := o.str("filename")
		f := File{Kind: kind, Name: name, Ext: o.str("fileext")}
		if f.Ext == "" {
			f.Ext = extension(name)
		}
		return Attachment{Type: kind, Name: name, File: r.file(o, f)}
	case "link":
		return Link{Type: kind, Title: o.str("title"), Description: o.str("description"),
			URL: o.str("link_url"), ImageURL: o.str("image_url")}
	case "weapp":
		return Weapp{Type: kind, Title: o.str("title"), Description: o.str("description"), Username: o.str("username"),
			Name: o.str("displayname"), AppID: o.str("appid"), Page: o.str("pagepath")}
	case "location":
		l := Location{Type: kind, Title: o.str("title"), Address: o.str("address"), Zoom: o.num("zoom")}
		l.Longitude, l.Latitude = coordinates(o)
		return l
	case "card":
		return Card{Type: kind, Corp: o.str("corpname"), UserID: o.str("userid")}
	case "redpacket", "external_redpacket":
		p := RedPacket{Type: kind, Packet: r.word(kind+".type", packets, o.str("type")), Wish: o.str("wish"), Count: o.num("totalcnt")}
		if fen, there := take(o, count, "totalamount"); there {
			p.Fen, p.Amount = fen, yuan(fen)
		}
		return p
	case "meeting":
		status := o.str("status")
		return Meeting{Type: kind, Event: r.word("meeting.meetingtype", meetingEvents, o.str("meetingtype")),
			Topic: o.str("topic"), Start: o.ms("starttime"), End: o.ms("endtime"),
			Address: o.str("address"), Remarks: o.str("remarks"), MeetingID: o.str("meetingid"),
			Status: r.word("meeting.status", meetingStatus, status), StatusText: meetingStatusText[status]}
	case "meeting_notification":
		return MeetingNotification{Type: kind, MeetingID: o.str("meeting_id"),
			Notification: o.str("notification_type"), Text: o.str("content")}
	case "docmsg":
		return Doc{Type: kind, Title: o.str("title"), URL: o.str("link_url"), Creator: o.str("doc_creator")}
	case "news":
		return News{Type: kind, Articles: r.articles(o)}
	case "calendar":
		return Calendar{Type: kind, Title: o.str("title"), Creator: o.str("creatorname"), Attendees: r.texts(kind, o, "attendeename"),
			Start: o.ms("starttime"), End: o.ms("endtime"), Place: o.str("place"), Remarks: o.str("remarks")}
	case "vote":
		return Vote{Type: kind, Event: r.word("vote.votetype", voteEvents, o.str("votetype")), Title: o.str("votetitle"),
			Options: r.texts(kind, o, "voteitem"), VoteID: o.str("voteid")}
	case "todo":
		return Todo{Type: kind, Title: o.str("title"), Content: o.str("content")}
	case "collect":
		return r.collect(o)
	case "solitaire":
		title := o.str("title")
		if title == "" { // the fields may hold nothing
			r.note(kind)
		}
		return Solitaire{Type: kind, Title: title, Fields: r.fields(kind, o)}
	case "note":
		return Note{Type: kind, Title: o.str("title"), Parts: r.addItems(nil, kind, o)}
	case "chatrecord":
		return r.chatRecord(kind, o)
	case "meeting_voice_call":
		return r.call(o)
	case "voip_doc_share":
		name := o.str("filename")
		return VoipDocShare{Type: kind, CallID: r.callID(o, "voipid"), Name: name,
			File: r.file(o, File{Kind: kind, Name: name, Ext: extension(name)})}
	case "sphfeed":
		return SphFeed{Type: kind, Feed: r.word("sphfeed.feed_type", feeds, o.str("feed_type")),
			Name: o.str("sph_name"), Description: o.str("feed_desc")}
	case "voiptext":
		return VoipText{Type: kind, Seconds: o.num("callduration"), Call: r.word("voiptext.invitetype", calls, o.str("invitetype"))}
	case "qydiskfile":
		return QyDiskFile{Type: kind, Name: o.str("filename")}
	case "agree", "disagree":
		return r.consent(kind, o)
	case KindSwitch:
		f := r.view.Fields
		o.lacks = f.User == "" || f.Time == 0
		return Switch{Type: kind, UserID: f.User, At: f.Time}
	case "revoke":
		id := o.str("pre_msgid")
		if id == "" {
			r.note(kind)
			o.lacks = true
		}
		if r.depth == 0 {
			r.view.Revokes = id
		}
		return Revoke{Type: kind, MsgID: id}
	}
	return r.generic(kind, o, nil)
}

// The numbers that WeCom documents (wecom.md 2.3).
var (
	emotionFormats = map[string]string{"1": "gif", "2": "png"}
	packets        = map[string]string{"1": "ordinary", "2": "lucky", "3": "incentive"}
	meetingEvents  = map[string]string{"101": "invitation", "102": "answer"}
	meetingStatus  = map[string]string{
		"1": "accepted", "2": "declined", "3": "undecided", "4": "not_invited", "5": "cancelled", "6": "expired", "7": "not_in_room",
	}
	meetingStatusText = map[string]string{
		"1": "参加", "2": "拒绝", "3": "待定", "4": "未被邀请", "5": "会议已取消", "6": "会议已过期", "7": "不在群聊中",
	}
	voteEvents = map[string]string{"101": "started", "102": "joined"}
	feeds      = map[string]string{"2": "picture", "4": "video", "9": "live"}
	calls      = map[string]string{"1": "video", "2": "voice", "3": "group_video", "4": "group_voice"}
)

// coordinates takes both numbers of a place. One alone is no place, and stays.
func coordinates(o *object) (longitude, latitude float64) {
	before := maps.Clone(o.members)
	longitude, east := take(o, decimal, "longitude")
	latitude, north := take(o, decimal, "latitude")
	if !east || !north {
		o.members = before
		return 0, 0
	}
	return longitude, latitude
}

// articles reads the articles of a news message: a list, or the fields of one article
// beside each other.
func (r *reader) articles(o *object) []Article {
	article := func(a *object) Article {
		return Article{Title: a.str("title"), Description: a.str("description"), URL: a.str("url"), ImageURL: a.str("picurl")}
	}
	lists := []string{"item", "items", "articles"}
	if slices.ContainsFunc(lists, func(name string) bool { return o.find(name) != "" }) {
		return objects(r, "news", o, article, lists...)
	}
	if one := article(o); one != (Article{}) {
		return []Article{one}
	}
	return []Article{}
}

func (r *reader) collect(o *object) Part {
	c := Collect{Type: "collect", Title: o.str("title"), Room: o.str("room_name"), Creator: o.str("creator"),
		Created: o.str("create_time")}
	if at, err := time.ParseInLocation(time.DateTime, c.Created, beijing); err == nil {
		c.CreatedAt = millis(at.UnixMilli())
	}
	c.Questions = objects(r, "collect", o, func(q *object) Question {
		return Question{ID: q.str("id"), Question: q.str("ques"), Kind: q.str("type")}
	}, "details")
	return c
}

func (r *reader) call(o *object) Part {
	const kind = "meeting_voice_call"
	c := MeetingVoiceCall{Type: kind, CallID: r.callID(o, "voiceid"), End: o.ms("endtime"),
		File: r.file(o, File{Kind: kind})}
	c.Demos = objects(r, kind, o, func(d *object) Demo {
		return Demo{Name: d.str("filename"), By: d.str("demooperator"), Start: d.ms("starttime"), End: d.ms("endtime")}
	}, "demofiledata")
	c.Screens = objects(r, kind, o, func(s *object) ScreenShare {
		return ScreenShare{By: s.str("share"), Start: s.ms("starttime"), End: s.ms("endtime")}
	}, "sharescreendata")
	return c
}

// callID takes the id of a call, which is beside the payload, or in it.
func (r *reader) callID(o *object, name string) string {
	if id := o.str(name); id != "" {
		return id
	}
	return r.envelope.str(name)
}

func (r *reader) consent(kind string, o *object) Part {
	c := Consent{Type: kind, Agreed: kind == "agree", UserID: o.str("userid"), At: o.ms(kind+"_time", "agree_time", "disagree_time")}
	if c.UserID == "" {
		c.UserID = r.view.Fields.From
	}
	if c.At == 0 {
		c.At = r.view.Fields.Time
	}
	if r.depth == 0 {
		r.view.Consent = &c
	}
	return c
}
