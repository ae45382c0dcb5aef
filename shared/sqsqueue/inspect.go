package sqsqueue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

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
	entries := make([]types.SendMessageBatchRequestEntry, len(reqs))
	for i, r := range reqs {
		id := q.newID()
		if r.Dedup != "" {
			sum := sha256.Sum256([]byte(r.Dedup))
			id = r.Corp + "/" + hex.EncodeToString(sum[:16])
		}
		r.V = Format
		var err error
		if entries[i], err = entry(r, r.Corp, id); err != nil {
			return err
		}
	}
	return q.send(ctx, entries)
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
