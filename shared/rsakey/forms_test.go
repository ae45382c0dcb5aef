package rsakey_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"html"
	"math/big"
	"mime/quotedprintable"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// sshOf writes a key in OpenSSH's format.
func sshOf(t *testing.T, key *rsa.PrivateKey, password string) string {
	t.Helper()
	b, err := ssh.MarshalPrivateKey(key, "lin@host")
	if password != "" {
		b, err = ssh.MarshalPrivateKeyWithPassphrase(key, "lin@host", []byte(password))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(b))
}

// unpem returns the lines of a PEM text without BEGIN and END.
func unpem(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[1:len(lines)-1], "\n")
}

// forms are ways in which people copy one key.
func forms(t *testing.T, p rsakey.Pair) map[string]string {
	t.Helper()
	key := privateOf(t, p)
	pkcs8 := p.Private.Reveal()
	der, _ := pem.Decode([]byte(pkcs8))
	der1 := x509.MarshalPKCS1PrivateKey(key)
	pkcs1 := pemOf("RSA PRIVATE KEY", der1)
	inJSON, err := json.Marshal(map[string]string{"comment": "our key", "private_key": pkcs8})
	if err != nil {
		t.Fatal(err)
	}
	inOldJSON, err := json.Marshal(map[string]string{"key": string(inJSON)})
	if err != nil {
		t.Fatal(err)
	}
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	jwk, err := json.Marshal(map[string]string{
		"kty": "RSA", "n": number(key.N), "e": number(big.NewInt(int64(key.E))), "d": number(key.D),
		"p": number(key.Primes[0]), "q": number(key.Primes[1]),
	})
	if err != nil {
		t.Fatal(err)
	}
	noPrimes := fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB","d":%q}`, number(key.N), number(key.D))
	hexBytes := func(format, between string, b []byte) string {
		var digits []string
		for _, c := range b {
			digits = append(digits, fmt.Sprintf(format, c))
		}
		return strings.Join(digits, between)
	}
	inJWK, err := json.Marshal(map[string]any{"keys": []any{map[string]string{"key": string(jwk)}}})
	if err != nil {
		t.Fatal(err)
	}
	var printable strings.Builder
	w := quotedprintable.NewWriter(&printable)
	if _, err := w.Write([]byte(pkcs1)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	pss, err := asn1.Marshal(struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}{0, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}}, der1})
	if err != nil {
		t.Fatal(err)
	}
	std := func(n *big.Int) string { return base64.StdEncoding.EncodeToString(n.Bytes()) }
	lines := strings.Split(strings.TrimSpace(pkcs8), "\n")
	each := func(before, behind string) string {
		return before + strings.Join(lines, behind+"\n"+before) + behind
	}
	numbered := ""
	for i, line := range lines {
		numbered += fmt.Sprintf("%3d: %s\n", i+1, line)
	}
	certificate := "-----BEGIN CERTIFICATE-----\nMIIBaaaa\n-----END CERTIFICATE-----\n"
	var bytesOf []int
	for _, c := range der.Bytes {
		bytesOf = append(bytesOf, int(c))
	}
	buffer, err := json.Marshal(map[string]any{"type": "Buffer", "data": bytesOf})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := json.Marshal(slices.Collect(func(yield func(int8) bool) {
		for _, c := range der1 {
			if !yield(int8(c)) {
				return
			}
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"PowerShell":                  strings.ReplaceAll(pkcs8, "\n", "`n"),
		"PowerShell, CRLF":            strings.ReplaceAll(pkcs1, "\n", "`r`n"),
		"carets for line breaks":      strings.ReplaceAll(pkcs8, "\n", "^M"),
		"times with dates":            each("2026-01-01T10:30:05.123Z ", ""),
		"words before lines":          each("2026-01-01 10:30:05,123 INFO ", ""),
		"names of lines":              each("privateKeyLine: ", ""),
		"commands with a path":        each("echo '", "' >> /home/lin/keys/private.pem"),
		"log of a container":          each(`{"log":"`, `\n","stream":"stdout","time":"2026-01-01T00:00:00Z"}`),
		"sender between":              strings.Replace(pkcs8, lines[10]+"\n", lines[10]+"\n林华 2026-01-01 10:30:05\n", 1),
		"colours of a terminal":       each("\x1b[32m+", "\x1b[m"),
		"Buffer of Node.js":           string(buffer),
		"bytes of Java":               "key: " + string(signed),
		"bytes of Go":                 fmt.Sprintf("key := %#v", der.Bytes),
		"bytes of C":                  "unsigned char key_der[] = {\n  " + hexBytes("0x%02x", ", ", der1) + "\n};\nunsigned int key_der_len = 1192;\n",
		"bytes in SQL":                `INSERT INTO k VALUES (E'\\x` + hex.EncodeToString(der.Bytes) + `'::bytea);`,
		"numbered lines":              numbered,
		"lines of a difference":       each("+", ""),
		"lines of a list":             each("- ", ""),
		"comments":                    each(" * // # ", ""),
		"table":                       each("| ", " |"),
		"times before lines":          each("[10:30:05] ", ""),
		"quotes, and words between":   strings.ReplaceAll(each("\"", "\" & vbCrLf & _"), "\n", ""),
		"SQL":                         strings.ReplaceAll(each("'", "' || chr(10) ||"), "\n", ""),
		"RTF":                         `{\rtf1 ` + strings.ReplaceAll(pkcs8, "\n", `\par `) + "}",
		"quoted-printable":            printable.String(),
		"URL-encoded twice":           url.QueryEscape(url.QueryEscape(pkcs8)),
		"HTML twice":                  html.EscapeString(html.EscapeString(strings.ReplaceAll(pkcs8, "\n", "<br>"))),
		"hexadecimal escapes":         strings.NewReplacer("+", `\x2b`, "\n", `\x0a`).Replace(pkcs8),
		"octal escapes":               strings.ReplaceAll(pkcs8, "\n", `\012`),
		"full-width characters":       wide(pkcs8),
		"BEGIN line twice":            lines[0] + "\n" + pkcs8,
		"blank block before":          lines[0] + "\n...\n" + lines[len(lines)-1] + "\n" + pkcs8,
		"label of an encrypted key":   pemOf("ENCRYPTED PRIVATE KEY", der.Bytes),
		"words about encryption":      strings.Replace(pkcs1, "KEY-----\n", "KEY-----\nComment: not ENCRYPTED\n\n", 1),
		"configuration with base64":   "tls.crt: " + base64.StdEncoding.EncodeToString([]byte(certificate)) + "\ntls.key: " + base64.StdEncoding.EncodeToString([]byte(pkcs8)) + "\n",
		"hexadecimal bytes":           hexBytes("0x%02X", ", ", der1),
		"hexadecimal in a string":     `"` + hexBytes(`\x%02x`, "", der1) + `"`,
		"hexadecimal with colons":     hexBytes("%02X", ":", der.Bytes),
		"hexadecimal PEM":             `\x` + hex.EncodeToString([]byte(pkcs8)),
		"JSON Web Keys":               string(inJWK),
		"JSON Web Key, words around":  "our key: '" + string(jwk) + "'.",
		"JSON Web Key in base64":      base64.StdEncoding.EncodeToString(jwk),
		"JSON Web Key without primes": noPrimes,
		"for one use":                 pemOf("PRIVATE KEY", pss),
		"printed by openssl": fmt.Sprintf("Private-Key: (2048 bit, 2 primes)\nmodulus:\n    00:%s\npublicExponent: %d (0x10001)\nprivateExponent:\n    %s\nprime1:\n    00:%s\nprime2:\n    00:%s\nexponent1:\n    00\n",
			hexBytes("%02x", ":\n    ", key.N.Bytes()), key.E, hexBytes("%02x", ":", key.D.Bytes()), hexBytes("%02x", ":", key.Primes[0].Bytes()), hexBytes("%02x", ":", key.Primes[1].Bytes())),
		"PKCS#8":                         pkcs8,
		"PKCS#1":                         pkcs1,
		"CRLF and blanks around":         "\n  " + strings.ReplaceAll(pkcs1, "\n", "\r\n") + "\r\n ",
		"CR alone":                       strings.ReplaceAll(pkcs8, "\n", "\r"),
		"byte order mark":                "\ufeff" + pkcs8,
		"UTF-16 read as bytes":           strings.Join(strings.Split(pkcs8, ""), "\x00"),
		"escaped line breaks":            strings.ReplaceAll(pkcs8, "\n", `\n`),
		"line breaks escaped twice":      strings.ReplaceAll(pkcs1, "\n", `\\r\\n`),
		"one line":                       strings.ReplaceAll(pkcs1, "\n", " "),
		"one line without blanks":        strings.ReplaceAll(pkcs8, "\n", ""),
		"indented":                       "  " + strings.ReplaceAll(pkcs8, "\n", "\n    "),
		"indented by tabs":               strings.ReplaceAll(pkcs1, "\n", "\n\t\t"),
		"indented by full-width blanks":  strings.ReplaceAll(pkcs1, "\n", "\n\u3000"),
		"quoted":                         `"` + pkcs8 + `"`,
		"single quotes":                  "'" + pkcs1 + "'",
		"quotation marks":                "“" + pkcs1 + "”",
		"environment file":               `PRIVATE_KEY="` + strings.ReplaceAll(pkcs8, "\n", `\n`) + `"`,
		"YAML":                           "private_key: |\n  " + strings.ReplaceAll(pkcs8, "\n", "\n  "),
		"JSON":                           string(inJSON),
		"JSON in JSON":                   string(inOldJSON),
		"Java":                           "\"" + strings.Join(lines, "\\n\" +\n    \"") + "\"",
		"quoted reply":                   "> " + strings.ReplaceAll(pkcs8, "\n", "\n> "),
		"code fence":                     "```\n" + pkcs8 + "```",
		"HTML":                           "<p>" + html.EscapeString(strings.ReplaceAll(pkcs8, "\n", "<br/>")) + "</p>",
		"URL-encoded":                    url.QueryEscape(pkcs8),
		"form without encoded signs":     strings.ReplaceAll(pkcs8, "+", " "),
		"zero-width blanks":              strings.ReplaceAll(pkcs8, "\n", "\u200b\n"),
		"no-break blanks":                strings.ReplaceAll(pkcs8, " ", "\u00a0"),
		"long dashes":                    strings.ReplaceAll(pkcs8, "-----", "——-"),
		"full-width dashes":              strings.ReplaceAll(pkcs1, "-----", "－－－－－"),
		"four dashes":                    strings.ReplaceAll(pkcs1, "-----", "----"),
		"no dashes":                      strings.ReplaceAll(pkcs1, "-----", ""),
		"lower-case label":               strings.NewReplacer("BEGIN PRIVATE KEY", "begin private key", "END PRIVATE KEY", "end private key").Replace(pkcs8),
		"PKCS#8 under the PKCS#1 label":  pemOf("RSA PRIVATE KEY", der.Bytes),
		"PKCS#1 under the PKCS#8 label":  pemOf("PRIVATE KEY", der1),
		"another label":                  pemOf("EC PRIVATE KEY", der1),
		"label of a public key":          pemOf("PUBLIC KEY", der1),
		"OpenSSH":                        sshOf(t, key, ""),
		"OpenSSH, PKCS#8 label":          pemOf("PRIVATE KEY", pemBytes(t, sshOf(t, key, ""))),
		"OpenSSH, base64 alone":          unpem(sshOf(t, key, "")),
		"base64 alone, PKCS#8":           unpem(pkcs8),
		"base64 alone, PKCS#1":           unpem(pkcs1),
		"base64 alone, + lost":           strings.ReplaceAll(unpem(pkcs8), "+", " "),
		"base64 alone, one line, + lost": strings.ReplaceAll(base64.StdEncoding.EncodeToString(der1), "+", " "),
		"after a name, + lost":           "key=" + strings.ReplaceAll(base64.StdEncoding.EncodeToString(der.Bytes), "+", " ") + "\n",
		"END line alone, + lost":         strings.ReplaceAll(strings.Join(lines[1:], "\n"), "+", " "),
		"OpenSSH, base64 alone, + lost":  strings.ReplaceAll(unpem(sshOf(t, key, "")), "+", " "),
		"base64 alone, numbered lines":   strings.Join(strings.Split(numbered, "\n")[1:len(lines)-1], "\n"),
		"base64 alone, a difference":     "+" + strings.ReplaceAll(unpem(pkcs8), "\n", "\n+"),
		"base64 alone, one line":         base64.StdEncoding.EncodeToString(der.Bytes),
		"base64url":                      base64.RawURLEncoding.EncodeToString(der.Bytes),
		"base64 alone, after a name":     "key=" + base64.StdEncoding.EncodeToString(der1),
		"PEM in base64":                  base64.StdEncoding.EncodeToString([]byte(pkcs8)),
		"PEM in base64 twice":            base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(pkcs1)))),
		"hexadecimal":                    hex.EncodeToString(der.Bytes),
		"END line missing":               strings.Join(lines[:len(lines)-1], "\n"),
		"END line missing, words behind": strings.Join(lines[:len(lines)-1], "\n") + "\nkeep this safe please and do not lose this",
		"END line cut":                   strings.TrimSuffix(strings.TrimSpace(pkcs8), "KEY-----"),
		"BEGIN line missing":             strings.Join(lines[1:], "\n"),
		"BEGIN line cut":                 strings.TrimPrefix(pkcs8, "-----BEGIN PRIV"),
		"labels that differ":             strings.Replace(pkcs8, "END PRIVATE", "END RSA PRIVATE", 1),
		"with its public key":            p.PublicPEM + pkcs1,
		"before its public key":          pkcs8 + p.PublicPEM,
		"words around":                   "our key:\n" + pkcs8 + "keep it safe\n",
		"bag attributes":                 "Bag Attributes\n    localKeyID: 01 02\nKey Attributes: <No Attributes>\n" + pkcs8,
		"headers":                        strings.Replace(pkcs1, "KEY-----\n", "KEY-----\nComment: our key\n\n", 1),
		"twice":                          pkcs8 + pkcs1,
		"JSON Web Key":                   string(jwk),
		".NET": fmt.Sprintf("<RSAKeyValue><Modulus>%s</Modulus><Exponent>%s</Exponent><P>%s</P><Q>%s</Q><D>%s</D></RSAKeyValue>",
			std(key.N), std(big.NewInt(int64(key.E))), std(key.Primes[0]), std(key.Primes[1]), std(key.D)),
	}
}

