package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// inModule changes into a module with the given files, and this module's name.
func inModule(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module " + module + "\n\ngo 1.26\n"
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// fixture has a package of each sort; needs.go is the real one.
func fixture(t *testing.T) map[string]string {
	t.Helper()
	needs, err := os.ReadFile("../../needs/needs.go")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"local/needs/needs.go": string(needs),
		"plain/plain.go":       "package plain\n",
		"plain/plain_test.go": `package plain
import ("fmt"; "testing")
func TestQuiet(t *testing.T) { fmt.Println("hidden, as it passes") }
`,
		"plain/below/below_test.go": `package below
import "testing"
func TestPasses(t *testing.T) {}
`,
		"table/table_test.go": `package table
import ("testing"; "` + module + `/local/needs")
func TestServed(t *testing.T) { needs.Servers(t); t.Run("part", func(*testing.T) {}) }
func TestParts(t *testing.T) { t.Run("compiled", func(t *testing.T) { needs.Compiler(t) }); t.Run("plain", func(*testing.T) {}) }
`,
		"local/setup/setup.sh": "#!/bin/sh\nexit 1\n", // not set up
	}
}

// unit runs the command. Times are replaced: they differ.
func unit(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	err = run(t.Context(), args, &out, &errs)
	if errs.Len() > 0 && err == nil {
		t.Errorf("got %q on standard error", errs.String())
	}
	return regexp.MustCompile(`\t(\d+\.\d+s|\(cached\))`).ReplaceAllString(out.String(), "\t-"), err
}

const (
	plain = "ok  \t" + module + "/plain\t-\n"
	below = "ok  \t" + module + "/plain/below\t-\n"
	table = "ok  \t" + module + "/table\t-\n"
)

// sorted is for packages that are tested at the same time.
func sorted(text string) string {
	return strings.Join(slices.Sorted(strings.Lines(text)), "")
}

func TestWhatIsLeftOutIsCounted(t *testing.T) {
	inModule(t, fixture(t))
	const left = "left out: 2 tests that need a C compiler, servers; make test runs them: ./table\n"
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"all":              {nil, plain + below + table + left},
		"with those below": {[]string{"./plain"}, plain + below},
		"as a path":        {[]string{"plain/below/"}, below},
		"as an import":     {[]string{module + "/plain/..."}, plain + below},
		"not set up":       {[]string{"./table"}, table + left},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := unit(t, c.args...)
			if err != nil || sorted(got) != sorted(c.want) {
				t.Errorf("got %v and\n%swant\n%s", err, got, c.want)
			}
			if strings.Contains(c.want, left) && !strings.HasSuffix(got, left) {
				t.Errorf("got %q, want what was left out last", got)
			}
		})
	}
}

// A named package is tested with servers where they are set up: withaws gets
// the command.
func TestNamedPackagesGetServers(t *testing.T) {
	files := fixture(t)
	files["local/setup/setup.sh"] = "#!/bin/sh\n[ \"$*\" = \"-n servers\" ]\n"
	files["local/aws/cmd/withaws/main.go"] = `package main
import ("os"; "os/exec")
func main() {
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if cmd.Run() != nil { os.Exit(1) }
}
`
	inModule(t, files)
	t.Setenv("YUNDUO_UNIT", "1") // set in the user's shell
	got, err := unit(t, "./table")
	if want := "starting DynamoDB Local and moto ...\n" + table; err != nil || got != want {
		t.Errorf("got %v and %q, want %q", err, got, want)
	}
	if got, err := unit(t, "./plain/below"); err != nil || got != below {
		t.Errorf("needs no servers: got %v and %q, want %q", err, got, below)
	}
}

func TestFailuresAreShown(t *testing.T) {
	files := fixture(t)
	files["bad/bad_test.go"] = `package bad
import "testing"
func TestGood(t *testing.T) { t.Log("nobody needs this") }
func TestBad(t *testing.T) { t.Run("part", func(t *testing.T) { t.Error("got 1, want 2") }) }
`
	files["panics/panics_test.go"] = `package panics
import "testing"
func TestPanics(t *testing.T) { panic("out of range") }
`
	files["broken/broken_test.go"] = `package broken
import "testing"
func TestBroken(t *testing.T) { undefined() }
`
	inModule(t, files)
	got, err := unit(t)
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		t.Errorf("got %v, want the status of go test", err)
	}
	for _, want := range []string{
		"--- FAIL: TestBad (", "got 1, want 2", "FAIL\t" + module + "/bad\t", "panic: out of range", "undefined: undefined",
		"FAIL\t" + module + "/broken [build failed]", plain, "left out: 2 tests",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	for _, noise := range []string{"nobody needs this", "hidden", "=== RUN"} {
		if strings.Contains(got, noise) {
			t.Errorf("got %q, want no %q", got, noise)
		}
	}
}

func TestBadPackages(t *testing.T) {
	files := fixture(t)
	files["empty/README.md"] = ""
	inModule(t, files)
	for arg, want := range map[string]string{
		"./nowhere":   `PKG is "./nowhere": no such folder in this repository; want one such as ./shared/message`,
		"go.mod":      `PKG is "go.mod": no such folder in this repository; want one such as ./shared/message`,
		"../else":     `PKG is "../else": want a folder of this repository, such as ./shared/message`,
		"/tmp":        `PKG is "/tmp": want a folder of this repository, such as ./shared/message`,
		"./empty":     `PKG names no Go package: ./empty/...`,
		"example.com": `PKG is "example.com": no such folder in this repository; want one such as ./shared/message`,
	} {
		var out, errs bytes.Buffer
		if err := run(t.Context(), []string{arg}, &out, &errs); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %q", arg, err, want)
		}
	}
}

// The command ends with go test's status, and says no more than go test.
func TestStatus(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "unit")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files := fixture(t)
	files["plain/plain_test.go"] = "package plain\nimport \"testing\"\nfunc TestFails(t *testing.T) { t.Fatal() }\n"
	inModule(t, files)
	cmd := exec.CommandContext(t.Context(), program, "./plain")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 || errs.Len() > 0 {
		t.Errorf("got %v and %q on standard error, want status 1 alone", err, errs.String())
	}
}
