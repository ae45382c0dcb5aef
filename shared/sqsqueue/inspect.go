package sqsqueue

import (
	"context"

	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// Inspect is the queue of requests to ask WeCom's HTTP API. It has one group
// per corp, so that one function at a time asks for a corp and its limits and
// pauses need no further lock.
type Inspect struct{ queue }

var _ directory.Queue = (*Inspect)(nil)

// NewInspect is like [NewPull].
func NewInspect(client Client, url string, newID func() string) *Inspect {
	return &Inspect{queue{client, url, newID}}
}

// RequestInspections implements [directory.Queue]. After an error any of
// the requests may have been sent.
func (q *Inspect) RequestInspections(ctx context.Context, reqs ...directory.Request) error {
	return request(ctx, q.queue, reqs, func(r directory.Request) (group, id string) {
		return r.Corp, q.id(r.Corp, r.Dedup)
	})
}
