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
	// markedTicks is the number of ticks between two marked requests of a corp that pull
	// keeps up with.
	markedTicks = 60
	// depthTime is how long the depth of the queue of pulls may take. Without a depth,
	// each request has a mark.
	depthTime = time.Second
)

// Pulls takes requests to pull. Durable on return. [archive.WantedPulls] implements it.
type Pulls interface {
	archive.PullQueue
	// SendUnmarked puts requests into the queue that have no mark. Only the caller keeps
	// such requests few.
	SendUnmarked(ctx context.Context, reqs ...archive.PullRequest) error
}

// requestPulls requests a pull of each corp that is due: at every tick, or only
// at every [announcedTicks]-th tick if callbacks announce the corp's messages. If
// dispatch crashes before a request, the next tick makes it, a minute later.
//
// A mark costs two write units for each pull. The timer's requests therefore have marks
// only if pull may be behind: if the queue holds as many requests as this tick adds, or
// the corp's state does not say that a pull ended lately. So when pull stops, the queue
// gains one request of a corp, or two, before the marks keep it short. While one pull of a
// corp runs for long, the queue gains seven. Each corp has a marked request once an hour,
// which takes the wishes of a mark whose request was lost.
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
	short, depthErr := t.pullQueueShort(ctx, len(due))
	var marked, unmarked []archive.PullRequest
	for _, c := range due {
		req := archive.PullRequest{Corp: c.ID, Why: archive.Timer}
		if short && t.keptUp(c.ID) {
			unmarked = append(unmarked, req)
		} else {
			marked = append(marked, req)
		}
	}
	err := errors.Join(t.Pulls.SendUnmarked(ctx, unmarked...), t.Pulls.RequestPulls(ctx, marked...))
	if err != nil {
		err = fmt.Errorf("request %d pulls: %w", len(due), err)
	} else {
		t.Log.InfoContext(ctx, "tick", "corps", len(t.corps), "pulls", len(due), "marked", len(marked), "callbacks_refused", refused)
	}
	return errors.Join(depthErr, err)
}

// pullQueueShort reports whether fewer requests wait for a pull than are added. It returns
// false after an error, such as the end of depthTime.
func (t *tick) pullQueueShort(ctx context.Context, added int) (short bool, err error) {
	if added == 0 {
		return false, nil
	}
	var waiting int
	err = within(ctx, depthTime, func(ctx context.Context) (err error) {
		waiting, err = t.PullDepth.Depth(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("read depth of the pull queue: %w", err)
	}
	return waiting < added, nil
}

// keptUp reports whether pull has kept up with the corp lately.
func (t *tick) keptUp(corp string) bool {
	return t.now.Sub(t.states[corp].LastEmptyAt) < caughtUpFresh && !t.hasTurn(corp, markedTicks)
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
