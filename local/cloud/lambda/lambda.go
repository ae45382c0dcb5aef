// Package lambda runs a function's binary the way AWS Lambda does: as a
// process that asks the Runtime API for events, and that is no kinder treated
// than there.
//
//   - An instance is started when an event finds no idle one (a cold start),
//     and used again for later events, one at a time.
//   - Between events the instance and all processes it started are stopped
//     (SIGSTOP): no work goes on after an answer.
//   - At the deadline all of them are killed and the invocation has failed.
//     A process that ends has failed its invocation too.
//   - Idle instances are killed after a while, without a word to them.
//   - Requests and answers are bounded (6 MB).
//
// The environment of an instance is Lambda's and the function's own; nothing
// is inherited.
package lambda

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
)

// PayloadLimit is the size of the largest event and of the largest answer:
// Lambda's 6 MB for synchronous invocations, as its error messages give it.
const PayloadLimit = 6*1024*1024 + 100

// startLimit is how long an instance may take until it first asks for an
// event, on top of the function's own time. Lambda gives start-up 10 s, and
// then starts it over within the function's time.
const startLimit = 10 * time.Second

// ErrClosed: the function was closed before or during the invocation.
var ErrClosed = errors.New("function is closed")

// ErrTooLarge: the event is over [PayloadLimit].
var ErrTooLarge = errors.New("event is too large for Lambda")

// Error is a failed invocation, as Lambda describes it to the caller.
type Error struct {
	Type    string `json:"errorType"`    // such as Runtime.ExitError, or the function's own
	Message string `json:"errorMessage"` // the function's own, or Lambda's
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// The types of error that come from Lambda, not from the function.
const (
	TimedOut         = "Sandbox.Timedout"
	Exited           = "Runtime.ExitError"
	ResponseTooLarge = "Function.ResponseSizeTooLarge"
	Unanswered       = "Runtime.Unanswered" // the next event was asked for before this one was answered
)

// Config says what a function is. It never changes after [New].
type Config struct {
	Name, ARN  string
	Binary     string // path of the bootstrap; its folder is the task root
	Handler    string
	MemorySize int // MB; told to the function, not enforced
	Timeout    time.Duration
	LogFormat  string            // JSON or Text
	LogLevel   string            // such as INFO
	Env        map[string]string // the function's own, with region and credentials
	// Concurrency is the most instances at once; more invocations wait.
	Concurrency int
	// IdleAfter is how long an instance may be idle before it is killed.
	IdleAfter time.Duration
	// Output takes what the instances print, a whole line at a time. Writes
	// do not overlap.
	Output io.Writer
	// Log gets the function's own warnings and errors, shortened.
	Log *slog.Logger
}

// A Function takes invocations. Safe for concurrent use.
type Function struct {
	cfg    Config
	slots  chan struct{} // one per possible instance
	closed chan struct{} // closed by Close

	running  sync.WaitGroup // invocations
	printing sync.WaitGroup // what copies the output of instances

	mu    sync.Mutex
	done  bool        // Close was called
	live  []*instance // by start, oldest first
	idle  []*instance // of these, stopped; last used is last
	stats Stats

	outMu sync.Mutex // guards cfg.Output
}

// Stats count what happened since New.
type Stats struct {
	Invocations int
	Failures    int // of these, with an error
	ColdStarts  int
	Instances   int // now alive
}

// New makes a function without instances. Close it in the end.
func New(cfg Config) *Function {
	return &Function{cfg: cfg, slots: make(chan struct{}, cfg.Concurrency), closed: make(chan struct{})}
}

// Name is the function's name.
func (f *Function) Name() string { return f.cfg.Name }

// Invoke gives event to an instance and returns its answer. It waits while
// all instances are busy. A failed invocation is an [*Error]. When ctx ends
// Invoke returns, while the function goes on with the event, as Lambda does
// when a caller hangs up.
func (f *Function) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	if len(event) > PayloadLimit {
		return nil, ErrTooLarge
	}
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-f.closed:
		return nil, ErrClosed
	}
	type outcome struct {
		answer []byte
		err    error
	}
	got := make(chan outcome, 1)
	if !f.begin(func() {
		answer, err := f.invoke(event)
		<-f.slots
		got <- outcome{answer, err}
	}) {
		<-f.slots
		return nil, ErrClosed
	}
	select {
	case o := <-got:
		return o.answer, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin runs work in a goroutine that Close waits for; false after Close.
func (f *Function) begin(work func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return false
	}
	f.stats.Invocations++
	f.running.Go(work)
	return true
}

