package decode

import (
	"context"
	"errors"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// A Ledger holds the rows of pages and takes the results of decoding. Safe for
// concurrent use.
type Ledger interface {
	// Row reads the row with that After. It returns [archive.ErrNotFound] if
	// the ledger has no such row.
	Row(ctx context.Context, corp string, after uint64) (archive.Row, error)
	// Finish records the result of the page of a row, and then takes the page off
	// the pending pages, which makes the row's state [archive.RowDecoded]. After
	// an error the page may still be pending. It is idempotent; the last writer
	// wins.
	//
	// files are the ids of the files that the page's messages name: sorted, at
	// most [archive.MaxFileIDs]. Finish makes them durable before the result.
	// They replace the ids stored earlier. If files is empty the stored ids may
	// stay: the result then says that the page names no file.
	Finish(ctx context.Context, corp string, after uint64, result archive.Result, files []string) error
	archive.PendingPages
}

// A View takes decoded pages and compares them with what is stored.
type View interface {
	ViewWriter
	ViewChecker
}

// A ViewWriter stores decoded pages. Repeating a write changes nothing. Safe
// for concurrent use.
type ViewWriter interface {
	// WritePage stores all of p, in the order of its fields. Everything is
	// durable when it returns nil. After an error any part may be stored.
	WritePage(ctx context.Context, p Decoded) error
	// SetAside lists the records set aside with First <= Seq <= Last, by Seq.
	SetAside(ctx context.Context, corp string, first, last uint64) ([]archive.SetAside, error)
}

// Decoded is a decoded page: everything that the view stores of it.
type Decoded struct {
	Corp        string
	Messages    []archive.Message    // Raw is nil where Overflow is set
	Revocations []archive.Revocation // of several with one [archive.RevocationKey] the view keeps the lowest Seq
	Activities  []archive.Activity   // distinct; the view skips those it has already
	SetAside    []archive.SetAside   // each replaces a stored one of the same Seq
	Cleared     []uint64             // seqs that are set aside in the view and no longer should be
	FirstSeen   []FirstSeen          // of several with one Name the view keeps the earliest At
	Change      archive.Change       // says that Messages are there; with a zero At the view notes nothing
}

// FirstSeen says when a message type, or a field that this version does not
// know, first came: the time of the pull of the first page that has it. It is
// kept permanently, so that a type from an earlier year is not reported as new.
type FirstSeen struct {
	Corp string
	Name string // as [archive.Result] counts it: the type, or the type, a space and the field
	At   time.Time
}

// A ViewChecker compares decoded pages with what is stored. Safe for concurrent
// use.
type ViewChecker interface {
	// Check compares p, which is one page or several that follow one another, with the
	// view. It looks for everything that storing p would store. In the conversations
	// of p's messages, between the first and the last of them, it also looks for items
	// that name one of the pages as their origin, or have a seq in their range, and
	// that p does not contain. It does not see items anywhere else.
	Check(ctx context.Context, p Decoded) (Checked, error)
}

// Checked lists by seq where the view differs from a decoded page.
type Checked struct {
	Missing         []uint64           // messages that are not stored
	Differing       []uint64           // messages that are stored with other content
	Extra           []uint64           // stored messages that by their origin or seq belong to the page and are not in it
	SetAsideMissing []uint64           // records that should be stored as set aside and are not
	SetAsideStale   []uint64           // records that are stored as set aside and should not be
	NotRevoked      []uint64           // revocations that are missing or differ, by the seq of the revoking message
	ExtraRevoked    []Marking          // revocations that no message of the page makes, by Seq
	NotInLists      []archive.Activity // list entries that are not stored
}

// A Marking is a stored revocation.
type Marking struct {
	Seq uint64 // the seq of the revoking message, as the revocation names it
	Of  uint64 // the seq of the revoked message if the page has it; else Seq, which the page then has
}

// Keys reads a corp's keys and records proofs.
type Keys interface {
	// KeySet reads consistently. A corp without keys has an empty set.
	KeySet(ctx context.Context, corp string) (archive.KeySet, error)
	// Bind records a proof. It returns [archive.ErrExists] if the version is
	// bound to a key already, whichever key that is.
	Bind(ctx context.Context, corp string, b archive.Binding) error
	// TouchKey notes that a key opened a message of a page that was pulled at a
	// time. An earlier time than the noted one changes nothing.
	TouchKey(ctx context.Context, corp, keyID string, at time.Time) error
}

// An Opener uses one private key. Safe for concurrent use.
type Opener interface {
	// Open undoes RSA PKCS#1 v1.5 (wecom.md 1.6). It fails if the padding is
	// wrong. Success proves little: a wrong key's padding may be right by
	// chance, and some libraries return random bytes in place of an error.
	Open(ciphertext []byte) ([]byte, error)
}

// Openers fetches private keys by corp and key id. It returns
// [archive.ErrNotFound] if the secret store has no such key. It may keep keys in
// memory for some minutes. Safe for concurrent use.
type Openers interface {
	Opener(ctx context.Context, corp, keyID string) (Opener, error)
}

// ErrRefused says that the secret with which the library would be initialised must
// not be shown to WeCom now (law 8): WeCom refused it, or our address has no budget.
var ErrRefused = errors.New("secret refused by the library, or too many secrets refused to our address")

// A Decrypter is WeCom's DecryptData, in a process that serves one corp. Not
// safe for concurrent use. Its errors are those of [pull.Source], or an [ErrRefused].
type Decrypter interface {
	// Decrypt takes the key text that a private key opened, and the record's
	// encrypt_chat_msg, both unchanged. The caller owns the returned bytes.
	Decrypt(ctx context.Context, keyText []byte, message string) ([]byte, error)
	// DecryptAll decrypts several records in one exchange with the process, and
	// returns a result for each, in their order. An error says nothing of a single
	// record: if the process died, any of them may be the cause.
	DecryptAll(ctx context.Context, records []Sealed) ([]Decrypted, error)
}

// Sealed is what Decrypt takes of a record.
type Sealed struct {
	KeyText []byte
	Message string
}

// Decrypted is what the library made of a record: the bytes if Code is 0.
type Decrypted struct {
	Raw  []byte
	Code int
}

// Decrypters provides a corp's decrypter, or answers an [ErrRefused]. It is cheap if
// the corp's process is running already.
type Decrypters interface {
	Decrypter(ctx context.Context, corp string) (Decrypter, error)
}

// FileStats tells what the store of files has of a file, without reading it. Safe
// for concurrent use.
type FileStats interface {
	// StatFile returns the size of a file's object, and the checksum that the
	// store made of it when it was written; [archive.ErrNotFound].
	StatFile(ctx context.Context, corp, id string) (size int64, checksum string, err error)
}

// A ReplayLedger keeps replay jobs and lists the rows that they walk. Safe for
// concurrent use.
type ReplayLedger interface {
	// Rows reads rows of the chain, consistently unless the query says otherwise.
	Rows(ctx context.Context, corp string, q archive.RowQuery) ([]archive.Row, error)
	// CreateReplay stores a new, unfinished job. It returns
	// [archive.ErrExists] if a job with that ID is stored.
	CreateReplay(ctx context.Context, r Replay) error
	// Replay reads a job. It returns [archive.ErrNotFound] if no job with that
	// id is stored.
	Replay(ctx context.Context, corp, id string) (Replay, error)
	// AdvanceReplay replaces the job old with the job now. It returns
	// [archive.ErrConflict] if the stored job differs from old.
	AdvanceReplay(ctx context.Context, old, now Replay) error
	RunningJobs
}

// RunningJobs holds the running replay and the running verification of each corp:
// at most one of each. Writes are durable on return. Safe for concurrent use.
type RunningJobs interface {
	// Running reads consistently. It returns [archive.ErrNotFound] if the corp has
	// no such job.
	Running(ctx context.Context, corp string, verify bool) (Running, error)
	// SetRunning returns [archive.ErrExists] if the corp has such a job.
	SetRunning(ctx context.Context, r Running) error
	// ReplaceRunning replaces the entry old with the entry now. It returns
	// [archive.ErrConflict] if the stored entry differs from old.
	ReplaceRunning(ctx context.Context, old, now Running) error
	// RemoveRunning returns [archive.ErrConflict] if the stored entry differs from
	// old.
	RemoveRunning(ctx context.Context, old Running) error
}

// A ReplayStarter begins replay jobs. A corp has one replay and one verification
// at a time. Starting a job with the same ID again starts no second job.
type ReplayStarter interface {
	// StartReplay stores the job and requests its run. It returns a
	// [*RunningError] if another job of the corp runs.
	StartReplay(ctx context.Context, r Replay) error
}

// An Announcer tells the SCRM's backend which conversations have new messages. It
// does not fail, and takes two seconds at most: the SCRM finds what it was not told
// when it next asks for changes. Safe for concurrent use.
type Announcer interface {
	AnnounceMessages(ctx context.Context, corp string, updates []Update)
}
