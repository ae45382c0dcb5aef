// Package directory answers questions about people, rooms and consents: the names
// that the SCRM and WeCom gave, who is archived, and who has agreed to it.
package directory

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

const (
	peopleMost = 100 // ids of people in one request
	// roomsMost bounds the rooms of an answer, and detailedMost those with their
	// members: each has up to [directory.RoomMembersMost].
	roomsMost    = 100
	detailedMost = 10
	// searchedMost bounds the rooms that are read for a page of a search.
	searchedMost = 2000
)

// Names are the names beside an answer, by id. An id without a known name is
// absent, and Missing has the reason if WeCom answered about the id. The ids of
// people and rooms have different forms, so one map serves both.
type Names struct {
	People  map[string]personNameJSON    `json:"people"`
	Rooms   map[string]roomNameJSON      `json:"rooms"`
	Missing map[string]directory.Missing `json:"missing"`
}

// Only leaves the names of these people and rooms.
func (n Names) Only(people, rooms []string) Names {
	maps.DeleteFunc(n.People, func(id string, _ personNameJSON) bool { return !slices.Contains(people, id) })
	maps.DeleteFunc(n.Rooms, func(id string, _ roomNameJSON) bool { return !slices.Contains(rooms, id) })
	maps.DeleteFunc(n.Missing, func(id string, _ directory.Missing) bool {
		return !slices.Contains(people, id) && !slices.Contains(rooms, id)
	})
	return n
}

// WithoutOwners leaves out the owners of the rooms.
func (n Names) WithoutOwners() Names {
	for id, r := range n.Rooms {
		r.Owner = nil
		n.Rooms[id] = r
	}
	return n
}

type personNameJSON struct {
	Name    string               `json:"name"`
	Kind    directory.PersonKind `json:"kind"`
	Avatar  *string              `json:"avatar"`
	Company *string              `json:"company"`
}

type roomNameJSON struct {
	Name  string              `json:"name"`
	Kind  *directory.RoomKind `json:"kind"`
	Owner *string             `json:"owner"`
}

// Beside finds the names of the people and rooms that an answer shows. It never
// fails: readers can use chats without names.
func (h *Handlers) Beside(ctx context.Context, corp archive.Corp, people, rooms []string) Names {
	return show(h.Book.Lookup(ctx, corp, people, rooms))
}

// Users finds the names of users of the API who are members. The subject of a token
// may be any text, so WeCom is asked only about those whom a message names.
func (h *Handlers) Users(ctx context.Context, corp archive.Corp, users []string) Names {
	return show(h.Book.Find(ctx, corp, users, nil))
}

// show writes names, as many as an answer has room for, and then why the others are
// missing.
func show(names directory.Names) Names {
	j := Names{People: map[string]personNameJSON{}, Rooms: map[string]roomNameJSON{}, Missing: map[string]directory.Missing{}}
	left := output.NamesBytes
	fits := func(id string, entry any) bool {
		b, err := output.JSON(200, map[string]any{id: entry})
		left -= len(b.Body)
		return err == nil && left >= 0
	}
	missing := make(map[string]directory.Missing)
	for _, id := range slices.Sorted(maps.Keys(names.Rooms)) {
		r := names.Rooms[id]
		entry := roomNameJSON{Name: r.Name, Kind: roomKindOrNull(r.Kind), Owner: output.TextOrNull(r.Owner)}
		if r.Name == "" {
			missing[id] = r.Missing
		} else if fits(id, entry) {
			j.Rooms[id] = entry
		}
	}
	for _, id := range slices.Sorted(maps.Keys(names.People)) {
		p := names.People[id]
		entry := personNameJSON{Name: p.Name, Kind: p.Kind, Avatar: output.TextOrNull(p.Avatar), Company: output.TextOrNull(p.Company)}
		if p.Name == "" {
			missing[id] = p.Missing
		} else if fits(id, entry) {
			j.People[id] = entry
		}
	}
	for _, id := range slices.Sorted(maps.Keys(missing)) {
		if reason := missing[id]; reason != "" && fits(id, reason) {
			j.Missing[id] = reason
		}
	}
	return j
}

func roomKindOrNull(k directory.RoomKind) *directory.RoomKind {
	if k == "" {
		return nil
	}
	return &k
}

type originJSON struct {
	Source  *directory.NameSource `json:"source"`
	At      *string               `json:"at"`
	Missing *directory.Missing    `json:"missing"`
}

func showOrigin(o directory.Origin) originJSON {
	j := originJSON{At: output.MomentOrNull(o.At)}
	if o.Source != "" {
		j.Source = &o.Source
	}
	if o.Missing != "" {
		j.Missing = &o.Missing
	}
	return j
}

type personJSON struct {
	ID      string               `json:"id"`
	Kind    directory.PersonKind `json:"kind"`
	Name    *string              `json:"name"`
	Avatar  *string              `json:"avatar"`
	Company *string              `json:"company"`
	originJSON
}

func showPerson(p directory.Person) personJSON {
	return personJSON{
		ID: p.ID, Kind: p.Kind, Name: output.TextOrNull(p.Name), Avatar: output.TextOrNull(p.Avatar), Company: output.TextOrNull(p.Company), originJSON: showOrigin(p.Origin),
	}
}

// RoomJSON is a room with its members.
type RoomJSON struct {
	ID        string              `json:"id"`
	Kind      *directory.RoomKind `json:"kind"`
	Name      *string             `json:"name"`
	Owner     *string             `json:"owner"`
	CreatedAt *string             `json:"created_at"`
	Members   []roomMemberJSON    `json:"members"`
	originJSON
}

type roomMemberJSON struct {
	ID   string  `json:"id"`
	Name *string `json:"name"`
}

