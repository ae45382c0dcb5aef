package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/wecom"
)

func (b *bench) cloud(ctx context.Context, name string, tick time.Duration, sim wecom.Config) (*cloud.Cloud, error) {
	return cloud.Start(ctx, cloud.Options{
		Root: b.root, StackName: name, Services: b.services, Tick: tick, Sim: sim,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
}

// events are what wakes each function and gives it nothing to do.
var events = map[string]string{
	"ApiFunction": `{"version":"2.0","rawPath":"/health","rawQueryString":"","headers":{},"requestContext":{"http":{"method":"GET","path":"/health"},"requestId":"bench"},"isBase64Encoded":false}`,
}

// coldStarts measures the first invocation of a new process against one that
// is there already.
func (b *bench) coldStarts(ctx context.Context) error {
	b.heading("cold starts (first invocation less a warm one; process and Go, not AWS's own share)")
	c, err := b.cloud(ctx, "bench-cold", time.Hour, wecom.Config{Seed: 1})
	if err != nil {
		return err
	}
	defer c.Stop()
	for _, id := range c.FunctionIDs() {
		event := events[id]
		if event == "" {
			event = `{"Records":[]}`
		}
		f := c.Function(id)
		var cold []float64
		for range 2 * b.rounds {
			for f.Kill() { // all instances
			}
			begun := time.Now()
			if _, err := f.Invoke(ctx, []byte(event)); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			first := time.Since(begun)
			begun = time.Now()
			if _, err := f.Invoke(ctx, []byte(event)); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			cold = append(cold, float64((first-time.Since(begun)).Microseconds())/1000)
		}
		b.note("cold start of "+id, median(cold), "ms")
	}
	return nil
}

// sendToReadable measures how long it takes from a message's sending until the
// API shows it, in a cloud where callbacks arrive.
func (b *bench) sendToReadable(ctx context.Context, samples int) error {
	b.heading("from send to readable, with a callback at most every second (WeCom itself: every 15 s)")
	c, err := b.cloud(ctx, "bench-live", 0, wecom.Config{Seed: 1, NotifyEvery: time.Second})
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := c.SetUp(ctx); err != nil {
		return err
	}
	corp := c.Sim.Corps()[0]
	member, customer := corp.View().Staff[0].UserID, corp.View().Customers[0].ExternalUserID
	var took []float64
	for i := range samples {
		begun := time.Now()
		sent, err := c.Sim.Send(corp.ID(), wecom.Draft{From: member, To: []string{customer}, Text: fmt.Sprint("message ", i)})
		if err != nil {
			return err
		}
		if sent.LeftOut != "" {
			return fmt.Errorf("message was not archived: %s", sent.LeftOut)
		}
		for {
			newest, err := newestMessage(ctx, c.API, corp.ID(), customer)
			if err != nil {
				return err
			}
			if newest == sent.MsgID {
				break
			}
			if time.Since(begun) > 2*time.Minute {
				return fmt.Errorf("message %d cannot be read after two minutes", i)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if i > 0 { // the first one starts processes
			took = append(took, time.Since(begun).Seconds())
		}
		time.Sleep(max(0, 1100*time.Millisecond-time.Since(begun)))
	}
	b.note("from send to readable, p50", quantile(took, 0.5), "s")
	b.note("from send to readable, p99", quantile(took, 0.99), "s")
	return nil
}

// newestMessage is the msgid of the newest message of a customer, empty if there
// is none.
func newestMessage(ctx context.Context, api *people.API, corp, customer string) (string, error) {
	var list struct {
		Conversations []struct {
			ID string `json:"id"`
		} `json:"conversations"`
	}
	if err := api.Call(ctx, people.Reader, http.MethodGet, corp, "/conversations?limit=1&external_contact="+url.QueryEscape(customer), nil, &list); err != nil {
		return "", err
	}
	if len(list.Conversations) == 0 {
		return "", nil
	}
	var page struct {
		Messages []people.Message `json:"messages"`
	}
	path := "/conversations/" + url.PathEscape(list.Conversations[0].ID) + "/messages?order=desc&limit=1"
	if err := api.Call(ctx, people.Reader, http.MethodGet, corp, path, nil, &page); err != nil || len(page.Messages) == 0 {
		return "", err
	}
	return page.Messages[0].MsgID, nil
}
