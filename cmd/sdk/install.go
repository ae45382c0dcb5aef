package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

var goarch = map[string]string{"x86_64": "amd64", "arm64": "arm64"}

// install judges the library and puts it into the folder of its processor,
// and the processor's name beside: the Makefile builds for that one where
// nobody says otherwise.
func install(ctx context.Context, out io.Writer, p vendorPackage, worker, arch, into, consent string) error {
	processor, ok := goarch[arch]
	if !ok {
		return fmt.Errorf("ARCH is %q: want x86_64 or arm64", arch)
	}
	if err := p.checkSums(); err != nil {
		return err
	}
	// Below into, so that renaming does not cross file systems.
	dir := filepath.Join(into, arch)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	file := filepath.Join(tmp, libraryName)
	if err := os.WriteFile(file, p.library, 0o755); err != nil {
		return err
	}
	described, err := describe(ctx, worker, file, processor)
	if err != nil {
		return err
	}
	known, ok := p.release()
	switch {
	case ok:
		fmt.Fprintf(out, "version  %s, as known\n", known.version)
	case consent == "":
		return fmt.Errorf("this library is none of the known ones (MD5 %s). If the vendor's page (developer.work.weixin.qq.com, document 91774) offers it, and make sdk-check was to your liking, run the same again with CONSENT=%s", p.md5(), p.sha256())
	case !strings.EqualFold(consent, p.sha256()):
		return fmt.Errorf("CONSENT is for another library: this one has SHA-256 %s", p.sha256())
	default:
		fmt.Fprintf(out, "version  not known here; installed with your consent: note it in layers/finance-sdk/README.md\n")
	}
	fmt.Fprint(out, described)
	if err := os.Rename(file, filepath.Join(dir, libraryName)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(into, "arch"), []byte(arch+"\n"), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(out, "in place %s\n", filepath.Join(dir, libraryName))
	return nil
}

// describe lets the worker look at the file without loading it: ELF type,
// processor, the 17 functions, digests. The worker has the binding, and only
// it.
func describe(ctx context.Context, worker, file, processor string) (string, error) {
	b, err := exec.CommandContext(ctx, worker, "check", file, processor).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", errors.New(strings.TrimSpace(strings.ReplaceAll(string(exit.Stderr), file, libraryName)))
	}
	if err != nil {
		return "", fmt.Errorf("running the worker: %w", err)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "file ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, ""), nil
}
