package e2e_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/wecom"
)

var contention = flag.Bool("contention", false, "run TestContention, which takes minutes")

const (
	floodEvery  = 200 * time.Millisecond
	floodCopies = 50 // valid callbacks, and as many forged ones, every floodEvery
)

// Two pullers of one company run at once, besides those of the queue, while 500
// callbacks a second arrive for it, half of them forged. No message is missing or
// there twice. The test reports how much longer the other company's messages take.
// make torture PART=contention runs it.
func TestContention(t *testing.T) {
	if !*contention {
		t.Skip("make torture PART=contention runs this test")
	}
	c := start(t, cloud.Options{Tick: 2 * time.Second, FailureSpeed: 20, Sim: wecom.Config{Seed: 9, NotifyEvery: time.Second, UsualMediaMax: 2 << 10}})
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	loud, quiet := c.Sim.Corps()[0], c.Sim.Corps()[1]
	before := samples(ctx, t, c, quiet, 40)

	storming, stop := context.WithCancel(ctx)
	var storm sync.WaitGroup
	for range 2 {
		storm.Go(func() { pullAtOnce(storming, t, c, loud) })
	}
	storm.Go(func() { floodCallbacks(storming, t, loud) })
	storm.Go(func() {
		for range 20 {
			if _, err := loud.Mixed(100); err != nil {
				t.Error(err)
			}
			sleep(storming, 500*time.Millisecond)
		}
	})
	begun, requests := time.Now(), c.Function("ApiFunction").Stats().Invocations
	during := samples(ctx, t, c, quiet, 40)
	rate := float64(c.Function("ApiFunction").Stats().Invocations-requests) / time.Since(begun).Seconds()
	stop()
	storm.Wait()
	for _, corp := range c.Sim.Corps() {
		untilDecoded(ctx, t, c, corp)
		readBack(ctx, t, c, corp)
		checkChain(ctx, t, c, corp)
	}
	a, b := quantile(before, 0.99), quantile(during, 0.99)
	t.Logf("from send to readable, p99 of the other company: %s quiet, %s during %.0f requests a second to the API; ratio %.1f", a, b, rate, float64(b)/float64(a))
}

// pullAtOnce lets a pull of the company begin as soon as the one before ends.
func pullAtOnce(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp) {
	event, err := json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{
		MessageId: "contention", Body: fmt.Sprintf(`{"v":1,"corp":%q,"why":"asked"}`, corp.ID()),
		Attributes: map[string]string{"MessageGroupId": corp.ID(), "ApproximateReceiveCount": "1"},
	}}})
	if err != nil {
		t.Error(err)
		return
	}
	for ctx.Err() == nil {
		if _, err := c.Function("PullFunction").Invoke(ctx, event); err != nil && ctx.Err() == nil {
			t.Errorf("pull: %v", err)
			return
		}
	}
}

// floodCallbacks sends callbacks of a company, half of them forged.
func floodCallbacks(ctx context.Context, t *testing.T, corp *wecom.Corp) {
	for ctx.Err() == nil {
		for _, forged := range []bool{false, true} {
			if err := corp.Emit(wecom.Event{Copies: floodCopies, WrongSignature: forged}); err != nil {
				t.Error(err)
				return
			}
		}
		sleep(ctx, floodEvery)
	}
}

// samples sends messages one after another, and times each from its sending until it
// is readable. The first one starts processes and does not count.
func samples(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp, n int) (took []time.Duration) {
	t.Helper()
	watch := people.Watcher{API: c.API, Corp: corp.ID()}
	details := corp.Details()
	for range n + 1 {
		begun := time.Now()
		if _, err := corp.Send(wecom.Draft{From: details.Staff[0].UserID, To: []string{details.Customers[0].ExternalUserID}}); err != nil {
			t.Fatal(err)
		}
		for want := archived(corp); ; sleep(ctx, 10*time.Millisecond) {
			if p, err := watch.Look(ctx); err == nil && p.Decoded == want {
				break
			}
			if ctx.Err() != nil {
				t.Fatal("the other company's messages do not become readable")
			}
		}
		took = append(took, time.Since(begun))
	}
	return took[1:]
}

// quantile is the value below which the part q of the values lies.
func quantile(values []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)].Round(time.Millisecond)
}
