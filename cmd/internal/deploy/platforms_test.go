package deploy_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/needs"
)

// make layer, ready, cost and deploy work on a Mac, so their programs compile for
// it. All operators' commands compile for Windows too, where a person may start
// them without make, and everything for arm64. To compile AWS's SDK for four more
// systems would take many minutes: protect alone takes a processor a minute and a
// half for one of them, and ready, with EC2's part, longer. So this test compiles the programs without it,
// and finds every other package alike: it has the same files as on a system for
// which it is compiled, and calls no operating system directly.
func TestCommandsCompileElsewhere(t *testing.T) {
	needs.Compiler(t) // the compilations take longer than make unit may
	commands, all := []string{"./cmd/..."}, []string{"./cmd/...", "./local/...", "./functions/...", "./layers/..."}
	here := packages(t, "linux", "amd64", all...)
	mac := packages(t, "darwin", "arm64", commands...)
	for _, c := range []struct {
		system, processor string
		compiled          []string
		listed            []string
		like              map[string]files // what is compiled elsewhere, by package
	}{
		{"darwin", "arm64", []string{"./layers/finance-sdk/worker", "./cmd/sdk", "./cmd/cost", "./cmd/size"}, commands, here},
		{"darwin", "amd64", nil, commands, mac},
		{"windows", "amd64", []string{"./cmd/sdk", "./cmd/cost", "./cmd/size"}, commands, here},
		{"linux", "arm64", []string{"./layers/finance-sdk/worker"}, all, here},
	} {
		system := c.system + "/" + c.processor
		compiled := map[string]files{}
		if len(c.compiled) > 0 {
			if out, err := goFor(t, c.system, c.processor, append([]string{"build", "-o", t.TempDir() + "/"}, c.compiled...)...); err != nil {
				t.Errorf("%s on %s: %v\n%s", strings.Join(c.compiled, " "), system, err, out)
			}
			compiled = packages(t, c.system, c.processor, c.compiled...)
		}
		for name, f := range packages(t, c.system, c.processor, c.listed...) {
			if _, ok := compiled[name]; ok {
				continue
			}
			if like, ok := c.like[name]; !ok || like.names != f.names {
				t.Errorf("%s on %s has the files %s, which no test compiles", name, system, f.names)
			}
			if c.system != "linux" && f.callsSystem {
				t.Errorf("%s on %s calls the operating system: say what it does elsewhere, or compile it in this test", name, system)
			}
		}
	}
}

// files are the Go files of a package for one system.
type files struct {
	names       string
	callsSystem bool
}

// packages lists the packages of this module that the packages of the patterns need.
func packages(t *testing.T, system, processor string, patterns ...string) map[string]files {
	t.Helper()
	const module = "github.com/yunduo-scrm/archive/"
	listed, err := goFor(t, system, processor, append([]string{"list", "-deps", "-f", "{{.ImportPath}} {{.GoFiles}} {{.Imports}}"}, patterns...)...)
	if err != nil {
		t.Fatalf("packages on %s/%s: %v\n%s", system, processor, err, listed)
	}
	all := map[string]files{}
	for _, m := range regexp.MustCompile(`(?m)^(\S+) (\[.*?\]) (\[.*\])$`).FindAllStringSubmatch(listed, -1) {
		if strings.HasPrefix(m[1], module) {
			all[m[1]] = files{m[2], regexp.MustCompile(`[\[ ](syscall|golang\.org/x/sys/\S+)[\] ]`).MatchString(m[3])}
		}
	}
	if len(all) == 0 {
		t.Fatalf("packages on %s/%s: got none in %s", system, processor, listed)
	}
	return all
}

// goFor runs Go for another system, in the root of the repository.
func goFor(t *testing.T, system, processor string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+processor, "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
