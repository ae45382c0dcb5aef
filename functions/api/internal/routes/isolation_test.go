package routes_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// isolation is a world with a robbed company and a thief. A request that may change
// something comes from a thief of its own, so that no answer depends on a request
// before it.
type isolation struct {
	*apitest.World
	all                   []operation
	robbed, thief, nobody companyIDs
	known                 map[string]bool // names in [ids] and [notIDs] that the document has
}

// operation is an operation of openapi.yaml on a company.
type operation struct {
	method, path, id string
	roles            []session.Role
	limited          bool
	inPath           []string
	inQuery          openapi3.Parameters
	body             *openapi3.Schema // nil for an operation without a body
}

// operations lists the operations on a company, in one order.
func operations(t *testing.T) []operation {
	t.Helper()
	doc, err := apitest.Document()
	apitest.OK(t, err)
	var all []operation
	for path, item := range doc.Paths.Map() {
		if !strings.HasPrefix(path, "/v1/corps/{corpid}") {
			continue
		}
		for method, op := range item.Operations() {
			o := operation{method: method, path: path, id: op.OperationID, roles: rolesOf(op), limited: op.Extensions["x-limited"] == true}
			for _, p := range slices.Concat(item.Parameters, op.Parameters) {
				switch p.Value.In {
				case openapi3.ParameterInPath:
					o.inPath = append(o.inPath, p.Value.Name)
				case openapi3.ParameterInQuery:
					o.inQuery = append(o.inQuery, p)
				}
			}
			if op.RequestBody != nil {
				o.body = op.RequestBody.Value.Content.Get("application/json").Schema.Value
			}
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return all
}

// names lists the parameters and the members of the body.
func (o operation) names() []string {
	all := slices.Clone(o.inPath)
	for _, p := range o.inQuery {
		all = append(all, p.Value.Name)
	}
	if o.body != nil {
		all = append(all, leaves(o.body, "")...)
	}
	return archive.Distinct(all)
}

// forms are the forms of a value that the document describes: itself, or those of
// which it is one. A form without a description takes anything.
func forms(s *openapi3.Schema) []*openapi3.Schema {
	var all []*openapi3.Schema
	for _, form := range slices.Concat(s.OneOf, s.AnyOf) {
		if form.Value.Type != nil {
			all = append(all, form.Value)
		}
	}
	if s.Type != nil && s.Properties != nil || len(all) == 0 {
		return []*openapi3.Schema{s}
	}
	return all
}

// inner is the object or the list of objects in a schema, or nil for a value
// without members.
func inner(s *openapi3.Schema) (objects []*openapi3.Schema, list bool) {
	if list = s.Type.Is("array"); list {
		s = s.Items.Value
	}
	for _, form := range forms(s) {
		if form.Type.Is("object") {
			objects = append(objects, form)
		}
	}
	return objects, list
}

// leaves names the members without members, at any depth.
func leaves(s *openapi3.Schema, name string) (all []string) {
	objects, _ := inner(s)
	if objects == nil {
		return []string{name}
	}
	for _, object := range objects {
		for member, ref := range object.Properties {
			all = append(all, leaves(ref.Value, member)...)
		}
	}
	return all
}

// entry finds what a table has for a name of an operation.
func entry[T any](w *isolation, table map[string]T, o operation, name string) (T, bool) {
	for _, key := range []string{o.id + " " + name, name} {
		if v, ok := table[key]; ok {
			w.known[key] = true
			return v, true
		}
	}
	var none T
	return none, false
}

// value is what a request gives for a parameter or a member, from a company.
func (w *isolation) value(o operation, name string, of companyIDs) any {
	w.T.Helper()
	if id, ok := entry(w, ids, o, name); ok {
		return id(of)
	}
	v, ok := entry(w, notIDs, o, name)
	if !ok || v == nil {
		w.T.Fatalf("%s needs a value for %s in the tables of this test", o.id, name)
	}
	if makes, ok := v.(func() any); ok {
		return makes()
	}
	return v
}

// request is a request for an operation.
type request struct{ method, path, body string }

// request makes a request that gives the optional names. from says from which
// company a value is.
func (w *isolation) request(o operation, optional []string, from func(name string) companyIDs) request {
	w.T.Helper()
	value := func(name string) any { return w.value(o, name, from(name)) }
	path, query := o.path, url.Values{}
	for _, name := range o.inPath {
		path = strings.Replace(path, "{"+name+"}", fmt.Sprint(value(name)), 1)
	}
	for _, p := range o.inQuery {
		if name := p.Value.Name; p.Value.Required || slices.Contains(optional, name) {
			query.Set(name, fmt.Sprint(value(name)))
		}
	}
	r := request{o.method, path + "?" + query.Encode(), ""}
	if o.body != nil {
		made, _ := bodyOf(o.body, "", true, optional, value)
		r.body = string(asJSON(w.T, made))
	}
	return r
}

// bodyOf makes a value of a schema, which is needed or holds one of the optional
// names.
func bodyOf(s *openapi3.Schema, name string, needed bool, optional []string, value func(string) any) (any, bool) {
	objects, list := inner(s)
	if objects == nil {
		if !needed && !slices.Contains(optional, name) {
			return nil, false
		}
		if list {
			return []any{value(name)}, true
		}
		return value(name), true
	}
	object := objects[0]
	made := make(map[string]any)
	for pass := range 2 { // the second one adds what the members of the first need
		for member, ref := range object.Properties {
			required := slices.Contains(object.Required, member) && (needed || pass > 0 && len(made) > 0)
			if v, ok := bodyOf(ref.Value, member, required, optional, value); ok {
				made[member] = v
			}
		}
	}
	if len(made) == 0 && !needed {
		return nil, false
	}
	if list {
		return []any{made}, true
	}
	return made, true
}

// callers are the roles with which an operation is tried.
func (o operation) callers() []session.Role {
	list := []session.Role{o.roles[0]}
	if slices.Contains(o.roles, session.Service) {
		list[0] = session.Service
	}
	if o.limited && slices.Contains(o.roles, session.Reader) {
		list = append(list, session.Reader) // with a limited token
	}
	return list
}

func (w *isolation) send(corp string, role session.Role, r request) apitest.Response {
	w.T.Helper()
	in := apitest.Request{Who: w.as(corp, role), Method: r.method, Path: r.path, Unchecked: true}
	if r.body != "" {
		in.Body = r.body
	}
	return w.Do(in)
}

// steal asks for an operation as a company that gives one id of another company, and
// returns the answer with the ids of nobody in place of those of both companies.
func (w *isolation) steal(o operation, role session.Role, stolen string, from companyIDs) answer {
	w.T.Helper()
	thief := w.thief
	if o.method != "GET" && stolen != "corpid" {
		thief = w.settle(apitest.NewCorpID(), "thieve")
	}
	r := w.request(o, append([]string{stolen}, together[o.id+" "+stolen]...), func(name string) companyIDs {
		if name != stolen && stolen != "corpid" && slices.Contains(o.inPath, name) {
			return thief
		}
		return from
	})
	got := learn(w.send(thief.corp, role, r))
	var pairs []string
	for _, id := range ids {
		for _, c := range []companyIDs{from, thief} {
			if id(c) != "" {
				pairs = append(pairs, id(c), id(w.nobody))
			}
		}
	}
	same := strings.NewReplacer(pairs...)
	got.header, got.body = same.Replace(got.header), same.Replace(got.body)
	got.size = len(got.body)
	return got
}

// tokens are the page tokens of the first page of the robbed company's list.
func (w *isolation) tokens(o operation, role session.Role) (all []string) {
	w.T.Helper()
	own := func(string) companyIDs { return w.robbed }
	beside := together[o.id+" page"]
	var first struct{ Next, Prev, Resume *string }
	resp := w.send(w.Corp, role, w.request(o, append([]string{"limit"}, beside...), own))
	if err := json.Unmarshal(resp.Body, &first); err != nil || first.Next == nil {
		w.T.Errorf("%s, %s: the robbed company got no page token to carry over: %d %.300s", o.id, role, resp.Status, resp.Body)
	}
	for _, token := range []*string{first.Next, first.Prev, first.Resume} {
		if token == nil {
			continue
		}
		all, w.robbed.page = append(all, *token), *token
		w.send(w.Corp, role, w.request(o, append([]string{"page"}, beside...), own)).Want(200)
	}
	return all
}

// state is what the robbed company can read of itself.
func (w *isolation) state() map[string]answer {
	w.T.Helper()
	state := make(map[string]answer)
	for _, o := range w.all {
		if o.method == "GET" {
			r := w.request(o, together[o.id+" corpid"], func(string) companyIDs { return w.robbed })
			state[r.path] = learn(w.send(w.Corp, o.callers()[0], r))
		}
	}
	return state
}

// work takes what was sent to the queues, and counts what is for the robbed company.
func (w *isolation) work() (n int) {
	w.T.Helper()
	for _, queue := range []string{w.Pulls, w.Decodes, w.Inspects} {
		for _, sent := range w.Drain(queue) {
			if sent.Group == w.Corp {
				n++
			}
		}
	}
	return n
}

// Another company's ids and page tokens are worth nothing: every operation of the
// document answers them as it answers invented ones, and the other company stays as
// it was. A parameter or a member that is in neither table fails this test.
func TestIDsOfAnotherCompanyAreUnknown(t *testing.T) {
	w := &isolation{World: apitest.NewWorld(t), all: operations(t), nobody: nobody(), known: make(map[string]bool)}
	w.robbed, w.thief = w.rob(), w.settle(w.Other, "thieve")
	tokens := make(map[string][]string) // of each list and role
	for _, o := range w.all {
		for _, role := range o.callers() {
			if slices.Contains(o.names(), "page") {
				tokens[o.id+" "+string(role)] = w.tokens(o, role)
			}
		}
	}
	if w.work() == 0 {
		t.Error("the queues hold nothing of the robbed company, so this test does not see its work")
	}
	w.state() // which records the first readings
	before := w.state()
	for _, o := range w.all {
		for _, name := range o.names() {
			if _, isID := entry(w, ids, o, name); isID {
				w.compare(o, name, tokens)
			} else if _, ok := entry(w, notIDs, o, name); !ok {
				t.Errorf("%s: %s is in neither table of this test", o.id, name)
			}
		}
	}
	if n := w.work(); n != 0 {
		t.Errorf("the thieves sent %d requests for work on the robbed company", n)
	}
	for path, got := range w.state() {
		if want := before[path]; got != want {
			t.Errorf("%s of the robbed company has changed: %s", path, difference(got, want))
		}
	}
	w.checkAdmitted()
	for _, key := range slices.Concat(slices.Collect(maps.Keys(ids)), slices.Collect(maps.Keys(notIDs))) {
		if !w.known[key] {
			t.Errorf("%s is in a table of this test, and not in the document", key)
		}
	}
}

// compare compares the answer to a stolen id, or to each page token of a list, with
// the answer to an invented one.
func (w *isolation) compare(o operation, name string, tokens map[string][]string) {
	w.T.Helper()
	for _, role := range o.callers() {
		unknown := w.steal(o, role, name, w.nobody)
		if strings.Contains(unknown.body, w.robbed.word) {
			w.T.Errorf("%s, %s: the answer holds a text of another company", o.id, role)
		}
		stolen := []string{""}
		if name == "page" {
			stolen = tokens[o.id+" "+string(role)]
		}
		for _, token := range stolen {
			from := w.robbed
			from.page = token
			if foreign := w.steal(o, role, name, from); foreign != unknown {
				w.T.Errorf("%s, %s: another company's %s: %s", o.id, role, name, difference(foreign, unknown))
			}
		}
	}
}

// checkAdmitted checks that the robbed company may ask with its own ids whatever a
// thief asked: else a refusal would prove nothing.
func (w *isolation) checkAdmitted() {
	w.T.Helper()
	for _, o := range w.all {
		for _, name := range o.names() {
			if _, isID := entry(w, ids, o, name); !isID || name == "page" {
				continue
			}
			r := w.request(o, append([]string{name}, together[o.id+" "+name]...), func(string) companyIDs { return w.robbed })
			if resp := w.send(w.Corp, o.callers()[0], r); resp.Status >= 300 && resp.Status != 409 { // a job of the company may be running
				w.T.Errorf("%s with its own %s: got %d %s", o.id, name, resp.Status, resp.Body)
			}
		}
	}
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
