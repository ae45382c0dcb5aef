package archive

import (
	"time"
)

// PullRequest asks for all new pages of a corp. It is a hint: the puller reads
// the place to go on from in the ledger, and a lost or repeated request does no
// harm (law 3).
type PullRequest struct {
	Corp string `json:"corp"`
	// Why is for the log: timer, callback, continued, asked.
	Why string `json:"why"`
	// Force passes over pauses: a person asked, or a refused secret was changed.
	// The corp's share and the address's budget still hold, see [Gate].
	Force bool `json:"force,omitempty"`
	// Again: this request was delivered before, and the pull that it began failed
	// or crashed. The queue sets it.
	Again bool `json:"-"`
	// SentAt is when the request was sent, zero if unknown. The queue sets it.
	SentAt time.Time `json:"-"`
	// Dedup, if set, makes the queue drop a second request with the same Dedup
	// within 5 minutes. Without it every request is delivered.
	Dedup string `json:"-"`
}

// DecodeRequest asks the decoder to decode one page, or to go on with a replay
// job.
type DecodeRequest struct {
	Corp string `json:"corp"`
	// After names the page. Unset if Replay is set.
	After uint64 `json:"after,string"`
	// Replay names a job, see [decode.Replay].
	Replay string `json:"replay,omitempty"`
}
