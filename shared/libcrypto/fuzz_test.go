package libcrypto

import (
	"bytes"
	"testing"
)

// A block of any bytes is read as RFC 8017, 7.2.2, reads it.
func FuzzUnpad(f *testing.F) {
	f.Add(append([]byte("\x00\x02padding!\x00text"), make([]byte, 20)...))
	f.Add(bytes.Repeat([]byte{2}, 256))
	f.Add([]byte("\x00\x02short\x00text"))
	f.Fuzz(func(t *testing.T, block []byte) {
		if len(block) < 2 {
			return // a block is as long as the key
		}
		got, err := unpad(block)
		end := bytes.IndexByte(block[2:], 0)
		right := block[0] == 0 && block[1] == 2 && end >= minPadding
		if (err == nil) != right {
			t.Fatalf("%x: got error %v, right: %v", block, err, right)
		}
		if right && !bytes.Equal(got, block[2+end+1:]) {
			t.Errorf("%x: got %x", block, got)
		}
	})
}
