package main

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// The glibc of Lambda's provided.al2023, and the paths of its certificates.
const lambdaGlibc = "2.34"

var lambdaCertificates = []string{"/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/tls/cert.pem", "/etc/pki/tls/certs", "/etc/ssl/certs", "/etc/ssl/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}

// probeCommand is the command with which this program starts itself without a
// network.
const probeCommand = "probe"

// check reports everything about a library that needs no WeCom.
func check(ctx context.Context, out io.Writer, p vendorPackage, worker string) error {
	if is := p.processor(); is != "" && goarch[is] != runtime.GOARCH {
		return fmt.Errorf("the library is for %s, but this machine has another processor: run make sdk-check on a machine of that processor; make layer ARCH=%s needs none", is, is)
	}
	dir, err := os.MkdirTemp("", "sdk-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, libraryName)
	if err := os.WriteFile(file, p.library, 0o755); err != nil {
		return err
	}
	described, err := describe(ctx, worker, file, runtime.GOARCH)
	if err != nil {
		return err
	}
	version := "unknown"
	if r, ok := p.release(); ok {
		version = r.version + ", known"
	}
	fmt.Fprintf(out, "version  %s\n", version)
	if p.versionFile != "" {
		fmt.Fprintf(out, "says     %s (version.txt)\n", strings.Join(strings.Fields(p.versionFile), " "))
	}
	switch err := p.checkSums(); {
	case err != nil:
		fmt.Fprintf(out, "md5.txt  %v\n", err)
	case p.sums != "":
		fmt.Fprintln(out, "md5.txt  agrees")
	default:
		fmt.Fprintln(out, "md5.txt  none")
	}
	fmt.Fprintf(out, "size     %d bytes\n%s", len(p.library), described)
	if err := linked(out, file); err != nil {
		return err
	}
	certificates(out, p.library)
	return probeOffline(ctx, out, worker, file)
}

// glibcVersion is the form of a version that is shown on the operator's terminal.
var glibcVersion = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*$`)

// linked reports the newest version of glibc that the library needs.
func linked(out io.Writer, file string) error {
	f, err := elf.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	symbols, err := f.ImportedSymbols()
	if err != nil {
		return fmt.Errorf("read the library's imports: %w", err)
	}
	newest := ""
	for _, s := range symbols {
		if v, ok := strings.CutPrefix(s.Version, "GLIBC_"); ok && glibcVersion.MatchString(v) && older(newest, v) {
			newest = v
		}
	}
	verdict := "Lambda has " + lambdaGlibc + ": the library loads"
	if older(lambdaGlibc, newest) {
		verdict = "Lambda has only " + lambdaGlibc + ": the library does not load"
	}
	if newest == "" {
		newest, verdict = "any", "the library needs no versioned symbol"
	}
	fmt.Fprintf(out, "glibc    %s; %s\n", newest, verdict)
	return nil
}

// older reports whether version a, such as 2.9, is older than b, such as 2.34.
func older(a, b string) bool {
	numbers := func(v string) []int {
		var out []int
		for part := range strings.SplitSeq(v, ".") {
			n, _ := strconv.Atoi(part) // PRIVATE and such count as 0
			out = append(out, n)
		}
		return out
	}
	return slices.Compare(numbers(a), numbers(b)) < 0
}

var certificatePath = regexp.MustCompile(`/(?:etc|usr|var|opt|system)/[A-Za-z0-9_./+-]*(?:cert|ssl|pki|\bca\b)[A-Za-z0-9_./+-]*`)

// certificates reports the paths of certificates inside the library's file. A
// library with its own OpenSSL reads the paths of the machine on which it was
// built, and Lambda may lack them.
func certificates(out io.Writer, library []byte) {
	var paths []string
	for _, text := range bytes.FieldsFunc(library, func(r rune) bool { return r < ' ' || r > '~' }) {
		paths = append(paths, certificatePath.FindAllString(string(text), -1)...)
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	if len(paths) == 0 {
		fmt.Fprintln(out, "certs    the library contains no path of certificates")
	}
	for _, p := range paths {
		here, lambda := "missing here", ""
		if _, err := os.Stat(p); err == nil {
			here = "present here"
		}
		if slices.Contains(lambdaCertificates, strings.TrimSuffix(p, "/")) {
			lambda = ", present on Lambda"
		}
		fmt.Fprintf(out, "certs    %s (%s%s)\n", p, here, lambda)
	}
}
