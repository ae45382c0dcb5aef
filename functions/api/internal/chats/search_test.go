package chats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// fileMessage is a message with a file of that name.
func fileMessage(msgid, from string, at time.Time, name string) string {
	to := "wmA"
	if from == to {
		to = "lin.hua"
	}
	text := apitest.Chat(msgid, from, to, "", at, "")
	return strings.Replace(text, `"msgtype":"text"`, `"file":{"sdkfileid":"`+msgid+`","filename":"`+name+`","fileext":"pdf","filesize":5},"msgtype":"file"`, 1)
}

type searchPage struct {
	Hits []struct {
		ID, Time, From, Kind, Text string
		MessageID                  string `json:"message_id"`
		Spans                      [][2]int
	}
	Scanned struct {
		Messages int
		Until    *string
	}
	Next *string
}

func TestSearchInAChat(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	at := func(n int) time.Time { return apitest.Noon.Add(time.Duration(n) * time.Minute) }
	long := strings.Repeat("很长的开头", 40) + "报价" + strings.Repeat("x", 200)
	w.Store(w.Corp,
		apitest.Chat("m1", "lin.hua", "wmA", "", at(1), "报价 3000，Offer sent"), apitest.Chat("m2", "wmA", "lin.hua", "", at(2), "too much"),
		apitest.Chat("m3", "lin.hua", "wmA", "", at(3), "😀 OFFER offer"), fileMessage("m4", "wmA", at(4), "My Offer.pdf"), apitest.Chat("m5", "lin.hua", "wmA", "", at(5), long),
	)
	conv := archive.PartyConversation([]string{"lin.hua", "wmA"})
	path := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, conv) + "/search?"
	find := func(query string) []string {
		t.Helper()
		var hits []string
		scanned := 0
		for next := ""; ; {
			p := apitest.Into[searchPage](w.Get(w.As(session.Reader), path+query+next).Want(200))
			for _, h := range p.Hits {
				var matches []string
				units := utf16.Encode([]rune(h.Text))
				for _, s := range h.Spans {
					matches = append(matches, string(utf16.Decode(units[s[0]:s[1]])))
				}
				hits = append(hits, h.From+" "+h.Kind+" "+strings.Join(matches, "+"))
			}
			scanned += p.Scanned.Messages
			if (p.Next == nil) != (p.Scanned.Until == nil) {
				t.Errorf("%s: next %v, until %v", query, p.Next, p.Scanned.Until)
			}
			if p.Next == nil {
				if scanned == 0 {
					t.Errorf("%s: nothing scanned", query)
				}
				return hits
			}
			next = "&page=" + *p.Next
		}
	}
	for query, want := range map[string][]string{
		"q=offer":                    {"wmA file Offer", "lin.hua text OFFER+offer", "lin.hua text Offer"},
		"q=OFFER&order=asc":          {"lin.hua text Offer", "lin.hua text OFFER+offer", "wmA file Offer"},
		"q=offer&limit=1":            {"wmA file Offer", "lin.hua text OFFER+offer", "lin.hua text Offer"},
		"q=offer&kinds=file":         {"wmA file Offer"},
		"q=offer&from_party=lin.hua": {"lin.hua text OFFER+offer", "lin.hua text Offer"},
		"q=offer&to=" + url.QueryEscape(at(3).Format(time.RFC3339)): {"lin.hua text Offer"},
		"q=" + url.QueryEscape(" 报价 "):                              {"lin.hua text 报价", "lin.hua text 报价"},
		"q=nothing":                                                 nil,
	} {
		if got := find(query); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	p := apitest.Into[searchPage](w.Get(w.As(session.Reader), path+"limit=1&q="+url.QueryEscape("报价")).Want(200))
	if n := len([]rune(p.Hits[0].Text)); n != 120 || !strings.Contains(p.Hits[0].Text, "头报价xx") {
		t.Errorf("got %d characters: %s", n, p.Hits[0].Text)
	}
	for query, want := range map[string]string{"": "q:required", "q=": "q:length", "q=+": "q:length", "q=" + strings.Repeat("x", 101): "q:length", "q=x&kinds=": "kinds:length", "q=x&order=up": "order:one_of", "q=x&from_party=": "from_party:length"} {
		if got := w.Get(w.As(session.Reader), path+query).WantProblem(400, "invalid-request").Rules(); got != want {
			t.Errorf("%q: got %s, want %s", query, got, want)
		}
	}
	read, _, err := w.Readings.Readings(t.Context(), w.Corp, archive.DayOf(apitest.Noon), "", 100)
	apitest.OK(t, err)
	if len(read) != 1 || read[0].Conversation != conv {
		t.Errorf("got readings %+v", read)
	}
}

