package login_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/cloud/login"
)

const (
	corp     = "ww0123456789abcdef"
	console  = "http://127.0.0.1:8080/console"
	client   = "yunduo-console"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	// challenge is the verifier's, as RFC 7636 gives it.
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// signer signs by writing the claims down.
type signer struct{}

func (signer) Token(life time.Duration, claims map[string]any) (string, error) {
	all := map[string]any{"life": life.Seconds()}
	maps.Copy(all, claims)
	b, err := json.Marshal(all)
	return string(b), err
}

func (signer) Keys() map[string]any { return map[string]any{"keys": []string{"local"}} }

// world is an issuer on a server, a clock, and a browser with cookies that follows
// no redirect.
type world struct {
	*testing.T
	url     string
	now     time.Time
	browser *http.Client
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, now: time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)}
	server := httptest.NewUnstartedServer(nil)
	w.url = "http://" + server.Listener.Addr().String()
	server.Config.Handler = login.New(login.Config{
		URL: w.url, Console: console, ClientID: client, Signer: signer{}, Now: func() time.Time { return w.now },
		Users: func() []login.User {
			return login.Prepared([]login.Company{{ID: corp, Name: "云朵课堂", Member: "lin.hua", MemberName: "林华"}})
		},
	})
	server.Start()
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.browser = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return w
}

func (w *world) get(path string, q url.Values) *http.Response {
	w.Helper()
	resp, err := w.browser.Get(w.url + path + "?" + q.Encode())
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { resp.Body.Close() })
	return resp
}

// request is what the console asks for, with changes; an empty value removes one.
func request(changes ...string) url.Values {
	q := url.Values{
		"client_id": {client}, "redirect_uri": {console + "/callback"}, "response_type": {"code"}, "scope": {"openid"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "state": {"s1"}, "nonce": {"n1"},
	}
	for i := 0; i < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
	}
	return q
}

// back is where a request leads: the answer in the console's address.
func (w *world) back(q url.Values) url.Values {
	w.Helper()
	resp := w.get("/authorize", q)
	to, err := resp.Location()
	if err != nil || resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to.String(), console+"/callback?") {
		w.Fatalf("got %d to %v (%v), want the console's callback", resp.StatusCode, to, err)
	}
	return to.Query()
}

// code signs a user in.
func (w *world) code(user string) string {
	w.Helper()
	answer := w.back(request("user", user+"@"+corp))
	if answer.Get("state") != "s1" || answer.Get("iss") != w.url || answer.Get("code") == "" {
		w.Fatalf("got %v, want a code", answer)
	}
	return answer.Get("code")
}

type tokens struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
	Expires int    `json:"expires_in"`
	Error   string `json:"error"`
}

func (w *world) exchange(changes ...string) tokens {
	w.Helper()
	form := url.Values{"client_id": {client}, "grant_type": {"authorization_code"}, "code_verifier": {verifier}, "redirect_uri": {console + "/callback"}}
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
	}
	resp, err := http.PostForm(w.url+"/token", form)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	var out tokens
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		w.Fatal(err)
	}
	if resp.Header.Get("Access-Control-Allow-Origin") != "http://127.0.0.1:8080" || (resp.StatusCode == http.StatusOK) != (out.Error == "") {
		w.Errorf("got %d, %v, %+v", resp.StatusCode, resp.Header, out)
	}
	return out
}

