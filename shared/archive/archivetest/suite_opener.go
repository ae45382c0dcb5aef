package archivetest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// sealBlock encrypts a block as it is, without a padding of its own.
func sealBlock(key *rsa.PrivateKey, block []byte) []byte {
	c := new(big.Int).Exp(new(big.Int).SetBytes(block), big.NewInt(int64(key.E)), key.N)
	return c.FillBytes(make([]byte, key.Size()))
}

// padded makes a block 00 02 padding 00 text of size bytes.
func padded(size int, text []byte) []byte {
	b := bytes.Repeat([]byte{0x5a}, size)
	b[0], b[1] = 0, 2
	copy(b[size-len(text):], text)
	b[size-len(text)-1] = 0
	return b
}

// TestOpener checks openers of 2048-bit keys. operations is how many are done to see
// that memory does not grow.
func TestOpener(t *testing.T, fit func(*rsa.PrivateKey) (decode.Opener, error), operations int) {
	var keys [2]*rsa.PrivateKey
	var openers [2]decode.Opener
	for i := range keys {
		var err error
		if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
		if openers[i], err = fit(keys[i]); err != nil {
			t.Fatal(err)
		}
	}
	size := keys[0].Size()
	t.Run("right key", func(t *testing.T) { testTexts(t, keys[0], openers[0]) })
	t.Run("wrong key", func(t *testing.T) {
		for n := range 20 {
			text := []byte("text " + strconv.Itoa(n))
			wantAsGo(t, keys[1], openers[1], below(keys[1], sealBlock(keys[0], padded(size, text))))
		}
	})
	t.Run("wrong padding", func(t *testing.T) { testPaddings(t, keys[0], openers[0]) })
	t.Run("wrong size", func(t *testing.T) {
		sealed := sealBlock(keys[0], padded(size, []byte("text")))
		modulus := keys[0].N.FillBytes(make([]byte, size))
		for name, c := range map[string][]byte{
			"empty": nil, "cut off": sealed[:size-1], "beginning cut off": sealed[1:], "longer": append(bytes.Clone(sealed), 0),
			"the modulus": modulus, "above the modulus": bytes.Repeat([]byte{0xff}, size),
		} {
			wantWrong(t, name, openers[0], c)
		}
	})
	t.Run("at the same time", func(t *testing.T) { testTogether(t, keys, openers) })
	t.Run("without growth", func(t *testing.T) { testGrowth(t, fit, keys, operations) })
}

// below makes a ciphertext smaller than the modulus of a key, which another key's may
// not be.
func below(key *rsa.PrivateKey, sealed []byte) []byte {
	n := new(big.Int).SetBytes(sealed)
	return n.Mod(n, key.N).FillBytes(make([]byte, len(sealed)))
}

func wantWrong(t *testing.T, what string, o decode.Opener, ciphertext []byte) {
	t.Helper()
	if text, err := o.Open(ciphertext); !errors.Is(err, rsa.ErrDecryption) {
		t.Errorf("%s: got %d bytes, error %v; want %v", what, len(text), err, rsa.ErrDecryption)
	}
}

// wantAsGo compares with crypto/rsa: the padding of a wrong block may be right by
// chance, once in some ten thousand times.
func wantAsGo(t *testing.T, key *rsa.PrivateKey, o decode.Opener, ciphertext []byte) {
	t.Helper()
	//lint:ignore SA1019 the padding is WeCom's choice
	want, wantErr := rsa.DecryptPKCS1v15(nil, key, ciphertext)
	if got, err := o.Open(ciphertext); !errors.Is(err, wantErr) || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, error %v; crypto/rsa gave %d, %v", len(got), err, len(want), wantErr)
	}
}

func testTexts(t *testing.T, key *rsa.PrivateKey, o decode.Opener) {
	size := key.Size()
	for _, n := range []int{0, 1, 32, 88, size - 12, size - 11} {
		text := bytes.Repeat([]byte("k"), n)
		if n > 2 {
			text[1] = 0 // the first zero ends the padding, and a later one is text
		}
		sealed := sealBlock(key, padded(size, text))
		before := bytes.Clone(sealed)
		for range 2 { // a context is used again
			got, err := o.Open(sealed)
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("text of %d bytes: got %d, error %v", n, len(got), err)
			}
			clear(got) // the caller owns it
		}
		if !bytes.Equal(sealed, before) {
			t.Errorf("text of %d bytes: the ciphertext was changed", n)
		}
	}
}

func testPaddings(t *testing.T, key *rsa.PrivateKey, o decode.Opener) {
	size := key.Size()
	for name, change := range map[string]func(b []byte){
		"first byte":         func(b []byte) { b[0] = 1 },
		"type of signatures": func(b []byte) { b[1] = 1 },
		"type 0":             func(b []byte) { b[1] = 0 },
		"type 3":             func(b []byte) { b[1] = 3 },
		"no end":             func(b []byte) { b[size-5] = 1 },
		"all zero":           func(b []byte) { clear(b) },
	} {
		b := padded(size, []byte("text"))
		change(b)
		wantWrong(t, name, o, sealBlock(key, b))
	}
	for at := 2; at < 10; at++ {
		b := padded(size, []byte("text"))
		b[at] = 0
		wantWrong(t, "padding of "+strconv.Itoa(at-2)+" bytes", o, sealBlock(key, b))
	}
	b := padded(size, []byte("text"))
	b[10] = 0 // eight bytes of padding are enough
	if got, err := o.Open(sealBlock(key, b)); err != nil || !bytes.Equal(got, b[11:]) {
		t.Errorf("padding of 8 bytes: got %d bytes, error %v", len(got), err)
	}
	wrong := sealBlock(key, padded(size, []byte("text")))
	wrong[7] ^= 0x10
	wantAsGo(t, key, o, below(key, wrong))
}

func testTogether(t *testing.T, keys [2]*rsa.PrivateKey, openers [2]decode.Opener) {
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for n := range 20 {
				text := []byte(strconv.Itoa(g) + " " + strconv.Itoa(n))
				got, err := openers[g%2].Open(sealBlock(keys[g%2], padded(keys[g%2].Size(), text)))
				if err != nil || !bytes.Equal(got, text) {
					t.Errorf("got %q, error %v, want %q", got, err, text)
				}
			}
		})
	}
	wg.Wait()
}

// mostGrowth is how much memory the allocators of Go and C may hold back, in KiB. A
// leak of a hundred bytes an operation exceeds it within 100,000 operations.
const mostGrowth = 10_000

// testGrowth opens right and wrong ciphertexts, and drops an opener for a new one every
// hundred operations, as a ring of keys does.
func testGrowth(t *testing.T, fit func(*rsa.PrivateKey) (decode.Opener, error), keys [2]*rsa.PrivateKey, operations int) {
	right := sealBlock(keys[0], padded(keys[0].Size(), []byte("text")))
	wrong := below(keys[0], sealBlock(keys[1], padded(keys[1].Size(), []byte("text"))))
	work := func(n int) {
		var o decode.Opener
		for i := range n {
			if i%100 == 0 {
				var err error
				if o, err = fit(keys[0]); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := o.Open(right); err != nil {
				t.Fatal(err)
			}
			if i%10 == 0 {
				_, _ = o.Open(wrong) // failures must not leak either
			}
		}
	}
	work(operations/4 + 1)
	before := resident(t)
	work(operations)
	if grown := resident(t) - before; grown > mostGrowth {
		t.Errorf("%d operations: memory grew by %d KiB", operations, grown)
	}
}

// resident is the memory of this process, in KiB.
func resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
