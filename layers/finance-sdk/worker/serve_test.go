package main

import (
	"crypto/rand"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/shared/sdkproto"
)

// The worker is tested as its parent meets it: as a process, over its pipes.
// What a whole session does is tested in shared/sdkworker.

func TestMain(m *testing.M) { os.Exit(built.Main(m)) }

// peer is the parent's end of a worker.
type peer struct {
	t   *testing.T
	cmd *exec.Cmd
	in  *os.File
	r   *sdkproto.Reader
	w   *sdkproto.Writer
	id  uint32
}

func startWorker(t *testing.T) *peer {
	t.Helper()
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), built.Worker(t), built.Library(t))
	cmd.Env = []string{}
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	t.Cleanup(func() {
		in.Close()
		out.Close()
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	if err := out.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &peer{t: t, cmd: cmd, in: in, r: sdkproto.NewReader(out), w: sdkproto.NewWriter(in)}
}

func (p *peer) ask(m sdkproto.Message) sdkproto.Message {
	p.t.Helper()
	p.id++
	if err := p.w.Write(p.id, m); err != nil {
		p.t.Fatalf("write %T: %v", m, err)
	}
	id, answer, err := p.r.Read()
	if err != nil || id != p.id {
		p.t.Fatalf("answer to %T: got id %d and %v, want %d", m, id, err, p.id)
	}
	return answer
}

// wantRefused asks and expects a refusal, after which the worker ends by
// itself, with an error but not by a signal.
func (p *peer) wantRefused(m sdkproto.Message) {
	p.t.Helper()
	refused, ok := p.ask(m).(sdkproto.Refused)
	if !ok || refused.Fault != sdkproto.FaultProtocol {
		p.t.Fatalf("%T: got %v, want a refusal because of the protocol", m, refused)
	}
	if err := p.cmd.Wait(); err == nil || p.cmd.ProcessState.ExitCode() != 1 {
		p.t.Errorf("worker: got %v, want exit status 1", p.cmd.ProcessState)
	}
}

var initialise = sdkproto.Init{CorpID: "ww0123456789abcdef", Secret: "s"}

// Without the worker's refusal the library would abort the process.
func TestDecryptBeforeInitIsRefused(t *testing.T) {
	key := standin.NewKeyText(rand.Reader)
	decrypt := sdkproto.Decrypt{KeyText: []byte(key), Message: []byte(standin.Seal(key, []byte("x"), [12]byte{}))}
	t.Run("before Hello", func(t *testing.T) { startWorker(t).wantRefused(decrypt) })
	t.Run("after Hello", func(t *testing.T) {
		p := startWorker(t)
		p.ask(sdkproto.Hello{})
		p.wantRefused(decrypt)
	})
	t.Run("after a failed Init", func(t *testing.T) {
		p := startWorker(t)
		p.ask(sdkproto.Hello{})
		if got := p.ask(sdkproto.Init{}); got != (sdkproto.Failed{Code: 10000}) {
			t.Fatalf("Init of nobody: got %v, want 10000", got)
		}
		p.wantRefused(decrypt)
	})
}

func TestMessagesOutOfTurnAreRefused(t *testing.T) {
	for name, m := range map[string]sdkproto.Message{
		"Init first":      initialise,
		"ChatData first":  sdkproto.ChatData{},
		"an answer first": sdkproto.Done{},
	} {
		t.Run(name, func(t *testing.T) { startWorker(t).wantRefused(m) })
	}
	for name, m := range map[string]sdkproto.Message{
		"a second Hello": sdkproto.Hello{},
		"a second Init":  initialise,
		"an answer":      sdkproto.Result{},
	} {
		t.Run(name, func(t *testing.T) {
			p := startWorker(t)
			p.ask(sdkproto.Hello{})
			p.ask(initialise)
			p.wantRefused(m)
		})
	}
}

func TestByeEndsTheWorkerWell(t *testing.T) {
	for name, before := range map[string][]sdkproto.Message{
		"at once":     nil,
		"loaded":      {sdkproto.Hello{}},
		"initialised": {sdkproto.Hello{}, initialise},
	} {
		t.Run(name, func(t *testing.T) {
			p := startWorker(t)
			for _, m := range before {
				p.ask(m)
			}
			if got := p.ask(sdkproto.Bye{}); got != (sdkproto.Bye{}) {
				t.Errorf("got %v, want Bye", got)
			}
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("worker: got %v, want a good end", err)
			}
		})
	}
}

func TestAnEndWithoutByeIsAnError(t *testing.T) {
	for name, last := range map[string]string{"between frames": "", "inside a frame": "\x00\x00"} {
		t.Run(name, func(t *testing.T) {
			p := startWorker(t)
			p.ask(sdkproto.Hello{})
			if _, err := p.in.WriteString(last); err != nil {
				t.Fatal(err)
			}
			p.in.Close()
			if err := p.cmd.Wait(); err == nil || p.cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("worker: got %v, want exit status 1", p.cmd.ProcessState)
			}
		})
	}
}

func TestAParentOfAnotherVersionIsTold(t *testing.T) {
	p := startWorker(t)
	hello := "\x00\x00\x00\x13\x01\x00\x00\x00\x01yunduo-sdk\x00\x00\x00\x63"
	if _, err := p.in.WriteString(hello); err != nil {
		t.Fatal(err)
	}
	if _, m, err := p.r.Read(); err != nil || m != (sdkproto.Hello{}) {
		t.Errorf("got %v and %v, want the worker's own Hello", m, err)
	}
	if err := p.cmd.Wait(); err == nil {
		t.Error("the worker went on")
	}
}

func TestCheckTellsWhatALibraryIs(t *testing.T) {
	check := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), built.Worker(t), args...).CombinedOutput()
		return string(out), err
	}
	if out, err := check("check", built.Library(t), runtime.GOARCH); err != nil || !strings.Contains(out, "all 17 functions") {
		t.Errorf("a good library: got %q and %v", out, err)
	}
	if out, err := check("check", built.Worker(t), runtime.GOARCH); err == nil || !strings.Contains(out, "shared object") {
		t.Errorf("a program: got %q and %v, want an error that says so", out, err)
	}
	if out, err := check(); err == nil || !strings.Contains(out, "want a library") {
		t.Errorf("no arguments: got %q and %v, want what to give", out, err)
	}
	if out, err := check(built.Library(t)); err == nil || !strings.Contains(out, "read a request") {
		t.Errorf("started by hand: got %q and %v, want an error", out, err)
	}
}
