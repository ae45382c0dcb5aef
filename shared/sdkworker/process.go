//go:build linux

package sdkworker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/sdkproto"
)

const (
	// byeTimeout is the time in which a worker must destroy its handle; after that
	// it has the same time to exit.
	byeTimeout = time.Second
	// exitTimeout is how long to wait for the exit status of a worker whose pipe
	// has closed.
	exitTimeout = 2 * time.Second
	// outputTimeout bounds the wait for the end of the library's output after
	// the worker's exit: another process could hold the pipe open.
	outputTimeout = time.Second
	// noteLength is how many bytes of a text from the worker are copied into
	// errors and logs.
	noteLength = 100
)

// wrongAnswer is the note of a CrashError for a valid frame that is no answer to
// the request.
const wrongAnswer = "answer that does not fit the request"

// errUndelivered means that the process ended before it had read the whole
// request, so the library was not called. call joins it with a CrashError. If the
// process is new, this is a crash. If it is an older one, the caller starts a new
// process and repeats the request.
var errUndelivered = errors.New("request not delivered")

// A process is an initialised worker. The call that holds its slot uses it
// alone.
type process struct {
	log      *slog.Logger
	cmd      *exec.Cmd
	folder   folder // the worker's working folder; kill removes it
	requests *os.File
	answers  *os.File
	writer   *sdkproto.Writer
	reader   *sdkproto.Reader
	calls    uint32 // also the id of the last request
	unseen   int    // records decrypted since the last look at the memory
	output   outputCounter
	exited   chan struct{} // closed once the parent has reaped the process
}

// outputCounter counts what the library prints and discards it, because it may
// hold message text. It has to read the output: a full pipe would block the
// library.
type outputCounter struct{ bytes, lines atomic.Int64 }

func (c *outputCounter) Write(b []byte) (int, error) {
	c.bytes.Add(int64(len(b)))
	c.lines.Add(int64(bytes.Count(b, []byte{'\n'})))
	return len(b), nil
}

