package main

import (
	"context"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

type handler struct {
	inspect func(context.Context, directory.Request) error
	log     *slog.Logger
}

// handle serves a batch. A request that failed comes back after the visibility
// time; those of other corps are not held up by it, and neither are those of
// its own: their order does not matter.
func (h handler) handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	var resp events.SQSEventResponse
	fail := func(id string) {
		resp.BatchItemFailures = append(resp.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: id})
	}
	for _, m := range event.Records {
		req, err := sqsqueue.ParseInspect(m.Body)
		if err != nil {
			h.log.ErrorContext(ctx, "request not understood", "message", m.MessageId, "err", err)
			fail(m.MessageId)
			continue
		}
		if err := h.inspect(ctx, req); err != nil {
			h.log.ErrorContext(ctx, "inspection failed", "corp", req.Corp, "err", err)
			fail(m.MessageId)
		}
	}
	return resp, nil
}
