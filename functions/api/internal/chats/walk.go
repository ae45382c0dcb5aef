package chats

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

const (
	// daysMost bounds the days with activity that are read for one page. A page
	// needs more than a few only if the caller may not see what is on them.
	daysMost = 31
	// aheadChars is how many characters of a digest identify an upcoming
	// conversation in a page token. A token holds more than 500, so most days
	// are read in full only once, for the first page.
	aheadChars = 5
	// leftMost bounds the conversations that the party left in a page token. If there
	// are more, a later page may list one of them again.
	leftMost = 128
)

// listPage is the place where a page of conversations begins: on a day and, if
// Digest is set, after an entry of that day. Left holds the digests of the
// conversations that the party left and that earlier pages listed. A token holds
// digests because an id may be too long for it.
type listPage struct {
	Day    archive.Day `json:"d"`
	Milli  int64       `json:"t,omitempty"`
	Digest string      `json:"c,omitempty"`
	Left   []string    `json:"l,omitempty"`
	// Ahead holds the beginnings of the digests of the upcoming entries, in their
	// order, so that the next page reads only these conversations. If Rest is set,
	// the day has more entries after them.
	Ahead string `json:"a,omitempty"`
	Rest  bool   `json:"r,omitempty"`
}

// carry records the upcoming entries in the token: first entries, then ahead;
// rest says that there are more after these. It notes as many as a token has
// room for.
func (p *listPage) carry(entries []entry, ahead string, rest bool) {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.digest[:aheadChars])
	}
	b.WriteString(ahead)
	// A token is base64 of JSON. Each digest in Left takes 14 bytes of the JSON; the
	// other fields, and the encryption, take at most 200.
	room := max(input.MaxPageToken/4*3-200-14*len(p.Left), 0) / aheadChars * aheadChars
	p.Ahead, p.Rest = b.String(), rest
	if len(p.Ahead) > room {
		p.Ahead, p.Rest = p.Ahead[:room], true
	}
}

// passed reports whether an earlier page has passed the entry.
func (p *listPage) passed(e entry) bool {
	return p.Digest != "" && compareEntries(e, entry{digest: p.Digest, at: time.UnixMilli(p.Milli)}) <= 0
}

// among returns the conversations listed in ahead.
func among(conversations []archive.ConversationID, ahead string) []archive.ConversationID {
	noted := make(map[string]bool)
	for begin := range slices.Chunk([]byte(ahead), aheadChars) {
		noted[string(begin)] = true
	}
	return slices.DeleteFunc(slices.Clone(conversations), func(conv archive.ConversationID) bool {
		return !noted[digestOf(conv)[:aheadChars]]
	})
}

// digestOf names a conversation in a page token.
func digestOf(conv archive.ConversationID) string {
	sum := sha256.Sum256([]byte(conv))
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

// walk lists the conversations of a party. It walks back over the days on which
// the party was active. A conversation belongs to the day of the newest message
// in which the party takes part; the walk skips it on earlier days. walk returns
// the place of the next page, nil at the end of the list.
func (h *Handlers) walk(ctx context.Context, c *session.Call, page *entryPage, party string, at listPage) (*listPage, error) {
	w := walker{
		h: h, c: c, party: party, page: page, left: make(map[string]bool),
		next: listPage{Day: at.Day, Milli: at.Milli, Digest: at.Digest, Left: at.Left},
	}
	for _, digest := range at.Left {
		w.left[digest] = true
	}
	upTo := at.Day
	for range daysMost {
		day, conversations, err := h.Messages.LatestDay(ctx, c.CorpID, party, upTo)
		if errors.Is(err, archive.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		ahead, rest := "", true
		if day == at.Day && at.Ahead != "" {
			ahead, rest = at.Ahead, at.Rest
		}
		if full, err := w.day(ctx, day, conversations, ahead, rest); full || err != nil {
			return &w.next, err
		}
		upTo = archive.DayOf(day.Start().AddDate(0, 0, -1))
	}
	return &listPage{Day: upTo, Left: w.next.Left}, nil
}

// walker holds the state of one walk.
type walker struct {
	h     *Handlers
	c     *session.Call
	party string
	page  *entryPage
	next  listPage        // the place after the last entry of the page
	left  map[string]bool // digests of listed conversations that the party left
}

// day lists the entries of a day: first those that ahead notes, then the others if
// rest is set. It reports whether the page is full.
func (w *walker) day(ctx context.Context, day archive.Day, conversations []archive.ConversationID, ahead string, rest bool) (full bool, _ error) {
	for later := ahead; later != ""; {
		// One entry more than the page holds shows that the page is full.
		n := min((w.page.limit-len(w.page.shown)+1)*aheadChars, len(later))
		some := among(conversations, later[:n])
		if len(some) > n/aheadChars {
			// Two digests begin alike. Only the order of all entries shows which of them
			// comes next.
			rest = true
			break
		}
		later = later[n:]
		if full, err := w.list(ctx, day, some, later, rest); full || err != nil {
			return full, err
		}
	}
	if !rest {
		return false, nil
	}
	return w.list(ctx, day, conversations, "", false)
}

// list puts the entries of conversations of a day on the page, and reports
// whether the page is full. ahead and rest are the day's entries after them.
func (w *walker) list(ctx context.Context, day archive.Day, conversations []archive.ConversationID, ahead string, rest bool) (full bool, _ error) {
	entries, err := w.h.entriesOf(ctx, w.c, w.party, day, conversations)
	if err != nil {
		return false, err
	}
	entries = slices.DeleteFunc(entries, func(e entry) bool {
		return e.left && w.left[e.digest] || day == w.next.Day && w.next.passed(e)
	})
	for i, e := range entries {
		fits, err := w.page.put(e)
		if err != nil {
			return false, err
		}
		if !fits {
			if w.next.Day != day {
				w.next = listPage{Day: day, Left: w.next.Left}
			}
			w.next.carry(entries[i:], ahead, rest)
			return true, nil
		}
		w.next.Day, w.next.Milli, w.next.Digest = day, e.at.UnixMilli(), e.digest
		if e.left {
			w.left[e.digest] = true
			if len(w.next.Left) < leftMost {
				w.next.Left = append(w.next.Left, e.digest)
			}
		}
	}
	return false, nil
}
