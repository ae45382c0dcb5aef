package message

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
)

// reader reads one message.
type reader struct {
	envelope *object // the message's members that are not read yet
	view     Content
	unknown  map[string]bool
	path     []int // of the part being read
	depth    int   // of lists around the part being read
	items    int   // read so far
	// speech counts the strings around what is being read that a person may have
	// written; see list. claimed counts the files that such strings named.
	speech, claimed int
	found           map[string]bool // ids that need no further file; nil while the message is read
	// toDraw is the number of bytes of items that may still be read, and toScan the
	// number of bytes of strings that may still be scanned for files. Without these
	// bounds, bytes within many strings would be read once for each string.
	toDraw, toScan int
}

// newReader makes a reader of the message with these members and this size in bytes.
func newReader(o *object, size int) *reader {
	return &reader{envelope: o, unknown: make(map[string]bool), toDraw: 8*size + 64<<10, toScan: 16*size + 64<<10}
}

// spend takes n from left. It reports false and takes nothing if left is smaller.
func (r *reader) spend(left *int, n int) bool {
	if *left < n {
		return false
	}
	*left -= n
	return true
}

func (r *reader) message() {
	r.view.Fields = takeFields(r.envelope)
	f := r.view.Fields
	if f.Unplaced {
		r.note("parties")
	}
	kind := kindOf(f)
	r.view.Kind = kind
	limit := maxText
	switch {
	case kind == KindSwitch:
		r.view.Parts = r.add(nil, kind, r.envelope, nil)
	case kind == KindUnknown:
		r.note("msgtype=" + f.Type)
		o, doc, speech := r.payload(f.Type)
		r.in(speech, func() {
			r.view.Parts = r.put(nil, func() Part { return r.generic(f.Type, o, doc) })
		})
	default:
		o, doc, speech := r.payload(kind)
		r.in(speech, func() { r.view.Parts = r.add(nil, kind, o, doc) })
	}
	r.leftOver("", r.envelope)
	if kind == "text" || kind == "markdown" || kind == "mixed" {
		limit = noLimit // a person wrote it
	}
	r.view.Text = render(r.view.Parts, limit)
	r.view.Unknown = slices.Sorted(maps.Keys(r.unknown))
}

// kindOf returns the [Content].Kind of a message with these fields.
func kindOf(f Fields) string {
	if f.Action == KindSwitch && (f.Type == "" || squeeze(f.Type) == KindSwitch) {
		return KindSwitch
	}
	return Canonical(f.Type)
}

// in calls read, for a text that a person may have written if speech is true.
func (r *reader) in(speech bool, read func()) {
	if speech {
		r.speech++
		defer func() { r.speech-- }()
	}
	read()
}

// payload takes the content out of the envelope, from the first known key with
// content. If the envelope has no such key, the fields of the content may be in the
// envelope itself, as was seen with vote and todo; then there is no doc. speech is
// [spoken] of the content.
func (r *reader) payload(kind string) (o *object, doc []byte, speech bool) {
	for _, name := range slices.Concat([]string{kind, r.view.Fields.Type}, kinds[kind], []string{"info"}) {
		key := r.envelope.find(name)
		if key == "" {
			continue
		}
		raw := r.envelope.members[key]
		delete(r.envelope.members, key)
		if !empty(raw) {
			o, doc = payload(kind, raw)
			return o, doc, spoken(kind, raw)
		}
	}
	r.envelope.lacks = false // what it lacks itself is no content
	return r.envelope, nil, false
}

// put appends the part that read makes. r.path is the place of the part meanwhile.
func (r *reader) put(parts []Part, read func() Part) []Part {
	r.path = append(r.path, len(parts))
	part := read()
	r.path = r.path[:len(r.path)-1]
	return append(parts, part)
}

