package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An instance is one process of the function, with its own Runtime API.
type instance struct {
	f      *Function
	cmd    *exec.Cmd
	server *http.Server
	events chan *delivery // goes to the handler of the runtime's request
	ready  chan struct{}  // gets a value when the runtime requests an event; holds one value
	exited chan struct{}  // closed after the process has ended and has been waited for
	expiry *time.Timer    // guarded by f.mu; nil until the first park

	mu        sync.Mutex
	current   *delivery // the event that the process works on
	initError *Error    // reported by the runtime before its first event

	signals sync.Mutex // held while a signal is sent; guards reaped and frozen
	reaped  bool       // the process id may belong to another process
	frozen  []int      // the processes that the last freeze stopped
}

// A delivery is an invocation at this instance, with its answer. The
// instance's mu guards begun and the answer.
type delivery struct {
	*invocation
	deadline time.Time
	begun    time.Time // the process got the event
	answered bool
	answer   []byte
	err      *Error
}

// start starts a process and waits until the process requests its first event.
// id names the invocation that waits for the process.
func (f *Function) start(id string) (*instance, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for an instance of %s: %w", f.cfg.Name, err)
	}
	i := &instance{
		f: f, events: make(chan *delivery), ready: make(chan struct{}, 1), exited: make(chan struct{}),
	}
	i.server = &http.Server{
		Handler:     i.runtimeAPI(),
		BaseContext: func(net.Listener) context.Context { return i.lifetime() },
		ErrorLog:    log.New(io.Discard, "", 0),
	}
	if err := i.launch(listener.Addr().String()); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("start an instance of %s: %w", f.cfg.Name, err)
	}
	go func() {
		// Serve always returns ErrServerClosed: the end of the process closes
		// the server.
		_ = i.server.Serve(listener)
	}()
	if !f.remember(i) {
		i.kill()
		return nil, ErrClosed
	}
	limit := time.NewTimer(startLimit + f.cfg.Timeout)
	defer limit.Stop()
	select {
	case <-i.ready:
		return i, nil
	case <-i.exited:
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.initError != nil {
			return nil, i.initError
		}
		return nil, i.exitError(id)
	case <-limit.C:
		i.kill()
		return nil, timeoutError(id, startLimit+f.cfg.Timeout)
	}
}

// launch starts the process and the goroutine that waits for it.
func (i *instance) launch(api string) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command(i.f.cfg.Binary)
	cmd.Dir = filepath.Dir(i.f.cfg.Binary)
	cmd.Env = i.f.environment(api)
	cmd.Stdout, cmd.Stderr = write, write
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// The process leads its own group, so that the whole group can be
		// stopped and killed. If the local cloud is killed, the stopped group
		// loses its parent, and the kernel sends it SIGHUP and SIGCONT.
		Setpgid:   true,
		Pdeathsig: syscall.SIGKILL,
	}
	i.cmd = cmd
	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread that started the child
		// ends. So this thread stays until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		_ = write.Close()
		started <- err
		if err != nil {
			return
		}
		i.reap()
		_ = i.server.Close()
		// A process that left the family may keep the pipe open permanently.
		_ = read.SetReadDeadline(time.Now().Add(time.Second))
	}()
	if err := <-started; err != nil {
		_ = read.Close()
		return err
	}
	i.f.printing.Go(func() {
		defer read.Close()
		i.f.copyOutput(read)
	})
	return nil
}

// reap waits for the process to end and then kills the rest of its family,
// since Lambda ends a sandbox as a whole. The process id is released only after
// that. Until then, no other process can have the id.
func (i *instance) reap() {
	pid := i.cmd.Process.Pid
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	i.signals.Lock()
	signalFamily(pid, syscall.SIGKILL)
	// Wait's error repeats cmd.ProcessState, which says how the process ended.
	_ = i.cmd.Wait()
	i.reaped = true
	i.signals.Unlock()
	i.f.forget(i)
	close(i.exited)
}

// ifAlive calls f with the process's id, unless the process has ended.
func (i *instance) ifAlive(f func(pid int)) {
	i.signals.Lock()
	defer i.signals.Unlock()
	if !i.reaped {
		f(i.cmd.Process.Pid)
	}
}

// lifetime is a context that ends with the process.
func (i *instance) lifetime() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-i.exited
		cancel()
	}()
	return ctx
}

// invoke gives the event to the process and waits until the process requests
// the next event. The process must have requested this event. usable is false
// if the instance cannot take another event.
func (i *instance) invoke(inv *invocation) (answer []byte, err error, usable bool) {
	d := &delivery{invocation: inv, deadline: time.Now().Add(i.f.cfg.Timeout)}
	i.mu.Lock()
	i.current = d
	i.mu.Unlock()
	i.thaw()
	limit := time.NewTimer(i.f.cfg.Timeout)
	defer limit.Stop()

	var failure *Error
	select {
	case i.events <- d:
		select {
		case <-i.ready:
			usable = true
			failure = &Error{Type: Unanswered, Message: "RequestId: " + inv.id + " Error: next event requested before the answer"}
		case <-i.exited:
			failure = i.exitError(inv.id)
		case <-limit.C:
			failure = timeoutError(inv.id, i.f.cfg.Timeout)
		}
	case <-i.exited:
		failure = i.exitError(inv.id)
	case <-limit.C:
		failure = timeoutError(inv.id, i.f.cfg.Timeout)
	}

	i.mu.Lock()
	defer i.mu.Unlock()
	i.current = nil
	switch {
	case !d.answered:
		return nil, failure, false
	case d.err != nil:
		return nil, d.err, usable
	}
	// An answer counts even if the process ended or timed out after the answer.
	return d.answer, nil, usable
}

