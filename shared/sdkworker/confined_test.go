package sdkworker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
)

// These tests are about the parent's part of the limits. The tests of the
// worker's part are in layers/finance-sdk/worker.

// try makes the stand-in attempt what a hostile library would attempt. The
// result is 0 after a success.
func try(t *testing.T, s *sdkworker.Session, attempt string) syscall.Errno {
	t.Helper()
	key, message := sealed("##standin:try:" + attempt + "##")
	_, err := s.Decrypt(t.Context(), key, message)
	var sdk *archive.SDKError
	if !errors.As(err, &sdk) || sdk.Code < 20000 {
		t.Fatalf("%s: got %v, want the result of an attempt", attempt, err)
	}
	return syscall.Errno(sdk.Code - 20000)
}

// inherited opens a descriptor without the mark close-on-exec. Lambda starts a
// function with such descriptors.
func inherited(t *testing.T) int {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	defer w.Close()
	fd, err := syscall.Dup(int(w.Fd())) // the copy lacks the mark
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	return fd
}

func TestLibraryHasNoForeignDescriptor(t *testing.T) {
	fd := inherited(t)
	pipe, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(t, nil)
	if got := try(t, s, "descriptors"); got != 0 {
		t.Errorf("got errno %d (%v), want no foreign descriptor", got, got)
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", s.PID(), e.Name()))
		if target == pipe || strings.HasPrefix(target, "/") && target != "/dev/null" {
			t.Errorf("descriptor %s: got %s, want only the worker's own", e.Name(), target)
		}
	}
}

func TestHideFromChildrenMarksDescriptors(t *testing.T) {
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(dumpable), 0, 0, 0) })
	fd := inherited(t)
	if err := sdkworker.HideFromChildren(); err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags of descriptor %d: got %d and %v, want close-on-exec", fd, flags, err)
	}
	if flags, err := unix.FcntlInt(2, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
		t.Errorf("flags of standard error: got %d and %v, want no mark", flags, err)
	}
}

// A worker has its own empty folder. The parent removes it after the worker.
func TestWorkingFolderIsRemovedWithTheWorker(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for _, end := range []string{"Close", "crash"} {
		t.Run(end, func(t *testing.T) {
			p := newPool(t, nil)
			s := p.Session(corpID, identity())
			if got := try(t, s, "own folder"); got != 0 {
				t.Errorf("own folder: got errno %d (%v), want it empty, and HOME and TMPDIR", got, got)
			}
			if got := try(t, s, "small file"); got != 0 {
				t.Errorf("small file: got errno %d (%v), want success", got, got)
			}
			folder, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", s.PID()))
			if err != nil || filepath.Dir(folder) != tmp {
				t.Fatalf("working folder: got %s and %v, want one below %s", folder, err, tmp)
			}
			if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("working folder: got %v and %v, want mode 0700", info, err)
			}
			if end == "Close" {
				p.Close()
			} else {
				key, message := sealed("##standin:crash##")
				_, err := s.Decrypt(t.Context(), key, message)
				wantCrash(t, err, "DecryptData", archive.Crashed)
			}
			wantNoFolder(t, tmp)
		})
	}
	t.Run("failed start", func(t *testing.T) {
		for _, worker := range []string{"/nowhere/worker", "/bin/false"} {
			s := newSession(t, func(c *sdkworker.Config) { c.Worker = worker })
			if _, err := s.ChatData(t.Context(), 0, 10); err == nil {
				t.Errorf("%s: got no error", worker)
			}
		}
		wantNoFolder(t, tmp)
	})
}

// Relative paths of the worker and the library begin at the parent's folder.
func TestRelativePaths(t *testing.T) {
	worker, library := built.Worker(t), built.Library(t)
	t.Chdir(filepath.Dir(library))
	relative, err := filepath.Rel(filepath.Dir(library), worker)
	if err != nil {
		t.Fatal(err)
	}
	decrypt(t, newSession(t, func(c *sdkworker.Config) { c.Worker, c.Library = relative, filepath.Base(library) }), "x")
}

func wantNoFolder(t *testing.T, tmp string) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(tmp, "finance-sdk-*")); err != nil || len(left) > 0 {
		t.Errorf("folders: got %v and %v, want all removed", left, err)
	}
}

func TestNoSockets(t *testing.T) {
	for noSockets, want := range map[bool]syscall.Errno{true: syscall.EPERM, false: 0} {
		s := newSession(t, func(c *sdkworker.Config) { c.NoSockets = noSockets })
		if got := try(t, s, "socket"); got != want {
			t.Errorf("NoSockets %t: got errno %d (%v), want %d", noSockets, got, got, want)
		}
		decrypt(t, s, "decrypting works")
	}
}

// The library shares the worker's process, so it can write the worker's answers.
// A fault of no list, and a long or unprintable note, must not reach a log.
func TestWordsOfTheWorkerAreShortAndPrintable(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"hostile Hello", "hostile refusal"} {
		t.Run(part, func(t *testing.T) {
			s := newSession(t, func(c *sdkworker.Config) { c.Worker, c.Library = self, "bad worker: "+part })
			_, err := s.ChatData(t.Context(), 0, 10)
			var crash *archive.CrashError
			var library *archive.LibraryError
			var note string
			switch {
			case errors.As(err, &crash):
				note = crash.Note
			case errors.As(err, &library):
				note = library.Note
			default:
				t.Fatalf("got %v, want a CrashError or LibraryError", err)
			}
			if want := strings.Repeat("?x", 50); !strings.HasSuffix(note, want) || len(note) > len("unknown fault: ")+len(want) {
				t.Errorf("note: got %.200q, want at most a fault and %q", note, want)
			}
			if strings.Contains(err.Error(), "forged") {
				t.Errorf("got %q, want a fault of the list", err)
			}
		})
	}
}

// hostileRefusal has a line break, a control character or a byte outside ASCII at
// every second place.
var hostileRefusal = []byte(strings.Repeat("\nx\x00x\xffx\x1bx\x7fx", 1000))

func TestWorksOffline(t *testing.T) {
	b, err := os.ReadFile(built.Library(t))
	if err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(t.TempDir(), standin.Name)
	write := func(path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, want bool) {
		t.Helper()
		if got := sdkworker.WorksOffline(library); got != want {
			t.Errorf("%s: got %t, want %t", what, got, want)
		}
	}
	want("no library", false)
	write(library, b)
	want("no record", false)
	if err := sdkworker.RecordOffline(library); err != nil {
		t.Fatal(err)
	}
	want("record of this library", true)
	write(library, bytes.Replace(b, []byte("YDSTANDIN-01"), []byte("YDSTANDIN-02"), 1))
	want("record of another library", false)
	write(library, b)
	write(sdkworker.OfflineRecord(library), nil)
	want("empty record", false)
	if err := sdkworker.RecordOffline(filepath.Join(t.TempDir(), "none.so")); err == nil {
		t.Error("record of a missing library: got no error")
	}
}

// The proxy never answers Init. The caller cancels the call as soon as the
// worker has its folder.
func TestCancelledStartLeavesNoFolder(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithCancel(t.Context())
	s := newSession(t, func(c *sdkworker.Config) { c.Proxy, c.Library = "http://"+deafListener(t), strict(t) })
	defer cancel()
	go func() {
		for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
			if made, _ := filepath.Glob(filepath.Join(tmp, "finance-sdk-*")); len(made) > 0 {
				cancel()
			}
		}
	}()
	if _, err := s.ChatData(ctx, 0, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	wantNoFolder(t, tmp)
}
