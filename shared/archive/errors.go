package archive

import (
	"errors"
)

var (
	// ErrNotFound: the thing asked for is not stored.
	ErrNotFound = errors.New("not found")
	// ErrExists: a thing that may be created only once is already there.
	ErrExists = errors.New("exists already")
	// ErrConflict: a compare-and-swap found another value than the one that
	// was read. Somebody else moved first; read again before deciding anew.
	ErrConflict = errors.New("changed meanwhile")
	// ErrCorrupt: stored bytes do not have the digest that was recorded for
	// them, or a stored item cannot be understood.
	ErrCorrupt = errors.New("stored data is corrupt")
)
