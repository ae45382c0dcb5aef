package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
)

const corp = "ww0123456789abcdef"

// busy is a store in which the company imports a key before each of the first
// saves.
type busy struct {
	*archivetest.Corps
	imports int
}

func (b *busy) SaveKeyQuota(ctx context.Context, id string, q archive.KeyQuota) error {
	if b.imports > 0 {
		b.imports--
		now, err := b.KeyQuota(ctx, id)
		if err != nil {
			return err
		}
		now.Begun++
		if err := b.Corps.SaveKeyQuota(ctx, id, now); err != nil {
			return err
		}
	}
	return b.Corps.SaveKeyQuota(ctx, id, q)
}

func TestRaise(t *testing.T) {
	store := &busy{Corps: archivetest.NewCorps(t, &archivetest.Faults{})}
	if _, err := raise(t.Context(), store, corp, bounds{}); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("company not registered: got %v, want %v", err, archive.ErrNotFound)
	}
	if err := store.CreateCorp(t.Context(), archive.Corp{ID: corp, CreatedAt: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	want := archive.NewKeyQuota()
	check := func(what string, to bounds) {
		t.Helper()
		if _, err := raise(t.Context(), store, corp, to); err != nil {
			t.Errorf("%s: got error %v", what, err)
		}
		got, err := store.KeyQuota(t.Context(), corp)
		if got.Rev = 0; err != nil || got != want {
			t.Errorf("%s: got %+v, error %v, want %+v", what, got, err, want)
		}
	}
	check("shown", bounds{})
	want.Unproved, want.Imports = 4, 300
	check("two bounds", bounds{unproved: 4, imports: 300})
	store.imports = 2
	want.Begun, want.ImportsPerDay = 2, 50
	check("while the company imports", bounds{importsPerDay: 50})
	store.imports = raiseTries
	if _, err := raise(t.Context(), store, corp, bounds{unproved: 9}); !errors.Is(err, archive.ErrConflict) {
		t.Errorf("while the company imports without a pause: got %v, want %v", err, archive.ErrConflict)
	}
}

func TestArguments(t *testing.T) {
	samconfig, err := os.ReadFile("../../samconfig.toml")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-env", "prod", "-corp", corp}
	company, to, err := parse(append(args, "-unproved", "3", "-imports-per-day", "40", "-imports", "500"), samconfig)
	if err != nil || company.Corp != corp || to != (bounds{3, 40, 500}) {
		t.Errorf("got %+v, %+v, %v", company, to, err)
	}
	for _, low := range []string{"-unproved=1", "-imports-per-day=19", "-imports=99", "-imports=-1"} {
		if _, _, err := parse(append(args, low), samconfig); err == nil || !strings.Contains(err.Error(), "want at least") {
			t.Errorf("%s: got %v, want an error with the least number", low, err)
		}
	}
	if _, _, err := parse([]string{"-env", "x"}, samconfig); err == nil || !strings.Contains(err.Error(), "no corpid") {
		t.Errorf("got %v, want an error", err)
	}
}
