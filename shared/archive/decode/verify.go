package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// The steps of a verification. A step ends with one write, so that a chain of
// small pages costs little.
const (
	stepRows  = 1000    // most rows of a step
	stepBytes = 2 << 20 // of its pages that are read, unless a single page has more
	// placeMargin is the time that must be left to look at one more row's place:
	// enough to read the pages of the step afterwards.
	placeMargin = 2 * pageMargin
)

// A weekly verification reads the pages of the last weeklyDays, and older ones
// in turn: every day of pulls once in weeklyTurns weeks.
const (
	weeklyDays  = 8 * 24 * time.Hour
	weeklyTurns = 52
	// youngPage is the age below which a weekly verification leaves a page to the
	// next week: the page may not be decoded yet.
	youngPage = time.Hour
)

// readsPage reports whether the job reads the page of a row and compares it with the
// row. Unless the job is ChainOnly, it also decodes the page and compares it with
// the view.
func (job *Replay) readsPage(row archive.Row) bool {
	if !job.Weekly {
		return true
	}
	const day, week = 24 * time.Hour, 7 * 24 * time.Hour
	age := job.CreatedAt.Sub(row.At)
	turn := row.At.Unix() / int64(day.Seconds()) % weeklyTurns
	return age >= youngPage && (age < weeklyDays || turn == job.CreatedAt.Unix()/int64(week.Seconds())%weeklyTurns)
}

// limit is the highest After of an object that the job looks at.
func (job *Replay) limit() uint64 {
	if job.ToEnd {
		return ^uint64(0)
	}
	return job.To - 1
}

// verification is a run of a job that verifies.
type verification struct {
	*Replayer
	job     *Replay
	chain   *chainCheck
	objects *objectCheck
}

// verify walks the job's rows from where the last run stopped, in steps. It
// returns [ErrUnfinished] when the time is nearly over.
func (r *Replayer) verify(ctx context.Context, job *Replay) error {
	chain, err := r.chainAt(ctx, *job)
	if err != nil {
		return err
	}
	v := &verification{Replayer: r, job: job, chain: chain, objects: r.objectsAt(ctx, *job)}
	defer v.objects.stop()
	var step []archive.Row
	size := 0
	for row, err := range r.rows(ctx, *job) {
		if err != nil {
			return err
		}
		read := 0
		if job.readsPage(row) {
			read = max(row.Size, 0)
		}
		if len(step) == stepRows || size+read > stepBytes {
			if err := v.step(ctx, step); err != nil {
				return err
			}
			step, size = nil, 0
		}
		step, size = append(step, row), size+read
	}
	if len(step) > 0 {
		if err := v.step(ctx, step); err != nil {
			return err
		}
	}
	return v.finish(ctx)
}

// step verifies rows that follow one another, and stores the job's progress. If
// the time is nearly over in the middle, it stores the progress so far and
// returns [ErrUnfinished]. After a crash before the progress is stored the next
// run does the step a second time, with the same result.
func (v *verification) step(ctx context.Context, rows []archive.Row) error {
	if archive.NearlyOver(ctx, v.cfg.Now(), pageMargin) {
		return ErrUnfinished
	}
	var unfinished error
	found := make([]findings, len(rows))
	var pages []pageCheck // to be read
	for i, row := range rows {
		if i > 0 && archive.NearlyOver(ctx, v.cfg.Now(), placeMargin) {
			rows, unfinished = rows[:i], ErrUnfinished
			break
		}
		found[i].after = row.After
		there, err := v.place(ctx, row, &found[i])
		if err != nil {
			return err
		}
		if there && v.job.readsPage(row) {
			pages = append(pages, pageCheck{row: row, found: &found[i]})
		}
	}
	next := *v.job
	done, err := v.verifier.pages(ctx, pages, next.ChainOnly)
	if next.Weekly && errors.Is(err, ErrRefused) {
		next.ChainOnly, done, err = true, len(pages), nil
		v.cfg.Log.WarnContext(ctx, "verification decodes no further page: secret refused", "corp", next.Corp, "replay", next.ID)
	}
	if err != nil {
		return err
	}
	if done < len(pages) {
		rows, unfinished = before(rows, pages[done].row.After), ErrUnfinished
	}
	if len(rows) == 0 {
		return unfinished
	}
	for i := range rows {
		next.addFindings(found[i].list)
	}
	next.Next = rows[len(rows)-1].After + 1
	next.Pages += len(rows)
	if err := v.advance(ctx, v.job, next); err != nil {
		return err
	}
	return unfinished
}

// before are the rows with an After below after.
func before(rows []archive.Row, after uint64) []archive.Row {
	i := slices.IndexFunc(rows, func(r archive.Row) bool { return r.After >= after })
	return rows[:i]
}

// place verifies the row's place in the chain, and that the journal has what the
// row names, without reading a page. It reports whether the journal has a page of
// the row.
func (v *verification) place(ctx context.Context, row archive.Row, found *findings) (there bool, err error) {
	before := v.chain.prev
	if err := v.chain.next(ctx, row, found); err != nil {
		return false, err
	}
	if there, err = v.objects.next(row, before, found); err != nil || row.Kind == archive.PageRow {
		return there, err
	}
	err = v.cfg.Journal.Gap(ctx, row)
	if errors.Is(err, archive.ErrNotFound) || errors.Is(err, archive.ErrCorrupt) || err == nil && archive.Digest([]byte(row.Evidence)) != row.Sum {
		found.add(FaultGapUnproved, 0)
		err = nil
	}
	if err != nil {
		return false, fmt.Errorf("read evidence of the gap after %d: %w", row.After, err)
	}
	if row.First != 0 || row.Count != 0 || row.Size != 0 {
		found.add(FaultRecords, 0)
	}
	return false, nil
}

// finish verifies the end of the chain and marks the job as done.
func (v *verification) finish(ctx context.Context) error {
	head, err := v.cfg.Heads.Head(ctx, v.job.Corp)
	if err != nil {
		return fmt.Errorf("read head: %w", err)
	}
	var found findings
	if err := v.chain.end(ctx, head, &found); err != nil {
		return err
	}
	if err := v.objects.end(*v.job, v.chain.prev, &found); err != nil {
		return err
	}
	next := *v.job
	next.addFindings(found.list)
	next.Done = true
	v.logFindings(ctx, next) // after a crash here the next run logs them again
	return v.advance(ctx, v.job, next)
}

// logFindings logs what a verification found, if anything. An alarm counts the line.
func (r *Replayer) logFindings(ctx context.Context, job Replay) {
	if job.Faults > 0 {
		r.cfg.Log.ErrorContext(ctx, "verification found differences", "corp", job.Corp, "replay", job.ID, "faults", job.Faults, "kinds", kindsOf(job.Findings))
	}
}

// kindsOf lists the faults of the findings, each once.
func kindsOf(list []Finding) (kinds []Fault) {
	for _, f := range list {
		kinds = append(kinds, f.What)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// findings collects the findings about one row.
type findings struct {
	after uint64
	list  []Finding
}

// add adds a finding for each seq. Seq 0 stands for the row as a whole.
func (f *findings) add(what Fault, seqs ...uint64) {
	for _, seq := range seqs {
		f.list = append(f.list, Finding{After: f.after, Seq: seq, What: what})
	}
}
