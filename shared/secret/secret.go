// Package secret holds values that must never be printed: archive secrets,
// callback keys, private keys.
//
// It protects against accidents: a struct logged whole, an error that wraps a
// request. It does not protect against code that intends to read a secret.
// [Value.Reveal] is the only way to the text. A repository test allows it only
// where a value goes to the system that needs it.
package secret

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[secret]"

// Value is a secret text. The zero Value is the empty secret. It is safe to
// copy and to use concurrently.
//
// The text is behind a pointer. fmt cannot call the methods of a value in an
// unexported field; there it prints the address.
type Value struct{ p *string }

// New makes a secret of s.
func New(s string) Value {
	if s == "" {
		return Value{}
	}
	return Value{p: &s}
}

// Reveal returns the text. The caller must pass it directly to the system that
// needs it, and must not store, log or return it.
func (v Value) Reveal() string {
	if v.p == nil {
		return ""
	}
	return *v.p
}

// IsZero reports whether the secret is empty.
func (v Value) IsZero() bool { return v.p == nil }

// Equal compares two secrets. Its duration does not depend on where they differ;
// it may depend on their lengths.
func (v Value) Equal(w Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(w.Reveal())) == 1
}

// Fingerprint identifies the secret without revealing it: the first 16 hex digits
// of its SHA-256. Equal fingerprints mean equal secrets unless an attacker chose
// the secrets, so a fingerprint shows that a secret changed. A fingerprint must not
// be printed, because a short or guessable secret could be found from it.
func (v Value) Fingerprint() string {
	sum := sha256.Sum256([]byte(v.Reveal()))
	return hex.EncodeToString(sum[:8])
}

// A Digest tells whether a secret is the one of an earlier time, without the secret:
// a random salt and the HMAC-SHA256 of the secret with it, in hex. A reader of a
// digest can test guesses. WeCom's secrets are 43 random characters: too many to
// guess. The zero Digest is that of no secret.
type Digest string

// Digest makes a digest of the secret with a salt of its own.
func (v Value) Digest() Digest {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // it never fails
	return v.salted(salt)
}

func (v Value) salted(salt []byte) Digest {
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(v.Reveal()))
	return Digest(hex.EncodeToString(mac.Sum(salt)))
}

// Matches reports whether d is a digest of the secret.
func (v Value) Matches(d Digest) bool {
	b, err := hex.DecodeString(string(d))
	if err != nil || len(b) != 16+sha256.Size {
		return false
	}
	return hmac.Equal([]byte(v.salted(b[:16])), []byte(d))
}

// Format prints a placeholder for every verb.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue prints a placeholder in slog.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText prints a placeholder in JSON and XML.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }
