// Package opaque makes the texts that the API hands out and takes back: page
// tokens and ids. They are made of letters, digits, '-' and '_'.
//
// They prove nothing: who makes one up gets no further than with one that was
// handed out, since all they say is where to look within the corp that the
// token of the request admits. The digest in them keeps honest clients from
// taking one to a place that it was not made for. What they hold can be read by
// whoever has them, unless their use is hidden.
package opaque

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrForeign: the text was not handed out for this use.
var ErrForeign = errors.New("not handed out for this use")

const digestBytes = 8

// Key hides what texts hold. The zero Key is none.
type Key [32]byte

// KeyFrom derives a key for a purpose from a secret of high entropy.
func KeyFrom(secret, purpose string) (Key, error) {
	b, err := hkdf.Key(sha256.New, []byte(secret), nil, purpose, len(Key{}))
	if err != nil {
		return Key{}, fmt.Errorf("deriving a key: %w", err)
	}
	return Key(b), nil
}

// Use is what a text is good for, such as a corp, a route and a query.
type Use struct {
	digest [digestBytes]byte
	key    Key
}

// UseOf names a use by its parts, in order.
func UseOf(parts ...string) Use {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)) + ":" + p)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return Use{digest: [digestBytes]byte(sum[:digestBytes])}
}

// HiddenBy is the same use with texts that only the key can read or make.
func (u Use) HiddenBy(k Key) Use {
	u.key = k
	return u
}

// Seal makes a text of v, which must be fit for JSON.
func (u Use) Seal(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("sealing %T: %w", v, err)
	}
	if u.key != (Key{}) {
		aead, err := u.aead()
		if err != nil {
			return "", err
		}
		b = aead.Seal(nil, nil, b, u.digest[:])
	}
	return base64.RawURLEncoding.EncodeToString(append(u.digest[:], b...)), nil
}

// Open undoes Seal; [ErrForeign].
func (u Use) Open(text string, into any) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	// The decoder passes over line breaks, even a strict one.
	if err != nil || strings.ContainsAny(text, "\r\n") || len(b) < digestBytes || subtle.ConstantTimeCompare(b[:digestBytes], u.digest[:]) != 1 {
		return ErrForeign
	}
	b = b[digestBytes:]
	if u.key != (Key{}) {
		aead, err := u.aead()
		if err != nil {
			return err
		}
		if b, err = aead.Open(nil, nil, b, u.digest[:]); err != nil {
			return ErrForeign
		}
	}
	if json.Unmarshal(b, into) != nil {
		return ErrForeign
	}
	return nil
}

// aead chooses its nonces by itself.
func (u Use) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(u.key[:])
	if err != nil {
		return nil, fmt.Errorf("hiding a text: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
