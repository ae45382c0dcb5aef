package chats_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// A reader of chats gets names beside them, and absent names are requested. If the
// store of names fails, the reader still gets the chats.
func TestNamesBesideChats(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	apitest.OK(t, w.Corps.SetSecret(t.Context(), w.Corp, "secr", apitest.Noon))
	apitest.OK(t, w.Contacts.SetApp(t.Context(), w.Corp, directory.App{SetAt: apitest.Noon}))
	room := w.Store(w.Corp,
		apitest.Chat("m1", "lin.hua", "wmX", "", apitest.Noon, "single"),
		apitest.Chat("m2", "wmY", "lin.hua wmX wmSilent", "wrA", apitest.Noon.Add(time.Second), "room"),
	)[1].Conversation
	apitest.OK(t, w.Contacts.GivePeople(t.Context(), w.Corp, []directory.Person{{ID: "lin.hua", Kind: directory.Member, Name: "林华", Origin: directory.Origin{Source: directory.SourceSCRM, At: apitest.Noon}}}))
	apitest.OK(t, w.Contacts.SaveRoom(t.Context(), w.Corp, directory.Room{
		ID: "wrA", Kind: directory.CustomerRoom, Name: "家长群", Owner: "lin.hua", Members: []directory.RoomMember{{ID: "wmY", Name: "妈妈"}},
		Origin: directory.Origin{Source: directory.SourceWeCom, At: apitest.Noon},
	}))
	type answer struct {
		Names *names.Names
		Next  *string
	}
	who := w.As(session.Reader)
	check := func(what string, got *names.Names, people, rooms string) {
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
	list := apitest.Into[answer](w.Get(who, "/v1/corps/"+w.Corp+"/conversations?member=lin.hua").Want(200))
	check("conversations", list.Names, "lin.hua=林华 wmY=妈妈", "wrA=家长群")
	messages := w.Get(who, "/v1/corps/"+w.Corp+"/conversations/"+apitest.ConversationID(t, w.Corp, room)+"/messages").Want(200)
	check("messages", apitest.Into[answer](messages).Names, "wmY=妈妈", "wrA=家长群")
	check("a message", apitest.Into[answer](w.Get(who, "/v1/corps/"+w.Corp+"/messages/"+apitest.Into[messagePageJSON](messages).Messages[0].ID).Want(200)).Names, "wmY=妈妈", "wrA=家长群")
	asked := map[string]int{}
	for _, r := range w.InspectRequests() {
		for _, id := range append(r.People, r.Rooms...) {
			asked[id]++
		}
	}
	if want := map[string]int{"wmX": 1, "wmY": 1}; fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("three reads asked for %v, want %v: once each, and no id that only received in a room", asked, want)
	}

	w.Directory.Book.Names = brokenNames{}
	check("without names", apitest.Into[answer](w.Get(who, "/v1/corps/"+w.Corp+"/conversations?member=lin.hua").Want(200)).Names, "", "")
}

// Beside the names stands why WeCom gave none, for people and for rooms.
func TestMissingNamesHaveTheirReasons(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	single := w.Store(w.Corp, apitest.Chat("m1", "lin.hua", "wmX", "", apitest.Noon, "single"))[0].Conversation
	w.Store(w.Corp, apitest.Chat("m2", "wmY", "lin.hua", "wrA", apitest.Noon.Add(time.Second), "room"))
	why := func(m directory.Missing) directory.Origin {
		return directory.Origin{Source: directory.SourceWeCom, At: apitest.Noon, Missing: m}
	}
	apitest.OK(t, w.Contacts.SavePerson(t.Context(), w.Corp, directory.Person{ID: "wmX", Kind: directory.External, Origin: why(directory.MissingRelation)}))
	apitest.OK(t, w.Contacts.SavePerson(t.Context(), w.Corp, directory.Person{ID: "lin.hua", Kind: directory.Member, Name: "林华", Origin: why(directory.MissingRange)}))
	apitest.OK(t, w.Contacts.SaveRoom(t.Context(), w.Corp, directory.Room{ID: "wrA", Origin: why(directory.MissingApp)}))
	for path, want := range map[string]string{
		"/conversations?member=lin.hua":                                             "map[wmX:not_a_contact wrA:needs_app]",
		"/conversations/" + apitest.ConversationID(t, w.Corp, single) + "/messages": "map[wmX:not_a_contact]",
	} {
		got := apitest.Into[struct{ Names names.Names }](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+path).Want(200)).Names.Missing
		if fmt.Sprint(got) != want {
			t.Errorf("%s: got %v, want %s: wmY was not asked for, and lin.hua has an earlier name", path, got, want)
		}
	}
	people := apitest.Into[struct {
		People []struct {
			ID      string
			Missing directory.Missing
		}
	}](w.Get(w.As(session.Reader), "/v1/corps/"+w.Corp+"/people?with=lin.hua").Want(200)).People
	if len(people) != 1 || people[0].Missing != directory.MissingRelation {
		t.Errorf("got %+v, want wmX and why its name is missing", people)
	}
}

// A limited reader may have left the room: the owner of today stays hidden, in the
// detail of the conversation and beside every answer.
func TestLimitedReadersGetNoOwner(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	conv := w.Store(w.Corp, apitest.Chat("m1", "lin.hua", "wmX", "wrA", apitest.Noon, "room"))[0].Conversation
	apitest.OK(t, w.Contacts.SaveRoom(t.Context(), w.Corp, directory.Room{ID: "wrA", Name: "家长群", Owner: "qian", Origin: directory.Origin{Source: directory.SourceWeCom, At: apitest.Noon}}))
	room := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, conv)
	for _, path := range []string{room, room + "/messages", "/v1/corps/" + w.Corp + "/conversations?member=lin.hua"} {
		all, limited := w.Get(w.As(session.Reader), path).Want(200), w.Get(w.As(session.Reader).With("staff", "lin.hua"), path).Want(200)
		if !strings.Contains(string(all.Body), "qian") || strings.Contains(string(limited.Body), "qian") || !strings.Contains(string(limited.Body), "家长群") {
			t.Errorf("%s: got %s, and for a limited reader %s", path, all.Body, limited.Body)
		}
	}
}

// brokenNames is a store that always fails.
type brokenNames struct{}

func (brokenNames) People(context.Context, string, []string) (map[string]directory.Known[directory.Person], error) {
	return nil, errors.New("store unavailable")
}

func (brokenNames) Rooms(context.Context, string, []string) (map[string]directory.Known[directory.Room], error) {
	return nil, errors.New("store unavailable")
}
