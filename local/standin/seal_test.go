package standin_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/standin"
)

func TestKeyTextHasTheRealForm(t *testing.T) {
	a, b := standin.NewKeyText(rand.Reader), standin.NewKeyText(rand.Reader)
	if len(a) != 88 {
		t.Errorf("length: got %d, want 88", len(a))
	}
	if raw, err := base64.StdEncoding.DecodeString(a); err != nil || len(raw) != 64 {
		t.Errorf("decoded: got %d bytes and %v, want 64 bytes", len(raw), err)
	}
	if a == b {
		t.Error("two key texts: got equal texts")
	}
}

func TestSealHidesTheMessage(t *testing.T) {
	key := standin.NewKeyText(rand.Reader)
	msg := []byte(`{"msgid":"1","text":{"content":"hello"}}`)
	got := standin.Seal(key, msg, [12]byte{1})
	body, ok := strings.CutPrefix(got, "YDSTANDIN-01:")
	if !ok {
		t.Fatalf("got %q, want the prefix of the scheme", got)
	}
	raw, err := base64.StdEncoding.DecodeString(body)
	if err != nil || len(raw) != 12+4+len(msg) || bytes.Contains(raw, []byte("hello")) {
		t.Errorf("sealed: got %d bytes and %v, want %d opaque bytes", len(raw), err, 12+4+len(msg))
	}
	if again := standin.Seal(key, msg, [12]byte{1}); again != got {
		t.Error("equal arguments: got two texts, want equal texts")
	}
}
