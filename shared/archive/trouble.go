package archive

import (
	"time"
)

// Trouble says why messages of a corp are not coming in.
type Trouble struct {
	Cause  Cause
	Op     string // the library's function, or empty
	Code   int    // native return code if Native, else errcode of the JSON
	Native bool
	FromIP string    // our address as WeCom saw it; empty where the answer does not say
	Since  time.Time // first seen without another cause or a success in between
	At     time.Time // last seen
}

// Cause names a trouble. Its values are part of the HTTP API.
type Cause string

// The causes. [Classify] maps errors to them.
const (
	CauseTrustedIP       Cause = "trusted_ip"       // our address is missing on the list of the archive page: step 4
	CauseSecret          Cause = "secret_refused"   // wrong, or reset: step 2
	CauseDisabled        Cause = "archive_disabled" // the app behind the secret is switched off in WeCom: step 1
	CauseUnverified      Cause = "corp_unverified"  // WeCom has not verified the corp: step 1
	CauseSecretKind      Cause = "secret_kind"      // a secret of another app: step 2
	CauseSecretMissing   Cause = "secret_missing"   // no secret was saved: step 2
	CauseCorpID          Cause = "corpid"           // WeCom does not know the corpid
	CauseExpired         Cause = "licence_expired"  // the archive service must be renewed: step 1
	CauseNotOpen         Cause = "not_open"         // the archive is not switched on: steps 1 and 5
	CauseRate            Cause = "rate_limited"     // too many calls; calls slow down
	CauseBudget          Cause = "address_budget"   // too many refused secrets from our address; tries wait
	CauseShare           Cause = "refusal_share"    // too many refused secrets of this corp; its next try waits: step 2
	CauseNetwork         Cause = "network"          // WeCom cannot be reached
	CauseBusy            Cause = "wecom_busy"       // WeCom asks to try again
	CauseTLS             Cause = "tls"              // certificates
	CauseLibraryMissing  Cause = "library_missing"  // the vendor's library cannot be loaded: the operator
	CauseLibraryCrash    Cause = "library_crash"    // the vendor's library crashed, hung or broke the protocol
	CauseBadAnswer       Cause = "bad_answer"       // the answer is not a page, or breaks a rule of pages
	CauseRecordTooLarge  Cause = "record_too_large" // a record cannot be fetched; ends in a gap row
	CauseUnknownResponse Cause = "unknown_error"    // a code that no document names
)

// Step is the number of the set-up step (README.md) to redo; 0 where no step
// helps.
func (c Cause) Step() int {
	switch c {
	case CauseNotOpen, CauseDisabled, CauseUnverified, CauseExpired:
		return 1
	case CauseSecret, CauseSecretKind, CauseSecretMissing, CauseCorpID, CauseShare:
		return 2
	case CauseTrustedIP:
		return 4
	}
	return 0
}

// PassesWithin is how long a trouble that usually passes by itself is not worth a
// person's attention.
const PassesWithin = 10 * time.Minute

// Passes reports whether a trouble with the cause usually passes by itself.
func (c Cause) Passes() bool {
	switch c {
	case CauseNetwork, CauseBusy, CauseRate, CauseBudget, CauseShare, CauseTLS, CauseLibraryCrash, CauseBadAnswer, CauseRecordTooLarge, CauseUnknownResponse:
		return true
	}
	return false
}

// Response is what follows from a trouble.
type Response int

const (
	RespondRetry  Response = iota // try again at once, up to [Tries]; then at the next request
	RespondShrink                 // ask for fewer records
	RespondStop                   // stop until the next request
	RespondPause                  // pause until something changes, or for [PauseLong]
	RespondRefuse                 // a refused secret: the gate's growing pauses, share and budget
)

// Classify maps a native return code of the library (wecom.md 1.4), or an
// errcode of its JSON (wecom.md 6), to a cause and a response (law 10).
func Classify(op string, code int, native bool) (Cause, Response) {
	if native {
		switch code {
		case 10000:
			if op == "Init" {
				return CauseSecret, RespondRefuse
			}
			return CauseUnknownResponse, RespondStop
		case 10001:
			return CauseNetwork, RespondRetry
		case 10002, 10003:
			return CauseBusy, RespondRetry
		case 10009:
			return CauseTrustedIP, RespondStop
		case 10011:
			return CauseTLS, RespondStop
		}
		return CauseUnknownResponse, RespondStop
	}
	switch code {
	case -1, 45033:
		return CauseBusy, RespondRetry
	case 40014, 42001: // the library fetches a new token by itself
		return CauseBusy, RespondRetry
	case 40001, 40091, 41004:
		return CauseSecret, RespondRefuse
	case 40056, 50003, 95017: // the app behind the secret is disabled, or its API
		return CauseDisabled, RespondPause
	case 43009, 610016:
		return CauseUnverified, RespondPause
	case 40013, 2000002, 41002:
		return CauseCorpID, RespondRefuse
	case 48002, 48001, 48004, 48006:
		return CauseSecretKind, RespondPause
	case 301042, 60020:
		return CauseTrustedIP, RespondStop
	case 301052:
		return CauseExpired, RespondPause
	case 301053:
		return CauseNotOpen, RespondStop
	case 301058:
		return CauseRecordTooLarge, RespondShrink
	case 45009:
		return CauseRate, RespondPause
	}
	return CauseUnknownResponse, RespondStop
}
