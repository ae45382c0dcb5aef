package archive

import (
	"context"
	"time"

	"github.com/yunduo-scrm/archive/shared/secret"
)

// PageLimit is the most records WeCom gives in one page (document 91774).
const PageLimit = 1000

// A PullLedger is where the puller reads and moves the head. Safe for
// concurrent use.
type PullLedger interface {
	// Head reads the end of the corp's chain, consistently: it sees every
	// Append that has returned. A corp without rows has [NewHead].
	Head(ctx context.Context, corp string) (Head, error)
	// Append makes row durable and moves the head from prev to it, in one
	// transaction, and marks a page row as pending. It answers [ErrConflict]
	// and changes nothing if the head is no longer prev or the row is there
	// already. After any other error the row may or may not be durable.
	Append(ctx context.Context, prev Head, row Row) error
	// PullState reads the state last saved; a zero state with Corp set if none.
	PullState(ctx context.Context, corp string) (PullState, error)
	// SavePullState replaces the state.
	SavePullState(ctx context.Context, s PullState) error
	// RecordRefusal adds to the refusals that our address has had, of all
	// corps; Refusals counts those at or after since, at most the last 24 h.
	RecordRefusal(ctx context.Context, corp string, at time.Time) error
	Refusals(ctx context.Context, since time.Time) (int, error)
}

// CorpReader reads a corp's settings. Corp answers [ErrNotFound] for a corp
// that was never registered.
type CorpReader interface {
	Corp(ctx context.Context, id string) (Corp, error)
}

// SecretReader reads a corp's archive secret as last saved; [ErrNotFound]
// before that.
type SecretReader interface {
	ArchiveSecret(ctx context.Context, corp string) (secret.Value, error)
}

// A Journal keeps pages exactly as WeCom sent them. Every write is "if
// absent": writing the same again succeeds and changes nothing. Durable on
// return. Safe for concurrent use.
type Journal interface {
	// PutPage stores the page of row, under a name made of the row's Corp,
	// After and Sum; Prev and Hash go along as metadata.
	PutPage(ctx context.Context, row Row, page []byte) error
	// Page reads a row's page back. It answers [ErrNotFound], or [ErrCorrupt]
	// if the bytes do not have the row's Sum.
	Page(ctx context.Context, row Row) ([]byte, error)
	// PutHead stores the corp's head as it was when the day began.
	PutHead(ctx context.Context, day Day, head Head) error
	// PutMessage and Message keep messages over [InlineLimit], named by corp
	// and digest. Message answers like Page.
	PutMessage(ctx context.Context, corp string, o Overflow, raw []byte) error
	Message(ctx context.Context, corp string, o Overflow) ([]byte, error)
}

// A Source asks WeCom, through its library, as one corp. Not safe for
// concurrent use. Errors are [*SDKError], [*CrashError], or the context's.
type Source interface {
	// ChatData returns WeCom's answer to GetChatData as it is: JSON with an
	// errcode of its own. The caller owns the bytes.
	ChatData(ctx context.Context, after uint64, limit int) ([]byte, error)
}

// Sources opens sources. A source's process is initialised with corp and its
// secret and serves nobody else (law 8). Opening is cheap where a process
// with the same corp and secret is still there. It fails with an error if no
// process can be started at all; whether Init works shows at the first call.
type Sources interface {
	Source(ctx context.Context, corp string, archiveSecret secret.Value) (Source, error)
}

// PullQueue takes requests to pull. Durable on return.
type PullQueue interface {
	RequestPulls(ctx context.Context, reqs ...PullRequest) error
}

// DecodeQueue takes requests to decode. Durable on return.
type DecodeQueue interface {
	RequestDecodes(ctx context.Context, reqs ...DecodeRequest) error
}
