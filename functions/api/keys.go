package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// maxPrivateKey is the longest private key taken, in characters; one of 2048
// bits has about 1,700.
const maxPrivateKey = 16 << 10

type keyJSON struct {
	ID             string   `json:"key_id"`
	PublicKey      string   `json:"public_key"`
	Origin         string   `json:"origin"`
	CreatedAt      string   `json:"created_at"`
	ClaimedVersion *uint32  `json:"claimed_version"`
	ProvedVersions []uint32 `json:"proved_versions"`
	State          string   `json:"state"`
	Current        bool     `json:"current"`
}

func showKey(k archive.Key, set archive.KeySet, current string) keyJSON {
	j := keyJSON{
		ID: k.ID, PublicKey: k.PublicPEM, Origin: string(k.Origin), CreatedAt: moment(k.CreatedAt),
		ClaimedVersion: versionOrNull(k.ClaimedVersion), ProvedVersions: []uint32{}, State: "unused", Current: k.ID == current,
	}
	for _, b := range set.Bindings {
		if b.KeyID == k.ID {
			j.ProvedVersions = append(j.ProvedVersions, b.Version)
		}
	}
	slices.Sort(j.ProvedVersions)
	switch {
	case len(j.ProvedVersions) > 0:
		j.State = "proved"
	case k.ClaimedVersion != 0:
		j.State = "claimed"
	}
	return j
}

func versionOrNull(v uint32) *uint32 {
	if v == 0 {
		return nil
	}
	return &v
}

func findKey(set archive.KeySet, id string) (archive.Key, bool) {
	i := slices.IndexFunc(set.Keys, func(k archive.Key) bool { return k.ID == id })
	if i < 0 {
		return archive.Key{}, false
	}
	return set.Keys[i], true
}

// rotateKey offers another key, unless the one on offer is unused.
func (a *api) rotateKey(ctx context.Context, c *call) (answer, error) {
	set, err := a.corps.KeySet(ctx, c.corpID)
	if err != nil {
		return answer{}, err
	}
	if k, ok := findKey(set, c.corp.CurrentKey); ok {
		if j := showKey(k, set, k.ID); j.State == "unused" {
			return asJSON(200, j)
		}
	}
	k, made, err := a.addCurrentKey(ctx, c.corp)
	if err != nil {
		return answer{}, err
	}
	status := 200
	if made {
		status = 201
	}
	return asJSON(status, k)
}

// addCurrentKey makes a key pair and puts it in the place of the corp's current
// key, as corp was read. If another request did so first, its key is the
// answer and made is false: of many at once, all answer the same key.
//
// The private key is stored first, so that no public key is ever offered whose
// private half is not durable. That of a loser, or of a crash between the two
// writes, stays in the secret store and is never used.
func (a *api) addCurrentKey(ctx context.Context, corp archive.Corp) (_ keyJSON, made bool, _ error) {
	pair, err := a.makePair()
	if err != nil {
		return keyJSON{}, false, err
	}
	// One that is there under the id is this one: a repeated request of the
	// client's own.
	if err := a.secrets.CreatePrivateKey(ctx, corp.ID, pair.ID, pair.Private); err != nil && !errors.Is(err, archive.ErrExists) {
		return keyJSON{}, false, err
	}
	k := archive.Key{ID: pair.ID, PublicPEM: pair.PublicPEM, Origin: archive.KeyMade, CreatedAt: a.now()}
	err = a.corps.AddKey(ctx, corp.ID, k, true, corp.CurrentKey)
	if err == nil {
		return showKey(k, archive.KeySet{}, k.ID), true, nil
	}
	if !errors.Is(err, archive.ErrConflict) {
		return keyJSON{}, false, err
	}
	now, err := a.corps.Corp(ctx, corp.ID)
	if err != nil {
		return keyJSON{}, false, err
	}
	set, err := a.corps.KeySet(ctx, corp.ID)
	if err != nil {
		return keyJSON{}, false, err
	}
	won, ok := findKey(set, now.CurrentKey)
	if !ok {
		return keyJSON{}, false, fmt.Errorf("current key %s of corp %s: %w", now.CurrentKey, corp.ID, archive.ErrCorrupt)
	}
	return showKey(won, set, won.ID), false, nil
}

