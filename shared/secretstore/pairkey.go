package secretstore

import (
	"context"

	"github.com/yunduo-scrm/archive/shared/secret"
)

// PairKey reads the key that seals the callback pairs of all corps;
// [archive.ErrNotFound] before the stack's first pair.
func (s *Store) PairKey(ctx context.Context) (secret.Value, error) {
	return s.get(ctx, s.pairKeyName())
}

// CreatePairKey stores the pair key permanently; [archive.ErrExists] if there is
// one.
func (s *Store) CreatePairKey(ctx context.Context, key secret.Value) error {
	return s.create(ctx, pairKeyOwner, s.pairKeyName(), key)
}

// pairKeyOwner stands where other secrets have the corp: no corpid reads so.
const pairKeyOwner = "callbacks"

func (s *Store) pairKeyName() string { return s.prefix + "/" + pairKeyOwner + "/pairkey" }
