package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/md5" // the vendor publishes no other digest
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

const libraryName = "libWeWorkFinanceSdk_C.so"

// largest is more than any file that the vendor ships, in bytes.
const largest = 128 << 20

// vendorPackage is what there is to judge a library by.
type vendorPackage struct {
	library     []byte
	sums        string // md5.txt; empty if there is none
	versionFile string // version.txt; empty if there is none
}

// readPackage reads the vendor's .tgz, its unpacked folder, or a library with
// whatever lies beside it. Nothing is written, so names in an archive do no
// harm.
func readPackage(name string) (vendorPackage, error) {
	info, err := os.Stat(name)
	if err != nil {
		return vendorPackage{}, fmt.Errorf("the library: %w", err)
	}
	var p vendorPackage
	switch {
	case info.IsDir():
		err = p.fromFolder(name)
	case strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".tar.gz"):
		err = p.fromArchive(name)
	default:
		if p.library, err = os.ReadFile(name); err == nil {
			p.beside(filepath.Dir(name))
		}
	}
	if err != nil {
		return vendorPackage{}, fmt.Errorf("reading %s: %w", name, err)
	}
	if p.library == nil {
		return vendorPackage{}, fmt.Errorf("%s has no %s in it", name, libraryName)
	}
	return p, nil
}

// take keeps the file if it is one of the three.
func (p *vendorPackage) take(name string, r io.Reader) error {
	name = path.Base(name)
	if name != libraryName && name != "md5.txt" && name != "version.txt" {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(r, largest+1))
	if err != nil {
		return err
	}
	if len(b) > largest {
		return fmt.Errorf("%s is larger than %d MB", name, largest>>20)
	}
	switch name {
	case libraryName:
		if p.library != nil {
			return fmt.Errorf("there are two files %s: name the one that is meant", libraryName)
		}
		p.library = b
	case "md5.txt":
		p.sums += string(b) + "\n"
	case "version.txt":
		p.versionFile = strings.TrimSpace(string(b))
	}
	return nil
}

func (p *vendorPackage) fromArchive(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	files := tar.NewReader(z)
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeReg {
			if err := p.take(h.Name, files); err != nil {
				return err
			}
		}
	}
}

func (p *vendorPackage) fromFolder(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return p.take(filepath.ToSlash(name), f)
	})
}

// beside reads what may lie beside a library that was named alone.
func (p *vendorPackage) beside(dir string) {
	if b, err := os.ReadFile(filepath.Join(dir, "md5.txt")); err == nil {
		p.sums = string(b)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "version.txt")); err == nil {
		p.versionFile = strings.TrimSpace(string(b))
	}
}

func (p vendorPackage) md5() string    { return fmt.Sprintf("%x", md5.Sum(p.library)) }
func (p vendorPackage) sha256() string { return fmt.Sprintf("%x", sha256.Sum256(p.library)) }

var hex32 = regexp.MustCompile(`\b[0-9a-fA-F]{32}\b`)

// checkSums holds the library against the vendor's own md5 file: the line that
// names it, if one does, else any.
func (p vendorPackage) checkSums() error {
	if p.sums == "" {
		return nil
	}
	var named, all []string
	for line := range strings.Lines(p.sums) {
		found := hex32.FindAllString(strings.ToLower(line), -1)
		all = append(all, found...)
		if strings.Contains(line, libraryName) {
			named = append(named, found...)
		}
	}
	if len(named) > 0 {
		all = named
	}
	if len(all) == 0 {
		return nil // no digest in it
	}
	for _, sum := range all {
		if sum == p.md5() {
			return nil
		}
	}
	return fmt.Errorf("the library has MD5 %s, but the vendor's md5.txt says %s: the package is damaged or was changed; fetch it again", p.md5(), strings.Join(all, ", "))
}

// release is a library that the vendor has published.
type release struct {
	version, arch string
	sha256        string // empty where nobody has written it down yet
}

// releases are known by their MD5, which the vendor ships with each package.
// layers/finance-sdk/README.md has the same table for people.
var releases = map[string]release{
	"f2db3dd1372c516db6290afbd1b5c698": {"3.0 (20250205)", "x86_64", "79ced4de6b18d5e96a21cd06f325794dc8957f8925120538d56d4ce827d3dfd0"},
	"2d22071add7284a978f55e70cc7ddb3d": {"3.0 (20250205)", "arm64", ""},
	"d422224e67eb07a195d1d7115b39284c": {"2.0 (20240606)", "x86_64", ""},
	"781ec3cbad904b1527023cc9df0f279b": {"1.x (200215)", "x86_64", ""},
}

// release is the published library that this is; false if it is none.
func (p vendorPackage) release() (release, bool) {
	r, ok := releases[p.md5()]
	return r, ok && (r.sha256 == "" || r.sha256 == p.sha256())
}