// A search looks at a bounded number of messages in one call.
func TestSearchIsBounded(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	var raws []string
	for i := range chats.LookMost + 500 {
		raws = append(raws, apitest.Chat(fmt.Sprintf("m%04d", i), "lin.hua", "wmA", "", apitest.Noon.Add(time.Duration(i)*time.Second), "t"))
	}
	raws[0] = apitest.Chat("m0000", "lin.hua", "wmA", "", apitest.Noon, "needle")
	w.Store(w.Corp, raws...)
	path := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, archive.PartyConversation([]string{"lin.hua", "wmA"})) + "/search?q=needle"
	first := apitest.Into[searchPage](w.Get(w.As(session.Reader), path).Want(200))
	if len(first.Hits) != 0 || first.Scanned.Messages != chats.LookMost || first.Next == nil {
		t.Fatalf("got %d hits, %d scanned, next %v", len(first.Hits), first.Scanned.Messages, first.Next)
	}
	second := apitest.Into[searchPage](w.Get(w.As(session.Reader), path+"&page="+*first.Next).Want(200))
	if len(second.Hits) != 1 || second.Scanned.Messages != 500 || second.Next != nil {
		t.Errorf("got %d hits, %d scanned, next %v", len(second.Hits), second.Scanned.Messages, second.Next)
	}
}

// A search of a limited reader whose time is over says only up to which message of
// those that the reader may see it came.
func TestSearchHidesTheTimesOfUnseenMessages(t *testing.T) {
	const corp = "ww0123456789abcdef"
	start := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		order string
		want  any // the time of the last message of hers that the page looked at
	}{"hers first": {"asc", "2026-01-31T06:00:00.000Z"}, "hers last": {"desc", nil}} {
		store, room := &talk{}, archive.RoomConversation("wr1")
		store.say(room, start, "lin.hua", "wmA")
		for i := range 100 {
			store.say(room, start.Add(time.Duration(i+1)*time.Minute), "zhao", "wmB")
		}
		h := &chats.Handlers{Messages: store, Names: noNames{}, Readings: forgottenReadings{}, Seen: nothingSeen{}, Now: time.Now}
		ctx, cancel := context.WithTimeout(t.Context(), noTime)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/search", nil)
		apitest.OK(t, err)
		id, err := opaque.Conversation(corp).Seal(room)
		apitest.OK(t, err)
		r.SetPathValue("conversation", id)
		c := &session.Call{Request: r, CorpID: corp, Caller: session.Caller{Limited: true, Staff: []string{"lin.hua"}}}
		c.ReadQuery("q=none&order="+tc.order, []string{"q", "order", "page", "limit"})
		c.UsePages(opaque.Page("/search", nil))
		ans, err := h.SearchMessages(ctx, c)
		apitest.OK(t, err)
		var page struct {
			Scanned struct{ Until any }
			Next    *string
		}
		apitest.OK(t, json.Unmarshal(ans.Body, &page))
		if page.Next == nil || page.Scanned.Until != tc.want {
			t.Errorf("%s: got until %v, next %v, want until %v and a next", name, page.Scanned.Until, page.Next, tc.want)
		}
	}
}

