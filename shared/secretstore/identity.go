package secretstore

import (
	"context"
	"encoding/json"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// Identity reads a secret that the operator made, by its full name. The secret is
// JSON with a corpid and an archive secret. WeCom's library is initialised with
// these for decoding.
func (s *Store) Identity(ctx context.Context, name string) (corpID string, archiveSecret secret.Value, err error) {
	text, err := s.get(ctx, name)
	if err != nil {
		return "", secret.Value{}, err
	}
	var id struct {
		CorpID string `json:"corpid"`
		Secret string `json:"secret"`
	}
	if json.Unmarshal([]byte(text.Reveal()), &id) != nil || id.CorpID == "" || id.Secret == "" {
		return "", secret.Value{}, wrap("read", name, archive.ErrCorrupt)
	}
	return id.CorpID, secret.New(id.Secret), nil
}
