package sqsqueue_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

const corpA, corpB = "ww0123456789abcdef", "wx0123456789abcdef"

// drain receives and deletes what is in the queue, until nothing is.
func drain(t *testing.T, client *sqs.Client, url string) []types.Message {
	t.Helper()
	var all []types.Message
	for {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &url, MaxNumberOfMessages: 10,
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return all
		}
		for _, m := range out.Messages {
			if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, out.Messages...)
	}
}

func attribute(m types.Message, name types.MessageSystemAttributeName) string {
	return m.Attributes[string(name)]
}

func TestPullQueue(t *testing.T) {
	client, url := sqs.NewFromConfig(awstest.Config(t)), awstest.FIFOQueue(t)
	q := sqsqueue.NewPull(client, url, rand.Text)
	want := []archive.PullRequest{
		{V: 1, Corp: corpA, Why: "timer"},
		{V: 1, Corp: corpA, Why: "timer"},
		{V: 1, Corp: corpA, Why: "asked", Force: true},
		{V: 1, Corp: corpB, Why: "callback", Dedup: "now"},
		{V: 1, Corp: corpB, Why: "callback", Dedup: "now"},
		{V: 1, Corp: corpA, Why: "callback", Dedup: "now"},
	}
	if err := q.RequestPulls(t.Context(), want...); err != nil {
		t.Fatal(err)
	}
	if n, err := q.Depth(t.Context()); err != nil || n != 5 {
		t.Errorf("got depth %d, error %v, want 5", n, err)
	}
	got := map[archive.PullRequest]int{}
	for _, m := range drain(t, client, url) {
		r, err := sqsqueue.ParsePull(*m.Body)
		if err != nil {
			t.Fatal(err)
		}
		got[r]++
		if g := attribute(m, types.MessageSystemAttributeNameMessageGroupId); g != r.Corp {
			t.Errorf("got group %q for corp %s", g, r.Corp)
		}
		if id := attribute(m, types.MessageSystemAttributeNameMessageDeduplicationId); strings.Contains(id, "now") {
			t.Errorf("got id %q, want a digest", id)
		}
	}
	if n := got[archive.PullRequest{V: 1, Corp: corpA, Why: "timer"}]; n != 2 {
		t.Errorf("got %d equal requests, want both", n)
	}
	if n := got[archive.PullRequest{V: 1, Corp: corpA, Why: "asked", Force: true}]; n != 1 {
		t.Errorf("got %d forced requests, want 1", n)
	}
	for _, corp := range []string{corpA, corpB} {
		if n := got[archive.PullRequest{V: 1, Corp: corp, Why: "callback"}]; n != 1 {
			t.Errorf("got %d requests of %s with one Dedup, want 1", n, corp)
		}
	}
}

func TestDecodeQueue(t *testing.T) {
	client, url := sqs.NewFromConfig(awstest.Config(t)), awstest.FIFOQueue(t)
	q := sqsqueue.NewDecode(client, url, rand.Text)
	reqs := []archive.DecodeRequest{{Corp: corpA, Replay: "job"}, {Corp: corpB, After: 1<<64 - 1}}
	for i := range uint64(22) { // three batches
		reqs = append(reqs, archive.DecodeRequest{Corp: corpA, After: 1000 * i})
	}
	if err := q.RequestDecodes(t.Context(), reqs...); err != nil {
		t.Fatal(err)
	}
	groups := map[string]int{}
	var got []archive.DecodeRequest
	for _, m := range drain(t, client, url) {
		r, err := sqsqueue.ParseDecode(*m.Body)
		if err != nil {
			t.Fatal(err)
		}
		r.V = 0
		got = append(got, r)
		g := attribute(m, types.MessageSystemAttributeNameMessageGroupId)
		if !strings.HasPrefix(g, r.Corp+"/") || strings.HasSuffix(g, "/replay") != (r.Replay != "") {
			t.Errorf("got group %q for %+v", g, r)
		}
		groups[g]++
	}
	for _, r := range reqs {
		if !slices.Contains(got, r) {
			t.Errorf("request %+v did not arrive", r)
		}
	}
	if len(got) != len(reqs) || len(groups) != sqsqueue.Lanes+2 {
		t.Errorf("got %d requests in groups %v, want %d in %d", len(got), groups, len(reqs), sqsqueue.Lanes+2)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":       "",
		"no JSON":       "pull",
		"no format":     `{"corp":"` + corpA + `"}`,
		"later format":  `{"v":2,"corp":"` + corpA + `"}`,
		"no corp":       `{"v":1}`,
		"no valid corp": `{"v":1,"corp":"../x"}`,
	} {
		if _, err := sqsqueue.ParsePull(body); err == nil {
			t.Errorf("pull: %s is taken", name)
		}
		if _, err := sqsqueue.ParseDecode(body); err == nil {
			t.Errorf("decode: %s is taken", name)
		}
	}
}

// balky takes the messages of an even sequence number only at the nth try.
type balky struct {
	sqsqueue.Client
	until       int
	senderFault bool

	sends int
	taken []string            // bodies
	ids   map[string][]string // deduplication ids by body
}

func (b *balky) SendMessageBatch(_ context.Context, in *sqs.SendMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	b.sends++
	out := &sqs.SendMessageBatchOutput{}
	for i, e := range in.Entries {
		b.ids[*e.MessageBody] = append(b.ids[*e.MessageBody], *e.MessageDeduplicationId)
		if b.sends < b.until && (i%2 == 0) {
			out.Failed = append(out.Failed, types.BatchResultErrorEntry{Id: e.Id, Code: aws.String("InternalError"), SenderFault: b.senderFault})
			continue
		}
		b.taken = append(b.taken, *e.MessageBody)
	}
	return out, nil
}

func TestPartialFailures(t *testing.T) {
	for _, c := range []struct {
		name      string
		client    balky
		wantErr   bool
		wantSends int
	}{
		{"at first", balky{until: 2}, false, 2},
		{"for long", balky{until: 4}, false, 4},
		{"for ever", balky{until: 1 << 30}, true, 4},
		{"our fault", balky{until: 2, senderFault: true}, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.client.ids = map[string][]string{}
			n := 0
			q := sqsqueue.NewDecode(&c.client, "url", func() string { n++; return fmt.Sprint(n) })
			err := q.RequestDecodes(t.Context(),
				archive.DecodeRequest{Corp: corpA, After: 1}, archive.DecodeRequest{Corp: corpA, After: 2},
				archive.DecodeRequest{Corp: corpA, After: 3})
			if (err != nil) != c.wantErr || c.client.sends != c.wantSends {
				t.Errorf("got error %v after %d sends, want an error %v after %d", err, c.client.sends, c.wantErr, c.wantSends)
			}
			if slices.Sort(c.client.taken); len(slices.Compact(c.client.taken)) != len(c.client.taken) || !c.wantErr && len(c.client.taken) != 3 {
				t.Errorf("got %v taken, want each once", c.client.taken)
			}
			for body, ids := range c.client.ids {
				if len(slices.Compact(ids)) != 1 {
					t.Errorf("%s was sent under ids %v, want one", body, ids)
				}
			}
		})
	}
}
