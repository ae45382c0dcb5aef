// Package envelope signs and encrypts the requests that WeCom sends to a callback
// server (documents 90968 and 91144, wecom.md 3). It is the sending side only.
//
// The package shares no code with the product's receiving side, so that tests
// check each side against the other.
package envelope

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	keyChars = 43 // length of an EncodingAESKey
	padTo    = 32 // block size of the PKCS#7 padding; the blocks of AES have 16 bytes
)

// Key is a decoded EncodingAESKey.
type Key [32]byte

// ParseKey decodes the 43 characters of an EncodingAESKey. It allows unused bits
// of the last character to be set, as in WeCom's own sample. The error does not
// contain the key.
func ParseKey(encodingAESKey string) (Key, error) {
	if len(encodingAESKey) != keyChars {
		return Key{}, fmt.Errorf("EncodingAESKey does not have %d characters but %d", keyChars, len(encodingAESKey))
	}
	b, err := base64.StdEncoding.DecodeString(encodingAESKey + "=")
	if err != nil || len(b) != len(Key{}) {
		return Key{}, errors.New("EncodingAESKey is not base64 of 32 bytes")
	}
	return Key(b), nil
}

// Seal encrypts msg for a receiver that expects receiveID. It returns the base64
// text of an Encrypt element or of an echostr. The 16 bytes of prefix should be
// random.
func (k Key) Seal(msg []byte, receiveID string, prefix [16]byte) string {
	plain := append([]byte(nil), prefix[:]...)
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(msg)))
	plain = append(plain, msg...)
	plain = append(plain, receiveID...)
	pad := padTo - len(plain)%padTo
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic("envelope: " + err.Error()) // impossible: 32 bytes are a valid key size
	}
	cipher.NewCBCEncrypter(block, k[:aes.BlockSize]).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain)
}

// Sign computes the msg_signature of a request. encrypt is the Encrypt text of an
// event or the echostr of a URL check.
func Sign(token, timestamp, nonce, encrypt string) string {
	parts := []string{token, timestamp, nonce, encrypt}
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}
