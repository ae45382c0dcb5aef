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

// Client is the part of SQS that a source uses.
type Client interface {
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
	ChangeMessageVisibility(context.Context, *sqs.ChangeMessageVisibilityInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error)
}

// A Source gives a queue's messages to a function in batches, as Lambda's event
// source mapping for SQS does. It deletes the messages that succeeded. The
// messages that failed return after their visibility timeout.
//
// Two batches of a FIFO queue never hold messages of one group at the same time.
// SQS itself guarantees this. moto guarantees it only if one caller receives at
// a time, so each queue has one Source.
type Source struct {
	Client   Client
	URL, ARN string
	Region   string
	// BatchSize is 1 to 10. Concurrency is the largest number of batches at
	// the same time.
	BatchSize, Concurrency int
	// PartialBatches means that the answer names the messages that failed
	// (ReportBatchItemFailures). Without it, a batch fails only as a whole, by
	// an error.
	PartialBatches bool
	// Visibility is the time from receiving a message until a failed message
	// returns. Tests may set it shorter than the queue's own timeout: a message
	// never returns while its batch is still in work.
	Visibility time.Duration
	// Timeout is the longest time that an invocation takes.
	Timeout time.Duration
	Invoke  func(ctx context.Context, event []byte) ([]byte, error)
	// Arrivals gets a value when messages were sent.
	Arrivals <-chan struct{}
	Log      *slog.Logger

	freed chan struct{} // gets a value when a group may have become free
}

// pollEvery is how long a source waits for an arrival before it polls again.
const pollEvery = time.Second

// Run works until ctx ends. It returns when no batch is in work.
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
			s.Log.Error("receive failed", "queue", s.ARN, "err", err)
		}
		if len(messages) == 0 {
			<-slots
			select {
			case <-s.Arrivals:
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
			s.release(ctx, failed, received.Add(s.Visibility))
		})
	}
}

func (s *Source) receive(ctx context.Context) ([]types.Message, error) {
	out, err := s.Client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:            &s.URL,
		MaxNumberOfMessages: int32(s.BatchSize),
		// moto returns a group's messages in the wrong order when their
		// visibility timeout ends. So the timeout is longer than any batch
		// takes, and release ends the timeout.
		VisibilityTimeout:           int32((s.Visibility + s.Timeout + time.Hour) / time.Second),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		MessageAttributeNames:       []string{"All"},
	})
	if err != nil {
		return nil, err
	}
	return out.Messages, nil
}

// batch invokes the function, deletes the messages that succeeded and returns
// the messages that failed.
func (s *Source) batch(ctx context.Context, messages []types.Message) []types.Message {
	event, err := json.Marshal(s.event(messages))
	if err != nil {
		s.Log.Error("event not encodable", "queue", s.ARN, "err", err)
		return messages
	}
	answer, err := s.Invoke(ctx, event)
	if ctx.Err() != nil {
		return nil // the messages stay in the queue for the next run
	}
	if err != nil {
		s.Log.Warn("batch failed", "queue", s.ARN, "messages", len(messages), "err", err)
		return messages
	}
	named := map[string]bool{}
	if s.PartialBatches {
		if named, err = failures(answer, messages); err != nil {
			s.Log.Warn("batch failed", "queue", s.ARN, "messages", len(messages), "err", err)
			return messages
		}
	}
	var failed []types.Message
	var done []types.DeleteMessageBatchRequestEntry
	for n, m := range messages {
		if named[*m.MessageId] {
			failed = append(failed, m)
			continue
		}
		done = append(done, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(n)), ReceiptHandle: m.ReceiptHandle})
	}
	if len(failed) > 0 {
		s.Log.Info("messages failed", "queue", s.ARN, "failed", len(failed), "of", len(messages))
	}
	if len(done) > 0 {
		if err := s.delete(ctx, done); err != nil && ctx.Err() == nil {
			s.Log.Error("delete failed", "queue", s.ARN, "err", err)
		}
	}
	s.groupFreed()
	return failed
}

func (s *Source) delete(ctx context.Context, done []types.DeleteMessageBatchRequestEntry) error {
	out, err := s.Client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &s.URL, Entries: done})
	if err == nil && len(out.Failed) > 0 {
		err = fmt.Errorf("%d messages refused: %s", len(out.Failed), aws.ToString(out.Failed[0].Code))
	}
	return err
}

// release makes the failed messages receivable again at the given time, in
// their order.
func (s *Source) release(ctx context.Context, failed []types.Message, at time.Time) {
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
			s.Log.Error("release failed", "queue", s.ARN, "message", aws.ToString(m.MessageId), "err", err)
		}
	}
	s.groupFreed()
}

// groupFreed lets Run poll without delay.
func (s *Source) groupFreed() {
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// event is the Lambda event of a batch.
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

// failures reads a partial batch response and returns the ids of the failed
// messages. As on Lambda, an empty answer and an empty list mean that all
// messages succeeded. An error means that the answer is invalid, and then the
// whole batch has failed:
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
func failures(answer []byte, messages []types.Message) (map[string]bool, error) {
	var response struct {
		BatchItemFailures []struct {
			ItemIdentifier *string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &response); err != nil {
			return nil, errors.New("answer is not a batch response")
		}
	}
	ours := map[string]bool{}
	for _, m := range messages {
		ours[*m.MessageId] = true
	}
	failed := map[string]bool{}
	for _, f := range response.BatchItemFailures {
		if f.ItemIdentifier == nil || !ours[*f.ItemIdentifier] {
			return nil, errors.New("answer names a message outside the batch")
		}
		failed[*f.ItemIdentifier] = true
	}
	return failed, nil
}
