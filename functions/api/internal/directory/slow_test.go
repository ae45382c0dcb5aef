package directory_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// crowd is a company in memory: people and rooms with names, days with a room and no
// single chat before a day with one, and consents.
type crowd struct {
	directory.ContactStore
	directory.ActivityStore
	directory.ConsentStore
	book.NameReader
	size int
	last archive.Day
	busy bool // everybody took part on the last day
}

func (c crowd) day(i int) archive.Day {
	return archive.DayOf(c.last.Start().AddDate(0, 0, -i).Add(time.Hour))
}

// daysFrom lists days, the newest first.
func daysFrom[T any](c crowd, upTo archive.Day, limit int, make func(i int) T) (days []T, _ error) {
	for i := 0; i < c.size && len(days) < limit; i++ {
		if upTo == "" || c.day(i) <= upTo {
			days = append(days, make(i))
		}
	}
	return days, nil
}

func (c crowd) ActiveDays(_ context.Context, _, party string, upTo archive.Day, limit int) ([]archive.ActiveDay, error) {
	return daysFrom(c, upTo, limit, func(i int) archive.ActiveDay {
		conv := archive.RoomConversation("wr1")
		if i == c.size-1 {
			conv = archive.PartyConversation([]string{party, "wm0"})
		}
		return archive.ActiveDay{Day: c.day(i), Conversations: []archive.ConversationID{conv}}
	})
}

func (c crowd) CorpDays(_ context.Context, _ string, upTo archive.Day, limit int) ([]archive.CorpDay, error) {
	if c.busy {
		if upTo != "" && upTo < c.last {
			return nil, nil
		}
		var all []string
		for i := range c.size {
			all = append(all, fmt.Sprint("wm", i))
		}
		slices.Sort(all)
		return []archive.CorpDay{{Day: c.last, Parties: all}}[:min(limit, 1)], nil
	}
	return daysFrom(c, upTo, limit, func(i int) archive.CorpDay {
		return archive.CorpDay{Day: c.day(i), Parties: []string{fmt.Sprint("wm", i)}}
	})
}

func (c crowd) LastDay(_ context.Context, _, party string) (archive.Day, error) {
	i, err := strconv.Atoi(party[2:])
	if c.busy {
		i = 0
	}
	return c.day(i), err
}

func (c crowd) Newest(context.Context, string, archive.ConversationID) (archive.Message, error) {
	return archive.Message{Time: c.day(c.size - 1).Start().Add(time.Hour)}, nil
}

func (crowd) People(_ context.Context, _ string, ids []string) (map[string]book.Known[book.Person], error) {
	known := make(map[string]book.Known[book.Person])
	for _, id := range ids {
		p := book.Person{ID: id, Kind: book.External, Name: "客户" + id, Origin: book.Origin{Source: book.SourceSCRM, At: time.Now()}}
		known[id] = book.Known[book.Person]{Given: &p, AskedAt: time.Now()}
	}
	return known, nil
}

// page is a page of a list, and the cursor of the next.
func page[T any](c crowd, cursor string, limit int, make func(i int) T) (list []T, next string, _ error) {
	from, _ := strconv.Atoi(cursor)
	for i := from; i < min(from+limit, c.size); i++ {
		list = append(list, make(i))
	}
	if from+limit < c.size {
		next = strconv.Itoa(from + limit)
	}
	return list, next, nil
}

func (c crowd) ListPeople(_ context.Context, _, cursor string, limit int) ([]book.Person, string, error) {
	return page(c, cursor, limit, func(i int) book.Person {
		return book.Person{ID: fmt.Sprint("wm", i), Kind: book.External, Name: fmt.Sprint("客户", i)}
	})
}

func (c crowd) ListRooms(_ context.Context, _, cursor string, limit int) ([]book.Room, string, error) {
	return page(c, cursor, limit, func(i int) book.Room {
		r := book.Room{ID: fmt.Sprint("wr", i), Name: "群"}
		if i == c.size-1 {
			r.Name = "家长群"
		}
		return r
	})
}

