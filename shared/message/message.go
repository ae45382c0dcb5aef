// Package message reads WeCom's decrypted messages (document 91774, wecom.md
// 2) as leniently as their senders write them. It never changes the bytes
// that it reads: they are stored as they came, and what is understood here
// can be understood again, better, at any later time (law 4).
//
// [Parse] reads what the archive needs to put a message in its place, [Read]
// all that a page needs to draw it, [Files] what has to be fetched for it.
package message

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Fields are what nearly every message has in common. A field that is absent,
// or has a type that cannot be read as the wanted one, is zero.
type Fields struct {
	MsgID  string   `json:"msgid,omitempty"`
	Action string   `json:"action,omitempty"` // send, recall, switch, or what comes
	From   string   `json:"from,omitempty"`
	ToList []string `json:"tolist,omitempty"`
	RoomID string   `json:"roomid,omitempty"`
	// Time is the sending time in ms since 1970 (msgtime, or time for action
	// switch), 0 if absent or not between 1970 and 9999.
	Time int64  `json:"time,omitempty"`
	Type string `json:"msgtype,omitempty"` // as sent; absent for action switch
	User string `json:"user,omitempty"`    // who switched, for action switch only
}

// Parse reads the fields of a decrypted message. It reports false if raw is
// not one JSON object.
//
// It accepts what [Tolerable] mends. Numbers may be written as strings and the
// reverse (wecom.md 2.2). Invalid UTF-8 reads as U+FFFD. Keys are matched
// exactly; of a key given twice the last counts.
func Parse(raw []byte) (Fields, bool) {
	o, ok := parseObject(Tolerable(raw))
	if !ok {
		return Fields{}, false
	}
	return takeFields(o), true
}

func takeFields(o object) Fields {
	f := Fields{
		MsgID:  o.str("msgid"),
		Action: o.str("action"),
		From:   o.str("from"),
		RoomID: o.str("roomid"),
		Time:   o.ms("msgtime"),
		Type:   o.str("msgtype"),
		User:   o.str("user"),
	}
	if to := o.list("tolist"); len(to) > 0 {
		f.ToList = to
	}
	if f.Time == 0 {
		f.Time = o.ms("time")
	}
	return f
}

// Parties returns everybody whom the message names as taking part: sender,
// receivers, and the one who switched. An id may repeat.
func (f Fields) Parties() []string {
	ids := make([]string, 0, len(f.ToList)+2)
	for _, id := range append([]string{f.From, f.User}, f.ToList...) {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// Kind is the msgtype, or the action of a message that has no type.
func (f Fields) Kind() string {
	if f.Type != "" {
		return f.Type
	}
	return f.Action
}

// maxNesting is how many objects and lists may stand within one another; what
// is deeper reads as null. encoding/json refuses a whole document at 10,000.
const maxNesting = 8192

// Tolerable returns raw with all that WeCom is known to send, or could, though
// encoding/json refuses it, made harmless: control characters are escaped
// within strings and blank elsewhere; what nests deeper than 8192 levels is
// null; a byte order mark at the beginning is gone. raw itself is returned, not copied, where there is nothing to do; it
// is never changed.
func Tolerable(raw []byte) []byte {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	deep := bytes.Count(raw, []byte("["))+bytes.Count(raw, []byte("{")) > maxNesting
	controls := 0
	for _, c := range raw {
		if c < 0x20 {
			controls++
		}
	}
	if !deep && controls == 0 {
		return raw
	}
	const hex = "0123456789abcdef"
	out := make([]byte, 0, len(raw)+6*controls+64)
	inString, escaped, depth := false, false, 0
	for _, c := range raw {
		cut := depth > maxNesting
		switch {
		case inString && c < 0x20:
			if escaped && !cut { // a backslash before a raw control character: keep it as a backslash
				out = append(out, '\\')
			}
			if !cut {
				out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			escaped = false
			continue
		case inString && escaped:
			escaped = false
		case inString:
			escaped, inString = c == '\\', c != '"'
		case c == '"':
			inString = true
		case c == '[' || c == '{':
			if depth++; depth == maxNesting+1 {
				out = append(out, "null"...)
			}
			cut = depth > maxNesting
		case c == ']' || c == '}':
			depth--
		case c < 0x20:
			c = ' '
		}
		if !cut {
			out = append(out, c)
		}
	}
	return out
}

// text reads a string, or a number as it is written; null reads as empty. It
// reports false for anything else.
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

// whole reads a number, however it is written, without its fraction. It
// reports false for what is none, and for what JavaScript could not tell from
// its neighbour: beyond 2^53.
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

// millis makes ms of a time in ms or s. Values too small to be ms of this
// century are taken as seconds (wecom.md 2.4). What no calendar knows is 0.
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
