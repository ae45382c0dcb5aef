package chats

import (
	"context"
	"iter"
	"time"

	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// Handlers answer readers of chats. The fields never change after the first
// request. The stores are safe for concurrent use; for an absent thing they
// return [archive.ErrNotFound].
type Handlers struct {
	Messages MessageStore
	Blobs    BlobStore
	Files    FileTable
	Links    FileLinks
	Names    Directory
	Readings session.ReadingWriter
	Seen     SeenStore
	Now      func() time.Time
}

// MessageStore reads the view.
type MessageStore interface {
	// Messages lists in the order of [archive.Position] or its reverse, and
	// reports whether there are more in that direction.
	Messages(ctx context.Context, corp string, conv archive.ConversationID, q archive.MessageQuery) (list []archive.Message, more bool, err error)
	Message(ctx context.Context, corp string, conv archive.ConversationID, at archive.Position) (archive.Message, error)
	Newest(ctx context.Context, corp string, conv archive.ConversationID) (archive.Message, error)
	// ListedDays lists the newest days of a party's list, not after upTo unless upTo
	// is empty: newest first, at most limit, each with all its conversations, but for
	// those that Moves lists.
	ListedDays(ctx context.Context, corp, party string, upTo archive.Day, limit int) ([]archive.ActiveDay, error)
	// Moves lists single chats of a member in the order of time: entries whose newest
	// move is not after upTo, unless upTo is zero, newest first. If ListedDays does
	// not name a chat on the day of its newest message, there is a move at the time of
	// this message. Older moves of the same chat may follow. The entries end after
	// the first error.
	Moves(ctx context.Context, corp, member string, upTo time.Time) iter.Seq2[archive.Moves, error]
	// CorpDays lists the newest days on which anything was active in the corp, not
	// after upTo unless it is empty: newest first, at most limit.
	CorpDays(ctx context.Context, corp string, upTo archive.Day, limit int) ([]archive.CorpDay, error)
	// AttendedDays lists days that q selects, in its order, on which its parties
	// took part in a room. It searches a part of the parties' lists: at least a
	// day. rest is the first day that it has not searched, empty at the end.
	AttendedDays(ctx context.Context, corp string, room archive.ConversationID, q archive.AttendanceQuery) (days []archive.Day, rest archive.Day, err error)
	// Revocations finds which messages of a conversation are revoked. The map has
	// an entry for each revoked message, by msgid.
	Revocations(ctx context.Context, corp string, conv archive.ConversationID, msgIDs []string) (map[string]archive.Revocation, error)
	// FirstRevocations lists some revocations of a conversation, at most limit, and
	// reports whether there are more.
	FirstRevocations(ctx context.Context, corp string, conv archive.ConversationID, limit int) (list []archive.Revocation, more bool, err error)
}

// SeenStore keeps up to when a user has seen conversations.
type SeenStore interface {
	// MarkSeen keeps the later of the recorded time and until. Durable on return.
	MarkSeen(ctx context.Context, corp, user string, conv archive.ConversationID, until time.Time) error
	// Seen has no entry for a conversation that the user never saw.
	Seen(ctx context.Context, corp, user string, conversations []archive.ConversationID) (map[archive.ConversationID]time.Time, error)
}

// BlobStore reads messages over [archive.InlineLimit], checked by their digest.
type BlobStore interface {
	Message(ctx context.Context, corp string, o archive.Overflow) ([]byte, error)
}

// FileTable reads the rows of files.
type FileTable interface {
	// Files reads the rows that exist, by id.
	Files(ctx context.Context, corp string, ids []string) (map[string]media.File, error)
	// DueFiles lists the ids of the waiting files of a lane whose next try is not
	// later than now: the earliest deadline first, at most limit.
	DueFiles(ctx context.Context, corp string, lane int, now time.Time, limit int) ([]string, error)
	// FileProblems lists files that neither wait nor are stored, the latest
	// deadline first, at most limit.
	FileProblems(ctx context.Context, corp string, limit int) ([]media.File, error)
}

// FileLinks makes links to the bytes of files.
type FileLinks interface {
	// Link makes a link that works for ttl at most. The link itself says the type
	// and name that the file is served with, and whether browsers may show the file
	// or only save it; they only save it if save is set. The link names the object
	// by f.Corp and f.ID alone.
	Link(ctx context.Context, f media.File, ttl time.Duration, save bool) (string, error)
}

// Directory knows the people and rooms of an answer, and their consents.
type Directory interface {
	Beside(ctx context.Context, corp archive.Corp, people, rooms []string) names.Names
	RoomOf(ctx context.Context, corp archive.Corp, id string, today bool) names.RoomJSON
	// RoomsWith returns those of the rooms whose name or id contains the text, which is
	// in lower case. It asks WeCom for no name.
	RoomsWith(ctx context.Context, corp string, ids []string, text string) ([]string, error)
	ConsentsOf(ctx context.Context, corp string, q archive.ConsentQuery) ([]names.ConsentJSON, error)
}
