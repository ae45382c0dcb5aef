package e2e_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
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
	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/local/wecom/envelope"
)

var contention = flag.Bool("contention", false, "run the long form of TestContention, which takes minutes")

const (
	floodRate    = 500 // callbacks a second of the long form, as far as the machine answers them
	floodSenders = 8
	// enough is how many messages give a p99.
	enough = 100
	// mostRatio is how much longer the messages of another company may take.
	mostRatio = 3
	// leastShare is the least part of the callbacks that the machine answers without
	// other work, that it must answer beside pulls, messages and their readers.
	leastShare = 0.25
)

// Two pullers of one company run at once, besides those of the queue, while callbacks
// arrive for it, half of them forged. No message is missing or there twice. The short
// form has 50 callbacks a second for three seconds, or on a slow machine until two are
// answered.
//
// In the long form, which make torture PART=contention runs, there are 500 a second
// until 100 messages of other companies have been timed. Their p99 from sent to
// readable is at most three times that of the quiet cloud, or no worse than beside as
// many threads of programs that share nothing with the archive.
func TestContention(t *testing.T) {
	if *contention {
		t.Run("long", longContention)
		return
	}
	c := start(t, cloud.Options{Tick: 2 * time.Second, FailureSpeed: 20, Sim: wecom.Config{Seed: 9, NotifyEvery: time.Second, UsualMediaMax: 2 << 10}})
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	storming, stop := context.WithCancel(ctx)
	var answered atomic.Int64
	go func() {
		defer stop()
		for sleep(ctx, 3*time.Second); answered.Load() < 2 && ctx.Err() == nil; {
			sleep(ctx, 100*time.Millisecond)
		}
	}()
	contend(storming, t, c, c.Sim.Corps()[0], 50, 20, 250*time.Millisecond, &answered)
	if n := answered.Load(); n < 2 {
		t.Errorf("%d callbacks were answered", n)
	}
	nothingLostOrDoubled(ctx, t, c)
}

func longContention(t *testing.T) {
	companies := append(cloud.Invented(),
		wecom.CorpConfig{ID: "ww00000000000000a1", Name: "company A", Crowd: wecom.Crowd{Staff: 5, Customers: 12, Rooms: 3}},
		wecom.CorpConfig{ID: "ww00000000000000a2", Name: "company B", Crowd: wecom.Crowd{Staff: 5, Customers: 12, Rooms: 3}},
	)
	c := start(t, cloud.Options{
		Tick: 2 * time.Second, FailureSpeed: 20, Companies: companies,
		Sim: wecom.Config{Seed: 9, NotifyEvery: time.Second, UsualMediaMax: 2 << 10, PullsPerMinute: 1_000_000},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	loud, others := c.Sim.Corps()[0], c.Sim.Corps()[1:]

	alone := func() float64 { // callbacks a second without other work
		const lasts = 10 * time.Second
		only, stop := context.WithTimeout(ctx, lasts)
		defer stop()
		var n atomic.Int64
		flood(only, t, c, loud, floodRate, &n)
		return float64(n.Load()) / lasts.Seconds()
	}()
	before := samples(ctx, t, c, others)

	storming, stop := context.WithCancel(ctx)
	defer stop()
	begun := time.Now()
	var group sync.WaitGroup
	var answered atomic.Int64
	var runnable float64
	group.Go(func() { contend(storming, t, c, loud, floodRate, 100, 2*time.Second, &answered) })
	group.Go(func() { runnable = meanRunnable(storming) })
	during := samples(ctx, t, c, others)
	lasted := time.Since(begun)
	stop()
	group.Wait()
	nothingLostOrDoubled(ctx, t, c)

	burn(ctx, t, int(math.Round(runnable)))
	control := samples(ctx, t, c, others)

	quiet, loaded, burnt := quantile(before, 0.99), quantile(during, 0.99), quantile(control, 0.99)
	rate := float64(answered.Load()) / lasted.Seconds()
	ratio := func(d time.Duration) float64 { return float64(d) / float64(quiet) }
	t.Logf("callbacks answered: %.0f a second of %d sent without other work, %.0f during %s of contention", alone, floodRate, rate, lasted.Round(time.Second))
	t.Logf("from sent to readable, p99 of the other companies: %s quiet (%d messages); %s during the flood (%d), ratio %.1f; %s beside %.0f threads of other programs (%d), ratio %.1f",
		quiet, len(before), loaded, len(during), ratio(loaded), burnt, math.Round(runnable), len(control), ratio(burnt))
	if least := leastShare * alone; rate < least {
		t.Errorf("got %.1f callbacks a second, want %.1f or more", rate, least)
	}
	if ratio(loaded) > max(mostRatio, ratio(burnt)) {
		t.Errorf("got a ratio of %.1f, want %d at most, or %.1f as the control has", ratio(loaded), mostRatio, ratio(burnt))
	}
}

// contend lets two pullers of a company run at once, sends callbacks at a rate, and lets
// the company send some messages again and again, 30 times at most, until ctx ends.
func contend(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp, rate, some int, pause time.Duration, answered *atomic.Int64) {
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() { pullAtOnce(ctx, t, c, corp) })
	}
	group.Go(func() { flood(ctx, t, c, corp, rate, answered) })
	for n := 0; n < 30 && ctx.Err() == nil; n++ {
		if _, err := corp.Mixed(some); err != nil {
			t.Error(err)
		}
		sleep(ctx, pause)
	}
	group.Wait()
}

