package proof

import (
	"context"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

type setAsideJSON struct {
	Seq     string         `json:"seq"`
	After   string         `json:"after"`
	MsgID   string         `json:"msgid"`
	Version uint32         `json:"publickey_ver"`
	Reason  archive.Reason `json:"reason"`
	Detail  string         `json:"detail"`
	At      string         `json:"at"`
}

// ListSetAside lists the records set aside.
func (h *Handlers) ListSetAside(ctx context.Context, c *session.Call) (output.Answer, error) {
	var after uint64
	c.Page(&after)
	limit := c.Limit()
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	list, more, err := h.Messages.ListSetAside(ctx, c.CorpID, after, limit)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		List []setAsideJSON `json:"set_aside"`
		Next *string        `json:"next"`
	}{List: []setAsideJSON{}}
	for _, u := range list {
		out.List = append(out.List, setAsideJSON{
			Seq: output.Decimal(u.Seq), After: output.Decimal(u.After), MsgID: u.MsgID, Version: u.KeyVersion, Reason: u.Reason, Detail: u.Detail, At: output.Moment(u.At),
		})
		after = u.Seq
	}
	if more {
		if out.Next, err = c.SealPage(after); err != nil {
			return output.Answer{}, err
		}
	}
	return output.JSON(200, out)
}
