package secretstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/secretstore"
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
	pair := secretstore.CallbackPair{Token: secret.New("token"), AESKey: secret.New(strings.Repeat("a", 43))}
	if err := s.CreateAppCallback(t.Context(), corpA, pair); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateAppCallback(t.Context(), corpA, pair); !errors.Is(err, archive.ErrExists) {
		t.Errorf("again: got error %v, want %v", err, archive.ErrExists)
	}
	if got, err := s.AppCallback(t.Context(), corpA); err != nil || !got.Token.Equal(pair.Token) || !got.AESKey.Equal(pair.AESKey) {
		t.Errorf("got error %v, or not the pair", err)
	}
	_, archiveErr := s.ArchiveSecret(t.Context(), corpA)
	_, callbackErr := s.Callback(t.Context(), corpA)
	_, otherErr := s.AppSecret(t.Context(), corpB)
	for name, err := range map[string]error{"archive secret": archiveErr, "callback": callbackErr, "another corp": otherErr} {
		if !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("%s: got error %v, want %v", name, err, archive.ErrNotFound)
		}
	}
}
