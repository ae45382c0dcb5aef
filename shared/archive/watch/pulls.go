package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// For callbackFresh after a callback, the corp's callbacks count as working,
// and the timer is only a safeguard.
const callbackFresh = 15 * time.Minute

// requestPulls requests a pull of each corp that is due: at every tick, or one
// tick in [slowTicks] where callbacks arrive. If dispatch crashes before the
// request, the next tick makes it, a minute later.
func (t *tick) requestPulls(ctx context.Context) error {
	var reqs []archive.PullRequest
	for _, c := range t.corps {
		if !c.Enabled || !t.states[c.ID].Due(c.SecretSetAt, t.now) {
			continue
		}
		if t.now.Sub(c.CallbackAt) < callbackFresh && !t.slowTurn(c.ID) {
			continue
		}
		reqs = append(reqs, archive.PullRequest{Corp: c.ID, Why: "timer"})
	}
	if err := t.Pulls.RequestPulls(ctx, reqs...); err != nil {
		return fmt.Errorf("request %d pulls: %w", len(reqs), err)
	}
	t.Log.InfoContext(ctx, "tick", "corps", len(t.corps), "pulls", len(reqs))
	return nil
}
