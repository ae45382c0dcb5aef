package proof

import (
	"context"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

type eventJSON struct {
	At         string       `json:"at"`
	SentAt     *string      `json:"sent_at"`
	ArrivedAt  string       `json:"arrived_at"`
	Type       string       `json:"type"`
	ChangeType string       `json:"change_type"`
	Body       []byte       `json:"body"`
	Envelope   envelopeJSON `json:"envelope"`
}

type envelopeJSON struct {
	Signature string `json:"msg_signature"`
	Timestamp string `json:"timestamp"`
	Nonce     string `json:"nonce"`
	Encrypted string `json:"encrypt"`
}

func showEvent(e archive.Event) eventJSON {
	return eventJSON{
		At: output.Moment(e.At()), SentAt: output.MomentOrNull(e.SentAt), ArrivedAt: output.Moment(e.ArrivedAt),
		Type: e.Type, ChangeType: e.ChangeType, Body: e.Body,
		Envelope: envelopeJSON{Signature: e.Signature, Timestamp: e.Timestamp, Nonce: e.Nonce, Encrypted: e.Encrypted},
	}
}

// eventAt is a place among the events of a day. An event that arrives later with
// an earlier time does not move the place.
type eventAt struct {
	Place string `json:"p"` // of the last event that was shown
}

// ListEvents lists the callback events of a day.
func (h *Handlers) ListEvents(ctx context.Context, c *session.Call) (output.Answer, error) {
	var at eventAt
	c.Page(&at)
	day, limit := c.Day("day", archive.DayOf(h.Now())), c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	count, err := h.Events.EventCount(ctx, c.CorpID, day)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Events  []eventJSON `json:"events"`
		Dropped int         `json:"dropped"`
		Next    *string     `json:"next"`
	}{Events: []eventJSON{}, Dropped: count.Dropped}
	size, last := 0, archive.Event{}
	for e, err := range h.Events.Events(ctx, c.CorpID, day, at.Place, limit+1) {
		if err != nil {
			return output.Answer{}, err
		}
		// base64 and escaping at most double an event; 512 covers names and times.
		size += 2*e.Size() + 512
		if n := len(out.Events); n == limit || n > 0 && size > output.PageBytes {
			if out.Next, err = c.SealPage(eventAt{last.Place()}); err != nil {
				return output.Answer{}, err
			}
			break
		}
		out.Events, last = append(out.Events, showEvent(e)), e
	}
	return output.JSON(200, out)
}
