package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// The times and bounds of requesting pages and jobs again.
const (
	overdueAfter = 15 * time.Minute // a page or job is overdue when its last request is older
	stuckAfter   = 5                // a page is stuck if so many requests did not decode it
	stuckPause   = time.Hour        // between two requests for a stuck page
	decodeBound  = 50               // with more requests in the decode queue, none is added
	againOfCorp  = 20               // pages requested again per tick, of one corp
	againOfAll   = 200              // pages requested again per tick, of all corps
	jobsPerTick  = 20               // jobs requested again per tick, of all corps
	sendTime     = time.Second      // to send noted requests when the time of the step is over
	jobTries     = 20               // a job ends without a result after so many requests without progress
)

// decodesWait reports whether the decode queue is long. Then nothing is requested
// again: the requests that seem lost most likely wait in the queue.
func (t *tick) decodesWait(ctx context.Context) (bool, error) {
	depth, err := t.DecodeDepth.Depth(ctx)
	if err != nil {
		return true, fmt.Errorf("read depth of the decode queue: %w", err)
	}
	if depth > decodeBound {
		t.Log.InfoContext(ctx, "decode queue long, nothing requested again", "depth", depth)
	}
	return depth > decodeBound, nil
}

// requestDecodes requests the overdue pages again, because their requests may be
// lost. A page that waits for its turn in its lane is requested by the decoder.
func (t *tick) requestDecodes(ctx context.Context) error {
	if wait, err := t.decodesWait(ctx); wait || err != nil {
		return err
	}
	left := againOfAll
	var errs []error
	for i := range t.corps {
		i = t.turn(i)
		if left == 0 || ctx.Err() != nil {
			break
		}
		reqs, err := t.noteOverduePages(ctx, t.corps[i].ID, t.seen[i].overdue, min(left, againOfCorp))
		errs = append(errs, err)
		left -= len(reqs)
		// A crash before this line loses the noted requests. A later tick makes them:
		// in 15 minutes or, for a stuck page, in an hour.
		if err := t.sendDecodes(ctx, reqs); err != nil {
			errs = append(errs, fmt.Errorf("request decoding for %s: %w", t.corps[i].ID, err))
		}
	}
	return errors.Join(errs...)
}

// sendDecodes sends requests that are noted. If the step's time has ended, they
// still have sendTime: a request that is noted and not sent is lost until it is
// overdue again.
func (t *tick) sendDecodes(ctx context.Context, reqs []archive.DecodeRequest) error {
	if len(reqs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTime)
	defer cancel()
	return t.Decodes.RequestDecodes(ctx, reqs...)
}

// noteOverduePages notes on the ledger which overdue pages are requested again, and
// returns the requests. It notes no more pages than the limit most. The note comes
// before the request: in the reverse order a crash between the two could request
// one page twice.
func (t *tick) noteOverduePages(ctx context.Context, corp string, pages []archive.Pending, most int) ([]archive.DecodeRequest, error) {
	var reqs []archive.DecodeRequest
	for _, p := range pages {
		if p.Stuck && t.now.Sub(p.RequestedAt) < stuckPause {
			continue
		}
		if len(reqs) == most {
			break
		}
		stuck := p.Tries >= stuckAfter
		err := t.Ledger.NoteRequest(ctx, p, t.now, stuck)
		if errors.Is(err, archive.ErrConflict) {
			continue // decoded, or requested by another tick
		}
		if err != nil {
			return reqs, fmt.Errorf("note request of page after %d of %s: %w", p.After, corp, err)
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

// requestJobs requests again each running job whose request may be lost: a job
// that makes progress renews its request. The note comes first, as for pages. A job
// whose runs make no progress is ended: it would block every other replay of its
// corp. The last request then only removes the entry of the ended job.
func (t *tick) requestJobs(ctx context.Context) error {
	if wait, err := t.decodesWait(ctx); wait || err != nil {
		return err
	}
	jobs, err := t.Ledger.AllRunning(ctx)
	if err != nil {
		return fmt.Errorf("list running jobs: %w", err)
	}
	var reqs []archive.DecodeRequest
	var errs []error
	for _, job := range jobs {
		if t.now.Sub(job.RequestedAt) < overdueAfter {
			continue
		}
		if len(reqs) == jobsPerTick {
			break
		}
		next := job
		next.RequestedAt, next.Tries, next.TookOver = t.now, job.Tries+1, false
		if next.Tries > jobTries {
			err := t.endIdleJob(ctx, job)
			if err != nil {
				errs = append(errs, fmt.Errorf("end job %s of %s: %w", job.ID, job.Corp, err))
				continue
			}
		}
		// A crash here leaves an ended job, which the next tick requests.
		err := t.Ledger.ReplaceRunning(ctx, job, next)
		if errors.Is(err, archive.ErrConflict) {
			continue // the job ended, or a run has renewed its request
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("note request of job %s of %s: %w", job.ID, job.Corp, err))
			break
		}
		reqs = append(reqs, next.Request())
	}
	// A crash here loses the requests that are noted, for 15 minutes.
	if err := t.sendDecodes(ctx, reqs); err != nil {
		errs = append(errs, fmt.Errorf("request %d jobs: %w", len(reqs), err))
	}
	return errors.Join(errs...)
}

// endIdleJob marks a job as failed if it has made no progress in the time of
// jobTries requests, which is jobTries times overdueAfter. A job that a run changes
// at the same time goes on.
func (t *tick) endIdleJob(ctx context.Context, running decode.Running) error {
	job, err := t.Ledger.Replay(ctx, running.Corp, running.ID)
	if errors.Is(err, archive.ErrNotFound) {
		return nil // its run removes the entry
	}
	if err != nil || job.Done || t.now.Sub(job.UpdatedAt) < jobTries*overdueAfter {
		return err
	}
	failed := job
	failed.Done, failed.Failed, failed.UpdatedAt = true, true, t.now
	err = t.Ledger.AdvanceReplay(ctx, job, failed)
	if errors.Is(err, archive.ErrConflict) {
		return nil
	}
	if err != nil {
		return err
	}
	t.Log.ErrorContext(ctx, "job without progress ended", "corp", job.Corp, "replay", job.ID, "next", job.Next, "tries", running.Tries)
	return nil
}
