package message

import (
	"bytes"
	"path"
	"strings"
)

const fileID = "sdkfileid"

// mayHoldFiles reports false only where no sdkfileid is, in whatever
// capitals: the name cannot hide but behind escapes of its letters.
func mayHoldFiles(raw []byte) bool {
	for len(raw) >= len(fileID) {
		i := bytes.IndexAny(raw, `sS\`)
		if i < 0 || len(raw)-i < len(fileID) {
			return false
		}
		if raw = raw[i:]; bytes.HasPrefix(raw, []byte(`\u00`)) || bytes.EqualFold(raw[:len(fileID)], []byte(fileID)) {
			return true
		}
		raw = raw[1:]
	}
	return false
}

// file takes the members that say where a file is, and lists f with them. It
// returns nil if there is no file.
func (r *reader) file(o object, f File) *int {
	o.respell(fileID, "md5sum", "filesize", "voice_size", "imagesize")
	f.SDKFileID = o.str(fileID)
	f.MD5 = o.str("md5sum")
	f.Size = o.num("filesize", "voice_size", "imagesize")
	return r.list(f)
}

// respell gives members the names that they have in other capitals, of several
// the first by its bytes: WeCom has been seen to change those (wecom.md 2.3,
// card).
func (o object) respell(names ...string) {
	for _, name := range names {
		if _, there := o[name]; there {
			continue
		}
		first := ""
		for written := range o {
			if len(written) == len(name) && strings.EqualFold(written, name) && (first == "" || written < first) {
				first = written
			}
		}
		if first != "" {
			o[name] = o[first]
			delete(o, first)
		}
	}
}

func (r *reader) list(f File) *int {
	if f.SDKFileID == "" {
		return nil
	}
	f.Path = append([]int{}, r.path...)
	r.view.Files = append(r.view.Files, f)
	index := len(r.view.Files) - 1
	return &index
}

// extension is that of a file's name, without a dot.
func extension(name string) string { return strings.TrimPrefix(path.Ext(name), ".") }
