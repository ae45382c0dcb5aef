package message

import (
	"bytes"
	"encoding/json"
)

// A scan looks for files in JSON that we do not know. It takes nothing apart
// but the strings that could hold more of it.
type scan struct {
	r    *reader
	kind string // of the part that the files are of
	doc  []byte // tolerable; it may end too early, or not be JSON
	at   int
}

// findFiles lists the files in JSON that we do not know: they are gone from
// WeCom before anybody could teach us its form.
func (r *reader) findFiles(kind string, doc []byte) {
	if mayHoldFiles(doc) {
		s := scan{r: r, kind: kind, doc: doc}
		s.value()
	}
}

// value reads one value, and reports false where the document ends or is none.
func (s *scan) value() bool {
	switch s.next() {
	case '"':
		text, ok := s.str()
		if ok {
			s.within(text)
		}
		return ok
	case '[':
		return s.each(']', nil)
	case '{':
		var members object // allocated only where there is one of strays
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

// next is the first byte that is not blank, 0 at the end.
func (s *scan) next() byte {
	for ; s.at < len(s.doc); s.at++ {
		if c := s.doc[s.at]; c > ' ' {
			return c
		}
	}
	return 0
}

// each reads what stands between brackets, separated by commas: the values of a
// list, or the members of an object, of which it keeps the strays.
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
	if !s.value() {
		return false
	}
	if name := stray(name); name != "" {
		if *members == nil {
			*members = make(object)
		}
		(*members)[name] = s.doc[begin:s.at]
	}
	return true
}

// str reads a string, as it is written.
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

// within looks into a string for JSON, as long as that pays.
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

// strays are the members that WeCom's types have in common where a file is.
var strays = []string{fileID, "md5sum", "filesize", "voice_size", "imagesize", "filename", "fileext", "play_length"}

// stray is the one of strays that a name in quotes is, however it is spelled;
// empty if it is none.
func stray(quoted []byte) string {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		var s string
		if len(quoted) > 200 || json.Unmarshal(quoted, &s) != nil {
			return ""
		}
		name = []byte(s)
	}
	for _, is := range strays {
		if len(name) == len(is) && bytes.EqualFold(name, []byte(is)) {
			return is
		}
	}
	return ""
}

// strayFile reads them.
func strayFile(kind string, o object) File {
	f := File{SDKFileID: o.str(fileID), Kind: kind, Name: o.str("filename"), Ext: o.str("fileext"),
		MD5: o.str("md5sum"), Size: o.num("filesize", "voice_size", "imagesize"), Seconds: o.num("play_length")}
	if f.Ext == "" {
		f.Ext = extension(f.Name)
	}
	return f
}
