package secretstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// CallbackPair holds the two values that WeCom and the archive share for a
// callback (wecom.md 3), and the id of the pair, which is no secret.
type CallbackPair struct {
	ID     string
	Token  secret.Value
	AESKey secret.Value // EncodingAESKey, 43 characters
}

// CallbackPairs are the newest pair of a callback and the pair before it.
type CallbackPairs struct {
	Newest CallbackPair
	Old    CallbackPair // zero if Newest is the first
}

// Find returns the pair with an id.
func (p CallbackPairs) Find(id string) (CallbackPair, bool) {
	for _, pair := range []CallbackPair{p.Newest, p.Old} {
		if id != "" && pair.ID == id {
			return pair, true
		}
	}
	return CallbackPair{}, false
}

// pairJSON and pairsJSON are the stored form.
type (
	pairJSON struct {
		ID             string `json:"id"`
		Token          string `json:"token"`
		EncodingAESKey string `json:"encodingAESKey"`
	}
	pairsJSON struct {
		Newest pairJSON  `json:"newest"`
		Old    *pairJSON `json:"old,omitempty"`
	}
)

func (p CallbackPair) stored() pairJSON {
	return pairJSON{ID: p.ID, Token: p.Token.Reveal(), EncodingAESKey: p.AESKey.Reveal()}
}

func (j pairJSON) pair() CallbackPair {
	return CallbackPair{ID: j.ID, Token: secret.New(j.Token), AESKey: secret.New(j.EncodingAESKey)}
}

func (j pairJSON) whole() bool { return j.ID != "" && j.Token != "" && j.EncodingAESKey != "" }

// CallbackPairs reads the pairs of a callback; [archive.ErrNotFound] if it has
// none.
func (s *Store) CallbackPairs(ctx context.Context, corp string, kind archive.CallbackKind) (CallbackPairs, error) {
	name := s.callbackName(corp, kind)
	text, err := s.get(ctx, name)
	if err != nil {
		return CallbackPairs{}, err
	}
	var j pairsJSON
	if json.Unmarshal([]byte(text.Reveal()), &j) != nil || !j.Newest.whole() || j.Old != nil && !j.Old.whole() {
		// The JSON error is dropped: it may quote the secret.
		return CallbackPairs{}, wrap("read", name, archive.ErrCorrupt)
	}
	pairs := CallbackPairs{Newest: j.Newest.pair()}
	if j.Old != nil {
		pairs.Old = j.Old.pair()
	}
	return pairs, nil
}

// CreateCallbackPair stores the first pair of a callback; [archive.ErrExists] if
// the callback has a pair.
func (s *Store) CreateCallbackPair(ctx context.Context, corp string, kind archive.CallbackKind, pair CallbackPair) error {
	name := s.callbackName(corp, kind)
	text, err := json.Marshal(pairsJSON{Newest: pair.stored()})
	if err != nil {
		return wrap("encode", name, err)
	}
	return s.create(ctx, corp, name, secret.New(string(text)))
}

// ReplaceCallbackPair stores a pair as the newest after the pair with the id old,
// which stays as the one before it. A pair is replaced once: if another call has
// replaced it, the pair of that call is returned, and nothing is stored. A pair
// that is no longer one of the two is [archive.ErrConflict].
func (s *Store) ReplaceCallbackPair(ctx context.Context, corp string, kind archive.CallbackKind, old string, pair CallbackPair) (CallbackPair, error) {
	name := s.callbackName(corp, kind)
	now, err := s.CallbackPairs(ctx, corp, kind)
	if err != nil {
		return CallbackPair{}, err
	}
	if now.Newest.ID == old {
		if err = s.putSuccessor(ctx, name, pair, now.Newest); !errors.Is(err, archive.ErrExists) {
			return pair, err
		}
		if now, err = s.CallbackPairs(ctx, corp, kind); err != nil {
			return CallbackPair{}, err
		}
	}
	if now.Old.ID != old {
		return CallbackPair{}, wrap("replace", name, archive.ErrConflict)
	}
	return now.Newest, nil
}

// putSuccessor stores a pair after another; [archive.ErrExists] if that one has a
// successor. The id of the secret's version decides this, because it follows from
// the id of the pair that is replaced, and Secrets Manager takes a version once.
func (s *Store) putSuccessor(ctx context.Context, name string, pair, old CallbackPair) error {
	before := old.stored()
	b, err := json.Marshal(pairsJSON{Newest: pair.stored(), Old: &before})
	if err != nil {
		return wrap("encode", name, err)
	}
	sum := sha256.Sum256([]byte(old.ID))
	text, version := string(b), hex.EncodeToString(sum[:])
	_, err = s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &text, ClientRequestToken: &version})
	return wrap("replace", name, known(err))
}

// callbackNames are the last parts of the secrets' names.
var callbackNames = map[archive.CallbackKind]string{archive.ArchiveCallback: "callback", archive.AppCallback: "appcallback"}

func (s *Store) callbackName(corp string, kind archive.CallbackKind) string {
	return s.prefix + "/" + corp + "/" + callbackNames[kind]
}
