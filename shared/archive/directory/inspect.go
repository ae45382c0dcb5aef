package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// Request asks the inspector to ask WeCom's HTTP API about a corp. It may be
// delivered twice, late, or never (law 3).
type Request struct {
	Corp string `json:"corp"`
	// Why is for the log: read, asked, event, daily, health, saved, continued.
	Why string `json:"why"`
	// Check tries every access and reads the scope.
	Check bool `json:"check,omitempty"`
	// Examine lets the doctor examine the set-up, as Check does afterwards.
	Examine bool `json:"examine,omitempty"`
	// People and Rooms are ids whose names are wanted. Known and young names are not
	// asked for.
	People []string `json:"people,omitempty"`
	Rooms  []string `json:"rooms,omitempty"`
	// Pairs and ConsentRooms are checked for consent.
	Pairs        []Pair   `json:"pairs,omitempty"`
	ConsentRooms []string `json:"consent_rooms,omitempty"`
	// Again: names are asked for even if they are recent, because something changed.
	Again bool `json:"again,omitempty"`
	// Force is Again, and passes over pauses: a person asked. The gate's share and
	// budget still hold.
	Force bool `json:"force,omitempty"`
	// SentAt is that of the request's mark, see [archive.Wanted].
	SentAt time.Time `json:"sent_at,omitzero"`
}

// Pair is a member and an external contact, for a check of consent.
type Pair struct {
	Member  string `json:"member"`
	Contact string `json:"contact"`
}

const (
	// PairsMost is the most pairs of one check_single_agree (wecom.md 5.3).
	PairsMost = 100

	// What one request may ask for, and what may be wanted at a time.
	idsMost          = 4 * RequestMost // people and rooms together
	pairsMost        = 2 * PairsMost
	consentRoomsMost = 40
	// Kept is how long the queue of inspections keeps a request. template.yaml
	// sets it.
	Kept = time.Hour
	// InspectionWork is the work of an inspection's mark, see [archive.Mark].
	InspectionWork = "inspect"
)

// TooLarge reports whether the request asks for more than one request may.
func (r Request) TooLarge() bool {
	return len(r.People)+len(r.Rooms) > idsMost || len(r.Pairs) > pairsMost || len(r.ConsentRooms) > consentRoomsMost
}

// join makes one request of two. It answers [archive.ErrFull] if the result would
// be too large.
func (r Request) join(also Request) (Request, error) {
	r.Check, r.Examine, r.Again, r.Force = r.Check || also.Check, r.Examine || also.Examine, r.Again || also.Again, r.Force || also.Force
	r.People = union(r.People, also.People)
	r.Rooms = union(r.Rooms, also.Rooms)
	r.Pairs = union(r.Pairs, also.Pairs)
	r.ConsentRooms = union(r.ConsentRooms, also.ConsentRooms)
	if r.TooLarge() {
		return r, archive.ErrFull
	}
	return r, nil
}

