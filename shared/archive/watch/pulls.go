package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

const (
	// announcedTicks is the number of ticks between two pulls of a corp whose callbacks
	// announce its messages. Every other corp is pulled at each tick.
	announcedTicks = 5
	// For callbackFresh after a callback, the corp's callbacks count as working,
	// and the timer is only a safeguard.
	callbackFresh = 15 * time.Minute
	// If callbacks did not announce messages for one in refusedShare corps, no corp's
	// callbacks count as working.
	refusedShare = 10
	// A callback may come some seconds after its message. The tick after the pull
	// that found the message decides.
	callbackLate = 30 * time.Second
)

// requestPulls requests a pull of each corp that is due: at every tick, or only
// at every [announcedTicks]-th tick if callbacks announce the corp's messages. If
// dispatch crashes before a request, the next tick makes it, a minute later.
func (t *tick) requestPulls(ctx context.Context) error {
	refused := t.callbacksRefused()
	var reqs []archive.PullRequest
	for _, c := range t.corps {
		if !c.Enabled || !t.states[c.ID].Due(c, t.now) || !c.HeldByOpen(t.now).IsZero() {
			continue
		}
		if !refused && t.announced(c) && !t.hasTurn(c.ID, announcedTicks) {
			continue
		}
		reqs = append(reqs, archive.PullRequest{Corp: c.ID, Why: archive.Timer})
	}
	if err := t.Pulls.RequestPulls(ctx, reqs...); err != nil {
		return fmt.Errorf("request %d pulls: %w", len(reqs), err)
	}
	t.Log.InfoContext(ctx, "tick", "corps", len(t.corps), "pulls", len(reqs), "callbacks_refused", refused)
	return nil
}

// announced reports whether the corp's callbacks announce its messages. A callback
// may have come within CallbackTouch after the one that is noted.
func (t *tick) announced(c archive.Corp) bool {
	found := t.states[c.ID].UnannouncedAt
	missed := found.After(c.CallbackAt.Add(archive.CallbackTouch)) && t.now.Sub(found) >= callbackLate
	return !missed && t.now.Sub(c.CallbackAt) < callbackFresh
}

// callbacksRefused reports whether callbacks are refused before they reach us:
// by the throttle of API Gateway, which informs no function. The sign of this
// is that the timer finds messages of several corps that no callback announced.
// Every corp is then pulled at every tick, because it is unknown whose callback
// is refused next.
func (t *tick) callbacksRefused() bool {
	fresh, missed := 0, 0
	for _, c := range t.corps {
		if t.now.Sub(c.CallbackAt) >= callbackFresh {
			continue
		}
		fresh++
		if !t.announced(c) {
			missed++
		}
	}
	return missed > 0 && missed*refusedShare >= fresh
}
