package watch

import (
	"context"
	"errors"
	"fmt"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// recordLosses implements law 9: if 120 hours pass without an empty page, WeCom
// may have deleted messages that were not pulled. Storing the same loss again
// changes nothing. A crash before a loss is stored delays it by a tick.
func (t *tick) recordLosses(ctx context.Context) error {
	var errs []error
	for _, c := range t.corps {
		state := t.states[c.ID]
		if !c.Enabled || archive.HoursLeft(c, state, t.now) > 0 {
			continue
		}
		if ctx.Err() != nil {
			return errors.Join(append(errs, ctx.Err())...)
		}
		loss := archive.LossOf(c, state)
		t.Log.ErrorContext(ctx, "messages may have been lost", "corp", c.ID, "since", loss.Since)
		if err := t.Ledger.RecordLoss(ctx, loss); err != nil {
			errs = append(errs, fmt.Errorf("record loss of %s: %w", c.ID, err))
		}
	}
	return errors.Join(errs...)
}
