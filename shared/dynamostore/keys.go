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

// DynamoDB takes 2048 bytes of partition key and 1024 of sort key. Each id
// that others choose gets at most this many, which leaves room for the rest
// of any key here.
const longestPart = 400

// padded is n with as many digits as the largest uint64, to sort as a number.
func padded(n uint64) string { return fmt.Sprintf("%020d", n) }

// Milliseconds in a key have 15 digits, which last until the year 33658.
const (
	millisDigits = 15
	maxMillis    = 999_999_999_999_999
)

// millis is t in a key. A time that has no such form is refused, because its
// key would sort anywhere.
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

// part makes any id a part of a key that only has to be found again: it holds
// neither '#' nor anything that DynamoDB refuses, and differs for different
// ids. '!' does not occur in escaped text, so a digest is no escaped id.
func part(id string) string {
	if escaped := url.QueryEscape(id); len(escaped) <= longestPart {
		return escaped
	}
	return digestPart(id)
}

// conversationPart is like part, for ids that are escaped already.
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

// In the sort key of a message, parts end with '!'. Within the msgid all
// bytes up to '"' are written as '"' and two hex digits: then the keys of
// different msgids sort as the msgids do, bytewise, also where one is the
// beginning of the other, because the end sorts before any continuation.
const (
	partEnd = '!'
	escape  = '"'
)

// msgIDPart is the msgid as it stands in a sort key. One that is too long
// keeps its beginning and is told apart by its digest; the item then holds it.
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

// parseMsgIDPart undoes msgIDPart for a whole msgid.
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
