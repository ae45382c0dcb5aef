package setup

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/yunduo-scrm/archive/functions/api/internal/callbackpair"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// callbackJSON is what the admin enters in WeCom for a callback.
type callbackJSON struct {
	URL            string  `json:"url"`
	Token          string  `json:"token"`
	EncodingAESKey string  `json:"encoding_aes_key"`
	OldUntil       *string `json:"old_until"`
	VerifiedAt     *string `json:"verified_at"`
	EventAt        *string `json:"event_at"`
	SourceIP       *string `json:"source_ip"`

	Refused refusedJSON `json:"refused"`
}

// refusedJSON counts the requests of the day that the callback refused. Anybody
// on the internet can send such requests.
type refusedJSON struct {
	CountToday int                 `json:"count_today"`
	At         *string             `json:"at"`
	Why        *archive.RefusedWhy `json:"why"`
	SourceIP   *string             `json:"source_ip"`
}

// newPair makes a callback pair.
func (h *Handlers) newPair() callbackpair.Pair {
	return callbackpair.Pair{ID: h.NewID(), Token: secret.New(h.NewID()), AESKey: secret.New(newAESKey())}
}

// newAESKey makes an EncodingAESKey: 43 characters of base64 without '+' and '/',
// because WeCom's page refuses these two characters.
func newAESKey() string {
	key := make([]byte, 32)
	for {
		_, _ = rand.Read(key) // never fails
		if s := base64.RawStdEncoding.EncodeToString(key); !strings.ContainsAny(s, "+/") {
			return s
		}
	}
}

// createCallback makes the first pair of a callback if it has none. The pair and
// its acceptance are one write. If another request makes a pair at the same
// moment, its pair stays.
func (h *Handlers) createCallback(ctx context.Context, corp string, kind archive.CallbackKind) error {
	if _, err := h.Corps.Callback(ctx, corp, kind); !errors.Is(err, archive.ErrNotFound) {
		return err
	}
	pair := h.newPair()
	sealed, err := h.Pairs.Seal(ctx, corp, kind, pair)
	if err != nil {
		return err
	}
	err = h.Corps.CreateCallback(ctx, corp, kind, archive.Callback{Pair: pair.ID, PairSealed: sealed})
	if errors.Is(err, archive.ErrExists) {
		return nil
	}
	return err
}

// showCallback reads a callback for the set-up page; [archive.ErrNotFound] if it
// has no pair.
func (h *Handlers) showCallback(ctx context.Context, c *session.Call, kind archive.CallbackKind) (*callbackJSON, error) {
	state, err := h.Corps.Callback(ctx, c.CorpID, kind)
	if err != nil {
		return nil, err
	}
	pair, err := h.Pairs.Open(ctx, c.CorpID, kind, state.Pair, state.PairSealed)
	if err != nil {
		return nil, err
	}
	return h.callbackOf(c, kind, state, pair), nil
}

// callbackOf returns a callback and its newest pair as the admin sees them. Without
// PublicURL the callback's URL has the host of the admin's own request. API Gateway
// names that host, and no header can change it.
func (h *Handlers) callbackOf(c *session.Call, kind archive.CallbackKind, state archive.Callback, pair callbackpair.Pair) *callbackJSON {
	j := &callbackJSON{
		URL: cmp.Or(h.PublicURL, "https://"+c.Host) + "/callback/" + c.CorpID, Token: pair.Token.Reveal(), EncodingAESKey: pair.AESKey.Reveal(),
		VerifiedAt: output.MomentOrNull(state.VerifiedAt), EventAt: output.MomentOrNull(state.EventAt), SourceIP: output.TextOrNull(state.SeenFrom),
		Refused: refusedJSON{At: output.MomentOrNull(state.RefusedAt), SourceIP: output.TextOrNull(state.RefusedFrom)},
	}
	if state.RefusedWhy != "" {
		j.Refused.Why = &state.RefusedWhy
	}
	if state.RefusedDay == archive.DayOf(h.Now()) {
		j.Refused.CountToday = state.Refused
	}
	if kind == archive.AppCallback {
		j.URL += "/app"
	}
	if state.AcceptsOld(h.Now()) {
		j.OldUntil = output.MomentOrNull(state.OldUntil())
	}
	return j
}

// RotateCallback makes a new pair of the archive's callback.
func (h *Handlers) RotateCallback(ctx context.Context, c *session.Call) (output.Answer, error) {
	return h.rotateCallback(ctx, c, archive.ArchiveCallback)
}

// RotateAppCallback makes a new pair of the callback of the self-built app.
func (h *Handlers) RotateAppCallback(ctx context.Context, c *session.Call) (output.Answer, error) {
	return h.rotateCallback(ctx, c, archive.AppCallback)
}

// rotateTries bounds how often a rotation begins again because another request
// changed the callback.
const rotateTries = 3

func (h *Handlers) rotateCallback(ctx context.Context, c *session.Call, kind archive.CallbackKind) (output.Answer, error) {
	revoke := c.Flag("revoke_old")
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	for range rotateTries {
		state, err := h.Corps.Callback(ctx, c.CorpID, kind)
		if err != nil {
			return output.Answer{}, err
		}
		next, pair, err := h.nextCallback(ctx, c.CorpID, kind, state, revoke)
		if err == nil && next != state {
			err = h.Corps.SwapCallback(ctx, c.CorpID, kind, state, next)
		}
		if errors.Is(err, archive.ErrConflict) {
			continue
		}
		status := 201
		if err == nil && pair.ID == "" {
			status = 200
			pair, err = h.Pairs.Open(ctx, c.CorpID, kind, next.Pair, next.PairSealed)
		}
		if err != nil {
			return output.Answer{}, err
		}
		// A crash here leaves the pair without an examination; a second click requests it.
		if err := h.Checks.RequestExamination(ctx, c.CorpID); err != nil {
			return output.Answer{}, err
		}
		return output.JSON(status, h.callbackOf(c, kind, next, pair))
	}
	return output.Answer{}, problem.New(problem.ChangedMeanwhile, nil)
}

// nextCallback returns the callback after a rotation, and the pair that was
// made for it. It makes no pair, and returns the zero pair, in two cases: the old
// pair is still accepted, or this is a second click. In both cases the admin still
// has to enter the present pair in WeCom. If two people rotate at once, the second
// gets the pair of the first.
func (h *Handlers) nextCallback(ctx context.Context, corp string, kind archive.CallbackKind, state archive.Callback, revoke bool) (archive.Callback, callbackpair.Pair, error) {
	now := h.Now()
	var pair callbackpair.Pair
	next := state
	if !state.AcceptsOld(now) && now.Sub(state.MadeAt) >= session.DoubleClick {
		pair = h.newPair()
		sealed, err := h.Pairs.Seal(ctx, corp, kind, pair)
		if err != nil {
			return archive.Callback{}, callbackpair.Pair{}, err
		}
		// The notes about the present pair say nothing about the next one.
		next = archive.Callback{Pair: pair.ID, PairSealed: sealed, Old: state.Pair, OldSealed: state.PairSealed, MadeAt: now}
	}
	if revoke && next.Old != "" {
		// A second click then finds a fresh callback and makes no further pair. A further
		// pair would end the one that WeCom uses.
		next.Old, next.OldSealed, next.MadeAt = "", "", now
	}
	return next, pair, nil
}
