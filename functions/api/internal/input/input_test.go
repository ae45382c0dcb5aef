package input_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// rules lists the mistakes of an input as "field:rule".
func rules(in *input.Input) string {
	p, ok := errors.AsType[*problem.Problem](in.Err())
	if !ok {
		return ""
	}
	var list []string
	for _, m := range p.Mistakes {
		list = append(list, m.Field+":"+string(m.Rule))
	}
	return strings.Join(list, " ")
}

func query(raw string, known ...string) *input.Input {
	in := &input.Input{}
	in.ReadQuery(raw, known)
	return in
}

func TestQueryGetters(t *testing.T) {
	for _, tc := range []struct {
		raw, rules string
		get        func(*input.Input)
	}{
		{"x=", "", func(in *input.Input) { in.Only("y") }},
		{"limit=200", "", func(in *input.Input) { in.Limit() }},
		{"limit=201", "limit:range", func(in *input.Input) { in.Limit() }},
		{"limit=1.5", "limit:type", func(in *input.Input) { in.Limit() }},
		{"order=desc", "", func(in *input.Input) { in.Descending() }},
		{"order=down", "order:one_of", func(in *input.Input) { in.Descending() }},
		{"y=false", "y:one_of", func(in *input.Input) { in.Only("y") }},
		{"x=18446744073709551615", "", func(in *input.Input) { in.QuerySeq("x") }},
		{"x=18446744073709551616", "x:form", func(in *input.Input) { in.QuerySeq("x") }},
		{"x=2026-02-29", "x:form", func(in *input.Input) { in.Day("x", "") }},
		{"x=2026-01-31T08:00:00%2B08:00", "", func(in *input.Input) { in.Moment("x") }},
		{"x=" + strings.Repeat("%E4%BA%91", input.MaxParty), "", func(in *input.Input) { in.Party("x") }},
		{"x=" + strings.Repeat("a", input.MaxParty+1), "x:length", func(in *input.Input) { in.Party("x") }},
		{"z=1&x=1&x=2&y=%ff", "x:repeated y:form z:unknown", func(*input.Input) {}},
	} {
		in := query(tc.raw, "x", "y", "limit", "order")
		tc.get(in)
		if got := rules(in); got != tc.rules {
			t.Errorf("%.60s: got %q, want %q", tc.raw, got, tc.rules)
		}
	}
}

func TestDays(t *testing.T) {
	const today archive.Day = "2026-01-31"
	for raw, want := range map[string]string{
		"":                              "2026-01-01 2026-01-31 ",
		"from=2026-01-31":               "2026-01-31 2026-01-31 ",
		"to=2026-01-15":                 "2025-12-16 2026-01-15 ",
		"to=0001-01-02":                 "0001-01-01 0001-01-02 ",
		"from=2025-12-31":               "2025-12-31 2026-01-31 from:range",
		"to=2026-02-01":                 "2026-01-02 2026-02-01 from:range",
		"from=2026-01-20&to=2026-01-19": "2026-01-20 2026-01-19 from:range",
	} {
		in := query(raw, "from", "to")
		from, to := in.Days("from", "to", today)
		if got := fmt.Sprint(from, " ", to, " ", rules(in)); got != want {
			t.Errorf("%q: got %s, want %s", raw, got, want)
		}
	}
}

func TestBodyGetters(t *testing.T) {
	for _, tc := range []struct {
		body, rules string
		get         func(*input.Input)
	}{
		{`{"a":"x"}`, "", func(in *input.Input) { in.Text("a", 1, 1) }},
		{`{"a":"xy"}`, "a:length", func(in *input.Input) { in.Text("a", 1, 1) }},
		{`{"a":null}`, "a:type", func(in *input.Input) { in.Text("a", 1, 1) }},
		{`{"a":4294967295}`, "", func(in *input.Input) { in.Version("a") }},
		{`{"a":4294967296}`, "a:range", func(in *input.Input) { in.Version("a") }},
		{`{"a":"5"}`, "", func(in *input.Input) { in.Seq("a") }},
		{`{"a":5}`, "a:type", func(in *input.Input) { in.Seq("a") }},
		{`{"a":true}`, "", func(in *input.Input) { in.Flag("a") }},
		{`{"a":"true"}`, "a:type", func(in *input.Input) { in.Flag("a") }},
		{`{}`, "a:required", func(in *input.Input) { in.Required("a") }},
		{`{"a":1,"a":2,"c":3}`, "a:repeated c:unknown", func(in *input.Input) { in.Required("a") }},
		{`[]`, ":json", func(in *input.Input) { in.Required("a") }},
		{`{"a":[1,"x",""]}`, "a[0]:type a[2]:length", func(in *input.Input) { in.Texts("a", 3, 5) }},
		{`{"a":[]}`, "a:length", func(in *input.Input) { in.List("a", 3) }},
	} {
		in := &input.Input{}
		in.ReadBody([]byte(tc.body), []string{"a", "b"})
		tc.get(in)
		if got := rules(in); got != tc.rules {
			t.Errorf("%s: got %q, want %q", tc.body, got, tc.rules)
		}
	}
}

// A long list of mistakes is cut off.
func TestMistakesAreBounded(t *testing.T) {
	in := &input.Input{}
	in.ReadBody([]byte(`{"a":[`+strings.Repeat("1,", 3*input.MaxMistakes)+`1]}`), []string{"a"})
	in.Texts("a", 1000, 5)
	if n := len(strings.Fields(rules(in))); n != input.MaxMistakes {
		t.Errorf("got %d mistakes, want %d", n, input.MaxMistakes)
	}
}

// A page token fits its own list only.
func TestPageTokens(t *testing.T) {
	list := opaque.Page("/v1/corps/ww0123456789abcdef/rooms", nil)
	in := query("", "page")
	in.UsePages(list)
	token, err := in.SealKey("room#1")
	if err != nil || token == nil {
		t.Fatalf("got %v, %v", token, err)
	}
	if end, err := in.SealKey(""); end != nil || err != nil {
		t.Errorf("at the end of the list: got %v, %v", end, err)
	}
	for name, tc := range map[string]struct {
		use   opaque.Use
		token string
		want  string
	}{
		"its own list": {list, *token, ""},
		"another list": {opaque.Page("/v1/corps/ww0123456789abcdef/contacts", nil), *token, "page:token"},
		"too long":     {list, strings.Repeat("A", input.MaxPageToken+1), "page:token"},
	} {
		next := query("page="+tc.token, "page")
		next.UsePages(tc.use)
		var at input.KeyPage
		if fits := next.Page(&at); fits != (tc.want == "") || rules(next) != tc.want || fits && at.Key != "room#1" {
			t.Errorf("%s: got %v, %q, %+v", name, fits, rules(next), at)
		}
	}
}

func TestReadLimited(t *testing.T) {
	if b, err := input.ReadLimited(strings.NewReader("1234"), 4); err != nil || string(b) != "1234" {
		t.Errorf("got %q, %v", b, err)
	}
	p, ok := errors.AsType[*problem.Problem](func() error { _, err := input.ReadLimited(strings.NewReader("12345"), 4); return err }())
	if !ok || p.Kind != problem.BodyTooLarge {
		t.Errorf("a longer body: got %v", p)
	}
}
