package archivetest

import (
	"context"
	"iter"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// LedgerStore has all methods of a ledger.
type LedgerStore interface {
	pull.Ledger
	decode.Ledger
	decode.ReplayLedger
	watch.Ledger
	archive.TryLog
	doctor.Records
	// SetupChanges lists the changes that examinations found, the newest first, at
	// most limit. next is the cursor of the next page.
	SetupChanges(ctx context.Context, corp, cursor string, limit int) (list []doctor.Change, next string, err error)
	// PageFiles reads the ids of the files that pages name, by After. A page that
	// names no file may be absent. The afters must be distinct.
	PageFiles(ctx context.Context, corp string, afters []uint64) (map[uint64][]string, error)
	// Losses lists the corp's losses, the oldest first.
	Losses(ctx context.Context, corp string) ([]archive.Loss, error)
	// Replays lists the corp's jobs by ID, the newest first, at most limit.
	Replays(ctx context.Context, corp string, limit int) ([]decode.Replay, error)
}

// ViewStore has all methods of a view. [View] says what the reading methods
// return.
type ViewStore interface {
	decode.View
	Messages(ctx context.Context, corp string, conv archive.ConversationID, q archive.MessageQuery) ([]archive.Message, bool, error)
	Message(ctx context.Context, corp string, conv archive.ConversationID, at archive.Position) (archive.Message, error)
	Newest(ctx context.Context, corp string, conv archive.ConversationID) (archive.Message, error)
	ActiveDays(ctx context.Context, corp, party string, upTo archive.Day, limit int) ([]archive.ActiveDay, error)
	AttendedDays(ctx context.Context, corp string, room archive.ConversationID, q archive.AttendanceQuery) (days []archive.Day, rest archive.Day, err error)
	ListSetAside(ctx context.Context, corp string, afterSeq uint64, limit int) ([]archive.SetAside, bool, error)
	FirstSeen(ctx context.Context, corp string, names []string) (map[string]time.Time, error)
	Clear(ctx context.Context, corp string, removed func(items int)) error
}

// CorpStore has all methods of the store of corps. [Corps] says what the set-up's
// methods do.
type CorpStore interface {
	archive.CorpReader
	watch.CorpLister
	decode.Keys
	CreateCorp(ctx context.Context, c archive.Corp) error
	Rename(ctx context.Context, id, name string) error
	SetEnabled(ctx context.Context, id string, enabled bool, by, reason string, at time.Time) error
	SetSecret(ctx context.Context, id, prefix string, at time.Time) error
	NoteSecret(ctx context.Context, id string, setAt time.Time, d secret.Digest) error
	NoteOpen(ctx context.Context, id string, setAt time.Time, a archive.OpenAnswer) error
	TouchCallback(ctx context.Context, id string, at time.Time) error
	AddKey(ctx context.Context, id string, k archive.Key, makeCurrent bool, prevCurrent string) error
	Claim(ctx context.Context, id, keyID string, version uint32, by string, at time.Time) error
	NoteRetried(ctx context.Context, id, keyID string) error
	KeyQuota(ctx context.Context, id string) (archive.KeyQuota, error)
	SaveKeyQuota(ctx context.Context, id string, q archive.KeyQuota) error
	Callback(ctx context.Context, id string, kind archive.CallbackKind) (archive.Callback, error)
	CreateCallback(ctx context.Context, id string, kind archive.CallbackKind, cb archive.Callback) error
	SwapCallback(ctx context.Context, id string, kind archive.CallbackKind, from, to archive.Callback) error
	NoteFirstEvent(ctx context.Context, id string, kind archive.CallbackKind, pair string, at time.Time) error
	NoteVerified(ctx context.Context, id string, kind archive.CallbackKind, pair string, at time.Time, from string) error
	NoteEvent(ctx context.Context, id string, kind archive.CallbackKind, at time.Time, from string) error
	NoteRefused(ctx context.Context, id string, kind archive.CallbackKind, cb archive.Callback) error
	RecordEvent(ctx context.Context, id string, e archive.Event) (stored bool, _ error)
	Events(ctx context.Context, id string, day archive.Day, place string, limit int) iter.Seq2[archive.Event, error]
	EventCount(ctx context.Context, id string, day archive.Day) (archive.EventCount, error)
}

// JournalStore has all methods of a journal.
type JournalStore interface {
	archive.Journal
	watch.HeadWriter
}
