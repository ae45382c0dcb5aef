package watch

import (
	"context"
	"fmt"
)

// checkTicks is the number of ticks between two checks of a corp's set-up.
const checkTicks = 24 * 60

// requestChecks requests a check of the set-up of each corp whose turn it is,
// once a day: most of what breaks in WeCom's admin console shows only when WeCom
// is asked. A corp without a secret cannot ask WeCom. After a crash the
// corp waits for its next turn.
func (t *tick) requestChecks(ctx context.Context) error {
	var corps []string
	for _, c := range t.corps {
		if t.hasTurn(c.ID, checkTicks) && c.SecretPrefix != "" {
			corps = append(corps, c.ID)
		}
	}
	if len(corps) == 0 {
		return nil
	}
	if err := t.Inspections.RequestChecks(ctx, corps...); err != nil {
		return fmt.Errorf("request checks of %d corps: %w", len(corps), err)
	}
	return nil
}
