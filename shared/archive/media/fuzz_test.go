package media

import (
	"slices"
	"testing"
)

// An index of any text names one place, and ranges with the same first byte name the
// same.
func FuzzIndex(f *testing.F) {
	for _, index := range []string{"", "Range:bytes=0-524287", "Range:bytes=524288-1048575", "Range:bytes=1-", "Range:bytes=999999999999999999-999999999999999999", "x"} {
		f.Add(index)
	}
	f.Fuzz(func(t *testing.T, index string) {
		first, last, known := indexRange(index)
		if known && (first < 0 || last < 0) {
			t.Errorf("%q: got %d to %d", index, first, last)
		}
		if p := place(index); p == "" || p != place(index) {
			t.Errorf("%q: got the place %q", index, p)
		}
	})
}

// The type of a file follows from its first bytes alone, and is one of the list.
func FuzzSniff(f *testing.F) {
	for _, s := range signatures {
		f.Add(append(make([]byte, s.at), s.bytes...))
	}
	f.Add([]byte("RIFF\x00\x00\x00\x00WEBPVP8 "))
	f.Add([]byte("\x00\x00\x00\x18ftypisom"))
	f.Add([]byte{0xff, 0xfb, 0x90})
	all := []Type{JPEG, PNG, GIF, WebP, MP4, M4A, MP3, WAV, AMR, AMRWB, SILK, Other}
	f.Fuzz(func(t *testing.T, head []byte) {
		got := Sniff(head)
		if !slices.Contains(all, got) || len(head) >= SniffLen && got != Sniff(head[:SniffLen]) {
			t.Errorf("%q: got %q", head, got)
		}
	})
}
