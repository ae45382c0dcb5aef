package chats_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/callbackpair"
	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/message"
	"github.com/yunduo-scrm/archive/shared/opaque"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// messageDoc is an answered message. Its parts are undecoded maps.
type messageDoc struct {
	chats.MessageJSON
	Content struct {
		Kind, Text string
		Whole      bool
		Parts      []map[string]any
		Files      []message.File
		Revokes    *string
		Consent    *message.Consent
		Unknown    []string
	} `json:"content"`
}

// messagePageJSON is an answered page of messages.
type messagePageJSON struct {
	Messages   []messageDoc
	Next, Prev *string
}

func msgids(list []messageDoc) string {
	var ids []string
	for _, m := range list {
		ids = append(ids, m.MsgID)
	}
	return strings.Join(ids, " ")
}

func TestMessagesPageBothWays(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.BareCorp(w.Other)
	var raws []string
	for i := range 9 {
		// Three at a time share a time, so only the msgid orders them.
		raws = append(raws, apitest.Chat(fmt.Sprintf("m%d", i), "lin.hua", "wmA", "", apitest.Noon.Add(time.Duration(i/3)*time.Second), "t"))
	}
	w.Store(w.Corp, raws...)
	conv := archive.PartyConversation([]string{"lin.hua", "wmA"})
	path := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, conv) + "/messages"
	get := func(query string) messagePageJSON {
		t.Helper()
		return apitest.Into[messagePageJSON](w.Get(w.As(session.Reader), path+query).Want(200))
	}
	for _, tc := range []struct{ order, all string }{
		{"asc", "m0 m1 m2 m3 m4 m5 m6 m7 m8"},
		{"desc", "m8 m7 m6 m5 m4 m3 m2 m1 m0"},
	} {
		for limit := 1; limit <= 9; limit++ {
			base := fmt.Sprintf("?order=%s&limit=%d", tc.order, limit)
			var there, back []string
			p := get(base)
			if p.Prev != nil {
				t.Errorf("%s: the first page has one before it", base)
			}
			pages := []string{msgids(p.Messages)}
			for p.Next != nil {
				p = get(base + "&page=" + *p.Next)
				pages = append(pages, msgids(p.Messages))
			}
			there = pages
			back = []string{msgids(p.Messages)}
			for p.Prev != nil {
				p = get(base + "&page=" + *p.Prev)
				back = append(back, msgids(p.Messages))
			}
			slices.Reverse(back)
			if got := strings.Join(there, " "); got != tc.all {
				t.Errorf("%s forward: got %s, want %s", base, got, tc.all)
			}
			if got := strings.Join(back, " "); got != tc.all {
				t.Errorf("%s backward: got %s, want %s", base, got, tc.all)
			}
			if len(there) > 1 && (p.Next == nil || msgids(get(base+"&page="+*p.Next).Messages) == "") {
				t.Errorf("%s: back at the first page, there is none after it", base)
			}
		}
	}
	from, to := url.QueryEscape(apitest.Noon.Add(time.Second).In(time.FixedZone("", 8*3600)).Format(time.RFC3339)), apitest.Noon.Add(2*time.Second).Format(time.RFC3339)
	if got := msgids(get("?from=" + from + "&to=" + to).Messages); got != "m3 m4 m5" {
		t.Errorf("between two times: got %s", got)
	}
	if p := get("?from=" + url.QueryEscape(apitest.Noon.Add(time.Hour).Format(time.RFC3339))); len(p.Messages) != 0 || p.Next != nil || p.Prev != nil {
		t.Errorf("after all: got %+v", p)
	}

	// A page token fits this list only.
	next := "&page=" + *get("?limit=2").Next
	for name, bad := range map[string]string{
		"other order":        path + "?order=desc&limit=2" + next,
		"other range":        path + "?limit=2&from=" + to + next,
		"other conversation": "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, "unplaced") + "/messages?limit=2" + next,
	} {
		w.Run(name, func(t *testing.T) {
			if got := w.Get(w.As(session.Reader), bad).WantProblem(400, "invalid-request").Rules(); got != "page:token" {
				t.Errorf("got %s", got)
			}
		})
	}
	w.Get(w.As(session.Reader), path+"?limit=5"+next).Want(200)
	otherPath := "/v1/corps/" + w.Other + "/conversations/" + apitest.ConversationID(t, w.Other, conv) + "/messages?limit=2"
	w.Get(apitest.TokenOf(w.Other, session.Reader), otherPath+next).WantProblem(400, "invalid-request")
	if p := apitest.Into[messagePageJSON](w.Get(apitest.TokenOf(w.Other, session.Reader), otherPath).Want(200)); len(p.Messages) != 0 {
		t.Errorf("another corp sees %d messages", len(p.Messages))
	}
	// The ids of another corp are unknown in this corp.
	w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/conversations/"+apitest.ConversationID(t, w.Other, conv)+"/messages").WantProblem(404, "not-found")
	for query, want := range map[string]string{
		"from=yesterday": "from:form", "from=2026-01-31": "from:form", "to=2026-01-31T08:00:00+08:00": "to:form",
		"from=2026-01-31T08:00:00Z&to=2026-01-31T08:00:00Z": "to:range", "order=&limit=x&day=1": "day:unknown order:one_of limit:type",
	} {
		if got := w.Get(w.As(session.Reader), path+"?"+query).Want(400).Rules(); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

// Messages without a msgid share the time of their pull. Each is still listed and
// has an id.
func TestMessagesWithoutMsgID(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	page := decode.Decoded{Corp: w.Corp, Activities: []archive.Activity{{Corp: w.Corp, Day: archive.DayOf(apitest.Noon), Conversation: archive.Unplaced}}}
	for i := range 5 {
		page.Messages = append(page.Messages, archive.Message{
			Corp: w.Corp, Conversation: archive.Unplaced, Time: apitest.Noon, Seq: 1<<60 + uint64(i), After: 7, KeyVersion: 1, Raw: fmt.Appendf(nil, "unreadable %d", i),
		})
	}
	if err := w.Messages.WritePage(t.Context(), page); err != nil {
		t.Fatal(err)
	}
	path := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, archive.Unplaced) + "/messages"
	for _, order := range []string{"asc", "desc"} {
		for limit := 1; limit <= 5; limit++ {
			base := fmt.Sprintf("%s?order=%s&limit=%d", path, order, limit)
			var got []string
			last := messagePageJSON{}
			for next := ""; ; next = "&page=" + *last.Next {
				last = apitest.Into[messagePageJSON](w.Get(w.As(session.Reader), base+next).Want(200))
				for _, m := range last.Messages {
					got = append(got, string(m.Raw))
					raw := w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/messages/"+m.ID+"/raw").Want(200)
					if !bytes.Equal(raw.Body, m.Raw) {
						t.Errorf("by its id %q is %q", m.Raw, raw.Body)
					}
				}
				if last.Next == nil {
					break
				}
			}
			if order == "desc" {
				slices.Reverse(got)
			}
			if want := "unreadable 0,unreadable 1,unreadable 2,unreadable 3,unreadable 4"; strings.Join(got, ",") != want {
				t.Errorf("%s by %d: got %q", order, limit, got)
			}
			if limit < 5 {
				before := apitest.Into[messagePageJSON](w.Get(w.As(session.Reader), base+"&page="+*last.Prev).Want(200))
				if len(before.Messages) != limit {
					t.Errorf("%s by %d: before the last page got %d messages", order, limit, len(before.Messages))
				}
			}
		}
	}
	// The preview in the list of conversations is the last message.
	list := apitest.Into[struct{ Conversations []chats.ConversationJSON }](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/conversations?unplaced=true").Want(200)).Conversations
	if len(list) != 1 {
		t.Fatalf("got %d conversations", len(list))
	}
	if raw := w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/messages/"+list[0].Newest.MessageID+"/raw").Want(200); string(raw.Body) != "unreadable 4" {
		t.Errorf("the preview is of %q", raw.Body)
	}
}

