package secretstore

import (
	"context"

	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/secret"
)

var _ directory.AppSecrets = (*Memory)(nil)

// AppSecret reads the secret of the corp's self-built app as saved last;
// [archive.ErrNotFound] before the first save.
func (s *Store) AppSecret(ctx context.Context, corp string) (secret.Value, error) {
	return s.get(ctx, s.appName(corp))
}

// PutAppSecret saves the app's secret in the way of [Store.PutArchiveSecret].
func (s *Store) PutAppSecret(ctx context.Context, corp string, v secret.Value) error {
	return s.putChangeable(ctx, corp, s.appName(corp), v)
}

func (s *Store) appName(corp string) string { return s.prefix + "/" + corp + "/app" }
