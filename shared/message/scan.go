package message

import (
	"bytes"
	"encoding/json"
)

// A scan finds files in JSON of an unknown form. It decodes only the strings that
// could hold more JSON.
type scan struct {
	r    *reader
	kind string // the type of the part that holds the files
	doc  []byte // [Tolerable]; it may end too early, or not be JSON
	at   int
	ids  bool // the value is a list of file ids
}

// findFiles lists the files in JSON of an unknown form. They must be fetched now:
// WeCom deletes them before a later version could know the form.
func (r *reader) findFiles(kind string, doc []byte) {
	if mayHoldFiles(doc) {
		s := scan{r: r, kind: kind, doc: doc}
		s.value()
	}
}

// findOverwritten lists the files in members that are written twice. Reading sees the
// last of them alone.
func (r *reader) findOverwritten(doc []byte) {
	r.found = make(map[string]bool, len(r.view.Files))
	for _, f := range r.view.Files {
		r.found[f.SDKFileID] = true
	}
	r.claimed = maxClaims // texts are read already
	r.findFiles(PartGeneric, doc)
}

// findInBytes lists the files in bytes that are not JSON, such as a message that was
// cut off. It reads as far as the bytes are JSON, and then searches the rest.
func (r *reader) findInBytes(raw []byte) {
	mark := byte('"') // of strings
	if bytes.IndexByte(raw, mark) < 0 {
		mark = '\''
	}
	begin := bytes.IndexAny(raw, "{[")
	if begin < 0 {
		begin = len(raw)
	}
	s := scan{r: r, kind: PartGeneric, doc: raw, at: begin}
	s.value()
	found := make(map[string]bool)
	for _, part := range [][]byte{raw[:begin], raw[s.at:]} {
		r.findNames(part, mark)
		for _, f := range r.view.Files {
			found[f.SDKFileID] = true
		}
		r.findForms(part, found)
	}
}

// findNames looks for names of file ids, and reads the object around each name as far
// as that goes. A name that does not stand behind the mark of strings is in a text.
// No byte is read more than a few times.
func (r *reader) findNames(raw []byte, mark byte) {
	from := 0
	for at := 0; at < len(raw); {
		n := startsFileID(raw[at:])
		if n == 0 {
			at++
			continue
		}
		before, end := len(r.view.Files), at+n
		named := at > 0 && raw[at-1] == mark && (at == 1 || raw[at-2] != '\\')
		r.in(!named, func() {
			if open := bytes.LastIndexByte(raw[from:at], '{'); open >= 0 {
				s := scan{r: r, kind: PartGeneric, doc: raw, at: from + open}
				s.value()
				end = max(end, s.at)
			}
			if len(r.view.Files) == before {
				r.list(File{SDKFileID: idBehind(raw[at+n:]), Kind: PartGeneric})
			}
		})
		at, from = end, end
	}
}

// findForms looks for texts in the form of a file id that were not found yet.
func (r *reader) findForms(raw []byte, found map[string]bool) {
	for len(raw) > 0 {
		n := 0
		for n < len(raw) && isBase64(raw[n]) && raw[n] != '=' {
			n++
		}
		end := n // with what fills the last four characters
		for end < len(raw) && end < n+2 && raw[end] == '=' {
			end++
		}
		if id := string(raw[:end]); !found[id] && looksLikeFileID(id) {
			found[id] = true
			r.in(true, func() { r.list(File{SDKFileID: id, Kind: PartGeneric}) })
		}
		raw = raw[min(len(raw), max(end, 1)):]
	}
}

// idBehind returns the quoted text behind a name, and nothing if the text is cut off:
// a part of an id names no file.
func idBehind(rest []byte) string {
	rest = rest[:min(len(rest), longestFileID+100)]
	rest = bytes.TrimLeft(rest, "\\\"'") // behind the name
	rest = bytes.TrimLeft(rest, " \t:=")
	if mark := bytes.IndexAny(rest, "\"'"); mark > 0 && mark <= 2 && len(bytes.Trim(rest[:mark], "brfuBRFU")) == 0 { // before a text in Python
		rest = rest[mark:]
	}
	rest = bytes.TrimLeft(rest, "\\\"' \t")
	end := bytes.IndexAny(rest, "\\\"'")
	if end <= 0 || bytes.ContainsAny(rest[:end], "{}[],") {
		return ""
	}
	return string(rest[:end])
}

// value reads one value, and reports false where the document ends or is not JSON.
func (s *scan) value() bool {
	switch s.next() {
	case '"':
		quoted, ok := s.str()
		if id, _ := text(quoted); ok && s.ids {
			s.r.list(File{SDKFileID: id, Kind: s.kind})
		} else if ok {
			s.text(quoted, true)
		}
		return ok
	case '[':
		return s.each(']', nil)
	case '{':
		s.ids = false
		var m members
		ok := s.each('}', &m)
		for _, t := range m.texts {
			s.text(t.value, m.spoken(t))
		}
		if m.strays != nil && m.strays.members[fileID] != nil {
			s.r.list(strayFile(s.kind, m.strays))
		}
		return ok
	case 0:
		return false
	}
	begin := s.at // a number or a word
	for s.at < len(s.doc) && bytes.IndexByte([]byte(`,:[]{}" `), s.doc[s.at]) < 0 {
		s.at++
	}
	return s.at > begin
}

