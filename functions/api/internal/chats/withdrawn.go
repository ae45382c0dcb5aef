package chats

import (
	"context"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// withdrawnWithin is how far before its withdrawal a message is looked for. WeCom
// lets people withdraw a message for some minutes.
const withdrawnWithin = time.Hour

// withdrawnBy finds the id of the message that a message withdraws, by its msgid:
// nil if it withdraws none, if the caller may not see the other, or if it is too
// far back. Every message of that hour is looked at, so that the answer does not
// depend on the number of those that the caller may not see.
func (h *Handlers) withdrawnBy(ctx context.Context, c *session.Call, by shown) (*string, error) {
	if by.content.Revokes == "" {
		return nil, nil
	}
	wanted := archive.RevocationKey(by.content.Revokes)
	q := archive.MessageQuery{From: by.Time.Add(-withdrawnWithin), To: by.Time.Add(time.Millisecond), Descending: true, Limit: readFirst}
	for !session.Ending(ctx) {
		list, more, err := h.Messages.Messages(ctx, c.CorpID, by.Conversation, q)
		if err != nil {
			return nil, err
		}
		for _, m := range list {
			start := m.Position()
			q.Start = &start
			if archive.RevocationKey(m.MsgID) != wanted || m.Seq == by.Seq {
				continue
			}
			s, err := h.read(ctx, m, readFields)
			if err != nil || !c.Caller.Sees(s.content.Fields) {
				return nil, err
			}
			id, err := messageID(m)
			return &id, err
		}
		if !more {
			break
		}
		q.Limit = min(4*q.Limit, readMost)
	}
	return nil, nil
}
