package archivetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Journal is an [archive.Journal].
type Journal struct {
	t       testing.TB
	faults  *Faults
	mu      sync.Mutex
	objects map[string][]byte
	written map[string]time.Time
	gaps    map[string]archive.Row // of the evidence, by the name of the object
	heads   map[string]archive.Head
	now     func() time.Time
}

var _ JournalStore = (*Journal)(nil)

// NewJournal makes an empty journal.
func NewJournal(t testing.TB, f *Faults) *Journal {
	return &Journal{
		t: t, faults: f, objects: make(map[string][]byte), written: make(map[string]time.Time), gaps: make(map[string]archive.Row), heads: make(map[string]archive.Head), now: time.Now,
	}
}

func pageName(r archive.Row) string {
	return fmt.Sprintf("%s/pages/%020d-%s", r.Corp, r.After, r.Sum)
}

func gapName(r archive.Row) string {
	return fmt.Sprintf("%s/gaps/%020d-%s", r.Corp, r.After, r.Sum)
}

func messageName(corp string, o archive.Overflow) string {
	return corp + "/messages/" + o.Sum
}

// Sum is the hex SHA-256 of b.
func Sum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// PutPage implements [archive.Journal].
func (j *Journal) PutPage(ctx context.Context, row archive.Row, page []byte) error {
	return write(ctx, j.faults, "Journal.PutPage", row.Corp, func() error {
		if row.Kind != archive.PageRow {
			j.t.Errorf("PutPage of a row of kind %q after seq %d", row.Kind, row.After)
		}
		if row.Hash != archive.ChainHash(row) {
			j.t.Errorf("PutPage after seq %d: hash differs from that of the row", row.After)
		}
		return j.put(pageName(row), row.Sum, row.Size, page)
	})
}

// PutGap implements [archive.Journal].
func (j *Journal) PutGap(ctx context.Context, row archive.Row) error {
	return write(ctx, j.faults, "Journal.PutGap", row.Corp, func() error {
		if row.Kind != archive.GapRow || row.Hash != archive.ChainHash(row) {
			j.t.Errorf("PutGap of a row of kind %q after seq %d, hash right: %v", row.Kind, row.After, row.Hash == archive.ChainHash(row))
		}
		if err := j.put(gapName(row), row.Sum, len(row.Evidence), []byte(row.Evidence)); err != nil {
			return err
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		if _, ok := j.gaps[gapName(row)]; !ok {
			j.gaps[gapName(row)] = row
		}
		return nil
	})
}

// Gap implements [archive.Journal].
func (j *Journal) Gap(ctx context.Context, row archive.Row) error {
	_, err := read(ctx, j.faults, "Journal.Gap", row.Corp, func() ([]byte, error) {
		evidence, err := j.get(gapName(row), row.Sum)
		j.mu.Lock()
		defer j.mu.Unlock()
		if is := j.gaps[gapName(row)]; err == nil && (is.Last != row.Last || is.Reason != row.Reason) {
			err = archive.ErrCorrupt
		}
		return evidence, err
	})
	return err
}

// Pages implements [archive.Journal].
func (j *Journal) Pages(ctx context.Context, corp string, from uint64) iter.Seq2[archive.PageObject, error] {
	return func(yield func(archive.PageObject, error) bool) {
		list, err := read(ctx, j.faults, "Journal.Pages", corp, func() ([]archive.PageObject, error) { return j.pages(corp, from), nil })
		for _, p := range list {
			if !yield(p, nil) {
				return
			}
		}
		if err != nil {
			yield(archive.PageObject{}, err)
		}
	}
}

func (j *Journal) pages(corp string, from uint64) (list []archive.PageObject) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(j.objects)) {
		var p archive.PageObject
		rest, ok := strings.CutPrefix(name, corp+"/pages/")
		if _, err := fmt.Sscanf(rest, "%d-%s", &p.After, &p.Sum); ok && err == nil && p.After >= from {
			p.Size, p.At = len(j.objects[name]), j.written[name]
			list = append(list, p)
		}
	}
	return list
}

// PutMessage implements [archive.Journal].
func (j *Journal) PutMessage(ctx context.Context, corp string, o archive.Overflow, raw []byte) error {
	return write(ctx, j.faults, "Journal.PutMessage", corp, func() error {
		return j.put(messageName(corp, o), o.Sum, o.Size, raw)
	})
}

