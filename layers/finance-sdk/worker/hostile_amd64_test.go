package main

import (
	"crypto/rand"
	"syscall"
	"testing"

	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/shared/sdkproto"
)

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
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGSYS {
		t.Errorf("worker: got %v, want an end by SIGSYS", p.cmd.ProcessState)
	}
}
