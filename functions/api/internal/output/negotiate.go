package output

import (
	"strconv"
	"strings"
)

// Accepts reports whether a caller with this Accept-Encoding header takes an answer
// in the coding (RFC 9110, 12.5.3). An entry that names the coding counts before
// one for all codings.
func Accepts(header, coding string) bool {
	accepts := false
	for entry := range strings.SplitSeq(header, ",") {
		name, parameters, _ := strings.Cut(entry, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name != coding && name != "*" {
			continue
		}
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q="); ok {
			weight, _ = strconv.ParseFloat(q, 64) // 0 if it is no number
		}
		if accepts = weight > 0; name == coding {
			break
		}
	}
	return accepts
}

// Matches reports whether an If-None-Match header names the tag, which may be weak
// (RFC 9110, 13.1.2).
func Matches(header, tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	for entry := range strings.SplitSeq(header, ",") {
		if entry = strings.TrimSpace(entry); entry == "*" || strings.TrimPrefix(entry, "W/") == tag {
			return true
		}
	}
	return false
}
