package message_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/local/wecom/chat"
	"github.com/yunduo-scrm/archive/shared/message"
)

// each returns a JSON value in which f has replaced every value, the inner ones first.
func each(v any, f func(any) any) any {
	switch w := v.(type) {
	case []any:
		list := make([]any, len(w))
		for i, e := range w {
			list[i] = each(e, f)
		}
		return f(list)
	case map[string]any:
		o := make(map[string]any)
		for name, e := range w {
			o[name] = each(e, f)
		}
		return f(o)
	}
	return f(v)
}

func eachList(p any, f func([]any) any) any {
	return each(p, func(v any) any {
		if list, ok := v.([]any); ok {
			return f(list)
		}
		return v
	})
}

func eachObject(p any, f func(map[string]any) any) any {
	return each(p, func(v any) any {
		if o, ok := v.(map[string]any); ok {
			return f(o)
		}
		return v
	})
}

func eachScalar(p any, f func(any) any) any {
	return each(p, func(v any) any {
		switch v.(type) {
		case string, float64:
			return f(v)
		}
		return v
	})
}

// members returns an object whose members f has renamed, or dropped for an empty name.
func members(v any, f func(name string, v any) string) any {
	o, ok := v.(map[string]any)
	if !ok {
		return v
	}
	to := make(map[string]any)
	for name, e := range o {
		if name = f(name, e); name != "" {
			to[name] = e
		}
	}
	return to
}

func isList(v any) bool {
	_, ok := v.([]any)
	return ok
}

// shapes are the ways in which a payload can differ from what WeCom documents.
var shapes = map[string]func(any) any{
	"as documented": func(p any) any { return p },
	"members renamed": func(p any) any {
		return eachObject(p, func(o map[string]any) any { return members(o, func(n string, _ any) string { return "x" + n }) })
	},
	"top renamed": func(p any) any { return members(p, func(n string, _ any) string { return "x" + n }) },
	"lists renamed": func(p any) any {
		return members(p, func(n string, v any) string { return map[bool]string{true: n + "s_list", false: n}[isList(v)] })
	},
	"lists alone": func(p any) any {
		return members(p, func(n string, v any) string { return map[bool]string{true: n + "s_list"}[isList(v)] })
	},
	"last member alone":  func(p any) any { return lastAlone(p, false) },
	"one member renamed": func(p any) any { return lastAlone(p, true) },
	"empty, and renamed": func(p any) any {
		return eachObject(p, func(o map[string]any) any {
			to := members(o, func(n string, _ any) string { return "x" + n }).(map[string]any)
			for name := range o {
				to[name] = ""
			}
			return to
		})
	},
	"in a list":       func(p any) any { return []any{p} },
	"in lists":        func(p any) any { return []any{[]any{p}} },
	"twice in a list": func(p any) any { return []any{p, p} },
	"in data":         func(p any) any { return map[string]any{"data": p} },
	"in data, deep":   func(p any) any { return map[string]any{"a": map[string]any{"b": []any{p}}} },
	"lists numbered":  func(p any) any { return eachList(p, numbered) },
	"lists numbered by 1": func(p any) any {
		return eachList(p, func(l []any) any {
			o := make(map[string]any)
			for i, e := range l {
				o[fmt.Sprint(i+1)] = e
			}
			return o
		})
	},
	"lists of one opened": func(p any) any {
		return eachList(p, func(l []any) any {
			if len(l) == 1 {
				return l[0]
			}
			return l
		})
	},
	"firsts of lists": func(p any) any {
		return eachList(p, func(l []any) any {
			if len(l) > 0 {
				return l[0]
			}
			return l
		})
	},
	"lists in lists":        func(p any) any { return eachList(p, func(l []any) any { return []any{l} }) },
	"lists in objects":      func(p any) any { return eachList(p, func(l []any) any { return map[string]any{"list": l} }) },
	"objects in lists":      func(p any) any { return eachObject(p, func(o map[string]any) any { return []any{o} }) },
	"values in objects":     func(p any) any { return eachScalar(p, func(v any) any { return map[string]any{"value": v} }) },
	"values in lists":       func(p any) any { return eachScalar(p, func(v any) any { return []any{v} }) },
	"numbers as words":      func(p any) any { return eachScalar(p, worded) },
	"in a string":           func(p any) any { return inString(p) },
	"in a list in a string": func(p any) any { return inString([]any{p}) },
	"a text":                func(any) any { return "只有文字" },
	"a number":              func(any) any { return 20260101.0 },
	"true":                  func(any) any { return true },
	"a list of texts":       func(any) any { return []any{"第一段", "第二段"} },
	"an object of nothing":  func(any) any { return map[string]any{"x": map[string]any{"y": "里面的字"}} },
}

// inString writes an object or a list into a string.
func inString(v any) any {
	switch v.(type) {
	case map[string]any, []any:
		b, _ := json.Marshal(v)
		return string(b)
	}
	return v
}

