package directory_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
)

type contactPage struct {
	Contacts []directory.PersonJSON
	Next     *string
}

type roomPage struct {
	Rooms []directory.RoomJSON
	Next  *string
}

func TestContactsAreSavedAndRemoved(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.BareCorp(w.Other)
	who, path := w.As(session.Service), "/v1/corps/"+w.Corp+"/contacts"
	saved := apitest.Into[directory.GivenJSON](w.Send(who, "PUT", path, map[string]any{"contacts": []any{
		map[string]any{"id": "wmEXAMPLEcustomer001", "name": "小明妈妈", "avatar": "https://example.com/a.png", "company": "学校"},
		map[string]any{"id": "lin.hua", "name": "林华"},
		map[string]any{"id": "wm-like", "name": "其实是同事", "kind": "member"},
	}}).Want(200))
	if saved.Saved != 3 {
		t.Errorf("got %d saved, want 3", saved.Saved)
	}
	page := apitest.Into[contactPage](w.Get(who, path+"?ids=lin.hua,wmEXAMPLEcustomer001,wm-like,nobody,lin.hua").Want(200))
	var got []string
	for _, p := range page.Contacts {
		got = append(got, fmt.Sprint(p.ID, " ", p.Kind, " ", apitest.Deref(p.Name), " ", apitest.Deref(p.Source), " ", apitest.Deref(p.Company)))
	}
	want := []string{"lin.hua member 林华 scrm ", "wmEXAMPLEcustomer001 external 小明妈妈 scrm 学校", "wm-like member 其实是同事 scrm ", "nobody member   "}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if reqs := w.InspectRequests(); len(reqs) != 0 {
		t.Errorf("no secret is saved: got requests %+v, want none", reqs)
	}
	w.Send(who, "PUT", path, map[string]any{"contacts": []any{map[string]any{"id": "lin.hua", "name": nil}}}).Want(200)
	page = apitest.Into[contactPage](w.Get(who, path+"?ids=lin.hua").Want(200))
	if p := page.Contacts[0]; p.Name != nil || p.Source != nil {
		t.Errorf("removed: got %+v", p)
	}
	if page = apitest.Into[contactPage](w.Get(apitest.TokenOf(w.Other, session.Service), "/v1/corps/"+w.Other+"/contacts?ids=wmEXAMPLEcustomer001").Want(200)); page.Contacts[0].Name != nil {
		t.Error("another corp sees the name")
	}
	if page = apitest.Into[contactPage](w.Get(apitest.TokenOf(w.Other, session.Service), "/v1/corps/"+w.Other+"/contacts").Want(200)); len(page.Contacts) != 0 {
		t.Error("another corp lists the names")
	}
}

func TestContactsAndRoomsAreListedPageByPage(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	who := w.As(session.Service)
	var people, rooms []any
	for i := range directory.GivenMost {
		people = append(people, map[string]any{"id": fmt.Sprintf("m%03d", i), "name": fmt.Sprint("名", i)})
	}
	for i := range 25 {
		rooms = append(rooms, map[string]any{"id": fmt.Sprintf("wr%03d", i), "name": fmt.Sprint("群", i), "owner": "lin.hua", "kind": "customer"})
	}
	w.Send(who, "PUT", "/v1/corps/"+w.Corp+"/contacts", map[string]any{"contacts": people}).Want(200)
	w.Send(who, "PUT", "/v1/corps/"+w.Corp+"/rooms", map[string]any{"rooms": rooms}).Want(200)
	var seen []string
	for path := "/v1/corps/" + w.Corp + "/contacts?limit=200"; ; {
		page := apitest.Into[contactPage](w.Get(who, path).Want(200))
		for _, p := range page.Contacts {
			seen = append(seen, p.ID)
		}
		if page.Next == nil {
			break
		}
		path = "/v1/corps/" + w.Corp + "/contacts?limit=200&page=" + *page.Next
	}
	if len(seen) != directory.GivenMost || len(archive.Distinct(seen)) != directory.GivenMost {
		t.Errorf("got %d people, %d distinct, want %d", len(seen), len(archive.Distinct(seen)), directory.GivenMost)
	}
	seen = nil
	for path := "/v1/corps/" + w.Corp + "/rooms"; ; {
		page := apitest.Into[roomPage](w.Get(who, path).Want(200))
		for _, r := range page.Rooms {
			if apitest.Deref(r.Owner) != "lin.hua" || apitest.Deref(r.Kind) != book.CustomerRoom {
				t.Fatalf("got %+v", r)
			}
			seen = append(seen, r.ID)
		}
		if page.Next == nil {
			break
		}
		path = "/v1/corps/" + w.Corp + "/rooms?page=" + *page.Next
	}
	if len(seen) != 25 {
		t.Errorf("got %d rooms, want 25", len(seen))
	}
	if page := apitest.Into[roomPage](w.Get(who, "/v1/corps/"+w.Corp+"/rooms?ids=wr001,wrNone").Want(200)); len(page.Rooms) != 2 || apitest.Deref(page.Rooms[0].Name) != "群1" || page.Rooms[1].Name != nil {
		t.Errorf("got %+v", page)
	}
	token := apitest.Into[contactPage](w.Get(who, "/v1/corps/"+w.Corp+"/contacts?limit=1").Want(200)).Next
	w.Get(who, "/v1/corps/"+w.Corp+"/rooms?page="+*token).WantProblem(400, "invalid-request")
}

