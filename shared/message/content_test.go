package message_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/local/wecom/chat"
	"github.com/yunduo-scrm/archive/shared/message"
)

// scene makes a scene in which every attached file gets an id of its own.
func scene(seed uint64) (s chat.Scene, attached *[]string) {
	attached = new([]string)
	return chat.Scene{
		Rand: rand.New(rand.NewPCG(seed, 0)), MsgID: "7310022004455667788_1767225600123",
		From: "lin.hua", To: []string{"wmEXAMPLEcustomer001", "0000726"}, Room: "wrEXAMPLEroom0001",
		Time: time.UnixMilli(1767225600123), Size: -1,
		Attach: func(ext string, size int) chat.Attachment {
			id := fmt.Sprintf("FID%d%s", len(*attached), ext)
			*attached = append(*attached, id)
			return chat.Attachment{FileID: id, MD5: "0cc175b9c0f1b6a831c399e269772661", Size: max(size, 0)}
		},
	}, attached
}

func TestEverySimulatedMessageIsRead(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range chat.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			s, attached := scene(1)
			raw := k.Compose(s)
			v := message.Read(raw)
			if v.Kind != k.Type() {
				t.Errorf("got kind %s, want %s", v.Kind, k.Type())
			}
			seen[v.Kind] = true
			if k.Type() == message.KindUnknown || k.Type() == message.KindUnreadable {
				return
			}
			if k.Name == "text/empty" { // what shows nothing says so
				if !slices.Equal(v.Unknown, []string{"text"}) {
					t.Errorf("got unknown %q, want the empty text", v.Unknown)
				}
				return
			}
			if out := contentJSON(t, v); len(v.Unknown) > 0 || bytes.Contains(out, []byte(`"generic"`)) {
				t.Errorf("got unknown %q in\n%s", v.Unknown, out)
			}
			var ids []string
			for _, f := range v.Files {
				ids = append(ids, f.SDKFileID)
			}
			slices.Sort(ids)
			slices.Sort(*attached)
			if !slices.Equal(ids, *attached) {
				t.Errorf("got files %v, want %v", ids, *attached)
			}
		})
	}
	for _, msgtype := range msgtypes {
		if !seen[msgtype] {
			t.Errorf("got no simulated message of type %s, want one", msgtype)
		}
	}
}

func TestFilesAreThoseOfRead(t *testing.T) {
	for _, name := range goldens(t) {
		raw := goldenMessage(t, name)
		if got, want := message.Files(raw), message.Read(raw).Files; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	escaped := []byte(`{"msgtype":"image","image":{"sdkf\u0069leid":"F"}}`)
	if got := message.Files(escaped); len(got) != 1 {
		t.Errorf("got %d files behind an escaped name, want 1", len(got))
	}
}

// The path of a file leads to the part that has the file.
func TestPathsOfFiles(t *testing.T) {
	for _, k := range chat.Kinds() {
		s, _ := scene(2)
		v := message.Read(k.Compose(s))
		for i, f := range v.Files {
			parts, path := v.Parts, f.Path
			var part message.Part
			for len(path) > 0 {
				part, path = parts[path[0]], path[1:]
				switch p := part.(type) {
				case message.ChatRecord:
					parts, path = p.Items[path[0]].Parts, path[1:]
				case message.Note:
					parts = p.Parts
				}
			}
			index := reflect.ValueOf(part).FieldByName("File")
			if !index.IsValid() || index.IsNil() || index.Elem().Int() != int64(i) {
				if _, generic := part.(message.Generic); !generic {
					t.Errorf("%s: got %+v at the path %v of file %d", k.Name, part, f.Path, i)
				}
			}
		}
	}
}

// composed makes a message of the type with the payload.
func composed(t testing.TB, msgtype string, payload any) []byte {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"msgid": "m", "action": "send", "from": "a", "tolist": []string{"b"}, "msgtype": msgtype, msgtype: payload})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestTextIsWhole(t *testing.T) {
	long := strings.Repeat("长😀\"\\\n", 10_000)
	for _, msgtype := range []string{"text", "markdown"} {
		v := message.Read(composed(t, msgtype, map[string]any{"content": long}))
		if v.Text != long || v.Parts[0].(message.Text).Text != long {
			t.Errorf("%s: got %d bytes of text, want %d", msgtype, len(v.Text), len(long))
		}
	}
	item := map[string]any{"type": "text", "content": fmt.Sprintf(`{"content":%q}`, strings.Repeat("y", 50_000))}
	v := message.Read(composed(t, "mixed", map[string]any{"item": []any{item}}))
	if len(v.Text) != 50_000 {
		t.Errorf("mixed: got %d bytes of text, want 50000", len(v.Text))
	}
}

