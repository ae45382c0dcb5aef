package proof

import (
	"context"
	"iter"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// Handlers answer auditors. The fields never change after the first request.
// The stores are safe for concurrent use; a write that returned nil is durable;
// an absent thing is [archive.ErrNotFound].
type Handlers struct {
	Ledger   Ledger
	Events   EventStore
	Messages MessageStore
	Files    FileTable
	Readings ReadingStore
	Replays  decode.ReplayStarter
	Names    Names
	NewID    func() string // letters and digits; each id is new
	Now      func() time.Time
}

// Ledger reads the chain, the state of pulling, and replay jobs.
type Ledger interface {
	Head(ctx context.Context, corp string) (archive.Head, error)
	Rows(ctx context.Context, corp string, q archive.RowQuery) ([]archive.Row, error)
	PullState(ctx context.Context, corp string) (archive.PullState, error)
	// Pendings lists the oldest pages that are not decoded, at most limit.
	Pendings(ctx context.Context, corp string, limit int) ([]archive.Pending, error)
	Losses(ctx context.Context, corp string) ([]archive.Loss, error)
	// PageFiles reads the ids of the files of pages, at most 100, by After.
	PageFiles(ctx context.Context, corp string, afters []uint64) (map[uint64][]string, error)
	Replay(ctx context.Context, corp, id string) (decode.Replay, error)
	// Replays lists the newest jobs, newest first, at most limit.
	Replays(ctx context.Context, corp string, limit int) ([]decode.Replay, error)
	// AdvanceReplay replaces the job old with the job now, or returns
	// [archive.ErrConflict].
	AdvanceReplay(ctx context.Context, old, now decode.Replay) error
	// Notified reads what people were last notified of.
	Notified(ctx context.Context, corps []string) (map[string]watch.Notified, error)
}

// Names finds names for the ids in an answer.
type Names interface {
	Beside(ctx context.Context, corp archive.Corp, people, rooms []string) directory.Names
	// Users finds the names of users of the API who are members. It never fails.
	Users(ctx context.Context, corp archive.Corp, users []string) directory.Names
}

// EventStore reads callback events.
type EventStore interface {
	// Events lists at most limit events of a day behind a place, in the order of
	// [archive.Event.Place]. The list begins at the empty place.
	Events(ctx context.Context, id string, day archive.Day, place string, limit int) iter.Seq2[archive.Event, error]
	// EventCount counts the events that arrived on a day.
	EventCount(ctx context.Context, id string, day archive.Day) (archive.EventCount, error)
}

// MessageStore reads what decoding made of records beside messages.
type MessageStore interface {
	// FirstSeen finds when types and fields, named as [archive.Result] counts
	// them, were first seen. The map has no entry for a name never seen.
	FirstSeen(ctx context.Context, corp string, names []string) (map[string]time.Time, error)
	// ListSetAside lists the records set aside above afterSeq, by seq.
	ListSetAside(ctx context.Context, corp string, afterSeq uint64, limit int) (list []archive.SetAside, more bool, err error)
}

// FileTable reads the rows of files.
type FileTable interface {
	// Files reads the rows that exist, by id.
	Files(ctx context.Context, corp string, ids []string) (map[string]media.File, error)
	Backlog(ctx context.Context, corp string, now time.Time) (media.Backlog, error)
}

// ReadingStore reads which user read which chat.
type ReadingStore interface {
	// Readings lists a day's readings, at most limit. next is the cursor of the
	// next page, empty at the end.
	Readings(ctx context.Context, corp string, day archive.Day, cursor string, limit int) (list []archive.Reading, next string, err error)
}
