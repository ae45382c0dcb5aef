package secretstore

import (
	"context"

	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/secret"
)

var _ directory.AppSecrets = (*Store)(nil)

// AppSecret reads the secret of the corp's self-built app as last saved;
// [archive.ErrNotFound] before that.
func (s *Store) AppSecret(ctx context.Context, corp string) (secret.Value, error) {
	return s.get(ctx, s.appName(corp))
}

// PutAppSecret saves it as [Store.PutArchiveSecret] does.
func (s *Store) PutAppSecret(ctx context.Context, corp string, v secret.Value) error {
	return s.putChangeable(ctx, s.appName(corp), v)
}

// AppCallback and CreateAppCallback are like [Store.Callback] and
// [Store.CreateCallback], for the app's own callback address.
func (s *Store) AppCallback(ctx context.Context, corp string) (CallbackPair, error) {
	return s.pair(ctx, s.appCallbackName(corp))
}

func (s *Store) CreateAppCallback(ctx context.Context, corp string, pair CallbackPair) error {
	return s.createPair(ctx, s.appCallbackName(corp), pair)
}

func (s *Store) appName(corp string) string         { return s.prefix + "/" + corp + "/app" }
func (s *Store) appCallbackName(corp string) string { return s.prefix + "/" + corp + "/appcallback" }
