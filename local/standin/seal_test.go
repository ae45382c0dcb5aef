package standin_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/standin"
)

func TestKeyTextLooksLikeTheRealOne(t *testing.T) {
	a, b := standin.NewKeyText(rand.Reader), standin.NewKeyText(rand.Reader)
	if len(a) != 88 {
		t.Errorf("length: got %d, want 88", len(a))
	}
	if raw, err := base64.StdEncoding.DecodeString(a); err != nil || len(raw) != 64 {
		t.Errorf("decoded: got %d bytes and %v, want 64 bytes", len(raw), err)
	}
	if a == b {
		t.Error("two key texts are the same")
	}
}

func TestSealHidesTheMessage(t *testing.T) {
	key := standin.NewKeyText(rand.Reader)
	msg := []byte(`{"msgid":"1","text":{"content":"hello"}}`)
	got := standin.Seal(key, msg, [12]byte{1})
	body, ok := strings.CutPrefix(got, "YDSTANDIN-01:")
	if !ok {
		t.Fatalf("no prefix in %q", got)
	}
	raw, err := base64.StdEncoding.DecodeString(body)
	if err != nil || len(raw) != 12+4+len(msg) || bytes.Contains(raw, []byte("hello")) {
		t.Errorf("sealed: got %d bytes and %v, want %d opaque bytes", len(raw), err, 12+4+len(msg))
	}
	if again := standin.Seal(key, msg, [12]byte{1}); again != got {
		t.Error("sealing twice gives two texts")
	}
}
