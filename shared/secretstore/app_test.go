package secretstore_test

import (
	"errors"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// The app's secrets have names of their own, so they never show as the corp's.
func TestAppSecrets(t *testing.T) {
	s, _, _ := newStore(t)
	if _, err := s.AppSecret(t.Context(), corpA); !errors.Is(err, archive.ErrNotFound) {
		t.Errorf("before: got error %v, want %v", err, archive.ErrNotFound)
	}
	for _, text := range []string{"first", "second"} {
		if err := s.PutAppSecret(t.Context(), corpA, secret.New(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.AppSecret(t.Context(), corpA); err != nil || !got.Equal(secret.New(text)) {
			t.Errorf("got error %v, or not %s", err, text)
		}
	}
	_, archiveErr := s.ArchiveSecret(t.Context(), corpA)
	_, otherErr := s.AppSecret(t.Context(), corpB)
	for name, err := range map[string]error{"archive secret": archiveErr, "another corp": otherErr} {
		if !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("%s: got error %v, want %v", name, err, archive.ErrNotFound)
		}
	}
}
