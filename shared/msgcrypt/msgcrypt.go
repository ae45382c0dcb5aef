// Package msgcrypt checks and decrypts the requests that WeCom sends to a callback
// server (documents 90968 and 91144, wecom.md 3). It holds the receiving side only.
//
// A request is opened in this order. No part of its content is read before its
// signature is checked:
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
	"html"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/yunduo-scrm/archive/shared/pattern"
)

var (
	// ErrKey means that the EncodingAESKey is not 43 characters of base64.
	ErrKey = errors.New("EncodingAESKey is not 43 characters of base64")
	// ErrSignature means that the request was not signed with the token.
	ErrSignature = errors.New("wrong signature")
	// ErrReceiver means that the content names another receiver.
	ErrReceiver = errors.New("meant for another receiver")
	// ErrMalformed means that the text was not encrypted with the key, or is not the
	// expected XML.
	ErrMalformed = errors.New("content malformed")
)

const (
	keyChars = 43 // of an EncodingAESKey
	padTo    = 32 // of PKCS#7, although AES has blocks of 16
	// Random bytes and the message's length precede the message.
	prefixBytes, lengthBytes = 16, 4
)

// Box opens the requests to one callback server of one receiver. It is safe for
// concurrent use, and prints only the name of its type.
type Box struct {
	token    string
	block    cipher.Block
	iv       []byte
	receiver string
}

// New makes a box from a callback pair and the receiveid that content must hold: the
// corpid for a corp's own servers. It returns [ErrKey] for an invalid key.
//
// The unused bits of the key's last character may be set, as in WeCom's own sample,
// so the decoder ignores them (wecom.md 3.3).
func New(token, encodingAESKey, receiver string) (*Box, error) {
	// The decoder ignores line breaks, so both lengths are checked.
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

// Format prints the type's name for every verb, because the box holds secrets.
func (*Box) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "msgcrypt.Box") }

// Sealed holds the values of a request. The query string is decoded once: a '+' that
// was percent-encoded is a '+' here.
type Sealed struct {
	Signature string // msg_signature
	Timestamp string
	Nonce     string
	Encrypted string // the echostr, or the Encrypt element
}

