package cloud

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"

	"github.com/yunduo-scrm/archive/local/cloud/lambda"
	"github.com/yunduo-scrm/archive/local/cloud/people"
)

const usage = `Commands of the local cloud (JSON):
  GET  /counts             how far each company's archive is
  GET  /functions          invocations, failures, cold starts, processes
  POST /kill/{function}    kills an instance, a busy one if there is, such as /kill/PullFunction
  POST /wipe/{table}       empties a table, such as /wipe/MessagesTable
  POST /token              signs a token with the claims in the body, such as {"sub":"me","corp":"ww...","role":"reader"}
  ANY  /wecom/...          the console of the simulated WeCom: GET /wecom/ lists its commands
`

// control is for people and scripts on this machine. It hands out tokens and
// asks for none, so it answers no page of a browser that came from elsewhere,
// nor one whose name leads here.
func (c *Cloud) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, usage) })
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, r *http.Request) {
		counts := map[string]people.Progress{}
		if c.Sim != nil {
			for _, corp := range c.Sim.Corps() {
				p, err := (&people.Watcher{API: c.API, Corp: corp.ID()}).Look(r.Context())
				if err != nil {
					tell(w, http.StatusBadGateway, map[string]string{"error": err.Error()})
					return
				}
				counts[corp.ID()] = p
			}
		}
		tell(w, http.StatusOK, counts)
	})
	mux.HandleFunc("GET /functions", func(w http.ResponseWriter, _ *http.Request) {
		type function struct {
			lambda.Stats
			Processes []int
		}
		all := map[string]function{}
		for id, f := range c.functions {
			all[id] = function{f.Stats(), f.Processes()}
		}
		tell(w, http.StatusOK, all)
	})
	mux.HandleFunc("POST /kill/{function}", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("function")
		if c.functions[id] == nil {
			tell(w, http.StatusNotFound, map[string]string{"error": "no such function"})
			return
		}
		tell(w, http.StatusOK, map[string]bool{"killed": c.Kill(id)})
	})
	mux.HandleFunc("POST /wipe/{table}", func(w http.ResponseWriter, r *http.Request) {
		if err := c.WipeTable(r.Context(), r.PathValue("table")); err != nil {
			tell(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		tell(w, http.StatusOK, map[string]bool{"wiped": true})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		var claims map[string]any
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&claims); err != nil {
			tell(w, http.StatusBadRequest, map[string]string{"error": "the body is no JSON object of claims"})
			return
		}
		token, err := c.Token(claims)
		if err != nil {
			tell(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		tell(w, http.StatusOK, map[string]string{"token": token})
	})
	if c.Sim != nil {
		mux.Handle("/wecom/", http.StripPrefix("/wecom", c.Sim.Control()))
	}
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this answers loopback addresses only", http.StatusForbidden)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

func tell(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
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
