package setup_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// makes runs make without what a make above this test has set.
func makes(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	return makesIn(t, nil, args...)
}

// makesIn is makes with more variables of the environment.
func makesIn(t *testing.T, env []string, args ...string) (output string, err error) {
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
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A shell that sets ENV chooses no stack, and its ARCH no processor.
func TestMakeIgnoresTheShellsVariables(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"deploy", "changeset", "unprotect", "rebuild"} {
		out, err := makesIn(t, []string{"ENV=prod", "CORP=x", "ONLINE=0"}, command)
		if err == nil || !strings.HasPrefix(out, "ENV is missing: make "+command+" ENV=") {
			t.Errorf("%s: got %v and %q, want ENV missing", command, err, out)
		}
	}
	if out, err := makesIn(t, []string{"ARCH=amd64"}, "-n", "clean"); err != nil {
		t.Errorf("got %v and %q, want ARCH ignored", err, out)
	}
}

// A misspelt part of the fault suite, or two, start nothing.
func TestMakeTortureTakesOnePart(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"fuzz cloud", "cloud,fuzz"} {
		out, err := makes(t, "torture", "PART="+part)
		if want := "PART is \"" + part + "\": want one of "; err == nil || !strings.Contains(out, want) || strings.Count(out, "\n") != 1 {
			t.Errorf("got %v and %q, want %q", err, out, want)
		}
	}
}

// An option of sam deploy that replaces what make ready judges is refused wherever it
// stands, and others pass: --no-execute-changeset comes after ENV is missed.
func TestMakeRefusesWhatReadyDoesNotJudge(t *testing.T) {
	t.Parallel()
	for _, option := range []string{"--parameter-overrides", "--config-env", "--config-file", "--stack-name", "--region", "--profile", "--template-file", "--template", "-t", "--guided", "-g"} {
		for _, args := range []string{option + " x", "--debug \"" + option + "\"", "--debug " + option + "=x"} {
			out, err := makes(t, "changeset", "ENV=prod", "ARGS="+args)
			if want := "ARGS has " + option + ", which make ready would not see: "; err == nil || !strings.Contains(out, want) || strings.Count(out, "\n") != 1 {
				t.Errorf("ARGS=%s: got %v and %q, want %q", args, err, out, want)
			}
		}
	}
	for _, args := range []string{"--no-confirm-changeset --role-arn=arn:aws:iam::123456789012:role/x", "--tags stage=-t-g"} {
		if out, err := makes(t, "deploy", "ARGS="+args); err == nil || !strings.HasPrefix(out, "ENV is missing: ") {
			t.Errorf("ARGS=%s: got %v and %q, want it accepted", args, err, out)
		}
	}
}

// A make without undefine, such as that of macOS, says at once how to get another.
func TestMakeRefusesAnOldMake(t *testing.T) {
	t.Parallel()
	out, err := makes(t, "clean", "-n", "MAKE_VERSION=3.81", ".FEATURES=target-specific order-only second-expansion else-if archives jobserver check-symlink")
	if want := "make 3.81 is too old: install GNU make 3.82 or newer, on macOS with brew install make, and then run gmake instead of make.  Stop.\n"; err == nil || !strings.HasSuffix(out, want) || strings.Count(out, "\n") != 1 {
		t.Errorf("got %v and %q, want %q", err, out, want)
	}
}

// Each target has a line in the table of variables, unless it builds, and each line
// is of a target or of a part of the fault suite.
func TestEachLineOfTheTableIsOfATarget(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^READS_(\S+) `).FindAllStringSubmatch(string(b), -1) {
		isPart := regexp.MustCompile(`(?m)^PARTS .*\b` + m[1] + `\b`).Match(b)
		if m[1] != "OTHER" && !isPart && !regexp.MustCompile(`(?m)^`+m[1]+`:.* ## `).Match(b) {
			t.Errorf("the table has the line %s, which is no target", m[1])
		}
	}
}

