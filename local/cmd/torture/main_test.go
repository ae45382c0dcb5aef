package main

import (
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/flags"
)

// A part, or a flag that it does not read, is refused before anything starts.
func TestRefuses(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                       "want one part: simulation, mutants, fuzz, cloud or contention",
		"fuzz cloud":             "want one part: simulation, mutants, fuzz, cloud or contention",
		"fuz":                    "want one part: simulation, mutants, fuzz, cloud or contention",
		"-seeds 3 fuzz":          "fuzz does not read -seeds",
		"-runs 3 -each 1s cloud": "cloud does not read -each",
		"-seeds 1.5 simulation":  `-seeds is "1.5": want a whole number of 0 or more`,
		"-each 0s fuzz":          "-seeds, -runs and -each must be above 0",
	} {
		if err := run(t.Context(), strings.Fields(args), io.Discard); err == nil || err.Error() != want || flags.Status(err) != 2 {
			t.Errorf("%q: got %v, want %q", args, err, want)
		}
	}
}

// The Makefile passes on the flags that a part reads.
func TestTheMakefileKnowsTheFlags(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for name, part := range parts {
		m := regexp.MustCompile(`(?m)^READS_` + name + ` *:=(.*)$`).FindSubmatch(b)
		if m == nil {
			t.Errorf("the Makefile has no part %s", name)
			continue
		}
		got := slices.DeleteFunc(strings.Fields(strings.ToLower(string(m[1]))), func(v string) bool { return v == "arch" })
		if !slices.Equal(got, part.flags) {
			t.Errorf("%s: the Makefile has %q, want %q", name, got, part.flags)
		}
	}
}
