package message

import "strings"

// kinds lists the known msgtypes, each with the keys that held its payload, besides
// its own name (wecom.md 2.1). The key info is tried for every msgtype.
var kinds = map[string][]string{
	"text": nil, "image": nil, "revoke": nil, "agree": nil, "disagree": {"agree"}, "voice": nil, "video": nil,
	"card": nil, "location": nil, "emotion": nil, "file": nil, "link": nil, "weapp": nil, "chatrecord": nil,
	"todo": nil, "vote": nil, "collect": nil, "redpacket": nil, "external_redpacket": {"redpacket"},
	"meeting": nil, "meeting_notification": nil, "docmsg": {"doc"}, "markdown": nil, "news": nil, "calendar": nil,
	"mixed": nil, "meeting_voice_call": nil, "voip_doc_share": nil, "sphfeed": nil, "voiptext": nil,
	"qydiskfile": nil, "solitaire": nil, "note": nil,
}

// squeezed finds a kind by its squeezed name. So it finds the spellings that were
// seen too: voipdocshare, ChatRecordSphFeed.
var squeezed = func() map[string]string {
	m := map[string]string{"doc": "docmsg"}
	for kind := range kinds {
		m[squeeze(kind)] = kind
	}
	return m
}()

// Canonical returns the kind of messages with a msgtype in any spelling, as in
// [Content].Kind: voipdocshare is voip_doc_share. It returns [KindUnknown] for an
// unknown msgtype; see [Known].
func Canonical(msgtype string) string {
	if kind := squeezed[squeeze(msgtype)]; kind != "" {
		return kind
	}
	return KindUnknown
}

// Known reports whether this package knows the fields of messages with a msgtype.
// Messages of other types appear as generic parts.
func Known(msgtype string) bool { return squeezed[squeeze(msgtype)] != "" }

// squeeze reduces the spellings of a type to one.
func squeeze(kind string) string { return strings.ReplaceAll(strings.ToLower(kind), "_", "") }

// itemKind finds the kind of an item. Chat records usually prefix and capitalise the
// types of their items (wecom.md 2.3).
func itemKind(name string) string {
	s := squeeze(name)
	if plain := strings.TrimPrefix(s, "chatrecord"); plain != "" {
		s = plain
	}
	return squeezed[s]
}
