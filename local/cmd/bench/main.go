// Command bench measures the archive on this machine and prints what it saw.
// What is compared is measured in turns within one run, and medians are
// printed, so that ratios hold on a machine that does other things too.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/yunduo-scrm/archive/local/aws"
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
	services *aws.Services
	rounds   int
	out      results
}

// note prints a figure and keeps it.
func (b *bench) note(name string, value float64, unit string) {
	b.out.Figures[name] = value
	fmt.Printf("  %-58s %10.3g %s\n", name, value, unit)
}

func (b *bench) heading(text string) { fmt.Printf("\n%s\n", text) }

func main() {
	root := flag.String("root", ".", "`folder` of the repository, built")
	rounds := flag.Int("rounds", 5, "turns of what is compared")
	samples := flag.Int("samples", 60, "messages whose way to the reader is timed")
	file := flag.String("json", "", "`file` to write the figures to as well")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *root, *rounds, *samples, *file); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root string, rounds, samples int, file string) error {
	fmt.Println("starting DynamoDB Local and moto ...")
	services, err := aws.Start(ctx, aws.Options{})
	if err != nil {
		return err
	}
	defer services.Stop()
	b := &bench{root: root, services: services, rounds: rounds, out: results{
		Date:    time.Now().UTC().Format(time.DateOnly),
		Machine: fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
		Figures: map[string]float64{},
	}}
	fmt.Println(b.out.Machine)
	for _, part := range []func(context.Context) error{
		b.sizes,
		b.decodeRate,
		b.writeUnits,
		b.coldStarts,
		func(ctx context.Context) error { return b.sendToReadable(ctx, samples) },
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(b.out, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
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
		info, err := os.Stat(filepath.Join(b.root, "build", id, "bootstrap"))
		if err != nil {
			return err
		}
		b.note("size of "+id, float64(info.Size())/(1<<20), "MiB")
	}
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
