//go:build linux

package main

import "golang.org/x/sys/unix"

const architecture = unix.AUDIT_ARCH_AARCH64

// neverCallsHere is empty: this processor has no system calls of its own to
// refuse. fork and vfork are uses of clone here.
var neverCallsHere []uint32
