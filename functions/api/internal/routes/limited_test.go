package routes_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/routes"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/message"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// chatsWorld has chats of lin.hua and 0042, to whom the reader of this test is
// limited, and chats of their colleagues zhao and qian, who share the customers
// wmA and wmB and the rooms with them.
type chatsWorld struct {
	*apitest.World
	seq     uint64
	visible []archive.Message // that the reader may see
	hidden  []archive.Message
	noted   archive.Change // of the last page
	hers    archive.Change // of the last page of newChatsWorld
}

// at is a time on a day before that of the test.
func at(daysAgo int, later time.Duration) time.Time {
	return apitest.Noon.AddDate(0, 0, -daysAgo).Add(later)
}

// store stores messages with seqs of their own, as decoding does.
func (w *chatsWorld) store(raws ...string) []archive.Message {
	w.T.Helper()
	page := decode.Decoded{Corp: w.Corp}
	listed := make(map[archive.Activity]bool)
	for _, raw := range raws {
		w.seq++
		f, _ := message.Parse([]byte(raw))
		parties := archive.Distinct(f.Parties())
		m := archive.Message{
			Corp: w.Corp, Conversation: archive.PartyConversation(parties), Time: time.UnixMilli(f.Time).UTC(), MsgID: f.MsgID,
			Seq: w.seq, After: w.seq - 1, KeyVersion: 1, Raw: []byte(raw),
		}
		if f.RoomID != "" {
			m.Conversation = archive.RoomConversation(f.RoomID)
		}
		if len(raw) > archive.InlineLimit {
			m.Raw, m.Overflow = nil, &archive.Overflow{Sum: archive.Digest([]byte(raw)), Size: len(raw)}
			apitest.OK(w.T, w.Journal.PutMessage(w.T.Context(), w.Corp, *m.Overflow, []byte(raw)))
		}
		for _, party := range parties {
			a := archive.Activity{Corp: w.Corp, Party: party, Day: archive.DayOf(m.Time), Conversation: m.Conversation}
			if !listed[a] {
				listed[a] = true
				page.Activities = append(page.Activities, a)
			}
		}
		page.Messages = append(page.Messages, m)
	}
	var named []string
	for _, a := range page.Activities {
		named = append(named, a.Party)
	}
	page.Change = archive.NewChange(w.Now().Add(time.Duration(w.seq)*time.Millisecond), w.seq, named)
	w.noted = page.Change
	apitest.OK(w.T, w.Messages.WritePage(w.T.Context(), page))
	return page.Messages
}

// revoke stores a message that revokes another one, and the revocation.
func (w *chatsWorld) revoke(raw, msgid string) {
	w.T.Helper()
	by := w.store(raw)[0]
	f, _ := message.Parse([]byte(raw))
	apitest.OK(w.T, w.Messages.WritePage(w.T.Context(), decode.Decoded{Corp: w.Corp, Revocations: []archive.Revocation{
		{Corp: w.Corp, Conversation: by.Conversation, MsgID: msgid, By: f.From, At: by.Time, Seq: by.Seq},
	}}))
}

func (w *chatsWorld) answered(contact, member string) {
	w.T.Helper()
	apitest.OK(w.T, w.Consents.RecordConsents(w.T.Context(), []archive.Consent{
		{Corp: w.Corp, Member: member, Contact: contact, Status: archive.Agreed, ChangedAt: apitest.Noon, Source: archive.ConsentMessage, At: apitest.Noon},
	}))
}

// named is a message with a file.
func named(msgid, from, to, room string, at time.Time, sdkFileID string) string {
	text := apitest.Chat(msgid, from, to, room, at, "")
	return strings.Replace(text, `"msgtype":"text"`, `"file":{"sdkfileid":"`+sdkFileID+`","filename":"a.pdf","fileext":"pdf","filesize":5},"msgtype":"file"`, 1)
}

