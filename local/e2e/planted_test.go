package e2e_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// A planted text is looked for everywhere. It may appear in one place only.
type planted struct {
	name  string
	place string   // see sight.place
	forms [][]byte // parts of the text, and what base64 shows of it
}

// shown is the length of the parts of a planted text that are looked for. It is
// long enough never to occur by chance.
const shown = 16

// plant plants a text that is random from its first to its last character. An
// excerpt is found if it has the first or the last characters of the text.
func plant(name, place, text string) planted {
	p := planted{name: name, place: place}
	p.add(text[:shown], text[len(text)-shown:])
	p.addBase64([]byte(text))
	return p
}

func (p *planted) add(forms ...string) {
	for _, form := range forms {
		p.forms = append(p.forms, []byte(form))
	}
}

// addBase64 adds what base64 shows of b, which depends on where in a group of
// three bytes b begins.
func (p *planted) addBase64(b []byte) {
	for shift := range 3 {
		whole := base64.StdEncoding.EncodeToString(append(make([]byte, shift), b...))
		form := whole[4 : len(whole)-4]
		p.add(form)
		if url := strings.NewReplacer("+", "-", "/", "_").Replace(form); url != form {
			p.add(url)
		}
	}
}

// plantKey plants an RSA key in PKCS#8 PEM. Its first lines are the same for each
// key, or public, so the forms begin with the private exponent. An excerpt of the
// text is found if it has 40 characters of one line. The private exponent and the
// primes are found as bytes, as hex, in base64 and in decimal, by their beginning,
// middle and end.
func plantKey(name, place, text string) (planted, error) {
	p := planted{name: name, place: place}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return p, errors.New("text is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return p, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return p, fmt.Errorf("key is a %T", parsed)
	}
	const line, part = 64, 20 // 40 characters contain one of the parts that begin at 0, 20 and 40
	body := base64.StdEncoding.EncodeToString(block.Bytes)
	private := (bytes.Index(block.Bytes, key.D.Bytes()) + 2) / 3 * 4
	for at := 0; at < len(body); at += line {
		for from := at; from <= at+2*part && from+part <= len(body); from += part {
			if from >= private {
				p.add(body[from : from+part])
				p.addBase64([]byte(body[from : from+part])) // of the text
			}
		}
	}
	for _, n := range []*big.Int{key.D, key.Primes[0], key.Primes[1]} {
		for _, b := range thirds(n.Bytes(), 18) {
			p.add(string(b), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)), strings.Trim(fmt.Sprint(b), "[]"))
			p.addBase64(b)
		}
		for _, digits := range thirds([]byte(n.String()), 24) {
			p.add(string(digits))
		}
	}
	return p, nil
}

// thirds are the first, the middle and the last n bytes.
func thirds(b []byte, n int) [][]byte {
	return [][]byte{b[:n], b[len(b)/2:][:n], b[len(b)-n:]}
}

func (p planted) in(b []byte) bool {
	for _, form := range p.forms {
		if bytes.Contains(b, form) {
			return true
		}
	}
	return false
}

// A planted key is found in each form, and in excerpts. What is public of it is
// not found, and no other key is.
func TestPlantedKey(t *testing.T) {
	t.Parallel()
	pemOf := func(key *rsa.PrivateKey) (text string, der []byte) {
		t.Helper()
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), der
	}
	var keys [2]*rsa.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	key := keys[0]
	text, der := pemOf(key)
	other, _ := pemOf(keys[1])
	p, err := plantKey("private key", "secrets", text)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(map[string]any{"text": text, "exponent": key.D})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(text, "\n")
	for name, found := range map[string]string{
		"text": text, "JSON": string(asJSON), "bytes": string(der), "hex": hex.EncodeToString(der), "upper hex": fmt.Sprintf("%X", der),
		"base64": base64.StdEncoding.EncodeToString(der), "base64 after a byte": base64.StdEncoding.EncodeToString(append([]byte{1}, der...)),
		"base64 of the text": base64.StdEncoding.EncodeToString([]byte(text)), "list of bytes": fmt.Sprint(der),
		"Go's printing": fmt.Sprint(key), "exponent": key.D.String(), "prime": key.Primes[1].String(),
		"prime as in a JWK": base64.RawURLEncoding.EncodeToString(key.Primes[0].Bytes()),
		"excerpt":           lines[20][:40], "excerpt of the middle": lines[18][7:47], "excerpt of an end": lines[15][24:],
	} {
		if !p.in([]byte(found)) {
			t.Errorf("%s: got the key not found", name)
		}
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, missed := range map[string]string{
		"another key": other, "first lines": strings.Join(lines[:7], "\n"), "public key": base64.StdEncoding.EncodeToString(public),
		"modulus": key.N.String(),
	} {
		if p.in([]byte(missed)) {
			t.Errorf("%s: got the key found", name)
		}
	}
}
