package message

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"
)

// reader reads one message.
type reader struct {
	envelope object // the message's members that are not read yet
	view     Content
	unknown  map[string]bool
	path     []int // of the part being read
	depth    int   // of lists around the part being read
	items    int   // read so far
	wraps    int   // strings around the JSON being scanned
	// speech counts the strings around what is being read that a person may have
	// written; see list. claimed counts the files that such strings named.
	speech, claimed int
	// toDraw is the number of bytes of items that may still be read, and toScan the
	// number of bytes of strings that may still be scanned for files. Without these
	// bounds, bytes within many strings would be read once for each string.
	toDraw, toScan int
}

// newReader makes a reader of the message with these members and this size in bytes.
func newReader(o object, size int) *reader {
	return &reader{envelope: o, unknown: make(map[string]bool), toDraw: 8*size + 64<<10, toScan: 16*size + 64<<10}
}

// spend takes n from left. It reports false and takes nothing if left is smaller.
func (r *reader) spend(left *int, n int) bool {
	if *left < n {
		return false
	}
	*left -= n
	return true
}

func (r *reader) message() {
	r.view.Fields = takeFields(r.envelope)
	f := r.view.Fields
	if f.Unplaced {
		r.note("parties")
	}
	kind := kindOf(f)
	r.view.Kind = kind
	limit := maxText
	switch {
	case kind == KindSwitch:
		r.view.Parts = []Part{Switch{Type: KindSwitch, UserID: f.User, At: f.Time}}
	case kind == KindUnknown:
		r.note("msgtype=" + f.Type)
		o, doc, speech := r.payload(f.Type)
		r.in(speech, func() {
			r.view.Parts = r.put(nil, func() Part { return r.generic(f.Type, o, doc) })
		})
	default:
		o, doc, speech := r.payload(kind)
		r.in(speech, func() { r.view.Parts = r.add(nil, kind, o, doc) })
	}
	r.leftOver("", r.envelope)
	if kind == "text" || kind == "markdown" || kind == "mixed" {
		limit = noLimit // a person wrote it
	}
	r.view.Text = render(r.view.Parts, limit)
	r.view.Unknown = slices.Sorted(maps.Keys(r.unknown))
}

// kindOf returns the [Content].Kind of a message with these fields.
func kindOf(f Fields) string {
	if f.Action == KindSwitch && (f.Type == "" || squeeze(f.Type) == KindSwitch) {
		return KindSwitch
	}
	return Canonical(f.Type)
}

// in calls read, for a text that a person may have written if speech is true.
func (r *reader) in(speech bool, read func()) {
	if speech {
		r.speech++
		defer func() { r.speech-- }()
	}
	read()
}

// payload takes the content out of the envelope, from the first known key with
// content, or else from the first known key. If the envelope has no known key, the
// fields of the content may be in the envelope itself, as was seen with vote and
// todo; then there is no doc. speech is [spoken] of the content.
func (r *reader) payload(kind string) (o object, doc []byte, speech bool) {
	var found []string
	for _, name := range slices.Concat([]string{kind, r.view.Fields.Type}, kinds[kind], []string{"info"}) {
		if key := r.envelope.find(name); key != "" && !slices.Contains(found, key) {
			found = append(found, key)
		}
	}
	if len(found) == 0 {
		return r.envelope, nil, false
	}
	key := found[0]
	if i := slices.IndexFunc(found, func(key string) bool { return !empty(r.envelope[key]) }); i > 0 {
		key = found[i]
		for _, before := range found[:i] {
			delete(r.envelope, before)
		}
	}
	raw := r.envelope[key]
	delete(r.envelope, key)
	o, doc = payload(kind, raw)
	return o, doc, spoken(kind, raw)
}

// put appends the part that read makes. r.path is the place of the part meanwhile.
func (r *reader) put(parts []Part, read func() Part) []Part {
	r.path = append(r.path, len(parts))
	part := read()
	r.path = r.path[:len(r.path)-1]
	return append(parts, part)
}

// add appends the part of a payload, or the parts of a mixed one. doc is the payload
// in its written form, nil if the fields are in the envelope itself. A payload of a
// known kind in an unknown form is shown like an unknown kind.
func (r *reader) add(parts []Part, kind string, o object, doc []byte) []Part {
	if kind == "mixed" {
		before := len(parts)
		parts = r.addItems(parts, kind, o)
		switch {
		case len(parts) > before:
			r.leftOver(kind, o)
			return parts
		case len(o) > 0:
			return r.put(parts, func() Part { return r.unknownForm(kind, o, doc) })
		}
		r.note(kind)
		return parts
	}
	return r.put(parts, func() Part {
		absent := len(o) == 0
		part := r.part(kind, o)
		if blank(part, o) {
			if len(o) > 0 {
				return r.unknownForm(kind, o, doc)
			}
			if absent {
				r.note(kind)
			}
		}
		r.leftOver(kind, o)
		return part
	})
}

