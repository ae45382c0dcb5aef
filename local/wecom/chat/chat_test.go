package chat_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/local/wecom/chat"
)

func scene(seed uint64) chat.Scene {
	return chat.Scene{
		Rand: rand.New(rand.NewPCG(seed, 0)), MsgID: "7310022004455667788_1767225600123", From: "lin.hua", To: []string{"0042", "wmEXAMPLEcustomer001"},
		Room: "wrEXAMPLEroom0001", Time: time.UnixMilli(1767225600123), Size: -1,
		Attach: func(ext string, size int) chat.Attachment {
			return chat.Attachment{FileID: "FID-" + ext, MD5: "0cc175b9c0f1b6a831c399e269772661", Size: 70111}
		},
	}
}

func compose(t *testing.T, name string, s chat.Scene) []byte {
	t.Helper()
	k, ok := chat.Lookup(name)
	if !ok {
		t.Fatalf("kind %s unknown", name)
	}
	return k.Compose(s)
}

// unparsable lists the only kinds that a strict JSON parser refuses.
var unparsable = []string{
	"text/control", "text/nul", "file/hostile-name", "unknown/too-deep", "unreadable/plain",
}

// notObject is the kind whose JSON is not an object.
const notObject = "unreadable/array"

// payloads lists the members of a kind's payload. A kind that is not listed has
// one member with the name of the type (wecom.md 2.1).
var payloads = map[string]string{
	"docmsg/plain": "doc", "markdown/plain": "info", "news/plain": "info", "news/flat": "info", "meeting_notification/plain": "info",
	"voiptext/plain": "info", "qydiskfile/plain": "info", "note/plain": "info", "external_redpacket/plain": "redpacket",
	"disagree/as-agree": "agree", "vote/plain": "voteid voteitem votetitle votetype", "todo/flat": "content title",
	"meeting_voice_call/plain": "meeting_voice_call voiceid", "meeting_voice_call/short": "meeting_voice_call voiceid",
	"voip_doc_share/plain": "voip_doc_share voipid", "switch/plain": "time user",
	"unknown/plain": "hologram", "unknown/deep": "hologram",
}

// envelope lists the members that all messages share (wecom.md 2.1).
var envelope = []string{"msgid", "action", "from", "tolist", "roomid", "msgtime", "msgtype"}

func TestUnparsableKinds(t *testing.T) {
	for _, name := range append(slices.Clone(unparsable), notObject) {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(compose(t, name, scene(1)), &m); err == nil {
			t.Errorf("%s: encoding/json accepts the message as an object", name)
		}
	}
}

func TestEnvelopeAndPayloadOfEveryKind(t *testing.T) {
	for _, k := range chat.Kinds() {
		if slices.Contains(unparsable, k.Name) || k.Name == notObject {
			continue
		}
		t.Run(k.Name, func(t *testing.T) {
			raw := k.Compose(scene(1))
			var m map[string]json.RawMessage
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Fatal(err)
			}
			if !utf8.Valid(raw) != (k.Name == "text/invalid-utf8") {
				t.Errorf("valid UTF-8: got %t", utf8.Valid(raw))
			}
			checkEnvelope(t, k, m)
			want, ok := payloads[k.Name]
			if !ok {
				want = k.Type()
			}
			if got := strings.Join(payload(m), " "); got != want {
				t.Errorf("payload: got %s, want %s", got, want)
			}
		})
	}
}

func checkEnvelope(t *testing.T, k chat.Kind, m map[string]json.RawMessage) {
	t.Helper()
	if got := string(m["msgid"]); got != `"7310022004455667788_1767225600123"` {
		t.Errorf("msgid: got %s", got)
	}
	action, msgtype := `"send"`, `"`+k.Type()+`"`
	switch k.Type() {
	case "revoke":
		action = `"recall"`
	case "switch":
		action, msgtype = `"switch"`, ""
	case "unknown":
		msgtype = `"hologram"`
	}
	if string(m["action"]) != action || string(m["msgtype"]) != msgtype {
		t.Errorf("got action %s and msgtype %s, want %s and %s", m["action"], m["msgtype"], action, msgtype)
	}
	withoutRoom := k.Type() == "meeting_voice_call" || k.Type() == "voip_doc_share" || k.Type() == "switch"
	if _, ok := m["roomid"]; ok == withoutRoom {
		t.Errorf("roomid: got present %t, want %t", ok, !withoutRoom)
	}
}

