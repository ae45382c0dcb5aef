// Command bench measures the archive on this machine and prints what it saw.
// What is compared is measured in turns within one run, and medians are
// printed, so that ratios hold on a machine that does other things too.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/flags"
	"github.com/yunduo-scrm/archive/local/standin"
)

// results are all figures of a run, as they are written with -json.
type results struct {
	Date    string             `json:"date"`
	Machine string             `json:"machine"`
	Figures map[string]float64 `json:"figures"`
}

// bench is one run.
type bench struct {
	root     string
	dir      string // for what is built during the run
	services *aws.Services
	library  string // the stand-in
	rounds   int
	samples  int
	backlog  int
	out      results
}

// note prints a figure and keeps it.
func (b *bench) note(name string, value float64, unit string) {
	b.out.Figures[name] = value
	fmt.Printf("  %-60s %10.4g %s\n", name, value, unit)
}

// part is a figure that belongs to the one before it, of that name.
func (b *bench) part(of, name string, value float64, unit string) {
	b.out.Figures[of+": "+name] = value
	fmt.Printf("    %-58s %10.4g %s\n", name, value, unit)
}

func (b *bench) heading(text string) { fmt.Printf("\n%s\n", text) }

func main() {
	if len(os.Args) == 2 && os.Args[1] == burnArgument {
		takeProcessor()
	}
	if len(os.Args) == 3 && os.Args[1] == sinkArgument {
		if err := serveSink(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "bench: sink:", err)
			os.Exit(1)
		}
	}
	b := &bench{out: results{
		Date:    time.Now().UTC().Format(time.DateOnly),
		Machine: fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
		Figures: map[string]float64{},
	}}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&b.root, "root", ".", "`folder` of the repository, built")
	f.IntVar(&b.rounds, "rounds", 5, "turns of what is compared")
	f.IntVar(&b.samples, "samples", 300, "messages whose way to the reader is timed")
	f.IntVar(&b.backlog, "backlog", 100_000, "messages of one company that wait while others talk")
	only := f.String("only", "", "the `parts` to measure, separated by commas, of "+strings.Join(partNames(), ", ")+"; all if empty")
	large := f.Int("large", 0, "build an archive of so many `messages` in -data and measure it, instead of the parts")
	data := f.String("data", "build/large", "`folder` of the large archive; empty: in memory, which is faster and cannot be continued")
	file := f.String("json", "", "`file` to write the figures to as well")
	if err := flags.ParseAll(f, os.Args[1:]); err != nil {
		flags.Exit("bench: ", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	fmt.Println(b.out.Machine)
	measure := func() error { return b.measure(ctx, *only) }
	if *large > 0 {
		measure = func() error { return b.largeArchive(ctx, *data, *large) }
	}
	err := errors.Join(measure(), b.write(*file))
	stop()
	flags.Exit("bench: ", err)
}

// parts are what can be measured, in this order.
var parts = []struct {
	name    string
	measure func(*bench, context.Context) error
}{
	{"sizes", (*bench).sizes},
	{"decode", (*bench).decodeRate},
	{"units", (*bench).writeUnits},
	{"idle", (*bench).idleUnits},
	{"cold", (*bench).coldStarts},
	{"readable", (*bench).sendToReadable},
	{"reading", (*bench).reading},
	{"keys", (*bench).keyRates},
}

func partNames() (names []string) {
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

// chosen reads -only.
func chosen(only string) (map[string]bool, error) {
	if only == "" {
		only = strings.Join(partNames(), ",")
	}
	chosen := map[string]bool{}
	for _, name := range strings.Split(only, ",") {
		if !slices.Contains(partNames(), name) {
			return nil, fmt.Errorf("-only %q: the parts are %s", name, strings.Join(partNames(), ", "))
		}
		chosen[name] = true
	}
	return chosen, nil
}

// measure measures the parts that only names.
func (b *bench) measure(ctx context.Context, only string) error {
	chosen, err := chosen(only)
	if err != nil {
		return err
	}
	fmt.Println("starting DynamoDB Local and moto ...")
	if b.services, err = aws.Start(ctx, aws.Options{}); err != nil {
		return err
	}
	defer b.services.Stop()
	if b.dir, err = os.MkdirTemp("", "bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.library, err = standin.Build(ctx, b.dir); err != nil {
		return err
	}
	for _, p := range parts {
		if !chosen[p.name] {
			continue
		}
		if err := p.measure(b, ctx); err != nil {
			return err
		}
	}
	return nil
}

// write writes the figures to a file, if it has a name.
func (b *bench) write(file string) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(b.out, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// worker is the program that loads the library.
func (b *bench) worker() string {
	return filepath.Join(b.root, "build", "FinanceSdkLayer", "finance-sdk", "worker")
}

// functions are the logical ids of what was built.
func (b *bench) functions() ([]string, error) {
	found, err := filepath.Glob(filepath.Join(b.root, "build", "*Function", "bootstrap"))
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("nothing is built below %s: make build", filepath.Join(b.root, "build"))
	}
	for i, path := range found {
		found[i] = filepath.Base(filepath.Dir(path))
	}
	return found, nil
}

func (b *bench) sizes(context.Context) error {
	b.heading("size of each binary")
	ids, err := b.functions()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := b.size(id, filepath.Join(b.root, "build", id, "bootstrap")); err != nil {
			return err
		}
	}
	return b.size("the worker", b.worker())
}

func (b *bench) size(name, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	b.note("size of "+name, float64(info.Size())/(1<<20), "MiB")
	return nil
}

// quantile of values that need not be sorted; q is from 0 to 1.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func median(values []float64) float64 { return quantile(values, 0.5) }
