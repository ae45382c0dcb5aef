// Command worker is the process that WeCom's library runs in.
//
//	worker <library>                  started by shared/sdkworker
//	worker check <library> <goarch>   looks at a library without loading it
//
// Requests come on descriptor 3 and answers go to descriptor 4, in the frames
// of shared/sdkproto. Standard output and error belong to the library, which
// prints. Whom to speak for comes in the first request, never as an argument
// or in the environment. The worker holds no AWS credential and no private
// key, and ends when its requests do.
package main

import (
	"fmt"
	"log"
	"os"
	"runtime"

	"github.com/yunduo-scrm/archive/shared/financesdk"
)

const (
	requestsFD = 3
	answersFD  = 4
)

// The vendor advises one thread per handle. In init, so that it is the
// process's first thread, which has the largest stack.
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
		w := newWorker(args[0], os.NewFile(requestsFD, "requests"), os.NewFile(answersFD, "answers"))
		return w.serve()
	case len(args) == 3 && args[0] == "check":
		info, err := financesdk.Check(args[1], args[2])
		if err != nil {
			return err
		}
		fmt.Printf("%s: %v, all functions there, needs %v\n", args[1], info.Machine, info.Needed)
		return nil
	}
	return fmt.Errorf("want a library, or check, a library and an architecture; got %d arguments", len(args))
}
