package archive

import (
	"errors"
)

var (
	// ErrNotFound: the requested item is not stored.
	ErrNotFound = errors.New("not found")
	// ErrExists: an item that may be created only once exists already.
	ErrExists = errors.New("already exists")
	// ErrConflict: a compare-and-swap found another value than the one that was
	// read, because another process changed it. Read again, then decide.
	ErrConflict = errors.New("changed by another process")
	// ErrFull: what waits takes in nothing more until it was worked off.
	ErrFull = errors.New("too much waits already")
	// ErrCorrupt: stored bytes differ from their recorded digest, or a stored item
	// is unreadable.
	ErrCorrupt = errors.New("stored data is corrupt")
)
