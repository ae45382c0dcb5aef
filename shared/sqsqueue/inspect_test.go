package sqsqueue_test

import (
	"crypto/rand"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

func TestInspections(t *testing.T) {
	client := sqs.NewFromConfig(awstest.Config(t))
	url := awstest.FIFOQueue(t)
	queue := sqsqueue.NewInspect(client, url, rand.Text)
	sent := []directory.Request{
		{Corp: corpA, Why: "read", People: []string{"lin.hua", "wm-客户"}, Rooms: []string{"wrA"}},
		{Corp: corpA, Why: "asked", Check: true, Force: true, Pairs: []directory.Pair{{Member: "lin.hua", Contact: "wmX"}}, ConsentRooms: []string{"wrA"}},
		{Corp: corpB, Why: "read", People: []string{"lin.hua", "wm-客户"}},
	}
	if err := queue.SendInspections(t.Context(), sent...); err != nil {
		t.Fatal(err)
	}
	if err := queue.SendInspections(t.Context()); err != nil {
		t.Fatalf("empty list: %v", err)
	}
	got := map[string][]directory.Request{}
	for _, m := range drain(t, client, url) {
		r, err := sqsqueue.ParseInspect(message(*m.Body))
		if err != nil {
			t.Fatal(err)
		}
		if g := attribute(m, types.MessageSystemAttributeNameMessageGroupId); g != r.Corp {
			t.Errorf("got group %q for a request of %s", g, r.Corp)
		}
		got[r.Corp] = append(got[r.Corp], r)
	}
	if want := map[string][]directory.Request{corpA: sent[:2], corpB: sent[2:]}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestParseInspectRefuses(t *testing.T) {
	many, err := json.Marshal(directory.Request{Corp: corpA, People: make([]string, 10*directory.RequestMost)})
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"nonsense": "x", "no corp": `{"v":1}`, "a path": `{"v":1,"corp":"../x"}`, "format": `{"v":2,"corp":"` + corpA + `"}`, "too many": string(many),
	} {
		if _, err := sqsqueue.ParseInspect(message(body)); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
