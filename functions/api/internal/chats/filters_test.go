package chats_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// chatsOf follows the pages of a list of conversations and shows each by its
// newest text.
func chatsOf(w *apitest.World, who apitest.Token, query string) string {
	w.T.Helper()
	var got []string
	for next := ""; ; {
		page := apitest.Into[struct {
			Conversations []chats.ConversationJSON
			Next          *string
		}](w.Get(who, "/v1/corps/"+w.Corp+"/conversations?"+query+next).Want(200))
		for _, c := range page.Conversations {
			got = append(got, strings.TrimSuffix(c.Newest.Text, " "+apitest.ContentMark))
		}
		if page.Next == nil {
			return strings.Join(got, ", ")
		}
		next = "&page=" + *page.Next
	}
}

func TestFilteredConversations(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	at := func(days, hours int) time.Time {
		return apitest.Noon.AddDate(0, 0, days).Add(time.Duration(hours) * time.Hour)
	}
	w.Store(w.Corp,
		apitest.Chat("m1", "lin.hua", "wmA", "", at(-1, 0), "customer"), apitest.Chat("m2", "lin.hua", "zhao", "", at(-1, -1), "colleague"),
		apitest.Chat("m3", "lin.hua", "wmA zhao", "wr1", at(-2, 0), "customers' room"), apitest.Chat("m4", "lin.hua", "zhao", "wr2", at(-2, -1), "own room"),
		apitest.Chat("m5", "lin.hua", "", "", at(-3, 0), "note"), apitest.Chat("m6", "lin.hua", "zhao wmB", "", at(-3, -1), "call"),
		apitest.Chat("m9", "zhao", "wmB", "wr1", at(-40, 0), "before"), apitest.Chat("m10", "zhao", "wmB", "wr3", at(-40, 0), "old room"),
		apitest.Chat("m7", "zhao", "wmB", "", at(-1, 1), "another member's"), apitest.Chat("m8", "zhao", "wmB", "", at(-2, 1), "earlier"),
	)
	apitest.OK(t, w.Contacts.GiveRooms(t.Context(), w.Corp, []directory.Room{
		{ID: "wr3", Name: "三班家长群", Origin: directory.Origin{Source: directory.SourceSCRM, At: apitest.Noon}},
		{ID: "wr4", Name: "没有消息的家长群", Origin: directory.Origin{Source: directory.SourceSCRM, At: apitest.Noon}},
	}))
	since := func(t time.Time) string { return "&since=" + t.Format(time.RFC3339) }
	for _, c := range []struct{ query, want string }{
		{"member=lin.hua", "customer, colleague, customers' room, own room, note, call"},
		{"member=lin.hua&kind=single", "customer, colleague"}, {"member=lin.hua&kind=room", "customers' room, own room"}, {"member=lin.hua&kind=own", "note"}, {"member=lin.hua&kind=group", "call"},
		{"member=lin.hua&external=true", "customer, customers' room, call"}, {"member=lin.hua&external=true&kind=room", "customers' room"},
		{"member=lin.hua" + since(at(-2, 0)), "customer, colleague, customers' room"}, {"member=lin.hua" + since(at(0, 0)), ""},
		{"room=wr1&kind=single", ""}, {"room=wr1&external=true", "customers' room"}, {"room=wr2&external=true", ""},
		{"day=2026-01-30", "customer, colleague, another member's"}, {"day=2026-01-29&kind=room", "customers' room, own room"}, {"day=2026-01-29", "customers' room, own room, earlier"},
		{"rooms=true", "customers' room, own room, old room"}, {"rooms=true&external=true", "customers' room, old room"}, {"rooms=true" + since(at(-2, 0)), "customers' room"},
		{"rooms=true&q=WR2", "own room"}, {"rooms=true&q=" + url.QueryEscape("家长"), "old room"}, {"rooms=true&q=none", ""}, {"rooms=true&kind=single", ""},
		{"day=2026-01-30&external=true", "customer, another member's"}, {"day=2026-01-31", ""}, {"day=2026-01-01", ""},
	} {
		for _, limit := range []string{"", "&limit=1", "&limit=2"} {
			if got := chatsOf(w, w.As(session.Reader), c.query+limit); got != c.want {
				t.Errorf("%s%s: got %s, want %s", c.query, limit, got, c.want)
			}
		}
	}
	list := "/v1/corps/" + w.Corp + "/conversations?"
	w.Get(w.As(session.Reader).With("staff", "lin.hua"), list+"day=2026-01-30").WantProblem(403, "forbidden")
	w.Get(w.As(session.Reader).With("staff", "lin.hua"), list+"rooms=true").WantProblem(403, "forbidden")
	for query, want := range map[string]string{
		"day=2026-01-30&member=lin.hua": "day:exclusive", "day=2026-01-30&since=2026-01-30T00:00:00Z": "day:exclusive", "day=today": "day:form",
		"rooms=true&room=wr1": ":exclusive", "rooms=1": "rooms:one_of", "member=lin.hua&q=x": "q:exclusive", "rooms=true&day=2026-01-30": "day:exclusive",
		"member=lin.hua&kind=chat": "kind:one_of", "member=lin.hua&external=1": "external:one_of", "member=lin.hua&since=now": "since:form",
	} {
		if got := w.Get(w.As(session.Reader), list+query).WantProblem(400, "invalid-request").Rules(); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

// A list that has not changed is answered 304, also where its page tokens are
// random; and the reading is recorded.
func TestUnchangedLists(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	for i := range 3 {
		w.Store(w.Corp, apitest.Chat(fmt.Sprint("m", i), "lin.hua", fmt.Sprint("wm", i), "", apitest.Noon.Add(-time.Duration(i)*time.Hour), "t"))
	}
	for _, who := range []apitest.Token{w.As(session.Reader), w.As(session.Reader).With("staff", "lin.hua").With("sub", "u-lin")} {
		ask := func(tag string) apitest.Response {
			t.Helper()
			return w.Do(apitest.Request{Who: who, Method: "GET", Path: "/v1/corps/" + w.Corp + "/conversations?member=lin.hua&limit=2", Header: map[string]string{"If-None-Match": tag}})
		}
		tag := ask("").Want(200).Header.Get("Etag")
		for _, known := range []string{tag, `"other", ` + tag, strings.TrimPrefix(tag, "W/"), "*"} {
			w.Pass(archive.ReadingSlot)
			if resp := ask(known).Want(304); len(resp.Body) > 0 || resp.Header.Get("Etag") != tag {
				t.Errorf("got %q, tag %s, want %s", resp.Body, resp.Header.Get("Etag"), tag)
			}
		}
		ask(`"other"`).Want(200)
		w.Store(w.Corp, apitest.Chat("new "+who["sub"], "wm0", "lin.hua", "", w.Now(), "t"))
		if got := ask(tag).Want(200).Header.Get("Etag"); got == tag {
			t.Error("got the same tag after a message")
		}
	}
	read, _, err := w.Readings.Readings(t.Context(), w.Corp, archive.DayOf(apitest.Noon), "", 100)
	apitest.OK(t, err)
	if len(read) < 10 { // two users, each in five slots
		t.Errorf("got %d readings", len(read))
	}
}
