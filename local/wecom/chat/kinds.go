package chat

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"
)

// A Scene contains the parts of a message.
type Scene struct {
	Rand   *rand.Rand
	MsgID  string
	From   string
	To     []string // receivers
	Room   string   // empty for a message outside rooms
	Time   time.Time
	Text   string // text, title or file name; empty means an invented text
	Target string // msgid that a message of msgtype revoke names; empty means an invented msgid
	// Attach makes a file that clients can fetch. A negative size means a usual
	// size for the extension.
	Attach func(ext string, size int) Attachment
	Size   int // size of the file, for kinds with a file; negative means a usual size
}

// An Attachment is the file of a message.
type Attachment struct {
	FileID string // sdkfileid
	MD5    string
	Size   int
}

// A Kind is one shape of one message type.
type Kind struct {
	// Name is the msgtype, a slash and the shape, such as "text/plain". A name
	// without a shape means the shape "plain" in [Lookup].
	Name string
	// Weight is how often the kind occurs in 100,000 messages of ordinary
	// traffic.
	Weight int
	// Room means that the kind occurs in rooms only.
	Room bool

	compose func(s *Scene) []byte
}

// Type is the part of the name before the slash.
func (k Kind) Type() string { t, _, _ := strings.Cut(k.Name, "/"); return t }

// Compose writes the message. It changes only the state of s.Rand.
func (k Kind) Compose(s Scene) []byte { return k.compose(&s) }

// Kinds lists all kinds in a fixed order.
func Kinds() []Kind { return slices.Clone(kinds) }