// An id that no message names leaves no item and is not asked for, however often
// it is looked up.
func TestInventedIDsAreNotAskedFor(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	apitest.OK(t, w.Corps.SetSecret(t.Context(), w.Corp, "secr", w.Now()))
	w.Store(w.Corp, apitest.Chat("m1", "lin.hua", "wmA", "wrA", apitest.Noon, "x"))
	who := w.As(session.Admin)
	for i := range 3 {
		ids := []string{"lin.hua"}
		for n := range directory.PeopleMost - 1 {
			ids = append(ids, fmt.Sprintf("invented%d-%d", i, n))
		}
		w.Get(who, "/v1/corps/"+w.Corp+"/contacts?ids="+strings.Join(ids, ",")).Want(200)
		w.Get(who, "/v1/corps/"+w.Corp+"/rooms?ids=wrA,wrInvented").Want(200)
	}
	reqs := w.InspectRequests()
	if len(reqs) != 1 || !slices.Equal(reqs[0].People, []string{"lin.hua"}) || !slices.Equal(reqs[0].Rooms, []string{"wrA"}) {
		t.Errorf("got %+v, want one request for what messages name", reqs)
	}
	if page := apitest.Into[contactPage](w.Get(who, "/v1/corps/"+w.Corp+"/contacts").Want(200)); len(page.Contacts) != 1 {
		t.Errorf("got %d people, want one", len(page.Contacts))
	}
}

