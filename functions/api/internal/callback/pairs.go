package callback

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

// errUnknownCorp means that the corp has no callback pair: it is not registered,
// or its registration is not complete.
var errUnknownCorp = errors.New("corp has no callback pair")

// Pairs opens the requests to one callback of all corps. It reads from the table,
// at every request, which pairs of the corp are accepted, so a registration, a
// rotation and a revocation hold from the moment in which they are stored. The
// pairs themselves never change under their ids, so they stay in memory. A
// request for a corp that the table does not know reads no secret and leaves
// nothing in memory. Safe for concurrent use. Two callers that miss the same
// pair both read it.
type Pairs struct {
	kind    archive.CallbackKind
	states  States
	secrets PairReader

	mu      sync.Mutex
	boxes   map[string]map[string]*msgcrypt.Box // by corp, then by id of the pair
	refused map[string]int                      // by registered corp: refused requests that are not noted
}

// States says which pairs of a callback are accepted.
type States interface {
	// Callback is consistent.
	Callback(ctx context.Context, corp string, kind archive.CallbackKind) (archive.Callback, error)
}

// PairReader reads the pairs of a callback.
type PairReader interface {
	CallbackPairs(ctx context.Context, corp string, kind archive.CallbackKind) (secretstore.CallbackPairs, error)
}

// NewPairs makes an empty holder of the pairs of a callback.
func NewPairs(kind archive.CallbackKind, states States, secrets PairReader) *Pairs {
	return &Pairs{kind: kind, states: states, secrets: secrets, boxes: make(map[string]map[string]*msgcrypt.Box), refused: make(map[string]int)}
}

// opened is an authentic request.
type opened struct {
	plain  []byte
	newest bool             // it is signed with the newest pair
	state  archive.Callback // as it was read for the request, also of a refused one
}

// open verifies and decrypts with an accepted pair of the corp. The errors are
// errUnknownCorp, those of [msgcrypt.Box.Open], and those of the stores.
func (p *Pairs) open(ctx context.Context, corp string, sealed msgcrypt.Sealed, now time.Time) (o opened, err error) {
	o.state, err = p.states.Callback(ctx, corp, p.kind)
	if errors.Is(err, archive.ErrNotFound) {
		return o, errUnknownCorp
	}
	if err != nil {
		return o, err
	}
	box, err := p.box(ctx, corp, o.state.Pair)
	if err != nil {
		return o, err
	}
	o.newest = true
	if o.plain, err = box.Open(sealed); errors.Is(err, msgcrypt.ErrSignature) && o.state.AcceptsOld(now) {
		if box, err = p.box(ctx, corp, o.state.Old); err != nil {
			return o, err
		}
		o.newest = false
		o.plain, err = box.Open(sealed)
	}
	return o, err
}

// box returns the box of a pair. If the pair is not in memory, it reads the
// secret, which may lag behind the table for a moment after a rotation.
func (p *Pairs) box(ctx context.Context, corp, id string) (*msgcrypt.Box, error) {
	p.mu.Lock()
	box := p.boxes[corp][id]
	p.mu.Unlock()
	if box != nil {
		return box, nil
	}
	pairs, err := p.secrets.CallbackPairs(ctx, corp, p.kind)
	if err != nil && !errors.Is(err, archive.ErrNotFound) {
		return nil, fmt.Errorf("read %s callback pair of corp %s: %w", p.kind, corp, err)
	}
	boxes := make(map[string]*msgcrypt.Box)
	for _, pair := range []secretstore.CallbackPair{pairs.Newest, pairs.Old} {
		if pair.ID == "" {
			continue
		}
		if boxes[pair.ID], err = msgcrypt.New(pair.Token.Reveal(), pair.AESKey.Reveal(), corp); err != nil {
			return nil, fmt.Errorf("use %s callback pair of corp %s: %w", p.kind, corp, err)
		}
	}
	if boxes[id] == nil {
		return nil, fmt.Errorf("%s callback pair %s of corp %s not in the secret store yet", p.kind, id, corp)
	}
	p.mu.Lock()
	p.boxes[corp] = boxes
	p.mu.Unlock()
	return boxes[id], nil
}
