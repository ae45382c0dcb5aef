package message

import (
	"bytes"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
)

const fileID = "sdkfileid"

// mayHoldFiles reports false only where no sdkfileid is: the name cannot hide
// but behind escapes of its letters.
func mayHoldFiles(raw []byte) bool {
	return bytes.Contains(raw, []byte(fileID)) || bytes.Contains(raw, []byte(`\u00`))
}

// file takes the members that say where a file is, and lists f with them. It
// returns nil if there is no file.
func (r *reader) file(o object, f File) *int {
	f.SDKFileID = o.str(fileID)
	f.MD5 = o.str("md5sum")
	f.Size = o.num("filesize", "voice_size", "imagesize")
	return r.list(f)
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

// findFiles lists the files in JSON that we do not know: they are gone from
// WeCom before anybody could teach us its form.
func (r *reader) findFiles(kind string, doc []byte) {
	if !mayHoldFiles(doc) {
		return
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if d.Decode(&v) == nil {
		r.walk(kind, v)
	}
}

func (r *reader) walk(kind string, v any) {
	switch v := v.(type) {
	case string: // JSON in a string
		if doc, ok := inner(v); ok {
			r.findFiles(kind, doc)
		}
	case []any:
		for _, element := range v {
			r.walk(kind, element)
		}
	case map[string]any:
		r.list(strayFile(kind, v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			r.walk(kind, v[name])
		}
	}
}

// strayFile reads the names that WeCom's types have in common.
func strayFile(kind string, members map[string]any) File {
	o := make(object)
	for _, name := range []string{fileID, "md5sum", "filesize", "voice_size", "imagesize", "filename", "fileext", "play_length"} {
		switch v := members[name].(type) {
		case string, json.Number:
			raw, err := json.Marshal(v)
			if err == nil {
				o[name] = raw
			}
		}
	}
	f := File{SDKFileID: o.str(fileID), Kind: kind, Name: o.str("filename"), Ext: o.str("fileext"),
		MD5: o.str("md5sum"), Size: o.num("filesize", "voice_size", "imagesize"), Seconds: o.num("play_length")}
	if f.Ext == "" {
		f.Ext = extension(f.Name)
	}
	return f
}

// extension is that of a file's name, without a dot.
func extension(name string) string { return strings.TrimPrefix(path.Ext(name), ".") }
