package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// target is a fuzz target.
type target struct{ Dir, Name string }

func (t target) String() string { return t.Dir + " " + t.Name }

var fuzzFunc = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// targets lists the fuzz targets of the repository, sorted.
func targets(root string) (list []target, err error) {
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != root && (strings.HasPrefix(name, ".") || name == "build" || name == "node_modules" || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(p))
		if err != nil {
			return err
		}
		for _, m := range fuzzFunc.FindAllStringSubmatch(string(text), -1) {
			list = append(list, target{filepath.ToSlash(dir), m[1]})
		}
		return nil
	})
	slices.SortFunc(list, func(a, b target) int { return strings.Compare(a.String(), b.String()) })
	return list, err
}

// fuzzed is the progress of fuzzing: the targets that had their time, each with the
// digest of its package's tests, which link what the target tests.
type fuzzed struct {
	Each string            `json:"each"`
	Done map[string]string `json:"done"`
}

// What is kept of the inputs that reached new code: ordinary tests run it, and the
// repository holds it.
const (
	keptInputs = 20      // for each target, with those that broke it
	keptBytes  = 1 << 10 // in the file of one input
)

// fuzz gives each target its time. What breaks a target is kept in its testdata, and
// from then on fails an ordinary test. Some of what reached new code is kept there too.
func fuzz(ctx context.Context, o options) error {
	all, err := targets(o.root)
	if err != nil {
		return err
	}
	corpora, err := o.corpora(ctx)
	if err != nil {
		return err
	}
	p := fuzzed{Each: o.each.String(), Done: make(map[string]string)}
	if last := (fuzzed{}); !o.again && o.load("fuzz", &last) == nil && last.Each == p.Each && last.Done != nil {
		p = last
	}
	builds := make(map[string]string) // by package
	ran := false
	for i, t := range all {
		if builds[t.Dir] == "" {
			if _, builds[t.Dir], err = o.compile(ctx, t.Dir, "fuzz"); err != nil {
				return err
			}
		}
		if p.Done[t.String()] == builds[t.Dir] {
			continue
		}
		ran = true
		fmt.Fprintf(o.out, "%d of %d: %s\n", i+1, len(all), t)
		cmd := command(ctx, o.root, "go", "test", "-vet=off", "-run", "^$", "-fuzz", "^"+t.Name+"$", "-fuzztime", o.each.String(), "./"+t.Dir)
		cmd.Stdout, cmd.Stderr = o.out, o.out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		if err := keep(filepath.Join(corpora, t.Dir, t.Name), filepath.Join(o.root, t.Dir, "testdata", "fuzz", t.Name)); err != nil {
			return fmt.Errorf("keep inputs of %s: %w", t, err)
		}
		p.Done[t.String()] = builds[t.Dir]
		if err := o.save("fuzz", p); err != nil {
			return err
		}
	}
	if !ran {
		o.finished(fmt.Sprintf("the %d targets are", len(all)))
	}
	return nil
}

// corpora finds the folder of Go's cache that holds the inputs of this module's targets.
func (o options) corpora(ctx context.Context) (string, error) {
	cache, err := command(ctx, o.root, "go", "env", "GOCACHE").Output()
	if err != nil {
		return "", fmt.Errorf("find Go's cache: %w", err)
	}
	module, err := command(ctx, o.root, "go", "list", "-m").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(cache)), "fuzz", strings.TrimSpace(string(module))), nil
}

// keep copies inputs of a target from Go's cache to its testdata, small and large ones
// alike, until there are [keptInputs].
func keep(from, to string) error {
	kept, err := os.ReadDir(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	found, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // nothing reached new code
		return err
	}
	var inputs []fs.FileInfo
	for _, entry := range found {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		known := slices.ContainsFunc(kept, func(k fs.DirEntry) bool { return k.Name() == info.Name() })
		if !known && info.Size() <= keptBytes {
			inputs = append(inputs, info)
		}
	}
	more := min(keptInputs-len(kept), len(inputs))
	if more <= 0 {
		return nil
	}
	slices.SortFunc(inputs, func(a, b fs.FileInfo) int {
		return cmp.Or(cmp.Compare(a.Size(), b.Size()), cmp.Compare(a.Name(), b.Name()))
	})
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for i := range more {
		name := inputs[i*len(inputs)/more].Name()
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
