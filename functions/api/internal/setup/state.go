package setup

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// maxReason bounds the reason for switching archiving on or off, in characters.
const maxReason = 200

// PutState switches archiving on or off, and records who did so, and why.
func (h *Handlers) PutState(ctx context.Context, c *session.Call) (output.Answer, error) {
	c.Required("enabled")
	enabled := c.Flag("enabled")
	reason, ok := c.Text("reason", 1, maxReason)
	if ok && (strings.TrimSpace(reason) == "" || strings.ContainsFunc(reason, unicode.IsControl)) {
		c.Reject("reason", problem.Form, problem.RemedyName, nil)
	}
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	if enabled && c.Corp.SecretPrefix == "" {
		return output.Answer{}, problem.New(problem.SecretMissing, nil)
	}
	if err := h.Corps.SetEnabled(ctx, c.CorpID, enabled, c.Caller.Subject, reason, h.Now()); err != nil {
		return output.Answer{}, err
	}
	if enabled {
		if err := h.forcePull(ctx, c.CorpID, "enabled"); err != nil {
			return output.Answer{}, err
		}
	}
	corp, err := h.saved(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, showCorp(corp))
}

// RequestPull requests a pull now.
func (h *Handlers) RequestPull(ctx context.Context, c *session.Call) (output.Answer, error) {
	at := h.Now()
	if err := h.forcePull(ctx, c.CorpID, "asked"); err != nil {
		return output.Answer{}, err
	}
	return output.Requested(at)
}

// forcePull requests a pull that overrides a pause after refusals.
func (h *Handlers) forcePull(ctx context.Context, corp, why string) error {
	if err := h.Pulls.RequestPulls(ctx, archive.PullRequest{Corp: corp, Why: why, Force: true}); err != nil {
		return fmt.Errorf("request pull of %s: %w", corp, err)
	}
	return nil
}
