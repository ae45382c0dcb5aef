package main

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

type handler struct {
	pull func(context.Context, archive.PullRequest) error
	log  *slog.Logger
}

// handle serves requests, one after the other; template.yaml has each come
// alone, so that a slow corp holds up no other. A request whose pull failed
// comes back after the visibility time.
func (h handler) handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	var resp events.SQSEventResponse
	for _, m := range event.Records {
		req, err := sqsqueue.ParsePull(m.Body)
		if err == nil {
			req.Again, req.SentAt = number(m, "ApproximateReceiveCount") > 1, sent(m)
			err = h.pull(ctx, req)
		}
		if err != nil {
			h.log.ErrorContext(ctx, "pull request failed", "message", m.MessageId, "corp", req.Corp, "err", err)
			resp.BatchItemFailures = append(resp.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		}
	}
	return resp, nil
}

// number is an attribute that SQS gives to a message; 0 if it is not there.
func number(m events.SQSMessage, attribute string) int64 {
	n, err := strconv.ParseInt(m.Attributes[attribute], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func sent(m events.SQSMessage) time.Time {
	ms := number(m, "SentTimestamp")
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