// An answer of 400 names every mistake with its place, and no entry is saved.
func TestSavedNamesAreChecked(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	who, contacts, rooms := w.As(session.Service), "/v1/corps/"+w.Corp+"/contacts", "/v1/corps/"+w.Corp+"/rooms"
	long := strings.Repeat("长", directory.MaxPersonName+1)
	for _, tc := range []struct{ path, body, rules string }{
		{contacts, `{}`, "contacts:required"},
		{contacts, `{"contacts": {}}`, "contacts:type"},
		{contacts, `{"contacts": []}`, "contacts:length"},
		{contacts, `{"contacts": [1]}`, "contacts[0]:json"},
		{contacts, `{"contacts": [{}]}`, "contacts[0].id:required contacts[0].name:required"},
		{contacts, `{"contacts": [{"id": "", "name": ""}]}`, "contacts[0].id:length contacts[0].name:form"},
		{contacts, `{"contacts": [{"id": 1, "name": {}}]}`, "contacts[0].id:type contacts[0].name:type"},
		{contacts, `{"contacts": [{"id": "a", "name": "` + long + `"}]}`, "contacts[0].name:length"},
		{contacts, `{"contacts": [{"id": "a", "name": " "}, {"id": "b", "name": "\u0007"}]}`, "contacts[0].name:form contacts[1].name:form"},
		{rooms, `{"rooms": [{"id": "a", "name": true, "kind": "secret", "owner": ""}]}`, "rooms[0].name:type"},
	} {
		if got := w.Send(who, "PUT", tc.path, tc.body).WantProblem(400, "invalid-request").Rules(); got != tc.rules {
			t.Errorf("%.80s: got %s, want %s", tc.body, got, tc.rules)
		}
	}
	many := make([]any, directory.GivenMost+1)
	for i := range many {
		many[i] = map[string]any{"id": fmt.Sprint(i), "name": "x"}
	}
	if got := w.Send(who, "PUT", contacts, map[string]any{"contacts": many}).WantProblem(400, "invalid-request").Rules(); got != "contacts:length" {
		t.Errorf("too many: got %s", got)
	}
	if got := w.Send(who, "PUT", contacts, `{"contacts": [`+strings.Repeat(`{},`, directory.GivenMost-1)+`{}]}`).WantProblem(400, "invalid-request").Rules(); strings.Count(got, " ") != input.MaxMistakes-1 {
		t.Errorf("very many mistakes: got %d of them, want %d", strings.Count(got, " ")+1, input.MaxMistakes)
	}
	for query, rules := range map[string]string{
		"ids=": "ids:length", "ids=a,,b": "ids:length", "ids=" + strings.Repeat("x", input.MaxParty+1): "ids:length",
		"ids=" + strings.Repeat("a,", 3) + "a&page=x": "page:token page:exclusive", "limit=0": "limit:range", "who=x": "who:unknown",
	} {
		if got := w.Get(who, contacts+"?"+query).WantProblem(400, "invalid-request").Rules(); got != rules {
			t.Errorf("%s: got %s, want %s", query, got, rules)
		}
	}
	var ids []string
	for i := range directory.PeopleMost + 1 {
		ids = append(ids, fmt.Sprint("u", i))
	}
	if got := w.Get(who, contacts+"?ids="+strings.Join(ids, ",")).WantProblem(400, "invalid-request").Rules(); got != "ids:length" {
		t.Errorf("too many ids: got %s", got)
	}
	if page := apitest.Into[contactPage](w.Get(who, contacts).Want(200)); len(page.Contacts) != 0 {
		t.Errorf("got %d people, want none: every entry had a mistake", len(page.Contacts))
	}
}

// rules lists details as "field:rule".
func rules(details []problem.MistakeDetail) string {
	var list []string
	for _, d := range details {
		list = append(list, d.Field+":"+string(d.Rule))
	}
	return strings.Join(list, " ")
}

