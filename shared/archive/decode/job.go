package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Replay is a replay job. It decodes a range of pages again from the journal.
// A job with Verify set only compares: it decodes each page and reports where
// the stored view differs. Every step replaces the stored job by
// compare-and-swap.
type Replay struct {
	Corp      string
	ID        string // jobs sort by time in the order of their IDs
	CreatedAt time.Time
	By        string // subject of the token that requested the job, or a reason of our own
	Asked     bool   // a person requested this job itself; it counts in the daily quota
	// From and To select the pages that cover seqs in (From, To]. To 0 means:
	// up to the head when the job starts.
	From, To uint64
	// OnlySetAside selects the pages with records set aside.
	OnlySetAside bool
	// Version, if not 0, selects the pages with records of that key version.
	// Together with OnlySetAside it selects the pages where such a record is set
	// aside.
	Version   uint32
	Next      uint64 // rows with After < Next are done
	Begun     bool   // the page with After == Next was begun and not finished
	Pages     int    // pages decoded or verified so far
	UpdatedAt time.Time
	Done      bool
	// Failed says that the job was ended without a result, because its runs made
	// no progress. Done is set too.
	Failed bool
	// StoppedBy is the user who ended the job; Done is set too. The rest of its range
	// is unchanged.
	StoppedBy string
	// Verify makes the job compare instead of decode. Faults counts the
	// differences. Findings describes the first [MaxFindings] of them.
	Verify bool
	// Weekly makes a verification read few pages: those of the last eight days,
	// and 1 in 52 of the older ones. It still looks at every row, every daily head
	// and the whole listing of the journal.
	Weekly bool
	// ChainOnly: a weekly verification met an [ErrRefused], and decodes no further
	// page. It still compares the pages that it reads with their rows.
	ChainOnly bool
	// ToEnd says that the range ends at the head of the job's start.
	ToEnd    bool
	Faults   int
	Findings []Finding
}

// Whole reports whether the job went over its whole range. A job that failed or that
// a user stopped is done, too, and says nothing of the rest of its range.
func (r Replay) Whole() bool { return r.Done && !r.Failed && r.StoppedBy == "" }

// MaxFindings bounds the findings that a job keeps.
const MaxFindings = 100

// Finding is one difference between ledger, journal and view.
type Finding struct {
	After uint64 // names the ledger row
	Seq   uint64 // seq of the message; 0 if the finding is about the row as a whole
	What  Fault
}

// Fault says what differs. Its values are part of the HTTP API.
type Fault string

// The faults.
const (
	FaultChain           Fault = "chain_broken"       // the row does not follow the row before it
	FaultRowsMissing     Fault = "rows_missing"       // the chain ends before the ledger's head
	FaultRow             Fault = "row_changed"        // the row's hash is not the hash of its fields, or its kind or time cannot be right
	FaultHead            Fault = "head_disagrees"     // the ledger's head or a day's head matches no row of the chain
	FaultHeadMissing     Fault = "head_missing"       // a day after the first row has no head in the journal's bucket
	FaultRowRemoved      Fault = "row_removed"        // the journal has a page that no row names
	FaultEndRemoved      Fault = "end_removed"        // the journal has a page behind the last row
	FaultRecords         Fault = "records_differ"     // the row's first seq, last seq or count is not that of its page
	FaultGapOverPage     Fault = "gap_over_page"      // the journal has a page in the range of a gap
	FaultGapUnproved     Fault = "gap_unproved"       // the journal does not have the evidence of a gap with this end and reason
	FaultJournalMissing  Fault = "journal_missing"    // the page's object is missing
	FaultJournalChanged  Fault = "journal_changed"    // the page's object has another digest
	FaultNotDecoded      Fault = "not_decoded"        // the page is not decoded yet
	FaultMissing         Fault = "message_missing"    // a message of the page is not in the view
	FaultDiffers         Fault = "message_differs"    // the view has other content for a message of the page
	FaultExtra           Fault = "message_extra"      // a message in the view belongs to the page by its origin or seq, and the page does not have it
	FaultSetAsideMissing Fault = "set_aside_missing"  // a record that cannot be decrypted is not recorded as set aside
	FaultSetAsideStale   Fault = "set_aside_stale"    // a record is set aside although it can be decrypted
	FaultRevocation      Fault = "revocation_missing" // a revoked message is not marked, or its mark differs from the revocation
	FaultRevocationExtra Fault = "revocation_extra"   // a message is marked as revoked and no message of the page revokes it
	FaultLists           Fault = "lists_incomplete"   // a conversation is missing from a party's list of that day
	FaultFileMissing     Fault = "file_missing"       // a file that a message names has no row, or its object is missing
	FaultFileDiffers     Fault = "file_differs"       // the file's object has another size or checksum than its row, or the row of a file that was given up, or waits for too long, has an object
	FaultCount           Fault = "result_differs"     // the row's result has other counts than the page
)

