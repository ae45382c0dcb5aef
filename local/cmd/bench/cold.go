package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/lambda"
	"github.com/yunduo-scrm/archive/local/wecom"
)

// noRequests is what wakes a function and gives it nothing to do; the API has
// another.
const (
	noRequests = `{"Records":[]}`
	healthy    = `{"version":"2.0","rawPath":"/health","rawQueryString":"","headers":{},"requestContext":{"http":{"method":"GET","path":"/health"},"requestId":"bench"},"isBase64Encoded":false}`
)

// coldStarts measures the first invocation of a new process against one that
// is there already: without work, which is the process and Go; and for decode
// with a page, which is also its clients' connections, the keys, the worker,
// the library and Init. In turns with each function it measures an empty one that
// constructs the same clients, and a bare one.
func (b *bench) coldStarts(ctx context.Context) error {
	b.heading("cold starts (first invocation less a warm one; without AWS's own share)")
	c, err := b.cloud(ctx, "bench-cold", time.Hour, companies(1), wecom.Config{Seed: 1})
	if err != nil {
		return err
	}
	defer c.Stop()
	bare, err := b.empty(ctx, "bare", "")
	if err != nil {
		return err
	}
	defer bare.Close()
	for _, id := range c.FunctionIDs() {
		if err := b.coldStart(ctx, c, bare, id); err != nil {
			return err
		}
	}
	if err := c.SetUp(ctx); err != nil {
		return err
	}
	page, err := undecodedPage(ctx, c)
	if err != nil {
		return err
	}
	took, err := b.cold(ctx, 2*b.rounds, c.Function("DecodeFunction"), page)
	if err != nil {
		return err
	}
	log, err := os.ReadFile(filepath.Join(c.Logs, "DecodeFunction.log"))
	if n := bytes.Count(log, []byte(`"message":"decoded"`)); err != nil || n < 4*b.rounds {
		return fmt.Errorf("the page was decoded %d times only (%v): the figure would be of doing nothing", n, err)
	}
	b.note("cold start of DecodeFunction, a page to decode", median(took), "ms")
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

// clientsOf returns the AWS services whose clients a function constructs at its start:
// those that its main package imports.
func clientsOf(root, id string) ([]string, error) {
	main := filepath.Join(root, "functions", strings.ToLower(strings.TrimSuffix(id, "Function")), "main.go")
	file, err := parser.ParseFile(token.NewFileSet(), main, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, i := range file.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if name, ok := strings.CutPrefix(path, "github.com/aws/aws-sdk-go-v2/service/"); ok && err == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

// coldStart measures one function in turns with the empty ones.
func (b *bench) coldStart(ctx context.Context, c *cloud.Cloud, bare *lambda.Function, id string) error {
	event := noRequests
	if id == "ApiFunction" {
		event = healthy
	}
	names, err := clientsOf(b.root, id)
	if err != nil {
		return err
	}
	clients, err := b.empty(ctx, "clients", strings.Join(names, " "))
	if err != nil {
		return err
	}
	defer clients.Close()
	var ours, same, none []float64
	for range 2 * b.rounds {
		for _, turn := range []struct {
			into  *[]float64
			f     *lambda.Function
			event string
		}{{&ours, c.Function(id), event}, {&same, clients, "{}"}, {&none, bare, "{}"}} {
			took, err := b.cold(ctx, 1, turn.f, turn.event)
			if err != nil {
				return err
			}
			*turn.into = append(*turn.into, took...)
		}
	}
	b.note("cold start of "+id+", nothing to do", median(ours), "ms")
	b.part("cold start of "+id, "as a multiple of one that constructs its clients", median(ours)/median(same), "")
	b.part("cold start of "+id, "as a multiple of a bare one", median(ours)/median(none), "")
	return nil
}

// empty builds one of the empty functions beside this command, with the flags of
// the environment, as make build does.
func (b *bench) empty(ctx context.Context, name, clients string) (*lambda.Function, error) {
	binary := filepath.Join(b.dir, name)
	build := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", binary, "./local/cmd/bench/"+name)
	build.Dir = b.root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the empty function %s: %w\n%s", name, err, out)
	}
	return lambda.New(lambda.Config{
		Name: name, Binary: binary, Handler: "bootstrap", MemorySize: 1024, Timeout: time.Minute, LogFormat: "JSON", LogLevel: "INFO",
		Env:         map[string]string{"CLIENTS": clients, "AWS_REGION": b.services.Config().Region, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"},
		Concurrency: 1, IdleAfter: time.Hour, Output: io.Discard, Log: slog.New(slog.DiscardHandler),
	}), nil
}

// cold is by how much the first invocation of a new process takes longer than the
// second, in ms, for each of the rounds.
func (b *bench) cold(ctx context.Context, rounds int, f *lambda.Function, event string) (more []float64, err error) {
	invoke := func() (time.Duration, error) {
		begun := time.Now()
		answer, err := f.Invoke(ctx, []byte(event))
		if err == nil && bytes.Contains(answer, []byte("itemIdentifier")) {
			err = errors.New("it gave the request back")
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f.Name(), err)
		}
		return time.Since(begun), nil
	}
	for range rounds {
		for f.Kill() { // all instances
		}
		first, err := invoke()
		if err != nil {
			return nil, err
		}
		warm, err := invoke()
		if err != nil {
			return nil, err
		}
		more = append(more, (first-warm).Seconds()*1000)
	}
	return more, nil
}
