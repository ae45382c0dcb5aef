package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/shared/sdkproto"
)

const (
	nobody = 65534
	// tried is the number that the stand-in adds to the errno of an attempt.
	tried = 20000
)

// startHostile starts a worker as an unprivileged user, as in Lambda, and in an
// empty folder of its own, as its parent does. It then sends Hello and Init. The
// worker's stand-in makes the attempts of a hostile library.
func startHostile(t *testing.T, noSockets bool) *peer {
	t.Helper()
	folder, err := os.MkdirTemp("", "hostile-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	var user *syscall.Credential
	worker, library := built.Worker(t), built.Library(t)
	if os.Getuid() == 0 {
		user = &syscall.Credential{Uid: nobody, Gid: nobody}
		worker, library = copied(t, worker), copied(t, library)
		if err := os.Chown(folder, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	p := startPeer(t, worker, library, func(cmd *exec.Cmd) {
		cmd.Dir = folder
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	})
	if got, ok := p.ask(sdkproto.Hello{NoSockets: noSockets}).(sdkproto.Hello); !ok {
		t.Fatalf("Hello: got %v", got)
	}
	if got := p.ask(initialise); got != (sdkproto.Done{}) {
		t.Fatalf("Init: got %v", got)
	}
	return p
}

// copied makes a copy that every user may run or load.
func copied(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hostile-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, filepath.Base(path))
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

// try makes the stand-in attempt what the name says. The result is 0 after a
// success.
func (p *peer) try(name string) syscall.Errno {
	p.t.Helper()
	key := standin.NewKeyText(rand.Reader)
	message := standin.Seal(key, []byte("##standin:try:"+name+"##"), [12]byte{})
	failed, ok := p.ask(sdkproto.Decrypt{KeyText: []byte(key), Message: []byte(message)}).(sdkproto.Failed)
	if !ok || failed.Code < tried {
		p.t.Fatalf("%s: got %v, want the result of an attempt", name, failed)
	}
	return syscall.Errno(failed.Code - tried)
}

// The kernel refuses to start a program, to create a process, to signal, trace,
// read or slow down another process, to mount, and to use its rarer parts.
func TestFilterRefusesAHostileLibrary(t *testing.T) {
	for mode, noSockets := range map[string]bool{"pull and media": false, "decode": true} {
		t.Run(mode, func(t *testing.T) { checkHostile(t, startHostile(t, noSockets)) })
	}
}

func checkHostile(t *testing.T, p *peer) {
	for _, name := range []string{
		"execve", "execveat", "fork", "vfork", "clone",
		"kill parent", "kill group", "kill all", "tkill parent", "tgkill parent", "sigqueue parent", "pidfd parent", "fcntl owner",
		"ptrace parent", "ptrace me", "read parent", "read self", "write self", "limit parent", "nice parent", "affinity of parent",
		"dumpable", "outlive", "session", "process group",
		"mount", "umount", "chroot", "unshare", "setns", "bpf", "keyctl", "add_key", "io_uring", "perf", "userfaultfd",
	} {
		if got := p.try(name); got != syscall.EPERM {
			t.Errorf("%s: got errno %d (%v), want EPERM", name, got, got)
		}
	}
	if runtime.GOARCH == "amd64" {
		if got := p.try("x32"); got != syscall.EPERM {
			t.Errorf("x32: got errno %d (%v), want EPERM", got, got)
		}
	}
	// After ENOSYS libc calls clone, whose flags the filter can read.
	if got := p.try("clone3"); got != syscall.ENOSYS {
		t.Errorf("clone3: got errno %d (%v), want ENOSYS", got, got)
	}
	if got := p.try("environ of parent"); got == 0 && os.Getuid() == 0 {
		t.Error("environ of parent: got success, want an error")
	}
}

// Another process of the user cannot read the worker's memory: in /proc, the files of
// a non-dumpable process belong to root.
func TestWorkerIsNonDumpable(t *testing.T) {
	p := startHostile(t, false)
	info, err := os.Stat(fmt.Sprintf("/proc/%d/environ", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
		t.Errorf("owner of the worker's files in /proc: got user %d, want root", owner)
	}
}

// The library and Go's runtime need these calls.
func TestFilterAllowsWhatALibraryNeeds(t *testing.T) {
	p := startHostile(t, false)
	for _, name := range []string{"thread", "kill self", "tgkill self", "socket", "socketpair", "executable memory", "small file", "own folder"} {
		if name == "own folder" {
			if err := os.Remove(filepath.Join(p.cmd.Dir, "small")); err != nil {
				t.Error(err)
			}
		}
		if got := p.try(name); got != 0 {
			t.Errorf("%s: got errno %d (%v), want success", name, got, got)
		}
	}
}

func TestLimitsOfFilesAndDescriptors(t *testing.T) {
	for mode, noSockets := range map[string]bool{"pull and media": false, "decode": true} {
		t.Run(mode, func(t *testing.T) { checkLimits(t, startHostile(t, noSockets)) })
	}
}

func checkLimits(t *testing.T, p *peer) {
	for name, want := range map[string]syscall.Errno{"large file": syscall.EFBIG, "many descriptors": syscall.EMFILE, "descriptors": 0} {
		if got := p.try(name); got != want {
			t.Errorf("%s: got errno %d (%v), want %v", name, got, got, want)
		}
	}
	if got := p.try("thread"); got != 0 {
		t.Errorf("thread after the attempts: got errno %d (%v), want success", got, got)
	}
}

func TestFilterRefusesSocketsOnRequest(t *testing.T) {
	p := startHostile(t, true)
	for _, name := range []string{"socket", "socketpair"} {
		if got := p.try(name); got != syscall.EPERM {
			t.Errorf("%s: got errno %d (%v), want EPERM", name, got, got)
		}
	}
	for _, name := range []string{"thread", "executable memory"} {
		if got := p.try(name); got != 0 {
			t.Errorf("%s: got errno %d (%v), want success", name, got, got)
		}
	}
}

// Lambda starts a function with descriptors that a worker could inherit. The
// worker closes them before it loads the library.
func TestForeignDescriptorsAreClosed(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := startPeer(t, built.Worker(t), built.Library(t), func(cmd *exec.Cmd) {
		cmd.ExtraFiles = append(cmd.ExtraFiles, w)
	})
	w.Close()
	p.ask(sdkproto.Hello{})
	p.ask(initialise)
	if got := p.try("descriptors"); got != 0 {
		t.Errorf("got errno %d (%v), want no foreign descriptor", got, got)
	}
	if err := r.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	// The pipe ends when the last process has closed its writing end.
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read the pipe: got %d bytes and %v, want its end", n, err)
	}
}
