//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The filter lists the refused calls, not the allowed ones. WeCom's library is
// closed, so a list of its calls would rest on guesses, and a wrong guess would
// stop the archive. Refused are the calls that start programs, create
// processes, signal, trace or slow down other processes, mount, or make
// namespaces. Also refused are calls into parts of the kernel that a library
// for HTTP and decryption never uses.
//
// A refused call returns an errno. The process continues, so that a library can
// handle the error.

// neverCalls are refused with EPERM, with any arguments.
var neverCalls = append([]uint32{
	// Other programs and processes.
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_SETSID, unix.SYS_SETPGID,
	// Signals by other ways than kill and tgkill.
	unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
	unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL,
	// Memory, priority and limits of other processes.
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE, unix.SYS_PROCESS_MRELEASE,
	unix.SYS_KCMP, unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES, unix.SYS_SETPRIORITY, unix.SYS_IOPRIO_SET,
	// File systems and namespaces.
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_FSOPEN,
	unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR, unix.SYS_UNSHARE, unix.SYS_SETNS,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_FANOTIFY_INIT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD,
	// Parts of the kernel with a long history of faults.
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_PERSONALITY,
	// The machine.
	unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_REBOOT,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_SYSLOG, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME,
	unix.SYS_ADJTIMEX, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_VHANGUP,
}, neverCallsHere...)

// socketCalls make sockets. If these calls are refused, the calls that use a
// socket need not be refused: the process inherits no socket, and cannot take
// one from another process.
var socketCalls = []uint32{unix.SYS_SOCKET, unix.SYS_SOCKETPAIR}

// newNamespaces are the flags of clone that make namespaces.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
	unix.CLONE_NEWPID | unix.CLONE_NEWNET

// oddControls are the requests of ioctl that make the kernel signal a process
// of the caller's choice, or type into a terminal.
var oddControls = []uint32{0x8901 /* FIOSETOWN */, unix.SIOCSPGRP, unix.TIOCSTI}

// refuseCalls installs the filter for every thread of the process, also for
// threads that start later. The process cannot remove the filter.
func refuseCalls(noSockets bool) error { return refusals(noSockets, uint32(os.Getpid())).install() }

// refusals is the filter of a process with the pid own.
func refusals(noSockets bool, own uint32) *filter {
	f := newFilter()
	for _, nr := range neverCalls {
		f.refuse(nr, unix.EPERM)
	}
	if noSockets {
		for _, nr := range socketCalls {
			f.refuse(nr, unix.EPERM)
		}
	}
	// clone3 has its flags in memory, where a filter cannot read them. After
	// ENOSYS libc calls clone, which has them in an argument.
	f.refuse(unix.SYS_CLONE3, unix.ENOSYS)
	const thread = unix.CLONE_VM | unix.CLONE_THREAD
	f.allowMasked(unix.SYS_CLONE, 0, thread|newNamespaces, thread)

	// Go's runtime and abort signal threads of their own process.
	f.allowOnly(unix.SYS_KILL, 0, own)
	f.allowOnly(unix.SYS_TGKILL, 0, own)
	for _, nr := range []uint32{
		unix.SYS_PRLIMIT64, unix.SYS_SCHED_SETAFFINITY, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETATTR,
	} {
		f.allowOnly(nr, 0, 0, own) // 0 means the caller
	}
	// The kernel signals the owner of a descriptor, which can be any process.
	f.refuseIf(unix.SYS_FCNTL, 1, unix.F_SETOWN, unix.F_SETOWN_EX, unix.F_SETSIG)
	f.refuseIf(unix.SYS_IOCTL, 1, oddControls...)
	// The settings of confine and of the parent must stay.
	f.refuseIf(unix.SYS_PRCTL, 0, unix.PR_SET_DUMPABLE, unix.PR_SET_PDEATHSIG, unix.PR_SET_PTRACER)
	f.result(allow)
	return f
}

// A filter is a program of the kernel's classic BPF. It decides about each
// system call by its number and its arguments.
type filter struct{ program []unix.SockFilter }

// Offsets in the kernel's struct seccomp_data.
const (
	numberAt       = 0
	architectureAt = 4
	argumentsAt    = 16 // six of 64 bits, little endian on both processors
)

const (
	allow = unix.SECCOMP_RET_ALLOW
	kill  = unix.SECCOMP_RET_KILL_PROCESS
)

func refusedWith(errno unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(errno) }

// newFilter begins a program that ends the process at a call of another
// architecture, for example a 32-bit call of x86: there the same numbers mean
// other calls.
func newFilter() *filter {
	f := new(filter)
	f.load(architectureAt)
	f.jumpIfEqual(architecture, 1, 0)
	f.result(kill)
	f.load(numberAt)
	if runtime.GOARCH == "amd64" {
		const x32 = 0x40000000 // the bit that all calls of the x32 interface have
		f.emit(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, x32, 0, 1)
		f.result(refusedWith(unix.EPERM))
	}
	return f
}

func (f *filter) emit(code uint16, k uint32, ifTrue, ifFalse uint8) {
	f.program = append(f.program, unix.SockFilter{Code: code, Jt: ifTrue, Jf: ifFalse, K: k})
}

func (f *filter) load(offset uint32) { f.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset, 0, 0) }

func (f *filter) result(r uint32) { f.emit(unix.BPF_RET|unix.BPF_K, r, 0, 0) }

// jumpIfEqual compares the loaded value with k. It skips ifTrue instructions if
// they are equal, else ifFalse instructions.
func (f *filter) jumpIfEqual(k uint32, ifTrue, ifFalse uint8) {
	f.emit(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, k, ifTrue, ifFalse)
}

// refuse makes every call with the number nr fail with errno.
func (f *filter) refuse(nr uint32, errno unix.Errno) {
	f.jumpIfEqual(nr, 0, 1)
	f.result(refusedWith(errno))
}

// allowOnly allows the call if the argument is one of values.
func (f *filter) allowOnly(nr uint32, argument int, values ...uint32) {
	f.match(nr, argument, values, allow, refusedWith(unix.EPERM))
}

// refuseIf refuses the call if the argument is one of values.
func (f *filter) refuseIf(nr uint32, argument int, values ...uint32) {
	f.match(nr, argument, values, refusedWith(unix.EPERM), allow)
}

// match compares the lower 32 bits of an argument. The kernel uses only those,
// because pids, options and commands are ints.
func (f *filter) match(nr uint32, argument int, values []uint32, equal, other uint32) {
	f.jumpIfEqual(nr, 0, uint8(1+2*len(values)+1))
	f.load(argumentsAt + 8*uint32(argument))
	for _, v := range values {
		f.jumpIfEqual(v, 0, 1)
		f.result(equal)
	}
	f.result(other)
}

// allowMasked allows the call if argument & mask == want, and else refuses it.
// The kernel ignores the upper 32 bits of clone's flags.
func (f *filter) allowMasked(nr uint32, argument int, mask, want uint32) {
	f.jumpIfEqual(nr, 0, 5)
	f.load(argumentsAt + 8*uint32(argument))
	f.emit(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, mask, 0, 0)
	f.jumpIfEqual(want, 0, 1)
	f.result(allow)
	f.result(refusedWith(unix.EPERM))
}

// install gives the program to the kernel. An unprivileged process needs
// no_new_privs for that.
func (f *filter) install() error {
	// Both calls must run on one thread, and init has locked this goroutine to its
	// thread. TSYNC gives the filter and no_new_privs to the other threads.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(f.program)), Filter: &f.program[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	if thread != 0 {
		return fmt.Errorf("thread %d refused the filter", thread)
	}
	return nil
}
