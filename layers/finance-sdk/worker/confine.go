package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// confine makes sure that the library harms only this process, and that its
// memory is not seen elsewhere: no core file, no reading of /proc/<pid>/mem by
// a process of the same user (a worker that serves another corp), and at most
// limit bytes beyond what the process has now, if limit is not 0.
//
// The limit is RLIMIT_DATA. RLIMIT_AS would count the address space that Go
// and glibc's allocator reserve and never touch: gigabytes. RLIMIT_DATA counts
// private writable memory only, mapped or by brk (Linux 4.7 and later), so what
// is left over the present use is what the library can really take.
func confine(limit uint64) error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0); errno != 0 {
		return fmt.Errorf("hide the memory: %w", errno)
	}
	if limit == 0 {
		return nil
	}
	now, err := dataSize()
	if err != nil {
		return fmt.Errorf("measure the memory: %w", err)
	}
	bound := syscall.Rlimit{Cur: now + limit, Max: now + limit}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &bound); err != nil {
		return fmt.Errorf("limit the memory: %w", err)
	}
	return nil
}

// dataSize is what RLIMIT_DATA counts, in bytes.
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
