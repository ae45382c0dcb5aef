package message

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// An object is a JSON object. Whoever reads a member takes it out, so what is
// left in the end is what we do not know. A member whose value is not of the
// wanted kind stays, and reads as zero.
type object map[string]json.RawMessage

// parseObject reports false if raw is not one object. raw is [Tolerable].
func parseObject(raw []byte) (object, bool) {
	var o object
	err := json.Unmarshal(raw, &o)
	return o, err == nil && o != nil
}

// take reads the first of the names that is there and not empty, and takes out
// all that read accepts.
func take[T comparable](o object, read func(json.RawMessage) (T, bool), names []string) T {
	var first, zero T
	for _, name := range names {
		raw, ok := o[name]
		if !ok {
			continue
		}
		if v, ok := read(raw); ok {
			delete(o, name)
			if first == zero {
				first = v
			}
		}
	}
	return first
}

// str takes a text; a number as it is written, so that none loses digits.
func (o object) str(names ...string) string { return take(o, text, names) }

// num takes a count or a size: a whole number from 0 to 2^53.
func (o object) num(names ...string) int64 {
	return take(o, func(raw json.RawMessage) (int64, bool) {
		n, ok := whole(raw)
		return n, ok && n >= 0
	}, names)
}

// ms takes a time, in ms since 1970.
func (o object) ms(names ...string) int64 {
	return take(o, func(raw json.RawMessage) (int64, bool) {
		n, ok := whole(raw)
		return millis(n), ok
	}, names)
}

// float takes a number that JSON can write.
func (o object) float(names ...string) float64 {
	return take(o, func(raw json.RawMessage) (float64, bool) {
		s, ok := text(raw)
		if !ok || s == "" {
			return 0, ok
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, false
		}
		return f, true
	}, names)
}

// flag takes true, or what other languages write for it.
func (o object) flag(names ...string) bool {
	return take(o, func(raw json.RawMessage) (bool, bool) {
		switch string(raw) {
		case "true", `"true"`, "1", `"1"`:
			return true, true
		case "false", `"false"`, "0", `"0"`, "null", `""`:
			return false, true
		}
		return false, false
	}, names)
}

// list takes a list of texts, empty if it is absent. A text that stands alone
// is a list of itself; an element that is no text is empty.
func (o object) list(name string) []string {
	if one, ok := text(o[name]); ok {
		delete(o, name)
		if one == "" {
			return []string{}
		}
		return []string{one}
	}
	texts := []string{}
	for _, raw := range o.array(name) {
		s, _ := text(raw)
		texts = append(texts, s)
	}
	return texts
}

// array takes the elements of a list, by the first of the names that holds one.
func (o object) array(names ...string) []json.RawMessage {
	for _, name := range names {
		var items []json.RawMessage
		if raw, ok := o[name]; ok && json.Unmarshal(raw, &items) == nil {
			delete(o, name)
			return items
		}
	}
	return nil
}

// payload reads the content of a message in any form that was seen: an object;
// one that is written into a string, as within mixed and chatrecord, or into
// strings within it; a bare list, as in old nested records; a bare text. doc is
// the content, out of its strings if it was in some. What a person wrote may
// look like JSON: in a string, it is a text's content only by having one.
func payload(kind string, raw json.RawMessage) (o object, doc []byte) {
	doc = raw
	written := false
	if s, ok := text(raw); ok && raw[0] == '"' {
		if in, ok := inner(s); ok {
			doc, written = in, kind == "text" || kind == "markdown"
		}
	}
	if o, ok := parseObject(doc); ok && (!written || o["content"] != nil) {
		return o, doc
	}
	if written {
		return object{"content": raw}, raw
	}
	if len(doc) > 0 && doc[0] == '[' && json.Valid(doc) {
		return object{"item": doc}, doc
	}
	return object{"content": raw}, raw
}

// empty reports whether a payload says nothing.
func empty(raw json.RawMessage) bool {
	switch string(bytes.TrimSpace(raw)) {
	case `{}`, `[]`, `""`, `null`:
		return true
	}
	return false
}

// maxWraps is how many strings within one another are looked into for JSON.
const maxWraps = 4

// inner is the object or list that stands in a string, behind white space or a
// byte order mark, or in strings within the string. It reports false if there
// is none. The document is [Tolerable], and may still not be JSON.
func inner(s string) (doc []byte, ok bool) {
	for range maxWraps {
		s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' || r == '\ufeff' })
		if s == "" {
			return nil, false
		}
		switch s[0] {
		case '{', '[':
			return Tolerable([]byte(s)), true
		case '"':
			var next string
			if json.Unmarshal(Tolerable([]byte(s)), &next) != nil {
				return nil, false
			}
			s = next
		default:
			return nil, false
		}
	}
	return nil, false
}

// names lists what is left, sorted, so that reading twice says the same.
func (o object) names() []string { return slices.Sorted(maps.Keys(o)) }

// document writes what is left as it was written, sorted by names.
func (o object) document() []byte {
	doc := []byte{'{'}
	for i, name := range o.names() {
		if i > 0 {
			doc = append(doc, ',')
		}
		quoted, _ := json.Marshal(name) // a string always has a JSON form
		doc = append(append(append(doc, quoted...), ':'), o[name]...)
	}
	return append(doc, '}')
}
