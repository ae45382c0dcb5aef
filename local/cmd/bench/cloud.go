package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/sdkproto"
)

func (b *bench) cloud(ctx context.Context, name string, tick time.Duration, companies []wecom.CorpConfig, sim wecom.Config) (*cloud.Cloud, error) {
	return cloud.Start(ctx, cloud.Options{
		Root: b.root, StackName: name, Services: b.services, Tick: tick, Companies: companies, Sim: sim,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
}

// companies are some small ones.
func companies(n int) (list []wecom.CorpConfig) {
	for i := range n {
		list = append(list, wecom.CorpConfig{ID: fmt.Sprintf("ww%016d", i+1), Name: fmt.Sprint("company ", i+1), Crowd: wecom.Crowd{Staff: 2, Customers: 2}})
	}
	return list
}

// noRequests is what wakes a function and gives it nothing to do; the API has
// another.
const (
	noRequests = `{"Records":[]}`
	healthy    = `{"version":"2.0","rawPath":"/health","rawQueryString":"","headers":{},"requestContext":{"http":{"method":"GET","path":"/health"},"requestId":"bench"},"isBase64Encoded":false}`
)

// coldStarts measures the first invocation of a new process against one that
// is there already: without work, which is the process and Go; and for decode
// with a page, which is also its clients' connections, the keys, the worker,
// the library and Init.
func (b *bench) coldStarts(ctx context.Context) error {
	b.heading("cold starts (first invocation less a warm one; without AWS's own share)")
	c, err := b.cloud(ctx, "bench-cold", time.Hour, companies(1), wecom.Config{Seed: 1})
	if err != nil {
		return err
	}
	defer c.Stop()
	for _, id := range c.FunctionIDs() {
		event := noRequests
		if id == "ApiFunction" {
			event = healthy
		}
		took, err := b.cold(ctx, c, id, event)
		if err != nil {
			return err
		}
		b.note("cold start of "+id+", nothing to do", took, "ms")
	}
	if err := c.SetUp(ctx); err != nil {
		return err
	}
	page, err := undecodedPage(ctx, c)
	if err != nil {
		return err
	}
	took, err := b.cold(ctx, c, "DecodeFunction", page)
	if err != nil {
		return err
	}
	log, err := os.ReadFile(filepath.Join(c.Logs, "DecodeFunction.log"))
	if n := bytes.Count(log, []byte(`"message":"decoded"`)); err != nil || n < 4*b.rounds {
		return fmt.Errorf("the page was decoded %d times only (%v): the figure would be of doing nothing", n, err)
	}
	b.note("cold start of DecodeFunction, a page to decode", took, "ms")
	var started []float64
	for range 2 * b.rounds {
		took, err := b.startWorker(ctx)
		if err != nil {
			return err
		}
		started = append(started, took.Seconds()*1000)
	}
	b.note("of this, the worker with the stand-in, until it says hello", median(started), "ms")
	return nil
}

// cold is the median of what the first invocation of a new process takes more
// than the second, in ms.
func (b *bench) cold(ctx context.Context, c *cloud.Cloud, id, event string) (float64, error) {
	f := c.Function(id)
	invoke := func() (time.Duration, error) {
		begun := time.Now()
		answer, err := f.Invoke(ctx, []byte(event))
		if err == nil && bytes.Contains(answer, []byte("itemIdentifier")) {
			err = errors.New("it gave the request back")
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", id, err)
		}
		return time.Since(begun), nil
	}
	var more []float64
	for range 2 * b.rounds {
		for f.Kill() { // all instances
		}
		first, err := invoke()
		if err != nil {
			return 0, err
		}
		warm, err := invoke()
		if err != nil {
			return 0, err
		}
		more = append(more, (first-warm).Seconds()*1000)
	}
	return median(more), nil
}

// undecodedPage is an event with a page that decode works on whenever it is
// asked to, because one of its three records is of a version that no key opens
// and waits for one.
func undecodedPage(ctx context.Context, c *cloud.Cloud) (string, error) {
	corp := c.Sim.Corps()[0]
	if _, err := corp.SendRaw([]byte("{}"), wecom.RawOptions{Spoil: wecom.SpoilRandomKey, ClaimVersion: 99}); err != nil {
		return "", err
	}
	member, customer := corp.Details().Staff[0].UserID, corp.Details().Customers[0].ExternalUserID
	for range 2 {
		if _, err := corp.Send(wecom.Draft{From: member, To: []string{customer}}); err != nil {
			return "", err
		}
	}
	watch := people.Watcher{API: c.API, Corp: corp.ID()}
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		p, err := watch.Look(ctx)
		switch {
		case err != nil:
			return "", err
		case p.Decoded == 2 && p.SetAside == 1 && p.Pages == 1 && p.Pending == 0:
			return `{"Records":[{"messageId":"bench","body":"{\"v\":1,\"corp\":\"` + corp.ID() + `\",\"after\":\"0\"}"}]}`, nil
		case time.Since(begun) > time.Minute:
			return "", fmt.Errorf("got %+v, want one page with two messages that can be read", p)
		}
	}
}

// startWorker starts the worker as functions do, and returns how long it took
// until it had loaded the library.
func (b *bench) startWorker(ctx context.Context) (time.Duration, error) {
	theirRequests, requests, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer requests.Close()
	answers, theirAnswers, err := os.Pipe()
	if err != nil {
		return 0, errors.Join(err, theirRequests.Close())
	}
	defer answers.Close()
	begun := time.Now()
	cmd := exec.CommandContext(ctx, b.worker(), b.library)
	cmd.Env = []string{}
	cmd.ExtraFiles = []*os.File{theirRequests, theirAnswers} // 3 and 4
	err = cmd.Start()
	if err := errors.Join(err, theirRequests.Close(), theirAnswers.Close()); err != nil {
		return 0, err
	}
	writer, reader := sdkproto.NewWriter(requests), sdkproto.NewReader(answers)
	exchange := func(id uint32, m sdkproto.Message) (sdkproto.Message, error) {
		if err := writer.Write(id, m); err != nil {
			return nil, err
		}
		_, answer, err := reader.Read()
		return answer, err
	}
	answer, err := exchange(1, sdkproto.Hello{})
	took := time.Since(begun)
	if _, ok := answer.(sdkproto.Hello); err == nil && !ok {
		err = fmt.Errorf("the worker answered with %T", answer)
	}
	if err == nil {
		_, err = exchange(2, sdkproto.Bye{})
	}
	if err != nil {
		return 0, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return took, cmd.Wait()
}

// talkers is how many companies talk at once.
const talkers = 4

// sendToReadable measures how long it takes from a message's sending until the
// API shows it, in a cloud where callbacks arrive. Each company's messages come
// one after the other, so that each is told of at once: what WeCom lets a
// message wait for its callback is not ours.
func (b *bench) sendToReadable(ctx context.Context) error {
	b.heading(fmt.Sprintf("from send to readable, %d companies, a message and a callback of each every 1.1 s (WeCom itself: every 15 s)", talkers))
	c, err := b.cloud(ctx, "bench-live", 0, companies(talkers), wecom.Config{Seed: 1, NotifyEvery: time.Second})
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := c.SetUp(ctx); err != nil {
		return err
	}
	took := make([][]float64, talkers)
	group, ctx := errgroup.WithContext(ctx)
	for i, corp := range c.Sim.Corps() {
		group.Go(func() (err error) {
			time.Sleep(talkEvery * time.Duration(i) / talkers) // not all in the same moment
			took[i], err = talk(ctx, c.API, corp, (b.samples+talkers-1)/talkers)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	all := slices.Concat(took...)
	of := fmt.Sprintf("s, of %d messages", len(all))
	b.note("from send to readable, p50", quantile(all, 0.5), of)
	b.note("from send to readable, p99", quantile(all, 0.99), of)
	b.note("from send to readable, slowest", slices.Max(all), of)
	return nil
}

const talkEvery = 1100 * time.Millisecond

// talk sends messages in a company and times each but the first, which starts
// processes.
func talk(ctx context.Context, api *people.API, corp *wecom.Corp, samples int) (took []float64, err error) {
	member, customer := corp.Details().Staff[0].UserID, corp.Details().Customers[0].ExternalUserID
	for i := range samples + 1 {
		begun := time.Now()
		sent, err := corp.Send(wecom.Draft{From: member, To: []string{customer}, Text: fmt.Sprint("message ", i)})
		if err != nil {
			return nil, err
		}
		if sent.LeftOut != "" {
			return nil, fmt.Errorf("message was not archived: %s", sent.LeftOut)
		}
		for {
			newest, err := newestMessage(ctx, api, corp.ID(), customer)
			if err != nil {
				return nil, err
			}
			if newest == sent.MsgID {
				break
			}
			if time.Since(begun) > 2*time.Minute {
				return nil, fmt.Errorf("message %d cannot be read after two minutes", i)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if i > 0 {
			took = append(took, time.Since(begun).Seconds())
		}
		time.Sleep(max(0, talkEvery-time.Since(begun)))
	}
	return took, nil
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
