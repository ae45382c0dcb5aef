package sqsqueue_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

const corpA, corpB = "ww0123456789abcdef", "wx0123456789abcdef"

// drain receives and deletes all messages of the queue.
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

func TestConformance(t *testing.T) {
	client := sqs.NewFromConfig(awstest.Config(t))
	pulls, decodes := awstest.FIFOQueue(t), awstest.FIFOQueue(t)
	archivetest.TestQueues(t,
		sqsqueue.NewPull(client, pulls, rand.Text),
		func() []archive.PullRequest { return parsed(t, drain(t, client, pulls), sqsqueue.ParsePull) },
		sqsqueue.NewDecode(client, decodes, rand.Text),
		func() []archive.DecodeRequest { return parsed(t, drain(t, client, decodes), sqsqueue.ParseDecode) },
	)
}

func parsed[R any](t *testing.T, msgs []types.Message, parse func(events.SQSMessage) (R, error)) []R {
	t.Helper()
	var reqs []R
	for _, m := range msgs {
		r, err := parse(message(*m.Body))
		if err != nil {
			t.Fatal(err)
		}
		reqs = append(reqs, r)
	}
	return reqs
}

func TestGroupsAndIDs(t *testing.T) {
	client := sqs.NewFromConfig(awstest.Config(t))
	pulls, decodes := awstest.FIFOQueue(t), awstest.FIFOQueue(t)
	if err := sqsqueue.NewPull(client, pulls, rand.Text).SendPulls(t.Context(),
		archive.PullRequest{Corp: corpA}, archive.PullRequest{Corp: corpB}, archive.PullRequest{Corp: corpB}); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range drain(t, client, pulls) {
		r, err := sqsqueue.ParsePull(message(*m.Body))
		if err != nil {
			t.Fatal(err)
		}
		if g := attribute(m, types.MessageSystemAttributeNameMessageGroupId); g != r.Corp {
			t.Errorf("got group %q for a pull of %s", g, r.Corp)
		}
		id := attribute(m, types.MessageSystemAttributeNameMessageDeduplicationId)
		if seen[id] {
			t.Errorf("got id %q, want a new one", id)
		}
		seen[id] = true
	}

	reqs := []archive.DecodeRequest{{Corp: corpA, Replay: "job"}, {Corp: corpB, After: 1<<64 - 1}}
	for i := range uint64(20) {
		reqs = append(reqs, archive.DecodeRequest{Corp: corpA, After: 1000 * i})
	}
	if err := sqsqueue.NewDecode(client, decodes, rand.Text).RequestDecodes(t.Context(), reqs...); err != nil {
		t.Fatal(err)
	}
	groups := map[string]int{}
	for _, m := range drain(t, client, decodes) {
		r, err := sqsqueue.ParseDecode(message(*m.Body))
		if err != nil {
			t.Fatal(err)
		}
		g := attribute(m, types.MessageSystemAttributeNameMessageGroupId)
		if !strings.HasPrefix(g, r.Corp+"/") || strings.HasSuffix(g, "/replay") != (r.Replay != "") {
			t.Errorf("got group %q for %+v", g, r)
		}
		groups[g]++
	}
	if want := archive.DecodeLanes + 2; len(groups) != want { // the corp's lanes, its replay, and a lane of the other corp
		t.Errorf("got groups %v, want %d", groups, want)
	}
}

