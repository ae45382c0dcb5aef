package standin

import (
	"context"
	"debug/elf"
	"embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

//go:embed clib
var clib embed.FS

const source = "libWeWorkFinanceSdk_C.c"

// Name is the file name of the library, the same as the vendor's.
const Name = "libWeWorkFinanceSdk_C.so"

// An Option changes the library from the well-behaved default.
type Option func(*build)

type build struct {
	flags   []string
	machine elf.Machine // EM_NONE: the machine of this computer
}

// InitChecksSecret makes Init request a token from WeCom. By default the first
// call that needs a token requests it. It is unknown which of the two the real
// library does (wecom.md 10.3).
func InitChecksSecret() Option { return define("INIT_CHECKS_SECRET") }

// Leaky makes every DecryptData leak 64 KiB.
func Leaky() Option { return define("LEAKY") }

// Without omits one of the 17 functions.
func Without(function string) Option { return define("OMIT_" + function) }

// ForMachine makes a library whose header names the given machine. Its code is
// still for the machine of this computer.
func ForMachine(m elf.Machine) Option { return func(b *build) { b.machine = m } }

func define(name string) Option {
	return func(b *build) { b.flags = append(b.flags, "-D"+name) }
}

// Key is a text that is equal for options that make the same library.
func Key(opts ...Option) string {
	var b build
	for _, o := range opts {
		o(&b)
	}
	slices.Sort(b.flags)
	return fmt.Sprint(b.flags, b.machine)
}

// Build compiles the stand-in with the system's C compiler, cc. It returns the
// path of [Name] in dir, which must exist. The last step is a rename: after a
// crash before it the file is absent or the old one. Several builds may use one
// directory at the same time.
func Build(ctx context.Context, dir string, opts ...Option) (path string, err error) {
	var b build
	for _, o := range opts {
		o(&b)
	}
	tmp, err := os.MkdirTemp(dir, ".standin-*")
	if err != nil {
		return "", fmt.Errorf("make a directory to compile in: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := os.CopyFS(tmp, clib); err != nil {
		return "", fmt.Errorf("write the stand-in's source: %w", err)
	}
	made := filepath.Join(tmp, Name)
	args := append([]string{"-std=c11", "-shared", "-fPIC", "-O2"}, b.flags...)
	cc := exec.CommandContext(ctx, "cc", append(args, "-o", "../"+Name, source)...)
	cc.Dir = filepath.Join(tmp, "clib")
	cc.WaitDelay = 5 * time.Second
	if out, err := cc.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the stand-in: %w: %s", err, out)
	}
	if b.machine != elf.EM_NONE {
		if err := claim(made, b.machine); err != nil {
			return "", fmt.Errorf("change the stand-in's machine: %w", err)
		}
	}
	path = filepath.Join(dir, Name)
	if err := os.Rename(made, path); err != nil {
		return "", fmt.Errorf("put the stand-in in place: %w", err)
	}
	return path, nil
}

// claim writes the field e_machine: two bytes at offset 18 of every ELF header.
func claim(path string, m elf.Machine) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	// All machines that the vendor builds for are little endian.
	if _, err := f.WriteAt(binary.LittleEndian.AppendUint16(nil, uint16(m)), 18); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
