package callbackpair_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/callbackpair"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// keys is a secret store with at most one pair key. Its reads miss what was
// created while lagging is set.
type keys struct {
	mu             sync.Mutex
	key            *secret.Value
	lagging        bool
	reads, creates int
}

func (k *keys) PairKey(context.Context) (secret.Value, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reads++
	if k.key == nil || k.lagging {
		return secret.Value{}, archive.ErrNotFound
	}
	return *k.key, nil
}

func (k *keys) CreatePairKey(_ context.Context, v secret.Value) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.creates++
	if k.key != nil {
		return archive.ErrExists
	}
	k.key = &v
	return nil
}

const corp, other = "ww0123456789abcdef", "ww1111111111111111"

var pair = callbackpair.Pair{ID: "first", Token: secret.New(`to"ken`), AESKey: secret.New(strings.Repeat("a", 43))}

func seal(t *testing.T, s *callbackpair.Sealer, p callbackpair.Pair) string {
	t.Helper()
	text, err := s.Seal(t.Context(), corp, archive.ArchiveCallback, p)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func same(a, b callbackpair.Pair) bool {
	return a.ID == b.ID && a.Token.Equal(b.Token) && a.AESKey.Equal(b.AESKey)
}

// A sealed pair shows neither value, and opens for its own corp, callback and id
// alone, in every process of the stack.
func TestSealAndOpen(t *testing.T) {
	store := &keys{}
	text := seal(t, callbackpair.NewSealer(store), pair)
	if strings.Contains(text, pair.AESKey.Reveal()) || strings.Contains(text, pair.Token.Reveal()) {
		t.Errorf("the sealed pair shows a value: %s", text)
	}
	s := callbackpair.NewSealer(store)
	for range 3 {
		if got, err := s.Open(t.Context(), corp, archive.ArchiveCallback, pair.ID, text); err != nil || !same(got, pair) {
			t.Errorf("got pair %q, error %v", got.ID, err)
		}
	}
	if store.creates != 1 || store.reads != 3 { // the first sealer reads before and after it creates the key
		t.Errorf("got %d creations and %d reads of the key, want 1 and 3", store.creates, store.reads)
	}
	if seal(t, s, pair) == text {
		t.Error("one pair sealed twice gives one text")
	}
	for name, c := range map[string]struct {
		corp     string
		kind     archive.CallbackKind
		id, text string
	}{
		"another corp":     {other, archive.ArchiveCallback, pair.ID, text},
		"another callback": {corp, archive.AppCallback, pair.ID, text},
		"another id":       {corp, archive.ArchiveCallback, "second", text},
		"changed":          {corp, archive.ArchiveCallback, pair.ID, "AAAA" + text[4:]},
		"cut off":          {corp, archive.ArchiveCallback, pair.ID, text[:8]},
		"empty":            {corp, archive.ArchiveCallback, pair.ID, ""},
		"no base64":        {corp, archive.ArchiveCallback, pair.ID, "?"},
		"half a pair":      {corp, archive.ArchiveCallback, pair.ID, seal(t, s, callbackpair.Pair{ID: pair.ID, Token: pair.Token})},
	} {
		if got, err := s.Open(t.Context(), c.corp, c.kind, c.id, c.text); !errors.Is(err, archive.ErrCorrupt) {
			t.Errorf("%s: got pair %q, error %v, want %v", name, got.ID, err, archive.ErrCorrupt)
		}
	}
	if _, err := callbackpair.NewSealer(&keys{key: ref(secret.New("short"))}).Open(t.Context(), corp, archive.ArchiveCallback, pair.ID, text); !errors.Is(err, archive.ErrCorrupt) {
		t.Errorf("malformed key: got error %v, want %v", err, archive.ErrCorrupt)
	}
}

func ref[T any](v T) *T { return &v }

// Only sealing makes a key: a callback that arrives while the key is missing
// must not replace it.
func TestOpeningMakesNoKey(t *testing.T) {
	store := &keys{}
	if _, err := callbackpair.NewSealer(store).Open(t.Context(), corp, archive.ArchiveCallback, pair.ID, "AAAA"); err == nil || errors.Is(err, archive.ErrNotFound) {
		t.Errorf("got error %v, want one that does not say that the corp has no pair", err)
	}
	if store.creates != 0 {
		t.Errorf("got %d keys made, want none", store.creates)
	}
}

// Processes that seal the stack's first pairs at once use one key, also while the
// secret store does not yet show it.
func TestOneKeyForAllProcesses(t *testing.T) {
	store := &keys{lagging: true}
	for _, process := range []string{"first", "second"} {
		if _, err := callbackpair.NewSealer(store).Seal(t.Context(), corp, archive.ArchiveCallback, pair); err == nil || errors.Is(err, archive.ErrNotFound) {
			t.Errorf("%s process while the store lags: got error %v, want one that does not say that the corp is absent", process, err)
		}
	}
	store.lagging = false
	texts := make([]string, 6)
	var wg sync.WaitGroup
	for i := range texts {
		wg.Go(func() {
			texts[i] = seal(t, callbackpair.NewSealer(store), callbackpair.Pair{ID: fmt.Sprint(i), Token: pair.Token, AESKey: pair.AESKey})
		})
	}
	wg.Wait()
	s := callbackpair.NewSealer(store)
	for i, text := range texts {
		if _, err := s.Open(t.Context(), corp, archive.ArchiveCallback, fmt.Sprint(i), text); err != nil {
			t.Error(err)
		}
	}
}
