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

// errRefused says that the corp's secret must not be shown to WeCom now (law 8).
var errRefused = errors.New("secret refused by the library, or too many secrets refused to our address: save the new secret, or configure a decode identity")

// refusedPause is how long an identity is not used after Init refused it.
const refusedPause = time.Hour

// decrypters gives each corp a library process of its own.
//
// DecryptData needs no secret, but the library must be initialised with one. It
// is unknown whether Init asks WeCom (DESIGN.md, law 2). If it does, Init fails
// with a secret that was reset, and the corp cannot be decoded with it. Then an
// identity of the operator keeps decoding possible. The identity sees nothing of
// the corp: each process still serves one corp alone.
type decrypters struct {
	pool     *sdkworker.Pool
	secrets  secrets
	corps    archive.CorpReader
	ledger   ledger
	gate     *archive.Gate
	identity string // name of the operator's secret, or empty
	now      func() time.Time

	mu     sync.Mutex
	passed map[string]bool // by corp and secret: Init accepted the secret in this process
}

type secrets interface {
	archive.SecretReader
	Identity(ctx context.Context, name string) (corpID string, archiveSecret secret.Value, err error)
}

type ledger interface {
	PullState(ctx context.Context, corp string) (archive.PullState, error)
}

func newDecrypters(pool *sdkworker.Pool, s secrets, c archive.CorpReader, l ledger, gate *archive.Gate, identity string, now func() time.Time) *decrypters {
	return &decrypters{pool: pool, secrets: s, corps: c, ledger: l, gate: gate, identity: identity, now: now, passed: make(map[string]bool)}
}

// Decrypter implements [decode.Decrypters].
func (d *decrypters) Decrypter(ctx context.Context, corp string) (decode.Decrypter, error) {
	settings, err := d.settings(ctx, corp)
	if err != nil {
		return nil, err
	}
	id, err := d.identityFor(ctx, corp, settings.SecretSetAt)
	if err != nil {
		return nil, err
	}
	memo := corp + " " + id.Secret.Fingerprint()
	d.mu.Lock()
	passed := d.passed[memo]
	d.mu.Unlock()
	var admission *archive.Admission
	if !passed {
		if admission, err = d.admit(ctx, settings, id); err != nil {
			return nil, err
		}
	}
	return &decrypter{Session: d.pool.Session(corp, id), owner: d, corp: id.CorpID, memo: memo, admission: admission}, nil
}

// settings are the corp's, without a value for one that is not registered. An
// identity of the operator needs none.
func (d *decrypters) settings(ctx context.Context, corp string) (archive.Corp, error) {
	if d.identity != "" {
		return archive.Corp{ID: corp}, nil
	}
	c, err := d.corps.Corp(ctx, corp)
	if errors.Is(err, archive.ErrNotFound) {
		return archive.Corp{ID: corp}, nil
	}
	if err != nil {
		return archive.Corp{}, fmt.Errorf("read corp: %w", err)
	}
	return c, nil
}

// byDecode names this function in the gate's log: what refuses the puller's
// calls may let Init pass, and the reverse.
const byDecode = "decode"

// admit asks the gate for a secret that Init has not accepted in this process,
// in case Init asks WeCom (law 8). It goes by what the puller found: a secret
// that works is used freely, and one that Init refused to the puller is not
// used. After a refusal to any process of this function the secret is left alone
// for an hour.
func (d *decrypters) admit(ctx context.Context, c archive.Corp, id sdkworker.Identity) (*archive.Admission, error) {
	since, standing, registered, accepted := d.now().Add(-refusedPause), archive.Standing{}, time.Time{}, false
	if d.identity == "" {
		state, err := d.ledger.PullState(ctx, c.ID)
		if err != nil {
			return nil, fmt.Errorf("read pull state: %w", err)
		}
		if !c.HeldByOpen(d.now()).IsZero() {
			return nil, errRefused
		}
		standing, registered, accepted = state.For(c.SecretSetAt), c.CreatedAt, !c.OpenOKAt.IsZero()
		if standing.Refusals > 0 && standing.Trouble != nil && standing.Trouble.Op == "Init" {
			return nil, errRefused
		}
		standing.NotBefore = time.Time{} // the puller's pauses are about its own calls
		if c.SecretSetAt.After(since) {
			since = c.SecretSetAt // an earlier refusal was of another secret
		}
	}
	// A secret that works for the puller may still be refused to this function:
	// the puller's process may use a token from before the secret was reset.
	refused, err := d.gate.RefusedBy(ctx, archive.Trusted, id.CorpID, byDecode, since)
	if err != nil {
		return nil, err
	}
	if refused {
		return nil, errRefused
	}
	admission, _, err := d.gate.Admit(ctx, archive.Ask{Way: archive.Trusted, Corp: id.CorpID, Registered: registered, By: byDecode, Accepted: accepted}, standing)
	if err == nil && admission == nil {
		err = errRefused
	}
	return admission, err
}

// identityFor returns what the library is initialised with for the corp: the
// operator's identity if one is configured, else the corp's own archive secret.
func (d *decrypters) identityFor(ctx context.Context, corp string, setAt time.Time) (sdkworker.Identity, error) {
	if d.identity != "" {
		corpID, s, err := d.secrets.Identity(ctx, d.identity)
		if err != nil {
			return sdkworker.Identity{}, fmt.Errorf("read decode identity: %w", err)
		}
		return sdkworker.Identity{CorpID: corpID, Secret: s}, nil
	}
	s, err := d.secrets.ArchiveSecret(ctx, corp, setAt)
	if errors.Is(err, archive.ErrNotFound) {
		// The corp has left, or never saved a secret. If Init does not ask WeCom,
		// any text works as secret.
		s, err = secret.New("none"), nil
	}
	if err != nil {
		return sdkworker.Identity{}, fmt.Errorf("read archive secret: %w", err)
	}
	return sdkworker.Identity{CorpID: corp, Secret: s}, nil
}

// decrypter reports to the gate what Init answered (law 8).
type decrypter struct {
	*sdkworker.Session
	owner     *decrypters
	corp      string // whose secret initialises the process
	memo      string
	admission *archive.Admission // nil once Init has accepted the secret in this process
}

// Decrypt implements [decode.Decrypter].
func (d *decrypter) Decrypt(ctx context.Context, keyText []byte, msg string) ([]byte, error) {
	raw, err := d.Session.Decrypt(ctx, keyText, msg)
	return raw, errors.Join(err, d.note(ctx, err))
}

// DecryptAll implements [decode.Decrypter].
func (d *decrypter) DecryptAll(ctx context.Context, records []decode.Sealed) ([]decode.Decrypted, error) {
	all, err := d.Session.DecryptAll(ctx, records)
	return all, errors.Join(err, d.note(ctx, err))
}

// note reports the answer to the gate. It reports the first answer after an
// admission, and every later refusal.
func (d *decrypter) note(ctx context.Context, err error) error {
	failure, known := archive.LibraryFailed(err)
	refused := known && failure.Op == "Init" && failure.Response == archive.RespondRefuse
	if err == nil || refused {
		d.owner.mu.Lock()
		d.owner.passed[d.memo] = err == nil
		d.owner.mu.Unlock()
	}
	admission := d.admission
	d.admission = nil
	switch {
	case refused && admission == nil:
		return d.owner.gate.Note(ctx, archive.Trusted, d.corp, byDecode)
	case refused:
		_, err := d.owner.gate.Refused(ctx, admission, archive.Standing{}, failure.Trouble, failure.Response, 0)
		return err
	case admission != nil:
		return d.owner.gate.Unanswered(ctx, admission)
	}
	return nil
}
