package message

// View is a message in a form that can be drawn without knowing WeCom's
// oddities. It follows from the message's bytes and this package alone, and
// is made anew whenever a message is shown.
type Content struct {
	Fields Fields `json:"fields"`
	// Kind is the msgtype as wecom.md 2.3 spells it, or one of the Kind
	// constants.
	Kind string `json:"kind"`
	// Text is the message as text, for lists, search and export: all of what
	// a person wrote, up to 4000 characters of anything else.
	Text  string `json:"text"`
	Parts []Part `json:"parts"`
	// Files are all files that the message refers to, in any depth and in
	// types that we do not know too, in the order of Parts.
	Files   []File   `json:"files,omitempty"`
	Revokes string   `json:"revokes,omitempty"` // the msgid that this message withdraws
	Consent *Consent `json:"consent,omitempty"`
	// Unknown lists what WeCom sent and we do not know, such as "image.hue" or
	// "msgtype=hologram", sorted, 50 at most: news from WeCom for a developer.
	Unknown []string `json:"unknown,omitempty"`
}

// The kinds that are no msgtype.
const (
	KindSwitch     = "switch"     // action switch, which has no msgtype
	KindUnknown    = "unknown"    // a msgtype that we do not know; Fields.Type has it
	KindUnreadable = "unreadable" // no JSON object
)

// File is a file that a message refers to. But for the id, WeCom tells what
// the sender's client said: it need not be true, and Name and Ext may hold
// anything, path separators and control characters too.
type File struct {
	// SDKFileID is what WeCom's library asks for. It is not for pages: no
	// reader needs it. It names the file also for later versions of this
	// package, while Path and the order of files may change with them.
	SDKFileID string `json:"-"`
	// Path is where the file stands, as far as that is known: an index into
	// Parts, then in turn into the Items of a chatrecord and the Parts of an
	// item or note.
	Path    []int  `json:"path"`
	Kind    string `json:"kind"` // the Type of its part; generic in a field that we do not know
	Name    string `json:"name"` // empty if it has none
	Ext     string `json:"ext"`  // without a dot; empty if WeCom does not tell
	Size    int64  `json:"size"` // bytes; 0 may mean unknown
	MD5     string `json:"md5"`  // hex; may be empty
	Seconds int64  `json:"seconds"`
}

// The bounds of a view.
const (
	maxDepth   = 32   // chatrecords and lists within one another
	maxItems   = 5000 // of all lists together
	maxText    = 4000 // characters of View.Text that nobody wrote
	maxValue   = 500  // characters of a Field's value
	maxUnknown = 50   // entries of View.Unknown
	maxFields  = 100  // of a part
	maxName    = 100  // characters of an entry of View.Unknown
)

// Files returns what Read(raw).Files is, faster for the many messages that
// have none.
func Files(raw []byte) []File {
	if !mayHoldFiles(raw) {
		return nil
	}
	return Read(raw).Files
}

// Read never fails: what it does not understand it shows as it is. Its time and
// memory are bounded by a multiple of the size of raw, whatever raw is.
func Read(raw []byte) Content {
	o, ok := parseObject(Tolerable(raw))
	if !ok {
		return Content{
			Kind: KindUnreadable, Text: "[无法读取的消息]",
			Parts: []Part{Generic{Type: PartGeneric, Fields: []Field{}, Raw: validUTF8(raw)}},
		}
	}
	r := newReader(o, len(raw))
	r.message()
	return r.view
}

// Skim is Read without parts and text, for messages that are too long to be
// drawn: it takes memory of a few times their size, where Read takes many. Of
// files it does not say where they stand.
func Skim(raw []byte) Content {
	raw = Tolerable(raw)
	o, ok := parseObject(raw)
	if !ok {
		return Content{Kind: KindUnreadable}
	}
	r := newReader(nil, len(raw))
	r.view.Fields = takeFields(o)
	r.view.Kind = kindOf(r.view.Fields)
	r.findFiles(PartGeneric, raw)
	return r.view
}
