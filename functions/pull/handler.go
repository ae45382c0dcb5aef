package main

import (
	"context"
	"log/slog"
	"strconv"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

// corpsAtOnce is how many corps of a batch are pulled at a time, each with a
// process of the library: a slow one must not hold up the others. With the
// memory that template.yaml gives the function it is also the most that fit.
const corpsAtOnce = 3

type handler struct {
	pull func(context.Context, archive.PullRequest) error
	log  *slog.Logger
}

// handle serves a batch: however many requests it holds for a corp, they are
// one pull. A corp whose pull failed gets its requests back after the
// visibility time; the others are not held up by it. Order within a group does
// not matter here, so what follows a failure need not be given back.
func (h handler) handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	var resp events.SQSEventResponse
	fail := func(id string) {
		resp.BatchItemFailures = append(resp.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: id})
	}
	requests := make(map[string]*archive.PullRequest)
	messages := make(map[string][]string)
	var order []string
	for _, m := range event.Records {
		req, err := sqsqueue.ParsePull(m.Body)
		if err != nil {
			h.log.ErrorContext(ctx, "request not understood", "message", m.MessageId, "err", err)
			fail(m.MessageId)
			continue
		}
		req.Again = delivered(m) > 1
		if first := requests[req.Corp]; first != nil {
			first.Force = first.Force || req.Force
			first.Again = first.Again || req.Again
		} else {
			requests[req.Corp] = &req
			order = append(order, req.Corp)
		}
		messages[req.Corp] = append(messages[req.Corp], m.MessageId)
	}
	errs := make([]error, len(order))
	var group errgroup.Group
	group.SetLimit(corpsAtOnce)
	for i, corp := range order {
		group.Go(func() error {
			errs[i] = h.pull(ctx, *requests[corp])
			return nil
		})
	}
	_ = group.Wait()
	for i, corp := range order {
		if errs[i] == nil {
			continue
		}
		h.log.ErrorContext(ctx, "pull failed", "corp", corp, "err", errs[i])
		for _, id := range messages[corp] {
			fail(id)
		}
	}
	return resp, nil
}

// delivered is how often SQS has handed the message out, this time included.
func delivered(m events.SQSMessage) int {
	n, err := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	if err != nil {
		return 1
	}
	return n
}
