package chat

import (
	"fmt"
	"strconv"
)

// An object is a JSON object with ordered members. Names and values alternate.
type object []any

// A raw is a JSON string in which only quotes, backslashes and line feeds are
// escaped. It can contain bytes that a strict writer would refuse: control
// characters, NUL and invalid UTF-8.
type raw string

// appendJSON appends v as JSON. v has one of the types that this package uses.
// Unlike encoding/json, appendJSON keeps the order of members, escapes no HTML and
// keeps invalid UTF-8.
func appendJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case object:
		dst = append(dst, '{')
		for i := 0; i < len(v); i += 2 {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, v[i].(string), false)
			dst = append(dst, ':')
			dst = appendJSON(dst, v[i+1])
		}
		return append(dst, '}')
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, e)
		}
		return append(dst, ']')
	case []string:
		list := make([]any, len(v))
		for i, s := range v {
			list[i] = s
		}
		return appendJSON(dst, list)
	case string:
		return appendString(dst, v, false)
	case raw:
		return appendString(dst, string(v), true)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case uint64:
		return strconv.AppendUint(dst, v, 10)
	case float64:
		return strconv.AppendFloat(dst, v, 'f', -1, 64)
	case bool:
		return strconv.AppendBool(dst, v)
	default:
		panic(fmt.Sprintf("chat: type %T unsupported", v))
	}
}

// appendString appends a JSON string. With asIs it keeps control characters except
// the line feed.
func appendString(dst []byte, s string, asIs bool) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c < 0x20 && !asIs:
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// text is v as a JSON document in a string. Some of WeCom's fields are strings
// that contain JSON.
func text(v any) string { return string(appendJSON(nil, v)) }
