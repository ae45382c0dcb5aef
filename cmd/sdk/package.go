package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5" // the vendor publishes no other digest
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/yunduo-scrm/archive/local/flags"
)

const libraryName = "libWeWorkFinanceSdk_C.so"

// largest is a size in bytes that no file of the vendor exceeds.
const largest = 128 << 20

// vendorPackage is a library with the vendor's files about it.
type vendorPackage struct {
	library     []byte
	sums        string // md5.txt; empty if there is none
	versionFile string // version.txt; empty if there is none
}

// readPackage reads the vendor's .tgz, its unpacked folder, or a library with
// the vendor's text files in the same folder. It writes no file, so a path with
// ".." in an archive is harmless.
func readPackage(name string) (vendorPackage, error) {
	info, err := os.Stat(name)
	if err != nil {
		return vendorPackage{}, fmt.Errorf("find the library: %w", err)
	}
	var p vendorPackage
	alone := false // the file is the library itself
	switch {
	case info.IsDir():
		err = p.fromFolder(name)
	case strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".tar.gz"):
		err = p.fromArchive(name)
	default:
		alone = true
		if p.library, err = os.ReadFile(name); err == nil {
			p.beside(filepath.Dir(name))
		}
	}
	shared := bytes.HasPrefix(p.library, []byte(elf.ELFMAG))
	switch {
	case errors.Is(err, gzip.ErrHeader) || err == nil && alone && !shared:
		return vendorPackage{}, flags.Mistake(fmt.Errorf("%s is neither the vendor's package, its folder, nor a shared object", name))
	case err != nil:
		return vendorPackage{}, fmt.Errorf("read %s: %w", name, err)
	case p.library == nil:
		return vendorPackage{}, flags.Mistake(fmt.Errorf("%s contains no %s", name, libraryName))
	case !shared:
		return vendorPackage{}, fmt.Errorf("%s contains a %s that is no shared object", name, libraryName)
	}
	return p, nil
}

// take reads the file if its name is one of the three.
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
			return fmt.Errorf("two files are named %s: give the path of the right file as SDK", libraryName)
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
		return gzip.ErrHeader // also for a file that is shorter than a header
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

// beside reads the vendor's text files in the folder of a library, if present.
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

// checkSums compares the library with the vendor's md5.txt: with the lines that
// name the library, or with every line if no line names it.
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
		return nil // the file contains no digest
	}
	for _, sum := range all {
		if sum == p.md5() {
			return nil
		}
	}
	return fmt.Errorf("MD5 of the library is %s, md5.txt has %s: the package is damaged or changed; fetch it again", p.md5(), strings.Join(all, ", "))
}

// release is a library that the vendor has published.
type release struct {
	version, arch string
	sha256        string // empty if not recorded yet
}

// releases maps the MD5 that the vendor ships with each package to the release.
// layers/finance-sdk/README.md has the same table for people.
var releases = map[string]release{
	"f2db3dd1372c516db6290afbd1b5c698": {"3.0 (20250205)", "x86_64", "79ced4de6b18d5e96a21cd06f325794dc8957f8925120538d56d4ce827d3dfd0"},
	"2d22071add7284a978f55e70cc7ddb3d": {"3.0 (20250205)", "arm64", ""},
	"d422224e67eb07a195d1d7115b39284c": {"2.0 (20240606)", "x86_64", ""},
	"781ec3cbad904b1527023cc9df0f279b": {"1.x (200215)", "x86_64", ""},
}

// release returns the published release that equals this library, or false.
func (p vendorPackage) release() (release, bool) {
	r, ok := releases[p.md5()]
	return r, ok && (r.sha256 == "" || r.sha256 == p.sha256())
}
