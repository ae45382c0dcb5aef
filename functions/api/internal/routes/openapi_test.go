package routes_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/routes"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// shape is the part of a route that openapi.yaml describes too.
type shape struct {
	roles, query, body string
	token, limited     bool
}

func joined[T ~string](list []T) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return fmt.Sprint(list)
}

// rolesOf lists the roles that an operation admits.
func rolesOf(op *openapi3.Operation) (roles []session.Role) {
	list, _ := op.Extensions["x-roles"].([]any)
	for _, r := range list {
		roles = append(roles, session.Role(r.(string)))
	}
	return roles
}

// members lists the members of a body, of all its forms together.
func members(schema *openapi3.Schema) []string {
	all := maps.Clone(schema.Properties)
	for _, form := range schema.OneOf {
		if all == nil {
			all = openapi3.Schemas{}
		}
		maps.Copy(all, form.Value.Properties)
	}
	return slices.Collect(maps.Keys(all))
}

func TestRoutesAreThoseOfTheDocument(t *testing.T) {
	doc, err := apitest.Document()
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]shape)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			s := shape{token: op.Security == nil, limited: op.Extensions["x-limited"] == true}
			s.roles = joined(rolesOf(op))
			var query, body []string
			if s.token {
				for _, p := range op.Parameters {
					if p.Value.In == openapi3.ParameterInQuery {
						query = append(query, p.Value.Name)
					}
				}
				if op.RequestBody != nil {
					body = members(op.RequestBody.Value.Content.Get("application/json").Schema.Value)
				}
			}
			s.query, s.body = joined(query), joined(body)
			documented[method+" "+path] = s
		}
	}
	served := make(map[string]shape)
	for _, rt := range routes.Table(routes.Subjects{}) {
		served[rt.Method+" "+strings.Replace(rt.Path, "...}", "}", 1)] = shape{joined(rt.Roles), joined(rt.Query), joined(rt.Body), rt.Roles != nil, rt.Limited}
	}
	for name, got := range served {
		if want, ok := documented[name]; !ok {
			t.Errorf("%s is served and not documented", name)
		} else if got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	for name := range documented {
		if _, ok := served[name]; !ok {
			t.Errorf("%s is documented and not served", name)
		}
	}
}

// The document describes the answers of API Gateway itself, beside our problems, for
// every operation with a token.
func TestTheGatewaysOwnAnswersAreDocumented(t *testing.T) {
	doc, err := apitest.Document()
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Security != nil {
				continue
			}
			for status, body := range map[int]string{
				401: `{"message":"Unauthorized"}`, 403: `{"message":"Forbidden"}`, 429: `{"message":"Too Many Requests"}`,
				500: `{"message":"Internal Server Error"}`, 503: `{"message":"Service Unavailable"}`,
			} {
				answer := op.Responses.Status(status)
				if answer == nil || answer.Value.Content["application/json"] == nil {
					t.Errorf("%s %s: the gateway's %d is not documented", method, path, status)
					continue
				}
				var v any
				if err := json.Unmarshal([]byte(body), &v); err != nil {
					t.Fatal(err)
				}
				if err := answer.Value.Content["application/json"].Schema.Value.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
					t.Errorf("%s %s: the gateway's %d is not as documented: %v", method, path, status, err)
				}
				if ours := answer.Value.Content["application/problem+json"]; ours == nil {
					t.Errorf("%s %s: our own %d is not documented", method, path, status)
				}
			}
		}
	}
}

// examplePath fills in a path of the document.
func examplePath(pattern, corp string) string {
	return strings.NewReplacer("{corpid}", corp, "{conversation}", "abc", "{id}", "abc", "{day}", "2026-01-31", "{n}", "0").Replace(pattern)
}

// asker sends requests to one route.
type asker struct {
	w       *apitest.World
	rt      routes.Route
	unknown answer // for a corp that does not exist
}

func (a asker) ask(who apitest.Token, corp string, body any) apitest.Response {
	a.w.T.Helper()
	return a.w.Do(apitest.Request{Who: who, Method: a.rt.Method, Path: examplePath(a.rt.Path, corp), Body: body})
}

// wrongBody is a body that no route accepts, for a route with a body.
func (a asker) wrongBody() any {
	if a.rt.Body == nil {
		return nil
	}
	return `{"no": "such field"}`
}

func TestEveryRouteAdmitsOnlyItsOwn(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.BareCorp(w.Other)
	for _, rt := range w.Table {
		if rt.Roles == nil {
			continue
		}
		w.Run(rt.Method+" "+rt.Path, func(t *testing.T) {
			a := asker{w: w, rt: rt}
			a.unknown = learn(a.ask(w.As(rt.Roles[0]), apitest.NewCorpID(), a.wrongBody()))
			checkRoles(t, a)
			checkTokens(t, a)
			if rt.Body == nil {
				checkNoBody(t, a)
			} else {
				checkBody(t, a)
			}
		})
	}
}

