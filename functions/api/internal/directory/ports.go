package directory

import (
	"context"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// Handlers answer questions about people, rooms and consents. The fields never
// change after the first request. The stores are safe for concurrent use; a
// write that returned nil is durable; an absent thing is
// [archive.ErrNotFound].
type Handlers struct {
	Book        *directory.NameBook
	Contacts    ContactStore
	Consents    ConsentStore
	Inspections directory.Queue
	Activity    ActivityStore
	Readings    session.ReadingWriter
	Now         func() time.Time
}

// ContactStore holds names and what WeCom's HTTP API last answered.
type ContactStore interface {
	directory.NameGiver
	directory.ReachReader
	// ScopeChanges reads all changes of the corp's scope, the oldest first.
	ScopeChanges(ctx context.Context, corp string) ([]directory.ScopeChange, error)
	// ListPeople and ListRooms list all ids with a stored item, at most
	// limit. next is the cursor of the next page, empty at the end.
	ListPeople(ctx context.Context, corp, cursor string, limit int) (list []directory.Person, next string, err error)
	ListRooms(ctx context.Context, corp, cursor string, limit int) (list []directory.Room, next string, err error)
}

// ActivityStore says who was active, and when.
type ActivityStore interface {
	// CorpDays lists the newest days on which anything was active in the corp, not
	// after upTo unless it is empty: newest first, at most limit.
	CorpDays(ctx context.Context, corp string, upTo archive.Day, limit int) ([]archive.CorpDay, error)
	// ActiveDays lists the newest days of a party in the same way.
	ActiveDays(ctx context.Context, corp, party string, upTo archive.Day, limit int) ([]archive.ActiveDay, error)
	// LastDay is the newest day of a party; empty without one.
	LastDay(ctx context.Context, corp, party string) (archive.Day, error)
	// Newest is the newest visible message of a chat, or [archive.ErrNotFound].
	Newest(ctx context.Context, corp string, conv archive.ConversationID) (archive.Message, error)
}

// ConsentStore holds the answers of external contacts to being archived.
type ConsentStore interface {
	// Consents lists what the query selects, at most limit. next is the cursor of
	// the next page, empty at the end.
	Consents(ctx context.Context, corp string, q archive.ConsentQuery, cursor string, limit int) (list []archive.Consent, next string, err error)
	// ConsentHistory lists every answer, by contact and then by time.
	ConsentHistory(ctx context.Context, corp string, q archive.ConsentQuery, cursor string, limit int) (list []archive.Consent, next string, err error)
	// EachConsent calls f with every newest answer, until f returns false.
	EachConsent(ctx context.Context, corp string, f func(archive.Consent) bool) error
}
