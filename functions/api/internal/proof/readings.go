package proof

import (
	"context"

	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

type readingJSON struct {
	At           string  `json:"at"`
	By           string  `json:"by"`
	Role         string  `json:"role"`
	Conversation *string `json:"conversation"`
	Party        *string `json:"party"`
}

// ListReadings lists which user read which chat on a day.
func (h *Handlers) ListReadings(ctx context.Context, c *session.Call) (output.Answer, error) {
	var cursor string
	c.Page(&cursor)
	day, limit := c.Day("day", archive.DayOf(h.Now())), c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	readings, next, err := h.Readings.Readings(ctx, c.CorpID, day, cursor, limit)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Readings []readingJSON `json:"readings"`
		Next     *string       `json:"next"`
	}{Readings: []readingJSON{}}
	for _, r := range readings {
		j := readingJSON{At: output.Moment(r.At), By: r.By, Role: r.Role}
		if r.Conversation == "" {
			j.Party = &r.Party
		} else if j.Conversation, err = sealConversation(c.CorpID, r.Conversation); err != nil {
			return output.Answer{}, err
		}
		out.Readings = append(out.Readings, j)
	}
	if next != "" {
		if out.Next, err = c.SealPage(next); err != nil {
			return output.Answer{}, err
		}
	}
	return output.JSON(200, out)
}

// sealConversation is the id of a conversation in the API.
func sealConversation(corp string, conv archive.ConversationID) (*string, error) {
	id, err := opaque.Conversation(corp).Seal(conv)
	return &id, err
}
