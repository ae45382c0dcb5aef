package main

import (
	"context"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

type handler struct {
	fetch func(context.Context, media.Request) error
	log   *slog.Logger
}

// handle serves a batch: however many requests it holds for a lane of a corp,
// they are one round. A lane whose round failed gets its requests back after
// the visibility time; the others are not held up by it. A round that finds no
// time left asks for itself again, so nothing is given back for want of time.
func (h handler) handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	var resp events.SQSEventResponse
	fail := func(id string) {
		resp.BatchItemFailures = append(resp.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: id})
	}
	messages := make(map[media.Request][]string)
	var order []media.Request
	for _, m := range event.Records {
		req, err := sqsqueue.ParseMedia(m.Body)
		if err != nil {
			h.log.ErrorContext(ctx, "request not understood", "message", m.MessageId, "err", err)
			fail(m.MessageId)
			continue
		}
		if messages[req] == nil {
			order = append(order, req)
		}
		messages[req] = append(messages[req], m.MessageId)
	}
	for _, req := range order {
		if err := h.fetch(ctx, req); err != nil {
			h.log.ErrorContext(ctx, "fetching files failed", "corp", req.Corp, "lane", req.Lane, "err", err)
			for _, id := range messages[req] {
				fail(id)
			}
		}
	}
	return resp, nil
}
