package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/local/standin"
)

func TestMain(m *testing.M) {
	// The tests are this program, as probeOffline starts it.
	if len(os.Args) > 1 && os.Args[1] == probeCommand {
		main()
		return
	}
	os.Exit(built.Main(m))
}

// The variants of the stand-in.
func strict(t testing.TB) string  { return built.Library(t, standin.InitChecksSecret()) }
func lacking(t testing.TB) string { return built.Library(t, standin.Without("GetMediaData")) }
func forARM(t testing.TB) string  { return built.Library(t, standin.ForMachine(elf.EM_AARCH64)) }

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
	md5sum, sha := digests(t, built.Library(t))
	_, armSHA := digests(t, forARM(t))
	_, lackingSHA := digests(t, lacking(t))
	junk := filepath.Join(t.TempDir(), libraryName)
	if err := os.WriteFile(junk, []byte("<html>not found</html>"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, sdk, arch, consent string
		want                     string // in the error; empty for success
	}{
		{"package, with consent", pack(t, built.Library(t), md5sum+"  libWeWorkFinanceSdk_C.so\n"), "x86_64", sha, ""},
		{"library, with consent", built.Library(t), "x86_64", strings.ToUpper(sha), ""},
		{"folder, with consent", filepath.Dir(built.Library(t)), "x86_64", sha, ""},
		{"package without sums", pack(t, built.Library(t), "see the web page\n"), "x86_64", sha, ""},
		{"for the other processor, as asked", forARM(t), "arm64", armSHA, ""},
		{"unknown, without consent", built.Library(t), "x86_64", "", "CONSENT=" + sha},
		{"consent for another", built.Library(t), "x86_64", armSHA, "another library"},
		{"damaged", pack(t, built.Library(t), strings.Repeat("0", 32)+"  libWeWorkFinanceSdk_C.so\n"), "x86_64", sha, "damaged"},
		{"for the other processor", forARM(t), "x86_64", armSHA, "EM_AARCH64"},
		{"not for the other processor", built.Library(t), "arm64", sha, "EM_X86_64"},
		{"lacks a function", lacking(t), "x86_64", lackingSHA, "lacks GetMediaData"},
		{"no library", junk, "x86_64", "", "no shared object"},
		{"no such file", "missing.tgz", "x86_64", "", "no such file"},
		{"empty folder", t.TempDir(), "x86_64", "", "has no " + libraryName},
		{"nothing named", "", "x86_64", "", "SDK="},
		{"no such processor", built.Library(t), "riscv64", sha, "want x86_64 or arm64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			into := t.TempDir()
			var out bytes.Buffer
			err := run(t.Context(), []string{"install", "-worker", built.Worker(t), "-arch", c.arch, "-into", into, "-consent", c.consent, c.sdk}, &out)
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
	md5sum, _ := digests(t, built.Library(t))
	for _, c := range []struct {
		name, sdk string
		offline   []string // what calls without a network say
	}{
		{"init works alone", pack(t, built.Library(t), md5sum), []string{"worker   loads it", "decoding needs nobody", "DecryptData of nonsense: DecryptData returned 10"}},
		{"init asks", strict(t), []string{"worker   loads it", "Init     asks WeCom", "set DecodeIdentity"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The part without a network is another process, which writes to a
			// file of its own.
			file, err := os.Create(filepath.Join(t.TempDir(), "report"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if err := run(t.Context(), []string{"check", "-worker", built.Worker(t), c.sdk}, file); err != nil {
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
	err := run(t.Context(), []string{"check", "-worker", built.Worker(t), lacking(t)}, &out)
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
