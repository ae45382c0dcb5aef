package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

// inspectRequests drains the queue of inspections.
func (w *world) inspectRequests() []directory.Request {
	w.t.Helper()
	var reqs []directory.Request
	for _, s := range w.drain(w.inspects) {
		r, err := sqsqueue.ParseInspect(events.SQSMessage{Body: s.body})
		if err != nil {
			w.t.Fatal(err)
		}
		reqs = append(reqs, r)
	}
	return reqs
}

type contactPage struct {
	Contacts []personJSON
	Next     *string
}

type roomPage struct {
	Rooms []roomJSON
	Next  *string
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func TestContactsAreGivenAndTakenBack(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	w.bareCorp(other)
	who, path := tokenOf(corp, service), "/v1/corps/"+corp+"/contacts"
	saved := into[savedJSON](w.send(who, "PUT", path, map[string]any{"contacts": []any{
		map[string]any{"id": "wmEXAMPLEcustomer001", "name": "小明妈妈", "avatar": "https://example.com/a.png", "company": "学校"},
		map[string]any{"id": "lin.hua", "name": "林华"},
		map[string]any{"id": "wm-like", "name": "其实是同事", "kind": "member"},
	}}).want(200))
	if saved.Saved != 3 {
		t.Errorf("got %d saved, want 3", saved.Saved)
	}
	page := into[contactPage](w.get(who, path+"?ids=lin.hua,wmEXAMPLEcustomer001,wm-like,nobody,lin.hua").want(200))
	var got []string
	for _, p := range page.Contacts {
		got = append(got, fmt.Sprint(p.ID, " ", p.Kind, " ", deref(p.Name), " ", deref(p.Source), " ", deref(p.Company)))
	}
	want := []string{"lin.hua member 林华 scrm ", "wmEXAMPLEcustomer001 external 小明妈妈 scrm 学校", "wm-like member 其实是同事 scrm ", "nobody member   "}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if reqs := w.inspectRequests(); len(reqs) != 0 {
		t.Errorf("no secret is saved: got requests %+v, want none", reqs)
	}
	w.send(who, "PUT", path, map[string]any{"contacts": []any{map[string]any{"id": "lin.hua", "name": nil}}}).want(200)
	page = into[contactPage](w.get(who, path+"?ids=lin.hua").want(200))
	if p := page.Contacts[0]; p.Name != nil || p.Source != nil {
		t.Errorf("taken back: got %+v", p)
	}
	if page = into[contactPage](w.get(tokenOf(other, service), "/v1/corps/"+other+"/contacts?ids=wmEXAMPLEcustomer001").want(200)); page.Contacts[0].Name != nil {
		t.Error("another corp sees the name")
	}
	if page = into[contactPage](w.get(tokenOf(other, service), "/v1/corps/"+other+"/contacts").want(200)); len(page.Contacts) != 0 {
		t.Error("another corp lists the names")
	}
}

func TestContactsAndRoomsAreListedPageByPage(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	who := tokenOf(corp, service)
	var people, rooms []any
	for i := range givenMost {
		people = append(people, map[string]any{"id": fmt.Sprintf("m%03d", i), "name": fmt.Sprint("名", i)})
	}
	for i := range 25 {
		rooms = append(rooms, map[string]any{"id": fmt.Sprintf("wr%03d", i), "name": fmt.Sprint("群", i), "owner": "lin.hua", "kind": "customer"})
	}
	w.send(who, "PUT", "/v1/corps/"+corp+"/contacts", map[string]any{"contacts": people}).want(200)
	w.send(who, "PUT", "/v1/corps/"+corp+"/rooms", map[string]any{"rooms": rooms}).want(200)
	var seen []string
	for path := "/v1/corps/" + corp + "/contacts?limit=200"; ; {
		page := into[contactPage](w.get(who, path).want(200))
		for _, p := range page.Contacts {
			seen = append(seen, p.ID)
		}
		if page.Next == nil {
			break
		}
		path = "/v1/corps/" + corp + "/contacts?limit=200&page=" + *page.Next
	}
	if len(seen) != givenMost || len(archive.Distinct(seen)) != givenMost {
		t.Errorf("got %d people, %d distinct, want %d", len(seen), len(archive.Distinct(seen)), givenMost)
	}
	seen = nil
	for path := "/v1/corps/" + corp + "/rooms"; ; {
		page := into[roomPage](w.get(who, path).want(200))
		for _, r := range page.Rooms {
			if deref(r.Owner) != "lin.hua" || deref(r.Kind) != directory.CustomerRoom {
				t.Fatalf("got %+v", r)
			}
			seen = append(seen, r.ID)
		}
		if page.Next == nil {
			break
		}
		path = "/v1/corps/" + corp + "/rooms?page=" + *page.Next
	}
	if len(seen) != 25 {
		t.Errorf("got %d rooms, want 25", len(seen))
	}
	if page := into[roomPage](w.get(who, "/v1/corps/"+corp+"/rooms?ids=wr001,wrNone").want(200)); len(page.Rooms) != 2 || deref(page.Rooms[0].Name) != "群1" || page.Rooms[1].Name != nil {
		t.Errorf("got %+v", page)
	}
	token := into[contactPage](w.get(who, "/v1/corps/"+corp+"/contacts?limit=1").want(200)).Next
	w.get(who, "/v1/corps/"+corp+"/rooms?page="+*token).wantProblem(400, "invalid-request")
}

// Every mistake is named with its place, at once, and nothing is saved.
func TestGivenNamesAreChecked(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	who, contacts, rooms := tokenOf(corp, service), "/v1/corps/"+corp+"/contacts", "/v1/corps/"+corp+"/rooms"
	long := strings.Repeat("长", maxPersonName+1)
	for _, tc := range []struct{ path, body, rules string }{
		{contacts, `{}`, "contacts:required"},
		{contacts, `{"contacts": {}}`, "contacts:type"},
		{contacts, `{"contacts": []}`, "contacts:length"},
		{contacts, `{"contacts": [1]}`, "contacts[0]:json"},
		{contacts, `{"contacts": [{}]}`, "contacts[0].id:required contacts[0].name:required"},
		{contacts, `{"contacts": [{"id": "a", "name": "x"}, {"id": "a", "name": "y"}]}`, "contacts[1].id:repeated"},
		{contacts, `{"contacts": [{"id": "", "name": ""}]}`, "contacts[0].id:length contacts[0].name:length"},
		{contacts, `{"contacts": [{"id": 1, "name": 2, "kind": 3, "avatar": 4, "company": 5}]}`,
			"contacts[0].id:type contacts[0].name:type contacts[0].company:type contacts[0].avatar:type contacts[0].kind:one_of"},
		{contacts, `{"contacts": [{"id": "a", "name": "` + long + `"}]}`, "contacts[0].name:length"},
		{contacts, `{"contacts": [{"id": "a", "name": "a\nb", "avatar": "javascript:alert(1)", "kind": "boss", "phone": "1"}]}`,
			"contacts[0].phone:unknown contacts[0].name:form contacts[0].avatar:form contacts[0].kind:one_of"},
		{contacts, `{"contacts": [{"id": "a", "name": " "}]}`, "contacts[0].name:form"},
		{rooms, `{"rooms": [{"id": "a", "name": "x", "kind": "secret", "owner": ""}]}`, "rooms[0].kind:one_of rooms[0].owner:length"},
	} {
		if got := w.send(who, "PUT", tc.path, tc.body).wantProblem(400, "invalid-request").rules(); got != tc.rules {
			t.Errorf("%.80s: got %s, want %s", tc.body, got, tc.rules)
		}
	}
	many := make([]any, givenMost+1)
	for i := range many {
		many[i] = map[string]any{"id": fmt.Sprint(i), "name": "x"}
	}
	if got := w.send(who, "PUT", contacts, map[string]any{"contacts": many}).wantProblem(400, "invalid-request").rules(); got != "contacts:length" {
		t.Errorf("too many: got %s", got)
	}
	if got := w.send(who, "PUT", contacts, `{"contacts": [`+strings.Repeat(`{},`, givenMost-1)+`{}]}`).wantProblem(400, "invalid-request").rules(); strings.Count(got, " ") != maxMistakes-1 {
		t.Errorf("very many mistakes: got %d of them, want %d", strings.Count(got, " ")+1, maxMistakes)
	}
	for query, rules := range map[string]string{
		"ids=": "ids:length", "ids=a,,b": "ids:length", "ids=" + strings.Repeat("x", maxParty+1): "ids:length",
		"ids=" + strings.Repeat("a,", 3) + "a&page=x": "page:token page:exclusive", "limit=0": "limit:range", "who=x": "who:unknown",
	} {
		if got := w.get(who, contacts+"?"+query).wantProblem(400, "invalid-request").rules(); got != rules {
			t.Errorf("%s: got %s, want %s", query, got, rules)
		}
	}
	var ids []string
	for i := range peopleMost + 1 {
		ids = append(ids, fmt.Sprint("u", i))
	}
	if got := w.get(who, contacts+"?ids="+strings.Join(ids, ",")).wantProblem(400, "invalid-request").rules(); got != "ids:length" {
		t.Errorf("too many ids: got %s", got)
	}
	if page := into[contactPage](w.get(who, contacts).want(200)); len(page.Contacts) != 0 {
		t.Errorf("got %d people, want none: nothing was right", len(page.Contacts))
	}
}

func TestAppIsSavedAndTried(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	who, path := tokenOf(corp, admin), "/v1/corps/"+corp+"/app"
	before := into[appJSON](w.get(who, path).want(200))
	if before.State != todo || before.Callback != nil || before.SecretMasked != nil || len(before.TrustedIPs) != 2 {
		t.Errorf("before: got %+v", before)
	}
	text := "app-" + secretMark + "-0123456789"
	resp := w.send(who, "PUT", path, map[string]any{"secret": text, "agent_id": "1000002"}).want(200)
	app := into[appJSON](resp)
	if app.State != waiting || deref(app.AgentID) != "1000002" || deref(app.SecretMasked) != "app-••••••••" || app.Callback == nil ||
		app.Callback.URL != "https://archive.example.com/callback/"+corp+"/app" || len(app.Callback.EncodingAESKey) != 43 {
		t.Errorf("saved: got %+v", app)
	}
	if strings.Contains(string(resp.body), secretMark) {
		t.Error("the answer holds the secret")
	}
	stored, err := w.secrets.AppSecret(t.Context(), corp)
	if err != nil || !stored.Equal(secret.New(text)) {
		t.Errorf("got error %v, or another secret", err)
	}
	if reqs := w.inspectRequests(); len(reqs) != 1 || !reqs[0].Check || !reqs[0].Force {
		t.Errorf("got %+v, want one check that a person asked for", reqs)
	}

	// The same again is tried again, and changes nothing.
	w.pass(time.Minute)
	again := into[appJSON](w.send(who, "PUT", path, map[string]any{"secret": text}).want(200))
	if deref(again.AgentID) != "1000002" || *again.SecretSetAt != *app.SecretSetAt || again.Callback.Token != app.Callback.Token {
		t.Errorf("again: got %+v, want what was there", again)
	}
	if reqs := w.inspectRequests(); len(reqs) != 1 {
		t.Errorf("again: got %d requests, want 1", len(reqs))
	}
	changed := into[appJSON](w.send(who, "PUT", path, map[string]any{"secret": text + "x", "agent_id": "1000003"}).want(200))
	if *changed.SecretSetAt == *app.SecretSetAt || deref(changed.AgentID) != "1000003" || changed.Callback.Token != app.Callback.Token {
		t.Errorf("changed: got %+v", changed)
	}
	for body, rules := range map[string]string{
		`{}`:                                   "secret:required",
		`{"secret": "short"}`:                  "secret:length",
		`{"secret": "with blanks in it, too"}`: "secret:form",
		`{"secret": "0123456789abcdef", "agent_id": "x1"}`: "agent_id:form",
		`{"secret": "0123456789abcdef", "agent_id": 7}`:    "agent_id:type",
	} {
		if got := w.send(who, "PUT", path, body).wantProblem(400, "invalid-request").rules(); got != rules {
			t.Errorf("%s: got %s, want %s", body, got, rules)
		}
	}
}

// note is a state of an access for the secrets that are saved now.
func (w *world) note(a directory.Access, s archive.Standing) {
	w.t.Helper()
	reach, err := w.contacts.Reach(w.t.Context(), corp)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := w.corps.Corp(w.t.Context(), corp)
	if err != nil {
		w.t.Fatal(err)
	}
	s.SecretSetAt = reach.Standing(a, c).SecretSetAt
	if err := w.contacts.SaveAccess(w.t.Context(), corp, a, s); err != nil {
		w.t.Fatal(err)
	}
}

func TestInspection(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	who, path := tokenOf(corp, admin), "/v1/corps/"+corp+"/inspect"
	before := into[inspectionJSON](w.get(who, path).want(200))
	if before.CheckedAt != nil || before.Scope != nil || len(before.Accesses) != 3 {
		t.Errorf("before: got %+v", before)
	}
	w.send(who, "PUT", "/v1/corps/"+corp+"/app", map[string]any{"secret": "app-secret-0123456789"}).want(200)
	w.inspectRequests()

	w.send(who, "POST", path, map[string]any{}).want(202)
	w.send(who, "POST", path, map[string]any{}).want(202)
	dedups := map[string]bool{}
	for _, s := range w.drain(w.inspects) {
		dedups[s.dedup] = true
	}
	if len(dedups) != 1 {
		t.Errorf("a double click: got %d deduplication ids, want 1", len(dedups))
	}
	w.send(who, "POST", path, map[string]any{
		"pairs": []any{map[string]any{"member": "lin.hua", "external_contact": "wmX"}}, "rooms": []string{"wrA"},
	}).want(202)
	reqs := w.inspectRequests()
	if len(reqs) != 1 || !reqs[0].Force || len(reqs[0].Pairs) != 1 || reqs[0].Pairs[0] != (directory.Pair{Member: "lin.hua", Contact: "wmX"}) || !slices.Equal(reqs[0].ConsentRooms, []string{"wrA"}) {
		t.Errorf("got %+v", reqs)
	}
	for body, rules := range map[string]string{
		`{"pairs": []}`:                   "pairs:length",
		`{"pairs": [{"member": "a"}]}`:    "pairs[0].external_contact:required",
		`{"rooms": "wrA"}`:                "rooms:type",
		`{"rooms": ["wrA", 1, ""]}`:       "rooms[1]:type rooms[2]:length",
		`{"rooms": ["a"], "check": true}`: "check:unknown",
		`{"pairs": [{"member": 1, "external_contact": "x", "y": 1}]}`: "pairs[0].y:unknown pairs[0].member:type",
	} {
		if got := w.send(who, "POST", path, body).wantProblem(400, "invalid-request").rules(); got != rules {
			t.Errorf("%s: got %s, want %s", body, got, rules)
		}
	}

	// The results, in the words of the step that mends them.
	ok(t, w.contacts.SaveScope(t.Context(), corp, directory.Scope{Count: 2, Members: []string{"lin.hua", "0042"}, At: w.now()}))
	ok(t, w.contacts.SaveChecked(t.Context(), corp, w.now()))
	w.note(directory.AccessArchive, archive.Standing{OKAt: w.now(), NotBefore: w.now().Add(-time.Hour)})
	w.note(directory.AccessCustomers, archive.Standing{
		NotBefore: w.now().Add(time.Hour),
		Trouble:   &archive.Trouble{Cause: archive.CauseTrustedIP, Op: "externalcontact/get", Code: 60020, FromIP: "203.0.113.9", Since: w.now(), At: w.now()},
	})
	got := into[inspectionJSON](w.get(tokenOf(corp, auditor), path).want(200))
	if got.Scope == nil || got.Scope.Count != 2 || got.CheckedAt == nil || got.Accesses[0].OKAt == nil || got.Accesses[0].NotBefore != nil || got.Accesses[0].Trouble != nil {
		t.Errorf("got %+v", got)
	}
	trouble := got.Accesses[2].Trouble
	if trouble == nil || deref(trouble.Step) != directory.AppStep || !strings.Contains(trouble.Mend, "企业可信IP") || !strings.Contains(trouble.What, "203.0.113.9") || got.Accesses[2].NotBefore == nil {
		t.Errorf("got trouble %+v", trouble)
	}
	for _, step := range []struct {
		customers, members archive.Standing
		want               stepState
	}{
		{archive.Standing{OKAt: w.now()}, archive.Standing{}, waiting},
		{archive.Standing{OKAt: w.now()}, archive.Standing{OKAt: w.now()}, done},
		{archive.Standing{OKAt: w.now()}, archive.Standing{OKAt: w.now(), Trouble: &archive.Trouble{Cause: archive.CauseSecret}}, redo},
		{archive.Standing{OKAt: w.now()}, archive.Standing{OKAt: w.now(), Trouble: &archive.Trouble{Cause: archive.CauseBusy}}, done},
	} {
		w.note(directory.AccessCustomers, step.customers)
		w.note(directory.AccessMembers, step.members)
		if got := into[appJSON](w.get(who, "/v1/corps/"+corp+"/app").want(200)).State; got != step.want {
			t.Errorf("%+v: got state %s, want %s", step.members, got, step.want)
		}
	}
}

func TestConsentsAreListed(t *testing.T) {
	w := newWorld(t)
	w.withPair(corp, pair)
	said := func(member, room, contact string, status archive.ConsentStatus) archive.Consent {
		return archive.Consent{Corp: corp, Member: member, Room: room, Contact: contact, Status: status, ChangedAt: noon.Truncate(time.Second), Source: archive.ConsentMessage, At: noon}
	}
	ok(t, w.consents.RecordConsents(t.Context(), []archive.Consent{
		said("lin.hua", "", "wm1", archive.Agreed), said("lin.hua", "", "wm2", archive.Disagreed), said("0042", "", "wm1", archive.AgreedDefault), said("", "wrA", "wm1", archive.Disagreed),
	}))
	ok(t, w.contacts.GivePeople(t.Context(), corp, []directory.Person{{ID: "wm1", Kind: directory.External, Name: "小明妈妈", Origin: directory.Origin{Source: directory.SourceSCRM, At: noon}}}))
	type page struct {
		Consents []consentJSON
		Names    namesJSON
		Next     *string
	}
	path := "/v1/corps/" + corp + "/consents?"
	for query, want := range map[string][]string{
		"member=lin.hua":                      {"wm1 lin.hua  agree", "wm2 lin.hua  disagree"},
		"member=lin.hua&external_contact=wm2": {"wm2 lin.hua  disagree"},
		"external_contact=wm1":                {"wm1  wrA disagree", "wm1 0042  default_agree", "wm1 lin.hua  agree"},
		"room=wrA":                            {"wm1  wrA disagree"},
		"room=wrA&external_contact=wm2":       nil,
	} {
		var got []string
		for at := ""; ; {
			p := into[page](w.get(tokenOf(corp, auditor), path+query+"&limit=1"+at).want(200))
			for _, c := range p.Consents {
				got = append(got, fmt.Sprint(c.ExternalContact, " ", deref(c.Member), " ", deref(c.Room), " ", c.Status))
				if c.ExternalContact == "wm1" && p.Names.People["wm1"].Name != "小明妈妈" {
					t.Errorf("%s: got names %+v", query, p.Names)
				}
			}
			if p.Next == nil {
				break
			}
			at = "&page=" + *p.Next
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	for query, rules := range map[string]string{"": ":exclusive", "member=a&room=b": ":exclusive", "member=": "member:length", "limit=1": ":exclusive"} {
		if got := w.get(tokenOf(corp, auditor), path+query).wantProblem(400, "invalid-request").rules(); got != rules {
			t.Errorf("%s: got %s, want %s", query, got, rules)
		}
	}
	limited := tokenOf(corp, reader).with("staff", "lin.hua")
	w.get(limited, path+"member=lin.hua").want(200)
	for _, query := range []string{"member=0042", "external_contact=wm1", "room=wrA"} {
		w.get(limited, path+query).wantProblem(403, "forbidden")
	}
	w.get(tokenOf(corp, admin), path+"member=lin.hua").wantProblem(403, "forbidden")
}

func appEvent(change string, fields ...string) string {
	xml := "<xml><ToUserName><![CDATA[x]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName><CreateTime>1767225826</CreateTime><MsgType><![CDATA[event]]></MsgType>" + change
	for i := 0; i < len(fields); i += 2 {
		xml += "<" + fields[i] + "><![CDATA[" + fields[i+1] + "]]></" + fields[i] + ">"
	}
	return xml + "</xml>"
}

const (
	contactEvent = "<Event><![CDATA[change_external_contact]]></Event>"
	roomEvent    = "<Event><![CDATA[change_external_chat]]></Event>"
)

func TestAppCallback(t *testing.T) {
	w := newWorld(t)
	w.withPair(corp, pair)
	ok(t, w.secrets.CreateAppCallback(t.Context(), corp, pair))
	toApp := func(plain string) request {
		r := callback(t, corp, pair, plain)
		r.path = strings.Replace(r.path, "/callback/"+corp, "/callback/"+corp+"/app", 1)
		return r
	}
	// A consent, three times.
	for range 3 {
		w.do(toApp(appEvent(contactEvent, "ChangeType", "msg_audit_approved", "UserID", "lin.hua", "ExternalUserID", "wmEXAMPLEcustomer001", "WelcomeCode", "W"))).want(200)
	}
	list, _, err := w.consents.Consents(t.Context(), corp, archive.ConsentQuery{Member: "lin.hua"}, "", 10)
	if err != nil || len(list) != 1 || list[0].Status != archive.Agreed || list[0].Source != archive.ConsentEvent || !list[0].ChangedAt.Equal(time.Unix(1767225826, 0)) {
		t.Errorf("got %+v, error %v", list, err)
	}
	// Names are fetched anew only where they were fetched before.
	changed := []string{
		appEvent(contactEvent, "ChangeType", "edit_external_contact", "UserID", "lin.hua", "ExternalUserID", "wmEXAMPLEcustomer001"),
		appEvent(roomEvent, "ChangeType", "update", "ChatId", "wrA"),
	}
	for _, e := range changed {
		w.do(toApp(e)).want(200)
	}
	if reqs := w.inspectRequests(); len(reqs) != 0 {
		t.Errorf("nobody asked for these names: got %+v", reqs)
	}
	ok(t, w.contacts.SavePerson(t.Context(), corp, directory.Person{ID: "wmEXAMPLEcustomer001", Name: "旧名"}))
	ok(t, w.contacts.SaveRoom(t.Context(), corp, directory.Room{ID: "wrA", Name: "旧名"}))
	for range 3 {
		for _, e := range changed {
			w.do(toApp(e)).want(200)
		}
	}
	dedups, anew := map[string]bool{}, 0
	for _, s := range w.drain(w.inspects) {
		dedups[s.dedup] = true
		r, err := sqsqueue.ParseInspect(events.SQSMessage{Body: s.body})
		ok(t, err)
		if r.Again && !r.Force {
			anew++
		}
	}
	if len(dedups) != 2 || anew < 2 {
		t.Errorf("got %d deduplication ids, %d anew, want 2: one question per contact and room", len(dedups), anew)
	}
	// Everything authentic is recorded, whatever it is.
	for _, odd := range []string{"<xml></xml>", "not xml", appEvent(contactEvent, "ChangeType", "msg_audit_approved"), appEvent(roomEvent, "ChatId", strings.Repeat("x", 1000))} {
		w.do(toApp(odd)).want(200)
	}
	events, err := w.corps.Events(t.Context(), corp, archive.DayOf(time.Unix(1767225826, 0)))
	if err != nil || len(events) != 5 {
		t.Errorf("got %d events of the day, error %v, want 5", len(events), err)
	}
	c, err := w.corps.Corp(t.Context(), corp)
	if err != nil || !c.CallbackAt.IsZero() {
		t.Errorf("got callback at %s, error %v: the app's events say nothing of the archive's", c.CallbackAt, err)
	}
	if reqs := w.pullRequests(); len(reqs) != 0 {
		t.Errorf("got pulls %+v, want none", reqs)
	}
}

// The two callbacks of a corp have pairs of their own.
func TestAppCallbackHasItsOwnPair(t *testing.T) {
	w := newWorld(t)
	w.withPair(sampleCorp, pair)
	echostr := "&echostr=" + url.QueryEscape(sampleEchostr)
	path := "/callback/" + sampleCorp + "/app?" + sampleQuery + echostr
	w.do(request{method: "GET", path: path}).wantProblem(401, "unauthorized")
	w.pass(pairAge)
	ok(t, w.secrets.CreateAppCallback(t.Context(), sampleCorp, pair))
	if resp := w.do(request{method: "GET", path: path}).want(200); string(resp.body) != "1616140317555161061" {
		t.Errorf("got %q", resp.body)
	}
	if _, err := w.secrets.AppCallback(t.Context(), corp); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("another corp: got error %v", err)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Whoever reads chats gets names beside them, and causes those that are
// missing to be fetched. Without a store of names there are still chats.
func TestNamesBesideChats(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	ok(t, w.corps.SetSecret(t.Context(), corp, "secr", noon))
	ok(t, w.contacts.SetApp(t.Context(), corp, directory.App{SetAt: noon}))
	room := w.store(corp,
		chat("m1", "lin.hua", "wmX", "", noon, "single"),
		chat("m2", "wmY", "lin.hua wmX wmSilent", "wrA", noon.Add(time.Second), "room"),
	)[1].Conversation
	ok(t, w.contacts.GivePeople(t.Context(), corp, []directory.Person{{ID: "lin.hua", Kind: directory.Member, Name: "林华", Origin: directory.Origin{Source: directory.SourceSCRM, At: noon}}}))
	ok(t, w.contacts.SaveRoom(t.Context(), corp, directory.Room{
		ID: "wrA", Kind: directory.CustomerRoom, Name: "家长群", Owner: "lin.hua", Members: []directory.RoomMember{{ID: "wmY", Name: "妈妈"}},
		Origin: directory.Origin{Source: directory.SourceWeCom, At: noon},
	}))
	type names struct {
		Names *namesJSON
		Next  *string
	}
	who := tokenOf(corp, reader)
	check := func(what string, got *namesJSON, people, rooms string) {
		t.Helper()
		if got == nil {
			t.Fatalf("%s: no names", what)
		}
		var list []string
		for id, p := range got.People {
			list = append(list, id+"="+p.Name)
		}
		slices.Sort(list)
		var in []string
		for id, r := range got.Rooms {
			in = append(in, id+"="+r.Name)
		}
		if strings.Join(list, " ") != people || strings.Join(in, " ") != rooms {
			t.Errorf("%s: got %v and %v, want %s and %s", what, list, in, people, rooms)
		}
	}
	list := into[names](w.get(who, "/v1/corps/"+corp+"/conversations?member=lin.hua").want(200))
	check("conversations", list.Names, "lin.hua=林华 wmY=妈妈", "wrA=家长群")
	messages := w.get(who, "/v1/corps/"+corp+"/conversations/"+conversationID(t, corp, room)+"/messages").want(200)
	check("messages", into[names](messages).Names, "wmY=妈妈", "wrA=家长群")
	check("a message", into[names](w.get(who, "/v1/corps/"+corp+"/messages/"+into[messagePageJSON](messages).Messages[0].ID).want(200)).Names, "wmY=妈妈", "wrA=家长群")
	asked := map[string]int{}
	for _, r := range w.inspectRequests() {
		for _, id := range append(r.People, r.Rooms...) {
			asked[id]++
		}
	}
	if want := map[string]int{"wmX": 1, "wmY": 1}; fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("three reads asked for %v, want %v: once each, and nobody who only received in a room", asked, want)
	}

	w.api.names.Names = brokenNames{}
	check("without names", into[names](w.get(who, "/v1/corps/"+corp+"/conversations?member=lin.hua").want(200)).Names, "", "")
}

// brokenNames is a store that is away.
type brokenNames struct{}

func (brokenNames) People(context.Context, string, []string) (map[string]directory.Known[directory.Person], error) {
	return nil, errors.New("away")
}

func (brokenNames) Rooms(context.Context, string, []string) (map[string]directory.Known[directory.Room], error) {
	return nil, errors.New("away")
}

// The names beside a full page never make the answer too large.
func TestNamesAreBounded(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	var people []directory.Person
	var ids []string
	for i := range 200 {
		id := fmt.Sprintf("m%03d", i)
		ids = append(ids, id)
		people = append(people, directory.Person{
			ID: id, Name: strings.Repeat("名", maxPersonName), Avatar: "https://example.com/" + strings.Repeat("x", maxAvatar-100),
			Company: strings.Repeat("司", maxPersonName), Origin: directory.Origin{Source: directory.SourceSCRM, At: noon},
		})
	}
	ok(t, w.contacts.GivePeople(t.Context(), corp, people))
	c := &call{corpID: corp}
	c.corp.ID = corp
	ans, err := asJSON(200, w.api.namesOf(t.Context(), c, ids, nil))
	if err != nil || len(ans.body) > namesBytes+1024 || len(ans.body) < namesBytes/2 {
		t.Errorf("got %d bytes, error %v, want at most %d", len(ans.body), err, namesBytes)
	}
}
