package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// appendRow appends a page of the seqs after+1 to last to the chain.
func (w *world) appendRow(after, last uint64) archive.Row {
	w.t.Helper()
	head, err := w.ledger.Head(w.t.Context(), corp)
	if err != nil {
		w.t.Fatal(err)
	}
	row := archive.Row{
		Corp: corp, Kind: archive.PageRow, After: after, First: after + 1, Last: last, Count: int(last - after),
		Sum: strings.Repeat("ab", 32), Size: 1000, At: w.now(), Prev: head.Hash, State: archive.RowRequested, Tries: 1,
	}
	row.Hash = archive.ChainHash(row)
	if err := w.ledger.Append(w.t.Context(), head, row); err != nil {
		w.t.Fatal(err)
	}
	return row
}

func (w *world) aside(list ...archive.SetAside) {
	w.t.Helper()
	if err := w.messages.WritePage(w.t.Context(), decode.Decoded{Corp: corp, SetAside: list}); err != nil {
		w.t.Fatal(err)
	}
}

func TestStatus(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	get := func() statusJSON {
		t.Helper()
		return into[statusJSON](w.get(tokenOf(corp, auditor), "/v1/corps/"+corp+"/status").want(200))
	}
	s := get()
	if s.Enabled || s.Head.Seq != "0" || s.Head.Hash != archive.GenesisHash(corp) || s.LagSeconds != nil || s.HoursLeft != nil || s.Trouble != nil || s.LastCallAt != nil || s.Gaps.Count != 0 || s.Gaps.Newest != nil {
		t.Errorf("of a new corp: got %+v", s)
	}
	if err := w.corps.SetEnabled(t.Context(), corp, true, w.now()); err != nil {
		t.Fatal(err)
	}
	w.pass(6 * time.Hour)
	if s := get(); *s.LagSeconds != 6*3600 || *s.HoursLeft != 114 {
		t.Errorf("never asked: got lag %d, hours %v", *s.LagSeconds, *s.HoursLeft)
	}
	if err := w.ledger.SavePullState(t.Context(), archive.PullState{
		Corp: corp, LastCallAt: w.now(), LastPageAt: w.now(), LastEmptyAt: w.now().Add(-121 * time.Hour), Standing: archive.Standing{NotBefore: w.now().Add(time.Hour),
			Trouble: &archive.Trouble{Cause: archive.CauseTrustedIP, Op: "GetChatData", Code: 301042, FromIP: "203.0.113.99", Since: noon, At: w.now()}},
		Gaps: 2, LastGap: &archive.GapNote{After: 1 << 60, Last: 1<<60 + 1, Reason: "record_too_large", At: noon},
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.ledger.RecordLoss(t.Context(), archive.Loss{Corp: corp, Since: noon, At: noon.Add(archive.Retention)}); err != nil {
		t.Fatal(err)
	}
	w.appendRow(0, 5)
	row := w.appendRow(5, 9)
	w.aside(
		archive.SetAside{Corp: corp, Seq: 6, After: 5, MsgID: "a", KeyVersion: 2, Reason: archive.ReasonNoKey, At: noon},
		archive.SetAside{Corp: corp, Seq: 7, After: 5, MsgID: "b", KeyVersion: 2, Reason: archive.ReasonNoKey, At: noon},
		archive.SetAside{Corp: corp, Seq: 8, After: 5, MsgID: "c", KeyVersion: 3, Reason: archive.ReasonCrash, At: noon},
	)
	s = get()
	if s.Head.Seq != "9" || s.Head.Rows != 2 || s.Head.Hash != row.Hash || *s.HoursLeft != -1 || s.NotBefore == nil {
		t.Errorf("got %+v", s)
	}
	if tr := s.Trouble; tr == nil || tr.Cause != archive.CauseTrustedIP || *tr.Step != 4 || *tr.FromIP != "203.0.113.99" || !strings.Contains(tr.What, "203.0.113.99") || !strings.Contains(tr.Mend, "step 4") {
		t.Errorf("got trouble %+v", tr)
	}
	if len(s.Losses) != 1 || s.PagesWaiting.Count != 2 || s.PagesWaiting.OldestAt == nil || s.PagesWaiting.More {
		t.Errorf("got losses %+v, waiting %+v", s.Losses, s.PagesWaiting)
	}
	if g := s.Gaps; g.Count != 2 || g.Newest == nil || *g.Newest != (gapJSON{"1152921504606846976", "1152921504606846977", "record_too_large", moment(noon)}) {
		t.Errorf("got gaps %+v", g)
	}
	if u := s.SetAside; u.FilesUntil == nil || *u.FilesUntil != moment(noon.Add(archive.Retention)) {
		t.Errorf("got files until %v, want 120 hours after the pull", u.FilesUntil)
	}
	if u := s.SetAside; u.Count != 3 || u.ByReason[archive.ReasonNoKey] != 2 || u.ByVersion["3"] != 1 || u.More {
		t.Errorf("got set_aside %+v", u)
	}
	w.pass(archive.Retention)
	if u := get().SetAside; u.FilesUntil != nil {
		t.Errorf("got files until %s, and all are gone", *u.FilesUntil)
	}
	zh := w.do(request{who: tokenOf(corp, admin), method: "GET", path: "/v1/corps/" + corp + "/status", header: map[string]string{"Accept-Language": "zh"}})
	if tr := into[statusJSON](zh).Trouble; !strings.Contains(tr.Mend, "可信IP地址") {
		t.Errorf("got trouble %+v", tr)
	}
}

func TestLedgerPages(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	w.bareCorp(other)
	const n = 7
	for i := range uint64(n) {
		w.appendRow(i*10, i*10+10)
	}
	if err := w.ledger.Finish(t.Context(), corp, 10, archive.Result{At: w.now(), Stored: 9, Unreadable: 1, SetAside: map[string]int{"no_key": 1}, Types: map[string]int{"text": 8}}, nil); err != nil {
		t.Fatal(err)
	}
	type page struct {
		Rows []rowJSON
		Next *string
	}
	walk := func(query string) (afters []string) {
		t.Helper()
		from := ""
		for {
			p := into[page](w.get(tokenOf(corp, auditor), "/v1/corps/"+corp+"/ledger?limit=3"+query+from).want(200))
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
	p := into[page](w.get(tokenOf(corp, auditor), "/v1/corps/"+corp+"/ledger?from=5&limit=1").want(200))
	if r := p.Rows[0]; r.After != "10" || r.State != archive.RowDecoded || r.Result == nil || r.Result.Types["text"] != 8 {
		t.Errorf("got %+v", p.Rows)
	}
	if p := into[page](w.get(tokenOf(other, auditor), "/v1/corps/"+other+"/ledger").want(200)); len(p.Rows) != 0 || p.Next != nil {
		t.Errorf("another corp sees %d rows", len(p.Rows))
	}
	for query, want := range map[string]string{
		"from=-1": "from:form", "from=x": "from:form", "from=01": "from:form", "from=": "from:form", "from=18446744073709551616": "from:form",
		"order=up": "order:one_of", "limit=0": "limit:range", "limit=201": "limit:range", "limit=ten": "limit:type", "limit=99999999999999999999": "limit:range",
		"limit=1&limit=2": "limit:repeated", "page=x": "page:unknown", "from=%zz": ":form", "from=%ff": "from:form",
		"from=x&order=up&limit=0&a=b": "a:unknown order:one_of limit:range from:form",
	} {
		if got := w.get(tokenOf(corp, auditor), "/v1/corps/"+corp+"/ledger?"+query).wantProblem(400, "invalid-request").rules(); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

func TestSetAsidePages(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	w.bareCorp(other)
	for seq := range uint64(5) {
		w.aside(archive.SetAside{Corp: corp, Seq: seq + 1, MsgID: "m" + strconv.FormatUint(seq, 10), KeyVersion: 1, Reason: archive.ReasonLibrary, Detail: "10006", At: noon})
	}
	w.aside(archive.SetAside{Corp: corp, Seq: 6, After: 5, Reason: archive.ReasonJournal, Detail: "the whole page", At: noon})
	type page struct {
		List []setAsideJSON `json:"set_aside"`
		Next *string
	}
	path := "/v1/corps/" + corp + "/set-aside?limit=2"
	var seqs []string
	for next := ""; ; {
		p := into[page](w.get(tokenOf(corp, admin), path+next).want(200))
		for _, u := range p.List {
			seqs = append(seqs, u.Seq)
		}
		if p.Next == nil {
			break
		}
		next = "&page=" + *p.Next
		// Another limit is fine; another list or corp is not.
		w.get(tokenOf(corp, admin), "/v1/corps/"+corp+"/set-aside?limit=9"+next).want(200)
		w.get(tokenOf(corp, service), "/v1/corps/"+corp+"/events?limit=2"+next).wantProblem(400, "invalid-request")
		w.get(tokenOf(other, admin), "/v1/corps/"+other+"/set-aside?limit=2"+next).wantProblem(400, "invalid-request")
	}
	if got := strings.Join(seqs, " "); got != "1 2 3 4 5 6" {
		t.Errorf("got %s", got)
	}
	if got := w.get(tokenOf(corp, admin), path+"&page=abc").want(400).rules(); got != "page:token" {
		t.Errorf("got %s", got)
	}
}

func TestReplays(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	w.bareCorp(other)
	post := func(body any) response {
		return w.send(tokenOf(corp, admin), "POST", "/v1/corps/"+corp+"/replays", body)
	}
	all := into[replayJSON](post(map[string]any{}).want(202))
	if all.From != "0" || all.To != nil || all.Waiting || all.Version != nil || all.Done {
		t.Errorf("got %+v", all)
	}
	w.pass(time.Second)
	some := into[replayJSON](post(map[string]any{"from_seq": "5", "to_seq": "18446744073709551615", "waiting": true, "publickey_ver": 2}).want(202))
	if some.From != "5" || *some.To != "18446744073709551615" || !some.Waiting || *some.Version != 2 || some.ID <= all.ID {
		t.Errorf("got %+v", some)
	}
	reqs := w.drain(w.decodes)
	if len(reqs) != 2 || !strings.Contains(reqs[0].body+reqs[1].body, all.ID) || !strings.Contains(reqs[0].body+reqs[1].body, some.ID) {
		t.Errorf("got decode requests %+v", reqs)
	}
	list := into[struct{ Replays []replayJSON }](w.get(tokenOf(corp, admin), "/v1/corps/"+corp+"/replays").want(200))
	if len(list.Replays) != 2 || list.Replays[0].ID != some.ID {
		t.Errorf("got %+v, want the newest first", list)
	}
	if got := into[replayJSON](w.get(tokenOf(corp, admin), "/v1/corps/"+corp+"/replays/"+some.ID).want(200)); got.ID != some.ID {
		t.Errorf("got %+v", got)
	}
	w.get(tokenOf(corp, admin), "/v1/corps/"+corp+"/replays/no-such").wantProblem(404, "not-found")
	w.get(tokenOf(other, admin), "/v1/corps/"+other+"/replays/"+some.ID).wantProblem(404, "not-found")
	for body, want := range map[string]string{
		`{"from_seq":5}`:                       "from_seq:type",
		`{"from_seq":"-5"}`:                    "from_seq:form",
		`{"from_seq":"5","to_seq":"5"}`:        "to_seq:range",
		`{"to_seq":"0"}`:                       "to_seq:range",
		`{"waiting":"yes","publickey_ver":""}`: "waiting:type publickey_ver:type",
	} {
		if got := post(body).want(400).rules(); got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

func TestViewsAreListed(t *testing.T) {
	w := newWorld(t)
	w.bareCorp(corp)
	for i := range 5 {
		if err := w.readings.RecordReading(t.Context(), archive.Reading{Corp: corp, By: fmt.Sprintf("u-%d", i), Role: "reader", Party: "lin.hua", At: noon.Truncate(archive.ReadingSlot)}); err != nil {
			t.Fatal(err)
		}
	}
	type page struct {
		Readings []readingJSON
		Next     *string
	}
	seen := make(map[string]bool)
	for next := ""; ; {
		p := into[page](w.get(tokenOf(corp, auditor), "/v1/corps/"+corp+"/readings?day=2026-01-31&limit=2"+next).want(200))
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
		w.get(tokenOf(corp, auditor), "/v1/corps/"+corp+"/readings?day=2026-01-30&limit=2"+next).wantProblem(400, "invalid-request")
	}
	if len(seen) != 5 {
		t.Errorf("got %d viewers, want 5", len(seen))
	}
	for _, day := range []string{"2026-02-30", "yesterday", "", "2026-1-1"} {
		if got := w.get(tokenOf(corp, auditor), "/v1/corps/"+corp+"/readings?day="+day).want(400).rules(); got != "day:form" {
			t.Errorf("day %q: got %s", day, got)
		}
	}
}