// One odd entry does not keep the others from being saved, and an odd member does not
// keep its entry from being saved.
func TestOddEntriesAreSavedWithoutWhatIsOdd(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	who, path := w.As(session.Service), "/v1/corps/"+w.Corp+"/contacts"
	const good = `{"id":"wmGOOD","name":"好同学"}`
	long := strings.Repeat("x", directory.MaxAvatar+1)
	for name, tc := range map[string]struct{ entry, person, changed, refused string }{
		"control character":       {`{"id":"a","name":"小鱼\u0007儿"}`, "小鱼儿", "contacts[1].name:form", ""},
		"raw control character":   {"{\"id\":\"a\",\"name\":\"小鱼\x07儿\"}", "小鱼儿", "contacts[1].name:form", ""},
		"line break":              {`{"id":"a","name":"小鱼\n儿"}`, "小鱼儿", "contacts[1].name:form", ""},
		"bad UTF-8":               {"{\"id\":\"a\",\"name\":\"小\xff鱼\"}", "小\ufffd鱼", "contacts[1].name:form", ""},
		"name in GBK":             {"{\"id\":\"a\",\"name\":\"\xc3\xfb\"}", "", "", "contacts[1].name:form"},
		"company in GBK":          {"{\"id\":\"a\",\"name\":\"x\",\"company\":\"\xc3\xfb\"}", "x", "contacts[1].company:form", ""},
		"bad escape":              {`{"id":"a","name":"C:\Users"}`, `C:\Users`, "", ""},
		"number":                  {`{"id":"a","name":2046}`, "2046", "contacts[1].name:type", ""},
		"http avatar":             {`{"id":"a","name":"x","avatar":"http://wx.qlogo.cn/mmhead/x/0"}`, "x https://wx.qlogo.cn/mmhead/x/0", "contacts[1].avatar:form", ""},
		"avatar in capitals":      {`{"id":"a","name":"x","avatar":"HTTPS://a.cn/b"}`, "x https://a.cn/b", "", ""},
		"avatar without a scheme": {`{"id":"a","name":"x","avatar":"//a.cn/b"}`, "x https://a.cn/b", "contacts[1].avatar:form", ""},
		"avatar with blanks":      {`{"id":"a","name":"x","avatar":" https://a.cn/b "}`, "x https://a.cn/b", "", ""},
		"avatar that is a script": {`{"id":"a","name":"x","avatar":"javascript:alert(1)//"}`, "x", "contacts[1].avatar:form", ""},
		"avatar of two addresses": {`{"id":"a","name":"x","avatar":"https://a.cn/b https://a.cn/c"}`, "x", "contacts[1].avatar:form", ""},
		"avatar that is a path":   {`{"id":"a","name":"x","avatar":"/img/a.png"}`, "x", "contacts[1].avatar:form", ""},
		"long avatar":             {`{"id":"a","name":"x","avatar":"https://` + long + `"}`, "x", "contacts[1].avatar:length", ""},
		"empty avatar":            {`{"id":"a","name":"x","avatar":"","company":null}`, "x", "", ""},
		"odd members":             {`{"id":"a","name":"x","avatar":4,"company":{},"kind":7,"phone":"1"}`, "x", "contacts[1].company:type contacts[1].avatar:type contacts[1].avatar:form contacts[1].kind:type contacts[1].kind:one_of contacts[1].phone:unknown", ""},
		"kind in capitals":        {`{"id":"a","name":"x","kind":"External"}`, "x", "", ""},
		"no name":                 {`{"id":"a"}`, "", "", "contacts[1].name:required"},
		"name of blanks":          {`{"id":"a","name":"\u0007 "}`, "", "", "contacts[1].name:form"},
		"name of another type":    {`{"id":"a","name":[1]}`, "", "", "contacts[1].name:type"},
		"id of another type":      {`{"id":null,"name":"x"}`, "", "", "contacts[1].id:type"},
		"id of bad UTF-8":         {"{\"id\":\"a\xff\",\"name\":\"x\"}", "", "", "contacts[1].id:form"},
		"id with a control":       {"{\"id\":\"a\u0001\",\"name\":\"x\"}", "", "", "contacts[1].id:form"},
		"id that is too long":     {`{"id":"` + strings.Repeat("x", 300) + `","name":"x"}`, "", "", "contacts[1].id:length"},
		"id of nothing":           {`{"id":"","name":"x"}`, "", "", "contacts[1].id:length"},
		"half a character":        {`{"id":"a","name":"小\ud83d鱼"}`, "小\ufffd鱼", "contacts[1].name:form", ""},
		"avatar with a port":      {`{"id":"a","name":"x","avatar":"http://wx.qlogo.cn:80/a"}`, "x https://wx.qlogo.cn/a", "contacts[1].avatar:form", ""},
		"avatar with a password":  {`{"id":"a","name":"x","avatar":"https://u:p@a.cn/b"}`, "x", "contacts[1].avatar:form", ""},
		"avatar without a host":   {`{"id":"a","name":"x","avatar":"https:///b"}`, "x", "contacts[1].avatar:form", ""},
		"id given before":         {`{"id":"wmGOOD","name":"x"}`, "", "", "contacts[1].id:repeated"},
		"name given twice":        {`{"id":"a","name":"x","name":"y"}`, "", "", "contacts[1].name:repeated"},
		"no object":               {`7`, "", "", "contacts[1]:json"},
	} {
		t.Run(name, func(t *testing.T) {
			w.Send(who, "PUT", path, `{"contacts":[{"id":"a","name":null}]}`).Want(200)
			got := apitest.Into[directory.GivenJSON](w.Send(who, "PUT", path, `{"contacts":[`+good+`,`+tc.entry+`]}`).Want(200))
			saved := 1
			if tc.refused == "" {
				saved = 2
			}
			if got.Saved != saved || rules(got.Changed) != tc.changed || rules(got.Refused) != tc.refused {
				t.Errorf("got %d saved, changed %s, refused %s; want %d, %s, %s", got.Saved, rules(got.Changed), rules(got.Refused), saved, tc.changed, tc.refused)
			}
			page := apitest.Into[contactPage](w.Get(who, path+"?ids=wmGOOD,a").Want(200))
			if apitest.Deref(page.Contacts[0].Name) != "好同学" {
				t.Errorf("got the good entry as %+v", page.Contacts[0])
			}
			if p := page.Contacts[1]; strings.TrimSpace(apitest.Deref(p.Name)+" "+apitest.Deref(p.Avatar)) != tc.person {
				t.Errorf("got %+v, want %s", p, tc.person)
			}
		})
	}
	rooms := apitest.Into[directory.GivenJSON](w.Send(who, "PUT", "/v1/corps/"+w.Corp+"/rooms",
		`{"rooms":[{"id":"wr1","name":"三班\u0000家长群","owner":["x"],"kind":"secret"},{"id":"wr2","name":{}},{"id":"wr3","name":"一班","owner":42}]}`).Want(200))
	if rooms.Saved != 2 || rules(rooms.Changed) != "rooms[0].name:form rooms[0].owner:type rooms[0].kind:one_of rooms[2].owner:type" || rules(rooms.Refused) != "rooms[1].name:type" {
		t.Errorf("rooms: got %+v", rooms)
	}
	if page := apitest.Into[roomPage](w.Get(who, "/v1/corps/"+w.Corp+"/rooms?ids=wr1,wr3").Want(200)); apitest.Deref(page.Rooms[0].Name) != "三班家长群" || apitest.Deref(page.Rooms[1].Owner) != "42" {
		t.Errorf("rooms: got %+v", page.Rooms)
	}
}