// make run checks its flags before it builds the functions, and builds none for -h.
func TestMakeRunChecksItsFlagsFirst(t *testing.T) {
	t.Parallel()
	const check, build = "build/cloud -check -rate 5\n", "--no-print-directory build\n"
	out, err := makes(t, "-n", "run", "ARGS=-rate 5")
	if at, built := strings.Index(out, check), strings.Index(out, build); err != nil || at < 0 || built < at {
		t.Errorf("got %v and %q, want the flags checked, then the build", err, out)
	}
	out, err = makes(t, "-n", "run", "ARGS=-h")
	if err != nil || !strings.Contains(out, "build/cloud -h\n") || strings.Contains(out, build) {
		t.Errorf("-h: got %v and %q, want no build", err, out)
	}
}

// A variable that is missing, misspelt, misplaced or of no use is named by one
// sentence, before anything is built or started.
func TestMakeRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		command string
		want    string
	}{
		{"deploy", "ENV is missing: make deploy ENV=<a block of samconfig.toml>\n"},
		{"ready", "ENV is missing: make ready ENV=<a block of samconfig.toml>\n"},
		{"changeset", "ENV is missing: make changeset ENV=<a block of samconfig.toml>\n"},
		{"unprotect", "ENV is missing: make unprotect ENV=<a block of samconfig.toml>\n"},
		{"cost REGION=nowhere", "cost: docs/prices.json has no prices of nowhere: "},
		{"rebuild", "ENV is missing: make rebuild ENV=<a block of samconfig.toml> CORP=<corpid>\n"},
		{"rebuild ENV=prod", "CORP is missing: make rebuild ENV=prod CORP=<corpid>\n"},
		{"keyquota ENV=prod", "CORP is missing: make keyquota ENV=prod CORP=<corpid>\n"},
		{"keyquota ENV=prod CORP=x IMPORTS=all", "IMPORTS is \"all\": want a whole number above 0.\n"},
		{"layer", "SDK is missing: make layer SDK=<the vendor's .tgz or folder or .so> ARCH=x86_64|arm64\n"},
		{"layer SDK=x ARCH=mips", "ARCH is \"mips\": want x86_64 or arm64."},
		{"build ARCH=mips", "ARCH is \"mips\": want x86_64 or arm64."},
		{"sdk-check", "SDK is missing: make sdk-check SDK=<the vendor's .tgz or folder or .so>\n"},
		{"cost MESSAGES=many", "MESSAGES is \"many\": want a number of 0 or more.\n"},
		{"cost MEDIA_GB=-1", "MEDIA_GB is \"-1\": want a number of 0 or more.\n"},
		{"cost MESSAGES=1.2.3", "MESSAGES is \"1.2.3\": want a number of 0 or more.\n"},
		{"bench-large MESSAGES=1.5", "MESSAGES is \"1.5\": want a whole number above 0.\n"},
		{"test PKG=./shared/message", "make test does not read PKG: it reads ARCH, CHROMIUM.  Stop.\n"},
		{"run PKG=./shared/message", "make run does not read PKG: it reads ARCH, ARGS.  Stop.\n"},
		{"deploy ENV=prod CORP=x", "make deploy does not read CORP: it reads ENV, ONLINE, ARGS.  Stop.\n"},
		{"deploy EVN=prod", "make deploy does not read EVN: it reads ENV, ONLINE, ARGS.  Stop.\n"},
		{"cost MESAGES=1 CORPS=2", "make cost does not read MESAGES: it reads MESSAGES, "},
		{"clean lint ENV=prod", "make clean lint does not read ENV: it reads no variable.  Stop.\n"},
		{"ready ENV=prod ONLINE=0", "ONLINE is \"0\": want ONLINE=1, or leave it out.  Stop.\n"},
		{"smoke ENV=prod TOKEN=x", "TOKEN belongs in the environment, which other users cannot read: TOKEN=... make smoke ENV=prod.  Stop.\n"},
		{"deploy ENV=prod ARGS=--parameter-overrides=Alarms=all", "ARGS has --parameter-overrides, which make ready would not see: change samconfig.toml instead.  Stop.\n"},
		{"deploy ENV=prod ARGS=--profile=other", "ARGS has --profile, which make ready would not see: set AWS_PROFILE instead.  Stop.\n"},
		{"changeset ENV=prod ARGS='--config-env'", "ARGS has --config-env, which make ready would not see: change samconfig.toml instead.  Stop.\n"},
		{"torture SEEDS=3", "PART is missing: make torture PART=simulation\n"},
		{"torture PART=fuzz SEEDS=3", "make torture PART=fuzz does not read SEEDS: it reads PART, EACH, AGAIN.  Stop.\n"},
		{"torture PART=fuzz EACH=3", "EACH is \"3\": want a duration such as 30s or 3m.\n"},
		{"torture PART=cloud AGAIN=yes", "AGAIN is \"yes\": want AGAIN=1, or leave it out.  Stop.\n"},
		{"torture PART=simulation SEEDS=1.5", "SEEDS is \"1.5\": want a whole number above 0.\n"},
		{"torture PART=x", "PART is \"x\": want one of simulation, mutants, fuzz, cloud, contention.  Stop.\n"},
	} {
		t.Run(c.command, func(t *testing.T) {
			t.Parallel()
			out, err := makes(t, strings.Fields(c.command)...)
			if err == nil || !strings.Contains(out, c.want) || strings.Count(out, "\n") > 2 || strings.Contains(out, "exit status") {
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

// make deploy needs no terminal: it passes ARGS on to sam, after the parameters that
// make ready judged and wrote. It compares them with the stack before it builds,
// builds the console first, and guards the stack after sam succeeded. make changeset
// changes nothing.
func TestMakeDeploy(t *testing.T) {
	t.Parallel()
	const built = "npm ci --loglevel=error --no-audit --no-fund\nnpm run build:console --silent\nnpm run build:voice --silent\nnpm run build:client --silent\n" +
		"sam build --config-env prod\nready -built prod\n"
	const judged = " -write build/parameters-prod.toml prod\n"
	const deploys = "sam deploy --config-env prod --parameter-overrides file://build/parameters-prod.toml"
	for _, c := range []struct{ command, refuses, want string }{
		{"deploy ENV=prod", "nothing", "ready -living" + judged + built + deploys + "\nprotect prod\n"},
		{"deploy ENV=prod ONLINE=1", "nothing", "ready -online" + judged + built + deploys + "\nprotect prod\n"},
		{"deploy ENV=prod ARGS=--no-confirm-changeset", "nothing", "ready -living" + judged + built + deploys + " --no-confirm-changeset\nprotect prod\n"},
		{"changeset ENV=prod", "nothing", "ready -living -preview" + judged + built + deploys + " --no-execute-changeset\n"},
		{"unprotect ENV=prod", "nothing", "protect -off prod\n"},
		{"deploy ENV=prod", "ready", "ready -living" + judged},
		{"deploy ENV=prod", "deploy", "ready -living" + judged + built + deploys + "\n"},
	} {
		t.Run(c.command+" without "+c.refuses, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range map[string]string{
				"sam": `#!/bin/sh
echo "sam $*" >>"$RECORD"
[ "$1" != "$REFUSES" ]
`,
				"npm": `#!/bin/sh
echo "npm $*" >>"$RECORD"
`,
				"local/setup/setup.sh": "#!/bin/sh\n", "web/.npmrc": "", "web/package-lock.json": "{}", "web/src/main.ts": "", "functions/api/openapi.yaml": "",
				// In place of each program that it builds, it puts one that records its use.
				"go": `#!/bin/sh
while [ "$1" != -o ]; do shift; done
mkdir -p "${2%/*}"
printf '#!/bin/sh\necho "%s $*" >>"$RECORD"\n[ %s != "$REFUSES" ]\n' "${2##*/}" "${2##*/}" >"$2"
chmod +x "$2"
`,
			} {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"Makefile", "CHANGELOG.md"} {
				b, err := os.ReadFile("../../" + name)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			record := filepath.Join(dir, "record")
			cmd := exec.CommandContext(t.Context(), "make", append([]string{"--no-print-directory"}, strings.Fields(c.command)...)...)
			cmd.Dir = dir
			cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "RECORD=" + record, "REFUSES=" + c.refuses}
			out, err := cmd.CombinedOutput() // its standard input is empty
			got, readErr := os.ReadFile(record)
			if (err == nil) != (c.refuses == "nothing") || readErr != nil || string(got) != c.want {
				t.Errorf("got %v, %v and\n%swant\n%s%s", err, readErr, got, c.want, out)
			}
		})
	}
}
