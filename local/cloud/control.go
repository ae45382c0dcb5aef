package cloud

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"

	"github.com/yunduo-scrm/archive/local/cloud/lambda"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/cloud/scrm"
)

const usage = `Commands of the local cloud (JSON):
  GET  /counts             the progress of each company's archive
  GET  /functions          invocations, failures, cold starts, processes
  POST /kill/{function}    kills an instance, preferably a busy one, for example /kill/PullFunction
  POST /wipe/{table}       empties a table, for example /wipe/MessagesTable
  POST /token              signs a token with the claims in the body, for example {"sub":"me","corp":"ww...","role":"reader","staff":"*"}
  GET  /scrm               a small, invented SCRM: its customers with the console in a frame, and what the archive announces
  GET  /announcements      the newest announcements to the SCRM, the newest first
  ANY  /wecom/...          the console of the simulated WeCom: GET /wecom/ lists its commands
`

// control serves the commands of the local cloud to people and scripts on this
// machine. The commands hand out tokens and need no token. So control refuses
// requests of web pages from other origins, and requests by a host name that
// merely resolves to this machine.
func (c *Cloud) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, usage) })
	mux.HandleFunc("GET /counts", c.showCounts)
	mux.HandleFunc("GET /functions", c.showFunctions)
	mux.HandleFunc("POST /kill/{function}", c.killFunction)
	mux.HandleFunc("POST /wipe/{table}", c.wipeTable)
	mux.HandleFunc("POST /token", c.signToken)
	pages := scrm.Handler(scrm.Config{Console: c.ConsoleURL, API: c.API, Companies: c.scrmCompanies})
	mux.Handle("/scrm", pages)
	mux.Handle("/scrm/", pages)
	mux.HandleFunc("GET /announcements", func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, c.Announcements()) })
	if c.Sim != nil {
		mux.Handle("/wecom/", http.StripPrefix("/wecom", c.Sim.Control()))
	}
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "host is not a loopback address", http.StatusForbidden)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

func (c *Cloud) showCounts(w http.ResponseWriter, r *http.Request) {
	counts := map[string]people.Progress{}
	if c.Sim != nil {
		for _, corp := range c.Sim.Corps() {
			p, err := (&people.Watcher{API: c.API, Corp: corp.ID()}).Look(r.Context())
			if err != nil {
				respondError(w, http.StatusBadGateway, err.Error())
				return
			}
			counts[corp.ID()] = p
		}
	}
	respond(w, http.StatusOK, counts)
}

func (c *Cloud) showFunctions(w http.ResponseWriter, _ *http.Request) {
	type function struct {
		lambda.Stats
		Processes []int
	}
	all := map[string]function{}
	for id, f := range c.functions {
		all[id] = function{f.Stats(), f.Processes()}
	}
	respond(w, http.StatusOK, all)
}

func (c *Cloud) killFunction(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("function")
	if c.functions[id] == nil {
		respondError(w, http.StatusNotFound, "unknown function")
		return
	}
	respond(w, http.StatusOK, map[string]bool{"killed": c.Kill(id)})
}

func (c *Cloud) wipeTable(w http.ResponseWriter, r *http.Request) {
	if err := c.WipeTable(r.Context(), r.PathValue("table")); err != nil {
		respondError(w, http.StatusBadRequest, err.Error())
		return
	}
	respond(w, http.StatusOK, map[string]bool{"wiped": true})
}

// scrmCompanies are the companies of the invented SCRM.
func (c *Cloud) scrmCompanies() []scrm.Company {
	var list []scrm.Company
	for _, company := range c.companies() {
		list = append(list, scrm.Company{ID: company.ID, Name: company.Name})
	}
	return list
}

func (c *Cloud) signToken(w http.ResponseWriter, r *http.Request) {
	var claims map[string]any
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&claims); err != nil {
		respondError(w, http.StatusBadRequest, "body is not a JSON object of claims")
		return
	}
	token, err := c.Token(claims)
	if err != nil {
		respondError(w, http.StatusBadRequest, err.Error())
		return
	}
	respond(w, http.StatusOK, map[string]string{"token": token})
}

func respond(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func respondError(w http.ResponseWriter, status int, message string) {
	respond(w, status, map[string]string{"error": message})
}

// FunctionIDs lists the logical ids of the functions.
func (c *Cloud) FunctionIDs() []string {
	var ids []string
	for id := range c.functions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
