package deploy

import (
	"archive/zip"
	"compress/flate"
	"errors"
	"io"
	"io/fs"
)

// Zip writes the files to a zip and returns the sum of their sizes in bytes. The
// bytes of the zip depend only on names, contents and modes of the files.
func Zip(out io.Writer, files fs.FS) (raw int64, err error) {
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
