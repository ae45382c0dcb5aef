package libcrypto_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"flag"
	"log/slog"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/needs"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/libcrypto"
)

var operations = flag.Int("operations", 2000, "private-key operations in which memory must not grow")

func open(t testing.TB) *libcrypto.Library {
	t.Helper()
	needs.OpenSSL(t)
	l, err := libcrypto.Open(libcrypto.Name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOpener(t *testing.T) { archivetest.TestOpener(t, open(t).Fit, *operations) }

// A key that no longer has an opener is freed, with its contexts.
func TestUnreachableOpenersAreFreed(t *testing.T) {
	l, freed := libcrypto.Counting(open(t))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const n = 20
	for range n {
		o, err := l.Fit(key)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = o.Open(bytes.Repeat([]byte{1}, key.Size()))
	}
	for begun := time.Now(); freed() < n; runtime.GC() {
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("got %d keys freed, want %d", freed(), n)
		}
	}
}

// Where OpenSSL fails for another reason than the ciphertext, crypto/rsa opens it.
func TestFailureIsNoWrongKey(t *testing.T) {
	l := open(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 WeCom uses this padding
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	for _, breaks := range []func(*libcrypto.Library){libcrypto.BreakDecrypt, libcrypto.BreakContexts} {
		broken := *l
		breaks(&broken)
		o, err := broken.Fit(key)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 * runtime.GOMAXPROCS(0) { // no context is lost
			if got, err := o.Open(sealed); err != nil || string(got) != "text" {
				t.Fatalf("got %q, error %v, want the text", got, err)
			}
		}
	}
}

// stub compiles a library that is not OpenSSL 3, or not a right one.
func stub(t *testing.T, flags ...string) string {
	t.Helper()
	needs.Compiler(t)
	path := filepath.Join(t.TempDir(), "libcrypto.so.3")
	args := append([]string{"-shared", "-fPIC", "-o", path, "testdata/stub.c"}, flags...)
	if out, err := exec.CommandContext(t.Context(), "cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("compile: %v: %s", err, out)
	}
	return path
}

// Where the library is missing, wrong or of another version, the other Fit is used,
// and one line of the log says why.
func TestAnotherLibraryIsNotUsed(t *testing.T) {
	const right = "-DVERSION=0x30000130L"
	for name, c := range map[string]struct{ library, reason string }{
		"missing":         {filepath.Join(t.TempDir(), "libcrypto.so.3"), "load"},
		"version 1.1":     {stub(t, "-DVERSION=0x1010117fL", "-DINIT=1", "-DKEY=&handle"), "version 1"},
		"version 4":       {stub(t, "-DVERSION=0x40000000L", "-DINIT=1", "-DKEY=&handle"), "version 4"},
		"function absent": {stub(t, right, "-DINIT=1", "-DKEY=&handle", "-DNO_DECRYPT"), "EVP_PKEY_decrypt"},
		"init refused":    {stub(t, right, "-DINIT=0", "-DKEY=&handle"), "initialised"},
		"key refused":     {stub(t, right, "-DINIT=1", "-DKEY=0"), "parse key"},
		"wrong answer":    {stub(t, right, "-DINIT=1", "-DKEY=&handle"), "wrong answer"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			var used bool
			other := func(*rsa.PrivateKey) (decode.Opener, error) {
				used = true
				return nil, nil
			}
			if _, err := libcrypto.Choose(c.library, other, slog.New(slog.NewTextHandler(&log, nil)))(nil); err != nil || !used {
				t.Errorf("got error %v, other used: %v", err, used)
			}
			if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), c.reason) {
				t.Errorf("got log %q, want one line about %s", log.String(), c.reason)
			}
		})
	}
	var log bytes.Buffer
	needs.OpenSSL(t)
	if libcrypto.Choose(libcrypto.Name, nil, slog.New(slog.NewTextHandler(&log, nil))) == nil || log.Len() > 0 {
		t.Errorf("the system's library: got log %q, want none", log.String())
	}
}

func BenchmarkOpen(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	o, err := open(b).Fit(key)
	if err != nil {
		b.Fatal(err)
	}
	//lint:ignore SA1019 WeCom uses this padding
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, bytes.Repeat([]byte("k"), 88))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			if _, err := o.Open(sealed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("all", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := o.Open(sealed); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