// room stores what WeCom answered about a room.
func (w *chatsWorld) room(id, owner string, members ...string) {
	w.T.Helper()
	r := book.Room{ID: id, Kind: book.CustomerRoom, Name: "群 " + id, Owner: owner, Origin: book.Origin{Source: book.SourceWeCom, At: apitest.Noon}}
	for _, m := range members {
		r.Members = append(r.Members, book.RoomMember{ID: m})
	}
	apitest.OK(w.T, w.Contacts.SaveRoom(w.T.Context(), w.Corp, r))
}

// newChatsWorld stores what the reader may see.
func newChatsWorld(t *testing.T) *chatsWorld {
	w := &chatsWorld{World: apitest.NewWorld(t)}
	w.WithPair(w.Corp, apitest.Pair)
	w.visible = w.store(
		apitest.Chat("v01", "lin.hua", "zhao wmA", "wr1", at(20, 0), "in the room"),
		apitest.Chat("v02", "zhao", "lin.hua wmA", "wr1", at(19, 0), "revoked by a message that she saw"),
		apitest.Chat("v04", "zhao", "lin.hua wmA", "wr1", at(10, 0), "revoked after she left"),
		apitest.Chat("v05", "wmA", "lin.hua zhao", "wr1", at(10, 8*time.Hour), "much later on that day"),
		apitest.Chat("v06", "0042", "wmA", "wr1", at(5, 0), "without lin.hua"),
		apitest.Chat("v07", "lin.hua", "wmA", "", at(30, 0), "to a customer"),
		named("v08", "wmA", "lin.hua", "", at(15, 0), "file-stored"),
		named("v09", "lin.hua", "zhao", "wr3", at(40, 0), "file-waiting"),
		apitest.Chat("v10", "lin.hua", "zhao", "wr4", at(12, 0), "the customer is not in this message"),
		apitest.Chat("v11", "lin.hua", "0042 wmA", "", at(8, 0), "a group without a room"),
		apitest.Chat("v12", "lin.hua", "", "", at(7, 0), "a note to herself"),
		strings.Replace(apitest.Chat("v13", "zhao", "lin.hua", "wr1", at(10, time.Hour), "long"), "long", strings.Repeat("长", archive.InlineLimit/3), 1),
	)
	w.revoke(apitest.Chat("v03", "zhao", "lin.hua wmA", "wr1", at(19, time.Hour), "revokes"), "v02")
	w.hers = w.noted
	w.File(w.Corp, "file-stored", 7, media.Stored, "", apitest.Noon.Add(time.Hour))
	w.File(w.Corp, "file-waiting", 8, media.Waiting, "", apitest.Noon.Add(time.Hour))
	w.answered("wmA", "lin.hua")
	for _, id := range []string{"wr1", "wr3", "wr4"} {
		w.room(id, "lin.hua", "lin.hua", "zhao", "wmA")
	}
	return w
}

