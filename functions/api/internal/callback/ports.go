package callback

import (
	"context"
	"log/slog"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// Handlers answer WeCom's callbacks. The fields never change after the first
// request. The stores are safe for concurrent use; a write that returned nil is
// durable; an absent thing is [archive.ErrNotFound].
type Handlers struct {
	Pairs       *Pairs // of the archive
	AppPairs    *Pairs // of the companies' self-built apps
	Corps       Corps
	Pulls       archive.PullQueue
	Consents    archive.ConsentWriter
	Names       directory.NameReader
	Inspections directory.Queue
	Now         func() time.Time
	Log         *slog.Logger
}

// Corps records callback events.
type Corps interface {
	// TouchCallback writes at most once per [archive.CallbackTouch].
	TouchCallback(ctx context.Context, id string, at time.Time) error
	// NoteFirstEvent notes the first event under the newest pair, and changes
	// nothing afterwards.
	NoteFirstEvent(ctx context.Context, id string, kind archive.CallbackKind, pair string, at time.Time) error
	// NoteVerified notes that WeCom checked the URL with the newest pair.
	NoteVerified(ctx context.Context, id string, kind archive.CallbackKind, pair string, at time.Time, from string) error
	// NoteEvent notes that an authentic event arrived.
	NoteEvent(ctx context.Context, id string, kind archive.CallbackKind, at time.Time, from string) error
	// NoteRefused notes the Refused fields of cb.
	NoteRefused(ctx context.Context, id string, kind archive.CallbackKind, cb archive.Callback) error
	// RecordEvent stores an event once, however often it comes. stored is false
	// for an event beyond the bounds of a day, which is only counted.
	RecordEvent(ctx context.Context, id string, e archive.Event) (stored bool, _ error)
}
