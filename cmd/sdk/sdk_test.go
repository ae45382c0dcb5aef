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
	"runtime"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
)

func TestMain(m *testing.M) {
	// probeOffline starts the program that it runs in: here, the test binary.
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

// pack makes a .tgz in the vendor's form.
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
		"C_sdk/tool_testSdk.cpp": "int main() {}", "../../escaped": "a path outside of the package",
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
	for _, c := range []struct{ name, sdk, arch, consent string }{
		{"package, with consent", pack(t, built.Library(t), md5sum+"  libWeWorkFinanceSdk_C.so\n"), "x86_64", sha},
		{"library, with consent", built.Library(t), "x86_64", strings.ToUpper(sha)},
		{"folder, with consent", filepath.Dir(built.Library(t)), "x86_64", sha},
		{"package without digests", pack(t, built.Library(t), "see the web page\n"), "x86_64", sha},
		{"library for arm64", forARM(t), "arm64", armSHA},
	} {
		t.Run(c.name, func(t *testing.T) {
			into := t.TempDir()
			out, err := installInto(t, into, c.sdk, c.arch, c.consent)
			if err != nil {
				t.Fatal(err)
			}
			placed, err := os.ReadFile(filepath.Join(into, c.arch, libraryName))
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%x", sha256.Sum256(placed)); !strings.EqualFold(got, c.consent) {
				t.Errorf("installed library: got SHA-256 %s, want %s", got, c.consent)
			}
			if b, err := os.ReadFile(filepath.Join(into, "arch")); err != nil || string(b) != c.arch+"\n" {
				t.Errorf("arch: got %q and %v, want %s", b, err, c.arch)
			}
			left, err := filepath.Glob(filepath.Join(into, c.arch, ".new-*"))
			if err != nil || len(left) > 0 {
				t.Errorf("temporary folders: got %v and %v, want an empty list", left, err)
			}
			for _, want := range []string{"all 17 functions", "sha256", "in place"} {
				if !strings.Contains(out, want) {
					t.Errorf("output: got %q, want %q in it", out, want)
				}
			}
		})
	}
}

// The record decides whether decode's workers have sockets. It must exist for a
// library whose Init works without them, and for no other library.
func TestInstallRecordsWhetherInitNeedsSockets(t *testing.T) {
	into, host := t.TempDir(), "x86_64"
	if runtime.GOARCH == "arm64" {
		host = "arm64"
	}
	library := filepath.Join(into, host, libraryName)
	for _, c := range []struct {
		name, sdk, line string
		want            bool
	}{
		{"Init works alone", built.Library(t), "offline  recorded", true},
		{"Init needs WeCom, over an old record", strict(t), "offline  not recorded, decode keeps its sockets: Init returned 10001", false},
		{"Init works alone again", built.Library(t), "offline  recorded", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, sha := digests(t, c.sdk)
			out, err := installInto(t, into, c.sdk, host, sha)
			if err != nil {
				t.Fatal(err)
			}
			wantLines(t, out, c.line)
			if got := sdkworker.WorksOffline(library); got != c.want {
				t.Errorf("works offline: got %t, want %t", got, c.want)
			}
			if _, err := os.Stat(sdkworker.OfflineRecord(library)); (err == nil) != c.want {
				t.Errorf("record: got %v, want it to exist: %t", err, c.want)
			}
		})
	}
	t.Run("other processor", func(t *testing.T) {
		other, sdk := "arm64", forARM(t)
		if host == "arm64" {
			other, sdk = "x86_64", built.Library(t, standin.ForMachine(elf.EM_X86_64))
		}
		_, sha := digests(t, sdk)
		out, err := installInto(t, into, sdk, other, sha)
		if err != nil {
			t.Fatal(err)
		}
		wantLines(t, out, "offline  not recorded, decode keeps its sockets: this machine has another processor")
		if sdkworker.WorksOffline(filepath.Join(into, other, libraryName)) {
			t.Error("works offline: got true for a library that was never loaded")
		}
	})
}

func TestInstallRefuses(t *testing.T) {
	_, sha := digests(t, built.Library(t))
	_, armSHA := digests(t, forARM(t))
	_, lackingSHA := digests(t, lacking(t))
	page := filepath.Join(t.TempDir(), libraryName)
	if err := os.WriteFile(page, []byte("<html>not found</html>"), 0o644); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "package.tgz")
	if err := os.WriteFile(text, []byte("not found"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, sdk, arch, consent, want string }{
		{"unknown library without consent", built.Library(t), "x86_64", "", "CONSENT=" + sha},
		{"consent for another library", built.Library(t), "x86_64", armSHA, "another library"},
		{"damaged package", pack(t, built.Library(t), strings.Repeat("0", 32)+"  libWeWorkFinanceSdk_C.so\n"), "x86_64", sha, "damaged"},
		{"arm64 library for x86_64", forARM(t), "x86_64", armSHA, "is for arm64, and ARCH is x86_64: fetch the vendor's package for x86_64, or run the same command with ARCH=arm64"},
		{"x86_64 library for arm64", built.Library(t), "arm64", sha, "is for x86_64, and ARCH is arm64"},
		{"library without one function", lacking(t), "x86_64", lackingSHA, "lacks GetMediaData"},
		{"web page as library", page, "x86_64", "", page + " is neither the vendor's package, its folder, nor a shared object"},
		{"text as package", text, "x86_64", "", text + " is neither the vendor's package, its folder, nor a shared object"},
		{"web page in a folder", filepath.Dir(page), "x86_64", "", "contains a " + libraryName + " that is no shared object"},
		{"missing file", "missing.tgz", "x86_64", "", "no such file"},
		{"empty folder", t.TempDir(), "x86_64", "", "contains no " + libraryName},
		{"empty path", "", "x86_64", "", "SDK="},
		{"unknown processor", built.Library(t), "riscv64", sha, "want x86_64 or arm64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			into := t.TempDir()
			_, err := installInto(t, into, c.sdk, c.arch, c.consent)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(into, c.arch, libraryName)); err == nil {
				t.Error("library installed after an error")
			}
		})
	}
}

