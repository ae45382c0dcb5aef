package setup_test

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/needs"
)

var pin = regexp.MustCompile(`(?m)^([A-Za-z0-9._-]+)(?:\[[a-z]+\])?==(\S+)$`)

// pins are the packages of requirements.txt with their versions.
func pins(t *testing.T) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := pin.FindAllStringSubmatch(string(text), -1)
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !pin.MatchString(line) {
			t.Errorf("requirements.txt: %q is not pinned", line)
		}
	}
	return all
}

// stem begins the names of a package's files.
func stem(name, version string) string {
	return strings.NewReplacer("-", "_", ".", "_").Replace(name) + "-" + version
}

// wheel makes an empty package in an index that is a folder.
func (m *machine) wheel(index, name, version string) {
	m.t.Helper()
	m.must(os.MkdirAll(m.path(index), 0o755))
	f, err := os.Create(m.path(index, stem(name, version)+"-py3-none-any.whl"))
	m.must(err)
	defer f.Close()
	z := zip.NewWriter(f)
	for file, content := range map[string]string{
		"METADATA": "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\nProvides-Extra: server\n",
		"WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"RECORD":   "",
	} {
		w, err := z.Create(stem(name, version) + ".dist-info/" + file)
		m.must(err)
		_, err = w.Write([]byte(content))
		m.must(err)
	}
	m.must(z.Close())
}

// realPython gives the machine this machine's Python without its packages.
func (m *machine) realPython() {
	m.t.Helper()
	// python3 may be a script that chooses one.
	path, err := exec.CommandContext(m.t.Context(), "python3", "-c", "import sys; print(sys.executable)").Output()
	m.must(err)
	m.file("bin/python3", "#!/bin/sh\nexec "+strings.TrimSpace(string(path))+" -S \"$@\"\n")
	m.env = []string{
		"PIP_CONFIG_FILE=/dev/null", "PIP_NO_INDEX=1", "PIP_NO_CACHE_DIR=1", "PIP_DISABLE_PIP_VERSION_CHECK=1",
		"PIP_FIND_LINKS=" + m.path("index"), "TMPDIR=" + m.t.TempDir(),
	}
}

// pip installs the pinned packages from an index, of empty packages here.
func TestPinnedPackagesAreInstalled(t *testing.T) {
	needs.Python(t)
	t.Parallel()
	m := newMachine(t, fedora, "0")
	m.has(without("python3", "moto", "lint")...)
	m.realPython()
	all := pins(t)
	for _, p := range all {
		m.wheel("index", p[1], p[2])
	}
	m.want("run", "installing Python packages (requirements.txt) in "+m.path("build/python")+" ...\n", "", 0)
	m.want("test", "", "", 0)
	for _, p := range all {
		installed, err := filepath.Glob(m.path("build/python/lib/python3*/site-packages", stem(p[1], p[2])+".dist-info"))
		if err != nil || len(installed) != 1 {
			t.Errorf("%s %s: got %q, %v, want one folder", p[1], p[2], installed, err)
		}
	}
}

// The system's own Python will do if its packages are new enough.
func TestAcceptedVersions(t *testing.T) {
	needs.Python(t)
	t.Parallel()
	m := newMachine(t, fedora, "0")
	m.has(without("python3", "moto", "lint")...)
	m.realPython()
	packages := m.path("packages-of-the-system")
	m.env = append(m.env, "PYTHONPATH="+packages)
	install := func(versions map[string]string) {
		t.Helper()
		m.must(os.RemoveAll(packages))
		for name, version := range versions {
			dir := filepath.Join(packages, strings.ReplaceAll(name, "-", "_")+"-"+version+".dist-info")
			m.must(os.MkdirAll(dir, 0o755))
			m.must(os.WriteFile(filepath.Join(dir, "METADATA"), []byte("Metadata-Version: 2.1\nName: "+name+"\nVersion: "+version+"\n"), 0o644))
		}
	}
	for _, c := range []struct {
		name, moto, lint, translator string
		run, test                    int // status
	}{
		{"pinned", "5.2.1", "1.51.0", "1.110.0", 0, 0},
		{"newer", "6.0", "2.0", "1.200.1", 0, 0},
		{"two digits count as a number", "5.10.0", "1.100.0", "1.110", 0, 0},
		{"pre-release", "5.2.0rc1", "1.51.0", "1.110.0", 0, 0},
		{"old moto", "5.1.22", "1.51.0", "1.110.0", 1, 1},
		{"old cfn-lint, which only tests use", "5.2.1", "1.50.9", "1.110.0", 0, 1},
		{"old translator, which only tests use", "5.2.1", "1.51.0", "1.9.0", 0, 1},
	} {
		install(map[string]string{"moto": c.moto, "cfn-lint": c.lint, "aws-sam-translator": c.translator, "Flask": "3.0.0", "Flask-Cors": "4.0.0"})
		if _, _, status := m.setup("-n", "run"); status != c.run {
			t.Errorf("%s: run: got status %d, want %d", c.name, status, c.run)
		}
		if _, _, status := m.setup("-n", "test"); status != c.test {
			t.Errorf("%s: test: got status %d, want %d", c.name, status, c.test)
		}
	}
	install(map[string]string{"moto": "5.2.1"})
	if _, _, status := m.setup("-n", "run"); status != 1 {
		t.Errorf("moto without its server's Flask: got status %d, want 1", status)
	}
}