func numbered(l []any) any {
	o := make(map[string]any)
	for i, e := range l {
		o[fmt.Sprint(i)] = e
	}
	return o
}

func worded(v any) any {
	if n, ok := v.(float64); ok {
		return fmt.Sprintf("约%v", n)
	}
	return v
}

// lastAlone keeps the last member, and renames or drops the others.
func lastAlone(p any, rename bool) any {
	o, ok := p.(map[string]any)
	if !ok || len(o) == 0 {
		return p
	}
	last := slices.Max(slices.Collect(maps.Keys(o)))
	return members(p, func(n string, _ any) string {
		switch {
		case n == last:
			return n
		case rename:
			return "x" + n
		}
		return ""
	})
}

// texts returns the texts of a JSON value, also those in JSON that is in strings.
func texts(v any) (all []string) {
	each(v, func(v any) any {
		s, ok := v.(string)
		if !ok {
			return v
		}
		var in any
		if json.Unmarshal([]byte(s), &in) == nil && in != nil {
			if _, number := in.(float64); !number {
				all = append(all, texts(in)...)
				return v
			}
		}
		all = append(all, s)
		return v
	})
	return all
}

// Whatever the shape of a known kind's payload, each text in it is shown, or belongs to
// a file that is listed. Nothing is blank without an entry in Unknown.
func TestKnownKindsInUnknownShapes(t *testing.T) {
	for _, name := range append(msgtypes, "news-flat", "chatrecord-all", "mixed-all", "vote-nested", "todo-flat") {
		var doc map[string]any
		if err := json.Unmarshal(goldenMessage(t, name), &doc); err != nil {
			t.Fatal(name, err)
		}
		for shape, change := range shapes {
			if shape == "empty, and renamed" && name == "voip_doc_share" {
				continue // its part shows the id beside the payload
			}
			changed, payloads := make(map[string]any), []any(nil)
			for member, v := range doc {
				if slices.Contains([]string{"msgid", "action", "from", "tolist", "roomid", "msgtime", "msgtype", "voiceid", "voipid"}, member) {
					changed[member] = v
					continue
				}
				changed[member] = change(v)
				payloads = append(payloads, changed[member])
			}
			raw, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			checkShown(t, name+", "+shape, raw, payloads)
		}
	}
}

// checkShown checks that a message shows the texts of its payloads.
func checkShown(t *testing.T, what string, raw []byte, payloads []any) {
	t.Helper()
	v := message.Read(raw)
	var parts any
	if b, err := json.Marshal(v.Parts); err != nil || json.Unmarshal(b, &parts) != nil {
		t.Fatal(err)
	}
	shown := strings.Join(texts(parts), "\n") + "\n" + v.Text
	for _, f := range v.Files {
		shown += "\n" + strings.Join([]string{f.SDKFileID, f.MD5, f.Name, f.Ext}, "\n")
	}
	var lost []string
	for _, s := range texts(payloads) {
		if len(s) > 3 && itemType(s) == "" && !md5.MatchString(s) && !strings.Contains(shown, s) {
			lost = append(lost, s)
		}
	}
	switch {
	case len(lost) > 0 && len(v.Unknown) == 0:
		t.Errorf("%s: lost %q in silence, text %q\n%s", what, lost, v.Text, raw)
	case len(lost) > 0 && !strings.Contains(what, "as documented"):
		t.Errorf("%s: lost %q, unknown %q, text %q\n%s", what, lost, v.Unknown, v.Text, raw)
	}
	checkRead(t, raw)
}

var md5 = regexp.MustCompile(`^[0-9a-f]{32}$`) // of a file, which is no content

// itemType returns the type of an item that a text names, which no part shows.
func itemType(s string) string {
	if s = strings.TrimPrefix(s, "ChatRecord"); message.Known(s) {
		return s
	}
	return ""
}

// A member that WeCom adds to a known payload makes no generic part: it is noted.
func TestNewMembersAreOnlyNoted(t *testing.T) {
	for _, k := range chat.Kinds() {
		switch {
		case !message.Known(k.Type()), k.Type() == "solitaire", k.Type() == "note": // their members are not known
			continue
		case k.Name == "text/empty", k.Name == "meeting_voice_call/short": // the new member could be what is missing
			continue
		}
		s, _ := scene(3)
		s.Rand = rand.New(rand.NewPCG(3, 0))
		var doc map[string]any
		if json.Unmarshal(k.Compose(s), &doc) != nil {
			continue
		}
		doc = eachObject(doc, func(o map[string]any) any {
			o["new_member"] = "新"
			return o
		}).(map[string]any)
		raw, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if v := message.Read(raw); len(v.Unknown) == 0 || strings.Contains(string(contentJSON(t, v)), `"generic"`) {
			t.Errorf("%s: got unknown %q in\n%s", k.Name, v.Unknown, contentJSON(t, v))
		}
	}
}
