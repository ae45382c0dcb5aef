package chats_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

type detailDoc struct {
	chats.ConversationJSON
	FirstAt    *string         `json:"first_at"`
	RoomDetail *names.RoomJSON `json:"room_detail"`
	Consents   []names.ConsentJSON
}

func TestOneConversation(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	day := func(n int) time.Time { return apitest.Noon.AddDate(0, 0, n) }
	stored := w.Store(w.Corp,
		apitest.Chat("m1", "lin.hua", "wmA", "", day(-9), "first"), apitest.Chat("m2", "wmA", "lin.hua", "", day(0), "last"),
		apitest.Chat("m3", "lin.hua", "wmA wmB", "wr1", day(-8), "she is there"), apitest.Chat("m4", "zhao", "wmA wmB", "wr1", day(-7), "she has left"),
		apitest.Chat("m5", "zhao", "wmA", "", day(-1), "another's"),
	)
	apitest.OK(t, w.Contacts.SaveRoom(t.Context(), w.Corp, directory.Room{
		ID: "wr1", Kind: directory.CustomerRoom, Name: "家长群", Owner: "zhao", Members: []directory.RoomMember{{ID: "zhao"}, {ID: "wmA", Name: "妈妈"}},
		Origin: directory.Origin{Source: directory.SourceWeCom, At: apitest.Noon},
	}))
	answer := func(member, room, contact string) archive.Consent {
		return archive.Consent{Corp: w.Corp, Member: member, Room: room, Contact: contact, Status: archive.Disagreed, ChangedAt: apitest.Noon, Source: archive.ConsentMessage, At: apitest.Noon}
	}
	apitest.OK(t, w.Consents.RecordConsents(t.Context(), []archive.Consent{answer("lin.hua", "", "wmA"), answer("zhao", "", "wmA"), answer("", "wr1", "wmA"), answer("", "wr1", "wmB")}))
	get := func(who apitest.Token, conv archive.ConversationID) apitest.Response {
		t.Helper()
		return w.Get(who, "/v1/corps/"+w.Corp+"/conversations/"+apitest.ConversationID(t, w.Corp, conv))
	}
	whole, limited := w.As(session.Reader), w.As(session.Reader).With("staff", "lin.hua")
	single, room := stored[0].Conversation, stored[2].Conversation
	for name, c := range map[string]struct {
		who               apitest.Token
		conv              archive.ConversationID
		newest            string
		first             time.Time
		members, consents int
	}{
		"a single chat": {whole, single, "last", day(-9), -1, 1}, "her single chat": {limited, single, "last", day(-9), -1, 1},
		"a room": {whole, room, "she has left", day(-8), 2, 2}, "a room that she left": {limited, room, "she is there", day(-8), 0, 0},
	} {
		got := apitest.Into[detailDoc](get(c.who, c.conv).Want(200))
		members := -1
		if got.RoomDetail != nil {
			members = len(got.RoomDetail.Members)
		}
		if got.Newest == nil || !strings.HasPrefix(got.Newest.Text, c.newest+" ") || apitest.Deref(got.FirstAt) != c.first.Format("2006-01-02T15:04:05.000Z") || members != c.members || len(got.Consents) != c.consents {
			t.Errorf("%s: got %+v, first at %s", name, got, apitest.Deref(got.FirstAt))
		}
	}
	for _, conv := range []archive.ConversationID{archive.PartyConversation([]string{"zhao", "wmA"}), archive.RoomConversation("wr9")} {
		get(limited, conv).WantProblem(404, "not-found")
	}
	get(whole, archive.RoomConversation("wr9")).WantProblem(404, "not-found")
	w.Get(whole, "/v1/corps/"+w.Corp+"/conversations/abc").WantProblem(404, "not-found")
	read, _, err := w.Readings.Readings(t.Context(), w.Corp, archive.DayOf(apitest.Noon), "", 100)
	apitest.OK(t, err)
	if len(read) != 2 { // of one user, in ten minutes
		t.Errorf("got %d readings, want one of each conversation: %+v", len(read), read)
	}
}

