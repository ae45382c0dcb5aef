package simulation_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/torture/simulation"
)

var (
	seeds = flag.Uint64("seeds", 200, "number of seeds to play")
	from  = flag.Uint64("from", 1, "first seed")
	seed  = flag.Uint64("seed", 0, "play this seed alone and print its story")
)

func TestSeeds(t *testing.T) {
	if *seed != 0 {
		r := simulation.Run(t, *seed, true)
		t.Logf("seed %d:\n%s", *seed, strings.Join(r.Story, "\n"))
		report(t, r)
		return
	}
	for n := *from; n < *from+*seeds; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) { t.Parallel(); report(t, simulation.Run(t, n, false)) })
	}
}

func report(t *testing.T, r simulation.Report) {
	t.Helper()
	t.Logf("%d calls, %s, digest %x", r.Calls, r.Lasted, r.Digest)
	for _, f := range r.Faults {
		t.Error(f)
	}
}
