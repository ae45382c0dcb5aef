package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// errBlocked: the access may not be used now, for a reason that its standing
// holds.
var errBlocked = errors.New("access is blocked")

// access is a part of WeCom's API as this inspection finds it.
type access struct {
	app      bool // WeCom is asked with the app's secret
	open     bool // WeCom may be asked
	secret   *secretUse
	standing archive.Standing
	changed  bool // since the standing was read
}

// secretUse is a secret in use by this inspection. The first call with it is
// made alone, so that a secret that WeCom refuses is refused once, however many
// ids are looked up at a time (law 8).
type secretUse struct {
	first      sync.Mutex  // held during the first call
	passed     atomic.Bool // WeCom accepted the secret, and the admission is settled
	credential Credential
	admission  *archive.Admission // nil: the secret must wait
	standing   archive.Standing   // why, and until when
}

// ask asks WeCom through an access. The error is errBlocked, an [*APIError]
// about what was asked for (see APIError.missing), or a failure of our own.
// Whatever else WeCom answers is noted on the access.
func ask[T any](ctx context.Context, n *inspection, a Access, call func(context.Context, Credential) (T, error)) (T, error) {
	var none T
	d, err := n.access(ctx, a)
	if err != nil {
		return none, err
	}
	if u := d.secret; u != nil && !u.passed.Load() {
		u.first.Lock()
		defer u.first.Unlock()
	}
	for try := 1; ; try++ {
		if !n.begin(d) {
			return none, errBlocked
		}
		v, err := call(ctx, d.secret.credential)
		if ctx.Err() != nil {
			return none, ctx.Err()
		}
		if err == nil {
			return v, n.accepted(ctx, d)
		}
		var refusal *APIError
		if !errors.As(err, &refusal) {
			return none, fmt.Errorf("ask WeCom: %w", err)
		}
		if _, aboutID := refusal.missing(); aboutID {
			return none, errors.Join(refusal, n.accepted(ctx, d))
		}
		if _, respond := refusal.Classify(d.app); respond == archive.RespondRetry && try < archive.Tries && !n.nearlyOver(ctx) {
			if err := n.Sleep(ctx, archive.RetryPause); err != nil {
				return none, err
			}
			continue
		}
		if err := n.refused(ctx, d, refusal); err != nil {
			return none, err
		}
		return none, errBlocked
	}
}

// begin counts a call, if the access is open.
func (n *inspection) begin(d *access) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if d.open {
		n.calls++
	}
	return d.open
}

// access finds an access, and whether it may be used, once per inspection.
func (n *inspection) access(ctx context.Context, a Access) (*access, error) {
	n.opening.Lock()
	defer n.opening.Unlock()
	n.mu.Lock()
	d, ok := n.accesses[a]
	n.mu.Unlock()
	if ok {
		return d, nil
	}
	d = n.closed(a)
	if err := n.unlock(ctx, d); err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.accesses[a] = d
	n.mu.Unlock()
	return d, nil
}

func (n *inspection) closed(a Access) *access {
	return &access{app: n.reach.asksAsApp(a), standing: n.reach.Standing(a, n.corp)}
}

// unlock opens a new access if its pause is over and the gate admits its
// secret.
func (n *inspection) unlock(ctx context.Context, d *access) error {
	if d.standing.SecretSetAt.IsZero() || n.Now().Before(d.standing.NotBefore) && !n.force {
		return nil
	}
	if until := n.corp.HeldByOpen(n.Now()); !d.app && !until.IsZero() {
		n.block(d, archive.Standing{NotBefore: until, Trouble: n.corp.OpenTrouble(archive.PullState{})})
		return nil
	}
	u, err := n.secretUse(ctx, d)
	if err != nil || u == nil {
		return err
	}
	d.secret = u
	if u.admission == nil {
		n.block(d, u.standing)
		return nil
	}
	d.open = true
	return nil
}

