package rsakey

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/yunduo-scrm/archive/shared/pattern"
)

// minKey is a number of bytes that every RSA private key exceeds.
const minKey = 100

// readDER reads a key from DER. It drops the errors of the standard library, which
// may quote the key.
func readDER(der []byte) (*rsa.PrivateKey, Rule) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if key, ok := k.(*rsa.PrivateKey); ok {
			return key, ""
		}
		return nil, RuleNotRSA
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, ""
	}
	var wrapped struct { // PKCS#8 of an algorithm that the standard library does not know
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	if _, err := asn1.Unmarshal(der, &wrapped); err == nil {
		if key, err := x509.ParsePKCS1PrivateKey(wrapped.Key); err == nil { // an RSA key for one use, such as RSASSA-PSS
			return key, ""
		}
		if !wrapped.Algorithm.Algorithm.Equal(rsaEncryption) {
			return nil, RuleNotRSA
		}
	}
	return nil, kindOf(der)
}

var rsaEncryption = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}

// kindOf returns what der is, if it holds no readable RSA key. If the end of der is
// missing, its beginning still shows the kind.
func kindOf(der []byte) Rule {
	first, second := inside(der)
	switch {
	case first.tag == asn1.TagInteger && second.tag == asn1.TagOctetString:
		return RuleNotRSA // SEC 1: version, elliptic key
	case first.tag == asn1.TagInteger && first.body == "\x03" && second.tag == asn1.TagSequence:
		return RulePKCS12 // version 3, content
	case first.tag == asn1.TagInteger && second.tag == asn1.TagInteger && len(first.body) > minKey:
		return RuleNoPrivate // a PKCS#1 public key: modulus, exponent
	case first.tag == asn1.TagSequence && second.tag == asn1.TagOctetString:
		return RuleEncrypted // PKCS#8: algorithm of encryption, encrypted key
	case first.tag == asn1.TagSequence && (second.tag == asn1.TagBitString || second.tag == asn1.TagSequence):
		return RuleNoPrivate // a public key, or a certificate
	}
	return RuleMalformed
}

type element struct {
	tag  int
	body string
}

// inside returns the first two elements of a sequence. The second one may be cut
// off; then it has a tag and no body.
func inside(der []byte) (first, second element) {
	n, rest := tagAndLength(der)
	if n == 0 || der[0] != 0x30 {
		return element{}, element{}
	}
	size, body := tagAndLength(rest)
	if size == 0 || len(body) < size {
		return element{}, element{}
	}
	first = element{int(rest[0] & 0x1f), string(body[:size])}
	if rest = body[size:]; len(rest) > 0 {
		second.tag = int(rest[0] & 0x1f)
	}
	return first, second
}

// tagAndLength reads the head of an element. It returns 0 if the head is damaged.
func tagAndLength(der []byte) (length int, body []byte) {
	if len(der) < 2 {
		return 0, nil
	}
	n, body := int(der[1]), der[2:]
	if n < 0x80 {
		return n, body
	}
	if n -= 0x80; n > 2 || len(body) < n {
		return 0, nil
	}
	for _, b := range body[:n] {
		length = length<<8 | int(b)
	}
	return length, body[n:]
}

// derLength returns the length of the sequence at the beginning of head, or 0.
func derLength(head []byte) int {
	n, body := tagAndLength(head)
	if n == 0 || head[0] != 0x30 {
		return 0
	}
	return len(head) - len(body) + n
}

const sshMagic = "openssh-key-v1\x00"

// readSSH reads OpenSSH's own format of private keys (PROTOCOL.key of OpenSSH).
func readSSH(b []byte) (*rsa.PrivateKey, Rule) {
	r := &sshReader{rest: bytes.TrimPrefix(b, []byte(sshMagic))}
	cipher := string(r.text())
	if r.failed {
		return nil, RuleCutOff
	}
	if cipher != "none" {
		return nil, RuleEncryptedSSH
	}
	r.text() // the key derivation
	r.text() // its options
	if n := r.number(); !r.failed && n != 1 {
		return nil, RuleSeveral
	}
	r.text() // the public key
	keys := &sshReader{rest: r.text()}
	if r.failed {
		return nil, RuleCutOff
	}
	if check, again := keys.number(), keys.number(); check != again || keys.failed {
		return nil, RuleMalformed
	}
	if string(keys.text()) != "ssh-rsa" {
		return nil, RuleNotRSA
	}
	n, e, d, _, p, q := keys.integer(), keys.integer(), keys.integer(), keys.integer(), keys.integer(), keys.integer()
	if keys.failed {
		return nil, RuleMalformed
	}
	return numbers{n, e, d, p, q}.rsa()
}

// An sshReader reads the values of OpenSSH's format. After a failure all values
// are zero.
type sshReader struct {
	rest   []byte
	failed bool
}

func (r *sshReader) number() uint32 {
	if len(r.rest) < 4 {
		r.failed, r.rest = true, nil
		return 0
	}
	n := binary.BigEndian.Uint32(r.rest)
	r.rest = r.rest[4:]
	return n
}