func TestDaysOfAConversation(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	var raws []string
	at := func(day string) time.Time { // just after midnight in Beijing
		return archive.Day(day).Start().Add(time.Second)
	}
	for i, day := range []string{"2025-11-30", "2026-01-01", "2026-01-05", "2026-01-31", "2026-02-01"} {
		raws = append(raws, apitest.Chat(fmt.Sprintf("s%d", i), "lin.hua", "wmA", "", at(day), "t"), apitest.Chat(fmt.Sprintf("r%d", i), []string{"zhao", "lin.hua"}[i%2], "wmA", "wr1", at(day), "t"))
	}
	w.Store(w.Corp, raws...)
	whole, limited := w.As(session.Reader), w.As(session.Reader).With("staff", "lin.hua")
	single, room := archive.PartyConversation([]string{"lin.hua", "wmA"}), archive.RoomConversation("wr1")
	for _, c := range []struct {
		who         apitest.Token
		conv        archive.ConversationID
		query, want string
	}{
		{whole, single, "", "2026-01-01 2026-01-05 2026-01-31 in 2025-11-30 2026-02-01"},
		{whole, single, "?month=2025-11", "2025-11-30 in 2025-11-30 2026-02-01"},
		{whole, single, "?month=2026-02", "2026-02-01 in 2025-11-30 2026-02-01"},
		{whole, single, "?month=2025-12", " in 2025-11-30 2026-02-01"},
		{limited, single, "?month=2026-01", "2026-01-01 2026-01-05 2026-01-31 in 2025-11-30 2026-02-01"},
		{limited, room, "?month=2026-01", "2026-01-01 2026-01-31 in 2026-01-01 2026-01-31"},
		{limited, room, "?month=2025-11", " in 2026-01-01 2026-01-31"},
		{limited, archive.PartyConversation([]string{"zhao", "wmA"}), "", " in  "}, {whole, archive.RoomConversation("wr9"), "", " in  "},
	} {
		resp := w.Get(c.who, "/v1/corps/"+w.Corp+"/conversations/"+apitest.ConversationID(t, w.Corp, c.conv)+"/days"+c.query).Want(200)
		got := apitest.Into[struct {
			Days             []string
			Whole            bool
			Earliest, Latest *string
		}](resp)
		if text := strings.Join(got.Days, " ") + " in " + apitest.Deref(got.Earliest) + " " + apitest.Deref(got.Latest); text != c.want || !got.Whole {
			t.Errorf("%s%s: got %s, whole %v, want %s", c.conv, c.query, text, got.Whole, c.want)
		}
	}
	for _, month := range []string{"2026", "2026-13", "2026-01-01", "", "0000-01-"} {
		if got := w.Get(whole, "/v1/corps/"+w.Corp+"/conversations/"+apitest.ConversationID(t, w.Corp, single)+"/days?month="+month).WantProblem(400, "invalid-request").Rules(); got != "month:form" {
			t.Errorf("month %q: got %s", month, got)
		}
	}
}

