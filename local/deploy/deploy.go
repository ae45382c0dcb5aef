// Package deploy judges a deployment before AWS is asked to make it: the
// settings of samconfig.toml, template.yaml with them, and what was built.
//
// It does not deploy; `sam deploy` does. The tests beside this file hold the
// template against what the design promises: who may do what, which resources
// outlive the stack, which alarm has which runbook.
package deploy

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/yunduo-scrm/archive/local/cloud/template"
)

// An Environment is a block of samconfig.toml, what --config-env names.
type Environment struct {
	Name       string
	Stack      string
	Region     string
	Parameters map[string]string // parameter_overrides
}

// Environments reads samconfig.toml, by name.
func Environments(source []byte) (map[string]Environment, error) {
	var doc map[string]any
	if err := toml.Unmarshal(source, &doc); err != nil {
		return nil, fmt.Errorf("reading samconfig.toml: %w", err)
	}
	all := map[string]Environment{}
	for name, block := range doc {
		commands, ok := block.(map[string]any)
		if !ok {
			continue // version
		}
		global := section(commands, "global")
		e := Environment{Name: name, Parameters: map[string]string{}}
		e.Stack, _ = global["stack_name"].(string)
		e.Region, _ = global["region"].(string)
		overrides, _ := global["parameter_overrides"].(string)
		for _, pair := range strings.Fields(overrides) {
			k, v, ok := strings.Cut(pair, "=")
			if !ok {
				return nil, fmt.Errorf("samconfig.toml: %s: %q is no Name=Value", name, pair)
			}
			if _, twice := e.Parameters[k]; twice {
				return nil, fmt.Errorf("samconfig.toml: %s: %s is given twice", name, k)
			}
			e.Parameters[k] = v
		}
		if e.Stack == "" || e.Region == "" {
			return nil, fmt.Errorf("samconfig.toml: %s: stack_name or region is missing", name)
		}
		all[name] = e
	}
	return all, nil
}

func section(commands map[string]any, name string) map[string]any {
	command, _ := commands[name].(map[string]any)
	parameters, _ := command["parameters"].(map[string]any)
	return parameters
}

// placeholders are what samconfig.toml comes with and nobody owns.
var placeholders = []string{"example.com", "111122223333"}

// Check says everything that is wrong with deploying e from the repository at
// root: values that are still the examples', what CloudFormation would refuse
// of the parameters, a vendor library that is not in place or for another
// processor than e asks for, and, if `sam build` has been run, the same of what
// it built.
func Check(root string, e Environment) error {
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(e.Parameters)) {
		for _, p := range placeholders {
			if strings.Contains(e.Parameters[name], p) {
				errs = append(errs, fmt.Errorf("%s is still the example's %q: enter your own in samconfig.toml", name, e.Parameters[name]))
				break
			}
		}
	}
	errs = append(errs, template.Check(source, template.Options{StackName: e.Stack, Region: e.Region, Parameters: e.Parameters}))
	processor := e.Parameters["Architecture"]
	if processor == "" {
		parameters, err := template.Parameters(source)
		if err != nil {
			return err
		}
		processor = parameters["Architecture"].Default
	}
	errs = append(errs, checkLibrary(filepath.Join(root, "layers", "finance-sdk", "lib"), processor))
	errs = append(errs, checkBuild(filepath.Join(root, ".aws-sam", "build"), processor))
	return errors.Join(errs...)
}

// checkLibrary reads what make layer wrote: the processor that is built for.
func checkLibrary(lib, processor string) error {
	b, err := os.ReadFile(filepath.Join(lib, "arch"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the vendor's library is not in place: run make layer SDK=<its package> ARCH=%s", processor)
	}
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(b)); got != processor {
		return fmt.Errorf("the vendor's library in place is for %s, but Architecture is %s: run make layer SDK=<its package> ARCH=%s, or change Architecture", got, processor, processor)
	}
	return nil
}

// machines are the processors that Lambda has, by the template's names.
var machines = map[string]elf.Machine{"x86_64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkBuild looks at every program and library below dir; no dir is no error.
func checkBuild(dir, processor string) error {
	want, ok := machines[processor]
	if !ok {
		return nil // the template's list has refused it
	}
	var errs []error
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := elf.Open(path)
		if err != nil {
			if format := (*elf.FormatError)(nil); errors.As(err, &format) {
				return nil // template.yaml and such
			}
			return err
		}
		defer f.Close()
		if f.Machine != want {
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			errs = append(errs, fmt.Errorf("%s was built for %v, but Architecture is %s: run make layer and sam build with ARCH=%s", rel, f.Machine, processor, processor))
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(append(errs, err)...)
}