// Running is a corp's job that is not done.
type Running struct {
	Corp        string
	Verify      bool // as in the job
	ID          string
	RequestedAt time.Time // of the newest request for its run
	// KeyCame: the records set aside are tried again when the job is done, because
	// a key came while it ran.
	KeyCame bool
	// Tries counts the times that dispatch requested the job again since its last
	// run that went on. It changes only together with RequestedAt.
	Tries int
	// TookOver: the newest request names the done job that this one followed. It
	// changes only together with ID or RequestedAt.
	TookOver bool
}

// RunningError means that another job of the corp runs.
type RunningError struct{ ID string }

func (e *RunningError) Error() string { return "job " + e.ID + " runs" }

// A JobStarter stores replay jobs and requests their runs. A function that only
// starts jobs needs this part of the package alone; [Replayer] runs the jobs.
type JobStarter struct {
	jobs    ReplayLedger
	decodes archive.DecodeQueue
	now     func() time.Time
}

var _ ReplayStarter = JobStarter{}

// NewJobStarter makes a starter that stores jobs in the ledger and requests
// their runs from the queue.
func NewJobStarter(jobs ReplayLedger, decodes archive.DecodeQueue, now func() time.Time) JobStarter {
	return JobStarter{jobs: jobs, decodes: decodes, now: now}
}

// StartReplay implements [ReplayStarter]. The order of writes is: the entry of the
// running job, the job, the request. After a crash dispatch finds the entry and
// requests the job; a run without a stored job removes the entry.
func (s JobStarter) StartReplay(ctx context.Context, job Replay) error {
	running, err := s.reserve(ctx, job)
	if err != nil {
		return err
	}
	return s.begin(ctx, running)
}

// reserve makes the job the corp's running one, and stores it.
func (s JobStarter) reserve(ctx context.Context, job Replay) (Running, error) {
	own := Running{Corp: job.Corp, Verify: job.Verify, ID: job.ID, RequestedAt: s.now()}
	// A look comes before the write: many requests while a job runs cost a read each.
	running, err := s.jobs.Running(ctx, job.Corp, job.Verify)
	if errors.Is(err, archive.ErrNotFound) {
		running, err = own, s.jobs.SetRunning(ctx, own)
		if errors.Is(err, archive.ErrExists) { // another request was faster
			running, err = s.jobs.Running(ctx, job.Corp, job.Verify)
		}
	}
	if err != nil {
		return running, fmt.Errorf("reserve job %s: %w", job.ID, err)
	}
	if running.ID != job.ID {
		if own, err = s.follow(ctx, running, own); err != nil {
			return running, err
		}
		running = own
	}
	if err := s.jobs.CreateReplay(ctx, job); err != nil && !errors.Is(err, archive.ErrExists) {
		return running, fmt.Errorf("store job %s: %w", job.ID, err)
	}
	return running, nil
}

// follow makes a job the running one in the place of a done one, whose last run
// has not removed it yet, and returns its entry. The job takes over the request of
// the done one: otherwise a person who stops jobs and starts others would fill the
// queue. It returns a [*RunningError] if the other job goes on.
func (s JobStarter) follow(ctx context.Context, running, own Running) (Running, error) {
	if running.KeyCame {
		return own, &RunningError{ID: running.ID}
	}
	own.RequestedAt, own.TookOver = running.RequestedAt, true
	job, err := s.jobs.Replay(ctx, running.Corp, running.ID)
	if errors.Is(err, archive.ErrNotFound) || err == nil && !job.Done {
		return own, &RunningError{ID: running.ID}
	}
	if err == nil {
		err = s.jobs.ReplaceRunning(ctx, running, own)
	}
	if errors.Is(err, archive.ErrConflict) { // another job was faster, or a key came
		return own, &RunningError{ID: running.ID}
	}
	if err != nil {
		return own, fmt.Errorf("follow job %s: %w", running.ID, err)
	}
	return own, nil
}

