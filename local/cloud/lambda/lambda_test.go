package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/local/cloud/lambda"
)

func TestMain(m *testing.M) { os.Exit(built.Main(m)) }

// A syncBuffer may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// function starts a function. Its instances end with the test.
func function(t *testing.T, change func(*lambda.Config)) (*lambda.Function, *syncBuffer) {
	t.Helper()
	out := &syncBuffer{}
	cfg := lambda.Config{
		Name: "tested", ARN: "arn:aws-cn:lambda:cn-north-1:123456789012:function:tested",
		Binary: built.Function(t, "./testdata/function"), Handler: "bootstrap", MemorySize: 256, Timeout: time.Minute,
		LogFormat: "JSON", LogLevel: "INFO", Env: map[string]string{"OWN": "value"},
		// One instance is the limit, because a process is stopped a moment
		// before its instance becomes idle. Without the limit, an event in that
		// moment would start another instance.
		Concurrency: 1, IdleAfter: time.Hour,
		Output: out, Log: slog.New(slog.NewTextHandler(out, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	f := lambda.New(cfg)
	t.Cleanup(f.Close)
	return f, out
}

type order struct {
	Do   string `json:"do"`
	Text string `json:"text"`
	N    int    `json:"n"`
}

func invoke(t *testing.T, f *lambda.Function, o order) ([]byte, error) {
	t.Helper()
	event, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return f.Invoke(t.Context(), event)
}

// answer invokes the function, which must succeed, and decodes the answer.
func answer[T any](t *testing.T, f *lambda.Function, o order) T {
	t.Helper()
	raw, err := invoke(t, f, o)
	if err != nil {
		t.Fatalf("%s: %v", o.Do, err)
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: answer %.100s: %v", o.Do, raw, err)
	}
	return v
}

// failure invokes the function, which must fail, and returns the error.
func failure(t *testing.T, f *lambda.Function, o order) *lambda.Error {
	t.Helper()
	raw, err := invoke(t, f, o)
	var failed *lambda.Error
	if !errors.As(err, &failed) {
		t.Fatalf("%s: got answer %.100s and error %v, want a failed invocation", o.Do, raw, err)
	}
	return failed
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	f, _ := function(t, nil)
	if got := answer[string](t, f, order{Do: "echo", Text: "云朵"}); got != "云朵" {
		t.Errorf("got %q, want 云朵", got)
	}
	answer[int](t, f, order{Do: "count"})
	if got := answer[int](t, f, order{Do: "count"}); got != 3 {
		t.Errorf("the process has received %d events, want 3: one instance serves all events", got)
	}
	s := f.Stats()
	if s.Duration <= 0 || s.Duration > time.Minute {
		t.Errorf("three events took %v", s.Duration)
	}
	if s.Duration = 0; s != (lambda.Stats{Invocations: 3, ColdStarts: 1, Instances: 1}) {
		t.Errorf("got %+v", s)
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	f, _ := function(t, nil)
	got := answer[struct {
		ID, ARN string
		Left    int64
	}](t, f, order{Do: "context"})
	if len(got.ID) != 36 || got.ARN != "arn:aws-cn:lambda:cn-north-1:123456789012:function:tested" {
		t.Errorf("got id %q and arn %q", got.ID, got.ARN)
	}
	if got.Left <= 0 || got.Left > time.Minute.Milliseconds() {
		t.Errorf("got %d ms left, want up to a minute", got.Left)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("NOT_FOR_FUNCTIONS", "x")
	f, _ := function(t, func(c *lambda.Config) { c.Env["LAMBDA_TASK_ROOT"] = "/elsewhere" })
	got := answer[[]string](t, f, order{Do: "env"})
	for _, want := range []string{
		"OWN=value", "AWS_LAMBDA_FUNCTION_NAME=tested", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=INFO", "_HANDLER=bootstrap", "TZ=:UTC", "LANG=en_US.UTF-8",
		"LAMBDA_TASK_ROOT=" + filepath.Dir(built.Function(t, "./testdata/function")), "PATH=/usr/local/bin:/usr/bin/:/bin:/opt/bin",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, v := range got {
		for _, unwanted := range []string{"NOT_FOR_FUNCTIONS", "HOME=", "GOFLAGS"} {
			if strings.HasPrefix(v, unwanted) {
				t.Errorf("%s is inherited", unwanted)
			}
		}
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		order   order
		kind    string
		message string
		next    int // events that the instance has received after another event: 1 for a new instance
	}{
		"error":       {order{Do: "fail", Text: "no luck"}, "errorString", "no luck", 2},
		"panic":       {order{Do: "panic", Text: "oh"}, "string", "oh", 1},
		"exit":        {order{Do: "exit", N: 7}, lambda.Exited, "exit status 7", 1},
		"exit with 0": {order{Do: "exit"}, lambda.Exited, "exit status 0", 1},
		"too large":   {order{Do: "big", N: lambda.PayloadLimit}, lambda.ResponseTooLarge, "exceeded maximum", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _ := function(t, nil)
			got := failure(t, f, c.order)
			if got.Type != c.kind || !strings.Contains(got.Message, c.message) {
				t.Errorf("got %v, want type %s and %q", got, c.kind, c.message)
			}
			if n := answer[int](t, f, order{Do: "count"}); n != c.next {
				t.Errorf("the next event is number %d of its process, want %d", n, c.next)
			}
			if s := f.Stats(); s.Failures != 1 || s.Invocations != 2 {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestLargeAnswerFits(t *testing.T) {
	t.Parallel()
	f, _ := function(t, nil)
	const quotes = 2
	if got := answer[string](t, f, order{Do: "big", N: lambda.PayloadLimit - quotes}); len(got) != lambda.PayloadLimit-quotes {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestRequestTooLarge(t *testing.T) {
	t.Parallel()
	f, _ := function(t, nil)
	if _, err := f.Invoke(t.Context(), make([]byte, lambda.PayloadLimit+1)); !errors.Is(err, lambda.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, lambda.ErrTooLarge)
	}
}

func TestFailedStart(t *testing.T) {
	t.Parallel()
	t.Run("process exits", func(t *testing.T) {
		t.Parallel()
		f, _ := function(t, func(c *lambda.Config) { c.Env["INIT"] = "exit" })
		if got := failure(t, f, order{Do: "echo"}); got.Type != lambda.Exited || !strings.Contains(got.Message, "exit status 3") {
			t.Errorf("got %v, want exit status 3", got)
		}
	})
	t.Run("runtime reports an error", func(t *testing.T) {
		t.Parallel()
		f, _ := function(t, func(c *lambda.Config) { c.Binary = script(t, initError) })
		if got := failure(t, f, order{}); got.Type != "Config.Missing" || got.Message != "no table" {
			t.Errorf("got %v, want Config.Missing: no table", got)
		}
	})
	t.Run("missing binary", func(t *testing.T) {
		t.Parallel()
		f, _ := function(t, func(c *lambda.Config) { c.Binary = filepath.Join(t.TempDir(), "bootstrap") })
		if _, err := invoke(t, f, order{}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v, want %v", err, os.ErrNotExist)
		}
	})
}

// initError is a bootstrap that reports a failed start to the Runtime API.
const initError = `#!/bin/bash
exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API/://}"
body='{"errorType":"Config.Missing","errorMessage":"no table"}'
printf 'POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' ${#body} "$body" >&3
cat <&3
exit 1
`

// script writes an executable bootstrap and returns its path.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	f, _ := function(t, func(c *lambda.Config) { c.Timeout = 3 * time.Second })
	pids := answer[[]int](t, f, order{Do: "spawn"})
	got := failure(t, f, order{Do: "sleep", N: 600_000})
	if got.Type != lambda.TimedOut || !strings.HasSuffix(got.Message, "Task timed out after 3.00 seconds") {
		t.Errorf("got %v, want %s", got, lambda.TimedOut)
	}
	for _, pid := range pids {
		await(t, pid, gone)
	}
}

func TestProcessesStopBetweenEvents(t *testing.T) {
	t.Parallel()
	f, _ := function(t, nil)
	pids := answer[[]int](t, f, order{Do: "spawn"})
	for _, pid := range pids {
		await(t, pid, stopped)
	}
	got := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, err := f.Invoke(ctx, []byte(`{"do":"sleep","n":600000}`))
		got <- err
	}()
	for _, pid := range pids {
		await(t, pid, running)
	}
	// The caller leaves, and the function continues.
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	for _, pid := range pids {
		await(t, pid, running)
	}
	f.Close()
	for _, pid := range pids {
		await(t, pid, gone)
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	f, _ := function(t, nil)
	if f.Kill() {
		t.Error("Kill: got true without an instance")
	}
	idle := answer[[]int](t, f, order{Do: "spawn"})
	if !f.Kill() {
		t.Error("Kill: got false with an idle instance")
	}
	for _, pid := range idle {
		await(t, pid, gone)
	}
	pid := answer[int](t, f, order{Do: "pid"})
	await(t, pid, stopped)
	got := make(chan error, 1)
	go func() {
		_, err := f.Invoke(t.Context(), []byte(`{"do":"sleep","n":600000}`))
		got <- err
	}()
	await(t, pid, running)
	f.Kill()
	var failed *lambda.Error
	if err := <-got; !errors.As(err, &failed) || failed.Type != lambda.Exited {
		t.Errorf("got %v, want %s", err, lambda.Exited)
	}
	if n := answer[int](t, f, order{Do: "count"}); n != 1 {
		t.Errorf("the next event is number %d of its process, want 1", n)
	}
}

func TestIdleInstancesEnd(t *testing.T) {
	t.Parallel()
	f, _ := function(t, func(c *lambda.Config) { c.IdleAfter = time.Millisecond })
	await(t, answer[int](t, f, order{Do: "pid"}), gone)
	if n := answer[int](t, f, order{Do: "count"}); n != 1 {
		t.Errorf("the next event is number %d of its process, want 1", n)
	}
}

func TestExitEndsChildren(t *testing.T) {
	t.Parallel()
	f, _ := function(t, nil)
	pids := answer[[]int](t, f, order{Do: "spawn"})
	// pids[1] left the group. After the exit it has no parent by which the
	// local cloud could find it. Lambda's sandbox would end it too.
	t.Cleanup(func() { _ = syscall.Kill(pids[1], syscall.SIGKILL) })
	failure(t, f, order{Do: "exit", N: 1})
	await(t, pids[0], gone)
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	f, _ := function(t, func(c *lambda.Config) { c.Concurrency = 2 })
	var calls sync.WaitGroup
	for range 6 {
		calls.Go(func() {
			if _, err := f.Invoke(t.Context(), []byte(`{"do":"sleep","n":20}`)); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if s := f.Stats(); s.Invocations != 6 || s.ColdStarts > 2 {
		t.Errorf("got %+v, want at most 2 instances", s)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	f, _ := function(t, nil)
	f.Close()
	if _, err := invoke(t, f, order{Do: "echo"}); !errors.Is(err, lambda.ErrClosed) {
		t.Errorf("got %v, want %v", err, lambda.ErrClosed)
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	f, out := function(t, nil)
	const line = `{"timestamp":"now","level":"ERROR","message":"lost the thread","err":"snap","corp":"ww1"}` // as aws-lambda-go's handler writes
	answer[any](t, f, order{Do: "print", Text: line})
	for _, want := range []string{line + "\n", `text="lost the thread; corp ww1; err snap"`} {
		await(t, 0, func(int) bool { return strings.Contains(out.String(), want) })
	}
}

// await waits until wanted is true of the process. The limit is far longer than
// the wait takes and only ends a test that hangs.
func await(t *testing.T, pid int, wanted func(pid int) bool) {
	t.Helper()
	for range 2000 {
		if wanted(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("process %d: got state %q", pid, state(pid))
}

// state is the letter of proc_pid_stat(5). It is empty if the process does not
// exist.
func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[0]
}

func stopped(pid int) bool { return state(pid) == "T" }
func running(pid int) bool { return strings.Contains("RS", state(pid)) && state(pid) != "" }

// gone is also true of an ended process whose new parent has not waited for it.
func gone(pid int) bool { return state(pid) == "" || state(pid) == "Z" }
