package archivetest

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// Corps is a [CorpStore].
type Corps struct {
	t      testing.TB
	faults *Faults
	mu     sync.Mutex
	corps  map[string]*corpItems
}

type corpItems struct {
	corp      *archive.Corp // nil: the corp was never registered
	keys      map[string]archive.Key
	bindings  map[uint32]archive.Binding
	quota     archive.KeyQuota
	callbacks map[archive.CallbackKind]archive.Callback
	events    []archive.Event
	counts    map[archive.Day]archive.EventCount // by day of arrival
}

var _ CorpStore = (*Corps)(nil)

// NewCorps makes an empty store.
func NewCorps(t testing.TB, f *Faults) *Corps {
	return &Corps{t: t, faults: f, corps: make(map[string]*corpItems)}
}

// of returns what is stored of the corp. The caller holds mu.
func (c *Corps) of(id string) *corpItems {
	i, ok := c.corps[id]
	if !ok {
		i = &corpItems{
			keys: make(map[string]archive.Key), bindings: make(map[uint32]archive.Binding), quota: archive.NewKeyQuota(),
			callbacks: make(map[archive.CallbackKind]archive.Callback), counts: make(map[archive.Day]archive.EventCount),
		}
		c.corps[id] = i
	}
	return i
}

// Corp implements [archive.CorpReader].
func (c *Corps) Corp(ctx context.Context, id string) (archive.Corp, error) {
	return read(ctx, c.faults, "Corps.Corp", id, func() (archive.Corp, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if corp := c.of(id).corp; corp != nil {
			return *corp, nil
		}
		return archive.Corp{}, archive.ErrNotFound
	})
}

// Corps implements [watch.CorpLister].
func (c *Corps) Corps(ctx context.Context) iter.Seq2[archive.Corp, error] {
	return func(yield func(archive.Corp, error) bool) {
		corps, err := read(ctx, c.faults, "Corps.Corps", "", func() ([]archive.Corp, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			var corps []archive.Corp
			for _, i := range c.corps {
				if i.corp != nil {
					corps = append(corps, *i.corp)
				}
			}
			return corps, nil
		})
		for _, corp := range corps {
			if !yield(corp, nil) {
				return
			}
		}
		if err != nil {
			yield(archive.Corp{}, err)
		}
	}
}

// CreateCorp registers a corp. It returns [archive.ErrExists] if the corp is
// registered.
func (c *Corps) CreateCorp(ctx context.Context, corp archive.Corp) error {
	return write(ctx, c.faults, "Corps.CreateCorp", corp.ID, func() error {
		if !archive.ValidCorpID(corp.ID) {
			c.t.Errorf("CreateCorp of %q, which is not a corpid", corp.ID)
		}
		for _, at := range []*time.Time{&corp.CreatedAt, &corp.EnabledAt, &corp.SecretSetAt, &corp.CallbackAt, &corp.OpenOKAt, &corp.OpenRefusedAt, &corp.StateAt} {
			*at = kept(*at)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.of(corp.ID).corp != nil {
			return archive.ErrExists
		}
		c.of(corp.ID).corp = &corp
		return nil
	})
}

// change changes a registered corp. It returns [archive.ErrNotFound] for a corp
// that is not registered.
func (c *Corps) change(ctx context.Context, method, id string, do func(*archive.Corp)) error {
	return write(ctx, c.faults, "Corps."+method, id, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		corp := c.of(id).corp
		if corp == nil {
			return archive.ErrNotFound
		}
		do(corp)
		return nil
	})
}

// Rename gives the corp another name. It returns [archive.ErrNotFound] for a corp
// that is not registered.
func (c *Corps) Rename(ctx context.Context, id, name string) error {
	return c.change(ctx, "Rename", id, func(corp *archive.Corp) { corp.Name = name })
}

// SetEnabled switches pulling on or off. The first time that it is switched on,
// EnabledAt becomes at. It returns [archive.ErrNotFound] for a corp that is not
// registered.
func (c *Corps) SetEnabled(ctx context.Context, id string, enabled bool, by, reason string, at time.Time) error {
	return c.change(ctx, "SetEnabled", id, func(corp *archive.Corp) {
		corp.StateAt, corp.StateBy, corp.StateReason = kept(at), by, reason
		if enabled && corp.EnabledAt.IsZero() {
			corp.EnabledAt = kept(at)
		}
		corp.Enabled = enabled
	})
}

// SetSecret notes that an archive secret is being saved. It returns
// [archive.ErrNotFound] for a corp that is not registered.
func (c *Corps) SetSecret(ctx context.Context, id, prefix string, at time.Time) error {
	return c.change(ctx, "SetSecret", id, func(corp *archive.Corp) {
		corp.SecretPrefix, corp.SecretSetAt, corp.SecretDigest = prefix, kept(at), ""
		corp.OpenOKAt, corp.OpenRefusedAt, corp.OpenCause, corp.OpenCode = time.Time{}, time.Time{}, "", 0
	})
}

// NoteSecret notes that the secret store has the secret that was saved at setAt. It
// notes nothing if another one was saved since.
func (c *Corps) NoteSecret(ctx context.Context, id string, setAt time.Time, d secret.Digest) error {
	return c.change(ctx, "NoteSecret", id, func(corp *archive.Corp) {
		if corp.SecretSetAt.Equal(kept(setAt)) {
			corp.SecretDigest = d
		}
	})
}

// NoteOpen notes what WeCom answered about the secret that was saved at setAt. It
// notes nothing if another one was saved since.
func (c *Corps) NoteOpen(ctx context.Context, id string, setAt time.Time, a archive.OpenAnswer) error {
	return c.change(ctx, "NoteOpen", id, func(corp *archive.Corp) {
		if corp.SecretSetAt.Equal(setAt) {
			corp.OpenOKAt, corp.OpenRefusedAt, corp.OpenCause, corp.OpenCode = kept(a.OKAt), kept(a.RefusedAt), a.Cause, a.Code
		}
	})
}

// TouchCallback notes that an authentic callback arrived. It notes nothing if less
// than [archive.CallbackTouch] has passed since the last note. It returns
// [archive.ErrNotFound] for a corp that is not registered.
func (c *Corps) TouchCallback(ctx context.Context, id string, at time.Time) error {
	return c.change(ctx, "TouchCallback", id, func(corp *archive.Corp) {
		if at.Sub(corp.CallbackAt) >= archive.CallbackTouch {
			corp.CallbackAt = kept(at)
		}
	})
}

// AddKey adds a key. If makeCurrent, the same transaction makes it the corp's
// CurrentKey. The errors, in the order in which they are checked:
//   - [archive.ErrExists]: the corp has the key
//   - [archive.ErrNotFound]: the corp is not registered
//   - [archive.ErrConflict]: makeCurrent, and CurrentKey differs from prevCurrent
func (c *Corps) AddKey(ctx context.Context, id string, k archive.Key, makeCurrent bool, prevCurrent string) error {
	return write(ctx, c.faults, "Corps.AddKey", id, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := c.of(id)
		switch _, there := i.keys[k.ID]; {
		case there:
			return archive.ErrExists
		case i.corp == nil:
			return archive.ErrNotFound
		case makeCurrent && i.corp.CurrentKey != prevCurrent:
			return archive.ErrConflict
		}
		k.CreatedAt, k.ClaimedAt, k.LastUsedAt = kept(k.CreatedAt), kept(k.ClaimedAt), kept(k.LastUsedAt)
		i.keys[k.ID] = k
		if makeCurrent {
			i.corp.CurrentKey = k.ID
		}
		return nil
	})
}

// Claim notes the version that a person typed for a key; 0 removes the note. It
// returns [archive.ErrNotFound] for a key that the corp does not have.
func (c *Corps) Claim(ctx context.Context, id, keyID string, version uint32, by string, at time.Time) error {
	return c.changeKey(ctx, "Corps.Claim", id, keyID, func(k *archive.Key) {
		k.ClaimedVersion, k.ClaimedBy, k.ClaimedAt = version, by, kept(at)
		if version == 0 {
			k.ClaimedBy, k.ClaimedAt = "", time.Time{}
		}
	})
}

// TouchKey implements [decode.Keys].
func (c *Corps) TouchKey(ctx context.Context, id, keyID string, at time.Time) error {
	return c.changeKey(ctx, "Corps.TouchKey", id, keyID, func(k *archive.Key) {
		if k.LastUsedAt.Before(at) {
			k.LastUsedAt = kept(at)
		}
	})
}

// NoteRetried notes that the job that tries an imported key is requested. It
// returns [archive.ErrNotFound] for a key that the corp does not have.
func (c *Corps) NoteRetried(ctx context.Context, id, keyID string) error {
	return c.changeKey(ctx, "Corps.NoteRetried", id, keyID, func(k *archive.Key) { k.Retried = true })
}

