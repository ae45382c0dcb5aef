package archive

import (
	"context"
	"time"
)

// RowQuery selects rows of a chain by their After.
type RowQuery struct {
	From       uint64 // inclusive
	Descending bool   // From and below instead of From and above
	Limit      int    // at most this many, 1 to 1000
}

// A ReplayLedger keeps replay jobs and lists the rows they walk. Safe for
// concurrent use.
type ReplayLedger interface {
	Rows(ctx context.Context, corp string, q RowQuery) ([]Row, error)
	// CreateReplay stores a new job, which is unfinished; [ErrExists].
	CreateReplay(ctx context.Context, r Replay) error
	Replay(ctx context.Context, corp, id string) (Replay, error)
	// AdvanceReplay replaces the job if it is still as old; [ErrConflict].
	AdvanceReplay(ctx context.Context, old, now Replay) error
	// UnfinishedReplays lists jobs not done and not advanced since before.
	UnfinishedReplays(ctx context.Context, corp string, before time.Time) ([]Replay, error)
}
