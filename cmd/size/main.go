// Command size prints the size of built functions and layers: the sum of their
// files, and the zip that is uploaded, with its digest. The same commit makes
// the same zip.
//
//	size <folder>...
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
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
	raw, err := deploy.Zip(&zipped, os.DirFS(dir))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%-18s %9d bytes, zipped %8d, sha256 %x\n", filepath.Base(dir), raw, zipped.Len(), sha256.Sum256(zipped.Bytes()))
	return err
}
