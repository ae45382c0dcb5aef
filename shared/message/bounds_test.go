package message_test

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/shared/message"
)

// hostile returns messages of about size bytes that tempt a reader to allocate far
// more than their size.
func hostile(size int) map[string][]byte {
	of := func(unit string) string { return strings.Repeat(unit, size/len(unit)) }
	in := func(msgtype, payload string) []byte {
		return fmt.Appendf(nil, `{"msgid":"m","msgtype":%q,%[1]q:%s}`, msgtype, payload)
	}
	// Quotes that are escaped as \u0022 grow by a few bytes with each level.
	wrapped := `{"sdkfileid":"F"}`
	for len(wrapped) < size {
		s := strings.NewReplacer(`\`, `\u005c`, `"`, `\u0022`).Replace(wrapped)
		wrapped = `["` + s + `"]`
	}
	long := of("x")
	bulk := func(open, end string) string {
		return strings.Repeat(open, 31) + `{"content":"` + long + `"}` + strings.Repeat(end, 31)
	}
	return map[string][]byte{
		"quotes":                    in("text", `{"content":"这是一条引用/回复消息：\n\"甲：\n`+of(`\"\n------\n“-”\n`)+`"}`),
		"runs of base64":            in("hologram", `["`+of("a")+`",{"x":"`+of("b")+`"}]`),
		"names of file ids":         []byte(strings.Repeat(`{"a":"sdkfileid","b":`, size/20)),
		"text":                      in("text", `{"content":"`+long+`"}`),
		"strings in strings":        in("hologram", wrapped),
		"records in records":        in("chatrecord", bulk(`{"title":"t","item":[{"type":"chatrecord","content":`, `}]}`)),
		"lists beside a file":       in("hologram", `[{"sdkfileid":"F"}`+of(",[]")+`]`),
		"objects beside a file":     in("hologram", `[{"sdkfileid":"F"}`+of(",{}")+`]`),
		"strings beside a file":     in("hologram", `[{"sdkfileid":"F"}`+of(`,"[]"`)+`]`),
		"lists within one another":  in("hologram", `[{"sdkfileid":"F"},`+strings.Repeat("[", 8000)+`"`+long+`"`+strings.Repeat("]", 8000)+`]`),
		"members":                   in("hologram", `{"sdkfileid":"F"`+strings.Repeat(`,"m":0`, size/6)+`}`),
		"files":                     in("hologram", `[{"sdkfileid":"F"}`+of(`,{"sdkfileid":"G"}`)+`]`),
		"files in strings":          in("hologram", `[{"sdkfileid":"F"}`+of(`,"{\"sdkfileid\":\"G\"}"`)+`]`),
		"items":                     in("mixed", `{"item":[{"type":"image","content":{"sdkfileid":"F"}}`+of(`,1`)+`]}`),
		"receivers":                 []byte(`{"msgid":"m","tolist":["a"` + of(`,"b"`) + `],"msgtype":"image","image":{"sdkfileid":"F"}}`),
		"control characters":        in("image", "{\"sdkfileid\":\"F\",\"x\":\""+of("\x01")+"\"}"),
		"escapes that hide nothing": in("hologram", `{"sdkfileid":"F","x":"`+of(`\u0000`)+`"}`),
	}
}

// allocated returns the number of bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Reading any message allocates at most a multiple of its size. Its time then is a
// multiple of the size too.
func TestReadingIsLinear(t *testing.T) {
	const most = 100
	small, large := hostile(128<<10), hostile(512<<10)
	for name, raw := range large {
		for what, read := range map[string]func([]byte) message.Content{"Read": message.Read, "Skim": message.Skim} {
			ratio := func(raw []byte) float64 {
				return float64(allocated(func() { read(raw) })) / float64(len(raw))
			}
			got, of := ratio(raw), ratio(small[name])
			if got > most || got > 1.5*of+1 {
				t.Errorf("%s, %s: allocated %.0f times the size, and %.0f times the size of a message a fourth as large; want at most %d, and the same", name, what, got, of, most)
			}
		}
	}
	for _, name := range []string{"text", "records in records", "items", "members"} {
		if n := allocated(func() { message.Skim(large[name]) }); n > uint64(3*len(large[name])) {
			t.Errorf("%s: skimming allocated %d bytes for %d", name, n, len(large[name]))
		}
	}
}

// Skim gives the same kind, fields and files as Read.
func TestSkim(t *testing.T) {
	for _, name := range goldens(t) {
		raw := goldenMessage(t, name)
		read, skimmed := message.Read(raw), message.Skim(raw)
		if skimmed.Kind != read.Kind || !reflect.DeepEqual(skimmed.Fields, read.Fields) {
			t.Errorf("%s: got %s with %+v, want %s with %+v", name, skimmed.Kind, skimmed.Fields, read.Kind, read.Fields)
		}
		ids := func(v message.Content) (ids []string) {
			for _, f := range v.Files {
				ids = append(ids, f.SDKFileID)
			}
			slices.Sort(ids)
			return ids
		}
		if got, want := ids(skimmed), ids(read); !slices.Equal(got, want) {
			t.Errorf("%s: got files %v, want %v", name, got, want)
		}
	}
}
