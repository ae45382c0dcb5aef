// Command torture runs a part of the fault suite for as long as wanted, and goes on
// where an interrupted run stopped:
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
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	seeds, seed uint64
	runs        int
	each        time.Duration
	root        string
	out         io.Writer
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o := options{root: ".", out: out}
	flags := flag.NewFlagSet("torture", flag.ContinueOnError)
	flags.Uint64Var(&o.seeds, "seeds", 10_000, "seeds of the simulation")
	flags.Uint64Var(&o.seed, "seed", 0, "a seed to play alone")
	flags.IntVar(&o.runs, "runs", 20, "runs of the local cloud")
	flags.DurationVar(&o.each, "each", 3*time.Minute, "time for each fuzz target")
	if err := flags.Parse(args); err != nil {
		return err
	}
	parts := map[string]func(context.Context, options) error{
		"simulation": simulate, "mutants": hunt, "fuzz": fuzz, "cloud": cloud, "contention": contend,
	}
	part, ok := parts[flags.Arg(0)]
	if !ok || flags.NArg() != 1 {
		return errors.New("want one part: simulation, mutants, fuzz, cloud or contention")
	}
	if err := os.MkdirAll(o.state(), 0o755); err != nil {
		return err
	}
	return part(ctx, o)
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
