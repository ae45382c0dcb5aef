package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/local/cloud/queue"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// A clock moves only by move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// front starts a front that passes requests on to moto, and a client of it.
func front(t *testing.T) (*queue.Front, *sqs.Client, *clock) {
	t.Helper()
	cfg := awstest.Config(t)
	direct := sqs.NewFromConfig(cfg)
	var endpoint string
	// The SDK knows the endpoint of moto.
	_, err := direct.ListQueues(t.Context(), &sqs.ListQueuesInput{}, func(o *sqs.Options) { endpoint = aws.ToString(o.BaseEndpoint) })
	if err != nil {
		t.Fatal(err)
	}
	moto, err := url.Parse(endpoint)
	if err != nil || moto.Host == "" {
		t.Fatalf("endpoint %q: %v", endpoint, err)
	}
	c := &clock{at: time.Now()}
	f := queue.NewFront(moto, c.now, quiet())
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, sqs.NewFromConfig(cfg, func(o *sqs.Options) { o.BaseEndpoint = &server.URL }), c
}

// fifo makes a FIFO queue.
func fifo(t *testing.T, client *sqs.Client, attributes map[string]string) (url, arn string) {
	t.Helper()
	name := awstest.Name(t) + ".fifo"
	all := map[string]string{"FifoQueue": "true"}
	for k, v := range attributes {
		all[k] = v
	}
	made, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: all})
	if err != nil {
		t.Fatal(err)
	}
	return *made.QueueUrl, "arn:aws-cn:sqs:" + client.Options().Region + ":123456789012:" + name
}

func send(t *testing.T, client *sqs.Client, url, group, dedup, body string) *sqs.SendMessageOutput {
	t.Helper()
	out, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &url, MessageGroupId: &group, MessageDeduplicationId: &dedup, MessageBody: &body,
	})
	if err != nil {
		t.Fatalf("send %s: %v", body, err)
	}
	return out
}

// drain receives and deletes all messages, and returns their bodies.
func drain(t *testing.T, client *sqs.Client, url string) []string {
	t.Helper()
	var bodies []string
	for {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return bodies
		}
		for _, m := range out.Messages {
			bodies = append(bodies, *m.Body)
			if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFrontRemembersDeletedMessages(t *testing.T) {
	t.Parallel()
	_, client, clock := front(t)
	url, _ := fifo(t, client, nil)
	other, _ := fifo(t, client, nil)
	first := send(t, client, url, "g", "same", "one")
	expect(t, drain(t, client, url), "one")

	again := send(t, client, url, "g", "same", "two")
	if aws.ToString(again.MessageId) != aws.ToString(first.MessageId) {
		t.Errorf("got message id %s, want the first message's id %s", *again.MessageId, *first.MessageId)
	}
	send(t, client, url, "g", "other", "three")
	expect(t, drain(t, client, url), "three")
	send(t, client, other, "g", "same", "in another queue")
	expect(t, drain(t, client, other), "in another queue")

	clock.move(5*time.Minute + time.Second)
	send(t, client, url, "g", "same", "later")
	expect(t, drain(t, client, url), "later")
}

func TestFrontBatch(t *testing.T) {
	t.Parallel()
	_, client, _ := front(t)
	url, _ := fifo(t, client, nil)
	send(t, client, url, "g", "a", "first a")
	expect(t, drain(t, client, url), "first a")

	batch := func(entries ...string) []types.SendMessageBatchResultEntry {
		in := &sqs.SendMessageBatchInput{QueueUrl: &url}
		for n, e := range entries {
			in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{
				Id: aws.String(fmt.Sprint("e", n)), MessageGroupId: aws.String("g"),
				MessageDeduplicationId: aws.String(e[:1]), MessageBody: aws.String(e),
			})
		}
		out, err := client.SendMessageBatch(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Failed) != 0 || len(out.Successful) != len(entries) {
			t.Fatalf("got %d successful and %d failed of %d", len(out.Successful), len(out.Failed), len(entries))
		}
		return out.Successful
	}
	batch("a again", "b", "c", "b twin")
	expect(t, drain(t, client, url), "b", "c")
	batch("a once more", "c again")
	expect(t, drain(t, client, url))
}

func TestFrontArrivals(t *testing.T) {
	t.Parallel()
	f, client, _ := front(t)
	url, _ := fifo(t, client, nil)
	arrivals := f.Arrivals(path.Base(url))
	select {
	case <-arrivals:
		t.Fatal("got an arrival before the first send")
	default:
	}
	send(t, client, url, "g", "1", "x")
	send(t, client, url, "g", "2", "x")
	<-arrivals
}

// A call is one invocation that waits for its answer.
type call struct {
	event  events.SQSEvent
	answer chan<- reply
}

type reply struct {
	body string
	err  error
}

func (c call) bodies() []string {
	var out []string
	for _, r := range c.event.Records {
		out = append(out, r.Body)
	}
	return out
}

// failing is the partial answer that names the messages with these bodies.
func (c call) failing(bodies ...string) reply {
	var r events.SQSEventResponse
	for _, record := range c.event.Records {
		if slices.Contains(bodies, record.Body) {
			r.BatchItemFailures = append(r.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: record.MessageId})
		}
	}
	raw, _ := json.Marshal(r)
	return reply{body: string(raw)}
}

