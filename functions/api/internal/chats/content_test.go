package chats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/message"
)

// The document describes the content of every known message, and has an example of
// every part.
func TestContentIsAsDocumented(t *testing.T) {
	doc, err := apitest.Document()
	if err != nil {
		t.Fatal(err)
	}
	schema := func(name string) *openapi3.Schema { return doc.Components.Schemas[name].Value }
	conform := func(what, schemaName string, v any) {
		t.Helper()
		if err := schema(schemaName).VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s is no %s: %v", what, schemaName, err)
		}
	}
	seen := make(map[string]bool)
	see := func(v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(string(b), `"type":"`) {
			name, _, _ := strings.Cut(part, `"`)
			seen[name] = true
		}
	}
	files, err := filepath.Glob("../../../../shared/message/testdata/golden/*.json")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, ".view.json") })
	if len(files) < 30 {
		t.Fatalf("got %d golden messages", len(files))
	}
	many := `{"msgtype":"mixed","mixed":{"item":[` + strings.TrimSuffix(strings.Repeat(`{"type":"text","content":"{}"},`, 5002), ",") + `]}}`
	raws := map[string][]byte{"no JSON": []byte("\xff no"), "null": []byte("null"), "empty": []byte("{}"), "too many parts": []byte(many)}
	for _, name := range files {
		if raws[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	for name, raw := range raws {
		v := decoded(t, chats.ShowUnknownFiles("ww0123456789abcdef", message.Read(raw)))
		conform(name, "MessageContent", v)
		see(v)
	}
	for partType, ref := range schema("Part").Discriminator.Mapping {
		if !seen[partType] {
			t.Errorf("no golden message has a part of type %s", partType)
		}
		name := filepath.Base(ref.Ref)
		example, _ := schema(name).Example.(map[string]any)
		if example == nil {
			t.Errorf("%s has no example", name)
		}
		conform("the example of "+name, "Part", schema(name).Example)
	}
	conform("the example", "MessageContent", schema("MessageContent").Example)
	conform("the example", "Revocation", schema("Revocation").Example)
}

// decoded is v as a client decodes it.
func decoded(t *testing.T, v any) (out any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBeginning(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", ""},
		{"短", "短"},
		{strings.Repeat("长", 100), strings.Repeat("长", 100)},
		{strings.Repeat("长", 101), strings.Repeat("长", 100)},
	} {
		if got := chats.Beginning(tc.text); got != tc.want {
			t.Errorf("%q: got %q", tc.text, got)
		}
	}
}

func messagesPath(w *apitest.World, conv archive.ConversationID) string {
	w.T.Helper()
	return "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(w.T, w.Corp, conv) + "/messages"
}

func TestContentOfMessages(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	sent := func(id string, second int, rest string) string {
		return fmt.Sprintf(`{"msgid":%q,"action":"send","from":"lin.hua","tolist":["wmA"],"msgtime":%d,%s}`, id, apitest.Noon.UnixMilli()+int64(second)*1000, rest)
	}
	long := strings.Repeat("长", archive.InlineLimit/3+1)
	// Each of these bytes takes six characters in JSON, and appears three times: in
	// the text, in the part and in the reply of its quote. The content alone exceeds
	// the largest answer.
	wide := strings.Repeat("\x01", 290<<10)
	w.Store(w.Corp,
		sent("m0", 0, `"msgtype":"image","image":{"sdkfileid":"secret-file-id","md5sum":"0cc175b9c0f1b6a831c399e269772661","filesize":7}`),
		sent("m1", 1, `"msgtype":"hologram","hologram":{"depth":3}`),
		sent("m2", 2, `"msgtype":"text","text":{"content":"`+long+`"}`),
		sent("m3", 3, `"msgtype":"text","text":{"content":"「陈晨：几点？」\n- - - - - - - - - - - - - - -\n`+wide+`"}`),
	)
	conv := archive.PartyConversation([]string{"lin.hua", "wmA"})
	var list []messageDoc
	for next := ""; ; {
		resp := w.Get(w.As(session.Reader), messagesPath(w, conv)+"?limit=200"+next).Want(200)
		if _, content, _ := strings.Cut(string(resp.Body), `"content":`); strings.Contains(content, "secret-file-id") {
			t.Error("the content holds the id for WeCom's library")
		}
		p := apitest.Into[messagePageJSON](resp)
		list = append(list, p.Messages...)
		if p.Next == nil {
			break
		}
		next = "&page=" + *p.Next
	}
	if got := msgids(list); got != "m0 m1 m2 m3" {
		t.Fatalf("got %s", got)
	}
	if v := list[0].Content; v.Kind != "image" || v.Text != "[图片]" || !v.Whole || len(v.Files) != 1 || v.Files[0].Size != 7 || v.Parts[0]["file"] != 0.0 {
		t.Errorf("image: got %+v", v)
	}
	if v := list[1].Content; v.Kind != "unknown" || v.Parts[0]["type"] != "generic" || v.Parts[0]["name"] != "hologram" || !slices.Equal(v.Unknown, []string{"msgtype=hologram"}) {
		t.Errorf("unknown type: got %+v", v)
	}
	for _, m := range list[2:] {
		if v := m.Content; v.Whole || len(v.Parts) != 0 || utf8.RuneCountInString(v.Text) != 100 {
			t.Errorf("%s in a list: got %.300v", m.MsgID, v)
		}
	}
	one := func(m messageDoc) messageDoc {
		t.Helper()
		return apitest.Into[messageDoc](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/messages/"+m.ID).Want(200))
	}
	if v := one(list[2]).Content; !v.Whole || v.Text != long || v.Parts[0]["text"] != long {
		t.Errorf("a long text by its id: got %.300v", v)
	}
	if v := one(list[3]).Content; v.Whole || v.Kind != "text" {
		t.Errorf("content that no answer can hold, by its id: got %.300v", v)
	}
	// A message that is longer than any answer is not read for its content.
	w.Store(w.Corp, sent("m4", 4, `"msgtype":"text","text":{"content":"`+strings.Repeat("x", chats.ContentMost)+`"}`))
	p4 := apitest.Into[messagePageJSON](w.Get(w.As(session.Reader), messagesPath(w, conv)+"?order=desc&limit=1").Want(200)).Messages[0]
	for _, v := range []messageDoc{p4, one(p4)} {
		if v := v.Content; v.Whole || v.Kind != "text" || v.Text != chats.TooLong {
			t.Errorf("a message over 4 MiB: got %.300v", v)
		}
	}
	type conversations struct{ Conversations []chats.ConversationJSON }
	p := apitest.Into[conversations](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/conversations?member=lin.hua").Want(200)).Conversations
	if n := p[0].Newest; n.Kind != "text" || n.Text != chats.TooLong {
		t.Errorf("got %.300v", n)
	}
}

// revoke stores revocations of messages of a conversation.
func revoke(w *apitest.World, conv archive.ConversationID, at time.Time, msgids ...string) {
	w.T.Helper()
	page := decode.Decoded{Corp: w.Corp}
	for i, id := range msgids {
		page.Revocations = append(page.Revocations, archive.Revocation{Corp: w.Corp, Conversation: conv, MsgID: id, By: "lin.hua", At: at, Seq: uint64(1000 + i)})
	}
	if err := w.Messages.WritePage(w.T.Context(), page); err != nil {
		w.T.Fatal(err)
	}
}

// withRevocations is a world with twelve messages, four of them revoked.
func withRevocations(t *testing.T) (*apitest.World, archive.ConversationID) {
	t.Helper()
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	w.BareCorp(w.Other)
	conv := archive.PartyConversation([]string{"lin.hua", "wmA"})
	var raws []string
	for i := range 12 {
		raws = append(raws, apitest.Chat(fmt.Sprintf("m%02d_external", i), "lin.hua", "wmA", "", apitest.Noon.Add(time.Duration(i)*time.Second), "t"))
	}
	w.Store(w.Corp, raws...)
	w.Store(w.Other, raws...)
	revoke(w, conv, apitest.Noon.Add(time.Minute), "m01", "m05_external", "m06", "m11", "never-seen")
	return w, conv
}

func TestRevokedMessages(t *testing.T) {
	w, conv := withRevocations(t)
	get := func(query string) messagePageJSON {
		t.Helper()
		return apitest.Into[messagePageJSON](w.Get(w.As(session.Reader), messagesPath(w, conv)+query).Want(200))
	}
	all := get("").Messages
	var revoked []string
	for _, m := range all {
		if m.Revoked != nil {
			revoked = append(revoked, m.MsgID)
		}
		if !strings.Contains(m.Content.Text, apitest.ContentMark) {
			t.Errorf("%s is not readable", m.MsgID)
		}
	}
	if got, want := strings.Join(revoked, " "), "m01_external m05_external m06_external m11_external"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if r := all[1].Revoked; r.By != "lin.hua" || r.At != output.Moment(apitest.Noon.Add(time.Minute)) || r.AfterSeconds != 59 {
		t.Errorf("got %+v", r)
	}
	one := apitest.Into[messageDoc](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/messages/"+all[1].ID).Want(200))
	if one.Revoked == nil || *one.Revoked != *all[1].Revoked {
		t.Errorf("by its id: got %+v", one.Revoked)
	}
	for _, m := range apitest.Into[messagePageJSON](w.Get(apitest.TokenOf(w.Other, session.Reader), "/v1/corps/"+w.Other+"/conversations/"+apitest.ConversationID(t, w.Other, conv)+"/messages").Want(200)).Messages {
		if m.Revoked != nil {
			t.Error("revoked in another corp")
		}
	}
}

// countedRevocations counts the reads of revocations by msgid.
type countedRevocations struct {
	chats.MessageStore
	reads *int
}

func (c countedRevocations) Revocations(ctx context.Context, corp string, conv archive.ConversationID, msgIDs []string) (map[string]archive.Revocation, error) {
	*c.reads++
	return c.MessageStore.Revocations(ctx, corp, conv, msgIDs)
}

// A page reads the revocations of its messages one by one only in a conversation with
// more of them than are read together.
func TestRevocationsOfAPageAreReadTogether(t *testing.T) {
	w, conv := withRevocations(t)
	reads := 0
	w.Chats.Messages = countedRevocations{w.Messages, &reads}
	var others []string
	for i := range chats.RevocationsRead {
		others = append(others, fmt.Sprintf("a%05d", i)) // these come before the messages of the page
	}
	for _, query := range []string{"", "?around=" + apitest.Into[messagePageJSON](w.Get(w.As(session.Reader), messagesPath(w, conv)).Want(200)).Messages[6].ID} {
		reads = 0
		for _, many := range []bool{false, true} {
			if many {
				revoke(w, conv, apitest.Noon, others...)
			}
			var revoked []string
			for _, m := range apitest.Into[messagePageJSON](w.Get(w.As(session.Reader), messagesPath(w, conv)+query).Want(200)).Messages {
				if m.Revoked != nil {
					revoked = append(revoked, m.MsgID)
				}
			}
			if got, want := strings.Join(revoked, " "), "m01_external m05_external m06_external m11_external"; got != want {
				t.Errorf("%q, many %v: got %s, want %s", query, many, got, want)
			}
			if query == "" && (reads > 0) != many {
				t.Errorf("many %v: got %d reads by msgid", many, reads)
			}
		}
	}
}

// The filter revoked pages in both directions.
func TestRevokedMessagesPageBothWays(t *testing.T) {
	w, conv := withRevocations(t)
	get := func(query string) messagePageJSON {
		t.Helper()
		return apitest.Into[messagePageJSON](w.Get(w.As(session.Reader), messagesPath(w, conv)+query).Want(200))
	}
	for _, tc := range []struct{ order, want string }{
		{"asc", "m01_external m05_external m06_external m11_external"}, {"desc", "m11_external m06_external m05_external m01_external"},
	} {
		for limit := 1; limit <= 5; limit++ {
			base := fmt.Sprintf("?revoked=true&order=%s&limit=%d", tc.order, limit)
			p := get(base)
			there := []string{msgids(p.Messages)}
			for p.Next != nil {
				if q := get(base + "&page=" + *p.Next); len(q.Messages) > 0 {
					there, p = append(there, msgids(q.Messages)), q
				} else {
					p.Next = q.Next
				}
			}
			back := []string{msgids(p.Messages)}
			for p.Prev != nil {
				p = get(base + "&page=" + *p.Prev)
				if len(p.Messages) > 0 {
					back = append(back, msgids(p.Messages))
				}
			}
			slices.Reverse(back)
			if got := strings.Join(there, " "); got != tc.want {
				t.Errorf("%s forward: got %s", base, got)
			}
			if got := strings.Join(back, " "); got != tc.want {
				t.Errorf("%s backward: got %s", base, got)
			}
		}
	}
	next := "&limit=2&page=" + *get("?revoked=true&limit=2").Next
	if got := w.Get(w.As(session.Reader), messagesPath(w, conv)+"?order=asc"+next).Want(400).Rules(); got != "page:token" {
		t.Errorf("a token of the other list: got %s", got)
	}
	if got := w.Get(w.As(session.Reader), messagesPath(w, conv)+"?revoked=false").Want(400).Rules(); got != "revoked:one_of" {
		t.Errorf("got %s", got)
	}
	// A caller who may not see a message does not learn of its revocation.
	if p := apitest.Into[messagePageJSON](w.Get(w.As(session.Reader).With("staff", "zhao"), messagesPath(w, conv)+"?revoked=true").Want(200)); len(p.Messages) != 0 {
		t.Errorf("got %s", msgids(p.Messages))
	}
}

// A filter that finds little ends a page by its work, and the page has a next.
func TestRevokedMessagesAreFoundInBoundedSteps(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	conv := archive.PartyConversation([]string{"lin.hua", "wmA"})
	var raws []string
	for i := range chats.LookMost + 100 {
		raws = append(raws, apitest.Chat(fmt.Sprintf("m%05d", i), "lin.hua", "wmA", "", apitest.Noon.Add(time.Duration(i)*time.Second), "t"))
	}
	w.Store(w.Corp, raws...)
	revoke(w, conv+"0", apitest.Noon, "m02050")
	if p := apitest.Into[messagePageJSON](w.Get(w.As(session.Reader), messagesPath(w, conv)+"?revoked=true").Want(200)); len(p.Messages) != 0 || p.Next != nil {
		t.Errorf("no message was revoked: got %s, next %v, want no message and no page after", msgids(p.Messages), p.Next)
	}
	revoke(w, conv, apitest.Noon, "m02050")
	p := apitest.Into[messagePageJSON](w.Get(w.As(session.Reader), messagesPath(w, conv)+"?revoked=true").Want(200))
	if len(p.Messages) != 0 || p.Next == nil {
		t.Fatalf("got %s, want none yet", msgids(p.Messages))
	}
	p = apitest.Into[messagePageJSON](w.Get(w.As(session.Reader), messagesPath(w, conv)+"?revoked=true&page="+*p.Next).Want(200))
	if msgids(p.Messages) != "m02050" || p.Next != nil {
		t.Fatalf("got %s", msgids(p.Messages))
	}
	if r := p.Messages[0].Revoked; r.AfterSeconds != 0 {
		t.Errorf("revoked before it was sent: got %+v", r)
	}
}
