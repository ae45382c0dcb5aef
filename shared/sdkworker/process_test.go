package sdkworker_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/sdkproto"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// deafListener returns the address of a listener that never reads. The kernel
// accepts the connections.
func deafListener(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// waitGone waits until a worker of this process has exited and been reaped.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	waitFor(t, fmt.Sprintf("end of process %d", pid), func() bool {
		return syscall.Kill(pid, 0) == syscall.ESRCH
	})
}

func waitFor(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !reached(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout: got no %s", what)
		}
	}
}

func residentMemory(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}

func TestUnusableLibraryOrWorkerReturnsItsFault(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, worker, library string
		why                   archive.LibraryFault
		note                  string
	}{
		{"no library", built.Worker(t), "/nowhere/lib.so", archive.LibraryMissing, "/nowhere/lib.so"},
		{"library for another processor", built.Worker(t), foreign(t), archive.LibraryMachine, "is for EM_"},
		{"text file as library", built.Worker(t), text, archive.LibraryMachine, "no shared object"},
		{"program as library", built.Worker(t), built.Worker(t), archive.LibraryMachine, "shared object"},
		{"library without one function", built.Worker(t), lacking(t), archive.LibrarySymbol, "lacks IsMediaDataFinish"},
		{"no worker", "/nowhere/worker", built.Library(t), archive.LibraryWorker, "/nowhere/worker"},
		{"text file as worker", text, built.Library(t), archive.LibraryWorker, "text.so"},
		{"other program as worker", "/bin/false", built.Library(t), archive.LibraryWorker, "exit status 1"},
		{"worker of another version", self, "bad worker: version", archive.LibraryProtocol, fmt.Sprint("version ", sdkproto.Version+1)},
		{"worker without Hello", self, "bad worker: no hello", archive.LibraryProtocol, ""},
		{"worker that sends no frame", self, "bad worker: nonsense", archive.LibraryProtocol, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPool(t, func(c *sdkworker.Config) { c.Worker, c.Library = tt.worker, tt.library })
			_, err := p.Session(corpID, identity()).ChatData(t.Context(), 0, 10)
			var library *archive.LibraryError
			if !errors.As(err, &library) || library.Why != tt.why || !strings.Contains(library.Note, tt.note) {
				t.Errorf("got %v, want a LibraryError: %s with the note %q", err, tt.why, tt.note)
			}
			if n := p.Processes(); n != 0 {
				t.Errorf("processes: got %d, want none", n)
			}
		})
	}
}

func TestBrokenAnswersEndTheProcess(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for part, how := range map[string]archive.CrashKind{
		"wrong id":       archive.Nonsense,
		"wrong kind":     archive.Nonsense,
		"huge frame":     archive.Nonsense,
		"refuses":        archive.Nonsense,
		"closes":         archive.Nonsense,
		"half an answer": archive.Crashed,
	} {
		t.Run(part, func(t *testing.T) {
			s := newSession(t, func(c *sdkworker.Config) { c.Worker, c.Library = self, "bad worker: "+part })
			for range 2 { // each call starts a new process
				_, err := s.ChatData(t.Context(), 0, 10)
				wantCrash(t, err, "GetChatData", how)
				if s.PID() != 0 {
					t.Error("the process was kept")
				}
			}
		})
	}
}

// An answer with fewer outcomes than records would give a record the text of
// another one.
func TestBatchWithAMissingOutcomeEndsTheProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(t, func(c *sdkworker.Config) { c.Worker, c.Library = self, "bad worker: one outcome" })
	_, err = s.DecryptAll(t.Context(), make([]decode.Sealed, 2))
	wantCrash(t, err, "DecryptData", archive.Nonsense)
	if s.PID() != 0 {
		t.Error("the process was kept")
	}
}

// The library's codes of a batch are those of its records. A code for the batch as a
// whole breaks the protocol.
func TestBatchWithOneCodeEndsTheProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(t, func(c *sdkworker.Config) { c.Worker, c.Library = self, "bad worker: one code" })
	_, err = s.DecryptAll(t.Context(), make([]decode.Sealed, 2))
	wantCrash(t, err, "DecryptData", archive.Nonsense)
	if s.PID() != 0 {
		t.Error("the process was kept")
	}
}

