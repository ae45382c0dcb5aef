package decode

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// replayBatch is how many rows a replay reads at a time.
const replayBatch = 100

// A Replayer runs replay jobs: it decodes pages again from the journal, or
// verifies them, without WeCom (law 2). A job works on one page at a time, so
// that a long job leaves room in the queue for new pages. A Replayer may run
// jobs of different corps at once.
type Replayer struct {
	JobStarter
	cfg      Config
	decoder  *Decoder
	verifier verifier
}

// Run continues a job until it is done or the time is nearly over. In the
// second case it requests another run, unless it stored no progress: then dispatch
// requests the job again after some time, and ends it after some tries. Only the
// newest request of the corp's running job counts; Run ignores every other. Two runs
// of one job at once do no harm: the run that loses a compare-and-swap stops.
func (r *Replayer) Run(ctx context.Context, req archive.DecodeRequest) error {
	job, err := r.cfg.Jobs.Replay(ctx, req.Corp, req.Replay)
	if errors.Is(err, archive.ErrNotFound) {
		// Starting the job crashed before it was stored.
		r.cfg.Log.ErrorContext(ctx, "replay requested that was never stored", "corp", req.Corp, "replay", req.Replay)
		lost := Replay{Corp: req.Corp, ID: req.Replay}
		verify := lost
		verify.Verify = true
		return errors.Join(r.after(ctx, req, lost), r.after(ctx, req, verify))
	}
	if err != nil {
		return fmt.Errorf("read job %s: %w", req.Replay, err)
	}
	if job.Done {
		return r.endedBefore(ctx, req, job)
	}
	running, err := r.cfg.Jobs.Running(ctx, job.Corp, job.Verify)
	if errors.Is(err, archive.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read running job: %w", err)
	}
	if !running.RequestedAt.Equal(req.AskedAt) {
		return nil
	}
	if running.ID != job.ID { // job was stopped just now, and the other one took over its request
		r.logFindings(ctx, job)
		return r.Run(ctx, running.Request())
	}
	begun := job.UpdatedAt
	err = r.run(ctx, &job)
	// A verification writes nothing but its progress: without any, the next run would
	// begin equally. The request of this run remains the newest, as after a crash.
	idle := errors.Is(err, ErrUnfinished) && job.UpdatedAt.Equal(begun)
	switch {
	case idle || errors.Is(err, archive.ErrConflict):
		r.cfg.Log.InfoContext(ctx, "replay left to a later run", "corp", job.Corp, "replay", job.ID, "without_progress", idle)
		if job, err = r.cfg.Jobs.Replay(ctx, job.Corp, job.ID); err != nil {
			return fmt.Errorf("read job %s again: %w", req.Replay, err)
		}
		if job.Done {
			return r.endedBefore(ctx, req, job)
		}
		return nil
	case errors.Is(err, ErrUnfinished):
		return r.goOn(ctx, job)
	case err != nil:
		return fmt.Errorf("job %s at %d: %w", job.ID, job.Next, err)
	}
	r.cfg.Log.InfoContext(ctx, "replay done", "corp", job.Corp, "replay", job.ID, "pages", job.Pages)
	// A crash here leaves a done job among the running ones. The request is
	// delivered again, and ends it.
	return r.after(ctx, req, job)
}

// endedBefore is [Replayer.after] for a job that this run found done. If a person
// stopped the job, or dispatch did, no run has logged what it found.
func (r *Replayer) endedBefore(ctx context.Context, req archive.DecodeRequest, done Replay) error {
	if !done.Whole() {
		r.logFindings(ctx, done)
	}
	return r.after(ctx, req, done)
}

// after ends a done job, or runs the job that took over its request, see
// [JobStarter.follow].
func (r *Replayer) after(ctx context.Context, req archive.DecodeRequest, done Replay) error {
	running, err := r.cfg.Jobs.Running(ctx, done.Corp, done.Verify)
	if errors.Is(err, archive.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read running job: %w", err)
	}
	if running.ID != done.ID {
		if !running.RequestedAt.Equal(req.AskedAt) {
			return nil
		}
		return r.Run(ctx, running.Request())
	}
	err = r.ended(ctx, running, done)
	if errors.Is(err, archive.ErrConflict) { // a key came just now, or another job took over the request
		return r.after(ctx, req, done)
	}
	return err
}

// goOn requests the next run of an unfinished job. Earlier requests no longer
// count from then on, so that a job never has two requests that go on.
func (r *Replayer) goOn(ctx context.Context, job Replay) error {
	running, err := r.cfg.Jobs.Running(ctx, job.Corp, job.Verify)
	if errors.Is(err, archive.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read running job: %w", err)
	}
	if running.ID != job.ID { // job was stopped just now: the request is that of the other job
		r.logFindings(ctx, job)
	}
	next := running
	next.RequestedAt, next.Tries, next.TookOver = r.cfg.Now(), 0, false
	if err := r.cfg.Jobs.ReplaceRunning(ctx, running, next); err != nil {
		return fmt.Errorf("note request of job %s: %w", job.ID, err)
	}
	return r.request(ctx, next)
}

// run walks the job's rows from where the last run stopped. It returns
// [ErrUnfinished] when the time is nearly over.
func (r *Replayer) run(ctx context.Context, job *Replay) error {
	if job.Next == 0 && !job.Begun { // no run has stored a place yet
		if err := r.fixRange(ctx, job); err != nil {
			return err
		}
	}
	if job.Verify {
		return r.verify(ctx, job)
	}
	place := job.Next
	for row, err := range r.rows(ctx, *job) {
		if err != nil {
			return err
		}
		if archive.NearlyOver(ctx, r.cfg.Now(), pageMargin) {
			return r.pause(ctx, job, place)
		}
		selected, err := r.selects(ctx, *job, row)
		if err != nil {
			return err
		}
		place = row.After + 1
		if !selected { // the place is stored together with that of a later row
			continue
		}
		if err := r.page(ctx, job, row); err != nil {
			return err
		}
	}
	next := *job
	next.Done = true
	return r.advance(ctx, job, next)
}

