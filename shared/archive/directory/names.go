package directory

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Person is what is known of a participant of chats.
type Person struct {
	ID      string
	Kind    PersonKind
	Name    string // empty if unknown
	Avatar  string // URL, or empty
	Company string // of an external contact; empty if unknown
	Origin
}

// PersonKind is what an id stands for.
type PersonKind string

// The kinds of person.
const (
	Member   PersonKind = "member"   // of the corp
	External PersonKind = "external" // an external contact
	Robot    PersonKind = "robot"
)

// KindOf derives the kind from the prefix of an id (wecom.md 2.2). Corps choose
// their userids, so a member's id may look external; WeCom's answer then corrects
// the kind.
func KindOf(id string) PersonKind {
	switch {
	case strings.HasPrefix(id, "wm"), strings.HasPrefix(id, "wo"):
		return External
	case strings.HasPrefix(id, "wb"):
		return Robot
	}
	return Member
}

// Room is what is known of a group chat.
type Room struct {
	ID        string
	Kind      RoomKind // empty if not known
	Name      string   // empty if unknown, or if the room has no name
	Owner     string   // userid
	CreatedAt time.Time
	Members   []RoomMember // at most [RoomMembersMost]
	Origin
}

// RoomMembersMost is how many members of a room are kept: WeCom's largest rooms
// have 2000, and an item of DynamoDB holds 400 KB.
const RoomMembersMost = 2000

// RoomMember is a member of a room. WeCom returns Name with the room; it may be
// the only name of an external contact who is not a contact of a member.
type RoomMember struct{ ID, Name string }

// RoomKind says which corp created a room, which decides what WeCom answers about
// it.
type RoomKind string

// The kinds of room.
const (
	InternalRoom RoomKind = "internal" // members only
	CustomerRoom RoomKind = "customer" // the corp's own, with external contacts
	ForeignRoom  RoomKind = "foreign"  // created by another corp: WeCom answers nothing
)

// Origin says where a name comes from.
type Origin struct {
	Source NameSource // empty if unknown
	// At is when the SCRM saved the name, or WeCom answered.
	At time.Time
	// Missing is why WeCom's last answer had no name. The name of an earlier answer
	// is kept beside it.
	Missing Missing
}

// NameSource is where a name comes from.
type NameSource string

// The sources. A name of the SCRM takes precedence over one of WeCom's.
const (
	SourceSCRM  NameSource = "scrm"
	SourceWeCom NameSource = "wecom"
)

// Missing is why WeCom returned no name for an id. Its values are part of the
// HTTP API.
type Missing string

// The reasons.
const (
	MissingNotFound Missing = "not_found"     // no such member, robot or room
	MissingRange    Missing = "out_of_range"  // outside the visible range of the corp's app
	MissingRelation Missing = "not_a_contact" // no member in the app's range has this external contact
	MissingForeign  Missing = "other_corp"    // a room that another corp created
	MissingApp      Missing = "needs_app"     // only a self-built app may ask, and the corp has none
	MissingRefused  Missing = "refused"       // for an undocumented reason
)

// again is the time after which WeCom is asked again about an id.
func (m Missing) again() time.Duration {
	switch m {
	case "", MissingNotFound, MissingForeign:
		return NameAge
	}
	return missingAge // an administrator may have changed it
}

const (
	// NameAge is how old a name from WeCom may be before a lookup refreshes it.
	NameAge    = 7 * 24 * time.Hour
	missingAge = 24 * time.Hour
)

// Known is all that is stored about an id.
type Known[T Person | Room] struct {
	Given   *T // by the SCRM
	Fetched *T // from WeCom
	// AskedAt is when a lookup last requested the id.
	AskedAt time.Time
}

func origin[T Person | Room](v *T) Origin {
	switch v := any(v).(type) {
	case *Person:
		return v.Origin
	case *Room:
		return v.Origin
	}
	return Origin{}
}

// stale reports whether WeCom should be asked about the id: the SCRM has not
// given a name, and WeCom's answer is absent, old, or was a refusal to an earlier
// app.
func (k Known[T]) stale(now, appSetAt time.Time) bool {
	if k.Given != nil {
		return false
	}
	if k.Fetched == nil {
		return true
	}
	o := origin(k.Fetched)
	return now.Sub(o.At) >= o.Missing.again() || o.Missing != "" && o.At.Before(appSetAt)
}

// BestPerson is what readers see of a person: fields of the SCRM first.
func BestPerson(id string, k Known[Person]) Person {
	best := Person{ID: id, Kind: KindOf(id)}
	if k.Fetched != nil {
		best = *k.Fetched
	}
	if g := k.Given; g != nil {
		best.Kind, best.Name, best.Origin = g.Kind, g.Name, g.Origin
		best.Avatar, best.Company = cmp.Or(g.Avatar, best.Avatar), cmp.Or(g.Company, best.Company)
	}
	return best
}

