package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/cmd/internal/deploy"
	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/cloudtest"
)

// asked runs all questions and returns what they say.
func asked(t *testing.T, s *smoke) (said string, err error) {
	t.Helper()
	var out strings.Builder
	s.client, s.now = http.DefaultClient, time.Now
	s.say = func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	err = s.ask(t.Context())
	return out.String(), err
}

// The real function answers behind the local API Gateway.
func TestSmokeOfTheLocalCloud(t *testing.T) {
	c := cloudtest.Start(t, cloud.Options{Root: "../..", Tick: time.Minute})
	if err := c.SetUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	corp := c.Sim.Corps()[0].ID()
	token, err := c.API.Token(corp, "admin")
	if err != nil {
		t.Fatal(err)
	}
	said, err := asked(t, &smoke{base: c.API.Base, token: token, corp: corp})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"health    ok, version ", "no token  refused", "token     accepted: {", "callback  verified at "} {
		if !strings.Contains(said, want) {
			t.Errorf("got %q, want %q in it", said, want)
		}
	}
	if strings.Contains(said, token) {
		t.Error("the output holds the token")
	}
	reader, err := c.API.Token(corp, "reader")
	if err != nil {
		t.Fatal(err)
	}
	if said, err := asked(t, &smoke{base: c.API.Base, token: reader, corp: corp}); err == nil || !strings.Contains(err.Error(), "the token needs the role admin or service") {
		t.Errorf("reader: got %q and %v, want an error with the roles", said, err)
	}
	if said, err := asked(t, &smoke{base: c.API.Base}); err != nil || strings.Count(said, "not asked") != 2 {
		t.Errorf("without a token: got %q and %v, want two questions left out, by name", said, err)
	}
}

// Each fault has its own answer.
func TestSmokeFindsFaults(t *testing.T) {
	answers := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := answers[r.URL.Path]
		if r.URL.Path == "/v1/session" && r.Header.Get("Authorization") != "" {
			status = answers["token"]
		}
		w.WriteHeader(status)
		fmt.Fprint(w, `{"status":"ok","version":"1"}`)
	}))
	defer server.Close()
	for _, c := range []struct {
		name    string
		answers map[string]int
		china   bool
		want    []string
	}{
		{"api fails", map[string]int{"/health": 500, "/v1/session": 401, "token": 200}, false, []string{"health: got status 500, want 200 and ok: see the log of api"}},
		{"no authorizer", map[string]int{"/health": 200, "/v1/session": 200, "token": 200}, false, []string{"the authorizer is not in place"}},
		{"token of another issuer", map[string]int{"/health": 200, "/v1/session": 401, "token": 401}, true, []string{"compare iss and aud"}},
		{"account without a recordal", map[string]int{"/health": 403, "/v1/session": 403, "token": 403}, true, []string{
			"health: got status 403, want 200 and ok: API Gateway in China answers this until the account has its ICP recordal (docs/china.md)",
			"without a token: got status 403, want 401: API Gateway in China", "token: got status 403, want 200: API Gateway in China",
		}},
		{"refused elsewhere", map[string]int{"/health": 403, "/v1/session": 401, "token": 200}, false, []string{"health: got status 403, want 200 and ok: see the log of api"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			answers = c.answers
			said, err := asked(t, &smoke{base: server.URL, token: "x", china: c.china})
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %q and %v, want an error with %q", said, err, want)
				}
			}
		})
	}
	// A refused token is one fault, not one of the company too.
	answers = map[string]int{"/health": 200, "/v1/session": 401, "token": 401, "/v1/corps/ww1/setup": 401}
	if said, err := asked(t, &smoke{base: server.URL, token: "x", corp: "ww1"}); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(said, "callback  not asked: the token is refused") {
		t.Errorf("refused token: got %q and %v, want one error, about the token", said, err)
	}
	server.Close()
	if _, err := asked(t, &smoke{base: server.URL}); err == nil || !strings.Contains(err.Error(), "check the DNS record") {
		t.Errorf("nothing there: got %v, want an error about the DNS record", err)
	}
}

func TestAddress(t *testing.T) {
	for _, c := range []struct {
		parameters map[string]string
		want       string
	}{
		{map[string]string{"DomainName": "archive.yunduo.cn"}, "https://archive.yunduo.cn"},
		{map[string]string{"DomainName": "archive.yunduo.cn", "PublicUrl": "https://door.yunduo.cn"}, "https://door.yunduo.cn"},
	} {
		if got, err := address(t.Context(), deploy.Block{Parameters: c.parameters}); err != nil || got != c.want {
			t.Errorf("got %q and %v, want %s", got, err, c.want)
		}
	}
}
