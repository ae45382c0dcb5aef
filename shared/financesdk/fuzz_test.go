package financesdk_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/shared/financesdk"
	"github.com/yunduo-scrm/archive/shared/sdkproto"
)

// A library's file of any bytes is described or refused. A file that is accepted is for
// one processor only, and holds the names of all functions.
func FuzzCheck(f *testing.F) {
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for _, machine := range machines {
		f.Add(standin.Shape(machine, "2.17", functions...))
	}
	f.Add(standin.Shape(elf.EM_X86_64, "2.17", functions[1:]...))
	f.Add([]byte("\x7fELF cut short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), standin.Name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		accepted := 0
		for arch, machine := range machines {
			info, err := financesdk.Check(path, arch)
			if err != nil {
				load, ok := errors.AsType[*financesdk.LoadError](err)
				if !ok || load.Note == "" || load.Fault != sdkproto.FaultMachine && load.Fault != sdkproto.FaultSymbol || info.Machine != 0 || info.Needed != nil {
					t.Errorf("%s: got %+v and %v", arch, info, err)
				}
				continue
			}
			accepted++
			lacking := slices.ContainsFunc(functions, func(name string) bool { return !bytes.Contains(b, []byte(name)) })
			if info.Machine != machine || lacking || !slices.Equal(b[:4], []byte("\x7fELF")) {
				t.Errorf("%s: got %+v for a file of %d bytes, which lacks a function: %v", arch, info, len(b), lacking)
			}
		}
		if accepted > 1 {
			t.Error("the file is for two processors")
		}
	})
}

// The seed of FuzzCheck is a library that Check accepts.
func TestCheckAcceptsTheShape(t *testing.T) {
	path := filepath.Join(t.TempDir(), standin.Name)
	if err := os.WriteFile(path, standin.Shape(elf.EM_AARCH64, "2.17", functions...), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := financesdk.Check(path, "arm64")
	if err != nil || info.Machine != elf.EM_AARCH64 || !slices.Equal(info.Needed, []string{"libc.so.6"}) {
		t.Errorf("got %+v and %v", info, err)
	}
}