// ofCorp reports whether the path names a corp.
func (a asker) ofCorp() bool { return strings.Contains(a.rt.Path, "{corpid}") }

// wantUnknown checks that a caller gets the same answer as for a corp that does not
// exist.
func (a asker) wantUnknown(name string, who apitest.Token, corp string) {
	a.w.T.Helper()
	if got := learn(a.ask(who, corp, a.wrongBody())); got != a.unknown || got.status != 404 {
		a.w.T.Errorf("%s: %s", name, difference(got, a.unknown))
	}
}

func checkRoles(t *testing.T, a asker) {
	t.Helper()
	for _, r := range []session.Role{session.Admin, session.Reader, session.Auditor, session.Service, "root", "admin reader"} {
		resp := a.ask(apitest.TokenOf(a.w.Corp, r), a.w.Corp, a.wrongBody())
		if refused := resp.Status == 403; refused == slices.Contains(a.rt.Roles, r) {
			t.Errorf("role %q: got %d", r, resp.Status)
		} else if refused && r != "admin reader" { // that one lacks the claim staff
			names := make([]string, len(a.rt.Roles))
			for i, needed := range a.rt.Roles {
				names[i] = string(needed)
			}
			want := "This operation needs one of: " + strings.Join(names, ", ") + ". This token has: " + string(r) + "."
			if got := apitest.Into[apitest.Problem](resp).Detail; !strings.HasPrefix(got, want) {
				t.Errorf("role %q: got the detail %q, want %q", r, got, want)
			}
		}
		if !a.ofCorp() {
			continue
		}
		a.wantUnknown(fmt.Sprintf("role %q of another corp", r), apitest.TokenOf(a.w.Other, r), a.w.Corp)
	}
}

func checkTokens(t *testing.T, a asker) {
	t.Helper()
	w, role := a.w, a.rt.Roles[0]
	for name, who := range map[string]apitest.Token{
		"no token": nil, "no subject": apitest.TokenOf(w.Corp, role).With("sub", ""), "no role": apitest.TokenOf(w.Corp, ""), "no corp": apitest.TokenOf("", role),
	} {
		if resp := a.ask(who, w.Corp, a.wrongBody()); resp.Status != 401 {
			t.Errorf("%s: got %d, want 401", name, resp.Status)
		}
	}
	// The right to read needs the staff claim, whatever else the token names; and a
	// limit is refused where it is not kept.
	for _, who := range []apitest.Token{
		apitest.TokenOf(w.Corp, session.Reader).Without("staff"), apitest.TokenOf(w.Corp, "[auditor reader]"), apitest.TokenOf(w.Corp, "service,reader"),
	} {
		resp := a.ask(who, w.Corp, a.wrongBody()).WantProblem(403, "staff-missing")
		if detail := apitest.Into[apitest.Problem](resp).Detail; !strings.Contains(detail, "staff") {
			t.Errorf("the problem does not name the claim: %s", detail)
		}
		if a.ofCorp() {
			a.wantUnknown("no staff, another corp", who.With("corp", w.Other), w.Corp)
		}
	}
	// One role suffices, and the limit of a reader is no limit of its other role.
	for _, r := range session.Anyone {
		both := apitest.TokenOf(w.Corp, session.Role("reader "+r))
		admitted := slices.Contains(a.rt.Roles, r)
		if resp := a.ask(both.With("staff", "*"), w.Corp, a.wrongBody()); (resp.Status != 403) != (admitted || slices.Contains(a.rt.Roles, session.Reader)) {
			t.Errorf("reader and %s: got %d", r, resp.Status)
		}
		if resp := a.ask(both.With("staff", "lin.hua"), w.Corp, a.wrongBody()); (resp.Status != 403) != (a.rt.Limited && slices.Contains(a.rt.Roles, session.Reader) || admitted && r != session.Reader) {
			t.Errorf("limited reader and %s: got %d", r, resp.Status)
		}
	}
	for _, r := range a.rt.Roles {
		resp := a.ask(apitest.TokenOf(w.Corp, r).With("staff", "lin.hua"), w.Corp, a.wrongBody())
		if refused := resp.Status == 403; refused == a.rt.Limited {
			t.Errorf("a limited %s: got %d", r, resp.Status)
		}
	}
	// An unregistered corp gets the same answer as another company's corp.
	if !a.ofCorp() {
		return
	}
	unregistered := apitest.NewCorpID()
	if !a.rt.Unregistered {
		a.wantUnknown("a corp that is not registered", apitest.TokenOf(unregistered, role), unregistered)
	}
	a.wantUnknown("no corpid", apitest.TokenOf("../"+w.Corp, role), "..%2F"+w.Corp)
}

