package sdkworker

import (
	"fmt"
	"syscall"
)

// HideFromChildren makes this process non-dumpable: a process of the same user,
// such as a worker, can then not read /proc/<pid>/environ or mem of it, where
// AWS credentials and private keys are. A function's main calls it once,
// before it starts a pool. A process with root's capabilities is not held off.
func HideFromChildren() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0); errno != 0 {
		return fmt.Errorf("make the process non-dumpable: %w", errno)
	}
	return nil
}