func installInto(t *testing.T, into, sdk, arch, consent string) (output string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = run(t.Context(), []string{"install", "-worker", built.Worker(t), "-arch", arch, "-into", into, "-consent", consent, sdk}, &out)
	return out.String(), err
}

// MD5 can be forged. So a library with the MD5 of a release must also have its
// SHA-256, if that is recorded.
func TestKnownReleases(t *testing.T) {
	known := vendorPackage{library: []byte("made up")}
	releases[known.md5()] = release{"9.9", "x86_64", known.sha256()}
	t.Cleanup(func() { delete(releases, known.md5()) })
	if r, ok := known.release(); !ok || r.version != "9.9" {
		t.Errorf("got %v, %t, want version 9.9", r, ok)
	}
	releases[known.md5()] = release{"9.9", "x86_64", strings.Repeat("0", 64)}
	if _, ok := known.release(); ok {
		t.Error("library with another SHA-256: got a known release")
	}
}

func TestCheckReports(t *testing.T) {
	md5sum, _ := digests(t, built.Library(t))
	for _, c := range []struct {
		name, sdk string
		offline   []string // lines about the calls without a network
	}{
		{"Init works without WeCom", pack(t, built.Library(t), md5sum), []string{"worker   loads the library", "decoding needs no WeCom", "and without sockets: make layer records that", "DecryptData of a made-up message: DecryptData returned 10"}},
		{"Init needs WeCom", strict(t), []string{"worker   loads the library", "Init     needs WeCom", "set DecodeIdentity"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := checkReport(t, c.sdk)
			wantLines(t, report, "version  unknown", "all 17 functions", "needs ", "glibc ", "certs ", "sha256 ")
			if strings.Contains(report, "permits no network namespace") {
				return // this machine cannot run the calls, and the report says so
			}
			wantLines(t, report, c.offline...)
		})
	}
}

// checkReport runs sdk check. The calls without a network run in another
// process, so the report goes to a file that both share.
func checkReport(t *testing.T, sdk string) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "report"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := run(t.Context(), []string{"check", "-worker", built.Worker(t), sdk}, file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func wantLines(t *testing.T, report string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(report, want) {
			t.Errorf("got\n%s\nwant %q in it", report, want)
		}
	}
}

func TestCheckRefusesALibraryWithoutOneFunction(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), []string{"check", "-worker", built.Worker(t), lacking(t)}, &out)
	if err == nil || !strings.Contains(err.Error(), "lacks GetMediaData") {
		t.Errorf("got %v, want an error with the missing function", err)
	}
}

func TestCheckRefusesALibraryOfAnotherProcessor(t *testing.T) {
	library, processor := forARM(t), "arm64"
	if runtime.GOARCH == "arm64" {
		library, processor = built.Library(t, standin.ForMachine(elf.EM_X86_64)), "x86_64"
	}
	var out bytes.Buffer
	err := run(t.Context(), []string{"check", "-worker", built.Worker(t), library}, &out)
	if want := "the library is for " + processor + ", but this machine has another processor: run make sdk-check"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
}

func TestCertificatesInALibrary(t *testing.T) {
	var out bytes.Buffer
	certificates(&out, []byte("\x00/etc/pki/tls/certs/ca-bundle.crt\x00x/usr/local/ssl/cert.pem\x01/etc/hosts\x00"))
	for _, want := range []string{"/etc/pki/tls/certs/ca-bundle.crt (", "present on Lambda", "/usr/local/ssl/cert.pem ("} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %q, want %q in it", out.String(), want)
		}
	}
	if strings.Contains(out.String(), "hosts") {
		t.Errorf("got %q, want no path without certificates", out.String())
	}
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"2.9", "2.34", true}, {"2.34", "2.34", false}, {"2.38", "2.34", false}, {"", "2.2.5", true}, {"2.2.5", "2.3", true}} {
		if got := older(c.a, c.b); got != c.want {
			t.Errorf("%s older than %s: got %t, want %t", c.a, c.b, got, c.want)
		}
	}
}