func TestMessageForms(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	big := apitest.Chat("big", "lin.hua", "wmA", "", apitest.Noon.Add(9*time.Second), strings.Repeat("长", archive.InlineLimit/3))
	forms := []struct {
		name, raw string
		content   bool
	}{
		{"plain", apitest.Chat("m1", "lin.hua", "wmA", "", apitest.Noon, "<b>&amp; 好"), true},
		{"numbers and order as they are", `{"msgid":"m2","from":"lin.hua","tolist":["wmA"],"msgtime":` + fmt.Sprint(apitest.Noon.UnixMilli()+1) + `,"msgtype":"brand_new","id":18446744073709551615,"a":1.50,"a":2}`, true},
		{"control character", "{\"msgid\":\"m3\",\"from\":\"lin.hua\",\"tolist\":[\"wmA\"],\"msgtime\":" + fmt.Sprint(apitest.Noon.UnixMilli()+2) + ",\"msgtype\":\"text\",\"text\":{\"content\":\"a\x01b\"}}", false},
		{"invalid UTF-8", "{\"msgid\":\"m4\",\"from\":\"lin.hua\",\"tolist\":[\"wmA\"],\"msgtime\":" + fmt.Sprint(apitest.Noon.UnixMilli()+3) + ",\"x\":\"\xff\"}", false},
		{"over the inline limit", big, false},
	}
	var raws []string
	for _, f := range forms {
		raws = append(raws, f.raw)
	}
	w.Store(w.Corp, raws...)
	w.Store(w.Corp, "no JSON at all \x00\xfe")
	list := func(conv archive.ConversationID) []messageDoc {
		return apitest.Into[messagePageJSON](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/conversations/"+apitest.ConversationID(t, w.Corp, conv)+"/messages").Want(200)).Messages
	}
	got := list(archive.PartyConversation([]string{"lin.hua", "wmA"}))
	if len(got) != len(forms) {
		t.Fatalf("got %s", msgids(got))
	}
	for i, f := range forms {
		m := got[i]
		sum := sha256.Sum256([]byte(f.raw))
		if m.From != "lin.hua" || !slices.Equal(m.To, []string{"wmA"}) || m.Room != nil || m.Size != len(f.raw) || m.Sum != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: got %.300v", f.name, m)
		}
		if len(f.raw) <= archive.InlineLimit && string(m.Raw) != f.raw {
			t.Errorf("%s: raw is not what was decrypted", f.name)
		}
		if has := !bytes.Equal(m.JSON, []byte("null")); has != f.content || has && string(m.JSON) != f.raw {
			t.Errorf("%s: got json %.200s", f.name, m.JSON)
		}
		one := apitest.Into[messageDoc](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/messages/"+m.ID).Want(200))
		if one.Sum != m.Sum || !bytes.Equal(one.Raw, m.Raw) {
			t.Errorf("%s: by its id it is another message", f.name)
		}
		bytesAnswer := w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/messages/"+m.ID+"/raw").Want(200)
		if string(bytesAnswer.Body) != f.raw || bytesAnswer.Header.Get("Etag") != `"`+m.Sum+`"` || !strings.HasPrefix(bytesAnswer.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%s: got %d bytes, headers %v", f.name, len(bytesAnswer.Body), bytesAnswer.Header)
		}
	}
	if m := list(archive.Unplaced); len(m) != 1 || m[0].Type != "" || m[0].From != "" || string(m[0].Raw) != "no JSON at all \x00\xfe" {
		t.Errorf("unreadable: got %+v", m)
	}
	for _, bad := range []string{"x", "AAAA", got[0].ID[:len(got[0].ID)-4], apitest.ConversationID(t, w.Corp, archive.Unplaced)} {
		w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/messages/"+bad).WantProblem(404, "not-found")
	}
	w.BareCorp(w.Other)
	w.Get(apitest.TokenOf(w.Other, session.Reader), "/v1/corps/"+w.Other+"/messages/"+got[0].ID).WantProblem(404, "not-found")
	gone, err := chats.MessageID(archive.Message{Corp: w.Corp, Conversation: archive.Unplaced, Time: apitest.Noon, MsgID: "gone"})
	if err != nil {
		t.Fatal(err)
	}
	w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/messages/"+gone).WantProblem(404, "not-found")
}

func TestPagesAreBoundedBySize(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	const n = 8
	for i := range n {
		// A quote takes two characters in JSON, a control character six.
		w.Store(w.Corp, apitest.Chat(fmt.Sprintf("m%d", i), "lin.hua", "wmA", "", apitest.Noon.Add(time.Duration(i)*time.Second), strings.Repeat(`"\`, 70<<10)))
	}
	path := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, archive.PartyConversation([]string{"lin.hua", "wmA"})) + "/messages?limit=200"
	var ids []string
	pages := 0
	for next := ""; ; {
		resp := w.Get(w.As(session.Reader), path+next).Want(200)
		if len(resp.Body) > gateway.MaxBody {
			t.Errorf("a page has %d bytes", len(resp.Body))
		}
		p := apitest.Into[messagePageJSON](resp)
		ids = append(ids, msgids(p.Messages))
		pages++
		if p.Next == nil {
			break
		}
		next = "&page=" + *p.Next
	}
	if got := strings.Join(ids, " "); got != "m0 m1 m2 m3 m4 m5 m6 m7" || pages < 2 {
		t.Errorf("got %s on %d pages", got, pages)
	}
}

// listed is an answered page of conversations.
type listed struct {
	Conversations []chats.ConversationJSON
	Next          *string
}

func TestConversationPagesAreBoundedBySize(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	// storeFor stores messages that only the list of this member holds.
	storeFor := func(member string, raws ...string) {
		t.Helper()
		page := decode.Decoded{Corp: w.Corp}
		for i, raw := range raws {
			f, _ := message.Parse([]byte(raw))
			conv := archive.RoomConversation(f.RoomID)
			page.Messages = append(page.Messages, archive.Message{
				Corp: w.Corp, Conversation: conv, Time: time.UnixMilli(f.Time).UTC(), MsgID: f.MsgID, Seq: uint64(i + 1), KeyVersion: 1, Raw: []byte(raw),
			})
			page.Activities = append(page.Activities, archive.Activity{Corp: w.Corp, Party: member, Day: archive.DayOf(apitest.Noon), Conversation: conv})
		}
		if err := w.Messages.WritePage(t.Context(), page); err != nil {
			t.Fatal(err)
		}
	}
	list := func(member string) (all []chats.ConversationJSON, pages int) {
		t.Helper()
		for next := ""; ; {
			resp := w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/conversations?limit=200&member="+member+next).Want(200)
			if len(resp.Body) > gateway.MaxBody {
				t.Errorf("a page has %d bytes", len(resp.Body))
			}
			p := apitest.Into[listed](resp)
			all, pages = append(all, p.Conversations...), pages+1
			if p.Next == nil {
				return all, pages
			}
			next = "&page=" + *p.Next
		}
	}

	var members strings.Builder
	for i := range 999 {
		fmt.Fprintf(&members, "wm%030d ", i)
	}
	var raws []string
	for i := range 130 {
		raws = append(raws, apitest.Chat(fmt.Sprintf("m%03d", i), "lin.hua", members.String(), fmt.Sprintf("wr%03d", i), apitest.Noon, "t"))
	}
	storeFor("lin.hua", raws...)
	rooms, _ := list("lin.hua")
	if len(rooms) != 130 {
		t.Errorf("got %d rooms, want 130", len(rooms))
	}
	for _, c := range rooms {
		if c.PartyCount != 1000 || len(c.Parties) != chats.PartiesMost || c.Newest == nil {
			t.Fatalf("got %d of %d parties, newest %v", len(c.Parties), c.PartyCount, c.Newest)
		}
	}

	// WeCom documents no bound for the fields of a message.
	raws = nil
	for i := range 120 {
		room := strings.Repeat("r", 2<<10) + fmt.Sprintf("%03d", i)
		raws = append(raws, strings.Replace(apitest.Chat(fmt.Sprintf("n%03d", i), "zhao", "wmA", room, apitest.Noon, "t"), `"action":"send"`, `"action":"`+strings.Repeat("a", 50<<10)+`"`, 1))
	}
	long := strings.Repeat("x", archive.InlineLimit-2000)
	raws = append(raws, apitest.Chat("long", "zhao", long, "wrlong", apitest.Noon.Add(time.Second), "t"), strings.Replace(apitest.Chat("action", "zhao", "wmA", "wraction", apitest.Noon.Add(2*time.Second), "t"), `"send"`, `"`+long+`"`, 1))
	storeFor("zhao", raws...)
	all, pages := list("zhao")
	seen := make(map[string]bool)
	for _, c := range all {
		seen[c.ID] = true
	}
	if len(all) != 122 || len(seen) != 122 || pages < 2 {
		t.Fatalf("got %d entries of %d conversations on %d pages", len(all), len(seen), pages)
	}
	if c := all[0]; *c.Room != "wraction" || c.Newest != nil || c.PartyCount != 2 {
		t.Errorf("with a monstrous action: got room %s, newest %.100v, %d parties", *c.Room, c.Newest, c.PartyCount)
	}
	if c := all[1]; *c.Room != "wrlong" || c.Newest == nil || c.PartyCount != 2 || len(c.Parties) != 0 {
		t.Errorf("with a monstrous party: got room %s, newest %.100v, %d of %d parties", *c.Room, c.Newest, len(c.Parties), c.PartyCount)
	}
}

// A page goes on over thousands of messages that the caller may not see, and its
// page token reveals nothing.
func TestPageTokensOfLimitedReaders(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	conv := archive.RoomConversation("wr1")
	page := decode.Decoded{Corp: w.Corp}
	for i := range chats.LookMost + 10 {
		raw := apitest.Chat(fmt.Sprintf("secretly-%d", i), "zhao", "wmA", "wr1", apitest.Noon.Add(time.Duration(i)*time.Millisecond), "not hers")
		if i == 5 || i == chats.LookMost+5 {
			raw = apitest.Chat(fmt.Sprintf("hers-%d", i), "zhao", "lin.hua", "wr1", apitest.Noon.Add(time.Duration(i)*time.Millisecond), "hers")
		}
		f, _ := message.Parse([]byte(raw))
		page.Messages = append(page.Messages, archive.Message{
			Corp: w.Corp, Conversation: conv, Time: time.UnixMilli(f.Time).UTC(), MsgID: f.MsgID, Seq: uint64(i + 1), KeyVersion: 1, Raw: []byte(raw),
		})
	}
	page.Activities = []archive.Activity{{Corp: w.Corp, Party: "lin.hua", Day: archive.DayOf(apitest.Noon), Conversation: conv}}
	if err := w.Messages.WritePage(t.Context(), page); err != nil {
		t.Fatal(err)
	}
	path := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, conv) + "/messages?limit=1"
	limited := w.As(session.Reader).With("staff", "lin.hua")
	first := apitest.Into[messagePageJSON](w.Get(limited, path).Want(200))
	if msgids(first.Messages) != "hers-5" || first.Next == nil {
		t.Fatalf("got %s, want the first message of hers with another behind it", msgids(first.Messages))
	}
	b, err := base64.RawURLEncoding.DecodeString(*first.Next)
	if err != nil || bytes.Contains(b, []byte("secretly")) || bytes.Contains(b, []byte(fmt.Sprint(apitest.Noon.UnixMilli()/10000))) {
		t.Errorf("the token says %q, %v", b, err)
	}
	second := apitest.Into[messagePageJSON](w.Get(limited, path+"&page="+*first.Next).Want(200))
	if msgids(second.Messages) != fmt.Sprintf("hers-%d", chats.LookMost+5) || second.Next != nil || second.Prev == nil {
		t.Errorf("got %s", msgids(second.Messages))
	}
	if back := apitest.Into[messagePageJSON](w.Get(limited, path+"&page="+*second.Prev).Want(200)); msgids(back.Messages) != "hers-5" || back.Prev != nil {
		t.Errorf("back: got %s", msgids(back.Messages))
	}
	// The caller cannot invent a token, and tokens of other callers do not fit.
	made, err := opaque.Page(strings.TrimSuffix(path, "?limit=1"), nil).Seal(chats.MessagePage{})
	if err != nil {
		t.Fatal(err)
	}
	w.Get(limited, path+"&page="+made).WantProblem(400, "invalid-request")
	w.Get(w.As(session.Reader), path+"&page="+*first.Next).WantProblem(400, "invalid-request")
	w.WithPair(w.Other, callbackpair.Pair{Token: secret.New("other"), AESKey: secret.New("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")})
	w.Get(apitest.TokenOf(w.Other, session.Reader).With("staff", "lin.hua"), "/v1/corps/"+w.Other+"/conversations/"+apitest.ConversationID(t, w.Other, conv)+"/messages?page="+*first.Next).WantProblem(400, "invalid-request")
}

func TestRanges(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	raw := apitest.Chat("big", "lin.hua", "wmA", "", apitest.Noon, strings.Repeat("0123456789", (gateway.MaxBody+1000)/10))
	w.Store(w.Corp, raw)
	id, err := chats.MessageID(archive.Message{Corp: w.Corp, Conversation: archive.PartyConversation([]string{"lin.hua", "wmA"}), Time: apitest.Noon, MsgID: "big"})
	if err != nil {
		t.Fatal(err)
	}
	size := len(raw)
	ask := func(header string) apitest.Response {
		h := map[string]string{}
		if header != "" {
			h["Range"] = header
		}
		return w.Do(apitest.Request{Who: w.As(session.Reader), Method: "GET", Path: "/v1/corps/" + w.Corp + "/messages/" + id + "/raw", Header: h})
	}
	whole := apitest.Into[apitest.Problem](ask("").WantProblem(413, "message-too-large"))
	_, list, ok := strings.Cut(whole.Detail, "in turn: ")
	if !ok {
		t.Fatalf("the ranges are not named: %s", whole.Detail)
	}
	var parts []byte
	for _, r := range strings.Split(strings.TrimSuffix(list, "."), ", ") {
		parts = append(parts, ask(r).Want(206).Body...)
	}
	if string(parts) != raw {
		t.Errorf("the named ranges give %d bytes, want the message's %d", len(parts), size)
	}
	for _, tc := range []struct {
		header      string
		first, last int
	}{
		{"bytes=0-0", 0, 0},
		{"bytes=5-9", 5, 9},
		{"bytes=0-", 0, gateway.MaxBody - 1},
		{"bytes=100-", 100, 100 + gateway.MaxBody - 1},
		{"bytes=-10", size - 10, size - 1},
		{"bytes=-999999999", 0, gateway.MaxBody - 1},
		{fmt.Sprintf("bytes=%d-", size-1), size - 1, size - 1},
		{fmt.Sprintf("bytes=%d-%d", size-5, size+100), size - 5, size - 1},
	} {
		resp := ask(tc.header).Want(206)
		if want := fmt.Sprintf("bytes %d-%d/%d", tc.first, tc.last, size); resp.Header.Get("Content-Range") != want || string(resp.Body) != raw[tc.first:tc.last+1] {
			t.Errorf("%s: got %s with %d bytes, want %s", tc.header, resp.Header.Get("Content-Range"), len(resp.Body), want)
		}
	}
	for _, header := range []string{fmt.Sprintf("bytes=%d-", size), "bytes=-0", "bytes=99999999999999999-"} {
		resp := ask(header).WantProblem(416, "range-not-satisfiable")
		if got, want := resp.Header.Get("Content-Range"), fmt.Sprintf("bytes */%d", size); got != want {
			t.Errorf("%s: got %s, want %s", header, got, want)
		}
	}
	for _, ignored := range []string{"bytes=0-1,5-6", "lines=0-1", "bytes=-", "bytes=9-5", "bytes=a-b", "bytes=9999999999999999999-"} {
		ask(ignored).WantProblem(413, "message-too-large")
	}
}

func TestLimitedReaders(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	at := func(min int) time.Time { return apitest.Noon.Add(time.Duration(min) * time.Minute) }
	var room []string
	for i := range 60 {
		room = append(room, apitest.Chat(fmt.Sprintf("r%02d", i), "wmA", "zhao", "wr1", at(i), "without her"))
	}
	room[3] = apitest.Chat("r03", "lin.hua", "wmA zhao", "wr1", at(3), "hers")
	room[58] = apitest.Chat("r58", "zhao", "wmA lin.hua", "wr1", at(58), "to her")
	w.Store(w.Corp, room...)
	w.Store(w.Corp, apitest.Chat("s1", "zhao", "wmA", "", at(1), "not hers"), apitest.Chat("s2", "lin.hua", "wmA", "", at(2), "hers"), "unreadable")
	limited := func(staff string) apitest.Token { return w.As(session.Reader).With("staff", staff) }
	messages := func(who apitest.Token, conv archive.ConversationID, query string) messagePageJSON {
		t.Helper()
		return apitest.Into[messagePageJSON](w.Get(who, "/v1/corps/"+w.Corp+"/conversations/"+apitest.ConversationID(t, w.Corp, conv)+"/messages"+query).Want(200))
	}
	roomConv := archive.RoomConversation("wr1")
	for _, claim := range []string{"lin.hua", "[lin.hua]", "nobody lin.hua", "[nobody lin.hua]"} {
		if got := msgids(messages(limited(claim), roomConv, "?limit=200").Messages); got != "r03 r58" {
			t.Errorf("claim %q: got %s", claim, got)
		}
	}
	for _, claim := range []string{"", "[]", "Lin.Hua", "lin"} {
		if got := messages(limited(claim), roomConv, "?limit=200"); len(got.Messages) != 0 || got.Next != nil {
			t.Errorf("claim %q: got %s", claim, msgids(got.Messages))
		}
	}
	// The staff claim limits every role.
	if got := msgids(messages(w.As(session.Auditor).With("staff", "lin.hua"), roomConv, "").Messages); got != "r03 r58" {
		t.Errorf("auditor: got %s", got)
	}
	p := messages(limited("lin.hua"), roomConv, "?limit=1")
	if msgids(p.Messages) != "r03" || p.Next == nil {
		t.Fatalf("got %s", msgids(p.Messages))
	}
	p = messages(limited("lin.hua"), roomConv, "?limit=1&page="+*p.Next)
	if msgids(p.Messages) != "r58" || p.Prev == nil {
		t.Fatalf("got %s", msgids(p.Messages))
	}
	if p = messages(limited("lin.hua"), roomConv, "?limit=1&page="+*p.Prev); msgids(p.Messages) != "r03" {
		t.Errorf("back: got %s", msgids(p.Messages))
	}

	single := func(a, b string) archive.ConversationID { return archive.PartyConversation([]string{a, b}) }
	idOf := func(conv archive.ConversationID, at time.Time, msgid string) string {
		id, err := chats.MessageID(archive.Message{Corp: w.Corp, Conversation: conv, Time: at, MsgID: msgid})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for id, want := range map[string]int{
		idOf(roomConv, at(3), "r03"): 200, idOf(roomConv, at(4), "r04"): 404, idOf(single("zhao", "wmA"), at(1), "s1"): 404, idOf(single("lin.hua", "wmA"), at(2), "s2"): 200,
	} {
		for _, suffix := range []string{"", "/raw"} {
			if got := w.Get(limited("lin.hua"), "/v1/corps/"+w.Corp+"/messages/"+id+suffix); got.Status != want {
				t.Errorf("message %s: got %d, want %d", id, got.Status, want)
			}
		}
	}

	type list struct{ Conversations []chats.ConversationJSON }
	conversations := func(who apitest.Token, query string) string {
		t.Helper()
		var got []string
		for _, c := range apitest.Into[list](w.Get(who, "/v1/corps/"+w.Corp+"/conversations?"+query).Want(200)).Conversations {
			got = append(got, c.Kind+":"+strings.Join(c.Parties, "+")+"@"+c.LastAt[14:16])
		}
		return strings.Join(got, " ")
	}
	for _, colleague := range []string{"member=zhao", "external_contact=zhao", "member=zhao&external_contact=wmA", "member=lin.hua&external_contact=zhao"} {
		w.Get(limited("lin.hua"), "/v1/corps/"+w.Corp+"/conversations?"+colleague).WantProblem(403, "forbidden")
	}
	for _, tc := range []struct{ name, query, want string }{
		{"her own", "member=lin.hua", "room:lin.hua+wmA+zhao@28 single:lin.hua+wmA@32"},
		{"of a customer", "external_contact=wmA", "room:lin.hua+wmA+zhao@28 single:lin.hua+wmA@32"},
		{"a room", "room=wr1", "room:lin.hua+wmA+zhao@28"},
		{"unreadable", "unplaced=true", ""},
	} {
		if got := conversations(limited("lin.hua"), tc.query); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
	if got := conversations(limited("nobody"), "room=wr1") + conversations(limited("nobody"), "external_contact=wmA"); got != "" {
		t.Errorf("somebody else's: got %s", got)
	}
	if got, want := conversations(w.As(session.Reader), "external_contact=wmA"), "room:wmA+zhao@29 single:lin.hua+wmA@32 single:wmA+zhao@31"; got != want {
		t.Errorf("without a limit: got %s, want %s", got, want)
	}
	if got, want := conversations(w.As(session.Reader), "unplaced=true"), "unplaced:@30"; got != want {
		t.Errorf("unplaced: got %s, want %s", got, want)
	}
}

func TestConversationLists(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.BareCorp(w.Other)
	const day = 24 * time.Hour
	var raws []string
	for i := range 12 {
		// Each customer wrote on several days; only the last day counts. Two customers
		// at a time share their last day.
		for d := range 4 {
			raws = append(raws, apitest.Chat(fmt.Sprintf("m%d-%d", i, d), fmt.Sprintf("wm%02d", i), "lin.hua", "", apitest.Noon.Add(-time.Duration(d)*3*day-time.Duration(i/2)*day), "t"))
		}
	}
	w.Store(w.Corp, raws...)
	var want []string
	for i := range 12 {
		want = append(want, fmt.Sprintf("wm%02d", i))
	}
	type list struct {
		Conversations []chats.ConversationJSON
		Next          *string
	}
	walk := func(who apitest.Token, corp, query string) (got []string) {
		t.Helper()
		for next := ""; ; {
			p := apitest.Into[list](w.Get(who, "/v1/corps/"+corp+"/conversations?"+query+next).Want(200))
			for _, c := range p.Conversations {
				got = append(got, c.Parties[len(c.Parties)-1])
				if c.Newest == nil || !strings.HasPrefix(c.Newest.Text, "t ") || c.Newest.Type != "text" || c.Newest.Time != c.LastAt {
					t.Errorf("got %+v", c)
				}
			}
			if p.Next == nil {
				return got
			}
			next = "&page=" + *p.Next
		}
	}
	for limit := 1; limit <= 13; limit += 3 {
		got := walk(w.As(session.Reader), w.Corp, fmt.Sprintf("member=lin.hua&limit=%d", limit))
		for of := range slices.Chunk(got, 2) { // at one time, in any order
			slices.Sort(of)
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: got %v, want %v", limit, got, want)
		}
	}
	if got := walk(apitest.TokenOf(w.Other, session.Reader), w.Other, "member=lin.hua"); len(got) != 0 {
		t.Errorf("another corp sees %v", got)
	}
	p := apitest.Into[list](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/conversations?member=lin.hua&limit=5").Want(200))
	w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/conversations?member=wm00&limit=5&page="+*p.Next).WantProblem(400, "invalid-request")
	w.Get(apitest.TokenOf(w.Other, session.Reader), "/v1/corps/"+w.Other+"/conversations?member=lin.hua&limit=5&page="+*p.Next).WantProblem(400, "invalid-request")
	// The id of an entry leads to its messages.
	m := apitest.Into[messagePageJSON](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/conversations/"+p.Conversations[0].ID+"/messages?order=desc").Want(200))
	if len(m.Messages) != 4 || m.Messages[0].ID != p.Conversations[0].Newest.MessageID {
		t.Errorf("got %s", msgids(m.Messages))
	}
	for query, wantRules := range map[string]string{
		"":                ":exclusive",
		"member=a&room=b": ":exclusive",
		"member=":         "member:length",
		"room=" + strings.Repeat("x", input.MaxParty+1): "room:length",
		"unplaced=yes":            "unplaced:one_of",
		"member=a&limit=0&page=x": "page:token limit:range",
	} {
		if got := w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/conversations?"+query).Want(400).Rules(); got != wantRules {
			t.Errorf("%.40s: got %s, want %s", query, got, wantRules)
		}
	}
}

// counting counts the reads of newest messages.
type counting struct {
	chats.MessageStore
	looks atomic.Int64
}

func (c *counting) Newest(ctx context.Context, corp string, conv archive.ConversationID) (archive.Message, error) {
	c.looks.Add(1)
	return c.MessageStore.Newest(ctx, corp, conv)
}

// A page of a long day reads only the upcoming conversations.
func TestPagesOfADayLookAtLittle(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	const n, limit = 900, 200
	page := decode.Decoded{Corp: w.Corp}
	var want []string
	for i := range n {
		at := apitest.Noon.Add(-time.Duration(i) * time.Millisecond)
		contact := fmt.Sprintf("wm%03d", i*7%n) // in an order of no id
		raw := apitest.Chat(fmt.Sprintf("m%03d", i), "lin.hua", contact, "", at, "t")
		conv := archive.PartyConversation([]string{"lin.hua", contact})
		want = append(want, contact)
		page.Messages = append(page.Messages, archive.Message{Corp: w.Corp, Conversation: conv, Time: at, MsgID: fmt.Sprintf("m%03d", i), Seq: uint64(i + 1), KeyVersion: 1, Raw: []byte(raw)})
		page.Activities = append(page.Activities, archive.Activity{Corp: w.Corp, Party: "lin.hua", Day: archive.DayOf(at), Conversation: conv})
	}
	if err := w.Messages.WritePage(t.Context(), page); err != nil {
		t.Fatal(err)
	}
	store := &counting{MessageStore: w.Messages}
	w.Chats.Messages = store
	for _, who := range []apitest.Token{w.As(session.Reader), w.As(session.Reader).With("staff", "lin.hua")} {
		var got []string
		var looks []int64
		for next := ""; ; {
			before := store.looks.Load()
			p := apitest.Into[listed](w.Get(who, fmt.Sprintf("/v1/corps/%s/conversations?member=lin.hua&limit=%d%s", w.Corp, limit, next)).Want(200))
			looks = append(looks, store.looks.Load()-before)
			for _, c := range p.Conversations {
				got = append(got, c.Parties[len(c.Parties)-1])
			}
			if p.Next == nil {
				break
			}
			if len(*p.Next) > input.MaxPageToken {
				t.Errorf("a token has %d characters", len(*p.Next))
			}
			next = "&page=" + *p.Next
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %d entries, want all %d in their order: %.200v", len(got), n, got)
		}
		if len(looks) != 5 || slices.Max(looks) > limit+1 {
			t.Errorf("the pages read %v conversations", looks)
		}
	}

	// New messages move conversations to the top. A conversation that moved is not
	// listed in its old place.
	first := apitest.Into[listed](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/conversations?member=lin.hua&limit=3").Want(200))
	w.Store(w.Corp, apitest.Chat("new", "lin.hua", want[4], "", apitest.Noon.Add(time.Second), "t"), apitest.Chat("newer", "lin.hua", "wmnew", "", apitest.Noon.Add(2*time.Second), "t"))
	second := apitest.Into[listed](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/conversations?member=lin.hua&limit=3&page="+*first.Next).Want(200))
	var got []string
	for _, c := range second.Conversations {
		got = append(got, c.Parties[len(c.Parties)-1])
	}
	if !slices.Equal(got, []string{want[3], want[5], want[6]}) {
		t.Errorf("got %v, want %v and the two after %v", got, want[3], want[4])
	}
}

// Conversations whose digests begin alike are not confused.
func TestDigestsThatBeginAlike(t *testing.T) {
	seen := make(map[string]string)
	var alike [][2]string
	for i := 0; len(alike) < 2; i++ {
		contact := fmt.Sprintf("wm%d", i)
		begin := chats.DigestOf(archive.PartyConversation([]string{"lin.hua", contact}))[:chats.AheadChars]
		if seen[begin] != "" {
			alike = append(alike, [2]string{seen[begin], contact})
		}
		seen[begin] = contact
	}
	a, b := alike[0], alike[1]
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	for n, want := range [][]string{{"wmA", a[0], b[0], "wmB", "wmC", a[1], b[1]}, {a[0], "wmA", b[1], "wmB", a[1], "wmC", b[0]}} {
		var raws, got []string
		newest := apitest.Noon.Add(time.Duration(n) * time.Minute)
		for i, contact := range want {
			raws = append(raws, apitest.Chat(fmt.Sprintf("m%d", i), "lin.hua", contact, "", newest.Add(-time.Duration(i)*time.Second), "t"))
		}
		w.Store(w.Corp, raws...)
		for next := ""; ; {
			p := apitest.Into[listed](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/conversations?member=lin.hua&limit=1"+next).Want(200))
			for _, c := range p.Conversations {
				got = append(got, c.Parties[len(c.Parties)-1])
			}
			if p.Next == nil {
				break
			}
			next = "&page=" + *p.Next
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

// A member who left a room is in no later message of the room, and still finds the
// room.
func TestRoomsThatWereLeft(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	const day = 24 * time.Hour
	w.Store(w.Corp,
		apitest.Chat("a1", "lin.hua", "zhao", "wr1", apitest.Noon.Add(-9*day), "both"),
		apitest.Chat("a2", "zhao", "lin.hua", "wr1", apitest.Noon.Add(-8*day), "both again"),
		apitest.Chat("a3", "zhao", "qian", "wr1", apitest.Noon.Add(-8*day+time.Minute), "she left"),
		apitest.Chat("a4", "zhao", "qian", "wr1", apitest.Noon, "long after"),
		apitest.Chat("b1", "lin.hua", "wmA", "", apitest.Noon.Add(-10*day), "older"),
		apitest.Chat("b2", "lin.hua", "wmA", "", apitest.Noon.Add(-8*day), "same day"),
	)
	type list struct {
		Conversations []chats.ConversationJSON
		Next          *string
	}
	for _, who := range []apitest.Token{w.As(session.Reader), w.As(session.Reader).With("staff", "lin.hua")} {
		for limit := 1; limit <= 3; limit++ {
			var got []string
			for next := ""; ; {
				p := apitest.Into[list](w.Get(who, fmt.Sprintf("/v1/corps/%s/conversations?member=lin.hua&limit=%d%s", w.Corp, limit, next)).Want(200))
				for _, c := range p.Conversations {
					got = append(got, c.Kind+" "+c.Newest.Text)
				}
				if p.Next == nil {
					break
				}
				next = "&page=" + *p.Next
			}
			want := []string{"room both again " + apitest.ContentMark, "single same day " + apitest.ContentMark}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("limit %d, staff %q: got %q, want %q", limit, who["staff"], got, want)
			}
		}
	}
}

// noReadings is a store that cannot record.
type noReadings struct{ session.ReadingWriter }

func (noReadings) RecordReading(context.Context, archive.Reading) error {
	return errors.New("reading not recorded")
}

func TestReadingsAreRecordedBeforeTheAnswer(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.Store(w.Corp, apitest.Chat("m0", "lin.hua", "wmA", "", apitest.Noon, "t"))
	conv := archive.PartyConversation([]string{"lin.hua", "wmA"})
	id, err := chats.MessageID(archive.Message{Corp: w.Corp, Conversation: conv, Time: apitest.Noon, MsgID: "m0"})
	if err != nil {
		t.Fatal(err)
	}
	convID := apitest.ConversationID(t, w.Corp, conv)
	paths := []string{
		"/v1/corps/" + w.Corp + "/conversations/" + convID + "/messages",
		"/v1/corps/" + w.Corp + "/messages/" + id,
		"/v1/corps/" + w.Corp + "/messages/" + id + "/raw",
		"/v1/corps/" + w.Corp + "/conversations?member=lin.hua",
		"/v1/corps/" + w.Corp + "/conversations?room=wr1",
	}
	type reading struct {
		By                  string
		Conversation, Party *string
	}
	type readings struct{ Readings []reading }
	listed := func() []reading {
		t.Helper()
		return apitest.Into[readings](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/readings").Want(200)).Readings
	}
	for i, path := range paths {
		// A different user reads each path, twice within ten minutes.
		who := w.As(session.Reader).With("sub", fmt.Sprintf("viewer-%d", i))
		w.Get(who, path).Want(200)
		w.Get(who, path).Want(200)
	}
	got := listed()
	if len(got) != len(paths) {
		t.Errorf("got %d readings, want %d", len(got), len(paths))
	}
	for _, v := range got {
		switch v.By {
		case "viewer-0", "viewer-1", "viewer-2":
			if v.Conversation == nil || *v.Conversation != convID || v.Party != nil {
				t.Errorf("got %+v", v)
			}
		case "viewer-3":
			if v.Conversation != nil || *v.Party != "lin.hua" {
				t.Errorf("got %+v", v)
			}
		}
	}
	w.Pass(archive.ReadingSlot)
	w.Get(w.As(session.Reader).With("sub", "viewer-0"), paths[0]).Want(200)
	if again := listed(); len(again) != len(got)+1 {
		t.Errorf("ten minutes later: got %d readings, want one more than %d", len(again), len(got))
	}

	w.Chats.Readings = noReadings{w.Readings}
	for _, path := range paths {
		resp := w.Get(w.As(session.Reader), path).WantProblem(500, "internal")
		if bytes.Contains(resp.Body, []byte(apitest.ContentMark)) || bytes.Contains(resp.Body, []byte(base64.StdEncoding.EncodeToString([]byte("lin.hua")))) {
			t.Error("content was answered without a record")
		}
	}
}

func TestMessageWhoseBytesAreGone(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.Store(w.Corp, apitest.Chat("m0", "lin.hua", "wmA", "", apitest.Noon, strings.Repeat("x", archive.InlineLimit)))
	w.Chats.Blobs = emptyBlobs{}
	// The answer must not be 404, which would deny that the message exists.
	w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/conversations/"+apitest.ConversationID(t, w.Corp, archive.PartyConversation([]string{"lin.hua", "wmA"}))+"/messages").WantProblem(500, "internal")
}

type emptyBlobs struct{}

func (emptyBlobs) Message(context.Context, string, archive.Overflow) ([]byte, error) {
	return nil, archive.ErrNotFound
}
