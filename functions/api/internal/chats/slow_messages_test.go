package chats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
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

// The pages of the messages of a room, in both directions, have each message once that
// the caller may see, in order, also where the time of a page ends its search.
func TestPagesOfARoomAreTheWholeRoom(t *testing.T) {
	room := archive.RoomConversation("wr1")
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		store := &dayByDay{talk: &talk{}}
		start := archive.Day("2026-01-01").Start()
		for day := range 1 + r.IntN(12) {
			at := start.AddDate(0, 0, day*(1+r.IntN(2)))
			for range 1 + r.IntN(12) {
				sender := "zhao"
				if r.IntN(3) == 0 {
					sender = "lin.hua"
				}
				store.say(room, at, sender, "wm1")
				if r.IntN(3) > 0 { // else at one moment
					at = at.Add(time.Duration(r.IntN(100)) * time.Minute)
				}
			}
		}
		slices.SortFunc(store.convs[room], func(a, b archive.Message) int {
			if c := a.Time.Compare(b.Time); c != 0 {
				return c
			}
			return int(a.Seq) - int(b.Seq)
		})
		all := store.convs[room]
		from, to := all[len(all)/4].Time, all[3*len(all)/4].Time.Add(time.Millisecond)
		moment := func(at time.Time) string { return url.QueryEscape(at.Format(time.RFC3339Nano)) }
		within := "from=" + moment(from) + "&to=" + moment(to)
		for query, in := range map[string][2]time.Time{
			"": {}, "order=desc": {}, within: {from, to}, within + "&order=desc": {from, to},
			"at=" + moment(all[r.IntN(len(all))].Time): {}, "at=" + moment(start.AddDate(0, 0, 40)): {},
		} {
			for name, caller := range map[string]session.Caller{"any reader": {}, "a limited reader": {Limited: true, Staff: []string{"lin.hua"}}} {
				var want []string
				for _, m := range all {
					if (!caller.Limited || slices.Contains(parties(m), "lin.hua")) && !m.Time.Before(in[0]) && (in[1].IsZero() || m.Time.Before(in[1])) {
						want = append(want, m.MsgID)
					}
				}
				descending := len(query) >= 10 && query[len(query)-10:] == "order=desc"
				if descending {
					slices.Reverse(want)
				}
				limit := 1 + r.IntN(8)
				for _, most := range [][]time.Duration{{time.Minute}, {noTime}, {noTime, time.Minute}} {
					read := 0
					next := func(page *string) pageOfRoom {
						if read++; read > 2000 {
							t.Fatalf("seed %d, %s, %s, pages of %d within %s: the list never ends", seed, query, name, limit, most)
						}
						return messagesOf(t, store, caller, room, fmt.Sprintf("%s&limit=%d", query, limit), page, most[read%len(most)])
					}
					first := next(nil)
					got := first.ids()
					last := first
					for p := first; p.Next != nil; {
						p = next(p.Next)
						if got = append(got, p.ids()...); len(p.Messages) > 0 {
							last = p
						}
					}
					for p := first; p.Prev != nil; {
						p = next(p.Prev)
						got = append(p.ids(), got...)
					}
					if !slices.Equal(got, want) {
						t.Fatalf("seed %d, %s, %s, pages of %d within %s: got\n%q\nwant\n%q", seed, query, name, limit, most, got, want)
					}
					if first.Prev != nil || last.Next != nil {
						continue
					}
					back := last.ids()
					for p := last; p.Prev != nil; {
						p = next(p.Prev)
						back = append(p.ids(), back...)
					}
					if !slices.Equal(back, want) {
						t.Fatalf("seed %d, %s, %s, pages of %d within %s, back: got\n%q\nwant\n%q", seed, query, name, limit, most, back, want)
					}
				}
			}
		}
	}
}
