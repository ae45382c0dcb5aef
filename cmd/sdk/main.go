// Command sdk checks WeCom's library on an engineer's machine and installs it
// into the layer.
//
//	sdk install   checks a library and copies it into the layer's folder
//	sdk check     loads a library in the real worker, without a network, and
//	              reports its behaviour
//
// Both accept the vendor's .tgz, its unpacked folder, or the .so alone. The
// Makefile's targets layer and sdk-check run this command.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/yunduo-scrm/archive/local/flags"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	flags.Exit("", err)
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return flags.Mistake(errors.New("want install or check"))
	}
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.SetOutput(out)
	worker := f.String("worker", "", "`path` of the worker, built for this machine")
	arch := f.String("arch", "x86_64", "processor: x86_64 or arm64")
	into := f.String("into", "layers/finance-sdk/lib", "`folder` of libraries, with one folder for each processor")
	consent := f.String("consent", "", "`SHA-256` of a library that may be installed although it is no known release")
	switch args[0] {
	case "install", "check":
		if err := flags.Parse(f, args[1:]); err != nil {
			return err
		}
		if f.NArg() != 1 || f.Arg(0) == "" {
			return flags.Mistake(errors.New("library missing: run make layer or make sdk-check with SDK=<the vendor's .tgz, its folder, or the .so>"))
		}
		p, err := readPackage(f.Arg(0))
		if err != nil {
			return err
		}
		if args[0] == "install" {
			return install(ctx, out, p, *worker, *arch, *into, *consent)
		}
		return check(ctx, out, p, *worker)
	case probeCommand:
		if len(args) != 3 {
			return errors.New("probe: want a worker and a library")
		}
		return probe(ctx, out, args[1], args[2])
	}
	return flags.Mistake(fmt.Errorf("unknown command %q: want install or check", args[0]))
}
