package aws

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const loopback = "http://127.0.0.1:"

// patience is how long a service may take to end by itself.
const patience = 5 * time.Second

// announcement is how both services say, in a line of their output, on which
// port they listen. They choose it themselves, so that it cannot be taken
// between choosing and listening.
var announcement = regexp.MustCompile(`(?:listening on port |Running on http://127\.0\.0\.1:)(\d+)`)

// A child is a service in a process of its own.
type child struct {
	name string
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when the process is gone and its output read
}

// startChild starts the command with env added to this process's environment.
func startChild(name string, log func(string), env []string, command ...string) (*child, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// A group of its own: an interrupt typed at the terminal reaches the
		// service only after whoever uses it, by way of stop.
		Setpgid:   true,
		Pdeathsig: syscall.SIGKILL,
	}
	c := &child{
		name: name,
		cmd:  cmd,
		out:  &output{log: func(line string) { log(name + ": " + line) }, port: make(chan string, 1)},
		done: make(chan struct{}),
	}
	cmd.Stdout, cmd.Stderr = c.out, c.out

	started := make(chan error)
	go func() {
		// Pdeathsig fires when the thread that started the child ends, so that
		// thread is kept until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			// How it ended is in cmd.ProcessState.
			_ = cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

// endpoint waits until the service has announced its port.
func (c *child) endpoint(ctx context.Context) (string, error) {
	select {
	case port := <-c.out.port:
		return loopback + port, nil
	case <-c.done:
		return "", fmt.Errorf("%s ended at once (%v); it said:\n%s", c.name, c.cmd.ProcessState, c.out.tail())
	case <-ctx.Done():
		return "", fmt.Errorf("%s did not start: %w; it said:\n%s", c.name, ctx.Err(), c.out.tail())
	}
}

func (c *child) stop() {
	select {
	case <-c.done:
		return
	default:
	}
	// Errors mean that it is gone already.
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// tailLines is how much of a service's output an error quotes.
const tailLines = 20

// output takes what a service prints.
type output struct {
	log  func(string)
	port chan string // gets the first port announced

	mu      sync.Mutex
	partial []byte   // a line whose end has not come
	last    []string // at most tailLines
	found   bool
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.partial = append(o.partial, p...)
	for {
		line, rest, ok := bytes.Cut(o.partial, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		o.line(string(bytes.TrimRight(line, "\r")))
		o.partial = rest
	}
}

func (o *output) line(s string) {
	o.log(s)
	o.last = append(o.last, s)
	if len(o.last) > tailLines {
		o.last = slices.Delete(o.last, 0, 1)
	}
	if m := announcement.FindStringSubmatch(s); m != nil && !o.found {
		o.found = true
		o.port <- m[1]
	}
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(append(slices.Clone(o.last), string(o.partial)), "\n")
}
