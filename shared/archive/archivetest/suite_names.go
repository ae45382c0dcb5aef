package archivetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// TestContacts checks a store of contacts. It calls open once, for an empty
// one.
func TestContacts(t *testing.T, open func(t testing.TB) ContactStore) {
	c := open(t)
	for name, test := range map[string]func(*testing.T, ContactStore){
		"Names":   contactNames,
		"Rooms":   contactRooms,
		"Asking":  contactAsking,
		"Reach":   contactReach,
		"Scope":   contactScope,
		"Listing": contactListing,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

// odd are ids of every form that was met, and some that were not.
var odd = []string{"lin.hua", "0042", "wang@example.com", "wm-_Customer", "wmCustomer", "a#given", "a b", "张三", strings.Repeat("长", 500)}

func contactNames(t *testing.T, c ContactStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	none, err := c.People(t.Context(), corp, odd)
	ok(t, err)
	if len(none) != 0 {
		t.Errorf("before: got %d people, want none", len(none))
	}
	want := make(map[string]directory.Known[directory.Person])
	var given []directory.Person
	for i, id := range odd {
		at := epoch.Add(time.Duration(i) * time.Minute)
		fetched := directory.Person{
			ID: id, Kind: directory.External, Name: "微信名" + id, Avatar: "https://example.com/a.png", Company: "公司",
			Origin: directory.Origin{Source: directory.SourceWeCom, At: at, Missing: directory.MissingRelation},
		}
		g := directory.Person{ID: id, Kind: directory.Member, Name: "名" + id, Origin: directory.Origin{Source: directory.SourceSCRM, At: at.Add(time.Hour)}}
		k := directory.Known[directory.Person]{}
		if i%3 != 0 {
			ok(t, c.SavePerson(t.Context(), corp, fetched))
			k.Fetched = &fetched
		}
		if i%3 != 1 {
			given = append(given, g)
			k.Given = &g
		}
		want[id] = k
	}
	ok(t, c.GivePeople(t.Context(), corp, given))
	ok(t, c.GivePeople(t.Context(), corp, given))
	got, err := c.People(t.Context(), corp, odd)
	ok(t, err)
	same(t, "people", got, want)
	if got, err = c.People(t.Context(), other, odd); err != nil || len(got) != 0 {
		t.Errorf("another corp: got %d people, error %v, want none", len(got), err)
	}

	// Taking a name back leaves what WeCom told.
	for i := range given {
		given[i].Name = ""
	}
	ok(t, c.GivePeople(t.Context(), corp, given))
	ok(t, c.GivePeople(t.Context(), corp, []directory.Person{{ID: "nobody"}}))
	got, err = c.People(t.Context(), corp, append(slices.Clone(odd), "nobody"))
	ok(t, err)
	for id, k := range got {
		if k.Given != nil {
			t.Errorf("%s: got given name %q after it was taken back", id, k.Given.Name)
		}
		same(t, "fetched of "+id, k.Fetched, want[id].Fetched)
	}
}

func contactRooms(t *testing.T, c ContactStore) {
	corp := corpFor(t, 1)
	full := directory.Room{
		ID: "wrFull", Kind: directory.CustomerRoom, Name: "家长群", Owner: "lin.hua", CreatedAt: epoch,
		Members: []directory.RoomMember{{ID: "lin.hua"}, {ID: "wmX", Name: "小明妈妈"}},
		Origin:  directory.Origin{Source: directory.SourceWeCom, At: epoch.Add(time.Second)},
	}
	large := full
	large.ID, large.Members = "wrLarge", nil
	for i := range directory.RoomMembersMost {
		large.Members = append(large.Members, directory.RoomMember{ID: fmt.Sprintf("wm%030d", i), Name: strings.Repeat("名", 20)})
	}
	gone := directory.Room{ID: "wrGone", Kind: directory.ForeignRoom, Origin: directory.Origin{Source: directory.SourceWeCom, At: epoch, Missing: directory.MissingForeign}}
	for _, r := range []directory.Room{full, large, gone} {
		ok(t, c.SaveRoom(t.Context(), corp, r))
	}
	given := directory.Room{ID: "wrFull", Name: "三班", Origin: directory.Origin{Source: directory.SourceSCRM, At: epoch}}
	ok(t, c.GiveRooms(t.Context(), corp, []directory.Room{given}))
	got, err := c.Rooms(t.Context(), corp, []string{"wrFull", "wrGone", "wrLarge", "wrNone"})
	ok(t, err)
	same(t, "rooms", got, map[string]directory.Known[directory.Room]{
		"wrFull": {Given: &given, Fetched: &full}, "wrGone": {Fetched: &gone}, "wrLarge": {Fetched: &large},
	})
	if people, err := c.People(t.Context(), corp, []string{"wrFull"}); err != nil || len(people) != 0 {
		t.Errorf("a room's id among people: got %d, error %v, want none", len(people), err)
	}
}

func contactAsking(t *testing.T, c ContactStore) {
	corp := corpFor(t, 1)
	for i, step := range []struct {
		at, since time.Duration
		want      bool
	}{
		{0, -time.Hour, true},
		{time.Minute, 0, false},             // asked at since
		{time.Minute, -time.Hour, false},    // asked after it
		{time.Hour, time.Minute, true},      // asked before it
		{2 * time.Hour, time.Minute, false}, // the second asking counts
	} {
		for what, ask := range map[string]func() (bool, error){
			"person": func() (bool, error) {
				return c.AskPerson(t.Context(), corp, "x", epoch.Add(step.at), epoch.Add(step.since))
			},
			"room": func() (bool, error) {
				return c.AskRoom(t.Context(), corp, "x", epoch.Add(step.at), epoch.Add(step.since))
			},
		} {
			got, err := ask()
			ok(t, err)
			if got != step.want {
				t.Errorf("step %d, %s: got %t, want %t", i, what, got, step.want)
			}
		}
	}
	got, err := c.People(t.Context(), corp, []string{"x"})
	ok(t, err)
	same(t, "asked at", got["x"], directory.Known[directory.Person]{AskedAt: epoch.Add(time.Hour)})

	var ours atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if won, err := c.AskPerson(t.Context(), corp, "y", epoch, epoch.Add(-1)); err != nil {
				t.Error(err)
			} else if won {
				ours.Add(1)
			}
		})
	}
	wg.Wait()
	if ours.Load() != 1 {
		t.Errorf("asking at once: %d ask, want 1", ours.Load())
	}
}