// showRoom shows a room. Its members are null unless members is set.
func showRoom(r directory.Room, members bool) RoomJSON {
	j := RoomJSON{
		ID: r.ID, Kind: roomKindOrNull(r.Kind), Name: output.TextOrNull(r.Name), Owner: output.TextOrNull(r.Owner), CreatedAt: output.MomentOrNull(r.CreatedAt),
		originJSON: showOrigin(r.Origin),
	}
	if !members {
		return j
	}
	j.Members = []roomMemberJSON{}
	for _, m := range r.Members {
		j.Members = append(j.Members, roomMemberJSON{ID: m.ID, Name: output.TextOrNull(m.Name)})
	}
	return j
}

// RoomOf describes a room, with its owner and its members if today is set: both are
// those of today. It never fails, like Beside.
func (h *Handlers) RoomOf(ctx context.Context, corp archive.Corp, id string, today bool) RoomJSON {
	r, ok := h.Book.Lookup(ctx, corp, nil, []string{id}).Rooms[id]
	if !ok {
		r = directory.Room{ID: id}
	}
	if !today {
		r.Owner = ""
	}
	return showRoom(r, today)
}

// RoomsWith returns those of the rooms whose name or id contains the text, which is in
// lower case.
func (h *Handlers) RoomsWith(ctx context.Context, corp string, ids []string, text string) ([]string, error) {
	known, err := h.Book.Names.Rooms(ctx, corp, ids)
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		return !strings.Contains(strings.ToLower(directory.BestRoom(id, known[id]).Name), text) && !strings.Contains(strings.ToLower(id), text)
	}), err
}

// ListContacts lists the people with the requested ids, or all known people page
// by page. A request by ids also requests the names that are absent.
func (h *Handlers) ListContacts(ctx context.Context, c *session.Call) (output.Answer, error) {
	ids, at, limit, err := namesQuery(c, peopleMost)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Contacts []personJSON `json:"contacts"`
		Next     *string      `json:"next"`
	}{Contacts: []personJSON{}}
	if ids != nil {
		known := h.Book.Find(ctx, c.Corp, ids, nil).People
		for _, id := range ids {
			p, ok := known[id]
			if !ok {
				p = directory.Person{ID: id, Kind: directory.KindOf(id)}
			}
			out.Contacts = append(out.Contacts, showPerson(p))
		}
		return output.JSON(200, out)
	}
	list, next, err := h.Contacts.ListPeople(ctx, c.CorpID, at.Key, limit)
	if err != nil {
		return output.Answer{}, err
	}
	for _, p := range list {
		out.Contacts = append(out.Contacts, showPerson(p))
	}
	if out.Next, err = c.SealKey(next); err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, out)
}

// ListRooms lists rooms as ListContacts lists people, or those with a text in their
// name.
func (h *Handlers) ListRooms(ctx context.Context, c *session.Call) (output.Answer, error) {
	members, text := c.Only("members"), strings.ToLower(strings.TrimSpace(c.Query.Get("q")))
	most := roomsMost
	if members {
		most = detailedMost
	}
	if text != "" && c.Query.Has("ids") {
		c.Reject("q", problem.Exclusive, problem.RemedyIDsOrPage, nil)
	}
	ids, at, limit, err := namesQuery(c, most)
	if err != nil {
		return output.Answer{}, err
	}
	out := struct {
		Rooms []RoomJSON `json:"rooms"`
		Next  *string    `json:"next"`
	}{Rooms: []RoomJSON{}}
	if ids != nil {
		known := h.Book.Find(ctx, c.Corp, nil, ids).Rooms
		for _, id := range ids {
			r, ok := known[id]
			if !ok {
				r = directory.Room{ID: id}
			}
			out.Rooms = append(out.Rooms, showRoom(r, members))
		}
		return output.JSON(200, out)
	}
	next := at.Key
	for read := 0; ; {
		// A search reads more rooms than it shows, but never more than fit on the page.
		n := min(limit, most) - len(out.Rooms)
		list, after, err := h.Contacts.ListRooms(ctx, c.CorpID, next, n)
		if err != nil {
			return output.Answer{}, err
		}
		for _, r := range list {
			if text == "" || strings.Contains(strings.ToLower(r.Name), text) || strings.Contains(strings.ToLower(r.ID), text) {
				out.Rooms = append(out.Rooms, showRoom(r, members))
			}
		}
		read, next = read+len(list), after
		if next == "" || text == "" || len(out.Rooms) == min(limit, most) || read >= searchedMost || session.Ending(ctx) {
			break
		}
	}
	if out.Next, err = c.SealKey(next); err != nil {
		return output.Answer{}, err
	}
	return output.JSON(200, out)
}

// namesQuery reads the query of a list of names: at most most ids, without
// repetitions, or the place of a page. ids is nil for a query without ids.
func namesQuery(c *session.Call, most int) (ids []string, at input.KeyPage, limit int, _ error) {
	c.Page(&at)
	limit = c.Limit()
	if !c.Query.Has("ids") {
		return nil, at, limit, c.Err()
	}
	for id := range strings.SplitSeq(c.Query.Get("ids"), ",") {
		if n := utf8.RuneCountInString(id); n < 1 || n > input.MaxParty {
			c.Reject("ids", problem.Length, problem.RemedyIDs, problem.Args{"max": strconv.Itoa(input.MaxParty)})
			break
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) > most {
		c.Reject("ids", problem.Length, problem.RemedyList, problem.Args{"max": strconv.Itoa(most)})
	}
	if c.Query.Has("page") {
		c.Reject("page", problem.Exclusive, problem.RemedyIDsOrPage, nil)
	}
	return ids, at, limit, c.Err()
}
