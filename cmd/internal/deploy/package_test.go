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
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/cloudtest"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/cloud/template"
	"github.com/yunduo-scrm/archive/local/needs"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
)

// scratch copies the sources of a build to another folder, as sam does.
func scratch(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "Makefile", "CHANGELOG.md", "template.yaml"} {
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
				return nil // an editor removed its temporary file
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

// build runs the make target that sam runs for a resource, and returns the folder
// of its output.
func build(ctx context.Context, dir, id string) (artifacts, output string, err error) {
	artifacts = filepath.Join(dir, "artifacts", id)
	if err := os.MkdirAll(artifacts, 0o755); err != nil {
		return "", "", err
	}
	cmd := exec.CommandContext(ctx, "make", "build-"+id)
	cmd.Dir = dir
	// The settings of a make that runs the tests must not reach this one.
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); name != "MAKEFLAGS" && name != "MAKELEVEL" && name != "MFLAGS" && name != "ARCH" {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "ARTIFACTS_DIR="+artifacts)
	out, err := cmd.CombinedOutput()
	return artifacts, string(out), err
}

// processor is the template's name of this machine's processor.
func processor() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// putLibrary installs the stand-in as make layer installs a library.
func putLibrary(t *testing.T, dir string) {
	t.Helper()
	lib := filepath.Join(dir, "layers", "finance-sdk", "lib")
	if err := os.MkdirAll(filepath.Join(lib, processor()), 0o755); err != nil {
		t.Fatal(err)
	}
	library, err := standin.Build(t.Context(), filepath.Join(lib, processor()))
	if err != nil {
		t.Fatal(err)
	}
	if err := sdkworker.RecordOffline(library); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(lib, "arch"), []byte(processor()+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLayerNeedsTheLibrary(t *testing.T) {
	t.Parallel()
	_, out, err := build(t.Context(), scratch(t), "FinanceSdkLayer")
	if err == nil || !strings.Contains(out, "is not in place: fetch its package") || !strings.Contains(out, "make layer SDK=") {
		t.Errorf("got %v, %q, want a failure that names make layer", err, out)
	}
}

// Without a built console the function api would deploy without one.
func TestApiNeedsTheConsole(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	if err := os.RemoveAll(filepath.Join(dir, "functions/api/internal/console/dist/build.json")); err != nil {
		t.Fatal(err)
	}
	_, out, err := build(t.Context(), dir, "ApiFunction")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err == nil || lines[0] != "The console is not built: run make web first." || len(lines) > 2 {
		t.Errorf("got %v, %q, want a failure in one sentence, and make's own line", err, out)
	}
}

// TestPackages builds every package with the targets that sam runs, zips and
// unzips it, and runs the result under the Runtime API. Simulated companies set
// the archive up and chat, and the test reads their messages through the API.
// Every function answers a direct call. The roles of the template grant every
// call that the functions send to AWS.
func TestPackages(t *testing.T) {
	needs.Servers(t)
	t.Parallel()
	dir := scratch(t)
	putLibrary(t, dir)
	deployed, described := deployPackages(t, dir)
	o := cloud.Options{
		Root: deployed, StackName: fmt.Sprintf("pkg-%d", time.Now().UnixNano()), Tick: time.Second, FailureSpeed: 20,
		Library: filepath.Join(deployed, "build", "FinanceSdkLayer", "finance-sdk", standin.Name),
	}
	if !sdkworker.WorksOffline(o.Library) {
		t.Error("the layer lacks the record that Init works without sockets, so decode keeps them")
	}
	observed := &calls{stack: readTemplate(t, dir, o.StackName), seen: map[string]call{}}
	o.Observe = observed.observe
	c := cloudtest.Start(t, o)
	if err := c.SetUp(t.Context()); err != nil {
		// A function that cannot start logs the reason.
		log, readErr := os.ReadFile(filepath.Join(c.Logs, "ApiFunction.log"))
		t.Fatalf("%v\n%s %v", err, log[max(0, len(log)-2000):], readErr)
	}
	for _, f := range described.Functions {
		callDirectly(t, c, f)
	}
	chatAndRead(t, c)
	observed.check(t, stackOf(t, "prod").grants(t), o.StackName)
}

// readTemplate reads the template for the local cloud.
func readTemplate(t *testing.T, dir, stackName string) *template.Stack {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(dir, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := template.Read(source, template.Options{
		StackName: stackName, Region: "cn-north-1", QueueEndpoint: "http://127.0.0.1:1",
		Parameters: map[string]string{"TrustedIps": "127.0.0.1", "PublicUrl": "http://127.0.0.1", "JwtIssuer": "http://127.0.0.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// deployPackages builds the layer and every function, and unzips each package
// into a new folder, beside the template.
func deployPackages(t *testing.T, dir string) (deployed string, described *template.Stack) {
	t.Helper()
	described = readTemplate(t, dir, "x")
	ids := []string{"FinanceSdkLayer"}
	for _, f := range described.Functions {
		ids = append(ids, f.ID)
	}
	deployed = t.TempDir()
	source, err := os.ReadFile(filepath.Join(dir, "template.yaml"))
	if err == nil {
		err = os.WriteFile(filepath.Join(deployed, "template.yaml"), source, 0o644)
	}
	if err != nil {
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
			t.Errorf("%s: got a zip of %d bytes, want at most 8 MB", id, n)
		}
		unzip(t, zipped.Bytes(), filepath.Join(deployed, "build", id))
	}
	return deployed, described
}

// callDirectly sends a function an event of its own kind.
func callDirectly(t *testing.T, c *cloud.Cloud, f template.Function) {
	t.Helper()
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
		t.Errorf("%s: got answer %s, want status 200", f.ID, answer)
	}
}

// chatAndRead lets a company send 30 messages, waits until they are decoded, and
// compares them with the messages that the API returns.
func chatAndRead(t *testing.T, c *cloud.Cloud) {
	t.Helper()
	corp := c.Sim.Corps()[0]
	if _, err := corp.Mixed(30); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute) // less than the limit of the test binary
	defer cancel()
	for watch := (people.Watcher{API: c.API, Corp: corp.ID()}); ; {
		p, err := watch.Look(ctx)
		if err == nil && p.Decoded >= 30 && p.Pending == 0 {
			break
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("got %+v and %v, want 30 messages decoded", p, err)
		}
	}
	read, err := people.ReadAll(ctx, c.API, corp)
	if err != nil {
		t.Fatal(err)
	}
	if err := people.Compare(corp.Sent(), read); err != nil {
		t.Error(err)
	}
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

// The same source makes the same bytes in every folder.
func TestBuildsAreReproducible(t *testing.T) {
	needs.Compiler(t)
	t.Parallel()
	// One rule of the Makefile builds all functions, and another the worker.
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
			t.Errorf("%s: got different bytes from two builds", id)
		}
	}
}