func TestFilteredMessages(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	at := func(n int) time.Time { return apitest.Noon.Add(time.Duration(n) * time.Minute) }
	overflow := strings.Replace(fileMessage("m5", "lin.hua", at(5), "long.pdf"), apitest.ContentMark, strings.Repeat("长", archive.InlineLimit/3), 1)
	w.Store(w.Corp,
		apitest.Chat("m1", "lin.hua", "wmA", "", at(1), "t"), fileMessage("m2", "lin.hua", at(2), "a.pdf"), apitest.Chat("m3_external", "lin.hua", "wmA", "", at(3), "t"),
		fileMessage("m4", "wmA", at(4), "b.pdf"), overflow, apitest.Chat("m6", "lin.hua", "wmA", "", at(6), "t"),
	)
	path := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, archive.PartyConversation([]string{"lin.hua", "wmA"})) + "/messages?"
	for query, want := range map[string]string{
		"kinds=file": "m2 m4 m5", "kinds=text": "m1 m3_external m6", "kinds=text,file": "m1 m2 m3_external m4 m5 m6", "kinds=image": "", "files=true": "m2 m4 m5", "files=true&order=desc": "m5 m4 m2",
		"msgid=m3": "m3_external", "msgid=m4_external": "m4", "msgid=m9": "",
	} {
		for _, limit := range []string{"", "&limit=1", "&limit=2"} {
			var ids []string
			for next := ""; ; {
				p := apitest.Into[messagePageJSON](w.Get(w.As(session.Reader), path+query+limit+next).Want(200))
				for _, m := range p.Messages {
					ids = append(ids, m.MsgID)
				}
				if p.Next == nil {
					break
				}
				next = "&page=" + *p.Next
			}
			if got := strings.Join(ids, " "); got != want {
				t.Errorf("%s%s: got %s, want %s", query, limit, got, want)
			}
		}
	}
	for query, want := range map[string]string{"kinds=": "kinds:length", "files=1": "files:one_of", "msgid=": "msgid:length"} {
		if got := w.Get(w.As(session.Reader), path+query).WantProblem(400, "invalid-request").Rules(); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

// The token to go on is always there, and finds what is new, once.
func TestResume(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	n := 0
	say := func() {
		n++
		w.Store(w.Corp, apitest.Chat(fmt.Sprintf("m%d", n), "lin.hua", "wmA", "", apitest.Noon.Add(time.Duration(n)*time.Second), "t"))
	}
	path := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, archive.PartyConversation([]string{"lin.hua", "wmA"})) + "/messages?"
	type page struct {
		messagePageJSON
		Resume string
	}
	get := func(query string) page {
		t.Helper()
		return apitest.Into[page](w.Get(w.As(session.Reader), path+query).Want(200))
	}
	queries := []string{"", "order=desc", "at=2026-01-31T06:30:05Z", "limit=1", "order=desc&limit=1", "from=2026-01-31T00:00:00Z"}
	places := map[string]string{}
	for _, q := range queries { // while the conversation is empty
		places[q] = get(q).Resume
	}
	for round, want := range []string{"", "m1", "m2 m3", ""} {
		for range len(strings.Fields(want)) {
			say()
		}
		for _, q := range queries {
			var ids []string
			for range 3 {
				p := get(q + "&page=" + places[q])
				places[q] = p.Resume
				if strings.HasPrefix(q, "order=desc") {
					slices.Reverse(p.Messages)
				}
				for _, m := range p.Messages {
					ids = append(ids, m.MsgID)
				}
			}
			if got := strings.Join(ids, " "); got != want {
				t.Errorf("round %d, %q: got %q, want %q", round, q, got, want)
			}
		}
	}
	for q, want := range map[string]string{"": "m1 m2 m3", "order=desc": "m3 m2 m1", "order=desc&limit=2": "m3 m2"} {
		p := get(q)
		if got := msgids(p.Messages); got != want {
			t.Errorf("%q: got %s", q, got)
		}
		if got := msgids(get(q + "&page=" + p.Resume).Messages); got != "" {
			t.Errorf("%q: got %s again", q, got)
		}
	}
}

// A revoking message names the revoked one by its id, for a reader
// who may see both.
func TestRevokedMessageByID(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	revoke := func(msgid, of, from, to string, at time.Time) string {
		return fmt.Sprintf(`{"msgid":%q,"action":"recall","from":%q,"tolist":[%q],"roomid":"wr1","msgtime":%d,"msgtype":"revoke","revoke":{"pre_msgid":%q}}`, msgid, from, to, at.UnixMilli(), of)
	}
	at := func(n int) time.Time { return apitest.Noon.Add(time.Duration(n) * time.Minute) }
	stored := w.Store(w.Corp,
		apitest.Chat("m1_external", "zhao", "wmA", "wr1", at(0), "before she came"), apitest.Chat("m2", "lin.hua", "wmA", "wr1", at(1), "hers"),
		revoke("m3", "m1", "zhao", "lin.hua", at(2)), revoke("m4", "m2", "lin.hua", "wmA", at(3)), revoke("m5", "m0", "lin.hua", "wmA", at(4)),
		apitest.Chat("m6", "lin.hua", "wmA", "wr1", at(5), "t"), revoke("m7", "m6", "lin.hua", "wmA", at(100)),
	)
	id := func(i int) string {
		id, err := chats.MessageID(stored[i])
		apitest.OK(t, err)
		return id
	}
	path := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, archive.RoomConversation("wr1")) + "/messages"
	for _, c := range []struct {
		who  apitest.Token
		want map[string]string
	}{
		{w.As(session.Reader), map[string]string{"m3": id(0), "m4": id(1), "m5": "", "m7": ""}},
		{w.As(session.Reader).With("staff", "lin.hua"), map[string]string{"m3": "", "m4": id(1), "m5": "", "m7": ""}},
	} {
		type doc struct {
			ID, MsgID string
			Content   struct {
				RevokesID *string `json:"revokes_id"`
			}
		}
		for _, m := range apitest.Into[struct{ Messages []doc }](w.Get(c.who, path).Want(200)).Messages {
			if got := apitest.Deref(m.Content.RevokesID); got != c.want[m.MsgID] {
				t.Errorf("%s: got %q, want %q", m.MsgID, got, c.want[m.MsgID])
			}
			alone := apitest.Into[doc](w.Get(c.who, "/v1/corps/"+w.Corp+"/messages/"+m.ID).Want(200))
			if got := apitest.Deref(alone.Content.RevokesID); got != c.want[m.MsgID] {
				t.Errorf("%s alone: got %q, want %q", m.MsgID, got, c.want[m.MsgID])
			}
		}
	}
}

