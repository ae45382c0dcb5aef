// Package login is an OpenID Connect issuer for the local cloud, with prepared
// users and without passwords. It has an origin of its own, as a real issuer has.
// It knows one client, the web console: a public client with PKCE.
//
// It is as strict as a good issuer: a code works once and for a minute, the PKCE
// verifier must match the challenge, and a refresh token is replaced at each use.
package login

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Signer signs tokens.
type Signer interface {
	// Token signs a token that is valid for the given time. claims adds to the
	// claims of every token, or replaces them; nil removes a claim.
	Token(life time.Duration, claims map[string]any) (string, error)
	// Keys is the JSON Web Key Set that verifies the tokens.
	Keys() map[string]any
}

// Config describes an issuer. It never changes after [New].
type Config struct {
	URL      string // of the issuer, without a slash at the end
	Console  string // address of the console, such as http://127.0.0.1:8080/console
	ClientID string // of the console
	Signer   Signer
	// Users lists the people who can sign in.
	Users func() []User
	Now   func() time.Time
}

// life is how long a token is valid, unless [User.Life] says another time.
const life = 15 * time.Minute

// codeLife is how long a code may be exchanged.
const codeLife = time.Minute

// sessionCookie remembers who signed in, for prompt=none.
const sessionCookie = "yunduo-login"

// An Issuer is a running issuer. Safe for concurrent use.
type Issuer struct {
	cfg Config
	mux *http.ServeMux

	mu      sync.Mutex
	codes   map[string]grant
	refresh map[string]grant // the value is removed at its first use
}

// grant is what a code or a refresh token stands for.
type grant struct {
	user      string
	challenge string // of a code
	nonce     string // of a code
	until     time.Time
}

// New makes an issuer.
func New(cfg Config) *Issuer {
	i := &Issuer{cfg: cfg, mux: http.NewServeMux(), codes: map[string]grant{}, refresh: map[string]grant{}}
	i.mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	i.mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) { i.answer(w, http.StatusOK, i.cfg.Signer.Keys()) })
	i.mux.HandleFunc("GET /authorize", i.authorize)
	i.mux.HandleFunc("POST /token", i.token)
	i.mux.HandleFunc("GET /end-session", i.endSession)
	return i
}

// ServeHTTP implements [http.Handler].
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) { i.mux.ServeHTTP(w, r) }

