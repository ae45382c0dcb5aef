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
	// MaxAge is how long a [Ring] holds a key: afterwards it is fetched anew,
	// so taking away the right to read a key takes effect within this time.
	MaxAge = 15 * time.Minute
	// MaxKeys is how many keys a [Ring] holds. A key is a few KB; the bound is
	// there because one process may serve any number of corps.
	MaxKeys = 256
)

// PrivateKeys is where private keys are kept, as PKCS#8 PEM;
// [archive.ErrNotFound] if there is none under the id.
type PrivateKeys interface {
	PrivateKey(ctx context.Context, corp, keyID string) (secret.Value, error)
}

// A Fit makes a key usable; the key is 2048 bits long and checked. The opener
// has to free by itself what it holds outside of Go's memory once it is
// unreachable: a [Ring] drops openers that may still be in use.
type Fit func(key *rsa.PrivateKey) (decode.Opener, error)

// Ring fetches private keys, parses each once and keeps them in memory within
// [MaxAge] and [MaxKeys]. It is safe for concurrent use; two callers who miss
// the same key at once both fetch it, which is harmless. What is not found is
// asked for again at the next call, since a missing key may arrive at any
// moment (law 5).
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

// NewRing makes an empty ring. [Go] is the Fit that needs nothing but the
// standard library.
func NewRing(keys PrivateKeys, fit Fit, now func() time.Time) *Ring {
	return &Ring{keys: keys, fit: fit, now: now, held: make(map[slot]held)}
}

// Opener returns the corp's key of that id. A stored key that is not the one
// its id names, or no key at all, is [archive.ErrCorrupt].
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
		return nil, fmt.Errorf("private key %s: %w: it is key %s", keyID, archive.ErrCorrupt, got)
	}
	o, err := r.fit(key)
	if err != nil {
		return nil, fmt.Errorf("private key %s: make it usable: %w", keyID, err)
	}
	r.hold(s, o)
	return o, nil
}

// lookUp also drops every key that is too old, so that none outlives MaxAge in
// memory merely because nobody asks for it again.
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
