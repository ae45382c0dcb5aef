package directory_test

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

func TestPeople(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	day := func(n int) time.Time { return apitest.Noon.AddDate(0, 0, n) }
	w.Store(w.Corp, apitest.Chat("m1", "lin.hua", "wmA", "", day(-9), "t"), apitest.Chat("m2", "zhao", "wmB", "", day(-9), "t"))
	w.Store(w.Corp, apitest.Chat("m3", "lin.hua", "wmB zhao", "wr1", day(-3), "t"), apitest.Chat("m4", "lin.hua", "wmC", "", day(-3), "t"))
	w.Store(w.Corp, apitest.Chat("m5", "wmA", "lin.hua", "", day(-1), "t"), apitest.Chat("m6", "zhao", "lin.hua", "", day(-1), "t"), apitest.Chat("m7", "wbBot", "zhao", "", day(-2), "t"))
	w.Store(w.Corp, apitest.Chat("m8", "zhao", "wmC", "", day(0), "t"))
	name := func(id string, kind directory.PersonKind, name string) directory.Person {
		return directory.Person{ID: id, Kind: kind, Name: name, Origin: directory.Origin{Source: directory.SourceSCRM, At: apitest.Noon}}
	}
	apitest.OK(t, w.Contacts.GivePeople(t.Context(), w.Corp, []directory.Person{
		name("lin.hua", directory.Member, "林华"), name("zhao", directory.Member, "赵敏"), name("wmA", directory.External, "陈妈妈"), name("wmB", directory.External, "Bo"), name("quiet", directory.Member, "安静"),
	}))
	whole, limited := w.As(session.Reader), w.As(session.Reader).With("staff", "zhao lin.hua new")
	list := func(who apitest.Token, query string) string {
		t.Helper()
		var got []string
		path := "/v1/corps/" + w.Corp + "/people?" + query
		for next := ""; ; {
			page := apitest.Into[struct {
				People []struct {
					ID      string
					Name    *string
					LastDay *string `json:"last_day"`
				}
				Whole bool
				Next  *string
			}](w.Get(who, path+next).Want(200))
			for _, p := range page.People {
				ago := "never"
				if p.LastDay != nil {
					ago = fmt.Sprint(apitest.Noon.Sub(archive.Day(*p.LastDay).Start()).Hours() / 24)[:1]
				}
				got = append(got, p.ID+" "+ago)
			}
			if page.Next == nil {
				if !page.Whole {
					t.Errorf("%s: not whole", query)
				}
				return strings.Join(got, ", ")
			}
			next = "&page=" + *page.Next
		}
	}
	for _, c := range []struct {
		who         apitest.Token
		query, want string
	}{
		{whole, "", "wmC 0, zhao 0, lin.hua 1, wmA 1, wbBot 2, wmB 3"},
		{w.As(session.Admin), "kind=member", "zhao 0, lin.hua 1"},
		{whole, "kind=external", "wmC 0, wmA 1, wmB 3"},
		{whole, "kind=robot", "wbBot 2"},
		{whole, "q=%E5%A6%88", "wmA 1"}, {whole, "q=WM", "wmC 0, wmA 1, wmB 3"}, {whole, "q=nobody", ""},
		{whole, "sort=name", "wmB 3, quiet never, wmA 1, lin.hua 1, zhao 0"},
		{whole, "sort=name&kind=member", "quiet never, lin.hua 1, zhao 0"},
		{whole, "with=lin.hua", "wmA 1, zhao 1, wmC 3"}, {whole, "with=lin.hua&kind=external", "wmA 1, wmC 3"}, {whole, "with=nobody", ""},
		{limited, "", "zhao 0, lin.hua 1, new never"}, {limited, "sort=name", "lin.hua 1, zhao 0, new never"},
		{limited, "kind=external", "wmC 0, wmA 1, wmB 9"}, {limited, "kind=external&sort=name", "wmB 9, wmA 1, wmC 0"}, {limited, "kind=external&q=%E5%A6%88", "wmA 1"},
		{w.As(session.Reader).With("staff", "lin.hua"), "kind=external", "wmA 1, wmC 3"}, {limited, "kind=robot", "wbBot 2"}, {w.As(session.Reader).With("staff", ""), "kind=external", ""},
		{limited, "with=lin.hua&q=wm", "wmA 1, wmC 3"},
	} {
		for _, limit := range []string{"", "&limit=1", "&limit=2"} {
			if got := list(c.who, c.query+limit); got != c.want {
				t.Errorf("%s%s: got %s, want %s", c.query, limit, got, c.want)
			}
		}
	}
	path := "/v1/corps/" + w.Corp + "/people?"
	w.Get(w.As(session.Reader).With("staff", "lin.hua"), path+"with=zhao").WantProblem(403, "forbidden")
	for query, want := range map[string]string{
		"kind=group": "kind:one_of", "sort=id": "sort:one_of", "sort=name&with=zhao": "sort:exclusive", "page=abc": "page:token", "with=": "with:length",
	} {
		if got := w.Get(whole, path+query).WantProblem(400, "invalid-request").Rules(); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	read, _, err := w.Readings.Readings(t.Context(), w.Corp, archive.DayOf(apitest.Noon), "", 100)
	apitest.OK(t, err)
	parties := map[string]bool{}
	for _, r := range read {
		parties[r.By+" "+r.Party] = true
	}
	want := map[string]bool{"u-reader lin.hua": true, "u-reader nobody": true, "u-reader zhao": true, "u-reader new": true}
	if !maps.Equal(parties, want) {
		t.Errorf("got readings %v, want %v", parties, want)
	}
}

// Readers find rooms by their names, without their members unless they ask.
func TestRoomsForReaders(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	var rooms []directory.Room
	for i := range 120 {
		rooms = append(rooms, directory.Room{ID: fmt.Sprintf("wr%03d", i), Name: fmt.Sprintf("%d班家长群", i), Members: []directory.RoomMember{{ID: "wmA"}}, Origin: directory.Origin{Source: directory.SourceSCRM, At: apitest.Noon}})
	}
	apitest.OK(t, w.Contacts.GiveRooms(t.Context(), w.Corp, rooms))
	type page struct {
		Rooms []struct {
			ID      string
			Members []struct{ ID string }
		}
		Next *string
	}
	list := func(query string) (ids []string, members, most int) {
		t.Helper()
		for next := ""; ; {
			p := apitest.Into[page](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/rooms?"+query+next).Want(200))
			most = max(most, len(p.Rooms))
			for _, r := range p.Rooms {
				ids, members = append(ids, r.ID), members+len(r.Members)
			}
			if p.Next == nil {
				return ids, members, most
			}
			next = "&page=" + *p.Next
		}
	}
	if ids, members, most := list("limit=200"); len(ids) != 120 || members != 0 || most != 100 {
		t.Errorf("got %d rooms, %d members, %d on a page", len(ids), members, most)
	}
	if ids, members, most := list("limit=200&members=true"); len(ids) != 120 || members != 120 || most != 10 {
		t.Errorf("with members: got %d rooms, %d members, %d on a page", len(ids), members, most)
	}
	for query, want := range map[string]string{"q=" + url.QueryEscape("11班"): "wr011 wr111", "q=WR11&limit=3": "wr110 wr111 wr112 wr113 wr114 wr115 wr116 wr117 wr118 wr119", "q=none": ""} {
		if ids, _, _ := list(query); strings.Join(ids, " ") != want || !slices.IsSorted(ids) {
			t.Errorf("%s: got %s", query, ids)
		}
	}
	w.Get(w.As(session.Reader).With("staff", "lin.hua"), "/v1/corps/"+w.Corp+"/rooms").WantProblem(403, "forbidden")
	if got := w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/rooms?ids=wr001&q=x").WantProblem(400, "invalid-request").Rules(); got != "q:exclusive" {
		t.Errorf("got %s", got)
	}
}

// Reads of the view are eventually consistent: a list may name a chat whose first
// message is not visible yet. That person is left out, and the others are listed.
func TestPeopleOfAChatWhoseMessageIsNotVisibleYet(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.Store(w.Corp, apitest.Chat("m1", "lin.hua", "wmA", "", apitest.Noon, "t"))
	apitest.OK(t, w.Messages.WritePage(t.Context(), decode.Decoded{Corp: w.Corp, Activities: []archive.Activity{
		{Corp: w.Corp, Party: "lin.hua", Day: archive.DayOf(apitest.Noon), Conversation: archive.PartyConversation([]string{"lin.hua", "wmB"})},
	}}))
	page := apitest.Into[struct{ People []struct{ ID string } }](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/people?with=lin.hua").Want(200))
	if len(page.People) != 1 || page.People[0].ID != "wmA" {
		t.Errorf("got %+v, want wmA alone", page.People)
	}
}
