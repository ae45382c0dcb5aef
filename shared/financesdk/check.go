package financesdk

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"

	"github.com/yunduo-scrm/archive/shared/sdkproto"
)

// A LoadError says why a library cannot be used. Its text holds nothing
// secret.
type LoadError struct {
	Fault sdkproto.Fault // FaultMissing, FaultMachine, FaultSymbol or FaultLoad
	Note  string
}

func (e *LoadError) Error() string { return fmt.Sprintf("library %s: %s", e.Fault, e.Note) }

// Info describes a library's file.
type Info struct {
	Machine elf.Machine
	Needed  []string // libraries that it needs itself
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// Check looks at the library's file without loading it: that it is a shared
// object for goarch (amd64 or arm64) and has all 17 functions. The error is a
// [*LoadError]. It reads the ELF header because the loader's own message for a
// library of the other processor is easily misread.
func Check(path, goarch string) (Info, error) {
	f, err := elf.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, &LoadError{sdkproto.FaultMissing, "no file " + path}
	}
	if err != nil {
		return Info{}, &LoadError{sdkproto.FaultMachine, fmt.Sprintf("%s is no shared object: %v", path, err)}
	}
	defer f.Close()
	want, ok := machines[goarch]
	if !ok {
		return Info{}, &LoadError{sdkproto.FaultMachine, "the vendor has no library for " + goarch}
	}
	if f.Type != elf.ET_DYN || f.Class != elf.ELFCLASS64 {
		return Info{}, &LoadError{sdkproto.FaultMachine, fmt.Sprintf("%s is %v, %v, want a 64-bit shared object", path, f.Type, f.Class)}
	}
	if f.Machine != want {
		return Info{}, &LoadError{sdkproto.FaultMachine, fmt.Sprintf("%s is for %v, want %v", path, f.Machine, want)}
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return Info{}, &LoadError{sdkproto.FaultSymbol, fmt.Sprintf("%s has no readable symbols: %v", path, err)}
	}
	defined := make(map[string]bool, len(symbols))
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF && elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			defined[s.Name] = true
		}
	}
	var missing []string
	for _, b := range new(functions).bindings() {
		if !defined[b.name] {
			missing = append(missing, b.name)
		}
	}
	if len(missing) > 0 {
		return Info{}, &LoadError{sdkproto.FaultSymbol, fmt.Sprintf("%s lacks %s", path, strings.Join(missing, ", "))}
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return Info{}, &LoadError{sdkproto.FaultMachine, fmt.Sprintf("%s has no readable dynamic section: %v", path, err)}
	}
	return Info{Machine: f.Machine, Needed: needed}, nil
}

func checkHere(path string) error {
	_, err := Check(path, runtime.GOARCH)
	return err
}
