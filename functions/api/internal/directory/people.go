package directory

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/text/collate"
	"golang.org/x/text/language"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

const (
	// namedMost bounds the people who are read to sort them by name.
	namedMost = 10_000
	// lookAtOnce bounds the people who are looked at together, and askAtOnce the
	// requests to the store at a time.
	lookAtOnce = 100
	askAtOnce  = 32
	// daysMost bounds the days that are read together.
	daysMost = 32
)

// activePersonJSON is a person in the directory.
type activePersonJSON struct {
	ID      string               `json:"id"`
	Kind    directory.PersonKind `json:"kind"`
	Name    *string              `json:"name"`
	Avatar  *string              `json:"avatar"`
	Company *string              `json:"company"`
	Missing *directory.Missing   `json:"missing"`
	LastDay *string              `json:"last_day"`
}

// activePerson is a person with the newest day of activity, empty if there is none.
type activePerson struct {
	directory.Person
	lastDay archive.Day
}

// peoplePage is the place where a page begins: after a person in the list of a day,
// or after some people of a whole list.
type peoplePage struct {
	Day archive.Day `json:"d,omitempty"`
	ID  string      `json:"k,omitempty"`
	N   int         `json:"n,omitempty"`
}

// peopleQuery is the query of a list of people.
type peopleQuery struct {
	kind   directory.PersonKind // any if empty
	text   string               // in the name or the id
	with   string               // a member whose single chats name the people
	byName bool
	limit  int
	at     peoplePage
}

func readPeopleQuery(c *session.Call) (peopleQuery, error) {
	q := peopleQuery{text: strings.ToLower(strings.TrimSpace(c.Query.Get("q"))), with: c.Party("with"), limit: c.Limit()}
	q.kind = directory.PersonKind(c.Choice("kind", string(directory.Member), string(directory.External), string(directory.Robot)))
	q.byName = c.Choice("sort", "recent", "name") == "name"
	if q.byName && q.with != "" {
		c.Reject("sort", problem.Exclusive, problem.RemedyWithOrName, nil)
	}
	if c.Page(&q.at) && (q.at.N < 0 || q.at.Day != "" && q.at.Day.Start().IsZero()) {
		c.RejectPage()
	}
	if err := c.Err(); err != nil {
		return q, err
	}
	if c.Caller.Limited && q.with != "" && !c.Caller.Includes(q.with) {
		return q, problem.New(problem.Forbidden, nil)
	}
	return q, nil
}

// ListPeople lists people: all who ever took part in a message, those who have a
// name, or those who have a single chat with a member. A limited caller gets its
// own members, or, asked for another kind, those who have a single chat with one of
// them.
func (h *Handlers) ListPeople(ctx context.Context, c *session.Call) (output.Answer, error) {
	q, err := readPeopleQuery(c)
	if err != nil {
		return output.Answer{}, err
	}
	var found []activePerson
	var next *peoplePage
	whole := true
	// The list says with whom these members talk.
	var members []string
	switch {
	case q.with != "":
		members = []string{q.with}
	case c.Caller.Limited && (q.kind == directory.External || q.kind == directory.Robot):
		members = archive.Distinct(c.Caller.Staff)
	}
	switch {
	case len(members) > 0 && q.byName:
		found, next, whole, err = h.partnersByName(ctx, c, q, members)
	case len(members) > 0:
		found, next, err = h.recentPeople(ctx, c, q, h.partnersOn(members))
	case c.Caller.Limited:
		found, next, err = h.staffPeople(ctx, c, q)
	case q.byName:
		found, next, whole, err = h.peopleByName(ctx, c, q)
	default:
		found, next, err = h.recentPeople(ctx, c, q, h.activeOn)
	}
	if err != nil {
		return output.Answer{}, err
	}
	if err := h.recordLists(ctx, c, members); err != nil {
		return output.Answer{}, err
	}
	out := struct {
		People []activePersonJSON `json:"people"`
		Whole  bool               `json:"whole"`
		Next   *string            `json:"next"`
	}{People: []activePersonJSON{}, Whole: whole}
	var ids []string
	for _, p := range found {
		ids = append(ids, p.ID)
	}
	// Absent names are requested, as for every list that a reader sees.
	named := h.Book.Lookup(ctx, c.Corp, ids, nil).People
	for _, p := range found {
		if known, ok := named[p.ID]; ok {
			p.Person = known
		}
		out.People = append(out.People, activePersonJSON{
			ID: p.ID, Kind: p.Kind, Name: output.TextOrNull(p.Name), Avatar: output.TextOrNull(p.Avatar), Company: output.TextOrNull(p.Company),
			Missing: showOrigin(p.Origin).Missing, LastDay: output.TextOrNull(string(p.lastDay)),
		})
	}
	if next != nil {
		if out.Next, err = c.SealPage(next); err != nil {
			return output.Answer{}, err
		}
	}
	return output.JSON(200, out)
}

