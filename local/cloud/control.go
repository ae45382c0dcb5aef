package cloud

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"slices"
	"strconv"

	"github.com/yunduo-scrm/archive/local/cloud/lambda"
	"github.com/yunduo-scrm/archive/local/cloud/people"
)

const usage = `Commands of the local cloud (JSON):
  GET  /counts             the progress of each company's archive
  GET  /functions          invocations, failures, cold starts, processes
  POST /kill/{function}    kills an instance, preferably a busy one, for example /kill/PullFunction
  POST /wipe/{table}       empties a table, for example /wipe/MessagesTable
  POST /token              signs a token with the claims in the body, for example {"sub":"me","corp":"ww...","role":"reader","staff":"*"}
  GET  /scrm               a page of an invented SCRM that shows the console in a frame, and what the archive announces
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
	mux.HandleFunc("GET /scrm", c.showSCRM)
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

// scrm is a page as an SCRM may have it: it shows the console in a frame, and gives
// it tokens that live as long as the address of the page says, 15 minutes by
// default.
var scrm = template.Must(template.New("scrm").Parse(`<!doctype html>
<html lang="zh-CN">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SCRM</title>
<style>
body { margin: 0; display: grid; grid-template-rows: auto 1fr auto; height: 100vh; font: 15px/1.6 system-ui, sans-serif; }
header { padding: .5rem 1rem; background: #24385b; color: #fff; }
iframe { width: 100%; height: 100%; border: 0; }
details { padding: .25rem 1rem; background: #eef1f6; }
ol { max-height: 10rem; overflow: auto; font-family: ui-monospace, monospace; font-size: 12px; }
</style>
<header>SCRM · 会话存档</header>
<iframe title="会话存档" src="{{.Console}}{{.Path}}?embed=1" allow="clipboard-write; fullscreen; autoplay"></iframe>
<details><summary>变更通知 <span></span></summary><ol></ol></details>
<script>
const frame = document.querySelector('iframe')
const origin = new URL(frame.src).origin
addEventListener('message', async ({ source, origin: from, data }) => {
  if (source !== frame.contentWindow || from !== origin) return
  document.title = data.title ?? document.title
  if (data.type !== 'yunduo-archive:ready' && data.type !== 'yunduo-archive:need-token') return
  const body = JSON.stringify({ sub: 'scrm-user', corp: {{.Corp}}, role: {{.Role}}, staff: {{.Staff}}, exp: Math.floor(Date.now() / 1000) + {{.Life}} })
  const { token } = await (await fetch('/token', { method: 'POST', body })).json()
  frame.contentWindow.postMessage({ type: 'yunduo-archive:token', token, lang: 'zh' }, origin)
})
setInterval(async () => {
  if (document.hidden) return
  const all = await (await fetch('/announcements')).json()
  document.querySelector('summary span').textContent = all.length
  document.querySelector('ol').replaceChildren(...all.map((a) => {
    const line = document.createElement('li')
    line.textContent = a.time + ' ' + a['detail-type'] + ' ' + JSON.stringify(a.detail)
    return line
  }))
}, 3000)
</script>
</html>
`))

// showSCRM takes from the address whom the frame is for: corp, role and staff, the
// path within the console, and how many seconds a token lives.
func (c *Cloud) showSCRM(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	corp := q.Get("corp")
	if companies := c.companies(); corp == "" && len(companies) > 0 {
		corp = companies[0].ID
	}
	life, err := strconv.Atoi(cmp.Or(q.Get("life"), "900"))
	if err != nil {
		respondError(w, http.StatusBadRequest, "life is not a number of seconds")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = scrm.Execute(w, map[string]any{
		"Console": c.ConsoleURL, "Path": q.Get("path"), "Corp": corp, "Role": cmp.Or(q.Get("role"), "reader"), "Staff": cmp.Or(q.Get("staff"), "*"), "Life": life,
	})
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
