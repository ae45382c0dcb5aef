package sqsqueue

import (
	"context"
	"errors"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Inspect is the queue of requests to ask WeCom's HTTP API. It has one group
// per corp, so that one function at a time asks for a corp and its limits and
// pauses need no further lock.
type Inspect struct{ queue }

var _ archive.InspectQueue = (*Inspect)(nil)

// NewInspect is like [NewPull].
func NewInspect(client Client, url string, newID func() string) *Inspect {
	return &Inspect{queue{client, url, newID}}
}

// RequestInspections implements [archive.InspectQueue]. After an error any of
// the requests may have been sent.
func (q *Inspect) RequestInspections(ctx context.Context, reqs ...archive.InspectRequest) error {
	return request(ctx, q.queue, reqs, func(r *archive.InspectRequest) (group, id string) {
		r.V = Format
		return r.Corp, q.id(r.Corp, r.Dedup)
	})
}

// ParseInspect reads the body of a message of the inspect queue.
func ParseInspect(body string) (archive.InspectRequest, error) {
	var r archive.InspectRequest
	if err := parse(body, &r); err != nil {
		return archive.InspectRequest{}, err
	}
	if len(r.People)+len(r.Rooms) > 4*archive.InspectMost || len(r.Pairs) > 10*archive.PairsMost {
		return archive.InspectRequest{}, errors.New("request of too many ids")
	}
	return r, check(r.V, r.Corp)
}
