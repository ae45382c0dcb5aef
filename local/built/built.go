// Package built compiles what tests run: the worker, the stand-in library and
// the functions. Each is built once in a test process, when a test first asks
// for it, into a folder that [Main] removes:
//
//	func TestMain(m *testing.M) { os.Exit(built.Main(m)) }
package built

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/yunduo-scrm/archive/local/needs"
	"github.com/yunduo-scrm/archive/local/standin"
)

const worker = "github.com/yunduo-scrm/archive/layers/finance-sdk/worker"

// folder holds what was built. Main sets it before any test runs.
var folder string

// Main runs the tests of a package and removes what was built for them. The
// result is the exit status.
func Main(m *testing.M) (status int) {
	var err error
	if folder, err = os.MkdirTemp("", "built-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := os.RemoveAll(folder); err != nil && status == 0 {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}()
	return m.Run()
}

// Worker is the path of the worker, as it is shipped.
func Worker(t testing.TB) string {
	t.Helper()
	return program(t, worker)
}

// Function is the path of the program in the given folder, built like the
// functions. The folder is relative to that of the test: "." or
// "./testdata/function".
func Function(t testing.TB, dir string) string {
	t.Helper()
	return program(t, dir)
}

// Library is the path of a stand-in of the vendor's library.
func Library(t testing.TB, options ...standin.Option) string {
	t.Helper()
	needs.Compiler(t)
	return once(t, "library "+standin.Key(options...), func(dir string) (string, error) {
		return standin.Build(context.Background(), dir, options...)
	})
}

func program(t testing.TB, pkg string) string {
	t.Helper()
	return once(t, "program "+pkg, func(dir string) (string, error) {
		path := filepath.Join(dir, filepath.Base(pkg))
		if pkg == "." {
			path = filepath.Join(dir, "bootstrap")
		}
		// The flags of the Makefile, so that both share the compiler's cache.
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-o", path, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
		return path, nil
	})
}

// things are the results by what was asked for. A test that asks while the
// thing is being built waits for it.
var things sync.Map // string to func() (string, error)

// once builds a thing in a folder of its own.
func once(t testing.TB, name string, build func(dir string) (string, error)) string {
	t.Helper()
	if folder == "" {
		t.Fatal("the package's TestMain does not call built.Main")
	}
	thing, _ := things.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp(folder, "")
		if err != nil {
			return "", err
		}
		return build(dir)
	}))
	path, err := thing.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
