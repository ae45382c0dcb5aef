package proof_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
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
)

// beijing is a time of a day in January 2026.
func beijing(t *testing.T, day int, clock string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, fmt.Sprintf("2026-01-%02dT%s+08:00", day, clock))
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

func statement(w *apitest.World, day string) proof.StatementJSON {
	w.T.Helper()
	return apitest.Into[proof.StatementJSON](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/statements/"+day).Want(200))
}

func TestStatements(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.BareCorp(w.Other)
	genesis := proof.LinkJSON{"0", archive.GenesisHash(w.Corp)}
	if s := statement(w, "2026-01-31"); s.Opening != genesis || s.Closing != genesis || s.Rows != 0 || s.FirstSeq != nil || s.BrokenAfter != nil || s.Closed {
		t.Errorf("of a corp without rows: got %+v", s)
	}

	a := w.Link(beijing(t, 28, "23:59:59"), archive.PageRow, 10)
	b := w.Link(beijing(t, 29, "00:00:00"), archive.PageRow, 5_000_000_000)
	g := w.Link(beijing(t, 29, "12:00:00"), archive.GapRow, 5_000_000_003)
	c := w.Link(beijing(t, 29, "23:59:59"), archive.PageRow, 5_000_000_013)
	d := w.Link(beijing(t, 31, "10:00:00"), archive.PageRow, 5_000_000_020)
	w.Decoded(a, archive.Result{Stored: 10, Types: map[string]int{"text": 10}})
	w.Decoded(b, archive.Result{Stored: 4_999_999_989, SetAside: map[string]int{"no_key": 1}, Types: map[string]int{"text": 4_999_999_988}, Unreadable: 1})
	w.Decoded(c, archive.Result{SetAside: map[string]int{"journal_damaged": 10}})
	for _, l := range []archive.Loss{
		{Corp: w.Corp, Since: beijing(t, 20, "01:00:00"), At: beijing(t, 25, "01:00:00")},
		{Corp: w.Corp, Since: beijing(t, 24, "01:00:00"), At: beijing(t, 29, "01:00:00")},
	} {
		if err := w.Ledger.RecordLoss(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}

	s := statement(w, "2026-01-29")
	if s.Opening != (proof.LinkJSON{"10", a.Hash}) || s.Closing != (proof.LinkJSON{"5000000013", c.Hash}) || s.Rows != 3 || s.BrokenAfter != nil || !s.Closed || !s.Whole {
		t.Errorf("chain: got %+v", s)
	}
	if *s.FirstSeq != "11" || *s.LastSeq != "5000000013" || s.Pages != 2 || !s.Decoded || s.Pulled != 5_000_000_000 || s.Stored != 4_999_999_989 || s.Unreadable != 1 {
		t.Errorf("counts: got %+v", s)
	}
	if s.SetAside["no_key"] != 1 || s.SetAside["journal_damaged"] != 10 || s.Types["text"] != 4_999_999_988 {
		t.Errorf("counts: got %v, %v", s.SetAside, s.Types)
	}
	if s.GapCount != 1 || len(s.Gaps) != 1 || s.Gaps[0].Hash != g.Hash || len(s.Losses) != 1 || s.Losses[0].Since != output.Moment(beijing(t, 24, "01:00:00")) {
		t.Errorf("got gaps %+v, losses %+v", s.Gaps, s.Losses)
	}
	if s := statement(w, "2026-01-30"); s.Rows != 0 || s.Opening != s.Closing || s.Closing.Hash != c.Hash || !s.Closed || !s.Decoded {
		t.Errorf("a day without rows: got %+v", s)
	}
	s = statement(w, "2026-01-31")
	if s.Decoded || s.Waiting.Pages != 1 || s.Waiting.Records != 7 || s.Pulled != 7 || s.Closed || s.Closing.Hash != d.Hash {
		t.Errorf("today: got %+v", s)
	}
	if s := statement(w, "2020-02-29"); s.Opening != genesis || s.Rows != 0 {
		t.Errorf("long before: got %+v", s)
	}
	for _, day := range []string{"2026-02-01", "2026-01-32", "today", "9999-12-31"} {
		w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/statements/"+day).WantProblem(404, "not-found")
	}

	type list struct {
		Statements []proof.StatementJSON
		Next       *string
	}
	l := apitest.Into[list](w.Get(w.As(session.Service), "/v1/corps/"+w.Corp+"/statements").Want(200))
	if len(l.Statements) != 31 || l.Next != nil || l.Statements[0].Day != "2026-01-01" || l.Statements[30].Day != "2026-01-31" {
		t.Fatalf("got %d statements, next %v", len(l.Statements), l.Next)
	}
	var losses int
	for i, s := range l.Statements {
		if i > 0 && s.Opening != l.Statements[i-1].Closing {
			t.Errorf("%s does not open as the day before closed", s.Day)
		}
		one, err := json.Marshal(statement(w, string(s.Day)))
		if err != nil {
			t.Fatal(err)
		}
		inList, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if string(one) != string(inList) {
			t.Errorf("%s alone and in the list: got %s and %s", s.Day, one, inList)
		}
		losses += len(s.Losses)
	}
	if losses != 2 {
		t.Errorf("got %d losses, want 2", losses)
	}
	if l := apitest.Into[list](w.Get(apitest.TokenOf(w.Other, session.Auditor), "/v1/corps/"+w.Other+"/statements?from=2026-01-28&to=2026-01-29").Want(200)); len(l.Statements) != 2 || l.Statements[1].Rows != 0 {
		t.Errorf("another corp: got %+v", l.Statements)
	}
	for query, want := range map[string]string{
		"from=x": "from:form", "to=2026-1-1": "to:form", "from=2026-01-30&to=2026-01-29": "from:range", "to=2026-02-01": "from:range",
		"from=2025-12-31&to=2026-01-31": "from:range", "from=2026-02-01": "from:range", "day=2026-01-01": "day:unknown",
	} {
		if got := w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/statements?"+query).WantProblem(400, "invalid-request").Rules(); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}

	// The day is over, but a pull that began on it may still run.
	w.Pass(beijing(t, 31, "23:59:59").Add(proof.Settled).Sub(w.Now()))
	if statement(w, "2026-01-31").Closed {
		t.Error("closed too early")
	}
	w.Pass(time.Second)
	if !statement(w, "2026-01-31").Closed {
		t.Error("not closed")
	}
}

// rowsOnly is a ledger whose head and rows are replaced.
type rowsOnly struct {
	proof.Ledger
	rows []archive.Row
}

func (l rowsOnly) Head(context.Context, string) (archive.Head, error) {
	return archive.Head{Corp: l.rows[0].Corp, Last: l.rows[len(l.rows)-1].Last}, nil
}

func (l rowsOnly) Rows(_ context.Context, _ string, q archive.RowQuery) ([]archive.Row, error) {
	i, _ := slices.BinarySearchFunc(l.rows, q.From, func(r archive.Row, from uint64) int { return int(int64(r.After) - int64(from)) })
	if !q.Descending {
		return l.rows[i:min(i+q.Limit, len(l.rows))], nil
	}
	if i == len(l.rows) || l.rows[i].After > q.From {
		i--
	}
	if i < 0 {
		return nil, nil
	}
	return l.rows[i : i+1], nil
}

// chainOf makes rows of one record each, pulled at the given times.
func chainOf(corp string, at func(i int) time.Time, n int) []archive.Row {
	head := archive.NewHead(corp)
	rows := make([]archive.Row, n)
	for i := range rows {
		r := archive.Row{Corp: corp, Kind: archive.PageRow, After: head.Last, First: head.Last + 1, Last: head.Last + 1, Count: 1, At: at(i), Prev: head.Hash, State: archive.RowDecoded}
		r.Result = &archive.Result{Stored: 1, Types: map[string]int{"text": 1}}
		r.Hash = archive.ChainHash(r)
		rows[i], head = r, head.Next(r)
	}
	return rows
}

func TestStatementsNameWhereTheChainBreaks(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	for name, change := range map[string]func([]archive.Row){
		"a row was edited":     func(r []archive.Row) { r[5].Count = 7 },
		"a row was replaced":   func(r []archive.Row) { r[4].Size = 7; r[4].Hash = archive.ChainHash(r[4]) },
		"a row was taken out":  func(r []archive.Row) { copy(r[5:], r[6:]); r[9] = r[8]; r[9].After, r[9].Last = 10, 11 },
		"the first was edited": func(r []archive.Row) { r[0].Prev = strings.Repeat("0", 64) },
	} {
		w.Run(name, func(t *testing.T) {
			rows := chainOf(w.Corp, func(i int) time.Time { return beijing(t, 29, "12:00:00").Add(time.Duration(i) * time.Second) }, 10)
			change(rows)
			w.Proof.Ledger = rowsOnly{w.Ledger, rows}
			want := map[string]string{"a row was taken out": "6", "the first was edited": "0"}[name]
			if want == "" {
				want = "5"
			}
			if s := statement(w, "2026-01-29"); s.BrokenAfter == nil || *s.BrokenAfter != want {
				t.Errorf("got %+v, want broken after %s", s, want)
			}
		})
	}
}

// A row with an earlier time than the row before it belongs to the day of that row.
func TestEveryRowIsInOneStatement(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	midnight := beijing(t, 29, "00:00:00")
	rows := chainOf(w.Corp, func(i int) time.Time {
		if i == 6 {
			return midnight.Add(-time.Second)
		}
		return midnight.Add(time.Duration(i-5) * time.Second)
	}, 10)
	w.Proof.Ledger = rowsOnly{w.Ledger, rows}
	before, after := statement(w, "2026-01-28"), statement(w, "2026-01-29")
	if before.Rows+after.Rows != 10 || before.Closing != after.Opening || before.BrokenAfter != nil || after.BrokenAfter != nil {
		t.Errorf("got %d and %d rows, closing %v, opening %v", before.Rows, after.Rows, before.Closing, after.Opening)
	}
}

func TestAnswersOverManyRowsAreBounded(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	const busy = 30
	start := beijing(t, busy, "00:00:00")
	rows := chainOf(w.Corp, func(i int) time.Time {
		if i < 3 {
			return start.Add(-time.Hour)
		}
		return start.Add(time.Duration(i) * time.Millisecond)
	}, proof.RowsMost+500)
	w.Proof.Ledger = rowsOnly{w.Ledger, rows}
	type list struct {
		Statements []proof.StatementJSON
		Next       *string
	}
	ask := func(from string) list {
		t.Helper()
		return apitest.Into[list](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/statements?to=2026-01-31&from="+from).Want(200))
	}
	l := ask("2026-01-29")
	if len(l.Statements) != 1 || l.Statements[0].Rows != 3 || !l.Statements[0].Closed || l.Next == nil || *l.Next != "2026-01-30" {
		t.Fatalf("got %+v", l)
	}
	l = ask(*l.Next)
	if s := l.Statements[0]; len(l.Statements) != 1 || s.Whole || s.Closed || s.Rows < proof.RowsMost || s.Rows > proof.RowsMost+proof.RowsAtOnce || *l.Next != "2026-01-31" {
		t.Fatalf("got %d statements, whole %t, %d rows", len(l.Statements), s.Whole, s.Rows)
	}
	l = ask(*l.Next)
	if s := l.Statements[0]; l.Next != nil || s.Rows != 0 || s.Opening.Seq != output.Decimal(proof.RowsMost+500) {
		t.Errorf("got %+v", l)
	}
	type types struct {
		Types []proof.TypeJSON
		Whole bool
		Next  *string
	}
	kinds := apitest.Into[types](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/types").Want(200))
	if !kinds.Whole || kinds.Types[0].Count != 3 || kinds.Next == nil || *kinds.Next != "2026-01-30" {
		t.Fatalf("got %+v", kinds)
	}
	kinds = apitest.Into[types](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/types?from_day="+*kinds.Next).Want(200))
	if kinds.Whole || kinds.Types[0].Count < proof.RowsMost || kinds.Next == nil || *kinds.Next != "2026-01-31" {
		t.Errorf("got %+v", kinds)
	}
}

// Answers that would take too long end early and say where to go on. The answers
// together cover every day.
func TestAnswersThatTakeTooLongEndEarly(t *testing.T) {
	const corp, days, perDay = "ww0123456789abcdef", 5, 700
	rows := chainOf(corp, func(i int) time.Time {
		return beijing(t, 20+i/perDay, "08:00:00").Add(time.Duration(i%perDay) * time.Second)
	}, days*perDay)
	h := &proof.Handlers{Ledger: rowsOnly{noLosses{}, rows}, Messages: nothingSeen{}, Now: func() time.Time { return beijing(t, 31, "12:00:00") }}
	ask := func(serve func(context.Context, *session.Call) (output.Answer, error), from, to, first string, into any) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // less than what a search leaves for its answer
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &session.Call{Request: r, CorpID: corp}
		c.ReadQuery(from+"="+first+"&"+to+"=2026-01-25", []string{from, to})
		ans, err := serve(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(ans.Body, into); err != nil {
			t.Fatal(err)
		}
	}
	counted := map[string]int{}
	for first, answers := "2026-01-20", 0; first != ""; answers++ {
		var l struct {
			Statements []proof.StatementJSON
			Next       *string
		}
		ask(h.ListStatements, "from", "to", first, &l)
		for _, s := range l.Statements {
			counted[string(s.Day)] += s.Rows
			if !s.Whole {
				t.Errorf("%s: not whole", s.Day)
			}
		}
		if first = apitest.Deref(l.Next); first == "" && answers < 2 {
			t.Errorf("got %d answers, so the time did not end them", answers+1)
		}
	}
	if len(counted) != days+1 || slices.ContainsFunc(slices.Collect(maps.Values(counted)), func(n int) bool { return n != perDay && n != 0 }) {
		t.Errorf("got %v rows of days, want %d of each", counted, perDay)
	}
	total, answers := 0, 0
	for first := "2026-01-20"; first != ""; answers++ {
		var l struct {
			Types []proof.TypeJSON
			Whole bool
			Next  *string
		}
		ask(h.ListTypes, "from_day", "to_day", first, &l)
		for _, k := range l.Types {
			total += k.Count
		}
		if !l.Whole {
			t.Errorf("from %s: not whole", first)
		}
		first = apitest.Deref(l.Next)
	}
	if total != days*perDay || answers < 2 {
		t.Errorf("got %d messages in %d answers, want %d in several", total, answers, days*perDay)
	}
}

// noLosses is a ledger with nothing but rows, which rowsOnly adds.
type noLosses struct{ proof.Ledger }

func (noLosses) Losses(context.Context, string) ([]archive.Loss, error) { return nil, nil }

type nothingSeen struct{ proof.MessageStore }

func (nothingSeen) FirstSeen(context.Context, string, []string) (map[string]time.Time, error) {
	return nil, nil
}

func TestTypes(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	w.BareCorp(w.Other)
	a := w.Link(beijing(t, 28, "12:00:00"), archive.PageRow, 10)
	b := w.Link(beijing(t, 29, "12:00:00"), archive.PageRow, 20)
	w.Link(beijing(t, 29, "13:00:00"), archive.GapRow, 21)
	c := w.Link(beijing(t, 30, "12:00:00"), archive.PageRow, 30)
	w.Link(beijing(t, 30, "13:00:00"), archive.PageRow, 40) // not decoded
	w.Decoded(a, archive.Result{Stored: 10, Types: map[string]int{"text": 9, "hologram": 1}, Unknown: map[string]int{"text text.font": 2}})
	w.Decoded(b, archive.Result{Stored: 10, Types: map[string]int{"text": 3, "voipdocshare": 1, "switch": 1, "": 1, "external_redpacket": 1, "unknown": 1}, Unreadable: 2})
	w.Decoded(c, archive.Result{Stored: 10, Types: map[string]int{"text": 8, "hologram": 2}, Unknown: map[string]int{"text text.font": 3, "text mood": 1}})
	type answer struct {
		Types      []proof.TypeJSON
		Unknown    []proof.UnknownFieldJSON `json:"unknown_fields"`
		Unreadable int
		Whole      bool
	}
	get := func(who apitest.Token, at, query string) answer {
		t.Helper()
		return apitest.Into[answer](w.Get(who, "/v1/corps/"+at+"/types"+query).Want(200))
	}
	noonOf := func(day int) string { return output.Moment(beijing(t, day, "12:00:00")) }
	got := get(w.As(session.Admin), w.Corp, "")
	want := []proof.TypeJSON{
		{"text", 20, noonOf(28), true}, {"hologram", 3, noonOf(28), false}, {"", 1, noonOf(29), false},
		{"external_redpacket", 1, noonOf(29), true}, {"switch", 1, noonOf(29), true}, {"unknown", 1, noonOf(29), false}, {"voipdocshare", 1, noonOf(29), true},
	}
	if !slices.Equal(got.Types, want) || got.Unreadable != 2 || !got.Whole {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if want := []proof.UnknownFieldJSON{{"text", "text.font", 5, noonOf(28)}, {"text", "mood", 1, noonOf(30)}}; !slices.Equal(got.Unknown, want) {
		t.Errorf("got fields %+v, want %+v", got.Unknown, want)
	}
	if got := get(w.As(session.Auditor), w.Corp, "?from_day=2026-01-30&to_day=2026-01-30"); !slices.Equal(got.Types, []proof.TypeJSON{{"text", 8, noonOf(30), true}, {"hologram", 2, noonOf(30), false}}) {
		t.Errorf("of one day: got %+v", got)
	}
	// A type that was seen in an earlier year is not new.
	if err := w.Messages.WritePage(t.Context(), decode.Decoded{Corp: w.Corp, FirstSeen: []decode.FirstSeen{
		{Corp: w.Corp, Name: "hologram", At: apitest.Noon.AddDate(-1, 0, 0)}, {Corp: w.Corp, Name: "text text.font", At: apitest.Noon.AddDate(-2, 0, 0)},
	}}); err != nil {
		t.Fatal(err)
	}
	got = get(w.As(session.Auditor), w.Corp, "?from_day=2026-01-30&to_day=2026-01-30")
	if want := []proof.TypeJSON{{"text", 8, noonOf(30), true}, {"hologram", 2, output.Moment(apitest.Noon.AddDate(-1, 0, 0)), false}}; !slices.Equal(got.Types, want) {
		t.Errorf("seen in another year: got %+v, want %+v", got.Types, want)
	}
	if want := []proof.UnknownFieldJSON{{"text", "text.font", 3, output.Moment(apitest.Noon.AddDate(-2, 0, 0))}, {"text", "mood", 1, noonOf(30)}}; !slices.Equal(got.Unknown, want) {
		t.Errorf("seen in another year: got fields %+v, want %+v", got.Unknown, want)
	}
	if got := get(apitest.TokenOf(w.Other, session.Service), w.Other, ""); len(got.Types) != 0 {
		t.Errorf("another corp: got %+v", got)
	}
	for query, want := range map[string]string{
		"from_day=x": "from_day:form", "to_day=2026-02-01": "from_day:range", "from_day=2025-12-31": "from_day:range",
	} {
		if got := w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/types?"+query).Want(400).Rules(); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

func TestVerifications(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	post := func(r session.Role, body any) apitest.Response {
		return w.Send(apitest.TokenOf(w.Corp, r), "POST", "/v1/corps/"+w.Corp+"/replays", body)
	}
	job := apitest.Into[replay.Document](post(session.Auditor, map[string]any{"verify": true, "from_seq": "5", "to_seq": "9"}).Want(202))
	if !job.Verify || job.Faults != 0 || job.Findings == nil || job.By != "u-auditor" {
		t.Errorf("got %+v", job)
	}
	if reqs := w.Drain(w.Decodes); len(reqs) != 1 || !strings.Contains(reqs[0].Body, job.ID) {
		t.Errorf("got decode requests %+v", reqs)
	}
	stored, err := w.Ledger.Replay(t.Context(), w.Corp, job.ID)
	if err != nil {
		t.Fatal(err)
	}
	done := stored
	done.Done, done.Faults = true, 101
	done.Findings = []decode.Finding{{After: 4, What: decode.FaultChain}, {After: 5, Seq: 1<<64 - 1, What: decode.FaultMissing}}
	if err := w.Ledger.AdvanceReplay(t.Context(), stored, done); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/replays/" + job.ID, "/replays"} {
		resp := w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+path).Want(200)
		got := replay.Document{}
		if path == "/replays" {
			got = apitest.Into[struct{ Replays []replay.Document }](resp).Replays[0]
		} else {
			got = apitest.Into[replay.Document](resp)
		}
		if !got.Done || got.Faults != 101 || len(got.Findings) != 2 || got.Findings[0] != (replay.Finding{After: "4", What: "chain_broken"}) || *got.Findings[1].Seq != "18446744073709551615" {
			t.Errorf("%s: got %+v", path, got)
		}
	}
	post(session.Auditor, map[string]any{}).WantProblem(403, "forbidden")
	post(session.Auditor, map[string]any{"verify": false, "set_aside_only": true}).WantProblem(403, "forbidden")
	for _, body := range []string{`{"verify":true,"set_aside_only":true}`, `{"verify":true,"publickey_ver":2}`} {
		if got := post(session.Admin, body).Want(400).Rules(); got != "verify:exclusive" {
			t.Errorf("%s: got %s", body, got)
		}
	}
	if got := post(session.Admin, `{"verify":"yes"}`).Want(400).Rules(); got != "verify:type" {
		t.Errorf("got %s", got)
	}
	if reqs := w.Drain(w.Decodes); len(reqs) != 0 {
		t.Errorf("a refused job was started: %+v", reqs)
	}
}
