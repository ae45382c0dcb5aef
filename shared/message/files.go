package message

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"
)

const fileID = "sdkfileid"

// mayHoldFiles reports false only where raw holds neither the name of a file id, in
// any spelling, nor a text in the form of a file id. Escapes of letters could hide
// the name, so it reports true for them.
func mayHoldFiles(raw []byte) bool {
	run := 0 // characters of base64
	for i, c := range raw {
		switch {
		case isBase64(c):
			if run++; run >= shortestFileID {
				return true
			}
			if (c == 's' || c == 'S') && startsFileID(raw[i:]) > 0 {
				return true
			}
		case c == '\\' && i+1 < len(raw) && raw[i+1] == '/': // escaped within base64
		case c == '\\' && bytes.HasPrefix(raw[i:], []byte(`\u00`)):
			return true
		default:
			run = 0
		}
	}
	return false
}

// startsFileID returns the length of the name of a file id at the beginning of raw,
// in capitals or not, with or without separators; 0 if raw begins otherwise.
func startsFileID(raw []byte) int {
	n := 0
	for i := range len(fileID) {
		for n > 0 && n < len(raw) && isSeparator(raw[n]) {
			n++
		}
		if n == len(raw) || lower(raw[n]) != fileID[i] {
			return 0
		}
		n++
	}
	return n
}

// A file id is opaque base64 of about 150 to 600 characters, which decodes to a blob
// that ends in a hexadecimal key (wecom.md 1.7).
const (
	shortestFileID = 100
	longestFileID  = 2000
	hexKey         = 32
)

func isBase64(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '=' || c == '-' || c == '_'
}

// looksLikeFileID reports whether a text has the form of a file id.
func looksLikeFileID(s string) bool {
	if len(s) < shortestFileID || len(s) > longestFileID {
		return false
	}
	blob, err := base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "=")))
	if err != nil || len(blob) < hexKey { // a line of = has the length and no bytes
		return false
	}
	for _, c := range blob[len(blob)-hexKey:] {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}

// file takes the members that describe a file, and lists f with them. It returns nil
// if there is no file.
func (r *reader) file(o *object, f File) *int {
	f.SDKFileID = o.str(fileID)
	f.MD5 = o.str("md5sum")
	f.Size = o.num("filesize", "voice_size", "imagesize")
	return r.list(f)
}

// sameName reports whether two names differ only in capitals and separators.
func sameName(written, name string) bool {
	if len(written) > 2*len(name) || len(written) < len(name)/2 {
		return false
	}
	i, j := 0, 0
	for {
		for i < len(written) && isSeparator(written[i]) {
			i++
		}
		for j < len(name) && isSeparator(name[j]) {
			j++
		}
		switch {
		case i == len(written) || j == len(name):
			return i == len(written) && j == len(name)
		case lower(written[i]) != lower(name[j]):
			return false
		}
		i, j = i+1, j+1
	}
}

func isSeparator(c byte) bool { return c == '_' || c == '-' || c == ' ' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// maxClaims is the most files that texts which a person may have written can name in
// one message.
const maxClaims = 5

// list lists a file. A person may write a text that names files, and each one would
// be fetched for days. So an id in such a text counts only in the form of WeCom's,
// and only a few do.
func (r *reader) list(f File) *int {
	f.SDKFileID = strings.TrimSpace(strings.Map(func(c rune) rune { // no id holds one of these
		if c < ' ' || c == 0x7f || c == utf8.RuneError {
			return -1
		}
		return c
	}, f.SDKFileID))
	if strings.Contains(f.SDKFileID, "%") { // written for a URL
		if id, err := url.PathUnescape(f.SDKFileID); err == nil && looksLikeFileID(id) {
			f.SDKFileID = id
		}
	}
	if f.SDKFileID == "" || r.found[f.SDKFileID] {
		return nil
	}
	if r.speech > 0 {
		if r.claimed == maxClaims || !looksLikeFileID(f.SDKFileID) {
			return nil
		}
		r.claimed++
	}
	f.Path = append([]int{}, r.path...)
	r.view.Files = append(r.view.Files, f)
	index := len(r.view.Files) - 1
	return &index
}

// extension returns the extension of a file's name, without a dot.
func extension(name string) string { return strings.TrimPrefix(path.Ext(name), ".") }
