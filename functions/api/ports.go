package main

import (
	"context"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

// What the API needs of its stores. All are safe for concurrent use; whatever
// a method that writes returned nil for is durable; absent things are
// [archive.ErrNotFound].

// corpStore holds settings, public keys, claims and callback events. Methods
// that change a corp or key answer ErrNotFound where there is none.
type corpStore interface {
	archive.CorpReader // consistent
	// CreateCorp answers [archive.ErrExists].
	CreateCorp(ctx context.Context, corp archive.Corp) error
	Rename(ctx context.Context, id, name string) error
	// SetEnabled keeps EnabledAt if the corp is enabled already.
	SetEnabled(ctx context.Context, id string, enabled bool, at time.Time) error
	SetSecret(ctx context.Context, id, prefix string, at time.Time) error
	// AddKey stores the key and, if makeCurrent, moves the corp's CurrentKey
	// from prevCurrent to it, all or nothing. [archive.ErrExists] if the key is
	// there; [archive.ErrConflict] if the current key is not prevCurrent.
	AddKey(ctx context.Context, id string, k archive.Key, makeCurrent bool, prevCurrent string) error
	// Claim sets the version that a person typed for a key; 0 clears it.
	Claim(ctx context.Context, id, keyID string, version uint32, at time.Time) error
	// KeySet is consistent, and empty for a corp without keys.
	KeySet(ctx context.Context, corp string) (archive.KeySet, error)
	// TouchCallback writes at most once per [archive.CallbackTouch].
	TouchCallback(ctx context.Context, id string, at time.Time) error
	// RecordEvent keeps an event that comes again once.
	RecordEvent(ctx context.Context, id string, e archive.Event) error
	// Events lists a day's events in the order of At.
	Events(ctx context.Context, id string, day archive.Day) ([]archive.Event, error)
}

// secretStore holds what only we and WeCom know. It never gives a private key
// back.
type secretStore interface {
	archive.SecretReader
	PutArchiveSecret(ctx context.Context, corp string, v secret.Value) error
	// CreateCallback and CreatePrivateKey answer [archive.ErrExists].
	Callback(ctx context.Context, corp string) (secretstore.CallbackPair, error)
	CreateCallback(ctx context.Context, corp string, pair secretstore.CallbackPair) error
	CreatePrivateKey(ctx context.Context, corp, keyID string, pkcs8 secret.Value) error
	// Of the self-built app, like those of the archive.
	directory.AppSecrets
	PutAppSecret(ctx context.Context, corp string, v secret.Value) error
	AppCallback(ctx context.Context, corp string) (secretstore.CallbackPair, error)
	CreateAppCallback(ctx context.Context, corp string, pair secretstore.CallbackPair) error
}

// ledger tells of the chain, of what waits, and of replay jobs.
type ledger interface {
	Head(ctx context.Context, corp string) (archive.Head, error)
	Rows(ctx context.Context, corp string, q archive.RowQuery) ([]archive.Row, error)
	PullState(ctx context.Context, corp string) (archive.PullState, error)
	// Pendings lists the oldest pages that are not decoded, at most limit.
	Pendings(ctx context.Context, corp string, limit int) ([]archive.Pending, error)
	Losses(ctx context.Context, corp string) ([]archive.Loss, error)
	// PageFiles reads the ids of the files of pages, at most 100, by After.
	PageFiles(ctx context.Context, corp string, afters []uint64) (map[uint64][]string, error)
	// CreateReplay stores a job that is not requested yet, which
	// [decode.ReplayStarter] does; dispatch does too, 15 minutes later.
	CreateReplay(ctx context.Context, r decode.Replay) error
	Replay(ctx context.Context, corp, id string) (decode.Replay, error)
	// Replays lists all jobs, newest first.
	Replays(ctx context.Context, corp string) ([]decode.Replay, error)
}

// messageStore reads the view.
type messageStore interface {
	// Messages lists in the order of [archive.Position] or its reverse, and
	// says whether there are more in that direction.
	Messages(ctx context.Context, corp string, conv archive.ConversationID, q archive.MessageQuery) (list []archive.Message, more bool, err error)
	Message(ctx context.Context, corp string, conv archive.ConversationID, at archive.Position) (archive.Message, error)
	Newest(ctx context.Context, corp string, conv archive.ConversationID) (archive.Message, error)
	// LatestDay finds the newest day, not after upTo unless that is empty, on
	// which the party was active, and all its conversations of that day.
	LatestDay(ctx context.Context, corp, party string, upTo archive.Day) (archive.Day, []archive.ConversationID, error)
	// Revocations finds which of a conversation's messages were withdrawn; by
	// msgid, an entry for each that was.
	Revocations(ctx context.Context, corp string, conv archive.ConversationID, msgIDs []string) (map[string]archive.Revocation, error)
	// AnyRevoked reports whether there are any.
	AnyRevoked(ctx context.Context, corp string, conv archive.ConversationID) (bool, error)
	// FirstSeen finds when types and fields, named as [archive.Result] counts
	// them, first came; those that never did are left out.
	FirstSeen(ctx context.Context, corp string, names []string) (map[string]time.Time, error)
	// ListSetAside lists those above afterSeq, by seq.
	ListSetAside(ctx context.Context, corp string, afterSeq uint64, limit int) (list []archive.SetAside, more bool, err error)
}

// blobStore reads messages over [archive.InlineLimit], checked by their digest.
type blobStore interface {
	Message(ctx context.Context, corp string, o archive.Overflow) ([]byte, error)
}

// fileTable tells of the files of messages.
type fileTable interface {
	// Files reads those of the rows that exist, by id.
	Files(ctx context.Context, corp string, ids []string) (map[string]media.File, error)
	// DueFiles lists ids of a lane that wait and are not put off beyond now, the
	// earliest deadline first, at most limit.
	DueFiles(ctx context.Context, corp string, lane int, now time.Time, limit int) ([]string, error)
	// FileProblems lists files that are no more waiting and not stored, the
	// latest deadline first, at most limit.
	FileProblems(ctx context.Context, corp string, limit int) ([]media.File, error)
	Backlog(ctx context.Context, corp string, now time.Time) (media.Backlog, error)
}

// fileLinks makes links to the bytes of files.
type fileLinks interface {
	// Link is good for ttl at most, and says itself under which type and name
	// the file is answered. It names the object by f.Corp and f.ID alone.
	Link(ctx context.Context, f media.File, ttl time.Duration) (string, error)
}

// readingStore keeps which user read which chat.
type readingStore interface {
	RecordReading(ctx context.Context, v archive.Reading) error
	// Readings lists a day's readings, at most limit; next is the cursor for more,
	// empty where there are none.
	Readings(ctx context.Context, corp string, day archive.Day, cursor string, limit int) (list []archive.Reading, next string, err error)
}

// contactStore holds names, the self-built app's settings, and how we stand
// with WeCom's HTTP API.
type contactStore interface {
	directory.NameReader
	directory.NameGiver
	directory.ReachReader
	SetApp(ctx context.Context, corp string, app directory.App) error
	// ListPeople and ListRooms list all of whom something is known, at most
	// limit; next is the cursor for more, empty where there are none.
	ListPeople(ctx context.Context, corp, cursor string, limit int) (list []directory.Person, next string, err error)
	ListRooms(ctx context.Context, corp, cursor string, limit int) (list []directory.Room, next string, err error)
}

// consentStore holds what external contacts said to being archived.
type consentStore interface {
	archive.ConsentWriter
	// Consents lists what the query selects, like contactStore's lists.
	Consents(ctx context.Context, corp string, q archive.ConsentQuery, cursor string, limit int) (list []archive.Consent, next string, err error)
}