// changes store, one after another, what the reader may not see.
var changes = []struct {
	name  string
	store func(w *chatsWorld)
}{
	{"a message after she left", func(w *chatsWorld) {
		w.hidden = append(w.hidden, w.store(apitest.Chat("h01", "zhao", "wmA", "wr1", at(1, 0), "hidden"))...)
	}},
	{"5,000 messages between two of hers", func(w *chatsWorld) {
		var raws []string
		for i := range 5000 {
			raws = append(raws, apitest.Chat(fmt.Sprintf("h02-%d", i), "zhao", "wmA qian", "wr1", at(10, time.Minute+time.Duration(i)*time.Second), "hidden"))
		}
		w.store(raws...)
	}},
	{"after her last one of the day, and on other days", func(w *chatsWorld) {
		var raws []string
		for day := range 60 {
			for i := range 3 {
				raws = append(raws, apitest.Chat(fmt.Sprintf("h03-%d-%d", day, i), "qian", "wmA", "wr1", at(day, 9*time.Hour+time.Duration(i)*time.Second), "hidden"))
			}
		}
		w.store(raws...)
	}},
	{"other conversations of the customer", func(w *chatsWorld) {
		var raws []string
		for day := range 40 {
			raws = append(raws, apitest.Chat(fmt.Sprintf("h04-%d", day), "zhao", "wmA", "", at(day, 0), "hidden"),
				apitest.Chat(fmt.Sprintf("h05-%d", day), "zhao", "wmA wmB", "wr2", at(day, 0), "hidden"))
		}
		raws = append(raws, apitest.Chat("h06", "zhao", "qian wmA", "", at(3, 0), "hidden"), apitest.Chat("h07", "zhao", "", "", at(3, 0), "hidden"))
		w.hidden = append(w.hidden, w.store(raws...)...)
	}},
	{"the customer in her room, and not with her", func(w *chatsWorld) {
		w.store(apitest.Chat("h08", "zhao", "wmA", "wr4", at(12, time.Hour), "hidden"), apitest.Chat("h09", "zhao", "wmA", "wr3", at(2, 0), "hidden"))
	}},
	{"a message of hers revoked after she left", func(w *chatsWorld) {
		w.revoke(apitest.Chat("h10", "zhao", "wmA", "wr1", at(0, 0), "revokes"), "v04")
	}},
	{"long messages, and some that name her file", func(w *chatsWorld) {
		long := strings.Repeat("长", archive.InlineLimit/3)
		for i := range 3 {
			w.store(apitest.Chat(fmt.Sprintf("h11-%d", i), "zhao", "wmA", "wr1", at(10, 2*time.Hour+time.Duration(i)), long))
		}
		w.store(named("h12", "zhao", "wmA", "wr1", at(1, 0), "file-stored"), named("h13", "zhao", "qian", "", at(1, 0), "file-other"))
		w.File(w.Corp, "file-other", 9, media.Stored, "", apitest.Noon.Add(time.Hour))
	}},
	{"a new owner, and a new member, of her rooms", func(w *chatsWorld) {
		for _, id := range []string{"wr1", "wr3", "wr4"} {
			w.room(id, "qian", "zhao", "qian", "wmB")
		}
	}},
	{"messages before and after the page with her newest one", func(w *chatsWorld) {
		again := w.hers
		again.After += 5000
		notes := []archive.Change{again}
		for i := range 1001 {
			notes = append(notes, archive.NewChange(w.noted.At.Add(time.Duration(i)*time.Millisecond), w.seq, []string{"zhao"}))
		}
		for _, c := range notes {
			apitest.OK(w.T, w.Messages.WritePage(w.T.Context(), decode.Decoded{Corp: w.Corp, Change: c}))
		}
	}},
	{"messages without parties, and a colleague's consents", func(w *chatsWorld) {
		w.Store(w.Corp, "unreadable", "more unreadable")
		w.answered("wmA", "zhao")
		w.answered("wmB", "zhao")
	}},
}

