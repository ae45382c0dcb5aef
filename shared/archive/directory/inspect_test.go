package directory_test

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
	"testing/synctest"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// directory is an [WeCom] that answers from tables. An id of no
// table is refused as WeCom does. It counts calls, and refuses the first of
// them, or all, with a code.
type fakeWeCom struct {
	mu        sync.Mutex
	people    map[string]directory.Person
	internal  map[string]directory.Room
	customers map[string]directory.Room
	permitted []string
	editions  map[directory.Edition][]string
	pairs     map[directory.Pair]archive.Consent
	perID     map[string]int // refuses an id with a code
	refuse    map[string]int // refuses a kind of question with a code
	times     map[string]int // after that many refusals of the kind it answers; always if 0
	cause     archive.Cause  // instead of a code, for code 1
	calls     map[string]int
	now, most int // calls at once
	slow      time.Duration
	slowIDs   map[string]time.Duration // in place of slow
}

func newFakeWeCom() *fakeWeCom {
	return &fakeWeCom{
		people: map[string]directory.Person{
			"lin.hua":  {ID: "lin.hua", Kind: directory.Member, Name: "林华"},
			"wmX":      {ID: "wmX", Kind: directory.External, Name: "小明妈妈", Avatar: "https://example.com/a", Company: "学校"},
			"wbRobot":  {ID: "wbRobot", Kind: directory.Robot, Name: "构建机器人"},
			"wmmember": {ID: "wmmember", Kind: directory.Member, Name: "王明"},
		},
		internal: map[string]directory.Room{"wrIn": {ID: "wrIn", Name: "项目群", Owner: "lin.hua", Members: []directory.RoomMember{{ID: "lin.hua"}}}},
		customers: map[string]directory.Room{
			"wrOut": {ID: "wrOut", Name: "家长群", Owner: "lin.hua", Members: []directory.RoomMember{{ID: "wmX", Name: "妈妈"}}},
		},
		permitted: []string{"lin.hua", "0042"},
		pairs:     map[directory.Pair]archive.Consent{{Member: "lin.hua", Contact: "wmX"}: {Member: "lin.hua", Contact: "wmX", Status: archive.Agreed, ChangedAt: archivetest.Start}},
		perID:     map[string]int{}, refuse: map[string]int{}, times: map[string]int{}, calls: map[string]int{},
	}
}

// call counts a call of a kind, and refuses it if that is due.
func (d *fakeWeCom) call(ctx context.Context, kind, id string, c directory.Credential) error {
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
	cause, slow := d.cause, d.slow
	if own, ok := d.slowIDs[id]; ok {
		slow = own
	}
	d.mu.Unlock()
	time.Sleep(slow)
	d.mu.Lock()
	d.now--
	d.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case c.Corp != archivetest.Corp || c.Secret.IsZero():
		return errors.New("asked with no credential of the corp")
	case code == 1:
		return &directory.APIError{Op: kind, Cause: cause}
	case code != 0:
		return &directory.APIError{Op: kind, Code: code, FromIP: "192.0.2.7"}
	}
	return nil
}

func lookup[T any](ctx context.Context, d *fakeWeCom, kind string, c directory.Credential, in map[string]T, id string, absent int) (T, error) {
	var none T
	if err := d.call(ctx, kind, id, c); err != nil {
		return none, err
	}
	if v, ok := in[id]; ok {
		return v, nil
	}
	return none, &directory.APIError{Op: kind, Code: absent}
}

func (d *fakeWeCom) Member(ctx context.Context, c directory.Credential, id string) (directory.Person, error) {
	return lookup(ctx, d, "member", c, d.people, id, 60111)
}

func (d *fakeWeCom) Contact(ctx context.Context, c directory.Credential, id string) (directory.Person, error) {
	return lookup(ctx, d, "contact", c, d.people, id, 84061)
}

func (d *fakeWeCom) Robot(ctx context.Context, c directory.Credential, id string) (directory.Person, error) {
	return lookup(ctx, d, "robot", c, d.people, id, 40058)
}

func (d *fakeWeCom) InternalRoom(ctx context.Context, c directory.Credential, id string) (directory.Room, error) {
	return lookup(ctx, d, "internal", c, d.internal, id, 301059)
}

func (d *fakeWeCom) CustomerRoom(ctx context.Context, c directory.Credential, id string) (directory.Room, error) {
	return lookup(ctx, d, "customers", c, d.customers, id, 40058)
}

func (d *fakeWeCom) Permitted(ctx context.Context, c directory.Credential, e directory.Edition) ([]string, error) {
	if e != directory.AllEditions {
		return d.editions[e], d.call(ctx, "editions", "", c)
	}
	return d.permitted, d.call(ctx, "permitted", "", c)
}

