package archivetest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// PullQueue is an [archive.PullSender] and a [watch.QueueDepth].
type PullQueue struct {
	t      testing.TB
	faults *Faults
	marks  *Marks // have the marks of the requests; nil: none
	mu     sync.Mutex
	reqs   []archive.PullRequest
}

var (
	_ archive.PullSender = (*PullQueue)(nil)
	_ watch.QueueDepth   = (*PullQueue)(nil)
)

// NewPullQueue makes an empty queue.
func NewPullQueue(t testing.TB, f *Faults) *PullQueue {
	return &PullQueue{t: t, faults: f}
}

// SendPulls implements [archive.PullSender].
func (q *PullQueue) SendPulls(ctx context.Context, reqs ...archive.PullRequest) error {
	return write(ctx, q.faults, "PullQueue.SendPulls", "", func() error {
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, r := range reqs {
			if r.Corp == "" {
				q.t.Errorf("pull request without a corp: %+v", r)
			}
			q.reqs = append(q.reqs, r)
		}
		return nil
	})
}

// Take removes and returns all requests, in the order in which they came. Like
// their consumer it clears their marks.
func (q *PullQueue) Take() []archive.PullRequest {
	q.mu.Lock()
	defer q.mu.Unlock()
	reqs := q.reqs
	q.reqs = nil
	for _, r := range reqs {
		q.marks.taken(r.Corp, "pull", r.SentAt)
	}
	return reqs
}

// Waiting returns all requests. It leaves them in the queue, and their marks as they
// are.
func (q *PullQueue) Waiting() []archive.PullRequest {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.reqs)
}

// Depth implements [watch.QueueDepth].
func (q *PullQueue) Depth(ctx context.Context) (int, error) {
	return read(ctx, q.faults, "PullQueue.Depth", "", func() (int, error) {
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.reqs), nil
	})
}

// DecodeQueue is an [archive.DecodeQueue] and a [watch.QueueDepth].
type DecodeQueue struct {
	t      testing.TB
	faults *Faults
	ledger *Ledger // has the rows and jobs of requests; nil: not checked
	mu     sync.Mutex
	reqs   []archive.DecodeRequest
}

var (
	_ archive.DecodeQueue = (*DecodeQueue)(nil)
	_ watch.QueueDepth    = (*DecodeQueue)(nil)
)

// NewDecodeQueue makes an empty queue.
func NewDecodeQueue(t testing.TB, f *Faults) *DecodeQueue {
	return &DecodeQueue{t: t, faults: f}
}

// RequestDecodes implements [archive.DecodeQueue].
func (q *DecodeQueue) RequestDecodes(ctx context.Context, reqs ...archive.DecodeRequest) error {
	return write(ctx, q.faults, "DecodeQueue.RequestDecodes", "", func() error {
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, r := range reqs {
			q.check(r)
		}
		q.reqs = append(q.reqs, slices.Clone(reqs)...)
		return nil
	})
}

// check complains about a request for a page or job that is not stored.
func (q *DecodeQueue) check(r archive.DecodeRequest) {
	if r.Corp == "" || r.Replay != "" && r.After != 0 {
		q.t.Errorf("decode request %+v: want a corp, and a page or a job", r)
	}
	switch {
	case q.ledger == nil:
	case r.Replay != "" && !q.ledger.hasReplay(r.Corp, r.Replay):
		q.t.Errorf("decode request for job %q of %s, which is not stored", r.Replay, r.Corp)
	case r.Replay == "" && !q.ledger.has(r.Corp, r.After):
		q.t.Errorf("decode request for the page of %s after seq %d, which has no row", r.Corp, r.After)
	}
}

// Take removes and returns all requests, in the order in which they came.
func (q *DecodeQueue) Take() []archive.DecodeRequest {
	q.mu.Lock()
	defer q.mu.Unlock()
	reqs := q.reqs
	q.reqs = nil
	return reqs
}

// Depth implements [watch.QueueDepth].
func (q *DecodeQueue) Depth(ctx context.Context) (int, error) {
	return read(ctx, q.faults, "DecodeQueue.Depth", "", func() (int, error) {
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.reqs), nil
	})
}
