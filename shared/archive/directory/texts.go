package directory

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible returns a text of a person without control characters, breaks of lines, and
// characters that are invisible or turn the direction of the texts beside them. It
// keeps the joiners of emoji.
func Visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == '\u200b', r == '\u2060', r == '\ufeff':
			return -1
		case r == '\u200e', r == '\u200f', r == '\u061c', '\u202a' <= r && r <= '\u202e', '\u2066' <= r && r <= '\u2069':
			return -1
		}
		return r
	}, s)
}

// Picture returns the address of a picture with https, because a page may load no
// other; empty for a text that is no such address, or one with a password.
func Picture(s string) string {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(s), "//")
	switch strings.ToLower(scheme) {
	case "https:", "http:", "":
	default:
		return ""
	}
	host := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host = rest[:i]
	}
	rest = rest[len(host):]
	if !strings.EqualFold(scheme, "https:") {
		host = strings.TrimSuffix(host, ":80")
	}
	if !ok || host == "" || strings.Contains(host, "@") || strings.ContainsFunc(host+rest, unicode.IsSpace) {
		return ""
	}
	return "https://" + host + rest
}

// Damaged reports whether an id holds characters that no id has. Another person may
// have the id that remains without them.
func Damaged(id string) bool {
	return strings.ContainsFunc(id, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) })
}
