package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/cloud/template"
	"github.com/yunduo-scrm/archive/local/wecom"
)

// A pull is killed after it wrote the row of a page and before it requested the
// page's decoding. The pull request returns, and the next pull requests the
// decoding. The test needs no dispatcher, which never runs here.
func TestPullKilledBeforeDecodeRequest(t *testing.T) {
	var c *cloud.Cloud
	var armed atomic.Bool // true once c is set, until the kill
	died := make(chan struct{})
	observe := func(function string, r *http.Request, body []byte) {
		if !armed.Load() || function != "PullFunction" || !strings.HasPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.SendMessage") {
			return
		}
		var send struct{ QueueURL string }
		if err := json.Unmarshal(body, &send); err != nil {
			t.Error(err)
		}
		if path.Base(send.QueueURL) == queueOf(c, "DecodeFunction") && armed.CompareAndSwap(true, false) {
			c.Kill(function)
			// The kill closes the connection, so the request never reaches SQS.
			<-r.Context().Done()
			close(died)
		}
	}
	c = start(t, cloud.Options{
		Tick: time.Hour, FailureSpeed: 60, Observe: observe, Companies: cloud.Invented()[:1],
		Sim: wecom.Config{Seed: 5, NotifyEvery: time.Second},
	})
	armed.Store(true)
	corp := c.Sim.Corps()[0]
	details := corp.Details()
	if _, err := corp.Send(wecom.Draft{From: details.Staff[0].UserID, To: []string{details.Customers[0].ExternalUserID}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case <-died:
	case <-ctx.Done():
		t.Fatal("no pull requested the decoding of a page")
	}
	watch := people.Watcher{API: c.API, Corp: corp.ID()}
	if p, err := watch.Look(ctx); err != nil || p.Pages != 1 || p.Pending != 1 {
		t.Errorf("after the kill: got %+v, %v; want a page that is not decoded", p, err)
	}
	untilDecoded(ctx, t, c, corp)
	readBack(ctx, t, c, corp)
}

// queueOf is the name of the queue that invokes the function.
func queueOf(c *cloud.Cloud, function string) string {
	f := slices.IndexFunc(c.Stack.Functions, func(f template.Function) bool { return f.ID == function })
	q := slices.IndexFunc(c.Stack.Queues, func(q template.Queue) bool { return q.ARN == c.Stack.Functions[f].Sources[0].QueueARN })
	return c.Stack.Queues[q].Name
}
