package opaque_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"regexp"
	"testing"

	"github.com/yunduo-scrm/archive/shared/opaque"
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

func TestHidden(t *testing.T) {
	key, otherKey := opaque.NewKey(), opaque.NewKey()
	use := opaque.UseOf("ww0123456789abcdef", "GET /messages")
	hidden, want := use.HiddenBy(key), place{Time: 1, Name: "nobody may read this"}
	text, err := hidden.Seal(want)
	if err != nil || !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(text) {
		t.Fatalf("got %q, %v", text, err)
	}
	if b, err := base64.RawURLEncoding.DecodeString(text); err != nil || bytes.Contains(b, []byte(want.Name)) {
		t.Errorf("got %q, %v, which shows what it holds", b, err)
	}
	if again, err := hidden.Seal(want); err != nil || again == text {
		t.Errorf("got the same text twice, %v", err)
	}
	var got place
	if err := hidden.Open(text, &got); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	plain, err := use.Seal(want)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		use  opaque.Use
		text string
	}{
		"not hidden":       {use, text},
		"another key":      {use.HiddenBy(otherKey), text},
		"another use":      {opaque.UseOf("another").HiddenBy(key), text},
		"one that was not": {hidden, plain},
		"altered":          {hidden, text[:20] + "AA" + text[22:]},
		"cut":              {hidden, text[:12]},
	} {
		if err := c.use.Open(c.text, &got); !errors.Is(err, opaque.ErrForeign) {
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

// A text of any form opens for one use at most. Where texts are hidden, only the key's
// holder makes one.
func FuzzOpen(f *testing.F) {
	use := opaque.UseOf("a")
	text, err := use.Seal(place{1, "x"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(text + "\n")
	hidden := use.HiddenBy(opaque.NewKey())
	f.Fuzz(func(t *testing.T, s string) {
		var p place
		err := use.Open(s, &p)
		if err != nil && !errors.Is(err, opaque.ErrForeign) {
			t.Errorf("got %v", err)
		}
		for name, other := range map[string]opaque.Use{"another use": opaque.UseOf("a", ""), "a hidden use": hidden} {
			if otherErr := other.Open(s, &place{}); !errors.Is(otherErr, opaque.ErrForeign) && (err == nil || name == "a hidden use") {
				t.Errorf("%q opens for %s: %v", s, name, otherErr)
			}
		}
	})
}
