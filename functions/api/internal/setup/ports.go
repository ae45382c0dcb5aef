package setup

import (
	"context"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/callbackpair"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// Handlers serve the set-up page. The fields never change after the first
// request. The stores are safe for concurrent use; a write that returned nil is
// durable; for an absent thing they return [archive.ErrNotFound].
type Handlers struct {
	Corps    Corps
	Secrets  Secrets
	Pairs    Pairs
	Ledger   Ledger
	Gate     Gate
	WeCom    WeCom
	SetAside SetAside
	App      App
	Checks   Checks
	Pulls    archive.PullQueue
	Replays  Retries

	MakePair func() (rsakey.Pair, error)
	NewID    func() string // letters and digits; each id is new
	Now      func() time.Time

	TrustedIPs []string // the addresses that a company enters in WeCom
	PublicURL  string   // scheme and host; empty for the host of each request
}

// Corps holds settings, public keys and claims. A method that changes a corp or
// a key returns ErrNotFound if there is no such corp or key.
type Corps interface {
	archive.CorpReader // consistent
	// CreateCorp returns [archive.ErrExists] if the corp exists.
	CreateCorp(ctx context.Context, corp archive.Corp) error
	Rename(ctx context.Context, id, name string) error
	// SetEnabled sets EnabledAt only when the corp is enabled for the first time.
	SetEnabled(ctx context.Context, id string, enabled bool, by, reason string, at time.Time) error
	// SetSecret also forgets the digest of an earlier secret, and what WeCom answered
	// about it.
	SetSecret(ctx context.Context, id, prefix string, at time.Time) error
	// NoteSecret notes the digest of the secret that was saved at setAt. It notes
	// nothing if another secret was saved meanwhile.
	NoteSecret(ctx context.Context, id string, setAt time.Time, d secret.Digest) error
	// NoteOpen notes what WeCom answered about the secret that was saved at setAt.
	NoteOpen(ctx context.Context, id string, setAt time.Time, a archive.OpenAnswer) error
	// AddKey stores the key. If makeCurrent is set, it also moves the corp's
	// CurrentKey from prevCurrent to the key, in the same transaction. It returns
	// [archive.ErrExists] if the key is stored already, and [archive.ErrConflict]
	// if the current key is not prevCurrent.
	AddKey(ctx context.Context, id string, k archive.Key, makeCurrent bool, prevCurrent string) error
	// Claim sets the version that the admin entered for a key; 0 clears it.
	Claim(ctx context.Context, id, keyID string, version uint32, by string, at time.Time) error
	// NoteRetried notes that the job that tries an imported key is requested.
	NoteRetried(ctx context.Context, id, keyID string) error
	// KeySet reads consistently. It returns an empty set for a corp without keys.
	KeySet(ctx context.Context, corp string) (archive.KeySet, error)
	// KeyQuota reads consistently. It returns [archive.NewKeyQuota] for a corp
	// that used nothing of its quota.
	KeyQuota(ctx context.Context, corp string) (archive.KeyQuota, error)
	// SaveKeyQuota replaces the quota that has the same Rev, or returns
	// [archive.ErrConflict].
	SaveKeyQuota(ctx context.Context, corp string, q archive.KeyQuota) error
	// Callback reads consistently.
	Callback(ctx context.Context, corp string, kind archive.CallbackKind) (archive.Callback, error)
	// CreateCallback returns [archive.ErrExists] if the callback exists.
	CreateCallback(ctx context.Context, corp string, kind archive.CallbackKind, cb archive.Callback) error
	// SwapCallback returns [archive.ErrConflict] if the stored callback has other
	// pairs than from.
	SwapCallback(ctx context.Context, corp string, kind archive.CallbackKind, from, to archive.Callback) error
}

// Secrets stores what only WeCom and this system know, and returns none of it.
type Secrets interface {
	PutArchiveSecret(ctx context.Context, corp string, v secret.Value) error
	PutAppSecret(ctx context.Context, corp string, v secret.Value) error
	// CreatePrivateKey returns [archive.ErrExists] if the key is stored already.
	CreatePrivateKey(ctx context.Context, corp, keyID string, pkcs8 secret.Value) error
}

// Pairs seals callback pairs for the table, and opens them
// ([callbackpair.Sealer]).
type Pairs interface {
	Seal(ctx context.Context, corp string, kind archive.CallbackKind, p callbackpair.Pair) (string, error)
	Open(ctx context.Context, corp string, kind archive.CallbackKind, id, sealed string) (callbackpair.Pair, error)
}

// Ledger shows how far pulling is.
type Ledger interface {
	PullState(ctx context.Context, corp string) (archive.PullState, error)
}

// Retries starts jobs that try the records set aside again
// ([decode.JobStarter]).
type Retries interface {
	// PlanRetry is durable on return: after a crash dispatch starts the retry, 15
	// minutes later.
	PlanRetry(ctx context.Context, job decode.Replay) error
	// StartRetry starts the retry. started is false if another job runs: the retry
	// then follows that job.
	StartRetry(ctx context.Context, job decode.Replay) (started bool, err error)
}

// Gate decides when a secret may be tried at WeCom ([archive.Gate]).
type Gate interface {
	NextTry(ctx context.Context, a archive.Ask, s archive.Standing) (time.Time, error)
	Admit(ctx context.Context, a archive.Ask, s archive.Standing) (*archive.Admission, archive.Standing, error)
	Answered(ctx context.Context, a *archive.Admission, s archive.Standing) (archive.Standing, error)
	Refused(ctx context.Context, a *archive.Admission, s archive.Standing, t archive.Trouble, r archive.Response, d time.Duration) (archive.Standing, error)
	Unanswered(ctx context.Context, a *archive.Admission) error
}

// WeCom is asked by the open way whether it accepts a secret. Every error except
// the context's is a [*directory.APIError].
type WeCom interface {
	Accepts(ctx context.Context, c directory.Credential) error
}

// SetAside lists records set aside.
type SetAside interface {
	// ListSetAside lists the records with a seq above afterSeq, by seq.
	ListSetAside(ctx context.Context, corp string, afterSeq uint64, limit int) (list []archive.SetAside, more bool, err error)
}

// App holds the settings of the self-built app.
type App interface {
	directory.ReachReader
	SetApp(ctx context.Context, corp string, app directory.App) error
	// NoteAppSecret notes settings with the digest of the secret that was saved at
	// their time. It notes nothing if another secret was saved meanwhile.
	NoteAppSecret(ctx context.Context, corp string, app directory.App) error
}

// Checks requests checks of the secrets: WeCom is asked what they give access
// to.
type Checks interface {
	// RequestCheck requests a check of every access. Durable on return.
	RequestCheck(ctx context.Context, corp string, also directory.Request) error
	// RequestExamination requests that the doctor examines what was saved, without
	// asking WeCom. Every route that saves calls it or RequestCheck after its last
	// write. Durable on return.
	RequestExamination(ctx context.Context, corp string) error
}