func TestMediaRequests(t *testing.T) {
	client := sqs.NewFromConfig(awstest.Config(t))
	url := awstest.FIFOQueue(t)
	q := sqsqueue.NewMedia(client, url, rand.Text)
	want := []media.Request{{Corp: corpA, Lane: 0}, {Corp: corpA, Lane: media.Lanes - 1}, {Corp: corpB, Lane: 0}}
	for range 2 {
		if err := q.SendMedia(t.Context(), want...); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := q.Depth(t.Context()); err != nil || n != 6 {
		t.Errorf("got depth %d, %v; want 6", n, err)
	}
	work, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 1, VisibilityTimeout: 600})
	if err != nil || len(work.Messages) != 1 {
		t.Fatalf("got %+v, %v; want a message", work, err)
	}
	if n, err := q.Depth(t.Context()); err != nil || n != 5 {
		t.Errorf("got depth %d, %v while a function works on one; want the 5 that wait", n, err)
	}
	if _, err := client.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &url, ReceiptHandle: work.Messages[0].ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
	got := map[string][]media.Request{}
	for _, m := range drain(t, client, url) {
		r, err := sqsqueue.ParseMedia(message(*m.Body))
		if err != nil {
			t.Fatal(err)
		}
		g := attribute(m, types.MessageSystemAttributeNameMessageGroupId)
		got[g] = append(got[g], r)
	}
	for _, r := range want {
		if g := fmt.Sprintf("%s/%d", r.Corp, r.Lane); !slices.Equal(got[g], []media.Request{r, r}) {
			t.Errorf("group %s: got %v, want %v twice", g, got[g], r)
		}
	}
	for _, body := range []string{`{"v":1,"corp":"` + corpA + `","lane":4}`, `{"v":1,"corp":"` + corpA + `","lane":-1}`} {
		if _, err := sqsqueue.ParseMedia(message(body)); err == nil {
			t.Errorf("%s is taken", body)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"empty":        "",
		"not JSON":     "pull",
		"no format":    `{"corp":"` + corpA + `"}`,
		"later format": `{"v":2,"corp":"` + corpA + `"}`,
		"no corp":      `{"v":1}`,
		"invalid corp": `{"v":1,"corp":"../x"}`,
	} {
		if _, err := sqsqueue.ParsePull(message(body)); err == nil {
			t.Errorf("pull: %s is taken", name)
		}
		if _, err := sqsqueue.ParseDecode(message(body)); err == nil {
			t.Errorf("decode: %s is taken", name)
		}
		if _, err := sqsqueue.ParseMedia(message(body)); err == nil {
			t.Errorf("media: %s is taken", name)
		}
	}
}

// A version reads the requests of its own format and of every earlier format. The
// error for a request of a newer version says so.
func TestFormats(t *testing.T) {
	for v, want := range map[int]string{-1: "missing", 0: "missing", 1: "", 2: "", 3: "", 4: "newer"} {
		err := sqsqueue.Readable(v, 3)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("format %d in version 3: got %v, want %q", v, err, want)
		}
	}
	for v := 1; v <= sqsqueue.Format+1; v++ {
		_, err := sqsqueue.ParsePull(message(fmt.Sprintf(`{"v":%d,"corp":%q}`, v, corpA)))
		if newer := v > sqsqueue.Format; newer != (err != nil) || newer && !strings.Contains(err.Error(), "newer version") {
			t.Errorf("format %d: got %v, want an error: %v", v, err, newer)
		}
	}
}

// reluctant refuses the entries of even index until the send of number until.
type reluctant struct {
	sqsqueue.Client
	until       int
	senderFault bool

	sends int
	taken []string            // bodies
	ids   map[string][]string // deduplication ids by body
}

func (r *reluctant) SendMessageBatch(_ context.Context, in *sqs.SendMessageBatchInput, _ ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error) {
	r.sends++
	out := &sqs.SendMessageBatchOutput{}
	for i, e := range in.Entries {
		r.ids[*e.MessageBody] = append(r.ids[*e.MessageBody], *e.MessageDeduplicationId)
		if r.sends < r.until && (i%2 == 0) {
			out.Failed = append(out.Failed, types.BatchResultErrorEntry{Id: e.Id, Code: aws.String("InternalError"), SenderFault: r.senderFault})
			continue
		}
		r.taken = append(r.taken, *e.MessageBody)
	}
	return out, nil
}

func TestPartialFailures(t *testing.T) {
	for _, c := range []struct {
		name      string
		client    reluctant
		wantErr   bool
		wantSends int
	}{
		{"at first", reluctant{until: 2}, false, 2},
		{"until the last try", reluctant{until: 4}, false, 4},
		{"always", reluctant{until: 1 << 30}, true, 4},
		{"fault of the sender", reluctant{until: 2, senderFault: true}, true, 1},
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
