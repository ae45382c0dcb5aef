package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
	b, err := os.ReadFile(binary)
	if err != nil {
		return "", "", err
	}
	sum := sha256.Sum256(b)
	return binary, hex.EncodeToString(sum[:]), nil
}
