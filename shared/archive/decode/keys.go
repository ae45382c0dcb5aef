package decode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// keySettles is how long the secret store may hide a key that was just added.
// Until then a page that needs the key is tried again.
const keySettles = 10 * time.Minute

// pageKeys says which keys to try for which version while one page is decoded.
// It fetches each private key once, whether that succeeds or not: a read that fails
// slowly must not take its time for each record. Safe for concurrent use.
type pageKeys struct {
	mu      sync.Mutex
	set     archive.KeySet
	proved  map[uint32]string // by version: the key that a message proved, before or during this page
	failed  map[string]error  // why the fetch of a key failed; see opener
	young   map[string]bool   // keys younger than keySettles
	openers map[string]Opener // keys fetched so far
	fetch   func(keyID string) (Opener, error)
}

// readKeys reads the corp's keys for this page.
func (p *pageDecode) readKeys(ctx context.Context) (*pageKeys, error) {
	set, err := p.cfg.Keys.KeySet(ctx, p.row.Corp)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	k := &pageKeys{
		set:     set,
		proved:  make(map[uint32]string),
		failed:  make(map[string]error),
		young:   make(map[string]bool),
		openers: make(map[string]Opener),
	}
	for _, b := range set.Bindings {
		k.proved[b.Version] = b.KeyID
	}
	for _, key := range set.Keys {
		k.young[key.ID] = p.cfg.Now().Sub(key.CreatedAt) < keySettles
	}
	k.fetch = func(id string) (Opener, error) {
		o, err := p.cfg.Openers.Opener(ctx, p.row.Corp, id)
		if errors.Is(err, archive.ErrNotFound) || errors.Is(err, archive.ErrCorrupt) {
			p.cfg.Log.ErrorContext(ctx, "private key unavailable", "corp", p.row.Corp, "key", id, "err", err)
		}
		return o, err
	}
	return k, nil
}

// prove notes that the key opened a message of the version. It reports false
// if a key was proved for the version already.
func (k *pageKeys) prove(version uint32, keyID string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.proved[version]; ok {
		return false
	}
	k.proved[version] = keyID
	return true
}

// candidates lists the ids of the keys to try for a version, the likeliest
// first:
//  1. the key proved for the version
//  2. keys claimed for it
//  3. keys that are proved for no version
//  4. keys proved for other versions: the same public key may be pasted twice
//
// Of equally likely keys the newest comes first. Every key is tried (law 6),
// because a company that closes its archive and opens it again may start again
// at version 1. proved is the first key, or empty if no key is proved.
func (k *pageKeys) candidates(version uint32) (ids []string, proved string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	proved = k.proved[version]
	provedForAny := make(map[string]bool)
	for _, id := range k.proved {
		provedForAny[id] = true
	}
	rank := func(key archive.Key) int {
		switch {
		case key.ID == proved:
			return 1
		case key.ClaimedVersion == version && version != 0:
			return 2
		case !provedForAny[key.ID]:
			return 3
		}
		return 4
	}
	keys := slices.SortedStableFunc(slices.Values(k.set.Keys), func(a, b archive.Key) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), b.CreatedAt.Compare(a.CreatedAt))
	})
	for _, key := range keys {
		ids = append(ids, key.ID)
	}
	return ids, proved
}

// opener fetches a private key once per page. It returns [archive.ErrNotFound]
// for a key that the secret store does not have, or has damaged.
func (k *pageKeys) opener(id string) (Opener, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.failed[id]; err != nil {
		return nil, err
	}
	if o, ok := k.openers[id]; ok {
		return o, nil
	}
	o, err := k.fetch(id)
	if errors.Is(err, archive.ErrNotFound) || errors.Is(err, archive.ErrCorrupt) {
		err = archive.ErrNotFound
	}
	if err != nil {
		k.failed[id] = err
		return nil, err
	}
	k.openers[id] = o
	return o, nil
}

// unopened returns the reason for a record of the version that no key opened.
// Call it after all records are decoded: then the reason does not depend on the
// order in which records proved keys.
func (k *pageKeys) unopened(version uint32) archive.Reason {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id, ok := k.proved[version]; ok && !errors.Is(k.failed[id], archive.ErrNotFound) {
		return archive.ReasonBadKey
	}
	return archive.ReasonNoKey
}