// matches reports whether the person is one that the query asks for.
func (q peopleQuery) matches(p directory.Person) bool {
	return (q.kind == "" || p.Kind == q.kind) &&
		(q.text == "" || strings.Contains(strings.ToLower(p.Name), q.text) || strings.Contains(strings.ToLower(p.ID), q.text))
}

// A dayOfPeople names people on a day, by id, and finds their newest day.
type dayOfPeople struct {
	day  archive.Day
	ids  []string // sorted
	last func(ctx context.Context, id string) (archive.Day, error)
}

// daysOf lists the newest days, not after upTo unless it is empty, at most limit.
type daysOf func(ctx context.Context, corp string, upTo archive.Day, limit int) ([]dayOfPeople, error)

// activeOn names the people who took part in any message of a day.
func (h *Handlers) activeOn(ctx context.Context, corp string, upTo archive.Day, limit int) ([]dayOfPeople, error) {
	days, err := h.Activity.CorpDays(ctx, corp, upTo, limit)
	var list []dayOfPeople
	for _, d := range days {
		list = append(list, dayOfPeople{d.Day, d.Parties, func(ctx context.Context, id string) (archive.Day, error) {
			return h.Activity.LastDay(ctx, corp, id)
		}})
	}
	return list, err
}

// partnersOn names those who had a single chat with one of the members on a day.
func (h *Handlers) partnersOn(members []string) daysOf {
	return func(ctx context.Context, corp string, upTo archive.Day, limit int) ([]dayOfPeople, error) {
		ids := make(map[archive.Day][]string)
		for _, member := range members {
			days, err := h.Activity.ActiveDays(ctx, corp, member, upTo, limit)
			if err != nil {
				return nil, err
			}
			for _, d := range days {
				ids[d.Day] = append(ids[d.Day], partners(member, d.Conversations)...)
			}
		}
		// Each member's newest days are here, so the newest of all are complete.
		var list []dayOfPeople
		for _, day := range slices.Backward(slices.Sorted(maps.Keys(ids))) {
			list = append(list, dayOfPeople{day, archive.Distinct(ids[day]), func(ctx context.Context, id string) (archive.Day, error) {
				return h.lastChat(ctx, corp, members, id)
			}})
		}
		return list[:min(len(list), limit)], nil
	}
}

// partners names those who have one of the single chats with the member.
func partners(member string, chats []archive.ConversationID) (ids []string) {
	for _, conv := range chats {
		parties := conv.Parties()
		if i := slices.Index(parties, member); conv.Kind() == "single" && len(parties) == 2 && i >= 0 {
			ids = append(ids, parties[1-i])
		}
	}
	return ids
}

// lastChat finds the newest day on which a person had a single chat with one of the
// members; empty while its first message is not visible.
func (h *Handlers) lastChat(ctx context.Context, corp string, members []string, id string) (last archive.Day, _ error) {
	for _, member := range members {
		newest, err := h.Activity.Newest(ctx, corp, archive.PartyConversation([]string{member, id}))
		if errors.Is(err, archive.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		last = max(last, archive.DayOf(newest.Time))
	}
	return last, nil
}

// partnersByName lists those who have a single chat with one of the members, by
// their names. whole is false if there are more than it could read.
func (h *Handlers) partnersByName(ctx context.Context, c *session.Call, q peopleQuery, members []string) (list []activePerson, next *peoplePage, whole bool, _ error) {
	all := q
	all.limit, all.at = namedMost, peoplePage{}
	people, rest, err := h.recentPeople(ctx, c, all, h.partnersOn(members))
	sortByName(people)
	list, next = part(people, q)
	return list, next, rest == nil, err
}

// recordLists records a reading of each member's list.
func (h *Handlers) recordLists(ctx context.Context, c *session.Call, members []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(askAtOnce)
	for _, member := range members {
		g.Go(func() error {
			return c.RecordReading(ctx, h.Readings, h.Now(), archive.Reading{List: archive.PartyList, Party: member})
		})
	}
	return g.Wait()
}

// recentPeople walks back over days. A person belongs to the newest day that names
// the person; the walk skips the person on other days.
func (h *Handlers) recentPeople(ctx context.Context, c *session.Call, q peopleQuery, daysOf daysOf) (found []activePerson, next *peoplePage, _ error) {
	upTo := q.at.Day
	for atOnce := 1; ; atOnce = min(4*atOnce, daysMost) {
		days, err := daysOf(ctx, c.CorpID, upTo, atOnce)
		if err != nil {
			return nil, nil, err
		}
		for _, d := range days {
			for some := range slices.Chunk(d.ids, lookAtOnce) {
				if d.day == q.at.Day {
					some = slices.DeleteFunc(slices.Clone(some), func(id string) bool { return id <= q.at.ID })
				}
				people, err := h.peopleOf(ctx, c.CorpID, q, d, some)
				if err != nil {
					return nil, nil, err
				}
				for _, p := range people {
					if len(found) == q.limit {
						last := found[len(found)-1]
						return found, &peoplePage{Day: last.lastDay, ID: last.ID}, nil
					}
					found = append(found, p)
				}
				if len(some) > 0 && session.Ending(ctx) {
					return found, &peoplePage{Day: d.day, ID: some[len(some)-1]}, nil
				}
			}
			upTo = input.DaysAfter(d.day, -1)
		}
		if len(days) < atOnce {
			return found, nil, nil
		}
		if session.Ending(ctx) { // also after days without people
			return found, &peoplePage{Day: upTo}, nil
		}
	}
}

// peopleOf reads the people with the ids who belong to a day and match the query,
// in the order of the ids.
func (h *Handlers) peopleOf(ctx context.Context, corp string, q peopleQuery, d dayOfPeople, ids []string) ([]activePerson, error) {
	people, err := h.matching(ctx, corp, q, ids)
	if err != nil {
		return nil, err
	}
	if err := lastDays(ctx, people, d.last); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(people, func(p activePerson) bool { return p.lastDay != d.day }), nil
}

// matching reads the names of the ids, and returns the people that match.
func (h *Handlers) matching(ctx context.Context, corp string, q peopleQuery, ids []string) ([]activePerson, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return q.kind != "" && directory.KindOf(id) != q.kind })
	if len(ids) == 0 {
		return nil, nil
	}
	known, err := h.Book.Names.People(ctx, corp, ids)
	var people []activePerson
	for _, id := range ids {
		if p := directory.BestPerson(id, known[id]); q.matches(p) {
			people = append(people, activePerson{Person: p})
		}
	}
	return people, err
}