// unknownForm is the part for a payload of a known kind without any known field.
func (r *reader) unknownForm(kind string, o object, doc []byte) Part {
	for _, name := range o.names() {
		r.note(kind + "." + name)
	}
	return r.generic(kind, o, doc)
}

// blank reports whether a part shows nothing but its kind. o holds the members that
// remain after reading.
func blank(part Part, o object) bool {
	switch p := part.(type) {
	case Consent, Revoke, Generic, Rest:
		return false // their meaning does not depend on their fields
	case Location:
		if o["longitude"] != nil || o["latitude"] != nil {
			return false // the place is written in numbers that JSON cannot hold
		}
	case News:
		return !slices.ContainsFunc(p.Articles, func(a Article) bool { return a != Article{} })
	case RedPacket:
		return p == RedPacket{Type: p.Type, Amount: p.Amount}
	}
	v := reflect.ValueOf(part)
	for i := range v.NumField() {
		f := v.Field(i)
		if v.Type().Field(i).Name == "Type" || f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0 {
			continue
		}
		return false
	}
	return true
}

// addItems appends the parts of the items of o.
func (r *reader) addItems(parts []Part, kind string, o object) []Part {
	if parts == nil {
		parts = []Part{}
	}
	r.eachItem(o, func(item object) {
		parts = r.addItem(parts, kind+".item", item)
	}, func(why string, items []json.RawMessage) {
		parts = r.put(parts, func() Part { return r.rest(why, items) })
	})
	return parts
}

// eachItem calls read for the items of o. It calls rest with the items that the
// bounds exclude.
func (r *reader) eachItem(o object, read func(object), rest func(why string, items []json.RawMessage)) {
	items := o.array("item", "items", "msg_item", "msgitem")
	if r.depth == maxDepth && len(items) > 0 {
		rest(PartTooDeep, items)
		return
	}
	r.depth++
	defer func() { r.depth-- }()
	for i, raw := range items {
		if r.items == maxItems {
			rest(PartMore, items[i:])
			return
		}
		if !r.spend(&r.toDraw, len(raw)) {
			rest(PartTooDeep, items[i:])
			return
		}
		r.items++
		item, _ := payload("", raw)
		read(item)
	}
}

// addItem appends the part of an item. An item has a type, and its content under
// content or under the name of the type; without such a member the item itself is
// the content. where is for [Content].Unknown.
func (r *reader) addItem(parts []Part, where string, item object) []Part {
	name := item.str("type", "msgtype")
	kind := itemKind(name)
	o, doc, speech := item, []byte(nil), false
	for _, name := range []string{"content", name} {
		if key := item.find(name); key != "" && doc == nil {
			o, doc = payload(kind, item[key])
			speech = spoken(kind, item[key])
			delete(item, key)
		}
	}
	r.in(speech, func() {
		if kind != "" {
			parts = r.add(parts, kind, o, doc)
			return
		}
		r.note(where + ".type=" + name)
		parts = r.put(parts, func() Part { return r.generic(name, o, doc) })
	})
	r.leftOver(where, item)
	return parts
}

func (r *reader) chatRecord(kind string, o object) Part {
	record := ChatRecord{Type: kind, Title: o.str("title"), Items: []RecordItem{}}
	read := func(item RecordItem, parts func() []Part) {
		r.path = append(r.path, len(record.Items))
		item.Parts = parts()
		r.path = r.path[:len(r.path)-1]
		record.Items = append(record.Items, item)
	}
	r.eachItem(o, func(item object) {
		head := RecordItem{Time: item.ms("msgtime"), FromRoom: item.flag("from_chatroom")}
		read(head, func() []Part { return r.addItem([]Part{}, kind+".item", item) })
	}, func(why string, items []json.RawMessage) {
		read(RecordItem{}, func() []Part {
			return r.put(nil, func() Part { return r.rest(why, items) })
		})
	})
	return record
}

// rest is the part for items that are not read. It finds their files, which must be
// fetched before WeCom deletes them.
func (r *reader) rest(why string, items []json.RawMessage) Part {
	raw := jsonList(items)
	r.findFiles(why, raw)
	return Rest{Type: why, Count: len(items), Raw: validUTF8(raw)}
}

// jsonList writes a list of values.
func jsonList(items []json.RawMessage) []byte {
	raw := []byte{'['}
	for i, item := range items {
		if i > 0 {
			raw = append(raw, ',')
		}
		raw = append(raw, item...)
	}
	return append(raw, ']')
}

// generic is the part for content of an unknown type. It takes the whole content.
func (r *reader) generic(name string, o object, doc []byte) Part {
	if doc == nil {
		doc = o.document()
	}
	return Generic{Type: PartGeneric, Name: name, Fields: r.fields(PartGeneric, o), Raw: validUTF8(doc)}
}

