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
// them without make. To compile AWS's SDK for two more systems would take many
// minutes, so this test compiles the programs without it; what the others have of
// our own calls no operating system directly.
func TestCommandsCompileElsewhere(t *testing.T) {
	needs.Compiler(t) // two more compilations take longer than make unit may
	for _, c := range []struct {
		system, processor string
		programs          []string
	}{
		{"darwin", "arm64", []string{"./layers/finance-sdk/worker", "./cmd/sdk", "./cmd/cost", "./cmd/size"}},
		{"windows", "amd64", []string{"./cmd/sdk", "./cmd/cost", "./cmd/size"}},
	} {
		if out, err := goFor(t, c.system, c.processor, append([]string{"build", "-o", t.TempDir() + "/"}, c.programs...)...); err != nil {
			t.Errorf("%s on %s: %v\n%s", strings.Join(c.programs, " "), c.system, err, out)
		}
		const module = "github.com/yunduo-scrm/archive/"
		listed, err := goFor(t, c.system, c.processor, "list", "-deps", "-f", "{{.ImportPath}} {{.Imports}}", "./cmd/...")
		if err != nil || strings.Count(listed, module+"cmd/") < 8 {
			t.Fatalf("packages of the commands on %s: %v\n%s", c.system, err, listed)
		}
		for line := range strings.Lines(listed) {
			name, imports, _ := strings.Cut(line, " ")
			if strings.HasPrefix(name, module) && regexp.MustCompile(`[\[ ](syscall|golang\.org/x/sys/\S+)[\] ]`).MatchString(imports) {
				t.Errorf("%s on %s calls the operating system: say what it does elsewhere, or compile it in this test", name, c.system)
			}
		}
	}
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
