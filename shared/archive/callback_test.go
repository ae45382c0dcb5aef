package archive_test

import (
	"errors"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

var noon = time.Date(2026, 1, 31, 4, 0, 0, 0, time.UTC)

func TestOldPairIsAcceptedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		cb   archive.Callback
		want time.Duration // after MadeAt
	}{
		"first pair":              {archive.Callback{Pair: "a"}, 0},
		"revoked":                 {archive.Callback{Pair: "b", FirstEventAt: noon}, 0},
		"no event yet":            {archive.Callback{Pair: "b", Old: "a"}, 7 * 24 * time.Hour},
		"event at once":           {archive.Callback{Pair: "b", Old: "a", FirstEventAt: noon}, 24 * time.Hour},
		"event after three days":  {archive.Callback{Pair: "b", Old: "a", FirstEventAt: noon.Add(3 * 24 * time.Hour)}, 4 * 24 * time.Hour},
		"event on the last day":   {archive.Callback{Pair: "b", Old: "a", FirstEventAt: noon.Add(6*24*time.Hour + 1)}, 7 * 24 * time.Hour},
		"event after the old end": {archive.Callback{Pair: "b", Old: "a", FirstEventAt: noon.Add(9 * 24 * time.Hour)}, 7 * 24 * time.Hour},
	} {
		if tc.cb.Pair != "a" {
			tc.cb.MadeAt = noon
		}
		end := noon.Add(tc.want)
		if tc.cb.Old != "" && (!tc.cb.AcceptsOld(end.Add(-1)) || !tc.cb.OldUntil().Equal(end)) {
			t.Errorf("%s: got an end at %v, want %v", name, tc.cb.OldUntil(), end)
		}
		if tc.cb.AcceptsOld(end) || tc.cb.Old == "" && !tc.cb.OldUntil().IsZero() {
			t.Errorf("%s: the old pair is accepted until %v, want %v", name, tc.cb.OldUntil(), end)
		}
	}
}

func TestTimeOfAnEvent(t *testing.T) {
	for name, tc := range map[string]struct {
		sent  time.Duration // before the arrival
		fresh bool
	}{
		"now":                {0, true},
		"an hour old":        {time.Hour, true},
		"older":              {time.Hour + 1, false},
		"five minutes ahead": {-5 * time.Minute, true},
		"further ahead":      {-5*time.Minute - 1, false},
	} {
		e := archive.Event{SentAt: noon.Add(-tc.sent), ArrivedAt: noon}
		want := e.ArrivedAt
		if tc.fresh {
			want = e.SentAt
		}
		if e.Fresh() != tc.fresh || !e.At().Equal(want) {
			t.Errorf("%s: got fresh %v at %v, want %v at %v", name, e.Fresh(), e.At(), tc.fresh, want)
		}
	}
	if e := (archive.Event{ArrivedAt: noon}); e.Fresh() || !e.At().Equal(noon) {
		t.Errorf("an event without a time: got fresh %v at %v", e.Fresh(), e.At())
	}
}

func TestImportsOfADay(t *testing.T) {
	q := archive.NewKeyQuota()
	begin := func(day archive.Day, want error) {
		t.Helper()
		next, err := q.BeginImport(day)
		if !errors.Is(err, want) {
			t.Errorf("%s after %d imports: got error %v, want %v", day, q.Begun, err, want)
		}
		if err == nil {
			q = next
		}
	}
	for _, day := range []archive.Day{"2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02", "2026-02-03"} {
		for range 20 {
			begin(day, nil)
		}
		if q.Begun < q.Imports {
			begin(day, archive.ErrImportsToday)
		}
	}
	begin("2026-02-03", archive.ErrImports)
	begin("2026-02-04", archive.ErrImports)
	if q.Begun != 100 || q.Today != 20 {
		t.Errorf("got %+v, want 100 imports, 20 of them on the last day", q)
	}
	q.Imports = 101
	begin("2026-02-04", nil)
	begin("2026-02-04", archive.ErrImports)
}

func TestUnprovedKeys(t *testing.T) {
	set := archive.KeySet{
		Keys: []archive.Key{
			{ID: "proved", Origin: archive.KeyMade}, {ID: "claimed", Origin: archive.KeyMade, ClaimedVersion: 2},
			{ID: "unused", Origin: archive.KeyMade}, {ID: "imported", Origin: archive.KeyImported},
		},
		Bindings: []archive.Binding{{Version: 1, KeyID: "proved"}, {Version: 3, KeyID: "proved"}},
	}
	if got := set.Unproved(); got != 2 {
		t.Errorf("got %d, want 2: the keys that were made here and opened no message", got)
	}
}
