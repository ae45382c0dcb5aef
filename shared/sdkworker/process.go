package sdkworker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/sdkproto"
)

const (
	// goodbye is how long a worker may take to destroy its handle and exit.
	goodbye = time.Second
	// dying is how long a worker whose pipe has closed may take to be gone, so
	// that its exit status can be told.
	dying = 2 * time.Second
	// drain bounds the wait for the library's output after the end: a process
	// that the library may have started could hold it open.
	drain = time.Second
)

// errUndelivered says that the process was gone before it had read the whole
// request, so that the library has not been called. It comes with the
// CrashError that it is if the process is a new one.
var errUndelivered = errors.New("the request did not arrive")

// A process is a worker, initialised. Whoever holds its slot uses it alone.
type process struct {
	log      *slog.Logger
	cmd      *exec.Cmd
	requests *os.File
	answers  *os.File
	writer   *sdkproto.Writer
	reader   *sdkproto.Reader
	calls    uint32 // also the id of the last request
	noise    noise
	gone     chan struct{} // closed when the process has been waited for
}

// noise counts what the library prints. It may hold message text, so it is
// read, lest the library blocks, and not kept.
type noise struct{ bytes, lines atomic.Int64 }

func (n *noise) Write(b []byte) (int, error) {
	n.bytes.Add(int64(len(b)))
	n.lines.Add(int64(bytes.Count(b, []byte{'\n'})))
	return len(b), nil
}

// start runs a worker and does Init in it. On an error nothing is left.
func start(ctx context.Context, cfg *Config, id Identity) (*process, error) {
	p, err := spawn(cfg)
	if err != nil {
		return nil, err
	}
	answer, err := p.exchange(ctx, cfg.StartTimeout, sdkproto.Hello{MemoryLimit: uint64(cfg.MemoryLimit)})
	if err != nil {
		return nil, p.failedStart(ctx, cfg, err)
	}
	switch a := answer.(type) {
	case sdkproto.Hello:
	case sdkproto.Refused:
		p.kill()
		return nil, &archive.LibraryError{Why: libraryFault(a.Fault), Note: a.Note}
	default:
		p.kill()
		return nil, &archive.LibraryError{Why: archive.LibraryProtocol, Note: cfg.Worker + " answered Hello with something else"}
	}
	answer, err = p.call(ctx, opInit, cfg.InitTimeout, sdkproto.Init{
		CorpID: id.CorpID, Secret: id.Secret.Reveal(),
		Proxy: cfg.Proxy, ProxyPassword: cfg.ProxyPassword.Reveal(),
	})
	if err != nil {
		return nil, err
	}
	switch a := answer.(type) {
	case sdkproto.Done:
		return p, nil
	case sdkproto.Failed:
		p.stop()
		return nil, &archive.SDKError{Op: opInit, Code: int(a.Code)}
	}
	p.kill()
	return nil, &archive.CrashError{Op: opInit, How: archive.Nonsense, Note: "an answer to another question"}
}

func libraryFault(f sdkproto.Fault) archive.LibraryFault {
	switch f {
	case sdkproto.FaultMissing:
		return archive.LibraryMissing
	case sdkproto.FaultMachine:
		return archive.LibraryMachine
	case sdkproto.FaultSymbol:
		return archive.LibrarySymbol
	case sdkproto.FaultProtocol:
		return archive.LibraryProtocol
	}
	return archive.LibraryLoad
}

// spawn starts the executable with its two pipes.
func spawn(cfg *Config) (*process, error) {
	theirRequests, requests, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for the library process: %w", err)
	}
	defer theirRequests.Close()
	answers, theirAnswers, err := os.Pipe()
	if err != nil {
		requests.Close()
		return nil, fmt.Errorf("make a pipe for the library process: %w", err)
	}
	defer theirAnswers.Close()
	p := &process{
		log:      cfg.Log,
		requests: requests,
		answers:  answers,
		writer:   sdkproto.NewWriter(requests),
		reader:   sdkproto.NewReader(answers),
		gone:     make(chan struct{}),
	}
	// No CommandContext: the process outlives the call that starts it. kill is
	// what a context would do.
	p.cmd = exec.Command(cfg.Worker, cfg.Library)
	p.cmd.Env = []string{} // not nil, which would inherit the credentials
	p.cmd.Stdout = &p.noise
	p.cmd.Stderr = &p.noise
	p.cmd.ExtraFiles = []*os.File{theirRequests, theirAnswers} // 3 and 4
	p.cmd.WaitDelay = drain
	// If the parent is killed the worker dies with it, even in the middle of a
	// call. The kernel sends the signal when the thread ends that started the
	// worker; Go ends threads only with goroutines that are locked to them. It
	// stays in the parent's process group, which is stopped and killed as one.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		requests.Close()
		answers.Close()
		return nil, &archive.LibraryError{Why: archive.LibraryWorker, Note: err.Error()}
	}
	go func() {
		// Its error is the state, or that output was left open: neither
		// changes anything.
		_ = p.cmd.Wait()
		close(p.gone)
	}()
	return p, nil
}

