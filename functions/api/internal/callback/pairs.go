package callback

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

const (
	// pairAge is the time for which a callback pair in memory is used.
	pairAge = 5 * time.Minute
	// pairRetryAge is the shortest time between two reads of a pair because of
	// wrong signatures. Any stranger can send wrong signatures.
	pairRetryAge = 10 * time.Second
	// maxPairs bounds the memory that requests for unknown corps take.
	maxPairs = 1000
)

// ErrUnknownCorp means that the corp has no callback pair: it is not registered,
// or its registration is not complete.
var ErrUnknownCorp = errors.New("corp has no callback pair")

// Pairs holds callback pairs in memory for [pairAge], and the fact that a corp
// has no pair for [pairRetryAge]. Safe for concurrent use. Two callers that miss
// the same pair both read it.
type Pairs struct {
	read func(ctx context.Context, corp string) (secretstore.CallbackPair, error)
	now  func() time.Time

	mu    sync.Mutex
	pairs map[string]heldPair
}

type heldPair struct {
	box   *msgcrypt.Box // nil for a corp without a pair
	pages opaque.Key    // see PageKey
	read  time.Time
}

// NewPairs makes an empty holder of the pairs that read reads. read answers
// [archive.ErrNotFound] for a corp without a pair.
func NewPairs(read func(context.Context, string) (secretstore.CallbackPair, error), now func() time.Time) *Pairs {
	return &Pairs{read: read, now: now, pairs: make(map[string]heldPair)}
}

// box returns the box of the corp, from a pair that was read at most maxAge ago,
// or [ErrUnknownCorp].
func (p *Pairs) box(ctx context.Context, corp string, maxAge time.Duration) (*msgcrypt.Box, error) {
	held, err := p.get(ctx, corp, maxAge)
	return held.box, err
}

// PageKey returns the key that hides the page tokens of limited callers, or
// [ErrUnknownCorp]. The key follows from the callback pair: every instance of the
// function has the pair in memory, and no reader knows it. A change of the pair
// makes older page tokens invalid; the API never changes a pair.
func (p *Pairs) PageKey(ctx context.Context, corp string) (opaque.Key, error) {
	held, err := p.get(ctx, corp, pairAge)
	return held.pages, err
}

func (p *Pairs) get(ctx context.Context, corp string, maxAge time.Duration) (heldPair, error) {
	p.mu.Lock()
	held, ok := p.pairs[corp]
	p.mu.Unlock()
	now := p.now()
	if ok && held.box == nil {
		maxAge = pairRetryAge
	}
	if !ok || now.Sub(held.read) >= maxAge {
		held = heldPair{read: now}
		pair, err := p.read(ctx, corp)
		switch {
		case errors.Is(err, archive.ErrNotFound):
		case err != nil:
			return heldPair{}, err
		default:
			if held.box, err = msgcrypt.New(pair.Token.Reveal(), pair.AESKey.Reveal(), corp); err == nil {
				held.pages, err = opaque.KeyFrom(pair.AESKey.Reveal(), "page tokens")
			}
			if err != nil {
				return heldPair{}, fmt.Errorf("use callback pair of corp %s: %w", corp, err)
			}
		}
		p.mu.Lock()
		if len(p.pairs) >= maxPairs {
			clear(p.pairs)
		}
		p.pairs[corp] = held
		p.mu.Unlock()
	}
	if held.box == nil {
		return heldPair{}, ErrUnknownCorp
	}
	return held, nil
}
