package decode

import (
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
)

// consent adds an external contact's answer to having chats archived. The
// answer is about a room, or about the one member that the message was sent to.
// Where the message has no room and not exactly one member, the answer is
// dropped, because it cannot be said whose chats it is about. The message itself
// is stored in every case.
func (p *pageDecode) consent(m archive.Message, fields message.Fields, answer message.Consent) {
	c := archive.Consent{
		Corp: m.Corp, Contact: bounded(answer.UserID), Room: bounded(fields.RoomID), Status: archive.Disagreed, Source: archive.ConsentMessage,
		ChangedAt: sentAt(answer.At, m.Time).Truncate(time.Second), At: p.row.At,
	}
	if answer.Agreed {
		c.Status = archive.Agreed
	}
	if c.Room == "" {
		others := slices.DeleteFunc(archive.Distinct(fields.Parties()), func(id string) bool { return id == answer.UserID })
		if len(others) != 1 {
			return
		}
		c.Member = bounded(others[0])
	}
	if c.Contact != "" {
		p.consents = append(p.consents, c)
	}
}
