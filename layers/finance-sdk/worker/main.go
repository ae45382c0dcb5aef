// Go's runtime would keep files of the cgroup open to follow its CPU limit. The
// worker uses one thread, so the limit does not matter.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command worker is the child process that WeCom's library runs in.
//
//	worker <library>                  started by the parent, shared/sdkworker
//	worker check <library> <goarch>   describes a library without loading it
//
// Requests come on descriptor 3 and answers go to descriptor 4, in the frames
// of shared/sdkproto. Standard output and error are left to the library,
// because it prints to them. The corpid and the secret come in a request, never
// as an argument or in the environment. The worker holds no AWS credential and
// no private key. The worker ends when its requests end.
//
// Before the worker loads the library, it closes foreign descriptors and limits
// itself: see closeInherited, confine and refuseCalls. The worker of the web
// console, web/src/decoder-thread.ts, is unrelated.
package main

import (
	"crypto/md5" // the vendor publishes no other digest
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"runtime"
	"strings"
	"syscall"

	"github.com/yunduo-scrm/archive/shared/financesdk"
)

const (
	requestsFD = 3
	answersFD  = 4
)

// The vendor advises one thread for each handle. LockOSThread in init pins the
// main goroutine to the first thread of the process, which has the largest
// stack.
func init() { runtime.LockOSThread() }

func main() {
	log.SetFlags(0)
	log.SetPrefix("worker: ")
	if err := run(os.Args[1:]); err != nil {
		log.Print(err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1:
		if err := closeInherited(); err != nil {
			return err
		}
		// The pipes must end with this process, so no program may inherit them.
		syscall.CloseOnExec(requestsFD)
		syscall.CloseOnExec(answersFD)
		w := newWorker(args[0], os.NewFile(requestsFD, "requests"), os.NewFile(answersFD, "answers"))
		return w.serve()
	case len(args) == 3 && args[0] == "check":
		return check(args[1], args[2])
	}
	return fmt.Errorf("got %d arguments, want a library, or check, a library and an architecture", len(args))
}

// check prints what a person compares with the README beside this folder.
func check(library, goarch string) error {
	info, err := financesdk.Check(library, goarch)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(library)
	if err != nil {
		return err
	}
	fmt.Printf("file     %s\nmachine  %v\nsymbols  all 17 functions\nneeds    %s\nmd5      %x\nsha256   %x\n",
		library, info.Machine, strings.Join(info.Needed, " "), md5.Sum(b), sha256.Sum256(b))
	return nil
}
