package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// callbackFresh is how long a callback proves that callbacks arrive. Such a corp
// needs the timer only as a safeguard.
const callbackFresh = 15 * time.Minute

// requestPulls requests a pull of each corp that is due: at every tick, or one
// tick in [slowTicks] where callbacks arrive. A crash before the request costs a
// minute: the next tick makes it.
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
