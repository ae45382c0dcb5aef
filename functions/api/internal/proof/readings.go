package proof

import (
	"context"
	"maps"

	"github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

type readingJSON struct {
	At           string  `json:"at"`
	By           string  `json:"by"`
	Role         string  `json:"role"`
	Conversation *string `json:"conversation"`
	Kind         *string `json:"kind"`
	// Parties are those that the conversation's id names, and the party of a list.
	Parties []string `json:"parties"`
	Room    *string  `json:"room"`
	List    *string  `json:"list"`
	Party   *string  `json:"party"`
	Day     *string  `json:"day"`
}

// readingsQuery selects readings: of some days, and of one user, conversation or
// party if these are set.
type readingsQuery struct {
	from, to     archive.Day
	by, party    string
	conversation archive.ConversationID
}

func (q readingsQuery) selects(r archive.Reading) bool {
	return (q.by == "" || r.By == q.by) && (q.conversation == "" || r.Conversation == q.conversation) && (q.party == "" || r.Party == q.party || contains(r.Conversation, q.party))
}

// contains reports whether a conversation's id names a party or a room.
func contains(c archive.ConversationID, id string) bool {
	for _, p := range c.Parties() {
		if p == id {
			return true
		}
	}
	return false
}

// readingsPage is where a page begins.
type readingsPage struct {
	Day archive.Day `json:"d"`
	Key string      `json:"k"`
}

func readReadingsQuery(c *session.Call, today archive.Day) (q readingsQuery, at readingsPage, _ error) {
	q.from, q.to = c.Days("from_day", "to_day", today)
	if !c.Query.Has("from_day") {
		q.from = q.to
	}
	q.by, q.party = c.Party("viewer"), c.Party("party")
	at.Day = q.from
	if c.Page(&at) && (at.Day < q.from || at.Day > q.to) {
		c.RejectPage()
	}
	if err := c.Err(); err != nil {
		return q, at, err
	}
	if c.Query.Has("conversation") && opaque.Conversation(c.CorpID).Open(c.Query.Get("conversation"), &q.conversation) != nil {
		return q, at, problem.New(problem.NotFound, nil)
	}
	return q, at, nil
}

// readingsRead bounds the readings that are looked at for one page. A page of a
// rare user may be empty and have a next.
const readingsRead = 5000

// ListReadings lists which user read which chat, with the names of those whose
// chat it is.
func (h *Handlers) ListReadings(ctx context.Context, c *session.Call) (output.Answer, error) {
	limit := c.Limit()
	q, at, err := readReadingsQuery(c, archive.DayOf(h.Now()))
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Readings []readingJSON   `json:"readings"`
		Names    directory.Names `json:"names"`
		Next     *string         `json:"next"`
	}{Readings: []readingJSON{}}
	var people, rooms, users []string
	for read := 0; at.Day <= q.to && len(out.Readings) < limit; {
		if read > 0 && (read >= readingsRead || session.Ending(ctx)) {
			break
		}
		// What is left of the page is enough: a page never ends within an answer.
		list, next, err := h.Readings.Readings(ctx, c.CorpID, at.Day, at.Key, limit-len(out.Readings))
		if err != nil {
			return output.Answer{}, err
		}
		read += max(len(list), 1)
		for _, r := range list {
			if !q.selects(r) {
				continue
			}
			j, err := showReading(c.CorpID, r)
			if err != nil {
				return output.Answer{}, err
			}
			out.Readings = append(out.Readings, j)
			people, users = append(people, j.Parties...), append(users, j.By)
			if j.Room != nil {
				rooms = append(rooms, *j.Room)
			}
		}
		if at.Key = next; next == "" {
			at.Day = input.DaysAfter(at.Day, 1)
		}
	}
	out.Names = h.Names.Beside(ctx, c.Corp, archive.Distinct(people), archive.Distinct(rooms))
	maps.Copy(out.Names.People, h.Names.Users(ctx, c.Corp, archive.Distinct(users)).People)
	if at.Day <= q.to {
		if out.Next, err = c.SealPage(at); err != nil {
			return output.Answer{}, err
		}
	}
	return output.JSON(200, out)
}

func showReading(corp string, r archive.Reading) (readingJSON, error) {
	j := readingJSON{At: output.Moment(r.At), By: r.By, Role: r.Role, Parties: []string{}}
	if r.Conversation == "" {
		j.List, j.Day = output.TextOrNull(string(r.List)), output.TextOrNull(string(r.Day))
		switch r.List {
		case archive.RoomList:
			j.Room = &r.Party
		case archive.PartyList:
			j.Party, j.Parties = &r.Party, append(j.Parties, r.Party)
		}
		return j, nil
	}
	kind, ids := r.Conversation.Kind(), r.Conversation.Parties()
	j.Kind = &kind
	if kind == "room" {
		if len(ids) == 1 {
			j.Room = &ids[0]
		}
	} else {
		j.Parties = append(j.Parties, ids...)
	}
	id, err := opaque.Conversation(corp).Seal(r.Conversation)
	j.Conversation = &id
	return j, err
}
