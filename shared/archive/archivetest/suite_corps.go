package archivetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// TestCorps checks a store of corps. It calls open once, for an empty store.
func TestCorps(t *testing.T, open func(t testing.TB) CorpStore) {
	c := open(t)
	t.Run("Listing", func(t *testing.T) { corpsListing(t, c) }) // first, while the store has no other corps
	for name, test := range map[string]func(*testing.T, CorpStore){
		"Settings":      corpsSettings,
		"Callback":      corpsCallback,
		"Keys":          corpsKeys,
		"Bindings":      corpsBindings,
		"KeyQuota":      corpsKeyQuota,
		"CallbackPairs": corpsCallbackPairs,
		"Events":        corpsEvents,
		"EventsBounds":  corpsEventsBounds,
		"Absent":        corpsAbsent,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

func create(t *testing.T, c CorpStore, id string) archive.Corp {
	t.Helper()
	corp := archive.Corp{ID: id, Name: "云朵 " + id, CreatedAt: epoch}
	ok(t, c.CreateCorp(t.Context(), corp))
	return corp
}

func wantCorp(t *testing.T, what string, c CorpStore, want archive.Corp) {
	t.Helper()
	got, err := c.Corp(t.Context(), want.ID)
	ok(t, err)
	same(t, what, got, want)
}

func corpsListing(t *testing.T, c CorpStore) {
	for _, err := range c.Corps(t.Context()) {
		t.Fatalf("empty store: got a corp, or error %v", err)
	}
	want := make(map[string]archive.Corp)
	for i := range 3 {
		corp := create(t, c, corpFor(t, i))
		want[corp.ID] = corp
	}
	ok(t, c.AddKey(t.Context(), corpFor(t, 0), archive.Key{ID: "k", CreatedAt: epoch}, false, ""))
	// An index may lag behind for a moment.
	deadline := time.Now().Add(30 * time.Second)
	for {
		got := make(map[string]archive.Corp)
		for corp, err := range c.Corps(t.Context()) {
			ok(t, err)
			got[corp.ID] = corp
		}
		if len(got) == len(want) || time.Now().After(deadline) {
			same(t, "corps", got, want)
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	n := 0
	for range c.Corps(t.Context()) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("listing that is stopped early: got %d corps, want 1", n)
	}
}

func corpsSettings(t *testing.T, c CorpStore) {
	corp := archive.Corp{
		ID: corpFor(t, 1), Name: "公司", CreatedAt: epoch, Enabled: true, EnabledAt: epoch.Add(1), SecretPrefix: "abcd", SecretDigest: "00",
		SecretSetAt: epoch.Add(2), CurrentKey: "k", CallbackAt: epoch.Add(3), PageKey: [32]byte{1, 31: 2},
		OpenOKAt: epoch.Add(4), OpenRefusedAt: epoch.Add(5), OpenCause: archive.CauseSecret, OpenCode: 40001, StateAt: epoch.Add(6), StateBy: "wang.min", StateReason: "原因",
	}
	ok(t, c.CreateCorp(t.Context(), corp))
	wantCorp(t, "created", c, corp)
	other := corp
	other.Name = "another"
	fails(t, "created again", c.CreateCorp(t.Context(), other), archive.ErrExists)
	wantCorp(t, "created again", c, corp)

	corp = create(t, c, corpFor(t, 2))
	wantCorp(t, "bare", c, corp)
	ok(t, c.Rename(t.Context(), corp.ID, "新名"))
	corp.Name = "新名"
	wantCorp(t, "renamed", c, corp)
	ok(t, c.SetSecret(t.Context(), corp.ID, "wxyz", epoch.Add(time.Hour)))
	corp.SecretPrefix, corp.SecretSetAt = "wxyz", epoch.Add(time.Hour)
	wantCorp(t, "with a secret", c, corp)
	ok(t, c.NoteSecret(t.Context(), corp.ID, epoch, "11"))
	wantCorp(t, "the digest of an earlier secret", c, corp)
	ok(t, c.NoteSecret(t.Context(), corp.ID, corp.SecretSetAt, "22"))
	corp.SecretDigest = "22"
	wantCorp(t, "with a digest", c, corp)
	refused := archive.OpenAnswer{RefusedAt: epoch.Add(2 * time.Hour), Cause: archive.CauseSecret, Code: 40001}
	ok(t, c.NoteOpen(t.Context(), corp.ID, epoch, refused))
	wantCorp(t, "an answer about an earlier secret", c, corp)
	ok(t, c.NoteOpen(t.Context(), corp.ID, corp.SecretSetAt, refused))
	corp.OpenRefusedAt, corp.OpenCause, corp.OpenCode = refused.RefusedAt, refused.Cause, refused.Code
	wantCorp(t, "refused on the open way", c, corp)
	ok(t, c.NoteOpen(t.Context(), corp.ID, corp.SecretSetAt, archive.OpenAnswer{OKAt: epoch.Add(3 * time.Hour)}))
	corp.OpenOKAt, corp.OpenRefusedAt, corp.OpenCause, corp.OpenCode = epoch.Add(3*time.Hour), time.Time{}, "", 0
	wantCorp(t, "accepted on the open way", c, corp)
	ok(t, c.SetSecret(t.Context(), corp.ID, "abcd", epoch.Add(4*time.Hour)))
	corp.SecretPrefix, corp.SecretSetAt, corp.SecretDigest, corp.OpenOKAt = "abcd", epoch.Add(4*time.Hour), "", time.Time{}
	wantCorp(t, "another secret", c, corp)
	for i, step := range []struct {
		enabled bool
		want    int // step of the first switch-on; -1 for never
	}{{false, -1}, {true, 1}, {true, 1}, {false, 1}, {false, 1}, {true, 1}} {
		at := func(i int) time.Time { return epoch.Add(time.Duration(i) * time.Hour) }
		ok(t, c.SetEnabled(t.Context(), corp.ID, step.enabled, "wang.min", fmt.Sprint(i), at(i)))
		corp.Enabled, corp.StateAt, corp.StateBy, corp.StateReason = step.enabled, at(i), "wang.min", fmt.Sprint(i)
		if step.want >= 0 {
			corp.EnabledAt = at(step.want)
		}
		wantCorp(t, fmt.Sprint("switched ", i), c, corp)
	}
}

func corpsCallback(t *testing.T, c CorpStore) {
	corp := create(t, c, corpFor(t, 1))
	for _, step := range []struct{ at, want time.Duration }{
		{0, 0},
		{archive.CallbackTouch - time.Millisecond, 0},
		{-time.Hour, 0},
		{archive.CallbackTouch, archive.CallbackTouch},
		{time.Hour, time.Hour},
	} {
		ok(t, c.TouchCallback(t.Context(), corp.ID, epoch.Add(step.at)))
		corp.CallbackAt = epoch.Add(step.want)
		wantCorp(t, fmt.Sprint("called back after ", step.at), c, corp)
	}
}

func corpsKeys(t *testing.T, c CorpStore) {
	corp := create(t, c, corpFor(t, 1))
	none, err := c.KeySet(t.Context(), corp.ID)
	ok(t, err)
	if len(none.Keys) != 0 || len(none.Bindings) != 0 {
		t.Errorf("before: got %d keys and %d bindings, want none", len(none.Keys), len(none.Bindings))
	}
	key := func(id string, age time.Duration) archive.Key {
		return archive.Key{ID: id, PublicPEM: "-----BEGIN\n" + id, Origin: archive.KeyMade, CreatedAt: epoch.Add(-age)}
	}
	young, old, middle := key("aa", 0), key("bb", time.Hour), key("cc", time.Minute)
	middle.Origin = archive.KeyImported
	wantKeys := func(what string, keys ...archive.Key) {
		t.Helper()
		set, err := c.KeySet(t.Context(), corp.ID)
		ok(t, err)
		same(t, what, set.Keys, keys)
	}
	ok(t, c.AddKey(t.Context(), corp.ID, young, true, ""))
	corp.CurrentKey = young.ID
	wantCorp(t, "first key", c, corp)
	ok(t, c.AddKey(t.Context(), corp.ID, old, false, "whatever"))
	wantCorp(t, "second key", c, corp)
	changed := young
	changed.PublicPEM = "changed"
	fails(t, "key exists", c.AddKey(t.Context(), corp.ID, changed, true, young.ID), archive.ErrExists)
	fails(t, "key exists, and another key is current", c.AddKey(t.Context(), corp.ID, changed, true, old.ID), archive.ErrExists)
	fails(t, "another key is current", c.AddKey(t.Context(), corp.ID, middle, true, old.ID), archive.ErrConflict)
	wantKeys("after refusals", old, young)
	wantCorp(t, "after refusals", c, corp)
	ok(t, c.AddKey(t.Context(), corp.ID, middle, true, young.ID))
	corp.CurrentKey = middle.ID
	wantCorp(t, "third key", c, corp)
	wantKeys("oldest first", old, middle, young)

	ok(t, c.Claim(t.Context(), corp.ID, middle.ID, 1<<32-1, "wang.min", epoch.Add(time.Hour)))
	claimed := middle
	claimed.ClaimedVersion, claimed.ClaimedBy, claimed.ClaimedAt = 1<<32-1, "wang.min", epoch.Add(time.Hour)
	wantKeys("claimed", old, claimed, young)
	ok(t, c.Claim(t.Context(), corp.ID, middle.ID, 0, "wang.min", epoch.Add(2*time.Hour)))
	wantKeys("claim removed", old, middle, young)
	fails(t, "claim for a missing key", c.Claim(t.Context(), corp.ID, "dd", 1, "wang.min", epoch), archive.ErrNotFound)
	wantKeys("after the failed claim", old, middle, young)

	used := middle
	used.LastUsedAt = epoch.Add(time.Hour)
	for _, at := range []time.Duration{0, time.Hour, time.Minute} {
		ok(t, c.TouchKey(t.Context(), corp.ID, middle.ID, epoch.Add(at)))
	}
	wantKeys("used, the newest use counts", old, used, young)
	fails(t, "use of a missing key", c.TouchKey(t.Context(), corp.ID, "dd", epoch), archive.ErrNotFound)
	for range 2 {
		ok(t, c.NoteRetried(t.Context(), corp.ID, old.ID))
	}
	retried := old
	retried.Retried = true
	wantKeys("retried", retried, used, young)
	fails(t, "retry of a missing key", c.NoteRetried(t.Context(), corp.ID, "dd"), archive.ErrNotFound)
	wantKeys("after the failed notes", retried, used, young)
}

func corpsBindings(t *testing.T, c CorpStore) {
	corp, other := create(t, c, corpFor(t, 1)), create(t, c, corpFor(t, 2))
	for i, id := range []string{"aa", "bb"} {
		ok(t, c.AddKey(t.Context(), corp.ID, archive.Key{ID: id, CreatedAt: epoch.Add(time.Duration(i))}, false, ""))
	}
	want := []archive.Binding{
		{Version: 2, KeyID: "bb", Seq: far, MsgID: "消息#1", At: epoch},
		{Version: 10, KeyID: "aa", Seq: 1, MsgID: "m", At: epoch},
		{Version: 1<<32 - 1, KeyID: "aa", Seq: 2, MsgID: "n", At: epoch},
	}
	for _, i := range []int{1, 2, 0} {
		ok(t, c.Bind(t.Context(), corp.ID, want[i]))
	}
	for _, id := range []string{"aa", "bb"} {
		fails(t, "bound already", c.Bind(t.Context(), corp.ID, archive.Binding{Version: 2, KeyID: id, At: epoch}), archive.ErrExists)
	}
	set, err := c.KeySet(t.Context(), corp.ID)
	ok(t, err)
	same(t, "bindings", set.Bindings, want)
	if set, err = c.KeySet(t.Context(), other.ID); err != nil || len(set.Keys)+len(set.Bindings) != 0 {
		t.Errorf("another corp: got %d keys, %d bindings, error %v, want none", len(set.Keys), len(set.Bindings), err)
	}

	const decoders = 4
	errs := make([]error, decoders)
	var wg sync.WaitGroup
	for i := range decoders {
		wg.Go(func() {
			errs[i] = c.Bind(t.Context(), corp.ID, archive.Binding{Version: 77, KeyID: "aa", Seq: uint64(i), At: epoch})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, archive.ErrExists):
			t.Errorf("concurrent bindings: got error %v, want %v", err, archive.ErrExists)
		}
	}
	if won != 1 {
		t.Errorf("concurrent bindings: %d succeeded, want 1", won)
	}
}

func corpsKeyQuota(t *testing.T, c CorpStore) {
	corp, other := create(t, c, corpFor(t, 1)), create(t, c, corpFor(t, 2))
	quota := func(id string) archive.KeyQuota {
		t.Helper()
		b, err := c.KeyQuota(t.Context(), id)
		ok(t, err)
		return b
	}
	same(t, "unused", quota(corp.ID), archive.NewKeyQuota())
	first, err := quota(corp.ID).BeginImport("2026-01-31")
	ok(t, err)
	ok(t, c.SaveKeyQuota(t.Context(), corp.ID, first))
	fails(t, "saved twice from one reading", c.SaveKeyQuota(t.Context(), corp.ID, first), archive.ErrConflict)
	want := first
	want.Rev = 1
	same(t, "saved", quota(corp.ID), want)
	raised := want
	raised.Unproved, raised.ImportsPerDay, raised.Imports = 5, 30, 400
	ok(t, c.SaveKeyQuota(t.Context(), corp.ID, raised))
	fails(t, "saved from an older reading", c.SaveKeyQuota(t.Context(), corp.ID, want), archive.ErrConflict)
	raised.Rev = 2
	same(t, "raised", quota(corp.ID), raised)
	same(t, "another corp", quota(other.ID), archive.NewKeyQuota())
	set, err := c.KeySet(t.Context(), corp.ID)
	ok(t, err)
	same(t, "keys beside the quota", set, archive.KeySet{})
}

func corpsCallbackPairs(t *testing.T, c CorpStore) {
	corp := create(t, c, corpFor(t, 1)).ID
	wantCallback := func(what string, kind archive.CallbackKind, want archive.Callback) {
		t.Helper()
		got, err := c.Callback(t.Context(), corp, kind)
		ok(t, err)
		same(t, what, got, want)
	}
	_, err := c.Callback(t.Context(), corp, archive.ArchiveCallback)
	fails(t, "none", err, archive.ErrNotFound)
	fails(t, "swapped before there is one", c.SwapCallback(t.Context(), corp, archive.ArchiveCallback, archive.Callback{}, archive.Callback{Pair: "x"}), archive.ErrConflict)
	ok(t, c.CreateCallback(t.Context(), corp, archive.ArchiveCallback, archive.Callback{Pair: "a", PairSealed: "sealed a"}))
	ok(t, c.CreateCallback(t.Context(), corp, archive.AppCallback, archive.Callback{Pair: "app"}))
	fails(t, "created again", c.CreateCallback(t.Context(), corp, archive.ArchiveCallback, archive.Callback{Pair: "b"}), archive.ErrExists)
	wantCallback("created", archive.ArchiveCallback, archive.Callback{Pair: "a", PairSealed: "sealed a"})

	rotated := archive.Callback{Pair: "b", PairSealed: "sealed b", Old: "a", OldSealed: "sealed a", MadeAt: epoch}
	ok(t, c.SwapCallback(t.Context(), corp, archive.ArchiveCallback, archive.Callback{Pair: "a", PairSealed: "sealed a"}, rotated))
	wantCallback("rotated", archive.ArchiveCallback, rotated)
	fails(t, "swapped from an older reading", c.SwapCallback(t.Context(), corp, archive.ArchiveCallback, archive.Callback{Pair: "a"}, archive.Callback{Pair: "c", Old: "a"}), archive.ErrConflict)
	ok(t, c.NoteFirstEvent(t.Context(), corp, archive.ArchiveCallback, "a", epoch.Add(time.Minute)))
	wantCallback("event of another pair", archive.ArchiveCallback, rotated)
	ok(t, c.NoteFirstEvent(t.Context(), corp, archive.ArchiveCallback, "b", epoch.Add(time.Hour)))
	ok(t, c.NoteFirstEvent(t.Context(), corp, archive.ArchiveCallback, "b", epoch.Add(2*time.Hour)))
	// An event that is noted meanwhile does not stop a revocation.
	seen := rotated
	seen.FirstEventAt = epoch.Add(time.Hour)
	wantCallback("first event", archive.ArchiveCallback, seen)
	revoked := rotated
	revoked.Old, revoked.OldSealed = "", ""
	ok(t, c.SwapCallback(t.Context(), corp, archive.ArchiveCallback, rotated, revoked))
	wantCallback("revoked", archive.ArchiveCallback, revoked)
	fails(t, "revoked again", c.SwapCallback(t.Context(), corp, archive.ArchiveCallback, rotated, revoked), archive.ErrConflict)
	wantCallback("the app's", archive.AppCallback, archive.Callback{Pair: "app"})

	refused := archive.Callback{Pair: "b", RefusedDay: "2026-01-31", Refused: 3, RefusedAt: epoch, RefusedWhy: archive.RefusedSignature, RefusedFrom: "198.51.100.7"}
	noted := revoked
	noted.VerifiedAt, noted.EventAt, noted.SeenFrom = epoch.Add(time.Minute), epoch.Add(time.Hour), "203.0.113.1"
	noted.RefusedDay, noted.Refused, noted.RefusedAt, noted.RefusedWhy, noted.RefusedFrom = refused.RefusedDay, 3, epoch, refused.RefusedWhy, refused.RefusedFrom
	ok(t, c.NoteVerified(t.Context(), corp, archive.ArchiveCallback, "b", epoch.Add(time.Minute), "203.0.113.2"))
	ok(t, c.NoteEvent(t.Context(), corp, archive.ArchiveCallback, epoch.Add(time.Hour), "203.0.113.1"))
	ok(t, c.NoteRefused(t.Context(), corp, archive.ArchiveCallback, refused))
	wantCallback("what arrived", archive.ArchiveCallback, noted)
	refused.Pair, refused.Refused = "a", 9
	ok(t, c.NoteVerified(t.Context(), corp, archive.ArchiveCallback, "a", epoch.Add(2*time.Hour), "203.0.113.3"))
	ok(t, c.NoteRefused(t.Context(), corp, archive.ArchiveCallback, refused))
	wantCallback("what arrived with another pair", archive.ArchiveCallback, noted)
	fails(t, "noted before there is one", c.NoteEvent(t.Context(), corpFor(t, 2), archive.ArchiveCallback, epoch, ""), archive.ErrNotFound)
}

// inPlace puts events of a day into the order of their places.
func inPlace(events ...archive.Event) []archive.Event {
	slices.SortFunc(events, func(a, b archive.Event) int { return strings.Compare(a.Place(), b.Place()) })
	return events
}

// AllEvents are the events of a day.
func AllEvents(ctx context.Context, c CorpStore, corp string, day archive.Day) ([]archive.Event, error) {
	return allOf(c.Events(ctx, corp, day, "", 2*archive.MaxEvents))
}

func allOf[T any](values iter.Seq2[T, error]) (all []T, _ error) {
	for v, err := range values {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func corpsEvents(t *testing.T, c CorpStore) {
	corp, other := create(t, c, corpFor(t, 1)), create(t, c, corpFor(t, 2))
	event := func(kind, body string, sent, arrived time.Duration) archive.Event {
		return archive.Event{
			Type: kind, SentAt: epoch.Add(sent), ArrivedAt: epoch.Add(arrived), Body: []byte(body),
			Signature: "5c45", Timestamp: "1409659589", Nonce: "n+1", Encrypted: "P9nA" + kind,
		}
	}
	day := 24 * time.Hour
	first := event("msgaudit_notify", "<xml>1</xml>", 0, time.Second)
	second := event("msgaudit_notify", "<xml>2</xml>", time.Minute, time.Minute)
	third := event("change_external_contact", "\x00\xff", 3*time.Minute, 2*time.Minute)
	third.ChangeType = "msg_audit_approved"
	again := first
	again.ArrivedAt = again.ArrivedAt.Add(time.Minute)
	late := event("msgaudit_notify", "<xml>1</xml>", 0, day)
	ahead := event("msgaudit_notify", "<xml>3</xml>", 9*day, day+time.Minute)
	undated := event("msgaudit_notify", "<xml>4</xml>", 0, day+2*time.Minute)
	undated.SentAt = time.Time{}
	for _, e := range []archive.Event{third, first, second, again, ahead, late, undated} {
		stored, err := c.RecordEvent(t.Context(), corp.ID, e)
		if err != nil || !stored {
			t.Errorf("got stored %v, error %v, want it stored", stored, err)
		}
	}
	for at, want := range map[time.Time][]archive.Event{
		epoch:              {first, second, third},
		epoch.Add(day):     inPlace(late, ahead, undated),
		epoch.Add(9 * day): nil,
	} {
		got, err := AllEvents(t.Context(), c, corp.ID, archive.DayOf(at))
		ok(t, err)
		same(t, "events of "+string(archive.DayOf(at)), got, want)
		for i := range want { // behind each of them
			one, err := allOf(c.Events(t.Context(), corp.ID, archive.DayOf(at), want[i].Place(), 1))
			ok(t, err)
			same(t, "the event behind", one, append([]archive.Event(nil), want[i+1:min(i+2, len(want))]...))
		}
		count, err := c.EventCount(t.Context(), corp.ID, archive.DayOf(at))
		ok(t, err)
		sum := archive.EventCount{Stored: len(want)}
		for _, e := range want {
			sum.Bytes += e.Size()
		}
		same(t, "count of "+string(archive.DayOf(at)), count, sum)
	}
	if got, err := AllEvents(t.Context(), c, other.ID, archive.DayOf(epoch)); err != nil || len(got) != 0 {
		t.Errorf("another corp: got %d events, error %v, want 0", len(got), err)
	}
}

// The events of a day fill its bound of bytes. What does not fit is counted; a
// smaller event still fits, and so does a repetition of a stored one. Consents have
// room beyond that, which is bounded too.
func corpsEventsBounds(t *testing.T, c CorpStore) {
	corp := create(t, c, corpFor(t, 1)).ID
	const size = 380 << 10
	event := func(n, size int, arrived time.Duration) archive.Event {
		return archive.Event{ArrivedAt: epoch.Add(arrived), Body: fmt.Appendf(nil, "%0*d", size, n)}
	}
	record := func(what string, e archive.Event, want bool) {
		t.Helper()
		if stored, err := c.RecordEvent(t.Context(), corp, e); err != nil || stored != want {
			t.Errorf("%s: got stored %v, error %v, want %v", what, stored, err, want)
		}
	}
	const fit = archive.MaxEventBytes / size
	for n := range fit {
		record(fmt.Sprint("event ", n), event(n, size, 0), true)
	}
	record("over the bound", event(fit, size, 0), false)
	record("over the bound again", event(fit, size, 0), false)
	record("a repetition", event(0, size, time.Minute), true)
	record("a small one", event(fit, 10, 0), true)
	record("the next day", event(fit, size, 24*time.Hour), true)
	consent := func(n int) archive.Event {
		e := event(n, size, 0)
		e.Type, e.ChangeType = "change_external_contact", "msg_audit_approved"
		return e
	}
	for n := range fit / 2 {
		record(fmt.Sprint("consent ", n), consent(n), true)
	}
	record("a consent over its bound", consent(fit), false)
	record("a small one over its bound", event(fit, 11, 0), false)
	got, err := c.EventCount(t.Context(), corp, archive.DayOf(epoch))
	ok(t, err)
	all := fit + fit/2
	same(t, "count", got, archive.EventCount{Stored: all + 1, Bytes: all*size + 10 + fit/2*len(consent(0).Type+consent(0).ChangeType), Dropped: 4})
}

func corpsAbsent(t *testing.T, c CorpStore) {
	id := corpFor(t, 1)
	_, err := c.Corp(t.Context(), id)
	fails(t, "Corp", err, archive.ErrNotFound)
	for name, err := range map[string]error{
		"Rename":        c.Rename(t.Context(), id, "n"),
		"SetEnabled":    c.SetEnabled(t.Context(), id, true, "", "", epoch),
		"switched off":  c.SetEnabled(t.Context(), id, false, "", "", epoch),
		"SetSecret":     c.SetSecret(t.Context(), id, "abcd", epoch),
		"NoteSecret":    c.NoteSecret(t.Context(), id, epoch, "00"),
		"TouchCallback": c.TouchCallback(t.Context(), id, epoch),
		"AddKey":        c.AddKey(t.Context(), id, archive.Key{ID: "k"}, false, ""),
		"current key":   c.AddKey(t.Context(), id, archive.Key{ID: "k"}, true, ""),
	} {
		fails(t, name, err, archive.ErrNotFound)
	}
	_, err = c.Corp(t.Context(), id)
	fails(t, "Corp afterwards", err, archive.ErrNotFound)
}
