// Package message reads WeCom's decrypted messages (document 91774, wecom.md 2),
// and tolerates the forms in which clients write them. It never changes the bytes
// that it reads. The archive stores these bytes as decrypted, so a later version of
// this package can read them better (law 4).
//
// [Parse] reads the fields that the archive needs to place a message. [Read] reads
// the content that a screen shows. [Files] lists the files that must be fetched.
package message

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Fields holds the fields that nearly every message has. A field is zero if it is
// absent or has a type that cannot be converted.
type Fields struct {
	MsgID  string   `json:"msgid,omitempty"`
	Action string   `json:"action,omitempty"` // send, recall, switch, or a future value
	From   string   `json:"from,omitempty"`
	ToList []string `json:"tolist,omitempty"`
	RoomID string   `json:"roomid,omitempty"`
	// Time is the sending time in ms since 1970 (msgtime, or time for action
	// switch), 0 if absent or not between 1970 and 9999.
	Time int64  `json:"time,omitempty"`
	Type string `json:"msgtype,omitempty"` // as sent; absent for action switch
	User string `json:"user,omitempty"`    // the user that switched, for action switch only
	// Unplaced means that the sender, a receiver, the room or the user is written in
	// an unknown form, so that the conversation is unknown.
	Unplaced bool `json:"-"`
}

// Parse reads the fields of a decrypted message. It reports false if raw is not one
// JSON object, even after [Tolerable], and holds no such object alone in a string or a
// list.
//
// Numbers may be written as strings, and texts as numbers (wecom.md 2.2). Invalid
// UTF-8 reads as U+FFFD. A key in other capitals or with other separators counts
// where the documented one is absent. If a key is given twice, its last value counts.
func Parse(raw []byte) (Fields, bool) {
	o, _, ok := messageIn(Tolerable(raw))
	if !ok {
		return Fields{}, false
	}
	return takeFields(o), true
}

func takeFields(o *object) Fields {
	f := Fields{
		MsgID:  o.str("msgid"),
		Action: o.str("action"),
		Time:   o.ms("msgtime"),
		Type:   o.str("msgtype"),
	}
	var known [4]bool
	f.From, known[0] = o.id("from")
	if f.RoomID, known[1] = o.id("roomid"); f.RoomID == "0" { // as a number of none
		f.RoomID = ""
	}
	f.User, known[2] = o.id("user")
	f.ToList, known[3] = o.ids("tolist")
	f.Unplaced = known != [4]bool{true, true, true, true}
	if f.Time == 0 {
		f.Time = o.ms("time")
	}
	return f
}