// changeKey is the call op, which changes a key that the corp has.
func (c *Corps) changeKey(ctx context.Context, op, id, keyID string, change func(*archive.Key)) error {
	return write(ctx, c.faults, op, id, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		keys := c.of(id).keys
		k, ok := keys[keyID]
		if !ok {
			return archive.ErrNotFound
		}
		change(&k)
		keys[keyID] = k
		return nil
	})
}

// KeySet implements [decode.Keys].
func (c *Corps) KeySet(ctx context.Context, id string) (archive.KeySet, error) {
	return read(ctx, c.faults, "Corps.KeySet", id, func() (archive.KeySet, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := c.of(id)
		var set archive.KeySet
		set.Keys = slices.SortedFunc(maps.Values(i.keys), func(a, b archive.Key) int {
			return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
		})
		for _, version := range slices.Sorted(maps.Keys(i.bindings)) {
			set.Bindings = append(set.Bindings, i.bindings[version])
		}
		return set, nil
	})
}

// Bind implements [decode.Keys].
func (c *Corps) Bind(ctx context.Context, id string, b archive.Binding) error {
	return write(ctx, c.faults, "Corps.Bind", id, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := c.of(id)
		if _, ok := i.keys[b.KeyID]; !ok {
			c.t.Errorf("version %d of %s bound to key %q, which the corp does not have", b.Version, id, b.KeyID)
		}
		if _, ok := i.bindings[b.Version]; ok {
			return archive.ErrExists
		}
		b.At = kept(b.At)
		i.bindings[b.Version] = b
		return nil
	})
}

// KeyQuota reads the corp's quota of keys. A corp that used nothing of it has
// [archive.NewKeyQuota].
func (c *Corps) KeyQuota(ctx context.Context, id string) (archive.KeyQuota, error) {
	return read(ctx, c.faults, "Corps.KeyQuota", id, func() (archive.KeyQuota, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.of(id).quota, nil
	})
}

// SaveKeyQuota replaces the quota that has the same Rev. It returns
// [archive.ErrConflict] if the stored quota has another.
func (c *Corps) SaveKeyQuota(ctx context.Context, id string, q archive.KeyQuota) error {
	return write(ctx, c.faults, "Corps.SaveKeyQuota", id, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := c.of(id)
		if i.quota.Rev != q.Rev {
			return archive.ErrConflict
		}
		q.Rev++
		i.quota = q
		return nil
	})
}

// Callback reads which pairs of a callback are accepted. It returns
// [archive.ErrNotFound] if the corp has no pair.
func (c *Corps) Callback(ctx context.Context, id string, kind archive.CallbackKind) (archive.Callback, error) {
	return read(ctx, c.faults, "Corps.Callback", id, func() (archive.Callback, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if cb, ok := c.of(id).callbacks[kind]; ok {
			return cb, nil
		}
		return archive.Callback{}, archive.ErrNotFound
	})
}

// CreateCallback stores the first pair of a callback. It returns
// [archive.ErrExists] if the callback has a pair.
func (c *Corps) CreateCallback(ctx context.Context, id string, kind archive.CallbackKind, cb archive.Callback) error {
	return write(ctx, c.faults, "Corps.CreateCallback", id, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := c.of(id)
		if _, there := i.callbacks[kind]; there {
			return archive.ErrExists
		}
		i.callbacks[kind] = keptCallback(cb)
		return nil
	})
}

// SwapCallback replaces a callback. It returns [archive.ErrConflict] if the pairs
// of the stored one are not those of from.
func (c *Corps) SwapCallback(ctx context.Context, id string, kind archive.CallbackKind, from, to archive.Callback) error {
	return write(ctx, c.faults, "Corps.SwapCallback", id, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := c.of(id)
		if now, there := i.callbacks[kind]; !there || now.Pair != from.Pair || now.Old != from.Old {
			return archive.ErrConflict
		}
		i.callbacks[kind] = keptCallback(to)
		return nil
	})
}

// NoteFirstEvent notes when the first event under a pair arrived. It changes
// nothing if the pair is not the newest, or if an event was noted before.
func (c *Corps) NoteFirstEvent(ctx context.Context, id string, kind archive.CallbackKind, pair string, at time.Time) error {
	return write(ctx, c.faults, "Corps.NoteFirstEvent", id, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := c.of(id)
		if cb, there := i.callbacks[kind]; there && cb.Pair == pair && cb.FirstEventAt.IsZero() {
			cb.FirstEventAt = kept(at)
			i.callbacks[kind] = cb
		}
		return nil
	})
}

