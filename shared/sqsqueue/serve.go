package sqsqueue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// A Handler is the function that Lambda calls with the messages of a queue.
type Handler func(context.Context, events.SQSEvent) (events.SQSEventResponse, error)

// Serve makes the handler of a queue function. The handler parses each message and
// does its request, one message after the other. It reports to Lambda every message
// that it cannot parse and every message whose request failed; SQS delivers these
// again after the visibility time, and deletes the other messages of the event.
// Messages of one event with equal bodies are one request and share its result. The
// handler returns no error, because SQS would then deliver every message again.
// After a crash SQS does deliver every message of the event again, so the
// function do must be idempotent.
func Serve[R any](log *slog.Logger, parse func(events.SQSMessage) (R, error), do func(context.Context, R) error) Handler {
	return func(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
		var resp events.SQSEventResponse
		outcomes := make(map[string]error, len(event.Records))
		for _, m := range event.Records {
			err, known := outcomes[m.Body]
			if !known {
				var req R
				if req, err = parse(m); err == nil {
					err = do(ctx, req)
				}
				outcomes[m.Body] = err
			}
			if err == nil {
				continue
			}
			if !known {
				log.ErrorContext(ctx, "request failed", "message", m.MessageId, "group", m.Attributes["MessageGroupId"], "err", err)
			}
			resp.BatchItemFailures = append(resp.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		}
		return resp, nil
	}
}

// ParsePull reads a message of the pull queue. It takes Again from the message's
// SQS attributes.
func ParsePull(m events.SQSMessage) (archive.PullRequest, error) {
	r, err := parse(m, func(r archive.PullRequest) (string, error) { return r.Corp, nil })
	r.Again = number(m, "ApproximateReceiveCount") > 1
	return r, err
}

// ParseDecode reads a message of the decode queue.
func ParseDecode(m events.SQSMessage) (archive.DecodeRequest, error) {
	return parse(m, func(r archive.DecodeRequest) (string, error) { return r.Corp, nil })
}

// ParseMedia reads a message of the media queue.
func ParseMedia(m events.SQSMessage) (media.Request, error) {
	return parse(m, func(r media.Request) (string, error) {
		if r.Lane < 0 || r.Lane >= media.Lanes {
			return r.Corp, fmt.Errorf("request for lane %d of %d", r.Lane, media.Lanes)
		}
		return r.Corp, nil
	})
}

// ParseInspect reads a message of the inspect queue.
func ParseInspect(m events.SQSMessage) (directory.Request, error) {
	return parse(m, func(r directory.Request) (string, error) {
		if r.TooLarge() {
			return r.Corp, errors.New("request with too many ids")
		}
		return r.Corp, nil
	})
}

// parse reads a message's request. It checks the format and the corp; check
// returns the corp and checks the bounds of the request's type. With an error the
// request is zero.
func parse[R any](m events.SQSMessage, check func(R) (corp string, err error)) (R, error) {
	var none, req R
	var format struct {
		V int `json:"v"`
	}
	if err := errors.Join(json.Unmarshal([]byte(m.Body), &req), json.Unmarshal([]byte(m.Body), &format)); err != nil {
		return none, fmt.Errorf("request of %d bytes: %w", len(m.Body), err)
	}
	if err := readable(format.V, Format); err != nil {
		return none, err
	}
	corp, err := check(req)
	if err != nil {
		return none, err
	}
	if !archive.ValidCorpID(corp) {
		return none, errors.New("request corp invalid")
	}
	return req, nil
}

// readable returns an error if this program, whose own format is own, cannot
// read a request of format v. The program reads every earlier format too,
// because such requests may be in the queue at a deployment. After a roll-back
// the queue may hold requests of a newer version; the program refuses them, and
// SQS delivers them again.
func readable(v, own int) error {
	switch {
	case v < 1:
		return errors.New("request format missing")
	case v > own:
		return fmt.Errorf("request of a newer version in format %d: this version reads formats up to %d", v, own)
	}
	return nil
}

// number returns a numeric attribute of the message, or 0 if the message lacks the
// attribute.
func number(m events.SQSMessage, attribute string) int64 {
	n, err := strconv.ParseInt(m.Attributes[attribute], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
