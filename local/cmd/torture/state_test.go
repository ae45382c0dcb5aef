package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A changed function, worker, template or test is another build, and the same files are
// the same one.
func TestProductIsWhatARunStarts(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := options{root: root}
	product := func() string {
		t.Helper()
		d, err := o.product(filepath.Join(root, "e2e.test"))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if _, err := o.product("e2e.test"); err == nil {
		t.Error("nothing is built, and there is a digest")
	}
	parts := []string{"build/PullFunction/bootstrap", "build/ApiFunction/bootstrap", "build/FinanceSdkLayer/finance-sdk/worker", "template.yaml", "e2e.test"}
	for _, name := range parts {
		write(name, "1")
	}
	seen := map[string]string{product(): "the first"}
	for _, name := range parts {
		write(name, "2")
		d := product()
		if seen[d] != "" {
			t.Errorf("after a change of %s: the digest is that of %s", name, seen[d])
		}
		seen[d] = name
	}
	if seen[product()] != "e2e.test" {
		t.Error("the same files have two digests")
	}
}

// A part that is done for its build says so.
func TestFinishedSaysHowToRunAgain(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	options{out: &out}.finished("the 20 runs are")
	if got := out.String(); !strings.Contains(got, "already done for this build: AGAIN=1 runs it again") {
		t.Errorf("got %q", got)
	}
}
