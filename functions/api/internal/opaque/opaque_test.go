package opaque_test

import (
	"errors"
	"regexp"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
)

type place struct {
	Time int64
	Name string
}

func TestSealAndOpen(t *testing.T) {
	use := opaque.UseOf("ww0123456789abcdef", "GET /messages", "order=asc")
	want := place{Time: -1, Name: "云#\x00/?%"}
	text, err := use.Seal(want)
	if err != nil || !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(text) {
		t.Fatalf("got %q, %v", text, err)
	}
	var got place
	if err := use.Open(text, &got); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for name, other := range map[string]opaque.Use{
		"another corp":    opaque.UseOf("ww1111111111111111", "GET /messages", "order=asc"),
		"another query":   opaque.UseOf("ww0123456789abcdef", "GET /messages", "order=desc"),
		"parts run over":  opaque.UseOf("ww0123456789abcdefG", "ET /messages", "order=asc"),
		"fewer parts":     opaque.UseOf("ww0123456789abcdef", "GET /messagesorder=asc"),
		"the zero value":  {},
		"nothing at all":  opaque.UseOf(),
		"one empty part":  opaque.UseOf(""),
		"two empty parts": opaque.UseOf("", ""),
	} {
		if err := other.Open(text, &got); !errors.Is(err, opaque.ErrForeign) {
			t.Errorf("%s: got %v, want %v", name, err, opaque.ErrForeign)
		}
	}
	for name, bad := range map[string]string{"nothing": "", "short": text[:6], "cut": text[:len(text)-4], "no base64": "!" + text, "with line break": text[:4] + "\n" + text[4:]} {
		if err := use.Open(bad, &got); !errors.Is(err, opaque.ErrForeign) {
			t.Errorf("%s: got %v, want %v", name, err, opaque.ErrForeign)
		}
	}
}

func TestUsesDiffer(t *testing.T) {
	if opaque.UseOf() == opaque.UseOf("") || opaque.UseOf("") == opaque.UseOf("", "") || opaque.UseOf("a", "b") == opaque.UseOf("ab") {
		t.Error("two uses have one digest")
	}
}

func TestSealFails(t *testing.T) {
	if _, err := opaque.UseOf("a").Seal(func() {}); err == nil {
		t.Error("got no error for what JSON cannot hold")
	}
}

func FuzzOpen(f *testing.F) {
	use := opaque.UseOf("a")
	text, err := use.Seal(place{1, "x"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, s string) {
		var p place
		if err := use.Open(s, &p); err != nil && !errors.Is(err, opaque.ErrForeign) {
			t.Errorf("got %v", err)
		}
	})
}
