package archive

import (
	"context"
	"time"
)

// PullRequest asks for all new pages of a corp. It is a hint: the puller reads
// the place to go on from in the ledger, and a lost or repeated request does no
// harm (law 3).
type PullRequest struct {
	Corp string `json:"corp"`
	// Why is for the log: timer, callback, continued, asked. A pull that the [Timer]
	// wanted also tells whether callbacks come. If its request waits for more than
	// [CallbackTouch] behind a long pull, a callback of that time counts as missed.
	Why string `json:"why"`
	// Force passes over pauses: a person asked, or a refused secret was changed.
	// The corp's share and the address's budget still hold, see [Gate].
	Force bool `json:"force,omitempty"`
	// SentAt is that of the request's mark, see [Wanted]; zero if it has none.
	SentAt time.Time `json:"sent_at,omitzero"`
	// Again: this request was delivered before, and the pull that it began failed
	// or crashed. The queue sets it.
	Again bool `json:"-"`
}

// Timer is the Why of a pull that dispatch requests.
const Timer = "timer"

// WantedPulls is a [PullQueue] in which a corp's pull is wanted or not wanted.
type WantedPulls struct{ Wanted[PullRequest] }

// NewWantedPulls keeps the marks of the pulls in a queue.
func NewWantedPulls(marks Marks, queue PullSender, now func() time.Time) WantedPulls {
	return WantedPulls{Wanted[PullRequest]{
		Marks: marks,
		Work:  func(r PullRequest) (corp, work string) { return r.Corp, "pull" },
		Join: func(waiting, also PullRequest) (PullRequest, error) {
			if waiting.Force = waiting.Force || also.Force; waiting.Why == Timer {
				waiting.Why = also.Why
			}
			return waiting, nil
		},
		Sent: func(r *PullRequest) *time.Time { return &r.SentAt },
		Send: queue.SendPulls,
		Kept: PullKept,
		Now:  Rising(now),
	}}
}

// RequestPulls implements [PullQueue].
func (w WantedPulls) RequestPulls(ctx context.Context, reqs ...PullRequest) error {
	return w.Want(ctx, reqs...)
}

// SendUnmarked puts requests into the queue without marks. Dispatch alone calls it, and
// only while pull keeps up. A failure with some requests stops no other (law 8).
func (w WantedPulls) SendUnmarked(ctx context.Context, reqs ...PullRequest) error {
	return inParts(ctx, reqs, func(ctx context.Context, part []PullRequest) error { return w.Send(ctx, part...) })
}

// DecodeRequest asks the decoder to decode one page, or to go on with a replay
// job.
type DecodeRequest struct {
	Corp string `json:"corp"`
	// After names the page. Unset if Replay is set.
	After uint64 `json:"after,string"`
	// Replay names a job, see [decode.Replay]. AskedAt says which of its requests
	// this is: only the newest one counts.
	Replay  string    `json:"replay,omitempty"`
	AskedAt time.Time `json:"asked_at,omitzero"`
}