// add appends the part of a payload, or the parts of a mixed one. doc is the payload
// in its written form, nil if the fields are in the envelope itself. A payload of a
// known kind in an unknown form is shown like an unknown kind, and so is what stays
// unread of a payload that lacks a member. Other unread members are only noted: WeCom
// adds members to its kinds.
func (r *reader) add(parts []Part, kind string, o *object, doc []byte) []Part {
	before, shown := len(parts), false
	if kind == "mixed" {
		parts = r.addItems(parts, kind, o)
		shown = len(parts) > before
	} else {
		parts = r.put(parts, func() Part {
			part := r.part(kind, o)
			if shown = !blank(part); shown && !o.lacks {
				r.leftOver(kind, o) // their files belong to the part
			}
			return part
		})
	}
	if shown {
		return r.addUnread(parts, kind, kind, o)
	}
	if len(o.members) == 0 {
		r.note(kind)
		return parts
	}
	r.noteNames(kind, o)
	return r.put(parts[:before], func() Part { return r.generic(kind, o, doc) })
}

// addUnread appends a generic part of the members that remain, if o lacks a member.
func (r *reader) addUnread(parts []Part, where, kind string, o *object) []Part {
	if !o.lacks || len(o.members) == 0 {
		r.leftOver(where, o)
		return parts
	}
	r.noteNames(where, o)
	return r.put(parts, func() Part { return r.generic(kind, o, nil) })
}

// blank reports whether a part shows nothing but its kind.
func blank(part Part) bool {
	switch part.(type) {
	case Consent, Revoke, Switch, Generic, Rest:
		return false // their meaning does not depend on their fields
	}
	v := reflect.ValueOf(part)
	for i := range v.NumField() {
		if v.Type().Field(i).Name != "Type" && !holdsNothing(v.Field(i)) {
			return false
		}
	}
	return true
}

// holdsNothing reports whether a field is zero, or a list of zero elements.
func holdsNothing(v reflect.Value) bool {
	if v.Kind() != reflect.Slice {
		return v.IsZero()
	}
	for i := range v.Len() {
		if !v.Index(i).IsZero() {
			return false
		}
	}
	return true
}

// addItems appends the parts of the items of o.
func (r *reader) addItems(parts []Part, kind string, o *object) []Part {
	if parts == nil {
		parts = []Part{}
	}
	r.eachItem(kind, o, func(item *object) {
		parts = r.addItem(parts, kind+".item", item)
	}, func(why string, items []json.RawMessage) {
		parts = r.put(parts, func() Part { return r.rest(why, items) })
	})
	return parts
}

// eachItem calls read for the items of o. It calls rest with the items that the
// bounds exclude. WeCom writes the items of other kinds than a note into strings; a
// person may have written a string in a note.
func (r *reader) eachItem(kind string, o *object, read func(*object), rest func(why string, items []json.RawMessage)) {
	_, items, written := o.array("item", "items", "msg_item")
	if r.depth == maxDepth && len(items) > 0 {
		rest(PartTooDeep, items)
		return
	}
	r.depth++
	defer func() { r.depth-- }()
	for i, raw := range items {
		if r.items == maxItems {
			rest(PartMore, items[i:])
			return
		}
		if !r.spend(&r.toDraw, len(raw)) {
			rest(PartTooDeep, items[i:])
			return
		}
		r.items++
		item, _ := payload("", raw)
		r.in(kind == "note" && (written || raw[0] == '"'), func() { read(item) })
	}
}

// addItem appends the part of an item. An item has a type, and its content under
// content or under the name of the type; without such a member the item itself is
// the content. where is for [Content].Unknown.
func (r *reader) addItem(parts []Part, where string, item *object) []Part {
	name := item.str("type", "msgtype")
	kind := itemKind(name)
	o, doc, speech := item, []byte(nil), false
	for _, name := range []string{"content", name} {
		if key := item.find(name); key != "" && doc == nil {
			o, doc = payload(kind, item.members[key])
			speech = spoken(kind, item.members[key])
			delete(item.members, key)
		}
	}
	r.in(speech, func() {
		if kind != "" {
			parts = r.add(parts, kind, o, doc)
			return
		}
		r.note(where + ".type=" + name)
		parts = r.put(parts, func() Part { return r.generic(name, o, doc) })
	})
	return r.addUnread(parts, where, cmp.Or(kind, name), item)
}

