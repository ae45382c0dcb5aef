package secretstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// PrivateKey reads a private key as PKCS#8 PEM. It returns [archive.ErrNotFound]
// if the key is absent, and [archive.ErrCorrupt] if an operator must fix the key
// before it can be used. The error for a deleted key is [ErrDeleted] too.
func (s *Store) PrivateKey(ctx context.Context, corp, keyID string) (secret.Value, error) {
	v, err := s.get(ctx, s.keyName(corp, keyID))
	if errors.Is(err, ErrDeleted) {
		err = fmt.Errorf("%w: %w", archive.ErrCorrupt, err)
	}
	return v, err
}

// CreatePrivateKey stores a private key permanently; [archive.ErrExists] if the id
// is taken.
func (s *Store) CreatePrivateKey(ctx context.Context, corp, keyID string, pkcs8 secret.Value) error {
	return s.create(ctx, corp, s.keyName(corp, keyID), pkcs8)
}

func (s *Store) keyName(corp, keyID string) string { return s.prefix + "/" + corp + "/key/" + keyID }
