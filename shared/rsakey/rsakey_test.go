package rsakey_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// pairs are made once, because making a pair takes longer than all the tests.
var pairs = sync.OnceValue(func() [2]rsakey.Pair {
	var p [2]rsakey.Pair
	for i := range p {
		var err error
		if p[i], err = rsakey.Make(); err != nil {
			panic(err)
		}
	}
	return p
})

func privateOf(t testing.TB, p rsakey.Pair) *rsa.PrivateKey {
	t.Helper()
	b, _ := pem.Decode([]byte(p.Private.Reveal()))
	if b == nil || b.Type != "PRIVATE KEY" {
		t.Fatal("the private key is not PKCS#8 PEM")
	}
	k, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return k.(*rsa.PrivateKey)
}

func seal(t testing.TB, p rsakey.Pair, text []byte) []byte {
	t.Helper()
	b, _ := pem.Decode([]byte(p.PublicPEM))
	pub, err := x509.ParsePKIXPublicKey(b.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 WeCom uses this padding
	c, err := rsa.EncryptPKCS1v15(rand.Reader, pub.(*rsa.PublicKey), text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMake(t *testing.T) {
	p := pairs()[0]
	b, rest := pem.Decode([]byte(p.PublicPEM))
	if b == nil || b.Type != "PUBLIC KEY" || len(rest) != 0 {
		t.Fatalf("got public key %q, want one PUBLIC KEY block", p.PublicPEM)
	}
	sum := sha256.Sum256(b.Bytes)
	if want := hex.EncodeToString(sum[:])[:32]; p.ID != want {
		t.Errorf("got id %s, want %s", p.ID, want)
	}
	if got := privateOf(t, p).N.BitLen(); got != rsakey.Bits {
		t.Errorf("got %d bits, want %d", got, rsakey.Bits)
	}
	if p.ID == pairs()[1].ID {
		t.Error("two pairs have one id")
	}
}

func TestImport(t *testing.T) {
	p := pairs()[0]
	pkcs8 := p.Private.Reveal()
	pkcs1 := pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(privateOf(t, p)))
	for name, text := range map[string]string{
		"PKCS#8":                    pkcs8,
		"PKCS#1":                    pkcs1,
		"CRLF and spaces around it": "\n  " + strings.ReplaceAll(pkcs1, "\n", "\r\n") + "\r\n ",
		"with its public key":       p.PublicPEM + pkcs1,
		"words around it":           "our key:\n" + pkcs8 + "keep it safe\n",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := rsakey.Import(secret.New(text))
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != p.ID || got.PublicPEM != p.PublicPEM || !got.Private.Equal(p.Private) {
				t.Errorf("got pair %s, want %s in the same form", got.ID, p.ID)
			}
		})
	}
}

func TestImportRefuses(t *testing.T) {
	p := pairs()[0]
	pkcs8 := p.Private.Reveal()
	der, _ := pem.Decode([]byte(pkcs8))
	altered := bytes.Clone(der.Bytes)
	altered[len(altered)/2] ^= 1
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	odd, err := rsa.GenerateKey(rand.Reader, 2056)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec8, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	locked := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte("x"),
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}}
	for name, c := range map[string]struct {
		text string
		want rsakey.Rule
	}{
		"nothing":            {"", rsakey.RuleNotPEM},
		"words":              {"the key is in the safe", rsakey.RuleNotPEM},
		"part of the base64": {strings.Join(strings.Split(pkcs8, "\n")[1:20], "\n"), rsakey.RuleCutOff},
		"cut off":            {pkcs8[:len(pkcs8)/2], rsakey.RuleCutOff},
		"public key":         {p.PublicPEM, rsakey.RuleNoPrivate},
		"two keys":           {pkcs8 + pairs()[1].Private.Reveal(), rsakey.RuleSeveral},
		"encrypted PKCS#8":   {pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), rsakey.RuleEncrypted},
		"encrypted PKCS#1":   {string(pem.EncodeToMemory(locked)), rsakey.RuleEncrypted},
		"curve":              {pemOf("PRIVATE KEY", ec8), rsakey.RuleNotRSA},
		"curve in SEC 1":     {pemOf("EC PRIVATE KEY", sec1), rsakey.RuleNotRSA},
		"altered":            {pemOf("PRIVATE KEY", altered), rsakey.RuleMalformed},
		"altered, PKCS#1":    {pemOf("RSA PRIVATE KEY", altered), rsakey.RuleMalformed},
		"1024 bits":          {pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)), rsakey.RuleBits},
		"2056 bits":          {pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(odd)), rsakey.RuleBits},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rsakey.Import(secret.New(c.text))
			var rule *rsakey.RuleError
			if !errors.As(err, &rule) || rule.Rule != c.want {
				t.Errorf("got error %v, want rule %s", err, c.want)
			}
		})
	}
}