func TestTextOfChatRecordsIsBounded(t *testing.T) {
	item := map[string]any{"type": "ChatRecordText", "content": fmt.Sprintf(`{"content":"%s"}`, strings.Repeat("长", 1000))}
	v := message.Read(composed(t, "chatrecord", map[string]any{"title": "t", "item": slices.Repeat([]any{item}, 20)}))
	if n := utf8.RuneCountInString(v.Text); n != 4000 {
		t.Errorf("got %d characters, want 4000", n)
	}
	if got := v.Parts[0].(message.ChatRecord).Items[19].Parts[0].(message.Text).Text; utf8.RuneCountInString(got) != 1000 {
		t.Error("got the part cut, want it whole")
	}
}

func TestTooManyItems(t *testing.T) {
	const n = 20_000
	item := map[string]any{"type": "ChatRecordImage", "msgtime": 1, "content": `{"sdkfileid":"F","md5sum":"","filesize":1}`}
	for _, msgtype := range []string{"chatrecord", "mixed"} {
		v := message.Read(composed(t, msgtype, map[string]any{"item": slices.Repeat([]any{item}, n)}))
		last := v.Parts[len(v.Parts)-1]
		if record, ok := last.(message.ChatRecord); ok {
			last = record.Items[len(record.Items)-1].Parts[0]
		}
		rest, ok := last.(message.Rest)
		if !ok || rest.Type != message.PartMore || rest.Count != n-5000 {
			t.Errorf("%s: got a last part of %T, want the %d items that are not read", msgtype, last, n-5000)
		}
		if len(v.Files) != n {
			t.Errorf("%s: got %d files, want %d, also of the items that are not read", msgtype, len(v.Files), n)
		}
	}
}

// nestedRecords makes chat records within one another, as objects. Strings would not
// do, because each level doubles the escapes.
func nestedRecords(depth int) []byte {
	const open, end = `{"title":"t","item":[{"type":"chatrecord","content":`, `}]}`
	return []byte(`{"msgid":"m","msgtype":"chatrecord","chatrecord":` + strings.Repeat(open, depth) +
		`{"sdkfileid":"F"}` + strings.Repeat(end, depth) + `}`)
}

func TestNesting(t *testing.T) {
	tests := []struct {
		name  string
		raw   []byte
		kind  string
		files int
	}{
		{"1000 records", nestedRecords(1000), "chatrecord", 1},
		{"10000 records", nestedRecords(10_000), "chatrecord", 0}, // deeper than any scan
		{"10000 arrays", []byte(`{"msgid":"m","msgtype":"x","x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`), "unknown", 0},
		{"a million arrays", []byte(`{"msgid":"m","msgtype":"x","x":` + strings.Repeat("[", 1e6) + strings.Repeat("]", 1e6) + `}`), "unknown", 0},
		{"a million objects", []byte(`{"msgid":"m","msgtype":"text","text":` + strings.Repeat(`{"a":`, 1e6) + `1` + strings.Repeat("}", 1e6) + `}`), "text", 0},
		{"brackets in a string", []byte(`{"msgid":"m","msgtype":"text","text":{"content":"` + strings.Repeat("[{", 1e5) + `"}}`), "text", 0},
		{"never closed", []byte(`{"msgid":"m","msgtype":"x","x":` + strings.Repeat("[", 1e6)), "unreadable", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := message.Read(tt.raw)
			if v.Kind != tt.kind || len(v.Files) != tt.files {
				t.Errorf("got %s with %d files, want %s with %d", v.Kind, len(v.Files), tt.kind, tt.files)
			}
			if f, ok := message.Parse(tt.raw); ok != (tt.kind != message.KindUnreadable) || ok && f.MsgID != "m" {
				t.Errorf("Parse: got %+v, %v", f, ok)
			}
			if out, err := json.Marshal(v); err != nil || len(out) > 4*len(tt.raw)+1<<16 {
				t.Errorf("got %d bytes of JSON, %v, of %d", len(out), err, len(tt.raw))
			}
		})
	}
}

