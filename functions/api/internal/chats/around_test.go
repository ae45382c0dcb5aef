package chats_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

type aroundPage struct {
	messagePageJSON
	Anchor *string
}

// From any message and any time of a conversation, with any limit, both
// directions together are the whole conversation.
func TestAPageAroundAPlace(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	var raws []string
	for i := range 9 {
		raws = append(raws, apitest.Chat(fmt.Sprintf("m%d", i), "lin.hua", "wmA", "", apitest.Noon.Add(time.Duration(i/3)*time.Second), "t"))
	}
	stored := w.Store(w.Corp, raws...)
	conv := archive.PartyConversation([]string{"lin.hua", "wmA"})
	path := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, conv) + "/messages"
	get := func(query string) aroundPage {
		t.Helper()
		return apitest.Into[aroundPage](w.Do(apitest.Request{Who: w.As(session.Reader), Method: "GET", Path: path + query, Unchecked: true}).Want(200))
	}
	const all = "m0 m1 m2 m3 m4 m5 m6 m7 m8"
	places := map[string]int{} // the query, and the index of its anchor
	for i, m := range stored {
		id, err := chats.MessageID(m)
		apitest.OK(t, err)
		places["?around="+id] = i
	}
	absent := stored[4]
	absent.MsgID = "m4 was here"
	id, err := chats.MessageID(absent)
	apitest.OK(t, err)
	places["?around="+id] = 5
	for i, at := range []time.Time{apitest.Noon.Add(-time.Hour), apitest.Noon.Add(time.Second), apitest.Noon.Add(1500 * time.Millisecond), apitest.Noon.Add(time.Hour), time.Unix(-1, 0)} {
		places["?at="+url.QueryEscape(at.Format(time.RFC3339Nano))] = []int{0, 3, 6, 9, 0}[i]
	}
	for place, anchor := range places {
		for limit := 1; limit <= 10; limit++ {
			base := fmt.Sprintf("%s&limit=%d", place, limit)
			first := get(base)
			from, to := max(anchor-limit/2, 0), min(anchor+limit-limit/2, 9)
			if got, want := msgids(first.Messages), strings.Join(strings.Fields(all)[from:to], " "); got != want {
				t.Errorf("%s: got %s, want %s", base, got, want)
			}
			if (first.Prev != nil) != (from > 0) || (first.Next != nil) != (to < 9) {
				t.Errorf("%s: prev %v, next %v", base, first.Prev, first.Next)
			}
			if anchor == 9 && first.Anchor != nil || anchor < 9 && *first.Anchor != first.Messages[anchor-from].ID {
				t.Errorf("%s: got anchor %v", base, first.Anchor)
			}
			pages := []string{msgids(first.Messages)}
			for p := first; p.Next != nil; {
				p = get(base + "&page=" + *p.Next)
				pages = append(pages, msgids(p.Messages))
				if p.Prev == nil || p.Anchor != nil {
					t.Errorf("%s: a further page has prev %v, anchor %v", base, p.Prev, p.Anchor)
				}
			}
			for p := first; p.Prev != nil; {
				p = get(base + "&page=" + *p.Prev)
				pages = slices.Insert(pages, 0, msgids(p.Messages))
			}
			if got := strings.Join(strings.Fields(strings.Join(pages, " ")), " "); got != all {
				t.Errorf("%s: got %s in both directions", base, got)
			}
		}
	}
	who := w.As(session.Reader)
	around := "?around=" + id
	w.Get(who, path+around).Want(200) // as documented
	for query, want := range map[string]string{
		around + "&at=2026-01-31T08:00:00Z": "at:exclusive", around + "&order=asc": "order:exclusive", "?at=2026-01-31T08:00:00Z&from=2026-01-31T08:00:00Z": "from:exclusive",
		"?at=noon": "at:form", "?omit=names": "omit:one_of", "?omit=": "omit:one_of",
	} {
		if got := w.Get(who, path+query).WantProblem(400, "invalid-request").Rules(); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	other := stored[0]
	other.Conversation = archive.Unplaced
	id, err = chats.MessageID(other)
	apitest.OK(t, err)
	w.Get(who, path+"?around="+id).WantProblem(404, "not-found")
	w.Get(who, path+"?around=abc").WantProblem(404, "not-found")
}

// Both halves of a page together fit into an answer.
func TestAPageAroundLongMessages(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	var raws []string
	long := strings.Repeat("x", 250<<10)
	for i := range 20 {
		raws = append(raws, apitest.Chat(fmt.Sprintf("m%02d", i), "lin.hua", "wmA", "", apitest.Noon.Add(time.Duration(i)*time.Second), long))
	}
	w.Store(w.Corp, raws...)
	path := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, archive.PartyConversation([]string{"lin.hua", "wmA"})) + "/messages"
	base := path + "?at=" + apitest.Noon.Add(10*time.Second).Format(time.RFC3339)
	first := apitest.Into[aroundPage](w.Get(w.As(session.Reader), base).Want(200))
	if first.Prev == nil || first.Next == nil || len(first.Messages) == 0 {
		t.Fatalf("got %d messages, prev %v, next %v", len(first.Messages), first.Prev, first.Next)
	}
	ids := msgids(first.Messages)
	for p := first; p.Next != nil; {
		p = apitest.Into[aroundPage](w.Get(w.As(session.Reader), base+"&page="+*p.Next).Want(200))
		ids += " " + msgids(p.Messages)
	}
	for p := first; p.Prev != nil; {
		p = apitest.Into[aroundPage](w.Get(w.As(session.Reader), base+"&page="+*p.Prev).Want(200))
		ids = msgids(p.Messages) + " " + ids
	}
	if list := strings.Fields(ids); len(list) != 20 || !slices.IsSorted(list) {
		t.Errorf("got %s", ids)
	}
}

// An answer leaves out what its page does not draw, and is smaller by it.
func TestOmittedMembers(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	m := w.Store(w.Corp, apitest.Chat("m1", "lin.hua", "wmA", "", apitest.Noon, "t"))[0]
	id, err := chats.MessageID(m)
	apitest.OK(t, err)
	list := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, m.Conversation) + "/messages"
	for _, path := range []string{list, "/v1/corps/" + w.Corp + "/messages/" + id} {
		for omit, want := range map[string][2]bool{"": {true, true}, "?omit=raw": {false, true}, "?omit=json": {true, false}, "?omit=raw,json": {false, false}, "?omit=json,raw,raw": {false, false}} {
			resp := w.Get(w.As(session.Reader), path+omit).Want(200)
			got := messageDoc{}
			if path == list {
				got = apitest.Into[messagePageJSON](resp).Messages[0]
			} else {
				got = apitest.Into[messageDoc](resp)
			}
			if (got.Raw != nil) != want[0] || (string(got.JSON) != "null") != want[1] || got.Content.Text == "" || got.Size != len(m.Raw) {
				t.Errorf("%s%s: got raw %v, json %v, content %+v", path, omit, got.Raw != nil, string(got.JSON) != "null", got.Content)
			}
		}
	}
}