// values are what this test gives for each parameter of a path or a query. A
// parameter that is absent here fails the test: a new one needs values with which
// its routes could tell something.
func (w *chatsWorld) values() map[string][]string {
	w.T.Helper()
	values := map[string][]string{
		"{n}":    {"0", "1"},
		"member": {"lin.hua", "0042", "zhao"}, "external_contact": {"wmA", "wmB", "zhao", "lin.hua"}, "room": {"wr1", "wr2", "wr3", "wr4"}, "unplaced": {"true"}, "rooms": {"true"},
		"from": {at(10, time.Second).Format(time.RFC3339)}, "to": {at(9, 0).Format(time.RFC3339), at(10, time.Hour).Format(time.RFC3339)},
		"kind": {"room", "single", "external", "member"}, "external": {"true"}, "since": {at(9, 0).Format(time.RFC3339)}, "day": {"2026-01-30"},
		"kinds": {"file", "text,file"}, "files": {"true"}, "msgid": {"v04", "h01"}, "from_party": {"lin.hua", "zhao"},
		"q": {"a", "hidden", "room"}, "with": {"lin.hua", "zhao"}, "sort": {"name", "recent"},
		"month": {"2026-01", "2025-12"}, "download": {"true"},
		"at": {at(10, 2*time.Minute).Format(time.RFC3339)}, "omit": {"raw,json"},
		"revoked": {"true"}, "order": {"desc"}, "redirect": {"true"}, "limit": {"2"},
		"page": nil, // the test follows the pages of every answer
	}
	for _, conv := range []archive.ConversationID{
		archive.RoomConversation("wr1"), archive.RoomConversation("wr2"), archive.PartyConversation([]string{"lin.hua", "wmA"}),
		archive.PartyConversation([]string{"zhao", "wmA"}), archive.PartyConversation([]string{"lin.hua", "0042", "wmA"}),
		archive.PartyConversation([]string{"zhao", "qian", "wmA"}), archive.PartyConversation([]string{"lin.hua"}), archive.Unplaced,
	} {
		values["{conversation}"] = append(values["{conversation}"], apitest.ConversationID(w.T, w.Corp, conv))
	}
	ids := make(map[string]bool)
	for _, m := range w.visible {
		ids[messageID(w.T, m)] = true
	}
	for _, place := range []archive.Message{
		{Corp: w.Corp, Conversation: archive.RoomConversation("wr1"), Time: at(1, 0), MsgID: "h01"},
		{Corp: w.Corp, Conversation: archive.PartyConversation([]string{"zhao", "wmA"}), Time: at(3, 0), MsgID: "h04-3"},
		{Corp: w.Corp, Conversation: archive.RoomConversation("wr1"), Time: at(1, 0), MsgID: "h12"},
	} {
		ids[messageID(w.T, place)] = true
	}
	values["{id}"] = slices.Sorted(maps.Keys(ids))
	for _, m := range []archive.Message{w.visible[3], w.visible[6], {Corp: w.Corp, Conversation: archive.RoomConversation("wr1"), Time: at(1, 0), MsgID: "h01"}} {
		values["around"] = append(values["around"], messageID(w.T, m))
	}
	return values
}

// bodies are what this test sends to the routes that take a body. Such a route may
// change nothing that the answers depend on.
func (w *chatsWorld) bodies(values map[string][]string) map[string][]string {
	w.T.Helper()
	var files []map[string]any
	for _, id := range values["{id}"] {
		files = append(files, map[string]any{"message": id, "n": 0}, map[string]any{"message": id, "n": 1})
	}
	links := []string{string(asJSON(w.T, map[string]any{"files": files, "download": true}))}
	for _, file := range files {
		links = append(links, string(asJSON(w.T, map[string]any{"files": []any{file}})))
	}
	all := values["{id}"]
	batches := []string{string(asJSON(w.T, map[string]any{"ids": all[:min(len(all), 50)], "omit": []string{"raw"}}))}
	for _, id := range all {
		batches = append(batches, string(asJSON(w.T, map[string]any{"ids": []string{id}})))
	}
	var seen []string // asked first, and the same each time
	for _, id := range values["{conversation}"] {
		seen = append(seen, string(asJSON(w.T, map[string]any{"conversation": id, "until": at(20, 0).Format(time.RFC3339)})))
	}
	return map[string][]string{"PUT /v1/corps/{corpid}/seen": seen, "POST /v1/corps/{corpid}/links": links, "POST /v1/corps/{corpid}/messages:batch": batches}
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	apitest.OK(t, err)
	return b
}

