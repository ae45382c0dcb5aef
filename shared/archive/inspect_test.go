package archive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// directory is an [archive.Directory] that answers from tables. An id of no
// table is refused as WeCom does. It counts calls, and refuses the first of
// them, or all, with a code.
type directory struct {
	mu        sync.Mutex
	people    map[string]archive.Person
	internal  map[string]archive.Room
	customers map[string]archive.Room
	permitted []string
	pairs     map[archive.Pair]archive.Consent
	perID     map[string]int // refuses an id with a code
	refuse    map[string]int // refuses a kind of question with a code
	times     map[string]int // after that many refusals of the kind it answers; always if 0
	cause     archive.Cause  // instead of a code, for code 1
	calls     map[string]int
	now, most int // calls at once
	slow      time.Duration
}

func newDirectory() *directory {
	return &directory{
		people: map[string]archive.Person{
			"lin.hua":  {ID: "lin.hua", Kind: archive.Member, Name: "林华"},
			"wmX":      {ID: "wmX", Kind: archive.External, Name: "小明妈妈", Avatar: "https://example.com/a", Company: "学校"},
			"wbRobot":  {ID: "wbRobot", Kind: archive.Robot, Name: "构建机器人"},
			"wmmember": {ID: "wmmember", Kind: archive.Member, Name: "王明"},
		},
		internal: map[string]archive.Room{"wrIn": {ID: "wrIn", Name: "项目群", Owner: "lin.hua", Members: []archive.RoomMember{{ID: "lin.hua"}}}},
		customers: map[string]archive.Room{
			"wrOut": {ID: "wrOut", Name: "家长群", Owner: "lin.hua", Members: []archive.RoomMember{{ID: "wmX", Name: "妈妈"}}},
		},
		permitted: []string{"lin.hua", "0042"},
		pairs:     map[archive.Pair]archive.Consent{{Member: "lin.hua", Contact: "wmX"}: {Member: "lin.hua", Contact: "wmX", Status: archive.Agreed, ChangedAt: start}},
		perID:     map[string]int{}, refuse: map[string]int{}, times: map[string]int{}, calls: map[string]int{},
	}
}

// call counts a call of a kind, and refuses it if that is due.
func (d *directory) call(ctx context.Context, kind, id string, c archive.Credential) error {
	d.mu.Lock()
	d.calls[kind]++
	d.now++
	d.most = max(d.most, d.now)
	n, code := d.calls[kind], d.refuse[kind]
	if most := d.times[kind]; most > 0 && n > most {
		code = 0
	}
	if code == 0 {
		code = d.perID[id]
	}
	cause := d.cause
	d.mu.Unlock()
	time.Sleep(d.slow)
	d.mu.Lock()
	d.now--
	d.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case c.Corp != corp || c.Secret.IsZero():
		return errors.New("asked with no credential of the corp")
	case code == 1:
		return &archive.APIError{Op: kind, Cause: cause}
	case code != 0:
		return &archive.APIError{Op: kind, Code: code, FromIP: "192.0.2.7"}
	}
	return nil
}

func lookup[T any](ctx context.Context, d *directory, kind string, c archive.Credential, in map[string]T, id string, absent int) (T, error) {
	var none T
	if err := d.call(ctx, kind, id, c); err != nil {
		return none, err
	}
	if v, ok := in[id]; ok {
		return v, nil
	}
	return none, &archive.APIError{Op: kind, Code: absent}
}

func (d *directory) Member(ctx context.Context, c archive.Credential, id string) (archive.Person, error) {
	return lookup(ctx, d, "member", c, d.people, id, 60111)
}

func (d *directory) Contact(ctx context.Context, c archive.Credential, id string) (archive.Person, error) {
	return lookup(ctx, d, "contact", c, d.people, id, 84061)
}

func (d *directory) Robot(ctx context.Context, c archive.Credential, id string) (archive.Person, error) {
	return lookup(ctx, d, "robot", c, d.people, id, 40058)
}

func (d *directory) InternalRoom(ctx context.Context, c archive.Credential, id string) (archive.Room, error) {
	return lookup(ctx, d, "internal", c, d.internal, id, 301059)
}

func (d *directory) CustomerRoom(ctx context.Context, c archive.Credential, id string) (archive.Room, error) {
	return lookup(ctx, d, "customers", c, d.customers, id, 40058)
}

func (d *directory) Permitted(ctx context.Context, c archive.Credential) ([]string, error) {
	return d.permitted, d.call(ctx, "permitted", "", c)
}

