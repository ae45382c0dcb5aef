package watch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

const (
	fileOverdue = time.Minute // a file is requested again when it has been due for longer
	mediaBound  = 500         // requests in the media queue; above it none is added
)

// requestFiles requests the lanes with files that are due: their request was
// lost, or they must be tried again. It also measures how long WeCom still keeps
// the waiting files. A lane that is being fetched may be requested too; that
// costs one look at the table. A crash before the requests delays them by a
// tick.
func (t *tick) requestFiles(ctx context.Context) error {
	depth, depthErr := t.MediaDepth.Depth(ctx)
	if depthErr != nil {
		depthErr = fmt.Errorf("read depth of the media queue: %w", depthErr)
	} else if depth > mediaBound {
		t.Log.InfoContext(ctx, "media queue long, no files requested", "depth", depth)
	}
	left := make([]time.Duration, len(t.corps))
	err := t.eachCorp(func(i int, c archive.Corp) error {
		lanes, next, err := t.Files.Waiting(ctx, c.ID, t.now.Add(-fileOverdue), t.now)
		if err != nil {
			return fmt.Errorf("list waiting files of %s: %w", c.ID, err)
		}
		left[i] = t.filesLeft(c, next)
		if left[i] < lateBelow {
			t.Log.WarnContext(ctx, "waiting files deleted by WeCom soon", "corp", c.ID, "hours_left", math.Round(left[i].Hours()))
		}
		if depthErr != nil || depth > mediaBound {
			return nil
		}
		// While fetching is blocked, only files past their deadline can be settled.
		if media.FetchBlockedBy(c, t.states[c.ID]) != "" && !t.slowTurn(c.ID) {
			return nil
		}
		if err := t.Media.RequestMedia(ctx, media.Requests(c.ID, lanes)...); err != nil {
			return fmt.Errorf("request files of %s: %w", c.ID, err)
		}
		return nil
	})
	if err == nil {
		t.fleet.FilesLeft = slices.Min(append(left, archive.Retention))
	}
	return errors.Join(depthErr, err)
}

// filesLeft is the time until the corp's next deadline of a waiting file.
func (t *tick) filesLeft(c archive.Corp, next time.Time) time.Duration {
	if !c.Enabled || next.IsZero() {
		return archive.Retention
	}
	return min(next.Sub(t.now), archive.Retention)
}
