package message_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/shared/message"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name string
		raw  string
		want message.Fields
		ok   bool
	}{
		{"single chat", `{"msgid":"m1","action":"send","from":"lin.hua","tolist":["0042"],"roomid":"","msgtime":1767225600123,"msgtype":"text","text":{"content":"x"}}`,
			message.Fields{MsgID: "m1", Action: "send", From: "lin.hua", ToList: []string{"0042"}, Time: 1767225600123, Type: "text"}, true},
		{"switch", `{"msgid":"m2","action":"switch","time":1767225720840,"user":"lin.hua"}`,
			message.Fields{MsgID: "m2", Action: "switch", Time: 1767225720840, User: "lin.hua"}, true},
		{"time as a string", `{"msgid":"m","msgtime":"1685063000000"}`, message.Fields{MsgID: "m", Time: 1685063000000}, true},
		{"time in seconds", `{"msgtime":1685063000}`, message.Fields{Time: 1685063000000}, true},
		{"time as a float", `{"msgtime":1.685063e12}`, message.Fields{Time: 1685063000000}, true},
		{"time beyond calendars", `{"msgtime":253402300800000}`, message.Fields{}, true},
		{"time before 1970", `{"msgtime":-1}`, message.Fields{}, true},
		{"no time", `{"msgtime":0}`, message.Fields{}, true},
		{"numeric userid keeps its zeros", `{"from":"0000726"}`, message.Fields{From: "0000726"}, true},
		{"userid as a number", `{"from":726}`, message.Fields{From: "726"}, true},
		{"one receiver, not in a list", `{"tolist":"a"}`, message.Fields{ToList: []string{"a"}}, true},
		{"wrong types", `{"from":{"a":1},"tolist":{"b":2},"msgtime":[1],"roomid":null}`, message.Fields{Unplaced: true}, true},
		{"receivers as objects", `{"from":"a","tolist":[{"userid":"0042"},{"external_userid":"wm1"},{"userId":"b"}]}`, message.Fields{From: "a", ToList: []string{"0042", "wm1", "b"}}, true},
		{"one receiver as an object", `{"from":"a","tolist":{"userid":"0042"}}`, message.Fields{From: "a", ToList: []string{"0042"}}, true},
		{"receivers in a string", `{"from":"a","tolist":"[\"0042\",{\"userid\":\"wm1\"}]"}`, message.Fields{From: "a", ToList: []string{"0042", "wm1"}}, true},
		{"receivers in one text", `{"from":"a","tolist":"0042|wm1"}`, message.Fields{From: "a", ToList: []string{"0042", "wm1"}}, true},
		{"a receiver without an id", `{"from":"a","tolist":["0042",{"name":"林"}]}`, message.Fields{From: "a", Unplaced: true}, true},
		{"a receiver of two people", `{"from":"a","tolist":[{"userid":"0042","external_userid":"wm1"}]}`, message.Fields{From: "a", Unplaced: true}, true},
		{"a receiver that is null", `{"from":"a","tolist":["0042",null]}`, message.Fields{From: "a", Unplaced: true}, true},
		{"other spellings", `{"msgId":"m","toList":["b"],"roomId":"wr1","msg_time":1767225600123}`, message.Fields{MsgID: "m", ToList: []string{"b"}, RoomID: "wr1", Time: 1767225600123}, true},
		{"receivers in lists", `{"from":"a","tolist":[["0042"]]}`, message.Fields{From: "a", Unplaced: true}, true},
		{"sender and room as objects", `{"from":{"userid":"a"},"roomid":{"roomid":"wr1"}}`, message.Fields{From: "a", RoomID: "wr1"}, true},
		{"blanks around ids", `{"from":" a\t","tolist":["0042 ","\n"]}`, message.Fields{From: "a", ToList: []string{"0042"}}, true},
		{"objects in strings", `{"from":"{\"userid\":\"a\"}","tolist":["{\"external_userid\":\"wm1\"}"]}`, message.Fields{From: "a", ToList: []string{"wm1"}}, true},
		{"object without an id in a string", `{"from":"a","tolist":["{\"name\":\"林\"}"]}`, message.Fields{From: "a", Unplaced: true}, true},
		{"list in a string in a list", `{"from":"a","tolist":["[\"0042\"]"]}`, message.Fields{From: "a", Unplaced: true}, true},
		{"number of no room", `{"from":"a","roomid":0}`, message.Fields{From: "a"}, true},
		{"in a string", `"{\"from\":\"y\"}"`, message.Fields{From: "y"}, true},
		{"in strings within strings", `"\"{\\\"from\\\":\\\"y\\\"}\""`, message.Fields{From: "y"}, true},
		{"alone in a list", `[{"from":"y"}]`, message.Fields{From: "y"}, true},
		{"UTF-16 without a mark", "{\x00\"\x00f\x00r\x00o\x00m\x00\"\x00:\x00\"\x00y\x00\"\x00}\x00", message.Fields{From: "y"}, true},
		{"two in a list", `[{"from":"y"},{"from":"z"}]`, message.Fields{}, false},
		{"backslash in a name", `{"from":"C:\Users\x"}`, message.Fields{From: `C:\Users\x`}, true},
		{"backslash before u", `{"from":"C:\users"}`, message.Fields{From: `C:\users`}, true},
		{"control characters", "{\"from\":\"a\x01\x00b\",\x02\"msgtype\":\"te\nxt\"}\x00", message.Fields{From: "a\x01\x00b", Type: "te\nxt"}, true},
		{"invalid UTF-8", "{\"from\":\"a\xff\"}", message.Fields{From: "a\uFFFD"}, true},
		{"key in other capitals beside the key", `{"From":"x","from":"y","FROM":"z"}`, message.Fields{From: "y"}, true},
		{"deep", `{"from":"y","x":` + string(bytes.Repeat([]byte("["), 5000)) + string(bytes.Repeat([]byte("]"), 5000)) + `}`, message.Fields{From: "y"}, true},
		{"deeper than encoding/json reads", `{"from":"y","x":` + string(bytes.Repeat([]byte("["), 20_000)) + string(bytes.Repeat([]byte("]"), 20_000)) + `}`, message.Fields{From: "y"}, true},
		{"byte order mark", "\ufeff{\"from\":\"y\"}", message.Fields{From: "y"}, true},
		{"not an object", `["a"]`, message.Fields{}, false},
		{"null", `null`, message.Fields{}, false},
		{"cut", `{"from":"y"`, message.Fields{}, false},
		{"two objects", `{"from":"y"}{"from":"z"}`, message.Fields{}, false},
		{"empty", ``, message.Fields{}, false},
		{"binary", "\x00\x01\xfe", message.Fields{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := []byte(tt.raw)
			got, ok := message.Parse(raw)
			if !reflect.DeepEqual(got, tt.want) || ok != tt.ok {
				t.Errorf("got %+v, %v\nwant %+v, %v", got, ok, tt.want, tt.ok)
			}
			if string(raw) != tt.raw {
				t.Error("Parse changed its input")
			}
		})
	}
}

