package chats

import (
	"context"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// revokedWithin is how far before its revocation a message is looked for. WeCom lets
// people revoke a message for some minutes.
const revokedWithin = time.Hour

type revocationJSON struct {
	By           string `json:"by"`
	At           string `json:"at"`
	AfterSeconds int64  `json:"after_seconds"`
}

// showRevocation returns the revocation of a message, or nil without one. If
// the clocks disagree, the time between sending and revocation is 0.
func showRevocation(m archive.Message, all map[string]archive.Revocation) *revocationJSON {
	r, revoked := all[m.MsgID]
	if !revoked {
		return nil
	}
	return &revocationJSON{By: r.By, At: output.Moment(r.At), AfterSeconds: max(int64(r.At.Sub(m.Time)/time.Second), 0)}
}

// revocations returns, by msgid, the revocations in one conversation that the
// caller may see.
func (h *Handlers) revocations(ctx context.Context, c *session.Call, conv archive.ConversationID, list []archive.Message) (map[string]archive.Revocation, error) {
	ids := make([]string, len(list))
	for i, m := range list {
		ids[i] = m.MsgID
	}
	revoked, err := h.Messages.Revocations(ctx, c.CorpID, conv, ids)
	if err != nil {
		return nil, err
	}
	return revoked, h.dropUnseen(ctx, c, conv, revoked)
}

// dropUnseen removes the revocations that the caller may not see: a member may
// have left the room before another party revoked the message.
func (h *Handlers) dropUnseen(ctx context.Context, c *session.Call, conv archive.ConversationID, revoked map[string]archive.Revocation) error {
	if !c.Caller.Limited || conv.Kind() != "room" {
		return nil
	}
	for id, r := range revoked {
		seen, err := h.seesRevocation(ctx, c, r)
		if err != nil {
			return err
		}
		if !seen {
			delete(revoked, id)
		}
	}
	return nil
}

// seesRevocation reports whether the caller may see the revoking message.
func (h *Handlers) seesRevocation(ctx context.Context, c *session.Call, r archive.Revocation) (bool, error) {
	q := archive.MessageQuery{From: r.At, To: r.At.Add(time.Millisecond), Limit: readMost}
	list, _, err := h.Messages.Messages(ctx, c.CorpID, r.Conversation, q)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(list, func(m archive.Message) bool { return m.Seq == r.Seq })
	if i < 0 {
		return false, nil
	}
	s, err := h.read(ctx, list[i], readFields)
	return err == nil && c.Caller.Sees(s.content.Fields), err
}

// revokedBy finds the id of the message that a message revokes, by its msgid: nil if
// it revokes none, if the caller may not see the revoked message, or if that is too far
// back. Every message of that hour is looked at, so that the answer does not
// depend on the number of those that the caller may not see.
func (h *Handlers) revokedBy(ctx context.Context, c *session.Call, by shown) (*string, error) {
	if by.content.Revokes == "" {
		return nil, nil
	}
	wanted := archive.RevocationKey(by.content.Revokes)
	q := archive.MessageQuery{From: by.Time.Add(-revokedWithin), To: by.Time.Add(time.Millisecond), Descending: true, Limit: readFirst}
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