// Parties returns the ids of all users that take part in the message: the sender, the
// receivers, and the user of a switch. An id may repeat. An Unplaced message
// without a room has no parties: its readable ids alone would name a wrong
// conversation.
func (f Fields) Parties() []string {
	if f.Unplaced && f.RoomID == "" {
		return []string{}
	}
	ids := make([]string, 0, len(f.ToList)+2)
	for _, id := range append([]string{f.From, f.User}, f.ToList...) {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// Kind returns the msgtype, or the action of a message without a msgtype.
func (f Fields) Kind() string {
	if f.Type != "" {
		return f.Type
	}
	return f.Action
}

// maxNesting is the deepest nesting of objects and lists that is read; deeper values
// read as texts. encoding/json refuses a whole document at 10,000 levels.
const maxNesting = 8192

// Tolerable returns raw as JSON that encoding/json takes, where WeCom is known to
// send something else or could. It escapes control characters within strings and
// replaces others by blanks; doubles a backslash that begins no valid escape, as in
// "C:\Users"; writes what nests deeper than 8192 levels into a string; drops a byte order
// mark at the beginning; and reads UTF-16 that begins with such a mark. It never changes raw. Where it has nothing to do, it
// returns raw itself and no copy.
func Tolerable(raw []byte) []byte {
	raw = bytes.TrimPrefix(narrow(raw), []byte("\ufeff"))
	deep := bytes.Count(raw, []byte("["))+bytes.Count(raw, []byte("{")) > maxNesting
	controls := countControls(raw)
	if !deep && controls == 0 && !badEscapes(raw) {
		return raw
	}
	const hex = "0123456789abcdef"
	out := make([]byte, 0, len(raw)+6*controls+64)
	inString, escaped, depth := false, false, 0
	for i, c := range raw {
		deep := depth > maxNesting
		switch {
		case inString && c < 0x20:
			if escaped && !deep { // the backslash before the control character stays a backslash
				out = append(out, '\\')
			}
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			escaped = false
			continue
		case inString && escaped:
			if !deep && !escapes(raw[i:]) {
				out = append(out, '\\')
			}
			escaped = false
		case inString:
			escaped, inString = c == '\\', c != '"'
		case c == '"':
			inString = true
		case c == '[' || c == '{':
			if depth++; depth == maxNesting+1 {
				out = append(out, '"')
			}
		case c == ']' || c == '}':
			if depth--; depth == maxNesting {
				out = append(out, c, '"')
				continue
			}
		case c < 0x20:
			c = ' '
		}
		if deep && (c == '"' || c == '\\') {
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return out
}

// narrow converts UTF-16 to UTF-8, if a byte order mark and a character of ASCII
// begin it, or two characters of ASCII.
func narrow(raw []byte) []byte {
	var order binary.ByteOrder
	switch {
	case len(raw) > 3 && string(raw[:2]) == "\xff\xfe" && raw[3] == 0:
		order = binary.LittleEndian
	case len(raw) > 3 && string(raw[:3]) == "\xfe\xff\x00":
		order = binary.BigEndian
	case len(raw) > 3 && raw[0] != 0 && raw[1] == 0 && raw[2] != 0 && raw[3] == 0:
		order = binary.LittleEndian
	case len(raw) > 3 && raw[0] == 0 && raw[1] != 0 && raw[2] == 0 && raw[3] != 0:
		order = binary.BigEndian
	default:
		return raw
	}
	var units []uint16
	for rest := raw; len(rest) > 1; rest = rest[2:] {
		units = append(units, order.Uint16(rest))
	}
	return []byte(string(utf16.Decode(units)))
}

func countControls(raw []byte) (n int) {
	for _, c := range raw {
		if c < 0x20 {
			n++
		}
	}
	return n
}

// badEscapes reports whether raw has a backslash that begins no valid escape.
func badEscapes(raw []byte) bool {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return false
		}
		if raw = raw[i+1:]; !escapes(raw) {
			return true
		}
		raw = raw[1:]
	}
}

// escapes reports whether a backslash before rest is a valid escape of JSON.
func escapes(rest []byte) bool {
	if len(rest) == 0 || bytes.IndexByte([]byte(`"\/bfnrtu`), rest[0]) < 0 {
		return false
	}
	if rest[0] != 'u' {
		return true
	}
	if len(rest) < 5 {
		return false
	}
	for _, c := range rest[1:5] {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}

// text reads a string, or a number in its written form; null reads as the empty
// text. It reports false for another value.
func text(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 {
		return "", false
	}
	switch c := raw[0]; {
	case c == '"':
		if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
			return string(inner), true
		}
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	case c == '-' || '0' <= c && c <= '9':
		return string(raw), true
	}
	return "", string(raw) == "null"
}

// whole reads a number in any written form, without its fraction. It reports false
// for a value that is not a number, and for a number beyond 2^53, which JavaScript
// cannot represent exactly.
func whole(raw json.RawMessage) (int64, bool) {
	s, ok := text(raw)
	if !ok {
		return 0, false
	}
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.Abs(f) > 1<<53 {
			return 0, false
		}
		n = int64(f)
	}
	return n, -1<<53 <= n && n <= 1<<53
}

// millis converts a time in ms or s to ms. A value that is too small for ms of this
// century is taken as seconds (wecom.md 2.4). A time outside the years 1970 to 9999
// is 0.
func millis(n int64) int64 {
	const year10000 = 253402300800000
	if n > 0 && n < 1e11 {
		n *= 1000
	}
	if n < 0 || n >= year10000 {
		return 0
	}
	return n
}
