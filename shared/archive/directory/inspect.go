package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// InspectRequest has WeCom's HTTP API asked about a corp. Like every request
// it may come twice, late, or never (law 3).
type Request struct {
	Corp string `json:"corp"`
	// Why is for the log: read, asked, event, continued.
	Why string `json:"why"`
	// Check tries every access and reads the scope.
	Check bool `json:"check,omitempty"`
	// People and Rooms are ids whose names are wanted; those that are known and
	// not old are left alone.
	People []string `json:"people,omitempty"`
	Rooms  []string `json:"rooms,omitempty"`
	// Pairs and ConsentRooms are asked for consent.
	Pairs        []Pair   `json:"pairs,omitempty"`
	ConsentRooms []string `json:"consent_rooms,omitempty"`
	// Anew has names fetched however young they are: something changed.
	Anew bool `json:"anew,omitempty"`
	// Force is Anew, and overrides pauses: a person asked. The address's budget
	// still holds.
	Force bool `json:"force,omitempty"`
	// Dedup is as in [archive.PullRequest].
	Dedup string `json:"-"`
}

// Pair is a member and an external contact, who may have agreed to archiving.
type Pair struct {
	Member  string `json:"member"`
	Contact string `json:"contact"`
}

// PairsMost is how many pairs check_single_agree takes (wecom.md 5.3).
const PairsMost = 100

// A Directory asks WeCom's HTTP API (wecom.md 5). Safe for concurrent use. Any
// error but the context's is an [*APIError]. What it returns has no Source and
// At.
type WeCom interface {
	Member(ctx context.Context, c Credential, userid string) (Person, error)
	Contact(ctx context.Context, c Credential, externalUserID string) (Person, error)
	Robot(ctx context.Context, c Credential, id string) (Person, error)
	InternalRoom(ctx context.Context, c Credential, id string) (Room, error)
	CustomerRoom(ctx context.Context, c Credential, id string) (Room, error)
	// Permitted lists the members whose chats are archived.
	Permitted(ctx context.Context, c Credential) ([]string, error)
	// PairConsents tells about at most [PairsMost] pairs, and leaves out those
	// about which there is nothing to tell.
	PairConsents(ctx context.Context, c Credential, pairs []Pair) ([]archive.Consent, error)
	RoomConsents(ctx context.Context, c Credential, room string) ([]archive.Consent, error)
}

// AppSecrets reads the secrets that WeCom's HTTP API is asked with;
// [archive.ErrNotFound] before one is saved.
type AppSecrets interface {
	archive.SecretReader
	AppSecret(ctx context.Context, corp string) (secret.Value, error)
}

// An InspectLedger tells what the puller learned about the archive secret, and
// counts refusals of our address. Safe for concurrent use.
type Ledger interface {
	PullState(ctx context.Context, corp string) (archive.PullState, error)
	RecordRefusal(ctx context.Context, corp string, at time.Time) error
	Refusals(ctx context.Context, since time.Time) (int, error)
}

// A NameKeeper keeps what WeCom told, each id by itself and whole; the last
// writer wins. Durable on return. Safe for concurrent use.
type NameKeeper interface {
	NameReader
	SavePerson(ctx context.Context, corp string, p Person) error
	SaveRoom(ctx context.Context, corp string, r Room) error
}

// InspectStore is where the inspector keeps what it learns.
type Store interface {
	NameKeeper
	ReachReader
	ReachWriter
}

const (
	inspectMargin = 20 * time.Second // time for the calls under way, and to ask for the rest
	idsAtOnce     = 4                // WeCom bounds concurrency too (45033), without saying how
	pauseMissing  = 24 * time.Hour   // while a right is missing; a person can ask at once
)

// An Inspector asks WeCom, from the trusted address, what reading and set-up
// want to know. Its fields never change; it may be used concurrently for
// different corps.
type Inspector struct {
	Corps    archive.CorpReader
	Secrets  AppSecrets
	WeCom    WeCom
	Ledger   Ledger
	Store    Store
	Consents archive.ConsentWriter
	Requests Queue
	Now      func() time.Time
	Sleep    func(context.Context, time.Duration) error // returns early with the context's error
	Log      *slog.Logger
}