// payload lists the members outside the envelope.
func payload(m map[string]json.RawMessage) []string {
	var names []string
	for name := range m {
		if !slices.Contains(envelope, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// A text message equals the example of wecom.md 2.3 byte for byte.
func TestTextAsDocumented(t *testing.T) {
	s := scene(1)
	s.To, s.Room, s.Text = []string{"0042"}, "", "明天几点到？[微笑]"
	want := `{"msgid":"7310022004455667788_1767225600123","action":"send","from":"lin.hua","tolist":["0042"],"roomid":"","msgtime":1767225600123,"msgtype":"text","text":{"content":"明天几点到？[微笑]"}}`
	if got := string(compose(t, "text", s)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOddBytesStayUnchanged(t *testing.T) {
	for name, want := range map[string]string{
		"text/control": "\x01\x02\x03", "text/nul": "\x00", "text/invalid-utf8": "\xf0\x9f\x98 ", "text/html": "<script>", "unknown/plain": "18446744073709551615",
		"file/hostile-name": "../..\\\\a/\\\"b\x01\r",
	} {
		if got := compose(t, name, scene(1)); !bytes.Contains(got, []byte(want)) {
			t.Errorf("%s: got %q, want %q in it", name, got, want)
		}
	}
}

// The contents of mixed and chatrecord items are JSON in strings, to any depth.
func TestNestedContents(t *testing.T) {
	type item struct {
		Type    string
		Content string
		Time    int64 `json:"msgtime"`
	}
	type bundle struct{ Item []item }
	var depth func(content string) int
	depth = func(content string) int {
		if content == "" { // the items of news are not items of a bundle
			return 0
		}
		var b bundle
		if err := json.Unmarshal([]byte(content), &b); err != nil {
			t.Fatalf("%v in %.100s", err, content)
		}
		most := 0
		for _, i := range b.Item {
			most = max(most, 1+depth(i.Content))
		}
		return most
	}
	for name, want := range map[string]int{"mixed/plain": 1, "mixed/emotion": 1, "chatrecord/plain": 2, "chatrecord/bare": 2, "chatrecord/nested": 2, "chatrecord/deep": 9} {
		var m struct{ Mixed, ChatRecord json.RawMessage }
		if err := json.Unmarshal(compose(t, name, scene(1)), &m); err != nil {
			t.Fatal(err)
		}
		if got := depth(string(append(m.Mixed, m.ChatRecord...))); got != want {
			t.Errorf("%s: got %d levels, want %d", name, got, want)
		}
	}
	for name, want := range map[string]bool{"chatrecord/plain": false, "chatrecord/bare": true} {
		var m struct{ ChatRecord bundle }
		if err := json.Unmarshal(compose(t, name, scene(1)), &m); err != nil {
			t.Fatal(err)
		}
		first := m.ChatRecord.Item[0]
		if ms := first.Time > 1e11; ms != want || strings.HasPrefix(first.Type, "ChatRecord") == want {
			t.Errorf("%s: got %s at %d", name, first.Type, first.Time)
		}
	}
}

func TestOrdinaryTraffic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n = 20000
	met, size, inRange := map[string]int{}, 0, 0
	for range n {
		k := chat.Ordinary(r, false)
		if k.Room {
			t.Fatalf("%s outside a room", k.Name)
		}
		met[k.Type()]++
		if k.Name == "text/plain" {
			s := scene(r.Uint64())
			raw := k.Compose(s)
			content := len(raw) - bytes.Index(raw, []byte(`"content":"`)) - len(`"content":""}}`)
			size++
			if content >= 100 && content <= 1100 {
				inRange++
			}
		}
	}
	if met["text"] < n*65/100 || met["text"] > n*85/100 || met["image"] < n*5/100 || len(met) < 15 {
		t.Errorf("counts by type: got %v", met)
	}
	if inRange < size*99/100 {
		t.Errorf("texts of 100 to 1000 bytes: got %d of %d", inRange, size)
	}
	for range 100 {
		if k := chat.Ordinary(r, true); k.Name == "" {
			t.Fatal("no kind for a room")
		}
	}
}

func TestLookup(t *testing.T) {
	for name, want := range map[string]string{"text": "text/plain", "text/quote": "text/quote", "telepathy": "", "": ""} {
		if k, ok := chat.Lookup(name); k.Name != want || ok != (want != "") {
			t.Errorf("%q: got %q", name, k.Name)
		}
	}
	seen := map[string]bool{}
	for _, k := range chat.Kinds() {
		if seen[k.Name] {
			t.Errorf("%s: listed twice", k.Name)
		}
		seen[k.Name] = true
	}
}