func TestInspection(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	who, path := w.As(session.Admin), "/v1/corps/"+w.Corp+"/inspect"
	before := apitest.Into[directory.InspectionJSON](w.Get(who, path).Want(200))
	if before.CheckedAt != nil || before.Scope != nil || len(before.Accesses) != 3 {
		t.Errorf("before: got %+v", before)
	}
	w.Send(who, "PUT", "/v1/corps/"+w.Corp+"/app", map[string]any{"secret": "app-secret-0123456789"}).Want(200)
	w.InspectRequests()

	w.Send(who, "POST", path, map[string]any{}).Want(202)
	w.Send(who, "POST", path, map[string]any{}).Want(202)
	w.Send(who, "POST", path, map[string]any{
		"pairs": []any{map[string]any{"member": "lin.hua", "external_contact": "wmX"}}, "rooms": []string{"wrA"},
	}).Want(202)
	reqs := w.InspectRequests()
	if len(reqs) != 1 || !reqs[0].Force || len(reqs[0].Pairs) != 1 || reqs[0].Pairs[0] != (book.Pair{Member: "lin.hua", Contact: "wmX"}) || !slices.Equal(reqs[0].ConsentRooms, []string{"wrA"}) {
		t.Errorf("got %+v, want one request for all three", reqs)
	}
	for body, rules := range map[string]string{
		`{"pairs": []}`:                   "pairs:length",
		`{"pairs": [{"member": "a"}]}`:    "pairs[0].external_contact:required",
		`{"rooms": "wrA"}`:                "rooms:type",
		`{"rooms": ["wrA", 1, ""]}`:       "rooms[1]:type rooms[2]:length",
		`{"rooms": ["a"], "check": true}`: "check:unknown",
		`{"pairs": [{"member": 1, "external_contact": "x", "y": 1}]}`: "pairs[0].y:unknown pairs[0].member:type",
	} {
		if got := w.Send(who, "POST", path, body).WantProblem(400, "invalid-request").Rules(); got != rules {
			t.Errorf("%s: got %s, want %s", body, got, rules)
		}
	}

	// The results name the step that a person must redo.
	apitest.OK(t, w.Contacts.SaveScope(t.Context(), w.Corp, book.Scope{Count: 2, Members: []string{"lin.hua", "0042"}, At: w.Now()}))
	apitest.OK(t, w.Contacts.SaveChecked(t.Context(), w.Corp, w.Now()))
	w.NoteAccess(book.AccessArchive, archive.Standing{OKAt: w.Now(), NotBefore: w.Now().Add(-time.Hour)})
	w.NoteAccess(book.AccessCustomers, archive.Standing{
		NotBefore: w.Now().Add(time.Hour),
		Trouble:   &archive.Trouble{Cause: archive.CauseTrustedIP, Op: "externalcontact/get", Code: 60020, FromIP: "203.0.113.9", Since: w.Now(), At: w.Now()},
	})
	got := apitest.Into[directory.InspectionJSON](w.Get(w.As(session.Auditor), path).Want(200))
	if got.Scope == nil || got.Scope.Count != 2 || got.CheckedAt == nil || got.Accesses[0].OKAt == nil || got.Accesses[0].NotBefore != nil || got.Accesses[0].Trouble != nil {
		t.Errorf("got %+v", got)
	}
	trouble := got.Accesses[2].Trouble
	if trouble == nil || apitest.Deref(trouble.Step) != book.AppStep || !strings.Contains(trouble.Remedy, "企业可信IP") || !strings.Contains(trouble.What, "203.0.113.9") || got.Accesses[2].NotBefore == nil {
		t.Errorf("got trouble %+v", trouble)
	}
}

