// Package secret holds values that must never be printed: archive secrets,
// callback keys, private keys.
//
// It protects against accidents (a struct logged whole, an error that wraps a
// request), not against code that means to read a secret: [Value.Reveal] is
// the one way out, and a repository test allows it only where a value leaves
// for the system that needs it.
package secret

import (
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
// The text sits behind a pointer, so that even a struct printed through an
// unexported field, where fmt cannot call methods, shows an address.
type Value struct{ p *string }

// New wraps s.
func New(s string) Value {
	if s == "" {
		return Value{}
	}
	return Value{p: &s}
}

// Reveal returns the text. The caller hands it straight to the system that
// needs it, and keeps, logs and returns it nowhere.
func (v Value) Reveal() string {
	if v.p == nil {
		return ""
	}
	return *v.p
}

// IsZero reports whether the secret is empty.
func (v Value) IsZero() bool { return v.p == nil }

// Equal compares two secrets without telling by its duration where they
// differ. Their lengths are not hidden.
func (v Value) Equal(w Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(w.Reveal())) == 1
}

// Fingerprint names the secret without revealing it: the first 16 hex digits
// of its SHA-256. Two values with one fingerprint are the same secret for
// every purpose but an attacker's, so it is good for noticing a change. It is
// not printed either: a short or guessable secret could be found from it.
func (v Value) Fingerprint() string {
	sum := sha256.Sum256([]byte(v.Reveal()))
	return hex.EncodeToString(sum[:8])
}

// Format prints a placeholder for every verb.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue prints a placeholder in slog.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText prints a placeholder in JSON and XML.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }
