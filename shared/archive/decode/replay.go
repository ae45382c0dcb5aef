package decode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Replay is a job that decodes pages again from the journal, or only compares
// what a decode would write with what is stored. It moves forward by
// compare-and-swap on Next.
type Replay struct {
	Corp      string
	ID        string // sorts by time
	CreatedAt time.Time
	By        string // who asked: a subject of a token, or a reason of our own
	// The pages: those that cover seqs in (From, To]; To 0 means up to the
	// head at the start. Only pages with records set aside if Waiting; only
	// with rows of Version if that is not 0.
	From, To     uint64
	OnlySetAside bool
	Version      uint32
	Next         uint64 // rows with After < Next are done
	Begun        bool   // the page at Next was begun and not finished
	Pages        int    // pages decoded so far
	UpdatedAt    time.Time
	Done         bool
	// Verify: nothing is written. Faults counts what does not agree, Findings
	// says what it is, the first [MaxFindings] of it.
	Verify   bool
	Faults   int
	Findings []Finding
}

// MaxFindings is how many findings a job keeps.
const MaxFindings = 100

// Finding is something that does not agree.
type Finding struct {
	After uint64 // names the row
	Seq   uint64 // of the message; 0 for the row as a whole
	What  Fault
}

// Fault is what a finding is about. Its values are part of the HTTP API.
type Fault string

// The faults.
const (
	FaultChain           Fault = "chain_broken"       // the row does not follow the one before it
	FaultRowsMissing     Fault = "rows_missing"       // the chain ends before the ledger's head
	FaultRow             Fault = "row_changed"        // the row's fields do not have its hash
	FaultHead            Fault = "head_disagrees"     // the ledger's or a day's head is no row of the chain
	FaultJournalMissing  Fault = "journal_missing"    // the page's object is gone
	FaultJournalChanged  Fault = "journal_changed"    // the page's object has another digest
	FaultNotDecoded      Fault = "not_decoded"        // the page waits to be decoded
	FaultMissing         Fault = "message_missing"    // the message is not in the view
	FaultDiffers         Fault = "message_differs"    // it is, with other content
	FaultExtra           Fault = "message_extra"      // the view has a message of the page that the page does not hold there
	FaultSetAsideMissing Fault = "set_aside_missing"  // what cannot be decrypted is not recorded
	FaultSetAsideStale   Fault = "set_aside_stale"    // a record is set aside although it should not be
	FaultRevocation      Fault = "revocation_missing" // a withdrawn message is not marked, or not as the revocation says
	FaultRevocationExtra Fault = "revocation_extra"   // a message is marked as withdrawn that nobody withdrew
	FaultLists           Fault = "lists_incomplete"   // a conversation is in somebody's list of that day no more
	FaultCount           Fault = "result_differs"     // the row's result does not count what the page holds
)

// A ReplayLedger keeps replay jobs and lists the rows they walk. Safe for
// concurrent use.
type ReplayLedger interface {
	Rows(ctx context.Context, corp string, q archive.RowQuery) ([]archive.Row, error)
	// CreateReplay stores a new job, which is unfinished; [archive.ErrExists].
	CreateReplay(ctx context.Context, r Replay) error
	Replay(ctx context.Context, corp, id string) (Replay, error)
	// AdvanceReplay replaces the job if it is still as old; [archive.ErrConflict].
	AdvanceReplay(ctx context.Context, old, now Replay) error
	// UnfinishedReplays lists jobs not done and not advanced since before.
	UnfinishedReplays(ctx context.Context, corp string, before time.Time) ([]Replay, error)
}

// replayBatch is how many rows a replay reads at a time.
const replayBatch = 100

// A Replayer decodes pages again from the journal, or verifies them, without
// WeCom (law 2). A job is one line: it never has more than one page under way,
// so that however long its range is it cannot crowd out what is new. Its
// fields never change; it may be used concurrently for different corps.
type Replayer struct {
	Ledger  ReplayLedger
	Heads   archive.HeadReader
	Journal archive.Journal
	View    ViewWriter
	Decodes archive.DecodeQueue
	// Decode is [Decoder.Decode].
	Decode func(ctx context.Context, corp string, after uint64, redo Redo) error
	// Verify is [Verifier.Page].
	Verify func(ctx context.Context, row archive.Row) ([]Finding, error)
	Now    func() time.Time
	Log    *slog.Logger
}

var _ ReplayStarter = (*Replayer)(nil)

// StartReplay stores the job and requests its first run. If the job is there
// already it is only requested again: the job's ID decides what is the same.
// A crash between the two leaves a job that dispatch finds.
func (r *Replayer) StartReplay(ctx context.Context, job Replay) error {
	if err := r.Ledger.CreateReplay(ctx, job); err != nil && !errors.Is(err, archive.ErrExists) {
		return fmt.Errorf("store job %s: %w", job.ID, err)
	}
	if err := r.Decodes.RequestDecodes(ctx, archive.DecodeRequest{Corp: job.Corp, Replay: job.ID}); err != nil {
		return fmt.Errorf("request job %s: %w", job.ID, err)
	}
	return nil
}

// Run carries a job on, until it is done or time is nearly up; then it
// requests another run of itself. Two runs of one job at once do no harm: the
// one that loses a compare-and-swap stops.
func (r *Replayer) Run(ctx context.Context, corp, id string) error {
	job, err := r.Ledger.Replay(ctx, corp, id)
	if errors.Is(err, archive.ErrNotFound) {
		r.Log.ErrorContext(ctx, "replay requested that was never stored", "corp", corp, "replay", id)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read job %s: %w", id, err)
	}
	if job.Done {
		return nil
	}
	err = r.run(ctx, &job)
	switch {
	case errors.Is(err, archive.ErrConflict):
		r.Log.InfoContext(ctx, "replay is run by another", "corp", corp, "replay", id)
		return nil
	case errors.Is(err, ErrUnfinished):
		if err := r.Decodes.RequestDecodes(ctx, archive.DecodeRequest{Corp: corp, Replay: id}); err != nil {
			return fmt.Errorf("request the rest of job %s: %w", id, err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("job %s at %d: %w", id, job.Next, err)
	}
	r.Log.InfoContext(ctx, "replay done", "corp", corp, "replay", id, "pages", job.Pages)
	return nil
}

func (r *Replayer) run(ctx context.Context, job *Replay) error {
	if job.Next == 0 && !job.Begun { // nothing done yet
		if err := r.begin(ctx, job); err != nil {
			return err
		}
	}
	chain, err := r.chain(ctx, *job)
	if err != nil {
		return err
	}
	for at := job.Next; ; {
		rows, err := r.Ledger.Rows(ctx, job.Corp, archive.RowQuery{From: at, Limit: replayBatch})
		if err != nil {
			return fmt.Errorf("list rows: %w", err)
		}
		for _, row := range rows {
			if row.After >= job.To {
				return r.finish(ctx, job, chain)
			}
			if deadline, ok := ctx.Deadline(); ok && deadline.Sub(r.Now()) < 2*decodeMargin {
				return r.pause(ctx, job, at)
			}
			wanted, err := r.wanted(ctx, *job, row)
			if err != nil {
				return err
			}
			at = row.After + 1
			if !wanted { // its place is stored with a later one's
				continue
			}
			next := *job
			next.Next = at
			next.Pages++
			if job.Verify {
				found, err := chain.next(ctx, row)
				if err != nil {
					return err
				}
				more, err := r.Verify(ctx, row)
				if err != nil {
					return err
				}
				next.found(append(found, more...))
			} else if err := r.decode(ctx, job, row); err != nil {
				return err
			}
			next.Begun = false
			if err := r.advance(ctx, job, next); err != nil {
				return err
			}
		}
		if len(rows) < replayBatch {
			return r.finish(ctx, job, chain)
		}
	}
}

// pause stores the job's place before the function ends.
func (r *Replayer) pause(ctx context.Context, job *Replay, at uint64) error {
	next := *job
	next.Next = at
	if err := r.advance(ctx, job, next); err != nil {
		return err
	}
	return ErrUnfinished
}

// decode decodes the row's page anew. If time runs out in the middle, the job
// remembers it: the next run leaves aside what broke the library in this one.
func (r *Replayer) decode(ctx context.Context, job *Replay, row archive.Row) error {
	redo := Again
	if job.Begun && job.Next == row.After {
		redo = CarryOn
	}
	err := r.Decode(ctx, job.Corp, row.After, redo)
	if !errors.Is(err, ErrUnfinished) {
		return err
	}
	next := *job
	next.Next, next.Begun = row.After, true
	return errors.Join(r.advance(ctx, job, next), err)
}

// chain prepares to follow the chain from where the job is.
func (r *Replayer) chain(ctx context.Context, job Replay) (*chainCheck, error) {
	c := &chainCheck{journal: r.Journal, corp: job.Corp, first: job.Next, to: job.To, began: job.Next}
	if !job.Verify || job.Next == 0 {
		return c, nil
	}
	before, err := r.Ledger.Rows(ctx, job.Corp, archive.RowQuery{From: job.Next - 1, Descending: true, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("find the row before: %w", err)
	}
	if len(before) == 1 {
		c.prev = &before[0]
		c.day = archive.DayOf(before[0].At)
	}
	return c, nil
}

// found adds findings to the job.
func (job *Replay) found(list []Finding) {
	job.Faults += len(list)
	job.Findings = append(slices.Clip(job.Findings), list[:min(len(list), MaxFindings-len(job.Findings))]...)
}

// begin fixes the job's range: from the row that covers From+1, which is the
// last one asked after From or less, to the head as it is now.
func (r *Replayer) begin(ctx context.Context, job *Replay) error {
	next := *job
	if next.To == 0 {
		head, err := r.Heads.Head(ctx, job.Corp)
		if err != nil {
			return fmt.Errorf("read head: %w", err)
		}
		next.To = head.Last
	}
	first, err := r.Ledger.Rows(ctx, job.Corp, archive.RowQuery{From: job.From, Descending: true, Limit: 1})
	if err != nil {
		return fmt.Errorf("find the first row: %w", err)
	}
	if len(first) == 1 {
		next.Next = first[0].After
	}
	return r.advance(ctx, job, next)
}

// wanted says whether the job is about the row's page.
func (r *Replayer) wanted(ctx context.Context, job Replay, row archive.Row) (bool, error) {
	if row.Last <= job.From || row.Kind != archive.PageRow && !job.Verify {
		return false, nil
	}
	if job.OnlySetAside && row.Result.CountSetAside() == 0 {
		return false, nil
	}
	if job.Version == 0 {
		return true, nil
	}
	if !job.OnlySetAside {
		return r.holdsVersion(ctx, row, job.Version)
	}
	aside, err := r.View.SetAside(ctx, row.Corp, row.First, row.Last)
	if err != nil {
		return false, fmt.Errorf("list rows set aside: %w", err)
	}
	for _, u := range aside {
		if u.KeyVersion == job.Version {
			return true, nil
		}
	}
	return false, nil
}

// holdsVersion reads the page to see whether a record of the key version is in
// it. A page that cannot be read is left to the decoder, which says so.
func (r *Replayer) holdsVersion(ctx context.Context, row archive.Row, version uint32) (bool, error) {
	raw, err := r.Journal.Page(ctx, row)
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

func (r *Replayer) finish(ctx context.Context, job *Replay, chain *chainCheck) error {
	next := *job
	next.Done = true
	if job.Verify {
		head, err := r.Heads.Head(ctx, job.Corp)
		if err != nil {
			return fmt.Errorf("read head: %w", err)
		}
		next.found(chain.end(head))
	}
	return r.advance(ctx, job, next)
}

// advance stores the job's progress, or stops with [archive.ErrConflict].
func (r *Replayer) advance(ctx context.Context, job *Replay, next Replay) error {
	next.UpdatedAt = r.Now()
	if err := r.Ledger.AdvanceReplay(ctx, *job, next); err != nil {
		return fmt.Errorf("store progress: %w", err)
	}
	*job = next
	return nil
}