func (d *directory) PairConsents(ctx context.Context, c archive.Credential, pairs []archive.Pair) ([]archive.Consent, error) {
	if err := d.call(ctx, "pairs", "", c); err != nil {
		return nil, err
	}
	var found []archive.Consent
	for _, p := range pairs {
		if consent, ok := d.pairs[p]; ok {
			found = append(found, consent)
		} else {
			return nil, &archive.APIError{Op: "pairs", Code: 301061}
		}
	}
	return found, nil
}

func (d *directory) RoomConsents(ctx context.Context, c archive.Credential, room string) ([]archive.Consent, error) {
	if err := d.call(ctx, "roomConsents", room, c); err != nil {
		return nil, err
	}
	return []archive.Consent{{Room: room, Contact: "wmX", Status: archive.Refused, ChangedAt: start}}, nil
}

// names is a bench with an inspector and a name book.
type names struct {
	*bench
	wecom     *directory
	contacts  *archivetest.Contacts
	consents  *archivetest.Consents
	requests  *archivetest.InspectQueue
	inspector *archive.Inspector
	book      *archive.NameBook
}

func newNames(t testing.TB, f *archivetest.Faults) *names {
	b := newBench(t, f)
	n := &names{
		bench: b, wecom: newDirectory(), contacts: archivetest.NewContacts(t, f), consents: archivetest.NewConsents(t, f),
		requests: archivetest.NewInspectQueue(t, f),
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	n.inspector = &archive.Inspector{
		Corps: b.Corps, Secrets: b.Secrets, WeCom: n.wecom, Ledger: b.Ledger, Store: n.contacts, Consents: n.consents,
		Requests: n.requests, Now: b.clock.Now, Sleep: b.clock.Sleep, Log: log,
	}
	n.book = &archive.NameBook{Names: n.contacts, Asker: n.contacts, Reach: n.contacts, Requests: n.requests, Now: b.clock.Now, Log: log}
	return n
}

// setApp saves the secret of a self-built app.
func (n *names) setApp() {
	n.Secrets.PutApp(corp, secret.New("app secret"))
	n.must(n.contacts.SetApp(n.t.Context(), corp, archive.App{SecretPrefix: "app ", SetAt: n.clock.Now()}))
}

func (n *names) inspect(req archive.InspectRequest) error {
	req.V, req.Corp = 1, corp
	return n.inspector.Inspect(n.t.Context(), req)
}

func (n *names) corp() archive.Corp {
	c, err := n.Corps.Corp(n.t.Context(), corp)
	n.must(err)
	return c
}

func (n *names) lookup(people, rooms []string) archive.Names {
	return n.book.Lookup(n.t.Context(), n.corp(), people, rooms)
}

func (n *names) reach() archive.Reach {
	s, err := n.contacts.Reach(n.t.Context(), corp)
	n.must(err)
	return s
}

// serve inspects what was requested.
func (n *names) serve() (requests int) {
	n.t.Helper()
	for _, r := range n.requests.Take() {
		requests++
		n.must(n.inspector.Inspect(n.t.Context(), r))
	}
	return requests
}

func check(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

var everybody = []string{"lin.hua", "wmX", "wbRobot"}

func TestNamesComeAfterARead(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	rooms := []string{"wrIn", "wrOut"}
	first := n.lookup(everybody, rooms)
	if len(first.People) != 0 || len(first.Rooms) != 0 {
		t.Errorf("first read: got %+v, want no names", first)
	}
	n.lookup(everybody, rooms)
	if got := n.serve(); got != 2 {
		t.Errorf("got %d requests for two reads, want 2: one of people, one of rooms", got)
	}
	second := n.lookup(append(everybody, "lin.hua", ""), rooms)
	for id, want := range map[string]string{"lin.hua": "林华", "wmX": "小明妈妈", "wbRobot": "构建机器人"} {
		if p := second.People[id]; p.Name != want || p.Source != archive.SourceWeCom || !p.At.Equal(start) || p.Kind != archive.KindOf(id) {
			t.Errorf("%s: got %+v, want %s from WeCom", id, p, want)
		}
	}
	check(t, "kinds of room", []archive.RoomKind{second.Rooms["wrIn"].Kind, second.Rooms["wrOut"].Kind}, []archive.RoomKind{archive.InternalRoom, archive.CustomerRoom})

	n.clock.advance(archive.NameAge - time.Second)
	n.lookup(everybody, rooms)
	if got := n.serve(); got != 0 {
		t.Errorf("young names: got %d requests, want none", got)
	}
	n.clock.advance(time.Second)
	n.lookup(everybody, rooms)
	n.lookup(everybody, rooms)
	if got := n.serve(); got != 2 {
		t.Errorf("old names: got %d requests for two reads, want 2", got)
	}
	if p := n.lookup([]string{"wmX"}, nil).People["wmX"]; !p.At.Equal(n.clock.Now()) {
		t.Errorf("refreshed: got time %s, want now", p.At)
	}
}

func TestGivenNamesWin(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	given := archive.Person{ID: "wmX", Kind: archive.External, Name: "重要客户", Origin: archive.Origin{Source: archive.SourceSCRM, At: start}}
	n.must(n.contacts.GivePeople(t.Context(), corp, []archive.Person{given}))
	n.lookup([]string{"wmX"}, nil)
	if got := n.serve(); got != 0 {
		t.Errorf("got %d requests for a given name, want none", got)
	}
	n.must(n.inspect(archive.InspectRequest{People: []string{"wmX"}, Force: true}))
	p := n.lookup([]string{"wmX"}, nil).People["wmX"]
	if p.Name != "重要客户" || p.Source != archive.SourceSCRM || p.Company != "学校" {
		t.Errorf("got %+v, want the given name beside WeCom's company", p)
	}
	n.must(n.contacts.GivePeople(t.Context(), corp, []archive.Person{{ID: "wmX"}}))
	if p := n.lookup([]string{"wmX"}, nil).People["wmX"]; p.Name != "小明妈妈" {
		t.Errorf("taken back: got %+v, want WeCom's name", p)
	}
}

// Each refusal of an id is remembered with its meaning, and not asked again
// until that could help.
func TestRefusalsOfIDs(t *testing.T) {
	for _, test := range []struct {
		id    string
		room  bool
		code  int
		want  archive.Missing
		again time.Duration
	}{
		{"lin.hua", false, 60111, archive.MissingNotFound, archive.NameAge},
		{"lin.hua", false, 60011, archive.MissingRange, 24 * time.Hour},
		{"wmX", false, 84061, archive.MissingRelation, 24 * time.Hour},
		{"wmX", false, 40096, archive.MissingRelation, 24 * time.Hour},
		{"wbRobot", false, 40058, archive.MissingNotFound, archive.NameAge},
		{"wrIn", true, 92002, archive.MissingForeign, archive.NameAge},
		{"wrIn", true, 301059, archive.MissingNotFound, archive.NameAge},
		{"wrOut", true, 60011, archive.MissingRange, 24 * time.Hour},
	} {
		t.Run(fmt.Sprint(test.id, " ", test.code), func(t *testing.T) {
			n := newNames(t, &archivetest.Faults{})
			n.setApp()
			n.wecom.perID[test.id] = test.code
			if test.id == "wmX" || test.id == "wbRobot" {
				delete(n.wecom.people, test.id)
			}
			if test.code == 60011 && test.room {
				n.wecom.perID[test.id] = 0
				n.wecom.refuse["customers"] = test.code
			}
			req, people, rooms := archive.InspectRequest{People: []string{test.id}}, []string{test.id}, []string(nil)
			if test.room {
				req, people, rooms = archive.InspectRequest{Rooms: []string{test.id}}, nil, []string{test.id}
			}
			n.must(n.inspect(req))
			calls := total(n.wecom.calls)
			n.must(n.inspect(req))
			if got := total(n.wecom.calls); got != calls {
				t.Errorf("asked again at once: %d calls more", got-calls)
			}
			shown := n.lookup(people, rooms)
			got := shown.People[test.id].Missing
			if test.room {
				got = shown.Rooms[test.id].Missing
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			n.clock.advance(test.again - time.Second)
			n.lookup(people, rooms)
			if n.serve() != 0 {
				t.Errorf("asked again before %s", test.again)
			}
			n.clock.advance(time.Second)
			n.lookup(people, rooms)
			if n.serve() != 1 {
				t.Errorf("not asked again after %s", test.again)
			}
			if s := n.reach().Access[archive.AccessCustomers]; s.Trouble != nil {
				t.Errorf("trouble of the access: got %+v, want none", s.Trouble)
			}
		})
	}
}

func total(calls map[string]int) int {
	sum := 0
	for n := range maps.Values(calls) {
		sum += n
	}
	return sum
}

// A name that WeCom told once is shown although WeCom does not tell it any
// more.
func TestNamesOutliveRefusals(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	req := archive.InspectRequest{People: []string{"wmX"}, Rooms: []string{"wrOut"}, Force: true}
	n.must(n.inspect(req))
	delete(n.wecom.people, "wmX")
	delete(n.wecom.customers, "wrOut")
	n.clock.advance(time.Hour)
	n.must(n.inspect(req))
	shown := n.lookup(req.People, req.Rooms)
	if p := shown.People["wmX"]; p.Name != "小明妈妈" || p.Missing != archive.MissingRelation || !p.At.Equal(n.clock.Now()) {
		t.Errorf("got %+v, want the name and why it is old", p)
	}
	if r := shown.Rooms["wrOut"]; r.Name != "家长群" || r.Kind != archive.CustomerRoom || r.Missing != archive.MissingNotFound {
		t.Errorf("got %+v, want the room and why it is old", r)
	}
}

func TestRoomsNameTheirMembers(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	delete(n.wecom.people, "wmX")
	n.must(n.inspect(archive.InspectRequest{People: []string{"wmX"}, Rooms: []string{"wrOut"}}))
	p := n.lookup([]string{"wmX"}, []string{"wrOut"}).People["wmX"]
	if p.Name != "妈妈" || p.Missing != archive.MissingRelation || p.Kind != archive.External {
		t.Errorf("got %+v, want the name that the room tells", p)
	}
	if p := n.lookup([]string{"wmX"}, nil).People["wmX"]; p.Name != "" {
		t.Errorf("without the room: got %+v, want no name", p)
	}
}

func TestMemberWhoLooksLikeAContact(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	n.wecom.refuse["contact"] = 40096
	n.must(n.inspect(archive.InspectRequest{People: []string{"wmmember"}}))
	if p := n.lookup([]string{"wmmember"}, nil).People["wmmember"]; p.Kind != archive.Member || p.Name != "王明" {
		t.Errorf("got %+v, want a member", p)
	}
}

// An event has a young name fetched again, but is no reason to overrun a pause.
func TestAnewIsNotForce(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	req := archive.InspectRequest{People: []string{"wmX"}, Anew: true}
	n.must(n.inspect(req))
	n.wecom.people["wmX"] = archive.Person{ID: "wmX", Name: "改名"}
	n.must(n.inspect(req))
	if p := n.lookup(req.People, nil).People["wmX"]; p.Name != "改名" {
		t.Errorf("got %+v, want the new name", p)
	}
	n.wecom.refuse["contact"] = 40001
	n.must(n.inspect(req))
	calls := n.wecom.calls["contact"]
	n.must(n.inspect(req))
	if got := n.wecom.calls["contact"]; got != calls {
		t.Error("asked during a pause")
	}
}

func TestWithoutAnApp(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.wecom.refuse["member"] = 48002 // the archive secret may not
	people, rooms := []string{"lin.hua", "wmX", "wbRobot"}, []string{"wrIn", "wrOut"}
	n.lookup(people, rooms)
	n.serve()
	shown := n.lookup(people, rooms)
	if n.serve() != 0 {
		t.Error("asked again at once")
	}
	check(t, "people", slices.Sorted(maps.Keys(shown.People)), []string{"lin.hua", "wbRobot"})
	if p := shown.People["lin.hua"]; p.Name != "" {
		t.Errorf("got %+v, want no name", p)
	}
	if r := shown.Rooms["wrOut"]; r.Missing != archive.MissingApp {
		t.Errorf("got %+v, want that an app is needed", r)
	}
	if n.wecom.calls["contact"]+n.wecom.calls["customers"] != 0 {
		t.Error("asked for customers with the archive secret")
	}
	if s := n.reach().Access[archive.AccessMembers]; s.Trouble == nil || s.Trouble.Cause != archive.CauseSecretKind || archive.AccessMembers.Step(s.Trouble.Cause) != archive.AppStep {
		t.Errorf("got %+v, want a trouble that step 7 mends", s.Trouble)
	}

	// As soon as there is one, reading asks again, on the same day.
	n.wecom.refuse["member"] = 0
	n.clock.advance(time.Minute)
	n.setApp()
	n.lookup(people, rooms)
	if n.serve() == 0 {
		t.Error("not asked again with the app")
	}
	shown = n.lookup(people, rooms)
	check(t, "names", []string{shown.People["lin.hua"].Name, shown.People["wmX"].Name, shown.Rooms["wrOut"].Name}, []string{"林华", "小明妈妈", "家长群"})
}

// Each refusal of an access closes it, for its time, and is mended at the
// first success.
func TestRefusalsOfAccesses(t *testing.T) {
	for _, test := range []struct {
		code  int
		cause archive.Cause
		pause time.Duration
		calls int // of the first request
	}{
		{60020, archive.CauseTrustedIP, 10 * time.Minute, 1},
		{301042, archive.CauseTrustedIP, 10 * time.Minute, 1},
		{48002, archive.CauseSecretKind, 24 * time.Hour, 1},
		{84074, archive.CauseSecretKind, 24 * time.Hour, 1},
		{50003, archive.CauseSecretKind, 24 * time.Hour, 1},
		{45009, archive.CauseRate, time.Minute, 1},
		{-1, archive.CauseBusy, time.Minute, 3},
		{45033, archive.CauseBusy, time.Minute, 3},
		{42001, archive.CauseBusy, time.Minute, 3},
		{12345, archive.CauseUnknownResponse, 10 * time.Minute, 1},
	} {
		t.Run(fmt.Sprint(test.code), func(t *testing.T) {
			n := newNames(t, &archivetest.Faults{})
			n.setApp()
			n.wecom.refuse["contact"] = test.code
			ids := []string{"wmX", "wm1", "wm2", "wm3", "wm4", "wm5"}
			n.lookup(ids, nil)
			n.serve()
			if got := n.wecom.calls["contact"]; got != test.calls {
				t.Errorf("got %d calls for %d ids, want %d", got, len(ids), test.calls)
			}
			s := n.reach().Access[archive.AccessCustomers]
			if s.Trouble == nil || s.Trouble.Cause != test.cause || s.Trouble.Code != test.code || s.Trouble.FromIP != "192.0.2.7" {
				t.Fatalf("got trouble %+v, want %s", s.Trouble, test.cause)
			}
			if got := s.NotBefore.Sub(n.clock.Now()); got != test.pause {
				t.Errorf("got a pause of %s, want %s", got, test.pause)
			}
			if n.reach().Access[archive.AccessMembers].Trouble != nil {
				t.Error("another access is in trouble too")
			}
			since := s.Trouble.Since
			n.clock.advance(test.pause - time.Second)
			n.lookup(ids, nil)
			if n.serve() != 0 {
				t.Error("requested during the pause")
			}
			n.must(n.inspect(archive.InspectRequest{People: ids}))
			if got := n.wecom.calls["contact"]; got != test.calls {
				t.Error("asked during the pause")
			}
			n.clock.advance(time.Second)
			n.lookup(ids, nil)
			if n.serve() == 0 {
				t.Error("not requested after the pause, the same ids on the same day")
			}
			if s := n.reach().Access[archive.AccessCustomers]; s.Trouble == nil || !s.Trouble.Since.Equal(since) {
				t.Errorf("got %+v, want trouble since %s", s.Trouble, since)
			}
			n.wecom.refuse["contact"] = 0
			n.clock.advance(time.Second)
			n.must(n.inspect(archive.InspectRequest{People: []string{"wmX"}, Force: true}))
			if s := n.reach().Access[archive.AccessCustomers]; s.Trouble != nil || s.OKAt.IsZero() {
				t.Errorf("mended: got %+v", s)
			}
			n.clock.advance(time.Second)
			n.lookup(ids, nil)
			if n.serve() == 0 {
				t.Error("mended: what was asked for in the meantime is not requested again")
			}
		})
	}
}

// A room that may be a customers' waits for the app's access, though the
// archive's is well.
func TestRoomWaitsForTheApp(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	n.wecom.refuse["customers"] = 60020
	n.lookup(nil, []string{"wrIn", "wrOut"})
	n.serve()
	n.clock.advance(time.Minute)
	n.lookup(nil, []string{"wrIn", "wrOut"})
	if n.serve() != 0 {
		t.Error("requested during the pause")
	}
	n.wecom.refuse["customers"] = 0
	n.clock.advance(time.Hour)
	n.lookup(nil, []string{"wrIn", "wrOut"})
	n.serve()
	if r := n.lookup(nil, []string{"wrOut"}).Rooms["wrOut"]; r.Kind != archive.CustomerRoom {
		t.Errorf("got %+v, want the room", r)
	}
	if got := n.wecom.calls["internal"]; got != 3 {
		t.Errorf("got %d questions for internal rooms, want 3", got)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for cause, calls := range map[archive.Cause]int{archive.CauseNetwork: 3, archive.CauseBusy: 3, archive.CauseBadAnswer: 3, archive.CauseTLS: 1} {
		t.Run(string(cause), func(t *testing.T) {
			n := newNames(t, &archivetest.Faults{})
			n.wecom.cause, n.wecom.refuse["robot"] = cause, 1
			n.must(n.inspect(archive.InspectRequest{People: []string{"wbRobot", "wbOther"}}))
			if got := n.wecom.calls["robot"]; got != calls {
				t.Errorf("got %d calls, want %d", got, calls)
			}
			if s := n.reach().Access[archive.AccessArchive]; s.Trouble == nil || s.Trouble.Cause != cause {
				t.Errorf("got %+v, want %s", s.Trouble, cause)
			}
		})
	}
}

// A refused secret is shown to WeCom once, however many ids wait for it, by
// whatever access; then with growing pauses (law 8).
func TestRefusedSecretIsSpared(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	n.wecom.slow = 2 * time.Millisecond // so that calls would overlap if they could
	n.wecom.refuse["member"], n.wecom.refuse["contact"] = 40001, 40001
	ids := []string{"a", "b", "c", "d", "e", "wmA", "wmB", "wmC", "wmD"}
	shown := func() int { return n.wecom.calls["member"] + n.wecom.calls["contact"] }
	for i, pause := range []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour, 6 * time.Hour} {
		n.must(n.inspect(archive.InspectRequest{People: ids}))
		if got := shown(); got != i+1 {
			t.Fatalf("round %d: the secret was shown %d times, want %d", i, got, i+1)
		}
		for _, a := range []archive.Access{archive.AccessMembers, archive.AccessCustomers} {
			s := n.reach().Access[a]
			if s.Trouble == nil || s.Trouble.Cause != archive.CauseSecret || s.NotBefore.Sub(n.clock.Now()) != pause {
				t.Errorf("round %d, %s: got %+v, want a pause of %s", i, a, s, pause)
			}
		}
		n.clock.advance(pause - time.Second)
		n.must(n.inspect(archive.InspectRequest{People: ids}))
		n.clock.advance(time.Second)
	}
	count, err := n.Ledger.Refusals(t.Context(), start)
	n.must(err)
	if count != 4 {
		t.Errorf("got %d refusals of the address, want 4", count)
	}
	if s := n.reach().Access[archive.AccessArchive]; s.Trouble != nil {
		t.Errorf("the archive secret: got %+v, want no trouble", s.Trouble)
	}

	// Another secret is tried at once.
	n.wecom.refuse = map[string]int{}
	n.setApp()
	n.must(n.inspect(archive.InspectRequest{People: []string{"lin.hua", "wmX"}}))
	if names := n.lookup([]string{"lin.hua", "wmX"}, nil); names.People["lin.hua"].Name == "" || names.People["wmX"].Name == "" {
		t.Errorf("got %+v, want both names", names.People)
	}
}

func TestAddressBudget(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	for i := range archive.RefusalBudget {
		n.must(n.Ledger.RecordRefusal(t.Context(), fmt.Sprintf("wwother%09d", i), n.clock.Now()))
	}
	n.must(n.inspect(archive.InspectRequest{People: everybody, Force: true}))
	if got := total(n.wecom.calls); got != 0 {
		t.Errorf("got %d calls with secrets that are not known to work, want none", got)
	}
	if s := n.reach().Access[archive.AccessCustomers]; s.Trouble == nil || s.Trouble.Cause != archive.CauseBudget {
		t.Errorf("got %+v, want %s", s.Trouble, archive.CauseBudget)
	}
	// What the puller knows of the archive secret counts.
	n.must(n.Ledger.SavePullState(t.Context(), archive.PullState{Corp: corp, SecretOKAt: n.corp().SecretSetAt}))
	n.clock.advance(time.Second)
	n.must(n.inspect(archive.InspectRequest{People: everybody, Force: true}))
	if n.wecom.calls["robot"] != 1 || n.wecom.calls["contact"] != 0 {
		t.Errorf("got calls %v, want the robot's alone", n.wecom.calls)
	}
}

func TestPullersRefusalCounts(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	refused := archive.PullState{
		Corp: corp, SecretRefusedAt: n.corp().SecretSetAt, Refusals: 1, NotBefore: n.clock.Now().Add(10 * time.Minute),
		Trouble: &archive.Trouble{Cause: archive.CauseSecret, Op: "Init", Code: 10000, Native: true},
	}
	n.must(n.Ledger.SavePullState(t.Context(), refused))
	n.must(n.inspect(archive.InspectRequest{Check: true}))
	if got := total(n.wecom.calls); got != 0 {
		t.Errorf("got %d calls with a secret that the puller was refused with, want none", got)
	}
	n.must(n.inspect(archive.InspectRequest{Check: true, Force: true}))
	if n.wecom.calls["permitted"] != 1 {
		t.Error("a person asked: not tried")
	}
}

func TestCheck(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	n.wecom.refuse["contact"] = 48002
	n.must(n.inspect(archive.InspectRequest{Check: true}))
	s := n.reach()
	check(t, "scope", s.Scope, &archive.Scope{Count: 2, Members: n.wecom.permitted, At: start})
	if !s.CheckedAt.Equal(start) {
		t.Errorf("got checked at %s, want now", s.CheckedAt)
	}
	for a, want := range map[archive.Access]archive.Cause{archive.AccessArchive: "", archive.AccessMembers: "", archive.AccessCustomers: archive.CauseSecretKind} {
		var got archive.Cause
		if tr := s.Access[a].Trouble; tr != nil {
			got = tr.Cause
		}
		if got != want || (want == "") == s.Access[a].OKAt.IsZero() {
			t.Errorf("%s: got %+v, want cause %q", a, s.Access[a], want)
		}
	}
	if got := archive.AccessCustomers.Step(archive.CauseTrustedIP); got != archive.AppStep {
		t.Errorf("the app's trusted address: got step %d, want %d", got, archive.AppStep)
	}
	if got := archive.AccessArchive.Step(archive.CauseTrustedIP); got != 4 {
		t.Errorf("the archive's trusted address: got step %d, want 4", got)
	}

	many := make([]string, archive.ScopeMost+5)
	for i := range many {
		many[i] = fmt.Sprint("m", i)
	}
	n.wecom.permitted = many
	n.must(n.inspect(archive.InspectRequest{Check: true}))
	if s := n.reach().Scope; s.Count != len(many) || len(s.Members) != archive.ScopeMost {
		t.Errorf("large scope: got %d of %d, want %d of %d", len(s.Members), s.Count, archive.ScopeMost, len(many))
	}
}

// One unknown id among the pairs must not cost the answers about the others.
func TestConsentsOfPairsAndRooms(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	pairs := []archive.Pair{{Member: "lin.hua", Contact: "wmX"}}
	for i := range 2*archive.PairsMost - 2 {
		p := archive.Pair{Member: "m", Contact: fmt.Sprint("wm", i)}
		pairs = append(pairs, p)
		n.wecom.pairs[p] = archive.Consent{Member: p.Member, Contact: p.Contact, Status: archive.AgreedDefault}
	}
	pairs = slices.Insert(pairs, 57, archive.Pair{Member: "gone", Contact: "wmgone"})
	n.must(n.inspect(archive.InspectRequest{Pairs: pairs, ConsentRooms: []string{"wrOut"}}))
	list, _, err := n.consents.Consents(t.Context(), corp, archive.ConsentQuery{}, "", 1000)
	n.must(err)
	if len(list) != 2*archive.PairsMost {
		t.Errorf("got %d consents, want %d", len(list), 2*archive.PairsMost)
	}
	if got := n.wecom.calls["pairs"]; got > 20 {
		t.Errorf("got %d calls, want few", got)
	}
	for _, c := range list {
		if c.Source != archive.ConsentCheck || c.Corp != corp || !c.At.Equal(start) {
			t.Fatalf("got %+v, want a check of now", c)
		}
	}
	n.wecom.refuse["pairs"], n.wecom.refuse["roomConsents"] = 301042, 301042
	n.must(n.inspect(archive.InspectRequest{Pairs: pairs, ConsentRooms: []string{"wrOut"}}))
}

func TestConsentOrder(t *testing.T) {
	said := archive.Consent{Status: archive.Agreed, ChangedAt: start, Source: archive.ConsentEvent}
	with := func(how func(*archive.Consent)) archive.Consent {
		c := said
		how(&c)
		return c
	}
	rising := []archive.Consent{
		{Status: archive.AgreedDefault, Source: archive.ConsentMessage},
		with(func(c *archive.Consent) { c.ChangedAt, c.Status = start.Add(-time.Second), archive.Refused }),
		with(func(c *archive.Consent) { c.Source = archive.ConsentCheck }),
		said,
		with(func(c *archive.Consent) { c.Source = archive.ConsentMessage }),
		with(func(c *archive.Consent) { c.Status, c.Source = archive.Refused, archive.ConsentCheck }),
		with(func(c *archive.Consent) { c.ChangedAt, c.Source = start.Add(time.Second), archive.ConsentCheck }),
	}
	for i := range rising[1:] {
		if rising[i].Order() >= rising[i+1].Order() {
			t.Errorf("answer %d is not before answer %d", i, i+1)
		}
	}
	later := said
	later.At = start.Add(time.Hour)
	if later.Order() != said.Order() {
		t.Error("when an answer was learned counts")
	}
}

func TestInspectStopsInTime(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	ids := make([]string, 20)
	for i := range ids {
		ids[i] = fmt.Sprint("wm", i)
	}
	ctx, cancel := context.WithDeadline(t.Context(), start.Add(30*365*24*time.Hour)) // by the test's clock
	defer cancel()
	n.clock.advance(30*365*24*time.Hour - 10*time.Second)
	n.must(n.inspector.Inspect(ctx, archive.InspectRequest{
		V: 1, Corp: corp, People: ids, Rooms: []string{"wrIn"}, Pairs: []archive.Pair{{Member: "lin.hua", Contact: "wmX"}}, ConsentRooms: []string{"wrOut"},
	}))
	if got := total(n.wecom.calls); got != 0 {
		t.Errorf("got %d calls, want none: there is no time", got)
	}
	reqs := n.requests.Take()
	if len(reqs) != 1 || len(reqs[0].People) != 20 || len(reqs[0].Rooms) != 1 || len(reqs[0].Pairs) != 1 || len(reqs[0].ConsentRooms) != 1 {
		t.Errorf("got %+v, want the rest in one request", reqs)
	}
}

func TestInspectBoundsConcurrency(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.wecom.slow = time.Millisecond
	ids := make([]string, 40)
	for i := range ids {
		ids[i] = fmt.Sprint("wb", i)
	}
	n.must(n.inspect(archive.InspectRequest{People: ids}))
	if n.wecom.most > 4 {
		t.Errorf("got %d calls at once, want at most 4", n.wecom.most)
	}
}

func TestInspectUnknownCorp(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.must(n.inspector.Inspect(t.Context(), archive.InspectRequest{V: 1, Corp: "wwunknown000000000", Check: true, People: everybody}))
	if total(n.wecom.calls) != 0 {
		t.Error("asked for a corp that is not registered")
	}
}

// A read is answered whatever fails, and bounded.
func TestLookupNeverFails(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		n := newNames(t, f)
		n.setApp()
		c := n.corp()
		arm()
		n.book.Lookup(t.Context(), c, everybody, []string{"wrIn"})
		f.Disarm()
		n.clock.advance(24 * time.Hour) // what was noted and not requested costs a day
		n.lookup(everybody, []string{"wrIn"})
		n.serve()
		shown := n.lookup(everybody, []string{"wrIn"})
		if len(shown.People) != 3 || shown.People["wmX"].Name == "" || shown.Rooms["wrIn"].Name == "" {
			t.Errorf("got %+v, want all names", shown)
		}
	})
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	many := make([]string, 5000)
	for i := range many {
		many[i] = fmt.Sprint("wm", i)
	}
	n.lookup(many, nil)
	ids := 0
	for _, r := range n.requests.Take() {
		ids += len(r.People)
		if len(r.People) > archive.InspectMost {
			t.Errorf("got a request of %d ids, want at most %d", len(r.People), archive.InspectMost)
		}
	}
	if ids == 0 || ids > 200 {
		t.Errorf("one read requested %d ids, want some and not thousands", ids)
	}
}

// Whatever store fails, before or after it took effect, doing it again ends
// with everything known, and WeCom is asked about each id once or twice.
func TestInspectSurvivesEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		n := newNames(t, f)
		n.setApp()
		req := archive.InspectRequest{
			V: 1, Corp: corp, Check: true, People: everybody, Rooms: []string{"wrIn", "wrOut"},
			Pairs: []archive.Pair{{Member: "lin.hua", Contact: "wmX"}}, ConsentRooms: []string{"wrOut"},
		}
		arm()
		_ = n.inspector.Inspect(t.Context(), req)
		f.Disarm()
		n.must(n.inspector.Inspect(t.Context(), req))
		shown := n.lookup(req.People, req.Rooms)
		if len(shown.People) != 3 || len(shown.Rooms) != 2 || shown.People["wmX"].Name == "" || shown.Rooms["wrOut"].Name == "" {
			t.Errorf("got %+v, want all names", shown)
		}
		s := n.reach()
		if s.Scope == nil || s.CheckedAt.IsZero() || s.Access[archive.AccessArchive].OKAt.IsZero() || s.Access[archive.AccessCustomers].OKAt.IsZero() {
			t.Errorf("got %+v, want a whole check", s)
		}
		list, _, err := n.consents.Consents(t.Context(), corp, archive.ConsentQuery{Contact: "wmX"}, "", 10)
		n.must(err)
		if len(list) != 2 {
			t.Errorf("got %d consents, want 2", len(list))
		}
	})
}

// A refusal is never shown to WeCom more often than it is counted, whatever
// store fails.
func TestRefusalsAreCountedUnderFaults(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		n := newNames(t, f)
		n.setApp()
		n.wecom.refuse["contact"], n.wecom.refuse["member"] = 40001, 40001
		arm()
		first := n.inspect(archive.InspectRequest{People: []string{"wmX", "lin.hua", "wm1"}})
		f.Disarm()
		if first != nil { // the queue hands it out again
			n.must(n.inspect(archive.InspectRequest{People: []string{"wmX", "lin.hua", "wm1"}}))
		}
		if shown := n.wecom.calls["contact"] + n.wecom.calls["member"]; shown > 2 {
			t.Errorf("the secret was shown %d times, want once per try", shown)
		}
		if s := n.reach().Access[archive.AccessCustomers]; s.Trouble == nil || !n.clock.Now().Before(s.NotBefore) {
			t.Errorf("got %+v, want a pause", s)
		}
	})
}
