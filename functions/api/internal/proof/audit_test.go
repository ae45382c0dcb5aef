package proof_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/proof"
	"github.com/yunduo-scrm/archive/functions/api/internal/replay"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// A list of readings says whose chats they are, with names, and can be narrowed to a
// user, a chat or a party over several days.
func TestReadingsSayWhoseChat(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	apitest.OK(t, w.Contacts.SavePerson(t.Context(), w.Corp, book.Person{ID: "lin.hua", Kind: book.Member, Name: "林华"}))
	single, room := archive.PartyConversation([]string{"lin.hua", "wmA"}), archive.RoomConversation("wrR")
	record := func(by string, daysAgo int, r archive.Reading) {
		t.Helper()
		r.Corp, r.By, r.Role, r.At = w.Corp, by, "reader", apitest.Noon.AddDate(0, 0, -daysAgo).Truncate(archive.ReadingSlot)
		apitest.OK(t, w.Readings.RecordReading(t.Context(), r))
	}
	record("u-1", 2, archive.Reading{Conversation: single})
	record("u-1", 1, archive.Reading{Conversation: room})
	record("u-2", 0, archive.Reading{Conversation: single})
	record("u-2", 0, archive.Reading{List: archive.PartyList, Party: "lin.hua"})
	record("u-2", 0, archive.Reading{List: archive.RoomList, Party: "wrR"})
	type page struct {
		Readings []proof.ReadingJSON
		Names    struct {
			People map[string]struct{ Name string }
		}
		Next *string
	}
	list := func(query string) string {
		t.Helper()
		var got []string
		for next := ""; ; {
			p := apitest.Into[page](w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/readings?limit=2"+query+next).Want(200))
			for _, r := range p.Readings {
				what := apitest.Deref(r.Kind)
				if r.List != nil {
					what = "list of a " + *r.List
				}
				got = append(got, fmt.Sprint(r.At[8:10], " ", r.By, " ", what, " ", strings.Join(r.Parties, "+"), apitest.Deref(r.Room)))
				if strings.Contains(fmt.Sprint(r.Parties), "lin.hua") && p.Names.People["lin.hua"].Name != "林华" {
					t.Errorf("%s: got names %+v", query, p.Names)
				}
			}
			if p.Next == nil {
				return strings.Join(got, ", ")
			}
			next = "&page=" + *p.Next
		}
	}
	id := apitest.ConversationID(t, w.Corp, single)
	for query, want := range map[string]string{
		"":                                "31 u-2 list of a party lin.hua, 31 u-2 list of a room wrR, 31 u-2 single lin.hua+wmA",
		"&from_day=2026-01-01":            "29 u-1 single lin.hua+wmA, 30 u-1 room wrR, 31 u-2 list of a party lin.hua, 31 u-2 list of a room wrR, 31 u-2 single lin.hua+wmA",
		"&from_day=2026-01-01&viewer=u-1": "29 u-1 single lin.hua+wmA, 30 u-1 room wrR",
		"&from_day=2026-01-01&conversation=" + id: "29 u-1 single lin.hua+wmA, 31 u-2 single lin.hua+wmA",
		"&from_day=2026-01-01&party=wrR":          "30 u-1 room wrR, 31 u-2 list of a room wrR",
		"&from_day=2026-01-01&party=wmA":          "29 u-1 single lin.hua+wmA, 31 u-2 single lin.hua+wmA",
		"&to_day=2026-01-30":                      "30 u-1 room wrR",
	} {
		if got := list(query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/readings?conversation=abc").WantProblem(404, "not-found")
	w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/readings?from_day=2025-12-01").WantProblem(400, "invalid-request")
}

// Each list of chats that a user requests is a reading that says which list it was:
// of a person, of a room, of each day, or of unplaced messages.
func TestReadingsSayWhichList(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	apitest.OK(t, w.Contacts.SavePerson(t.Context(), w.Corp, book.Person{ID: "zhou.qi", Kind: book.Member, Name: "周琦"}))
	who := w.As(session.Auditor).With("sub", "zhou.qi")
	for _, query := range []string{"day=2026-01-30", "day=2026-01-31", "day=2026-01-30", "unplaced=true", "member=lin.hua", "member=lin.hua&external_contact=wmA", "room=wrR"} {
		w.Get(who, "/v1/corps/"+w.Corp+"/conversations?"+query).Want(200)
	}
	list := func(query string) (got []string) {
		t.Helper()
		p := apitest.Into[struct {
			Readings []proof.ReadingJSON
			Names    struct {
				People map[string]struct{ Name string }
			}
		}](w.Get(who, "/v1/corps/"+w.Corp+"/readings"+query).Want(200))
		for _, r := range p.Readings {
			if r.Conversation != nil || r.Kind != nil {
				t.Errorf("got a reading of messages: %+v", r)
			}
			got = append(got, strings.Join([]string{p.Names.People[r.By].Name, apitest.Deref(r.List), apitest.Deref(r.Day), apitest.Deref(r.Party), apitest.Deref(r.Room), strings.Join(r.Parties, "+")}, "/"))
		}
		return got
	}
	want := []string{"周琦/day/2026-01-30///", "周琦/day/2026-01-31///", "周琦/party//lin.hua//lin.hua", "周琦/party//wmA//wmA", "周琦/room///wrR/", "周琦/unplaced////"}
	if got := list(""); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := list("?party=wrR"); !slices.Equal(got, want[4:5]) {
		t.Errorf("of a room: got %q, want %q", got, want[4:5])
	}
}

// linkDays adds a page to the chain on each of the last days, and a second one
// today.
func linkDays(w *apitest.World) {
	w.T.Helper()
	for i, ago := range []int{3, 1, 0, 0} {
		row := w.Link(apitest.Noon.AddDate(0, 0, -ago).Add(time.Duration(i)*time.Second), archive.PageRow, uint64(10*(i+1)))
		if i < 3 {
			w.Decoded(row, archive.Result{Stored: 9, SetAside: map[string]int{"no_key": 1}, Types: map[string]int{"text": 9}})
		}
	}
}

type ledgerPage struct {
	Rows []struct{ After, Day string }
	Next *string
}

func (p ledgerPage) String() string {
	var list []string
	for _, r := range p.Rows {
		list = append(list, r.Day[8:]+" "+r.After)
	}
	return strings.Join(list, ", ")
}

// The ledger of a day, in both orders and page by page.
func TestLedgerOfADay(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	linkDays(w)
	list := func(query string) string {
		t.Helper()
		var got []string
		for from := ""; ; {
			p := apitest.Into[ledgerPage](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/ledger?limit=1"+query+from).Want(200))
			if len(p.Rows) > 0 {
				got = append(got, p.String())
			}
			if p.Next == nil {
				return strings.Join(got, ", ")
			}
			from = "&from=" + *p.Next
		}
	}
	for query, want := range map[string]string{
		"&day=2026-01-31":            "31 20, 31 30",
		"&day=2026-01-31&order=desc": "31 30, 31 20",
		"&day=2026-01-30&order=desc": "30 10",
		"&day=2026-01-29":            "",
		"&day=2026-01-28":            "28 0",
		"&day=2026-01-01&order=desc": "",
		"&order=desc":                "31 30, 31 20, 30 10, 28 0",
	} {
		if got := list(query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	for query, want := range map[string]string{
		"&day=2026-01-31&from=0":             "31 20, 31 30",
		"&day=2026-01-31&from=30":            "31 30",
		"&day=2026-01-30&from=30":            "",
		"&day=2026-01-29&from=0":             "",
		"&day=2026-01-28&order=desc&from=40": "28 0",
		"&day=2026-01-31&order=desc&from=20": "31 20",
		"&day=2026-01-31&order=desc&from=10": "",
	} {
		p := apitest.Into[ledgerPage](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/ledger?limit=2"+query).Want(200))
		if got := p.String(); got != want || p.Next != nil {
			t.Errorf("%s: got %q and next %v, want %q and no next", query, got, p.Next, want)
		}
	}
}

// A row whose clock was slightly behind at midnight leaves the rows after it in the
// ledger of the day.
func TestLedgerOfADayWithAClockBehind(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.Link(beijing(t, 29, "12:00:00"), archive.PageRow, 10)
	w.Link(beijing(t, 30, "00:00:00"), archive.PageRow, 20)
	w.Link(beijing(t, 29, "23:59:59"), archive.PageRow, 30)
	w.Link(beijing(t, 30, "00:00:01"), archive.PageRow, 40)
	w.Link(beijing(t, 30, "00:00:02"), archive.PageRow, 50)
	w.Link(beijing(t, 31, "12:00:00"), archive.PageRow, 84) // with this seq the search for the day does not meet the row behind
	for limit := range 5 {
		var got []string
		for from := ""; ; {
			p := apitest.Into[ledgerPage](w.Get(w.As(session.Auditor), fmt.Sprint("/v1/corps/", w.Corp, "/ledger?day=2026-01-30&limit=", limit+1, from)).Want(200))
			for _, r := range p.Rows {
				got = append(got, r.After)
			}
			if p.Next == nil {
				break
			}
			from = "&from=" + *p.Next
		}
		if want := []string{"10", "30", "40"}; !slices.Equal(got, want) {
			t.Errorf("%d at a time: got %q, want %q", limit+1, got, want)
		}
	}
}

// Every day of the range is in the answer, with the counts of its rows.
func TestActivityCountsByDay(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	linkDays(w)
	type day struct {
		Day                                  string
		Pages, Gaps, Pulled, Stored, Waiting int
		SetAside                             int `json:"set_aside"`
		Types                                map[string]int
		Whole                                bool
	}
	get := func(query string) []day {
		t.Helper()
		return apitest.Into[struct{ Days []day }](w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/activity"+query).Want(200)).Days
	}
	all := get("")
	if len(all) != 30 || all[0].Day != "2026-01-02" || all[29].Day != "2026-01-31" {
		t.Fatalf("got %d days, %+v", len(all), all)
	}
	if today := all[29]; today.Pages != 2 || today.Pulled != 20 || today.Stored != 9 || today.SetAside != 1 || today.Waiting != 10 || today.Types["text"] != 9 || !today.Whole {
		t.Errorf("today: got %+v", today)
	}
	if got := get("?days=2"); len(got) != 2 || got[0].Pulled != 10 {
		t.Errorf("two days: got %+v", got)
	}
	if got := get("?from=2026-01-30"); len(got) != 2 {
		t.Errorf("from a day: got %+v", got)
	}
	for _, query := range []string{"?days=0", "?days=32", "?days=x", "?from=2025-12-01", "?from=2026-02-01", "?from=no"} {
		w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/activity"+query).WantProblem(400, "invalid-request")
	}
}

// A person stops a job: it is done, says by whom, and lets another one start.
func TestStopReplay(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	linkDays(w)
	start := func(who apitest.Token, body string) replay.Document {
		t.Helper()
		return apitest.Into[replay.Document](w.Send(who, "POST", "/v1/corps/"+w.Corp+"/replays", body).Want(202))
	}
	stop := func(who apitest.Token, id string) apitest.Response {
		return w.Send(who, "POST", "/v1/corps/"+w.Corp+"/replays/"+id+"/stop", nil)
	}
	job := start(w.As(session.Admin), `{"from_seq":"10","to_seq":"30"}`)
	if job.Progress == nil || *job.Progress != 0 || job.StoppedBy != nil {
		t.Errorf("started: got %+v", job)
	}
	stored, err := w.Ledger.Replay(t.Context(), w.Corp, job.ID)
	apitest.OK(t, err)
	next := stored
	next.Next, next.Pages, next.UpdatedAt = 20, 1, w.Now()
	apitest.OK(t, w.Ledger.AdvanceReplay(t.Context(), stored, next))
	if got := apitest.Into[replay.Document](w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/replays/"+job.ID).Want(200)); *got.Progress != 0.5 {
		t.Errorf("half way: got %+v", got)
	}
	stop(w.As(session.Auditor), job.ID).WantProblem(403, "forbidden")
	stop(w.As(session.Admin), "none").WantProblem(404, "not-found")
	for range 2 { // a second click changes nothing
		if got := apitest.Into[replay.Document](stop(w.As(session.Admin), job.ID).Want(200)); !got.Done || apitest.Deref(got.StoppedBy) != "u-admin" || *got.Progress != 0.5 {
			t.Errorf("stopped: got %+v", got)
		}
	}
	start(w.As(session.Admin), `{}`)
	verify := start(w.As(session.Auditor), `{"verify":true}`)
	if got := apitest.Into[replay.Document](stop(w.As(session.Auditor), verify.ID).Want(200)); apitest.Deref(got.StoppedBy) != "u-auditor" {
		t.Errorf("an auditor stops a verification: got %+v", got)
	}
}

// The status has the word that notices use.
func TestStatusNamesTheHealth(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	health := func() (string, string) {
		t.Helper()
		s := apitest.Into[struct {
			Health string
			Since  *string `json:"health_since"`
		}](w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/status").Want(200))
		return s.Health, apitest.Deref(s.Since)
	}
	if got, since := health(); got != "off" || since != "" {
		t.Errorf("got %s since %s", got, since)
	}
	apitest.OK(t, w.Corps.SetEnabled(t.Context(), w.Corp, true, "admin", "", w.Now()))
	apitest.OK(t, w.Ledger.SaveNotified(t.Context(), watch.Notified{Corp: w.Corp}, watch.Notified{Corp: w.Corp, Health: watch.Well, At: w.Now()}))
	if got, since := health(); got != "well" || since != "2026-01-31T06:30:05.000Z" {
		t.Errorf("got %s since %s", got, since)
	}
	w.Pass(60 * time.Hour)
	if got, since := health(); got != "late" || since != "" {
		t.Errorf("got %s since %s", got, since)
	}
}