func contactReach(t *testing.T, c ContactStore) {
	corp := corpFor(t, 1)
	bare, err := c.Reach(t.Context(), corp)
	ok(t, err)
	same(t, "before", bare, directory.Reach{Access: map[directory.Access]archive.Standing{}})
	want := directory.Reach{
		App: directory.App{AgentID: "1000002", SecretPrefix: "abcd", SetAt: epoch},
		Access: map[directory.Access]archive.Standing{
			directory.AccessArchive: {SecretSetAt: epoch, OKAt: epoch.Add(1)},
			directory.AccessCustomers: {
				SecretSetAt: epoch, NotBefore: epoch.Add(time.Hour), Refusals: 3,
				Trouble: &archive.Trouble{Cause: archive.CauseTrustedIP, Op: "user/get", Code: 60020, FromIP: "192.0.2.1", Since: epoch, At: epoch.Add(time.Minute)},
			},
		},
		Scope:     &directory.Scope{Count: 3000, Members: []string{"lin.hua", "0042"}, Editions: map[directory.Edition]int{directory.Service: 2999, directory.Enterprise: 1}, At: epoch},
		CheckedAt: epoch.Add(time.Second),
	}
	for range 2 {
		ok(t, c.SetApp(t.Context(), corp, want.App))
		for a, s := range want.Access {
			ok(t, c.SaveAccess(t.Context(), corp, a, s))
		}
		ok(t, c.SaveScope(t.Context(), corp, *want.Scope))
		ok(t, c.SaveChecked(t.Context(), corp, want.CheckedAt))
	}
	got, err := c.Reach(t.Context(), corp)
	ok(t, err)
	same(t, "reach", got, want)
	want.App.SecretDigest = "22"
	other := directory.App{SetAt: epoch.Add(time.Second), SecretDigest: "11"}
	ok(t, c.NoteAppSecret(t.Context(), corp, other))
	ok(t, c.NoteAppSecret(t.Context(), corp, want.App))
	ok(t, c.NoteAppSecret(t.Context(), corp, other))
	got, err = c.Reach(t.Context(), corp)
	ok(t, err)
	same(t, "with the digest of the secret", got, want)
	if other, err := c.Reach(t.Context(), corpFor(t, 2)); err != nil || other.Scope != nil {
		t.Errorf("another corp: got %+v, error %v, want nothing", other, err)
	}
}

