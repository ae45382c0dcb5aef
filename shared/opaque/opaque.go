// Package opaque makes the texts that the API gives to clients and reads back:
// page tokens and ids. They consist of letters, digits, '-' and '_'.
//
// A text proves nothing. It only says where to look within the corp of the
// caller's token, so an invented text reaches nothing that a genuine one does not
// reach. The digest in a text keeps honest clients from using it for another
// purpose. Every holder of a text can read its content, unless its use is hidden.
package opaque

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrForeign means that the text was not made for this use.
var ErrForeign = errors.New("text not made for this use")

const digestBytes = 8

// Key hides the content of texts. The zero Key hides nothing.
type Key [32]byte

// NewKey makes a random key.
func NewKey() Key {
	var k Key
	_, _ = rand.Read(k[:]) // never fails
	return k
}

// Cipher makes the cipher of the key: AES-GCM, which chooses a random nonce for each
// text.
func (k Key) Cipher() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Use is the purpose of a text, such as a corp, a route and a query.
type Use struct {
	digest [digestBytes]byte
	key    Key
}

// UseOf makes a use of its parts, in order.
func UseOf(parts ...string) Use {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)) + ":" + p)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return Use{digest: [digestBytes]byte(sum[:digestBytes])}
}

// HiddenBy is the same use, whose texts only a holder of the key can read or make.
func (u Use) HiddenBy(k Key) Use {
	u.key = k
	return u
}

// Seal makes a text of v, which JSON must be able to encode.
func (u Use) Seal(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("seal %T: %w", v, err)
	}
	if u.key != (Key{}) {
		aead, err := u.key.Cipher()
		if err != nil {
			return "", err
		}
		b = aead.Seal(nil, nil, b, u.digest[:])
	}
	return base64.RawURLEncoding.EncodeToString(append(u.digest[:], b...)), nil
}

// Open reads a text into a value. It answers [ErrForeign] for a text of another
// use.
func (u Use) Open(text string, into any) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	// Even a strict decoder ignores line breaks.
	if err != nil || strings.ContainsAny(text, "\r\n") || len(b) < digestBytes || subtle.ConstantTimeCompare(b[:digestBytes], u.digest[:]) != 1 {
		return ErrForeign
	}
	b = b[digestBytes:]
	if u.key != (Key{}) {
		aead, err := u.key.Cipher()
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
