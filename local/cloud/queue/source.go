package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Client is what a source asks of SQS.
type Client interface {
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
	ChangeMessageVisibility(context.Context, *sqs.ChangeMessageVisibilityInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error)
}

// A Source gives a queue's messages to a function, as Lambda's event source
// mapping for SQS does: in batches, so many at once, what succeeded is
// deleted, and what failed comes again when its visibility timeout is over.
//
// Of a FIFO queue no two batches hold messages of one group at the same time.
// That is SQS's own doing, and moto's as long as one caller receives at a
// time: hence one Source per queue.
type Source struct {
	Client   Client
	URL, ARN string
	Region   string
	// BatchSize is 1 to 10; Concurrency is the most batches at once.
	BatchSize, Concurrency int
	// PartialBatches: the answer says which messages failed
	// (ReportBatchItemFailures); without it only an error means failure.
	PartialBatches bool
	// Visibility is the time after receiving at which a failed message comes
	// again. It may be shorter than the queue's own, for tests: a message of a
	// batch that is still being worked on is never given out again.
	Visibility time.Duration
	// Timeout is the most that an invocation takes.
	Timeout time.Duration
	Invoke  func(ctx context.Context, event []byte) ([]byte, error)
	// Bell rings when messages were sent.
	Bell <-chan struct{}
	Log  *slog.Logger

	freed chan struct{} // rings when a group may have become free
}

// pollEvery is how long a source waits for a bell before it looks by itself.
const pollEvery = time.Second

// Run works until ctx ends, and returns when no batch is under way.
func (s *Source) Run(ctx context.Context) {
	s.freed = make(chan struct{}, 1)
	slots := make(chan struct{}, s.Concurrency)
	var batches sync.WaitGroup
	defer batches.Wait()
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		received := time.Now()
		messages, err := s.receive(ctx)
		if err != nil && ctx.Err() == nil {
			s.Log.Error("cannot receive", "queue", s.ARN, "err", err)
		}
		if len(messages) == 0 {
			<-slots
			select {
			case <-s.Bell:
			case <-s.freed:
			case <-time.After(pollEvery):
			case <-ctx.Done():
				return
			}
			continue
		}
		batches.Go(func() {
			failed := s.batch(ctx, messages)
			<-slots
			s.handBack(ctx, failed, received.Add(s.Visibility))
		})
	}
}

func (s *Source) receive(ctx context.Context) ([]types.Message, error) {
	out, err := s.Client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:            &s.URL,
		MaxNumberOfMessages: int32(s.BatchSize),
		// moto brings a group's messages back in the wrong order when their
		// time ends. So it is told a time that does not end while we run, and
		// handBack ends it.
		VisibilityTimeout:           int32((s.Visibility + s.Timeout + time.Hour) / time.Second),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		MessageAttributeNames:       []string{"All"},
	})
	if err != nil {
		return nil, err
	}
	return out.Messages, nil
}

// batch invokes the function, deletes what succeeded and returns what failed.
func (s *Source) batch(ctx context.Context, messages []types.Message) []types.Message {
	event, err := json.Marshal(s.event(messages))
	if err != nil {
		s.Log.Error("cannot make an event", "queue", s.ARN, "err", err)
		return messages
	}
	answer, err := s.Invoke(ctx, event)
	if ctx.Err() != nil {
		return nil // whoever works on this queue next finds them
	}
	if err != nil {
		s.Log.Warn("batch failed", "queue", s.ARN, "messages", len(messages), "err", err)
		return messages
	}
	bad := map[string]bool{}
	if s.PartialBatches {
		if bad, err = failures(answer, messages); err != nil {
			s.Log.Warn("batch failed", "queue", s.ARN, "messages", len(messages), "err", err)
			return messages
		}
	}
	var failed []types.Message
	var done []types.DeleteMessageBatchRequestEntry
	for n, m := range messages {
		if bad[*m.MessageId] {
			failed = append(failed, m)
			continue
		}
		done = append(done, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(n)), ReceiptHandle: m.ReceiptHandle})
	}
	if len(failed) > 0 {
		s.Log.Info("messages failed", "queue", s.ARN, "failed", len(failed), "of", len(messages))
	}
	if len(done) > 0 {
		out, err := s.Client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &s.URL, Entries: done})
		if err == nil && len(out.Failed) > 0 {
			err = fmt.Errorf("%d messages refused: %s", len(out.Failed), aws.ToString(out.Failed[0].Code))
		}
		if err != nil && ctx.Err() == nil {
			s.Log.Error("cannot delete", "queue", s.ARN, "err", err)
		}
	}
	s.ring()
	return failed
}

// handBack makes failed messages receivable at the given time, in order.
func (s *Source) handBack(ctx context.Context, failed []types.Message, at time.Time) {
	if len(failed) == 0 {
		return
	}
	select {
	case <-time.After(time.Until(at)):
	case <-ctx.Done():
		return
	}
	for _, m := range failed {
		_, err := s.Client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
			QueueUrl: &s.URL, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0,
		})
		if err != nil && ctx.Err() == nil {
			s.Log.Error("cannot hand back", "queue", s.ARN, "message", aws.ToString(m.MessageId), "err", err)
		}
	}
	s.ring()
}

func (s *Source) ring() {
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

func (s *Source) event(messages []types.Message) events.SQSEvent {
	var e events.SQSEvent
	for _, m := range messages {
		record := events.SQSMessage{
			MessageId:              aws.ToString(m.MessageId),
			ReceiptHandle:          aws.ToString(m.ReceiptHandle),
			Body:                   aws.ToString(m.Body),
			Md5OfBody:              aws.ToString(m.MD5OfBody),
			Md5OfMessageAttributes: aws.ToString(m.MD5OfMessageAttributes),
			Attributes:             maps.Clone(m.Attributes),
			MessageAttributes:      map[string]events.SQSMessageAttribute{},
			EventSourceARN:         s.ARN,
			EventSource:            "aws:sqs",
			AWSRegion:              s.Region,
		}
		for name, a := range m.MessageAttributes {
			record.MessageAttributes[name] = events.SQSMessageAttribute{
				StringValue: a.StringValue, BinaryValue: a.BinaryValue, DataType: aws.ToString(a.DataType),
				StringListValues: []string{}, BinaryListValues: [][]byte{},
			}
		}
		e.Records = append(e.Records, record)
	}
	return e
}

// failures reads a partial batch response. As Lambda has it, nothing and an
// empty list mean success, and whatever cannot be understood means that the
// whole batch failed:
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
func failures(answer []byte, messages []types.Message) (map[string]bool, error) {
	var response struct {
		BatchItemFailures []struct {
			ItemIdentifier *string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &response); err != nil {
			return nil, errors.New("the answer is no batch response")
		}
	}
	ours := map[string]bool{}
	for _, m := range messages {
		ours[*m.MessageId] = true
	}
	bad := map[string]bool{}
	for _, f := range response.BatchItemFailures {
		if f.ItemIdentifier == nil || !ours[*f.ItemIdentifier] {
			return nil, errors.New("the answer names a message that is not in the batch")
		}
		bad[*f.ItemIdentifier] = true
	}
	return bad, nil
}
