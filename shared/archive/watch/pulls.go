package watch

import (
	"context"
	"errors"
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
	// caughtUpFresh is how old the state of a corp may be that pull serves at each tick:
	// a quiet corp's state is saved every five minutes.
	caughtUpFresh = 6*time.Minute + 30*time.Second
)

// Pulls takes requests to pull. Durable on return. [archive.WantedPulls] implements it.
type Pulls interface {
	archive.PullQueue
	// SendUnmarked puts requests into the queue that have no mark. It writes nothing
	// else, so nothing but the caller keeps such requests few.
	SendUnmarked(ctx context.Context, reqs ...archive.PullRequest) error
}

// requestPulls requests a pull of each corp that is due: at every tick, or only
// at every [announcedTicks]-th tick if callbacks announce the corp's messages. If
// dispatch crashes before a request, the next tick makes it, a minute later.
//
// A mark costs two write units for each pull, so a request has one only if pull may be
// behind: if the queue holds as many requests as this tick adds, or the corp's state does
// not say that a pull ended lately. When pull stops, the queue therefore gains one request
// of a corp without a mark, and then those of its marks.
func (t *tick) requestPulls(ctx context.Context) error {
	refused := t.callbacksRefused()
	var due []archive.Corp
	for _, c := range t.corps {
		if !c.Enabled || !t.states[c.ID].Due(c, t.now) || !c.HeldByOpen(t.now).IsZero() {
			continue
		}
		if !refused && t.announced(c) && !t.hasTurn(c.ID, announcedTicks) {
			continue
		}
		due = append(due, c)
	}
	waiting, err := t.PullDepth.Depth(ctx)
	if err != nil {
		err = fmt.Errorf("read depth of the pull queue: %w", err)
	}
	short := err == nil && waiting < len(due)
	var marked, unmarked []archive.PullRequest
	for _, c := range due {
		req := archive.PullRequest{Corp: c.ID, Why: archive.Timer}
		if short && t.now.Sub(t.states[c.ID].LastEmptyAt) < caughtUpFresh {
			unmarked = append(unmarked, req)
		} else {
			marked = append(marked, req)
		}
	}
	if sendErr := errors.Join(t.Pulls.SendUnmarked(ctx, unmarked...), t.Pulls.RequestPulls(ctx, marked...)); sendErr != nil {
		return errors.Join(err, fmt.Errorf("request %d pulls: %w", len(due), sendErr))
	}
	t.Log.InfoContext(ctx, "tick", "corps", len(t.corps), "pulls", len(due), "marked", len(marked), "callbacks_refused", refused)
	return err
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