func union[T comparable](list, also []T) []T {
	list = slices.Clone(list)
	for _, v := range also {
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

// WantedInspections is a [Queue] in which a corp's inspection is wanted or not
// wanted. Requests that come while one waits join it.
type WantedInspections struct{ archive.Wanted[Request] }

// NewWantedInspections keeps the marks of the inspections in a queue.
func NewWantedInspections(marks archive.Marks, queue Sender, now func() time.Time) WantedInspections {
	return WantedInspections{archive.Wanted[Request]{
		Marks: marks,
		Work:  func(r Request) (corp, work string) { return r.Corp, InspectionWork },
		Join:  Request.join,
		Sent:  func(r *Request) *time.Time { return &r.SentAt },
		Send:  queue.SendInspections,
		Kept:  Kept,
		Now:   archive.Rising(now),
	}}
}

// RequestInspections implements [Queue].
func (w WantedInspections) RequestInspections(ctx context.Context, reqs ...Request) error {
	return w.Want(ctx, reqs...)
}

// RequestChecks requests that WeCom is asked about everything of the corps. It
// passes over no pause.
func (w WantedInspections) RequestChecks(ctx context.Context, corps ...string) error {
	return w.Want(ctx, each(corps, Request{Why: "daily", Check: true})...)
}

// RequestExaminations requests that the doctor examines the corps.
func (w WantedInspections) RequestExaminations(ctx context.Context, corps ...string) error {
	return w.Want(ctx, each(corps, Request{Why: "health", Examine: true})...)
}

func each(corps []string, r Request) []Request {
	list := make([]Request, len(corps))
	for i, corp := range corps {
		list[i] = r
		list[i].Corp = corp
	}
	return list
}

// Requests says what is wanted of the inspector. [archive.Wanted] has the contract
// of Take and Return.
type Requests interface {
	Queue
	Take(ctx context.Context, req Request) (Request, error)
	Return(ctx context.Context, r Request) error
}

// WeCom is WeCom's HTTP API (wecom.md 5). Safe for concurrent use. Every error
// except the context's is an [*APIError]. Source and At are unset in its answers.
type WeCom interface {
	Member(ctx context.Context, c Credential, userid string) (Person, error)
	Contact(ctx context.Context, c Credential, externalUserID string) (Person, error)
	Robot(ctx context.Context, c Credential, id string) (Person, error)
	InternalRoom(ctx context.Context, c Credential, id string) (Room, error)
	CustomerRoom(ctx context.Context, c Credential, id string) (Room, error)
	// Permitted lists the members whose chats are archived, those of one edition or
	// all.
	Permitted(ctx context.Context, c Credential, e Edition) ([]string, error)
	// PairConsents answers about at most [PairsMost] pairs. Pairs without an answer
	// are left out.
	PairConsents(ctx context.Context, c Credential, pairs []Pair) ([]archive.Consent, error)
	RoomConsents(ctx context.Context, c Credential, room string) ([]archive.Consent, error)
}

// AppSecrets reads the secrets for WeCom's HTTP API; [archive.ErrNotFound] before
// one is saved.
type AppSecrets interface {
	archive.SecretReader
	AppSecret(ctx context.Context, corp string) (secret.Value, error)
}

// A Ledger tells what the puller learned about the archive secret. Safe for
// concurrent use.
type Ledger interface {
	PullState(ctx context.Context, corp string) (archive.PullState, error)
}

// A NameKeeper stores WeCom's answers, each id by itself as a whole; the last
// writer wins. Durable on return. Safe for concurrent use.
type NameKeeper interface {
	NameReader
	SavePerson(ctx context.Context, corp string, p Person) error
	SaveRoom(ctx context.Context, corp string, r Room) error
}

// Store is where the inspector stores what it learns.
type Store interface {
	NameKeeper
	ReachReader
	ReachWriter
	ScopeLog
}

// A Doctor examines the set-up of a corp. It may be called again, and does not
// depend on what the inspection finds beyond what is stored.
type Doctor interface {
	Examine(ctx context.Context, corp archive.Corp) error
}

const (
	inspectMargin = 20 * time.Second // time for the calls under way, and to request the rest
	idsAtOnce     = 4                // WeCom limits concurrency (45033) without documenting the number
	pauseMissing  = 24 * time.Hour   // while the app lacks a right; a person can ask at once
)

// An Inspector asks WeCom, from the trusted address, for names, scope and
// consents. Its fields never change. It may be used concurrently for different
// corps.
type Inspector struct {
	Corps    archive.CorpReader
	Secrets  AppSecrets
	WeCom    WeCom
	Ledger   Ledger
	Gate     *archive.Gate
	Store    Store
	Consents archive.ConsentWriter
	Doctor   Doctor
	Requests Requests
	Now      func() time.Time
	Sleep    func(context.Context, time.Duration) error // returns early with the context's error
	Log      *slog.Logger
}

// Inspect serves a request. A refusal of WeCom's is recorded for the id or the
// access, and is not an error. An error means that our own stores failed, and the
// request must be delivered again; it then asks only for what was not stored. If
// ctx has a deadline, Inspect stops before it and requests the rest.
func (i *Inspector) Inspect(ctx context.Context, req Request) error {
	// From here on, new work sends a request of its own.
	req, err := i.Requests.Take(ctx, req)
	if err == nil {
		err = i.inspect(ctx, req)
	}
	if err != nil {
		return errors.Join(err, i.Requests.Return(ctx, req))
	}
	return nil
}

func (i *Inspector) inspect(ctx context.Context, req Request) error {
	corp, err := i.Corps.Corp(ctx, req.Corp)
	if errors.Is(err, archive.ErrNotFound) {
		i.Log.WarnContext(ctx, "corp of inspection not registered", "corp", req.Corp)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read corp: %w", err)
	}
	reach, err := i.Store.Reach(ctx, corp.ID)
	if err != nil {
		return fmt.Errorf("read reach: %w", err)
	}
	n := &inspection{Inspector: i, corp: corp, reach: reach, force: req.Force, again: req.Again || req.Force,
		accesses: make(map[Access]*access), secrets: make(map[bool]*secretUse)}
	rest := Request{Corp: corp.ID, Why: "continued", Again: req.Again, Force: req.Force}
	err = n.run(ctx, req, &rest)
	err = errors.Join(err, n.release(ctx), n.save(ctx))
	if err != nil {
		return err
	}
	if req.Check || req.Examine {
		if err := i.Doctor.Examine(ctx, corp); err != nil {
			return err
		}
	}
	more := len(rest.People)+len(rest.Rooms)+len(rest.Pairs)+len(rest.ConsentRooms) > 0
	i.Log.InfoContext(ctx, "inspected", "corp", corp.ID, "why", req.Why, "check", req.Check, "people", len(req.People),
		"rooms", len(req.Rooms), "pairs", len(req.Pairs), "consent_rooms", len(req.ConsentRooms), "calls", n.calls, "more", more)
	if more {
		if err := i.Requests.RequestInspections(ctx, rest); err != nil {
			return fmt.Errorf("request the rest: %w", err)
		}
	}
	return nil
}

// inspection is one request being served.
type inspection struct {
	*Inspector
	corp  archive.Corp
	reach Reach
	force bool
	// again: names are fetched even if they are recent.
	again bool

	opening  sync.Mutex // held while an access is made; taken before mu
	mu       sync.Mutex // guards what follows, and the fields of accesses
	accesses map[Access]*access
	secrets  map[bool]*secretUse // by whether the secret is the app's
	calls    int
}

func (n *inspection) nearlyOver(ctx context.Context) bool {
	return archive.NearlyOver(ctx, n.Now(), inspectMargin)
}

func (n *inspection) run(ctx context.Context, req Request, rest *Request) error {
	if req.Check {
		if err := n.check(ctx); err != nil {
			return err
		}
	}
	if err := n.people(ctx, archive.Distinct(req.People), rest); err != nil {
		return err
	}
	if err := n.rooms(ctx, archive.Distinct(req.Rooms), rest); err != nil {
		return err
	}
	for pairs := range slices.Chunk(req.Pairs, PairsMost) {
		if n.nearlyOver(ctx) {
			rest.Pairs = append(rest.Pairs, pairs...)
			continue
		}
		if err := n.pairs(ctx, pairs); err != nil {
			return err
		}
	}
	for _, room := range archive.Distinct(req.ConsentRooms) {
		if n.nearlyOver(ctx) {
			rest.ConsentRooms = append(rest.ConsentRooms, room)
			continue
		}
		if err := n.roomConsents(ctx, room); err != nil {
			return err
		}
	}
	return nil
}

// unknownContact is an id that no contact has. WeCom answers about it either that
// the id is unknown, or why the access is refused.
const unknownContact = "wmInspectionOfNobody000000000000"

// check tries every access and reads the scope.
func (n *inspection) check(ctx context.Context) error {
	ids, err := n.scope(ctx)
	if err != nil {
		return err
	}
	var refusal *APIError
	member := unknownContact
	if len(ids) > 0 {
		member = ids[0]
	}
	_, errMember := ask(ctx, n, AccessMembers, func(ctx context.Context, c Credential) (Person, error) {
		return n.WeCom.Member(ctx, c, member)
	})
	_, errContact := ask(ctx, n, AccessCustomers, func(ctx context.Context, c Credential) (Person, error) {
		return n.WeCom.Contact(ctx, c, unknownContact)
	})
	for _, err := range []error{errMember, errContact} {
		if err != nil && !errors.Is(err, errBlocked) && !errors.As(err, &refusal) {
			return err
		}
	}
	if err := n.Store.SaveChecked(ctx, n.corp.ID, n.Now()); err != nil {
		return fmt.Errorf("record the check: %w", err)
	}
	return nil
}

// each calls do for the ids, some at a time, and returns the ids for which no time
// was left.
func (n *inspection) each(ctx context.Context, ids []string, do func(context.Context, string) error) (left []string, _ error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(idsAtOnce)
	for _, id := range ids {
		if n.nearlyOver(ctx) {
			left = append(left, id)
			continue
		}
		group.Go(func() error {
			if err := do(ctx, id); err != nil && !errors.Is(err, errBlocked) {
				return err
			}
			return nil
		})
	}
	return left, group.Wait()
}

func (n *inspection) people(ctx context.Context, ids []string, rest *Request) error {
	if len(ids) == 0 {
		return nil
	}
	known, err := n.Store.People(ctx, n.corp.ID, ids)
	if err != nil {
		return fmt.Errorf("read names: %w", err)
	}
	rest.People, err = n.each(ctx, ids, func(ctx context.Context, id string) error {
		k := known[id]
		if !n.again && !k.stale(n.Now(), n.reach.App.SetAt) {
			return nil
		}
		p, err := n.person(ctx, id)
		if err != nil {
			return err
		}
		if p.Name == "" && k.Fetched != nil { // unknown or unreadable: the previous name stays the best one
			why := p.Missing
			p = *k.Fetched
			p.Missing = why
		}
		p.ID, p.Source, p.At = id, SourceWeCom, n.Now()
		if err := n.Store.SavePerson(ctx, n.corp.ID, p); err != nil {
			return fmt.Errorf("save name of %s: %w", id, err)
		}
		return nil
	})
	return err
}

// person asks about one id. A refusal about the id is not an error.
func (n *inspection) person(ctx context.Context, id string) (Person, error) {
	kind := KindOf(id)
	p, err := ask(ctx, n, accessFor(kind), func(ctx context.Context, c Credential) (Person, error) {
		switch kind {
		case Robot:
			return n.WeCom.Robot(ctx, c, id)
		case External:
			return n.WeCom.Contact(ctx, c, id)
		}
		return n.WeCom.Member(ctx, c, id)
	})
	var refusal *APIError
	if !errors.As(err, &refusal) {
		return p, err
	}
	why, _ := refusal.missing()
	looksForeign := kind == External && refusal.Code == 40096 || kind == Robot && why == MissingNotFound
	if looksForeign { // a userid that only looks like an external one
		m, err := ask(ctx, n, AccessMembers, func(ctx context.Context, c Credential) (Person, error) {
			return n.WeCom.Member(ctx, c, id)
		})
		if err == nil {
			return m, nil
		}
		if !errors.Is(err, errBlocked) && !errors.As(err, &refusal) {
			return Person{}, err
		}
	}
	return Person{Kind: kind, Origin: Origin{Missing: why}}, nil
}

func (n *inspection) rooms(ctx context.Context, ids []string, rest *Request) error {
	if len(ids) == 0 {
		return nil
	}
	known, err := n.Store.Rooms(ctx, n.corp.ID, ids)
	if err != nil {
		return fmt.Errorf("read rooms: %w", err)
	}
	rest.Rooms, err = n.each(ctx, ids, func(ctx context.Context, id string) error {
		k := known[id]
		if !n.again && !k.stale(n.Now(), n.reach.App.SetAt) {
			return nil
		}
		var before Room
		if k.Fetched != nil {
			before = *k.Fetched
		}
		r, err := n.room(ctx, id, before.Kind)
		if err != nil {
			return err
		}
		if r.Missing != "" {
			why, kind := r.Missing, r.Kind
			r = before
			r.Missing = why
			if kind != "" {
				r.Kind = kind
			}
		}
		r.ID, r.Source, r.At = id, SourceWeCom, n.Now()
		r.Members = r.Members[:min(len(r.Members), RoomMembersMost)]
		if err := n.Store.SaveRoom(ctx, n.corp.ID, r); err != nil {
			return fmt.Errorf("save room %s: %w", id, err)
		}
		return nil
	})
	return err
}

// room asks about one room: as an internal room, or as a customers' room if it is
// known to be one (wecom.md 2.2).
func (n *inspection) room(ctx context.Context, id string, known RoomKind) (Room, error) {
	gone := func(kind RoomKind, why Missing) (Room, error) {
		return Room{Kind: kind, Origin: Origin{Missing: why}}, nil
	}
	var refusal *APIError
	if known != CustomerRoom {
		r, err := ask(ctx, n, AccessArchive, func(ctx context.Context, c Credential) (Room, error) {
			return n.WeCom.InternalRoom(ctx, c, id)
		})
		if !errors.As(err, &refusal) {
			r.Kind = InternalRoom
			return r, err
		}
		if refusal.Code == 92002 {
			return gone(ForeignRoom, MissingForeign)
		}
	}
	r, err := ask(ctx, n, AccessCustomers, func(ctx context.Context, c Credential) (Room, error) {
		return n.WeCom.CustomerRoom(ctx, c, id)
	})
	switch {
	case err == nil:
		r.Kind = CustomerRoom
		return r, nil
	case errors.Is(err, errBlocked) && n.reach.App.SetAt.IsZero():
		return gone("", MissingApp)
	case !errors.As(err, &refusal):
		return Room{}, err
	case refusal.Code == 92002:
		return gone(ForeignRoom, MissingForeign)
	}
	why, _ := refusal.missing()
	if why == MissingRange { // the room is the corp's; its owner is out of range
		return gone(CustomerRoom, why)
	}
	return gone("", why)
}

// pairs asks for consents. WeCom refuses a whole request because of one unknown id
// (301061); pairs then asks in halves.
func (n *inspection) pairs(ctx context.Context, pairs []Pair) error {
	consents, err := ask(ctx, n, AccessArchive, func(ctx context.Context, c Credential) ([]archive.Consent, error) {
		return n.WeCom.PairConsents(ctx, c, pairs)
	})
	var refusal *APIError
	switch {
	case errors.Is(err, errBlocked):
		return nil
	case errors.As(err, &refusal):
		if half := len(pairs) / 2; half > 0 {
			if err := n.pairs(ctx, pairs[:half]); err != nil {
				return err
			}
			return n.pairs(ctx, pairs[half:])
		}
		return nil // an unknown id: there is nothing to record
	case err != nil:
		return err
	}
	return n.record(ctx, consents)
}

func (n *inspection) roomConsents(ctx context.Context, room string) error {
	consents, err := ask(ctx, n, AccessArchive, func(ctx context.Context, c Credential) ([]archive.Consent, error) {
		return n.WeCom.RoomConsents(ctx, c, room)
	})
	var refusal *APIError
	if errors.Is(err, errBlocked) || errors.As(err, &refusal) {
		return nil
	}
	if err != nil {
		return err
	}
	return n.record(ctx, consents)
}

func (n *inspection) record(ctx context.Context, consents []archive.Consent) error {
	for i := range consents {
		consents[i].Corp, consents[i].Source, consents[i].At = n.corp.ID, archive.ConsentCheck, n.Now()
	}
	if err := n.Consents.RecordConsents(ctx, consents); err != nil {
		return fmt.Errorf("record consents: %w", err)
	}
	return nil
}
