package decode

import (
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/message"
)

// maxFullRead is the largest message that is read in full, because reading
// takes many times its size in memory. Of a larger message only the fields and
// the files are found.
const maxFullRead = 4 << 20

// readContent reads the message once, for everything that is made of it.
func readContent(raw []byte) message.Content {
	if len(raw) > maxFullRead {
		return message.Skim(raw)
	}
	return message.Read(raw)
}

// store adds a decrypted message to the decoded page, with everything that
// follows from it: its revocation, consent, files, activities and counts.
func (p *pageDecode) store(rec archive.Record, raw []byte, content message.Content) {
	parties := content.Fields.Parties()
	for i, id := range parties {
		parties[i] = bounded(id)
	}
	m := p.messageOf(rec, content.Fields, parties)
	m.Raw = raw
	if len(raw) > archive.InlineLimit {
		m.Raw, m.Overflow = nil, &archive.Overflow{Sum: archive.Digest(raw), Size: len(raw)}
		p.large = append(p.large, largeMessage{*m.Overflow, raw})
	}
	p.decoded.Messages = append(p.decoded.Messages, m)
	for _, named := range content.Files {
		p.files = append(p.files, media.NewFile(named, m, p.row.At, p.cfg.Now()))
	}
	if content.Revokes != "" {
		p.decoded.Revocations = append(p.decoded.Revocations, archive.Revocation{
			Corp: m.Corp, Conversation: m.Conversation, MsgID: bounded(content.Revokes), By: bounded(content.Fields.From), At: m.Time, Seq: m.Seq,
		})
	}
	if content.Consent != nil {
		p.consent(m, content.Fields, *content.Consent)
	}
	p.countMessage(content)
	if len(parties) == 0 {
		parties = []string{""}
	}
	for _, party := range parties {
		p.active(archive.Activity{Corp: m.Corp, Party: party, Day: archive.DayOf(m.Time), Conversation: m.Conversation})
	}
}

// messageOf says where the message belongs: its conversation, time and msgid.
// parties are the bounded ids of its parties.
func (p *pageDecode) messageOf(rec archive.Record, fields message.Fields, parties []string) archive.Message {
	m := archive.Message{
		Corp:       p.row.Corp,
		MsgID:      rec.MsgID,
		Seq:        rec.Seq,
		After:      p.row.After,
		KeyVersion: rec.KeyVersion,
		Time:       sentAt(fields.Time, p.row.At),
	}
	if m.MsgID == "" {
		m.MsgID = fields.MsgID
	}
	m.MsgID = bounded(m.MsgID)
	m.Conversation = archive.PartyConversation(parties)
	if fields.RoomID != "" {
		m.Conversation = archive.RoomConversation(bounded(fields.RoomID))
	}
	return m
}

// active adds an activity once. The messages of a large room repeat each
// member's activity a thousand times in a page.
func (p *pageDecode) active(a archive.Activity) {
	if !p.activity[a] {
		p.activity[a] = true
		p.decoded.Activities = append(p.decoded.Activities, a)
	}
}

// bounded returns id in a form that fits into keys and items. An id that is far
// longer than any of WeCom's becomes its beginning and a digest. Without this
// one malformed message would make its whole page impossible to store.
func bounded(id string) string {
	const longest = 4 << 10 // bytes
	if len(id) <= longest {
		return id
	}
	return strings.ToValidUTF8(id[:longest], "") + "~" + archive.Digest([]byte(id))
}

// sentAt converts a message's time in milliseconds. For a time that is absent
// or outside the calendar it returns the given time of the pull.
func sentAt(ms int64, pulled time.Time) time.Time {
	// The first millisecond of the year 10000 in Beijing. Later days would have
	// five-digit years, and days are compared as texts.
	const year10000 = 253402272000000
	if ms <= 0 || ms >= year10000 {
		return pulled.UTC()
	}
	return time.UnixMilli(ms).UTC()
}