func (d *fakeWeCom) PairConsents(ctx context.Context, c directory.Credential, pairs []directory.Pair) ([]archive.Consent, error) {
	if err := d.call(ctx, "pairs", "", c); err != nil {
		return nil, err
	}
	var found []archive.Consent
	for _, p := range pairs {
		if consent, ok := d.pairs[p]; ok {
			found = append(found, consent)
		} else {
			return nil, &directory.APIError{Op: "pairs", Code: 301061}
		}
	}
	return found, nil
}

func (d *fakeWeCom) RoomConsents(ctx context.Context, c directory.Credential, room string) ([]archive.Consent, error) {
	if err := d.call(ctx, "roomConsents", room, c); err != nil {
		return nil, err
	}
	return []archive.Consent{{Room: room, Contact: "wmX", Status: archive.Disagreed, ChangedAt: archivetest.Start}}, nil
}

// names is a bench with an inspector and a name book.
type names struct {
	*archivetest.Fixture
	wecom     *fakeWeCom
	contacts  *archivetest.Contacts
	consents  *archivetest.Consents
	requests  *archivetest.InspectQueue
	inspector *directory.Inspector
	book      *directory.NameBook
	examined  int // by the doctor
}

func newNames(t testing.TB, f *archivetest.Faults) *names {
	b := archivetest.NewFixture(t, f)
	n := &names{
		Fixture: b, wecom: newFakeWeCom(), contacts: archivetest.NewContacts(t, f), consents: archivetest.NewConsents(t, f),
		requests: archivetest.NewInspectQueue(t, f, b.Marks),
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	wanted := directory.NewWantedInspections(b.Marks, n.requests, b.Clock.Now)
	n.inspector = &directory.Inspector{
		Corps: b.Corps, Secrets: b.Secrets, WeCom: n.wecom, Ledger: b.Ledger, Gate: &archive.Gate{Log: b.Ledger, Now: b.Clock.Now}, Store: n.contacts, Consents: n.consents, Doctor: n,
		Requests: wanted, Now: b.Clock.Now, Sleep: b.Clock.Sleep, Log: log,
	}
	n.book = &directory.NameBook{Names: n.contacts, Asker: n.contacts, Reach: n.contacts, Witness: b.View, Requests: wanted, Now: b.Clock.Now, Log: log}
	return n
}

// Examine implements [directory.Doctor].
func (n *names) Examine(context.Context, archive.Corp) error {
	n.examined++
	return nil
}

// The doctor examines a corp after each check, and when only that is requested.
func TestInspectionsExamine(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	for i, req := range []directory.Request{{Check: true}, {Examine: true}, {People: []string{"lin.hua"}}} {
		n.Must(n.inspect(req))
		if want := min(i+1, 2); n.examined != want {
			t.Errorf("after %+v: examined %d times, want %d", req, n.examined, want)
		}
	}
	n.Must(n.inspector.Requests.(directory.WantedInspections).RequestChecks(t.Context(), archivetest.Corp))
	n.Must(n.inspector.Requests.(directory.WantedInspections).RequestExaminations(t.Context(), archivetest.Corp))
	n.serve()
	if n.examined != 3 || n.reach().CheckedAt.IsZero() {
		t.Errorf("examined %d times, want a check and an examination in one request", n.examined)
	}
}

// setApp saves the secret of a self-built app.
func (n *names) setApp() {
	n.Secrets.PutApp(archivetest.Corp, secret.New("app secret"))
	n.Must(n.contacts.SetApp(n.T.Context(), archivetest.Corp, directory.App{SecretPrefix: "app ", SetAt: n.Clock.Now()}))
}

func (n *names) inspect(req directory.Request) error {
	req.Corp = archivetest.Corp
	return n.inspector.Inspect(n.T.Context(), req)
}

func (n *names) corp() archive.Corp {
	c, err := n.Corps.Corp(n.T.Context(), archivetest.Corp)
	n.Must(err)
	return c
}

func (n *names) lookup(people, rooms []string) directory.Names {
	return n.book.Lookup(n.T.Context(), n.corp(), people, rooms)
}

func (n *names) reach() directory.Reach {
	s, err := n.contacts.Reach(n.T.Context(), archivetest.Corp)
	n.Must(err)
	return s
}

// serve inspects what was requested.
func (n *names) serve() (requests int) {
	n.T.Helper()
	for _, r := range n.requests.Take() {
		requests++
		n.Must(n.inspector.Inspect(n.T.Context(), r))
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
	if got := n.serve(); got != 1 {
		t.Errorf("got %d requests for two reads, want 1", got)
	}
	second := n.lookup(append(everybody, "lin.hua", ""), rooms)
	for id, want := range map[string]string{"lin.hua": "林华", "wmX": "小明妈妈", "wbRobot": "构建机器人"} {
		if p := second.People[id]; p.Name != want || p.Source != directory.SourceWeCom || !p.At.Equal(archivetest.Start) || p.Kind != directory.KindOf(id) {
			t.Errorf("%s: got %+v, want %s from WeCom", id, p, want)
		}
	}
	check(t, "kinds of room", []directory.RoomKind{second.Rooms["wrIn"].Kind, second.Rooms["wrOut"].Kind}, []directory.RoomKind{directory.InternalRoom, directory.CustomerRoom})

	n.Clock.Advance(directory.NameAge - time.Second)
	n.lookup(everybody, rooms)
	if got := n.serve(); got != 0 {
		t.Errorf("young names: got %d requests, want none", got)
	}
	n.Clock.Advance(time.Second)
	n.lookup(everybody, rooms)
	n.lookup(everybody, rooms)
	if got := n.serve(); got != 1 {
		t.Errorf("old names: got %d requests for two reads, want 1", got)
	}
	if p := n.lookup([]string{"wmX"}, nil).People["wmX"]; !p.At.Equal(n.Clock.Now()) {
		t.Errorf("refreshed: got time %s, want now", p.At)
	}
}

func TestGivenNamesWin(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	given := directory.Person{ID: "wmX", Kind: directory.External, Name: "重要客户", Origin: directory.Origin{Source: directory.SourceSCRM, At: archivetest.Start}}
	n.Must(n.contacts.GivePeople(t.Context(), archivetest.Corp, []directory.Person{given}))
	n.lookup([]string{"wmX"}, nil)
	if got := n.serve(); got != 0 {
		t.Errorf("got %d requests for a given name, want none", got)
	}
	n.Must(n.inspect(directory.Request{People: []string{"wmX"}, Force: true}))
	p := n.lookup([]string{"wmX"}, nil).People["wmX"]
	if p.Name != "重要客户" || p.Source != directory.SourceSCRM || p.Company != "学校" {
		t.Errorf("got %+v, want the given name beside WeCom's company", p)
	}
	n.Must(n.contacts.GivePeople(t.Context(), archivetest.Corp, []directory.Person{{ID: "wmX"}}))
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
		want  directory.Missing
		again time.Duration
	}{
		{"lin.hua", false, 60111, directory.MissingNotFound, directory.NameAge},
		{"lin.hua", false, 60011, directory.MissingRange, 24 * time.Hour},
		{"wmX", false, 84061, directory.MissingRelation, 24 * time.Hour},
		{"wmX", false, 40096, directory.MissingRelation, 24 * time.Hour},
		{"wbRobot", false, 40058, directory.MissingNotFound, directory.NameAge},
		{"wrIn", true, 92002, directory.MissingForeign, directory.NameAge},
		{"wrIn", true, 301059, directory.MissingNotFound, directory.NameAge},
		{"wrOut", true, 60011, directory.MissingRange, 24 * time.Hour},
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
			req, people, rooms := directory.Request{People: []string{test.id}}, []string{test.id}, []string(nil)
			if test.room {
				req, people, rooms = directory.Request{Rooms: []string{test.id}}, nil, []string{test.id}
			}
			n.Must(n.inspect(req))
			calls := total(n.wecom.calls)
			n.Must(n.inspect(req))
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
			n.Clock.Advance(test.again - time.Second)
			n.lookup(people, rooms)
			if n.serve() != 0 {
				t.Errorf("asked again before %s", test.again)
			}
			n.Clock.Advance(time.Second)
			n.lookup(people, rooms)
			if n.serve() != 1 {
				t.Errorf("not asked again after %s", test.again)
			}
			if s := n.reach().Access[directory.AccessCustomers]; s.Trouble != nil {
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

// A name that WeCom once answered is shown after WeCom refuses it.
func TestNamesOutliveRefusals(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	req := directory.Request{People: []string{"wmX"}, Rooms: []string{"wrOut"}, Force: true}
	n.Must(n.inspect(req))
	delete(n.wecom.people, "wmX")
	delete(n.wecom.customers, "wrOut")
	n.Clock.Advance(time.Hour)
	n.Must(n.inspect(req))
	shown := n.lookup(req.People, req.Rooms)
	if p := shown.People["wmX"]; p.Name != "小明妈妈" || p.Missing != directory.MissingRelation || !p.At.Equal(n.Clock.Now()) {
		t.Errorf("got %+v, want the name and why it is old", p)
	}
	if r := shown.Rooms["wrOut"]; r.Name != "家长群" || r.Kind != directory.CustomerRoom || r.Missing != directory.MissingNotFound {
		t.Errorf("got %+v, want the room and why it is old", r)
	}
}

// An answer without a readable name does not remove the name that is known.
func TestNamesOutliveUnreadableAnswers(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	req := directory.Request{People: []string{"wmX"}, Force: true}
	n.Must(n.inspect(req))
	n.wecom.people["wmX"] = directory.Person{ID: "wmX", Kind: directory.External}
	n.Clock.Advance(time.Hour)
	n.Must(n.inspect(req))
	if p := n.lookup(req.People, nil).People["wmX"]; p.Name != "小明妈妈" || p.Missing != "" || !p.At.Equal(n.Clock.Now()) {
		t.Errorf("got %+v, want the name that was known", p)
	}
}

func TestRoomsNameTheirMembers(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	delete(n.wecom.people, "wmX")
	n.Must(n.inspect(directory.Request{People: []string{"wmX"}, Rooms: []string{"wrOut"}}))
	p := n.lookup([]string{"wmX"}, []string{"wrOut"}).People["wmX"]
	if p.Name != "妈妈" || p.Missing != directory.MissingRelation || p.Kind != directory.External {
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
	n.Must(n.inspect(directory.Request{People: []string{"wmmember"}}))
	if p := n.lookup([]string{"wmmember"}, nil).People["wmmember"]; p.Kind != directory.Member || p.Name != "王明" {
		t.Errorf("got %+v, want a member", p)
	}
}

// After an event a young name is asked for again, but not during a pause.
func TestAgainIsNotForce(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	req := directory.Request{People: []string{"wmX"}, Again: true}
	n.Must(n.inspect(req))
	n.wecom.people["wmX"] = directory.Person{ID: "wmX", Name: "改名"}
	n.Must(n.inspect(req))
	if p := n.lookup(req.People, nil).People["wmX"]; p.Name != "改名" {
		t.Errorf("got %+v, want the new name", p)
	}
	n.wecom.refuse["contact"] = 40001
	n.Must(n.inspect(req))
	calls := n.wecom.calls["contact"]
	n.Must(n.inspect(req))
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
	if r := shown.Rooms["wrOut"]; r.Missing != directory.MissingApp {
		t.Errorf("got %+v, want that an app is needed", r)
	}
	if n.wecom.calls["contact"]+n.wecom.calls["customers"] != 0 {
		t.Error("asked for customers with the archive secret")
	}
	if s := n.reach().Access[directory.AccessMembers]; s.Trouble == nil || s.Trouble.Cause != archive.CauseSecretKind || directory.AccessMembers.Step(s.Trouble.Cause) != directory.AppStep {
		t.Errorf("got %+v, want a trouble with step 7", s.Trouble)
	}

	// As soon as there is one, reading asks again, on the same day.
	n.wecom.refuse["member"] = 0
	n.Clock.Advance(time.Minute)
	n.setApp()
	n.lookup(people, rooms)
	if n.serve() == 0 {
		t.Error("not asked again with the app")
	}
	shown = n.lookup(people, rooms)
	check(t, "names", []string{shown.People["lin.hua"].Name, shown.People["wmX"].Name, shown.Rooms["wrOut"].Name}, []string{"林华", "小明妈妈", "家长群"})
}

// Each refusal of an access closes it for a time, until the first answer.
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
			s := n.reach().Access[directory.AccessCustomers]
			if s.Trouble == nil || s.Trouble.Cause != test.cause || s.Trouble.Code != test.code || s.Trouble.FromIP != "192.0.2.7" {
				t.Fatalf("got trouble %+v, want %s", s.Trouble, test.cause)
			}
			if got := s.NotBefore.Sub(n.Clock.Now()); got != test.pause {
				t.Errorf("got a pause of %s, want %s", got, test.pause)
			}
			if n.reach().Access[directory.AccessMembers].Trouble != nil {
				t.Error("another access is in trouble too")
			}
			since := s.Trouble.Since
			n.Clock.Advance(test.pause - time.Second)
			n.lookup(ids, nil)
			if n.serve() != 0 {
				t.Error("requested during the pause")
			}
			n.Must(n.inspect(directory.Request{People: ids}))
			if got := n.wecom.calls["contact"]; got != test.calls {
				t.Error("asked during the pause")
			}
			n.Clock.Advance(time.Second)
			n.lookup(ids, nil)
			if n.serve() == 0 {
				t.Error("not requested after the pause, the same ids on the same day")
			}
			if s := n.reach().Access[directory.AccessCustomers]; s.Trouble == nil || !s.Trouble.Since.Equal(since) {
				t.Errorf("got %+v, want trouble since %s", s.Trouble, since)
			}
			n.wecom.refuse["contact"] = 0
			n.Clock.Advance(time.Second)
			n.Must(n.inspect(directory.Request{People: []string{"wmX"}, Force: true}))
			if s := n.reach().Access[directory.AccessCustomers]; s.Trouble != nil || s.OKAt.IsZero() {
				t.Errorf("after an answer: got %+v", s)
			}
			n.Clock.Advance(time.Second)
			n.lookup(ids, nil)
			if n.serve() == 0 {
				t.Error("after an answer: ids that were asked for during the pause are not requested again")
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
	n.Clock.Advance(time.Minute)
	n.lookup(nil, []string{"wrIn", "wrOut"})
	if n.serve() != 0 {
		t.Error("requested during the pause")
	}
	n.wecom.refuse["customers"] = 0
	n.Clock.Advance(time.Hour)
	n.lookup(nil, []string{"wrIn", "wrOut"})
	n.serve()
	if r := n.lookup(nil, []string{"wrOut"}).Rooms["wrOut"]; r.Kind != directory.CustomerRoom {
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
			n.Must(n.inspect(directory.Request{People: []string{"wbRobot", "wbOther"}}))
			if got := n.wecom.calls["robot"]; got != calls {
				t.Errorf("got %d calls, want %d", got, calls)
			}
			if s := n.reach().Access[directory.AccessArchive]; s.Trouble == nil || s.Trouble.Cause != cause {
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
	n.Clock.Advance(time.Minute)        // the new secret has settled
	n.wecom.slow = 2 * time.Millisecond // so that calls would overlap if they could
	n.wecom.refuse["member"], n.wecom.refuse["contact"] = 40001, 40001
	ids := []string{"a", "b", "c", "d", "e", "wmA", "wmB", "wmC", "wmD"}
	shown := func() int { return n.wecom.calls["member"] + n.wecom.calls["contact"] }
	for i, pause := range []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour, 6 * time.Hour} {
		n.Must(n.inspect(directory.Request{People: ids}))
		if got := shown(); got != i+1 {
			t.Fatalf("round %d: the secret was shown %d times, want %d", i, got, i+1)
		}
		for _, a := range []directory.Access{directory.AccessMembers, directory.AccessCustomers} {
			s := n.reach().Access[a]
			if s.Trouble == nil || s.Trouble.Cause != archive.CauseSecret || s.NotBefore.Sub(n.Clock.Now()) != pause {
				t.Errorf("round %d, %s: got %+v, want a pause of %s", i, a, s, pause)
			}
		}
		n.Clock.Advance(pause - time.Second)
		n.Must(n.inspect(directory.Request{People: ids}))
		n.Clock.Advance(time.Second)
	}
	if count := n.Refusals(archivetest.Start); count != 4 {
		t.Errorf("got %d refusals of the address, want 4", count)
	}
	if s := n.reach().Access[directory.AccessArchive]; s.Trouble != nil {
		t.Errorf("the archive secret: got %+v, want no trouble", s.Trouble)
	}

	// Another secret is tried at once.
	n.wecom.refuse = map[string]int{}
	n.setApp()
	n.Must(n.inspect(directory.Request{People: []string{"lin.hua", "wmX"}}))
	if names := n.lookup([]string{"lin.hua", "wmX"}, nil); names.People["lin.hua"].Name == "" || names.People["wmX"].Name == "" {
		t.Errorf("got %+v, want both names", names.People)
	}
}

// WeCom may refuse a secret in the middle of an inspection, while other calls with it
// are under way. Their answers, an acceptance or another refusal, leave the first
// refusal as it is.
func TestRefusalOutlivesCallsUnderWay(t *testing.T) {
	for _, test := range []struct {
		name  string
		slow  map[string]time.Duration // the ids that are asked about together
		codes map[string]int
	}{
		{"accepted later", map[string]time.Duration{"wmA": time.Second, "wmX": 2 * time.Second}, map[string]int{"wmA": 40001}},
		{"accepted later by another access", map[string]time.Duration{"wmA": time.Second, "lin.hua": 2 * time.Second}, map[string]int{"wmA": 40001}},
		{"id unknown later", map[string]time.Duration{"wmA": time.Second, "wm1": 2 * time.Second}, map[string]int{"wmA": 40001}},
		{"refused at the same time", map[string]time.Duration{"wmA": time.Second, "m1": time.Second, "wm1": time.Second}, map[string]int{"wmA": 40001, "m1": 40001, "wm1": 40001}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNames(t, &archivetest.Faults{})
				n.setApp()
				n.Clock.Advance(time.Minute) // the new secret has settled
				n.wecom.slowIDs = test.slow
				maps.Copy(n.wecom.perID, test.codes)
				n.Must(n.inspect(directory.Request{Check: true, People: slices.Sorted(maps.Keys(test.slow))}))
				for _, a := range []directory.Access{directory.AccessMembers, directory.AccessCustomers} {
					s := n.reach().Access[a]
					if s.Trouble == nil || s.Trouble.Cause != archive.CauseSecret || s.Refusals != 1 || s.NotBefore.Sub(n.Clock.Now()) != 10*time.Minute {
						t.Errorf("%s: got %+v, want one refusal and its pause", a, s)
					}
				}
				calls := total(n.wecom.calls)
				n.Must(n.inspect(directory.Request{People: []string{"wmB"}}))
				if got := total(n.wecom.calls); got != calls {
					t.Error("the refused secret was shown again during its pause")
				}
			})
		})
	}
}

func TestAddressBudget(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	for i := range archive.RefusalBudget {
		n.Refuse(fmt.Sprintf("wwother%09d", i), n.Clock.Now())
	}
	n.Must(n.inspect(directory.Request{People: everybody, Force: true}))
	if got := total(n.wecom.calls); got != 0 {
		t.Errorf("got %d calls with secrets that are not known to work, want none", got)
	}
	if s := n.reach().Access[directory.AccessCustomers]; s.Trouble == nil || s.Trouble.Cause != archive.CauseBudget {
		t.Errorf("got %+v, want %s", s.Trouble, archive.CauseBudget)
	}
	// What the puller knows of the archive secret counts.
	n.Must(n.Ledger.SavePullState(t.Context(), archive.PullState{Corp: archivetest.Corp, Standing: archivetest.Accepted()}))
	n.Clock.Advance(time.Second)
	n.Must(n.inspect(directory.Request{People: everybody, Force: true}))
	if n.wecom.calls["robot"] != 1 || n.wecom.calls["contact"] != 0 {
		t.Errorf("got calls %v, want the robot's alone", n.wecom.calls)
	}
}

// An archive secret that WeCom refused on the open way is not shown on the trusted
// way for six hours, also if a person asks. The app's secret is another one.
func TestInspectionHeldByTheOpenWay(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	refused := archive.OpenAnswer{RefusedAt: n.Clock.Now(), Cause: archive.CauseSecret, Code: 40001}
	n.Must(n.Corps.NoteOpen(t.Context(), archivetest.Corp, archivetest.SecretSet, refused))
	n.Must(n.inspect(directory.Request{Check: true, Force: true}))
	if got := n.wecom.calls["permitted"]; got != 0 {
		t.Errorf("got %d calls with the refused secret, want none", got)
	}
	s := n.reach().Access[directory.AccessArchive]
	if want := refused.RefusedAt.Add(archive.OpenHold); s.Trouble == nil || s.Trouble.Cause != archive.CauseSecret || !s.NotBefore.Equal(want) {
		t.Errorf("got %+v, want the refusal, until %v", s, want)
	}
	if n.wecom.calls["contact"] != 1 {
		t.Errorf("got calls %v, want one with the app's secret", n.wecom.calls)
	}
	n.Clock.Advance(archive.OpenHold)
	n.Must(n.inspect(directory.Request{Check: true}))
	if n.wecom.calls["permitted"] != 1 {
		t.Errorf("after the hold: got calls %v, want the scope asked for", n.wecom.calls)
	}
}

func TestPullersRefusalCounts(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	refused := archive.PullState{
		Corp: archivetest.Corp, Standing: archive.Standing{
			SecretSetAt: n.corp().SecretSetAt, Refusals: 1, NotBefore: n.Clock.Now().Add(10 * time.Minute),
			Trouble: &archive.Trouble{Cause: archive.CauseSecret, Op: "Init", Code: 10000, Native: true},
		},
	}
	n.Must(n.Ledger.SavePullState(t.Context(), refused))
	n.Must(n.inspect(directory.Request{Check: true}))
	if got := total(n.wecom.calls); got != 0 {
		t.Errorf("got %d calls with a secret that the puller was refused with, want none", got)
	}
	n.Must(n.inspect(directory.Request{Check: true, Force: true}))
	if n.wecom.calls["permitted"] != 1 {
		t.Error("a person asked: not tried")
	}
}

func TestCheck(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	n.wecom.refuse["contact"] = 48002
	n.Must(n.inspect(directory.Request{Check: true}))
	s := n.reach()
	check(t, "scope", s.Scope, &directory.Scope{Count: 2, Members: n.wecom.permitted, At: archivetest.Start})
	if !s.CheckedAt.Equal(archivetest.Start) {
		t.Errorf("got checked at %s, want now", s.CheckedAt)
	}
	for a, want := range map[directory.Access]archive.Cause{directory.AccessArchive: "", directory.AccessMembers: "", directory.AccessCustomers: archive.CauseSecretKind} {
		var got archive.Cause
		if tr := s.Access[a].Trouble; tr != nil {
			got = tr.Cause
		}
		if got != want || (want == "") == s.Access[a].OKAt.IsZero() {
			t.Errorf("%s: got %+v, want cause %q", a, s.Access[a], want)
		}
	}
	if got := directory.AccessCustomers.Step(archive.CauseTrustedIP); got != directory.AppStep {
		t.Errorf("the app's trusted address: got step %d, want %d", got, directory.AppStep)
	}
	if got := directory.AccessArchive.Step(archive.CauseTrustedIP); got != 4 {
		t.Errorf("the archive's trusted address: got step %d, want 4", got)
	}

	many := make([]string, directory.ScopeMost+5)
	for i := range many {
		many[i] = fmt.Sprint("m", i)
	}
	n.wecom.permitted = many
	n.Must(n.inspect(directory.Request{Check: true}))
	if s := n.reach().Scope; s.Count != len(many) || len(s.Members) != directory.ScopeMost {
		t.Errorf("large scope: got %d of %d, want %d of %d", len(s.Members), s.Count, directory.ScopeMost, len(many))
	}
}

// One unknown id among the pairs does not cost the answers about the others.
func TestConsentsOfPairsAndRooms(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	pairs := []directory.Pair{{Member: "lin.hua", Contact: "wmX"}}
	for i := range 2*directory.PairsMost - 2 {
		p := directory.Pair{Member: "m", Contact: fmt.Sprint("wm", i)}
		pairs = append(pairs, p)
		n.wecom.pairs[p] = archive.Consent{Member: p.Member, Contact: p.Contact, Status: archive.AgreedDefault}
	}
	pairs = slices.Insert(pairs, 57, directory.Pair{Member: "gone", Contact: "wmgone"})
	n.Must(n.inspect(directory.Request{Pairs: pairs, ConsentRooms: []string{"wrOut"}}))
	list, _, err := n.consents.Consents(t.Context(), archivetest.Corp, archive.ConsentQuery{}, "", 1000)
	n.Must(err)
	if len(list) != 2*directory.PairsMost {
		t.Errorf("got %d consents, want %d", len(list), 2*directory.PairsMost)
	}
	if got := n.wecom.calls["pairs"]; got > 20 {
		t.Errorf("got %d calls, want few", got)
	}
	for _, c := range list {
		if c.Source != archive.ConsentCheck || c.Corp != archivetest.Corp || !c.At.Equal(archivetest.Start) {
			t.Fatalf("got %+v, want a check of now", c)
		}
	}
	n.wecom.refuse["pairs"], n.wecom.refuse["roomConsents"] = 301042, 301042
	n.Must(n.inspect(directory.Request{Pairs: pairs, ConsentRooms: []string{"wrOut"}}))
}

func TestConsentOrder(t *testing.T) {
	said := archive.Consent{Status: archive.Agreed, ChangedAt: archivetest.Start, Source: archive.ConsentEvent}
	with := func(how func(*archive.Consent)) archive.Consent {
		c := said
		how(&c)
		return c
	}
	rising := []archive.Consent{
		{Status: archive.AgreedDefault, Source: archive.ConsentMessage},
		with(func(c *archive.Consent) {
			c.ChangedAt, c.Status = archivetest.Start.Add(-time.Second), archive.Disagreed
		}),
		with(func(c *archive.Consent) { c.Source = archive.ConsentCheck }),
		said,
		with(func(c *archive.Consent) { c.Source = archive.ConsentMessage }),
		with(func(c *archive.Consent) { c.Status, c.Source = archive.Disagreed, archive.ConsentCheck }),
		with(func(c *archive.Consent) {
			c.ChangedAt, c.Source = archivetest.Start.Add(time.Second), archive.ConsentCheck
		}),
	}
	for i := range rising[1:] {
		if rising[i].Order() >= rising[i+1].Order() {
			t.Errorf("answer %d is not before answer %d", i, i+1)
		}
	}
	later := said
	later.At = archivetest.Start.Add(time.Hour)
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
	ctx, cancel := context.WithDeadline(t.Context(), archivetest.Start.Add(30*365*24*time.Hour)) // by the test's clock
	defer cancel()
	n.Clock.Advance(30*365*24*time.Hour - 10*time.Second)
	n.Must(n.inspector.Inspect(ctx, directory.Request{
		Corp: archivetest.Corp, People: ids, Rooms: []string{"wrIn"}, Pairs: []directory.Pair{{Member: "lin.hua", Contact: "wmX"}}, ConsentRooms: []string{"wrOut"},
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
	n.Must(n.inspect(directory.Request{People: ids}))
	if n.wecom.most > 4 {
		t.Errorf("got %d calls at once, want at most 4", n.wecom.most)
	}
}

func TestInspectUnknownCorp(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.Must(n.inspector.Inspect(t.Context(), directory.Request{Corp: "wwunknown000000000", Check: true, People: everybody}))
	if total(n.wecom.calls) != 0 {
		t.Error("asked for a corp that is not registered")
	}
}

// A lookup answers in bounded time, whichever call fails.
func TestLookupNeverFails(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		n := newNames(t, f)
		n.setApp()
		c := n.corp()
		arm()
		n.book.Lookup(t.Context(), c, everybody, []string{"wrIn"})
		f.Disarm()
		n.Clock.Advance(24 * time.Hour) // what was noted and not requested costs a day
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
	for range 5 { // in one message
		n.lookup(many, nil)
		many = many[100:]
	}
	ids := 0
	for _, r := range n.requests.Take() {
		ids += len(r.People)
		if r.TooLarge() {
			t.Errorf("got a request of %d ids, want fewer", len(r.People))
		}
	}
	if ids == 0 || ids > 200 {
		t.Errorf("one read requested %d ids, want some and not thousands", ids)
	}
}

// refused refuses requests.
type refused struct{ directory.Queue }

func (refused) RequestInspections(context.Context, ...directory.Request) error {
	return archive.ErrFull
}

// Names whose request was refused are requested by the next lookup.
func TestLookupAfterARefusedRequest(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.setApp()
	wanted := n.book.Requests
	n.book.Requests = refused{}
	n.lookup(everybody, []string{"wrIn"})
	n.book.Requests = wanted
	n.lookup(everybody, []string{"wrIn"})
	n.serve()
	if shown := n.lookup(everybody, []string{"wrIn"}); len(shown.People) != 3 || shown.People["wmX"].Name == "" || shown.Rooms["wrIn"].Name == "" {
		t.Errorf("got %+v, want all names", shown)
	}
}

// Whatever store fails, before or after it took effect, doing it again ends
// with everything known, and WeCom is asked about each id once or twice.
func TestInspectSurvivesEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		n := newNames(t, f)
		n.setApp()
		req := directory.Request{
			Corp: archivetest.Corp, Check: true, People: everybody, Rooms: []string{"wrIn", "wrOut"},
			Pairs: []directory.Pair{{Member: "lin.hua", Contact: "wmX"}}, ConsentRooms: []string{"wrOut"},
		}
		arm()
		_ = n.inspector.Inspect(t.Context(), req)
		f.Disarm()
		n.Must(n.inspector.Inspect(t.Context(), req))
		shown := n.lookup(req.People, req.Rooms)
		if len(shown.People) != 3 || len(shown.Rooms) != 2 || shown.People["wmX"].Name == "" || shown.Rooms["wrOut"].Name == "" {
			t.Errorf("got %+v, want all names", shown)
		}
		s := n.reach()
		if s.Scope == nil || s.CheckedAt.IsZero() || s.Access[directory.AccessArchive].OKAt.IsZero() || s.Access[directory.AccessCustomers].OKAt.IsZero() {
			t.Errorf("got %+v, want a whole check", s)
		}
		list, _, err := n.consents.Consents(t.Context(), archivetest.Corp, archive.ConsentQuery{Contact: "wmX"}, "", 10)
		n.Must(err)
		if len(list) != 2 {
			t.Errorf("got %d consents, want 2", len(list))
		}
	})
}

// Whichever store fails, WeCom refuses a secret at most as often as the gate
// counts.
func TestRefusalsAreCountedUnderFaults(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		n := newNames(t, f)
		n.setApp()
		n.wecom.refuse["contact"], n.wecom.refuse["member"] = 40001, 40001
		arm()
		first := n.inspect(directory.Request{People: []string{"wmX", "lin.hua", "wm1"}})
		f.Disarm()
		if first != nil { // the queue hands it out again
			n.Must(n.inspect(directory.Request{People: []string{"wmX", "lin.hua", "wm1"}}))
		}
		if shown := n.wecom.calls["contact"] + n.wecom.calls["member"]; shown > 2 {
			t.Errorf("the secret was shown %d times, want once per try", shown)
		}
		if s := n.reach().Access[directory.AccessCustomers]; s.Trouble == nil || !n.Clock.Now().Before(s.NotBefore) {
			t.Errorf("got %+v, want a pause", s)
		}
	})
}

// What waits takes in only so much more; then a person is told so.
func TestWantedInspectionsAreBounded(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	wanted := directory.NewWantedInspections(n.Marks, n.requests, n.Clock.Now)
	var err error
	requests := 0
	for ; err == nil && requests < 100; requests++ {
		pairs := []directory.Pair{}
		for i := range directory.PairsMost {
			pairs = append(pairs, directory.Pair{Member: fmt.Sprint(requests), Contact: fmt.Sprint(i)})
		}
		err = wanted.RequestInspections(t.Context(), directory.Request{Corp: archivetest.Corp, Pairs: pairs})
	}
	if !errors.Is(err, archive.ErrFull) || requests < 2 {
		t.Errorf("got %v after %d requests, want ErrFull after some", err, requests)
	}
	if got := n.requests.Take(); len(got) != 1 {
		t.Errorf("got %d requests, want 1", len(got))
	}
}

// An inspection that fails gives back what had joined it: its request is delivered
// again and asks for all of it.
func TestFailedInspectionLosesNothing(t *testing.T) {
	f := &archivetest.Faults{}
	n := newNames(t, f)
	n.setApp()
	wanted := directory.NewWantedInspections(n.Marks, n.requests, n.Clock.Now)
	first := directory.Request{Corp: archivetest.Corp, People: []string{"lin.hua"}}
	n.Must(wanted.RequestInspections(t.Context(), first, directory.Request{Corp: archivetest.Corp, People: []string{"wmX"}}))
	f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
		if c.Name == "Corps.Corp" {
			return archivetest.FailsBefore, nil
		}
		return archivetest.Works, nil
	})
	req := n.requests.Waiting()[0]
	if err := n.inspector.Inspect(t.Context(), req); err == nil {
		t.Fatal("got no error, want the failure")
	}
	f.Disarm()
	n.Must(n.inspector.Inspect(t.Context(), req))
	known, err := n.contacts.People(t.Context(), archivetest.Corp, []string{"lin.hua", "wmX"})
	n.Must(err)
	if len(known) != 2 {
		t.Errorf("got %v, want both names", known)
	}
}
