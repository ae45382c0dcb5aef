package archive

import (
	"errors"
	"fmt"
	"time"
)

// SDKError is a non-zero return code of a function of WeCom's library
// (document 91552, wecom.md 1.4). The call left the library usable.
type SDKError struct {
	Op   string // the library's own name of the function: Init, GetChatData, DecryptData, GetMediaData
	Code int    // 10000 to 10011 as far as known
}

func (e *SDKError) Error() string { return fmt.Sprintf("%s returned %d", e.Op, e.Code) }

// CrashError says that the process with WeCom's library died, exceeded the time
// limit of a call, or broke the protocol. The process has ended when the caller
// sees this error; the next call starts a fresh one (law 7).
type CrashError struct {
	Op   string // as in SDKError, or "start" before any function was called
	How  CrashKind
	Note string // exit status or signal; never the library's own output
}

// CrashKind is how a call ended the library's process.
type CrashKind string

// The kinds of crash.
const (
	Crashed  CrashKind = "crashed"  // the process ended during the call
	Hung     CrashKind = "hung"     // no answer within the call's time limit
	Nonsense CrashKind = "nonsense" // the answer broke the protocol, or exceeded the size limit
)

func (e *CrashError) Error() string { return fmt.Sprintf("library %s in %s: %s", e.How, e.Op, e.Note) }

// LibraryError says that WeCom's library is unusable on this machine: an operator
// must fix the deployment.
type LibraryError struct {
	Why  LibraryFault
	Note string // what was expected and what was found; never a secret
}

// LibraryFault is what is wrong with the library.
type LibraryFault string

// The faults.
const (
	LibraryMissing  LibraryFault = "missing"                 // no such file
	LibraryMachine  LibraryFault = "wrong_machine"           // built for another processor, or not a shared object
	LibrarySymbol   LibraryFault = "missing_symbol"          // one of the 17 functions is missing
	LibraryLoad     LibraryFault = "not_loadable"            // the loader refused it
	LibraryWorker   LibraryFault = "worker_missing"          // the worker beside it cannot be started
	LibraryProtocol LibraryFault = "worker_version_mismatch" // the worker speaks another version of the protocol
)

func (e *LibraryError) Error() string { return fmt.Sprintf("library %s: %s", e.Why, e.Note) }

// CodeExpired is the library's code for deleted data (wecom.md 1.4).
const CodeExpired = 10010

// The time limits of the library's process. The margins before a deadline are
// sums of them, so every function configures its processes with these values.
const (
	StartTimeout   = 5 * time.Second  // to load the library
	InitTimeout    = 10 * time.Second // Init, which may ask WeCom
	CallTimeout    = 20 * time.Second // GetChatData, which asks WeCom
	DecryptTimeout = 5 * time.Second  // DecryptData, which only computes
	KillTimeout    = 3 * time.Second  // to end a process that does not answer
)

// LibraryFailure is what a failed call of the library means (law 10).
type LibraryFailure struct {
	Trouble
	Response Response
	How      CrashKind // how the call ended the process; empty if the process lives
}

// LibraryFailed reads an error of the library's process. It reports false for
// any other error, such as the context's.
func LibraryFailed(err error) (LibraryFailure, bool) {
	var sdk *SDKError
	var crash *CrashError
	var library *LibraryError
	switch {
	case errors.As(err, &sdk):
		// GetMediaData answers no JSON: errcodes, if they come, are return codes too
		// (wecom.md 1.7).
		native := sdk.Code >= 10000 && sdk.Code < 20000
		cause, respond := Classify(sdk.Op, sdk.Code, native)
		return LibraryFailure{Trouble: Trouble{Cause: cause, Op: sdk.Op, Code: sdk.Code, Native: native}, Response: respond}, true
	case errors.As(err, &crash):
		return LibraryFailure{Trouble: Trouble{Cause: CauseLibraryCrash, Op: crash.Op}, Response: RespondRetry, How: crash.How}, true
	case errors.As(err, &library):
		return LibraryFailure{Trouble: Trouble{Cause: CauseLibraryMissing}, Response: RespondStop}, true
	}
	return LibraryFailure{}, false
}
