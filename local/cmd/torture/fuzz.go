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
		if err := keep(ctx, o.root, t); err != nil {
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

// keep copies inputs of a target from Go's cache to its testdata, small and large ones
// alike, until there are [keptInputs].
func keep(ctx context.Context, root string, t target) error {
	out, err := command(ctx, root, "go", "list", "-f", "{{.ImportPath}}", "./"+t.Dir).Output()
	if err != nil {
		return err
	}
	cache, err := command(ctx, root, "go", "env", "GOCACHE").Output()
	if err != nil {
		return err
	}
	from := filepath.Join(strings.TrimSpace(string(cache)), "fuzz", strings.TrimSpace(string(out)), t.Name)
	return keepInputs(from, filepath.Join(root, t.Dir, "testdata", "fuzz", t.Name))
}

func keepInputs(from, to string) error {
	type input struct {
		name string
		size int64
	}
	var inputs []input
	found, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // nothing reached new code
		return err
	}
	for _, entry := range found {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Size() <= keptBytes {
			inputs = append(inputs, input{info.Name(), info.Size()})
		}
	}
	kept, err := os.ReadDir(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	inputs = slices.DeleteFunc(inputs, func(in input) bool {
		return slices.ContainsFunc(kept, func(k os.DirEntry) bool { return k.Name() == in.name })
	})
	slices.SortFunc(inputs, func(a, b input) int { return cmp.Or(cmp.Compare(a.size, b.size), cmp.Compare(a.name, b.name)) })
	more := min(keptInputs-len(kept), len(inputs))
	if more <= 0 {
		return nil
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for i := range more {
		name := inputs[i*len(inputs)/more].name
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
