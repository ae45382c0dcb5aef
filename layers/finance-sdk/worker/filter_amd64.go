//go:build linux

package main

import "golang.org/x/sys/unix"

const architecture = unix.AUDIT_ARCH_X86_64

// neverCallsHere exist on this processor only.
var neverCallsHere = []uint32{
	unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT, unix.SYS_USELIB, unix.SYS_USTAT, unix.SYS_CREATE_MODULE,
}
