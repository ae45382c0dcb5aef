package main

import (
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// decide runs the filter's program, as the kernel does, on a system call.
func (f *filter) decide(t *testing.T, arch, nr uint32, args ...uint64) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.LittleEndian.PutUint32(data[numberAt:], nr)
	binary.LittleEndian.PutUint32(data[architectureAt:], arch)
	for i, arg := range args {
		binary.LittleEndian.PutUint64(data[argumentsAt+8*i:], arg)
	}
	var loaded uint32
	for pc := 0; pc < len(f.program); pc++ {
		jump := func(taken bool, in unix.SockFilter) {
			if taken {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		}
		switch in := f.program[pc]; in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			loaded = binary.LittleEndian.Uint32(data[in.K:])
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			loaded &= in.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump(loaded == in.K, in)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump(loaded >= in.K, in)
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		default:
			t.Fatalf("instruction %d: unknown code %#x", pc, in.Code)
		}
	}
	t.Fatal("the program has no result")
	return 0
}

// refusedCalls are the calls that the filter refuses with any arguments. The
// kernel refuses some of them to an unprivileged process anyway, so an attempt
// cannot tell that the filter refuses them too.
var refusedCalls = map[string][]uint32{
	"start a program":   {unix.SYS_EXECVE, unix.SYS_EXECVEAT},
	"leave the process": {unix.SYS_SETSID, unix.SYS_SETPGID},
	"signal": {
		unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL,
	},
	"trace or slow down": {
		unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE, unix.SYS_PROCESS_MRELEASE,
		unix.SYS_KCMP, unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES, unix.SYS_SETPRIORITY, unix.SYS_IOPRIO_SET, unix.SYS_PERF_EVENT_OPEN,
	},
	"mount": {
		unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_FSOPEN,
		unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR, unix.SYS_UNSHARE, unix.SYS_SETNS,
		unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_FANOTIFY_INIT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD,
	},
	"rare parts of the kernel": {
		unix.SYS_BPF, unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
		unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_PERSONALITY,
	},
	"the machine": {
		unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_REBOOT,
		unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_SYSLOG, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME,
		unix.SYS_ADJTIMEX, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_VHANGUP,
	},
}

// The filter decides by itself, whatever the kernel would do after it, and in both
// modes of the worker.
func TestFilterDecides(t *testing.T) {
	const own, other = 4711, 4712
	const thread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM | unix.CLONE_SETTLS
	eperm := refusedWith(unix.EPERM)
	for _, noSockets := range []bool{false, true} {
		f := refusals(noSockets, own)
		want := func(what string, result, nr uint32, args ...uint64) {
			t.Helper()
			if got := f.decide(t, architecture, nr, args...); got != result {
				t.Errorf("no sockets %t: %s, call %d%v: got %#x, want %#x", noSockets, what, nr, args, got, result)
			}
		}
		for what, calls := range refusedCalls {
			for _, nr := range calls {
				want(what, eperm, nr)
				want(what, eperm, nr, own, own, own, own, own, own)
			}
		}
		for _, nr := range refusedCallsHere {
			want("a call of this processor", eperm, nr)
		}
		sockets := uint32(allow)
		if noSockets {
			sockets = eperm
		}
		for _, nr := range []uint32{unix.SYS_SOCKET, unix.SYS_SOCKETPAIR} {
			want("a socket", sockets, nr, unix.AF_INET, unix.SOCK_STREAM)
		}

		want("a thread", allow, unix.SYS_CLONE, thread)
		want("a process", eperm, unix.SYS_CLONE, uint64(unix.SIGCHLD))
		want("a process that shares memory", eperm, unix.SYS_CLONE, unix.CLONE_VM|unix.CLONE_VFORK|uint64(unix.SIGCHLD))
		for _, space := range []uint64{
			unix.CLONE_NEWNS, unix.CLONE_NEWCGROUP, unix.CLONE_NEWUTS, unix.CLONE_NEWIPC, unix.CLONE_NEWUSER, unix.CLONE_NEWPID, unix.CLONE_NEWNET,
		} {
			want(fmt.Sprintf("a thread in a new namespace %#x", space), eperm, unix.SYS_CLONE, thread|space)
		}
		want("clone3", refusedWith(unix.ENOSYS), unix.SYS_CLONE3)

		all := ^uint64(0) // -1
		for _, nr := range []uint32{unix.SYS_KILL, unix.SYS_TGKILL} {
			want("a signal to itself", allow, nr, own)
			for _, pid := range []uint64{other, 0, all, 1, uint64(1<<32 - own)} {
				want("a signal to others", eperm, nr, pid)
			}
		}
		for _, nr := range []uint32{
			unix.SYS_PRLIMIT64, unix.SYS_SCHED_SETAFFINITY, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETATTR,
		} {
			want("a setting of its own", allow, nr, 0)
			want("a setting of its own", allow, nr, own)
			want("a setting of others", eperm, nr, other)
		}
		for _, command := range []uint64{unix.F_SETOWN, unix.F_SETOWN_EX, unix.F_SETSIG} {
			want("the owner of a descriptor", eperm, unix.SYS_FCNTL, 3, command)
		}
		want("flags of a descriptor", allow, unix.SYS_FCNTL, 3, unix.F_SETFL)
		for _, request := range []uint64{0x8901 /* FIOSETOWN */, unix.SIOCSPGRP, unix.TIOCSTI} {
			want("the owner of a socket, or a terminal", eperm, unix.SYS_IOCTL, 3, request)
		}
		want("bytes to read", allow, unix.SYS_IOCTL, 3, unix.TIOCINQ)
		for _, option := range []uint64{unix.PR_SET_DUMPABLE, unix.PR_SET_PDEATHSIG, unix.PR_SET_PTRACER} {
			want("a setting of confine", eperm, unix.SYS_PRCTL, option, 1)
		}
		want("the name of a thread", allow, unix.SYS_PRCTL, unix.PR_SET_NAME)
		for _, nr := range []uint32{
			unix.SYS_READ, unix.SYS_WRITE, unix.SYS_OPENAT, unix.SYS_MMAP, unix.SYS_MPROTECT, unix.SYS_FUTEX, unix.SYS_CONNECT, unix.SYS_GETRANDOM, unix.SYS_EXIT_GROUP,
		} {
			want("what a library needs", allow, nr)
		}
		if got := f.decide(t, architecture^1, unix.SYS_READ); got != kill {
			t.Errorf("a call of another architecture: got %#x, want the end of the process", got)
		}
	}
}
