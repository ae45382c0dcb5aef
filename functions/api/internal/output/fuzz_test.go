package output_test

import (
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
)

// A caller gets a coding only if the header names it, or all codings. The first entry
// that names the coding decides, whatever follows.
func FuzzAccepts(f *testing.F) {
	for _, header := range []string{"", "gzip, deflate, br", "br;q=0.5, *;q=0", "GZIP ; q = 1", "gzip;q=", "*;q=NaN", "gzip;q=1e999", ",;=", "\xff"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, coding := range []string{"gzip", "br"} {
			if output.Accepts(header, coding) && !strings.Contains(strings.ToLower(header), coding) && !strings.Contains(header, "*") {
				t.Errorf("%q: %s is accepted and not named", header, coding)
			}
			if output.Accepts(coding+";q=0,"+header, coding) {
				t.Errorf("%q: %s was refused first", header, coding)
			}
			if !output.Accepts(coding+","+header, coding) {
				t.Errorf("%q: %s was accepted first", header, coding)
			}
		}
	})
}

// A header matches a tag only if it holds the tag or a star, however the tag is
// written; another entry before or after the tag does not hide it.
func FuzzMatches(f *testing.F) {
	for _, header := range []string{"", "*", `"a"`, `W/"0123"`, `W/W/"0123"`, `"x", "0123"`, ", ,", "\xff"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		const tag = `"0123"`
		got := output.Matches(header, tag)
		if got && !strings.Contains(header, tag) && !strings.Contains(header, "*") {
			t.Errorf("%q matches %s", header, tag)
		}
		if got != output.Matches(header, "W/"+tag) {
			t.Errorf("%q: a weak tag and a strong one differ", header)
		}
		for _, with := range []string{header + "," + tag, tag + "," + header, "W/" + tag + " , " + header} {
			if !output.Matches(with, tag) {
				t.Errorf("%q does not match %s", with, tag)
			}
		}
		if got != output.Matches(`"other",`+header+`,"another"`, tag) {
			t.Errorf("%q: other tags change the answer", header)
		}
	})
}
