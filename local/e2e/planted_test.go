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
	place string   // of requests to AWS, see fragment
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

// A finder looks for planted texts.
type finder struct {
	list  []planted
	forms map[[begin]byte][]form // by their first bytes
}

// A form is one of a planted text, without its first bytes.
type form struct {
	of   int // index of the planted text
	rest []byte
}

const begin = 8 // bytes; every form is longer

func newFinder(list []planted) *finder {
	f := &finder{list: list, forms: make(map[[begin]byte][]form)}
	known := make(map[string]bool)
	for i, p := range list {
		if text := string(p.forms[0]); known[text] {
			continue // planted twice
		} else {
			known[text] = true
		}
		for _, b := range p.forms {
			f.forms[[begin]byte(b)] = append(f.forms[[begin]byte(b)], form{i, b[begin:]})
		}
	}
	return f
}

// in lists the planted texts of which b has a form, each once.
func (f *finder) in(b []byte) (found []planted) {
	known := make(map[int]bool)
	for i := range max(0, len(b)-begin+1) {
		for _, form := range f.forms[[begin]byte(b[i:])] {
			if !known[form.of] && bytes.HasPrefix(b[i+begin:], form.rest) {
				known[form.of] = true
				found = append(found, f.list[form.of])
			}
		}
	}
	return found
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
	f := newFinder([]planted{p})
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
		if len(f.in([]byte(found))) != 1 {
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
		if len(f.in([]byte(missed))) != 0 {
			t.Errorf("%s: got the key found", name)
		}
	}
}
