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
	keySize = 64 // random bytes behind a key text
	// messagePrefix begins every sealed message. The 01 is the version of the
	// scheme.
	messagePrefix = "YDSTANDIN-01:"
)

// NewKeyText makes the text that WeCom wraps with RSA as encrypt_random_key:
// like the real one it is 88 printable characters. It panics if rand fails,
// which crypto/rand.Reader does not.
func NewKeyText(rand io.Reader) string {
	var b [keySize]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		panic(fmt.Sprintf("standin: random bytes for a key text: %v", err))
	}
	return base64.StdEncoding.EncodeToString(b[:])
}

// Seal makes the encrypt_chat_msg that the library's DecryptData opens with
// keyText. It panics if keyText is none of [NewKeyText]'s. One keyText must
// not be used twice with the same nonce and another msg, although nothing here
// depends on the secrecy: WeCom makes a new key text for each message.
//
// The real scheme is secret and cannot be imitated. This one has its outward
// properties (opaque printable text, length not of a block size, a wrong key
// is noticed) and needs only as much C as a cipher of 40 lines:
//
//	K       = first 32 bytes XOR last 32 bytes of the decoded key text
//	plain   = CRC-32/IEEE of msg, big endian, then msg
//	message = "YDSTANDIN-01:" base64( nonce, ChaCha20(K, nonce, counter 0) over plain )
func Seal(keyText string, msg []byte, nonce [12]byte) string {
	key, err := base64.StdEncoding.DecodeString(keyText)
	if err != nil || len(key) != keySize {
		panic("standin: not a key text")
	}
	half := keySize / 2
	for i := range half {
		key[i] ^= key[half+i]
	}
	cipher, err := chacha20.NewUnauthenticatedCipher(key[:half], nonce[:])
	if err != nil {
		panic(fmt.Sprintf("standin: %v", err)) // the sizes above are right
	}
	sealed := make([]byte, len(nonce)+4+len(msg))
	copy(sealed, nonce[:])
	plain := sealed[len(nonce):]
	binary.BigEndian.PutUint32(plain, crc32.ChecksumIEEE(msg))
	copy(plain[4:], msg)
	cipher.XORKeyStream(plain, plain)
	return messagePrefix + base64.StdEncoding.EncodeToString(sealed)
}
