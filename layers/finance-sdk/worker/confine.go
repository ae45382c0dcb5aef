//go:build linux

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
	// largestFile is the largest size of a file that the library may write. The
	// library needs no files. A log or a cache of certificates would fit.
	largestFile = 8 << 20
	// mostDescriptors bounds the descriptors of the process: its own five, those
	// of Go's runtime, and the library's connections.
	mostDescriptors = 64
)

// confine limits this process before it loads the library. The process cannot
// lift the limits.
//
//   - It writes no core file, and no file above largestFile.
//   - It has at most mostDescriptors descriptors.
//   - Another process of the same user, such as a worker of another corp, cannot
//     read its memory.
//   - It takes at most memoryLimit bytes beyond its present memory; 0 means no
//     limit.
//   - It cannot make the system calls that [refuseCalls] refuses.
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
			return fmt.Errorf("limit on %s not set: %w", l.what, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("memory not hidden: %w", err)
	}
	if err := limitMemory(memoryLimit); err != nil {
		return fmt.Errorf("limit on memory not set: %w", err)
	}
	if err := refuseCalls(noSockets); err != nil {
		return fmt.Errorf("filter of system calls not installed: %w", err)
	}
	return nil
}

// limitMemory sets RLIMIT_DATA. RLIMIT_AS would count the address space that
// Go and glibc's allocator reserve and never use: gigabytes. RLIMIT_DATA counts
// only private writable memory, from mmap or brk (Linux 4.7 and later).
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

// closeInherited closes every inherited descriptor except the first five:
// standard input, output and error, and the two pipes. In Lambda an inherited
// descriptor can be the function's log.
//
// Go marks each descriptor that it opens close-on-exec. A marked descriptor
// does not survive the start of a program, so every unmarked one was inherited.
func closeInherited() error {
	// closeInherited must run before confine: a non-dumpable process of an
	// unprivileged user cannot read this folder.
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("descriptors not listed: %w", err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return fmt.Errorf("descriptors not listed: %w", err)
		}
		if fd <= answersFD {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == unix.EBADF {
			continue // the descriptor of the list itself
		}
		if err != nil {
			return fmt.Errorf("descriptor %d not read: %w", fd, err)
		}
		if flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd) // Linux closes the descriptor even if it returns an error
		}
	}
	return nil
}

// ownFolder makes the working folder HOME and TMPDIR, so that files of the
// library land there. The parent made the folder for this process alone. The
// variables are set in memory, where the library's getenv finds them.
func ownFolder() error {
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("working folder unknown: %w", err)
	}
	return errors.Join(os.Setenv("HOME", dir), os.Setenv("TMPDIR", dir))
}
