package main

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
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

func (a *api) getSetup(ctx context.Context, c *call) (answer, error) {
	setup, err := a.setup(ctx, c.corp)
	if err != nil {
		return answer{}, err
	}
	return asJSON(200, setup)
}

func (a *api) setup(ctx context.Context, corp archive.Corp) (setupJSON, error) {
	set, err := a.corps.KeySet(ctx, corp.ID)
	if err != nil {
		return setupJSON{}, err
	}
	state, err := a.ledger.PullState(ctx, corp.ID)
	if err != nil {
		return setupJSON{}, err
	}
	head, err := a.ledger.Head(ctx, corp.ID)
	if err != nil {
		return setupJSON{}, err
	}
	aside, more, err := a.messages.ListSetAside(ctx, corp.ID, 0, countMost)
	if err != nil {
		return setupJSON{}, err
	}
	j := setupJSON{
		CorpID: corp.ID, TrustedIPs: a.trustedIPs, Keys: []keyJSON{}, UnmatchedVersions: []uint32{}, UnmatchedMore: more,
		SecretSetAt: momentOrNull(corp.SecretSetAt), Enabled: corp.Enabled,
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
	pair, err := a.secrets.Callback(ctx, corp.ID)
	switch {
	case err == nil:
		// To the admin, who enters them in WeCom.
		j.Callback = &callbackJSON{
			URL: a.publicURL + "/callback/" + corp.ID, Token: pair.Token.Reveal(), EncodingAESKey: pair.AESKey.Reveal(),
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
		{2, "secret", choose(amiss == 2 && corp.SecretPrefix != "", corp.SecretPrefix != "" && !state.For(corp.SecretSetAt).OKAt.IsZero(), corp.SecretPrefix != "")},
		{3, "public_key", choose(len(unmatched) > 0, inKeys("proved"), inKeys("claimed"))},
		{4, "trusted_ip", choose(amiss == 4, answered, true)},
		{5, "switch_on", choose(notOpen, corp.Enabled && answered, corp.Enabled)},
		{6, "chats", choose(false, came, corp.Enabled)},
	}
}

// putSetup saves what the admin's form holds. All of it is checked before any
// of it is saved.
func (a *api) putSetup(ctx context.Context, c *call) (answer, error) {
	text, ok := c.text("secret", minSecret, maxSecret)
	if ok && !visibleASCII.MatchString(text) {
		c.reject("secret", problem.Form, problem.MendSecret, nil)
	}
	version := c.version("publickey_ver")
	keyID, ok := c.text("key_id", 32, 32)
	if ok && !keyIDForm.MatchString(keyID) {
		c.reject("key_id", problem.Form, problem.MendKeyID, nil)
	}
	switch {
	case c.has("key_id") && !c.has("publickey_ver"):
		c.reject("publickey_ver", problem.Required, problem.MendNeedsVersion, nil)
	case !c.has("secret") && !c.has("publickey_ver") && len(c.mistakes) == 0:
		c.reject("", problem.Required, problem.MendEmpty, problem.Args{"names": "secret, publickey_ver"})
	}
	if err := c.err(); err != nil {
		return answer{}, err
	}
	var set archive.KeySet
	if version != 0 {
		if keyID == "" {
			keyID = c.corp.CurrentKey
		}
		var err error
		if set, err = a.corps.KeySet(ctx, c.corpID); err != nil {
			return answer{}, err
		}
		if _, ok := findKey(set, keyID); !ok {
			c.reject("key_id", problem.OneOf, problem.MendNoSuchKey, nil)
			return answer{}, c.err()
		}
		if err := provedFor(set, version, keyID); err != nil {
			return answer{}, err
		}
	}

	out := struct {
		Changed []string  `json:"changed"`
		Moved   *string   `json:"claim_moved_from"`
		Setup   setupJSON `json:"setup"`
	}{Changed: []string{}}
	if text != "" {
		changed, err := a.saveSecret(ctx, c.corp, secret.New(text), text[:secretShown])
		if err != nil {
			return answer{}, err
		}
		if changed {
			out.Changed = append(out.Changed, "secret")
		}
	}
	if version != 0 {
		moved, changed, err := a.claim(ctx, c.corpID, set, keyID, version)
		if err != nil {
			return answer{}, err
		}
		out.Moved = moved
		if changed {
			out.Changed = append(out.Changed, "publickey_ver")
		}
	}
	corp, err := a.corps.Corp(ctx, c.corpID)
	if err != nil {
		return answer{}, err
	}
	if out.Setup, err = a.setup(ctx, corp); err != nil {
		return answer{}, err
	}
	return asJSON(200, out)
}

// saveSecret saves an archive secret and has it tried at once, also if it is
// the one that is saved already: pressing the button is a request (law 8).
//
// The note on the corp comes first. After a crash before the secret itself is
// stored, the stored one still differs, so saving again does both again; the
// other way round, a changed secret could stay under the old one's refusals.
func (a *api) saveSecret(ctx context.Context, corp archive.Corp, v secret.Value, shown string) (changed bool, _ error) {
	stored, err := a.secrets.ArchiveSecret(ctx, corp.ID)
	if err != nil && !errors.Is(err, archive.ErrNotFound) {
		return false, err
	}
	if changed = err != nil || !stored.Equal(v); changed {
		if err := a.corps.SetSecret(ctx, corp.ID, shown, a.now()); err != nil {
			return false, err
		}
		if err := a.secrets.PutArchiveSecret(ctx, corp.ID, v); err != nil {
			return false, err
		}
	}
	if !changed {
		return false, a.forcePull(ctx, corp.ID, "secret saved again")
	}
	// Not deduplicated: one that is corrected within seconds is tried too.
	return true, a.pulls.RequestPulls(ctx, archive.PullRequest{Corp: corp.ID, Why: "secret changed", Force: true})
}