// origin returns the origin of the console, the only one whose pages may read the
// answers (CORS).
func (i *Issuer) origin() string {
	u, err := url.Parse(i.cfg.Console)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func (i *Issuer) answer(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", i.origin())
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	at := func(path string) string { return i.cfg.URL + path }
	i.answer(w, http.StatusOK, map[string]any{
		"issuer": i.cfg.URL, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
		"jwks_uri": at("/jwks"), "end_session_endpoint": at("/end-session"),
		"response_types_supported": []string{"code"}, "grant_types_supported": []string{"authorization_code", "refresh_token"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		"code_challenge_methods_supported": []string{"S256"}, "token_endpoint_auth_methods_supported": []string{"none"},
		"scopes_supported": []string{"openid"},
	})
}

// authorize returns to the console with a code if the request names a user, or if it
// has prompt=none and the browser has a session. It returns with an error if the
// request is invalid. Otherwise it shows the users.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back := i.cfg.Console + "/callback"
	// Mistakes are reported by a redirect, which must lead to the console only.
	if q.Get("client_id") != i.cfg.ClientID || q.Get("redirect_uri") != back {
		http.Error(w, "client_id or redirect_uri is not the console's", http.StatusBadRequest)
		return
	}
	answer := url.Values{"state": {q.Get("state")}}
	id := q.Get("user")
	switch {
	case q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43:
		answer.Set("error", "invalid_request")
	case !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		answer.Set("error", "invalid_scope")
	case q.Get("prompt") == "none":
		if c, err := r.Cookie(sessionCookie); err == nil {
			id = c.Value
		}
		if _, ok := i.user(id); !ok {
			answer.Set("error", "login_required")
		}
	case id == "":
		i.choose(w, r)
		return
	}
	if answer.Get("error") == "" {
		if _, ok := i.user(id); !ok {
			answer.Set("error", "access_denied")
		}
	}
	if answer.Get("error") == "" {
		code := rand.Text()
		i.mu.Lock()
		i.codes[code] = grant{user: id, challenge: q.Get("code_challenge"), nonce: q.Get("nonce"), until: i.cfg.Now().Add(codeLife)}
		i.mu.Unlock()
		http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
		answer.Set("code", code)
		answer.Set("iss", i.cfg.URL)
	}
	http.Redirect(w, r, back+"?"+answer.Encode(), http.StatusSeeOther)
}

func (i *Issuer) user(id string) (User, bool) {
	users := i.cfg.Users()
	n := slices.IndexFunc(users, func(u User) bool { return u.ID == id })
	if n < 0 {
		return User{}, false
	}
	return users[n], true
}

// choose shows one button for each user.
func (i *Issuer) choose(w http.ResponseWriter, r *http.Request) {
	type button struct {
		User
		Link string
	}
	type group struct {
		Company string
		Buttons []button
	}
	var groups []group
	for _, u := range i.cfg.Users() {
		if len(groups) == 0 || groups[len(groups)-1].Company != u.Company {
			groups = append(groups, group{Company: u.Company})
		}
		q := r.URL.Query()
		q.Set("user", u.ID)
		last := &groups[len(groups)-1]
		last.Buttons = append(last.Buttons, button{u, "/authorize?" + q.Encode()})
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
	_ = page.Execute(w, groups)
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(code string) { i.answer(w, http.StatusBadRequest, map[string]string{"error": code}) }
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	if r.ParseForm() != nil || r.PostForm.Get("client_id") != i.cfg.ClientID {
		refuse("invalid_client")
		return
	}
	var g grant
	var ok bool
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		g, ok = i.take(i.codes, r.PostForm.Get("code"))
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		ok = ok && base64.RawURLEncoding.EncodeToString(sum[:]) == g.challenge && r.PostForm.Get("redirect_uri") == i.cfg.Console+"/callback"
	case "refresh_token":
		g, ok = i.take(i.refresh, r.PostForm.Get("refresh_token"))
		g.nonce = ""
	default:
		refuse("unsupported_grant_type")
		return
	}
	u, known := i.user(g.user)
	if !ok || !known {
		refuse("invalid_grant")
		return
	}
	answer, err := i.tokens(u, g)
	if err != nil {
		i.answer(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
		return
	}
	i.answer(w, http.StatusOK, answer)
}

// take removes a code or a refresh token, so that it works once.
func (i *Issuer) take(from map[string]grant, value string) (grant, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	g, ok := from[value]
	delete(from, value)
	return g, ok && i.cfg.Now().Before(g.until)
}

// tokens makes the answer of the token endpoint.
func (i *Issuer) tokens(u User, g grant) (map[string]any, error) {
	lives := life
	if u.Life > 0 {
		lives = u.Life
	}
	access, err := i.cfg.Signer.Token(lives, u.claims())
	if err != nil {
		return nil, err
	}
	about := map[string]any{"sub": u.ID, "aud": i.cfg.ClientID, "name": u.Name}
	if g.nonce != "" {
		about["nonce"] = g.nonce
	}
	id, err := i.cfg.Signer.Token(lives, about)
	if err != nil {
		return nil, err
	}
	answer := map[string]any{
		"access_token": access, "id_token": id, "token_type": "Bearer", "expires_in": int(lives.Seconds()), "scope": "openid",
	}
	refresh := rand.Text()
	answer["refresh_token"] = refresh
	if !u.NoRenewal {
		i.mu.Lock()
		i.refresh[refresh] = grant{user: u.ID, until: i.cfg.Now().Add(24 * time.Hour)}
		i.mu.Unlock()
	}
	return answer, nil
}

// endSession forgets who signed in, and returns to the console.
func (i *Issuer) endSession(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1})
	back := r.URL.Query().Get("post_logout_redirect_uri")
	if back != i.cfg.Console && !strings.HasPrefix(back, i.cfg.Console+"/") {
		back = i.cfg.Console
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="zh-CN">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>本地登录 · Local sign-in</title>
<style>
:root { color-scheme: light dark; font: 16px/1.6 system-ui, 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif; }
body { max-width: 44rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 1.35rem; margin: 0; }
h2 { font-size: 1rem; margin: 1.75rem 0 .5rem; }
p { margin: .25rem 0 0; opacity: .75; }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: .5rem; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); }
a { display: block; padding: .6rem .9rem; border: 1px solid #8886; border-radius: 6px; color: inherit; text-decoration: none; }
a:hover, a:focus-visible { border-color: #0052d9; outline: 2px solid #0052d9; }
small { display: block; opacity: .75; }
</style>
<h1>选择一个预设用户</h1>
<p>本地模拟环境的登录页，无需密码。Choose a prepared user. This is the local cloud's sign-in page, and it asks for no password.</p>
{{range .}}<h2>{{.Company}}</h2>
<ul>{{range .Buttons}}<li><a href="{{.Link}}">{{.Name}}<small>{{.About}}</small></a></li>{{end}}</ul>
{{end}}</html>
`))
