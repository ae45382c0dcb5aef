package session_test

import (
	"reflect"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
)

type sessionJSON struct {
	Subject, Corp       string
	Roles, Staff        []string
	ExpiresAt           string `json:"expires_at"`
	Name                string `json:"corp_name"`
	DisabledAt          string `json:"disabled_at"`
	Registered, Enabled bool
}

func TestSession(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	apitest.OK(t, w.Corps.SetEnabled(t.Context(), w.Corp, true, "admin", "", w.Now()))
	unregistered := apitest.NewCorpID()
	for name, c := range map[string]struct {
		who  apitest.Token
		want sessionJSON
	}{
		"a limited reader": {
			w.As(session.Reader).With("staff", "lin.hua 0042").With("exp", "1769848200"),
			sessionJSON{Subject: "u-reader", Corp: w.Corp, Name: "n", Roles: []string{"reader"}, Staff: []string{"lin.hua", "0042"}, ExpiresAt: "2026-01-31T08:30:00.000Z", Registered: true, Enabled: true},
		},
		"nobody to see": {
			w.As(session.Reader).With("staff", "").With("exp", "soon"),
			sessionJSON{Subject: "u-reader", Corp: w.Corp, Name: "n", Roles: []string{"reader"}, Staff: []string{}, Registered: true, Enabled: true},
		},
		"several roles": {
			w.As(session.Admin).With("role", "[root reader admin]").With("staff", "*").With("exp", "1.7698482e9"),
			sessionJSON{Subject: "u-admin", Corp: w.Corp, Name: "n", Roles: []string{"admin", "reader"}, ExpiresAt: "2026-01-31T08:30:00.000Z", Registered: true, Enabled: true},
		},
		"an unregistered corp": {
			apitest.TokenOf(unregistered, session.Admin), sessionJSON{Subject: "u-admin", Corp: unregistered, Roles: []string{"admin"}},
		},
	} {
		if got := apitest.Into[sessionJSON](w.Get(c.who, "/v1/session").Want(200)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
	// The time of a switch tells of the whole company, so a limited reader does not get it.
	apitest.OK(t, w.Corps.SetEnabled(t.Context(), w.Corp, false, "admin", "", w.Now()))
	never := apitest.NewCorpID()
	w.BareCorp(never)
	apitest.OK(t, w.Corps.SetEnabled(t.Context(), never, false, "admin", "", w.Now()))
	for name, c := range map[string]struct {
		who  apitest.Token
		want string
	}{
		"an auditor":       {w.As(session.Auditor), output.Moment(w.Now())},
		"every member":     {w.As(session.Reader), output.Moment(w.Now())},
		"a limited reader": {w.As(session.Reader).With("staff", "lin.hua"), ""},
		"never on":         {apitest.TokenOf(never, session.Auditor), ""},
	} {
		got := apitest.Into[sessionJSON](w.Get(c.who, "/v1/session").Want(200))
		if got.Enabled || got.DisabledAt != c.want {
			t.Errorf("%s: got enabled %t, disabled at %q; want false, %q", name, got.Enabled, got.DisabledAt, c.want)
		}
	}
	w.Get(nil, "/v1/session").WantProblem(401, "unauthorized")
	w.Get(w.As("root"), "/v1/session").WantProblem(403, "forbidden")
	w.Get(w.As(session.Reader).Without("staff"), "/v1/session").WantProblem(403, "staff-missing")
	w.Get(apitest.TokenOf("no corp", session.Admin), "/v1/session").WantProblem(404, "not-found")
}
