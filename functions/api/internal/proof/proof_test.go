package proof_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/proof"
	"github.com/yunduo-scrm/archive/functions/api/internal/replay"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
)

func TestStatus(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	get := func() proof.StatusJSON {
		t.Helper()
		return apitest.Into[proof.StatusJSON](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/status").Want(200))
	}
	s := get()
	if s.Enabled || s.Head.Seq != "0" || s.Head.Hash != archive.GenesisHash(w.Corp) || s.LagSeconds != nil || s.HoursLeft != nil || s.Trouble != nil || s.LastCallAt != nil || s.Gaps.Count != 0 || s.Gaps.Newest != nil {
		t.Errorf("of a new corp: got %+v", s)
	}
	if err := w.Corps.SetEnabled(t.Context(), w.Corp, true, "admin", "", w.Now()); err != nil {
		t.Fatal(err)
	}
	w.Pass(6 * time.Hour)
	if s := get(); *s.LagSeconds != 6*3600 || *s.HoursLeft != 114 {
		t.Errorf("never asked: got lag %d, hours %v", *s.LagSeconds, *s.HoursLeft)
	}
	if err := w.Ledger.SavePullState(t.Context(), archive.PullState{
		Corp: w.Corp, LastCallAt: w.Now(), LastPageAt: w.Now(), LastEmptyAt: w.Now().Add(-121 * time.Hour), Standing: archive.Standing{NotBefore: w.Now().Add(time.Hour),
			Trouble: &archive.Trouble{Cause: archive.CauseTrustedIP, Op: "GetChatData", Code: 301042, FromIP: "203.0.113.99", Since: apitest.Noon, At: w.Now()}},
		Gaps: 2, LastGap: &archive.GapNote{After: 1 << 60, Last: 1<<60 + 1, Reason: "record_too_large", At: apitest.Noon},
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.Ledger.RecordLoss(t.Context(), archive.Loss{Corp: w.Corp, Since: apitest.Noon, At: apitest.Noon.Add(archive.Retention)}); err != nil {
		t.Fatal(err)
	}
	w.AppendRow(0, 5)
	row := w.AppendRow(5, 9)
	w.SetAside(
		archive.SetAside{Corp: w.Corp, Seq: 6, After: 5, MsgID: "a", KeyVersion: 2, Reason: archive.ReasonNoKey, At: apitest.Noon},
		archive.SetAside{Corp: w.Corp, Seq: 7, After: 5, MsgID: "b", KeyVersion: 2, Reason: archive.ReasonNoKey, At: apitest.Noon},
		archive.SetAside{Corp: w.Corp, Seq: 8, After: 5, MsgID: "c", KeyVersion: 3, Reason: archive.ReasonCrash, At: apitest.Noon},
	)
	s = get()
	if s.Head.Seq != "9" || s.Head.Rows != 2 || s.Head.Hash != row.Hash || *s.HoursLeft != -1 || s.NotBefore == nil {
		t.Errorf("got %+v", s)
	}
	if tr := s.Trouble; tr == nil || tr.Cause != archive.CauseTrustedIP || *tr.Step != 4 || *tr.FromIP != "203.0.113.99" || !strings.Contains(tr.What, "203.0.113.99") || !strings.Contains(tr.Remedy, "step 4") {
		t.Errorf("got trouble %+v", tr)
	}
	if len(s.Losses) != 1 || s.PagesWaiting.Count != 2 || s.PagesWaiting.OldestAt == nil || s.PagesWaiting.More {
		t.Errorf("got losses %+v, waiting %+v", s.Losses, s.PagesWaiting)
	}
	if g := s.Gaps; g.Count != 2 || g.Newest == nil || *g.Newest != (proof.GapJSON{"1152921504606846976", "1152921504606846977", "record_too_large", output.Moment(apitest.Noon)}) {
		t.Errorf("got gaps %+v", g)
	}
	if u := s.SetAside; u.FilesUntil == nil || *u.FilesUntil != output.Moment(apitest.Noon.Add(archive.Retention)) {
		t.Errorf("got files until %v, want 120 hours after the pull", u.FilesUntil)
	}
	if u := s.SetAside; u.Count != 3 || u.ByReason[archive.ReasonNoKey] != 2 || u.ByVersion["3"] != 1 || u.More {
		t.Errorf("got set_aside %+v", u)
	}
	w.Pass(archive.Retention)
	if u := get().SetAside; u.FilesUntil != nil {
		t.Errorf("got files until %s, and all are gone", *u.FilesUntil)
	}
	zh := w.Do(apitest.Request{Who: w.As(session.Admin), Method: "GET", Path: "/v1/corps/" + w.Corp + "/status", Header: map[string]string{"Accept-Language": "zh"}})
	if tr := apitest.Into[proof.StatusJSON](zh).Trouble; !strings.Contains(tr.Remedy, "可信IP地址") {
		t.Errorf("got trouble %+v", tr)
	}
}

// The status keeps its ETag for a minute while nothing but the lag changes.
func TestStatusIsTagged(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	ask := func(tag string) apitest.Response {
		return w.Do(apitest.Request{Who: w.As(session.Auditor), Method: "GET", Path: "/v1/corps/" + w.Corp + "/status", Header: map[string]string{"If-None-Match": tag}})
	}
	tag := ask("").Want(200).Header.Get("Etag")
	ask(tag).Want(304)
	if err := w.Corps.SetEnabled(t.Context(), w.Corp, true, "admin", "", w.Now()); err != nil {
		t.Fatal(err)
	}
	w.Pass(time.Minute)
	tag = ask(tag).Want(200).Header.Get("Etag")
	w.Pass(30 * time.Second)
	ask(tag).Want(304)
	w.Pass(time.Minute)
	if s := apitest.Into[proof.StatusJSON](ask(tag).Want(200)); *s.LagSeconds != 150 {
		t.Errorf("got a lag of %d, want 150 seconds", *s.LagSeconds)
	}
}

func TestLedgerPages(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.BareCorp(w.Other)
	const n = 7
	for i := range uint64(n) {
		w.AppendRow(i*10, i*10+10)
	}
	if err := w.Ledger.Finish(t.Context(), w.Corp, 10, archive.Result{At: w.Now(), Stored: 9, Unreadable: 1, SetAside: map[string]int{"no_key": 1}, Types: map[string]int{"text": 8}}, nil); err != nil {
		t.Fatal(err)
	}
	type page struct {
		Rows []proof.RowJSON
		Next *string
	}
	walk := func(query string) (afters []string) {
		t.Helper()
		from := ""
		for {
			p := apitest.Into[page](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/ledger?limit=3"+query+from).Want(200))
			for _, r := range p.Rows {
				afters = append(afters, r.After)
			}
			if p.Next == nil {
				return afters
			}
			from = "&from=" + *p.Next
		}
	}
	if got, want := strings.Join(walk(""), " "), "0 10 20 30 40 50 60"; got != want {
		t.Errorf("ascending: got %s, want %s", got, want)
	}
	if got, want := strings.Join(walk("&order=desc"), " "), "60 50 40 30 20 10 0"; got != want {
		t.Errorf("descending: got %s, want %s", got, want)
	}
	p := apitest.Into[page](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/ledger?from=5&limit=1").Want(200))
	if r := p.Rows[0]; r.After != "10" || r.State != archive.RowDecoded || r.Result == nil || r.Result.Types["text"] != 8 {
		t.Errorf("got %+v", p.Rows)
	}
	if p := apitest.Into[page](w.Get(apitest.TokenOf(w.Other, session.Auditor), "/v1/corps/"+w.Other+"/ledger").Want(200)); len(p.Rows) != 0 || p.Next != nil {
		t.Errorf("another corp sees %d rows", len(p.Rows))
	}
	for query, want := range map[string]string{
		"from=-1": "from:form", "from=x": "from:form", "from=01": "from:form", "from=": "from:form", "from=18446744073709551616": "from:form",
		"order=up": "order:one_of", "limit=0": "limit:range", "limit=201": "limit:range", "limit=ten": "limit:type", "limit=99999999999999999999": "limit:range",
		"limit=1&limit=2": "limit:repeated", "page=x": "page:unknown", "from=%zz": ":form", "from=%ff": "from:form",
		"from=x&order=up&limit=0&a=b": "a:unknown order:one_of limit:range from:form",
	} {
		if got := w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/ledger?"+query).WantProblem(400, "invalid-request").Rules(); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

func TestSetAsidePages(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.BareCorp(w.Other)
	for seq := range uint64(5) {
		w.SetAside(archive.SetAside{Corp: w.Corp, Seq: seq + 1, MsgID: "m" + strconv.FormatUint(seq, 10), KeyVersion: 1, Reason: archive.ReasonLibrary, Detail: "10006", At: apitest.Noon})
	}
	w.SetAside(archive.SetAside{Corp: w.Corp, Seq: 6, After: 5, Reason: archive.ReasonJournal, Detail: "the whole page", At: apitest.Noon})
	type page struct {
		List []proof.SetAsideJSON `json:"set_aside"`
		Next *string
	}
	path := "/v1/corps/" + w.Corp + "/set-aside?limit=2"
	var seqs []string
	for next := ""; ; {
		p := apitest.Into[page](w.Get(w.As(session.Admin), path+next).Want(200))
		for _, u := range p.List {
			seqs = append(seqs, u.Seq)
		}
		if p.Next == nil {
			break
		}
		next = "&page=" + *p.Next
		// A token fits another limit, but no other list or corp.
		w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/set-aside?limit=9"+next).Want(200)
		w.Get(w.As(session.Service), "/v1/corps/"+w.Corp+"/events?limit=2"+next).WantProblem(400, "invalid-request")
		w.Get(apitest.TokenOf(w.Other, session.Admin), "/v1/corps/"+w.Other+"/set-aside?limit=2"+next).WantProblem(400, "invalid-request")
	}
	if got := strings.Join(seqs, " "); got != "1 2 3 4 5 6" {
		t.Errorf("got %s", got)
	}
	if got := w.Get(w.As(session.Admin), path+"&page=abc").Want(400).Rules(); got != "page:token" {
		t.Errorf("got %s", got)
	}
}

// end takes the running job off, as its last run does.
func end(w *apitest.World, verify bool) {
	w.T.Helper()
	running, err := w.Ledger.Running(w.T.Context(), w.Corp, verify)
	apitest.OK(w.T, err)
	apitest.OK(w.T, w.Ledger.RemoveRunning(w.T.Context(), running))
}

// A corp starts so many jobs of a kind on one day of Beijing.
func TestJobsHaveADailyQuota(t *testing.T) {
	for _, c := range []struct {
		verify bool
		most   int
	}{{false, 20}, {true, 5}} {
		t.Run(fmt.Sprint("verify ", c.verify), func(t *testing.T) {
			w := apitest.NewWorld(t)
			w.BareCorp(w.Corp)
			post := func() apitest.Response {
				w.Pass(time.Second)
				return w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/replays", map[string]any{"verify": c.verify})
			}
			// Jobs that nobody requested do not count.
			for i, by := range []string{"weekly", "key came", "key proved", "u-admin"} {
				apitest.OK(t, w.Ledger.CreateReplay(t.Context(), decode.Replay{
					Corp: w.Corp, ID: decode.JobID(w.Now(), fmt.Sprint(i)), CreatedAt: w.Now(), UpdatedAt: w.Now(), By: by, Verify: c.verify,
				}))
			}
			for range c.most {
				post().Want(202)
				end(w, c.verify)
			}
			if p := apitest.Into[apitest.Problem](post().WantProblem(429, "jobs-today")); !strings.Contains(p.Detail, fmt.Sprint(c.most)) {
				t.Errorf("got %+v, want the number", p)
			}
			// Replays and verifications have a quota each.
			w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/replays", map[string]any{"verify": !c.verify}).Want(202)
			w.Pass(24 * time.Hour)
			post().Want(202)
		})
	}
}

func TestReplays(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.BareCorp(w.Other)
	post := func(body any) apitest.Response {
		return w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/replays", body)
	}
	all := apitest.Into[replay.Document](post(map[string]any{}).Want(202))
	if all.From != "0" || all.To != nil || all.SetAsideOnly || all.Version != nil || all.Done {
		t.Errorf("got %+v", all)
	}
	w.Pass(time.Second)
	if p := apitest.Into[apitest.Problem](post(map[string]any{}).WantProblem(409, "job-running")); !strings.Contains(p.Detail, all.ID) {
		t.Errorf("got %+v, want the id of the running job", p)
	}
	verify := apitest.Into[replay.Document](post(map[string]any{"verify": true}).Want(202))
	if !strings.Contains(apitest.Into[apitest.Problem](post(map[string]any{"verify": true}).WantProblem(409, "job-running")).Detail, verify.ID) {
		t.Error("a second verification is not told of the first")
	}
	end(w, false)
	w.Pass(time.Second)
	some := apitest.Into[replay.Document](post(map[string]any{"from_seq": "5", "to_seq": "18446744073709551615", "set_aside_only": true, "publickey_ver": 2}).Want(202))
	if some.From != "5" || *some.To != "18446744073709551615" || !some.SetAsideOnly || *some.Version != 2 || some.ID <= all.ID {
		t.Errorf("got %+v", some)
	}
	reqs := w.Drain(w.Decodes)
	if len(reqs) != 3 {
		t.Errorf("got decode requests %+v, want one of each job", reqs)
	}
	list := apitest.Into[struct{ Replays []replay.Document }](w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/replays").Want(200))
	if len(list.Replays) != 3 || list.Replays[0].ID != some.ID {
		t.Errorf("got %+v, want the newest first", list)
	}
	// A user who is a member has a name. WeCom is not asked about another one.
	if reqs := w.InspectRequests(); len(reqs) != 0 {
		t.Errorf("got requests for names %+v, want none", reqs)
	}
	apitest.OK(t, w.Contacts.GivePeople(t.Context(), w.Corp, []book.Person{{ID: some.By, Kind: book.Member, Name: "王敏", Origin: book.Origin{Source: book.SourceSCRM, At: apitest.Noon}}}))
	if got := string(w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/replays").Want(200).Body); !strings.Contains(got, `"names":{"people":{"`+some.By+`":{"name":"王敏"`) {
		t.Errorf("got %s, want the user's name", got)
	}
	if got := apitest.Into[replay.Document](w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/replays/"+some.ID).Want(200)); got.ID != some.ID {
		t.Errorf("got %+v", got)
	}
	w.Get(w.As(session.Admin), "/v1/corps/"+w.Corp+"/replays/no-such").WantProblem(404, "not-found")
	w.Get(apitest.TokenOf(w.Other, session.Admin), "/v1/corps/"+w.Other+"/replays/"+some.ID).WantProblem(404, "not-found")
	for body, want := range map[string]string{
		`{"from_seq":5}`:                              "from_seq:type",
		`{"from_seq":"-5"}`:                           "from_seq:form",
		`{"from_seq":"5","to_seq":"5"}`:               "to_seq:range",
		`{"to_seq":"0"}`:                              "to_seq:range",
		`{"set_aside_only":"yes","publickey_ver":""}`: "set_aside_only:type publickey_ver:type",
	} {
		if got := post(body).Want(400).Rules(); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

func TestReadingsAreListed(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	for i := range 5 {
		if err := w.Readings.RecordReading(t.Context(), archive.Reading{Corp: w.Corp, By: fmt.Sprintf("u-%d", i), Role: "reader", List: archive.PartyList, Party: "lin.hua", At: apitest.Noon.Truncate(archive.ReadingSlot)}); err != nil {
			t.Fatal(err)
		}
	}
	type page struct {
		Readings []proof.ReadingJSON
		Next     *string
	}
	seen := make(map[string]bool)
	for next := ""; ; {
		p := apitest.Into[page](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/readings?from_day=2026-01-31&limit=2"+next).Want(200))
		for _, v := range p.Readings {
			seen[v.By] = true
			if v.Conversation != nil || *v.Party != "lin.hua" || v.At != "2026-01-31T06:30:00.000Z" {
				t.Errorf("got %+v", v)
			}
		}
		if p.Next == nil {
			break
		}
		next = "&page=" + *p.Next
		w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/readings?from_day=2026-01-30&limit=2"+next).WantProblem(400, "invalid-request")
	}
	if len(seen) != 5 {
		t.Errorf("got %d viewers, want 5", len(seen))
	}
	for _, day := range []string{"2026-02-30", "yesterday", "", "2026-1-1"} {
		if got := w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/readings?to_day="+day).Want(400).Rules(); got != "to_day:form" {
			t.Errorf("day %q: got %s", day, got)
		}
	}
}
