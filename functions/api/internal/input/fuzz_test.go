package input_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
)

// getters read a field in every way.
var getters = []func(*input.Input, string){
	func(in *input.Input, f string) { in.Required(f) },
	func(in *input.Input, f string) { in.Text(f, 1, 10) },
	func(in *input.Input, f string) { in.Pasted(f, 1, 10) },
	func(in *input.Input, f string) { in.TextOrNumber(f) },
	func(in *input.Input, f string) { in.OneOf(f, "a", "b") },
	func(in *input.Input, f string) { in.Texts(f, 3, 10) },
	func(in *input.Input, f string) { in.Flag(f) },
	func(in *input.Input, f string) { in.Index(f) },
	func(in *input.Input, f string) { in.TimeMember(f) },
	func(in *input.Input, f string) { in.Version(f) },
	func(in *input.Input, f string) { in.Seq(f) },
}

// A body of any bytes is read or refused. What is refused names only the given
// fields, or none, and a list never has more entries than allowed.
func FuzzBody(f *testing.F) {
	for _, body := range []string{`{}`, `{"a":"x","b":[1,"2"]}`, `{"a":1,"a":2}`, `{"a":"\ud800"}`, "\xff", `[]`, `{"a":{"a":null}}`, `{"b":1e999}`} {
		f.Add([]byte(body))
	}
	known := []string{"a", "b"}
	f.Fuzz(func(t *testing.T, body []byte) {
		in := &input.Input{}
		in.ReadBody(body, known)
		if !json.Valid(body) && !in.Mistaken() {
			t.Errorf("%q was accepted and is no JSON", body)
		}
		for _, field := range known {
			for _, get := range getters {
				get(in, field)
			}
			if list := in.List(field, 3); len(list) > 3 {
				t.Errorf("%q: got %d entries, want 3 at most", body, len(list))
			}
			for _, entry := range in.Entries(field, 3, known) {
				for _, get := range getters {
					get(entry, "a")
				}
			}
		}
		_ = in.Err()
	})
}

// A query of any text is read or refused, and every getter copes with it.
func FuzzQuery(f *testing.F) {
	for _, raw := range []string{"", "a=1", "a=1&a=2", "a=%ff", "a=%zz", "limit=5&order=desc", "a=2026-02-29", "a=2026-01-31T08:00:00%2B08:00", "a;b=1"} {
		f.Add(raw)
	}
	known := []string{"a", "b", "limit", "order", "page"}
	f.Fuzz(func(t *testing.T, raw string) {
		in := query(raw, known...)
		if n := in.Limit(); n < 1 || n > 200 {
			t.Errorf("%q: limit %d", raw, n)
		}
		in.Descending()
		in.Only("a")
		in.Choice("a", "x")
		in.Several("a", "x", "y")
		in.Moment("a")
		in.Characters("a", 1, 5)
		in.Party("a")
		in.QuerySeq("a")
		from, to := in.Days("a", "b", "2026-03-01")
		if !in.Mistaken() && from > to {
			t.Errorf("%q: days %s to %s", raw, from, to)
		}
		in.Month("a", "2026-03-01")
		for name := range in.Query {
			if !slices.Contains(known, name) {
				t.Errorf("%q: unknown parameter %q accepted", raw, name)
			}
		}
	})
}
