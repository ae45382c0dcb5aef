package archive

import (
	"context"
	"iter"
	"time"

	"github.com/yunduo-scrm/archive/shared/secret"
)

// A ConsentWriter keeps answers. Safe for concurrent use.
type ConsentWriter interface {
	// RecordConsents stores, of answers to one corp, each whose [Consent.Order] is above that of the
	// stored one; the others change nothing and are not an error. The call may be
	// repeated, in any order. Durable on return. After an error any of the answers
	// may be stored.
	RecordConsents(ctx context.Context, consents []Consent) error
}

// CorpReader reads a corp's settings. Corp answers [ErrNotFound] for a corp
// that was never registered.
type CorpReader interface {
	Corp(ctx context.Context, id string) (Corp, error)
}

// SecretReader reads a corp's archive secret as last saved; [ErrNotFound]
// before that. setAt is the corp's SecretSetAt: for the same setAt the answer may
// be what was read before.
type SecretReader interface {
	ArchiveSecret(ctx context.Context, corp string, setAt time.Time) (secret.Value, error)
}

// A Journal keeps pages exactly as WeCom sent them. Every write is made only if
// the object is absent: a repeated write succeeds and changes nothing. Durable on
// return. Safe for concurrent use.
type Journal interface {
	// PutPage stores the page of row under a name made of the row's Corp, After and
	// Sum, with Prev and Hash as metadata.
	PutPage(ctx context.Context, row Row, page []byte) error
	// Page reads a row's page back. It answers [ErrNotFound], or [ErrCorrupt]
	// if the bytes do not have the row's Sum.
	Page(ctx context.Context, row Row) ([]byte, error)
	// Pages lists the objects of pages whose After is at or above from, by After.
	// The list has every page whose PutPage has returned. It ends after the first
	// error.
	Pages(ctx context.Context, corp string, from uint64) iter.Seq2[PageObject, error]
	// PutGap stores the evidence of a gap's row, named as a page is. Gap answers
	// nil if the journal has it. Otherwise it answers the errors of Page:
	// [ErrCorrupt] also if the evidence was stored for a gap with another Last or
	// Reason.
	PutGap(ctx context.Context, row Row) error
	Gap(ctx context.Context, row Row) error
	// Head reads the head that a [watch.HeadWriter] stored, with the errors of Page.
	Head(ctx context.Context, corp string, day Day) (Head, error)
	// Heads lists the objects of the corp's daily heads, by day. It ends after the
	// first error.
	Heads(ctx context.Context, corp string) iter.Seq2[HeadObject, error]
	// PutMessage and Message keep messages over [InlineLimit], named by corp
	// and digest. Message has the errors of Page.
	PutMessage(ctx context.Context, corp string, o Overflow, raw []byte) error
	Message(ctx context.Context, corp string, o Overflow) ([]byte, error)
}

// A PageObject is an object of the journal that holds a page, as a listing shows
// it.
type PageObject struct {
	After uint64
	Sum   string // as its name says
	Size  int
	At    time.Time // when it was written, by the clock of the store
}

// A HeadObject is an object of the journal that holds a daily head, as a listing
// shows it.
type HeadObject struct {
	Day Day
	At  time.Time // when it was written, by the clock of the store
}

// PullQueue takes requests to pull. Durable on return. [WantedPulls] is one, so few
// requests of a corp wait; a [PullSender] is none.
type PullQueue interface {
	RequestPulls(ctx context.Context, reqs ...PullRequest) error
}

// PullSender puts each request into the queue. Only [WantedPulls] calls it: its
// method has another name than that of [PullQueue], so that the compiler refuses a
// function that would send past the marks without saying so.
type PullSender interface {
	SendPulls(ctx context.Context, reqs ...PullRequest) error
}

// DecodeQueue takes requests to decode. Durable on return.
type DecodeQueue interface {
	RequestDecodes(ctx context.Context, reqs ...DecodeRequest) error
}

// RowQuery selects rows of a chain by their After.
type RowQuery struct {
	From       uint64 // inclusive
	Descending bool   // From and below instead of From and above
	Limit      int    // at most this many, 1 to 1000
	// ChainOnly leaves State, Tries and Result unset. Rows of the last second may
	// be missing. A row then costs less than half to read.
	ChainOnly bool
}

// HeadReader reads the end of a corp's chain, consistently.
type HeadReader interface {
	Head(ctx context.Context, corp string) (Head, error)
}
