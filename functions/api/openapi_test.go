package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// shape is what routes and openapi.yaml have to agree on.
type shape struct {
	roles, query, body string
	token              bool
}

func joined[T ~string](list []T) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return fmt.Sprint(list)
}

func TestRoutesAreThoseOfTheDocument(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]shape)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			s := shape{token: op.Security == nil}
			var roles []string
			if list, ok := op.Extensions["x-roles"].([]any); ok {
				for _, r := range list {
					roles = append(roles, r.(string))
				}
			}
			s.roles = joined(roles)
			var query, body []string
			if s.token {
				for _, p := range op.Parameters {
					if p.Value.In == openapi3.ParameterInQuery {
						query = append(query, p.Value.Name)
					}
				}
				if op.RequestBody != nil {
					schema := op.RequestBody.Value.Content.Get("application/json").Schema.Value
					body = slices.Collect(maps.Keys(schema.Properties))
				}
			}
			s.query, s.body = joined(query), joined(body)
			documented[method+" "+path] = s
		}
	}
	served := make(map[string]shape)
	for _, rt := range routes {
		served[rt.method+" "+rt.path] = shape{joined(rt.roles), joined(rt.query), joined(rt.body), rt.roles != nil}
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

// What API Gateway answers by itself, in its own form, is documented for every
// operation with a token beside our problems.
func TestTheGatewaysOwnAnswersAreDocumented(t *testing.T) {
	doc, err := document()
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
				if ours := answer.Value.Content["application/problem+json"]; (ours == nil) != (status == 429 || status == 503) {
					t.Errorf("%s %s: whether %d may be a problem of ours is wrong", method, path, status)
				}
			}
		}
	}
}

// examplePath is a path of the document, filled in.
func examplePath(pattern, corp string) string {
	return strings.NewReplacer("{corpid}", corp, "{conversation}", "abc", "{id}", "abc", "{day}", "2026-01-31", "{n}", "0").Replace(pattern)
}

func TestEveryRouteAdmitsOnlyItsOwn(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	w.bareCorp(other)
	for _, rt := range routes {
		if rt.roles == nil {
			continue
		}
		body := any(nil)
		if rt.body != nil {
			body = `{"no": "such field"}`
		}
		ask := func(who token, at string) response {
			return w.do(request{who: who, method: rt.method, path: examplePath(rt.path, at), body: body})
		}
		w.run(rt.method+" "+rt.path, func(t *testing.T) {
			for _, r := range []role{admin, reader, auditor, service, "root", "admin reader"} {
				resp := ask(tokenOf(corp, r), corp)
				if refused := resp.status == 403; refused == slices.Contains(rt.roles, r) {
					t.Errorf("role %q: got %d", r, resp.status)
				}
				if resp := ask(tokenOf(other, r), corp); resp.status != 404 {
					t.Errorf("role %q of another corp: got %d, want 404", r, resp.status)
				}
			}
			for name, who := range map[string]token{
				"no token": nil, "no subject": tokenOf(corp, rt.roles[0]).with("sub", ""), "no role": tokenOf(corp, ""), "no corp": tokenOf("", rt.roles[0]),
			} {
				if resp := ask(who, corp); resp.status != 401 {
					t.Errorf("%s: got %d, want 401", name, resp.status)
				}
			}
			// What is not registered answers as what is somebody else's.
			who := tokenOf("ww7777777777777777", rt.roles[0])
			if resp := ask(who, "ww7777777777777777"); resp.status != 404 && !rt.unregistered {
				t.Errorf("a corp that is not registered: got %d, want 404", resp.status)
			}
			if resp := ask(tokenOf("../"+corp, rt.roles[0]), "..%2F"+corp); resp.status != 404 {
				t.Errorf("no corpid: got %d, want 404", resp.status)
			}
			if body == nil {
				path := strings.Replace(examplePath(rt.path, corp), "/conversations/abc/", "/conversations/"+conversationID(t, corp, archive.Unplaced)+"/", 1)
				resp := w.do(request{who: tokenOf(corp, rt.roles[0]), method: rt.method, path: path, body: `{"publickey_ver":5}`}).wantProblem(400, "invalid-request")
				if !strings.HasPrefix(resp.rules(), ":unknown") {
					t.Errorf("a body that nobody looks at: got %s", resp.body)
				}
				return
			}
			long := request{who: tokenOf(corp, rt.roles[0]), method: rt.method, path: examplePath(rt.path, corp), body: strings.Repeat(" ", cmp.Or(rt.bytes, maxBody)+1)}
			w.do(long).wantProblem(413, "body-too-large")
			wrongType := request{who: tokenOf(corp, rt.roles[0]), method: rt.method, path: examplePath(rt.path, corp), body: "{}", header: map[string]string{"Content-Type": "text/plain"}}
			w.do(wrongType).wantProblem(415, "unsupported-media-type")
			for _, broken := range []string{"", "[]", "null", `"text"`, `{"a":1`, `{}{}`, "{\"\xff\":1}"} {
				body = broken
				if resp := ask(tokenOf(corp, rt.roles[0]), corp); resp.status != 400 || !strings.HasPrefix(resp.rules(), ":json") {
					t.Errorf("body %q: got %d %s", broken, resp.status, resp.body)
				}
			}
		})
	}
}

func TestNoRoute(t *testing.T) {
	w := newWorld(t)
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
		{"GET", "/v1/corps/" + corp + "/setup/", 404, ""},
		{"GET", "/v1/corps//setup", 404, ""},
		{"GET", "/v2/corps/" + corp, 404, ""},
		{"POST", "/health", 405, "GET"},
		{"HEAD", "/health", 405, "GET"},
		{"DELETE", "/v1/corps/" + corp + "/keys", 405, "POST"},
		{"PATCH", "/v1/corps/" + corp + "/setup", 405, "GET, PUT"},
		{"OPTIONS", "/callback/" + corp, 405, "GET, POST"},
	} {
		resp := w.do(request{who: tokenOf(corp, admin), method: tc.method, path: tc.path})
		if resp.status != tc.status || resp.header.Get("Allow") != tc.allow {
			t.Errorf("%s %s: got %d, Allow %q; want %d, %q", tc.method, tc.path, resp.status, resp.header.Get("Allow"), tc.status, tc.allow)
		}
	}
	w.get(nil, "/health").want(200)
}

func TestProblemsSpeakTheCallersLanguage(t *testing.T) {
	w := newWorld(t)
	for header, want := range map[string]string{"en-US": "Not found", "zh-CN,en;q=0.5": "找不到", "": "找不到"} {
		resp := w.do(request{who: tokenOf(corp, admin), method: "GET", path: "/v1/corps/" + corp, header: map[string]string{"Accept-Language": header}})
		resp.wantProblem(404, "not-found")
		if got := into[problemDoc](resp).Title; got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
	if got := w.get(tokenOf(corp, admin), "/v1/corps/"+corp).header; got.Get("Cache-Control") != "no-store" || got.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("got headers %v", got)
	}
}
