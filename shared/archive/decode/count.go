package decode

import (
	"slices"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/message"
)

// maxUnknown bounds how many unknown fields of a page are counted by name,
// because the row must stay small.
const maxUnknown = 200

// countMessage counts a stored message, its type, and its fields that this
// version does not know.
func (p *pageDecode) countMessage(content message.Content) {
	p.result.Stored++
	if content.Kind == message.KindUnreadable {
		p.result.Unreadable++
	} else {
		p.result.Types[archive.TypeName(content.Fields.Kind())]++
	}
	if content.Kind == message.KindUnknown {
		return // the type itself is unknown, so its fields say nothing more
	}
	for _, field := range content.Unknown {
		p.countUnknown(archive.TypeName(content.Fields.Kind() + " " + field))
	}
}

// countUnknown counts a message with an unknown field.
func (p *pageDecode) countUnknown(name string) {
	if p.result.Unknown == nil {
		p.result.Unknown = make(map[string]int)
	}
	if len(p.result.Unknown) < maxUnknown || p.result.Unknown[name] > 0 {
		p.result.Unknown[name]++
	}
}

// sumUp completes the decoded page and its result once the records are decoded.
func (p *pageDecode) sumUp() {
	p.countSetAside()
	for _, counted := range []map[string]int{p.result.Types, p.result.Unknown} {
		for name := range counted {
			p.decoded.FirstSeen = append(p.decoded.FirstSeen, FirstSeen{Corp: p.row.Corp, Name: name, At: p.row.At})
		}
	}
	ids := distinctIDs(p.files)
	p.result.Files, p.fileIDs = len(ids), ids[:min(len(ids), archive.MaxFileIDs)]
}

// countSetAside counts the records set aside by reason. It first settles the
// reason of those that no key opened, see [pageKeys.unopened].
func (p *pageDecode) countSetAside() {
	for i := range p.decoded.SetAside {
		s := &p.decoded.SetAside[i]
		if s.Reason == archive.ReasonNoKey {
			s.Reason = p.keys.unopened(s.KeyVersion)
		}
		p.result.SetAside[string(s.Reason)]++
	}
}

// distinctIDs returns the ids of the files, sorted, each once.
func distinctIDs(files []media.File) []string {
	var ids []string
	for _, f := range files {
		ids = append(ids, f.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
