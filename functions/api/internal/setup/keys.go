package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/replay"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
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
		ID: k.ID, PublicKey: k.PublicPEM, Origin: string(k.Origin), CreatedAt: output.Moment(k.CreatedAt),
		ClaimedVersion: output.VersionOrNull(k.ClaimedVersion), ProvedVersions: []uint32{}, State: "unused", Current: k.ID == current,
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

func findKey(set archive.KeySet, id string) (archive.Key, bool) {
	i := slices.IndexFunc(set.Keys, func(k archive.Key) bool { return k.ID == id })
	if i < 0 {
		return archive.Key{}, false
	}
	return set.Keys[i], true
}

// RotateKey offers another key, unless the one on offer is unused.
func (h *Handlers) RotateKey(ctx context.Context, c *session.Call) (output.Answer, error) {
	set, err := h.Corps.KeySet(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	if k, ok := findKey(set, c.Corp.CurrentKey); ok {
		if j := showKey(k, set, k.ID); j.State == "unused" {
			return output.JSON(200, j)
		}
	}
	k, made, err := h.addCurrentKey(ctx, c.Corp)
	if err != nil {
		return output.Answer{}, err
	}
	status := 200
	if made {
		status = 201
	}
	return output.JSON(status, k)
}

// addCurrentKey makes a key pair and puts it in the place of the corp's current
// key, as corp was read. If another request did so first, its key is the
// answer and made is false: of many at once, all answer the same key.
//
// The private key is stored first, so that no public key is ever offered whose
// private half is not durable. That of a loser, or of a crash between the two
// writes, stays in the secret store and is never used.
func (h *Handlers) addCurrentKey(ctx context.Context, corp archive.Corp) (_ keyJSON, made bool, _ error) {
	pair, err := h.MakePair()
	if err != nil {
		return keyJSON{}, false, err
	}
	// One that is there under the id is this one: a repeated request of the
	// client's own.
	if err := h.Secrets.CreatePrivateKey(ctx, corp.ID, pair.ID, pair.Private); err != nil && !errors.Is(err, archive.ErrExists) {
		return keyJSON{}, false, err
	}
	k := archive.Key{ID: pair.ID, PublicPEM: pair.PublicPEM, Origin: archive.KeyMade, CreatedAt: h.Now()}
	err = h.Corps.AddKey(ctx, corp.ID, k, true, corp.CurrentKey)
	if err == nil {
		return showKey(k, archive.KeySet{}, k.ID), true, nil
	}
	if !errors.Is(err, archive.ErrConflict) {
		return keyJSON{}, false, err
	}
	now, err := h.Corps.Corp(ctx, corp.ID)
	if err != nil {
		return keyJSON{}, false, err
	}
	set, err := h.Corps.KeySet(ctx, corp.ID)
	if err != nil {
		return keyJSON{}, false, err
	}
	won, ok := findKey(set, now.CurrentKey)
	if !ok {
		return keyJSON{}, false, fmt.Errorf("current key %s of corp %s: %w", now.CurrentKey, corp.ID, archive.ErrCorrupt)
	}
	return showKey(won, set, won.ID), false, nil
}

// ImportKey stores a private key that was used before. The order of writes: the
// private key, the replay job, the public half, the claim; then the job is
// requested. From the public half on the key is there, and so is the job that
// tries it on what waits: after a crash dispatch requests it. A job without a
// request is not run for 15 minutes, long after this invocation has ended, so
// none is done before its key is there; one whose key never came changes
// nothing. Doing it again completes what was interrupted, with another job.
func (h *Handlers) ImportKey(ctx context.Context, c *session.Call) (output.Answer, error) {
	var pair rsakey.Pair
	c.Required("private_key")
	if text, ok := c.Text("private_key", 1, maxPrivateKey); ok {
		var err error
		pair, err = rsakey.Import(secret.New(text))
		if refused, ok := errors.AsType[*rsakey.RuleError](err); ok {
			remedy, _ := problem.OfKey(refused.Rule)
			c.Reject("private_key", problem.Rule(refused.Rule), remedy, nil)
		} else if err != nil {
			return output.Answer{}, err
		}
	}
	version := c.Version("publickey_ver")
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	set, err := h.Corps.KeySet(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	if err := provedFor(set, version, pair.ID); err != nil {
		return output.Answer{}, err
	}
	if err := h.Secrets.CreatePrivateKey(ctx, c.CorpID, pair.ID, pair.Private); err != nil && !errors.Is(err, archive.ErrExists) {
		return output.Answer{}, err
	}
	job := replay.New(c.CorpID, h.NewID(), c.Caller.Subject, h.Now())
	job.OnlySetAside = true
	if err := h.Ledger.CreateReplay(ctx, job); err != nil {
		return output.Answer{}, err
	}
	status := 201
	k := archive.Key{ID: pair.ID, PublicPEM: pair.PublicPEM, Origin: archive.KeyImported, CreatedAt: h.Now()}
	err = h.Corps.AddKey(ctx, c.CorpID, k, false, "")
	if errors.Is(err, archive.ErrExists) {
		status, err = 200, nil
	}
	if err != nil {
		return output.Answer{}, err
	}
	var moved *string
	if version != 0 {
		if moved, _, err = h.claim(ctx, c.CorpID, set, pair.ID, version); err != nil {
			return output.Answer{}, err
		}
	}
	if err := h.Replays.StartReplay(ctx, job); err != nil {
		return output.Answer{}, err
	}
	if set, err = h.Corps.KeySet(ctx, c.CorpID); err != nil {
		return output.Answer{}, err
	}
	stored, ok := findKey(set, pair.ID)
	if !ok {
		return output.Answer{}, fmt.Errorf("key %s of corp %s was stored and is not there: %w", pair.ID, c.CorpID, archive.ErrCorrupt)
	}
	return output.JSON(status, struct {
		Key    keyJSON         `json:"key"`
		Moved  *string         `json:"claim_moved_from"`
		Replay replay.Document `json:"replay"`
	}{showKey(stored, set, c.Corp.CurrentKey), moved, replay.Show(job)})
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
func (h *Handlers) claim(ctx context.Context, corp string, set archive.KeySet, keyID string, version uint32) (moved *string, changed bool, _ error) {
	now := h.Now()
	if k, _ := findKey(set, keyID); k.ClaimedVersion != version {
		changed = true
		if err := h.Corps.Claim(ctx, corp, keyID, version, now); err != nil {
			return nil, false, err
		}
	}
	for _, k := range set.Keys {
		if k.ID != keyID && k.ClaimedVersion == version {
			moved, changed = &k.ID, true
			if err := h.Corps.Claim(ctx, corp, k.ID, 0, now); err != nil {
				return nil, false, err
			}
		}
	}
	return moved, changed, nil
}
