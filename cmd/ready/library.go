package main

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/local/cloud/template"
)

// processor is the processor that e sets, or the template's default.
func processor(e deploy.Block, source []byte) (string, error) {
	if p := e.Parameters["Architecture"]; p != "" {
		return p, nil
	}
	parameters, err := template.Parameters(source)
	return parameters["Architecture"].Default, err
}

// checkLibrary compares the processor with the file that make layer wrote.
func checkLibrary(lib, processor string) error {
	b, err := os.ReadFile(filepath.Join(lib, "arch"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("vendor library missing: run make layer SDK=<its package> ARCH=%s", processor)
	}
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(b)); got != processor {
		return fmt.Errorf("the vendor library is for %s, but Architecture is %s: run make layer SDK=<its package> ARCH=%s, or change Architecture", got, processor, processor)
	}
	return nil
}

// machines maps the template's names of Lambda's processors to ELF machines.
var machines = map[string]elf.Machine{"x86_64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkBuild compares every program and library below dir with the processor.
func checkBuild(dir, processor string) error {
	want, ok := machines[processor]
	if !ok {
		return nil // template.Check has refused this value
	}
	var errs []error
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := elf.Open(path)
		if err != nil {
			if format := (*elf.FormatError)(nil); errors.As(err, &format) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil // a text file such as template.yaml
			}
			return err
		}
		defer f.Close()
		if f.Machine != want {
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			errs = append(errs, fmt.Errorf("%s is built for %v, but Architecture is %s: run make layer SDK=<its package> ARCH=%s and sam build", rel, f.Machine, processor, processor))
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("build output missing: run sam build")
	}
	return errors.Join(append(errs, err)...)
}

// checkConsole compares the console that the function api embeds with the one that
// is built: its digest is in the program.
func checkConsole(root, build string) error {
	var console struct{ Digest string }
	b, err := os.ReadFile(filepath.Join(root, "functions", "api", "internal", "console", "dist", "build.json"))
	if err == nil {
		err = json.Unmarshal(b, &console)
	}
	if err != nil || console.Digest == "" {
		return errors.New("console missing: run make web and sam build")
	}
	program, err := os.ReadFile(filepath.Join(build, "ApiFunction", "bootstrap"))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("build output of ApiFunction missing: run sam build")
	}
	if err != nil {
		return err
	}
	if !bytes.Contains(program, []byte(console.Digest)) {
		return errors.New("ApiFunction/bootstrap has another console than the one that is built: run sam build")
	}
	return nil
}

// checkBuilt returns the faults of the output of `sam build` for e: the output is
// missing, is for another processor, or has another console.
func checkBuilt(root string, e deploy.Block) error {
	source, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return err
	}
	processor, err := processor(e, source)
	if err != nil {
		return err
	}
	build := filepath.Join(root, ".aws-sam", "build")
	if err := checkBuild(build, processor); err != nil {
		return err
	}
	return checkConsole(root, build)
}
