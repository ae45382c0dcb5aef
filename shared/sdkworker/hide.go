package sdkworker

import (
	"fmt"
	"syscall"
)

// HideFromChildren makes this process non-dumpable. A process of the same user,
// such as a worker, then cannot read /proc/<pid>/environ or /proc/<pid>/mem of
// this process, which hold AWS credentials and private keys. A function's main
// calls HideFromChildren once, before it starts a pool. A process with root's
// capabilities can still read them.
func HideFromChildren() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0); errno != 0 {
		return fmt.Errorf("make the process non-dumpable: %w", errno)
	}
	return nil
}
