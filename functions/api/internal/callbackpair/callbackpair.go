// Package callbackpair seals the pairs of callbacks. Sealed pairs are kept in the
// table of corps, beside the note of which pairs are accepted; the pair key that
// opens them is kept in the secret store, once for the whole stack. So neither
// the table nor the secret alone shows a pair, and a corp's pair costs no secret.
package callbackpair

import (
	"context"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/opaque"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// Pair holds the two values that WeCom and the archive share for a callback
// (wecom.md 3), and the id of the pair, which is no secret.
type Pair struct {
	ID     string
	Token  secret.Value
	AESKey secret.Value // EncodingAESKey, 43 characters
}

// Keys holds the pair key.
type Keys interface {
	// PairKey returns [archive.ErrNotFound] before a key is stored.
	PairKey(ctx context.Context) (secret.Value, error)
	// CreatePairKey stores the key permanently, or returns [archive.ErrExists].
	CreatePairKey(ctx context.Context, key secret.Value) error
}

// errNoKey means that the secret store does not show the pair key. It is no
// [archive.ErrNotFound], which would mean that the corp has no pair.
var errNoKey = errors.New("pair key missing in the secret store")

// Sealer seals and opens pairs. It reads the pair key once and keeps it in
// memory; the key never changes. It is safe for concurrent use. Two callers that
// miss the key both read it.
type Sealer struct {
	keys Keys

	mu   sync.Mutex
	aead cipher.AEAD // nil until the key was read
}

// NewSealer makes a Sealer. It reads nothing.
func NewSealer(keys Keys) *Sealer { return &Sealer{keys: keys} }

// plainJSON is what a sealed pair holds. The rest is bound to it by [bound].
type plainJSON struct {
	Token          string `json:"token"`
	EncodingAESKey string `json:"encodingAESKey"`
}

// Seal seals a pair for one callback of a corp. The first pair of a stack makes
// the pair key. If two callers do so at once, one key is stored and both use it.
func (s *Sealer) Seal(ctx context.Context, corp string, kind archive.CallbackKind, p Pair) (string, error) {
	aead, err := s.cipher(ctx)
	if errors.Is(err, errNoKey) {
		err = s.keys.CreatePairKey(ctx, newKey())
		if err == nil || errors.Is(err, archive.ErrExists) {
			aead, err = s.cipher(ctx) // the secret store may still miss it; then the caller tries again
		}
	}
	if err != nil {
		return "", fmt.Errorf("seal %s callback pair of corp %s: %w", kind, corp, err)
	}
	b, err := json.Marshal(plainJSON{Token: p.Token.Reveal(), EncodingAESKey: p.AESKey.Reveal()})
	if err != nil {
		return "", fmt.Errorf("seal %s callback pair of corp %s: %w", kind, corp, err)
	}
	return base64.StdEncoding.EncodeToString(aead.Seal(nil, nil, b, bound(corp, kind, p.ID))), nil
}

// Open opens the sealed pair with an id. A text that was not sealed for this
// corp, callback and id, with this stack's key, is [archive.ErrCorrupt].
func (s *Sealer) Open(ctx context.Context, corp string, kind archive.CallbackKind, id, sealed string) (Pair, error) {
	aead, err := s.cipher(ctx)
	if err != nil {
		return Pair{}, fmt.Errorf("open %s callback pair %s of corp %s: %w", kind, id, corp, err)
	}
	b, err := base64.StdEncoding.DecodeString(sealed)
	if err == nil {
		b, err = aead.Open(nil, nil, b, bound(corp, kind, id))
	}
	var plain plainJSON
	// The errors are dropped: that of JSON may quote the pair.
	if err != nil || json.Unmarshal(b, &plain) != nil || plain.Token == "" || plain.EncodingAESKey == "" {
		return Pair{}, fmt.Errorf("open %s callback pair %s of corp %s: %w", kind, id, corp, archive.ErrCorrupt)
	}
	return Pair{ID: id, Token: secret.New(plain.Token), AESKey: secret.New(plain.EncodingAESKey)}, nil
}

// bound is what a sealed pair is bound to. An actor who can write to the table
// cannot give a corp the pair of another one.
func bound(corp string, kind archive.CallbackKind, id string) []byte {
	return fmt.Appendf(nil, "callback pair\n%s\n%s\n%s", corp, kind, id)
}

func (s *Sealer) cipher(ctx context.Context) (cipher.AEAD, error) {
	s.mu.Lock()
	aead := s.aead
	s.mu.Unlock()
	if aead != nil {
		return aead, nil
	}
	text, err := s.keys.PairKey(ctx)
	if errors.Is(err, archive.ErrNotFound) {
		return nil, errNoKey
	}
	if err != nil {
		return nil, fmt.Errorf("read pair key: %w", err)
	}
	if aead, err = cipherOf(text); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aead = aead
	return aead, nil
}

func newKey() secret.Value {
	key := opaque.NewKey()
	return secret.New(base64.StdEncoding.EncodeToString(key[:]))
}

func cipherOf(text secret.Value) (cipher.AEAD, error) {
	var key opaque.Key
	b, err := base64.StdEncoding.DecodeString(text.Reveal())
	if err != nil || len(b) != len(key) {
		return nil, fmt.Errorf("pair key unusable: %w", archive.ErrCorrupt)
	}
	copy(key[:], b)
	return key.Cipher()
}
