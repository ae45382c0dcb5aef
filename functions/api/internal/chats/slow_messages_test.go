package chats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// dayByDay is a table that finds a day of a room at a time.
type dayByDay struct {
	*talk
	depths []int // of the searches
}

func (d *dayByDay) AttendedDays(ctx context.Context, corp string, room archive.ConversationID, q archive.AttendanceQuery) (days []archive.Day, rest archive.Day, err error) {
	d.depths = append(d.depths, q.Depth)
	days, _, err = d.talk.AttendedDays(ctx, corp, room, q)
	if len(days) > 1 {
		days, rest = days[:1], days[1]
	}
	return days, rest, err
}

func (*dayByDay) FirstRevocations(context.Context, string, archive.ConversationID, int) ([]archive.Revocation, bool, error) {
	return nil, false, nil
}

// pageOfRoom is a page of the messages of a room.
type pageOfRoom struct {
	Messages   []struct{ MsgID string }
	Next, Prev *string
}

func (p pageOfRoom) ids() (ids []string) {
	for _, m := range p.Messages {
		ids = append(ids, m.MsgID)
	}
	return ids
}

// messagesOf reads a page of messages, with so much time.
func messagesOf(t *testing.T, store chats.MessageStore, caller session.Caller, room archive.ConversationID, query string, page *string, most time.Duration) (got pageOfRoom) {
	t.Helper()
	const corp = "ww0123456789abcdef"
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/list", nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := opaque.Conversation(corp).Seal(room)
	if err != nil {
		t.Fatal(err)
	}
	r.SetPathValue("conversation", id)
	c := &session.Call{Request: r, CorpID: corp, Caller: caller}
	if page != nil {
		query += "&page=" + *page
	}
	c.ReadQuery(query, []string{"at", "from", "to", "order", "limit", "page"})
	c.UsePages(opaque.Page("/list", nil))
	h := &chats.Handlers{Messages: store, Names: noNames{}, Readings: forgottenReadings{}, Seen: nothingSeen{}, Now: time.Now}
	ans, err := h.ListMessages(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(ans.Body, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// roomReader reads the pages of a room's messages.
type roomReader struct {
	t      *testing.T
	what   string // names the list in a failure
	store  chats.MessageStore
	caller session.Caller
	room   archive.ConversationID
	query  string
	most   []time.Duration // for a page, in turn
	read   int             // pages
}

func (r *roomReader) page(token *string) pageOfRoom {
	r.t.Helper()
	if r.read++; r.read > 2000 {
		r.t.Fatalf("%s: the list never ends", r.what)
	}
	return messagesOf(r.t, r.store, r.caller, r.room, r.query, token, r.most[r.read%len(r.most)])
}

// after reads the pages after a page, and returns the last page that has messages.
func (r *roomReader) after(p pageOfRoom) (ids []string, last pageOfRoom) {
	r.t.Helper()
	for last = p; p.Next != nil; {
		p = r.page(p.Next)
		if ids = append(ids, p.ids()...); len(p.Messages) > 0 {
			last = p
		}
	}
	return ids, last
}

// before reads the pages before a page.
func (r *roomReader) before(p pageOfRoom) (ids []string) {
	r.t.Helper()
	for p.Prev != nil {
		p = r.page(p.Prev)
		ids = append(p.ids(), ids...)
	}
	return ids
}

// readsAll checks that the pages are the messages that the list should have, from the
// first page on, and back from the last one.
func (r *roomReader) readsAll(want []string) {
	r.t.Helper()
	first := r.page(nil)
	later, last := r.after(first)
	if got := slices.Concat(r.before(first), first.ids(), later); !slices.Equal(got, want) {
		r.t.Fatalf("%s: got\n%q\nwant\n%q", r.what, got, want)
	}
	if first.Prev != nil || last.Next != nil {
		return
	}
	if back := slices.Concat(r.before(last), last.ids()); !slices.Equal(back, want) {
		r.t.Fatalf("%s, back: got\n%q\nwant\n%q", r.what, back, want)
	}
}

// sayOnDays adds messages of a room on some days, many of them at one moment.
func (s *talk) sayOnDays(r *rand.Rand, room archive.ConversationID, start time.Time) {
	for day := range 1 + r.IntN(12) {
		at := start.AddDate(0, 0, day*(1+r.IntN(2)))
		for range 1 + r.IntN(12) {
			sender := "zhao"
			if r.IntN(3) == 0 {
				sender = "lin.hua"
			}
			s.say(room, at, sender, "wm1")
			if r.IntN(3) > 0 { // else at one moment
				at = at.Add(time.Duration(r.IntN(100)) * time.Minute)
			}
		}
	}
	slices.SortFunc(s.convs[room], func(a, b archive.Message) int {
		if c := a.Time.Compare(b.Time); c != 0 {
			return c
		}
		return int(a.Seq) - int(b.Seq)
	})
}

// seenBetween is the messages between two times that a caller may see; a zero end is
// none.
func seenBetween(all []archive.Message, caller session.Caller, from, to time.Time) (ids []string) {
	for _, m := range all {
		if (!caller.Limited || slices.Contains(parties(m), "lin.hua")) && !m.Time.Before(from) && (to.IsZero() || m.Time.Before(to)) {
			ids = append(ids, m.MsgID)
		}
	}
	return ids
}

// The pages of the messages of a room, in both directions, have each message once that
// the caller may see, in order, also where the time of a page ends its search.
func TestPagesOfARoomAreTheWholeRoom(t *testing.T) {
	room := archive.RoomConversation("wr1")
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		store := &dayByDay{talk: &talk{}}
		start := archive.Day("2026-01-01").Start()
		store.sayOnDays(r, room, start)
		all := store.convs[room]
		from, to := all[len(all)/4].Time, all[3*len(all)/4].Time.Add(time.Millisecond)
		moment := func(at time.Time) string { return url.QueryEscape(at.Format(time.RFC3339Nano)) }
		within := "from=" + moment(from) + "&to=" + moment(to)
		for query, in := range map[string][2]time.Time{
			"": {}, "order=desc": {}, within: {from, to}, within + "&order=desc": {from, to},
			"at=" + moment(all[r.IntN(len(all))].Time): {}, "at=" + moment(start.AddDate(0, 0, 40)): {},
		} {
			for name, caller := range map[string]session.Caller{"any reader": {}, "a limited reader": {Limited: true, Staff: []string{"lin.hua"}}} {
				want := seenBetween(all, caller, in[0], in[1])
				if strings.HasSuffix(query, "order=desc") {
					slices.Reverse(want)
				}
				limit := 1 + r.IntN(8)
				for _, most := range [][]time.Duration{{time.Minute}, {noTime}, {noTime, time.Minute}} {
					pages := roomReader{
						t: t, what: fmt.Sprintf("seed %d, %s, %s, pages of %d within %s", seed, query, name, limit, most),
						store: store, caller: caller, room: room, query: fmt.Sprintf("%s&limit=%d", query, limit), most: most,
					}
					pages.readsAll(want)
				}
			}
		}
	}
}