// BestRoom is what readers see of a room: fields of the SCRM first. The SCRM knows
// a room's name and owner; WeCom knows its members better.
func BestRoom(id string, k Known[Room]) Room {
	best := Room{ID: id}
	if k.Fetched != nil {
		best = *k.Fetched
	}
	if g := k.Given; g != nil {
		best.Name, best.Origin = g.Name, g.Origin
		best.Owner = cmp.Or(g.Owner, best.Owner)
		if g.Kind != "" {
			best.Kind = g.Kind
		}
		if len(g.Members) > 0 {
			best.Members = g.Members
		}
	}
	return best
}

// A NameReader reads what is stored about ids, which must be distinct. Unknown ids
// are left out. Safe for concurrent use.
type NameReader interface {
	People(ctx context.Context, corp string, ids []string) (map[string]Known[Person], error)
	Rooms(ctx context.Context, corp string, ids []string) (map[string]Known[Room], error)
}

// A NameAsker records which ids were requested. Safe for concurrent use.
type NameAsker interface {
	// AskPerson and AskRoom record a request at time at and return true; if one
	// was recorded since the time since, they return false. Of several
	// concurrent callers, one gets true.
	AskPerson(ctx context.Context, corp, id string, at, since time.Time) (bool, error)
	AskRoom(ctx context.Context, corp, id string, at, since time.Time) (bool, error)
}

// A Witness knows which ids the stored messages name. Safe for concurrent use.
type Witness interface {
	// NamesPerson reports whether a message names the person as a party, NamesRoom
	// whether a message was sent in the room. Messages of the last seconds may be
	// missing.
	NamesPerson(ctx context.Context, corp, id string) (bool, error)
	NamesRoom(ctx context.Context, corp, id string) (bool, error)
}

// A NameGiver stores what the SCRM knows. Each id is written by itself, as a
// whole; a repeated write changes nothing except At. An empty name removes what
// the SCRM had given. Ids must be distinct. After an error any of them may be
// written.
type NameGiver interface {
	GivePeople(ctx context.Context, corp string, people []Person) error
	GiveRooms(ctx context.Context, corp string, rooms []Room) error
}

// A Queue takes requests for the inspector. Durable on return. [WantedInspections]
// is one; it answers [archive.ErrFull] if too much is wanted already.
type Queue interface {
	RequestInspections(ctx context.Context, reqs ...Request) error
}

// A Sender puts each request into the queue. Only [WantedInspections] calls it, see
// [archive.PullSender].
type Sender interface {
	SendInspections(ctx context.Context, reqs ...Request) error
}

// The bounds of a lookup.
const (
	lookupTime  = 2 * time.Second // readers do not wait longer for names: ids are shown instead
	askAtOnce   = 16
	askPerRead  = 2 * RequestMost
	markingTime = 2 * time.Second
)

// A NameBook finds names for readers and requests missing ones. Its fields never
// change. Safe for concurrent use.
type NameBook struct {
	Names    NameReader
	Asker    NameAsker
	Reach    ReachReader
	Witness  Witness
	Requests Queue
	Now      func() time.Time
	Log      *slog.Logger
}

// Names are what a reader sees. Unknown ids are absent.
type Names struct {
	People map[string]Person
	Rooms  map[string]Room
}

// Lookup finds names for ids that messages or consents name, and requests the
// stale ones, which a later lookup finds. It never fails and takes at most a few
// seconds: a reader gets chats without names rather than none. Empty and repeated
// ids do no harm.
func (b *NameBook) Lookup(ctx context.Context, corp archive.Corp, people, rooms []string) Names {
	return b.lookup(ctx, corp, people, rooms, false)
}

// Find is Lookup for ids of the caller's choice. It requests only those that a
// message names, or that WeCom was asked for before.
func (b *NameBook) Find(ctx context.Context, corp archive.Corp, people, rooms []string) Names {
	return b.lookup(ctx, corp, people, rooms, true)
}

func (b *NameBook) lookup(ctx context.Context, corp archive.Corp, people, rooms []string, chosen bool) Names {
	people, rooms = archive.Distinct(people), archive.Distinct(rooms)
	out := Names{People: make(map[string]Person, len(people)), Rooms: make(map[string]Room, len(rooms))}
	knownPeople, knownRooms, err := b.read(ctx, corp.ID, people, rooms)
	if err != nil {
		b.Log.WarnContext(ctx, "names unavailable", "corp", corp.ID, "err", err)
		return out
	}
	for id, k := range knownPeople {
		out.People[id] = BestPerson(id, k)
	}
	for id, k := range knownRooms {
		out.Rooms[id] = BestRoom(id, k)
	}
	out.borrow(people)
	if chosen {
		people = named(ctx, b, corp.ID, people, knownPeople, b.Witness.NamesPerson)
		rooms = named(ctx, b, corp.ID, rooms, knownRooms, b.Witness.NamesRoom)
	}
	if err := b.ask(ctx, corp, people, rooms, knownPeople, knownRooms); err != nil {
		b.Log.WarnContext(ctx, "names not requested", "corp", corp.ID, "err", err)
	}
	return out
}