// members are the members of one object that matter for its files.
type members struct {
	strays *object // allocated only where one of strays is found
	kind   []byte  // the written type of an item or message
	texts  []textMember
}

// A textMember is a text that may hold files.
type textMember struct{ name, value []byte }

// spoken reports whether a person may have written a text of the members: a text that
// is not the payload, or is a payload that [spoken] reports.
func (m members) spoken(t textMember) bool {
	kind, _ := text(m.kind)
	name := unquoted(t.name)
	payload := sameName(string(name), "content") || sameName(string(name), string(unquoted(m.kind)))
	return !payload || spoken(itemKind(kind), t.value)
}

// next moves to the first byte that is not blank, and returns it; 0 at the end.
func (s *scan) next() byte {
	for ; s.at < len(s.doc); s.at++ {
		if c := s.doc[s.at]; c > ' ' {
			return c
		}
	}
	return 0
}

// each reads the values of a list, or the members of an object, to the bracket end.
func (s *scan) each(end byte, m *members) bool {
	s.at++
	if s.next() == end {
		s.at++
		return true
	}
	for m == nil && s.value() || m != nil && s.member(m) {
		switch s.next() {
		case ',':
			s.at++
		case end:
			s.at++
			return true
		default:
			return false
		}
	}
	return false
}

func (s *scan) member(m *members) bool {
	name, ok := s.str()
	if !ok || s.next() != ':' {
		return false
	}
	s.at++
	quoted := s.next() == '"'
	begin := s.at
	known := stray(name)
	if quoted {
		_, ok = s.str()
	} else {
		s.ids = known == fileID && s.next() == '['
		ok = s.value() && s.at < len(s.doc) // a number at the end may be cut off
		s.ids = false
	}
	if !ok {
		return false
	}
	value := s.doc[begin:s.at]
	s.text(name, true)
	switch {
	case known != "":
		if m.strays == nil {
			m.strays = &object{members: make(map[string]json.RawMessage)}
		}
		if before := m.strays.members[known]; known == fileID && before != nil { // it is written twice
			s.r.list(strayFile(s.kind, bare(fileID, before)))
		}
		m.strays.members[known] = value
	case quoted && (sameName(string(unquoted(name)), "type") || sameName(string(unquoted(name)), "msgtype")):
		m.kind = value
	}
	if quoted && known != fileID && mayHoldFiles(value) {
		m.texts = append(m.texts, textMember{name, value})
	}
	return true
}

// str reads a string in its written form. It stays at the beginning of a string
// without an end.
func (s *scan) str() ([]byte, bool) {
	if s.next() != '"' {
		return nil, false
	}
	begin := s.at
	for s.at++; s.at < len(s.doc); s.at++ {
		switch s.doc[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return s.doc[begin:s.at], true
		}
	}
	s.at = begin
	return nil, false
}

// text lists the file that a string names, if the string has the form of a file id.
// Else it searches the string for JSON, within the bounds of the whole scan.
func (s *scan) text(quoted []byte, speech bool) {
	r := s.r
	if !mayHoldFiles(quoted) || !r.spend(&r.toScan, len(quoted)) {
		return
	}
	content, _ := text(quoted)
	if looksLikeFileID(content) {
		r.in(true, func() { r.list(File{SDKFileID: content, Kind: s.kind}) })
		return
	}
	if doc, ok := inner(content); ok {
		r.in(speech, func() { r.findFiles(s.kind, doc) })
	}
}

// strays are the members that describe a file in WeCom's types.
var strays = []string{fileID, "md5sum", "filesize", "voice_size", "imagesize", "filename", "fileext", "play_length"}

// stray returns the one of strays that a quoted name means in any spelling, or the
// empty string. The name of a list of ids may have an s.
func stray(quoted []byte) string {
	name := unquoted(quoted)
	if sameName(string(name), fileID+"s") {
		return fileID
	}
	for _, is := range strays {
		if sameName(string(name), is) {
			return is
		}
	}
	return ""
}

// unquoted reads a quoted name. It returns nothing for a name that is longer than
// those of WeCom.
func unquoted(quoted []byte) []byte {
	if len(quoted) < 2 || len(quoted) > 200 {
		return nil
	}
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		var s string
		if json.Unmarshal(quoted, &s) != nil {
			return nil
		}
		name = []byte(s)
	}
	if len(name) > 2*len(fileID) {
		return nil
	}
	return name
}

// strayFile makes a file of strays.
func strayFile(kind string, o *object) File {
	f := File{SDKFileID: o.str(fileID), Kind: kind, Name: o.str("filename"), Ext: o.str("fileext"),
		MD5: o.str("md5sum"), Size: o.num("filesize", "voice_size", "imagesize"), Seconds: o.num("play_length")}
	if f.Ext == "" {
		f.Ext = extension(f.Name)
	}
	return f
}
