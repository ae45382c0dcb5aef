package output_test

import (
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
)

func TestAccepts(t *testing.T) {
	for header, want := range map[string]string{
		"": "", "identity": "", "x-gzip": "", "gzip": "gzip", "GZIP": "gzip", "gzip, deflate, br": "br gzip", "*": "br gzip",
		"br, gzip;q=0.5": "br gzip", "deflate, * ; q = 1": "br gzip", "gzip ;q=0.001": "gzip", "gzip;q=x": "",
		"gzip;q=0": "", "*;q=0": "", "*, gzip;q=0": "br", "gzip;q=0, *": "br", "*;q=0, gzip": "gzip",
	} {
		got := ""
		for _, coding := range []string{"br", "gzip"} {
			if output.Accepts(header, coding) {
				if got != "" {
					got += " "
				}
				got += coding
			}
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", header, got, want)
		}
	}
}

func TestMatches(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "a": false, `"b"`: false, `"a"`: true, `W/"a"`: true, "*": true, `"b", W/"a"`: true, `"b" ,"a" `: true, `"a`: false,
	} {
		for _, tag := range []string{`"a"`, `W/"a"`} {
			if got := output.Matches(header, tag); got != want {
				t.Errorf("%q, tag %s: got %v, want %v", header, tag, got, want)
			}
		}
	}
}
