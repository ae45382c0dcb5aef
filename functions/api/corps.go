package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
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
		ID: c.ID, Name: c.Name, CreatedAt: moment(c.CreatedAt), Enabled: c.Enabled, EnabledAt: momentOrNull(c.EnabledAt),
		CurrentKey: textOrNull(c.CurrentKey), CallbackAt: momentOrNull(c.CallbackAt),
	}
}

// moment is how the API writes times.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func momentOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := moment(t)
	return &s
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (a *api) getCorp(_ context.Context, c *call) (answer, error) {
	return asJSON(200, showCorp(c.corp))
}

// putCorp registers or renames. Each of its steps creates what is not there
// yet, so doing it again completes what was interrupted anywhere.
func (a *api) putCorp(ctx context.Context, c *call) (answer, error) {
	c.required("name")
	name, ok := c.text("name", 1, maxName)
	if ok && (strings.TrimSpace(name) == "" || strings.ContainsFunc(name, unicode.IsControl)) {
		c.reject("name", problem.Form, problem.MendName, nil)
	}
	if err := c.err(); err != nil {
		return answer{}, err
	}
	status := 201
	err := a.corps.CreateCorp(ctx, archive.Corp{ID: c.corpID, Name: name, CreatedAt: a.now()})
	if errors.Is(err, archive.ErrExists) {
		status, err = 200, a.corps.Rename(ctx, c.corpID, name)
	}
	if err != nil {
		return answer{}, err
	}
	pair := secretstore.CallbackPair{Token: secret.New(rand.Text()), AESKey: secret.New(newAESKey())}
	if err := a.secrets.CreateCallback(ctx, c.corpID, pair); err != nil && !errors.Is(err, archive.ErrExists) {
		return answer{}, err
	}
	if c.corp, err = a.corps.Corp(ctx, c.corpID); err != nil {
		return answer{}, err
	}
	if c.corp.CurrentKey == "" {
		if _, _, err := a.addCurrentKey(ctx, c.corp); err != nil {
			return answer{}, err
		}
		if c.corp, err = a.corps.Corp(ctx, c.corpID); err != nil {
			return answer{}, err
		}
	}
	return asJSON(status, showCorp(c.corp))
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

// putState switches archiving on or off.
func (a *api) putState(ctx context.Context, c *call) (answer, error) {
	c.required("enabled")
	enabled := c.flag("enabled")
	if err := c.err(); err != nil {
		return answer{}, err
	}
	if enabled && c.corp.SecretPrefix == "" {
		return answer{}, problem.New(problem.SecretMissing, nil)
	}
	if err := a.corps.SetEnabled(ctx, c.corpID, enabled, a.now()); err != nil {
		return answer{}, err
	}
	if enabled {
		if err := a.forcePull(ctx, c.corpID, "enabled"); err != nil {
			return answer{}, err
		}
	}
	corp, err := a.corps.Corp(ctx, c.corpID)
	if err != nil {
		return answer{}, err
	}
	return asJSON(200, showCorp(corp))
}

// requestPull asks WeCom now.
func (a *api) requestPull(ctx context.Context, c *call) (answer, error) {
	if err := a.forcePull(ctx, c.corpID, "asked"); err != nil {
		return answer{}, err
	}
	return answer{status: 202}, nil
}

// doubleClick is the time in which two requests of a person for the same thing
// are one.
const doubleClick = 10 * time.Second

// forcePull requests a pull that overrides a pause after refusals. The same
// request within doubleClick is mostly swallowed, by the queue.
func (a *api) forcePull(ctx context.Context, corp, why string) error {
	slot := a.now().Truncate(doubleClick).Unix()
	err := a.pulls.RequestPulls(ctx, archive.PullRequest{
		Corp: corp, Why: why, Force: true, Dedup: why + "-" + corp + "-" + strconv.FormatInt(slot, 10),
	})
	if err != nil {
		return fmt.Errorf("request pull of %s: %w", corp, err)
	}
	return nil
}
