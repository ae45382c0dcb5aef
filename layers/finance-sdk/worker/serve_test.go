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

// These tests start the worker as a process and call it over its pipes, as its
// parent does. shared/sdkworker tests whole sessions.

func TestMain(m *testing.M) { os.Exit(built.Main(m)) }

// peer is the parent's side of a worker.
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
	return startPeer(t, built.Worker(t), built.Library(t), func(*exec.Cmd) {})
}

// startPeer starts a worker after edit has changed the command.
func startPeer(t *testing.T, worker, library string, edit func(*exec.Cmd)) *peer {
	t.Helper()
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), worker, library)
	cmd.Env = []string{}
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	cmd.WaitDelay = 5 * time.Second
	edit(cmd)
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

// wantRefused sends a request and expects a refusal. The worker must then exit
// with status 1, not by a signal.
func (p *peer) wantRefused(m sdkproto.Message) {
	p.t.Helper()
	refused, ok := p.ask(m).(sdkproto.Refused)
	if !ok || refused.Fault != sdkproto.FaultProtocol {
		p.t.Fatalf("%T: got %v, want a refusal with the fault protocol", m, refused)
	}
	if err := p.cmd.Wait(); err == nil || p.cmd.ProcessState.ExitCode() != 1 {
		p.t.Errorf("worker: got %v, want exit status 1", p.cmd.ProcessState)
	}
}

var initialise = sdkproto.Init{CorpID: "ww0123456789abcdef", Secret: "s"}

// If the worker passed the request on, the library would abort the process.
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
			t.Fatalf("Init without a corpid: got %v, want 10000", got)
		}
		p.wantRefused(decrypt)
	})
}

func TestMessagesOutOfTurnAreRefused(t *testing.T) {
	for name, m := range map[string]sdkproto.Message{
		"Init first":     initialise,
		"ChatData first": sdkproto.ChatData{},
		"answer first":   sdkproto.Done{},
	} {
		t.Run(name, func(t *testing.T) { startWorker(t).wantRefused(m) })
	}
	for name, m := range map[string]sdkproto.Message{
		"second Hello": sdkproto.Hello{},
		"second Init":  initialise,
		"answer":       sdkproto.Result{},
	} {
		t.Run(name, func(t *testing.T) {
			p := startWorker(t)
			p.ask(sdkproto.Hello{})
			p.ask(initialise)
			p.wantRefused(m)
		})
	}
}

func TestWorkerExitsWithStatus0AfterBye(t *testing.T) {
	for name, before := range map[string][]sdkproto.Message{
		"before Hello": nil,
		"after Hello":  {sdkproto.Hello{}},
		"after Init":   {sdkproto.Hello{}, initialise},
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
				t.Errorf("worker: got %v, want exit status 0", err)
			}
		})
	}
}

func TestWorkerExitsWithStatus1WithoutBye(t *testing.T) {
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

func TestWorkerSendsItsVersionToAParentOfAnother(t *testing.T) {
	p := startWorker(t)
	hello := "\x00\x00\x00\x13\x01\x00\x00\x00\x01yunduo-sdk\x00\x00\x00\x63"
	if _, err := p.in.WriteString(hello); err != nil {
		t.Fatal(err)
	}
	if _, m, err := p.r.Read(); err != nil || m != (sdkproto.Hello{}) {
		t.Errorf("got %v and %v, want the worker's own Hello", m, err)
	}
	if err := p.cmd.Wait(); err == nil {
		t.Error("worker: got exit status 0, want an error")
	}
}

func TestCheckDescribesALibrary(t *testing.T) {
	check := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), built.Worker(t), args...).CombinedOutput()
		return string(out), err
	}
	if out, err := check("check", built.Library(t), runtime.GOARCH); err != nil || !strings.Contains(out, "all 17 functions") {
		t.Errorf("complete library: got %q and %v, want a description", out, err)
	}
	if out, err := check("check", built.Worker(t), runtime.GOARCH); err == nil || !strings.Contains(out, "shared object") {
		t.Errorf("program instead of a library: got %q and %v, want an error with the reason", out, err)
	}
	if out, err := check(); err == nil || !strings.Contains(out, "want a library") {
		t.Errorf("no arguments: got %q and %v, want an error with the arguments", out, err)
	}
	if out, err := check(built.Library(t)); err == nil || !strings.Contains(out, "request not read") {
		t.Errorf("start without pipes: got %q and %v, want an error", out, err)
	}
}
