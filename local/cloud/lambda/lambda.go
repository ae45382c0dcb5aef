// Package lambda runs a function's binary as AWS Lambda does: as a process that
// requests events from the Runtime API. The process is treated as strictly as
// on Lambda.
//
//   - An event that finds no idle instance starts a new instance (a cold start).
//     An instance serves later events too, one at a time.
//   - Between events, the instance and all processes that it started are stopped
//     (SIGSTOP). No work continues after an answer.
//   - At the deadline all of them are killed and the invocation fails. An
//     invocation fails too if the process ends.
//   - Instances that stay idle are killed without a warning.
//   - Events and answers are limited to 6 MB.
//
// The environment of an instance is Lambda's together with the function's own.
// An instance inherits no variable of this process.
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

// PayloadLimit is the size of the largest event and of the largest answer. It
// is Lambda's 6 MB for synchronous invocations, with the exact number from
// Lambda's error messages.
const PayloadLimit = 6*1024*1024 + 100

// startLimit plus the function's own timeout is how long an instance may take
// until its first request for an event. Lambda allows 10 s for the start, and
// then starts the instance again within the function's timeout.
const startLimit = 10 * time.Second

// ErrClosed means that the function was closed before or during the
// invocation.
var ErrClosed = errors.New("function closed")

// ErrTooLarge means that the event exceeds [PayloadLimit].
var ErrTooLarge = errors.New("event too large for Lambda")

// Error is a failed invocation, as Lambda describes it to the caller.
type Error struct {
	Type    string `json:"errorType"`    // the function's own type, or Lambda's, such as Runtime.ExitError
	Message string `json:"errorMessage"` // the function's own message, or Lambda's
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// The error types of Lambda itself.
const (
	TimedOut         = "Sandbox.Timedout"
	Exited           = "Runtime.ExitError"
	ResponseTooLarge = "Function.ResponseSizeTooLarge"
	Unanswered       = "Runtime.Unanswered" // the runtime requested the next event before it answered this event
)

// Config describes a function. It never changes after [New].
type Config struct {
	Name, ARN  string
	Binary     string // path of the bootstrap, whose folder is the task root
	Handler    string
	MemorySize int // MB; reported to the function but not enforced
	Timeout    time.Duration
	LogFormat  string            // JSON or Text
	LogLevel   string            // such as INFO
	Env        map[string]string // the function's own variables, with region and credentials
	// Concurrency is the largest number of instances at a time. Further
	// invocations wait.
	Concurrency int
	// IdleAfter is how long an instance may be idle. Then it is killed.
	IdleAfter time.Duration
	// Output receives the output of the instances, one whole line per write.
	// Writes do not overlap.
	Output io.Writer
	// Log receives the function's own warnings and errors, shortened.
	Log *slog.Logger
}

// A Function takes invocations. Safe for concurrent use.
type Function struct {
	cfg    Config
	slots  chan struct{} // one per possible instance
	closed chan struct{} // closed by Close

	running  sync.WaitGroup // goroutines that serve invocations
	printing sync.WaitGroup // goroutines that copy the output of instances

	mu    sync.Mutex
	done  bool        // Close was called
	live  []*instance // all instances, oldest first
	idle  []*instance // the stopped instances of live, most recently used last
	stats Stats

	outMu sync.Mutex // guards cfg.Output
}

// Stats count what happened since New.
type Stats struct {
	Invocations int
	Failures    int // invocations that ended with an error
	ColdStarts  int
	Instances   int // instances that are alive now
	Busy        int // those of them that work on an event or start
	// Duration is the time of all answered invocations, each from the event until the
	// answer: what Lambda reports as duration and bills.
	Duration time.Duration
}

// New makes a function without instances. The caller must close it.
func New(cfg Config) *Function {
	return &Function{cfg: cfg, slots: make(chan struct{}, cfg.Concurrency), closed: make(chan struct{})}
}

// Name is the function's name.
func (f *Function) Name() string { return f.cfg.Name }

// Invoke gives the event to an instance and returns the answer. It waits while
// all instances are busy. A failed invocation is an [*Error]. When ctx ends,
// Invoke returns but the function continues with the event. Lambda does the
// same when a caller closes the connection.
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

// begin runs work in a goroutine that Close waits for. After Close it returns
// false and runs nothing.
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

// invoke serves one event with an idle instance or a new one.
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

// An invocation is one event with its ids.
type invocation struct {
	id, trace string
	event     []byte
}

func (f *Function) newInvocation(event []byte) *invocation {
	return &invocation{id: NewID(), trace: traceID(time.Now()), event: event}
}

// took counts the time of an answered invocation.
func (f *Function) took(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Duration += d
}

// takeIdle returns the most recently used idle instance, or nil.
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
		// Close or Kill came in between and ends the process.
		return
	}
	f.idle = append(f.idle, i)
	i.expiry = time.AfterFunc(f.cfg.IdleAfter, func() {
		if f.unpark(i) {
			i.kill()
		}
	})
}

// unpark removes i from the idle instances. It returns false if i is not idle.
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

// remember adds a started instance. After Close it returns false.
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

// Kill kills one instance and all its processes. It prefers an instance that
// works on an event to an idle one. It returns false if no instance is alive.
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

// Processes lists the process ids of the live instances. The list leaves out
// the processes that instances started.
func (f *Function) Processes() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	var pids []int
	for _, i := range f.live {
		pids = append(pids, i.cmd.Process.Pid)
	}
	return pids
}

// Stats returns the counts at this moment.
func (f *Function) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Instances, s.Busy = len(f.live), len(f.live)-len(f.idle)
	return s
}

// Close kills all instances and waits until they have ended. Invocations that
// still run fail. Nothing is written to Output or Log after Close returns. Close
// may be called more than once.
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

// NewID is a random UUID, the form of AWS's request ids.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// traceID is a random id in X-Ray's format.
func traceID(now time.Time) string {
	var b [20]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("Root=1-%s-%x;Parent=%x;Sampled=0", strconv.FormatInt(now.Unix(), 16), b[:12], b[12:])
}
