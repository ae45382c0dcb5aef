package aws

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// DynamoDB Local comes from an npm package that carries AWS's own jar. The
// package is only unpacked, never installed: installing it brings a whole
// command line with it.
const (
	npmPackage   = "amplify-dynamodb-simulator@2.9.30"
	npmTarball   = "amplify-dynamodb-simulator-2.9.30.tgz"
	npmIntegrity = "sha512-xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
	npmFolder    = "package/emulator/" // of the jar, within the package
)

//go:embed LoopbackDynamoDB.java
var loopbackSource []byte

// dynamoDB is DynamoDB Local, ready to run.
type dynamoDB struct {
	java    string // the program
	jars    string // folder of the jar and its native libraries
	classes string // folder of the compiled LoopbackDynamoDB
}

// prepareDynamoDB fetches and compiles what is not in the cache yet. Several
// processes may do so at once: one works, the others wait.
func prepareDynamoDB(ctx context.Context, cache string, log func(string)) (dynamoDB, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return dynamoDB{}, errors.New("java is missing, which runs DynamoDB Local: install a JDK, version 17 or newer (Debian: apt-get install default-jdk-headless)")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return dynamoDB{}, err
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return dynamoDB{}, fmt.Errorf("lock the cache folder: %w", err)
	}
	defer unlock()

	// Each folder is named by what is in it, and appears whole or not at all.
	jars := filepath.Join(cache, jarsFolder())
	if err := build(jars, func(dir string) error {
		log(progress + "DynamoDB Local (" + npmPackage + "), once")
		return fetchDynamoDB(ctx, dir)
	}); err != nil {
		return dynamoDB{}, fmt.Errorf("fetch DynamoDB Local: %w", err)
	}
	sourceDigest := sha256.Sum256(append(loopbackSource, npmIntegrity...))
	classes := filepath.Join(cache, "dynamodb-loopback-"+hex.EncodeToString(sourceDigest[:6]))
	if err := build(classes, func(dir string) error { return compile(ctx, jars, dir) }); err != nil {
		return dynamoDB{}, fmt.Errorf("compile for DynamoDB Local: %w", err)
	}
	return dynamoDB{java: java, jars: jars, classes: classes}, nil
}

// jarsFolder names the folder of DynamoDB Local in the cache.
// local/setup/setup.sh follows the same rule.
func jarsFolder() string {
	digest := sha256.Sum256([]byte(npmIntegrity))
	return "dynamodb-local-" + hex.EncodeToString(digest[:6])
}

// command runs it with its tables in dir, or in memory if dir is empty.
func (d dynamoDB) command(dir string) ([]string, error) {
	c := []string{
		d.java,
		"-Djava.library.path=" + filepath.Join(d.jars, "DynamoDBLocal_lib"),
		"-XX:-UsePerfData", // no file in the temporary folder
		"-Xmx1g",
		"-cp", d.classes + ":" + classPath(d.jars),
		"LoopbackDynamoDB",
	}
	if dir == "" {
		return c, nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return nil, err
	}
	return append(c, abs), nil
}

// env keeps telemetry off a second time; LoopbackDynamoDB sends none.
func (d dynamoDB) env() []string { return []string{"DDB_LOCAL_TELEMETRY=0"} }

func classPath(jars string) string {
	return filepath.Join(jars, "DynamoDBLocal.jar") + ":" + filepath.Join(jars, "DynamoDBLocal_lib", "*")
}

// fetchDynamoDB leaves the jar and what it needs in dir.
func fetchDynamoDB(ctx context.Context, dir string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("npm is missing, which fetches it: install Node.js with npm")
	}
	tmp, err := os.MkdirTemp("", "dynamodb-local-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(ctx, npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", tmp, npmPackage)
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm pack %s: %w\n%s", npmPackage, err, out)
	}
	tarball, err := os.ReadFile(filepath.Join(tmp, npmTarball))
	if err != nil {
		return err
	}
	sum := sha512.Sum512(tarball)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != npmIntegrity {
		return fmt.Errorf("%s has integrity %s, want %s: refused", npmPackage, got, npmIntegrity)
	}
	return unpack(tarball, npmFolder, dir)
}

// unpack writes the files below prefix of a gzipped tar into dir.
func unpack(tarball []byte, prefix, dir string) error {
	zipped, err := gzip.NewReader(bytes.NewReader(tarball))
	if err != nil {
		return err
	}
	for files := tar.NewReader(zipped); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(h.Name, prefix)
		if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		if !filepath.IsLocal(name) {
			return fmt.Errorf("the package holds a file outside of its folder: %q", h.Name)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		content, err := io.ReadAll(files)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
}

func compile(ctx context.Context, jars, dir string) error {
	javac, err := exec.LookPath("javac")
	if err != nil {
		return errors.New("javac is missing: install a JDK, not only a JRE (Debian: apt-get install default-jdk-headless)")
	}
	source := filepath.Join(dir, "LoopbackDynamoDB.java")
	if err := os.WriteFile(source, loopbackSource, 0o644); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, javac, "-cp", classPath(jars), "-d", dir, source).CombinedOutput(); err != nil {
		return fmt.Errorf("javac: %w\n%s", err, out)
	}
	return nil
}

// build makes the folder dir with fill, unless it is there. A crash leaves
// only a folder of another name behind.
func build(dir string, fill func(dir string) error) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "building-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := fill(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// lock waits for the only hold on the file. A process that ends gives it up.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