// work starts a source. Each invocation arrives on the channel as a call.
func work(t *testing.T, client *sqs.Client, f *queue.Front, url, arn string, change func(*queue.Source)) <-chan call {
	t.Helper()
	calls := make(chan call)
	s := &queue.Source{
		Client: client, URL: url, ARN: arn, Region: client.Options().Region, BatchSize: 10, Concurrency: 5, PartialBatches: true,
		Visibility: time.Second, Timeout: time.Minute, Arrivals: f.Arrivals(path.Base(url)), Log: quiet(),
		Invoke: func(ctx context.Context, event []byte) ([]byte, error) {
			var e events.SQSEvent
			if err := json.Unmarshal(event, &e); err != nil {
				return nil, err
			}
			answer := make(chan reply, 1)
			select {
			case calls <- call{e, answer}:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			select {
			case r := <-answer:
				return []byte(r.body), r.err
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}
	if change != nil {
		change(s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return calls
}

// next waits for the next call.
func next(t *testing.T, calls <-chan call) call {
	t.Helper()
	select {
	case d := <-calls:
		return d
	case <-time.After(time.Minute):
		t.Fatal("no invocation within a minute")
	}
	panic("not reached")
}

// noCall fails if a call comes soon.
func noCall(t *testing.T, calls <-chan call) {
	t.Helper()
	select {
	case d := <-calls:
		t.Fatalf("invoked with %q, want no invocation", d.bodies())
	case <-time.After(300 * time.Millisecond):
	}
}

func TestSourceEvent(t *testing.T) {
	t.Parallel()
	f, client, _ := front(t)
	url, arn := fifo(t, client, nil)
	send(t, client, url, "corp", "dedup", `{"v":1}`)
	d := next(t, work(t, client, f, url, arn, nil))
	if len(d.event.Records) != 1 {
		t.Fatalf("got %d records, want 1", len(d.event.Records))
	}
	r := d.event.Records[0]
	if r.Body != `{"v":1}` || r.EventSource != "aws:sqs" || r.EventSourceARN != arn || r.AWSRegion != client.Options().Region {
		t.Errorf("got %+v", r)
	}
	if r.MessageId == "" || r.ReceiptHandle == "" || len(r.Md5OfBody) != 32 {
		t.Errorf("id, handle or digest is missing: %+v", r)
	}
	for name, want := range map[string]string{
		"MessageGroupId": "corp", "MessageDeduplicationId": "dedup", "ApproximateReceiveCount": "1",
		"SentTimestamp": "", "SequenceNumber": "", "ApproximateFirstReceiveTimestamp": "", "SenderId": "",
	} {
		if got := r.Attributes[name]; got == "" || want != "" && got != want {
			t.Errorf("attribute %s: got %q, want %q", name, got, want)
		}
	}
	d.answer <- reply{}
}

func TestSourceGivesOneBatchPerGroup(t *testing.T) {
	t.Parallel()
	f, client, _ := front(t)
	url, arn := fifo(t, client, nil)
	calls := work(t, client, f, url, arn, nil)
	send(t, client, url, "a", "1", "a1")
	a1 := next(t, calls)
	send(t, client, url, "a", "2", "a2")
	send(t, client, url, "a", "3", "a3")
	noCall(t, calls)
	send(t, client, url, "b", "4", "b1")
	b1 := next(t, calls)
	expect(t, b1.bodies(), "b1")
	noCall(t, calls)
	a1.answer <- reply{}
	rest := next(t, calls)
	expect(t, rest.bodies(), "a2", "a3")
	b1.answer <- reply{}
	rest.answer <- reply{}
	// The source deletes the messages soon after the answers.
	for range 1000 {
		if depth(t, client, url) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("got %d messages left, want 0", depth(t, client, url))
}

// depth counts the messages of a queue.
func depth(t *testing.T, client *sqs.Client, url string) int {
	t.Helper()
	out, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		t.Fatal(err)
	}
	var n, sum int
	for _, name := range []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"} {
		_, _ = fmt.Sscan(out.Attributes[name], &n)
		sum += n
	}
	return sum
}

func TestFailedMessagesReturn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(call) reply
		back   []string // bodies of the messages that return
	}{
		"no failures":    {func(call) reply { return reply{body: `{"batchItemFailures":[]}`} }, nil},
		"null":           {func(call) reply { return reply{body: `null`} }, nil},
		"some":           {func(d call) reply { return d.failing("2", "3") }, []string{"2", "3"}},
		"error":          {func(call) reply { return reply{err: errors.New("died")} }, []string{"1", "2", "3"}},
		"not an object":  {func(call) reply { return reply{body: `"done"`} }, []string{"1", "2", "3"}},
		"unknown id":     {func(call) reply { return reply{body: `{"batchItemFailures":[{"itemIdentifier":"x"}]}`} }, []string{"1", "2", "3"}},
		"no id":          {func(call) reply { return reply{body: `{"batchItemFailures":[{}]}`} }, []string{"1", "2", "3"}},
		"misspelt field": {func(d call) reply { return reply{body: strings.ToUpper(`{"x":1}`)} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, client, _ := front(t)
			url, arn := fifo(t, client, nil)
			for _, body := range []string{"1", "2", "3"} {
				send(t, client, url, "g", body, body)
			}
			calls := work(t, client, f, url, arn, nil)
			first := next(t, calls)
			expect(t, first.bodies(), "1", "2", "3")
			received := time.Now()
			first.answer <- c.answer(first)
			send(t, client, url, "g", "4", "4")
			again := next(t, calls)
			if c.back == nil {
				expect(t, again.bodies(), "4")
				again.answer <- reply{}
				return
			}
			if early := time.Second - time.Since(received); early > 500*time.Millisecond {
				t.Errorf("returned %v before the visibility timeout", early)
			}
			expect(t, again.bodies(), append(slices.Clone(c.back), "4")...)
			if n := again.event.Records[0].Attributes["ApproximateReceiveCount"]; n != "2" {
				t.Errorf("receive count: got %s, want 2", n)
			}
			again.answer <- reply{}
		})
	}
}

func TestFailingMessageBecomesDeadLetter(t *testing.T) {
	t.Parallel()
	f, client, _ := front(t)
	dead, deadARN := fifo(t, client, nil)
	url, arn := fifo(t, client, map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn":"` + deadARN + `","maxReceiveCount":"2"}`,
	})
	calls := work(t, client, f, url, arn, func(s *queue.Source) { s.Visibility = 0 })
	send(t, client, url, "g", "1", "poison")
	for range 2 {
		d := next(t, calls)
		d.answer <- reply{err: errors.New("no")}
	}
	for range 1000 {
		if got := drain(t, client, dead); len(got) == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the message did not reach the dead-letter queue")
}

func TestSourceConcurrency(t *testing.T) {
	t.Parallel()
	f, client, _ := front(t)
	url, arn := fifo(t, client, nil)
	for n := range 5 {
		body := fmt.Sprint(n)
		send(t, client, url, "group "+body, body, body)
	}
	calls := work(t, client, f, url, arn, func(s *queue.Source) { s.BatchSize, s.Concurrency = 1, 2 })
	one, two := next(t, calls), next(t, calls)
	expect(t, append(one.bodies(), two.bodies()...), "0", "1")
	noCall(t, calls)
	one.answer <- reply{}
	expect(t, next(t, calls).bodies(), "2")
}
