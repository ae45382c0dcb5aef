package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// The times and bounds of requesting pages again.
const (
	overdueAfter = 15 * time.Minute // a page is overdue when its last request is older
	stuckAfter   = 5                // requests; after them the page is stuck
	stuckPause   = time.Hour        // between two requests for a stuck page
	decodeBound  = 50               // requests in the decode queue; above it the queue is a backlog
	fewOverdue   = 5                // overdue pages of a corp; above it they wait in the backlog
	pendingRead  = 10_000           // overdue pages that are read of one corp
	againOfCorp  = 20               // pages requested again per tick, of one corp
	againOfAll   = 200              // pages requested again per tick, of all corps
)

// requestDecodes requests the overdue pages and the replay jobs without progress,
// because their requests may be lost. It counts the overdue pages.
//
// While the decode queue has a backlog, a corp with many overdue pages is
// skipped: its pages most likely wait in the queue. A corp with few is still
// served: the backlog may be another corp's (law 8).
func (t *tick) requestDecodes(ctx context.Context) error {
	depth, err := t.DecodeDepth.Depth(ctx)
	if err != nil {
		return fmt.Errorf("read depth of the decode queue: %w", err)
	}
	backlog := depth > decodeBound
	if backlog {
		t.Log.InfoContext(ctx, "decode queue long, corps with many overdue pages skipped", "depth", depth)
	}
	var budget, overdue, stuck atomic.Int64
	budget.Store(againOfAll)
	err = t.eachCorp(func(_ int, c archive.Corp) error {
		pages, err := t.Ledger.PendingBefore(ctx, c.ID, t.now.Add(-overdueAfter), pendingRead)
		if err != nil {
			return fmt.Errorf("list pending pages of %s: %w", c.ID, err)
		}
		overdue.Add(int64(len(pages)))
		for _, p := range pages {
			if p.Stuck {
				stuck.Add(1)
			}
		}
		if backlog && len(pages) > fewOverdue {
			return nil
		}
		return t.requestCorpDecodes(ctx, c.ID, pages, &budget)
	})
	if err == nil {
		t.fleet.Overdue, t.fleet.Stuck = int(overdue.Load()), int(stuck.Load())
	}
	return err
}

// requestCorpDecodes requests one corp's overdue pages and replay jobs.
func (t *tick) requestCorpDecodes(ctx context.Context, corp string, pages []archive.Pending, budget *atomic.Int64) error {
	reqs, err := t.noteOverduePages(ctx, corp, pages, budget)
	if err != nil {
		return err
	}
	jobs, err := t.noteIdleJobs(ctx, corp)
	if err != nil {
		return err
	}
	// A crash before this line loses the requests that are noted. A later tick
	// makes them, 15 minutes after now or, for a stuck page, an hour.
	if err := t.Decodes.RequestDecodes(ctx, append(reqs, jobs...)...); err != nil {
		return fmt.Errorf("request decoding for %s: %w", corp, err)
	}
	return nil
}

// noteOverduePages notes on the ledger which overdue pages are requested again,
// and returns the requests. The note comes before the request: in the other
// order a crash between them could request one page twice.
func (t *tick) noteOverduePages(ctx context.Context, corp string, pages []archive.Pending, budget *atomic.Int64) ([]archive.DecodeRequest, error) {
	var reqs []archive.DecodeRequest
	for _, p := range pages {
		if p.Stuck && t.now.Sub(p.RequestedAt) < stuckPause {
			continue
		}
		if len(reqs) == againOfCorp || budget.Add(-1) < 0 {
			break
		}
		stuck := p.Tries >= stuckAfter
		err := t.Ledger.Rerequested(ctx, p, t.now, stuck)
		if errors.Is(err, archive.ErrConflict) {
			continue // decoded, or requested by another tick
		}
		if err != nil {
			return nil, fmt.Errorf("note request of page after %d of %s: %w", p.After, corp, err)
		}
		level := slog.LevelWarn
		if stuck {
			level = slog.LevelError
		}
		t.Log.Log(ctx, level, "page not decoded, requested again", "corp", corp, "after", p.After, "tries", p.Tries+1, "stuck", stuck)
		reqs = append(reqs, archive.DecodeRequest{Corp: corp, After: p.After})
	}
	return reqs, nil
}

// noteIdleJobs notes on the ledger which replay jobs without progress are
// requested again, and returns the requests. The note comes first, as for pages.
func (t *tick) noteIdleJobs(ctx context.Context, corp string) ([]archive.DecodeRequest, error) {
	jobs, err := t.Ledger.UnfinishedReplays(ctx, corp, t.now.Add(-overdueAfter))
	if err != nil {
		return nil, fmt.Errorf("list replays of %s: %w", corp, err)
	}
	var reqs []archive.DecodeRequest
	for _, job := range jobs {
		next := job
		next.UpdatedAt = t.now
		err := t.Ledger.AdvanceReplay(ctx, job, next)
		if errors.Is(err, archive.ErrConflict) {
			continue // a run has advanced it
		}
		if err != nil {
			return nil, fmt.Errorf("note request of job %s of %s: %w", job.ID, corp, err)
		}
		reqs = append(reqs, archive.DecodeRequest{Corp: corp, Replay: job.ID})
	}
	return reqs, nil
}
