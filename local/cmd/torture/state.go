package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// state is the folder that keeps the progress of each part.
func (o options) state() string { return filepath.Join(o.root, "build", "torture") }

func (o options) load(part string, v any) error {
	b, err := os.ReadFile(filepath.Join(o.state(), part+".json"))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// save replaces the progress of a part. After a crash the old one or the new one is
// there.
func (o options) save(part string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	name := filepath.Join(o.state(), part+".json")
	if err := os.WriteFile(name+".new", b, 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// compile builds the tests of a package. build is a digest of the binary: progress
// counts for the same build only.
func (o options) compile(ctx context.Context, pkg, name string) (binary, build string, err error) {
	if binary, err = filepath.Abs(filepath.Join(o.state(), name+".test")); err != nil {
		return "", "", err
	}
	if said, err := command(ctx, o.root, "go", "test", "-vet=off", "-c", "-o", binary, "./"+pkg).CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("build the tests of %s: %w\n%s", pkg, err, said)
	}
	build, err = digest(binary)
	return binary, build, err
}

// digest is a digest of files, and of the files in folders, with their paths.
func digest(paths ...string) (string, error) {
	sum := sha256.New()
	for _, root := range paths {
		err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			f, err := os.Open(p)
			if err != nil {
				return err
			}
			defer f.Close()
			content := sha256.New()
			if _, err := io.Copy(content, f); err != nil {
				return err
			}
			fmt.Fprintf(sum, "%q %x\n", p, content.Sum(nil))
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("digest of a build: %w", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// finished says that a part has nothing left to do.
func (o options) finished(what string) {
	fmt.Fprintf(o.out, "%s already done for this build: AGAIN=1 runs it again\n", what)
}
