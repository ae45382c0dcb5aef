package deploy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The operators' commands compile for macOS, where make layer, ready, cost and deploy
// work, and for Windows, where a person may start them without make. Everything compiles
// for arm64. The type checker finds most of what a compiler would: it reads neither the
// bodies of dependencies nor assembly, and links nothing. It needs seconds; to compile
// AWS's SDK for four more systems would take many minutes.
func TestCommandsCompileElsewhere(t *testing.T) {
	t.Parallel()
	commands, all := []string{"./cmd/..."}, []string{"./cmd/...", "./local/...", "./functions/...", "./layers/..."}
	for _, c := range []struct {
		system, processor string
		patterns          []string
	}{
		{"darwin", "arm64", append(commands, "./layers/finance-sdk/worker")},
		{"darwin", "amd64", commands},
		{"windows", "amd64", commands},
		{"linux", "arm64", all},
	} {
		t.Run(c.system+"/"+c.processor, func(t *testing.T) {
			if checked, err := typeCheck(t, c.system, c.processor, c.patterns...); err != nil || checked < 20 {
				t.Errorf("got %d packages of this module checked, and %v; want many and success", checked, err)
			}
		})
	}
}

// typeCheck checks the packages of the patterns, and all that they need, as a compiler
// for another system does. It checks the bodies of this module's functions only. It
// returns how many packages of this module there are.
func typeCheck(t *testing.T, system, processor string, patterns ...string) (checked int, err error) {
	t.Helper()
	const module = "github.com/yunduo-scrm/archive/"
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap"}, patterns...)...)
	cmd.Dir, cmd.Stderr = root, &bytes.Buffer{}
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+processor, "CGO_ENABLED=0")
	listed, err := cmd.Output()
	if err == nil && strings.Contains(fmt.Sprint(cmd.Stderr), "matched no packages") {
		err = errors.New("a pattern has none")
	}
	if err != nil {
		return 0, fmt.Errorf("list packages: %w\n%s", err, cmd.Stderr)
	}
	done := imports{"unsafe": types.Unsafe}
	// Each package follows those that it needs.
	for packages := json.NewDecoder(bytes.NewReader(listed)); ; {
		var p struct {
			ImportPath, Dir string
			GoFiles         []string
			ImportMap       map[string]string // the standard library's own copies
		}
		if err := packages.Decode(&p); errors.Is(err, io.EOF) {
			return checked, nil
		} else if err != nil {
			return checked, err
		}
		if p.ImportPath == "unsafe" {
			continue
		}
		fset, own := token.NewFileSet(), strings.HasPrefix(p.ImportPath, module)
		var files []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return checked, err
			}
			files = append(files, f)
		}
		var faults []error
		config := types.Config{
			Importer: mapped{done, p.ImportMap}, Sizes: types.SizesFor("gc", processor), IgnoreFuncBodies: !own,
			Error: func(err error) { faults = append(faults, err) },
		}
		done[p.ImportPath], _ = config.Check(p.ImportPath, fset, files, nil)
		if err := errors.Join(faults...); err != nil && own {
			return checked, err
		} else if err != nil {
			return checked, fmt.Errorf("a package that this module needs: %w", err)
		}
		if own {
			checked++
		}
	}
}

// imports are the packages that are checked, by path.
type imports map[string]*types.Package

// mapped finds the imports of one package.
type mapped struct {
	imports
	paths map[string]string
}

// Import implements [types.Importer].
func (m mapped) Import(path string) (*types.Package, error) {
	if other, ok := m.paths[path]; ok {
		path = other
	}
	if p, ok := m.imports[path]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("%s is not listed before its user", path)
}
