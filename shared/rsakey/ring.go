package rsakey

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/secret"
)

const (
	// MaxAge is the longest time that a [Ring] holds a key. Then the ring fetches
	// the key again, so a withdrawn right to read the key takes effect within this
	// time.
	MaxAge = 15 * time.Minute
	// MaxKeys is the most keys that a [Ring] holds. A key takes a few KB; a bound is
	// needed because one process may serve any number of corps.
	MaxKeys = 256
)

// PrivateKeys is the store of private keys, as PKCS#8 PEM. It returns
// [archive.ErrNotFound] if the id has no key.
type PrivateKeys interface {
	PrivateKey(ctx context.Context, corp, keyID string) (secret.Value, error)
}

// A Fit makes an opener of a key, which is 2048 bits long and checked. An opener
// that holds memory outside of Go must free that memory itself when the opener
// becomes unreachable: a [Ring] drops openers that may still be in use.
type Fit func(key *rsa.PrivateKey) (decode.Opener, error)

// Ring fetches private keys, parses each key once, and holds keys in memory within
// [MaxAge] and [MaxKeys]. It is safe for concurrent use. Two callers that miss the
// same key at once both fetch it, which does no harm. The ring does not remember
// that a key was absent, because the key may arrive at any moment (law 5).
type Ring struct {
	keys PrivateKeys
	fit  Fit
	now  func() time.Time

	mu   sync.Mutex
	held map[slot]held
}

var _ decode.Openers = (*Ring)(nil)

type slot struct{ corp, keyID string }

type held struct {
	opener decode.Opener
	since  time.Time
}

// NewRing makes an empty ring. [Go] is the Fit that uses the standard library only.
func NewRing(keys PrivateKeys, fit Fit, now func() time.Time) *Ring {
	return &Ring{keys: keys, fit: fit, now: now, held: make(map[slot]held)}
}

// Opener returns an opener for the corp's key with this id. It returns
// [archive.ErrCorrupt] if the stored text is not a key, or is a key with another id.
func (r *Ring) Opener(ctx context.Context, corp, keyID string) (decode.Opener, error) {
	s := slot{corp, keyID}
	if o := r.lookUp(s); o != nil {
		return o, nil
	}
	text, err := r.keys.PrivateKey(ctx, corp, keyID)
	if err != nil {
		return nil, fmt.Errorf("fetch private key %s: %w", keyID, err)
	}
	key, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w: %w", keyID, archive.ErrCorrupt, err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("private key %s: encode public key: %w", keyID, err)
	}
	if got := idOf(spki); got != keyID {
		return nil, fmt.Errorf("private key %s: %w: stored key has id %s", keyID, archive.ErrCorrupt, got)
	}
	o, err := r.fit(key)
	if err != nil {
		return nil, fmt.Errorf("private key %s: make opener: %w", keyID, err)
	}
	r.hold(s, o)
	return o, nil
}

// lookUp also drops every key that is older than MaxAge, so that a key without
// further calls does not stay in memory.
func (r *Ring) lookUp(s slot) decode.Opener {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for k, h := range r.held {
		if now.Sub(h.since) >= MaxAge {
			delete(r.held, k)
		}
	}
	return r.held[s].opener
}

func (r *Ring) hold(s slot, o decode.Opener) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.held[s]; !ok && len(r.held) >= MaxKeys {
		var oldest slot
		var since time.Time
		for k, h := range r.held {
			if since.IsZero() || h.since.Before(since) {
				oldest, since = k, h.since
			}
		}
		delete(r.held, oldest)
	}
	r.held[s] = held{opener: o, since: r.now()}
}
