package dynamostore_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

func TestCorpsAreStrangers(t *testing.T) {
	s, ctx := newCorps(t), t.Context()
	must(t, s.CreateCorp(ctx, archive.Corp{ID: neighbor, Name: "theirs"}))
	must(t, s.AddKey(ctx, neighbor, archive.Key{ID: "k"}, true, ""))
	must(t, s.Bind(ctx, neighbor, archive.Binding{Version: 1}))
	record(t, s, neighbor, archive.Event{Type: "e", ArrivedAt: start})

	_, err := s.Corp(ctx, corp)
	checkError(t, "Corp", err, archive.ErrNotFound)
	set, err := s.KeySet(ctx, corp)
	must(t, err)
	check(t, "KeySet", set, archive.KeySet{})
	events, err := archivetest.AllEvents(ctx, s, corp, archive.DayOf(start))
	must(t, err)
	check(t, "Events", len(events), 0)
	must(t, s.CreateCorp(ctx, archive.Corp{ID: corp, Name: "ours"}))
	must(t, s.Rename(ctx, corp, "renamed"))
	got, err := s.Corp(ctx, neighbor)
	must(t, err)
	check(t, "neighbour", got, archive.Corp{ID: neighbor, Name: "theirs", CurrentKey: "k"})
}

func TestCorpIsCreatedOnce(t *testing.T) {
	s, ctx := newCorps(t), t.Context()
	must(t, s.CreateCorp(ctx, archive.Corp{ID: corp, Name: "first"}))
	checkError(t, "CreateCorp again", s.CreateCorp(ctx, archive.Corp{ID: corp, Name: "second"}), archive.ErrExists)
	got, err := s.Corp(ctx, corp)
	must(t, err)
	check(t, "name", got.Name, "first")
}

func TestChangesOfAnAbsentCorpFail(t *testing.T) {
	s, ctx := newCorps(t), t.Context()
	for name, err := range map[string]error{
		"Rename":        s.Rename(ctx, corp, "n"),
		"SetEnabled":    s.SetEnabled(ctx, corp, true, "admin", "", start),
		"switching off": s.SetEnabled(ctx, corp, false, "admin", "", start),
		"SetSecret":     s.SetSecret(ctx, corp, "abcd", start),
		"TouchCallback": s.TouchCallback(ctx, corp, start),
		"Claim":         s.Claim(ctx, corp, "k", 1, "admin", start),
		"AddKey":        s.AddKey(ctx, corp, archive.Key{ID: "k"}, false, ""),
		"current key":   s.AddKey(ctx, corp, archive.Key{ID: "k"}, true, ""),
	} {
		checkError(t, name, err, archive.ErrNotFound)
	}
	for c, err := range s.Corps(ctx) {
		t.Errorf("got corp %v, error %v, want none", c, err)
	}
}

func TestSettings(t *testing.T) {
	s, ctx := newCorps(t), t.Context()
	want := archive.Corp{ID: corp, CreatedAt: start}
	must(t, s.CreateCorp(ctx, want))
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	for _, step := range []struct {
		name string
		do   func() error
		want func()
	}{
		{"rename", func() error { return s.Rename(ctx, corp, "云朵") }, func() { want.Name = "云朵" }},
		{"switch on", func() error { return s.SetEnabled(ctx, corp, true, "admin", "", at(1)) }, func() { want.StateAt, want.StateBy = at(1), "admin"; want.Enabled, want.EnabledAt = true, at(1) }},
		{"switch on again", func() error { return s.SetEnabled(ctx, corp, true, "admin", "", at(2)) }, func() { want.StateAt, want.StateBy = at(2), "admin" }},
		{"switch off", func() error { return s.SetEnabled(ctx, corp, false, "admin", "", at(3)) }, func() { want.StateAt, want.StateBy = at(3), "admin"; want.Enabled = false }},
		{"switch off again", func() error { return s.SetEnabled(ctx, corp, false, "admin", "", at(4)) }, func() { want.StateAt, want.StateBy = at(4), "admin" }},
		{"switch on after switching off", func() error { return s.SetEnabled(ctx, corp, true, "admin", "", at(5)) }, func() { want.StateAt, want.StateBy = at(5), "admin"; want.Enabled = true }},
		{"secret", func() error { return s.SetSecret(ctx, corp, "abcd", at(6)) }, func() { want.SecretPrefix, want.SecretSetAt = "abcd", at(6) }},
		{"digest of the secret", func() error { return s.NoteSecret(ctx, corp, at(6), "22") }, func() { want.SecretDigest = "22" }},
		{"another secret", func() error { return s.SetSecret(ctx, corp, "efgh", at(7)) }, func() { want.SecretPrefix, want.SecretSetAt, want.SecretDigest = "efgh", at(7), "" }},
		{"digest of the secret before", func() error { return s.NoteSecret(ctx, corp, at(6), "33") }, func() {}},
		{"first callback", func() error { return s.TouchCallback(ctx, corp, at(10)) }, func() { want.CallbackAt = at(10) }},
		{"callback soon after", func() error { return s.TouchCallback(ctx, corp, at(11).Add(-1)) }, func() {}},
		{"earlier callback", func() error { return s.TouchCallback(ctx, corp, at(9)) }, func() {}},
		{"callback later", func() error { return s.TouchCallback(ctx, corp, at(11)) }, func() { want.CallbackAt = at(11) }},
	} {
		must(t, step.do())
		step.want()
		got, err := s.Corp(ctx, corp)
		must(t, err)
		check(t, step.name, got, want)
	}
}

