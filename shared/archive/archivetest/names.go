package archivetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// ContactStore is everything that is asked of a store of contacts.
type ContactStore interface {
	directory.Store
	directory.NameAsker
	directory.NameGiver
	// SetApp notes the settings of the self-built app.
	SetApp(ctx context.Context, corp string, a directory.App) error
	// NoteAppSecret notes the settings with the digest of the secret that was saved at
	// their time, unless another one was saved since.
	NoteAppSecret(ctx context.Context, corp string, a directory.App) error
	// ListPeople and ListRooms list all of whom something is known, page by
	// page.
	ListPeople(ctx context.Context, corp, cursor string, limit int) ([]directory.Person, string, error)
	ListRooms(ctx context.Context, corp, cursor string, limit int) ([]directory.Room, string, error)
}

// ConsentStore is everything that is asked of a store of consents.
type ConsentStore interface {
	archive.ConsentWriter
	// Consents lists what the query selects, page by page.
	Consents(ctx context.Context, corp string, q archive.ConsentQuery, cursor string, limit int) ([]archive.Consent, string, error)
	// ConsentHistory lists every answer, by contact and then by time.
	ConsentHistory(ctx context.Context, corp string, q archive.ConsentQuery, cursor string, limit int) ([]archive.Consent, string, error)
}

// Contacts is a [ContactStore].
type Contacts struct {
	t      testing.TB
	faults *Faults
	mu     sync.Mutex
	people map[[2]string]directory.Known[directory.Person] // by corp and id
	rooms  map[[2]string]directory.Known[directory.Room]
	reach  map[string]directory.Reach
	scopes map[string][]directory.ScopeChange
}

var _ ContactStore = (*Contacts)(nil)

// NewContacts makes an empty one.
func NewContacts(t testing.TB, f *Faults) *Contacts {
	return &Contacts{
		t: t, faults: f, people: make(map[[2]string]directory.Known[directory.Person]),
		rooms: make(map[[2]string]directory.Known[directory.Room]), reach: make(map[string]directory.Reach),
		scopes: make(map[string][]directory.ScopeChange),
	}
}

// Police fails the test if ids repeat: the real store cannot read them so.
func (c *Contacts) police(ids []string) {
	if len(archive.Distinct(ids)) != len(ids) {
		c.t.Errorf("ids %v: empty or there twice", ids)
	}
}

func pick[T directory.Person | directory.Room](c *Contacts, corp string, from map[[2]string]directory.Known[T], ids []string) map[string]directory.Known[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.police(ids)
	found := make(map[string]directory.Known[T])
	for _, id := range ids {
		if k, ok := from[[2]string{corp, id}]; ok {
			found[id] = directory.Known[T]{Given: clone(k.Given), Fetched: clone(k.Fetched), AskedAt: k.AskedAt}
		}
	}
	return found
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// People implements [directory.NameReader].
func (c *Contacts) People(ctx context.Context, corp string, ids []string) (map[string]directory.Known[directory.Person], error) {
	return read(ctx, c.faults, "Contacts.People", corp, func() (map[string]directory.Known[directory.Person], error) {
		return pick(c, corp, c.people, ids), nil
	})
}

// Rooms implements [directory.NameReader].
func (c *Contacts) Rooms(ctx context.Context, corp string, ids []string) (map[string]directory.Known[directory.Room], error) {
	return read(ctx, c.faults, "Contacts.Rooms", corp, func() (map[string]directory.Known[directory.Room], error) {
		return pick(c, corp, c.rooms, ids), nil
	})
}

// change changes what is known of an id, which is made if it is not there.
func change[T directory.Person | directory.Room](ctx context.Context, c *Contacts, name, corp, id string, in map[[2]string]directory.Known[T], how func(*directory.Known[T])) error {
	return write(ctx, c.faults, name, corp, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if corp == "" || id == "" {
			c.t.Errorf("%s of corp %q and id %q, want both", name, corp, id)
		}
		k := in[[2]string{corp, id}]
		how(&k)
		in[[2]string{corp, id}] = k
		return nil
	})
}

// SavePerson implements [directory.NameKeeper].
func (c *Contacts) SavePerson(ctx context.Context, corp string, p directory.Person) error {
	p.At = kept(p.At)
	return change(ctx, c, "Contacts.SavePerson", corp, p.ID, c.people, func(k *directory.Known[directory.Person]) { k.Fetched = &p })
}