func TestUnknownIsBounded(t *testing.T) {
	payload := map[string]any{"content": "x"}
	for i := range 1000 {
		payload[fmt.Sprintf("field%03d%s", i, strings.Repeat("名", 500))] = i
	}
	v := message.Read(composed(t, "text", payload))
	if len(v.Unknown) != 50 {
		t.Errorf("got %d unknown fields, want 50", len(v.Unknown))
	}
	for _, name := range v.Unknown {
		if utf8.RuneCountInString(name) > 100 {
			t.Fatalf("got a name of %d bytes", len(name))
		}
	}
}

// Numbers that a float64 or JSON cannot hold are not rounded and cause no failure.
func TestNumbers(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"not a number", `{"msgtype":"location","location":{"longitude":"NaN","latitude":"1e999","title":"A"}}`, `"longitude":0,"latitude":0`},
		{"negative size", `{"msgtype":"image","image":{"sdkfileid":"F","filesize":-1}}`, `"size":0`},
		{"size beyond 2^53", `{"msgtype":"image","image":{"sdkfileid":"F","filesize":18446744073709551615}}`, `"image.filesize"`},
		{"size with an exponent", `{"msgtype":"image","image":{"sdkfileid":"F","filesize":5.0E9}}`, `"size":5000000000`},
		{"id beyond 2^64", `{"msgtype":"meeting","meeting":{"meetingid":99999999999999999999}}`, `"meeting_id":"99999999999999999999"`},
		{"time beyond calendars", `{"msgtype":"agree","agree":{"agree_time":9007199254740991}}`, `"at":0`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(contentJSON(t, message.Read([]byte(tt.raw)))); !strings.Contains(strings.NewReplacer(" ", "", "\n", "").Replace(got), tt.want) {
				t.Errorf("got %s\nwant it to contain %s", got, tt.want)
			}
		})
	}
}

// checkRead checks that reading any bytes ends, gives the same content twice, leaves
// the bytes unchanged, and gives JSON whose size is bounded by theirs.
func checkRead(t *testing.T, raw []byte) {
	t.Helper()
	before := bytes.Clone(raw)
	v := message.Read(raw)
	if !bytes.Equal(raw, before) {
		t.Fatal("the input was changed")
	}
	out, err := json.Marshal(v)
	if err != nil || !json.Valid(out) || !utf8.Valid(out) {
		t.Fatalf("got %q, %v, want JSON", out, err)
	}
	if limit := 128*len(raw) + 4096; len(out) > limit {
		t.Fatalf("got %d bytes of JSON for %d, want %d at most", len(out), len(raw), limit)
	}
	if again := message.Read(raw); !reflect.DeepEqual(v, again) {
		t.Fatal("got another content at the second reading")
	}
	if skimmed := message.Skim(raw); skimmed.Kind != v.Kind || !reflect.DeepEqual(skimmed.Fields, v.Fields) {
		t.Fatalf("skimmed, got %s with %+v, want %s with %+v", skimmed.Kind, skimmed.Fields, v.Kind, v.Fields)
	}
	if files := message.Files(raw); !reflect.DeepEqual(files, v.Files) {
		t.Fatalf("got files %+v, want those of Read: %+v", files, v.Files)
	}
	if fields, ok := message.Parse(raw); ok != (v.Kind != message.KindUnreadable) || !reflect.DeepEqual(fields, v.Fields) {
		t.Fatalf("got fields %+v, %v of a message of kind %s with %+v", fields, ok, v.Kind, v.Fields)
	}
}

