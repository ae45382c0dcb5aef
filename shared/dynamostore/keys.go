package dynamostore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// longestPart is the most bytes that an id chosen by others takes in a key.
// DynamoDB takes 2048 bytes of partition key and 1024 of sort key; this leaves
// room for the rest of every key here.
const longestPart = 400

// padded writes n with as many digits as the largest uint64 has, so that keys
// sort as numbers.
func padded(n uint64) string { return fmt.Sprintf("%020d", n) }

// Milliseconds in a key have 15 digits, which suffice until the year 33658.
const (
	millisDigits = 15
	maxMillis    = 999_999_999_999_999
)

// millis is the form of t in a key. It refuses a time outside the range of these
// digits, because its key would sort in a wrong place.
func millis(t time.Time) (string, error) {
	ms := t.UnixMilli()
	if ms < 0 || ms > maxMillis {
		return "", fmt.Errorf("time %s cannot be part of a key", timeText(t))
	}
	return fmt.Sprintf("%0*d", millisDigits, ms), nil
}

func parseMillis(digits string) (time.Time, error) {
	ms, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return time.Time{}, archive.ErrCorrupt
	}
	return time.UnixMilli(ms).UTC(), nil
}

// part makes an id a part of a key that serves for finding the id again. The
// part holds only characters that DynamoDB takes, without '#', and differs for
// different ids. Escaped text never holds '!', so a digest never equals an
// escaped id.
func part(id string) string {
	if escaped := url.QueryEscape(id); len(escaped) <= longestPart {
		return escaped
	}
	return digestPart(id)
}

// conversationPart is like part. The ids of conversations are escaped already.
func conversationPart(id archive.ConversationID) string {
	if len(id) <= longestPart && utf8.ValidString(string(id)) {
		return string(id)
	}
	return digestPart(string(id))
}

func isDigestPart(s string) bool { return strings.HasPrefix(s, "!") }

func digestPart(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "!" + hex.EncodeToString(sum[:])
}

// In the sort key of a message, each part ends with '!'. Within the msgid, every
// byte up to '"' is written as '"' and two hex digits. So the keys of different
// msgids sort bytewise as the msgids do. This holds also where one msgid is the
// beginning of another, because the end sorts before every continuation.
const (
	partEnd = '!'
	escape  = '"'
)

// msgIDPart is the form of a msgid in a sort key. A msgid that is too long
// keeps its beginning and gets its digest; then whole is false, and the item
// holds the msgid.
func msgIDPart(id string) (part string, whole bool) {
	var b strings.Builder
	for i := 0; i < len(id); {
		r, size := utf8.DecodeRuneInString(id[i:])
		if b.Len()+3*size > longestPart {
			sum := sha256.Sum256([]byte(id))
			return b.String() + string(escape) + "~" + hex.EncodeToString(sum[:]), false
		}
		if c := id[i]; c <= escape || (r == utf8.RuneError && size == 1) {
			fmt.Fprintf(&b, "%c%02x", escape, c)
		} else {
			b.WriteString(id[i : i+size])
		}
		i += size
	}
	return b.String(), true
}

// parseMsgIDPart undoes msgIDPart where whole was true.
func parseMsgIDPart(s string) (string, error) {
	var b strings.Builder
	for {
		plain, rest, more := strings.Cut(s, string(escape))
		b.WriteString(plain)
		if !more {
			return b.String(), nil
		}
		if len(rest) < 2 {
			return "", archive.ErrCorrupt
		}
		c, err := hex.DecodeString(rest[:2])
		if err != nil {
			return "", archive.ErrCorrupt
		}
		b.Write(c)
		s = rest[2:]
	}
}
