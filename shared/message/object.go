package message

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// An object is a JSON object. Reading a member removes it from the object, so the
// members that remain in the end are unknown ones. A member whose value has another
// type stays, and reads as zero.
//
// A member is found in other capitals and with other separators too, because WeCom
// and its clients have been seen to change both (wecom.md 2.3, card).
type object struct {
	members map[string]json.RawMessage
	// lacks means that a member that was read is absent, null, an empty list, or of
	// another type. Its content may then be in a member that remains.
	lacks bool
}

// optional are the members that WeCom itself leaves out. No object lacks them.
var optional = map[string]bool{
	"appid": true, "pagepath": true, // of a weapp
	"status": true,                   // of an invitation to a meeting
	"md5sum": true, "filesize": true, // of a recorded call
	"voiceid": true, "voipid": true, // beside the payload
}

// find returns the name under which a member is written: its own, or the first
// spelling of it in the order of bytes; empty if the object has none.
func (o *object) find(name string) string {
	if _, there := o.members[name]; there {
		return name
	}
	first := ""
	for written := range o.members {
		if sameName(written, name) && (first == "" || written < first) {
			first = written
		}
	}
	return first
}

// messageIn returns the object of a message: the whole document, or the only object in
// a string or in a list. doc is the object in its written form, or raw if there is no
// such object. raw must be [Tolerable].
func messageIn(raw []byte) (o *object, doc []byte, ok bool) {
	if o, ok := parseObject(raw); ok {
		return o, raw, true
	}
	doc = raw
	var s string
	if json.Unmarshal(raw, &s) == nil {
		doc, _ = inner(s)
	}
	for _, doc := range [][]byte{doc, Alone(doc)} {
		if o, ok := parseObject(doc); ok {
			return o, doc, true
		}
	}
	return nil, raw, false
}

// parseObject reports false if raw is not one object. raw must be [Tolerable].
func parseObject(raw []byte) (*object, bool) {
	var o object
	err := json.Unmarshal(raw, &o.members)
	return &o, err == nil && o.members != nil
}

// Alone returns the only element of a list; nil if doc is no list, or a list of another
// length. doc must be [Tolerable].
func Alone(doc []byte) json.RawMessage {
	var list [2]json.RawMessage // what follows is not kept
	if json.Unmarshal(doc, &list) != nil || list[1] != nil {
		return nil
	}
	return list[0]
}

// take returns the first value that is not zero of the members with these names. It
// removes every member that read accepts. there is false if all are absent or empty.
func take[T comparable](o *object, read func(json.RawMessage) (T, bool), names ...string) (first T, there bool) {
	var zero T
	present := optional[names[0]]
	for _, name := range names {
		written := o.find(name)
		if written == "" {
			continue
		}
		raw := o.members[written]
		v, ok := read(raw)
		if !ok {
			o.lacks = true
			continue
		}
		delete(o.members, written)
		present = present || string(raw) != "null"
		there = there || !empty(raw)
		if first == zero {
			first = v
		}
	}
	o.lacks = o.lacks || !present
	return first, there
}

// str takes a text. A number keeps its written form, so that it loses no digits.
func (o *object) str(names ...string) string {
	s, _ := take(o, text, names...)
	return s
}

// num takes a count or a size.
func (o *object) num(names ...string) int64 {
	n, _ := take(o, count, names...)
	return n
}

// ms takes a time, in ms since 1970.
func (o *object) ms(names ...string) int64 {
	at, _ := take(o, func(raw json.RawMessage) (int64, bool) {
		n, ok := whole(raw)
		at := millis(n)
		return at, ok && (at != 0 || n == 0) // another time is none
	}, names...)
	return at
}

// flag takes a truth value, also in the forms 1, "1" and "true".
func (o *object) flag(names ...string) bool {
	is, _ := take(o, func(raw json.RawMessage) (bool, bool) {
		switch string(raw) {
		case "true", `"true"`, "1", `"1"`:
			return true, true
		case "false", `"false"`, "0", `"0"`, "null", `""`:
			return false, true
		}
		return false, false
	}, names...)
	return is
}

// count reads a whole number from 0 to 2^53.
func count(raw json.RawMessage) (int64, bool) {
	n, ok := whole(raw)
	return n, ok && n >= 0
}

