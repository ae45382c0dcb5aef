package standin

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"golang.org/x/crypto/chacha20"
)

const (
	keySize = 64 // number of random bytes in a key text
	// messagePrefix is the beginning of every sealed message. 01 is the version
	// of the scheme.
	messagePrefix = "YDSTANDIN-01:"
)

// NewKeyText makes the text that WeCom encrypts with RSA as encrypt_random_key.
// Like the real text it has 88 printable characters. NewKeyText panics if rand
// fails; crypto/rand.Reader never fails.
func NewKeyText(rand io.Reader) string {
	var b [keySize]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		panic(fmt.Sprintf("standin: random bytes unavailable: %v", err))
	}
	return base64.StdEncoding.EncodeToString(b[:])
}

// Seal makes the encrypt_chat_msg that the library's DecryptData opens with
// keyText. It panics if keyText is not from [NewKeyText]. Do not use one keyText
// with the same nonce for two messages: WeCom makes a new key text for each
// message. Nothing here depends on the secrecy.
//
// The real scheme is secret. This scheme has the same outward properties: the
// text is opaque and printable, its length is not a multiple of a block, and a
// wrong key is detected. Its cipher needs 40 lines of C:
//
//	K       = first 32 bytes XOR last 32 bytes of the decoded key text
//	plain   = CRC-32/IEEE of msg, big endian, then msg
//	message = "YDSTANDIN-01:" base64( nonce, ChaCha20(K, nonce, counter 0) over plain )
func Seal(keyText string, msg []byte, nonce [12]byte) string {
	key, err := base64.StdEncoding.DecodeString(keyText)
	if err != nil || len(key) != keySize {
		panic("standin: key text invalid")
	}
	half := keySize / 2
	for i := range half {
		key[i] ^= key[half+i]
	}
	cipher, err := chacha20.NewUnauthenticatedCipher(key[:half], nonce[:])
	if err != nil {
		panic(fmt.Sprintf("standin: %v", err)) // impossible: both sizes are correct
	}
	sealed := make([]byte, len(nonce)+4+len(msg))
	copy(sealed, nonce[:])
	plain := sealed[len(nonce):]
	binary.BigEndian.PutUint32(plain, crc32.ChecksumIEEE(msg))
	copy(plain[4:], msg)
	cipher.XORKeyStream(plain, plain)
	return messagePrefix + base64.StdEncoding.EncodeToString(sealed)
}
