// Package decode turns the journal's pages into the view. It decodes pages,
// decodes them again for replay jobs, and verifies that journal, ledger and
// view agree (laws 2, 4, 5 and 6).
package decode

import (
	"log/slog"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// Config names everything that decoding reads and writes. [New] copies it.
// Every field is required.
type Config struct {
	Ledger     Ledger       // rows of pages; takes the results of decoding
	Jobs       ReplayLedger // replay jobs, and the rows that a job walks
	Heads      archive.HeadReader
	Journal    archive.Journal
	View       View
	Keys       Keys
	Openers    Openers
	Decrypters Decrypters
	Consents   archive.ConsentWriter
	Files      media.Table
	Objects    FileStats // the files themselves, for verifying
	Media      media.Queue
	Decodes    archive.DecodeQueue // takes the requests for the next pages, and for runs of replay jobs
	Announcer  Announcer
	Parallel   int // private-key operations at a time, at least 1
	Now        func() time.Time
	Log        *slog.Logger
}

// New makes the decoder, and the replayer that runs replay jobs with it.
func New(cfg Config) (*Decoder, *Replayer) {
	jobs := NewJobStarter(cfg.Jobs, cfg.Decodes, cfg.Now)
	decoder := &Decoder{cfg: cfg, replays: jobs}
	return decoder, &Replayer{JobStarter: jobs, cfg: cfg, decoder: decoder, verifier: verifier{decoder}}
}

// recordMargin is the time that one more record may take if the library hangs
// on it twice, plus the time to store what is decoded. Each of the two calls may
// first have to start a process.
const recordMargin = 2*(archive.StartTimeout+archive.InitTimeout+archive.DecryptTimeout+archive.KillTimeout) + 10*time.Second

// pageMargin is the time that must be left to begin a page: enough for one
// record and for storing the progress of the job.
const pageMargin = 2 * recordMargin
