package archivetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// TryLog is an [archive.TryLog].
type TryLog struct {
	faults *Faults

	mu    sync.Mutex
	tries map[archive.Way][]archive.Try // by At
	marks map[archive.Way]map[string]archive.Try
}

var _ archive.TryLog = (*TryLog)(nil)

// NewTryLog makes an empty one.
func NewTryLog(f *Faults) *TryLog {
	return &TryLog{faults: f, tries: make(map[archive.Way][]archive.Try), marks: make(map[archive.Way]map[string]archive.Try)}
}

// PutTry implements [archive.TryLog].
func (l *TryLog) PutTry(ctx context.Context, t archive.Try) error {
	return write(ctx, l.faults, "Ledger.PutTry", t.Corp, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		t.At, t.Registered = kept(t.At), kept(t.Registered)
		if t.Mark() {
			if l.marks[t.Way] == nil {
				l.marks[t.Way] = make(map[string]archive.Try)
			}
			l.marks[t.Way][t.Corp] = t
			return nil
		}
		list := l.tries[t.Way]
		at, _ := slices.BinarySearchFunc(list, t, func(a, b archive.Try) int { return a.At.Compare(b.At) })
		for i := at; i < len(list) && list[i].At.Equal(t.At); i++ {
			if list[i].Corp == t.Corp && list[i].By == t.By && list[i].ID == t.ID {
				list[i] = t
				return nil
			}
		}
		l.tries[t.Way] = slices.Insert(list, at, t)
		return nil
	})
}

// Tries implements [archive.TryLog].
func (l *TryLog) Tries(ctx context.Context, way archive.Way, since time.Time) ([]archive.Try, error) {
	return read(ctx, l.faults, "Ledger.Tries", "", func() ([]archive.Try, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		list := l.tries[way]
		at, _ := slices.BinarySearchFunc(list, since, func(t archive.Try, since time.Time) int { return t.At.Compare(since) })
		out := append(make([]archive.Try, 0, len(list)-at+len(l.marks[way])), list[at:]...)
		for _, mark := range l.marks[way] {
			out = append(out, mark)
		}
		return out, nil
	})
}
