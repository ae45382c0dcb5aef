package archive

import (
	"errors"
	"fmt"
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

// SDKError is a non-zero return code of a function of WeCom's library
// (document 91552, wecom.md 1.4). The call left the library usable.
type SDKError struct {
	Op   string // the library's own name of the function: Init, GetChatData, DecryptData, GetMediaData
	Code int    // 10000 to 10011 as far as known
}

func (e *SDKError) Error() string { return fmt.Sprintf("%s returned %d", e.Op, e.Code) }

// CrashError says that the process with WeCom's library died, hung past the
// call's time limit, or answered nonsense, during a call. The process is gone
// when the caller sees this; the next call starts a fresh one (law 7).
type CrashError struct {
	Op   string // as in SDKError, or "start" before any function was called
	How  CrashKind
	Note string // exit status or signal; never what the library printed
}

// CrashKind is how a call of the library went wrong for good.
type CrashKind string

// The kinds of crash.
const (
	Crashed  CrashKind = "crashed"  // the process ended during the call
	Hung     CrashKind = "hung"     // no answer within the call's time limit
	Nonsense CrashKind = "nonsense" // the answer broke the protocol, or was over the size limit
)

func (e *CrashError) Error() string { return fmt.Sprintf("library %s in %s: %s", e.How, e.Op, e.Note) }

// LibraryError says that WeCom's library cannot be used at all on this
// machine: a person has to mend the deployment.
type LibraryError struct {
	Why  LibraryFault
	Note string // what was looked for and found; never a secret
}

// LibraryFault is what is wrong with the library.
type LibraryFault string

// The faults.
const (
	LibraryMissing  LibraryFault = "missing"          // no such file
	LibraryMachine  LibraryFault = "wrong_machine"    // built for another processor, or no shared object
	LibrarySymbol   LibraryFault = "missing_symbol"   // one of the 17 functions is not there
	LibraryLoad     LibraryFault = "not_loadable"     // the loader refused it
	LibraryWorker   LibraryFault = "worker_missing"   // the worker beside it cannot be started
	LibraryProtocol LibraryFault = "worker_other_age" // the worker speaks another version of the protocol
)

func (e *LibraryError) Error() string { return fmt.Sprintf("library %s: %s", e.Why, e.Note) }