func checkNoBody(t *testing.T, a asker) {
	t.Helper()
	w := a.w
	path := strings.Replace(examplePath(a.rt.Path, w.Corp), "/conversations/abc/", "/conversations/"+apitest.ConversationID(t, w.Corp, archive.Unplaced)+"/", 1)
	resp := w.Do(apitest.Request{Who: w.As(a.rt.Roles[0]), Method: a.rt.Method, Path: path, Body: `{"publickey_ver":5}`}).WantProblem(400, "invalid-request")
	if !strings.HasPrefix(resp.Rules(), ":unknown") {
		t.Errorf("an unexpected body: got %s", resp.Body)
	}
}

func checkBody(t *testing.T, a asker) {
	t.Helper()
	w, who := a.w, a.w.As(a.rt.Roles[0])
	a.ask(who, w.Corp, strings.Repeat(" ", cmp.Or(a.rt.Bytes, input.MaxBody)+1)).WantProblem(413, "body-too-large")
	wrongType := apitest.Request{Who: who, Method: a.rt.Method, Path: examplePath(a.rt.Path, w.Corp), Body: "{}", Header: map[string]string{"Content-Type": "text/plain"}}
	w.Do(wrongType).WantProblem(415, "unsupported-media-type")
	for _, broken := range []string{"", "[]", "null", `"text"`, `{"a":1`, `{}{}`, "{\"\xff\":1}"} {
		if resp := a.ask(who, w.Corp, broken); resp.Status != 400 || !strings.HasPrefix(resp.Rules(), ":json") {
			t.Errorf("body %q: got %d %s", broken, resp.Status, resp.Body)
		}
	}
}

func TestNoRoute(t *testing.T) {
	w := apitest.NewWorld(t)
	for _, tc := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "", 404, ""},
		{"GET", "/health/", 404, ""},
		{"GET", "//health", 404, ""},
		{"GET", "/v1/../health", 404, ""},
		{"GET", "/v1/corps/" + w.Corp + "/setup/", 404, ""},
		{"GET", "/v1/corps//setup", 404, ""},
		{"GET", "/v2/corps/" + w.Corp, 404, ""},
		{"POST", "/health", 405, "GET"},
		{"HEAD", "/health", 405, "GET"},
		{"DELETE", "/v1/corps/" + w.Corp + "/keys", 405, "POST"},
		{"PATCH", "/v1/corps/" + w.Corp + "/setup", 405, "GET, PUT"},
		{"OPTIONS", "/callback/" + w.Corp, 405, "GET, POST"},
	} {
		resp := w.Do(apitest.Request{Who: w.As(session.Admin), Method: tc.method, Path: tc.path})
		if resp.Status != tc.status || resp.Header.Get("Allow") != tc.allow {
			t.Errorf("%s %s: got %d, Allow %q; want %d, %q", tc.method, tc.path, resp.Status, resp.Header.Get("Allow"), tc.status, tc.allow)
		}
	}
	if got := w.Get(nil, "/health").Want(200); string(got.Body) != `{"status":"ok","version":"1.2.3-test"}`+"\n" {
		t.Errorf("health: got %s", got.Body)
	}
}

func TestProblemsSpeakTheCallersLanguage(t *testing.T) {
	w := apitest.NewWorld(t)
	for header, want := range map[string]string{"en-US": "Not found", "zh-CN,en;q=0.5": "未找到", "": "未找到"} {
		resp := w.Do(apitest.Request{Who: w.As(session.Admin), Method: "GET", Path: "/v1/corps/" + w.Corp, Header: map[string]string{"Accept-Language": header}})
		resp.WantProblem(404, "not-found")
		if got := apitest.Into[apitest.Problem](resp).Title; got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
	if got := w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp).Header; got.Get("Cache-Control") != "no-store" || got.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("got headers %v", got)
	}
}

// The document names exactly the reasons that a file can have, so that a page has
// words for each.
func TestReasonsOfFilesAreDocumented(t *testing.T) {
	doc, err := apitest.Document()
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, v := range doc.Components.Schemas["FileReasonName"].Value.Enum {
		documented = append(documented, v.(string))
	}
	if want := media.Reasons(); joined(documented) != joined(want) {
		t.Errorf("the document has %s, want %s", joined(documented), joined(want))
	}
}
