package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secret"
)

var errRefused = errors.New("the library refused this corp's secret, or our address has had too many refusals: save the new secret, or configure a decode identity")

// refusedPause is how long an identity that Init refused is left alone.
const refusedPause = time.Hour

// decrypters gives each corp a library process of its own.
//
// DecryptData needs no secret, but the library must have been initialised
// with one. Whether Init asks WeCom is not known (DESIGN.md, law 2). If it
// does, a corp whose secret was reset could not be decoded with it: then an
// identity of the operator's own keeps decoding going. Nothing of a corp
// passes through that identity; the process still serves one corp alone.
type decrypters struct {
	pool     *sdkworker.Pool
	secrets  secrets
	corps    archive.CorpReader
	ledger   ledger
	identity string // name of the operator's secret, or empty
	now      func() time.Time

	mu     sync.Mutex
	passed map[string]bool // by corp and secret: Init let it pass in this process
}

type secrets interface {
	ArchiveSecret(ctx context.Context, corp string) (secret.Value, error)
	Identity(ctx context.Context, name string) (corpID string, archiveSecret secret.Value, err error)
}

type ledger interface {
	PullState(ctx context.Context, corp string) (archive.PullState, error)
	RecordRefusal(ctx context.Context, by string, at time.Time) error
	Refusals(ctx context.Context, since time.Time) (int, error)
	// RefusedSince reports whether a refusal was recorded by the name.
	RefusedSince(ctx context.Context, by string, since time.Time) (bool, error)
}

func newDecrypters(pool *sdkworker.Pool, s secrets, c archive.CorpReader, l ledger, identity string, now func() time.Time) *decrypters {
	return &decrypters{pool: pool, secrets: s, corps: c, ledger: l, identity: identity, now: now, passed: make(map[string]bool)}
}

// Decrypter implements [decode.Decrypters].
func (d *decrypters) Decrypter(ctx context.Context, corp string) (decode.Decrypter, error) {
	id, err := d.identityFor(ctx, corp)
	if err != nil {
		return nil, err
	}
	memo := corp + " " + id.Secret.Fingerprint()
	d.mu.Lock()
	passed := d.passed[memo]
	d.mu.Unlock()
	if !passed {
		if err := d.mayInit(ctx, corp, id); err != nil {
			return nil, err
		}
	}
	return &decrypter{Session: d.pool.Session(corp, id), owner: d, by: refusedBy(id), memo: memo}, nil
}

// refusedBy is the name under which refusals of an identity are recorded,
// apart from those of the puller: what refuses its calls may let Init pass.
func refusedBy(id sdkworker.Identity) string { return id.CorpID + "/decode" }

// mayInit keeps a secret that is not known to work away from WeCom, in case
// Init asks it (law 8): the puller tries secrets, with its pauses. What it
// cannot tell is tried here once an hour, within the budget of our address.
func (d *decrypters) mayInit(ctx context.Context, corp string, id sdkworker.Identity) error {
	since, works := d.now().Add(-refusedPause), false
	if d.identity == "" {
		c, err := d.corps.Corp(ctx, corp)
		if err != nil && !errors.Is(err, archive.ErrNotFound) {
			return fmt.Errorf("read corp: %w", err)
		}
		state, err := d.ledger.PullState(ctx, corp)
		if err != nil {
			return fmt.Errorf("read pull state: %w", err)
		}
		if state.SecretRefusedAt.Equal(c.SecretSetAt) && state.Trouble != nil && state.Trouble.Op == "Init" {
			return errRefused
		}
		works = state.SecretWorks(c)
		if c.SecretSetAt.After(since) {
			since = c.SecretSetAt // what was refused before was another secret
		}
	}
	// Also where it works for the puller: its process may live on a token from
	// before the secret was reset.
	refused, err := d.ledger.RefusedSince(ctx, refusedBy(id), since)
	if err != nil {
		return fmt.Errorf("look for a refusal: %w", err)
	}
	if refused {
		return errRefused
	}
	if works {
		return nil
	}
	n, err := d.ledger.Refusals(ctx, d.now().Add(-time.Hour))
	if err != nil {
		return fmt.Errorf("count refusals: %w", err)
	}
	if n >= archive.RefusalBudget {
		return errRefused
	}
	return nil
}

func (d *decrypters) identityFor(ctx context.Context, corp string) (sdkworker.Identity, error) {
	if d.identity != "" {
		corpID, s, err := d.secrets.Identity(ctx, d.identity)
		if err != nil {
			return sdkworker.Identity{}, fmt.Errorf("read the decode identity: %w", err)
		}
		return sdkworker.Identity{CorpID: corpID, Secret: s}, nil
	}
	s, err := d.secrets.ArchiveSecret(ctx, corp)
	if errors.Is(err, archive.ErrNotFound) {
		// The corp has left, or never had one. Where Init does not ask WeCom,
		// anything will do.
		s, err = secret.New("none"), nil
	}
	if err != nil {
		return sdkworker.Identity{}, fmt.Errorf("read archive secret: %w", err)
	}
	return sdkworker.Identity{CorpID: corp, Secret: s}, nil
}

// decrypter notes a refused Init against the budget of our address (law 8).
type decrypter struct {
	*sdkworker.Session
	owner *decrypters
	by    string
	memo  string
}

func (d *decrypter) Decrypt(ctx context.Context, keyText []byte, msg string) ([]byte, error) {
	raw, err := d.Session.Decrypt(ctx, keyText, msg)
	if noteErr := d.note(ctx, err); noteErr != nil {
		err = errors.Join(err, noteErr)
	}
	return raw, err
}

func (d *decrypter) note(ctx context.Context, err error) error {
	var sdk *archive.SDKError
	refused := errors.As(err, &sdk) && archive.RefusedSecret(sdk)
	if err == nil || refused {
		d.owner.mu.Lock()
		d.owner.passed[d.memo] = err == nil
		d.owner.mu.Unlock()
	}
	if !refused {
		return nil
	}
	if err := d.owner.ledger.RecordRefusal(ctx, d.by, d.owner.now()); err != nil {
		return fmt.Errorf("record refusal: %w", err)
	}
	return nil
}
