package deploy_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/cloud/template"
	"github.com/yunduo-scrm/archive/local/needs"
	"github.com/yunduo-scrm/archive/local/standin"
)

// scratch copies what builds need to another folder, as sam does.
func scratch(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "Makefile", "template.yaml"} {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"functions", "shared", "layers"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, ".so") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			b, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // an editor's, gone already
			}
			if err != nil {
				return err
			}
			to := filepath.Join(dir, rel)
			return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, b, 0o644))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// build runs the target that sam runs for a resource, and returns what it put
// into ARTIFACTS_DIR.
func build(ctx context.Context, dir, id string) (artifacts, output string, err error) {
	artifacts = filepath.Join(dir, "artifacts", id)
	if err := os.MkdirAll(artifacts, 0o755); err != nil {
		return "", "", err
	}
	cmd := exec.CommandContext(ctx, "make", "build-"+id)
	cmd.Dir = dir
	// Of a make that runs the tests nothing is passed on.
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); name != "MAKEFLAGS" && name != "MAKELEVEL" && name != "MFLAGS" && name != "ARCH" {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "ARTIFACTS_DIR="+artifacts)
	out, err := cmd.CombinedOutput()
	return artifacts, string(out), err
}

// processor is this machine's, as the template calls it.
func processor() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// putLibrary does what make layer does, with the stand-in.
func putLibrary(t *testing.T, dir string) {
	t.Helper()
	lib := filepath.Join(dir, "layers", "finance-sdk", "lib")
	if err := os.MkdirAll(filepath.Join(lib, processor()), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := standin.Build(t.Context(), filepath.Join(lib, processor())); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(lib, "arch"), []byte(processor()+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLayerWithoutLibrary(t *testing.T) {
	t.Parallel()
	_, out, err := build(t.Context(), scratch(t), "FinanceSdkLayer")
	if err == nil || !strings.Contains(out, "is not in place: fetch its package") || !strings.Contains(out, "make layer SDK=") {
		t.Errorf("got %v, %q, want a failure that says what to do", err, out)
	}
}

// Everything that is deployed is built by the targets that sam calls, zipped,
// unzipped elsewhere, and run under the Runtime API as it is: companies set the
// archive up, chat, and read what they said. Every function, asked directly,
// answers. And whatever the functions ask of AWS meanwhile, their roles grant.
func TestPackages(t *testing.T) {
	needs.Servers(t)
	t.Parallel()
	dir := scratch(t)
	putLibrary(t, dir)
	source, err := os.ReadFile(filepath.Join(dir, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	described, err := template.Read(source, template.Options{
		StackName: "x", Region: "cn-north-1", QueueEndpoint: "http://127.0.0.1:1",
		Parameters: map[string]string{"TrustedIps": "127.0.0.1", "PublicUrl": "http://127.0.0.1", "JwtIssuer": "http://127.0.0.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{"FinanceSdkLayer"}
	for _, f := range described.Functions {
		ids = append(ids, f.ID)
	}
	deployed := t.TempDir()
	if err := os.WriteFile(filepath.Join(deployed, "template.yaml"), source, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		artifacts, out, err := build(t.Context(), dir, id)
		if err != nil {
			t.Fatalf("make build-%s: %v\n%s", id, err, out)
		}
		var zipped bytes.Buffer
		if _, err := deploy.Zip(&zipped, os.DirFS(artifacts)); err != nil {
			t.Fatal(err)
		}
		// Lambda takes 50 MB of a zip; a small one also starts sooner.
		if n := zipped.Len(); n > 8<<20 {
			t.Errorf("%s is %d bytes zipped, want at most 8 MB", id, n)
		}
		unzip(t, zipped.Bytes(), filepath.Join(deployed, "build", id))
	}

	observed := &calls{stack: described, seen: map[string]call{}}
	o := cloud.Options{
		Observe: observed.observe,
		Root:    deployed, StackName: fmt.Sprintf("pkg-%d", time.Now().UnixNano()), Tick: time.Second, FailureSpeed: 20,
		Library: filepath.Join(deployed, "build", "FinanceSdkLayer", "finance-sdk", standin.Name),
		Log:     slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if services, ok := aws.FromEnv(os.Getenv); ok {
		o.Services = services
	}
	// The names of what functions call are those of this stack.
	observed.stack, err = template.Read(source, template.Options{
		StackName: o.StackName, Region: "cn-north-1", QueueEndpoint: "http://127.0.0.1:1",
		Parameters: map[string]string{"TrustedIps": "127.0.0.1", "PublicUrl": "http://127.0.0.1", "JwtIssuer": "http://127.0.0.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := cloud.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	if err := c.SetUp(t.Context()); err != nil {
		// A function that cannot start says why in its log.
		log, readErr := os.ReadFile(filepath.Join(c.Logs, "ApiFunction.log"))
		t.Fatalf("%v\n%s %v", err, log[max(0, len(log)-2000):], readErr)
	}
	for _, f := range described.Functions {
		event := `{"Records":[]}`
		switch {
		case len(f.Routes) > 0:
			event = `{"version":"2.0","rawPath":"/health","requestContext":{"http":{"method":"GET","path":"/health"},"requestId":"r"}}`
		case len(f.Schedules) > 0:
			event = `{"source":"aws.events"}`
		}
		answer, err := c.Function(f.ID).Invoke(t.Context(), []byte(event))
		if err != nil {
			t.Errorf("%s: %v", f.ID, err)
		}
		if len(f.Routes) > 0 && !strings.Contains(string(answer), `"statusCode":200`) {
			t.Errorf("%s answers %s", f.ID, answer)
		}
	}
	corp := c.Sim.Corps()[0]
	if _, err := corp.Mixed(30); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // before the test gives up
	defer cancel()
	for watch := (people.Watcher{API: c.API, Corp: corp.ID()}); ; {
		p, err := watch.Look(ctx)
		if err == nil && p.Decoded >= 30 && p.Pending == 0 {
			break
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("got %+v, error %v, want 30 messages decoded", p, err)
		}
	}
	read, err := people.ReadAll(ctx, c.API, corp)
	if err != nil {
		t.Fatal(err)
	}
	if err := people.Compare(corp.Sent(), read); err != nil {
		t.Error(err)
	}
	observed.check(t, stackOf(t, "prod").grants(t), o.StackName)
}

func unzip(t *testing.T, zipped []byte, to string) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(zipped), int64(len(zipped)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, f.Name)
		if err := errors.Join(r.Close(), os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, f.Mode())); err != nil {
			t.Fatal(err)
		}
	}
}

// The same source makes the same bytes, wherever it lies.
func TestBuildsAreReproducible(t *testing.T) {
	needs.Compiler(t)
	t.Parallel()
	// All functions are built by one rule; the worker has its own.
	for id, program := range map[string]string{"DispatchFunction": "bootstrap", "FinanceSdkLayer": "finance-sdk/worker"} {
		var sums [2][32]byte
		for i := range sums {
			dir := scratch(t)
			if id == "FinanceSdkLayer" {
				putLibrary(t, dir)
			}
			artifacts, out, err := build(t.Context(), dir, id)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			b, err := os.ReadFile(filepath.Join(artifacts, program))
			if err != nil {
				t.Fatal(err)
			}
			sums[i] = sha256.Sum256(b)
		}
		if sums[0] != sums[1] {
			t.Errorf("two builds of %s differ", id)
		}
	}
}
