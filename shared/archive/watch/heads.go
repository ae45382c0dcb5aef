package watch

import (
	"context"
	"fmt"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// headTicks is the number of ticks between two tries to write a corp's daily
// head. Each corp has a turn of its own, so that the work is spread evenly.
const headTicks = 60

// keepHeads writes the heads of the day. Only the first head of a day stays, so the
// bucket itself shows which heads are written. No other function can make dispatch
// leave out a head: pull, which moves the heads in the ledger, cannot write to this
// folder of the bucket. A crash delays heads by an hour.
func (t *tick) keepHeads(ctx context.Context) error {
	var corps []string
	for _, c := range t.corps {
		if t.hasTurn(c.ID, headTicks) {
			corps = append(corps, c.ID)
		}
	}
	if len(corps) == 0 {
		return nil
	}
	heads, err := t.Ledger.Heads(ctx, corps)
	if err != nil {
		return fmt.Errorf("read heads: %w", err)
	}
	day := archive.DayOf(t.now)
	return t.eachCorp(ctx, func(_ int, c archive.Corp) error {
		head, due := heads[c.ID]
		if !due {
			return nil
		}
		if err := t.Heads.PutHead(ctx, day, head); err != nil {
			return fmt.Errorf("write head of %s: %w", c.ID, err)
		}
		return nil
	})
}