// wide writes ASCII in full-width characters.
func wide(s string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' {
			return r - '!' + '！'
		}
		return r
	}, s)
}

func pemBytes(t *testing.T, text string) []byte {
	t.Helper()
	b, _ := pem.Decode([]byte(text))
	if b == nil {
		t.Fatal("the text is not PEM")
	}
	return b.Bytes
}

func TestImportTakesEveryWholeForm(t *testing.T) {
	p := pairs()[0]
	for name, text := range forms(t, p) {
		t.Run(name, func(t *testing.T) {
			got, err := rsakey.Import(secret.New(text))
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != p.ID || got.PublicPEM != p.PublicPEM || !got.Private.Equal(p.Private) {
				t.Errorf("got pair %s, want %s in the same form", got.ID, p.ID)
			}
		})
	}
}

// Where a form is not whole or not usable, the rule leads to the right remedy.
func TestImportSaysWhatToFix(t *testing.T) {
	p, other := pairs()[0], pairs()[1]
	key := privateOf(t, p)
	pkcs8 := p.Private.Reveal()
	pkcs1 := pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	edPEM, err := ssh.MarshalPrivateKey(ed, "")
	if err != nil {
		t.Fatal(err)
	}
	sm2, err := asn1.Marshal(struct {
		Version   int
		Algorithm struct{ Algorithm, Curve asn1.ObjectIdentifier }
		Key       []byte
	}{0, struct{ Algorithm, Curve asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301}}, make([]byte, 120)})
	if err != nil {
		t.Fatal(err)
	}
	publicSSH, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(pkcs8), "\n")
	sshLines := strings.Split(strings.TrimSpace(sshOf(t, key, "")), "\n")
	pkcs12 := binary.BigEndian.AppendUint16([]byte{0x30, 0x82}, 40)
	pkcs12 = append(append(pkcs12, 0x02, 0x01, 0x03, 0x30, 35), make([]byte, 35)...)
	for name, c := range map[string]struct {
		text string
		want rsakey.Rule
	}{
		"end missing":                  {strings.Join(lines[:len(lines)-5], "\n"), rsakey.RuleCutOff},
		"end missing, before END":      {strings.Join(append(lines[:len(lines)-5:len(lines)-5], lines[len(lines)-1]), "\n"), rsakey.RuleCutOff},
		"end missing, PKCS#1":          {pkcs1[:len(pkcs1)-200], rsakey.RuleCutOff},
		"end missing, base64 alone":    {strings.Join(lines[1:len(lines)-5], "\n"), rsakey.RuleCutOff},
		"end missing, OpenSSH":         {strings.Join(sshLines[:len(sshLines)-5], "\n"), rsakey.RuleCutOff},
		"beginning missing":            {strings.Join(lines[5:], "\n"), rsakey.RuleCutOff},
		"BEGIN and END alone":          {lines[0] + "\n" + lines[len(lines)-1], rsakey.RuleMalformed},
		"OpenSSH with a password":      {sshOf(t, key, "hunter2"), rsakey.RuleEncryptedSSH},
		"password in one line":         {"-----BEGIN RSA PRIVATE KEY----- Proc-Type: 4,ENCRYPTED DEK-Info: AES-256-CBC,00 MIIE -----END RSA PRIVATE KEY-----", rsakey.RuleEncrypted},
		"PuTTY":                        {"PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nPublic-Lines: 6\nAAAA", rsakey.RulePuTTY},
		"PKCS#12":                      {base64.StdEncoding.EncodeToString(pkcs12), rsakey.RulePKCS12},
		"Ed25519 in OpenSSH's format":  {string(pem.EncodeToMemory(edPEM)), rsakey.RuleNotRSA},
		"curve, base64 alone":          {base64.StdEncoding.EncodeToString(sec1), rsakey.RuleNotRSA},
		"curve of SM2":                 {pemOf("PRIVATE KEY", sm2), rsakey.RuleNotRSA},
		"JSON Web Key of a curve":      {`{"kty":"EC","crv":"P-256","d":"AA","x":"AA","y":"AA"}`, rsakey.RuleNotRSA},
		"JSON Web Key, wrong numbers":  {fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB","d":"AQAD"}`, base64.RawURLEncoding.EncodeToString(key.N.Bytes())), rsakey.RuleMalformed},
		"public key of a curve":        {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ lin@host", rsakey.RuleNoPrivate},
		"curve under the RSA label":    {pemOf("RSA PRIVATE KEY", sec1), rsakey.RuleNotRSA},
		"public key, base64 alone":     {unpem(p.PublicPEM), rsakey.RuleNoPrivate},
		"public key, private label":    {strings.ReplaceAll(p.PublicPEM, "PUBLIC", "PRIVATE"), rsakey.RuleNoPrivate},
		"public key, PKCS#1":           {pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey)), rsakey.RuleNoPrivate},
		"public key of OpenSSH":        {string(ssh.MarshalAuthorizedKey(publicSSH)), rsakey.RuleNoPrivate},
		"certificate":                  {"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", rsakey.RuleNoPrivate},
		"public JSON Web Key":          {`{"kty":"RSA","n":"` + base64.RawURLEncoding.EncodeToString(key.N.Bytes()) + `","e":"AQAB"}`, rsakey.RuleNoPrivate},
		"two keys without labels":      {unpem(pkcs8) + "\n\n" + unpem(other.Private.Reveal()), rsakey.RuleSeveral},
		"two keys, the second cut off": {pkcs8 + other.Private.Reveal()[:900], rsakey.RuleSeveral},
		"numbers of two keys":          {jwkOf(t, key, privateOf(t, other)), rsakey.RuleMalformed},
		"altered, OpenSSH":             {alteredSSH(t, sshOf(t, key, "")), rsakey.RuleMalformed},
		"words":                        {"MIIE is the beginning of a key", rsakey.RuleNotPEM},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rsakey.Import(secret.New(c.text))
			var rule *rsakey.RuleError
			if !errors.As(err, &rule) || rule.Rule != c.want {
				t.Errorf("got error %v, want rule %s", err, c.want)
			}
		})
	}
}

