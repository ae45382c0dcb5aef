// Command size prints how large built functions and layers are: their files,
// and the zip of them that is uploaded, with its digest. The same commit makes
// the same zip.
//
//	size <folder>...
package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	var errs []error
	for _, dir := range os.Args[1:] {
		errs = append(errs, report(os.Stdout, dir))
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, "size:", err)
		os.Exit(1)
	}
}

func report(out io.Writer, dir string) error {
	var zipped bytes.Buffer
	raw, err := pack(&zipped, os.DirFS(dir))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%-18s %9d bytes, zipped %8d, sha256 %x\n", filepath.Base(dir), raw, zipped.Len(), sha256.Sum256(zipped.Bytes()))
	return err
}

// pack writes the files to a zip that depends on their names, bytes and modes
// alone, and returns how many bytes they have.
func pack(out io.Writer, files fs.FS) (raw int64, err error) {
	z := zip.NewWriter(out)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(info.Mode().Perm() &^ 0o022)
		w, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		f, err := files.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		n, err := io.Copy(w, f)
		raw += n
		return err
	})
	return raw, errors.Join(err, z.Close())
}
