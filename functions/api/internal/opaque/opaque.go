// Package opaque makes the texts that the API hands out and takes back: page
// tokens and ids. They are made of letters, digits, '-' and '_'.
//
// They are no secrets and prove nothing: who makes one up gets no further than
// with one that was handed out, since all they say is where to look within
// the corp that the token of the request admits. The digest in them keeps
// honest clients from taking one to a place that it was not made for.
package opaque

import (
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

// Use is what a text is good for, such as a corp, a route and a query.
type Use [digestBytes]byte

// UseOf names a use by its parts, in order.
func UseOf(parts ...string) Use {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)) + ":" + p)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return Use(sum[:digestBytes])
}

// Seal makes a text of v, which must be fit for JSON.
func (u Use) Seal(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("sealing %T: %w", v, err)
	}
	return base64.RawURLEncoding.EncodeToString(append(u[:], b...)), nil
}

// Open undoes Seal; [ErrForeign].
func (u Use) Open(text string, into any) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	// The decoder passes over line breaks, even a strict one.
	if err != nil || strings.ContainsAny(text, "\r\n") || len(b) < digestBytes || subtle.ConstantTimeCompare(b[:digestBytes], u[:]) != 1 {
		return ErrForeign
	}
	if json.Unmarshal(b[digestBytes:], into) != nil {
		return ErrForeign
	}
	return nil
}