// contactScope appends the changes of three checks, the second one twice.
func contactScope(t *testing.T, c ContactStore) {
	corp := corpFor(t, 1)
	var first, second []directory.ScopeChange
	for i := range 2500 {
		first = append(first, directory.ScopeChange{Member: fmt.Sprintf("m%04d", i), Edition: directory.Service, Entered: true, At: epoch})
	}
	for i, id := range odd {
		second = append(second, directory.ScopeChange{Member: id, Edition: directory.Edition(i % 4), Entered: i%2 == 0, At: epoch.Add(time.Hour)})
	}
	third := []directory.ScopeChange{{Member: "m0001", Edition: directory.Service, At: epoch.Add(2 * time.Hour)}}
	for _, changes := range [][]directory.ScopeChange{first, second, second, third} {
		ok(t, c.AppendScope(t.Context(), corp, changes))
	}
	got, err := c.ScopeChanges(t.Context(), corp)
	ok(t, err)
	same(t, "changes", got, slices.Concat(first, second, third))
	if other, err := c.ScopeChanges(t.Context(), corpFor(t, 2)); err != nil || len(other) != 0 {
		t.Errorf("another corp: got %+v, error %v, want nothing", other, err)
	}
}

func contactListing(t *testing.T, c ContactStore) {
	corp := corpFor(t, 1)
	for _, id := range odd {
		ok(t, c.SavePerson(t.Context(), corp, directory.Person{ID: id, Name: id, Origin: directory.Origin{Source: directory.SourceWeCom, At: epoch}}))
		ok(t, c.SaveRoom(t.Context(), corp, directory.Room{ID: id, Name: id, Origin: directory.Origin{Source: directory.SourceWeCom, At: epoch}}))
	}
	for _, limit := range []int{1, 2, len(odd) - 1, len(odd), 100} {
		var people, rooms []string
		for cursor, n := "", 0; n == 0 || cursor != ""; n++ {
			list, next, err := c.ListPeople(t.Context(), corp, cursor, limit)
			ok(t, err)
			if len(list) > limit || n > len(odd) {
				t.Fatalf("limit %d: page %d has %d people", limit, n, len(list))
			}
			for _, p := range list {
				people = append(people, p.ID)
			}
			cursor = next
		}
		for cursor, n := "", 0; n == 0 || cursor != ""; n++ {
			list, next, err := c.ListRooms(t.Context(), corp, cursor, limit)
			ok(t, err)
			for _, r := range list {
				rooms = append(rooms, r.ID)
			}
			cursor = next
		}
		want := slices.Sorted(slices.Values(odd))
		slices.Sort(people)
		slices.Sort(rooms)
		same(t, fmt.Sprint("people, limit ", limit), people, want)
		same(t, fmt.Sprint("rooms, limit ", limit), rooms, want)
	}
}

// TestConsents checks a store of consents. It calls open once, for an empty
// one.
func TestConsents(t *testing.T, open func(t testing.TB) ConsentStore) {
	c := open(t)
	t.Run("AnyOrder", func(t *testing.T) { consentsAnyOrder(t, c) })
	t.Run("Queries", func(t *testing.T) { consentsQueries(t, c) })
}

// consentsAnyOrder records the same answers in every order: all end the same.
func consentsAnyOrder(t *testing.T, c ConsentStore) {
	said := []archive.Consent{
		{Status: archive.AgreedDefault, Source: archive.ConsentCheck},
		{Status: archive.Agreed, ChangedAt: epoch.Truncate(time.Second), Source: archive.ConsentMessage},
		{Status: archive.Agreed, ChangedAt: epoch.Truncate(time.Second), Source: archive.ConsentCheck},
		{Status: archive.Disagreed, ChangedAt: epoch.Truncate(time.Second).Add(time.Second), Source: archive.ConsentCheck},
	}
	for n, order := range permutations(len(said)) {
		corp := corpFor(t, n)
		for i, s := range order {
			a := said[s]
			a.Corp, a.Contact, a.Member, a.At = corp, "wmX", "lin.hua", epoch.Add(time.Duration(s)*time.Minute)
			ok(t, c.RecordConsents(t.Context(), []archive.Consent{a}))
			if i%2 == 0 {
				ok(t, c.RecordConsents(t.Context(), []archive.Consent{a}))
			}
		}
		want := said[3]
		want.Corp, want.Contact, want.Member, want.At = corp, "wmX", "lin.hua", epoch.Add(3*time.Minute)
		got, _, err := c.Consents(t.Context(), corp, archive.ConsentQuery{Member: "lin.hua"}, "", 10)
		ok(t, err)
		same(t, fmt.Sprint("order ", order), got, []archive.Consent{want})
		var all []archive.Consent
		for _, s := range []int{0, 2, 1, 3} { // of two equal answers the check comes first
			a := said[s]
			a.Corp, a.Contact, a.Member, a.At = corp, "wmX", "lin.hua", epoch.Add(time.Duration(s)*time.Minute)
			all = append(all, a)
		}
		history, next, err := c.ConsentHistory(t.Context(), corp, archive.ConsentQuery{Member: "lin.hua", Contact: "wmX"}, "", 3)
		ok(t, err)
		rest, end, err := c.ConsentHistory(t.Context(), corp, archive.ConsentQuery{Member: "lin.hua", Contact: "wmX"}, next, 3)
		ok(t, err)
		same(t, fmt.Sprint("history, order ", order), append(history, rest...), all)
		if next == "" || end != "" {
			t.Errorf("history, order %v: got next %q and %q", order, next, end)
		}
	}
}

