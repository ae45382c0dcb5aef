package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReportOfAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ApiFunction")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bootstrap"), []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := report(&out, dir); err != nil || !strings.HasPrefix(out.String(), "ApiFunction ") {
		t.Errorf("got %q and %v, want a line with the folder's name", out.String(), err)
	}
	if err := report(&out, filepath.Join(dir, "missing")); err == nil {
		t.Error("missing folder: got success, want an error")
	}
}
