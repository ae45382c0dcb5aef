package setup

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/secret"
)

const maxAgentID = 20 // digits

type appJSON struct {
	AgentID    *string       `json:"agent_id"`
	Secret     *secretJSON   `json:"secret"`
	TrustedIPs []string      `json:"trusted_ips"`
	Callback   *callbackJSON `json:"callback"`
	State      stepState     `json:"state"`
	// Trimmed names the fields of the request that had blanks around them, which were
	// removed. Only the answer to a save has it.
	Trimmed []string `json:"trimmed,omitzero"`
}

// GetApp returns what the admin must enter in the self-built app, and the state
// of step 7 (README.md).
func (h *Handlers) GetApp(ctx context.Context, c *session.Call) (output.Answer, error) {
	j, err := h.showApp(ctx, c)
	if err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, j)
}

func (h *Handlers) showApp(ctx context.Context, c *session.Call) (appJSON, error) {
	corp := c.Corp
	reach, err := h.App.Reach(ctx, corp.ID)
	if err != nil {
		return appJSON{}, err
	}
	j := appJSON{AgentID: output.TextOrNull(reach.App.AgentID), TrustedIPs: h.TrustedIPs, State: appState(corp, reach)}
	standing, access := appStanding(corp, reach)
	show := func(t archive.Trouble) *output.Trouble { return output.ShowAccessTrouble(access, t, c.Lang) }
	if j.Secret, err = h.showSecret(ctx, corp, reach.App.SecretPrefix, standing, show); err != nil {
		return appJSON{}, err
	}
	if j.Callback, err = h.showCallback(ctx, c, archive.AppCallback); err != nil && !errors.Is(err, archive.ErrNotFound) {
		return appJSON{}, err
	}
	return j, nil
}

// appStanding is the standing of the app's secret, and the access that the trouble
// of this standing is about.
func appStanding(corp archive.Corp, reach directory.Reach) (archive.Standing, directory.Access) {
	members, customers := reach.Standing(directory.AccessMembers, corp), reach.Standing(directory.AccessCustomers, corp)
	worse, other, access := members, customers, directory.AccessMembers
	if members.Trouble == nil && customers.Trouble != nil {
		worse, other, access = customers, members, directory.AccessCustomers
	}
	worse.OKAt, worse.RefusedAt = latest(worse.OKAt, other.OKAt), latest(worse.RefusedAt, other.RefusedAt)
	return worse, access
}

// appState returns the state of step 7. The step is done once WeCom has
// answered the app about members and about external contacts.
func appState(corp archive.Corp, reach directory.Reach) stepState {
	if reach.App.SetAt.IsZero() {
		return todo
	}
	state := done
	for _, access := range []directory.Access{directory.AccessMembers, directory.AccessCustomers} {
		s := reach.Standing(access, corp)
		switch {
		case s.Trouble != nil && access.Step(s.Trouble.Cause) == directory.AppStep:
			return redo
		case s.OKAt.IsZero():
			state = waiting
		}
	}
	return state
}

// PutApp creates the callback pair of the app if it is absent, saves the secret of
// the app, and requests a check of the secret even if the secret is unchanged. No
// answer holds the secret.
func (h *Handlers) PutApp(ctx context.Context, c *session.Call) (output.Answer, error) {
	c.Required("secret")
	text, trimmed, ok := c.Pasted("secret", minSecret, maxSecret)
	if ok && !visibleASCII.MatchString(text) {
		c.Reject("secret", problem.Form, problem.RemedySecret, nil)
	}
	agent, ok := c.Text("agent_id", 1, maxAgentID)
	if ok && strings.ContainsFunc(agent, func(r rune) bool { return r < '0' || r > '9' }) {
		c.Reject("agent_id", problem.Form, problem.RemedyAgent, nil)
	}
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	if err := h.createCallback(ctx, c.CorpID, archive.AppCallback); err != nil {
		return output.Answer{}, err
	}
	if err := h.saveApp(ctx, c.CorpID, agent, secret.New(text), text[:secretShown]); err != nil {
		return output.Answer{}, err
	}
	if err := h.Checks.RequestCheck(ctx, c.CorpID, directory.Request{}); err != nil {
		return output.Answer{}, err
	}
	j, err := h.showApp(ctx, c)
	if err != nil {
		return output.Answer{}, err
	}
	if j.Trimmed = []string{}; trimmed {
		j.Trimmed = []string{"secret"}
	}
	return output.JSON(200, j)
}

// saveApp writes what differs from the stored settings and the stored secret. An
// empty agent keeps the stored one.
//
// The settings are written before the secret, and its digest last, for the same
// reasons as in saveSecret.
func (h *Handlers) saveApp(ctx context.Context, corp, agent string, v secret.Value, shown string) error {
	for tries := 0; ; tries++ {
		reach, err := h.App.Reach(ctx, corp)
		if err != nil {
			return err
		}
		app := directory.App{AgentID: cmp.Or(agent, reach.App.AgentID), SecretPrefix: shown, SetAt: reach.App.SetAt, SecretDigest: reach.App.SecretDigest}
		changed := !v.Matches(app.SecretDigest)
		if changed {
			app.SetAt, app.SecretDigest = h.Now(), ""
		}
		if app != reach.App {
			if err := h.App.SetApp(ctx, corp, app); err != nil {
				return err
			}
		}
		if !changed {
			return nil
		}
		if tries == savesMost {
			return errSeveralSaves
		}
		// A crash here leaves the old secret stored and no digest.
		if err := h.Secrets.PutAppSecret(ctx, corp, v); err != nil {
			return err
		}
		// A crash here leaves the new secret stored and no digest.
		app.SecretDigest = v.Digest()
		if err := h.App.NoteAppSecret(ctx, corp, app); err != nil {
			return err
		}
	}
}
