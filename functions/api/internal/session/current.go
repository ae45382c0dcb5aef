package session

import (
	"context"
	"errors"
	"slices"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// Handlers tell a caller about its own token.
type Handlers struct {
	Corps archive.CorpReader
}

type sessionJSON struct {
	Subject    string   `json:"subject"`
	Corp       string   `json:"corp"`
	CorpName   *string  `json:"corp_name"`
	Roles      []Role   `json:"roles"`
	Staff      []string `json:"staff"`
	ExpiresAt  *string  `json:"expires_at"`
	Registered bool     `json:"registered"`
	Enabled    bool     `json:"enabled"`
	DisabledAt *string  `json:"disabled_at"`
}

// GetSession says who the caller is and what its token admits, so that a page
// shows only what it may ask for. The corp of the token may be unregistered.
func (h *Handlers) GetSession(ctx context.Context, c *Call) (output.Answer, error) {
	corp, err := h.Corps.Corp(ctx, c.CorpID)
	registered := !errors.Is(err, archive.ErrNotFound)
	if err != nil && registered {
		return output.Answer{}, err
	}
	j := sessionJSON{
		Subject: c.Caller.Subject, Corp: c.CorpID, CorpName: output.TextOrNull(corp.Name), Roles: []Role{},
		ExpiresAt: output.MomentOrNull(c.Caller.Expires), Registered: registered, Enabled: corp.Enabled,
	}
	for _, r := range Anyone {
		if slices.Contains(c.Caller.Roles, r) {
			j.Roles = append(j.Roles, r)
		}
	}
	if !c.Caller.Limited && !corp.Enabled && !corp.EnabledAt.IsZero() {
		j.DisabledAt = output.MomentOrNull(corp.StateAt)
	}
	if c.Caller.Limited {
		j.Staff = append([]string{}, c.Caller.Staff...)
	}
	return output.JSON(200, j)
}