func (r *sshReader) text() []byte {
	n := r.number()
	if uint64(n) > uint64(len(r.rest)) {
		r.failed, r.rest = true, nil
		return nil
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *sshReader) integer() *big.Int { return new(big.Int).SetBytes(r.text()) }

// numbers are those of an RSA key: modulus, both exponents and both primes.
type numbers struct{ n, e, d, p, q *big.Int }

// rsa makes a key of its numbers and checks that they fit together.
func (v numbers) rsa() (*rsa.PrivateKey, Rule) {
	if v.n == nil || v.n.Sign() == 0 || v.e == nil || v.e.Sign() == 0 {
		return nil, RuleMalformed
	}
	if v.d == nil || v.d.Sign() == 0 {
		return nil, RuleNoPrivate
	}
	if !v.e.IsInt64() || v.e.Int64() > 1<<31-1 || v.e.Int64() < 3 || v.e.Bit(0) == 0 {
		return nil, RuleMalformed
	}
	if v.p == nil || v.q == nil || v.p.Sign() == 0 || v.q.Sign() == 0 {
		if v.p, v.q = v.primes(); v.p == nil {
			return nil, RuleMalformed
		}
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: v.n, E: int(v.e.Int64())}, D: v.d, Primes: []*big.Int{v.p, v.q}}
	if key.Validate() != nil {
		return nil, RuleMalformed
	}
	key.Precompute()
	return key, ""
}

// maxTwos is more than the factors 2 of any real key. Each one costs a step.
const maxTwos = 64

// primes finds the primes of a key from its other numbers. e·d-1 is a multiple of
// the order of every number that has no factor in common with n. So powers of such
// a number give square roots of 1 modulo n, and a root other than 1 and -1 gives a
// factor of n.
func (v numbers) primes() (p, q *big.Int) {
	one := big.NewInt(1)
	odd := new(big.Int).Sub(new(big.Int).Mul(v.e, v.d), one)
	if odd.Sign() <= 0 || odd.Bit(0) == 1 || v.n.BitLen() != Bits || v.d.BitLen() > Bits {
		return nil, nil
	}
	twos := odd.TrailingZeroBits()
	if twos > maxTwos {
		return nil, nil
	}
	odd.Rsh(odd, twos)
	for base := int64(2); base < 20; base++ {
		root := new(big.Int).Exp(big.NewInt(base), odd, v.n)
		for range twos {
			square := new(big.Int).Exp(root, big.NewInt(2), v.n)
			if square.Cmp(one) == 0 && root.Cmp(one) != 0 {
				if p = new(big.Int).GCD(nil, nil, root.Sub(root, one), v.n); p.Cmp(one) != 0 {
					return p, new(big.Int).Div(v.n, p)
				}
				break // the root was -1
			}
			root = square
		}
	}
	return nil, nil
}

// searchNumbers looks for keys that are written as named numbers: JSON Web Keys, the
// XML of .NET, and the text that openssl prints.
func (f *finding) searchNumbers(text string) {
	rest := text
	for range maxCandidates {
		at := strings.IndexAny(rest, "{[")
		if at < 0 || f.several() {
			break
		}
		rest = rest[at:]
		d := json.NewDecoder(strings.NewReader(rest))
		var v any
		if d.Decode(&v) != nil {
			rest = rest[1:]
			continue
		}
		f.searchJSON(v)
		rest = rest[d.InputOffset():]
	}
	for _, element := range dotNet().FindAllString(text, maxCandidates) {
		var v struct{ Modulus, Exponent, D, P, Q string }
		if xml.Unmarshal([]byte(element), &v) == nil {
			f.addNumbers(numbers{integer(v.Modulus), integer(v.Exponent), integer(v.D), integer(v.P), integer(v.Q)})
		}
	}
	if m := printed().FindStringSubmatch(text); m != nil {
		digits := func(s string) *big.Int {
			n, _ := new(big.Int).SetString(beside().ReplaceAllString(s, ""), 16) // never nil: the pattern matches digits only
			return n
		}
		e, _ := new(big.Int).SetString(m[2], 10)
		f.addNumbers(numbers{digits(m[1]), e, digits(m[3]), digits(m[4]), digits(m[5])})
	}
}

var (
	dotNet  = pattern.New(`(?s)<RSAKeyValue\b.*?</RSAKeyValue>`)
	octets  = `((?:\s*[0-9a-f]{2}:?)+)\s*`
	printed = pattern.New(`(?i)modulus:` + octets + `publicExponent:\s*(\d+)[^\n]*\s*privateExponent:` + octets + `prime1:` + octets + `prime2:` + octets)
)

// addNumbers reads a key from its numbers, which is expensive.
func (f *finding) addNumbers(v numbers) {
	if !f.several() {
		f.add(v.rsa())
	}
}

// searchJSON looks for JSON Web Keys in a value, also in JSON that is written into a
// string.
func (f *finding) searchJSON(v any) {
	switch v := v.(type) {
	case []any:
		if b := bytesOf(v); len(b) > minKey {
			f.searchBytes(b, 1)
			return
		}
		for _, e := range v {
			f.searchJSON(e)
		}
	case string:
		if strings.HasPrefix(strings.TrimSpace(v), "{") {
			f.searchNumbers(v)
		}
	case map[string]any:
		member := func(name string) string {
			s, _ := v[name].(string)
			return s
		}
		switch kind := member("kty"); {
		case member("n") != "" && member("e") != "":
			f.addNumbers(numbers{integer(member("n")), integer(member("e")), integer(member("d")), integer(member("p")), integer(member("q"))})
		case kind != "" && kind != "RSA":
			f.broken = append(f.broken, RuleNotRSA)
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			f.searchJSON(v[name])
		}
	}
}

// bytesOf returns the bytes that a list of numbers holds, such as a Buffer of Node.js;
// nil for another list. Java's bytes have signs.
func bytesOf(list []any) []byte {
	var b []byte
	for _, e := range list {
		n, ok := e.(float64)
		if !ok || n < -128 || n > 255 || n != float64(int(n)) {
			return nil
		}
		b = append(b, byte(int(n)))
	}
	return b
}

// integer reads a number in base64; nil if it is none.
func integer(s string) *big.Int {
	b, err := base64.RawStdEncoding.DecodeString(pack(s))
	if err != nil {
		return nil
	}
	return new(big.Int).SetBytes(b)
}
