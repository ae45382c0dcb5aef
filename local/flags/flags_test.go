package flags_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/flags"
)

// set has one flag of each kind that the commands use.
func set(out *strings.Builder) *flag.FlagSet {
	f := flag.NewFlagSet("count", flag.ContinueOnError)
	f.SetOutput(out)
	f.Int("runs", 1, "runs")
	f.Uint64("seeds", 1, "seeds")
	f.Float64("share", 1, "share")
	f.Bool("all", false, "all")
	f.Duration("each", time.Minute, "`time` for each")
	f.String("name", "", "name")
	return f
}

func TestAMistakeIsOneSentence(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-runs 1.5": `-runs is "1.5": want a whole number`,
		"-seeds -1": `-seeds is "-1": want a whole number of 0 or more`,
		"-share x":  `-share is "x": want a number`,
		"-all=some": `-all is "some": want true or false`,
		"-each 3":   `-each is "3": want a duration such as 30s or 5m`,
		"-bogus":    "flag provided but not defined: -bogus; -h lists the flags",
		"-name":     "flag needs an argument: -name; -h lists the flags",
	} {
		var out strings.Builder
		err := flags.Parse(set(&out), strings.Fields(args))
		if err == nil || err.Error() != want || out.Len() > 0 || flags.Status(err) != 2 {
			t.Errorf("%s: got %v, status %d and %q printed, want %q", args, err, flags.Status(err), out.String(), want)
		}
	}
}

func TestHelpListsTheFlags(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	f := set(&out)
	if err := flags.Parse(f, []string{"-h"}); !errors.Is(err, flag.ErrHelp) || flags.Status(err) != 0 {
		t.Errorf("got %v, want flag.ErrHelp with status 0", err)
	}
	if got := out.String(); !strings.HasPrefix(got, "Usage of count:\n") || strings.Count(got, "-each time") != 1 {
		t.Errorf("got %q, want the flags", got)
	}
	out.Reset()
	f.Usage = func() { out.WriteString("Counts.\n") }
	if _ = flags.Parse(f, []string{"-h"}); out.String() != "Counts.\n" {
		t.Errorf("got %q, want the command's own beginning", out.String())
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	plain := errors.New("plain")
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {flags.Mistake(nil), 0}, {plain, 1}, {flags.Mistake(plain), 2}, {fmt.Errorf("read: %w", flags.Mistake(plain)), 2}, {errors.Join(plain, flags.Mistake(plain)), 2},
	} {
		if got := flags.Status(c.err); got != c.want {
			t.Errorf("%v: got %d, want %d", c.err, got, c.want)
		}
	}
}

func TestParseAll(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":            "",
		"-n 2":        "",
		"now":         `unknown argument "now"; -h lists the flags`,
		"-n 2 now":    `unknown argument "now"; -h lists the flags`,
		"-n two -m 3": `-n is "two": want a whole number`,
	} {
		f := flag.NewFlagSet("erase", flag.ContinueOnError)
		f.Int("n", 1, "a number")
		f.Int("m", 1, "another number")
		err := flags.ParseAll(f, strings.Fields(args))
		if got := fmt.Sprint(err); err != nil && (got != want || flags.Status(err) != 2) || err == nil && want != "" {
			t.Errorf("%q: got %v with status %d, want %q with 2", args, err, flags.Status(err), want)
		}
	}
}

// Every command reads its flags by this package.
func TestEveryCommandParsesByThisPackage(t *testing.T) {
	t.Parallel()
	alone := regexp.MustCompile(`\bflag\.Parse\(|\b(?:f|flagSet)\.Parse\(`)
	for _, pattern := range []string{"../../cmd/*/*.go", "../../cmd/internal/*/*.go", "../cmd/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("got %d files of %s, %v", len(files), pattern, err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(name, "_test.go") && alone.Match(b) {
				t.Errorf("%s parses flags by package flag alone", name)
			}
		}
	}
}
