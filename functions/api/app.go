package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

const maxAgentID = 20 // digits

type appJSON struct {
	AgentID      *string       `json:"agent_id"`
	SecretMasked *string       `json:"secret_masked"`
	SecretSetAt  *string       `json:"secret_set_at"`
	TrustedIPs   []string      `json:"trusted_ips"`
	Callback     *callbackJSON `json:"callback"`
	State        stepState     `json:"state"`
}

// getApp tells what the admin enters in the self-built app, and how far the
// seventh step is.
func (a *api) getApp(ctx context.Context, c *call) (answer, error) {
	j, err := a.showApp(ctx, c.corp)
	if err != nil {
		return answer{}, err
	}
	return asJSON(200, j)
}

func (a *api) showApp(ctx context.Context, corp archive.Corp) (appJSON, error) {
	reach, err := a.contacts.Reach(ctx, corp.ID)
	if err != nil {
		return appJSON{}, err
	}
	j := appJSON{
		AgentID: textOrNull(reach.App.AgentID), SecretSetAt: momentOrNull(reach.App.SetAt), TrustedIPs: a.trustedIPs, State: appState(corp, reach),
	}
	if reach.App.SecretPrefix != "" {
		masked := reach.App.SecretPrefix + strings.Repeat("•", 8)
		j.SecretMasked = &masked
	}
	pair, err := a.secrets.AppCallback(ctx, corp.ID)
	switch {
	case err == nil:
		// To the admin, who enters them in WeCom.
		j.Callback = &callbackJSON{
			URL: a.publicURL + "/callback/" + corp.ID + "/app", Token: pair.Token.Reveal(), EncodingAESKey: pair.AESKey.Reveal(),
		}
	case !errors.Is(err, archive.ErrNotFound):
		return appJSON{}, err
	}
	return j, nil
}

// appState is how far the seventh step is: done if WeCom has answered the app
// about members and about external contacts.
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

// putApp saves the app's secret, which is never given back, makes the callback
// pair if there is none, and has the secret tried, also if it is the one that
// is saved already.
//
// The note comes before the secret, for the same reason as in saveSecret.
func (a *api) putApp(ctx context.Context, c *call) (answer, error) {
	c.required("secret")
	text, ok := c.text("secret", minSecret, maxSecret)
	if ok && !visibleASCII.MatchString(text) {
		c.reject("secret", problem.Form, problem.MendSecret, nil)
	}
	agent, ok := c.text("agent_id", 1, maxAgentID)
	if ok && strings.ContainsFunc(agent, func(r rune) bool { return r < '0' || r > '9' }) {
		c.reject("agent_id", problem.Form, problem.MendAgent, nil)
	}
	if err := c.err(); err != nil {
		return answer{}, err
	}
	pair := secretstore.CallbackPair{Token: secret.New(a.newID()), AESKey: secret.New(newAESKey())}
	if err := a.secrets.CreateAppCallback(ctx, c.corpID, pair); err != nil && !errors.Is(err, archive.ErrExists) {
		return answer{}, err
	}
	if err := a.saveApp(ctx, c.corpID, agent, secret.New(text), text[:secretShown]); err != nil {
		return answer{}, err
	}
	if err := a.requestCheck(ctx, c.corpID, directory.Request{}); err != nil {
		return answer{}, err
	}
	j, err := a.showApp(ctx, c.corp)
	if err != nil {
		return answer{}, err
	}
	return asJSON(200, j)
}

