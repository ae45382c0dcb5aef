package message

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// A reply that quotes another message is plain text: the client writes the quoted
// text around a row of dashes, and no field says so (wecom.md 2.3, text). Clients
// differ in quotation marks, colons, line breaks and blanks, and some leave out
// parts.
var (
	quoteIntro = regexp.MustCompile(`(?i)^[\s` + invisible + `]*(?:` +
		`[这這]是一[条條则則個个]?(?:引用\s*[/／、]?\s*回[复覆復]?|引用|回[复覆復])\s*(?:的?(?:消息|訊息|讯息))?` +
		`|this\s+is\s+an?\s+quoted?(?:\s*[/／]?\s*reply)?(?:\s+message)?|this\s+is\s+an?\s+reply(?:\s+message)?)` +
		blanks + `[` + colons + `]` + blanks + `(?:\n` + blanks + `)*`)
	// A quoted text ends with a quotation mark and a row of dashes, with or without
	// blanks between. Some clients leave out the row, and some the marks.
	quoteEnd     = regexp.MustCompile(`[` + closing + `]` + blanks + row)
	quoteEndMark = regexp.MustCompile(`[` + closing + `]` + blanks + `\n`)
	quoteRow     = regexp.MustCompile(row)
	// WeChat's form has no intro, so that its row must be long.
	wechatBegin = regexp.MustCompile(`^[\s` + invisible + `]*「`)
	wechatEnd   = regexp.MustCompile(`」` + blanks + `\n\s*(?:[` + dashes + `]` + blanks + `){9,}(?:\n|$)`)
)

const (
	colons    = `:：﹕︰∶`
	opening   = "\"“”„＂「『‘«"
	closing   = "\"“”＂」』’»"
	doubles   = "\"“”„＂「」『』«»" // an apostrophe has no other half
	dashes    = `\-‐‑–—―－─`
	invisible = `\x{feff}\x{3000}\x{200b}`
	blanks    = `[ \t\x{00a0}\x{3000}\x{200b}]*`
	row       = `\n\s*(?:[_` + dashes + `]` + blanks + `){3,}(?:\n|$)`
)

// quoteOf takes apart a reply that quotes. It returns nil for another text.
func quoteOf(s string) *Quote {
	if !strings.Contains(s, "\n") {
		return nil
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	if at := quoteIntro.FindStringIndex(s); at != nil {
		return quoteBehind(s[at[1]:])
	}
	if at := wechatBegin.FindStringIndex(s); at != nil {
		if quoted, reply, ok := cutQuote(s[at[1]:], wechatEnd); ok {
			return newQuote(quoted, reply, true)
		}
	}
	return nil
}

// quoteBehind takes apart what stands behind the intro.
func quoteBehind(s string) *Quote {
	text, marked := s, false
	for _, mark := range opening {
		if rest, ok := strings.CutPrefix(s, string(mark)); ok {
			text, marked = rest, true
		}
	}
	if marked { // nothing is quoted
		if at := quoteRow.FindStringIndex(text); at != nil && strings.TrimLeft(text[:at[0]], " \t") == "" {
			return &Quote{Reply: text[at[1]:]}
		}
	}
	if quoted, reply, ok := cutQuote(text, quoteEnd); ok {
		return newQuote(quoted, reply, false)
	}
	if marked {
		if quoted, reply, ok := cutQuote(text, quoteEndMark); ok {
			return newQuote(quoted, reply, false)
		}
		if first, reply, ok := strings.Cut(text, "\n"); ok && strings.TrimSpace(first) == "" {
			return &Quote{Reply: reply}
		}
		return nil
	}
	text = "\n" + text // which the intro has taken
	if rows := quoteRow.FindAllStringIndex(text, -1); rows != nil {
		last := rows[len(rows)-1]
		return newQuote(text[:last[0]], text[last[1]:], false)
	}
	return nil
}

// cutQuote cuts a text at the end of the quoted text. The quoted text may quote too,
// and so may the reply: the first end before which each quotation mark has its other
// half is the right one, or else the last.
func cutQuote(s string, end *regexp.Regexp) (quoted, reply string, ok bool) {
	marks, from := 0, 0
	for _, at := range end.FindAllStringIndex(s, -1) {
		for _, r := range s[from:at[0]] {
			if strings.ContainsRune(doubles, r) {
				marks++
			}
		}
		from = at[0]
		quoted, reply, ok = s[:at[0]], s[at[1]:], true
		if marks%2 == 0 {
			break
		}
	}
	return quoted, reply, ok
}

// newQuote separates the name from the quoted text. The name is the whole first
// line if that ends with a colon, and may hold colons itself. Where the name shares
// a line with the text, as in WeChat's form, the name ends with the first colon of
// that line, except where that colon is part of an address or of a time.
func newQuote(quoted, reply string, wechat bool) *Quote {
	const cut = " \t\u00a0\u3000\u200b\ufeff"
	q := &Quote{Text: quoted, Reply: reply}
	line, rest, several := strings.Cut(strings.TrimLeft(quoted, cut+"\n"), "\n")
	line = strings.Trim(line, cut)
	if r, size := utf8.DecodeLastRuneInString(line); strings.ContainsRune(colons, r) {
		if name := strings.Trim(line[:len(line)-size], cut); several || name != "" {
			q.Who, q.Text = name, rest
			return q
		}
	}
	if several && !wechat { // WeCom's form gives the name a line of its own
		return q
	}
	for at, r := range line {
		if !strings.ContainsRune(colons, r) {
			continue
		}
		name, after := line[:at], line[at+len(string(r)):]
		if address := r == ':' && strings.HasPrefix(after, "//"); address || isTime(name, after) || strings.Trim(name, cut) == "" {
			return q
		}
		_, q.Text, _ = strings.Cut(quoted, line[:at+len(string(r))])
		q.Who, q.Text = strings.Trim(name, cut), strings.TrimLeft(q.Text, cut)
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