// await waits for the end of the process, and reports whether it came.
func (p *process) await(limit time.Duration) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.gone:
		return true
	case <-t.C:
		return false
	}
}

// kill ends the process, if it has not ended, and frees what it held. Only
// what the kernel cannot kill (blocked in a device) is left behind.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error says that it is gone
	p.await(dying + drain)
	p.requests.Close()
	p.answers.Close()
	p.log.Debug("library process ended",
		slog.Int("calls", int(p.calls)),
		slog.Int64("printed_bytes", p.noise.bytes.Load()), slog.Int64("printed_lines", p.noise.lines.Load()))
}

// stop lets the process say goodbye, so that it can destroy its handle, and
// makes sure that it is gone.
func (p *process) stop() {
	if p.setDeadline(time.Now().Add(goodbye)) == nil {
		if _, err := p.ask(sdkproto.Bye{}); err == nil {
			p.await(goodbye)
		}
	}
	p.kill()
}

// rss is the resident memory, in bytes.
func (p *process) rss() (int64, error) {
	statm, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/statm")
	if err != nil {
		return 0, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(statm), &size, &resident); err != nil {
		return 0, fmt.Errorf("read statm: %w", err)
	}
	return resident * int64(os.Getpagesize()), nil
}

// call sends a request and returns the answer. After an error the process is
// gone.
func (p *process) call(ctx context.Context, op string, limit time.Duration, m sdkproto.Message) (sdkproto.Message, error) {
	answer, err := p.exchange(ctx, limit, m)
	if err != nil {
		return nil, p.failed(ctx, op, limit, err)
	}
	if r, ok := answer.(sdkproto.Refused); ok {
		p.kill()
		return nil, &archive.CrashError{Op: op, How: archive.Nonsense, Note: fmt.Sprintf("%s: %s", r.Fault, r.Note)}
	}
	return answer, nil
}

// exchange is one request and its answer, bounded by limit and ctx. Its error
// is the pipes' or the protocol's, and leaves the process as it is.
func (p *process) exchange(ctx context.Context, limit time.Duration, m sdkproto.Message) (sdkproto.Message, error) {
	if err := p.setDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = p.setDeadline(time.Unix(1, 0)) // an error says that the pipes are closed
	})
	answer, err := p.ask(m)
	if !stop() {
		<-interrupted // so that it cannot reach into the next call
	}
	return answer, err
}

func (p *process) setDeadline(t time.Time) error {
	return errors.Join(p.requests.SetWriteDeadline(t), p.answers.SetReadDeadline(t))
}

func (p *process) ask(m sdkproto.Message) (sdkproto.Message, error) {
	p.calls++
	if err := p.writer.Write(p.calls, m); err != nil {
		return nil, err
	}
	id, answer, err := p.reader.Read()
	if err == nil && id != p.calls {
		err = &sdkproto.ProtocolError{Note: "an answer to another request"}
	}
	return answer, err
}

// failedStart ends a process that did not answer Hello with Hello.
func (p *process) failedStart(ctx context.Context, cfg *Config, err error) error {
	how, note := p.diagnose(cfg.StartTimeout, err)
	p.kill()
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	switch {
	case how == archive.Nonsense:
		return &archive.LibraryError{Why: archive.LibraryProtocol, Note: cfg.Worker + ": " + note}
	case how == archive.Crashed && p.cmd.ProcessState.Exited():
		return &archive.LibraryError{Why: archive.LibraryWorker, Note: cfg.Worker + " did not say Hello: " + note}
	}
	return &archive.CrashError{Op: opStart, How: how, Note: note}
}

// failed ends the process and says how the call failed.
func (p *process) failed(ctx context.Context, op string, limit time.Duration, err error) error {
	how, note := p.diagnose(limit, err)
	p.kill()
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	crash := &archive.CrashError{Op: op, How: how, Note: note}
	if errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("%w: %w", errUndelivered, crash)
	}
	return crash
}

// diagnose tells from a failed exchange what became of the process.
func (p *process) diagnose(limit time.Duration, err error) (archive.CrashKind, string) {
	var protocol *sdkproto.ProtocolError
	var version *sdkproto.VersionError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return archive.Hung, fmt.Sprintf("no answer within %v", limit)
	case errors.As(err, &protocol), errors.As(err, &version), errors.Is(err, sdkproto.ErrTooLarge):
		return archive.Nonsense, err.Error()
	case p.await(dying): // the pipe is closed: so the process should be ending
		return archive.Crashed, p.cmd.ProcessState.String()
	}
	return archive.Nonsense, "closed its pipes and went on"
}
