package directory_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// stays are the stays that the log of the fixture's corp makes.
func (n *names) stays() []directory.Stay {
	n.T.Helper()
	changes, err := n.contacts.ScopeChanges(n.T.Context(), archivetest.Corp)
	n.Must(err)
	return directory.Stays(changes)
}

// scopeIs makes WeCom answer with these members of editions, and checks the corp.
func (n *names) scopeIs(editions map[directory.Edition][]string, without ...string) {
	n.T.Helper()
	n.wecom.editions, n.wecom.permitted = editions, without
	for _, e := range directory.Editions {
		n.wecom.permitted = append(n.wecom.permitted, editions[e]...)
	}
	n.Must(n.inspect(directory.Request{Check: true, Force: true}))
}

// A check notes who entered the scope, who left it, and whose edition changed. A
// check that finds nothing new stores nothing.
func TestScopeHasAHistory(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	day := func() archive.Day { return archive.DayOf(n.Clock.Now()) }
	first := day()
	n.scopeIs(map[directory.Edition][]string{directory.Service: {"0042", "lin.hua"}}, "trial")
	if got, want := n.reach().Scope, map[directory.Edition]int{directory.Service: 2}; got.Count != 3 || !reflect.DeepEqual(got.Editions, want) {
		t.Errorf("got %+v, want 3 members, %v", got, want)
	}
	n.Clock.Advance(24 * time.Hour)
	n.scopeIs(map[directory.Edition][]string{directory.Service: {"0042", "lin.hua"}}, "trial")
	n.Clock.Advance(24 * time.Hour)
	third := day()
	n.scopeIs(map[directory.Edition][]string{directory.Service: {"0042"}, directory.Enterprise: {"lin.hua"}})
	n.Clock.Advance(24 * time.Hour)
	fourth := day()
	n.scopeIs(nil)
	n.Clock.Advance(24 * time.Hour)
	fifth := day()
	n.scopeIs(map[directory.Edition][]string{directory.Service: {"0042"}})
	want := []directory.Stay{
		{Member: "0042", Edition: directory.Service, Since: first, Until: fourth},
		{Member: "0042", Edition: directory.Service, Since: fifth},
		{Member: "lin.hua", Edition: directory.Service, Since: first, Until: third},
		{Member: "lin.hua", Edition: directory.Enterprise, Since: third, Until: fourth},
		{Member: "trial", Since: first, Until: third},
	}
	if got := n.stays(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for day, on := range map[archive.Day]bool{first: true, fourth: false, fifth: true} {
		if got := want[0].On(day) || want[1].On(day); got != on {
			t.Errorf("%s: got %t, want %t", day, got, on)
		}
	}
}

// While WeCom refuses to tell the editions, the scope is stored without them and
// keeps its members.
func TestRefusedEditionsChangeNoHistory(t *testing.T) {
	n := newNames(t, &archivetest.Faults{})
	n.scopeIs(map[directory.Edition][]string{directory.Service: {"0042", "lin.hua"}})
	before := n.stays()
	n.wecom.refuse["editions"] = 40058
	n.scopeIs(map[directory.Edition][]string{directory.Service: {"0042"}})
	if got := n.reach().Scope; got.Count != 1 || got.Editions != nil {
		t.Errorf("got %+v, want one member without edition", got)
	}
	if got := n.stays(); !reflect.DeepEqual(got, before) {
		t.Errorf("got %+v, want %+v", got, before)
	}
}

// A crash between the scope and its changes leaves the changes to the next check.
func TestScopeAfterACrash(t *testing.T) {
	f := &archivetest.Faults{}
	n := newNames(t, f)
	n.wecom.editions, n.wecom.permitted = map[directory.Edition][]string{directory.Office: {"0042"}}, []string{"0042"}
	f.Arm(func(c archivetest.Call) (archivetest.Outcome, error) {
		if c.Name == "Contacts.AppendScope" {
			return archivetest.FailsBefore, nil
		}
		return archivetest.Works, nil
	})
	if err := n.inspect(directory.Request{Check: true}); err == nil {
		t.Fatal("got no error, want that of the log")
	}
	f.Disarm()
	n.Must(n.inspect(directory.Request{Check: true}))
	if got := n.stays(); len(got) != 1 || got[0].Member != "0042" {
		t.Errorf("got %+v, want the stay of 0042", got)
	}
}
