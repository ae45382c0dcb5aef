package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/standin"
)

// made are the worker, built for this machine, and stand-ins of the library.
var made struct{ worker, good, strict, lacking, arm string }

func TestMain(m *testing.M) {
	// The tests are this program, as probeOffline starts it.
	if len(os.Args) > 1 && os.Args[1] == probeCommand {
		main()
		return
	}
	dir, err := os.MkdirTemp("", "sdk-test-")
	if err == nil {
		err = prepare(dir)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func prepare(dir string) error {
	made.worker = filepath.Join(dir, "worker")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", made.worker, "github.com/yunduo-scrm/archive/layers/finance-sdk/worker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	for name, l := range map[string]struct {
		path    *string
		options []standin.Option
	}{
		"good":    {&made.good, nil},
		"strict":  {&made.strict, []standin.Option{standin.InitChecksSecret()}},
		"lacking": {&made.lacking, []standin.Option{standin.Without("GetMediaData")}},
		"arm":     {&made.arm, []standin.Option{standin.ForMachine(elf.EM_AARCH64)}},
	} {
		sub := filepath.Join(dir, name)
		err := os.Mkdir(sub, 0o755)
		if err == nil {
			*l.path, err = standin.Build(context.Background(), sub, l.options...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pack makes a package as the vendor ships it.
func pack(t *testing.T, library, sums string) string {
	t.Helper()
	b, err := os.ReadFile(library)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for name, content := range map[string]string{
		"C_sdk/" + libraryName: string(b), "C_sdk/md5.txt": sums, "C_sdk/version.txt": "20990101\n",
		"C_sdk/tool_testSdk.cpp": "int main() {}", "../../escaped": "nobody writes this",
	} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "sdk.tgz")
	if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func digests(t *testing.T, file string) (md5sum, sha string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", md5.Sum(b)), fmt.Sprintf("%x", sha256.Sum256(b))
}

func TestInstall(t *testing.T) {
	md5sum, sha := digests(t, made.good)
	_, armSHA := digests(t, made.arm)
	_, lackingSHA := digests(t, made.lacking)
	junk := filepath.Join(t.TempDir(), libraryName)
	if err := os.WriteFile(junk, []byte("<html>not found</html>"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, sdk, arch, consent string
		want                     string // in the error; empty for success
	}{
		{"package, with consent", pack(t, made.good, md5sum+"  libWeWorkFinanceSdk_C.so\n"), "x86_64", sha, ""},
		{"library, with consent", made.good, "x86_64", strings.ToUpper(sha), ""},
		{"folder, with consent", filepath.Dir(made.good), "x86_64", sha, ""},
		{"package without sums", pack(t, made.good, "see the web page\n"), "x86_64", sha, ""},
		{"for the other processor, as asked", made.arm, "arm64", armSHA, ""},
		{"unknown, without consent", made.good, "x86_64", "", "CONSENT=" + sha},
		{"consent for another", made.good, "x86_64", armSHA, "another library"},
		{"damaged", pack(t, made.good, strings.Repeat("0", 32)+"  libWeWorkFinanceSdk_C.so\n"), "x86_64", sha, "damaged"},
		{"for the other processor", made.arm, "x86_64", armSHA, "EM_AARCH64"},
		{"not for the other processor", made.good, "arm64", sha, "EM_X86_64"},
		{"lacks a function", made.lacking, "x86_64", lackingSHA, "lacks GetMediaData"},
		{"no library", junk, "x86_64", "", "no shared object"},
		{"no such file", "missing.tgz", "x86_64", "", "no such file"},
		{"empty folder", t.TempDir(), "x86_64", "", "has no " + libraryName},
		{"nothing named", "", "x86_64", "", "SDK="},
		{"no such processor", made.good, "riscv64", sha, "want x86_64 or arm64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			into := t.TempDir()
			var out bytes.Buffer
			err := run(t.Context(), []string{"install", "-worker", made.worker, "-arch", c.arch, "-into", into, "-consent", c.consent, c.sdk}, &out)
			placed, readErr := os.ReadFile(filepath.Join(into, c.arch, libraryName))
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got error %v, want %q in it", err, c.want)
				}
				if readErr == nil {
					t.Error("the library was put in place")
				}
				return
			}
			if err != nil || readErr != nil {
				t.Fatalf("got %v, %v", err, readErr)
			}
			if got := fmt.Sprintf("%x", sha256.Sum256(placed)); !strings.EqualFold(got, c.consent) {
				t.Errorf("another library was put in place: %s", got)
			}
			if b, err := os.ReadFile(filepath.Join(into, "arch")); err != nil || string(b) != c.arch+"\n" {
				t.Errorf("got arch %q, error %v, want %s", b, err, c.arch)
			}
			left, err := filepath.Glob(filepath.Join(into, c.arch, ".new-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left over: %v %v", left, err)
			}
			for _, want := range []string{"all 17 functions", "sha256", "in place"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("got %q, want %q in it", out.String(), want)
				}
			}
		})
	}
}

// A library that is known by its MD5 must have its SHA-256 too, where that is
// known: MD5 can be forged.
func TestKnownReleases(t *testing.T) {
	known := vendorPackage{library: []byte("made up")}
	releases[known.md5()] = release{"9.9", "x86_64", known.sha256()}
	t.Cleanup(func() { delete(releases, known.md5()) })
	if r, ok := known.release(); !ok || r.version != "9.9" {
		t.Errorf("got %v, %t, want version 9.9", r, ok)
	}
	releases[known.md5()] = release{"9.9", "x86_64", strings.Repeat("0", 64)}
	if _, ok := known.release(); ok {
		t.Error("a library with another SHA-256 was taken for the known one")
	}
}

func TestCheck(t *testing.T) {
	md5sum, _ := digests(t, made.good)
	for _, c := range []struct {
		name, sdk string
		offline   []string // what calls without a network say
	}{
		{"init works alone", pack(t, made.good, md5sum), []string{"worker   loads it", "decoding needs nobody", "DecryptData of nonsense: DecryptData returned 10"}},
		{"init asks", made.strict, []string{"worker   loads it", "Init     asks WeCom", "set DecodeIdentity"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The part without a network is another process, which writes to a
			// file of its own.
			file, err := os.Create(filepath.Join(t.TempDir(), "report"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if err := run(t.Context(), []string{"check", "-worker", made.worker, c.sdk}, file); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(file.Name())
			if err != nil {
				t.Fatal(err)
			}
			report := string(b)
			for _, want := range []string{"version  not known here", "all 17 functions", "needs ", "glibc ", "certs ", "sha256 "} {
				if !strings.Contains(report, want) {
					t.Errorf("got\n%s\nwant %q in it", report, want)
				}
			}
			if strings.Contains(report, "does not let a program be cut off") {
				return // the report says so: all that this machine allows
			}
			for _, want := range c.offline {
				if !strings.Contains(report, want) {
					t.Errorf("got\n%s\nwant %q in it", report, want)
				}
			}
		})
	}
}

func TestCheckRefusesWhatCannotBeLoaded(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), []string{"check", "-worker", made.worker, made.lacking}, &out)
	if err == nil || !strings.Contains(err.Error(), "lacks GetMediaData") {
		t.Errorf("got %v", err)
	}
}

func TestCertificatesInALibrary(t *testing.T) {
	var out bytes.Buffer
	certificates(&out, []byte("\x00/etc/pki/tls/certs/ca-bundle.crt\x00x/usr/local/ssl/cert.pem\x01/etc/hosts\x00"))
	for _, want := range []string{"/etc/pki/tls/certs/ca-bundle.crt (", "is on Lambda", "/usr/local/ssl/cert.pem ("} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %q, want %q in it", out.String(), want)
		}
	}
	if strings.Contains(out.String(), "hosts") {
		t.Errorf("got %q: no certificates are there", out.String())
	}
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"2.9", "2.34", true}, {"2.34", "2.34", false}, {"2.38", "2.34", false}, {"", "2.2.5", true}, {"2.2.5", "2.3", true}} {
		if got := older(c.a, c.b); got != c.want {
			t.Errorf("%s older than %s: got %t", c.a, c.b, got)
		}
	}
}