// named returns the ids that WeCom answered about before, or that a message names.
// An id that cannot be looked up in time is left out; a later lookup finds it.
func named[T Person | Room](ctx context.Context, b *NameBook, corp string, ids []string, known map[string]Known[T], names func(context.Context, string, string) (bool, error)) []string {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	keep := make([]bool, len(ids))
	var group errgroup.Group
	group.SetLimit(askAtOnce)
	for i, id := range ids {
		if keep[i] = known[id].Fetched != nil; keep[i] {
			continue
		}
		group.Go(func() (err error) {
			keep[i], err = names(ctx, corp, id)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Log.WarnContext(ctx, "ids not found in messages", "corp", corp, "err", err)
	}
	var out []string
	for i, id := range ids {
		if keep[i] {
			out = append(out, id)
		}
	}
	return out
}

// borrow takes the names of people from the rooms in which they are, where no
// other name is known: external contacts of a customers' room who are not
// contacts of a member.
func (n Names) borrow(people []string) {
	for _, id := range slices.Sorted(maps.Keys(n.Rooms)) {
		r := n.Rooms[id]
		for _, m := range r.Members {
			if p := n.People[m.ID]; m.Name != "" && p.Name == "" && slices.Contains(people, m.ID) {
				n.People[m.ID] = Person{ID: m.ID, Kind: KindOf(m.ID), Name: m.Name, Origin: Origin{Source: r.Source, At: r.At, Missing: p.Missing}}
			}
		}
	}
}

func (b *NameBook) read(ctx context.Context, corp string, people, rooms []string) (p map[string]Known[Person], r map[string]Known[Room], err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if len(people) > 0 {
			p, err = b.Names.People(ctx, corp, people)
		}
		return err
	})
	group.Go(func() (err error) {
		if len(rooms) > 0 {
			r, err = b.Names.Rooms(ctx, corp, rooms)
		}
		return err
	})
	err = group.Wait()
	return p, r, err
}

// ask requests stale ids, each once a day. An id is noted after its request: a
// refused request is made again by the next lookup. A crash between the two, or a
// concurrent lookup, requests an id again. The second request joins the first
// while that waits; afterwards it asks WeCom once more.
func (b *NameBook) ask(ctx context.Context, corp archive.Corp, people, rooms []string, knownPeople map[string]Known[Person], knownRooms map[string]Known[Room]) error {
	ctx, cancel := context.WithTimeout(ctx, markingTime)
	defer cancel()
	now := b.Now()
	// Read the reach only if a name is stale.
	if !slices.ContainsFunc(people, func(id string) bool { return knownPeople[id].stale(now, now) }) &&
		!slices.ContainsFunc(rooms, func(id string) bool { return knownRooms[id].stale(now, now) }) {
		return nil
	}
	reach, err := b.Reach.Reach(ctx, corp.ID)
	if err != nil {
		return fmt.Errorf("read how we stand with WeCom: %w", err)
	}
	req := Request{Corp: corp.ID, Why: "read"}
	var notes []func() error
	type mark func(ctx context.Context, corp, id string, at, since time.Time) (bool, error)
	consider := func(id string, askedAt time.Time, accesses []Access, asks mark, list *[]string) {
		var since time.Time
		for _, a := range accesses {
			if t, ok := reach.mayAsk(a, corp, now); ok && t.After(since) {
				since = t
			}
		}
		if !askedAt.Before(since) || len(notes) == askPerRead {
			return
		}
		*list = append(*list, id)
		notes = append(notes, func() error {
			_, err := asks(ctx, corp.ID, id, now, since)
			return err
		})
	}
	for _, id := range people {
		if k := knownPeople[id]; k.stale(now, reach.App.SetAt) {
			consider(id, k.AskedAt, []Access{accessFor(KindOf(id))}, b.Asker.AskPerson, &req.People)
		}
	}
	for _, id := range rooms {
		k, accesses := knownRooms[id], []Access{AccessArchive, AccessCustomers} // either of them may know the room
		if k.Fetched != nil && k.Fetched.Kind == CustomerRoom {
			accesses = accesses[1:]
		}
		if k.stale(now, reach.App.SetAt) {
			consider(id, k.AskedAt, accesses, b.Asker.AskRoom, &req.Rooms)
		}
	}
	if len(notes) == 0 {
		return nil
	}
	slices.Sort(req.People)
	slices.Sort(req.Rooms)
	if err := b.Requests.RequestInspections(ctx, req); err != nil {
		return fmt.Errorf("request %d people and %d rooms: %w", len(req.People), len(req.Rooms), err)
	}
	// A crash here leaves the ids requested and not noted.
	var group errgroup.Group
	group.SetLimit(askAtOnce)
	for _, note := range notes {
		group.Go(note)
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("note requested ids: %w", err)
	}
	return nil
}

// RequestMost is the unit of the bounds on ids: one lookup requests at most twice
// as many people and rooms together, and one request has at most four times as many.
const RequestMost = 50
