// Package msgcrypt checks and opens what WeCom sends to a callback server
// (documents 90968 and 91144, wecom.md 3): the receiving side only.
//
// A request is opened in this order, and nothing is read from its content
// before its signature is known to be right:
//
//	encrypted, err := msgcrypt.Encrypted(body) // of a POST; a GET has its echostr
//	plain, err := box.Open(msgcrypt.Sealed{…, Encrypted: encrypted})
//	event, err := msgcrypt.ParseEvent(plain)   // of a POST
package msgcrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

var (
	// ErrKey: the EncodingAESKey is not 43 characters of base64.
	ErrKey = errors.New("EncodingAESKey is not 43 characters of base64")
	// ErrSignature: the request was not signed with the token.
	ErrSignature = errors.New("wrong signature")
	// ErrReceiver: the content is meant for another receiver.
	ErrReceiver = errors.New("meant for another receiver")
	// ErrMalformed: the text is not what the key would have made of anything,
	// or is not the XML that it should be.
	ErrMalformed = errors.New("malformed")
)

const (
	keyChars = 43 // of an EncodingAESKey
	padTo    = 32 // PKCS#7 to this, although AES has blocks of 16
	// Before the message: random bytes and the message's length.
	prefixBytes, lengthBytes = 16, 4
)

// Box opens what is sent to one callback server of one receiver. It is safe
// for concurrent use, and prints as its type's name only.
type Box struct {
	token    string
	block    cipher.Block
	iv       []byte
	receiver string
}

// New makes a box from a callback pair and the receiveid that content must
// carry: the corpid for a corp's own servers. It answers [ErrKey].
//
// The key's last character may have its unused bits set, as in WeCom's own
// sample, so it is decoded leniently (wecom.md 3.3).
func New(token, encodingAESKey, receiver string) (*Box, error) {
	// The decoder would pass over line breaks, so the length is counted after.
	key, err := base64.StdEncoding.DecodeString(encodingAESKey + "=")
	if err != nil || len(encodingAESKey) != keyChars || len(key) != 32 {
		return nil, ErrKey
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, ErrKey
	}
	return &Box{token: token, block: block, iv: key[:aes.BlockSize], receiver: receiver}, nil
}

// Format prints the type's name for every verb: the box holds secrets.
func (*Box) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "msgcrypt.Box") }

// Sealed is what a request brings. The strings are as after the one decoding
// of the query string: a '+' that was percent-encoded is a '+'.
type Sealed struct {
	Signature string // msg_signature
	Timestamp string
	Nonce     string
	Encrypted string // the echostr, or the Encrypt element
}

// Open checks the signature, decrypts, and checks the receiver; it returns the
// message, which the caller owns. Errors are [ErrSignature], [ErrMalformed]
// and [ErrReceiver] as they are, so that none holds content.
func (b *Box) Open(s Sealed) ([]byte, error) {
	if subtle.ConstantTimeCompare([]byte(s.Signature), []byte(b.sign(s))) != 1 {
		return nil, ErrSignature
	}
	plain, err := base64.StdEncoding.DecodeString(s.Encrypted)
	if err != nil || len(plain) == 0 || len(plain)%aes.BlockSize != 0 {
		return nil, ErrMalformed
	}
	cipher.NewCBCDecrypter(b.block, b.iv).CryptBlocks(plain, plain)
	plain, ok := unpad(plain)
	if !ok || len(plain) < prefixBytes+lengthBytes {
		return nil, ErrMalformed
	}
	n := binary.BigEndian.Uint32(plain[prefixBytes:])
	rest := plain[prefixBytes+lengthBytes:]
	if uint64(n) > uint64(len(rest)) {
		return nil, ErrMalformed
	}
	if string(rest[n:]) != b.receiver {
		return nil, ErrReceiver
	}
	return rest[:n:n], nil
}

// sign is the SHA-1 over the sorted strings, in lower-case hex.
func (b *Box) sign(s Sealed) string {
	parts := []string{b.token, s.Timestamp, s.Nonce, s.Encrypted}
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// unpad undoes PKCS#7 to 32. What is padded wrongly was signed by somebody
// with the token but not the key, so its answer needs no constant time.
func unpad(b []byte) ([]byte, bool) {
	n := int(b[len(b)-1])
	if n < 1 || n > padTo || n > len(b) {
		return nil, false
	}
	for _, c := range b[len(b)-n:] {
		if int(c) != n {
			return nil, false
		}
	}
	return b[:len(b)-n], true
}

// Encrypted returns the Encrypt element of a POST's body, whatever else is in
// it and in which order; [ErrMalformed] if there is none.
func Encrypted(body []byte) (string, error) {
	var outer struct {
		XMLName xml.Name `xml:"xml"`
		Encrypt string   `xml:"Encrypt"`
	}
	if unmarshal(body, &outer) != nil {
		return "", ErrMalformed
	}
	text := strings.TrimSpace(outer.Encrypt)
	if text == "" {
		return "", ErrMalformed
	}
	return text, nil
}

// Event is what is common to all events (wecom.md 4).
type Event struct {
	Type       string // Event element; empty for a message that is no event
	ChangeType string // ChangeType element, often absent
	CreateTime int64  // Unix time in seconds, 0 if absent or not a number
}

// ParseEvent reads a decrypted message. Elements may come in any order, be
// unknown, or be absent; [ErrMalformed] if it is not an <xml> element.
func ParseEvent(plain []byte) (Event, error) {
	var msg struct {
		XMLName    xml.Name `xml:"xml"`
		Event      string   `xml:"Event"`
		ChangeType string   `xml:"ChangeType"`
		CreateTime string   `xml:"CreateTime"`
	}
	if unmarshal(plain, &msg) != nil {
		return Event{}, ErrMalformed
	}
	at, err := strconv.ParseInt(strings.TrimSpace(msg.CreateTime), 10, 64)
	if err != nil || at < 0 {
		at = 0
	}
	return Event{Type: strings.TrimSpace(msg.Event), ChangeType: strings.TrimSpace(msg.ChangeType), CreateTime: at}, nil
}

// unmarshal reads the one element that b holds.
func unmarshal(b []byte, into any) error {
	d := xml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(into); err != nil {
		return err
	}
	for {
		switch t, err := d.Token(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		default:
			if text, ok := t.(xml.CharData); !ok || len(bytes.TrimSpace(text)) > 0 {
				return ErrMalformed
			}
		}
	}
}
