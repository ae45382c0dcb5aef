package rsakey

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/yunduo-scrm/archive/shared/secret"
)

// Bits is the one size of key that WeCom takes.
const Bits = 2048

// Pair is a key pair in the forms in which it is stored and shown.
type Pair struct {
	// ID names the pair: the first 32 hex digits of the SHA-256 of the public
	// key's SubjectPublicKeyInfo. One pair has one ID in whatever form its
	// private key was imported.
	ID        string
	PublicPEM string       // SubjectPublicKeyInfo, as pasted into WeCom
	Private   secret.Value // PKCS#8 PEM
}

// Make makes a new pair from the system's randomness. It takes a tenth of a
// second or several.
func Make() (Pair, error) {
	key, err := rsa.GenerateKey(rand.Reader, Bits)
	if err != nil {
		return Pair{}, fmt.Errorf("make RSA key: %w", err)
	}
	return pairOf(key)
}

// Import reads a private key that was made elsewhere, as PKCS#1 or PKCS#8
// PEM, and checks that it is whole. Blocks beside it in the text, such as its
// public key, are passed over. A text that will not do is answered with a
// [*RuleError].
func Import(text secret.Value) (Pair, error) {
	key, err := parse(text)
	if err != nil {
		return Pair{}, err
	}
	return pairOf(key)
}

func pairOf(key *rsa.PrivateKey) (Pair, error) {
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return Pair{}, fmt.Errorf("encode public key: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encode private key: %w", err)
	}
	return Pair{
		ID:        idOf(spki),
		PublicPEM: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})),
		Private:   secret.New(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))),
	}, nil
}

func idOf(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:16])
}

// A RuleError says why a text is not taken as a private key. It holds nothing
// of the text.
type RuleError struct{ Rule Rule }

func (e *RuleError) Error() string { return "private key not accepted: " + string(e.Rule) }

// Rule names what a private key has to be. Its values are part of the HTTP
// API.
type Rule string

// The rules, by how they are broken.
const (
	RuleNotPEM    Rule = "not_pem"        // no PEM block at all
	RuleNoPrivate Rule = "no_private_key" // PEM, but of something else, such as the public key
	RuleSeveral   Rule = "several_keys"   // more than one private key: which is meant?
	RuleEncrypted Rule = "encrypted"      // protected by a password
	RuleNotRSA    Rule = "not_rsa"        // a key of another kind, such as an elliptic curve's
	RuleMalformed Rule = "malformed"      // cut off, altered, or its numbers do not fit together
	RuleBits      Rule = "not_2048_bits"  // WeCom takes no other size
)

// parse applies the rules in the order in which a person can mend them.
func parse(text secret.Value) (*rsa.PrivateKey, error) {
	var found *pem.Block
	blocks := 0
	for rest := []byte(strings.TrimSpace(text.Reveal())); ; blocks++ {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if !strings.HasSuffix(b.Type, "PRIVATE KEY") {
			continue
		}
		if found != nil {
			return nil, &RuleError{RuleSeveral}
		}
		found = b
	}
	switch {
	case blocks == 0:
		return nil, &RuleError{RuleNotPEM}
	case found == nil:
		return nil, &RuleError{RuleNoPrivate}
	case found.Type == "ENCRYPTED PRIVATE KEY" || found.Headers["DEK-Info"] != "":
		return nil, &RuleError{RuleEncrypted}
	}
	key, rule := rsaOf(found)
	if rule != "" {
		return nil, &RuleError{rule}
	}
	return key, nil
}

// rsaOf drops the errors of the standard library, which may quote the key.
func rsaOf(b *pem.Block) (*rsa.PrivateKey, Rule) {
	var key *rsa.PrivateKey
	switch b.Type {
	case "RSA PRIVATE KEY":
		k, err := x509.ParsePKCS1PrivateKey(b.Bytes)
		if err != nil {
			return nil, RuleMalformed
		}
		key = k
	case "PRIVATE KEY":
		k, err := x509.ParsePKCS8PrivateKey(b.Bytes)
		if err != nil {
			return nil, RuleMalformed
		}
		var ok bool
		if key, ok = k.(*rsa.PrivateKey); !ok {
			return nil, RuleNotRSA
		}
	default:
		return nil, RuleNotRSA
	}
	if key.N.BitLen() != Bits {
		return nil, RuleBits
	}
	return key, ""
}
