package archive

import "time"

// Trouble is why messages of a corp are not coming in, as a person needs it.
type Trouble struct {
	Cause  Cause
	Op     string // the library's function, or empty
	Code   int    // native return code if Native, else errcode of the JSON
	Native bool
	FromIP string    // the address WeCom saw, where it tells
	Since  time.Time // this cause has lasted since
	At     time.Time // last seen
}

// Cause names a trouble. Its values are part of the HTTP API.
type Cause string

// The causes. Which errors map to them: [Classify].
const (
	CauseTrustedIP       Cause = "trusted_ip"       // our address is not on the archive page's list: step 4
	CauseSecret          Cause = "secret_refused"   // wrong, reset, or the app is disabled: step 2
	CauseSecretKind      Cause = "secret_kind"      // a secret of another app: step 2
	CauseSecretMissing   Cause = "secret_missing"   // none saved: step 2
	CauseCorpID          Cause = "corpid"           // WeCom does not know the corpid
	CauseExpired         Cause = "licence_expired"  // the archive service must be renewed
	CauseNotOpen         Cause = "not_open"         // the archive is not switched on: steps 1 and 5
	CauseRate            Cause = "rate_limited"     // too many calls; we slow down
	CauseBudget          Cause = "address_budget"   // too many refused secrets from our address; we wait
	CauseNetwork         Cause = "network"          // WeCom cannot be reached
	CauseBusy            Cause = "wecom_busy"       // WeCom asks to try again
	CauseTLS             Cause = "tls"              // certificates
	CauseLibraryMissing  Cause = "library_missing"  // the vendor library cannot be loaded: devops
	CauseLibraryCrash    Cause = "library_crash"    // the vendor library died, hung or talked nonsense
	CauseBadAnswer       Cause = "bad_answer"       // the answer is no page, or breaks a rule of pages
	CauseRecordTooLarge  Cause = "record_too_large" // being passed one by one; ends in a gap row
	CauseUnknownResponse Cause = "unknown_error"    // a code that no document names
)

// Step is the number of the set-up step (DESIGN.md) that a person has to redo,
// 0 where none helps.
func (c Cause) Step() int {
	switch c {
	case CauseNotOpen:
		return 1
	case CauseSecret, CauseSecretKind, CauseSecretMissing, CauseCorpID:
		return 2
	case CauseTrustedIP:
		return 4
	}
	return 0
}
