package main

import "golang.org/x/sys/unix"

const architecture = unix.AUDIT_ARCH_AARCH64

// neverCallsHere exist on this processor only: none does. fork and vfork are
// uses of clone here.
var neverCallsHere []uint32