// FuzzFilesInStrings checks that a file is found after blanks and byte order marks,
// in a string and in strings within strings.
func FuzzFilesInStrings(f *testing.F) {
	f.Add("F", uint8(0), uint64(0))
	f.Add("F/+=", uint8(1), uint64(0b01_10_11))
	f.Add("文件", uint8(3), uint64(1<<63|7))
	f.Fuzz(func(t *testing.T, id string, wraps uint8, blanks uint64) {
		// The reader takes control characters, and blanks at the ends, off an id: none has any.
		id = strings.TrimSpace(strings.Map(func(c rune) rune {
			if unicode.IsControl(c) {
				return -1
			}
			return c
		}, strings.ToValidUTF8(strings.ReplaceAll(id, "\ufffd", ""), "")))
		if id == "" {
			return
		}
		quoted, _ := json.Marshal(id)
		content := `{"sdkfileid":` + string(quoted) + `}`
		for range wraps%4 + 1 {
			for range 5 {
				content = []string{"", " ", "\n\t", "\ufeff"}[blanks%4] + content
				blanks /= 4
			}
			wrapped, _ := json.Marshal(content)
			content = string(wrapped)
		}
		for _, form := range []string{
			`{"msgtype":"image","image":%s}`,
			`{"msgtype":"mixed","mixed":{"item":[{"type":"image","content":%s}]}}`,
		} {
			raw := fmt.Appendf(nil, form, content)
			if files := message.Files(raw); len(files) != 1 || files[0].SDKFileID != id {
				t.Fatalf("got files %+v of %s, want one, %q", files, raw, id)
			}
			checkRead(t, raw)
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, name := range goldens(f) {
		f.Add(goldenMessage(f, name))
	}
	f.Add(nestedRecords(100))
	f.Fuzz(checkRead)
}

// FuzzPayload varies the content of messages that stay valid: as an object, and in
// strings, as within mixed messages and chat records.
func FuzzPayload(f *testing.F) {
	for _, name := range goldens(f) {
		var members map[string]json.RawMessage
		if json.Unmarshal(message.Tolerable(goldenMessage(f, name)), &members) != nil {
			continue
		}
		for _, payload := range members {
			if payload[0] == '{' {
				msgtype, _, _ := strings.Cut(name, "-")
				f.Add(msgtype, []byte(payload))
			}
		}
	}
	f.Fuzz(func(t *testing.T, msgtype string, payload []byte) {
		name, _ := json.Marshal(msgtype)
		inString, _ := json.Marshal(string(payload))
		for _, form := range []string{
			`{"msgid":"m","msgtype":%s,%[1]s:%[2]s}`,
			`{"msgid":"m","msgtype":%s,"info":%[2]s}`,
			`{"msgid":"m","msgtype":"mixed","mixed":{"item":[{"type":%s,"content":%[3]s}]}}`,
			`{"msgid":"m","msgtype":"chatrecord","chatrecord":{"item":[{"type":%s,"content":%[2]s,"msgtime":1},{"type":"chatrecord","content":%[3]s}]}}`,
		} {
			checkRead(t, fmt.Appendf(nil, form, name, payload, inString))
		}
	})
}

func BenchmarkRead(b *testing.B) {
	for _, name := range []string{"text", "image", "mixed", "chatrecord", "chatrecord-all", "chatrecord-nested-three"} {
		b.Run(name, func(b *testing.B) {
			raw := goldenMessage(b, name)
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				message.Read(raw)
			}
		})
	}
	b.Run("text of 100 KB", func(b *testing.B) {
		raw := composed(b, "text", map[string]any{"content": strings.Repeat("长消息", 100<<10/9)})
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			message.Read(raw)
		}
	})
	b.Run("1000 nested records", func(b *testing.B) {
		raw := nestedRecords(1000)
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			message.Read(raw)
		}
	})
}

func BenchmarkFiles(b *testing.B) {
	for _, name := range []string{"text", "image"} {
		b.Run(name, func(b *testing.B) {
			raw := goldenMessage(b, name)
			for b.Loop() {
				message.Files(raw)
			}
		})
	}
}
