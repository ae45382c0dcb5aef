package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// TypeName is a msgtype as a [Result] counts it. A msgtype that is far longer
// than those of WeCom is shortened to its beginning and a digest, because a row
// must stay small.
func TypeName(msgType string) string {
	const longest = 64
	if len(msgType) <= longest {
		return msgType
	}
	return strings.ToValidUTF8(msgType[:longest], "") + "~" + Digest([]byte(msgType))[:16]
}

// RowKind says which of the two rows a row is that may move a corp's head (law 1).
type RowKind string

// The kinds of row.
const (
	PageRow RowKind = "page"
	GapRow  RowKind = "gap"
)

// RowState is the progress of a page after it was recorded.
type RowState string

// The states. A gap row is decoded from the start.
const (
	RowRequested RowState = "requested" // durable; its decoding was requested, or is when its turn comes
	RowDecoded   RowState = "decoded"   // its view is written; Result has the counts
	RowStuck     RowState = "stuck"     // requested several times without success; alarms, and is requested once an hour
)

// Row is one link of a corp's chain: a page of the journal, or a gap. It
// covers the seqs in (After, Last]. Its fields up to Hash never change; the
// others say what became of its page.
type Row struct {
	Corp  string
	Kind  RowKind
	After uint64    // the seq after which the page was requested
	First uint64    // lowest seq of the page; 0 for a gap
	Last  uint64    // highest seq of the page; end of a gap
	Count int       // records of the page; 0 for a gap
	Sum   string    // hex SHA-256 of the page's bytes, or of a gap's evidence
	Size  int       // bytes of the page
	At    time.Time // of the pull; not before that of the previous row, unless a clock was wrong by over a minute
	// Reason and Evidence are set for gaps: a short code, and which answers WeCom
	// gave when. The journal has the evidence too.
	Reason   string
	Evidence string
	Prev     string // Hash of the previous row; GenesisHash of the corp for the first row
	Hash     string // ChainHash of the fields above

	State  RowState
	Tries  int     // how often decoding was requested; 0 while the page waits for its turn, and once it is decoded
	Result *Result // nil until decoded
}

// Result counts what decoding made of a page. A later decode replaces it as a
// whole; no count is incremented.
type Result struct {
	At         time.Time
	Stored     int            // messages written to the view, unreadable ones included
	Unreadable int            // those of them that are not a JSON object
	SetAside   map[string]int // records set aside, by [Reason]
	Types      map[string]int // stored messages by msgtype, or action where there is none; see [TypeName]
	Unknown    map[string]int // messages with an unknown field, by msgtype, a space, and the field; the first 200 of a page
	Files      int            // distinct files that the messages name
}

// MaxFileIDs is how many file ids are kept for a page: they share one item.
const MaxFileIDs = 2000

// CountSetAside is how many records of the page are set aside.
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

// Head is the end of a corp's chain.
type Head struct {
	Corp string
	Last uint64 // highest seq that is durable or recorded as a gap
	Rows uint64 // number of rows so far
	Hash string // Hash of the last row; GenesisHash without rows
	At   time.Time
}

// NewHead is the head of a corp without rows.
func NewHead(corp string) Head { return Head{Corp: corp, Hash: GenesisHash(corp)} }

// Next is the head after row was appended.
func (h Head) Next(row Row) Head {
	return Head{Corp: h.Corp, Last: row.Last, Rows: h.Rows + 1, Hash: row.Hash, At: row.At}
}

// GenesisHash is the Prev of a corp's first row. It differs between corps, so a
// row of one corp does not fit into the chain of another.
func GenesisHash(corp string) string {
	sum := sha256.Sum256([]byte("yunduo-archive ledger v1\n" + corp + "\n"))
	return hex.EncodeToString(sum[:])
}

// ChainHash computes a row's Hash: the hex SHA-256 over its unchanging fields
// and Prev, one per line. Free text is covered by a digest of its own, so that a
// line break in the text cannot imitate another field.
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
	RequestedAt time.Time // of the last decode request; before the first, of the pull
	Tries       int       // how often decoding was requested, see [PageRequests]
	Stuck       bool
}

// PullState is what the last pulls of a corp found. It reports and slows down;
// it is not a cursor, so losing it costs a call and no message. The corp's one
// puller writes it as a whole; the last writer wins.
type PullState struct {
	Corp        string
	LastCallAt  time.Time // last call to WeCom
	LastPageAt  time.Time // last time a page with records became durable
	LastEmptyAt time.Time // start of the last call that WeCom answered with an empty page: "caught up"
	// UnannouncedAt is when the timer last found messages that no callback had
	// announced yet, although the corp was caught up before: the callback is late, or
	// it was refused before it reached us.
	UnannouncedAt time.Time
	// Standing is that of the archive secret. Its trouble is why the last pull
	// stopped early; its pause also spaces the search for a gap.
	Standing
	// Limit is the page size in use, lowered after a page that was too large or
	// crashed the library; 0 means the full [pull.PageLimit].
	Limit int
	// GapSearch is set while the record after the head cannot be fetched.
	GapSearch *GapSearch
	// Gaps counts the corp's gap rows, and LastGap names the newest; nil for none.
	// They say whether a look at the ledger, which is the proof, is worthwhile.
	Gaps    int
	LastGap *GapNote
}

// GapNote is the summary of a gap row.
type GapNote struct {
	After, Last uint64 // as in the row
	Reason      string
	At          time.Time
}

// GapSearch is the progress of the search for the first seq after which a call
// succeeds, while the record after the head cannot be fetched.
type GapSearch struct {
	After    uint64 // the head; the record is the next after it
	Reason   string // why the first call for the record failed
	Since    time.Time
	Attempts int    // failed calls for the record alone
	At       uint64 // the seq of the last call of the search
	Good     uint64 // a call after this seq succeeded; 0 before the first such call
	Failed   uint64 // calls after every seq up to this one failed, while a call after Good succeeded
	Sampled  bool   // only some seqs of the range were tried: the range was too long
	Doubts   int    // calls after Good that failed in a row
}

// Loss is a period in which WeCom may have deleted messages that were not pulled
// (law 9). It is recorded permanently.
type Loss struct {
	Corp  string
	Since time.Time // when the corp was last caught up, or when archiving began
	At    time.Time // when the 120 hours were over
}

// Retention is how long WeCom keeps messages and media (document 91774).
const Retention = 120 * time.Hour

// LateBelow is the time left below which a corp is late, without any known cause.
const LateBelow = 72 * time.Hour

// HoursLeft is the time until WeCom deletes the oldest message that may be
// unpulled: 120 h from the last empty page. It is negative after that moment.
func HoursLeft(c Corp, s PullState, now time.Time) time.Duration {
	return Retention - now.Sub(caughtUp(c, s))
}

// LossOf is the loss that c has, or will have if pulling stops.
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
