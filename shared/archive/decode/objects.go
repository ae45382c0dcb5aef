package decode

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// rowFollows is how long after its object a row may come. An object that is
// older and has no row was left by a pull that crashed in between, or its row was
// removed.
const rowFollows = time.Hour

// objectCheck compares the rows of a job with a listing of the journal's pages,
// in both directions. Both are in the order of After, so the list is read once.
type objectCheck struct {
	list func() (archive.PageObject, error, bool)
	stop func() // ends the list
	head *archive.PageObject
	err  error
}

// objectsAt lists the journal from the job's place.
func (r *Replayer) objectsAt(ctx context.Context, job Replay) *objectCheck {
	o := &objectCheck{}
	o.list, o.stop = iter.Pull2(r.cfg.Journal.Pages(ctx, job.Corp, job.Next))
	return o
}

// upTo takes the next object of the list whose After is at most after.
func (o *objectCheck) upTo(after uint64) (archive.PageObject, bool) {
	if o.head == nil && o.err == nil {
		p, err, ok := o.list()
		if !ok {
			return archive.PageObject{}, false
		}
		o.head, o.err = &p, err
	}
	if o.err != nil || o.head.After > after {
		return archive.PageObject{}, false
	}
	p := *o.head
	o.head = nil
	return p, true
}

// next verifies that the journal has the row's page, and no page since the row
// before that no row names. Without the page, it reports false.
//
// An object with the After of a page's row and another digest is no finding: a
// pull wrote it and crashed before its row, and the page came again with other
// records.
func (o *objectCheck) next(row archive.Row, before *archive.Row, found *findings) (there bool, err error) {
	for {
		p, ok := o.upTo(row.After)
		switch {
		case !ok && o.err != nil:
			return false, fmt.Errorf("list the journal: %w", o.err)
		case !ok && row.Kind == archive.PageRow && !there:
			found.add(FaultJournalMissing, 0)
			return false, nil
		case !ok:
			return there, nil
		case p.After < row.After:
			found.list = append(found.list, Finding{After: p.After, What: unnamed(before)})
		case row.Kind != archive.PageRow:
			found.add(FaultGapOverPage, 0)
		case p.Sum == row.Sum:
			there = true
		}
	}
}

// unnamed is the finding about a page between a row and the next.
func unnamed(row *archive.Row) Fault {
	if row != nil && row.Kind == archive.GapRow {
		return FaultGapOverPage
	}
	return FaultRowRemoved
}

// end looks for pages behind the last row. A page that was written shortly before
// the job began, or later, may have a row that the job does not read.
func (o *objectCheck) end(job Replay, last *archive.Row, found *findings) error {
	for {
		p, ok := o.upTo(job.limit())
		if !ok {
			break
		}
		if p.After >= job.To && p.At.After(job.CreatedAt.Add(-rowFollows)) {
			continue
		}
		what := FaultEndRemoved
		if last != nil && last.Kind == archive.GapRow && p.After < last.Last {
			what = FaultGapOverPage
		}
		found.list = append(found.list, Finding{After: p.After, What: what})
	}
	if o.err != nil {
		return fmt.Errorf("list the journal: %w", o.err)
	}
	return nil
}
