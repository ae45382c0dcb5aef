package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// errRefused says that the corp's secret must not be shown to WeCom now (law 8).
var errRefused = fmt.Errorf("%w: save the new secret, or configure a decode identity", decode.ErrRefused)

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
	offline  bool   // Init works without a network, and the process has none: WeCom sees no secret
	now      func() time.Time
	sleep    func(context.Context, time.Duration) error

	mu     sync.Mutex
	passed map[string]bool // by memo: Init accepted the identity in this process
}

type secrets interface {
	archive.SecretReader
	Identity(ctx context.Context, name string) (corpID string, archiveSecret secret.Value, err error)
}

type ledger interface {
	PullState(ctx context.Context, corp string) (archive.PullState, error)
}

func newDecrypters(pool *sdkworker.Pool, s secrets, c archive.CorpReader, l ledger, gate *archive.Gate, identity string, offline bool, now func() time.Time) *decrypters {
	return &decrypters{pool: pool, secrets: s, corps: c, ledger: l, gate: gate, identity: identity, offline: offline, now: now, sleep: archive.Sleep, passed: make(map[string]bool)}
}

// Decrypter implements [decode.Decrypters]. The gate is asked by the first call of
// the library: a page may have no record for the library.
func (d *decrypters) Decrypter(ctx context.Context, corp string) (decode.Decrypter, error) {
	settings, err := d.settings(ctx, corp)
	if err != nil {
		return nil, err
	}
	id, err := d.identityFor(ctx, corp, settings.SecretSetAt)
	if err != nil {
		return nil, err
	}
	return &decrypter{session: d.pool.Session(corp, id), owner: d, settings: settings, id: id}, nil
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

// heldMost is how often in a row the gate may hold an identity before it counts as
// refused. Processes that ask at the same moment hold one another.
const heldMost = 3

// admit asks the gate for an identity that Init has not accepted in this process,
// in case Init asks WeCom (law 8). The admission is nil for an accepted identity, and
// for every identity if the process has no network.
// After a refusal to any process of this function the identity is left alone for an
// hour. While another process waits for WeCom's answer, admit waits too: the answer
// is about the same identity.
func (d *decrypters) admit(ctx context.Context, c archive.Corp, id sdkworker.Identity) (*archive.Admission, error) {
	d.mu.Lock()
	passed := d.passed[memo(id)]
	d.mu.Unlock()
	if passed || d.offline {
		return nil, nil
	}
	ask := archive.Ask{Way: archive.Trusted, Corp: id.CorpID, By: byDecode}
	since, standing := d.now().Add(-refusedPause), archive.Standing{}
	if d.identity == "" {
		var err error
		if standing, err = d.standing(ctx, c); err != nil {
			return nil, err
		}
		ask.Registered, ask.Accepted = c.CreatedAt, !c.OpenOKAt.IsZero()
		if c.SecretSetAt.After(since) {
			since = c.SecretSetAt // an earlier refusal was of another secret
		}
	}
	for held := 0; ; {
		// A secret that works for the puller may still be refused to this function:
		// the puller's process may use a token from before the secret was reset.
		state, err := d.gate.TriedBy(ctx, ask.Way, ask.Corp, byDecode, since)
		switch {
		case err != nil:
			return nil, err
		case state == archive.TryRefused:
			return nil, errRefused
		case state != archive.TryRunning:
			admission, _, err := d.gate.Admit(ctx, ask, standing)
			if err != nil || admission != nil {
				return admission, err
			}
			if held++; held == heldMost {
				return nil, errRefused
			}
		}
		if err := d.sleep(ctx, 500*time.Millisecond+rand.N(time.Second)); err != nil {
			return nil, err
		}
	}
}

// standing is what the puller found about the corp's secret: a secret that works is
// used freely, and one that Init refused to the puller is not used.
func (d *decrypters) standing(ctx context.Context, c archive.Corp) (archive.Standing, error) {
	state, err := d.ledger.PullState(ctx, c.ID)
	if err != nil {
		return archive.Standing{}, fmt.Errorf("read pull state: %w", err)
	}
	s := state.For(c.SecretSetAt)
	if !c.HeldByOpen(d.now()).IsZero() || s.Refusals > 0 && s.Trouble != nil && s.Trouble.Op == "Init" {
		return archive.Standing{}, errRefused
	}
	s.NotBefore = time.Time{} // the puller's pauses are about its own calls
	return s, nil
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

// memo names an identity in [decrypters.passed].
func memo(id sdkworker.Identity) string { return id.CorpID + " " + id.Secret.Fingerprint() }

// decrypter asks the gate before a call of the library, and reports what Init
// answered (law 8).
type decrypter struct {
	session  decode.Decrypter
	owner    *decrypters
	settings archive.Corp
	id       sdkworker.Identity // the process is initialised for it
}

// Decrypt implements [decode.Decrypter].
func (d *decrypter) Decrypt(ctx context.Context, keyText []byte, msg string) (raw []byte, err error) {
	err = d.call(ctx, func() (err error) {
		raw, err = d.session.Decrypt(ctx, keyText, msg)
		return err
	})
	return raw, err
}

// DecryptAll implements [decode.Decrypter].
func (d *decrypter) DecryptAll(ctx context.Context, records []decode.Sealed) (all []decode.Decrypted, err error) {
	err = d.call(ctx, func() (err error) {
		all, err = d.session.DecryptAll(ctx, records)
		return err
	})
	return all, err
}

func (d *decrypter) call(ctx context.Context, library func() error) error {
	admission, err := d.owner.admit(ctx, d.settings, d.id)
	if err != nil {
		return err
	}
	// A crash from here until the note leaves the try counted as a refusal.
	err = library()
	return errors.Join(err, d.note(ctx, admission, err))
}

// note reports the answer to the gate: the first answer after an admission, and
// every later refusal. An answer of DecryptData means that Init succeeded.
func (d *decrypter) note(ctx context.Context, admission *archive.Admission, err error) error {
	failure, known := archive.LibraryFailed(err)
	refused := known && failure.Op == "Init" && failure.Response == archive.RespondRefuse
	if passed := err == nil || known && failure.Op == "DecryptData"; passed || refused {
		d.owner.mu.Lock()
		d.owner.passed[memo(d.id)] = passed
		d.owner.mu.Unlock()
	}
	switch {
	case refused && admission == nil:
		return d.owner.gate.Note(ctx, archive.Trusted, d.id.CorpID, byDecode)
	case refused:
		_, err := d.owner.gate.Refused(ctx, admission, archive.Standing{}, failure.Trouble, failure.Response, 0)
		return err
	case admission != nil:
		return d.owner.gate.Unanswered(ctx, admission)
	}
	return nil
}
