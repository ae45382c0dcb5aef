package message

// Content is what a screen shows of a message. A screen can show it without knowing
// WeCom's forms. It follows only from the message's bytes and this package, and is
// made again whenever the message is shown.
type Content struct {
	Fields Fields `json:"fields"`
	// Kind is the msgtype as wecom.md 2.3 spells it, or one of the Kind
	// constants.
	Kind string `json:"kind"`
	// Text is the message as text, for lists, search and export. It holds the whole
	// text that a person wrote, and up to 4000 characters of other content.
	Text  string `json:"text"`
	Parts []Part `json:"parts"`
	// Files lists all files that the message names, at any depth and in unknown
	// types too, in the order of Parts.
	Files   []File   `json:"files,omitempty"`
	Revokes string   `json:"revokes,omitempty"` // the msgid of the message that this message revokes
	Consent *Consent `json:"consent,omitempty"`
	// Unknown lists what WeCom sent and this package does not know, such as
	// "image.hue" or "msgtype=hologram", sorted, at most 50. It tells developers
	// what is new in WeCom.
	Unknown []string `json:"unknown,omitempty"`
}

// The kinds that are not a msgtype.
const (
	KindSwitch     = "switch"     // action switch, which has no msgtype
	KindUnknown    = "unknown"    // an unknown msgtype; Fields.Type holds it
	KindUnreadable = "unreadable" // the bytes are not a JSON object
)

// File is a file that a message names. All fields except the id come from the
// sender's client and may be wrong. Name and Ext may hold any characters, also path
// separators and control characters.
type File struct {
	// SDKFileID is the id that WeCom's library takes. No reader needs it, so it is
	// not part of an answer. It names the file in every version of this package,
	// while Path and the order of files may change.
	SDKFileID string `json:"-"`
	// Path is the place of the file, as far as it is known: an index into Parts,
	// then in turn into the Items of a chatrecord and the Parts of an item or note.
	Path    []int  `json:"path"`
	Kind    string `json:"kind"` // the Type of its part; generic in an unknown field
	Name    string `json:"name"` // empty if unknown
	Ext     string `json:"ext"`  // without a dot; empty if unknown
	Size    int64  `json:"size"` // bytes; 0 may mean unknown
	MD5     string `json:"md5"`  // hex; may be empty
	Seconds int64  `json:"seconds"`
}

// The bounds of a Content.
const (
	maxDepth   = 32   // chatrecords and lists within one another
	maxItems   = 5000 // of all lists together
	maxText    = 4000 // characters of Content.Text, except texts that a person wrote
	maxValue   = 500  // characters of a Field's value
	maxUnknown = 50   // entries of Content.Unknown
	maxFields  = 100  // of a part
	maxName    = 100  // characters of an entry of Content.Unknown
)

// Files returns Read(raw).Files. It is faster for the many messages without files.
func Files(raw []byte) []File {
	if !mayHoldFiles(narrow(raw)) {
		return nil
	}
	return Read(raw).Files
}

// Read reads a message's content. It never fails: content in an unknown form appears
// as a generic part. Its time and memory are bounded by a multiple of the size of raw.
func Read(raw []byte) Content {
	o, doc, ok := messageIn(Tolerable(raw))
	r := newReader(o, len(raw))
	if !ok {
		r.findInBytes(doc)
		r.view.Kind, r.view.Text = KindUnreadable, "[无法读取的消息]"
		r.view.Parts = []Part{Generic{Type: PartGeneric, Fields: []Field{}, Raw: validUTF8(raw)}}
		return r.view
	}
	r.message()
	r.findOverwritten(doc)
	return r.view
}

// Skim is Read without parts, text and the places of files. It is for messages that
// are too large for a screen: it takes memory of a few times their size, and Read
// takes many times their size.
func Skim(raw []byte) Content {
	o, raw, ok := messageIn(Tolerable(raw))
	r := newReader(nil, len(raw))
	if !ok {
		r.findInBytes(raw)
		r.view.Kind = KindUnreadable
		return r.view
	}
	r.view.Fields = takeFields(o)
	r.view.Kind = kindOf(r.view.Fields)
	r.findFiles(PartGeneric, raw)
	return r.view
}
