package message

import (
	"regexp"
	"strings"
)

// A reply that quotes another message is plain text: the client writes the quoted
// text around a row of dashes, and no field says so (wecom.md 2.3, text). Clients
// differ in quotation marks, colons, line breaks and blanks, and some leave out
// parts. Each pattern's last two groups are the quoted text and the reply. The
// groups are greedy, so that the outermost quote counts where a quoted text quotes
// another.
var quotePatterns = func() []*regexp.Regexp {
	const (
		blanks = `[ \t\x{00a0}\x{3000}]*`
		intro  = `(?is)^[\s\x{feff}\x{3000}]*(?:[这這]是一[条條则則]引用\s*[/／]?\s*回[复覆復]\s*(?:消息|訊息|讯息)?|this\s+is\s+an?\s+(?:quote\s*[/／]?\s*)?reply(?:\s+message)?|this\s+is\s+an?\s+quote)` + blanks + `[:：]` + blanks + `\n?`
		open   = `["“”„＂]`
		end    = `["“”＂]`
		// A row of dashes, with or without blanks between.
		row   = `\n` + blanks + `(?:[-‐‑–—―－─_]` + blanks + `){3,}`
		reply = `(?:\n(.*))?$`
	)
	return []*regexp.Regexp{
		regexp.MustCompile(intro + blanks + open + `?(.*)` + end + blanks + row + reply),
		regexp.MustCompile(intro + blanks + `()` + open + `?` + blanks + row + reply), // nothing is quoted
		regexp.MustCompile(intro + blanks + open + `(.*)` + end + blanks + `\n(.*)$`), // no row
		regexp.MustCompile(intro + blanks + `()` + open + blanks + `\n(.*)$`),         // nothing is quoted, no row
		regexp.MustCompile(intro + `(.*)` + row + reply),                              // no quotation marks
		// WeChat's form has no intro, so that its row must be long.
		regexp.MustCompile(`(?s)^[\s\x{feff}\x{3000}]*「(.*)」` + blanks + `\n` + blanks + `(?:[-‐‑–—―－─]` + blanks + `){9,}` + reply),
	}
}()

// quoteOf takes apart a reply that quotes. It returns nil for another text.
func quoteOf(s string) *Quote {
	if !strings.Contains(s, "\n") {
		return nil
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	for i, p := range quotePatterns {
		if m := p.FindStringSubmatch(s); m != nil {
			return newQuote(m[1], m[2], i == len(quotePatterns)-1)
		}
	}
	return nil
}

// newQuote separates the name from the quoted text. The name is the whole first
// line if that ends with a colon, and may hold colons itself. Where the name shares
// a line with the text, as in WeChat's form, the name ends with the first colon of
// that line, except where that colon is part of an address or of a time.
func newQuote(quoted, reply string, wechat bool) *Quote {
	const blanks = " \t\u00a0\u3000\u200b\ufeff"
	q := &Quote{Text: quoted, Reply: reply}
	line, rest, several := strings.Cut(strings.TrimLeft(quoted, blanks+"\n"), "\n")
	line = strings.Trim(line, blanks)
	for _, colon := range []string{"：", ":"} {
		if name, ok := strings.CutSuffix(line, colon); ok && (several || strings.Trim(name, blanks) != "") {
			q.Who, q.Text = strings.Trim(name, blanks), rest
			return q
		}
	}
	if several && !wechat { // WeCom's form gives the name a line of its own
		return q
	}
	for at, r := range line {
		if r != ':' && r != '：' {
			continue
		}
		name, after := line[:at], strings.TrimPrefix(strings.TrimPrefix(line[at:], ":"), "：")
		if address := r == ':' && strings.HasPrefix(after, "//"); address || isTime(name, after) || strings.Trim(name, blanks) == "" {
			return q
		}
		_, q.Text, _ = strings.Cut(quoted, line[:at+len(string(r))])
		q.Who, q.Text = strings.Trim(name, blanks), strings.TrimLeft(q.Text, blanks)
		return q
	}
	return q
}

// isTime reports whether the colon between two texts is that of a time, as in
// 10:30.
func isTime(before, after string) bool {
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	return before != "" && after != "" && digit(before[len(before)-1]) && digit(after[0])
}