// begin requests the first run of a job, unless the job took over a request.
func (s JobStarter) begin(ctx context.Context, running Running) error {
	if running.TookOver {
		return nil
	}
	return s.request(ctx, running)
}

// request requests a run of the running job.
func (s JobStarter) request(ctx context.Context, running Running) error {
	// A crash here leaves the job without a request. Dispatch requests it when
	// RequestedAt is old.
	if err := s.decodes.RequestDecodes(ctx, running.Request()); err != nil {
		return fmt.Errorf("request job %s: %w", running.ID, err)
	}
	return nil
}

// Request is the newest request for a run of the job.
func (r Running) Request() archive.DecodeRequest {
	return archive.DecodeRequest{Corp: r.Corp, Replay: r.ID, AskedAt: r.RequestedAt}
}

// PlanRetry makes sure that the records set aside are tried again after a crash
// from now on: by the job, without requesting it, or after the job that runs.
func (s JobStarter) PlanRetry(ctx context.Context, job Replay) error {
	_, err := s.retry(ctx, job)
	return err
}

// StartRetry tries the records set aside again: by the job, if none runs, or after
// the job that runs. started says that it is this job.
func (s JobStarter) StartRetry(ctx context.Context, job Replay) (started bool, err error) {
	running, err := s.retry(ctx, job)
	if err != nil || running.ID != job.ID {
		return false, err
	}
	return true, s.begin(ctx, running)
}

// retry reserves the job, or notes on the running one that a key came.
func (s JobStarter) retry(ctx context.Context, job Replay) (Running, error) {
	for {
		running, err := s.reserve(ctx, job)
		if _, other := errors.AsType[*RunningError](err); !other {
			return running, err
		}
		if running.KeyCame {
			return running, nil
		}
		later := running
		later.KeyCame = true
		err = s.jobs.ReplaceRunning(ctx, running, later)
		if !errors.Is(err, archive.ErrConflict) {
			return later, err
		}
		// The job ended or was requested again meanwhile.
	}
}

// ended takes a finished job, whose entry is running, off the running ones. If a key
// came while it ran, the records set aside are tried next. It returns
// [archive.ErrConflict] if the entry changed meanwhile. After a crash anywhere the
// job's request is delivered again and ended does the rest.
func (s JobStarter) ended(ctx context.Context, running Running, job Replay) error {
	if !running.KeyCame {
		return s.jobs.RemoveRunning(ctx, running)
	}
	at := job.UpdatedAt
	if at.IsZero() { // the job was never stored
		at = running.RequestedAt
	}
	next := Replay{
		Corp: job.Corp, ID: JobID(at, "key-came"), CreatedAt: s.now(), UpdatedAt: s.now(),
		By: "key came", OnlySetAside: true,
	}
	if err := s.jobs.CreateReplay(ctx, next); err != nil && !errors.Is(err, archive.ErrExists) {
		return fmt.Errorf("store job %s: %w", next.ID, err)
	}
	now := Running{Corp: next.Corp, ID: next.ID, RequestedAt: s.now()}
	if err := s.jobs.ReplaceRunning(ctx, running, now); err != nil {
		return fmt.Errorf("go on with job %s: %w", next.ID, err)
	}
	return s.request(ctx, now)
}

// jobTime is how the ID of a job begins, so that jobs sort by time.
const jobTime = "20060102T150405.000Z"

// JobID makes the ID of a job; unique tells it from those of the same millisecond.
func JobID(at time.Time, unique string) string {
	return at.UTC().Format(jobTime) + "-" + unique
}

// addFindings counts the findings and keeps as many as there is room for.
func (job *Replay) addFindings(list []Finding) {
	job.Faults += len(list)
	job.Findings = append(slices.Clip(job.Findings), list[:min(len(list), MaxFindings-len(job.Findings))]...)
}