// A member and a customer together have their single chat and the rooms of both,
// in the order of the newest message that both saw.
func TestChatsOfAPair(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	day := func(n int) time.Time { return apitest.Noon.AddDate(0, 0, n) }
	w.Store(w.Corp,
		apitest.Chat("m1", "lin.hua", "wmA", "", day(-3), "their single chat"),
		apitest.Chat("m2", "lin.hua", "wmA", "wr1", day(-1), "both in a room"), apitest.Chat("m3", "lin.hua", "zhao", "wr1", day(0), "the customer has left"),
		apitest.Chat("m4", "wmA", "lin.hua zhao", "wr2", day(-5), "both in another room"), apitest.Chat("m5", "wmA", "zhao", "wr2", day(0), "she has left"),
		apitest.Chat("m6", "lin.hua", "zhao", "wr3", day(0), "a room without the customer"), apitest.Chat("m7", "wmA", "zhao", "wr4", day(0), "a room without her"),
		apitest.Chat("m8", "lin.hua", "wmB", "", day(0), "another customer"), apitest.Chat("m9", "zhao", "wmA", "", day(0), "another member"),
		apitest.Chat("m10", "wmA", "lin.hua zhao", "", day(-4), "a group call"), apitest.Chat("m11", "wmA", "", "", day(0), "own"),
	)
	want := []string{"both in a room", "their single chat", "a group call", "both in another room"}
	type page struct {
		Conversations []chats.ConversationJSON
		Next          *string
	}
	for _, who := range []apitest.Token{w.As(session.Reader), w.As(session.Reader).With("staff", "0042 lin.hua")} {
		for _, limit := range []int{1, 2, 50} {
			var got []string
			path := fmt.Sprintf("/v1/corps/%s/conversations?member=lin.hua&external_contact=wmA&limit=%d", w.Corp, limit)
			for next := ""; ; {
				p := apitest.Into[page](w.Get(who, path+next).Want(200))
				for _, c := range p.Conversations {
					got = append(got, strings.TrimSuffix(c.Newest.Text, " "+apitest.ContentMark))
				}
				if p.Next == nil {
					break
				}
				next = "&page=" + *p.Next
			}
			if !slices.Equal(got, want) {
				t.Errorf("by %d: got %q, want %q", limit, got, want)
			}
		}
	}
	list := "/v1/corps/" + w.Corp + "/conversations?"
	w.Get(w.As(session.Reader).With("staff", "lin.hua"), list+"member=zhao&external_contact=wmA").WantProblem(403, "forbidden")
	w.Get(w.As(session.Reader).With("staff", "lin.hua"), list+"member=lin.hua&external_contact=zhao").WantProblem(403, "forbidden")
	for _, query := range []string{"member=lin.hua&room=wr1", "member=lin.hua&external_contact=wmA&unplaced=true", ""} {
		w.Get(w.As(session.Reader), list+query).WantProblem(400, "invalid-request")
	}
}

