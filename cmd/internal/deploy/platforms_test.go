package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/needs"
)

// make layer, ready, cost and deploy work on a Mac, so their programs compile for
// it: each is built in place of a test that only a Mac could run. All operators'
// commands compile for Windows too, where a person may start them without make.
func TestCommandsCompileElsewhere(t *testing.T) {
	needs.Compiler(t) // two more compilations of everything take longer than make unit may
	commands, err := filepath.Glob(root + "/cmd/*/main.go")
	if err != nil || len(commands) < 8 {
		t.Fatalf("got the commands %v and %v", commands, err)
	}
	var all []string
	for _, c := range commands {
		all = append(all, "./cmd/"+filepath.Base(filepath.Dir(c)))
	}
	for _, c := range []struct {
		system, processor string
		programs          []string
	}{
		{"darwin", "arm64", append([]string{"./layers/finance-sdk/worker"}, all...)},
		{"windows", "amd64", all},
	} {
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"build", "-o", t.TempDir() + "/"}, c.programs...)...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GOOS="+c.system, "GOARCH="+c.processor, "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s on %s: %v\n%s", strings.Join(c.programs, " "), c.system, err, out)
		}
	}
}
