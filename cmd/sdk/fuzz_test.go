package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/standin"
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

var glibcLine = regexp.MustCompile(`^glibc    (any|[0-9.]+); [a-zA-Z0-9 .:]+\n$`)

// A library's file of any bytes gives one line about glibc, with a version that the
// file names, or an error; and one line for each path of certificates, which the file
// holds.
func FuzzLibrary(f *testing.F) {
	f.Add(standin.Shape(elf.EM_X86_64, "2.17"))
	f.Add(standin.Shape(elf.EM_X86_64, "9.\n9"))
	f.Add(append(standin.Shape(elf.EM_AARCH64, "PRIVATE"), "/etc/ssl/cert.pem\x00/usr/x/ca-bundle"...))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file := filepath.Join(t.TempDir(), libraryName)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if is := (vendorPackage{library: b}).processor(); is != "" && goarch[is] == "" {
			t.Errorf("got the processor %q", is)
		}
		var out bytes.Buffer
		err := linked(&out, file)
		m := glibcLine.FindSubmatch(out.Bytes())
		if (err == nil) != (m != nil) || err != nil && out.Len() > 0 {
			t.Fatalf("got %q and %v", &out, err)
		}
		if m != nil && string(m[1]) != "any" && !bytes.Contains(b, append([]byte("GLIBC_"), m[1]...)) {
			t.Errorf("got %q, which the file does not name", &out)
		}
		out.Reset()
		certificates(&out, b)
		for line := range strings.Lines(out.String()) {
			path, _, _ := strings.Cut(strings.TrimPrefix(line, "certs    "), " (")
			if line != "certs    the library contains no path of certificates\n" && (!strings.HasPrefix(path, "/") || !bytes.Contains(b, []byte(path))) {
				t.Errorf("got %q, which the file does not hold", line)
			}
		}
	})
}
