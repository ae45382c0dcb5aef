package simulation_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/torture/simulation"
)

var (
	seeds = flag.Uint64("seeds", 200, "number of seeds to play")
	from  = flag.Uint64("from", 1, "first seed to play")
	seed  = flag.Uint64("seed", 0, "seed to play alone, with its story")
)

// Every seed leaves an archive that has what WeCom offered, and nothing else.
func TestSeeds(t *testing.T) {
	if *seed != 0 {
		r := simulation.Run(t, *seed, true)
		t.Logf("the story of seed %d:\n%s", *seed, strings.Join(r.Story, "\n"))
		report(t, r)
		return
	}
	for n := *from; n < *from+*seeds; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			report(t, simulation.Run(t, n, false))
		})
	}
}

func report(t *testing.T, r simulation.Report) {
	t.Helper()
	t.Logf("%d calls, %s of simulated time", r.Calls, r.Lasted)
	for _, f := range r.Faults {
		t.Error(f)
	}
	if t.Failed() {
		t.Logf("make torture PART=simulation SEED=%d tells the story", r.Seed)
	}
}

// A seed tells the same story each time, call by call. Otherwise a failing seed
// could not be understood.
func TestSeedTellsOneStory(t *testing.T) {
	for _, n := range []uint64{3, 8, 21} {
		first, second := simulation.Run(t, n, true), simulation.Run(t, n, true)
		if first.Digest != second.Digest || !slices.Equal(first.Story, second.Story) {
			i := 0
			for i < min(len(first.Story), len(second.Story)) && first.Story[i] == second.Story[i] {
				i++
			}
			t.Errorf("seed %d: the stories of %d and %d lines differ from line %d on", n, len(first.Story), len(second.Story), i+1)
		}
	}
}
