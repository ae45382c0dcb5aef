package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
)

// A vendor's package of any bytes is read or refused, and so are the sums and the
// version that it names.
func FuzzPackage(f *testing.F) {
	pack := func(files map[string]string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		for name, text := range files {
			_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}) // a buffer never fails
			_, _ = w.Write([]byte(text))
		}
		_, _ = w.Close(), z.Close()
		return b.Bytes()
	}
	f.Add(pack(map[string]string{"sdk/" + libraryName: "\x7fELF", "sdk/md5.txt": "d41d8cd98f00b204e9800998ecf8427e  x", "version.txt": "3.0"}))
	f.Add(pack(map[string]string{"md5.txt": "x"}))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "sdk.tgz")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := readPackage(name)
		if err != nil {
			return
		}
		_ = p.checkSums() // an error is an answer
		_, _ = p.release()
	})
}
