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
	// Verify makes the job compare in place of decoding. Faults counts the
	// differences. Findings describes the first [MaxFindings] of them.
	Verify bool
	// Weekly makes a verification read few pages: those of the last eight days,
	// and 1 in 52 of the older ones. It still looks at every row, every daily head
	// and the whole listing of the journal.
	Weekly bool
	// ChainOnly makes a verification read no page, because the library cannot
	// decrypt: WeCom refuses the corp's secret.
	ChainOnly bool
	// ToEnd says that the range ends at the head of the job's start.
	ToEnd    bool
	Faults   int
	Findings []Finding
}

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
	FaultRow             Fault = "row_changed"        // the row's hash is not the hash of its fields
	FaultHead            Fault = "head_disagrees"     // the ledger's head or a day's head matches no row of the chain
	FaultHeadMissing     Fault = "head_missing"       // a day after the first row has no head in the journal's bucket
	FaultRowRemoved      Fault = "row_removed"        // the journal has a page that no row names
	FaultEndRemoved      Fault = "end_removed"        // the journal has a page behind the last row
	FaultRecords         Fault = "records_differ"     // the row's first seq, last seq or count is not that of its page
	FaultGapOverPage     Fault = "gap_over_page"      // the journal has a page in the range of a gap
	FaultGapUnproved     Fault = "gap_unproved"       // the journal does not have the gap's evidence
	FaultJournalMissing  Fault = "journal_missing"    // the page's object is missing
	FaultJournalChanged  Fault = "journal_changed"    // the page's object has another digest
	FaultNotDecoded      Fault = "not_decoded"        // the page is not decoded yet
	FaultMissing         Fault = "message_missing"    // a message of the page is not in the view
	FaultDiffers         Fault = "message_differs"    // the view has other content for a message of the page
	FaultExtra           Fault = "message_extra"      // a message in the view claims to be of the page, which does not hold it there
	FaultSetAsideMissing Fault = "set_aside_missing"  // a record that cannot be decrypted is not recorded as set aside
	FaultSetAsideStale   Fault = "set_aside_stale"    // a record is set aside although it can be decrypted
	FaultRevocation      Fault = "revocation_missing" // a withdrawn message is not marked, or its mark differs from the revocation
	FaultRevocationExtra Fault = "revocation_extra"   // a message is marked as withdrawn and no message of the page withdraws it
	FaultLists           Fault = "lists_incomplete"   // a conversation is missing from a party's list of that day
	FaultFileMissing     Fault = "file_missing"       // a file that a message names has no row, or its object is missing
	FaultFileDiffers     Fault = "file_differs"       // the file's object has another size or checksum than its row
	FaultCount           Fault = "result_differs"     // the row's result has other counts than the page
)

// A JobStarter stores replay jobs and requests their runs. A function that only
// starts jobs needs this part of the package alone; [Replayer] runs the jobs.
type JobStarter struct {
	jobs    ReplayLedger
	decodes archive.DecodeQueue
}

var _ ReplayStarter = JobStarter{}

// NewJobStarter makes a starter that stores jobs in the ledger and requests
// their runs from the queue.
func NewJobStarter(jobs ReplayLedger, decodes archive.DecodeQueue) JobStarter {
	return JobStarter{jobs: jobs, decodes: decodes}
}

// StartReplay stores the job and requests its first run. If a job with that ID
// is stored already, StartReplay only requests a run.
func (s JobStarter) StartReplay(ctx context.Context, job Replay) error {
	if err := s.jobs.CreateReplay(ctx, job); err != nil && !errors.Is(err, archive.ErrExists) {
		return fmt.Errorf("store job %s: %w", job.ID, err)
	}
	// After a crash here the job is stored and not requested. Dispatch finds it
	// among the unfinished jobs.
	if err := s.decodes.RequestDecodes(ctx, archive.DecodeRequest{Corp: job.Corp, Replay: job.ID}); err != nil {
		return fmt.Errorf("request job %s: %w", job.ID, err)
	}
	return nil
}

// addFindings counts the findings and keeps as many as there is room for.
func (job *Replay) addFindings(list []Finding) {
	job.Faults += len(list)
	job.Findings = append(slices.Clip(job.Findings), list[:min(len(list), MaxFindings-len(job.Findings))]...)
}
