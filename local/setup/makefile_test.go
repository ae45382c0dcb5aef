package setup_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// makes runs make without what a make above this test has set.
func makes(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", append([]string{"--no-print-directory"}, args...)...)
	cmd.Dir = "../.."
	for _, v := range os.Environ() {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "ARCH", "CHROMIUM", "SDK", "ENV", "CORP", "PKG", "ARGS":
		default:
			cmd.Env = append(cmd.Env, v)
		}
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A variable that is missing, misspelt, misplaced or of no use is named by one
// sentence, before anything is built or started.
func TestMakeRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		command string
		want    string
	}{
		{"deploy", "ENV is missing: make deploy ENV=<an environment of samconfig.toml>\n"},
		{"ready", "ENV is missing: make ready ENV=<an environment of samconfig.toml>\n"},
		{"rebuild", "ENV is missing: make rebuild ENV=<an environment of samconfig.toml> CORP=<corpid>\n"},
		{"rebuild ENV=prod", "CORP is missing: make rebuild ENV=prod CORP=<corpid>\n"},
		{"keyquota ENV=prod", "CORP is missing: make keyquota ENV=prod CORP=<corpid>\n"},
		{"keyquota ENV=prod CORP=x IMPORTS=all", "IMPORTS is \"all\": want a number.\n"},
		{"layer", "SDK is missing: make layer SDK=<the vendor's .tgz or folder or .so> ARCH=x86_64|arm64\n"},
		{"layer SDK=x ARCH=mips", "ARCH is \"mips\": want x86_64 or arm64."},
		{"build ARCH=mips", "ARCH is \"mips\": want x86_64 or arm64."},
		{"sdk-check", "SDK is missing: make sdk-check SDK=<the vendor's .tgz or folder or .so>\n"},
		{"test PKG=./shared/message", "PKG is a variable of make unit; make test has none of that name.\n"},
		{"check PKG=./shared/message", "PKG is a variable of make unit; make check has none of that name.\n"},
		{"run PKG=./shared/message", "PKG is a variable of make unit; make run has none of that name.\n"},
		{"cost MESSAGES=many", "MESSAGES is \"many\": want a number.\n"},
		{"cost MEDIA_GB=-1", "MEDIA_GB is \"-1\": want a number.\n"},
		{"deploy EVN=prod", "unknown variable EVN: this Makefile reads "},
		{"cost MESAGES=1 CORPS=2", "unknown variable MESAGES: this Makefile reads "},
	} {
		t.Run(c.command, func(t *testing.T) {
			t.Parallel()
			out, err := makes(t, strings.Fields(c.command)...)
			if err == nil || !strings.Contains(out, c.want) || strings.Count(out, "\n") > 2 {
				t.Errorf("got %v and %q, want %q", err, out, c.want)
			}
		})
	}
}

// make help has a line for every target that a person may name.
func TestMakeHelp(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var phony []string
	for _, m := range regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindAllStringSubmatch(string(makefile), -1) {
		phony = append(phony, strings.Fields(m[1])...)
	}
	if len(phony) < 20 {
		t.Fatalf("got the targets %q only", phony)
	}
	help, err := makes(t, "help")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^  make (\S+)( \.\.\.)? +[A-Z].*$`)
	var listed []string
	for text := range strings.Lines(help) {
		m := line.FindStringSubmatch(strings.TrimSuffix(text, "\n"))
		if m == nil {
			t.Errorf("got the line %q, want a target and what it does", text)
			continue
		}
		if m[2] != "" { // the first of the functions stands for all
			for _, target := range phony {
				if strings.HasPrefix(target, "build-") && strings.HasSuffix(target, "Function") {
					listed = append(listed, target)
				}
			}
			continue
		}
		listed = append(listed, m[1])
	}
	slices.Sort(phony)
	slices.Sort(listed)
	if !slices.Equal(phony, listed) {
		t.Errorf("help lists %q, want %q", listed, phony)
	}
}
