package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync/atomic"
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
		Log: quietLog(),
	})
}

func quietLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// companies are some small ones.
func companies(n int) (list []wecom.CorpConfig) {
	for i := range n {
		list = append(list, wecom.CorpConfig{ID: fmt.Sprintf("ww%016d", i+1), Name: fmt.Sprint("company ", i+1), Crowd: wecom.Crowd{Staff: 2, Customers: 2}})
	}
	return list
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
// API shows it, in a cloud where callbacks arrive: while nothing else happens, and
// while another company's backlog drains. Each company's messages come one after
// the other, so that each is told of at once: what WeCom lets a message wait for
// its callback is not ours.
func (b *bench) sendToReadable(ctx context.Context) error {
	b.heading(fmt.Sprintf("from send to readable, %d companies, a message and a callback of each every 1.1 s (WeCom itself: every 15 s)", talkers))
	c, err := b.cloud(ctx, "bench-live", 0, companies(talkers+1), wecom.Config{Seed: 1, NotifyEvery: time.Second, PullsPerMinute: 1_000_000})
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := c.SetUp(ctx); err != nil {
		return err
	}
	corps := c.Sim.Corps()
	samples := (b.samples + talkers - 1) / talkers
	quiet, err := talkAll(ctx, c.API, corps[:talkers], func(n int) bool { return n < samples })
	if err != nil {
		return err
	}
	of := fmt.Sprintf("s, of %d messages", len(quiet))
	b.note("from send to readable, p50", quantile(quiet, 0.5), of)
	b.note("from send to readable, p99", quantile(quiet, 0.99), of)
	b.note("from send to readable, slowest", slices.Max(quiet), of)

	if err := gather(ctx, c, corps[talkers], b.backlog); err != nil {
		return err
	}
	var done atomic.Bool
	var group errgroup.Group
	var during load
	group.Go(func() (err error) {
		defer done.Store(true)
		during, err = drain(ctx, c, corps[talkers])
		return err
	})
	var loaded []float64
	group.Go(func() (err error) {
		loaded, err = talkAll(ctx, c.API, corps[:talkers], func(int) bool { return !done.Load() })
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	drains := fmt.Sprintf("a backlog of %d messages of another company drains at", b.backlog)
	b.note(drains, float64(b.backlog)/during.took.Seconds(), "/s")
	var all float64
	for _, name := range slices.Sorted(maps.Keys(during.busy)) {
		b.part(drains, "of the processor time of all cores: "+name, during.busy[name], "")
		all += during.busy[name]
	}
	b.note("of the processor time of all cores, the cloud uses meanwhile", all, "")
	of = fmt.Sprintf("s, of %d messages", len(loaded))
	b.note("from send to readable meanwhile, p99", quantile(loaded, 0.99), of)
	b.note("the same as a multiple of the quiet p99", quantile(loaded, 0.99)/quantile(quiet, 0.99), "")

	// The control: as many runnable threads, which share nothing with the archive.
	stop, err := burn(int(math.Round(during.runnable)))
	if err != nil {
		return err
	}
	defer stop()
	busy, err := talkAll(ctx, c.API, corps[:talkers], func(n int) bool { return n < samples })
	if err != nil {
		return err
	}
	b.note("runnable threads meanwhile", during.runnable, "")
	b.note("p99 beside as many threads of another program, as a multiple of the quiet p99", quantile(busy, 0.99)/quantile(quiet, 0.99), "")
	return nil
}

// gather switches a company off, and lets a backlog of n messages gather.
func gather(ctx context.Context, c *cloud.Cloud, corp *wecom.Corp, n int) error {
	if err := enable(ctx, c, corp, false); err != nil {
		return err
	}
	_, err := corp.Mixed(n)
	return err
}

func enable(ctx context.Context, c *cloud.Cloud, corp *wecom.Corp, on bool) error {
	return c.API.Call(ctx, people.Admin, http.MethodPut, corp.ID(), "/state", map[string]any{"enabled": on}, nil)
}

// load is what was seen while a backlog drained.
type load struct {
	took     time.Duration
	busy     map[string]float64 // share of the time of all cores that the programs of this bench took
	runnable float64            // mean number of runnable threads of this machine
}

// drain switches a company with a backlog on, and returns when all of it can be read.
func drain(ctx context.Context, c *cloud.Cloud, corp *wecom.Corp) (l load, err error) {
	before, err := familyTime()
	if err != nil {
		return l, err
	}
	counting, stop := context.WithCancel(ctx)
	defer stop()
	count := make(chan float64, 1)
	go func() { count <- meanRunnable(counting) }()
	begun := time.Now()
	if err := enable(ctx, c, corp, true); err != nil {
		return l, err
	}
	if err := drained(ctx, &people.Watcher{API: c.API, Corp: corp.ID()}, upTo(corp)); err != nil {
		return l, err
	}
	l.took = time.Since(begun)
	stop()
	l.runnable = <-count
	after, err := familyTime()
	l.busy = make(map[string]float64)
	for name, t := range after {
		l.busy[name] = (t - before[name]).Seconds() / l.took.Seconds() / float64(runtime.NumCPU())
	}
	return l, err
}

const talkEvery = 1100 * time.Millisecond

// talkAll lets each company talk as long as more says, and returns the times of all
// messages.
func talkAll(ctx context.Context, api *people.API, corps []*wecom.Corp, more func(n int) bool) ([]float64, error) {
	took := make([][]float64, len(corps))
	group, ctx := errgroup.WithContext(ctx)
	for i, corp := range corps {
		group.Go(func() (err error) {
			time.Sleep(talkEvery * time.Duration(i) / time.Duration(len(corps))) // not all in the same moment
			took[i], err = talk(ctx, api, corp, more)
			return err
		})
	}
	err := group.Wait()
	return slices.Concat(took...), err
}

// talk sends messages in a company and times each but the first, which starts
// processes. more gets the number of times so far.
func talk(ctx context.Context, api *people.API, corp *wecom.Corp, more func(n int) bool) (took []float64, err error) {
	member, customer := corp.Details().Staff[0].UserID, corp.Details().Customers[0].ExternalUserID
	for first := true; first || more(len(took)); first = false {
		begun := time.Now()
		sent, err := corp.Send(wecom.Draft{From: member, To: []string{customer}, Text: "a message"})
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
				return nil, fmt.Errorf("message %s cannot be read after two minutes", sent.MsgID)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if !first {
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