func messageID(t *testing.T, m archive.Message) string {
	t.Helper()
	id, err := opaque.Message(m.Corp).Seal(map[string]any{"c": m.Conversation, "t": m.Time.UnixMilli(), "m": m.MsgID})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// requests are the paths with which a route is asked: every value of its path,
// with no parameter and with every value of each parameter, alone and with limit.
func requests(t *testing.T, rt routes.Route, corp string, values map[string][]string) []string {
	t.Helper()
	paths := []string{""}
	for _, part := range strings.Split(strings.TrimPrefix(rt.Path, "/"), "/") {
		choices := []string{part}
		switch {
		case part == "{corpid}":
			choices = []string{corp}
		case strings.HasPrefix(part, "{"):
			if choices = values[part]; choices == nil {
				t.Fatalf("%s: this test has no values for %s", rt.Path, part)
			}
		}
		var longer []string
		for _, path := range paths {
			for _, choice := range choices {
				longer = append(longer, path+"/"+choice)
			}
		}
		paths = longer
	}
	queries := []url.Values{{}}
	for _, name := range rt.Query {
		list, ok := values[name]
		if !ok {
			t.Fatalf("%s: this test has no values for %s", rt.Path, name)
		}
		for _, value := range list {
			queries = append(queries, url.Values{name: {value}})
			if name != "limit" && slices.Contains(rt.Query, "limit") {
				queries = append(queries, url.Values{name: {value}, "limit": {"1"}})
			}
		}
	}
	if slices.Contains(rt.Query, "member") && slices.Contains(rt.Query, "external_contact") {
		for _, member := range values["member"] {
			for _, contact := range values["external_contact"] {
				queries = append(queries, url.Values{"member": {member}, "external_contact": {contact}})
			}
		}
	}
	if strings.HasSuffix(rt.Path, "/search") {
		for _, q := range queries[1:] {
			if !q.Has("q") {
				q.Set("q", "e")
			}
		}
	}
	var all []string
	for _, path := range paths {
		for _, q := range queries {
			all = append(all, path+"?"+q.Encode())
		}
	}
	return all
}

// answer is what a caller learns from an answer. Page tokens are random and
// signatures of links depend on the time, so both count by their length only.
type answer struct {
	status int
	size   int
	header string
	body   string
	etag   string
}

var (
	pageToken = regexp.MustCompile(`"(next|prev|resume)":"[^"]*"`)
	signature = regexp.MustCompile(`X-Amz-(Date|Signature)=[0-9A-TZa-f]*`)
)

func learn(resp apitest.Response) answer {
	blank := func(s string) string {
		s = pageToken.ReplaceAllStringFunc(s, func(token string) string { return fmt.Sprint(token[:6], len(token)) })
		return signature.ReplaceAllString(s, "signed")
	}
	var header strings.Builder
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		fmt.Fprintf(&header, "%s: %q\n", name, blank(resp.Header.Get(name)))
	}
	return answer{resp.Status, len(resp.Body), header.String(), blank(string(resp.Body)), resp.Header.Get("Etag")}
}

// difference shows two answers where they begin to differ.
func difference(got, want answer) string {
	x, y := got.header+got.body, want.header+want.body
	i := 0
	for i < min(len(x), len(y)) && x[i] == y[i] {
		i++
	}
	from := max(i-60, 0)
	return fmt.Sprintf("got status %d, %d bytes, %.120q; want %d, %d bytes, %.120q", got.status, got.size, x[from:], want.status, want.size, y[from:])
}

// limited is a token of the limited caller for a route: a reader's, if the route
// admits readers.
func (w *chatsWorld) limited(rt routes.Route) apitest.Token {
	role := rt.Roles[0]
	if slices.Contains(rt.Roles, session.Reader) {
		role = session.Reader
	}
	return w.As(role).With("staff", "lin.hua 0042")
}

// ask sends a request and follows the pages of its answer, in both directions.
func (w *chatsWorld) ask(who apitest.Token, method, path, body string, again bool) []answer {
	w.T.Helper()
	type tokens struct{ Next, Prev *string }
	var all []answer
	get := func(page string) (t tokens) {
		r := apitest.Request{Who: who, Method: method, Path: path + page, Unchecked: again}
		if body != "" {
			r.Body = body
		}
		resp := w.Do(r)
		all = append(all, learn(resp))
		_ = json.Unmarshal(resp.Body, &t) // an answer of another form has no pages
		return t
	}
	first := get("")
	for _, way := range []func(tokens) *string{func(t tokens) *string { return t.Next }, func(t tokens) *string { return t.Prev }} {
		for token := way(first); token != nil; token = way(get("&page=" + url.QueryEscape(*token))) {
			if len(all) > 100 {
				w.T.Fatalf("%s: more than %d pages", path, len(all))
			}
		}
	}
	return all
}

// limitedRequest is a request of a limited caller.
type limitedRequest struct{ route, method, path, body string }

