// Package setup serves the set-up page: it registers a corp, holds its keys,
// secrets and callback pairs, and says which step comes next.
package setup

import (
	"context"
	"errors"
	"strings"
	"unicode"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

const maxName = 100 // characters of a corp's name

type corpJSON struct {
	ID         string           `json:"corp_id"`
	Name       string           `json:"name"`
	CreatedAt  string           `json:"created_at"`
	Enabled    bool             `json:"enabled"`
	EnabledAt  *string          `json:"enabled_at"`
	CurrentKey *string          `json:"current_key"`
	CallbackAt *string          `json:"callback_at"`
	Switched   *output.Switched `json:"switched"`
}

func showCorp(c archive.Corp) corpJSON {
	return corpJSON{
		ID: c.ID, Name: c.Name, CreatedAt: output.Moment(c.CreatedAt), Enabled: c.Enabled, EnabledAt: output.MomentOrNull(c.EnabledAt),
		CurrentKey: output.TextOrNull(c.CurrentKey), CallbackAt: output.MomentOrNull(c.CallbackAt), Switched: output.ShowSwitched(c),
	}
}

// GetCorp returns the registered corp.
func (h *Handlers) GetCorp(_ context.Context, c *session.Call) (output.Answer, error) {
	return output.JSON(200, showCorp(c.Corp))
}

// PutCorp registers a corp or renames it. Each step creates what is absent, so
// after a crash at any line the same request completes the registration.
func (h *Handlers) PutCorp(ctx context.Context, c *session.Call) (output.Answer, error) {
	c.Required("name")
	name, ok := c.Text("name", 1, maxName)
	if ok && (strings.TrimSpace(name) == "" || strings.ContainsFunc(name, unicode.IsControl)) {
		c.Reject("name", problem.Form, problem.RemedyName, nil)
	}
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	status := 201
	err := h.Corps.CreateCorp(ctx, archive.Corp{ID: c.CorpID, Name: name, CreatedAt: h.Now(), PageKey: opaque.NewKey()})
	if errors.Is(err, archive.ErrExists) {
		status, err = 200, h.Corps.Rename(ctx, c.CorpID, name)
	}
	if err != nil {
		return output.Answer{}, err
	}
	if err := h.createCallback(ctx, c.CorpID, archive.ArchiveCallback); err != nil {
		return output.Answer{}, err
	}
	if c.Corp, err = h.Corps.Corp(ctx, c.CorpID); err != nil {
		return output.Answer{}, err
	}
	if c.Corp.CurrentKey == "" {
		if _, _, err := h.addCurrentKey(ctx, c.Corp); err != nil {
			return output.Answer{}, err
		}
		if c.Corp, err = h.Corps.Corp(ctx, c.CorpID); err != nil {
			return output.Answer{}, err
		}
	}
	if err := h.Checks.RequestExamination(ctx, c.CorpID); err != nil {
		return output.Answer{}, err
	}
	return output.JSON(status, showCorp(c.Corp))
}
