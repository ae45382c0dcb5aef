package setup

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

const maxName = 100 // characters of a corp's name

type corpJSON struct {
	ID         string  `json:"corp_id"`
	Name       string  `json:"name"`
	CreatedAt  string  `json:"created_at"`
	Enabled    bool    `json:"enabled"`
	EnabledAt  *string `json:"enabled_at"`
	CurrentKey *string `json:"current_key"`
	CallbackAt *string `json:"callback_at"`
}

func showCorp(c archive.Corp) corpJSON {
	return corpJSON{
		ID: c.ID, Name: c.Name, CreatedAt: output.Moment(c.CreatedAt), Enabled: c.Enabled, EnabledAt: output.MomentOrNull(c.EnabledAt),
		CurrentKey: output.TextOrNull(c.CurrentKey), CallbackAt: output.MomentOrNull(c.CallbackAt),
	}
}

func (h *Handlers) GetCorp(_ context.Context, c *session.Call) (output.Answer, error) {
	return output.JSON(200, showCorp(c.Corp))
}

// PutCorp registers or renames. Each of its steps creates what is not there
// yet, so doing it again completes what was interrupted anywhere.
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
	err := h.Corps.CreateCorp(ctx, archive.Corp{ID: c.CorpID, Name: name, CreatedAt: h.Now()})
	if errors.Is(err, archive.ErrExists) {
		status, err = 200, h.Corps.Rename(ctx, c.CorpID, name)
	}
	if err != nil {
		return output.Answer{}, err
	}
	pair := secretstore.CallbackPair{Token: secret.New(h.NewID()), AESKey: secret.New(newAESKey())}
	if err := h.Secrets.CreateCallback(ctx, c.CorpID, pair); err != nil && !errors.Is(err, archive.ErrExists) {
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
	return output.JSON(status, showCorp(c.Corp))
}

// newAESKey makes an EncodingAESKey: 43 characters of base64 without '+' and
// '/', which WeCom's page does not take.
func newAESKey() string {
	key := make([]byte, 32)
	for {
		_, _ = rand.Read(key) // never fails
		if s := base64.RawStdEncoding.EncodeToString(key); !strings.ContainsAny(s, "+/") {
			return s
		}
	}
}

// PutState switches archiving on or off.
func (h *Handlers) PutState(ctx context.Context, c *session.Call) (output.Answer, error) {
	c.Required("enabled")
	enabled := c.Flag("enabled")
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	if enabled && c.Corp.SecretPrefix == "" {
		return output.Answer{}, problem.New(problem.SecretMissing, nil)
	}
	if err := h.Corps.SetEnabled(ctx, c.CorpID, enabled, h.Now()); err != nil {
		return output.Answer{}, err
	}
	if enabled {
		if err := h.forcePull(ctx, c.CorpID, "enabled"); err != nil {
			return output.Answer{}, err
		}
	}
	corp, err := h.Corps.Corp(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, showCorp(corp))
}

// RequestPull asks WeCom now.
func (h *Handlers) RequestPull(ctx context.Context, c *session.Call) (output.Answer, error) {
	if err := h.forcePull(ctx, c.CorpID, "asked"); err != nil {
		return output.Answer{}, err
	}
	return output.Answer{Status: 202}, nil
}

// forcePull requests a pull that overrides a pause after refusals. The same
// request within session.DoubleClick is mostly swallowed, by the queue.
func (h *Handlers) forcePull(ctx context.Context, corp, why string) error {
	err := h.Pulls.RequestPulls(ctx, archive.PullRequest{
		Corp: corp, Why: why, Force: true, Dedup: why + "-" + corp + "-" + session.ClickSlot(h.Now()),
	})
	if err != nil {
		return fmt.Errorf("request pull of %s: %w", corp, err)
	}
	return nil
}