func timeoutError(id string, after time.Duration) *Error {
	return &Error{Type: TimedOut, Message: fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", id, after.Seconds())}
}

// exitError describes how the process ended. The caller must have seen that
// exited is closed.
func (i *instance) exitError(id string) *Error {
	how := i.cmd.ProcessState.String()
	if i.cmd.ProcessState.Success() {
		how = "exit status 0" // Lambda reports a successful exit as an error too
	}
	return &Error{Type: Exited, Message: fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %s", id, how)}
}

func (i *instance) freeze() { i.ifAlive(func(pid int) { i.frozen = stopFamily(pid) }) }
func (i *instance) thaw()   { i.ifAlive(func(pid int) { continueFamily(pid, i.frozen) }) }

// kill kills the process and all its descendants, and waits until the process
// has ended.
func (i *instance) kill() {
	i.ifAlive(killFamily)
	<-i.exited
}

// runtimeAPI is the Runtime API of
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
func (i *instance) runtimeAPI() http.Handler {
	const base = "/2018-06-01/runtime"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+base+"/invocation/next", i.next)
	mux.HandleFunc("POST "+base+"/invocation/{id}/response", i.response)
	mux.HandleFunc("POST "+base+"/invocation/{id}/error", i.failure)
	mux.HandleFunc("POST "+base+"/init/error", i.initFailure)
	return mux
}

func (i *instance) next(w http.ResponseWriter, r *http.Request) {
	select {
	case i.ready <- struct{}{}:
	default: // the runtime requested twice; ready holds the first request
	}
	select {
	case d := <-i.events:
		i.mu.Lock()
		d.begun = time.Now()
		i.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", d.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(d.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", i.f.cfg.ARN)
		h.Set("Lambda-Runtime-Trace-Id", d.trace)
		// invoke notices a process that does not read: the process exits or
		// reaches the deadline.
		_, _ = w.Write(d.event)
	case <-r.Context().Done():
	}
}

func (i *instance) response(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, PayloadLimit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		i.answer(w, r, nil, &Error{
			Type:    ResponseTooLarge,
			Message: fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", PayloadLimit),
		}, http.StatusRequestEntityTooLarge)
	case err != nil:
		// The process is ending. Its exit becomes the answer.
		w.WriteHeader(http.StatusBadRequest)
	case r.Trailer.Get("Lambda-Runtime-Function-Error-Type") != "":
		i.answer(w, r, nil, &Error{Type: r.Trailer.Get("Lambda-Runtime-Function-Error-Type")}, http.StatusAccepted)
	default:
		i.answer(w, r, body, nil, http.StatusAccepted)
	}
}

func (i *instance) failure(w http.ResponseWriter, r *http.Request) {
	i.answer(w, r, nil, readError(w, r), http.StatusAccepted)
}

func (i *instance) initFailure(w http.ResponseWriter, r *http.Request) {
	e := readError(w, r)
	i.mu.Lock()
	i.initError = e
	i.mu.Unlock()
	reply(w, http.StatusAccepted, "")
}

func readError(w http.ResponseWriter, r *http.Request) *Error {
	e := &Error{Type: r.Header.Get("Lambda-Runtime-Function-Error-Type")}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, PayloadLimit))
	if err != nil || json.Unmarshal(body, e) != nil {
		e.Message = "the function's error is unreadable"
	}
	if e.Type == "" {
		e.Type = "Runtime.UnknownReason"
	}
	return e
}

// answer records the outcome of the current event.
func (i *instance) answer(w http.ResponseWriter, r *http.Request, answer []byte, failure *Error, status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch d := i.current; {
	case d == nil || d.id != r.PathValue("id"):
		reply(w, http.StatusBadRequest, "InvalidRequestID")
	case d.answered:
		reply(w, http.StatusForbidden, "InvalidStateTransition")
	default:
		d.answered, d.answer, d.err = true, answer, failure
		i.f.took(time.Since(d.begun))
		if status == http.StatusAccepted {
			reply(w, status, "")
		} else {
			reply(w, status, failure.Type)
		}
	}
}

func reply(w http.ResponseWriter, status int, errorType string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body := map[string]string{"status": "OK"}
	if errorType != "" {
		body = map[string]string{"errorType": errorType}
	}
	_ = json.NewEncoder(w).Encode(body)
}

// environment is the environment of a process, as described in
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html.
// The function's own variables cannot override Lambda's.
func (f *Function) environment(api string) []string {
	root := filepath.Dir(f.cfg.Binary)
	env := maps.Clone(f.cfg.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, map[string]string{
		"_HANDLER":                        f.cfg.Handler,
		"AWS_LAMBDA_FUNCTION_NAME":        f.cfg.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.cfg.MemorySize),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + f.cfg.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      time.Now().UTC().Format("2006/01/02/") + "[$LATEST]" + NewID(),
		"AWS_LAMBDA_LOG_FORMAT":           f.cfg.LogFormat,
		"AWS_LAMBDA_LOG_LEVEL":            f.cfg.LogLevel,
		"AWS_LAMBDA_RUNTIME_API":          api,
		"LAMBDA_TASK_ROOT":                root,
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"LANG":                            "en_US.UTF-8",
		"LD_LIBRARY_PATH":                 "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:" + root + ":" + root + "/lib:/opt/lib",
		"PATH":                            "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"TZ":                              ":UTC",
	})
	out := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}
