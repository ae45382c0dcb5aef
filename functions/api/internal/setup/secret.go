package setup

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// secretJSON says what is known of a saved secret, never the secret itself.
type secretJSON struct {
	Masked string `json:"masked"` // its first characters, followed by dots
	SetAt  string `json:"set_at"`
	// TriedAt is when the secret was last shown to WeCom, OKAt when WeCom last
	// accepted it.
	TriedAt *string         `json:"tried_at"`
	OKAt    *string         `json:"ok_at"`
	NextTry *string         `json:"next_try"`
	Trouble *output.Trouble `json:"trouble"`
}

// askOf is a request to show a secret of the corp on the trusted way.
func askOf(corp archive.Corp) archive.Ask {
	return archive.Ask{Way: archive.Trusted, Corp: corp.ID, Registered: corp.CreatedAt}
}

// showSecret writes what standing says about the secret that begins with prefix, and
// when ask may be made; nil before a secret is saved.
func (h *Handlers) showSecret(ctx context.Context, ask archive.Ask, prefix string, standing archive.Standing, show func(archive.Trouble) *output.Trouble) (*secretJSON, error) {
	if prefix == "" {
		return nil, nil
	}
	next, err := h.Gate.NextTry(ctx, ask, standing)
	if err != nil {
		return nil, err
	}
	j := &secretJSON{
		Masked: prefix + strings.Repeat("•", 8), SetAt: output.Moment(standing.SecretSetAt), OKAt: output.MomentOrNull(standing.OKAt),
		NextTry: output.MomentOrNull(next),
	}
	tried := latest(standing.OKAt, standing.RefusedAt)
	// The trouble of an earlier secret stays in the standing until WeCom answers.
	if t := standing.Trouble; t != nil && !t.At.Before(standing.SecretSetAt) {
		j.Trouble = show(*t)
		if t.Op != "" { // otherwise the gate kept the secret from being tried
			tried = latest(tried, t.At)
		}
	}
	j.TriedAt = output.MomentOrNull(tried)
	return j, nil
}

// archiveStanding is what WeCom's answers on both ways say about the archive
// secret.
func archiveStanding(c archive.Corp, pulls archive.PullState) archive.Standing {
	s := pulls.For(c.SecretSetAt)
	s.OKAt = latest(s.OKAt, c.OpenOKAt)
	if t := c.OpenTrouble(pulls); t != nil {
		s.Trouble, s.RefusedAt, s.NotBefore = t, t.At, t.At.Add(archive.OpenHold)
	}
	return s
}

// openTime bounds WeCom's answer, within the time of the request.
const openTime = 4 * time.Second

// tryOpen asks WeCom on the open way whether it accepts the archive secret, and
// notes the answer. A refusal there, such as of a typing mistake, does not count
// against the addresses that all companies share. refused is also false if WeCom
// did not answer about the secret: then the trusted way decides.
//
// A crash between WeCom's answer and the note leaves a try counted, and the pull
// tries the secret on the trusted way.
func (h *Handlers) tryOpen(ctx context.Context, id string, v secret.Value) (refused bool, _ error) {
	corp, err := h.Corps.Corp(ctx, id)
	if err != nil {
		return false, err
	}
	if !v.Matches(corp.SecretDigest) { // another save has begun, and tries its own secret
		return false, nil
	}
	ask := archive.Ask{Way: archive.Open, Corp: id, Registered: corp.CreatedAt, By: "api", Force: true}
	standing := archive.Standing{SecretSetAt: corp.SecretSetAt}
	admission, _, err := h.Gate.Admit(ctx, ask, standing)
	if err != nil || admission == nil { // the share of this way is used up
		return false, err
	}
	asking, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	err = h.WeCom.Accepts(asking, directory.Credential{Corp: id, Secret: v})
	if err == nil {
		if _, err := h.Gate.Answered(ctx, admission, standing); err != nil {
			return false, err
		}
		return false, h.Corps.NoteOpen(ctx, id, corp.SecretSetAt, archive.OpenAnswer{OKAt: h.Now()})
	}
	refusal, ok := errors.AsType[*directory.APIError](err)
	if !ok { // no answer in time
		return false, h.Gate.Unanswered(ctx, admission)
	}
	cause, respond := refusal.Classify(false)
	if respond != archive.RespondRefuse {
		return false, h.Gate.Unanswered(ctx, admission)
	}
	t := archive.Trouble{Cause: cause, Op: refusal.Op, Code: refusal.Code, FromIP: refusal.FromIP}
	if _, err := h.Gate.Refused(ctx, admission, standing, t, respond, 0); err != nil {
		return false, err
	}
	return true, h.Corps.NoteOpen(ctx, id, corp.SecretSetAt, archive.OpenAnswer{RefusedAt: h.Now(), Cause: cause, Code: refusal.Code})
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
