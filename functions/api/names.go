package main

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/message"
)

const (
	// givenMost is how many people or rooms are given at once, and givenBytes
	// what their list may come to.
	givenMost  = 500
	givenBytes = 1 << 20
	peopleMost = 100 // ids of people asked for at once
	// roomsMost rooms, with up to [directory.RoomMembersMost] members each, fit
	// into an answer.
	roomsMost = 10

	maxPersonName = 200  // characters of a name of a person, company or room
	maxAvatar     = 1024 // characters of an address
)

// namesJSON is what pages of chats carry beside them. Ids without a name are
// not in it.
type namesJSON struct {
	People map[string]personNameJSON `json:"people"`
	Rooms  map[string]roomNameJSON   `json:"rooms"`
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

// named adds whom a reader wants named beside a message: the room, or else who
// takes part, and in any case the sender. Receivers in a room are not: there
// may be 2000 of them, and no page shows them.
func named(people, rooms []string, conv archive.ConversationID, f message.Fields) ([]string, []string) {
	people = append(people, sender(f))
	if conv.Kind() == "room" {
		return people, append(rooms, conv.Parties()...)
	}
	return append(append(people, conv.Parties()...), f.Parties()...), rooms
}

// namesBytes is the most that the names beside an answer come to. It is enough
// for a full page; whoever is beyond it has no name there.
const namesBytes = 128 << 10

// namesOf finds the names of those whom an answer shows. It never fails:
// chats without names are still chats.
func (a *api) namesOf(ctx context.Context, c *call, people, rooms []string) namesJSON {
	names := a.names.Lookup(ctx, c.corp, people, rooms)
	j := namesJSON{People: map[string]personNameJSON{}, Rooms: map[string]roomNameJSON{}}
	left := namesBytes
	fits := func(id string, entry any) bool {
		b, err := asJSON(200, map[string]any{id: entry})
		left -= len(b.body)
		return err == nil && left >= 0
	}
	for _, id := range slices.Sorted(maps.Keys(names.Rooms)) {
		r := names.Rooms[id]
		entry := roomNameJSON{Name: r.Name, Kind: roomKindOrNull(r.Kind), Owner: textOrNull(r.Owner)}
		if r.Name != "" && fits(id, entry) {
			j.Rooms[id] = entry
		}
	}
	for _, id := range slices.Sorted(maps.Keys(names.People)) {
		p := names.People[id]
		entry := personNameJSON{Name: p.Name, Kind: p.Kind, Avatar: textOrNull(p.Avatar), Company: textOrNull(p.Company)}
		if p.Name != "" && fits(id, entry) {
			j.People[id] = entry
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
	j := originJSON{At: momentOrNull(o.At)}
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
		ID: p.ID, Kind: p.Kind, Name: textOrNull(p.Name), Avatar: textOrNull(p.Avatar), Company: textOrNull(p.Company), originJSON: showOrigin(p.Origin),
	}
}

type roomJSON struct {
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

func showRoom(r directory.Room) roomJSON {
	j := roomJSON{
		ID: r.ID, Kind: roomKindOrNull(r.Kind), Name: textOrNull(r.Name), Owner: textOrNull(r.Owner), CreatedAt: momentOrNull(r.CreatedAt),
		Members: []roomMemberJSON{}, originJSON: showOrigin(r.Origin),
	}
	for _, m := range r.Members {
		j.Members = append(j.Members, roomMemberJSON{ID: m.ID, Name: textOrNull(m.Name)})
	}
	return j
}

// keyPage is where a page of contacts, rooms or consents begins: after a key.
type keyPage struct {
	Key string `json:"k"`
}

// sealKey makes the token of the page after key; nil for none.
func (c *call) sealKey(key string) (*string, error) {
	if key == "" {
		return nil, nil
	}
	return seal(c.use, keyPage{Key: key})
}

// listContacts answers those asked for, which has missing ones fetched, or all
// who are known, page by page.
func (a *api) listContacts(ctx context.Context, c *call) (answer, error) {
	ids, at, limit, err := c.namesQuery(peopleMost)
	if err != nil {
		return answer{}, err
	}
	out := struct {
		Contacts []personJSON `json:"contacts"`
		Next     *string      `json:"next"`
	}{Contacts: []personJSON{}}
	if ids != nil {
		known := a.names.Lookup(ctx, c.corp, ids, nil).People
		for _, id := range ids {
			p, ok := known[id]
			if !ok {
				p = directory.Person{ID: id, Kind: directory.KindOf(id)}
			}
			out.Contacts = append(out.Contacts, showPerson(p))
		}
		return asJSON(200, out)
	}
	list, next, err := a.contacts.ListPeople(ctx, c.corpID, at.Key, limit)
	if err != nil {
		return answer{}, err
	}
	for _, p := range list {
		out.Contacts = append(out.Contacts, showPerson(p))
	}
	if out.Next, err = c.sealKey(next); err != nil {
		return answer{}, err
	}
	return asJSON(200, out)
}

// listRooms is like listContacts.
func (a *api) listRooms(ctx context.Context, c *call) (answer, error) {
	ids, at, limit, err := c.namesQuery(roomsMost)
	if err != nil {
		return answer{}, err
	}
	out := struct {
		Rooms []roomJSON `json:"rooms"`
		Next  *string    `json:"next"`
	}{Rooms: []roomJSON{}}
	if ids != nil {
		known := a.names.Lookup(ctx, c.corp, nil, ids).Rooms
		for _, id := range ids {
			r, ok := known[id]
			if !ok {
				r = directory.Room{ID: id}
			}
			out.Rooms = append(out.Rooms, showRoom(r))
		}
		return asJSON(200, out)
	}
	list, next, err := a.contacts.ListRooms(ctx, c.corpID, at.Key, min(limit, roomsMost))
	if err != nil {
		return answer{}, err
	}
	for _, r := range list {
		out.Rooms = append(out.Rooms, showRoom(r))
	}
	if out.Next, err = c.sealKey(next); err != nil {
		return answer{}, err
	}
	return asJSON(200, out)
}

// namesQuery reads the query of a list of names: at most so many ids, each
// once, or a page of all. ids is nil where none are asked for.
func (c *call) namesQuery(most int) (ids []string, at keyPage, limit int, _ error) {
	c.page(&at)
	limit = c.limit()
	if !c.query.Has("ids") {
		return nil, at, limit, c.err()
	}
	for id := range strings.SplitSeq(c.query.Get("ids"), ",") {
		if n := utf8.RuneCountInString(id); n < 1 || n > maxParty {
			c.reject("ids", problem.Length, problem.MendIDs, problem.Args{"max": strconv.Itoa(maxParty)})
			break
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) > most {
		c.reject("ids", problem.Length, problem.MendList, problem.Args{"max": strconv.Itoa(most)})
	}
	if c.query.Has("page") {
		c.reject("page", problem.Exclusive, problem.MendIDsOrPage, nil)
	}
	return ids, at, limit, c.err()
}

// putContacts saves what the SCRM knows of people. All of it is checked before
// any of it is saved; saving again completes what failed half way.
func (a *api) putContacts(ctx context.Context, c *call) (answer, error) {
	var people []directory.Person
	seen := make(map[string]bool)
	c.required("contacts")
	for i, in := range c.entries("contacts", givenMost, []string{"id", "kind", "name", "avatar", "company"}) {
		p := directory.Person{
			ID: in.id(seen), Name: in.givenName(), Company: in.nameText("company"), Avatar: in.httpsAddress("avatar"),
			Kind:   directory.PersonKind(in.oneOf("kind", string(directory.Member), string(directory.External), string(directory.Robot))),
			Origin: directory.Origin{Source: directory.SourceSCRM, At: a.now()},
		}
		if p.Kind == "" {
			p.Kind = directory.KindOf(p.ID)
		}
		people = append(people, p)
		c.adopt("contacts", i, in)
	}
	if err := c.err(); err != nil {
		return answer{}, err
	}
	if err := a.contacts.GivePeople(ctx, c.corpID, people); err != nil {
		return answer{}, err
	}
	return asJSON(200, savedJSON{len(people)})
}

type savedJSON struct {
	Saved int `json:"saved"`
}

// putRooms is like putContacts.
func (a *api) putRooms(ctx context.Context, c *call) (answer, error) {
	var rooms []directory.Room
	seen := make(map[string]bool)
	c.required("rooms")
	for i, in := range c.entries("rooms", givenMost, []string{"id", "kind", "name", "owner"}) {
		r := directory.Room{
			ID: in.id(seen), Name: in.givenName(),
			Kind:   directory.RoomKind(in.oneOf("kind", string(directory.InternalRoom), string(directory.CustomerRoom), string(directory.ForeignRoom))),
			Origin: directory.Origin{Source: directory.SourceSCRM, At: a.now()},
		}
		r.Owner, _ = in.text("owner", 1, maxParty)
		rooms = append(rooms, r)
		c.adopt("rooms", i, in)
	}
	if err := c.err(); err != nil {
		return answer{}, err
	}
	if err := a.contacts.GiveRooms(ctx, c.corpID, rooms); err != nil {
		return answer{}, err
	}
	return asJSON(200, savedJSON{len(rooms)})
}

// id is the member id, which is required, and not one of those seen.
func (in *input) id(seen map[string]bool) string {
	in.required("id")
	id, _ := in.text("id", 1, maxParty)
	if id != "" && seen[id] {
		in.reject("id", problem.Repeated, problem.MendRepeated, nil)
	}
	seen[id] = true
	return id
}

// givenName is the member name, which is required; null takes back what was
// given.
func (in *input) givenName() string {
	if in.required("name") && string(in.body["name"]) == "null" {
		return ""
	}
	return in.nameText("name")
}

// nameText is a member that people read.
func (in *input) nameText(field string) string {
	s, ok := in.text(field, 1, maxPersonName)
	if ok && (strings.TrimSpace(s) == "" || strings.ContainsFunc(s, unicode.IsControl)) {
		in.reject(field, problem.Form, problem.MendName, nil)
	}
	return s
}

// httpsAddress is a member that pages show a picture from.
func (in *input) httpsAddress(field string) string {
	s, ok := in.text(field, 1, maxAvatar)
	if ok && (!strings.HasPrefix(s, "https://") || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })) {
		in.reject(field, problem.Form, problem.MendHTTPS, nil)
	}
	return s
}
