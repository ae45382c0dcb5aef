package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/shared/secret"
)

const text = "hunter2-très-geheim"

type holder struct {
	Public  secret.Value
	private secret.Value
	Nested  struct{ V *secret.Value }
}

func TestValueIsNeverPrinted(t *testing.T) {
	v := secret.New(text)
	h := holder{Public: v, private: v}
	h.Nested.V = &v
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
		for _, arg := range []any{v, &v, h, &h, []any{v, h}, map[string]any{"k": h}} {
			out := fmt.Sprintf(verb, arg)
			if strings.Contains(out, text) || strings.Contains(out, fmt.Sprintf("%x", text)) {
				t.Errorf("%s of %T shows the secret", verb, arg)
			}
		}
	}
	for name, arg := range map[string]any{"value": v, "struct": h, "pointer": &h} {
		b, err := json.Marshal(arg)
		if err != nil || bytes.Contains(b, []byte(text)) {
			t.Errorf("json of %s: err %v or secret shown", name, err)
		}
		var buf bytes.Buffer
		slog.New(slog.NewJSONHandler(&buf, nil)).Info("m", "a", arg, slog.Group("g", "b", arg))
		slog.New(slog.NewTextHandler(&buf, nil)).Info("m", "a", arg, slog.Group("g", "b", arg))
		if bytes.Contains(buf.Bytes(), []byte(text)) {
			t.Errorf("slog of %s shows the secret", name)
		}
	}
}

func TestValueKeepsItsText(t *testing.T) {
	if got := secret.New(text).Reveal(); got != text {
		t.Errorf("Reveal: got %d bytes, want the text back", len(got))
	}
	if !secret.New(text).Equal(secret.New(text)) || secret.New(text).Equal(secret.New("other")) {
		t.Error("Equal does not compare the texts")
	}
	if !secret.New("").IsZero() || secret.New(text).IsZero() {
		t.Error("IsZero does not distinguish the empty secret")
	}
	if secret.New(text).Fingerprint() == secret.New("other").Fingerprint() {
		t.Error("two secrets share a fingerprint")
	}
}

// A digest tells a secret from others, and shows neither the secret nor that two
// digests are of one secret.
func TestDigest(t *testing.T) {
	v := secret.New(text)
	d := v.Digest()
	if !v.Matches(d) || secret.New("other").Matches(d) || (secret.Value{}).Matches(d) {
		t.Error("the digest does not tell the secrets apart")
	}
	if again := v.Digest(); again == d || !v.Matches(again) {
		t.Errorf("got digests %s and %s, want two of one secret", d, again)
	}
	for _, none := range []secret.Digest{"", "x", d[:len(d)-2], d + "00", secret.Digest(strings.Repeat("0", len(d)))} {
		if v.Matches(none) || (secret.Value{}).Matches(none) {
			t.Errorf("%q is no digest, and matches", none)
		}
	}
}
