package setup_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/functions/api/internal/setup"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// A Secret that WeCom has accepted for one of the two steps is refused in the other one,
// and spends no try there. Before WeCom has accepted it, both steps take it.
func TestSecretOfTheOtherStep(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	who, path := w.As(session.Admin), "/v1/corps/"+w.Corp
	const archives, apps = "archive-secret-0123456789", "app-secret-0123456789"
	save := func(step, text string) apitest.Response {
		return w.Send(who, "PUT", path+step, map[string]any{"secret": text})
	}
	save("/app", archives).Want(200) // the wrong step
	save("/setup", archives).Want(200)
	save("/app", apps).Want(200)
	save("/setup", apps).Want(200)
	save("/setup", archives).Want(200)

	corp, err := w.Corps.Corp(t.Context(), w.Corp)
	apitest.OK(t, err)
	apitest.OK(t, w.Ledger.SavePullState(t.Context(), archive.PullState{Corp: w.Corp, Standing: archive.Standing{SecretSetAt: corp.SecretSetAt, OKAt: w.Now()}}))
	reach, err := w.Contacts.Reach(t.Context(), w.Corp)
	apitest.OK(t, err)
	w.NoteAccess(directory.AccessCustomers, archive.Standing{SecretSetAt: reach.App.SetAt, OKAt: w.Now()})
	for step, wrong := range map[string]string{"/setup": apps, "/app": archives} {
		if got := save(step, wrong).WantProblem(400, "invalid-request"); got.Rules() != "secret:form" || !strings.Contains(string(got.Body), "This is the Secret of the") {
			t.Errorf("%s: got %s", step, got.Body)
		}
	}
	save("/setup", archives).Want(200)
	save("/app", apps).Want(200)
	if stored, err := w.Secrets.ArchiveSecret(t.Context(), w.Corp); err != nil || !stored.Equal(secret.New(archives)) {
		t.Errorf("got error %v, or another secret is stored", err)
	}
}

func TestAppIsSavedAndTried(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	who, path := w.As(session.Admin), "/v1/corps/"+w.Corp+"/app"
	before := apitest.Into[setup.AppJSON](w.Get(who, path).Want(200))
	if before.Callback != nil || before.Secret != nil || len(before.TrustedIPs) != 2 {
		t.Errorf("before: got %+v", before)
	}
	text := "app-" + apitest.SecretMark + "-0123456789"
	resp := w.Send(who, "PUT", path, map[string]any{"secret": text, "agent_id": "1000002"}).Want(200)
	app := apitest.Into[setup.AppJSON](resp)
	if apitest.Deref(app.AgentID) != "1000002" || app.Secret.Masked != "app-••••••••" || app.Callback == nil ||
		app.Callback.URL != "https://archive.example.com/callback/"+w.Corp+"/app" || len(app.Callback.EncodingAESKey) != 43 {
		t.Errorf("saved: got %+v", app)
	}
	if strings.Contains(string(resp.Body), apitest.SecretMark) {
		t.Error("the answer holds the secret")
	}
	stored, err := w.Secrets.AppSecret(t.Context(), w.Corp)
	if err != nil || !stored.Equal(secret.New(text)) {
		t.Errorf("got error %v, or another secret", err)
	}
	if reqs := w.InspectRequests(); len(reqs) != 1 || !reqs[0].Check || !reqs[0].Force {
		t.Errorf("got %+v, want one check that overrides a pause", reqs)
	}

	// Saving the same secret again requests another check and changes nothing.
	w.Pass(time.Minute)
	again := apitest.Into[setup.AppJSON](w.Send(who, "PUT", path, map[string]any{"secret": text}).Want(200))
	if apitest.Deref(again.AgentID) != "1000002" || again.Secret.SetAt != app.Secret.SetAt || again.Callback.Token != app.Callback.Token {
		t.Errorf("again: got %+v, want what was there", again)
	}
	if reqs := w.InspectRequests(); len(reqs) != 1 {
		t.Errorf("again: got %d requests, want 1", len(reqs))
	}
	changed := apitest.Into[setup.AppJSON](w.Send(who, "PUT", path, map[string]any{"secret": text + "x", "agent_id": "1000003 "}).Want(200))
	if !slices.Equal(changed.Trimmed, []string{"agent_id"}) || changed.Secret.SetAt == app.Secret.SetAt || apitest.Deref(changed.AgentID) != "1000003" || changed.Callback.Token != app.Callback.Token {
		t.Errorf("changed: got %+v", changed)
	}
	for body, rules := range map[string]string{
		`{}`:                                   "secret:required",
		`{"secret": "short"}`:                  "secret:length",
		`{"secret": "with blanks in it, too"}`: "secret:form",
		`{"secret": "0123456789abcdef", "agent_id": "x1"}`: "agent_id:form",
		`{"secret": "0123456789abcdef", "agent_id": 7}`:    "agent_id:type",
	} {
		if got := w.Send(who, "PUT", path, body).WantProblem(400, "invalid-request").Rules(); got != rules {
			t.Errorf("%s: got %s, want %s", body, got, rules)
		}
	}
}