func (r *reader) chatRecord(kind string, o *object) Part {
	record := ChatRecord{Type: kind, Title: o.str("title"), Items: []RecordItem{}}
	read := func(item RecordItem, parts func() []Part) {
		r.path = append(r.path, len(record.Items))
		item.Parts = parts()
		r.path = r.path[:len(r.path)-1]
		record.Items = append(record.Items, item)
	}
	r.eachItem(kind, o, func(item *object) {
		head := RecordItem{Time: item.ms("msgtime"), FromRoom: item.flag("from_chatroom")}
		read(head, func() []Part { return r.addItem([]Part{}, kind+".item", item) })
	}, func(why string, items []json.RawMessage) {
		read(RecordItem{}, func() []Part {
			return r.put(nil, func() Part { return r.rest(why, items) })
		})
	})
	return record
}

// rest is the part for items that are not read. It finds their files, which must be
// fetched before WeCom deletes them.
func (r *reader) rest(why string, items []json.RawMessage) Part {
	raw := jsonList(items)
	r.findFiles(why, raw)
	return Rest{Type: why, Count: len(items), Raw: validUTF8(raw)}
}

// jsonList writes a list of values.
func jsonList(items []json.RawMessage) []byte {
	raw := []byte{'['}
	for i, item := range items {
		if i > 0 {
			raw = append(raw, ',')
		}
		raw = append(raw, item...)
	}
	return append(raw, ']')
}

// generic is the part for content of an unknown type. It takes the whole content.
func (r *reader) generic(name string, o *object, doc []byte) Part {
	if doc == nil {
		doc = o.document()
	}
	return Generic{Type: PartGeneric, Name: name, Fields: r.fields(PartGeneric, o), Raw: validUTF8(doc)}
}

// fields takes all remaining members of o.
func (r *reader) fields(kind string, o *object) []Field {
	r.findFiles(kind, o.document())
	fields := []Field{}
	for _, name := range o.names() {
		if len(fields) == maxFields {
			break
		}
		value, ok := text(o.members[name])
		if !ok {
			value = validUTF8(o.members[name])
		}
		fields = append(fields, Field{Name: cut(name, maxName), Value: cut(value, maxValue)})
	}
	clear(o.members)
	return fields
}

// leftOver notes the members of o that remain after reading, and finds their files.
func (r *reader) leftOver(where string, o *object) {
	if len(o.members) == 0 {
		return
	}
	r.findFiles(PartGeneric, o.document())
	r.noteNames(where, o)
	clear(o.members)
}

// noteNames notes the members of o. where is empty for the message itself.
func (r *reader) noteNames(where string, o *object) {
	if where != "" {
		where += "."
	}
	for _, name := range o.names() {
		r.note(where + name)
	}
}

func (r *reader) note(what string) {
	if len(r.unknown) < maxUnknown {
		r.unknown[cut(what, maxName)] = true
	}
}

// word translates one of WeCom's numbers. An unknown number stays a number.
func (r *reader) word(where string, words map[string]string, number string) string {
	word, ok := words[number]
	if !ok && number != "" {
		r.note(where + "=" + number)
		return number
	}
	return word
}

// texts takes a list of texts. It notes a list in an odd form, and finds its files.
func (r *reader) texts(where string, o *object, name string) []string {
	texts, odd := o.list(name)
	for _, raw := range odd {
		r.note(where + "." + name)
		r.findFiles(PartGeneric, raw)
	}
	return texts
}

// objects takes the values that read makes of the objects of a list. The list keeps
// what stays unread: elements that are no objects, and the members of an object that
// lacks one.
func objects[T comparable](r *reader, where string, o *object, read func(*object) T, names ...string) []T {
	found, raws, _ := o.array(names...)
	list, unread := make([]T, 0, len(raws)), []json.RawMessage(nil)
	var zero T
	for _, raw := range raws {
		element, ok := parseObject(raw)
		if !ok {
			unread = append(unread, raw)
			continue
		}
		if v := read(element); v != zero {
			list = append(list, v)
		}
		if element.lacks && len(element.members) > 0 {
			r.noteNames(where+"."+names[0], element)
			unread = append(unread, element.document())
		} else {
			r.leftOver(where+"."+names[0], element)
		}
	}
	if unread != nil {
		o.members[found], o.lacks = jsonList(unread), true
	}
	return list
}