func TestPartiesAndKind(t *testing.T) {
	tests := []struct {
		name    string
		fields  message.Fields
		parties []string
		kind    string
	}{
		{"unplaced", message.Fields{From: "a", ToList: []string{"b"}, Unplaced: true, Type: "text"}, []string{}, "text"},
		{"unplaced in a room", message.Fields{From: "a", RoomID: "r", Unplaced: true, Type: "text"}, []string{"a"}, "text"},
		{"message", message.Fields{From: "a", ToList: []string{"b", "", "a"}, Action: "send", Type: "text"}, []string{"a", "b", "a"}, "text"},
		{"switch", message.Fields{User: "a", Action: "switch"}, []string{"a"}, "switch"},
		{"nothing", message.Fields{}, []string{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.fields.Parties(); !slices.Equal(got, tt.parties) {
				t.Errorf("got parties %v, want %v", got, tt.parties)
			}
			if got := tt.fields.Kind(); got != tt.kind {
				t.Errorf("got kind %s, want %s", got, tt.kind)
			}
		})
	}
}

func TestCanonical(t *testing.T) {
	for msgtype, want := range map[string]string{
		"text": "text", "TEXT": "text", "voipdocshare": "voip_doc_share", "voip_doc_share": "voip_doc_share", "doc": "docmsg",
		"external_redpacket": "external_redpacket", "": message.KindUnknown, "hologram": message.KindUnknown,
		"ChatRecordText": message.KindUnknown, // a type of items in a chat record, never of messages
	} {
		if got := message.Canonical(msgtype); got != want {
			t.Errorf("%q: got %s, want %s", msgtype, got, want)
		}
		if got := message.Known(msgtype); got != (want != message.KindUnknown) {
			t.Errorf("%q: got known %v", msgtype, got)
		}
		raw := []byte(`{"msgtype":"` + msgtype + `","x":1}`)
		if got := message.Read(raw).Kind; got != want {
			t.Errorf("%q: got content of kind %s, want %s", msgtype, got, want)
		}
	}
}

func FuzzTolerable(f *testing.F) {
	for _, s := range []string{`{"a":"b"}`, "{\"a\":\"\\\x01\"}", "\"\\\\\x00\"", "{\n\"a\":\t1}", strings.Repeat("[", 9000) + "\"\x01\"" + strings.Repeat("]", 9000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		out := message.Tolerable(raw)
		message.Parse(raw)
		if !bytes.Equal(raw, before) {
			t.Fatal("the input was changed")
		}
		if json.Valid(raw) && !json.Valid(out) {
			t.Fatal("valid JSON became invalid")
		}
		if bytes.ContainsFunc(out, func(r rune) bool { return r < 0x20 }) {
			t.Fatal("a control character is left")
		}
	})
}

func BenchmarkParse(b *testing.B) {
	raw := []byte(`{"msgid":"7310022004455667788_1767225600123","action":"send","from":"lin.hua","tolist":["wmEXAMPLEcustomer001"],"roomid":"","msgtime":1767225600123,"msgtype":"text","text":{"content":"明天几点到？[微笑]"}}`)
	for b.Loop() {
		message.Parse(raw)
	}
}
