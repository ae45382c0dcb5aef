package chats

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf16"

	names "github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
)

const (
	// hitRunes is the number of characters of a text that a hit shows, and hitBefore
	// how many of them stand before the first match.
	hitRunes  = 120
	hitBefore = 30
)

type hitJSON struct {
	MessageID string   `json:"message_id"`
	Time      string   `json:"time"`
	From      string   `json:"from"`
	Kind      string   `json:"kind"`
	Text      string   `json:"text"`
	Spans     [][2]int `json:"spans"`
}

type scannedJSON struct {
	Messages int     `json:"messages"`
	Until    *string `json:"until"`
}

// SearchMessages finds a text in the messages of a conversation. One call looks at
// a bounded number of messages, so a page may have no hit although there is a next
// page.
func (h *Handlers) SearchMessages(ctx context.Context, c *session.Call) (output.Answer, error) {
	text := strings.TrimSpace(c.Query.Get("q"))
	if c.Characters("q", 1, textMost) {
		c.Query.Set("q", text)
		c.Characters("q", 1, textMost) // blanks alone are no text
	}
	q, err := readListQuery(c, !c.Query.Has("order"))
	if err != nil {
		return output.Answer{}, err
	}
	for _, r := range text {
		q.filter.text = append(q.filter.text, unicode.ToLower(r))
	}
	q.render = func(m listed, _ knownFiles) ([]byte, error) { return showHit(m, q.filter) }
	var page collected
	if err := h.reading(ctx, c, q.conversation, func(ctx context.Context) (err error) {
		page, err = h.collect(ctx, c, q)
		return err
	}); err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Names   names.Names `json:"names"`
		Scanned scannedJSON `json:"scanned"`
		Next    *string     `json:"next"`
	}{Scanned: scannedJSON{Messages: page.scanned}}
	if page.more {
		out.Scanned.Until = output.MomentOrNull(page.until)
		if out.Next, err = c.SealPage(messagePage{page.last, false}); err != nil {
			return output.Answer{}, err
		}
	}
	out.Names = h.named(ctx, c, page.people, page.rooms)
	return output.List("hits", page.shown, out)
}

// showHit shows the text around the first match, and where the matches are in it.
func showHit(m listed, f messageFilter) ([]byte, error) {
	id, err := messageID(m.Message)
	if err != nil {
		return nil, err
	}
	hit := hitJSON{MessageID: id, Time: output.Moment(m.Time), From: sender(m.content.Fields), Kind: m.content.Kind, Spans: [][2]int{}}
	if place := f.place(m.content); place != nil {
		start := max(place.at-hitBefore, 0)
		shown := place.text[start:min(start+max(hitRunes, hitBefore+len(f.text)), len(place.text))]
		hit.Text = string(shown)
		for from := 0; ; {
			i := indexFold(shown[from:], f.text)
			if i < 0 {
				break
			}
			begin := units(shown[:from+i])
			hit.Spans = append(hit.Spans, [2]int{begin, begin + units(shown[from+i:from+i+len(f.text)])})
			from += i + len(f.text)
		}
	}
	ans, err := output.JSON(200, hit)
	return ans.Body, err
}

// indexFold finds a text in lower case, whatever the case of the letters. It
// compares letter by letter, because a whole text may change its length.
func indexFold(text, lower []rune) int {
	for i := 0; i+len(lower) <= len(text); i++ {
		n := 0
		for n < len(lower) && unicode.ToLower(text[i+n]) == lower[n] {
			n++
		}
		if n == len(lower) {
			return i
		}
	}
	return -1
}

// units counts the UTF-16 code units of a text, because JavaScript counts in these
// units.
func units(text []rune) int { return len(utf16.Encode(text)) }
