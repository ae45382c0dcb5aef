package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

// startMargin is the least time that a page is begun with.
const startMargin = 90 * time.Second

type handler struct {
	decode func(ctx context.Context, corp string, after uint64, redo archive.Redo) error
	replay func(ctx context.Context, corp, id string) error
	now    func() time.Time
	log    *slog.Logger
}

// handle serves a batch. A request that failed, or that no time was left for,
// comes back after the visibility time; the others are not held up by it. What
// cannot be decoded is no failure: it is set aside in the view.
func (h handler) handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	var resp events.SQSEventResponse
	for _, m := range event.Records {
		if err := h.one(ctx, m); err != nil {
			h.log.ErrorContext(ctx, "decode request failed", "message", m.MessageId, "err", err)
			resp.BatchItemFailures = append(resp.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		}
	}
	return resp, nil
}

func (h handler) one(ctx context.Context, m events.SQSMessage) error {
	req, err := sqsqueue.ParseDecode(m.Body)
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && deadline.Sub(h.now()) < startMargin {
		return errNoTime
	}
	if req.Replay != "" {
		return h.replay(ctx, req.Corp, req.Replay)
	}
	return h.decode(ctx, req.Corp, req.After, archive.FirstTime)
}