func TestLinksInOneRequest(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	file := func(msgid, from, to string, at time.Time, sdkFileID string) string {
		text := apitest.Chat(msgid, from, to, "", at, "")
		return strings.Replace(text, `"msgtype":"text"`, `"file":{"sdkfileid":"`+sdkFileID+`","filename":"a.pdf","fileext":"pdf","filesize":5},"msgtype":"file"`, 1)
	}
	stored := w.Store(w.Corp,
		file("m1", "lin.hua", "wmA", apitest.Noon, "there"), file("m2", "lin.hua", "wmA", apitest.Noon, "waits"), file("m3", "zhao", "wmA", apitest.Noon, "hers"),
		file("m4", "lin.hua", "wmB", apitest.Noon, "there"),
	)
	w.File(w.Corp, "there", 1, media.Stored, "", apitest.Noon.Add(time.Hour))
	w.File(w.Corp, "waits", 2, media.Waiting, "", apitest.Noon.Add(time.Hour))
	w.File(w.Corp, "hers", 3, media.Stored, "", apitest.Noon.Add(time.Hour))
	var ids []string
	for _, m := range stored {
		id, err := chats.MessageID(m)
		apitest.OK(t, err)
		ids = append(ids, id)
	}
	path := "/v1/corps/" + w.Corp + "/links"
	ask := func(who apitest.Token, download bool, files ...any) string {
		t.Helper()
		var wanted []any
		for i := 0; i < len(files); i += 2 {
			wanted = append(wanted, map[string]any{"message": files[i], "n": files[i+1]})
		}
		got := apitest.Into[struct {
			Links []struct {
				Message string
				N       int
				Link    *chats.LinkedFileJSON
				Problem *struct{ Type, Title string }
			}
		}](w.Send(who, "POST", path, map[string]any{"files": wanted, "download": download}).Want(200))
		var text []string
		for i, l := range got.Links {
			if l.Message != files[2*i] || l.N != files[2*i+1] {
				t.Errorf("got entry %d for %s %d", i, l.Message, l.N)
			}
			if l.Problem != nil {
				text = append(text, strings.TrimPrefix(l.Problem.Type, "urn:yunduo-archive:problem:"))
			} else {
				text = append(text, l.Link.FileName)
			}
		}
		return strings.Join(text, " ")
	}
	all := []any{ids[0], 0, ids[1], 0, ids[2], 0, ids[3], 0, ids[0], 1, "abc", 0, ids[0], 0}
	if got := ask(w.As(session.Reader), false, all...); got != "a.pdf file-waiting a.pdf a.pdf not-found not-found a.pdf" {
		t.Errorf("got %s", got)
	}
	if got := ask(w.As(session.Reader).With("staff", "lin.hua").With("sub", "u-lin"), true, all...); got != "a.pdf file-waiting not-found a.pdf not-found not-found a.pdf" {
		t.Errorf("limited: got %s", got)
	}
	read, _, err := w.Readings.Readings(t.Context(), w.Corp, archive.DayOf(apitest.Noon), "", 100)
	apitest.OK(t, err)
	var readings []string
	for _, r := range read {
		readings = append(readings, r.By+" "+string(r.Conversation))
	}
	if want := []string{"u-lin single:lin.hua:wmA", "u-lin single:lin.hua:wmB", "u-reader single:lin.hua:wmA", "u-reader single:lin.hua:wmB", "u-reader single:wmA:zhao"}; !slices.Equal(slices.Sorted(slices.Values(readings)), want) {
		t.Errorf("got readings %q, want %q", readings, want)
	}
	for body, want := range map[string]string{
		`{}`: "files:required", `{"files":[]}`: "files:length", `{"files":[{"message":"a"}]}`: "files[0].n:required", `{"files":[{"n":-1,"message":""}]}`: "files[0].message:length files[0].n:range",
		`{"files":[{"n":"0","message":"a"}]}`: "files[0].n:type", `{"files":[{"n":1.5,"message":"a"}]}`: "files[0].n:type", `{"files":[{"n":0,"message":"a"}],"download":1}`: "download:type",
	} {
		if got := w.Send(w.As(session.Reader), "POST", path, body).WantProblem(400, "invalid-request").Rules(); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

// What a user has seen is the user's own, moves forward only, and is in every
// list.
func TestSeenConversations(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	conv := w.Store(w.Corp, apitest.Chat("m1", "lin.hua", "wmA", "", apitest.Noon.Add(-time.Hour), "t"))[0].Conversation
	id, path := apitest.ConversationID(t, w.Corp, conv), "/v1/corps/"+w.Corp
	mark := func(who apitest.Token, until time.Time) string {
		t.Helper()
		return apitest.Into[struct {
			SeenAt string `json:"seen_at"`
		}](w.Send(who, "PUT", path+"/seen", map[string]any{"conversation": id, "until": until}).Want(200)).SeenAt
	}
	seen := func(who apitest.Token) string {
		t.Helper()
		list := apitest.Into[struct{ Conversations []chats.ConversationJSON }](w.Get(who, path+"/conversations?member=lin.hua").Want(200)).Conversations
		alone := apitest.Into[detailDoc](w.Get(who, path+"/conversations/"+id).Want(200))
		if apitest.Deref(list[0].SeenAt) != apitest.Deref(alone.SeenAt) {
			t.Errorf("the list says %v, the conversation %v", list[0].SeenAt, alone.SeenAt)
		}
		return apitest.Deref(alone.SeenAt)
	}
	one, other := w.As(session.Reader), w.As(session.Reader).With("sub", "u-other").With("staff", "lin.hua")
	if got := seen(one); got != "" {
		t.Errorf("at first: got %s", got)
	}
	mark(one, apitest.Noon.Add(-time.Hour))
	mark(one, apitest.Noon.Add(-2*time.Hour))
	if got := mark(other, apitest.Noon.Add(time.Hour)); got != "2026-01-31T06:30:05.000Z" {
		t.Errorf("in the future: got %s", got)
	}
	if a, b := seen(one), seen(other); a != "2026-01-31T05:30:05.000Z" || b != "2026-01-31T06:30:05.000Z" {
		t.Errorf("got %s and %s", a, b)
	}
	for body, want := range map[string]string{
		`{}`: "conversation:required until:required", `{"conversation":"abc","until":"now"}`: "conversation:form until:form", `{"conversation":"` + id + `","until":5}`: "until:type",
		`{"conversation":"` + id + `","until":"1969-01-01T00:00:00Z"}`: "until:form",
	} {
		if got := w.Send(one, "PUT", path+"/seen", body).WantProblem(400, "invalid-request").Rules(); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}
