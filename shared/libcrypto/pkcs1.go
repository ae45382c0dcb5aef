package libcrypto

import (
	"bytes"
	"crypto/rsa"
	"crypto/subtle"
)

// minPadding is the fewest bytes of padding that PKCS#1 v1.5 allows (RFC 8017, 7.2.2).
const minPadding = 8

// unpad returns a copy of the text in a block 00 02 padding 00 text, where the padding
// has no zero. The time that it takes depends on whether the block is right and on
// the length of the text, and on no other byte.
func unpad(block []byte) ([]byte, error) {
	right := subtle.ConstantTimeByteEq(block[0], 0) & subtle.ConstantTimeByteEq(block[1], 2)
	looking, end := 1, 0
	for i := 2; i < len(block); i++ {
		zero := subtle.ConstantTimeByteEq(block[i], 0)
		end = subtle.ConstantTimeSelect(looking&zero, i, end)
		looking = subtle.ConstantTimeSelect(zero, 0, looking)
	}
	right &= looking ^ 1
	right &= subtle.ConstantTimeLessOrEq(2+minPadding, end)
	if right == 0 {
		return nil, rsa.ErrDecryption
	}
	return bytes.Clone(block[end+1:]), nil
}
