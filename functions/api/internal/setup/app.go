package setup

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

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
	// Trimmed names the fields of the request that had blanks or quotation marks
	// around them, which were removed. Only the answer to a save has it.
	Trimmed []string `json:"trimmed,omitzero"`
}

// GetApp returns what the admin must enter in the self-built app, and what is known
// of its secret.
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
	j := appJSON{AgentID: output.TextOrNull(reach.App.AgentID), TrustedIPs: h.TrustedIPs}
	standing, access := appStanding(corp, reach)
	show := func(t archive.Trouble) *output.Trouble { return output.ShowAccessTrouble(access, t, c.Lang) }
	if j.Secret, err = h.showSecret(ctx, askOf(corp), reach.App.SecretPrefix, standing, show); err != nil {
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

// PutApp creates the callback pair of the app if it is absent, saves the secret of
// the app, and requests a check of the secret even if the secret is unchanged. No
// answer holds the secret.
func (h *Handlers) PutApp(ctx context.Context, c *session.Call) (output.Answer, error) {
	c.Required("secret")
	text, trimmed, ok := c.Pasted("secret", minSecret, maxSecret)
	if ok && !visibleASCII().MatchString(text) {
		c.Reject("secret", problem.Form, problem.RemedySecret, nil)
	}
	agent, agentTrimmed, ok := c.Pasted("agent_id", 1, maxAgentID)
	if ok && strings.ContainsFunc(agent, func(r rune) bool { return r < '0' || r > '9' }) {
		c.Reject("agent_id", problem.Form, problem.RemedyAgent, nil)
	}
	if err := c.Err(); err != nil {
		return output.Answer{}, err
	}
	if err := h.refuseArchives(ctx, c, secret.New(text)); err != nil {
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
		j.Trimmed = append(j.Trimmed, "secret")
	}
	if agentTrimmed {
		j.Trimmed = append(j.Trimmed, "agent_id")
	}
	return output.JSON(200, j)
}

// refuseArchives refuses the archive's Secret as that of the app, if a pull with it has
// succeeded. Before that, the admin may have entered the app's Secret in both steps.
func (h *Handlers) refuseArchives(ctx context.Context, c *session.Call, v secret.Value) error {
	corp, err := h.Corps.Corp(ctx, c.CorpID)
	if err != nil || !v.Matches(corp.SecretDigest) {
		return err
	}
	pulls, err := h.Ledger.PullState(ctx, c.CorpID)
	if err == nil && !pulls.For(corp.SecretSetAt).OKAt.IsZero() {
		c.Reject("secret", problem.Form, problem.RemedyNoAppSecret, nil)
		err = c.Err()
	}
	return err
}

// refuseApps refuses the app's Secret as the archive's, if WeCom has named a customer
// for it: it names members for the archive's Secret too.
func (h *Handlers) refuseApps(ctx context.Context, c *session.Call, v secret.Value) error {
	reach, err := h.App.Reach(ctx, c.CorpID)
	if err != nil || !v.Matches(reach.App.SecretDigest) {
		return err
	}
	corp, err := h.Corps.Corp(ctx, c.CorpID)
	if err == nil && !reach.Standing(directory.AccessCustomers, corp).OKAt.IsZero() {
		c.Reject("secret", problem.Form, problem.RemedyAppsSecret, nil)
		err = c.Err()
	}
	return err
}

// saveApp writes what differs from the stored settings and the stored secret. An
// empty agent keeps the stored one.
func (h *Handlers) saveApp(ctx context.Context, corp, agent string, v secret.Value, shown string) error {
	var stored, app directory.App
	_, err := h.save(v, saving{
		stored: func() (secret.Digest, error) {
			reach, err := h.App.Reach(ctx, corp)
			stored = reach.App
			app = directory.App{AgentID: cmp.Or(agent, stored.AgentID), SecretPrefix: shown, SetAt: stored.SetAt, SecretDigest: stored.SecretDigest}
			return stored.SecretDigest, err
		},
		begin: func(at time.Time) error {
			app.SetAt, app.SecretDigest = at, ""
			return h.App.SetApp(ctx, corp, app)
		},
		put: func() error { return h.Secrets.PutAppSecret(ctx, corp, v) },
		end: func(_ time.Time, digest secret.Digest) error {
			app.SecretDigest = digest
			return h.App.NoteAppSecret(ctx, corp, app)
		},
	})
	if err != nil || app == stored {
		return err
	}
	return h.App.SetApp(ctx, corp, app) // the secret is stored, and the agent is another one
}
