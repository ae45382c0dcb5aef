package aws

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func executable(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// The Python that setup.sh installed comes before the system's, from every
// folder of the repository.
func TestPython(t *testing.T) {
	root, bin := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin)
	below := filepath.Join(root, "functions", "api")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	if got, err := Python(); err == nil {
		t.Errorf("no Python: got %q", got)
	}
	system := filepath.Join(bin, "python3")
	executable(t, system)
	if got, err := Python(); err != nil || got != system {
		t.Errorf("the system's: got %q, %v, want %q", got, err, system)
	}
	own := filepath.Join(root, "build", "python", "bin", "python3")
	executable(t, own)
	for _, dir := range []string{below, root} {
		t.Chdir(dir)
		if got, err := Python(); err != nil || got != own {
			t.Errorf("in %s: got %q, %v, want %q", dir, got, err, own)
		}
	}
	t.Chdir(bin)
	if got, err := Python(); err != nil || got != system {
		t.Errorf("outside of a repository: got %q, %v, want %q", got, err, system)
	}
}

// setup.sh asks for npm as long as DynamoDB Local is not in the cache.
func TestSetupFindsDynamoDBLocal(t *testing.T) {
	bin, cache, build := t.TempDir(), t.TempDir(), t.TempDir()
	for _, tool := range []string{"sh", "cut", "dirname", "sed", "sha256sum", "tr", "uname"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	for _, program := range []string{"go", "cc", "java", "javac", "python3"} {
		executable(t, filepath.Join(bin, program))
	}
	ready := func() bool {
		cmd := exec.CommandContext(t.Context(), "../setup/setup.sh", "-n", "servers")
		cmd.Env = []string{"PATH=" + bin, "XDG_CACHE_HOME=" + cache, "SETUP_BUILD=" + build}
		return cmd.Run() == nil
	}
	if ready() {
		t.Error("got ready without npm and without DynamoDB Local")
	}
	if err := os.MkdirAll(filepath.Join(cache, "yunduo-archive", jarsFolder()), 0o755); err != nil {
		t.Fatal(err)
	}
	if !ready() {
		t.Error("got not ready with DynamoDB Local in the cache")
	}
	executable(t, filepath.Join(bin, "npm"))
	if err := os.RemoveAll(cache); err != nil {
		t.Fatal(err)
	}
	if !ready() {
		t.Error("got not ready with npm")
	}
}
