package archive

import (
	"context"
	"iter"
	"time"
)

// CorpLister lists every registered corp, in no order. The sequence ends
// after the first error.
type CorpLister interface {
	Corps(ctx context.Context) iter.Seq2[Corp, error]
}

// A DispatchLedger is what the dispatcher looks at. Safe for concurrent use.
type DispatchLedger interface {
	// PullStates reads the states of the corps, those never saved included.
	PullStates(ctx context.Context, corps []string) (map[string]PullState, error)
	// PendingBefore lists pages whose last decode request is older than
	// before, oldest seq first, at most limit.
	PendingBefore(ctx context.Context, corp string, before time.Time, limit int) ([]Pending, error)
	// Rerequested notes another decode request on a pending page, as p was
	// read: Tries goes up by one, and Stuck may be set, which also sets the
	// row's state. [ErrConflict] if the page was requested or decoded
	// meanwhile.
	Rerequested(ctx context.Context, p Pending, at time.Time, stuck bool) error
	// RecordLoss stores a loss once: the same Corp and Since again changes
	// nothing.
	RecordLoss(ctx context.Context, l Loss) error
	UnfinishedReplays(ctx context.Context, corp string, before time.Time) ([]Replay, error)
}

// QueueDepth says about how many messages wait in a queue or are being worked
// on.
type QueueDepth interface {
	Depth(ctx context.Context) (int, error)
}