// A code gives the tokens of its user once, within a minute, and to the holder of
// the verifier only.
func TestCode(t *testing.T) {
	w := start(t)
	code := w.code("member")
	got := w.exchange("code", code)
	for token, want := range map[string]string{
		got.Access: fmt.Sprintf(`{"corp":%q,"life":900,"role":"reader","staff":"lin.hua","sub":"member@%s"}`, corp, corp),
		got.ID:     fmt.Sprintf(`{"aud":%q,"life":900,"name":"林华","nonce":"n1","sub":"member@%s"}`, client, corp),
	} {
		if token != want {
			t.Errorf("got %s, want %s", token, want)
		}
	}
	if got.Expires != 900 || got.Refresh == "" {
		t.Errorf("got %+v, want 15 minutes and a refresh token", got)
	}
	if again := w.exchange("code", code); again.Error != "invalid_grant" {
		t.Errorf("the second exchange: got %+v", again)
	}
	for name, changes := range map[string][]string{
		"another verifier": {"code", w.code("admin"), "code_verifier", "x" + verifier[1:]},
		"another address":  {"code", w.code("admin"), "redirect_uri", console},
		"an unknown code":  {"code", "none"},
	} {
		if got := w.exchange(changes...); got.Error != "invalid_grant" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	late := w.code("admin")
	w.now = w.now.Add(time.Minute)
	if got := w.exchange("code", late); got.Error != "invalid_grant" {
		t.Errorf("a code of a minute ago: got %+v", got)
	}
}

// A refresh token gives the next tokens and ends; that of the user whose session
// expires gives none.
func TestRefresh(t *testing.T) {
	w := start(t)
	first := w.exchange("code", w.code("all"))
	second := w.exchange("grant_type", "refresh_token", "refresh_token", first.Refresh)
	if second.Access != first.Access || second.Refresh == first.Refresh || strings.Contains(second.ID, "nonce") {
		t.Errorf("got %+v after %+v", second, first)
	}
	if got := w.exchange("grant_type", "refresh_token", "refresh_token", first.Refresh); got.Error != "invalid_grant" {
		t.Errorf("a used token: got %+v", got)
	}
	w.now = w.now.Add(24 * time.Hour)
	if got := w.exchange("grant_type", "refresh_token", "refresh_token", second.Refresh); got.Error != "invalid_grant" {
		t.Errorf("a token of yesterday: got %+v", got)
	}
	short := w.exchange("code", w.code("expiring"))
	if got := w.exchange("grant_type", "refresh_token", "refresh_token", short.Refresh); short.Expires != 60 || got.Error != "invalid_grant" {
		t.Errorf("the expiring user: got %+v, then %+v", short, got)
	}
	for name, want := range map[string]tokens{
		"unsupported_grant_type": w.exchange("grant_type", "password"),
		"invalid_client":         w.exchange("client_id", "another"),
	} {
		if want.Error != name {
			t.Errorf("got %+v, want %s", want, name)
		}
	}
}

// The console learns of its mistakes at its own address. No other address is
// redirected to.
func TestAuthorizeRefuses(t *testing.T) {
	w := start(t)
	for want, q := range map[string]url.Values{
		"invalid_request": request("code_challenge_method", "plain"), "invalid_scope": request("scope", "profile"),
		"access_denied": request("user", "nobody"), "login_required": request("prompt", "none"),
	} {
		if got := w.back(q); got.Get("error") != want || got.Get("state") != "s1" || got.Has("code") {
			t.Errorf("%v: got %v, want %s", q, got, want)
		}
	}
	for _, q := range []url.Values{request("redirect_uri", "https://evil.example/callback"), request("client_id", "another")} {
		if resp := w.get("/authorize", q); resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
			t.Errorf("%v: got %d to %q", q, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
}

// The issuer remembers who signed in until that person signs out.
func TestSession(t *testing.T) {
	w := start(t)
	w.code("auditor")
	if got := w.exchange("code", w.back(request("prompt", "none")).Get("code")); !strings.Contains(got.Access, `"role":"auditor"`) {
		t.Errorf("got %+v, want the auditor again", got)
	}
	resp := w.get("/end-session", url.Values{"post_logout_redirect_uri": {console + "/start"}})
	if to := resp.Header.Get("Location"); to != console+"/start" {
		t.Errorf("got %q after signing out", to)
	}
	if to := w.get("/end-session", url.Values{"post_logout_redirect_uri": {console + ".evil.example"}}).Header.Get("Location"); to != console {
		t.Errorf("got %q, want only addresses of the console", to)
	}
	if got := w.back(request("prompt", "none")).Get("error"); got != "login_required" {
		t.Errorf("got %q after signing out", got)
	}
}

// The page offers every prepared user, and discovery names what the console needs.
func TestPageAndDiscovery(t *testing.T) {
	w := start(t)
	page, err := io.ReadAll(w.get("/authorize", request()).Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"all", "admin", "member", "reader", "auditor", "expiring", "foreign", "norole"} {
		if !strings.Contains(string(page), "user="+url.QueryEscape(user+"@"+corp)) {
			t.Errorf("the page does not offer %s", user)
		}
	}
	var about map[string]any
	if err := json.NewDecoder(w.get("/.well-known/openid-configuration", nil).Body).Decode(&about); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint"} {
		if at, _ := about[name].(string); !strings.HasPrefix(at, w.url) {
			t.Errorf("%s is %q", name, at)
		}
	}
}