// fields takes all remaining members of o.
func (r *reader) fields(kind string, o object) []Field {
	r.findFiles(kind, o.document())
	fields := []Field{}
	for _, name := range o.names() {
		if len(fields) == maxFields {
			break
		}
		value, ok := text(o[name])
		if !ok {
			value = validUTF8(o[name])
		}
		fields = append(fields, Field{Name: cut(name, maxName), Value: cut(value, maxValue)})
	}
	clear(o)
	return fields
}

// leftOver notes the members of o that remain after reading, and finds their files.
func (r *reader) leftOver(where string, o object) {
	if len(o) == 0 {
		return
	}
	r.findFiles(PartGeneric, o.document())
	if where != "" {
		where += "."
	}
	for _, name := range o.names() {
		r.note(where + name)
	}
	clear(o)
}

func (r *reader) note(what string) {
	if len(r.unknown) < maxUnknown {
		r.unknown[cut(what, maxName)] = true
	}
}

// word translates one of WeCom's numbers. An unknown number stays a number.
func (r *reader) word(where string, words map[string]string, number string) string {
	word, ok := words[number]
	if !ok && number != "" {
		r.note(where + "=" + number)
		return number
	}
	return word
}

// texts takes a list of texts, and notes a list in an odd form.
func (r *reader) texts(where string, o object, name string) []string {
	texts, odd := o.list(name)
	if odd {
		r.note(where + "." + name)
	}
	return texts
}

// objects takes the objects of a list, nil if it is absent. If no element is an
// object, the list stays.
func (r *reader) objects(where string, o object, name string) []object {
	raws := o.array(name)
	if raws == nil {
		return nil
	}
	list := make([]object, 0, len(raws))
	for _, raw := range raws {
		if element, ok := parseObject(raw); ok {
			list = append(list, element)
		} else {
			r.note(where + "." + name)
			r.findFiles(PartGeneric, raw)
		}
	}
	if len(list) == 0 && len(raws) > 0 {
		o[name] = jsonList(raws)
	}
	return list
}

// part reads the payload of one message or item of any kind except mixed.
func (r *reader) part(kind string, o object) Part {
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
		return Location{Type: kind, Longitude: o.float("longitude"), Latitude: o.float("latitude"),
			Title: o.str("title"), Address: o.str("address"), Zoom: o.num("zoom")}
	case "card":
		return Card{Type: kind, Corp: o.str("corpname"), UserID: o.str("userid")}
	case "redpacket", "external_redpacket":
		fen := o.num("totalamount")
		return RedPacket{Type: kind, Packet: r.word(kind+".type", packets, o.str("type")), Wish: o.str("wish"),
			Count: o.num("totalcnt"), Fen: fen, Amount: yuan(fen)}
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
		return Solitaire{Type: kind, Title: o.str("title"), Fields: r.fields(kind, o)}
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
	case "revoke":
		id := o.str("pre_msgid")
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

// articles reads the articles of a news message: a list, or the fields of one article
// beside each other.
func (r *reader) articles(o object) []Article {
	list := r.objects("news", o, "item")
	if list == nil {
		list = []object{o}
	}
	articles := make([]Article, 0, len(list))
	for _, a := range list {
		articles = append(articles, Article{Title: a.str("title"), Description: a.str("description"),
			URL: a.str("url"), ImageURL: a.str("picurl")})
		r.leftOver("news.item", a)
	}
	return articles
}

func (r *reader) collect(o object) Part {
	c := Collect{Type: "collect", Title: o.str("title"), Room: o.str("room_name"), Creator: o.str("creator"),
		Created: o.str("create_time"), Questions: []Question{}}
	if at, err := time.ParseInLocation(time.DateTime, c.Created, beijing); err == nil {
		c.CreatedAt = millis(at.UnixMilli())
	}
	for _, q := range r.objects("collect", o, "details") {
		c.Questions = append(c.Questions, Question{ID: q.str("id"), Question: q.str("ques"), Kind: q.str("type")})
		r.leftOver("collect.details", q)
	}
	return c
}

func (r *reader) call(o object) Part {
	const kind = "meeting_voice_call"
	c := MeetingVoiceCall{Type: kind, CallID: r.callID(o, "voiceid"), End: o.ms("endtime"),
		File: r.file(o, File{Kind: kind}), Demos: []Demo{}, Screens: []ScreenShare{}}
	for _, d := range r.objects(kind, o, "demofiledata") {
		c.Demos = append(c.Demos, Demo{Name: d.str("filename"), By: d.str("demooperator"),
			Start: d.ms("starttime"), End: d.ms("endtime")})
		r.leftOver(kind+".demofiledata", d)
	}
	for _, s := range r.objects(kind, o, "sharescreendata") {
		c.Screens = append(c.Screens, ScreenShare{By: s.str("share"), Start: s.ms("starttime"), End: s.ms("endtime")})
		r.leftOver(kind+".sharescreendata", s)
	}
	return c
}

// callID takes the id of a call, which is beside the payload, or in it.
func (r *reader) callID(o object, name string) string {
	if id := o.str(name); id != "" {
		return id
	}
	return r.envelope.str(name)
}

func (r *reader) consent(kind string, o object) Part {
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
