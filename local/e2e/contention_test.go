package e2e_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/needs"
	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/local/wecom/envelope"
)

var contention = flag.Bool("contention", false, "run TestContention, which takes minutes")

const (
	floodRate    = 500 // callbacks a second, as far as the machine answers them
	floodSenders = 8
	stormTime    = 20 * time.Second
)

// Two pullers of one company run at once, besides those of the queue, while 500
// callbacks a second arrive for it, half of them forged. No message is missing or
// there twice. The test reports how much longer the other company's messages take.
// make torture PART=contention runs it.
func TestContention(t *testing.T) {
	needs.Asking(t, *contention, "make torture PART=contention")
	c := start(t, cloud.Options{Tick: 2 * time.Second, FailureSpeed: 20, Sim: wecom.Config{Seed: 9, NotifyEvery: time.Second, UsualMediaMax: 2 << 10}})
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	loud, quiet := c.Sim.Corps()[0], c.Sim.Corps()[1]
	before := samples(ctx, t, c, quiet, 15)

	storming, stop := context.WithTimeout(ctx, stormTime)
	defer stop()
	var storm sync.WaitGroup
	for range 2 {
		storm.Go(func() { pullAtOnce(storming, t, c, loud) })
	}
	var callbacks int64
	storm.Go(func() { callbacks = flood(storming, t, c, loud) })
	storm.Go(func() {
		for range 10 {
			if _, err := loud.Mixed(100); err != nil {
				t.Error(err)
			}
			sleep(storming, stormTime/20)
		}
	})
	during := samples(storming, t, c, quiet, 15)
	storm.Wait()
	for _, corp := range c.Sim.Corps() {
		untilDecoded(ctx, t, c, corp)
		readBack(ctx, t, c, corp)
		checkChain(ctx, t, c, corp)
	}
	if len(during) == 0 {
		t.Fatal("no message of the other company became readable during the flood")
	}
	a, b := quantile(before, 0.99), quantile(during, 0.99)
	t.Logf("from sent to readable, p99 of the other company: %s quiet (%d messages), %s during %d callbacks a second (%d messages); ratio %.1f",
		a, len(before), b, callbacks/int64(stormTime/time.Second), len(during), float64(b)/float64(a))
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

// flood sends callbacks of a company, every second one forged, until ctx ends. It
// returns how many were answered. Those that are authentic are accepted, and those
// that are forged are refused.
func flood(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp) (answered int64) {
	var page struct {
		Callback wecom.Callback `json:"callback"`
	}
	if err := c.API.Call(ctx, people.Admin, http.MethodGet, corp.ID(), "/setup", nil, &page); err != nil {
		t.Error(err)
		return 0
	}
	key, err := envelope.ParseKey(page.Callback.EncodingAESKey)
	if err != nil {
		t.Error(err)
		return 0
	}
	pace := time.NewTicker(time.Second / floodRate)
	defer pace.Stop()
	var n atomic.Int64
	var senders sync.WaitGroup
	for sender := range floodSenders {
		senders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-pace.C:
				case <-ctx.Done():
					return
				}
				forged := i%2 == 1
				status, err := callBack(ctx, page.Callback, key, corp.ID(), fmt.Sprint(sender, "-", i), forged)
				if ctx.Err() != nil {
					return
				}
				if want := map[bool]int{false: 200, true: 401}[forged]; err != nil || status != want {
					t.Errorf("callback, forged %v: got status %d, %v; want %d", forged, status, err, want)
					return
				}
				n.Add(1)
			}
		})
	}
	senders.Wait()
	return n.Load()
}

// callBack sends one msgaudit_notify, with a wrong signature if it is forged.
func callBack(ctx context.Context, cb wecom.Callback, key envelope.Key, corp, nonce string, forged bool) (status int, _ error) {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	event := fmt.Sprintf(`<xml><ToUserName>%s</ToUserName><FromUserName>sys</FromUserName><CreateTime>%s</CreateTime><MsgType>event</MsgType><Event>msgaudit_notify</Event></xml>`, corp, now)
	sealed := key.Seal([]byte(event), corp, [16]byte{})
	token := cb.Token
	if forged {
		token += "x"
	}
	query := url.Values{"msg_signature": {envelope.Sign(token, now, nonce, sealed)}, "timestamp": {now}, "nonce": {nonce}}
	body := strings.NewReader(fmt.Sprintf(`<xml><ToUserName>%s</ToUserName><Encrypt>%s</Encrypt></xml>`, corp, sealed))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cb.URL+"?"+query.Encode(), body)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// samples sends messages one after another, and times each from its sending until it
// is readable, until ctx ends or there are enough. The first one starts processes and
// does not count.
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
				return took[min(1, len(took)):]
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
