package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/yunduo-scrm/archive/local/torture/mutants"
)

const (
	simulation = "local/torture/simulation"
	// seedsAtOnce is how many seeds are played between two notes of the progress.
	seedsAtOnce = 200
	// mutantSeeds is how many seeds are played before one looks whether a mutant is
	// found.
	mutantSeeds = 8
)

// played is the progress of the simulation of one build.
type played struct {
	Build  string   `json:"build"`
	Next   uint64   `json:"next"`
	Failed []string `json:"failed"`
}

// simulate plays seeds from where the last run of the same build stopped.
func simulate(ctx context.Context, o options) error {
	binary, build, err := o.compile(ctx, simulation, "simulation")
	if err != nil {
		return err
	}
	if o.seed != 0 {
		cmd := command(ctx, filepath.Join(o.root, simulation), binary, "-test.run=^TestSeeds$", "-test.v", fmt.Sprintf("-seed=%d", o.seed))
		cmd.Stdout, cmd.Stderr = o.out, o.out
		return cmd.Run()
	}
	p := played{Build: build, Next: 1}
	if last := (played{}); !o.again && o.load("simulation", &last) == nil && last.Build == build {
		p = last
		if p.Next > o.seeds {
			o.finished(fmt.Sprintf("%d seeds are", p.Next-1))
		} else {
			fmt.Fprintf(o.out, "going on at seed %d\n", p.Next)
		}
	}
	for p.Next <= o.seeds && ctx.Err() == nil {
		n := min(seedsAtOnce, o.seeds-p.Next+1)
		failed, said, err := o.play(ctx, binary, p.Next, n)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && len(failed) == 0 {
			return fmt.Errorf("%w\n%s", err, said)
		}
		p.Next, p.Failed = p.Next+n, append(p.Failed, failed...)
		if err := o.save("simulation", p); err != nil {
			return err
		}
		fmt.Fprintf(o.out, "%d seeds played, %d failed %s\n", p.Next-1, len(p.Failed), strings.Join(p.Failed, " "))
	}
	if len(p.Failed) > 0 {
		return errors.New("seeds failed: make torture PART=simulation SEED=<seed> tells the story of one")
	}
	return nil
}

var failedSeed = regexp.MustCompile(`(?m)^\s*--- FAIL: TestSeeds/(\d+)`)

// play plays n seeds, and returns those that failed.
func (o options) play(ctx context.Context, binary string, from, n uint64) (failed []string, said string, err error) {
	var out bytes.Buffer
	cmd := command(ctx, filepath.Join(o.root, simulation), binary, "-test.run=^TestSeeds$", "-test.timeout=30m", fmt.Sprintf("-from=%d", from), fmt.Sprintf("-seeds=%d", n))
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	for _, m := range failedSeed.FindAllStringSubmatch(out.String(), -1) {
		failed = append(failed, m[1])
	}
	return failed, out.String(), err
}

var complaint = regexp.MustCompile(`(?m)^\s+simulation_test\.go:\d+: (.*)$`)

// hunt breaks the product in every way, and looks for the first seeds that find it.
func hunt(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root, err := filepath.Abs(o.root)
	if err != nil {
		return err
	}
	var missed []string
	fmt.Fprintln(o.out, "| broken | law | found by seed | complaint |\n|---|---|---|---|")
	for _, m := range mutants.All {
		overlay, err := m.Overlay(root, dir)
		if err != nil {
			return err
		}
		binary := filepath.Join(dir, "mutant.test")
		build := command(ctx, o.root, "go", "test", "-vet=off", "-overlay", overlay, "-c", "-o", binary, "./"+simulation)
		if said, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %q: %w\n%s", m.Name, err, said)
		}
		found := false
		for from := uint64(1); from <= o.seeds && !found; from += mutantSeeds {
			failed, said, _ := o.play(ctx, binary, from, mutantSeeds) // a seed that fails is what is wanted
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if found = len(failed) > 0; found {
				text := ""
				for _, c := range complaint.FindAllStringSubmatch(said, -1) {
					if !strings.Contains(c[1], "of simulated time") {
						text = c[1]
						break
					}
				}
				fmt.Fprintf(o.out, "| %s | %s | %s | %.110s |\n", m.Name, m.Law, failed[0], text)
			}
		}
		if !found {
			missed = append(missed, m.Name)
			fmt.Fprintf(o.out, "| %s | %s | none of %d | |\n", m.Name, m.Law, o.seeds)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("not found: %s", strings.Join(missed, "; "))
	}
	return nil
}