// lastDays finds the newest day of each person.
func lastDays(ctx context.Context, people []activePerson, last func(context.Context, string) (archive.Day, error)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(askAtOnce)
	for i := range people {
		g.Go(func() (err error) {
			people[i].lastDay, err = last(ctx, people[i].ID)
			return err
		})
	}
	return g.Wait()
}

// lastDay finds the newest day of a person in the whole corp.
func (h *Handlers) lastDay(corp string) func(context.Context, string) (archive.Day, error) {
	return func(ctx context.Context, id string) (archive.Day, error) { return h.Activity.LastDay(ctx, corp, id) }
}

// staffPeople lists the members of a limited caller.
func (h *Handlers) staffPeople(ctx context.Context, c *session.Call, q peopleQuery) ([]activePerson, *peoplePage, error) {
	people, err := h.matching(ctx, c.CorpID, q, archive.Distinct(c.Caller.Staff))
	if err != nil {
		return nil, nil, err
	}
	if err := lastDays(ctx, people, h.lastDay(c.CorpID)); err != nil {
		return nil, nil, err
	}
	if q.byName {
		sortByName(people)
	} else {
		slices.SortStableFunc(people, func(x, y activePerson) int { return cmp.Compare(y.lastDay, x.lastDay) })
	}
	list, next := part(people, q)
	return list, next, nil
}

// peopleByName lists the people who have a name, by their names. whole is false if
// there are more than it could read.
func (h *Handlers) peopleByName(ctx context.Context, c *session.Call, q peopleQuery) (list []activePerson, next *peoplePage, whole bool, err error) {
	var people []activePerson
	read := 0
	for cursor := ""; ; {
		some, after, err := h.Contacts.ListPeople(ctx, c.CorpID, cursor, 1000)
		if err != nil {
			return nil, nil, false, err
		}
		for _, p := range some {
			if p.Name != "" && q.matches(p) {
				people = append(people, activePerson{Person: p})
			}
		}
		if cursor, whole = after, after == ""; whole {
			break
		}
		if read += len(some); read >= namedMost || session.Ending(ctx) {
			break
		}
	}
	sortByName(people)
	list, next = part(people, q)
	return list, next, whole, lastDays(ctx, list, h.lastDay(c.CorpID))
}

// part returns the page of a whole list, and the place of the next one.
func part(people []activePerson, q peopleQuery) ([]activePerson, *peoplePage) {
	people = people[min(q.at.N, len(people)):]
	if len(people) <= q.limit {
		return people, nil
	}
	return people[:q.limit], &peoplePage{N: q.at.N + q.limit}
}

// sortByName sorts by name, Chinese names by their sounds, and then by id. People
// without a name come last.
func sortByName(people []activePerson) {
	order := collate.New(language.Chinese)
	var keys collate.Buffer
	byName := make(map[string][]byte, len(people))
	for _, p := range people {
		byName[p.ID] = order.KeyFromString(&keys, p.Name)
	}
	slices.SortFunc(people, func(x, y activePerson) int {
		if (x.Name == "") != (y.Name == "") {
			return cmp.Compare(len(y.Name), len(x.Name))
		}
		return cmp.Or(slices.Compare(byName[x.ID], byName[y.ID]), cmp.Compare(x.ID, y.ID))
	})
}
