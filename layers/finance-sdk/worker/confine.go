package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// largestFile is the most bytes of a file that the library may write. The
	// library has no need of files; a log or a cache of certificates fits.
	largestFile = 8 << 20
	// mostDescriptors is the most descriptors that the process may have: its
	// five, those of Go's runtime, and the library's connections.
	mostDescriptors = 64
)

// confine takes from the process what the library does not need, before the
// library is loaded: its constructors already run under the limits. Nothing
// here can be undone by the process.
//
// The kernel refuses: core files; reading of this memory by another process of
// the same user, such as a worker of another corp; large files and many
// descriptors; the system calls that [refusals] names; and memory beyond what
// the process has now and memoryLimit more bytes. With a memoryLimit of 0 the
// memory has no limit.
func confine(memoryLimit uint64, noSockets bool) error {
	for _, l := range []struct {
		what     string
		resource int
		bound    uint64
	}{
		{"core files", unix.RLIMIT_CORE, 0},
		{"file sizes", unix.RLIMIT_FSIZE, largestFile},
		{"descriptors", unix.RLIMIT_NOFILE, mostDescriptors},
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.bound, Max: l.bound}); err != nil {
			return fmt.Errorf("limit on %s: %w", l.what, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hidden memory: %w", err)
	}
	if err := limitMemory(memoryLimit); err != nil {
		return fmt.Errorf("limit on memory: %w", err)
	}
	if err := refuseCalls(noSockets); err != nil {
		return fmt.Errorf("filter of system calls: %w", err)
	}
	return nil
}

// limitMemory sets RLIMIT_DATA. RLIMIT_AS would count the address space that
// Go and glibc's allocator reserve and never touch: gigabytes. RLIMIT_DATA
// counts private writable memory only, mapped or by brk (Linux 4.7 and later).
// So the library can really take what the limit leaves over the present use.
func limitMemory(limit uint64) error {
	if limit == 0 {
		return nil
	}
	now, err := dataSize()
	if err != nil {
		return err
	}
	return unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: now + limit, Max: now + limit})
}

// dataSize is the number of bytes that RLIMIT_DATA counts.
func dataSize() (uint64, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmData:"); ok {
			var kib uint64
			if _, err := fmt.Sscanf(rest, "%d kB", &kib); err != nil {
				return 0, fmt.Errorf("read VmData: %w", err)
			}
			return kib << 10, nil
		}
	}
	return 0, errors.New("no VmData in /proc/self/status")
}

// closeInherited closes every descriptor that this process inherited, except
// the first five: standard input, output and error, and the two pipes. Go marks
// each descriptor that it opens close-on-exec, and the mark never passes a
// start of a program. So an unmarked descriptor was inherited. In Lambda such a
// descriptor can be a function's log.
func closeInherited() error {
	// Before confine: a non-dumpable process may not read this folder.
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list of descriptors: %w", err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return fmt.Errorf("list of descriptors: %w", err)
		}
		if fd <= answersFD {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == unix.EBADF {
			continue // it was the one of the list itself
		}
		if err != nil {
			return fmt.Errorf("descriptor %d: %w", fd, err)
		}
		if flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd) // the descriptor is gone even after an error
		}
	}
	return nil
}

// ownFolder makes the working folder, which the parent made for this process
// alone, the place for files that the library makes by itself. The variables
// are set in memory, where the library's getenv finds them.
func ownFolder() error {
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("working folder: %w", err)
	}
	return errors.Join(os.Setenv("HOME", dir), os.Setenv("TMPDIR", dir))
}
