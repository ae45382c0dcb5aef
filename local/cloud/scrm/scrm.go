// Package scrm is a small, invented SCRM for people who try the local cloud: its
// customers, with the console of the archive in a frame, and what the archive
// announces to an SCRM's backend. It uses what a real SCRM has: the HTTP API, tokens
// that its backend signs, and the protocol of the frame (docs/console.md).
package scrm

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
)

// Company is a company of the SCRM.
type Company struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// API calls the archive as the SCRM's backend ([people.API]).
type API interface {
	Call(ctx context.Context, role, method, corp, path string, in, out any) error
}

// Config says what the pages show.
type Config struct {
	// Console is the address of the console.
	Console string
	API     API
	// Companies lists those that the SCRM serves.
	Companies func() []Company
}

var (
	//go:embed page.html
	html string
	//go:embed page.css
	css string
	//go:embed page.js
	js string

	page = template.Must(template.New("page").Parse(html))
)

// Handler serves GET /scrm and what is below. The page also requests the local
// cloud's own /token and /announcements.
//
// The address may say whom the frame is for: corp, role and staff; path, an address
// of the console to show in place of the customers; lang; and life, the seconds that
// a token lives.
func Handler(config Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /scrm", config.showPage)
	mux.HandleFunc("GET /scrm/people", config.listPeople)
	mux.HandleFunc("GET /scrm/page.css", file("text/css", css))
	mux.HandleFunc("GET /scrm/page.js", file("text/javascript", js))
	return mux
}

func file(kind, content string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind+"; charset=utf-8")
		_, _ = w.Write([]byte(content))
	}
}

// start is what the page begins with.
type start struct {
	Console   string    `json:"console"`
	Companies []Company `json:"companies"`
	Corp      string    `json:"corp"`
	Role      string    `json:"role"`
	Staff     string    `json:"staff"`
	Path      string    `json:"path"`
	Life      int       `json:"life"`
}

func (c Config) showPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s := start{Console: c.Console, Companies: c.Companies(), Corp: q.Get("corp"), Role: cmp.Or(q.Get("role"), "reader"), Staff: q.Get("staff"), Path: q.Get("path")}
	if s.Corp == "" && len(s.Companies) > 0 {
		s.Corp = s.Companies[0].ID
	}
	var err error
	if s.Life, err = strconv.Atoi(cmp.Or(q.Get("life"), "900")); err != nil {
		http.Error(w, "life is not a number of seconds", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, s)
}

// listPeople lists the members of a company, or with a member the customers who
// have a chat with this member, the newest first.
func (c Config) listPeople(w http.ResponseWriter, r *http.Request) {
	q := url.Values{"kind": {"member"}, "limit": {"100"}}
	if with := r.URL.Query().Get("with"); with != "" {
		q = url.Values{"kind": {"external"}, "limit": {"100"}, "with": {with}}
	}
	var found struct {
		People json.RawMessage `json:"people"`
	}
	if err := c.API.Call(r.Context(), "service", http.MethodGet, r.URL.Query().Get("corp"), "/people?"+q.Encode(), nil, &found); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(found.People)
}
