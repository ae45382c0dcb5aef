package sqsqueue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// Format is the version in every request sent. A change that raises it must keep
// reading requests of the previous formats: they may be in a queue when the change
// is deployed.
const Format = 1

const (
	batchSize  = 10 // SQS's limit of one call
	sendTries  = 4
	firstPause = 50 * time.Millisecond // doubled before every further try
)

// Client lists the methods of [*sqs.Client] that this package calls.
type Client interface {
	SendMessageBatch(context.Context, *sqs.SendMessageBatchInput, ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error)
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
}

var _ Client = (*sqs.Client)(nil)

// Pull is the queue of pull requests.
type Pull struct{ queue }

// Decode is the queue of decode requests.
type Decode struct{ queue }

// Media is the queue of requests to fetch files.
type Media struct{ queue }

var (
	_ archive.PullSender  = (*Pull)(nil)
	_ archive.DecodeQueue = (*Decode)(nil)
	_ watch.QueueDepth    = (*Pull)(nil)
	_ watch.QueueDepth    = (*Decode)(nil)
	_ media.Sender        = (*Media)(nil)
	_ watch.QueueDepth    = (*Media)(nil)
)

// NewPull makes a sender for the FIFO queue at url. newID returns a new id of at
// most 128 letters and digits, which it never returns again. It must be safe for
// concurrent use.
func NewPull(client Client, url string, newID func() string) *Pull {
	return &Pull{queue{client, url, newID}}
}

// NewDecode is like [NewPull].
func NewDecode(client Client, url string, newID func() string) *Decode {
	return &Decode{queue{client, url, newID}}
}

// NewMedia is like [NewPull].
func NewMedia(client Client, url string, newID func() string) *Media {
	return &Media{queue{client, url, newID}}
}

// SendPulls implements [archive.PullSender]. After an error any of the requests
// may have been sent.
func (q *Pull) SendPulls(ctx context.Context, reqs ...archive.PullRequest) error {
	return request(ctx, q.queue, reqs, func(r archive.PullRequest) (group, id string) {
		return r.Corp, q.newID()
	})
}

// RequestDecodes implements [archive.DecodeQueue]. After an error any of the
// requests may have been sent.
func (q *Decode) RequestDecodes(ctx context.Context, reqs ...archive.DecodeRequest) error {
	return request(ctx, q.queue, reqs, func(r archive.DecodeRequest) (string, string) {
		return group(r), q.newID()
	})
}

// SendMedia implements [media.Sender]. After an error any of the requests may
// have been sent.
func (q *Media) SendMedia(ctx context.Context, reqs ...media.Request) error {
	return request(ctx, q.queue, reqs, func(r media.Request) (group, id string) {
		return r.Corp + "/" + strconv.Itoa(r.Lane), q.newID()
	})
}

// request sends requests. address returns a request's message group and
// deduplication id.
func request[R any](ctx context.Context, q queue, reqs []R, address func(R) (group, id string)) error {
	entries := make([]types.SendMessageBatchRequestEntry, len(reqs))
	for i, r := range reqs {
		body, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = append(fmt.Appendf(nil, `{"v":%d,`, Format), body[1:]...) // a request is an object and never empty: it has a corp
		group, id := address(r)
		entries[i] = types.SendMessageBatchRequestEntry{
			MessageBody:            aws.String(string(body)),
			MessageGroupId:         aws.String(group),
			MessageDeduplicationId: aws.String(id),
		}
	}
	return q.send(ctx, entries)
}

// group returns the message group of a decode request.
func group(r archive.DecodeRequest) string {
	if r.Replay != "" {
		return r.Corp + "/replay"
	}
	return r.Corp + "/" + strconv.Itoa(archive.DecodeLane(r.After))
}

// queue is one FIFO queue. It is safe for concurrent use.
type queue struct {
	client Client
	url    string
	newID  func() string
}

func (q *queue) send(ctx context.Context, entries []types.SendMessageBatchRequestEntry) error {
	for batch := range slices.Chunk(entries, batchSize) {
		if err := q.sendBatch(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// sendBatch sends a batch. If SQS reports that it could not take some requests,
// sendBatch sends them again with the same deduplication ids. So a request that
// SQS took in spite of its report is not doubled. The SDK does the same when a
// whole call fails.
func (q *queue) sendBatch(ctx context.Context, batch []types.SendMessageBatchRequestEntry) error {
	pause := firstPause
	for try := 1; ; try++ {
		for i := range batch {
			batch[i].Id = aws.String(strconv.Itoa(i))
		}
		out, err := q.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.url, Entries: batch})
		if err != nil {
			return fmt.Errorf("send to queue: %w", err)
		}
		if len(out.Failed) == 0 {
			return nil
		}
		var again []types.SendMessageBatchRequestEntry
		for _, f := range out.Failed {
			i, err := strconv.Atoi(aws.ToString(f.Id))
			if err != nil || i < 0 || i >= len(batch) {
				return fmt.Errorf("send to queue: answer for an unknown entry %q", aws.ToString(f.Id))
			}
			if f.SenderFault || try == sendTries {
				return fmt.Errorf("send to queue: %d of %d requests not taken: %s", len(out.Failed), len(batch), aws.ToString(f.Code))
			}
			again = append(again, batch[i])
		}
		batch = again
		select {
		case <-ctx.Done():
			return fmt.Errorf("send to queue: %w", ctx.Err())
		case <-time.After(pause):
			pause *= 2
		}
	}
}

var depths = []types.QueueAttributeName{
	types.QueueAttributeNameApproximateNumberOfMessages,
	types.QueueAttributeNameApproximateNumberOfMessagesDelayed,
}

// Depth implements [watch.QueueDepth]. It counts the messages that are visible or
// delayed. SQS's numbers are approximate.
func (q *queue) Depth(ctx context.Context) (int, error) {
	out, err := q.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &q.url, AttributeNames: depths})
	if err != nil {
		return 0, fmt.Errorf("read queue depth: %w", err)
	}
	sum := 0
	for _, name := range depths {
		n, err := strconv.Atoi(out.Attributes[string(name)])
		if err != nil {
			return 0, fmt.Errorf("read queue depth: %s is not a number", name)
		}
		sum += n
	}
	return sum, nil
}
