package message

import "strings"

// kinds are the msgtypes that we know, each with the keys its payload was seen
// under besides its own name (wecom.md 2.1); info is tried for all.
var kinds = map[string][]string{
	"text": nil, "image": nil, "revoke": nil, "agree": nil, "disagree": {"agree"}, "voice": nil, "video": nil,
	"card": nil, "location": nil, "emotion": nil, "file": nil, "link": nil, "weapp": nil, "chatrecord": nil,
	"todo": nil, "vote": nil, "collect": nil, "redpacket": nil, "external_redpacket": {"redpacket"},
	"meeting": nil, "meeting_notification": nil, "docmsg": {"doc"}, "markdown": nil, "news": nil, "calendar": nil,
	"mixed": nil, "meeting_voice_call": nil, "voip_doc_share": nil, "sphfeed": nil, "voiptext": nil,
	"qydiskfile": nil, "solitaire": nil, "note": nil,
}

// squeezed finds a kind by its squeezed name, which takes in the aliases that
// were seen: voipdocshare, ChatRecordSphFeed.
var squeezed = func() map[string]string {
	m := map[string]string{"doc": "docmsg"}
	for kind := range kinds {
		m[squeeze(kind)] = kind
	}
	return m
}()

// Canonical is the kind that messages of a msgtype are read as, however it is
// spelled, as in [View].Kind: voipdocshare is voip_doc_share. It is
// [KindUnknown] for a type that we do not know; see [Known].
func Canonical(msgtype string) string {
	if kind := squeezed[squeeze(msgtype)]; kind != "" {
		return kind
	}
	return KindUnknown
}

// Known reports whether messages of a msgtype are understood, and not merely
// shown as they are.
func Known(msgtype string) bool { return squeezed[squeeze(msgtype)] != "" }

// squeeze makes one of the spellings of a type.
func squeeze(kind string) string { return strings.ReplaceAll(strings.ToLower(kind), "_", "") }

// itemKind finds the kind of an item: chat records prefix and capitalise the
// types, though not always (wecom.md 2.3).
func itemKind(name string) string {
	s := squeeze(name)
	if plain := strings.TrimPrefix(s, "chatrecord"); plain != "" {
		s = plain
	}
	return squeezed[s]
}
