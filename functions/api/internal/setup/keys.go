package setup

import (
	"cmp"
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
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// maxPrivateKey is the longest accepted private key, in characters. A key of 2048
// bits has about 1,700.
const maxPrivateKey = 16 << 10

type keyJSON struct {
	ID        string `json:"key_id"`
	PublicKey string `json:"public_key"`
	Origin    string `json:"origin"`
	CreatedAt string `json:"created_at"`
	// OfferedAt is when the set-up page first showed the key; null for an imported
	// key, which it never offers.
	OfferedAt      *string     `json:"offered_at"`
	ClaimedVersion *uint32     `json:"claimed_version"`
	ClaimedAt      *string     `json:"claimed_at"`
	ClaimedBy      *string     `json:"claimed_by"`
	Proved         []proofJSON `json:"proved"`
	LastUsedAt     *string     `json:"last_used_at"`
	State          string      `json:"state"`
	Current        bool        `json:"current"`
}

// proofJSON is a version that a message proved for a key.
type proofJSON struct {
	Version uint32 `json:"version"`
	At      string `json:"at"`
	Seq     string `json:"seq"`
}

func showKey(k archive.Key, set archive.KeySet, current string) keyJSON {
	j := keyJSON{
		ID: k.ID, PublicKey: k.PublicPEM, Origin: string(k.Origin), CreatedAt: output.Moment(k.CreatedAt),
		ClaimedVersion: output.VersionOrNull(k.ClaimedVersion), ClaimedAt: output.MomentOrNull(k.ClaimedAt), ClaimedBy: output.TextOrNull(k.ClaimedBy),
		Proved: []proofJSON{}, LastUsedAt: output.MomentOrNull(k.LastUsedAt), State: "unused", Current: k.ID == current,
	}
	if k.Origin == archive.KeyMade { // a key is offered when it is made
		j.OfferedAt = &j.CreatedAt
	}
	for _, b := range set.Bindings {
		if b.KeyID == k.ID {
			j.Proved = append(j.Proved, proofJSON{b.Version, output.Moment(b.At), output.Decimal(b.Seq)})
		}
	}
	slices.SortFunc(j.Proved, func(a, b proofJSON) int { return cmp.Compare(a.Version, b.Version) })
	switch {
	case len(j.Proved) > 0:
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

// RotateKey makes a new current key. If the current key is unused, RotateKey
// returns it and makes no new one. A corp with too many made keys that no
// message has proved gets no further key: a private key is kept permanently and
// costs money each month.
func (h *Handlers) RotateKey(ctx context.Context, c *session.Call) (output.Answer, error) {
	k, made, err := h.rotateKey(ctx, c)
	if err != nil {
		return output.Answer{}, err
	}
	// A crash here leaves the key without an examination; a second click requests it.
	if err := h.Checks.RequestExamination(ctx, c.CorpID); err != nil {
		return output.Answer{}, err
	}
	status := 200
	if made {
		status = 201
	}
	return output.JSON(status, k)
}

func (h *Handlers) rotateKey(ctx context.Context, c *session.Call) (_ keyJSON, made bool, _ error) {
	set, err := h.Corps.KeySet(ctx, c.CorpID)
	if err != nil {
		return keyJSON{}, false, err
	}
	if k, ok := findKey(set, c.Corp.CurrentKey); ok {
		if j := showKey(k, set, k.ID); j.State == "unused" {
			return j, false, nil
		}
	}
	quota, err := h.Corps.KeyQuota(ctx, c.CorpID)
	if err != nil {
		return keyJSON{}, false, err
	}
	// Every rotation moves the corp's current key, so a rotation that comes between
	// these reads and the next write makes that write fail.
	if set.Unproved() >= quota.Unproved {
		return keyJSON{}, false, problem.New(problem.KeysUnproved, problem.Args{"max": strconv.Itoa(quota.Unproved)})
	}
	return h.addCurrentKey(ctx, c.Corp)
}

// addCurrentKey makes a key pair and makes it the corp's current key, if the
// current key is still the one in corp. If another request was faster,
// addCurrentKey returns that request's key, and made is false. So parallel
// requests all return the same key.
//
// The private key is stored before the public key, so every offered public key
// has a durable private key. After a crash between the two writes, or after a
// lost race, an unused private key stays in the secret store. Making a pair takes
// longer than the writes. So a race is mostly lost before the first write, and then
// the loser stores nothing.
func (h *Handlers) addCurrentKey(ctx context.Context, corp archive.Corp) (_ keyJSON, made bool, _ error) {
	pair, err := h.MakePair()
	if err != nil {
		return keyJSON{}, false, err
	}
	now, err := h.Corps.Corp(ctx, corp.ID)
	if err != nil {
		return keyJSON{}, false, err
	}
	if now.CurrentKey != corp.CurrentKey {
		won, err := h.offeredKey(ctx, corp.ID)
		return won, false, err
	}
	// ErrExists means that this same key is stored already: the SDK repeated the
	// request.
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
	won, err := h.offeredKey(ctx, corp.ID)
	return won, false, err
}

// offeredKey reads the current key of a corp.
func (h *Handlers) offeredKey(ctx context.Context, corpID string) (keyJSON, error) {
	corp, err := h.Corps.Corp(ctx, corpID)
	if err != nil {
		return keyJSON{}, err
	}
	set, err := h.Corps.KeySet(ctx, corpID)
	if err != nil {
		return keyJSON{}, err
	}
	k, ok := findKey(set, corp.CurrentKey)
	if !ok {
		return keyJSON{}, fmt.Errorf("current key %s of corp %s: %w", corp.CurrentKey, corpID, archive.ErrCorrupt)
	}
	return showKey(k, set, k.ID), nil
}

// ImportKey stores a private key that was used before, and starts a job that
// tries it on the records set aside. The order of writes is: quota, private
// key, replay job, public key, claim, request of the job, note that it is
// requested.
//
// decode uses the key once its public key is stored; the job is stored before
// that. After a crash dispatch requests the job 15 minutes after its creation.
// By then this invocation has ended, so the job never runs before its key is
// stored. A job whose key was never stored changes nothing. If another job runs, no
// new job is stored: a note on the running job takes its place. The note is written
// again at the end, because the running job may end before the key is stored. A
// crash before the repetition may lose the retry. So the import of a stored key
// starts the job if the last note of the import is missing, and else none.
func (h *Handlers) ImportKey(ctx context.Context, c *session.Call) (output.Answer, error) {
	pair, version, err := readImport(c)
	if err != nil {
		return output.Answer{}, err
	}
	set, err := h.Corps.KeySet(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	if version != 0 {
		if err := provedFor(set, version, pair.ID); err != nil {
			return output.Answer{}, err
		}
	}
	status := 200
	var job *decode.Replay
	if key, there := findKey(set, pair.ID); !there {
		status = 201
		if job, err = h.addImported(ctx, c, pair); err != nil {
			return output.Answer{}, err
		}
	} else if key.Origin == archive.KeyImported && !key.Retried {
		job = h.retryJob(c) // an earlier import crashed
	}
	// A crash here or below leaves a key that decode tries: dispatch requests the
	// job, and a claim only decides which key is tried first.
	var moved *string
	if version != 0 {
		if moved, _, err = h.claim(ctx, c, set, pair.ID, version); err != nil {
			return output.Answer{}, err
		}
	}
	if err := h.Checks.RequestExamination(ctx, c.CorpID); err != nil {
		return output.Answer{}, err
	}
	var shown *replay.Document
	if job != nil {
		started, err := h.Replays.StartRetry(ctx, *job)
		if err != nil {
			return output.Answer{}, err
		}
		if started {
			document := replay.Show(*job)
			shown = &document
		}
		// A crash here makes the next import of this key start the job once more.
		if err := h.Corps.NoteRetried(ctx, c.CorpID, pair.ID); err != nil {
			return output.Answer{}, err
		}
	}
	if set, err = h.Corps.KeySet(ctx, c.CorpID); err != nil {
		return output.Answer{}, err
	}
	stored, ok := findKey(set, pair.ID)
	if !ok {
		return output.Answer{}, fmt.Errorf("stored key %s of corp %s absent: %w", pair.ID, c.CorpID, archive.ErrCorrupt)
	}
	return output.JSON(status, struct {
		Key    keyJSON          `json:"key"`
		Moved  *string          `json:"claim_moved_from"`
		Replay *replay.Document `json:"replay"`
	}{showKey(stored, set, c.Corp.CurrentKey), moved, shown})
}

// readImport reads the key of an import, and the version claimed for it or 0.
func readImport(c *session.Call) (pair rsakey.Pair, version uint32, _ error) {
	c.Required("private_key")
	if text, ok := c.Text("private_key", 1, maxPrivateKey); ok {
		var err error
		pair, err = rsakey.Import(secret.New(text))
		if refused, ok := errors.AsType[*rsakey.RuleError](err); ok {
			remedy, _ := problem.OfKey(refused.Rule)
			c.Reject("private_key", problem.Rule(refused.Rule), remedy, nil)
		} else if err != nil {
			return rsakey.Pair{}, 0, err
		}
	}
	version = c.Version("publickey_ver")
	return pair, version, c.Err()
}

// addImported stores a key and the job that tries it. The job is not requested.
func (h *Handlers) addImported(ctx context.Context, c *session.Call, pair rsakey.Pair) (*decode.Replay, error) {
	if err := h.beginImport(ctx, c.CorpID); err != nil {
		return nil, err
	}
	// A crash here has used up one import of the quota and stored nothing.
	if err := h.Secrets.CreatePrivateKey(ctx, c.CorpID, pair.ID, pair.Private); err != nil && !errors.Is(err, archive.ErrExists) {
		return nil, err
	}
	job := h.retryJob(c)
	// A crash here leaves a private key that is unused until it is imported again.
	if err := h.Replays.PlanRetry(ctx, *job); err != nil {
		return nil, err
	}
	// A crash here leaves a job that dispatch runs and that finds no new key.
	k := archive.Key{ID: pair.ID, PublicPEM: pair.PublicPEM, Origin: archive.KeyImported, CreatedAt: h.Now()}
	if err := h.Corps.AddKey(ctx, c.CorpID, k, false, ""); err != nil && !errors.Is(err, archive.ErrExists) {
		return nil, err
	}
	return job, nil
}

// retryJob makes a job over the records set aside.
func (h *Handlers) retryJob(c *session.Call) *decode.Replay {
	job := replay.New(c.CorpID, h.NewID(), c.Caller.Subject, h.Now())
	job.OnlySetAside = true
	return &job
}

// quotaTries bounds how often an import reads the quota again because another
// import of the corp changed it.
const quotaTries = 20

// beginImport counts an import in the corp's quota, or returns a problem if the
// quota is used up.
func (h *Handlers) beginImport(ctx context.Context, corp string) error {
	for range quotaTries {
		now, err := h.Corps.KeyQuota(ctx, corp)
		if err != nil {
			return err
		}
		next, err := now.BeginImport(archive.DayOf(h.Now()))
		switch {
		case errors.Is(err, archive.ErrImports):
			return problem.New(problem.ImportsUsed, problem.Args{"max": strconv.Itoa(now.Imports)})
		case errors.Is(err, archive.ErrImportsToday):
			return problem.New(problem.ImportsToday, problem.Args{"max": strconv.Itoa(now.ImportsPerDay)})
		}
		if err := h.Corps.SaveKeyQuota(ctx, corp, next); !errors.Is(err, archive.ErrConflict) {
			return err
		}
	}
	return problem.New(problem.ChangedMeanwhile, nil)
}

// provedFor returns a problem if a message has proved the version for another
// key, and nil otherwise.
func provedFor(set archive.KeySet, version uint32, keyID string) error {
	for _, b := range set.Bindings {
		if b.Version == version && b.KeyID != keyID {
			return problem.New(problem.VersionProved, problem.Args{
				"version": strconv.FormatUint(uint64(version), 10), "key": beginning(keyID), "owner": beginning(b.KeyID),
			})
		}
	}
	return nil
}

// beginning is what the set-up page shows of a key's id.
func beginning(keyID string) string { return keyID[:min(len(keyID), 8)] }

// claim records that the admin entered the version for the key. If another key
// of set claimed the version, its claim is cleared, and moved is its id. The
// new claim is stored first. After a crash between the two writes, two keys
// claim the version. That is harmless: a claim only decides which key is tried
// first (law 6).
func (h *Handlers) claim(ctx context.Context, c *session.Call, set archive.KeySet, keyID string, version uint32) (moved *string, changed bool, _ error) {
	now := h.Now()
	if k, _ := findKey(set, keyID); k.ClaimedVersion != version {
		changed = true
		if err := h.Corps.Claim(ctx, c.CorpID, keyID, version, c.Caller.Subject, now); err != nil {
			return nil, false, err
		}
	}
	for _, k := range set.Keys {
		if k.ID != keyID && k.ClaimedVersion == version {
			moved, changed = &k.ID, true
			if err := h.Corps.Claim(ctx, c.CorpID, k.ID, 0, c.Caller.Subject, now); err != nil {
				return nil, false, err
			}
		}
	}
	return moved, changed, nil
}