// nothingLostOrDoubled reads every message of every company back, and compares it with
// the sent one; the chain has each record once.
func nothingLostOrDoubled(ctx context.Context, t *testing.T, c *cloud.Cloud) {
	t.Helper()
	for _, corp := range c.Sim.Corps() {
		untilDecoded(ctx, t, c, corp)
		readBack(ctx, t, c, corp)
		checkChain(ctx, t, c, corp)
	}
}

// meanRunnable is the mean number of threads of this machine that run or could, until
// ctx ends.
func meanRunnable(ctx context.Context) float64 {
	var sum, n float64
	for ; ctx.Err() == nil; sleep(ctx, 50*time.Millisecond) {
		text, err := os.ReadFile("/proc/loadavg") // proc(5): the fourth field is runnable/all
		if err != nil {
			return 0
		}
		runnable, _, _ := strings.Cut(strings.Fields(string(text))[3], "/")
		count, _ := strconv.Atoi(runnable)
		sum, n = sum+float64(count-1), n+1 // without this one
	}
	return sum / max(n, 1)
}

// burn starts processes that take all the processor time that they get, until the test
// ends.
func burn(ctx context.Context, t *testing.T, processes int) {
	t.Helper()
	for range processes {
		cmd := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // killed
		})
	}
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

// flood sends callbacks of a company at a rate, every second one forged, until ctx ends,
// and counts those that are answered. Those that are authentic are accepted, and those
// that are forged are refused.
func flood(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp, rate int, answered *atomic.Int64) {
	var page struct {
		Callback wecom.Callback `json:"callback"`
	}
	if err := c.API.Call(ctx, people.Admin, http.MethodGet, corp.ID(), "/setup", nil, &page); err != nil {
		t.Error(err)
		return
	}
	key, err := envelope.ParseKey(page.Callback.EncodingAESKey)
	if err != nil {
		t.Error(err)
		return
	}
	pace := time.NewTicker(time.Second / time.Duration(rate))
	defer pace.Stop()
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
				answered.Add(1)
			}
		})
	}
	senders.Wait()
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

// samples lets companies send messages, each one after another, and times each message
// from its sending until it is readable, until there are enough. A message that ctx
// ends before is a failure: left out, it would make the others look fast. The first
// message of a company starts processes and does not count.
func samples(ctx context.Context, t *testing.T, c *cloud.Cloud, corps []*wecom.Corp) (took []time.Duration) {
	t.Helper()
	n := (enough + len(corps) - 1) / len(corps)
	times := make([][]time.Duration, len(corps))
	var group sync.WaitGroup
	for i, corp := range corps {
		group.Go(func() {
			watch := people.Watcher{API: c.API, Corp: corp.ID()}
			details := corp.Details()
			for range n + 1 {
				begun := time.Now()
				if _, err := corp.Send(wecom.Draft{From: details.Staff[0].UserID, To: []string{details.Customers[0].ExternalUserID}}); err != nil {
					t.Error(err)
					return
				}
				for want := archived(corp); ; sleep(ctx, 20*time.Millisecond) {
					if p, err := watch.Look(ctx); err == nil && p.Decoded == want {
						break
					}
					if ctx.Err() != nil {
						t.Errorf("%s: a message is not readable after %s", corp.ID(), time.Since(begun).Round(time.Second))
						return
					}
				}
				times[i] = append(times[i], time.Since(begun))
			}
			times[i] = times[i][1:]
		})
	}
	group.Wait()
	if took = slices.Concat(times...); len(took) < enough {
		t.Fatalf("%d messages were timed, want %d", len(took), enough)
	}
	return took
}

// quantile is the value below which the part q of the values lies.
func quantile(values []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)].Round(time.Millisecond)
}