// SaveRoom implements [directory.NameKeeper].
func (c *Contacts) SaveRoom(ctx context.Context, corp string, r directory.Room) error {
	r.At, r.CreatedAt = kept(r.At), kept(r.CreatedAt)
	return change(ctx, c, "Contacts.SaveRoom", corp, r.ID, c.rooms, func(k *directory.Known[directory.Room]) { k.Fetched = &r })
}

// GivePeople implements [directory.NameGiver].
func (c *Contacts) GivePeople(ctx context.Context, corp string, people []directory.Person) error {
	for _, p := range people {
		p.At = kept(p.At)
		err := change(ctx, c, "Contacts.GivePeople", corp, p.ID, c.people, func(k *directory.Known[directory.Person]) {
			if k.Given = &p; p.Name == "" {
				k.Given = nil
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// GiveRooms implements [directory.NameGiver].
func (c *Contacts) GiveRooms(ctx context.Context, corp string, rooms []directory.Room) error {
	for _, r := range rooms {
		r.At, r.CreatedAt = kept(r.At), kept(r.CreatedAt)
		err := change(ctx, c, "Contacts.GiveRooms", corp, r.ID, c.rooms, func(k *directory.Known[directory.Room]) {
			if k.Given = &r; r.Name == "" {
				k.Given = nil
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// AskPerson implements [directory.NameAsker].
func (c *Contacts) AskPerson(ctx context.Context, corp, id string, at, since time.Time) (ours bool, _ error) {
	err := change(ctx, c, "Contacts.AskPerson", corp, id, c.people, func(k *directory.Known[directory.Person]) {
		if ours = k.AskedAt.Before(since); ours {
			k.AskedAt = kept(at)
		}
	})
	return ours && err == nil, err
}

// AskRoom implements [directory.NameAsker].
func (c *Contacts) AskRoom(ctx context.Context, corp, id string, at, since time.Time) (ours bool, _ error) {
	err := change(ctx, c, "Contacts.AskRoom", corp, id, c.rooms, func(k *directory.Known[directory.Room]) {
		if ours = k.AskedAt.Before(since); ours {
			k.AskedAt = kept(at)
		}
	})
	return ours && err == nil, err
}

// page is a page of the ids of a corp; a cursor is the id before.
func page[T any](of map[[2]string]T, corp, cursor string, limit int) (ids []string, next string) {
	for _, k := range slices.SortedFunc(maps.Keys(of), func(a, b [2]string) int { return cmp.Compare(a[1], b[1]) }) {
		if k[0] != corp || k[1] <= cursor {
			continue
		}
		if len(ids) == limit {
			return ids, ids[limit-1]
		}
		ids = append(ids, k[1])
	}
	return ids, ""
}

// ListPeople implements [ContactStore].
func (c *Contacts) ListPeople(ctx context.Context, corp, cursor string, limit int) (list []directory.Person, next string, _ error) {
	_, err := read(ctx, c.faults, "Contacts.ListPeople", corp, func() (struct{}, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var ids []string
		ids, next = page(c.people, corp, cursor, limit)
		for _, id := range ids {
			list = append(list, directory.BestPerson(id, c.people[[2]string{corp, id}]))
		}
		return struct{}{}, nil
	})
	return list, next, err
}

// ListRooms implements [ContactStore].
func (c *Contacts) ListRooms(ctx context.Context, corp, cursor string, limit int) (list []directory.Room, next string, _ error) {
	_, err := read(ctx, c.faults, "Contacts.ListRooms", corp, func() (struct{}, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var ids []string
		ids, next = page(c.rooms, corp, cursor, limit)
		for _, id := range ids {
			list = append(list, directory.BestRoom(id, c.rooms[[2]string{corp, id}]))
		}
		return struct{}{}, nil
	})
	return list, next, err
}

// Reach implements [directory.ReachReader].
func (c *Contacts) Reach(ctx context.Context, corp string) (directory.Reach, error) {
	return read(ctx, c.faults, "Contacts.Reach", corp, func() (directory.Reach, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		s := c.reach[corp]
		s.Access = maps.Clone(s.Access)
		if s.Access == nil {
			s.Access = make(map[directory.Access]archive.Standing)
		}
		return s, nil
	})
}

func (c *Contacts) stand(ctx context.Context, name, corp string, how func(*directory.Reach)) error {
	return write(ctx, c.faults, name, corp, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		s := c.reach[corp]
		how(&s)
		c.reach[corp] = s
		return nil
	})
}

// SetApp implements [ContactStore].
func (c *Contacts) SetApp(ctx context.Context, corp string, a directory.App) error {
	a.SetAt = kept(a.SetAt)
	return c.stand(ctx, "Contacts.SetApp", corp, func(s *directory.Reach) { s.App = a })
}

// NoteAppSecret implements [ContactStore].
func (c *Contacts) NoteAppSecret(ctx context.Context, corp string, a directory.App) error {
	a.SetAt = kept(a.SetAt)
	return c.stand(ctx, "Contacts.NoteAppSecret", corp, func(s *directory.Reach) {
		if s.App.SetAt.Equal(a.SetAt) {
			s.App = a
		}
	})
}

// SaveAccess implements [directory.ReachWriter].
func (c *Contacts) SaveAccess(ctx context.Context, corp string, a directory.Access, state archive.Standing) error {
	for _, at := range []*time.Time{&state.SecretSetAt, &state.OKAt, &state.NotBefore} {
		*at = kept(*at)
	}
	if state.Trouble = clone(state.Trouble); state.Trouble != nil {
		state.Trouble.Since, state.Trouble.At = kept(state.Trouble.Since), kept(state.Trouble.At)
	}
	return c.stand(ctx, "Contacts.SaveAccess", corp, func(s *directory.Reach) {
		if s.Access == nil {
			s.Access = make(map[directory.Access]archive.Standing)
		}
		s.Access[a] = state
	})
}

// SaveScope implements [directory.ReachWriter].
func (c *Contacts) SaveScope(ctx context.Context, corp string, scope directory.Scope) error {
	scope.At, scope.Members, scope.Editions = kept(scope.At), slices.Clone(scope.Members), maps.Clone(scope.Editions)
	return c.stand(ctx, "Contacts.SaveScope", corp, func(s *directory.Reach) { s.Scope = &scope })
}

// AppendScope implements [directory.ScopeLog].
func (c *Contacts) AppendScope(ctx context.Context, corp string, changes []directory.ScopeChange) error {
	return write(ctx, c.faults, "Contacts.AppendScope", corp, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, change := range changes {
			change.At = kept(change.At)
			if change.Member == "" || change.At.IsZero() {
				c.t.Errorf("change of the scope %+v: want a member and a time", change)
			}
			if !slices.Contains(c.scopes[corp], change) {
				c.scopes[corp] = append(c.scopes[corp], change)
			}
		}
		return nil
	})
}

// ScopeChanges implements [directory.ScopeLog].
func (c *Contacts) ScopeChanges(ctx context.Context, corp string) ([]directory.ScopeChange, error) {
	return read(ctx, c.faults, "Contacts.ScopeChanges", corp, func() ([]directory.ScopeChange, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return slices.Clone(c.scopes[corp]), nil
	})
}

// SaveChecked implements [directory.ReachWriter].
func (c *Contacts) SaveChecked(ctx context.Context, corp string, at time.Time) error {
	return c.stand(ctx, "Contacts.SaveChecked", corp, func(s *directory.Reach) { s.CheckedAt = kept(at) })
}

// Consents is a [ConsentStore].
type Consents struct {
	t      testing.TB
	faults *Faults
	mu     sync.Mutex
	kept   map[[4]string]archive.Consent // by corp, member, room, contact
	all    map[[5]string]archive.Consent // and by rank
}

var _ ConsentStore = (*Consents)(nil)

// NewConsents makes an empty one.
func NewConsents(t testing.TB, f *Faults) *Consents {
	return &Consents{t: t, faults: f, kept: make(map[[4]string]archive.Consent), all: make(map[[5]string]archive.Consent)}
}

// RecordConsents implements [archive.ConsentWriter].
func (c *Consents) RecordConsents(ctx context.Context, consents []archive.Consent) error {
	for _, consent := range consents {
		err := write(ctx, c.faults, "Consents.RecordConsents", consent.Corp, func() error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if consent.Corp == "" || consent.Contact == "" || (consent.Member == "") == (consent.Room == "") {
				c.t.Errorf("consent %+v: want corp, contact, and a member or a room", consent)
			}
			k := [4]string{consent.Corp, consent.Member, consent.Room, consent.Contact}
			consent.At, consent.ChangedAt = kept(consent.At), kept(consent.ChangedAt)
			if old, ok := c.kept[k]; !ok || old.Order() < consent.Order() {
				c.kept[k] = consent
			}
			ranked := [5]string{k[0], k[1], k[2], k[3], fmt.Sprintf("%020d", consent.Order())}
			if _, ok := c.all[ranked]; !ok {
				c.all[ranked] = consent
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Consents implements [ConsentStore].
func (c *Consents) Consents(ctx context.Context, corp string, q archive.ConsentQuery, cursor string, limit int) ([]archive.Consent, string, error) {
	var next string
	list, err := read(ctx, c.faults, "Consents.Consents", corp, func() ([]archive.Consent, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		found := make(map[[2]string]archive.Consent) // by corp and all ids
		for k, consent := range c.kept {
			fits := k[0] == corp && (q.Member == "" || q.Member == k[1]) && (q.Room == "" || q.Room == k[2]) && (q.Contact == "" || q.Contact == k[3])
			if fits {
				found[[2]string{corp, k[1] + "#" + k[2] + "#" + k[3]}] = consent
			}
		}
		var ids []string
		ids, next = page(found, corp, cursor, limit)
		var list []archive.Consent
		for _, id := range ids {
			list = append(list, found[[2]string{corp, id}])
		}
		return list, nil
	})
	return list, next, err
}

// ConsentHistory implements [ConsentStore].
func (c *Consents) ConsentHistory(ctx context.Context, corp string, q archive.ConsentQuery, cursor string, limit int) ([]archive.Consent, string, error) {
	var next string
	list, err := read(ctx, c.faults, "Consents.ConsentHistory", corp, func() ([]archive.Consent, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		found := make(map[[2]string]archive.Consent)
		for k, consent := range c.all {
			if k[0] == corp && q.Member == k[1] && q.Room == k[2] && (q.Contact == "" || q.Contact == k[3]) {
				found[[2]string{corp, k[3] + "#" + k[4]}] = consent
			}
		}
		var ids []string
		ids, next = page(found, corp, cursor, limit)
		var list []archive.Consent
		for _, id := range ids {
			list = append(list, found[[2]string{corp, id}])
		}
		return list, nil
	})
	return list, next, err
}

// InspectQueue is a [directory.Sender].
type InspectQueue struct {
	t      testing.TB
	faults *Faults
	marks  *Marks // have the marks of the requests; nil: none
	mu     sync.Mutex
	reqs   []directory.Request
}

var _ directory.Sender = (*InspectQueue)(nil)

// NewInspectQueue makes an empty one, whose requests have marks unless marks is
// nil.
func NewInspectQueue(t testing.TB, f *Faults, marks *Marks) *InspectQueue {
	return &InspectQueue{t: t, faults: f, marks: marks}
}

// SendInspections implements [directory.Sender].
func (q *InspectQueue) SendInspections(ctx context.Context, reqs ...directory.Request) error {
	return write(ctx, q.faults, "InspectQueue.SendInspections", "", func() error {
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, r := range reqs {
			if r.Corp == "" {
				q.t.Errorf("request of corp %q, want a corp", r.Corp)
			}
			q.reqs = append(q.reqs, r)
		}
		return nil
	})
}

// Take removes and returns all requests, in the order they came. Like their
// consumer it clears their marks.
func (q *InspectQueue) Take() []directory.Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	reqs := q.reqs
	q.reqs = nil
	for _, r := range reqs {
		q.marks.taken(r.Corp, directory.InspectionWork, r.SentAt)
	}
	return reqs
}

// Waiting returns all requests. It leaves them in the queue, and their marks as they
// are.
func (q *InspectQueue) Waiting() []directory.Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.reqs)
}

var _ directory.AppSecrets = (*Secrets)(nil)

// appOf keeps apps' secrets apart from archive secrets: no corpid has a slash.
func appOf(corp string) string { return corp + "/app" }

// PutApp saves the secret of a corp's self-built app.
func (s *Secrets) PutApp(corp string, v secret.Value) { s.Put(appOf(corp), v) }

// AppSecret implements [directory.AppSecrets].
func (s *Secrets) AppSecret(ctx context.Context, corp string) (secret.Value, error) {
	return s.ArchiveSecret(ctx, appOf(corp), time.Time{})
}