func (j *Journal) put(name, sum string, size int, b []byte) error {
	if sum != Sum(b) || size != len(b) {
		j.t.Errorf("journal object %s: digest or size differs from that of its %d bytes", name, len(b))
		return errors.New("digest or size differs from that of the bytes")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, ok := j.objects[name]; !ok {
		j.objects[name], j.written[name] = bytes.Clone(b), kept(j.now())
	}
	return nil
}

// Page implements [archive.Journal].
func (j *Journal) Page(ctx context.Context, row archive.Row) ([]byte, error) {
	return read(ctx, j.faults, "Journal.Page", row.Corp, func() ([]byte, error) {
		return j.get(pageName(row), row.Sum)
	})
}

// Message implements [archive.Journal].
func (j *Journal) Message(ctx context.Context, corp string, o archive.Overflow) ([]byte, error) {
	return read(ctx, j.faults, "Journal.Message", corp, func() ([]byte, error) {
		return j.get(messageName(corp, o), o.Sum)
	})
}

func (j *Journal) get(name, sum string) ([]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b, ok := j.objects[name]
	switch {
	case !ok:
		return nil, archive.ErrNotFound
	case Sum(b) != sum:
		return nil, archive.ErrCorrupt
	}
	return bytes.Clone(b), nil
}

// PutHead implements [watch.HeadWriter].
func (j *Journal) PutHead(ctx context.Context, day archive.Day, head archive.Head) error {
	return write(ctx, j.faults, "Journal.PutHead", head.Corp, func() error {
		if day.Start().IsZero() {
			j.t.Errorf("PutHead for %q, which is not a day", day)
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		name := head.Corp + "/" + string(day)
		if _, ok := j.heads[name]; !ok {
			head.At = kept(head.At).Truncate(time.Millisecond)
			j.heads[name], j.written[name] = head, kept(j.now())
		}
		return nil
	})
}

// Heads implements [archive.Journal].
func (j *Journal) Heads(ctx context.Context, corp string) iter.Seq2[archive.HeadObject, error] {
	return func(yield func(archive.HeadObject, error) bool) {
		list, err := read(ctx, j.faults, "Journal.Heads", corp, func() (list []archive.HeadObject, _ error) {
			j.mu.Lock()
			defer j.mu.Unlock()
			for _, name := range slices.Sorted(maps.Keys(j.heads)) {
				if day, ok := strings.CutPrefix(name, corp+"/"); ok {
					list = append(list, archive.HeadObject{Day: archive.Day(day), At: j.written[name]})
				}
			}
			return list, nil
		})
		for _, h := range list {
			if !yield(h, nil) {
				return
			}
		}
		if err != nil {
			yield(archive.HeadObject{}, err)
		}
	}
}

// Head implements [archive.Journal].
func (j *Journal) Head(ctx context.Context, corp string, day archive.Day) (archive.Head, error) {
	return read(ctx, j.faults, "Journal.Head", corp, func() (archive.Head, error) {
		j.mu.Lock()
		defer j.mu.Unlock()
		h, ok := j.heads[corp+"/"+string(day)]
		if !ok {
			return archive.Head{}, archive.ErrNotFound
		}
		return h, nil
	})
}

// Damage changes a byte of a row's stored page. A change like this needs access
// to the bucket.
func (j *Journal) Damage(row archive.Row) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := bytes.Clone(j.objects[pageName(row)])
	b[len(b)/2] ^= 1
	j.objects[pageName(row)] = b
}

// Lose removes a row's stored page. A removal like this needs access to the
// bucket.
func (j *Journal) Lose(row archive.Row) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.objects, pageName(row))
}

// LoseGap removes the evidence of a gap.
func (j *Journal) LoseGap(row archive.Row) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.objects, gapName(row))
}

// LoseHead removes a day's head.
func (j *Journal) LoseHead(corp string, day archive.Day) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.heads, corp+"/"+string(day))
}

// DamageMessage changes a byte of a large message.
func (j *Journal) DamageMessage(corp string, o archive.Overflow) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := bytes.Clone(j.objects[messageName(corp, o)])
	b[len(b)/2] ^= 1
	j.objects[messageName(corp, o)] = b
}

// LoseMessage removes the stored bytes of a large message.
func (j *Journal) LoseMessage(corp string, o archive.Overflow) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.objects, messageName(corp, o))
}

func (j *Journal) holds(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, ok := j.objects[name]
	return ok
}
