package setup

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/pattern"
	"github.com/yunduo-scrm/archive/shared/secret"
)

const (
	minSecret, maxSecret = 16, 128 // characters; WeCom's have 43
	// secretShown is the number of characters of a secret that the set-up page
	// shows.
	secretShown = 4
	// countMost is the largest number of records set aside that are read to find
	// the key versions without a key.
	countMost = 1000
)

var (
	visibleASCII = pattern.New(`^[!-~]+$`)
	keyIDForm    = pattern.New(`^[0-9a-f]{32}$`)
)

type setupJSON struct {
	CorpID            string        `json:"corp_id"`
	TrustedIPs        []string      `json:"trusted_ips"`
	PublicKey         *string       `json:"public_key"`
	Keys              []keyJSON     `json:"keys"`
	UnmatchedVersions []uint32      `json:"unmatched_versions"`
	UnmatchedMore     bool          `json:"unmatched_more"`
	Secret            *secretJSON   `json:"secret"`
	Callback          *callbackJSON `json:"callback"`
	Enabled           bool          `json:"enabled"`
}

// GetSetup returns the data of the set-up page.
func (h *Handlers) GetSetup(ctx context.Context, c *session.Call) (output.Answer, error) {
	setup, err := h.setup(ctx, c, c.Corp)
	if err != nil {
		return output.Answer{}, err
	}
	ans, err := output.JSON(200, setup)
	if err != nil || setup.Secret == nil || *setup.Secret.NextTry > output.Moment(h.Now()) {
		return ans, err
	}
	// Without a pause the next try is the present time, so the ETag is made of an answer
	// without it.
	setup.Secret.NextTry = nil
	return ans.TaggedBy(setup)
}

func (h *Handlers) setup(ctx context.Context, c *session.Call, corp archive.Corp) (setupJSON, error) {
	set, err := h.Corps.KeySet(ctx, corp.ID)
	if err != nil {
		return setupJSON{}, err
	}
	state, err := h.Ledger.PullState(ctx, corp.ID)
	if err != nil {
		return setupJSON{}, err
	}
	aside, more, err := h.SetAside.ListSetAside(ctx, corp.ID, 0, countMost)
	if err != nil {
		return setupJSON{}, err
	}
	j := setupJSON{
		CorpID: corp.ID, TrustedIPs: h.TrustedIPs, Keys: []keyJSON{}, UnmatchedVersions: []uint32{}, UnmatchedMore: more, Enabled: corp.Enabled,
	}
	for _, k := range set.Keys {
		j.Keys = append(j.Keys, showKey(k, set, corp.CurrentKey))
		if k.ID == corp.CurrentKey {
			j.PublicKey = &k.PublicPEM
		}
	}
	for _, u := range aside {
		if u.Reason == archive.ReasonNoKey && u.KeyVersion != 0 {
			j.UnmatchedVersions = append(j.UnmatchedVersions, u.KeyVersion)
		}
	}
	slices.Sort(j.UnmatchedVersions)
	j.UnmatchedVersions = slices.Compact(j.UnmatchedVersions)
	show := func(t archive.Trouble) *output.Trouble { return output.ShowTrouble(t, c.Lang) }
	ask := askOf(corp)
	ask.Accepted = !corp.OpenOKAt.IsZero()
	if j.Secret, err = h.showSecret(ctx, ask, corp.SecretPrefix, archiveStanding(corp, state), show); err != nil {
		return setupJSON{}, err
	}
	if j.Callback, err = h.showCallback(ctx, c, archive.ArchiveCallback); err != nil && !errors.Is(err, archive.ErrNotFound) {
		return setupJSON{}, err
	}
	return j, nil
}

// form is the admin's form, checked.
type form struct {
	secret  string // empty if absent
	trimmed bool   // there were blanks or quotation marks around the secret
	version uint32 // 0 if absent
	keyID   string // of the version; empty if absent
}

func readForm(c *session.Call) (form, error) {
	var f form
	var ok bool
	f.secret, f.trimmed, ok = c.Pasted("secret", minSecret, maxSecret)
	if ok && !visibleASCII().MatchString(f.secret) {
		c.Reject("secret", problem.Form, problem.RemedySecret, nil)
	}
	f.version = c.Version("publickey_ver")
	f.keyID, ok = c.Text("key_id", 32, 32)
	if ok && !keyIDForm().MatchString(f.keyID) {
		c.Reject("key_id", problem.Form, problem.RemedyKeyID, nil)
	}
	switch {
	case c.Has("key_id") && !c.Has("publickey_ver"):
		c.Reject("publickey_ver", problem.Required, problem.RemedyNeedsVersion, nil)
	case !c.Has("secret") && !c.Has("publickey_ver") && !c.Mistaken():
		c.Reject("", problem.Required, problem.RemedyEmpty, problem.Args{"names": "secret, publickey_ver"})
	}
	return f, c.Err()
}

type savedJSON struct {
	Changed []string  `json:"changed"`
	Trimmed []string  `json:"trimmed"`
	Moved   *string   `json:"claim_moved_from"`
	Setup   setupJSON `json:"setup"`
}