func TestMessagesByID(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	long := strings.Repeat("x", 290<<10)
	raws := []string{apitest.Chat("m1", "lin.hua", "wmA", "", apitest.Noon, "t"), apitest.Chat("m2", "zhao", "wmA", "", apitest.Noon, "t")}
	for i := range 12 {
		raws = append(raws, apitest.Chat(fmt.Sprintf("long%02d", i), "lin.hua", "wmA", "", apitest.Noon.Add(time.Hour), long))
	}
	stored := w.Store(w.Corp, raws...)
	apitest.OK(t, w.Messages.WritePage(t.Context(), decode.Decoded{Corp: w.Corp, Revocations: []archive.Revocation{{Corp: w.Corp, Conversation: stored[0].Conversation, MsgID: "m1", By: "lin.hua", At: apitest.Noon.Add(time.Minute), Seq: 99}}}))
	var ids []string
	for _, m := range stored {
		id, err := chats.MessageID(m)
		apitest.OK(t, err)
		ids = append(ids, id)
	}
	type batch struct {
		Messages []messageDoc
		Missing  []struct {
			ID      string
			Problem struct{ Type string }
		}
	}
	path := "/v1/corps/" + w.Corp + "/messages:batch"
	ask := func(who apitest.Token, body map[string]any) batch {
		t.Helper()
		return apitest.Into[batch](w.Send(who, "POST", path, body).Want(200))
	}
	got := ask(w.As(session.Reader), map[string]any{"ids": []string{ids[1], "abc", ids[0]}, "omit": []string{"raw"}})
	if msgids(got.Messages) != "m2 m1" || got.Messages[0].Raw != nil || got.Messages[0].JSON == nil || got.Messages[1].Revoked == nil || len(got.Missing) != 1 || got.Missing[0].ID != "abc" {
		t.Errorf("got %+v", got)
	}
	got = ask(w.As(session.Reader).With("staff", "lin.hua"), map[string]any{"ids": ids[:2]})
	if msgids(got.Messages) != "m1" || len(got.Missing) != 1 || got.Missing[0].Problem.Type != "urn:yunduo-archive:problem:not-found" {
		t.Errorf("limited: got %+v", got)
	}
	// What does not fit is asked for again.
	var all []string
	for left := ids; len(left) > 0; {
		got := ask(w.As(session.Reader), map[string]any{"ids": left})
		if len(got.Messages) == 0 || len(all) == 0 && len(got.Missing) == 0 {
			t.Fatalf("got %d messages, %d missing", len(got.Messages), len(got.Missing))
		}
		left = nil
		for _, m := range got.Missing {
			left = append(left, m.ID)
		}
		for _, m := range got.Messages {
			all = append(all, m.MsgID)
		}
	}
	if len(all) != len(ids) {
		t.Errorf("got %d messages in the end, want %d", len(all), len(ids))
	}
	for body, want := range map[string]string{`{}`: "ids:required", `{"ids":[]}`: "ids:length", `{"ids":[""]}`: "ids[0]:length", `{"ids":["a"],"omit":["all"]}`: "omit:one_of"} {
		if got := w.Send(w.As(session.Reader), "POST", path, body).WantProblem(400, "invalid-request").Rules(); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}
