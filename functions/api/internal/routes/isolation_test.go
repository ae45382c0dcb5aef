package routes_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/routes"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// invented stands for an id or a page token that the API never gave.
const invented = "abc"

// givenByIDs are the parameters of paths and queries whose values the API gives.
// The values of all others are WeCom's ids, days, numbers and words, which mean
// something in every company.
var givenByIDs = []string{"{conversation}", "{id}", "around", "page"}

// The ids and page tokens of one company are worth nothing in another: every
// route answers them as it answers invented ones. A new route takes part by
// itself.
func TestIDsOfAnotherCompanyAreUnknown(t *testing.T) {
	w := newChatsWorld(t) // whose company is robbed
	w.BareCorp(w.Other)
	job := w.Send(w.As(session.Service), "POST", "/v1/corps/"+w.Corp+"/replays", map[string]any{"verify": true}).Want(202)
	values := w.values()
	values["{day}"] = []string{"2026-01-31"}
	values["{id}"] = append(values["{id}"], apitest.Into[struct{ ID string }](job).ID)
	var invent []string
	for _, id := range slices.Concat(values["{id}"], values["{conversation}"]) {
		invent = append(invent, id, invented)
	}
	ids := strings.NewReplacer(invent...)
	asked := 0
	for _, rt := range w.Table {
		if rt.Roles == nil || !strings.Contains(rt.Path, "{corpid}") {
			continue
		}
		for _, body := range w.bodies(values)[rt.Method+" "+rt.Path] {
			asked++
			path := strings.Replace(rt.Path, "{corpid}", w.Other, 1)
			foreign, unknown := w.thief(rt, path, body), w.thief(rt, path, ids.Replace(body))
			if foreign.body = ids.Replace(foreign.body); foreign.status != unknown.status || foreign.body != unknown.body {
				t.Errorf("%s %s: %s", rt.Method, path, difference(foreign, unknown))
			}
		}
		if rt.Body != nil {
			continue
		}
		for _, name := range rt.Query {
			if _, ok := values[name]; !ok {
				values[name] = nil // needless for a request that has a page or an id
			}
		}
		for _, path := range requests(t, rt, w.Corp, values) {
			for _, stolen := range w.stolen(rt, path) {
				asked++
				foreign, unknown := w.thief(rt, stolen.foreign, ""), w.thief(rt, stolen.unknown, "")
				if foreign.status != unknown.status || foreign.body != unknown.body {
					t.Errorf("%s %s: %s", rt.Method, stolen.foreign, difference(foreign, unknown))
				}
				if strings.Contains(foreign.body, apitest.ContentMark) {
					t.Errorf("%s %s: the answer holds a message of another company", rt.Method, stolen.foreign)
				}
			}
		}
	}
	if asked < 50 {
		t.Errorf("only %d requests were tried", asked)
	}
}

// A theft is a request of another company with an id or a page token of the first
// one, and the same request with invented ones.
type theft struct{ foreign, unknown string }

// stolen makes the thefts that a request of the first company allows.
func (w *chatsWorld) stolen(rt routes.Route, path string) []theft {
	w.T.Helper()
	at, query, _ := strings.Cut(path, "?")
	given, err := url.ParseQuery(query)
	apitest.OK(w.T, err)
	own, parts := strings.Split(at, "/"), strings.Split(rt.Path, "/")
	unknown := slices.Clone(own)
	inPath := false
	for i, part := range parts {
		if slices.Contains(givenByIDs, part) {
			unknown[i], inPath = invented, true
		}
	}
	var all []theft
	elsewhere := func(at []string, q url.Values) string {
		return strings.Replace(strings.Join(at, "/"), w.Corp, w.Other, 1) + "?" + q.Encode()
	}
	with := func(name, value string) url.Values {
		q := url.Values{}
		for k, v := range given {
			q[k] = v
		}
		q.Set(name, value)
		return q
	}
	if inPath {
		all = append(all, theft{elsewhere(own, given), elsewhere(unknown, given)})
	}
	if id := given.Get("around"); id != "" && !inPath {
		all = append(all, theft{elsewhere(own, given), elsewhere(own, with("around", invented))})
	}
	if slices.Contains(rt.Query, "page") && rt.Method == "GET" {
		resp := w.Do(apitest.Request{Who: w.As(rt.Roles[len(rt.Roles)-1]), Method: rt.Method, Path: path, Unchecked: true})
		var first struct{ Next *string }
		if json.Unmarshal(resp.Body, &first) == nil && first.Next != nil && !inPath {
			all = append(all, theft{elsewhere(own, with("page", *first.Next)), elsewhere(own, with("page", invented))})
		}
	}
	return all
}

// thief asks as the other company, which has no messages.
func (w *chatsWorld) thief(rt routes.Route, path, body string) answer {
	w.T.Helper()
	role := rt.Roles[len(rt.Roles)-1]
	if slices.Contains(rt.Roles, session.Service) {
		role = session.Service
	}
	r := apitest.Request{Who: apitest.TokenOf(w.Other, role), Method: rt.Method, Path: path}
	if body != "" {
		r.Body = body
	}
	return learn(w.Do(r))
}

// A message id says where a message is. Written again for another company, it
// finds nothing there.
func TestPlacesOfAnotherCompanyAreEmpty(t *testing.T) {
	w := newChatsWorld(t)
	w.BareCorp(w.Other)
	for _, m := range w.visible {
		m.Corp = w.Other
		w.Get(apitest.TokenOf(w.Other, session.Service), "/v1/corps/"+w.Other+"/messages/"+messageID(t, m)).WantProblem(404, "not-found")
	}
	id := apitest.ConversationID(t, w.Other, archive.RoomConversation("wr1"))
	resp := w.Get(apitest.TokenOf(w.Other, session.Service), "/v1/corps/"+w.Other+"/conversations/"+id+"/messages").Want(200)
	if got := apitest.Into[struct{ Messages []json.RawMessage }](resp).Messages; len(got) != 0 {
		t.Errorf("got %d messages of another company", len(got))
	}
}
