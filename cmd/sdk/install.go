package main

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/yunduo-scrm/archive/shared/sdkworker"
)

var goarch = map[string]string{"x86_64": "amd64", "arm64": "arm64"}

// machines are the processors as ARCH names them.
var machines = map[elf.Machine]string{elf.EM_X86_64: "x86_64", elf.EM_AARCH64: "arm64"}

// processor is the library's, as ARCH names it. It is empty for a file that is for
// neither; the worker says what such a file is.
func (p vendorPackage) processor() string {
	f, err := elf.NewFile(bytes.NewReader(p.library))
	if err != nil {
		return ""
	}
	return machines[f.Machine]
}

// install checks the library and moves it into the folder of its processor. It
// writes the processor's name to the file arch, from which the Makefile takes
// the default processor of a build, and the record of [recordOffline]. After a crash
// before the rename the old library is still in place.
func install(ctx context.Context, out io.Writer, p vendorPackage, worker, arch, into, consent string) error {
	processor, ok := goarch[arch]
	if !ok {
		return fmt.Errorf("ARCH is %q: want x86_64 or arm64", arch)
	}
	if err := p.checkSums(); err != nil {
		return err
	}
	if is := p.processor(); is != "" && is != arch {
		return fmt.Errorf("the library is for %s, and ARCH is %s: fetch the vendor's package for %s, or run the same command with ARCH=%s", is, arch, arch, is)
	}
	// A rename needs one file system, so the temporary folder is below into.
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
		fmt.Fprintf(out, "version  %s, known\n", known.version)
	case consent == "":
		return fmt.Errorf("unknown library (MD5 %s). If the vendor's page (developer.work.weixin.qq.com, document 91774) offers it, and make sdk-check reports no problem, run the same command with CONSENT=%s", p.md5(), p.sha256())
	case !strings.EqualFold(consent, p.sha256()):
		return fmt.Errorf("CONSENT is for another library: the SHA-256 of this library is %s", p.sha256())
	default:
		fmt.Fprintf(out, "version  unknown; installed with your consent: add it to layers/finance-sdk/README.md\n")
	}
	fmt.Fprint(out, described)
	placed := filepath.Join(dir, libraryName)
	if err := os.Rename(file, placed); err != nil {
		return err
	}
	// After a crash here the record, if there is one, is another library's. It
	// names the digest of that library, so it does not count.
	if err := recordOffline(ctx, out, worker, placed, processor); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(into, "arch"), []byte(arch+"\n"), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(out, "in place %s\n", placed)
	return nil
}

// recordOffline loads the library in a worker without sockets. Where Init
// succeeds it writes the record, and decode's workers then get no sockets. Else
// it removes an old record, and they keep their sockets. A made-up secret cannot
// reach WeCom from a worker without sockets.
func recordOffline(ctx context.Context, out io.Writer, worker, library, processor string) error {
	why := "this machine has another processor"
	if processor == runtime.GOARCH {
		why = initWithoutSockets(ctx, worker, library)
	}
	if why != "" {
		fmt.Fprintf(out, "offline  not recorded, decode keeps its sockets: %s\n", why)
		if err := os.Remove(sdkworker.OfflineRecord(library)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	fmt.Fprintln(out, "offline  recorded: Init works without sockets, so decode gets none")
	return sdkworker.RecordOffline(library)
}

// describe runs the worker's check of the file: ELF type, processor, the 17
// functions, digests. The check does not load the library. Only the worker may
// import the binding, so only the worker can name the functions.
func describe(ctx context.Context, worker, file, processor string) (string, error) {
	b, err := exec.CommandContext(ctx, worker, "check", file, processor).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", errors.New(strings.TrimSpace(strings.ReplaceAll(string(exit.Stderr), file, libraryName)))
	}
	if err != nil {
		return "", fmt.Errorf("run the worker: %w", err)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "file ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, ""), nil
}