func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, p := range permutations(n - 1) {
		for at := range n {
			all = append(all, slices.Insert(slices.Clone(p), at, n-1))
		}
	}
	return all
}

func consentsQueries(t *testing.T, c ConsentStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	answer := func(member, room, contact string) archive.Consent {
		return archive.Consent{
			Corp: corp, Member: member, Room: room, Contact: contact, Status: archive.Agreed, ChangedAt: epoch.Truncate(time.Second),
			Source: archive.ConsentEvent, At: epoch,
		}
	}
	all := []archive.Consent{
		answer("lin.hua", "", "wm1"), answer("lin.hua", "", "wm10"), answer("lin.hua", "", "wm#2"), answer("lin", "", "wm1"),
		answer("", "wrA", "wm1"), answer("", "wrA", "wm3"), answer("", "wrB", "wm1"), answer(strings.Repeat("长", 300), "", strings.Repeat("x", 900)),
	}
	ok(t, c.RecordConsents(t.Context(), all))
	foreign := answer("lin.hua", "", "wm1")
	foreign.Corp = other
	ok(t, c.RecordConsents(t.Context(), []archive.Consent{foreign}))
	for _, test := range []struct {
		name string
		q    archive.ConsentQuery
		want []int
	}{
		{"a member", archive.ConsentQuery{Member: "lin.hua"}, []int{0, 1, 2}},
		{"a member whose id begins another's", archive.ConsentQuery{Member: "lin"}, []int{3}},
		{"a pair", archive.ConsentQuery{Member: "lin.hua", Contact: "wm1"}, []int{0}},
		{"a pair that is not there", archive.ConsentQuery{Member: "lin", Contact: "wm10"}, nil},
		{"a room", archive.ConsentQuery{Room: "wrA"}, []int{4, 5}},
		{"a contact in a room", archive.ConsentQuery{Room: "wrA", Contact: "wm3"}, []int{5}},
		{"a contact", archive.ConsentQuery{Contact: "wm1"}, []int{0, 3, 4, 6}},
		{"long ids", archive.ConsentQuery{Contact: all[7].Contact}, []int{7}},
		{"nobody", archive.ConsentQuery{Contact: "wm"}, nil},
	} {
		for _, limit := range []int{1, 2, 100} {
			// The index of contacts may take a moment.
			deadline := time.Now().Add(30 * time.Second)
			for {
				var got []archive.Consent
				for cursor, n := "", 0; n == 0 || cursor != ""; n++ {
					list, next, err := c.Consents(t.Context(), corp, test.q, cursor, limit)
					ok(t, err)
					if n > len(all) {
						t.Fatalf("%s, limit %d: pages without end", test.name, limit)
					}
					got, cursor = append(got, list...), next
				}
				var want []archive.Consent
				for _, i := range test.want {
					want = append(want, all[i])
				}
				byIDs := func(a, b archive.Consent) int {
					return strings.Compare(a.Member+"#"+a.Room+"#"+a.Contact, b.Member+"#"+b.Room+"#"+b.Contact)
				}
				slices.SortFunc(got, byIDs)
				slices.SortFunc(want, byIDs)
				if len(got) >= len(want) || time.Now().After(deadline) {
					same(t, fmt.Sprintf("%s, limit %d", test.name, limit), got, want)
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
}
