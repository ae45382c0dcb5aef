//go:build linux

package sdkworker

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// HideFromChildren hides this process from the workers that it will start. A
// function's main calls it once, before it starts a pool.
//
// Each descriptor beyond standard error is marked close-on-exec, so that no
// worker inherits it. Go marks the descriptors that it opens itself, but this
// process was started with others: in Lambda the function's log can be one.
//
// The process then becomes non-dumpable: a process of the same user, such as a
// worker, cannot read /proc/<pid>/environ or /proc/<pid>/mem of it, where AWS
// credentials and private keys are. A process with root's capabilities still
// can.
func HideFromChildren() error {
	// First the descriptors: a non-dumpable process may not list its own.
	if err := markDescriptors(); err != nil {
		return fmt.Errorf("descriptors not hidden: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("memory not hidden: %w", err)
	}
	return nil
}

// markDescriptors reads /proc, because the kernel of Lambda may be older than
// the flag of close_range that does the same (Linux 5.11).
func markDescriptors() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return err
		}
		if fd > 2 {
			syscall.CloseOnExec(fd) // no effect on a descriptor that was closed meanwhile
		}
	}
	return nil
}
