package proof

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

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
	Nano int64  `json:"t"`
	Sum  string `json:"s"`
}

func (e eventAt) compare(o eventAt) int {
	return cmp.Or(cmp.Compare(e.Nano, o.Nano), cmp.Compare(e.Sum, o.Sum))
}

func placeOf(e archive.Event) eventAt {
	sum := sha256.Sum256(append([]byte(e.Type+"\n"), e.Body...))
	return eventAt{Nano: e.At().UnixNano(), Sum: hex.EncodeToString(sum[:8])}
}

// ListEvents lists the callback events of a day.
func (h *Handlers) ListEvents(ctx context.Context, c *session.Call) (output.Answer, error) {
	var at eventAt
	more := c.Page(&at)
	day, limit := c.Day("day", archive.DayOf(h.Now())), c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	events, err := h.Events.Events(ctx, c.CorpID, day)
	if err != nil {
		return output.Answer{}, err
	}
	count, err := h.Events.EventCount(ctx, c.CorpID, day)
	if err != nil {
		return output.Answer{}, err
	}
	slices.SortFunc(events, func(x, y archive.Event) int { return placeOf(x).compare(placeOf(y)) })
	if more {
		events = slices.DeleteFunc(events, func(e archive.Event) bool { return placeOf(e).compare(at) <= 0 })
	}
	out := struct {
		Events  []eventJSON `json:"events"`
		Dropped int         `json:"dropped"`
		Next    *string     `json:"next"`
	}{Events: []eventJSON{}, Dropped: count.Dropped}
	size := 0
	for i, e := range events {
		// base64 and escaping at most double an event; 512 covers names and times.
		size += 2*e.Size() + 512
		if i == limit || i > 0 && size > output.PageBytes {
			if out.Next, err = c.SealPage(placeOf(events[i-1])); err != nil {
				return output.Answer{}, err
			}
			break
		}
		out.Events = append(out.Events, showEvent(e))
	}
	return output.JSON(200, out)
}
