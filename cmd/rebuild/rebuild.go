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

// watchEvery is how often the job's progress is looked at.
const watchEvery = 5 * time.Second

// reportEvery is after how many removed items there is a line.
const reportEvery = 10_000

type ledger interface {
	Head(ctx context.Context, corp string) (archive.Head, error)
	Replay(ctx context.Context, corp, id string) (decode.Replay, error)
}

type view interface {
	// Clear removes everything of the corp, and calls removed with the number of
	// items after every part of it.
	Clear(ctx context.Context, corp string, removed func(items int)) error
}

// rebuilder does one job.
type rebuilder struct {
	corp   string
	ledger ledger
	view   view
	jobs   decode.ReplayStarter
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error
	out    io.Writer // what a person waits for
}

// rebuild removes the view and lets all pages be decoded again, in this order:
// the job must not have passed a page of which something is removed after.
func (r rebuilder) rebuild(ctx context.Context) error {
	head, err := r.ledger.Head(ctx, r.corp)
	if err != nil {
		return err
	}
	if head.Rows == 0 {
		return fmt.Errorf("%s has no pages here: is it the right company and environment?", r.corp)
	}
	r.say("%s has %d pages and gaps, up to seq %d. Removing its view; chats are incomplete until the job below is done", r.corp, head.Rows, head.Last)
	n, said := 0, 0
	err = r.view.Clear(ctx, r.corp, func(items int) {
		if n += items; n-said >= reportEvery {
			said = n
			r.say("%d items removed", n)
		}
	})
	if err != nil {
		return fmt.Errorf("%w\nafter %d items; the view is incomplete: run this again", err, n)
	}
	r.say("removed: %d items", n)

	now := r.now().UTC()
	job := decode.Replay{
		Corp: r.corp, ID: now.Format("20060102T150405.000Z") + "-" + rand.Text(), CreatedAt: now, UpdatedAt: now, By: "rebuild of the view",
	}
	if err := r.jobs.StartReplay(ctx, job); err != nil {
		return fmt.Errorf("%w\nthe view is empty: run this again", err)
	}
	r.say("job %s decodes all pages again; it goes on if you stop watching (GET /v1/corps/%s/replays/%s)", job.ID, r.corp, job.ID)
	return r.watch(ctx, job)
}

// watch prints the job's progress until it is done or nobody wants to know.
func (r rebuilder) watch(ctx context.Context, job decode.Replay) error {
	for pages := -1; ; {
		now, err := r.ledger.Replay(ctx, r.corp, job.ID)
		switch {
		case errors.Is(err, context.Canceled):
			return nil
		case err != nil:
			return fmt.Errorf("%w\nthe job goes on by itself", err)
		case now.Done:
			r.say("done: %d pages decoded, up to seq %d. Prove it: POST /v1/corps/%s/replays with {\"verify\": true}", now.Pages, now.To, r.corp)
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