// A text can be made to cost as much as its length allows. Its reading stops at the
// second key, and takes no number of steps that a key's own numbers choose.
func TestImportIsQuick(t *testing.T) {
	const size = 16 << 10
	one := big.NewInt(1)
	n := new(big.Int).Sub(new(big.Int).Lsh(one, 2048), big.NewInt(1942289))
	text := func(x *big.Int) string { return base64.StdEncoding.EncodeToString(x.Bytes()) }
	times := func(s string) string { return strings.Repeat(s, size/len(s)) }
	huge := new(big.Int).Sub(new(big.Int).Lsh(one, 20000), one)
	for name, hostile := range map[string]string{
		"many square roots":   fmt.Sprintf(`{"n":%q,"e":"AQ==","d":%q}`, text(n), text(new(big.Int).Add(new(big.Int).Lsh(one, 2047), one))),
		"many roots, odd e":   fmt.Sprintf(`{"n":%q,"e":"Aw==","d":%q}`, text(n), text(new(big.Int).Div(new(big.Int).Add(new(big.Int).Lsh(one, 2049), one), big.NewInt(3)))),
		"no primes":           fmt.Sprintf(`{"n":%q,"e":"AQAB","d":%q}`, text(n), text(n)),
		"no primes, in texts": fmt.Sprintf(`"{\"n\":\"%s\",\"e\":\"AQAB\",\"d\":\"%s\"}"`, text(n), text(n)),
		".NET":                fmt.Sprintf("<RSAKeyValue><Modulus>%s</Modulus><Exponent>AQAB</Exponent><D>%s</D></RSAKeyValue>", text(n), text(n)),
		"huge":                fmt.Sprintf(`{"n":%q,"e":"AQAB","d":%q,"p":%q,"q":%q}`, text(huge), text(huge), text(new(big.Int).Rsh(huge, 10001)), text(new(big.Int).Rsh(huge, 9999))),
	} {
		for _, hostile := range []string{times(hostile), "[" + strings.TrimSuffix(times(hostile+","), ",") + "]"} {
			begun := time.Now()
			_, err := rsakey.Import(secret.New(hostile))
			if took := time.Since(begun); err == nil || took > 5*time.Second { // an idle processor takes less than a tenth
				t.Errorf("%s: got error %v after %s for %d characters", name, err, took, len(hostile))
			}
		}
	}
}