// Open checks the signature, decrypts, and checks the receiver. It returns the
// message, which the caller owns. Its errors are exactly [ErrSignature],
// [ErrMalformed] and [ErrReceiver], so that an error never holds content.
//
// A program on the way may have decoded the encrypted text once more, so that a
// blank stands for a '+', or may have dropped the '=' at its end. The text is then
// verified as it was signed.
func (b *Box) Open(s Sealed) ([]byte, error) {
	if !b.signed(s) {
		if s.Encrypted = restored(s.Encrypted); !b.signed(s) {
			return nil, ErrSignature
		}
	}
	plain, err := base64.StdEncoding.DecodeString(restored(s.Encrypted))
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

// signed reports whether the signature is that of the other values.
func (b *Box) signed(s Sealed) bool {
	return subtle.ConstantTimeCompare([]byte(s.Signature), []byte(b.sign(s))) == 1
}

// restored undoes what programs on the way do to a text in base64, which holds no
// blank and has a multiple of four characters beside its line breaks.
func restored(text string) string {
	text = strings.ReplaceAll(text, " ", "+")
	chars := len(text) - strings.Count(text, "\n") - strings.Count(text, "\r")
	return text + strings.Repeat("=", (4-chars%4)%4)
}

// sign returns the SHA-1 of the sorted strings, in lower-case hex.
func (b *Box) sign(s Sealed) string {
	parts := []string{b.token, s.Timestamp, s.Nonce, s.Encrypted}
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// unpad removes PKCS#7 padding to 32. It needs no constant time: the signature is
// checked before, and only a sender with the token but without the key could pad
// wrongly.
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

// Encrypted returns the Encrypt element of a POST's body, which may hold other
// elements in any order; [ErrMalformed] if the element is missing.
func Encrypted(body []byte) (string, error) {
	var outer struct {
		XMLName xml.Name `xml:"xml"`
		Encrypt string   `xml:"Encrypt"`
	}
	d := xml.NewDecoder(strings.NewReader(undamaged(clean(body))))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // whatever is declared, WeCom sends UTF-8
	d.Entity = xml.HTMLEntity
	if decode(d, &outer) != nil {
		return "", ErrMalformed
	}
	text := strings.TrimSpace(outer.Encrypt)
	if text == "" {
		return "", ErrMalformed
	}
	return text, nil
}

// Event holds the elements that all events have (wecom.md 4).
type Event struct {
	Type       string // Event element; empty for a message that is not an event
	ChangeType string // ChangeType element, often absent
	CreateTime int64  // Unix time in seconds, 0 if absent or not a number
}

// ParseEvent reads a decrypted message, as [ReadElements] does; [ErrMalformed] if the
// message is not an <xml> element.
func ParseEvent(plain []byte) (Event, error) {
	e, err := ReadElements(plain)
	text := func(name string) string { return undamaged(e.Text(name)) }
	return Event{Type: text("Event"), ChangeType: text("ChangeType"), CreateTime: seconds(text("CreateTime"))}, err
}

// seconds reads a time, which may have a fraction, or be in milliseconds. Another text
// is 0.
func seconds(s string) int64 {
	at, err := strconv.ParseFloat(s, 64)
	if err != nil || !(at > 0 && at < 1e15) {
		return 0
	}
	if at > 1e11 {
		at /= 1000
	}
	return int64(at)
}

// Elements are the texts of the elements of a decrypted message.
type Elements map[string]string // by squeezed name

// Text returns the text of an element without the blanks around it, empty if there is
// no such element. The capitals and separators of the name do not matter: WeCom spells
// the same id in several ways.
func (e Elements) Text(name string) string { return strings.TrimSpace(e[squeeze(name)]) }

// squeeze reduces the spellings of a name to one.
func squeeze(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// ReadElements reads a decrypted message, or returns [ErrMalformed]. Elements may have
// any order, be unknown, or be absent. WeCom puts texts of customers into events, so an
// element may hold control characters, bytes that are not UTF-8, unknown entities or
// markup. Such an element does not keep the others from being read, and does not stand
// for another one: of elements with one name the first directly below <xml> that holds
// a text counts, and one within another element only if there is none. What XML forbids
// reads as U+FFFD, because an id without it could be another one.
func ReadElements(plain []byte) (Elements, error) {
	text := clean(plain)
	if !root().MatchString(text) {
		return nil, ErrMalformed
	}
	return leaves(text), nil
}

// damage stands for what XML forbids.
const damage = "\ufffd"

// clean returns a text with damage in place of what XML forbids.
func clean(b []byte) string {
	text := strings.ToValidUTF8(strings.TrimPrefix(string(b), "\ufeff"), damage)
	return forbidden().ReplaceAllString(text, damage)
}

// undamaged returns a text without damage. It is for texts that name nobody.
func undamaged(s string) string { return strings.ReplaceAll(s, damage, "") }

const openCDATA, endCDATA = "<![CDATA[", "]]>"

var (
	root = pattern.New(`(?i)^[\s\x{fffd}]*(?:<\?[^>]*>\s*|<!--(?s:.*?)-->\s*|<!doctype[^>]*>\s*)*<xml\b[^>]*>`)
	// A tag: its slash, its name, and the slash of an empty element. Another bracket is
	// text.
	tag = pattern.New(`^<(/?)([A-Za-z_][A-Za-z0-9_]*)(?:\s[^<>]*?)?(/?)>`)
	// The characters that XML forbids, and references to them.
	forbidden = pattern.New(`[\x00-\x08\x0b\x0c\x0e-\x1f\x{fffe}\x{ffff}]|` +
		`(?i:&#(?:0*(?:[0-8]|1[124-9]|2[0-9]|3[01]|6553[45])|x0*(?:[0-8bcef]|1[0-9a-f]|fff[ef]));)`)
)

// leaves returns the texts of the elements that hold no other element, by name.
func leaves(text string) Elements {
	below, deeper := make(Elements), make(Elements) // directly below <xml>, and the others
	var open []string                               // the elements around
	var value strings.Builder
	leaf := false // the last tag opened an element
	for {
		before, rest, ok := strings.Cut(text, "<")
		value.WriteString(html.UnescapeString(before))
		if !ok {
			break
		}
		text = text[len(before):]
		if inside, behind, ok := between(text, openCDATA, endCDATA); ok {
			value.WriteString(inside)
			text = behind
			continue
		}
		if _, behind, ok := between(text, "<!--", "-->"); ok {
			text = behind
			continue
		}
		m := tag().FindStringSubmatch(text)
		if m == nil {
			value.WriteByte('<')
			text = rest
			continue
		}
		text = text[len(m[0]):]
		name := m[2]
		switch {
		case m[3] != "": // an empty element
		case m[1] == "":
			open, leaf = append(open, name), true
			value.Reset()
		default:
			at := len(open) - 1
			for at >= 0 && open[at] != name {
				at--
			}
			if at < 0 {
				continue // it closes nothing
			}
			into := deeper
			if at == 1 {
				into = below
			}
			if leaf && at == len(open)-1 && into.Text(name) == "" {
				into[squeeze(name)] = value.String()
			}
			open, leaf = open[:at], false
		}
	}
	for name := range below {
		if below.Text(name) != "" {
			deeper[name] = below[name]
		}
	}
	return deeper
}

// between returns what stands between two marks at the beginning of a text, and what
// stands behind. It reports false for a text that begins otherwise, or in which the
// first mark comes again before the second.
func between(text, first, second string) (inside, behind string, ok bool) {
	text, ok = strings.CutPrefix(text, first)
	if !ok {
		return "", "", false
	}
	inside, behind, ok = strings.Cut(text, second)
	return inside, behind, ok && !strings.Contains(inside, first)
}

// decode reads the only element of a document.
func decode(d *xml.Decoder, into any) error {
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
