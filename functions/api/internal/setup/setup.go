package setup

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

const (
	minSecret, maxSecret = 16, 128 // characters; WeCom's have 43
	// secretShown is how much of a secret the set-up page shows.
	secretShown = 4
	// countMost is how many records set aside or pending pages are looked at
	// to say something about all of them.
	countMost = 1000
)

var (
	visibleASCII = regexp.MustCompile(`^[!-~]+$`)
	keyIDForm    = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

type setupJSON struct {
	CorpID            string        `json:"corp_id"`
	TrustedIPs        []string      `json:"trusted_ips"`
	PublicKey         *string       `json:"public_key"`
	Keys              []keyJSON     `json:"keys"`
	UnmatchedVersions []uint32      `json:"unmatched_versions"`
	UnmatchedMore     bool          `json:"unmatched_more"`
	SecretMasked      *string       `json:"secret_masked"`
	SecretSetAt       *string       `json:"secret_set_at"`
	Callback          *callbackJSON `json:"callback"`
	Enabled           bool          `json:"enabled"`
	Steps             []stepJSON    `json:"steps"`
}

type callbackJSON struct {
	URL            string `json:"url"`
	Token          string `json:"token"`
	EncodingAESKey string `json:"encoding_aes_key"`
}

type stepJSON struct {
	Step  int       `json:"step"`
	Name  string    `json:"name"`
	State stepState `json:"state"`
}

// stepState is how far a set-up step is, as far as we can know.
type stepState string

const (
	todo    stepState = "todo"    // not done here
	waiting stepState = "waiting" // done as far as we can see; WeCom's answers will tell
	done    stepState = "done"    // WeCom's answers show it
	redo    stepState = "redo"    // WeCom's answers show that it must be done again
)

func (h *Handlers) GetSetup(ctx context.Context, c *session.Call) (output.Answer, error) {
	setup, err := h.setup(ctx, c.Corp)
	if err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, setup)
}

