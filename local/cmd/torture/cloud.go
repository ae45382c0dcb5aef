package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

const e2e = "local/e2e"

// tortured is the progress of the runs of the local cloud of one build: the tests, and
// the functions and the worker that they run.
type tortured struct {
	Build string `json:"build"`
	Done  []int  `json:"done"` // seeds
}

// cloud runs the local cloud under the faults of each seed.
func cloud(ctx context.Context, o options) error {
	binary, _, err := o.compile(ctx, e2e, "e2e")
	if err != nil {
		return err
	}
	build, err := o.product(binary)
	if err != nil {
		return err
	}
	p := tortured{Build: build}
	if last := (tortured{}); !o.again && o.load("cloud", &last) == nil && last.Build == build {
		p = last
	}
	seeds := []int{int(o.seed)}
	if o.seed == 0 {
		seeds = seeds[:0]
		for n := range o.runs {
			seeds = append(seeds, n+1)
		}
	}
	ran := false
	for _, n := range seeds {
		if o.seed == 0 && slices.Contains(p.Done, n) {
			continue
		}
		ran = true
		cmd := command(ctx, e2e, binary, "-test.run=^TestTorture$", "-test.v", "-test.timeout=15m", fmt.Sprint("-torture-seed=", n), "-torture-faults=25", "-torture-talk=2000")
		cmd.Stdout, cmd.Stderr = o.out, o.out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("make torture PART=cloud SEED=%d: %w", n, err)
		}
		p.Done = append(p.Done, n)
		if err := o.save("cloud", p); err != nil {
			return err
		}
	}
	if !ran {
		o.finished(fmt.Sprintf("the %d runs are", o.runs))
	}
	return nil
}

// product is a digest of what a run of the local cloud starts: the binary of the tests,
// every function, the worker, and the template that connects them. The tests start the
// functions from build/, and link none of them.
func (o options) product(binary string) (string, error) {
	built, err := filepath.Glob(filepath.Join(o.root, "build", "*Function"))
	if err != nil {
		return "", err
	}
	if len(built) == 0 {
		return "", errors.New("no function is built: make build")
	}
	return digest(append(built, filepath.Join(o.root, "build", "FinanceSdkLayer"), filepath.Join(o.root, "template.yaml"), binary)...)
}

// contend lets two pullers of one company run at once, under a flood of callbacks.
func contend(ctx context.Context, o options) error {
	binary, _, err := o.compile(ctx, e2e, "e2e")
	if err != nil {
		return err
	}
	cmd := command(ctx, e2e, binary, "-test.run=^TestContention$", "-test.v", "-test.timeout=30m", "-contention")
	cmd.Stdout, cmd.Stderr = o.out, o.out
	return cmd.Run()
}
