package setup

import (
	"context"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/shared/archive"
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

// showSecret writes what standing says about the secret that begins with prefix;
// nil before a secret is saved.
func (h *Handlers) showSecret(ctx context.Context, corp archive.Corp, prefix string, standing archive.Standing, show func(archive.Trouble) *output.Trouble) (*secretJSON, error) {
	if prefix == "" {
		return nil, nil
	}
	ask := archive.Ask{Way: archive.Trusted, Corp: corp.ID, Registered: corp.CreatedAt}
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

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
