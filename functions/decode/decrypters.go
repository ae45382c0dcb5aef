package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secret"
)

var (
	errNoTime  = errors.New("no time left for it in this invocation")
	errRefused = errors.New("the library refused this corp's secret a short time ago, or our address has had too many refusals: save the new secret, or configure a decode identity")
)

// refusedPause is how long a secret that Init refused is left alone here.
const refusedPause = 10 * time.Minute

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
	ledger   refusals
	identity string // name of the operator's secret, or empty
	now      func() time.Time

	mu      sync.Mutex
	refused map[string]time.Time // by corp and secret: when Init refused
}

type secrets interface {
	ArchiveSecret(ctx context.Context, corp string) (secret.Value, error)
	Identity(ctx context.Context, name string) (corpID string, archiveSecret secret.Value, err error)
}

type refusals interface {
	RecordRefusal(ctx context.Context, corp string, at time.Time) error
	Refusals(ctx context.Context, since time.Time) (int, error)
}

func newDecrypters(pool *sdkworker.Pool, s secrets, l refusals, identity string, now func() time.Time) *decrypters {
	return &decrypters{pool: pool, secrets: s, ledger: l, identity: identity, now: now, refused: make(map[string]time.Time)}
}

// Decrypter implements [archive.Decrypters].
func (d *decrypters) Decrypter(ctx context.Context, corp string) (archive.Decrypter, error) {
	id, err := d.identityFor(ctx, corp)
	if err != nil {
		return nil, err
	}
	memo := corp + " " + id.Secret.Fingerprint()
	d.mu.Lock()
	at, known := d.refused[memo]
	d.mu.Unlock()
	if known {
		if d.now().Sub(at) < refusedPause {
			return nil, errRefused
		}
		n, err := d.ledger.Refusals(ctx, d.now().Add(-time.Hour))
		if err != nil {
			return nil, fmt.Errorf("count refusals: %w", err)
		}
		if n >= archive.RefusalBudget {
			return nil, errRefused
		}
	}
	return &decrypter{Session: d.pool.Session(corp, id), owner: d, corp: corp, memo: memo}, nil
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
	corp  string
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
	if !errors.As(err, &sdk) || !archive.RefusedSecret(sdk) {
		return nil
	}
	d.owner.mu.Lock()
	d.owner.refused[d.memo] = d.owner.now()
	d.owner.mu.Unlock()
	if err := d.owner.ledger.RecordRefusal(ctx, d.corp, d.owner.now()); err != nil {
		return fmt.Errorf("record refusal: %w", err)
	}
	return nil
}
