package routes_test

import (
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
)

// The line of a refused request names the ids that the caller asked for, in a
// form that cannot carry text. The line of an answered request has none.
func TestRefusedRequestsAreLoggedWithTheirIDs(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	line := func(path string, status int) string {
		t.Helper()
		before := len(w.Log.String())
		if resp := w.Get(w.As(session.Reader), path); resp.Status != status {
			t.Fatalf("%s: got %d, want %d", path, resp.Status, status)
		}
		return w.Log.String()[before:]
	}
	for path, c := range map[string]struct {
		status int
		want   string
	}{
		"/v1/corps/" + w.Other + "/messages/m1":                         {404, `asked="[` + w.Other + ` m1]"`},
		"/v1/corps/" + w.Corp + "/messages/m1":                          {404, `asked="[` + w.Corp + ` m1]"`},
		"/v1/corps/" + w.Corp + "/statements/2026-01-31":                {403, `asked="[` + w.Corp + ` 2026-01-31]"`},
		"/v1/corps/" + w.Corp + "/messages/two%20words":                 {404, `asked="[` + w.Corp + ` odd]"`},
		"/v1/corps/" + w.Corp + "/messages/%E4%BD%A0":                   {404, `asked="[` + w.Corp + ` odd]"`},
		"/v1/corps/" + w.Corp + "/messages/" + strings.Repeat("m", 257): {404, `asked="[` + w.Corp + ` odd]"`},
	} {
		if got := line(path, c.status); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %s", path, got, c.want)
		}
	}
	if got := line("/v1/corps/"+w.Corp+"/conversations?member=lin.hua", 200); strings.Contains(got, "asked") {
		t.Errorf("answered: got %s, want no ids", got)
	}
}

// A path without an operation is told from a resource that the corp does not have.
func TestAPathWithoutAnOperation(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	for path, want := range map[string]string{
		"/v1/corps/" + w.Corp + "/mesages/m1":  "No such address. Check the spelling of the path.",
		"/v2":                                  "No such address. Check the spelling of the path.",
		"/v1/corps/" + w.Corp + "/messages/m1": "This corp has no such resource. Check the address.",
	} {
		if got := apitest.Into[apitest.Problem](w.Get(w.As(session.Reader), path).WantProblem(404, "not-found")).Detail; got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}