// secretUse finds the use of the access's secret, and asks the gate once per
// inspection; nil where the secret is noted and not stored yet.
func (n *inspection) secretUse(ctx context.Context, d *access) (*secretUse, error) {
	if u, ok := n.secrets[d.app]; ok {
		return u, nil
	}
	value, err := n.readSecret(ctx, d.app)
	if errors.Is(err, archive.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	u := &secretUse{credential: Credential{Corp: n.corp.ID, Secret: value}}
	if u.standing, err = n.secretStanding(ctx, d); err != nil {
		return nil, err
	}
	try := archive.Ask{Way: archive.Trusted, Corp: n.corp.ID, Registered: n.corp.CreatedAt, By: "directory", Force: n.force, Accepted: !d.app && !n.corp.OpenOKAt.IsZero()}
	if u.admission, u.standing, err = n.Gate.Admit(ctx, try, u.standing); err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.secrets[d.app] = u
	n.mu.Unlock()
	return u, nil
}

func (n *inspection) readSecret(ctx context.Context, app bool) (secret.Value, error) {
	if app {
		return n.Secrets.AppSecret(ctx, n.corp.ID)
	}
	return n.Secrets.ArchiveSecret(ctx, n.corp.ID, n.corp.SecretSetAt)
}

// secretStanding is the standing of the access's secret with WeCom, whichever
// access or the puller learned it.
func (n *inspection) secretStanding(ctx context.Context, d *access) (archive.Standing, error) {
	setAt := d.standing.SecretSetAt
	s := archive.Standing{SecretSetAt: setAt}
	if !d.app {
		pulls, err := n.Ledger.PullState(ctx, n.corp.ID)
		if err != nil {
			return s, fmt.Errorf("read pull state: %w", err)
		}
		if known := pulls.For(setAt); known.Refusals > 0 || known.Works(setAt) {
			s = known
		}
	}
	for _, a := range Accesses {
		if n.reach.asksAsApp(a) == d.app && s.Refusals == 0 && n.reach.Standing(a, n.corp).Works(setAt) {
			s.OKAt = n.reach.Standing(a, n.corp).OKAt
		}
	}
	return s, nil
}

// block closes an access, and notes why and until when.
func (n *inspection) block(d *access, s archive.Standing) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d.open, d.changed = false, true
	d.standing.NotBefore = s.NotBefore
	if s.Trouble != nil {
		d.standing = d.standing.Paused(*s.Trouble, n.Now(), 0)
	}
}

// accepted notes that WeCom answered, if only about an id. An access that was closed
// during the call keeps its standing, which says why.
func (n *inspection) accepted(ctx context.Context, d *access) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	now, before := n.Now(), d.standing
	s, err := n.Gate.Answered(ctx, d.secret.admission, before)
	if err == nil {
		d.secret.passed.Store(true)
	}
	if !d.open || before.Trouble == nil && before.Refusals == 0 && now.Sub(before.OKAt) < okTouch {
		return err
	}
	if before.Trouble != nil {
		s.NotBefore = now // ids that were asked for during the pause are asked for again
	}
	d.standing, d.changed = s, true
	return err
}

// refused closes an access; a refused secret closes every access that has the
// same.
func (n *inspection) refused(ctx context.Context, d *access, refusal *APIError) error {
	cause, respond := refusal.Classify(d.app)
	t := archive.Trouble{Cause: cause, Op: refusal.Op, Code: refusal.Code, FromIP: refusal.FromIP}
	n.mu.Lock()
	already, before := !d.open, d.standing
	d.open = false // no other call uses the access, or changes its standing, while this is being noted
	n.mu.Unlock()
	if already { // a call made at the same time has noted it
		return nil
	}
	var pause time.Duration
	switch {
	case cause == archive.CauseSecretKind:
		pause = pauseMissing
	case respond == archive.RespondRetry:
		pause = time.Minute
	default:
		pause = archive.PauseLong
	}
	s, err := n.Gate.Refused(ctx, d.secret.admission, before, t, respond, pause)
	if respond == archive.RespondRefuse {
		if err != nil { // the accesses are closed even if the refusal could not be counted
			s = before.Paused(t, n.Now(), archive.PauseLong)
		}
		n.refuseAlike(d.app, s)
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	d.standing, d.changed = s, true
	return err
}

// refuseAlike closes every access with a refused secret, whether the request
// needs it or not.
func (n *inspection) refuseAlike(app bool, s archive.Standing) {
	n.opening.Lock()
	defer n.opening.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range Accesses {
		d, ok := n.accesses[a]
		if !ok {
			d = n.closed(a)
		}
		if d.app == app {
			n.accesses[a] = d
			d.standing, d.open, d.changed = s, false, true
		}
	}
}

// release gives back what was counted for secrets that no call was answered
// with. Crashing before it leaves a try counted as a refusal.
func (n *inspection) release(ctx context.Context) error {
	var errs []error
	for _, u := range n.secrets {
		if u.admission != nil {
			errs = append(errs, n.Gate.Unanswered(ctx, u.admission))
		}
	}
	return errors.Join(errs...)
}

// save stores what was learned about the accesses.
func (n *inspection) save(ctx context.Context) error {
	for _, a := range Accesses {
		d, ok := n.accesses[a]
		if !ok || !d.changed {
			continue
		}
		if t := d.standing.Trouble; t != nil {
			n.Log.WarnContext(ctx, "WeCom API access paused", "corp", n.corp.ID, "access", a, "cause", t.Cause,
				"op", t.Op, "code", t.Code, "until", d.standing.NotBefore)
		}
		if err := n.Store.SaveAccess(ctx, n.corp.ID, a, d.standing); err != nil {
			return fmt.Errorf("save standing of access %s: %w", a, err)
		}
	}
	return nil
}