// badWorker breaks the protocol in the way that part names: in its answer to
// Hello, to GetChatData, or to a batch of records. Its other answers are valid.
func badWorker(part string) int {
	in, out := os.NewFile(3, "requests"), os.NewFile(4, "answers")
	r, w := sdkproto.NewReader(in), sdkproto.NewWriter(out)
	frame := func(id uint32, m sdkproto.Message) []byte {
		var b bytes.Buffer
		_ = sdkproto.NewWriter(&b).Write(id, m)
		return b.Bytes()
	}
	for {
		id, request, err := r.Read()
		if err != nil {
			return 0
		}
		switch request.(type) {
		case sdkproto.Hello:
			hello := frame(id, sdkproto.Hello{})
			switch part {
			case "version":
				hello[bytes.Index(hello, []byte("sdk"))+len("sdk")+3] = sdkproto.Version + 1
				_, _ = out.Write(hello)
			case "no hello":
				_ = w.Write(id, sdkproto.Done{})
			case "hostile Hello":
				_ = w.Write(id, sdkproto.Refused{Fault: "forged", Note: string(hostileRefusal)})
				return 1
			case "nonsense":
				fmt.Fprintln(out, "HTTP/1.1 400 Bad Request")
			default:
				_, _ = out.Write(hello)
			}
		case sdkproto.Init:
			_ = w.Write(id, sdkproto.Done{})
		case sdkproto.DecryptAll:
			if part == "one code" {
				_ = w.Write(id, sdkproto.Failed{Code: 10006})
				continue
			}
			_ = w.Write(id, sdkproto.Results{Records: make([]sdkproto.Outcome, 1)})
		case sdkproto.ChatData:
			switch part {
			case "wrong id":
				_ = w.Write(id+1, sdkproto.Result{})
			case "wrong kind":
				_ = w.Write(id, sdkproto.Done{})
			case "huge frame":
				_, _ = out.Write([]byte{0xff, 0xff, 0xff, 0xff, 17, 0, 0, 0, 0})
			case "refuses":
				_ = w.Write(id, sdkproto.Refused{Fault: sdkproto.FaultLibrary, Note: "x"})
				return 1
			case "hostile refusal":
				_ = w.Write(id, sdkproto.Refused{Fault: "forged\n", Note: string(hostileRefusal)})
				return 1
			case "closes":
				out.Close()
			case "half an answer":
				_, _ = out.Write(frame(id, sdkproto.Result{Data: []byte("half")})[:10])
				return 3
			}
		}
	}
}

func TestArgumentsAndEnvironmentHoldNoSecret(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "credential-of-the-function")
	}
	_, url := startWeCom(t)
	s := newSession(t, func(c *sdkworker.Config) {
		c.Library, c.Proxy, c.ProxyPassword = strict(t), url, secret.New("user:proxy-password")
	})
	decrypt(t, s, "x")
	pid := s.PID()
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	if len(environ) != 0 {
		t.Errorf("environment: got %d bytes, want none", len(environ))
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		t.Fatal(err)
	}
	if want := built.Worker(t) + "\x00" + strict(t) + "\x00"; string(cmdline) != want {
		t.Errorf("arguments: got %q, want %q", cmdline, want)
	}
	var status []byte
	if status, err = os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(status, []byte("Max core file size        0                    0")) {
		t.Error("core files: got permitted, want a limit of 0")
	}
	// The worker's descriptors are its pipes and those of Go's runtime.
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name()))
		switch {
		case target == "", target == "/dev/null", strings.HasPrefix(target, "/sys/"):
		case strings.HasPrefix(target, "pipe:"), strings.HasPrefix(target, "anon_inode:"):
		default:
			t.Errorf("descriptor %s: got %s, want only pipes", e.Name(), target)
		}
	}
}

// The test kills a parent while its worker hangs inside the library. A hanging
// worker does not read, so it cannot notice the end of its requests.
func TestWorkerDiesWithItsParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), self, "doomed parent", built.Worker(t), built.Library(t))
	parent.WaitDelay = 5 * time.Second
	tmp := t.TempDir()
	parent.Env = append(os.Environ(), "TMPDIR="+tmp)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(bufio.NewReader(out), &pid); err != nil {
		t.Fatalf("read the worker's pid: %v", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	// A zombie has ended too: the process that inherits it may reap it late.
	waitFor(t, "end of the worker", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	})
	// The killed parent leaves the worker's folder behind. The next one removes it,
	// and no folder of a worker that lives.
	t.Setenv("TMPDIR", tmp)
	left, err := filepath.Glob(filepath.Join(tmp, "finance-sdk-*"))
	if err != nil || len(left) != 1 {
		t.Fatalf("after the kill: got folders %v and %v, want that of the worker", left, err)
	}
	if err := os.WriteFile(filepath.Join(left[0], "written"), []byte("by the library"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSession(t, nil)
	wantNoFolder(t, tmp)
	decrypt(t, s, "x")
	newPool(t, nil)
	if live, err := filepath.Glob(filepath.Join(tmp, "finance-sdk-*")); err != nil || len(live) != 1 {
		t.Errorf("beside another pool: got folders %v and %v, want that of the worker", live, err)
	}
	decrypt(t, s, "x")
}

func doomedParent(worker, library string) int {
	s := sdkworker.NewPool(sdkworker.Config{Worker: worker, Library: library}).Session(corpID, identity())
	key, message := sealed("x")
	if _, err := s.Decrypt(context.Background(), key, message); err != nil {
		return 1
	}
	fmt.Println(s.PID())
	key, message = sealed("##standin:hang##")
	_, _ = s.Decrypt(context.Background(), key, message)
	return 0
}

func TestHideFromChildrenMakesTheProcessNonDumpable(t *testing.T) {
	dumpable := func() uintptr {
		v, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_GET_DUMPABLE, 0, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		return v
	}
	before := dumpable()
	t.Cleanup(func() { syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, before, 0) })
	if err := sdkworker.HideFromChildren(); err != nil {
		t.Fatal(err)
	}
	if got := dumpable(); got != 0 {
		t.Errorf("dumpable: got %d, want 0", got)
	}
	decrypt(t, newSession(t, nil), "a non-dumpable parent can start workers")
}