// start runs a worker and calls Init in it. After an error no process is left.
func start(ctx context.Context, cfg *Config, id Identity) (*process, error) {
	p, err := spawn(cfg)
	if err != nil {
		return nil, err
	}
	answer, err := p.exchange(ctx, cfg.StartTimeout, sdkproto.Hello{
		MemoryLimit: uint64(cfg.MemoryLimit), NoSockets: cfg.NoSockets,
	})
	if err != nil {
		return nil, p.failedStart(ctx, cfg, err)
	}
	switch a := answer.(type) {
	case sdkproto.Hello:
	case sdkproto.Refused:
		p.kill()
		return nil, &archive.LibraryError{Why: libraryFault(a.Fault), Note: printable(a.Note)}
	default:
		p.kill()
		return nil, &archive.LibraryError{Why: archive.LibraryProtocol, Note: cfg.Worker + ": answer to Hello of the wrong type"}
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
	return nil, &archive.CrashError{Op: opInit, How: archive.Nonsense, Note: wrongAnswer}
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

// refusalNote returns the note of a CrashError for a worker that refused a
// request. The library shares the worker's process and can write the answer
// itself. So the fault must be one of a fixed list, and the note is made short
// and printable. Neither can carry long message text, or a forged line, into a
// log.
func refusalNote(r sdkproto.Refused) string {
	switch r.Fault {
	case sdkproto.FaultMissing, sdkproto.FaultMachine, sdkproto.FaultSymbol, sdkproto.FaultLoad, sdkproto.FaultLibrary, sdkproto.FaultProtocol:
		return string(r.Fault) + ": " + printable(r.Note)
	}
	return "unknown fault: " + printable(r.Note)
}

// printable returns at most noteLength bytes of s. A question mark replaces
// each byte that is not a printable character of ASCII.
func printable(s string) string {
	b := []byte(s[:min(len(s), noteLength)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// spawn starts the worker's program with its two pipes, in an empty folder of
// its own. It sends no frame.
func spawn(cfg *Config) (p *process, err error) {
	folder, err := newFolder()
	if err != nil {
		return nil, fmt.Errorf("make a folder for the library process: %w", err)
	}
	defer func() {
		if err != nil {
			_ = folder.remove()
		}
	}()
	childRequests, requests, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for the library process: %w", err)
	}
	defer childRequests.Close()
	answers, childAnswers, err := os.Pipe()
	if err != nil {
		requests.Close()
		return nil, fmt.Errorf("make a pipe for the library process: %w", err)
	}
	defer childAnswers.Close()
	p = &process{
		log:      cfg.Log,
		folder:   folder,
		requests: requests,
		answers:  answers,
		writer:   sdkproto.NewWriter(requests),
		reader:   sdkproto.NewReader(answers),
		exited:   make(chan struct{}),
	}
	// The process outlives the call that starts it, so CommandContext would end
	// it too early. kill replaces the context.
	p.cmd = exec.Command(cfg.Worker, absolute(cfg.Library))
	p.cmd.Path = absolute(p.cmd.Path)
	p.cmd.Dir = folder.path
	p.cmd.Env = []string{} // nil would pass on the parent's credentials
	p.cmd.Stdout = &p.output
	p.cmd.Stderr = &p.output
	p.cmd.ExtraFiles = []*os.File{childRequests, childAnswers} // descriptors 3 and 4
	p.cmd.WaitDelay = outputTimeout
	// If the parent is killed, the kernel kills the worker too, even in the
	// middle of a call. The kernel sends the signal when the thread that started
	// the worker ends. Go ends a thread only when a goroutine that is locked to it
	// ends, and the functions lock none: so the signal means that the parent has
	// ended. The worker stays in the parent's process group, because Lambda stops and
	// kills the group as a whole.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		requests.Close()
		answers.Close()
		return nil, &archive.LibraryError{Why: archive.LibraryWorker, Note: err.Error()}
	}
	go func() {
		// The error repeats the exit status, or says that the output stayed open. The
		// pool does not need this error.
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// absolute makes a path independent of the working folder, which differs between
// the worker and its parent. Without a known working folder the path stays as it
// is, and the start fails.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// awaitExit waits for the exit of the process, and reports whether it came
// within limit.
func (p *process) awaitExit(limit time.Duration) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.exited:
		return true
	case <-t.C:
		return false
	}
}

// kill ends the process, closes its pipes and removes its folder. Only a process
// that the kernel cannot kill, because a device blocks it, may outlive kill.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error means that the process has ended already
	p.awaitExit(exitTimeout + outputTimeout)
	p.requests.Close()
	p.answers.Close()
	if err := p.folder.remove(); err != nil {
		p.log.Warn("folder of a library process not removed", slog.String("folder", p.folder.path))
	}
	p.log.Debug("library process ended",
		slog.Int("calls", int(p.calls)),
		slog.Int64("printed_bytes", p.output.bytes.Load()), slog.Int64("printed_lines", p.output.lines.Load()))
}

// stop sends Bye, so that the worker can destroy its handle, and then kills
// the process if it still runs.
func (p *process) stop() {
	if p.setDeadline(time.Now().Add(byeTimeout)) == nil {
		if _, err := p.roundTrip(sdkproto.Bye{}); err == nil {
			p.awaitExit(byeTimeout)
		}
	}
	p.kill()
}

// rssEvery is the number of decrypted records between two checks of a process's
// memory.
const rssEvery = 64

// tooLarge reports whether the process, which has just answered request, has more
// resident memory than limit, and how much. It does not look after every record.
func (p *process) tooLarge(request sdkproto.Message, limit int64) (rss int64, large bool) {
	switch m := request.(type) {
	case sdkproto.Decrypt:
		p.unseen++
	case sdkproto.DecryptAll:
		p.unseen += len(m.Records)
	default:
		p.unseen = rssEvery
	}
	if p.unseen < rssEvery {
		return 0, false
	}
	p.unseen = 0
	rss, err := p.rss()
	// An error means that the process has just ended. The next call notices.
	return rss, err == nil && rss > limit
}

// rss returns the resident memory of the process, in bytes.
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

// call sends a request and returns the answer. After an error the process has
// ended.
func (p *process) call(ctx context.Context, op string, limit time.Duration, m sdkproto.Message) (sdkproto.Message, error) {
	answer, err := p.exchange(ctx, limit, m)
	if err != nil {
		return nil, p.failed(ctx, op, limit, err)
	}
	if r, ok := answer.(sdkproto.Refused); ok {
		p.kill()
		return nil, &archive.CrashError{Op: op, How: archive.Nonsense, Note: refusalNote(r)}
	}
	return answer, nil
}

// exchange sends one request and reads its answer, bounded by limit and ctx.
// Its error comes from the pipes or the protocol. After an error the process
// may still run; the caller ends it.
func (p *process) exchange(ctx context.Context, limit time.Duration, m sdkproto.Message) (sdkproto.Message, error) {
	if err := p.setDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = p.setDeadline(time.Unix(1, 0)) // an error means that the pipes are closed
	})
	answer, err := p.roundTrip(m)
	if !stop() {
		<-interrupted // otherwise the old deadline could hit the next call
	}
	return answer, err
}

func (p *process) setDeadline(t time.Time) error {
	return errors.Join(p.requests.SetWriteDeadline(t), p.answers.SetReadDeadline(t))
}

func (p *process) roundTrip(m sdkproto.Message) (sdkproto.Message, error) {
	p.calls++
	if err := p.writer.Write(p.calls, m); err != nil {
		return nil, err
	}
	id, answer, err := p.reader.Read()
	if err == nil && id != p.calls {
		err = &sdkproto.ProtocolError{Note: "answer with the id of another request"}
	}
	return answer, err
}

// failedStart ends a process whose exchange of Hello failed, and returns the
// error of the start.
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
		return &archive.LibraryError{Why: archive.LibraryWorker, Note: cfg.Worker + ": no Hello: " + note}
	}
	return &archive.CrashError{Op: opStart, How: how, Note: note}
}

// failed ends the process and returns the error of the call.
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

// diagnose classifies a failed exchange: the process hung, crashed or broke the
// protocol. It waits for the exit status if a pipe has closed.
func (p *process) diagnose(limit time.Duration, err error) (archive.CrashKind, string) {
	var protocol *sdkproto.ProtocolError
	var version *sdkproto.VersionError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return archive.Hung, fmt.Sprintf("no answer within %v", limit)
	case errors.As(err, &protocol), errors.As(err, &version), errors.Is(err, sdkproto.ErrTooLarge):
		return archive.Nonsense, err.Error()
	case p.awaitExit(exitTimeout): // a closed pipe means that the process is ending
		return archive.Crashed, p.cmd.ProcessState.String()
	}
	return archive.Nonsense, "pipes closed by a process that still runs"
}
