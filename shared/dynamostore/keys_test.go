package dynamostore_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

// The keys of any two msgids are text, differ if the msgids differ, sort as the
// msgids do, and can be read back.
func FuzzMsgIDsInKeys(f *testing.F) {
	for _, pair := range [][2]string{
		{"", "a"}, {"a", "a!"}, {"a", "a\x00"}, {"a\"", "a\"22"}, {"7310022004455667788_1767225600123", "7310022004455667788_1767225600123_external"},
		{"é", "e"}, {"\xff", "\""}, {"\uffff", "\U00010000"}, {strings.Repeat("!", 500), strings.Repeat("!", 501)},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		keyA, wholeA := dynamostore.MsgIDPart(a)
		keyB, wholeB := dynamostore.MsgIDPart(b)
		for id, key := range map[string]string{a: keyA, b: keyB} {
			if !utf8.ValidString(key) || strings.Contains(key, dynamostore.PartEnd) || len(key) > 500 {
				t.Errorf("key %q of %q cannot be part of a key", key, id)
			}
		}
		if (a == b) != (keyA == keyB) {
			t.Errorf("got keys %q and %q for %q and %q", keyA, keyB, a, b)
		}
		if wholeA {
			back, err := dynamostore.ParseMsgIDPart(keyA)
			if err != nil || back != a {
				t.Errorf("got %q, error %v back, want %q", back, err, a)
			}
		}
		end := dynamostore.PartEnd
		if wholeA && wholeB && utf8.ValidString(a) && utf8.ValidString(b) && (a < b) != (keyA+end < keyB+end) {
			t.Errorf("got keys %q and %q in another order than %q and %q", keyA, keyB, a, b)
		}
	})
}

func FuzzIDsInKeys(f *testing.F) {
	f.Add("zhang.san", "wm#1")
	f.Add("!", strings.Repeat("长", 200))
	f.Fuzz(func(t *testing.T, a, b string) {
		keyA, keyB := dynamostore.Part(a), dynamostore.Part(b)
		if (a == b) != (keyA == keyB) {
			t.Errorf("got keys %q and %q for %q and %q", keyA, keyB, a, b)
		}
		if !utf8.ValidString(keyA) || strings.Contains(keyA, "#") || len(keyA) > 400 {
			t.Errorf("key %q of %q cannot be part of a key", keyA, a)
		}
	})
}