// NoteVerified notes that WeCom checked the URL with the newest pair. It changes
// nothing if pair is not the newest.
func (c *Corps) NoteVerified(ctx context.Context, id string, kind archive.CallbackKind, pair string, at time.Time, from string) error {
	return c.noteCallback(ctx, "NoteVerified", id, kind, func(cb *archive.Callback) {
		if cb.Pair == pair {
			cb.VerifiedAt, cb.SeenFrom = at, from
		}
	})
}

// NoteEvent notes that an authentic event arrived.
func (c *Corps) NoteEvent(ctx context.Context, id string, kind archive.CallbackKind, at time.Time, from string) error {
	return c.noteCallback(ctx, "NoteEvent", id, kind, func(cb *archive.Callback) { cb.EventAt, cb.SeenFrom = at, from })
}

// NoteRefused notes the Refused fields of noted. It changes nothing if the Pair
// of noted is not the newest.
func (c *Corps) NoteRefused(ctx context.Context, id string, kind archive.CallbackKind, noted archive.Callback) error {
	return c.noteCallback(ctx, "NoteRefused", id, kind, func(cb *archive.Callback) {
		if cb.Pair == noted.Pair {
			cb.RefusedDay, cb.Refused, cb.RefusedAt, cb.RefusedWhy, cb.RefusedFrom = noted.RefusedDay, noted.Refused, noted.RefusedAt, noted.RefusedWhy, noted.RefusedFrom
		}
	})
}

func (c *Corps) noteCallback(ctx context.Context, method, id string, kind archive.CallbackKind, do func(*archive.Callback)) error {
	return write(ctx, c.faults, "Corps."+method, id, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := c.of(id)
		cb, there := i.callbacks[kind]
		if !there {
			return archive.ErrNotFound
		}
		do(&cb)
		i.callbacks[kind] = keptCallback(cb)
		return nil
	})
}

func keptCallback(cb archive.Callback) archive.Callback {
	for _, at := range []*time.Time{&cb.MadeAt, &cb.FirstEventAt, &cb.VerifiedAt, &cb.EventAt, &cb.RefusedAt} {
		*at = kept(*at)
	}
	return cb
}

// RecordEvent stores an event. The same type and body on the same day again
// change nothing. An event without room on the day of its arrival is only
// counted, and stored is false.
func (c *Corps) RecordEvent(ctx context.Context, id string, e archive.Event) (stored bool, _ error) {
	err := write(ctx, c.faults, "Corps.RecordEvent", id, func() error {
		e.SentAt, e.ArrivedAt, e.Body = kept(e.SentAt), kept(e.ArrivedAt), bytes.Clone(e.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		i := c.of(id)
		for _, old := range i.events {
			if archive.DayOf(old.At()) == archive.DayOf(e.At()) && old.Place() == e.Place() {
				stored = true
				return nil
			}
		}
		day := archive.DayOf(e.ArrivedAt)
		count := i.counts[day]
		most, room := e.Bounds()
		stored = count.Stored < most && count.Bytes <= room-e.Size()
		if stored {
			count.Stored++
			count.Bytes += e.Size()
			i.events = append(i.events, e)
		} else {
			count.Dropped++
		}
		i.counts[day] = count
		return nil
	})
	return stored && err == nil, err
}

// Events lists at most limit events of a day behind a place.
func (c *Corps) Events(ctx context.Context, id string, day archive.Day, place string, limit int) iter.Seq2[archive.Event, error] {
	return func(yield func(archive.Event, error) bool) {
		events, err := read(ctx, c.faults, "Corps.Events", id, func() ([]archive.Event, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			var events []archive.Event
			for _, e := range c.of(id).events {
				if archive.DayOf(e.At()) == day && e.Place() > place {
					e.Body = bytes.Clone(e.Body)
					events = append(events, e)
				}
			}
			slices.SortFunc(events, func(a, b archive.Event) int { return strings.Compare(a.Place(), b.Place()) })
			return events[:min(limit, len(events))], nil
		})
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(archive.Event{}, err)
		}
	}
}

// EventCount counts the events that arrived on a day.
func (c *Corps) EventCount(ctx context.Context, id string, day archive.Day) (archive.EventCount, error) {
	return read(ctx, c.faults, "Corps.EventCount", id, func() (archive.EventCount, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.of(id).counts[day], nil
	})
}
