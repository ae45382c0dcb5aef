package needs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/needs"
)

// recorder stands in for a test: it notes that it was skipped.
type recorder struct {
	testing.TB
	skipped []any
}

func (*recorder) Helper()            {}
func (r *recorder) Skip(args ...any) { r.skipped = args }

func TestOnlyMakeUnitLeavesOut(t *testing.T) {
	for name, mark := range map[string]func(testing.TB){"servers": needs.Servers, "a C compiler": needs.Compiler, "Python": needs.Python} {
		var in, out recorder
		t.Setenv(needs.Unit, "")
		if mark(&in); in.skipped != nil {
			t.Errorf("%s: skipped with %q outside of make unit", name, in.skipped)
		}
		t.Setenv(needs.Unit, "1")
		if mark(&out); len(out.skipped) != 1 || out.skipped[0] != "needs "+name {
			t.Errorf("%s: got %q in make unit, want the reason", name, out.skipped)
		}
	}
}

// A skip elsewhere would also happen in make test, where nobody counts skips.
func TestNothingElseSkips(t *testing.T) {
	skip := regexp.MustCompile(`\.(Skip|Skipf|SkipNow)\(|testing\.Short\(`)
	constraint := regexp.MustCompile(`(?m)^//go:build `)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "build" || name == "node_modules" || name == "needs" || strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "..") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found := skip.FindAllString(string(text), -1)
		if strings.HasSuffix(path, "_test.go") {
			found = append(found, constraint.FindAllString(string(text), -1)...)
		}
		for _, line := range found {
			t.Errorf("%s has %q: only package needs leaves a test out", path, line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
