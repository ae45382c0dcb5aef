package secretstore_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

func pairOf(id string) secretstore.CallbackPair {
	return secretstore.CallbackPair{ID: id, Token: secret.New(`to"ken ` + id), AESKey: secret.New(strings.Repeat("a", 42) + id[:1])}
}

func samePair(a, b secretstore.CallbackPair) bool {
	return a.ID == b.ID && a.Token.Equal(b.Token) && a.AESKey.Equal(b.AESKey)
}

func wantPairs(t *testing.T, s *secretstore.Store, newest, old secretstore.CallbackPair) {
	t.Helper()
	got, err := s.CallbackPairs(t.Context(), corpA, archive.ArchiveCallback)
	if err != nil || !samePair(got.Newest, newest) || !samePair(got.Old, old) {
		t.Errorf("got error %v, pairs %q and %q, want %q and %q", err, got.Newest.ID, got.Old.ID, newest.ID, old.ID)
	}
	for _, want := range []secretstore.CallbackPair{newest, old} {
		if found, ok := got.Find(want.ID); ok != (want.ID != "") || !samePair(found, want) {
			t.Errorf("find %q: got %q, %v", want.ID, found.ID, ok)
		}
	}
	if _, ok := got.Find("unknown"); ok {
		t.Error("an unknown pair was found")
	}
}

func TestCallbackPairs(t *testing.T) {
	s, _, _ := newStore(t)
	a, b, c := pairOf("a"), pairOf("b"), pairOf("c")
	replace := func(what, old string, pair, want secretstore.CallbackPair, wantErr error) {
		t.Helper()
		got, err := s.ReplaceCallbackPair(t.Context(), corpA, archive.ArchiveCallback, old, pair)
		if !errors.Is(err, wantErr) || err == nil && !samePair(got, want) {
			t.Errorf("%s: got pair %q, error %v, want %q, %v", what, got.ID, err, want.ID, wantErr)
		}
	}
	if _, err := s.CallbackPairs(t.Context(), corpA, archive.ArchiveCallback); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("before: got error %v, want %v", err, archive.ErrNotFound)
	}
	replace("before", "a", b, b, archive.ErrNotFound)
	if err := s.CreateCallbackPair(t.Context(), corpA, archive.ArchiveCallback, a); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateCallbackPair(t.Context(), corpA, archive.ArchiveCallback, b); !errors.Is(err, archive.ErrExists) {
		t.Errorf("created again: got error %v, want %v", err, archive.ErrExists)
	}
	wantPairs(t, s, a, secretstore.CallbackPair{})
	replace("the first", "a", b, b, nil)
	wantPairs(t, s, b, a)
	replace("the first again", "a", c, b, nil)
	wantPairs(t, s, b, a)
	replace("an unknown one", "x", c, c, archive.ErrConflict)
	replace("the second", "b", c, c, nil)
	wantPairs(t, s, c, b)
	replace("one that is gone", "a", a, a, archive.ErrConflict)
	wantPairs(t, s, c, b)
}

// Many callers replace one pair: one pair is stored, and all callers get it.
func TestACallbackPairIsReplacedOnce(t *testing.T) {
	s, _, _ := newStore(t)
	if err := s.CreateCallbackPair(t.Context(), corpA, archive.ArchiveCallback, pairOf("a")); err != nil {
		t.Fatal(err)
	}
	got := make([]secretstore.CallbackPair, 6)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = s.ReplaceCallbackPair(t.Context(), corpA, archive.ArchiveCallback, "a", pairOf(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, pair := range got {
		if !samePair(pair, got[0]) {
			t.Errorf("one caller got pair %q, another %q", pair.ID, got[0].ID)
		}
	}
	wantPairs(t, s, got[0], pairOf("a"))
}
