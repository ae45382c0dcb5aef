package archive

import (
	"time"
)

// PullRequest asks for everything new of a corp. It is a hint: the puller
// reads where to go on from the ledger, and a lost or doubled request does no
// harm (law 3).
type PullRequest struct {
	Corp string `json:"corp"`
	// Why is for the log: timer, callback, continued, asked.
	Why string `json:"why"`
	// Force overrides [PullState.NotBefore]: a person asked, or what was
	// refused has been changed. The address's budget still holds.
	Force bool `json:"force,omitempty"`
	// Again: this request was delivered before, and the pull that it began
	// failed or ended anywhere. Said by the queue, not by who asks.
	Again bool `json:"-"`
	// SentAt is when it was sent, zero if not known. Said by the queue.
	SentAt time.Time `json:"-"`
	// Dedup, if set, makes the queue swallow a second request with the same
	// Dedup within 5 minutes. If unset each request is its own.
	Dedup string `json:"-"`
}

// DecodeRequest asks for the view of one page to be written, or for a replay
// job to be carried on.
type DecodeRequest struct {
	Corp string `json:"corp"`
	// After names the page. Unset if Replay is set.
	After uint64 `json:"after,string"`
	// Replay names a job, see [decode.Replay].
	Replay string `json:"replay,omitempty"`
}
