package main

import (
	"crypto/rand"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/shared/sdkproto"
)

// refusedCallsHere are further refused calls of this processor.
var refusedCallsHere = []uint32{
	unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT, unix.SYS_USELIB, unix.SYS_USTAT, unix.SYS_CREATE_MODULE,
	0x40000000 | unix.SYS_GETPID, // of the x32 interface
}

// The numbers of 32-bit system calls mean other calls, so the filter cannot
// judge them. Such a call ends the process.
func TestSystemCallOf32BitsEndsTheWorker(t *testing.T) {
	p := startHostile(t, false)
	key := standin.NewKeyText(rand.Reader)
	message := standin.Seal(key, []byte("##standin:try:int80##"), [12]byte{})
	if err := p.w.Write(9, sdkproto.Decrypt{KeyText: []byte(key), Message: []byte(message)}); err != nil {
		t.Fatal(err)
	}
	if err := p.in.Close(); err != nil { // where the call does not end the worker, this does
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
	// SIGSYS is the filter's. A kernel without 32-bit programs has no such call, and ends
	// the process by SIGSEGV. Where the call succeeds, no signal ends the worker.
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if got := status.Signal(); got != syscall.SIGSYS && got != syscall.SIGSEGV {
		t.Errorf("worker: got %v, want an end by SIGSYS, or by SIGSEGV of a kernel without 32-bit calls", p.cmd.ProcessState)
	}
}
