package sqsqueue

import (
	"context"

	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// Inspect is the queue of requests for WeCom's HTTP API. It has one group per corp:
// one invocation at a time calls the API for a corp, so the corp's limits and
// pauses need no lock.
type Inspect struct{ queue }

var _ directory.Sender = (*Inspect)(nil)

// NewInspect is like [NewPull].
func NewInspect(client Client, url string, newID func() string) *Inspect {
	return &Inspect{queue{client, url, newID}}
}

// SendInspections implements [directory.Sender]. After an error any of the
// requests may have been sent.
func (q *Inspect) SendInspections(ctx context.Context, reqs ...directory.Request) error {
	return request(ctx, q.queue, reqs, func(r directory.Request) (group, id string) {
		return r.Corp, q.newID()
	})
}
