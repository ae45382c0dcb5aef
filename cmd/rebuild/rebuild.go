package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// watchEvery is the time between two looks at the job's progress.
const watchEvery = 5 * time.Second

// reportEvery is the number of removed items between two lines of output.
const reportEvery = 10_000

type ledger interface {
	Head(ctx context.Context, corp string) (archive.Head, error)
	Replay(ctx context.Context, corp, id string) (decode.Replay, error)
	Running(ctx context.Context, corp string, verify bool) (decode.Running, error)
}

type view interface {
	// Clear removes all items of the corp. It calls removed after each part,
	// with the number of items in that part. After an error part of the view is
	// gone; Clear may be called again.
	Clear(ctx context.Context, corp string, removed func(items int)) error
}

// A rebuilder does one job.
type rebuilder struct {
	corp   string
	ledger ledger
	view   view
	jobs   decode.ReplayStarter
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error
	out    io.Writer // lines for the operator
}

// rebuild removes the view and then starts the job. The order matters: items
// that are removed after the job has decoded their page would stay missing.
func (r rebuilder) rebuild(ctx context.Context) error {
	head, err := r.ledger.Head(ctx, r.corp)
	if err != nil {
		return err
	}
	if head.Rows == 0 {
		return fmt.Errorf("%s has no pages in this stack: check -corp and -env", r.corp)
	}
	switch running, err := r.ledger.Running(ctx, r.corp, false); {
	case err == nil:
		return fmt.Errorf("job %s of %s runs: start the rebuild when it is done", running.ID, r.corp)
	case !errors.Is(err, archive.ErrNotFound):
		return err
	}
	r.say("%s has %d pages and gaps, up to seq %d. Removing its view; chats are incomplete until the job is done", r.corp, head.Rows, head.Last)
	n, said := 0, 0
	err = r.view.Clear(ctx, r.corp, func(items int) {
		if n += items; n-said >= reportEvery {
			said = n
			r.say("%d items removed", n)
		}
	})
	if err != nil {
		return fmt.Errorf("%w\n%d items removed; the view is incomplete: run rebuild again", err, n)
	}
	r.say("removed: %d items in total", n)

	now := r.now().UTC()
	job := decode.Replay{
		Corp: r.corp, ID: now.Format("20060102T150405.000Z") + "-" + rand.Text(), CreatedAt: now, UpdatedAt: now, By: "rebuild of the view",
	}
	// True here: the view is incomplete, and no job repairs it yet.
	if err := r.jobs.StartReplay(ctx, job); err != nil {
		return fmt.Errorf("%w\nthe view is empty: run rebuild again", err)
	}
	r.say("job %s decodes all pages again; it continues if you stop this command (GET /v1/corps/%s/replays/%s)", job.ID, r.corp, job.ID)
	return r.watch(ctx, job)
}

// watch prints the job's progress until the job is done or ctx ends. The job
// does not depend on it.
func (r rebuilder) watch(ctx context.Context, job decode.Replay) error {
	for pages := -1; ; {
		now, err := r.ledger.Replay(ctx, r.corp, job.ID)
		switch {
		case errors.Is(err, context.Canceled):
			return nil
		case err != nil:
			return fmt.Errorf("%w\nthe job continues", err)
		case now.Failed:
			return fmt.Errorf("job %s ended without progress at seq %d of %d; see the log of decode", job.ID, now.Next, now.To)
		case now.StoppedBy != "":
			return fmt.Errorf("job %s was stopped by %s at seq %d of %d: run rebuild again", job.ID, now.StoppedBy, now.Next, now.To)
		case now.Done:
			r.say("done: %d pages decoded, up to seq %d. To verify: POST /v1/corps/%s/replays with {\"verify\": true}", now.Pages, now.To, r.corp)
			return nil
		case now.Pages != pages && now.To > 0:
			pages = now.Pages
			r.say("%d pages decoded, at seq %d of %d", now.Pages, now.Next, now.To)
		}
		if r.sleep(ctx, watchEvery) != nil {
			return nil
		}
	}
}

func (r rebuilder) say(format string, args ...any) { _, _ = fmt.Fprintf(r.out, format+"\n", args...) }