// jwkOf writes a JSON Web Key with the public numbers of one key and the private
// numbers of another.
func jwkOf(t *testing.T, public, private *rsa.PrivateKey) string {
	t.Helper()
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	jwk, err := json.Marshal(map[string]string{
		"kty": "RSA", "n": number(public.N), "e": number(big.NewInt(int64(public.E))), "d": number(private.D),
		"p": number(private.Primes[0]), "q": number(private.Primes[1]),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(jwk)
}

// alteredSSH changes one of the two check numbers of a key in OpenSSH's format. The
// numbers stand before the second text "ssh-rsa" and its length.
func alteredSSH(t *testing.T, text string) string {
	t.Helper()
	b := pemBytes(t, text)
	at := strings.LastIndex(string(b), "ssh-rsa")
	b[at-5] ^= 1
	return pemOf("OPENSSH PRIVATE KEY", b)
}

// Import ends without a panic, whatever the text is, and gives a key of the right
// size.
func FuzzImport(f *testing.F) {
	f.Add("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----")
	f.Add("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAABFwAAAAdzc2gtcnNh")
	f.Add("LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t")
	f.Add(`{"kty":"RSA","n":"AQ","e":"AQAB","d":"AQ","p":"AQ","q":"AQ"}`)
	f.Add("308204a4" + strings.Repeat("00", 200))
	f.Fuzz(func(t *testing.T, text string) {
		p, err := rsakey.Import(secret.New(text))
		var rule *rsakey.RuleError
		if err != nil && !errors.As(err, &rule) {
			t.Errorf("got error %v, want a rule", err)
		}
		if err == nil && p.ID == "" {
			t.Error("got a pair without an id")
		}
	})
}