// decimal reads a number that JSON can write.
func decimal(raw json.RawMessage) (float64, bool) {
	s, ok := text(raw)
	if !ok || s == "" {
		return 0, ok
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// list takes a list of texts, empty if it is absent. A single text is a list of one
// element. An element that is an object reads as the text in the object, and another
// element as its JSON; odd has such elements.
func (o *object) list(name string) (texts []string, odd []json.RawMessage) {
	texts = []string{}
	if one, ok := text(o.members[o.find(name)]); ok && !isList(one) {
		if one = o.str(name); one != "" {
			texts = append(texts, one)
		}
		return texts, nil
	}
	_, elements, _ := o.array(name)
	for _, raw := range elements {
		s, ok := text(raw)
		if !ok {
			s, odd = elementText(raw), append(odd, raw)
		}
		texts = append(texts, s)
	}
	return texts, odd
}

// elementText returns the text of an element that is not a text itself: the member
// of an object that names it, or else the JSON.
func elementText(raw json.RawMessage) string {
	if o, ok := parseObject(raw); ok {
		if s := o.str("item", "text", "content", "name", "title", "option", "value"); s != "" {
			return s
		}
	}
	return validUTF8(raw)
}

// id takes the id of a user or a room. known is false if the member has an unknown
// form.
func (o *object) id(name string) (id string, known bool) {
	name = o.find(name)
	if name == "" {
		return "", true
	}
	if id, known = readID(o.members[name]); known {
		delete(o.members, name)
	}
	return id, known
}

// ids takes a list of ids, nil if the list is empty or absent. known is false if the
// list or one of its elements has an unknown form; then ids is nil too.
func (o *object) ids(name string) (ids []string, known bool) {
	name = o.find(name)
	if name == "" {
		return nil, true
	}
	raw := o.members[name]
	if s, ok := text(raw); ok && isList(s) {
		raw = Tolerable([]byte(s))
	}
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil {
		elements = []json.RawMessage{raw}
	}
	for _, e := range elements {
		id, ok := readID(e)
		if !ok || string(e) == "null" {
			return nil, false
		}
		// No id holds one of these characters.
		for id := range strings.FieldsFuncSeq(id, func(r rune) bool { return r == '|' || r == ',' || r == ';' }) {
			ids = append(ids, id)
		}
	}
	delete(o.members, name)
	return ids, true
}

// readID reads an id that is a text, or the member of an object, which may be written
// into a string.
func readID(raw json.RawMessage) (id string, known bool) {
	id, known = text(raw)
	if doc, is := inner(id); is {
		raw, known = doc, false
	}
	if !known {
		o, ok := parseObject(raw)
		if !ok {
			return "", false
		}
		external := o.str("external_userid")
		id = cmp.Or(o.str("userid"), external, o.str("open_userid", "memberid", "robot_id", "roomid", "chatid", "openid", "user", "id"))
		known = id != "" && (external == "" || external == id) // an entry of two people names neither
	}
	return strings.TrimSpace(id), known
}

// isList reports whether a text is a list in JSON.
func isList(s string) bool {
	s = strings.TrimSpace(s)
	return strings.HasPrefix(s, "[") && json.Valid(Tolerable([]byte(s)))
}

// array takes the elements of a list, by the first of the names that holds one. found
// is the name in its written form. written means that the list is written into a
// string.
func (o *object) array(names ...string) (found string, items []json.RawMessage, written bool) {
	for _, name := range names {
		if found = o.find(name); found == "" {
			continue
		}
		raw := o.members[found]
		s, _ := text(raw)
		doc, in := inner(s)
		if written = in && raw[0] == '"'; written {
			raw = doc
		}
		var ok bool
		if items, ok = elements(raw); ok {
			delete(o.members, found)
			break
		}
		o.lacks = true
	}
	o.lacks = o.lacks || len(items) == 0
	return found, items, written
}

// elements returns the elements of a list. An object is a list of one element, or, as
// PHP writes some lists, has the elements under their indices.
func elements(raw json.RawMessage) (list []json.RawMessage, ok bool) {
	if json.Unmarshal(raw, &list) == nil {
		return list, true
	}
	o, ok := parseObject(raw)
	for i := range len(o.members) {
		element := o.members[strconv.Itoa(i)]
		if element == nil {
			return []json.RawMessage{raw}, true
		}
		list = append(list, element)
	}
	return list, ok
}

// payload reads the content of a message in every form that was seen: an object; an
// object that is written into a string, as within mixed and chatrecord, or into
// strings within strings; an object alone in a list; a bare list, as in old nested
// records; a bare text. doc is the content without the strings around it. A person may
// write text that looks like JSON, so the string of a text is an object only if the
// object has content.
func payload(kind string, raw json.RawMessage) (o *object, doc []byte) {
	doc = raw
	written := false
	if s, ok := text(raw); ok && raw[0] == '"' {
		if in, ok := inner(s); ok {
			doc, written = in, isText(kind)
		}
	}
	if o, ok := parseObject(doc); ok && (!written || o.find("content") != "") {
		return o, doc
	}
	if written {
		return bare("content", raw), raw
	}
	if len(doc) > 0 && doc[0] == '[' && json.Valid(doc) {
		if o, ok := parseObject(Alone(doc)); ok && !isItem(kind, o) {
			return o, doc
		}
		return bare("item", doc), doc
	}
	return bare("content", raw), raw
}

// bare makes an object of one member.
func bare(name string, raw json.RawMessage) *object {
	return &object{members: map[string]json.RawMessage{name: raw}}
}

// isItem reports whether the only object in the payload of a kind is an item of it.
func isItem(kind string, o *object) bool {
	return (kind == "chatrecord" || kind == "mixed" || kind == "note") && o.find("type")+o.find("msgtype") != ""
}

// spoken reports whether a person may have written a payload: the payload is a string,
// and its kind is unknown or a text. WeCom itself writes the payloads of other kinds
// into strings.
func spoken(kind string, raw json.RawMessage) bool {
	return len(raw) > 0 && raw[0] == '"' && (!Known(kind) || isText(kind))
}

func isText(kind string) bool { return kind == "text" || kind == "markdown" }

// empty reports whether a value holds nothing.
func empty(raw json.RawMessage) bool {
	switch string(bytes.TrimSpace(raw)) {
	case `{}`, `[]`, `""`, `null`:
		return true
	}
	return false
}

// maxWraps is the number of strings within one another that are searched for JSON.
const maxWraps = 4

// inner returns the object or list in a string, or in strings within the string,
// after white space and byte order marks. It reports false if the string holds
// another thing. doc is [Tolerable], and may still not be JSON.
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

// names lists the remaining members, sorted, so that every reading gives the same
// result.
func (o *object) names() []string { return slices.Sorted(maps.Keys(o.members)) }

// document writes the remaining members in their written form, sorted by name.
func (o *object) document() []byte {
	doc := []byte{'{'}
	for i, name := range o.names() {
		if i > 0 {
			doc = append(doc, ',')
		}
		quoted, _ := json.Marshal(name) // a string always has a JSON form
		doc = append(append(append(doc, quoted...), ':'), o.members[name]...)
	}
	return append(doc, '}')
}
