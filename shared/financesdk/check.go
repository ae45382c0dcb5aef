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

// A LoadError is the reason why a library cannot be used. Its text holds no
// secret.
type LoadError struct {
	Fault sdkproto.Fault // FaultMissing, FaultMachine, FaultSymbol or FaultLoad
	Note  string
}

func (e *LoadError) Error() string { return fmt.Sprintf("library %s: %s", e.Fault, e.Note) }

// Info describes a library's file.
type Info struct {
	Machine elf.Machine
	Needed  []string // names of the libraries that this library needs
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// Check reads the library's file without loading it. The file must be a shared
// object for goarch (amd64 or arm64) with all 17 functions. The error is a
// [*LoadError]. Check names a library for another processor itself, because the
// loader's message for it is misleading.
func Check(path, goarch string) (Info, error) {
	f, err := elf.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, &LoadError{sdkproto.FaultMissing, "missing file: " + path}
	}
	if err != nil {
		return Info{}, &LoadError{sdkproto.FaultMachine, fmt.Sprintf("%s is no shared object: %v", path, err)}
	}
	defer f.Close()
	want, ok := machines[goarch]
	if !ok {
		return Info{}, &LoadError{sdkproto.FaultMachine, "no library of the vendor for " + goarch}
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

// checkHere checks the library for this machine's processor.
func checkHere(path string) error {
	_, err := Check(path, runtime.GOARCH)
	return err
}
