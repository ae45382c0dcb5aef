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
}

// findFiles lists the files in JSON of an unknown form. They must be fetched now:
// WeCom deletes them before a later version could know the form.
func (r *reader) findFiles(kind string, doc []byte) {
	if mayHoldFiles(doc) {
		s := scan{r: r, kind: kind, doc: doc}
		s.value()
	}
}

// findInBytes lists the files in bytes that are not JSON, such as a message that was
// cut off. It looks for names of file ids, and reads the object around each name as
// far as that goes. Then it looks for texts in the form of a file id.
func (r *reader) findInBytes(raw []byte) {
	if !mayHoldFiles(raw) {
		return
	}
	found := make(map[string]bool)
	from := 0
	for at := 0; at < len(raw); {
		n := startsFileID(raw[at:])
		if n == 0 {
			at++
			continue
		}
		before := len(r.view.Files)
		end := at + n
		if open := bytes.LastIndexByte(raw[from:at], '{'); open >= 0 && r.spend(&r.toScan, len(raw)-from-open) {
			s := scan{r: r, kind: PartGeneric, doc: raw, at: from + open}
			s.value()
			end = max(end, s.at)
		}
		if id := idBehind(raw[at+n:]); len(r.view.Files) == before && id != "" {
			r.list(File{SDKFileID: id, Kind: PartGeneric})
		}
		at, from = end, end
	}
	for _, f := range r.view.Files {
		found[f.SDKFileID] = true
	}
	for run := range bytes.FieldsFuncSeq(raw, func(c rune) bool { return c >= 0x80 || !isBase64(byte(c)) }) {
		if id := string(run); !found[id] && looksLikeFileID(id) {
			found[id] = true
			r.list(File{SDKFileID: id, Kind: PartGeneric})
		}
	}
}

// idBehind returns the quoted text behind a name, and nothing if the text is cut off:
// a part of an id names no file.
func idBehind(rest []byte) string {
	rest = bytes.TrimLeft(rest, "\\\"' \t:=")
	end := bytes.IndexAny(rest, "\\\"'")
	if end <= 0 || end > longestFileID || bytes.ContainsAny(rest[:end], "{}[],") {
		return ""
	}
	return string(rest[:end])
}

// value reads one value, and reports false where the document ends or is not JSON.
func (s *scan) value() bool {
	switch s.next() {
	case '"':
		quoted, ok := s.str()
		if ok {
			s.within(quoted)
			s.byForm(quoted)
		}
		return ok
	case '[':
		return s.each(']', nil)
	case '{':
		var members object // allocated only where one of strays is found
		ok := s.each('}', &members)
		if _, is := members[fileID]; is {
			s.r.list(strayFile(s.kind, members))
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
// It keeps the members that are strays.
func (s *scan) each(end byte, members *object) bool {
	s.at++
	if s.next() == end {
		s.at++
		return true
	}
	for members == nil && s.value() || members != nil && s.member(members) {
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

func (s *scan) member(members *object) bool {
	name, ok := s.str()
	if !ok || s.next() != ':' {
		return false
	}
	s.at++
	s.next()
	begin := s.at
	known := stray(name)
	if known == fileID && s.next() == '"' {
		if _, ok := s.str(); !ok { // listed by its name, so not by its form
			return false
		}
	} else if !s.value() || s.at == len(s.doc) { // a number at the end may be cut off
		return false
	}
	if name := known; name != "" {
		if *members == nil {
			*members = make(object)
		}
		(*members)[name] = s.doc[begin:s.at]
	}
	return true
}

// str reads a string in its written form.
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
	return nil, false
}

// within searches a string for JSON, within the bounds of the whole scan.
func (s *scan) within(quoted []byte) {
	r := s.r
	if r.wraps == maxDepth || !mayHoldFiles(quoted) || !r.spend(&r.toScan, len(quoted)) {
		return
	}
	content, _ := text(quoted)
	if doc, ok := inner(content); ok {
		r.wraps++
		r.findFiles(s.kind, doc)
		r.wraps--
	}
}

// byForm lists the file that a string names, if the string has the form of a file id.
func (s *scan) byForm(quoted []byte) {
	if len(quoted) < shortestFileID || len(quoted) > 2*longestFileID {
		return
	}
	if id, ok := text(quoted); ok && looksLikeFileID(id) {
		s.r.list(File{SDKFileID: id, Kind: s.kind})
	}
}

// strays are the members that describe a file in WeCom's types.
var strays = []string{fileID, "md5sum", "filesize", "voice_size", "imagesize", "filename", "fileext", "play_length"}

// stray returns the one of strays that a quoted name means in any spelling, or the
// empty string.
func stray(quoted []byte) string {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		var s string
		if len(quoted) > 200 || json.Unmarshal(quoted, &s) != nil {
			return ""
		}
		name = []byte(s)
	}
	if len(name) > 2*len(fileID) {
		return ""
	}
	for _, is := range strays {
		if sameName(string(name), is) {
			return is
		}
	}
	return ""
}

// strayFile makes a file of strays.
func strayFile(kind string, o object) File {
	f := File{SDKFileID: o.str(fileID), Kind: kind, Name: o.str("filename"), Ext: o.str("fileext"),
		MD5: o.str("md5sum"), Size: o.num("filesize", "voice_size", "imagesize"), Seconds: o.num("play_length")}
	if f.Ext == "" {
		f.Ext = extension(f.Name)
	}
	return f
}
