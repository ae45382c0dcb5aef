package message

import "strings"

// What clients write into the text of a reply that quotes (wecom.md 2.3,
// text). There is no other sign of it.
var (
	quoteIntros = []string{"这是一条引用/回复消息：\n", "This is a quote/reply:\n"}
	// A text may quote one that quotes, so the last of these rows ends the quote.
	quoteEnd       = "\"\n------\n"
	wechatQuoteEnd = "」\n" + strings.Repeat("- ", 14) + "-\n"
)

// quoteOf takes a reply that quotes apart, nil if s is none.
func quoteOf(s string) *Quote {
	for _, intro := range quoteIntros {
		rest, ok := strings.CutPrefix(s, intro+`"`)
		if i := strings.LastIndex(rest, quoteEnd); ok && i >= 0 {
			return newQuote(rest[:i], rest[i+len(quoteEnd):])
		}
	}
	rest, ok := strings.CutPrefix(s, "「")
	if i := strings.LastIndex(rest, wechatQuoteEnd); ok && i >= 0 {
		return newQuote(rest[:i], rest[i+len(wechatQuoteEnd):])
	}
	return nil
}

// newQuote finds who was quoted: up to the first colon of the first line.
func newQuote(quoted, reply string) *Quote {
	line, _, _ := strings.Cut(quoted, "\n")
	i := strings.IndexAny(line, ":：")
	if i < 0 {
		return &Quote{Text: quoted, Reply: reply}
	}
	text := strings.TrimPrefix(strings.TrimPrefix(quoted[i:], ":"), "：")
	return &Quote{Who: line[:i], Text: strings.TrimPrefix(text, "\n"), Reply: reply}
}
