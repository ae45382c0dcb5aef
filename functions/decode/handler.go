package main

import (
	"context"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

type handler struct {
	decode func(ctx context.Context, corp string, after uint64, redo decode.Redo) error
	replay func(ctx context.Context, corp, id string) error
	log    *slog.Logger
}

// handle serves requests, one after the other; template.yaml has each come
// alone, so that no replay or slow page holds up another corp's. A request that
// failed comes back after the visibility time. What cannot be decoded is no
// failure: it is set aside in the view.
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
	if req.Replay != "" {
		return h.replay(ctx, req.Corp, req.Replay)
	}
	return h.decode(ctx, req.Corp, req.After, decode.FirstTime)
}
