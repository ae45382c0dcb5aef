// Package message reads WeCom's decrypted messages (document 91774, wecom.md
// 2.1) as leniently as their senders write them. It never changes the bytes
// that it reads: they are stored as they came, and what is understood here
// can be understood again, better, at any later time.
package message

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// Fields are what nearly every message has in common. A field that is absent,
// or has a type that cannot be read as the wanted one, is zero.
type Fields struct {
	MsgID  string
	Action string // send, recall, switch, or what comes
	From   string
	ToList []string
	RoomID string
	// Time is the sending time in ms since 1970 (msgtime, or time for action
	// switch), 0 if absent.
	Time int64
	Type string // msgtype; absent for action switch
	User string // who switched, for action switch only
}

// Parse reads the fields of a decrypted message. It reports false if raw is
// not one JSON object.
//
// It accepts what WeCom is known to send although JSON forbids it: control
// characters within strings, and around values. Numbers may be written as
// strings and the reverse (wecom.md 2.2). Invalid UTF-8 reads as U+FFFD. Keys
// are matched exactly; of a key given twice the last counts.
func Parse(raw []byte) (Fields, bool) {
	var obj map[string]json.RawMessage
	if err := json.Unmarshal(Tolerable(raw), &obj); err != nil || obj == nil {
		return Fields{}, false
	}
	f := Fields{
		MsgID:  text(obj["msgid"]),
		Action: text(obj["action"]),
		From:   text(obj["from"]),
		ToList: list(obj["tolist"]),
		RoomID: text(obj["roomid"]),
		Time:   millis(obj["msgtime"]),
		Type:   text(obj["msgtype"]),
		User:   text(obj["user"]),
	}
	if f.Time == 0 {
		f.Time = millis(obj["time"])
	}
	return f, true
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

// Tolerable returns raw with the control characters that JSON forbids made
// harmless: escaped within strings, blank elsewhere. raw itself is returned,
// not copied, where it holds none; it is never changed.
func Tolerable(raw []byte) []byte {
	i := bytes.IndexFunc(raw, func(r rune) bool { return r < 0x20 && r != '\n' && r != '\r' && r != '\t' })
	if i < 0 && !bytes.ContainsAny(raw, "\n\r\t") {
		return raw
	}
	const hex = "0123456789abcdef"
	out := make([]byte, 0, len(raw)+64)
	inString, escaped := false, false
	for _, c := range raw {
		switch {
		case c < 0x20 && inString:
			if escaped { // a backslash before a raw control character: keep it as a backslash
				out = append(out, '\\')
			}
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			escaped = false
			continue
		case c < 0x20:
			c = ' '
		case escaped:
			escaped = false
		case c == '\\':
			escaped = inString
		case c == '"':
			inString = !inString
		}
		out = append(out, c)
	}
	return out
}

func text(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	if raw[0] != '"' {
		if n := json.Number(""); json.Unmarshal(raw, &n) == nil {
			return n.String()
		}
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func list(raw json.RawMessage) []string {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		if one := text(raw); one != "" {
			return []string{one}
		}
		return nil
	}
	ids := make([]string, 0, len(items))
	for _, item := range items {
		ids = append(ids, text(item))
	}
	return ids
}

// millis reads a time in ms. Values too small to be ms of this century are
// taken as seconds.
func millis(raw json.RawMessage) int64 {
	s := strings.TrimSpace(text(raw))
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f < 0 || f > 1<<53 {
			return 0
		}
		n = int64(f)
	}
	if n > 0 && n < 1e11 {
		n *= 1000
	}
	return n
}