// Inspect does what the request asks for. What WeCom refuses is recorded, about
// an id or an access, and is no error. An error means that our own stores
// failed; the request should then be tried again, which asks only for what was
// not stored. If ctx has a deadline, Inspect stops in time and requests the
// rest.
func (i *Inspector) Inspect(ctx context.Context, req Request) error {
	corp, err := i.Corps.Corp(ctx, req.Corp)
	if errors.Is(err, archive.ErrNotFound) {
		i.Log.WarnContext(ctx, "inspection of a corp that is not registered", "corp", req.Corp)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read corp: %w", err)
	}
	reach, err := i.Store.Reach(ctx, corp.ID)
	if err != nil {
		return fmt.Errorf("read how we stand with WeCom: %w", err)
	}
	n := &inspection{Inspector: i, corp: corp, reach: reach, force: req.Force, anew: req.Anew || req.Force, gates: make(map[Access]*gate)}
	rest := Request{Corp: corp.ID, Why: "continued", Anew: req.Anew, Force: req.Force}
	err = n.run(ctx, req, &rest)
	if saveErr := n.save(ctx); saveErr != nil {
		err = errors.Join(err, saveErr)
	}
	if err != nil {
		return err
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
	corp        archive.Corp
	reach       Reach
	force, anew bool

	archiveFirst, appFirst firstCall

	opening sync.Mutex // held while a door is made; before mu
	mu      sync.Mutex // guards what follows, and the fields of doors
	gates   map[Access]*gate
	calls   int
}

// door is an access as this inspection finds it.
type gate struct {
	app        bool // asks with the app's secret
	open       bool
	credential Credential
	state      AccessState
	changed    bool // since it was read
}

// trial of a secret: the first call with it is made alone, so that a secret
// that WeCom refuses is refused once, however many ids are asked for at a time
// (law 8).
type firstCall struct {
	mu     sync.Mutex
	passed atomic.Bool
}

func (n *inspection) firstCallOf(d *gate) *firstCall {
	if d.app {
		return &n.appFirst
	}
	return &n.archiveFirst
}

func (n *inspection) nearlyOver(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && deadline.Sub(n.Now()) < inspectMargin
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

// errBlocked: the access may not be asked now, for a reason that its state holds.
var errBlocked = errors.New("access is blocked")

// through asks WeCom through an access. The error is errBlocked, an
// [*APIError] about what was asked for (see APIError.missing), or a failure of
// our own. Whatever else WeCom answers is noted on the access.
func ask[T any](ctx context.Context, n *inspection, a Access, ask func(context.Context, Credential) (T, error)) (T, error) {
	var none T
	d, err := n.gate(ctx, a)
	if err != nil {
		return none, err
	}
	alone := n.firstCallOf(d)
	if !alone.passed.Load() {
		alone.mu.Lock()
		defer alone.mu.Unlock()
	}
	for try := 1; ; try++ {
		n.mu.Lock()
		open, credential := d.open, d.credential
		if open {
			n.calls++
		}
		n.mu.Unlock()
		if !open {
			return none, errBlocked
		}
		v, err := ask(ctx, credential)
		if ctx.Err() != nil {
			return none, ctx.Err()
		}
		var refusal *APIError
		if err == nil {
			alone.passed.Store(true)
			n.well(d)
			return v, nil
		}
		if !errors.As(err, &refusal) {
			return none, fmt.Errorf("ask WeCom: %w", err)
		}
		if _, aboutID := refusal.missing(); aboutID {
			alone.passed.Store(true)
			n.well(d)
			return none, refusal
		}
		if _, respond := refusal.classify(); respond == archive.RespondRetry && try < archive.Tries && !n.nearlyOver(ctx) {
			if err := n.Sleep(ctx, archive.RetryPause); err != nil {
				return none, err
			}
			continue
		}
		if err := n.refused(ctx, d, refusal); err != nil {
			return none, err
		}
		return none, errBlocked
	}
}

// door finds an access, and whether it may be asked, once per inspection.
func (n *inspection) gate(ctx context.Context, a Access) (*gate, error) {
	n.opening.Lock()
	defer n.opening.Unlock()
	n.mu.Lock()
	d, ok := n.gates[a]
	n.mu.Unlock()
	if ok {
		return d, nil
	}
	d = n.closed(a)
	if !d.state.SecretSetAt.IsZero() {
		if err := n.unlock(ctx, d); err != nil {
			return nil, err
		}
	}
	n.mu.Lock()
	n.gates[a] = d
	n.mu.Unlock()
	return d, nil
}

func (n *inspection) closed(a Access) *gate {
	return &gate{app: n.reach.asksAsApp(a), state: n.reach.State(a, n.corp)}
}

// unlock opens a new door if it may be opened.
func (n *inspection) unlock(ctx context.Context, d *gate) error {
	ok, err := n.admitted(ctx, d)
	if err != nil || !ok {
		return err
	}
	read := n.Secrets.ArchiveSecret
	if d.app {
		read = n.Secrets.AppSecret
	}
	value, err := read(ctx, n.corp.ID)
	if errors.Is(err, archive.ErrNotFound) { // noted, and not stored yet
		return nil
	}
	if err != nil {
		return fmt.Errorf("read secret: %w", err)
	}
	d.open, d.credential = true, Credential{Corp: n.corp.ID, Secret: value}
	return nil
}

// admitted keeps pauses, the puller's too, and the address's budget (law 8).
func (n *inspection) admitted(ctx context.Context, d *gate) (bool, error) {
	now := n.Now()
	if now.Before(d.state.NotBefore) && !n.force {
		return false, nil
	}
	worked := !d.state.OKAt.IsZero() && d.state.Refusals == 0
	if !d.app {
		pulls, err := n.Ledger.PullState(ctx, n.corp.ID)
		if err != nil {
			return false, fmt.Errorf("read pull state: %w", err)
		}
		if pulls.SecretRefusedAt.Equal(d.state.SecretSetAt) && now.Before(pulls.NotBefore) && !n.force {
			n.block(d, pulls.NotBefore, pulls.Trouble)
			return false, nil
		}
		worked = worked || pulls.SecretOKAt.Equal(d.state.SecretSetAt) && pulls.Refusals == 0
	}
	if worked {
		return true, nil
	}
	count, err := n.Ledger.Refusals(ctx, now.Add(-archive.RefusalHours))
	if err != nil {
		return false, fmt.Errorf("count refusals: %w", err)
	}
	if count >= archive.RefusalBudget {
		n.block(d, now.Add(archive.PauseLong), &archive.Trouble{Cause: archive.CauseBudget})
		return false, nil
	}
	return true, nil
}

// block closes a door until a time, keeping since when this is amiss.
func (n *inspection) block(d *gate, until time.Time, t *archive.Trouble) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d.open, d.changed = false, true
	d.state.NotBefore = until
	if t == nil {
		return
	}
	now := *t
	now.At = n.Now()
	now.Since = now.At
	if old := d.state.Trouble; old != nil && old.Cause == now.Cause {
		now.Since = old.Since
	}
	d.state.Trouble = &now
}

// well notes that WeCom answered, if only about an id.
func (n *inspection) well(d *gate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.Now()
	if d.state.Trouble != nil {
		// What was asked for in the meantime was not answered: this voids it.
		d.state.NotBefore = now
		d.changed = true
	}
	d.state.Trouble, d.state.Refusals = nil, 0
	if now.Sub(d.state.OKAt) >= okTouch {
		d.state.OKAt, d.changed = now, true
	}
}

// refused closes an access, and with a refused secret every access that has
// the same.
func (n *inspection) refused(ctx context.Context, d *gate, refusal *APIError) error {
	now := n.Now()
	cause, respond := refusal.classify()
	t := &archive.Trouble{Cause: cause, Op: refusal.Op, Code: refusal.Code, FromIP: refusal.FromIP}
	n.mu.Lock()
	already := !d.open
	d.open = false // nobody else asks with it while this is being noted
	n.mu.Unlock()
	if already { // a call made at the same time said it first
		return nil
	}
	switch {
	case respond == archive.RespondRefuse:
		// Closed even if it could not be counted.
		err := n.Ledger.RecordRefusal(ctx, n.corp.ID, now)
		n.refuseAlike(d.app, now.Add(archive.RefusalPauses[min(d.state.Refusals, len(archive.RefusalPauses)-1)]), t)
		if err != nil {
			return fmt.Errorf("record refusal: %w", err)
		}
		return nil
	case cause == archive.CauseRate:
		count, err := n.Ledger.Refusals(ctx, now.Add(-archive.Banned))
		if err != nil {
			return fmt.Errorf("count refusals: %w", err)
		}
		if count == 0 {
			n.block(d, now.Add(time.Minute), t)
			return nil
		}
		t.Cause = archive.CauseBudget // not our pace: the address is banned for wrong secrets
		n.block(d, now.Add(archive.PauseLong), t)
	case cause == archive.CauseSecretKind:
		n.block(d, now.Add(pauseMissing), t)
	case respond == archive.RespondRetry:
		n.block(d, now.Add(time.Minute), t)
	default:
		n.block(d, now.Add(archive.PauseLong), t)
	}
	return nil
}

// refuseAlike closes every access that is asked with a refused secret, whether
// it was to be asked or not.
func (n *inspection) refuseAlike(app bool, until time.Time, t *archive.Trouble) {
	n.opening.Lock()
	defer n.opening.Unlock()
	for _, a := range Accesses {
		n.mu.Lock()
		d, ok := n.gates[a]
		if !ok {
			d = n.closed(a)
		}
		same := d.app == app
		if same {
			n.gates[a] = d
			d.state.Refusals++
		}
		n.mu.Unlock()
		if same {
			n.block(d, until, t)
		}
	}
}

// save stores what was learned about the accesses.
func (n *inspection) save(ctx context.Context) error {
	for _, a := range Accesses {
		d, ok := n.gates[a]
		if !ok || !d.changed {
			continue
		}
		if t := d.state.Trouble; t != nil {
			n.Log.WarnContext(ctx, "WeCom's API is not to be asked", "corp", n.corp.ID, "access", a, "cause", t.Cause,
				"op", t.Op, "code", t.Code, "until", d.state.NotBefore)
		}
		if err := n.Store.SaveAccess(ctx, n.corp.ID, a, d.state); err != nil {
			return fmt.Errorf("save state of access %s: %w", a, err)
		}
	}
	return nil
}

// probe is an id that nobody has. Asked about it, WeCom says either that, or
// why it may not be asked at all.
const unknownContact = "wmInspectionOfNobody000000000000"

// check tries every access and reads the scope.
func (n *inspection) check(ctx context.Context) error {
	ids, err := ask(ctx, n, AccessArchive, n.WeCom.Permitted)
	var refusal *APIError
	switch {
	case err == nil:
		scope := Scope{Count: len(ids), Members: ids[:min(len(ids), ScopeMost)], At: n.Now()}
		if err := n.Store.SaveScope(ctx, n.corp.ID, scope); err != nil {
			return fmt.Errorf("save scope: %w", err)
		}
	case !errors.Is(err, errBlocked) && !errors.As(err, &refusal):
		return err
	}
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
		return fmt.Errorf("note the check: %w", err)
	}
	return nil
}

// each does do for the ids, some at a time, and returns those for which there
// was no time.
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
		if !n.anew && !k.stale(n.Now(), n.reach.App.SetAt) {
			return nil
		}
		p, err := n.person(ctx, id)
		if err != nil {
			return err
		}
		if p.Missing != "" && k.Fetched != nil { // the name is still the best that is known
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

// person asks about one id. That WeCom does not tell is no error.
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
	if looksForeign { // a userid that only looks like another's
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
		if !n.anew && !k.stale(n.Now(), n.reach.App.SetAt) {
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

// room asks about one room: as an internal one, unless it is known as a
// customers', then as that (wecom.md 2.2).
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
	if why == MissingRange { // it is the corp's, only its owner is out of range
		return gone(CustomerRoom, why)
	}
	return gone("", why)
}

// pairs asks for consent. WeCom refuses all of a request for one unknown id in
// it (301061): then it is asked by halves.
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
		return nil // nobody of that name: there is nothing to record
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