// PutSetup saves the admin's form. It checks the whole form before it saves any
// of it.
func (h *Handlers) PutSetup(ctx context.Context, c *session.Call) (output.Answer, error) {
	f, err := readForm(c)
	if err != nil {
		return output.Answer{}, err
	}
	if f.secret != "" {
		if err := h.refuseApps(ctx, c, secret.New(f.secret)); err != nil {
			return output.Answer{}, err
		}
	}
	var set archive.KeySet
	if f.version != 0 {
		if set, err = h.checkClaim(ctx, c, &f); err != nil {
			return output.Answer{}, err
		}
	}
	out := savedJSON{Changed: []string{}, Trimmed: []string{}}
	if f.trimmed {
		out.Trimmed = []string{"secret"}
	}
	if err := h.saveForm(ctx, c, f, set, &out); err != nil {
		return output.Answer{}, err
	}
	corp, err := h.saved(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	if out.Setup, err = h.setup(ctx, c, corp); err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, out)
}

// saved requests an examination after the last write of a route, and reads the corp
// as it is then.
func (h *Handlers) saved(ctx context.Context, corp string) (archive.Corp, error) {
	if err := h.Checks.RequestExamination(ctx, corp); err != nil {
		return archive.Corp{}, err
	}
	return h.Corps.Corp(ctx, corp)
}

// checkClaim checks that the form may claim its version, and sets the key of the
// claim if the form names none.
func (h *Handlers) checkClaim(ctx context.Context, c *session.Call, f *form) (archive.KeySet, error) {
	if f.keyID == "" {
		f.keyID = c.Corp.CurrentKey
	}
	set, err := h.Corps.KeySet(ctx, c.CorpID)
	if err != nil {
		return archive.KeySet{}, err
	}
	if _, ok := findKey(set, f.keyID); !ok {
		c.Reject("key_id", problem.OneOf, problem.RemedyNoSuchKey, nil)
		return archive.KeySet{}, c.Err()
	}
	return set, provedFor(set, f.version, f.keyID)
}

// saveForm saves the secret, then the claim. After a crash between the two
// writes, saving the same form again completes it.
func (h *Handlers) saveForm(ctx context.Context, c *session.Call, f form, set archive.KeySet, out *savedJSON) error {
	if f.secret != "" {
		changed, err := h.saveSecret(ctx, c.CorpID, secret.New(f.secret), f.secret[:secretShown])
		if err != nil {
			return err
		}
		if changed {
			out.Changed = append(out.Changed, "secret")
		}
	}
	if f.version == 0 {
		return nil
	}
	moved, changed, err := h.claim(ctx, c, set, f.keyID, f.version)
	if err != nil {
		return err
	}
	out.Moved = moved
	if changed {
		out.Changed = append(out.Changed, "publickey_ver")
	}
	return nil
}

// savesMost is the largest number of times that a save writes its secret because
// other saves came between.
const savesMost = 3

var errSeveralSaves = errors.New("several secrets saved at a time")

// A saving is how one secret is written.
type saving struct {
	stored func() (secret.Digest, error)                  // of the stored secret; empty if none is known
	begin  func(at time.Time) error                       // notes the time of the change, and no digest
	put    func() error                                   // stores the secret
	end    func(at time.Time, digest secret.Digest) error // notes the digest, unless another save has begun
}

// save writes a secret, unless it is stored.
//
// The time of the change is written before the secret. In the reverse order, a
// crash between the two writes could leave the new secret with the old time.
// The refusals of the old secret would then still count for the new one. The digest
// is written last: without it, saving again writes all three again. A save that
// then finds the digest of another save writes all three again.
func (h *Handlers) save(v secret.Value, s saving) (changed bool, _ error) {
	for tries := 0; ; tries++ {
		digest, err := s.stored()
		if err != nil || v.Matches(digest) {
			return tries > 0, err
		}
		if tries == savesMost {
			return false, errSeveralSaves
		}
		at := h.Now()
		if err := s.begin(at); err != nil {
			return false, err
		}
		// A crash here leaves the old secret stored and no digest.
		if err := s.put(); err != nil {
			return false, err
		}
		// A crash here leaves the new secret stored and no digest.
		if err := s.end(at, v.Digest()); err != nil {
			return false, err
		}
	}
}

// saveSecret saves an archive secret, asks WeCom on the open way whether it
// accepts the secret, and requests a pull at once unless WeCom refuses it. It does
// so even if the secret is unchanged: a person who presses the button wants to try
// again, so the pull overrides the pause after refusals.
func (h *Handlers) saveSecret(ctx context.Context, corp string, v secret.Value, shown string) (changed bool, _ error) {
	changed, err := h.save(v, saving{
		stored: func() (secret.Digest, error) {
			c, err := h.Corps.Corp(ctx, corp)
			return c.SecretDigest, err
		},
		begin: func(at time.Time) error { return h.Corps.SetSecret(ctx, corp, shown, at) },
		put:   func() error { return h.Secrets.PutArchiveSecret(ctx, corp, v) },
		end:   func(at time.Time, digest secret.Digest) error { return h.Corps.NoteSecret(ctx, corp, at, digest) },
	})
	if err != nil {
		return false, err
	}
	// A crash here leaves a secret that the next pull tries on the trusted way.
	refused, err := h.tryOpen(ctx, corp, v)
	if err != nil || refused {
		return changed, err
	}
	return changed, h.forcePull(ctx, corp, "secret saved")
}