func (c crowd) EachConsent(_ context.Context, _ string, f func(archive.Consent) bool) error {
	for range c.size {
		if !f(archive.Consent{Status: archive.Agreed}) {
			break
		}
	}
	return nil
}

// A search whose time is over ends at once, even where it has found nothing, and says
// where to go on. The pages together find what a search with time finds.
func TestListsEndWithTheirTime(t *testing.T) {
	const corp = "ww0123456789abcdef"
	c := crowd{size: 300, last: "2026-01-31"}
	busy := c
	busy.busy = true
	handlers := func(c crowd) *directory.Handlers {
		return &directory.Handlers{
			Contacts: c, Consents: c, Activity: c, Readings: unrecorded{}, Now: time.Now,
			Book: &book.NameBook{Names: c, Now: time.Now, Log: slog.New(slog.DiscardHandler)},
		}
	}
	h := handlers(c)
	type answer struct {
		People, Rooms json.RawMessage
		Whole         *bool
		Next          *string
	}
	ask := func(serve func(context.Context, *session.Call) (output.Answer, error), query string, known []string, most time.Duration) (a answer) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), most)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/list", nil)
		if err != nil {
			t.Fatal(err)
		}
		call := &session.Call{Request: r, CorpID: corp}
		call.ReadQuery(query, known)
		call.UsePages(opaque.Page("/list", nil))
		ans, err := serve(ctx, call)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if err := json.Unmarshal(ans.Body, &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	const noTime = time.Second // less than what a search leaves for its answer
	for name, l := range map[string]struct {
		serve func(context.Context, *session.Call) (output.Answer, error)
		query string
		known []string
		least int // pages
	}{
		"people":                        {h.ListPeople, "", []string{"limit", "page"}, 50},
		"people of a name":              {h.ListPeople, "q=wm299", []string{"q", "limit", "page"}, 10},
		"people of days without people": {h.ListPeople, "with=lin.hua", []string{"with", "limit", "page"}, 3},
		"people of a day with many":     {handlers(busy).ListPeople, "q=wm99", []string{"q", "limit", "page"}, 3},
		"rooms of a name":               {h.ListRooms, "q=家长", []string{"q", "limit", "page"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			all := func(most time.Duration) (ids []string, pages int) {
				for next := ""; ; {
					a := ask(l.serve, l.query+next, l.known, most)
					pages++
					for _, raw := range []json.RawMessage{a.People, a.Rooms} {
						var list []struct{ ID string }
						_ = json.Unmarshal(raw, &list) // an answer has one of them
						for _, e := range list {
							ids = append(ids, e.ID)
						}
					}
					if a.Next == nil || pages > 1000 {
						return ids, pages
					}
					next = "&page=" + *a.Next
				}
			}
			want, _ := all(time.Minute)
			got, pages := all(noTime)
			if !slices.Equal(got, want) || len(want) == 0 || pages < l.least {
				t.Errorf("got %d entries on %d pages, want %d on at least %d", len(got), pages, len(want), l.least)
			}
		})
	}
	c.size = 5000
	h = handlers(c)
	for name, l := range map[string]struct {
		serve func(context.Context, *session.Call) (output.Answer, error)
		query string
		known []string
	}{
		"people by name": {h.ListPeople, "sort=name", []string{"sort", "limit", "page"}}, "consents": {h.SumConsents, "", nil},
	} {
		if a := ask(l.serve, l.query, l.known, time.Minute); a.Whole == nil || !*a.Whole {
			t.Errorf("%s, with time: got a part, want the whole", name)
		}
		if a := ask(l.serve, l.query, l.known, noTime); a.Whole == nil || *a.Whole {
			t.Errorf("%s, without time: got no answer of a part that says so", name)
		}
	}
}

type unrecorded struct{}

func (unrecorded) RecordReading(context.Context, archive.Reading) error { return nil }