// importKey stores a private key that was used before. The order of writes: the
// private key, the replay job, the public half, the claim; then the job is
// requested. From the public half on the key is there, and so is the job that
// tries it on what waits: after a crash dispatch requests it. A job without a
// request is not run for 15 minutes, long after this invocation has ended, so
// none is done before its key is there; one whose key never came changes
// nothing. Doing it again completes what was interrupted, with another job.
func (a *api) importKey(ctx context.Context, c *call) (answer, error) {
	var pair rsakey.Pair
	c.required("private_key")
	if text, ok := c.text("private_key", 1, maxPrivateKey); ok {
		var err error
		pair, err = rsakey.Import(secret.New(text))
		if refused, ok := errors.AsType[*rsakey.RuleError](err); ok {
			mend, _ := problem.OfKey(refused.Rule)
			c.reject("private_key", problem.Rule(refused.Rule), mend, nil)
		} else if err != nil {
			return answer{}, err
		}
	}
	version := c.version("publickey_ver")
	if err := c.err(); err != nil {
		return answer{}, err
	}
	set, err := a.corps.KeySet(ctx, c.corpID)
	if err != nil {
		return answer{}, err
	}
	if err := provedFor(set, version, pair.ID); err != nil {
		return answer{}, err
	}
	if err := a.secrets.CreatePrivateKey(ctx, c.corpID, pair.ID, pair.Private); err != nil && !errors.Is(err, archive.ErrExists) {
		return answer{}, err
	}
	job := a.newReplay(c.corpID, c.caller.subject)
	job.OnlySetAside = true
	if err := a.ledger.CreateReplay(ctx, job); err != nil {
		return answer{}, err
	}
	status := 201
	k := archive.Key{ID: pair.ID, PublicPEM: pair.PublicPEM, Origin: archive.KeyImported, CreatedAt: a.now()}
	err = a.corps.AddKey(ctx, c.corpID, k, false, "")
	if errors.Is(err, archive.ErrExists) {
		status, err = 200, nil
	}
	if err != nil {
		return answer{}, err
	}
	var moved *string
	if version != 0 {
		if moved, _, err = a.claim(ctx, c.corpID, set, pair.ID, version); err != nil {
			return answer{}, err
		}
	}
	if err := a.replays.StartReplay(ctx, job); err != nil {
		return answer{}, err
	}
	if set, err = a.corps.KeySet(ctx, c.corpID); err != nil {
		return answer{}, err
	}
	stored, ok := findKey(set, pair.ID)
	if !ok {
		return answer{}, fmt.Errorf("key %s of corp %s was stored and is not there: %w", pair.ID, c.corpID, archive.ErrCorrupt)
	}
	return asJSON(status, struct {
		Key    keyJSON    `json:"key"`
		Moved  *string    `json:"claim_moved_from"`
		Replay replayJSON `json:"replay"`
	}{showKey(stored, set, c.corp.CurrentKey), moved, showReplay(job)})
}

// provedFor is the problem that a message has proved the version to be another
// key's, or nil.
func provedFor(set archive.KeySet, version uint32, keyID string) error {
	for _, b := range set.Bindings {
		if b.Version == version && b.KeyID != keyID {
			return problem.New(problem.VersionProved, problem.Args{
				"version": strconv.FormatUint(uint64(version), 10), "key": keyID, "owner": b.KeyID,
			})
		}
	}
	return nil
}

// claim notes that a person typed the version for the key, and takes it from
// whichever key had the claim in set; moved is the id of that one. The new
// claim comes first: claims only order the tries (law 6), so two at once, after
// a crash, do no harm.
func (a *api) claim(ctx context.Context, corp string, set archive.KeySet, keyID string, version uint32) (moved *string, changed bool, _ error) {
	now := a.now()
	if k, _ := findKey(set, keyID); k.ClaimedVersion != version {
		changed = true
		if err := a.corps.Claim(ctx, corp, keyID, version, now); err != nil {
			return nil, false, err
		}
	}
	for _, k := range set.Keys {
		if k.ID != keyID && k.ClaimedVersion == version {
			moved, changed = &k.ID, true
			if err := a.corps.Claim(ctx, corp, k.ID, 0, now); err != nil {
				return nil, false, err
			}
		}
	}
	return moved, changed, nil
}