func pemOf(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// vault is a store of private keys that counts its calls.
type vault struct {
	mu    sync.Mutex
	keys  map[string]secret.Value // by corp/id
	asked int
}

func (v *vault) PrivateKey(_ context.Context, corp, keyID string) (secret.Value, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	k, ok := v.keys[corp+"/"+keyID]
	if !ok {
		return secret.Value{}, archive.ErrNotFound
	}
	return k, nil
}

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestRingOpens(t *testing.T) {
	p, other := pairs()[0], pairs()[1]
	v := &vault{keys: map[string]secret.Value{"a/" + p.ID: p.Private, "a/" + other.ID: other.Private}}
	ring := rsakey.NewRing(v, rsakey.Go, time.Now)
	o, err := ring.Opener(t.Context(), "a", p.ID)
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Repeat([]byte("k"), 88)
	sealed := seal(t, p, text)
	got, err := o.Open(sealed)
	if err != nil || !bytes.Equal(got, text) {
		t.Errorf("got %d bytes, error %v, want the text back", len(got), err)
	}
	for name, bad := range map[string][]byte{
		"another key's": seal(t, other, text),
		"cut":           sealed[1:],
		"empty":         nil,
	} {
		if _, err := o.Open(bad); !errors.Is(err, rsa.ErrDecryption) {
			t.Errorf("%s: got error %v, want %v", name, err, rsa.ErrDecryption)
		}
	}
}

func TestOpenerOfGo(t *testing.T) { archivetest.TestOpener(t, rsakey.Go, 500) }

func TestRingHoldsKeysUntilMaxAge(t *testing.T) {
	p := pairs()[0]
	v := &vault{keys: map[string]secret.Value{"a/" + p.ID: p.Private}}
	c := &clock{time.Unix(1e9, 0)}
	ring := rsakey.NewRing(v, rsakey.Go, c.now)
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {0, 1}, {rsakey.MaxAge - time.Second, 1}, {time.Second, 2}, {time.Minute, 2}} {
		c.at = c.at.Add(step.after)
		if _, err := ring.Opener(t.Context(), "a", p.ID); err != nil {
			t.Fatal(err)
		}
		if v.asked != step.want {
			t.Errorf("at %v: fetched %d times, want %d", c.at, v.asked, step.want)
		}
	}
	if _, err := ring.Opener(t.Context(), "b", p.ID); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("another corp: got error %v, want %v", err, archive.ErrNotFound)
	}
	v.keys["b/"+p.ID] = p.Private
	if _, err := ring.Opener(t.Context(), "b", p.ID); err != nil {
		t.Errorf("key stored later: got error %v, want no error", err)
	}
}

func TestRingIsBounded(t *testing.T) {
	p := pairs()[0]
	v := &vault{keys: map[string]secret.Value{}}
	c := &clock{time.Unix(1e9, 0)}
	ring := rsakey.NewRing(v, rsakey.Go, c.now)
	ask := func(corp int) {
		t.Helper()
		name := fmt.Sprint(corp)
		v.keys[name+"/"+p.ID] = p.Private
		c.at = c.at.Add(time.Millisecond)
		if _, err := ring.Opener(t.Context(), name, p.ID); err != nil {
			t.Fatal(err)
		}
	}
	for i := range rsakey.MaxKeys + 1 {
		ask(i)
	}
	before := v.asked
	ask(rsakey.MaxKeys)
	ask(1)
	if v.asked != before {
		t.Errorf("fetched %d held keys again, want 0", v.asked-before)
	}
	ask(0)
	if v.asked != before+1 {
		t.Errorf("got the oldest key still held, want %d keys held", rsakey.MaxKeys)
	}
}

func TestRingRefusesAnotherKey(t *testing.T) {
	p, other := pairs()[0], pairs()[1]
	v := &vault{keys: map[string]secret.Value{
		"a/" + p.ID:     other.Private,
		"a/" + other.ID: secret.New("not a key"),
	}}
	ring := rsakey.NewRing(v, rsakey.Go, time.Now)
	for name, id := range map[string]string{"swapped": p.ID, "not a key": other.ID} {
		if _, err := ring.Opener(t.Context(), "a", id); !errors.Is(err, archive.ErrCorrupt) {
			t.Errorf("%s: got error %v, want %v", name, err, archive.ErrCorrupt)
		}
	}
}

func TestRingConcurrently(t *testing.T) {
	p := pairs()[0]
	v := &vault{keys: map[string]secret.Value{"a/" + p.ID: p.Private}}
	ring := rsakey.NewRing(v, rsakey.Go, time.Now)
	sealed := seal(t, p, []byte("text"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			o, err := ring.Opener(t.Context(), "a", p.ID)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := o.Open(sealed); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func BenchmarkOpen(b *testing.B) {
	p := pairs()[0]
	o, err := rsakey.Go(privateOf(b, p))
	if err != nil {
		b.Fatal(err)
	}
	sealed := seal(b, p, bytes.Repeat([]byte("k"), 88))
	for b.Loop() {
		if _, err := o.Open(sealed); err != nil {
			b.Fatal(err)
		}
	}
}
