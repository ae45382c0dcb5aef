package callback

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/callbackpair"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
)

// errUnknownCorp means that the corp has no callback pair: it is not registered,
// or its registration is not complete.
var errUnknownCorp = errors.New("corp has no callback pair")

// Pairs opens the requests to one callback of all corps. It reads from the table,
// at every request, which pairs of the corp are accepted, so a registration, a
// rotation and a revocation hold from the moment in which they are stored. The
// opened pairs stay in memory, because a pair never changes under its id. A
// request for a corp that the table does not know opens no pair and leaves
// nothing in memory. Safe for concurrent use. Two callers that miss the same
// pair both open it.
type Pairs struct {
	kind   archive.CallbackKind
	states States
	opener Opener

	mu      sync.Mutex
	boxes   map[string]map[string]*msgcrypt.Box // by corp, then by id of the pair
	refused map[string]int                      // by registered corp: refused requests that are not noted
}

// States has the pairs of a callback that are accepted, sealed.
type States interface {
	// Callback is consistent.
	Callback(ctx context.Context, corp string, kind archive.CallbackKind) (archive.Callback, error)
}

// Opener opens sealed pairs.
type Opener interface {
	Open(ctx context.Context, corp string, kind archive.CallbackKind, id, sealed string) (callbackpair.Pair, error)
}

// NewPairs makes an empty holder of the pairs of a callback.
func NewPairs(kind archive.CallbackKind, states States, opener Opener) *Pairs {
	return &Pairs{kind: kind, states: states, opener: opener, boxes: make(map[string]map[string]*msgcrypt.Box), refused: make(map[string]int)}
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
	box, err := p.box(ctx, corp, o.state.Pair, o.state.PairSealed)
	if err != nil {
		return o, err
	}
	o.newest = true
	if o.plain, err = box.Open(sealed); errors.Is(err, msgcrypt.ErrSignature) && o.state.AcceptsOld(now) {
		if box, err = p.box(ctx, corp, o.state.Old, o.state.OldSealed); err != nil {
			return o, err
		}
		o.newest = false
		o.plain, err = box.Open(sealed)
	}
	return o, err
}

// box returns the box of a pair. A pair that the corp no longer names stays in
// memory until the corp's next pair comes.
func (p *Pairs) box(ctx context.Context, corp, id, sealed string) (*msgcrypt.Box, error) {
	p.mu.Lock()
	box := p.boxes[corp][id]
	p.mu.Unlock()
	if box != nil {
		return box, nil
	}
	pair, err := p.opener.Open(ctx, corp, p.kind, id, sealed)
	if err != nil {
		return nil, err
	}
	if box, err = msgcrypt.New(pair.Token.Reveal(), pair.AESKey.Reveal(), corp); err != nil {
		return nil, fmt.Errorf("use %s callback pair of corp %s: %w", p.kind, corp, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.boxes[corp]) != 1 { // a corp has two pairs at most
		p.boxes[corp] = make(map[string]*msgcrypt.Box)
	}
	p.boxes[corp][id] = box
	return box, nil
}
