package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// TypeName is a msgtype as a [Result] counts it: one that is far longer than
// any of WeCom's is named by its beginning and a digest, because a row has to
// stay small.
func TypeName(msgType string) string {
	const longest = 64
	if len(msgType) <= longest {
		return msgType
	}
	return strings.ToValidUTF8(msgType[:longest], "") + "~" + Digest([]byte(msgType))[:16]
}

// RowKind tells the two things that may move a corp's head (law 1).
type RowKind string

// The kinds of row.
const (
	PageRow RowKind = "page"
	GapRow  RowKind = "gap"
)

// RowState is what became of a page after it was recorded.
type RowState string

// The states. A gap row has state decoded from the start.
const (
	RowRequested RowState = "requested" // durable; a decode was or will be requested
	RowDecoded   RowState = "decoded"   // its view is written; Result says what was made of it
	RowStuck     RowState = "stuck"     // requested again and again without an answer; alarmed, retried once an hour
)

// Row is one link of a corp's chain: a page of the journal, or a gap. It
// covers the seqs in (After, Last]. Its fields up to Hash never change.
type Row struct {
	Corp  string
	Kind  RowKind
	After uint64 // the seq that was asked after
	First uint64 // lowest seq of the page; 0 for a gap
	Last  uint64 // highest seq of the page; end of a gap
	Count int    // records of the page; 0 for a gap
	Sum   string // hex SHA-256 of the page's bytes; of the evidence for a gap
	Size  int    // bytes of the page
	At    time.Time
	// Reason and Evidence are set for gaps: a short code, and which answers
	// were seen when.
	Reason   string
	Evidence string
	Prev     string // Hash of the row before; GenesisHash of the corp for the first
	Hash     string // ChainHash of the fields above

	State  RowState
	Tries  int     // how often a decode was requested
	Result *Result // nil until decoded
}

// Result is what decoding made of a page. It replaces the one before, whole:
// nothing is ever incremented.
type Result struct {
	At         time.Time
	Stored     int            // messages written to the view, unreadable ones included
	Unreadable int            // of these, not a JSON object
	SetAside   map[string]int // rows kept aside, by [SetAside] reason
	Types      map[string]int // stored messages by msgtype, or action where there is none; see [TypeName]
	Unknown    map[string]int // messages with a field that nobody here knows, by msgtype, a space, and the field; the first 200 of a page
	Files      int            // distinct files that the messages name
}

// MaxFileIDs bounds the files that are kept by name of a page: they are one
// item.
const MaxFileIDs = 2000

// Waiting is how many rows of the page are set aside.
func (r *Result) CountSetAside() int {
	if r == nil {
		return 0
	}
	n := 0
	for _, c := range r.SetAside {
		n += c
	}
	return n
}

// Head is the end of a corp's chain. The zero Head (with Corp set) is that of
// a corp with no rows.
type Head struct {
	Corp string
	Last uint64 // highest seq that is durable or recorded as a gap
	Rows uint64 // number of rows so far
	Hash string // Hash of the last row; GenesisHash when there is none
	At   time.Time
}

// NewHead is the head of a corp without rows.
func NewHead(corp string) Head { return Head{Corp: corp, Hash: GenesisHash(corp)} }

// Next is the head after row has been appended to it.
func (h Head) Next(row Row) Head {
	return Head{Corp: h.Corp, Last: row.Last, Rows: h.Rows + 1, Hash: row.Hash, At: row.At}
}

// GenesisHash is the value that a corp's first row chains to. It differs
// between corps, so that no row fits into another corp's chain.
func GenesisHash(corp string) string {
	sum := sha256.Sum256([]byte("yunduo-archive ledger v1\n" + corp + "\n"))
	return hex.EncodeToString(sum[:])
}

// ChainHash computes a row's Hash: the hex SHA-256 over its unchanging fields
// and Prev, one per line. Free text is covered by its own digest so that a
// line break in it cannot stand for another field.
func ChainHash(r Row) string {
	text := sha256.Sum256([]byte(fmt.Sprintf("%d\n%s%s", len(r.Reason), r.Reason, r.Evidence)))
	sum := sha256.Sum256(fmt.Appendf(nil, "yunduo-archive row v1\n%s\n%s\n%d\n%d\n%d\n%d\n%s\n%d\n%d\n%x\n%s\n",
		r.Corp, r.Kind, r.After, r.First, r.Last, r.Count, r.Sum, r.Size, r.At.UnixMilli(), text, r.Prev))
	return hex.EncodeToString(sum[:])
}

// Pending is a page that is durable and not decoded yet.
type Pending struct {
	Corp        string
	After       uint64
	RequestedAt time.Time // of the last decode request
	Tries       int
	Stuck       bool
}

// PullState is what the last pulls of a corp found. It is a report and a
// brake, never a cursor: losing it costs a needless call, no message. It is
// written whole by the one puller of the corp; the last writer wins.
type PullState struct {
	Corp        string
	LastCallAt  time.Time // WeCom was last asked
	LastPageAt  time.Time // a page with records last became durable
	LastEmptyAt time.Time // WeCom was asked and answered with an empty page: "caught up"
	// Standing is that of the archive secret. Its trouble is why the last pull
	// stopped early; its pause also spaces the search for a gap.
	Standing
	// Limit is the page size in force, lowered after a page was too large or
	// crashed the library; 0 means the full [pull.PageLimit].
	Limit int
	// Probe is set while single records that cannot be fetched are passed.
	GapSearch *GapSearch
	// HeadDay is the last day (Beijing date, 2006-01-02) whose opening head
	// was written beside the journal.
	HeadDay string
	// Gaps counts the corp's gap rows, and LastGap says which is the newest; nil
	// for none. The ledger is the proof: these say whether to look.
	Gaps    int
	LastGap *GapNote
}

// GapNote is a gap row in short.
type GapNote struct {
	After, Last uint64 // the row's
	Reason      string
	At          time.Time
}

// Probe is the search for the first seq after which WeCom answers again, while
// the record behind the head cannot be fetched.
type GapSearch struct {
	After    uint64 // the head behind which the record is
	Reason   string // why it could not be fetched, first
	Since    time.Time
	Attempts int    // calls for it alone that failed
	At       uint64 // the seq last asked after in search of an answer
	Good     uint64 // a seq after which WeCom answered; 0 until there is one
	Failed   uint64 // asking after each seq up to this failed while asking after Good did not
	Sampled  bool   // not after each: the range was too long
	Doubts   int    // how often in a row there was no answer after Good
}

// Loss is a time in which WeCom may have deleted messages that were not
// pulled (law 9). It is recorded for ever.
type Loss struct {
	Corp  string
	Since time.Time // last moment known to be caught up, or when archiving began
	At    time.Time // when the 120 hours were over
}

// Retention is how long WeCom keeps messages and media (document 91774).
const Retention = 120 * time.Hour

// HoursLeft is how long it takes until the oldest message that may still be
// unpulled is deleted by WeCom: 120 h from the last empty page. It is
// negative once that has happened.
func HoursLeft(c Corp, s PullState, now time.Time) time.Duration {
	return Retention - now.Sub(caughtUp(c, s))
}

// LossOf is the loss that c suffers, or will suffer, if nothing more is pulled.
func LossOf(c Corp, s PullState) Loss {
	since := caughtUp(c, s)
	return Loss{Corp: c.ID, Since: since, At: since.Add(Retention)}
}

func caughtUp(c Corp, s PullState) time.Time {
	if s.LastEmptyAt.IsZero() {
		return c.EnabledAt
	}
	return s.LastEmptyAt
}