// saveApp changes what differs; an empty agent keeps the one noted.
func (a *api) saveApp(ctx context.Context, corp, agent string, v secret.Value, shown string) error {
	reach, err := a.contacts.Reach(ctx, corp)
	if err != nil {
		return err
	}
	stored, err := a.secrets.AppSecret(ctx, corp)
	if err != nil && !errors.Is(err, archive.ErrNotFound) {
		return err
	}
	changed := err != nil || !stored.Equal(v)
	app := directory.App{AgentID: agent, SecretPrefix: shown, SetAt: reach.App.SetAt}
	if agent == "" {
		app.AgentID = reach.App.AgentID
	}
	if changed || app.SetAt.IsZero() {
		app.SetAt = a.now()
	}
	if app != reach.App {
		if err := a.contacts.SetApp(ctx, corp, app); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return a.secrets.PutAppSecret(ctx, corp, v)
}

// Events of the self-built app's own callback (wecom.md 4.2, 4.3).
const (
	contactChanged  = "change_external_contact"
	roomChanged     = "change_external_chat"
	consentApproved = "msg_audit_approved" // a ChangeType of contactChanged
)

// subject is whom an event of the app is about.
type subject struct {
	Member  string `xml:"UserID"`
	Contact string `xml:"ExternalUserID"`
	Room    string `xml:"ChatId"`
}

// verifyAppCallback answers WeCom's check of the app's callback URL.
func (a *api) verifyAppCallback(ctx context.Context, c *call) (answer, error) {
	return a.verify(ctx, c, a.appCallbacks)
}

// receiveAppEvent takes an event of the self-built app. It is recorded, and
// besides is a hint: a consent is noted, and a name that was fetched before is
// fetched anew. It tells nothing of messages, so it does not count as a
// callback of the archive.
func (a *api) receiveAppEvent(ctx context.Context, c *call) (answer, error) {
	plain, event, err := a.receive(ctx, c, a.appCallbacks)
	if err != nil {
		return answer{}, err
	}
	about := readSubject(plain)
	at := eventTime(event, a.now())
	if event.Type == contactChanged && event.ChangeType == consentApproved && about.Member != "" && about.Contact != "" {
		// Each of WeCom's three tries notes the same.
		err := a.consents.RecordConsents(ctx, []archive.Consent{{
			Corp: c.corpID, Member: about.Member, Contact: about.Contact, Status: archive.Agreed, ChangedAt: at.Truncate(time.Second),
			Source: archive.ConsentEvent, At: a.now(),
		}})
		if err != nil {
			return answer{}, err
		}
	}
	if err := a.corps.RecordEvent(ctx, c.corpID, archive.Event{Type: event.Type, ChangeType: event.ChangeType, At: at, Body: plain}); err != nil {
		return answer{}, err
	}
	if err := a.fetchAnew(ctx, c.corpID, event, about); err != nil {
		// A hint only: asking WeCom to try again would not be worth it.
		a.log.WarnContext(ctx, "changed name not requested", "corp", c.corpID, "err", err)
	}
	return answer{status: 200}, nil
}

// readSubject reads what it can. Ids that no request could name are left out.
func readSubject(plain []byte) subject {
	var s subject
	if msgcrypt.Unmarshal(plain, &s) != nil {
		return subject{}
	}
	for _, id := range []*string{&s.Member, &s.Contact, &s.Room} {
		if *id = strings.TrimSpace(*id); len(*id) > maxParty {
			*id = ""
		}
	}
	return s
}

// fetchAnew requests the name that an event says has changed, if it was ever
// fetched: names are fetched for readers, not for every new contact.
func (a *api) fetchAnew(ctx context.Context, corp string, event msgcrypt.Event, about subject) error {
	req := directory.Request{Corp: corp, Why: "event", Again: true}
	switch {
	case event.Type == contactChanged && event.ChangeType != consentApproved && about.Contact != "":
		known, err := a.contacts.People(ctx, corp, []string{about.Contact})
		if err != nil {
			return fmt.Errorf("read what is known: %w", err)
		}
		if known[about.Contact].Fetched == nil {
			return nil
		}
		req.People = []string{about.Contact}
	case event.Type == roomChanged && about.Room != "":
		known, err := a.contacts.Rooms(ctx, corp, []string{about.Room})
		if err != nil {
			return fmt.Errorf("read what is known: %w", err)
		}
		if known[about.Room].Fetched == nil {
			return nil
		}
		req.Rooms = []string{about.Room}
	default:
		return nil
	}
	// WeCom's three tries of one event are one question.
	req.Dedup = fmt.Sprintf("event-%d-%s-%s", event.CreateTime, about.Contact, about.Room)
	return a.inspections.RequestInspections(ctx, req)
}
