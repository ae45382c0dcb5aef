package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive/media"
)

const (
	fileOverdue  = time.Minute // a file is requested again when it has been due for longer
	mediaBound   = 500         // with more requests in the media queue, none is added
	lanesPerTick = 400         // lanes requested again per tick, of all corps
	blockedTicks = 5           // between two requests of a corp while fetching is blocked
)

// requestFiles requests the lanes with files that are due: their request was
// lost, or they must be tried again. It may also request a lane that is being
// fetched; that costs one read of the table. A crash before the requests delays
// them by a tick.
func (t *tick) requestFiles(ctx context.Context) error {
	depth, err := t.MediaDepth.Depth(ctx)
	if err != nil {
		return fmt.Errorf("read depth of the media queue: %w", err)
	}
	if depth > mediaBound {
		t.Log.InfoContext(ctx, "media queue long, no files requested", "depth", depth)
		return nil
	}
	var reqs []media.Request
	for i := range t.corps {
		i = t.turn(i)
		c := t.corps[i]
		// While fetching is blocked, the only work is to give up files past their
		// deadline.
		if media.FetchBlockedBy(c, t.states[c.ID]) != "" && !t.hasTurn(c.ID, blockedTicks) {
			continue
		}
		reqs = append(reqs, media.Requests(c.ID, t.seen[i].lanes)...)
	}
	if err := t.Media.RequestMedia(ctx, reqs[:min(len(reqs), lanesPerTick)]...); err != nil {
		return fmt.Errorf("request files: %w", err)
	}
	return nil
}