func TestConsentsAreListed(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	said := func(member, room, contact string, status archive.ConsentStatus) archive.Consent {
		return archive.Consent{Corp: w.Corp, Member: member, Room: room, Contact: contact, Status: status, ChangedAt: apitest.Noon.Truncate(time.Second), Source: archive.ConsentMessage, At: apitest.Noon}
	}
	apitest.OK(t, w.Consents.RecordConsents(t.Context(), []archive.Consent{
		said("lin.hua", "", "wm1", archive.Agreed), said("lin.hua", "", "wm2", archive.Disagreed), said("0042", "", "wm1", archive.AgreedDefault), said("", "wrA", "wm1", archive.Disagreed),
	}))
	apitest.OK(t, w.Contacts.GivePeople(t.Context(), w.Corp, []book.Person{{ID: "wm1", Kind: book.External, Name: "小明妈妈", Origin: book.Origin{Source: book.SourceSCRM, At: apitest.Noon}}}))
	type page struct {
		Consents []directory.ConsentJSON
		Names    directory.Names
		Next     *string
	}
	path := "/v1/corps/" + w.Corp + "/consents?"
	for query, want := range map[string][]string{
		"member=lin.hua":                      {"wm1 lin.hua  agree", "wm2 lin.hua  disagree"},
		"member=lin.hua&external_contact=wm2": {"wm2 lin.hua  disagree"},
		"external_contact=wm1":                {"wm1  wrA disagree", "wm1 0042  default_agree", "wm1 lin.hua  agree"},
		"room=wrA":                            {"wm1  wrA disagree"},
		"room=wrA&external_contact=wm2":       nil,
	} {
		var got []string
		for at := ""; ; {
			p := apitest.Into[page](w.Get(w.As(session.Auditor), path+query+"&limit=1"+at).Want(200))
			for _, c := range p.Consents {
				got = append(got, fmt.Sprint(c.ExternalContact, " ", apitest.Deref(c.Member), " ", apitest.Deref(c.Room), " ", c.Status))
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
		if got := w.Get(w.As(session.Auditor), path+query).WantProblem(400, "invalid-request").Rules(); got != rules {
			t.Errorf("%s: got %s, want %s", query, got, rules)
		}
	}
	limited := w.As(session.Reader).With("staff", "lin.hua")
	w.Get(limited, path+"member=lin.hua").Want(200)
	for _, query := range []string{"member=0042", "external_contact=wm1", "room=wrA"} {
		w.Get(limited, path+query).WantProblem(403, "forbidden")
	}
	w.Get(w.As(session.Admin), path+"member=lin.hua").WantProblem(403, "forbidden")
}

// savedPeople is a store of names that the SCRM saved.
type savedPeople struct {
	book.NameReader
	people map[string]book.Known[book.Person]
}

func (s savedPeople) People(context.Context, string, []string) (map[string]book.Known[book.Person], error) {
	return s.people, nil
}

// noApp is a corp without a self-built app, so no name is requested.
type noApp struct{}

func (noApp) Reach(context.Context, string) (book.Reach, error) { return book.Reach{}, nil }

// The names beside a full page do not make the answer too large.
func TestNamesAreBounded(t *testing.T) {
	store := savedPeople{people: make(map[string]book.Known[book.Person])}
	var ids []string
	for i := range 200 {
		id := fmt.Sprintf("m%03d", i)
		ids = append(ids, id)
		store.people[id] = book.Known[book.Person]{Given: &book.Person{
			ID: id, Name: strings.Repeat("名", directory.MaxPersonName), Avatar: "https://example.com/" + strings.Repeat("x", directory.MaxAvatar-100),
			Company: strings.Repeat("司", directory.MaxPersonName), Origin: book.Origin{Source: book.SourceSCRM, At: apitest.Noon},
		}}
	}
	h := &directory.Handlers{Book: &book.NameBook{
		Names: store, Reach: noApp{}, Now: func() time.Time { return apitest.Noon }, Log: slog.New(slog.DiscardHandler),
	}}
	ans, err := output.JSON(200, h.Beside(t.Context(), archive.Corp{ID: "ww0123456789abcdef"}, ids, nil))
	if err != nil || len(ans.Body) > output.NamesBytes+1024 || len(ans.Body) < output.NamesBytes/2 {
		t.Errorf("got %d bytes, error %v, want at most %d", len(ans.Body), err, output.NamesBytes)
	}
}

// The history has every answer in the order of time, whatever it was learned from,
// and says which one held at the time of a message.
func TestConsentHistory(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	answer := func(member, room, contact string, status archive.ConsentStatus, source archive.ConsentSource, hours int) archive.Consent {
		a := archive.Consent{Corp: w.Corp, Member: member, Room: room, Contact: contact, Status: status, Source: source, At: apitest.Noon.Add(time.Duration(hours) * time.Hour)}
		if status != archive.AgreedDefault {
			a.ChangedAt = a.At.Truncate(time.Second)
		}
		return a
	}
	apitest.OK(t, w.Consents.RecordConsents(t.Context(), []archive.Consent{
		answer("lin.hua", "", "wmA", archive.Disagreed, archive.ConsentMessage, 2),
		answer("lin.hua", "", "wmA", archive.AgreedDefault, archive.ConsentCheck, 0),
		answer("lin.hua", "", "wmA", archive.Agreed, archive.ConsentEvent, 1),
		answer("lin.hua", "", "wmB", archive.Agreed, archive.ConsentEvent, 1),
		answer("", "wrR", "wmA", archive.Agreed, archive.ConsentCheck, 1),
		answer("", "wrR", "wmB", archive.Disagreed, archive.ConsentCheck, 3),
	}))
	path := "/v1/corps/" + w.Corp + "/consents/history?"
	list := func(query string) string {
		t.Helper()
		var got []string
		for next := ""; ; {
			p := apitest.Into[struct {
				History []struct {
					Contact string `json:"external_contact"`
					Status  string
				}
				Next *string
			}](w.Get(w.As(session.Reader), path+query+next).Want(200))
			for _, a := range p.History {
				got = append(got, a.Contact+" "+a.Status)
			}
			if p.Next == nil {
				return strings.Join(got, ", ")
			}
			next = "&page=" + *p.Next
		}
	}
	at := func(hours int) string {
		return "&at=" + apitest.Noon.Add(time.Duration(hours)*time.Hour+time.Minute).Format(time.RFC3339)
	}
	for query, want := range map[string]string{
		"member=lin.hua&external_contact=wmA&limit=1":         "wmA default_agree, wmA agree, wmA disagree",
		"member=lin.hua&external_contact=wmA" + at(-1):        "",
		"member=lin.hua&external_contact=wmA" + at(0):         "wmA default_agree",
		"member=lin.hua&external_contact=wmA" + at(1):         "wmA agree",
		"member=lin.hua&external_contact=wmA" + at(9):         "wmA disagree",
		"member=lin.hua&external_contact=wmA&limit=1" + at(1): "wmA agree",
		"member=lin.hua&external_contact=wmA&limit=2" + at(9): "wmA disagree",
		"room=wrR":                            "wmA agree, wmB disagree",
		"room=wrR" + at(2):                    "wmA agree",
		"room=wrR&external_contact=wmB":       "wmB disagree",
		"member=lin.hua&external_contact=wmC": "",
	} {
		if got := list(query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"", "member=lin.hua", "external_contact=wmA", "member=lin.hua&external_contact=wmA&room=wrR"} {
		w.Get(w.As(session.Reader), path+query).WantProblem(400, "invalid-request")
	}
	limited := w.As(session.Reader).With("staff", "lin.hua")
	w.Get(limited, path+"member=lin.hua&external_contact=wmA").Want(200)
	w.Get(limited, path+"member=chen&external_contact=wmA").WantProblem(403, "forbidden")
	w.Get(limited, path+"room=wrR").WantProblem(403, "forbidden")
	sum := string(w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/consents/summary").Want(200).Body)
	if want := `{"members":{"agree":1,"disagree":1,"default_agree":0},"rooms":{"agree":1,"disagree":1,"default_agree":0},"whole":true}` + "\n"; sum != want {
		t.Errorf("got %s, want %s", sum, want)
	}
}

// The members in scope on a day are listed by edition, page by page, with their
// days, to those who may see the status.
func TestScopeIsListed(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	path := "/v1/corps/" + w.Corp + "/scope"
	type stay struct {
		Member  string
		Edition *int
		Since   string
		Until   *string
	}
	type page struct {
		Editions []struct{ Edition, Count *int }
		Members  []stay
		Next     *string
	}
	who := w.As(session.Auditor)
	if got := apitest.Into[page](w.Get(who, path).Want(200)); len(got.Members) != 0 || got.Next != nil {
		t.Errorf("before the first check: got %+v", got)
	}
	change := func(member string, e book.Edition, entered bool, day int) book.ScopeChange {
		return book.ScopeChange{Member: member, Edition: e, Entered: entered, At: time.Date(2026, 1, day, 4, 0, 0, 0, time.UTC)}
	}
	for _, changes := range [][]book.ScopeChange{
		{change("0042", book.Service, true, 2), change("lin.hua", book.Service, true, 2), change("trial", book.AllEditions, true, 2)},
		{change("lin.hua", book.Service, false, 9), change("lin.hua", book.Enterprise, true, 9), change("trial", book.AllEditions, false, 9)},
	} {
		apitest.OK(t, w.Contacts.AppendScope(t.Context(), w.Corp, changes))
	}
	apitest.OK(t, w.Contacts.SaveScope(t.Context(), w.Corp, book.Scope{Count: 2, Editions: map[book.Edition]int{book.Service: 1, book.Enterprise: 1}, At: w.Now()}))
	list := func(query string) (lines []string) {
		t.Helper()
		for next := ""; ; {
			got := apitest.Into[page](w.Get(who, path+"?"+query+next).Want(200))
			for _, s := range got.Members {
				lines = append(lines, fmt.Sprintf("%s %d %s %s", s.Member, apitest.Deref(s.Edition), s.Since, apitest.Deref(s.Until)))
			}
			if got.Next == nil {
				return lines
			}
			next = "&page=" + *got.Next
		}
	}
	for query, want := range map[string][]string{
		"limit=1":                {"0042 2 2026-01-02 ", "lin.hua 3 2026-01-09 "},
		"day=2026-01-05&limit=2": {"0042 2 2026-01-02 ", "lin.hua 2 2026-01-02 2026-01-09", "trial 0 2026-01-02 2026-01-09"},
		"day=2026-01-01":         nil,
	} {
		if got := list(query); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	got := apitest.Into[struct {
		Scope struct {
			Editions []struct{ Edition, Count int }
		}
	}](w.Get(who, "/v1/corps/"+w.Corp+"/inspect").Want(200))
	if len(got.Scope.Editions) != 2 || got.Scope.Editions[1].Edition != 3 || got.Scope.Editions[1].Count != 1 {
		t.Errorf("got editions %+v, want one member each of 2 and 3", got.Scope.Editions)
	}
	if rules := w.Get(who, path+"?day=yesterday").WantProblem(400, "invalid-request").Rules(); rules != "day:form" {
		t.Errorf("got %s", rules)
	}
}
