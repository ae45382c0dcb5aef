// Command torture runs a part of the fault suite for as long as wanted, and goes on
// where an interrupted run of the same build stopped:
//
//	torture simulation   play seeds; with -seed one alone, with its story
//	torture mutants      break the product on purpose, and show which seed finds it
//	torture fuzz         fuzz every decoder of outside bytes
//	torture cloud        seeded runs of the whole local cloud under faults
//	torture contention   two pullers of one company, and a flood of callbacks
//
// `make torture PART=…` runs it in the repository's root. docs/torture.md says what
// each part does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/yunduo-scrm/archive/local/flags"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	flags.Exit("torture: ", run(ctx, os.Args[1:], os.Stdout))
}

// options are the flags.
type options struct {
	seeds, seed uint64
	runs        int
	each        time.Duration
	again       bool // what this build has done counts as undone
	root        string
	out         io.Writer
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o := options{root: ".", out: out}
	f := flag.NewFlagSet("torture", flag.ContinueOnError)
	f.Uint64Var(&o.seeds, "seeds", 10_000, "seeds of the simulation")
	f.Uint64Var(&o.seed, "seed", 0, "a seed to play alone")
	f.IntVar(&o.runs, "runs", 20, "runs of the local cloud")
	f.DurationVar(&o.each, "each", 3*time.Minute, "time for each fuzz target")
	f.BoolVar(&o.again, "again", false, "start at the beginning, although this build was tested")
	if err := flags.Parse(f, args); err != nil {
		return err
	}
	name := f.Arg(0)
	part, ok := parts[name]
	if !ok || f.NArg() != 1 {
		return flags.Mistake(errors.New("want one part: simulation, mutants, fuzz, cloud or contention"))
	}
	var errs []error
	f.Visit(func(fl *flag.Flag) {
		if !slices.Contains(part.flags, fl.Name) {
			errs = append(errs, fmt.Errorf("%s does not read -%s", name, fl.Name))
		}
	})
	if o.each <= 0 || o.runs < 1 || o.seeds < 1 {
		errs = append(errs, errors.New("-seeds, -runs and -each must be above 0"))
	}
	if err := errors.Join(errs...); err != nil {
		return flags.Mistake(err)
	}
	if err := os.MkdirAll(o.state(), 0o755); err != nil {
		return err
	}
	return part.run(ctx, o)
}

// parts are what can be run, with the flags that each reads.
var parts = map[string]struct {
	run   func(context.Context, options) error
	flags []string
}{
	"simulation": {simulate, []string{"seeds", "seed", "again"}},
	"mutants":    {hunt, []string{"seeds"}},
	"fuzz":       {fuzz, []string{"each", "again"}},
	"cloud":      {cloud, []string{"runs", "seed", "again"}},
	"contention": {contend, nil},
}

// command makes a command that runs in a folder of the repository, and is asked to
// end when ctx does.
func command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}