func TestCorpsListsAllAndOnlyCorps(t *testing.T) {
	s, ctx := newCorps(t), t.Context()
	var want []string
	for i := range 30 {
		id := fmt.Sprintf("ww%016d", i)
		want = append(want, id)
		must(t, s.CreateCorp(ctx, archive.Corp{ID: id}))
		must(t, s.AddKey(ctx, id, archive.Key{ID: "k"}, true, ""))
	}
	var got []string
	for c, err := range s.Corps(ctx) {
		must(t, err)
		check(t, "current key", c.CurrentKey, "k")
		got = append(got, c.ID)
	}
	slices.Sort(got)
	check(t, "corps", got, want)
	for range s.Corps(ctx) {
		break // the listing must end without an error
	}
}

func TestAddKey(t *testing.T) {
	s, ctx := newCorps(t), t.Context()
	must(t, s.CreateCorp(ctx, archive.Corp{ID: corp}))
	k := func(id string, minute int) archive.Key {
		return archive.Key{ID: id, PublicPEM: id, CreatedAt: start.Add(time.Duration(minute) * time.Minute)}
	}
	must(t, s.AddKey(ctx, corp, k("b", 1), true, ""))
	must(t, s.AddKey(ctx, corp, k("a", 2), true, "b"))
	must(t, s.AddKey(ctx, corp, k("imported", 0), false, ""))
	again := k("a", 3)
	again.PublicPEM = "other"
	checkError(t, "same key", s.AddKey(ctx, corp, again, false, ""), archive.ErrExists)
	checkError(t, "same key, and another is current", s.AddKey(ctx, corp, again, true, "b"), archive.ErrExists)
	checkError(t, "another is current", s.AddKey(ctx, corp, k("c", 4), true, "b"), archive.ErrConflict)
	checkError(t, "none was current", s.AddKey(ctx, corp, k("c", 4), true, ""), archive.ErrConflict)

	set, err := s.KeySet(ctx, corp)
	must(t, err)
	check(t, "keys, oldest first", set.Keys, []archive.Key{k("imported", 0), k("b", 1), k("a", 2)})
	c, err := s.Corp(ctx, corp)
	must(t, err)
	check(t, "current key", c.CurrentKey, "a")
}

// Several callers add a current key at once: one call succeeds, every other call
// returns ErrConflict.
func TestAddKeyConcurrently(t *testing.T) {
	s, ctx := newCorps(t), t.Context()
	must(t, s.CreateCorp(ctx, archive.Corp{ID: corp}))
	errs := make([]error, 8)
	var group errgroup.Group
	for i := range errs {
		group.Go(func() error {
			errs[i] = s.AddKey(ctx, corp, archive.Key{ID: fmt.Sprint(i)}, true, "")
			return nil
		})
	}
	must(t, group.Wait())
	won := -1
	for i, err := range errs {
		if err == nil {
			won = i
			continue
		}
		checkError(t, "loser", err, archive.ErrConflict)
	}
	set, err := s.KeySet(ctx, corp)
	must(t, err)
	if len(set.Keys) != 1 || set.Keys[0].ID != fmt.Sprint(won) {
		t.Errorf("got keys %v, want only key %d", set.Keys, won)
	}
}

func TestClaimAndBind(t *testing.T) {
	s, ctx := newCorps(t), t.Context()
	must(t, s.CreateCorp(ctx, archive.Corp{ID: corp}))
	must(t, s.AddKey(ctx, corp, archive.Key{ID: "k"}, true, ""))
	checkError(t, "unknown key", s.Claim(ctx, corp, "other", 1, "admin", start), archive.ErrNotFound)
	must(t, s.Claim(ctx, corp, "k", 7, "admin", start))
	bindings := []archive.Binding{
		{Version: 2, KeyID: "k", Seq: 1, MsgID: "m", At: start},
		{Version: 10, KeyID: "k", Seq: 2, MsgID: "n", At: start},
	}
	must(t, s.Bind(ctx, corp, bindings[1]))
	must(t, s.Bind(ctx, corp, bindings[0]))
	checkError(t, "bound version", s.Bind(ctx, corp, archive.Binding{Version: 2, KeyID: "other"}), archive.ErrExists)

	want := archive.KeySet{Keys: []archive.Key{{ID: "k", ClaimedVersion: 7, ClaimedAt: start, ClaimedBy: "admin"}}, Bindings: bindings}
	got, err := s.KeySet(ctx, corp)
	must(t, err)
	check(t, "claimed", got, want)
	must(t, s.Claim(ctx, corp, "k", 0, "admin", start))
	want.Keys[0].ClaimedVersion, want.Keys[0].ClaimedAt, want.Keys[0].ClaimedBy = 0, time.Time{}, ""
	got, err = s.KeySet(ctx, corp)
	must(t, err)
	check(t, "claim removed", got, want)
}