// fixRange fixes the job's range. The first row is the row that covers From+1,
// which is the last row with After <= From. The range ends at To, or at the
// present head if To is 0. A range that is fixed already is no progress.
func (r *Replayer) fixRange(ctx context.Context, job *Replay) error {
	next := *job
	if next.To == 0 {
		head, err := r.cfg.Heads.Head(ctx, job.Corp)
		if err != nil {
			return fmt.Errorf("read head: %w", err)
		}
		next.To, next.ToEnd = head.Last, true
	}
	first, err := r.cfg.Jobs.Rows(ctx, job.Corp, archive.RowQuery{From: job.From, Descending: true, Limit: 1})
	if err != nil {
		return fmt.Errorf("find the first row: %w", err)
	}
	if len(first) == 1 {
		next.Next = first[0].After
	}
	if next.To == job.To && next.Next == job.Next {
		return nil
	}
	return r.advance(ctx, job, next)
}

// rows yields the rows from job.Next to job.To, in the order of the chain. It
// ends after the first error. The rows of a job that verifies have no progress.
func (r *Replayer) rows(ctx context.Context, job Replay) iter.Seq2[archive.Row, error] {
	return func(yield func(archive.Row, error) bool) {
		q := archive.RowQuery{From: job.Next, Limit: replayBatch}
		if job.Verify {
			q.Limit, q.ChainOnly = stepRows, true
		}
		for {
			batch, err := r.cfg.Jobs.Rows(ctx, job.Corp, q)
			if err != nil {
				yield(archive.Row{}, fmt.Errorf("list rows: %w", err))
				return
			}
			for _, row := range batch {
				if row.After >= job.To || !yield(row, nil) {
					return
				}
				q.From = row.After + 1
			}
			switch {
			case len(batch) == q.Limit:
			case q.ChainOnly:
				q.ChainOnly = false // such an answer may lack the newest rows
			default:
				return
			}
		}
	}
}

// selects reports whether the job is about the row's page.
func (r *Replayer) selects(ctx context.Context, job Replay, row archive.Row) (bool, error) {
	if row.Last <= job.From || row.Kind != archive.PageRow {
		return false, nil
	}
	if job.OnlySetAside && row.Result.CountSetAside() == 0 {
		return false, nil
	}
	if job.Version == 0 {
		return true, nil
	}
	if !job.OnlySetAside {
		return r.pageHasVersion(ctx, row, job.Version)
	}
	setAside, err := r.cfg.View.SetAside(ctx, row.Corp, row.First, row.Last)
	if err != nil {
		return false, fmt.Errorf("list records set aside: %w", err)
	}
	// If the view has fewer records set aside than the result says, a run stored some
	// of them and ended before it did the rest: their files, and the result.
	return len(setAside) < row.Result.CountSetAside() ||
		slices.ContainsFunc(setAside, func(s archive.SetAside) bool { return s.KeyVersion == job.Version }), nil
}

// pageHasVersion reads the page to see whether it has a record of the key
// version. It reports true for a page that the journal has lost or changed:
// the decoder then records what is wrong with it.
func (r *Replayer) pageHasVersion(ctx context.Context, row archive.Row, version uint32) (bool, error) {
	raw, err := r.cfg.Journal.Page(ctx, row)
	if errors.Is(err, archive.ErrNotFound) || errors.Is(err, archive.ErrCorrupt) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read journal: %w", err)
	}
	answer, err := archive.ParseAnswer(raw)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(answer.Records, func(rec archive.Record) bool { return rec.KeyVersion == version }), nil
}

// page decodes the row's page and stores the job's progress. After a crash
// between the two the next run decodes the page a second time, with the same
// result.
func (r *Replayer) page(ctx context.Context, job *Replay, row archive.Row) error {
	if err := r.decode(ctx, job, row); err != nil {
		return err
	}
	next := *job
	next.Next, next.Begun = row.After+1, false
	next.Pages++
	return r.advance(ctx, job, next)
}

// decode decodes the row's page again. If the time runs out in the middle of
// it, decode notes that on the job. The next run then leaves the records set
// aside that broke the library in this run.
func (r *Replayer) decode(ctx context.Context, job *Replay, row archive.Row) error {
	redo := Again
	if job.Begun && job.Next == row.After {
		redo = CarryOn
	}
	unfinished := r.decoder.Decode(ctx, job.Corp, row.After, redo)
	if !errors.Is(unfinished, ErrUnfinished) {
		return unfinished
	}
	next := *job
	next.Next, next.Begun = row.After, true
	if err := r.advance(ctx, job, next); err != nil {
		return err
	}
	return unfinished
}

// pause stores the job's place, because the time is nearly over.
func (r *Replayer) pause(ctx context.Context, job *Replay, place uint64) error {
	next := *job
	if next.Next != place {
		next.Next, next.Begun = place, false // the page that was begun is no longer selected
	}
	if err := r.advance(ctx, job, next); err != nil {
		return err
	}
	return ErrUnfinished
}

// advance stores the job's progress. It returns [archive.ErrConflict] if
// another run has advanced the job.
func (r *Replayer) advance(ctx context.Context, job *Replay, next Replay) error {
	next.UpdatedAt = r.cfg.Now()
	if err := r.cfg.Jobs.AdvanceReplay(ctx, *job, next); err != nil {
		return fmt.Errorf("store progress: %w", err)
	}
	*job = next
	return nil
}
