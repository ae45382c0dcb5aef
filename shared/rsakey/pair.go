package rsakey

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"

	"github.com/yunduo-scrm/archive/shared/secret"
)

// Bits is the only size of key that WeCom takes.
const Bits = 2048

// Pair is a key pair in the forms that the archive stores and shows.
type Pair struct {
	// ID names the pair: the first 32 hex digits of the SHA-256 of the public
	// key's SubjectPublicKeyInfo. So a pair has the same ID whatever form its
	// private key was imported in.
	ID        string
	PublicPEM string       // SubjectPublicKeyInfo, for pasting into WeCom
	Private   secret.Value // PKCS#8 PEM
}

// Make makes a new pair from the system's randomness. It takes from a tenth of a
// second to several seconds.
func Make() (Pair, error) {
	key, err := rsa.GenerateKey(rand.Reader, Bits)
	if err != nil {
		return Pair{}, fmt.Errorf("make RSA key: %w", err)
	}
	return pairOf(key)
}

// Import reads a private key that another program made, and checks that its
// numbers fit together. It takes PKCS#1, PKCS#8 and OpenSSH keys, and forgives what
// copying does to the text: see [parse]. It ignores other blocks in the text, such
// as the public key. For a text without one usable key it returns a [*RuleError].
func Import(text secret.Value) (Pair, error) {
	key, err := parse(text)
	if err != nil {
		return Pair{}, err
	}
	return pairOf(key)
}

// pairOf writes a key in one form, with the larger prime first.
func pairOf(key *rsa.PrivateKey) (Pair, error) {
	if p := key.Primes; len(p) == 2 && p[0].Cmp(p[1]) < 0 {
		key = &rsa.PrivateKey{PublicKey: key.PublicKey, D: key.D, Primes: []*big.Int{p[1], p[0]}}
		key.Precompute()
	}
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

// A RuleError says why a text is refused as a private key. It holds no part of the
// text.
type RuleError struct{ Rule Rule }

func (e *RuleError) Error() string { return "private key refused: " + string(e.Rule) }

// Rule names the requirement that a text breaks. Its values are part of the HTTP
// API.
type Rule string

// The rules, each named by the way in which a text breaks it.
const (
	RuleNotPEM       Rule = "not_pem"           // the text holds no key in any known form
	RuleNoPrivate    Rule = "no_private_key"    // the text holds another thing, such as the public key
	RuleSeveral      Rule = "several_keys"      // the text holds more than one private key
	RuleEncrypted    Rule = "encrypted"         // a password protects the key
	RuleEncryptedSSH Rule = "encrypted_openssh" // the same, in OpenSSH's format, which openssl cannot read
	RulePuTTY        Rule = "putty"             // the key is in PuTTY's format
	RulePKCS12       Rule = "pkcs12"            // the text is a PKCS#12 store, which a password protects
	RuleNotRSA       Rule = "not_rsa"           // the key is of another kind, such as an elliptic curve
	RuleCutOff       Rule = "cut_off"           // the beginning or the end of the key is missing
	RuleMalformed    Rule = "malformed"         // the key was altered: its numbers do not fit together
	RuleBits         Rule = "not_2048_bits"     // WeCom takes no other size
)