// record stores an event and wants it stored.
func record(t *testing.T, s *dynamostore.Corps, corp string, e archive.Event) {
	t.Helper()
	stored, err := s.RecordEvent(t.Context(), corp, e)
	must(t, err)
	check(t, "stored", stored, true)
}

func TestEvents(t *testing.T) {
	s, ctx := newCorps(t), t.Context()
	day := archive.DayOf(start)
	event := func(typ string, minute int, body string) archive.Event {
		at := start.Add(time.Duration(minute) * time.Minute)
		return archive.Event{Type: typ, SentAt: at, ArrivedAt: at.Add(time.Second), Body: []byte(body), Signature: "s", Timestamp: "1", Nonce: "n", Encrypted: "e"}
	}
	first, second, third := event("z#/类", 0, "<a/>"), event("a", 1, "<b/>"), event("a", 2, "<c/>")
	again := second
	again.ArrivedAt = again.ArrivedAt.Add(2 * time.Hour)
	for _, e := range []archive.Event{third, second, first, again} {
		record(t, s, corp, e)
	}
	tomorrow := event("a", 24*60, "<b/>")
	record(t, s, corp, tomorrow)
	got, err := archivetest.AllEvents(ctx, s, corp, day)
	must(t, err)
	check(t, "events in the order of their times, each once", got, []archive.Event{first, second, third})
	got, err = archivetest.AllEvents(ctx, s, corp, archive.DayOf(tomorrow.At()))
	must(t, err)
	check(t, "next day", got, []archive.Event{tomorrow})
}

// A page of a day full of events reads its own events, and not the whole day.
func TestAPageOfEventsReadsNoOthers(t *testing.T) {
	var read float64
	s := dynamostore.NewCorps(client(t), awstest.Table(t, "CorpsTable"), dynamostore.WithCapacity(func(_, _ string, _, rcu float64) { read += rcu }))
	const events, page = 60, 5
	for i := range events {
		at := start.Add(time.Duration(i) * time.Second)
		record(t, s, corp, archive.Event{Type: "e", SentAt: at, ArrivedAt: at, Body: make([]byte, 4096)})
	}
	all, err := archivetest.AllEvents(t.Context(), s, corp, archive.DayOf(start))
	must(t, err)
	check(t, "events", len(all), events)
	whole := read
	read = 0
	for _, err := range s.Events(t.Context(), corp, archive.DayOf(start), all[29].Place(), page) {
		must(t, err)
	}
	if most := whole*page/events + 1; read > most { // a request is charged in whole units
		t.Errorf("%d of %d events: the store read %v units, want at most %v", page, events, read, most)
	}
}

// A day takes its number of events, also from callers at once, and counts the
// others.
func TestEventsOfADayAreBounded(t *testing.T) {
	client, table := client(t), awstest.Table(t, "CorpsTable")
	s := dynamostore.NewCorps(client, table)
	day := archive.DayOf(start)
	const left = 5
	_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item{
		"pk": &types.AttributeValueMemberS{Value: corp}, "sk": &types.AttributeValueMemberS{Value: "eventcount#" + string(day)}, "v": &types.AttributeValueMemberN{Value: "1"},
		"kept": &types.AttributeValueMemberN{Value: fmt.Sprint(archive.MaxEvents - left)}, "kept_bytes": &types.AttributeValueMemberN{Value: "0"}, "dropped": &types.AttributeValueMemberN{Value: "0"},
	}})
	must(t, err)
	var group errgroup.Group
	for i := range 2 * left {
		group.Go(func() error {
			_, err := s.RecordEvent(t.Context(), corp, archive.Event{Type: fmt.Sprint(i), ArrivedAt: start})
			return err
		})
	}
	must(t, group.Wait())
	events, err := archivetest.AllEvents(t.Context(), s, corp, day)
	must(t, err)
	check(t, "stored", len(events), left)
	count, err := s.EventCount(t.Context(), corp, day)
	must(t, err)
	check(t, "count", count, archive.EventCount{Stored: archive.MaxEvents, Bytes: left, Dropped: left})
}
