package message

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/shared/pattern"
)

// A reply that quotes another message is plain text: the client writes the quoted
// text around a row of dashes, and no field says so (wecom.md 2.3, text). Clients
// differ in quotation marks, colons, line breaks and blanks, and some leave out
// parts. A mention may stand before the quote. The groups of quoteIntro are the mentions
// and the colon, and that of wechatBegin the mentions.
var (
	quoteIntro = pattern.New(`(?i)^` + mentions + `[【\[(（]?(?:` +
		`(?:(?:以下|[这這])是` + one + `|[这這此该該][条條]?` + message + `[是为為](?:` + one + `)?)` +
		`(?:引用\s*(?:[/／、&和或]?\s*回[复覆復])?|(?:[对對][这這此该該]?[条條]?` + message + `的)?回[复覆復])\s*(?:的?` + message + `)?` +
		`|this(?:\s+message)?\s+is\s+(?:an?\s+)?` + quoted + `(?:(?:\s*(?:[/／&]|or|and)\s*|\s*)` + quoted + `)?(?:\s+message|\s+to\s+(?:an?|the|this)\s+message)?)` +
		blanks + `([` + colons + `])?` + blanks + `[】\])）]?` + blanks + `(?:\n` + blanks + `)*`)
	quoteRow = pattern.New(row)
	// WeChat's form has no intro, so that its row must be long.
	wechatBegin = pattern.New(`^` + mentions + `[「『"“]`)
	wechatEnd   = pattern.New(`[」』"”]` + blanks + `\n\s*(?:[` + dashes + `]` + blanks + `){9,}(?:\n|$)`)
)

const (
	colons  = `:：﹕︰∶︓꞉˸`
	doubles = "\"“”„＂«»〝〞〟「」『』﹁﹂﹃﹄" // an apostrophe has no other half
	dashes  = `\-‐‑–—―－─━`
	blanks  = `[\t\p{Zs}\p{Cf}]*`
	one     = `一[條条则則個个]?`
	message = `(?:消息|訊息|讯息|信息)`
	quoted  = `(?:quoted?|reply|replied)`
	// A name may hold blanks, and a blank ends it.
	mentions = `[\s\p{Zs}\p{Cf}]*((?:@[^\n@]{1,64}?[\s\p{Zs}\p{Cf}]+)*)`
	row      = `\n\s*(?:[_=~*` + dashes + `]` + blanks + `){3,}(?:\n|$)`
)

// marks are quotation marks of one sort: those that open and those that close, and
// what ends a text that is quoted with them. It ends with a mark and a row of dashes,
// which may share a line with what is before or behind it. Some clients leave out
// the row.
type marks struct {
	opening     string
	end, endRow *regexp.Regexp
}

func newMarks(opening, closing string) marks {
	const long = `(?:[` + dashes + `]` + blanks + `){6,}`
	mark := `[` + closing + `]` + blanks
	return marks{opening, regexp.MustCompile(mark + `(?:\n|\s*$)`), regexp.MustCompile(mark + `(?:` + row + `|` + long + `\n|\n\s*` + long + `)`)}
}

// An apostrophe ends no text that another mark began.
var (
	doubleMarks = newMarks("\"“”„＂«〝「『﹁﹃", "\"“”＂»〞〟」』’﹂﹄")
	singleMarks = newMarks("'‘‚‹`", "'’›`")
)

// lines makes one line break of each sort.
var lines = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n", "\u0085", "\n", "\v", "\n", "\f", "\n")

// isBlank reports whether a character is invisible and breaks no line.
func isBlank(r rune) bool { return r == '\t' || unicode.In(r, unicode.Zs, unicode.Cf) }

func isBlankOrBreak(r rune) bool { return r == '\n' || isBlank(r) }

// quoteOf takes apart a reply that quotes. It returns nil for another text.
func quoteOf(s string) *Quote {
	if !strings.ContainsAny(s, "\n\r\v\f\u0085\u2028\u2029") {
		return nil
	}
	s = lines.Replace(s)
	var q *Quote
	at := quoteIntro().FindStringSubmatchIndex(s)
	if at != nil {
		colon := at[4] >= 0
		if colon || s[at[1]-1] == '\n' { // without a colon the intro has a line of its own
			q = quoteBehind(s[at[1]:], colon)
		}
	} else if at = wechatBegin().FindStringSubmatchIndex(s); at != nil {
		if quoted, reply, ok := cutQuote(s[at[1]:], wechatEnd()); ok {
			q = newQuote(quoted, reply, true)
		}
	}
	if q != nil {
		q.Reply = s[at[2]:at[3]] + q.Reply
	}
	return q
}

// quoteBehind takes apart what stands behind the intro. An intro without a colon may
// be a person's own words, so that it needs a quotation mark.
func quoteBehind(s string, colon bool) *Quote {
	text, m, marked := s, doubleMarks, false
	for _, sort := range []marks{doubleMarks, singleMarks} {
		if mark, size := utf8.DecodeRuneInString(s); size > 0 && strings.ContainsRune(sort.opening, mark) {
			text, m, marked = s[size:], sort, true
		}
	}
	if !marked && !colon {
		return nil
	}
	if marked { // nothing is quoted
		if at := quoteRow().FindStringIndex(text); at != nil && strings.TrimLeftFunc(text[:at[0]], isBlank) == "" {
			return &Quote{Reply: text[at[1]:]}
		}
	}
	if quoted, reply, ok := cutQuote(text, m.endRow); ok {
		return newQuote(quoted, reply, false)
	}
	if marked {
		if quoted, reply, ok := cutQuote(text, m.end); ok {
			return newQuote(quoted, reply, false)
		}
		if first, reply, ok := strings.Cut(text, "\n"); ok && strings.TrimFunc(first, isBlank) == "" {
			return &Quote{Reply: reply}
		}
	}
	text = "\n" + text // which the intro has taken
	if rows := quoteRow().FindAllStringIndex(text, -1); rows != nil {
		last := rows[len(rows)-1]
		return newQuote(text[:last[0]], text[last[1]:], false)
	}
	return nil
}

// cutQuote cuts a text at the end of the quoted text. The quoted text may quote too,
// and so may the reply: the first end before which each quotation mark has its other
// half is the right one, or else the last.
func cutQuote(s string, end *regexp.Regexp) (quoted, reply string, ok bool) {
	halves, from := 0, 0
	for _, at := range end.FindAllStringIndex(s, -1) {
		for _, r := range s[from:at[0]] {
			if strings.ContainsRune(doubles, r) {
				halves++
			}
		}
		from = at[0]
		quoted, reply, ok = s[:at[0]], s[at[1]:], true
		if halves%2 == 0 {
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
	q := &Quote{Text: quoted, Reply: reply}
	line, rest, several := strings.Cut(strings.TrimLeftFunc(quoted, isBlankOrBreak), "\n")
	line = strings.TrimFunc(line, isBlank)
	if r, size := utf8.DecodeLastRuneInString(line); strings.ContainsRune(colons, r) {
		if name := strings.TrimFunc(line[:len(line)-size], isBlank); several || name != "" {
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
		if address := r == ':' && strings.HasPrefix(after, "//"); address || isTime(name, after) || strings.TrimFunc(name, isBlank) == "" {
			return q
		}
		_, q.Text, _ = strings.Cut(quoted, line[:at+len(string(r))])
		q.Who, q.Text = strings.TrimFunc(name, isBlank), strings.TrimLeftFunc(q.Text, isBlank)
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
