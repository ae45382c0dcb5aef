package secretstore

import (
	"context"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// rememberFor bounds how long a value is used that an operator replaced without
// the API, which therefore has no new SecretSetAt.
const rememberFor = time.Hour

// Memory is a Store that remembers archive secrets: it reads one again when the
// corp's SecretSetAt has changed, not for every request. It also remembers the
// identities of the operator. It is safe for concurrent use.
type Memory struct {
	*Store
	now func() time.Time

	mu         sync.Mutex
	kept       map[string]remembered // by corp
	identities map[string]identity   // by name
}

type remembered struct {
	value         secret.Value
	setAt, readAt time.Time
}

type identity struct {
	corpID string
	secret secret.Value
	readAt time.Time
}

var _ archive.SecretReader = (*Memory)(nil)

// NewMemory makes an empty memory of what s holds.
func NewMemory(s *Store, now func() time.Time) *Memory {
	return &Memory{Store: s, now: now, kept: make(map[string]remembered), identities: make(map[string]identity)}
}

// ArchiveSecret returns the corp's archive secret. A value that was read within
// [archive.SecretSettles] of setAt may be the secret before that, so it is
// returned and not remembered.
func (m *Memory) ArchiveSecret(ctx context.Context, corp string, setAt time.Time) (secret.Value, error) {
	now := m.now()
	m.mu.Lock()
	r, ok := m.kept[corp]
	m.mu.Unlock()
	if ok && r.setAt.Equal(setAt) && now.Sub(r.readAt) < rememberFor {
		return r.value, nil
	}
	value, err := m.Store.ArchiveSecret(ctx, corp)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil || now.Before(setAt.Add(archive.SecretSettles)) {
		delete(m.kept, corp)
		return value, err
	}
	m.kept[corp] = remembered{value: value, setAt: setAt, readAt: now}
	return value, nil
}

// Identity is [Store.Identity].
func (m *Memory) Identity(ctx context.Context, name string) (corpID string, archiveSecret secret.Value, err error) {
	now := m.now()
	m.mu.Lock()
	id, ok := m.identities[name]
	m.mu.Unlock()
	if ok && now.Sub(id.readAt) < rememberFor {
		return id.corpID, id.secret, nil
	}
	corpID, archiveSecret, err = m.Store.Identity(ctx, name)
	if err == nil {
		m.mu.Lock()
		m.identities[name] = identity{corpID, archiveSecret, now}
		m.mu.Unlock()
	}
	return corpID, archiveSecret, err
}
