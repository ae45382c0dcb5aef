package deploy_test

import (
	"archive/zip"
	"bytes"
	"io"
	"testing"
	"testing/fstest"
	"time"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
)

// The zip does not depend on the files' times. It keeps their contents and their
// execute permission.
func TestZip(t *testing.T) {
	content := bytes.Repeat([]byte("binary "), 1000)
	files := func(at time.Time) fstest.MapFS {
		return fstest.MapFS{
			"bootstrap":          {Data: content, Mode: 0o755, ModTime: at},
			"finance-sdk/worker": {Data: []byte("w"), Mode: 0o775, ModTime: at},
		}
	}
	var a, b bytes.Buffer
	raw, err := deploy.Zip(&a, files(time.Now()))
	if err != nil || raw != int64(len(content))+1 {
		t.Fatalf("size: got %d bytes and %v, want %d", raw, err, len(content)+1)
	}
	if _, err := deploy.Zip(&b, files(time.Unix(0, 0))); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two zips of the same files: got different bytes")
	}
	z, err := zip.NewReader(bytes.NewReader(a.Bytes()), int64(a.Len()))
	if err != nil {
		t.Fatal(err)
	}
	f, err := z.Open("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("bootstrap: got %d bytes and %v, want the packed bytes", len(got), err)
	}
	for _, f := range z.File {
		if f.Mode().Perm() != 0o755 {
			t.Errorf("%s: got mode %v, want 0755", f.Name, f.Mode())
		}
	}
}
