package decode

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// keySettles is how long after a key was added the secret store may not show
// it. A page that needs it is tried again until then.
const keySettles = 10 * time.Minute

// versionKeys says which keys to try for which version, while one page is
// decoded. Safe for concurrent use.
type versionKeys struct {
	mu       sync.Mutex
	set      archive.KeySet
	bound    map[uint32]string // proved, before or during this page
	missing  map[string]bool   // in the table, but of no use in the secret store
	young    map[string]bool   // made so lately that the secret store may not show them yet
	fetch    func(keyID string) (Opener, error)
	fetching map[string]Opener
}

func (p *pageDecode) loadKeys(ctx context.Context) (*versionKeys, error) {
	set, err := p.Keys.KeySet(ctx, p.row.Corp)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	k := &versionKeys{
		set:     set,
		bound:   make(map[uint32]string),
		young:   make(map[string]bool),
		missing: make(map[string]bool), fetching: make(map[string]Opener),
	}
	for _, b := range set.Bindings {
		k.bound[b.Version] = b.KeyID
	}
	for _, key := range set.Keys {
		k.young[key.ID] = p.Now().Sub(key.CreatedAt) < keySettles
	}
	k.fetch = func(id string) (Opener, error) {
		o, err := p.Openers.Opener(ctx, p.row.Corp, id)
		if errors.Is(err, archive.ErrNotFound) || errors.Is(err, archive.ErrCorrupt) {
			p.Log.ErrorContext(ctx, "private key cannot be had from the secret store", "corp", p.row.Corp, "key", id, "err", err)
		}
		return o, err
	}
	return k, nil
}

// prove notes that the key opened a message of the version. It reports false
// if the version was bound already.
func (k *versionKeys) prove(version uint32, keyID string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.bound[version]; ok {
		return false
	}
	k.bound[version] = keyID
	return true
}

// candidates lists the ids of the keys to try for a version, in the order of
// their likelihood: proved for it, claimed for it, never proved, proved for
// another version (the same public key may be pasted twice), the newest first.
// Neither a claim nor a proof keeps a key from being tried (law 6): a company
// that closes its archive and opens it again may begin its versions anew. bound
// is the key that was proved, empty if none was.
func (k *versionKeys) candidates(version uint32) (ids []string, bound string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	bound = k.bound[version]
	proved := make(map[string]bool)
	for _, id := range k.bound {
		proved[id] = true
	}
	rank := func(key archive.Key) int {
		switch {
		case key.ID == bound:
			return 0
		case key.ClaimedVersion == version && version != 0:
			return 1
		case !proved[key.ID]:
			return 2
		}
		return 3
	}
	keys := slices.SortedStableFunc(slices.Values(k.set.Keys), func(a, b archive.Key) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), b.CreatedAt.Compare(a.CreatedAt))
	})
	for _, key := range keys {
		ids = append(ids, key.ID)
	}
	return ids, bound
}

// opener fetches a private key once per page. It answers [archive.ErrNotFound] for a
// key that the secret store does not have, or not as it was made.
func (k *versionKeys) opener(id string) (Opener, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.missing[id] {
		return nil, archive.ErrNotFound
	}
	if o, ok := k.fetching[id]; ok {
		return o, nil
	}
	o, err := k.fetch(id)
	if errors.Is(err, archive.ErrNotFound) || errors.Is(err, archive.ErrCorrupt) {
		k.missing[id] = true
		return nil, archive.ErrNotFound
	}
	if err == nil {
		k.fetching[id] = o
	}
	return o, err
}

// unopened is the reason for a record of the version that no key opened. It is
// asked when the page has been decoded, so that the order in which records
// proved keys does not show in it.
func (k *versionKeys) unopened(version uint32) archive.Reason {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id, ok := k.bound[version]; ok && !k.missing[id] {
		return archive.ReasonBadKey
	}
	return archive.ReasonNoKey
}

// opened is a record's encrypt_random_key after the private-key operation.
type opened struct {
	candidates []candidate
	reason     archive.Reason // set if there is no candidate, nor an err
	detail     string
	// err: a key could not be read. If no candidate is the right one the page
	// must be tried again.
	err error
}

// candidate is a key text that one key gave.
type candidate struct {
	keyID string
	bound bool
	text  []byte
}

// openings are the records of a page, being opened in parallel.
type openings struct {
	results []opened
	ready   []chan struct{}
}

// wait returns the i-th record's result once it is there.
func (o *openings) wait(ctx context.Context, i int) (opened, error) {
	select {
	case <-o.ready[i]:
		return o.results[i], nil
	case <-ctx.Done():
		return opened{}, ctx.Err()
	}
}

// openAll begins to open the records, some at a time and in order, until ctx
// ends.
func (p *pageDecode) openAll(ctx context.Context, records []archive.Record) *openings {
	o := &openings{results: make([]opened, len(records)), ready: make([]chan struct{}, len(records))}
	next := make(chan int)
	for i := range records {
		o.ready[i] = make(chan struct{})
	}
	go func() {
		defer close(next)
		for i := range records {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	for range max(1, p.Parallel) {
		go func() {
			for i := range next {
				o.results[i] = p.keys.open(records[i])
				close(o.ready[i])
			}
		}()
	}
	return o
}

// open tries the keys on one record. Several may seem to fit: PKCS#1 padding
// comes out right by chance once in some ten thousand times.
func (k *versionKeys) open(rec archive.Record) opened {
	if rec.RandomKey == "" || rec.Message == "" {
		return opened{reason: archive.ReasonBadRecord, detail: "field missing"}
	}
	sealed, err := base64.StdEncoding.DecodeString(rec.RandomKey)
	if err != nil {
		return opened{reason: archive.ReasonBadRecord, detail: "encrypt_random_key is not base64"}
	}
	ids, bound := k.candidates(rec.KeyVersion)
	var out opened
	for _, id := range ids {
		opener, err := k.opener(id)
		switch {
		case errors.Is(err, archive.ErrNotFound) && !k.young[id]:
			continue
		case errors.Is(err, archive.ErrNotFound):
			out.err = fmt.Errorf("private key %s is new and cannot be read yet", id)
			continue
		case err != nil:
			out.err = fmt.Errorf("read private key %s: %w", id, err)
			continue
		}
		text, err := opener.Open(sealed)
		if err != nil || !plausible(text) {
			continue
		}
		out.candidates = append(out.candidates, candidate{keyID: id, bound: id == bound, text: text})
		if id == bound {
			break // a proof, and it fits: no other has to be tried
		}
	}
	if len(out.candidates) == 0 && out.err == nil {
		out.reason = archive.ReasonNoKey
	}
	return out
}

// plausible reports whether an opened text can be a key text: printable, not
// empty, not long (wecom.md 1.6).
func plausible(text []byte) bool {
	if len(text) == 0 || len(text) > maxKeyText {
		return false
	}
	return !slices.ContainsFunc(text, func(c byte) bool { return c < 0x21 || c > 0x7e })
}