// limitedRoutes are the routes that admit limited callers: the caller of each, which of
// them answer with an ETag, and all requests.
type limitedRoutes struct {
	who    map[string]apitest.Token
	tagged map[string]bool
	asked  []limitedRequest
}

func (w *chatsWorld) limitedRoutes() limitedRoutes {
	w.T.Helper()
	values := w.values()
	all := limitedRoutes{who: make(map[string]apitest.Token), tagged: make(map[string]bool)}
	for _, rt := range w.Table {
		if !rt.Limited {
			continue
		}
		bodies := []string{""}
		if rt.Method != "GET" {
			if bodies = w.bodies(values)[rt.Method+" "+rt.Path]; bodies == nil {
				w.T.Fatalf("%s %s: this test has no bodies for it", rt.Method, rt.Path)
			}
		}
		route := rt.Method + " " + rt.Path
		all.who[route], all.tagged[route] = w.limited(rt), rt.Tagged
		for _, path := range requests(w.T, rt, w.Corp, values) {
			for _, body := range bodies {
				all.asked = append(all.asked, limitedRequest{route, rt.Method, path, body})
			}
		}
	}
	return all
}

// askAll returns the answers to all requests, which hold enough to compare.
func (w *chatsWorld) askAll(all limitedRoutes) map[limitedRequest][]answer {
	w.T.Helper()
	answers := make(map[limitedRequest][]answer)
	seen, answered := 0, make(map[string]bool)
	for _, r := range all.asked {
		answers[r] = w.ask(all.who[r.route], r.method, r.path, r.body, false)
		for _, a := range answers[r] {
			seen += strings.Count(a.body, apitest.ContentMark)
			if a.status == 200 && all.tagged[r.route] && a.etag == "" {
				w.T.Errorf("%s: got no ETag", r.path)
			}
			answered[r.route] = answered[r.route] || a.status < 300
		}
	}
	for route := range all.who {
		if !answered[route] {
			w.T.Errorf("%s: got refusals only, so there is nothing to compare", route)
		}
	}
	if seen < 50 {
		w.T.Fatalf("the answers hold %d texts, too few to compare", seen)
	}
	return answers
}

// askAgain compares the answers to a request with those before a change.
func (w *chatsWorld) askAgain(who apitest.Token, r limitedRequest, change string, want []answer) {
	w.T.Helper()
	got := w.ask(who, r.method, r.path, r.body, true)
	if len(got) != len(want) {
		w.T.Errorf("%s: %s: got %d pages, want %d", change, r.path, len(got), len(want))
		return
	}
	for n := range got {
		if got[n] != want[n] {
			w.T.Errorf("%s: %s, page %d: %s", change, r.path, n+1, difference(got[n], want[n]))
		}
	}
}

// askTagged sends the ETag of an answer before a change.
func (w *chatsWorld) askTagged(who apitest.Token, r limitedRequest, change, etag string) {
	w.T.Helper()
	resp := w.Do(apitest.Request{Who: who, Method: r.method, Path: r.path, Unchecked: true, Header: map[string]string{"If-None-Match": etag}})
	if resp.Status != 304 {
		w.T.Errorf("%s: %s: got status %d for the ETag of the answer before, want 304", change, r.path, resp.Status)
	}
}

// Nothing that a limited reader may not see changes anything that the reader
// learns, on any route that admits such a reader. A new route takes part by itself.
func TestLimitedReadersLearnNothing(t *testing.T) {
	w := newChatsWorld(t)
	all := w.limitedRoutes()
	before := w.askAll(all)
	for i, change := range changes {
		change.store(w)
		last := i == len(changes)-1
		if i > 1 && !last {
			continue // the last comparison covers these: nothing takes a change back
		}
		for _, r := range all.asked {
			who, want := all.who[r.route], before[r]
			w.askAgain(who, r, change.name, want)
			if etag := want[0].etag; last && all.tagged[r.route] && etag != "" {
				w.askTagged(who, r, change.name, etag)
			}
		}
	}
}
