package chats

import (
	"context"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// MarkSeen records up to when the caller has seen a conversation, so that another
// browser of the same user knows what is new. It says nothing of the conversation,
// which need not exist.
func (h *Handlers) MarkSeen(ctx context.Context, c *session.Call) (output.Answer, error) {
	c.Required("conversation")
	c.Required("until")
	id, given := c.Text("conversation", 1, idMost)
	var conv archive.ConversationID
	if given && (opaque.Conversation(c.CorpID).Open(id, &conv) != nil || conv == "") {
		c.Reject("conversation", problem.Form, problem.RemedyOpaque, nil)
	}
	until := c.TimeMember("until")
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	if now := h.Now(); until.After(now) { // else a caller's fast clock would mark later messages as seen
		until = now
	}
	if err := h.Seen.MarkSeen(ctx, c.CorpID, c.Caller.Subject, conv, until); err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, struct {
		SeenAt string `json:"seen_at"`
	}{output.Moment(until)})
}

// noteSeen notes on entries up to when the caller has seen them.
func (h *Handlers) noteSeen(ctx context.Context, c *session.Call, list []conversationJSON, conversations []archive.ConversationID) error {
	seen, err := h.Seen.Seen(ctx, c.CorpID, c.Caller.Subject, conversations)
	for i, conv := range conversations {
		list[i].SeenAt = output.MomentOrNull(seen[conv])
	}
	return err
}