func (f *Function) invoke(event []byte) (answer []byte, err error) {
	defer func() {
		if err != nil {
			f.mu.Lock()
			f.stats.Failures++
			f.mu.Unlock()
		}
	}()
	inv := f.newInvocation(event)
	i := f.takeIdle()
	if i == nil {
		if i, err = f.start(inv.id); err != nil {
			return nil, err
		}
	}
	answer, err, usable := i.invoke(inv)
	if usable {
		f.park(i)
	} else {
		i.kill()
	}
	return answer, err
}

// An invocation is one event on its way.
type invocation struct {
	id, trace string
	event     []byte
}

func (f *Function) newInvocation(event []byte) *invocation {
	return &invocation{id: NewID(), trace: traceID(time.Now()), event: event}
}

func (f *Function) takeIdle() *instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.idle) == 0 {
		return nil
	}
	i := f.idle[len(f.idle)-1]
	f.idle = f.idle[:len(f.idle)-1]
	i.expiry.Stop()
	return i
}

// park stops the instance and keeps it for the next event.
func (f *Function) park(i *instance) {
	i.freeze()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done || !slices.Contains(f.live, i) {
		// Closed or killed meanwhile: whoever did that ends the process.
		return
	}
	f.idle = append(f.idle, i)
	i.expiry = time.AfterFunc(f.cfg.IdleAfter, func() {
		if f.unpark(i) {
			i.kill()
		}
	})
}

// unpark takes i from the idle instances; false if it is not among them.
func (f *Function) unpark(i *instance) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := slices.Index(f.idle, i)
	if n < 0 {
		return false
	}
	f.idle = slices.Delete(f.idle, n, n+1)
	return true
}

// remember adds a started instance; false after Close.
func (f *Function) remember(i *instance) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return false
	}
	f.live = append(f.live, i)
	f.stats.ColdStarts++
	return true
}

// forget removes an instance whose process has ended.
func (f *Function) forget(i *instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live = slices.DeleteFunc(f.live, func(other *instance) bool { return other == i })
	f.idle = slices.DeleteFunc(f.idle, func(other *instance) bool { return other == i })
	if i.expiry != nil {
		i.expiry.Stop()
	}
}

// Kill kills one instance and all its processes, one that works on an event
// if there is such, else an idle one. It is false if there is none at all.
func (f *Function) Kill() bool {
	f.mu.Lock()
	var victim *instance
	for _, i := range f.live {
		if !slices.Contains(f.idle, i) {
			victim = i
			break
		}
	}
	if victim == nil && len(f.idle) > 0 {
		victim = f.idle[0]
		f.idle = f.idle[1:]
		victim.expiry.Stop()
	}
	f.mu.Unlock()
	if victim == nil {
		return false
	}
	victim.kill()
	return true
}

// Processes lists the process ids of the live instances, without the
// processes that these started.
func (f *Function) Processes() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	var pids []int
	for _, i := range f.live {
		pids = append(pids, i.cmd.Process.Pid)
	}
	return pids
}

// Stats counts what happened so far.
func (f *Function) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Instances = len(f.live)
	return s
}

// Close kills all instances and waits until they are gone. Invocations under
// way fail, and nothing is printed or logged after it. Close may be called
// more than once.
func (f *Function) Close() {
	f.mu.Lock()
	if !f.done {
		f.done = true
		close(f.closed)
	}
	live := slices.Clone(f.live)
	f.mu.Unlock()
	for _, i := range live {
		i.kill()
	}
	f.running.Wait()
	f.printing.Wait()
}

// NewID is a random UUID, which is what AWS's request ids look like.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// traceID has the form of X-Ray's.
func traceID(now time.Time) string {
	var b [20]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("Root=1-%s-%x;Parent=%x;Sampled=0", strconv.FormatInt(now.Unix(), 16), b[:12], b[12:])
}