// Lookup finds a kind by its name.
func Lookup(name string) (Kind, bool) {
	if !strings.Contains(name, "/") {
		name += "/plain"
	}
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

// Ordinary picks a random kind by weight. Without room it picks no kind that
// occurs in rooms only.
func Ordinary(r *rand.Rand, room bool) Kind {
	for {
		n := r.IntN(allWeights)
		for _, k := range kinds {
			if n -= k.Weight; n < 0 {
				if k.Room && !room {
					break
				}
				return k
			}
		}
	}
}

var allWeights = func() int {
	sum := 0
	for _, k := range kinds {
		sum += k.Weight
	}
	return sum
}()

// message writes a message with the envelope of wecom.md 2.1 and the members of
// the payload.
func (s *Scene) message(action, msgtype string, payload ...any) []byte {
	return appendJSON(nil, append(object{
		"msgid", s.MsgID, "action", action, "from", s.From, "tolist", s.To, "roomid", s.Room,
		"msgtime", s.Time.UnixMilli(), "msgtype", msgtype,
	}, payload...))
}

// send writes a message with the action send.
func (s *Scene) send(msgtype string, payload ...any) []byte {
	return s.message("send", msgtype, payload...)
}

// call writes a message of a voice-call type. These types have no roomid.
func (s *Scene) call(msgtype string, payload ...any) []byte {
	return appendJSON(nil, append(object{
		"msgid", s.MsgID, "action", "send", "from", s.From, "tolist", s.To,
		"msgtime", s.Time.UnixMilli(), "msgtype", msgtype,
	}, payload...))
}

// say is the scene's text, or an invented text.
func (s *Scene) say() string { return s.or(smallTalk(s.Rand)) }

// or is the scene's text, or the given text if the scene has no text.
func (s *Scene) or(invented string) string {
	if s.Text != "" {
		return s.Text
	}
	return invented
}

// someone is a random receiver.
func (s *Scene) someone() string {
	if len(s.To) == 0 {
		return s.From
	}
	return pick(s.Rand, s.To)
}

// file lists the members of an attachment. sizeName is the type's name for the
// size.
func (s *Scene) file(ext, sizeName string) object {
	a := s.Attach(ext, s.Size)
	return object{"md5sum", a.MD5, sizeName, a.Size, "sdkfileid", a.FileID}
}

// seconds is the scene's time plus d, in seconds. Some types have such times.
func (s *Scene) seconds(d time.Duration) int64 { return s.Time.Add(d).Unix() }

// records lists the items of a forwarded bundle. name and at give the form of the
// types and of the times.
func (s *Scene) records(name func(string) string, at func(time.Duration) int64) []any {
	var items []any
	add := func(kind string, content object) {
		d := time.Duration(len(items)-20) * time.Minute
		items = append(items, object{"type", name(kind), "msgtime", at(d), "content", text(content), "from_chatroom", s.Room != ""})
	}
	add("Text", object{"content", smallTalk(s.Rand)})
	add("Image", s.file("jpg", "filesize"))
	add("File", append(s.file("docx", "filesize"), "filename", "资料.docx", "fileext", "docx"))
	add("Video", append(s.file("mp4", "filesize"), "play_length", 12))
	add("Voice", append(s.file("amr", "voice_size"), "play_length", 5))
	add("Emotion", append(s.file("gif", "imagesize"), "type", 1, "width", 240, "height", 240))
	add("Link", link)
	add("Location", location)
	add("Card", object{"corpname", "微信联系人", "userid", s.From})
	add("Weapp", weapp)
	add("SphFeed", feed)
	add("Meeting", s.meeting(101))
	add("Markdown", object{"content", "**通知** 已发布"})
	add("News", news)
	add("Mixed", s.mixed())
	return items
}

// mixed is a text and a picture. The items are JSON in strings.
func (s *Scene) mixed() object {
	return object{"item", []any{
		object{"type", "text", "content", text(object{"content", s.or("看图[微笑]\n")})},
		object{"type", "image", "content", text(s.file("jpg", "filesize"))},
	}}
}

func (s *Scene) meeting(kind int) object {
	return object{
		"topic", s.or("教研例会"), "starttime", s.seconds(time.Hour), "endtime", s.seconds(2 * time.Hour),
		"address", "", "remarks", "", "meetingtype", kind, "meetingid", uint64(1210342560),
	}
}

func (s *Scene) nested(depth int) object {
	content, kind := object{"content", s.say()}, "ChatRecordText"
	for i := range depth {
		item := object{"type", kind, "msgtime", s.seconds(-time.Hour), "content", text(content), "from_chatroom", true}
		content, kind = object{"title", fmt.Sprintf("第%d层聊天记录", depth-i), "item", []any{item}}, "chatrecord"
	}
	return content
}

var (
	link = object{
		"title", "邀请加入群聊", "description", "进入可查看详情",
		"link_url", "https://example.com/join?v=1&from=chat", "image_url", "https://example.com/a.png",
	}
	location = object{"longitude", 121.473701, "latitude", 31.230416, "address", "上海市黄浦区某路1号", "title", "某大厦", "zoom", 15}
	weapp    = object{"title", "课程表", "description", "本周课程安排", "username", "gh_0000@app", "displayname", "学习中心"}
	feed     = object{"feed_type", 4, "sph_name", "某旅行号", "feed_desc", "缆车 #旅行"}
	news     = object{"item", []any{object{
		"title", "日报", "description", "今日摘要", "url", "https://example.com/d", "picurl", "https://example.com/d.jpg",
	}}}
	vote = object{"votetitle", "团建去哪", "voteitem", []string{"山", "海"}, "votetype", 101, "voteid", "v-1767225701"}
)

// prefixed is the name of an item type of a forwarded bundle.
func prefixed(kind string) string { return "ChatRecord" + kind }

// money is a red packet. fen is the amount in 1/100 yuan.
func money(kind, count, fen int) object {
	return object{"type", kind, "wish", "恭喜发财", "totalcnt", count, "totalamount", fen}
}

// kinds lists all types and shapes of wecom.md 2.3 and the odd shapes of 2.4.
var kinds = []Kind{
	{Name: "text/plain", Weight: 70000, compose: func(s *Scene) []byte {
		return s.send("text", "text", object{"content", s.say()})
	}},
	{Name: "text/mention", Weight: 1500, Room: true, compose: func(s *Scene) []byte {
		return s.send("text", "text", object{"content", "@" + s.someone() + "\u2005" + s.say()})
	}},
	{Name: "text/quote", Weight: 1500, compose: func(s *Scene) []byte {
		quoted := s.someone() + "：\n" + smallTalk(s.Rand)
		return s.send("text", "text", object{"content", "这是一条引用/回复消息：\n\"" + quoted + "\"\n------\n" + s.say()})
	}},
	{Name: "text/quote-english", Weight: 200, compose: func(s *Scene) []byte {
		quoted := s.someone() + ":\n" + smallTalk(s.Rand)
		return s.send("text", "text", object{"content", "This is a quote/reply:\n\"" + quoted + "\"\n------\n" + s.say()})
	}},
	{Name: "text/quote-wechat", Weight: 800, compose: func(s *Scene) []byte {
		quoted := "「" + s.someone() + "：" + smallTalk(s.Rand) + "」\n"
		return s.send("text", "text", object{"content", quoted + strings.Repeat("- ", 14) + "-\n" + s.say()})
	}},
	{Name: "text/long", Weight: 50, compose: func(s *Scene) []byte {
		var b strings.Builder
		for b.Len() < 6000 {
			b.WriteString(s.say())
		}
		return s.send("text", "text", object{"content", b.String()})
	}},
	{Name: "text/empty", Weight: 5, compose: func(s *Scene) []byte {
		return s.send("text", "text", object{"content", ""})
	}},
	{Name: "text/html", Weight: 20, compose: func(s *Scene) []byte {
		return s.send("text", "text", object{"content", `<script>alert("1")</script><img src=x onerror=alert(2)> & ` + s.say()})
	}},
	{Name: "text/control", Weight: 50, compose: func(s *Scene) []byte {
		var b strings.Builder
		for c := byte(1); c < 0x20; c++ {
			b.WriteByte(c)
		}
		return s.send("text", "text", object{"content", raw(s.say() + b.String() + "\x7f完")})
	}},
	{Name: "text/nul", Weight: 5, compose: func(s *Scene) []byte {
		return s.send("text", "text", object{"content", raw(s.say() + "\x00之后")})
	}},
	{Name: "text/invalid-utf8", Weight: 30, compose: func(s *Scene) []byte {
		return s.send("text", "text", object{"content", raw(s.say() + "\xf0\x9f\x98 \xff\xfe")})
	}},
	{Name: "text/time-as-string", Weight: 5, compose: func(s *Scene) []byte {
		return appendJSON(nil, object{
			"msgid", s.MsgID, "action", "send", "from", s.From, "tolist", s.To, "roomid", s.Room,
			"msgtime", fmt.Sprint(s.Time.UnixMilli()), "msgtype", "text", "text", object{"content", s.say()},
		})
	}},
	{Name: "image/plain", Weight: 7500, compose: func(s *Scene) []byte {
		return s.send("image", "image", s.file("jpg", "filesize"))
	}},
	{Name: "image/time-zero", Weight: 20, compose: func(s *Scene) []byte {
		s.Time = time.UnixMilli(0)
		return s.send("image", "image", s.file("jpg", "filesize"))
	}},
	{Name: "revoke/plain", Weight: 1200, compose: func(s *Scene) []byte {
		target := s.Target
		if target == "" {
			target = fmt.Sprintf("%d_%d", s.Rand.Uint64(), s.seconds(-time.Hour))
		}
		return s.message("recall", "revoke", "revoke", object{"pre_msgid", target})
	}},
	{Name: "agree/plain", Weight: 0, compose: func(s *Scene) []byte {
		return s.send("agree", "agree", object{"userid", s.From, "agree_time", s.Time.UnixMilli()})
	}},
	{Name: "disagree/plain", Weight: 0, compose: func(s *Scene) []byte {
		return s.send("disagree", "disagree", object{"userid", s.From, "disagree_time", s.Time.UnixMilli()})
	}},
	{Name: "disagree/as-agree", Weight: 0, compose: func(s *Scene) []byte {
		return s.send("disagree", "agree", object{"userid", s.From, "agree_time", s.Time.UnixMilli()})
	}},
	{Name: "disagree/agree-time", Weight: 0, compose: func(s *Scene) []byte {
		return s.send("disagree", "disagree", object{"userid", s.From, "agree_time", s.Time.UnixMilli()})
	}},
	{Name: "voice/plain", Weight: 3500, compose: func(s *Scene) []byte {
		return s.send("voice", "voice", append(s.file("amr", "voice_size"), "play_length", 1+s.Rand.IntN(60)))
	}},
	{Name: "video/plain", Weight: 700, compose: func(s *Scene) []byte {
		return s.send("video", "video", append(s.file("mp4", "filesize"), "play_length", 1+s.Rand.IntN(180)))
	}},
	{Name: "card/plain", Weight: 200, compose: func(s *Scene) []byte {
		return s.send("card", "card", object{"corpname", "微信联系人", "userid", s.someone()})
	}},
	{Name: "card/capital", Weight: 20, compose: func(s *Scene) []byte {
		return s.send("card", "card", object{"corpname", "云朵学校", "Userid", s.someone()})
	}},
	{Name: "location/plain", Weight: 150, compose: func(s *Scene) []byte {
		return s.send("location", "location", location)
	}},
	{Name: "emotion/plain", Weight: 2500, compose: func(s *Scene) []byte {
		return s.send("emotion", "emotion", append(object{"type", 1, "width", 240, "height", 240}, s.file("gif", "imagesize")...))
	}},
	{Name: "emotion/png", Weight: 300, compose: func(s *Scene) []byte {
		return s.send("emotion", "emotion", append(object{"type", 2, "width", 240, "height", 240}, s.file("png", "imagesize")...))
	}},
	{Name: "file/plain", Weight: 2000, compose: func(s *Scene) []byte {
		name := s.or("报价单.docx")
		ext := strings.TrimPrefix(path.Ext(name), ".")
		return s.send("file", "file", append(object{"filename", name, "fileext", ext}, s.file(ext, "filesize")...))
	}},
	{Name: "file/hostile-name", Weight: 5, compose: func(s *Scene) []byte {
		return s.send("file", "file", append(object{"filename", raw("../..\\a/\"b\x01\r\n<i>.html"), "fileext", "html"}, s.file("html", "filesize")...))
	}},
	{Name: "file/empty", Weight: 5, compose: func(s *Scene) []byte {
		s.Size = 0
		return s.send("file", "file", append(object{"filename", "空.txt", "fileext", "txt"}, s.file("txt", "filesize")...))
	}},
	{Name: "file/two-chunks", Weight: 5, compose: func(s *Scene) []byte {
		s.Size = 2 * 524288
		return s.send("file", "file", append(object{"filename", "整.bin", "fileext", "bin"}, s.file("bin", "filesize")...))
	}},
	{Name: "link/plain", Weight: 1800, compose: func(s *Scene) []byte { return s.send("link", "link", link) }},
	{Name: "weapp/plain", Weight: 1200, compose: func(s *Scene) []byte { return s.send("weapp", "weapp", weapp) }},
	{Name: "weapp/notice", Weight: 100, compose: func(s *Scene) []byte {
		return s.send("weapp", "weapp", object{"title", "请阅读服务须知", "description", "需同意存档聊天记录", "username", "gh_0000@app", "displayname", "服务须知"})
	}},
	{Name: "weapp/paths", Weight: 100, compose: func(s *Scene) []byte {
		return s.send("weapp", "weapp", append(slices.Clone(weapp), "appid", "wx0000000000000000", "pagepath", "pages/index.html"))
	}},
	{Name: "chatrecord/plain", Weight: 300, compose: func(s *Scene) []byte {
		return s.send("chatrecord", "chatrecord", object{"title", s.or("群聊的聊天记录"), "item", s.records(prefixed, s.seconds)})
	}},
	{Name: "chatrecord/bare", Weight: 30, compose: func(s *Scene) []byte {
		ms := func(d time.Duration) int64 { return s.Time.Add(d).UnixMilli() }
		return s.send("chatrecord", "chatrecord", object{"title", s.or("群聊的聊天记录"), "item", s.records(strings.ToLower, ms)})
	}},
	{Name: "chatrecord/nested", Weight: 20, compose: func(s *Scene) []byte {
		return s.send("chatrecord", "chatrecord", s.nested(2))
	}},
	{Name: "chatrecord/deep", Weight: 2, compose: func(s *Scene) []byte {
		return s.send("chatrecord", "chatrecord", s.nested(9))
	}},
	{Name: "chatrecord/array", Weight: 5, compose: func(s *Scene) []byte {
		items := []any{object{"type", "ChatRecordText", "msgtime", s.seconds(-time.Hour), "content", text(object{"content", s.say()}), "from_chatroom", false}}
		return s.send("chatrecord", "chatrecord", object{"title", s.or("聊天记录"), "item", []any{
			object{"type", "chatrecord", "msgtime", s.seconds(-time.Hour), "content", text(items), "from_chatroom", false},
		}})
	}},
	{Name: "todo/plain", Weight: 50, compose: func(s *Scene) []byte {
		return s.send("todo", "todo", object{"title", "来自某消息", "content", s.or("周五前给客户回电")})
	}},
	{Name: "todo/flat", Weight: 5, compose: func(s *Scene) []byte {
		return s.send("todo", "title", "来自某消息", "content", s.or("周五前给客户回电"))
	}},
	{Name: "vote/plain", Weight: 20, Room: true, compose: func(s *Scene) []byte { return s.send("vote", vote...) }},
	{Name: "vote/nested", Weight: 20, Room: true, compose: func(s *Scene) []byte {
		return s.send("vote", "vote", object{"votetitle", "团建去哪", "voteitem", []string{"海"}, "votetype", 102, "voteid", "v-1767225701"})
	}},
	{Name: "collect/plain", Weight: 20, Room: true, compose: func(s *Scene) []byte {
		beijing := s.Time.In(time.FixedZone("", 8*3600)).Format(time.DateTime)
		return s.send("collect", "collect", object{"room_name", "项目群", "creator", "林华", "create_time", beijing, "title", s.or("午餐登记"), "details", []any{
			object{"id", 1, "ques", "姓名", "type", "Text"}, object{"id", 2, "ques", "份数", "type", "Number"},
			object{"id", 3, "ques", "日期", "type", "Date"}, object{"id", uint64(9007199254740993), "ques", "时间", "type", "Time"},
		}})
	}},
	{Name: "redpacket/plain", Weight: 100, compose: func(s *Scene) []byte { return s.send("redpacket", "redpacket", money(1, 1, 3000)) }},
	{Name: "redpacket/lucky", Weight: 40, Room: true, compose: func(s *Scene) []byte { return s.send("redpacket", "redpacket", money(2, 5, 888)) }},
	{Name: "redpacket/incentive", Weight: 10, compose: func(s *Scene) []byte { return s.send("redpacket", "redpacket", money(3, 1, 100)) }},
	{Name: "external_redpacket/plain", Weight: 60, compose: func(s *Scene) []byte {
		return s.send("external_redpacket", "redpacket", money(1, 2, 20))
	}},
	{Name: "external_redpacket/own-key", Weight: 10, compose: func(s *Scene) []byte {
		return s.send("external_redpacket", "external_redpacket", money(2, 3, 66))
	}},
	{Name: "meeting/plain", Weight: 100, compose: func(s *Scene) []byte { return s.send("meeting", "meeting", s.meeting(101)) }},
	{Name: "meeting/answer", Weight: 60, compose: func(s *Scene) []byte {
		return s.send("meeting", "meeting", append(s.meeting(102), "status", 1+s.Rand.IntN(7)))
	}},
	{Name: "meeting/large-id", Weight: 5, compose: func(s *Scene) []byte {
		m := s.meeting(101)
		m[len(m)-1] = uint64(18446744073709551615)
		return s.send("meeting", "meeting", m)
	}},
	{Name: "meeting_notification/plain", Weight: 40, compose: func(s *Scene) []byte {
		return s.send("meeting_notification", "info", object{"meeting_id", uint64(1210342560), "notification_type", 1, "content", s.or("会议时间已更改")})
	}},
	{Name: "docmsg/plain", Weight: 150, compose: func(s *Scene) []byte {
		return s.send("docmsg", "doc", object{"title", s.or("排期表"), "link_url", "https://doc.weixin.qq.com/sheet/x", "doc_creator", s.From})
	}},
	{Name: "markdown/plain", Weight: 150, Room: true, compose: func(s *Scene) []byte {
		return s.send("markdown", "info", object{"content", s.or("构建 **失败**\n> [详情](https://example.com/b)")})
	}},
	{Name: "news/plain", Weight: 100, Room: true, compose: func(s *Scene) []byte { return s.send("news", "info", news) }},
	{Name: "news/flat", Weight: 10, Room: true, compose: func(s *Scene) []byte {
		return s.send("news", "info", object{"title", "日报", "description", "今日摘要", "url", "https://example.com/d", "picurl", "https://example.com/d.jpg"})
	}},
	{Name: "calendar/plain", Weight: 50, compose: func(s *Scene) []byte {
		return s.send("calendar", "calendar", object{
			"title", s.or("复盘会"), "creatorname", "林华", "attendeename", []string{"甲", "乙"},
			"starttime", s.seconds(3 * time.Hour), "endtime", s.seconds(4 * time.Hour), "place", "", "remarks", "",
		})
	}},
	{Name: "mixed/plain", Weight: 500, compose: func(s *Scene) []byte { return s.send("mixed", "mixed", s.mixed()) }},
	{Name: "mixed/emotion", Weight: 50, compose: func(s *Scene) []byte {
		m := s.mixed()
		emotion := append(object{"type", 1, "width", 240, "height", 240}, s.file("gif", "imagesize")...)
		m[1] = append(m[1].([]any), object{"type", "emotion", "content", text(emotion)})
		return s.send("mixed", "mixed", m)
	}},
	{Name: "meeting_voice_call/plain", Weight: 100, compose: func(s *Scene) []byte {
		// In a sample, the caller is one of the receivers (wecom.md 2.1).
		s.To = append(slices.Clone(s.To), s.From)
		return s.call("meeting_voice_call", "voiceid", "grEXAMPLEvoice0001", "meeting_voice_call", object{
			"endtime", s.seconds(time.Minute), "sdkfileid", s.Attach("mp4", s.Size).FileID,
			"demofiledata", []any{object{"filename", "a.docx", "demooperator", s.From, "starttime", s.seconds(17 * time.Second), "endtime", s.seconds(27 * time.Second)}},
			"sharescreendata", []any{object{"share", s.From, "starttime", s.seconds(37 * time.Second), "endtime", s.seconds(42 * time.Second)}},
		})
	}},
	{Name: "meeting_voice_call/short", Weight: 50, compose: func(s *Scene) []byte {
		return s.call("meeting_voice_call", "voiceid", "grEXAMPLEvoice0002", "meeting_voice_call", object{
			"endtime", s.seconds(time.Minute), "sdkfileid", s.Attach("mp4", s.Size).FileID,
		})
	}},
	{Name: "voip_doc_share/plain", Weight: 40, compose: func(s *Scene) []byte {
		return s.call("voip_doc_share", "voipid", "grEXAMPLEvoip0001", "voip_doc_share",
			append(object{"filename", s.or("方案.pdf")}, s.file("pdf", "filesize")...))
	}},
	{Name: "sphfeed/plain", Weight: 200, compose: func(s *Scene) []byte { return s.send("sphfeed", "sphfeed", feed) }},
	{Name: "sphfeed/string", Weight: 5, compose: func(s *Scene) []byte {
		return s.send("sphfeed", "sphfeed", object{"feed_type", "9", "sph_name", "某旅行号", "feed_desc", ""})
	}},
	{Name: "voiptext/plain", Weight: 200, compose: func(s *Scene) []byte {
		return s.send("voiptext", "info", object{"callduration", s.Rand.IntN(900), "invitetype", 1 + s.Rand.IntN(4)})
	}},
	{Name: "qydiskfile/plain", Weight: 60, compose: func(s *Scene) []byte {
		return s.send("qydiskfile", "info", object{"filename", s.or("report.log")})
	}},
	{Name: "solitaire/plain", Weight: 30, compose: func(s *Scene) []byte {
		return s.send("solitaire", "solitaire", object{"title", s.or("报名接龙")})
	}},
	{Name: "note/plain", Weight: 30, compose: func(s *Scene) []byte {
		return s.send("note", "info", object{"items", []any{object{"type", "text", "content", text(object{"content", s.or("会议纪要")})}}})
	}},
	{Name: "note/own-key", Weight: 5, compose: func(s *Scene) []byte {
		return s.send("note", "note", object{"items", []any{object{"type", "text", "content", text(object{"content", s.or("会议纪要")})}}})
	}},
	{Name: "switch/plain", Weight: 50, compose: func(s *Scene) []byte {
		return appendJSON(nil, object{"msgid", s.MsgID, "action", "switch", "time", s.Time.UnixMilli(), "user", s.From})
	}},
	{Name: "unknown/plain", Weight: 10, compose: func(s *Scene) []byte {
		return s.send("hologram", "hologram", object{"title", s.or("未来的消息"), "id", uint64(18446744073709551615), "ratio", 0.1})
	}},
	{Name: "unknown/deep", Weight: 1, compose: func(s *Scene) []byte {
		return s.send("hologram", "hologram", nestedArrays(200))
	}},
	{Name: "unknown/too-deep", Weight: 1, compose: func(s *Scene) []byte {
		// encoding/json refuses more than 10,000 levels.
		return s.send("hologram", "hologram", nestedArrays(12000))
	}},
	{Name: "unreadable/plain", Weight: 1, compose: func(s *Scene) []byte {
		return []byte(`{"msgid":"` + s.MsgID + `","action":"send","from":`)
	}},
	{Name: "unreadable/array", Weight: 1, compose: func(s *Scene) []byte {
		return appendJSON(nil, []any{s.MsgID, s.From})
	}},
}

// nestedArrays makes arrays in arrays.
func nestedArrays(depth int) []any {
	v := []any{}
	for range depth {
		v = []any{v}
	}
	return v
}