func (h *Handlers) setup(ctx context.Context, corp archive.Corp) (setupJSON, error) {
	set, err := h.Corps.KeySet(ctx, corp.ID)
	if err != nil {
		return setupJSON{}, err
	}
	state, err := h.Ledger.PullState(ctx, corp.ID)
	if err != nil {
		return setupJSON{}, err
	}
	head, err := h.Ledger.Head(ctx, corp.ID)
	if err != nil {
		return setupJSON{}, err
	}
	aside, more, err := h.SetAside.ListSetAside(ctx, corp.ID, 0, countMost)
	if err != nil {
		return setupJSON{}, err
	}
	j := setupJSON{
		CorpID: corp.ID, TrustedIPs: h.TrustedIPs, Keys: []keyJSON{}, UnmatchedVersions: []uint32{}, UnmatchedMore: more,
		SecretSetAt: output.MomentOrNull(corp.SecretSetAt), Enabled: corp.Enabled,
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
	if corp.SecretPrefix != "" {
		masked := corp.SecretPrefix + strings.Repeat("•", 8)
		j.SecretMasked = &masked
	}
	pair, err := h.Secrets.Callback(ctx, corp.ID)
	switch {
	case err == nil:
		// To the admin, who enters them in WeCom.
		j.Callback = &callbackJSON{
			URL: h.PublicURL + "/callback/" + corp.ID, Token: pair.Token.Reveal(), EncodingAESKey: pair.AESKey.Reveal(),
		}
	case !errors.Is(err, archive.ErrNotFound):
		return setupJSON{}, err
	}
	j.Steps = steps(corp, state, head, j.Keys, j.UnmatchedVersions)
	return j, nil
}

// steps says how far each step of DESIGN.md is. Only WeCom's answers make one
// done, or take that back; that nothing went wrong yet shows nothing.
func steps(corp archive.Corp, state archive.PullState, head archive.Head, keys []keyJSON, unmatched []uint32) []stepJSON {
	amiss := 0
	notOpen := false
	if state.Trouble != nil {
		amiss = state.Trouble.Cause.Step()
		notOpen = state.Trouble.Cause == archive.CauseNotOpen
	}
	answered := !state.LastPageAt.IsZero() || !state.LastEmptyAt.IsZero()
	came := head.Rows > 0

	choose := func(isRedo, isDone, isWaiting bool) stepState {
		switch {
		case isRedo:
			return redo
		case isDone:
			return done
		case isWaiting:
			return waiting
		}
		return todo
	}
	inKeys := func(state string) bool {
		return slices.ContainsFunc(keys, func(k keyJSON) bool { return k.State == state })
	}
	return []stepJSON{
		{1, "scope", choose(amiss == 1, came, true)},
		{2, "secret", choose(amiss == 2 && corp.SecretPrefix != "", corp.SecretPrefix != "" && state.SecretOKAt.Equal(corp.SecretSetAt), corp.SecretPrefix != "")},
		{3, "public_key", choose(len(unmatched) > 0, inKeys("proved"), inKeys("claimed"))},
		{4, "trusted_ip", choose(amiss == 4, answered, true)},
		{5, "switch_on", choose(notOpen, corp.Enabled && answered, corp.Enabled)},
		{6, "chats", choose(false, came, corp.Enabled)},
	}
}

// PutSetup saves what the admin's form holds. All of it is checked before any
// of it is saved.
func (h *Handlers) PutSetup(ctx context.Context, c *session.Call) (output.Answer, error) {
	text, ok := c.Text("secret", minSecret, maxSecret)
	if ok && !visibleASCII.MatchString(text) {
		c.Reject("secret", problem.Form, problem.RemedySecret, nil)
	}
	version := c.Version("publickey_ver")
	keyID, ok := c.Text("key_id", 32, 32)
	if ok && !keyIDForm.MatchString(keyID) {
		c.Reject("key_id", problem.Form, problem.RemedyKeyID, nil)
	}
	switch {
	case c.Has("key_id") && !c.Has("publickey_ver"):
		c.Reject("publickey_ver", problem.Required, problem.RemedyNeedsVersion, nil)
	case !c.Has("secret") && !c.Has("publickey_ver") && !c.Mistaken():
		c.Reject("", problem.Required, problem.RemedyEmpty, problem.Args{"names": "secret, publickey_ver"})
	}
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	var set archive.KeySet
	if version != 0 {
		if keyID == "" {
			keyID = c.Corp.CurrentKey
		}
		var err error
		if set, err = h.Corps.KeySet(ctx, c.CorpID); err != nil {
			return output.Answer{}, err
		}
		if _, ok := findKey(set, keyID); !ok {
			c.Reject("key_id", problem.OneOf, problem.RemedyNoSuchKey, nil)
			return output.Answer{}, c.Err()
		}
		if err := provedFor(set, version, keyID); err != nil {
			return output.Answer{}, err
		}
	}

	out := struct {
		Changed []string  `json:"changed"`
		Moved   *string   `json:"claim_moved_from"`
		Setup   setupJSON `json:"setup"`
	}{Changed: []string{}}
	if text != "" {
		changed, err := h.saveSecret(ctx, c.Corp, secret.New(text), text[:secretShown])
		if err != nil {
			return output.Answer{}, err
		}
		if changed {
			out.Changed = append(out.Changed, "secret")
		}
	}
	if version != 0 {
		moved, changed, err := h.claim(ctx, c.CorpID, set, keyID, version)
		if err != nil {
			return output.Answer{}, err
		}
		out.Moved = moved
		if changed {
			out.Changed = append(out.Changed, "publickey_ver")
		}
	}
	corp, err := h.Corps.Corp(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	if out.Setup, err = h.setup(ctx, corp); err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, out)
}

// saveSecret saves an archive secret and has it tried at once, also if it is
// the one that is saved already: pressing the button is a request (law 8).
//
// The note on the corp comes first. After a crash before the secret itself is
// stored, the stored one still differs, so saving again does both again; the
// other way round, a changed secret could stay under the old one's refusals.
func (h *Handlers) saveSecret(ctx context.Context, corp archive.Corp, v secret.Value, shown string) (changed bool, _ error) {
	stored, err := h.Secrets.ArchiveSecret(ctx, corp.ID)
	if err != nil && !errors.Is(err, archive.ErrNotFound) {
		return false, err
	}
	if changed = err != nil || !stored.Equal(v); changed {
		if err := h.Corps.SetSecret(ctx, corp.ID, shown, h.Now()); err != nil {
			return false, err
		}
		if err := h.Secrets.PutArchiveSecret(ctx, corp.ID, v); err != nil {
			return false, err
		}
	}
	if !changed {
		return false, h.forcePull(ctx, corp.ID, "secret saved again")
	}
	// Not deduplicated: one that is corrected within seconds is tried too.
	return true, h.Pulls.RequestPulls(ctx, archive.PullRequest{Corp: corp.ID, Why: "secret changed", Force: true})
}
