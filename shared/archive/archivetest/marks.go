package archivetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Marks is an [archive.Marks].
type Marks struct {
	t      testing.TB
	faults *Faults
	mu     sync.Mutex
	marks  map[[2]string]archive.Mark // by corp and work
}

var _ archive.Marks = (*Marks)(nil)

// NewMarks makes a store without marks.
func NewMarks(t testing.TB, f *Faults) *Marks {
	return &Marks{t: t, faults: f, marks: make(map[[2]string]archive.Mark)}
}

// of returns a mark. The caller holds mu.
func (s *Marks) of(corp, work string) archive.Mark {
	if m, ok := s.marks[[2]string{corp, work}]; ok {
		return m
	}
	return archive.Mark{Corp: corp, Work: work}
}

// put stores a mark. The caller holds mu.
func (s *Marks) put(m archive.Mark) {
	if m.Corp == "" || m.Work == "" {
		s.t.Errorf("mark %+v: want a corp and a work", m)
	}
	if !m.SentAt.IsZero() {
		m.SentAt = kept(m.SentAt)
	}
	s.marks[[2]string{m.Corp, m.Work}] = m
}

// SetMark implements [archive.Marks].
func (s *Marks) SetMark(ctx context.Context, m archive.Mark) (stored archive.Mark, err error) {
	err = write(ctx, s.faults, "Marks.SetMark", m.Corp, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if stored = s.of(m.Corp, m.Work); !stored.SentAt.IsZero() || stored.Wish != "" {
			return archive.ErrConflict
		}
		if err := s.mayReplace(m); err != nil {
			return err
		}
		s.put(m)
		stored = m
		return nil
	})
	return stored, err
}

// Mark implements [archive.Marks].
func (s *Marks) Mark(ctx context.Context, corp, work string) (archive.Mark, error) {
	return read(ctx, s.faults, "Marks.Mark", corp, func() (archive.Mark, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.of(corp, work), nil
	})
}

// ReplaceMark implements [archive.Marks].
func (s *Marks) ReplaceMark(ctx context.Context, old, now archive.Mark) error {
	return write(ctx, s.faults, "Marks.ReplaceMark", now.Corp, func() error {
		if old.Corp != now.Corp || old.Work != now.Work {
			s.t.Errorf("mark %s of %s replaced by %s of %s", old.Work, old.Corp, now.Work, now.Corp)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if stored := s.of(old.Corp, old.Work); !stored.SentAt.Equal(old.SentAt) || stored.Wish != old.Wish {
			return archive.ErrConflict
		}
		if err := s.mayReplace(now); err != nil {
			return err
		}
		s.put(now)
		return nil
	})
}

// mayReplace returns [archive.ErrNotFound] for a mark without a request that would
// be the first one. The caller holds mu.
func (s *Marks) mayReplace(m archive.Mark) error {
	if _, there := s.marks[[2]string{m.Corp, m.Work}]; !there && m.SentAt.IsZero() {
		return archive.ErrNotFound
	}
	return nil
}

// taken clears a mark, as the consumer of a request that was sent at a time does.
// A nil store has none.
func (s *Marks) taken(corp, work string, sentAt time.Time) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.of(corp, work).SentAt.After(sentAt) {
		s.put(archive.Mark{Corp: corp, Work: work})
	}
}

// TestMarks checks a store of marks.
func TestMarks(t *testing.T, s archive.Marks) {
	ctx := t.Context()
	corp, other := corpFor(t, 1), corpFor(t, 2)
	never := archive.Mark{Corp: corp, Work: "pull"}
	got, err := s.Mark(ctx, corp, "pull")
	ok(t, err)
	same(t, "a work that was never wanted", got, never)

	first := archive.Mark{Corp: corp, Work: "pull", SentAt: epoch, Wish: `{"corp":"问"}`}
	_, err = s.SetMark(ctx, first)
	ok(t, err)
	for _, m := range []archive.Mark{{Corp: other, Work: "pull", SentAt: epoch}, {Corp: corp, Work: "media/2", SentAt: epoch, Wish: "{}"}} {
		_, err := s.SetMark(ctx, m) // a mark of its own
		ok(t, err)
	}
	later := first
	later.SentAt, later.Wish = epoch.Add(time.Nanosecond), "{}"
	stored, err := s.SetMark(ctx, later)
	fails(t, "SetMark while a request waits", err, archive.ErrConflict)
	same(t, "the stored mark", stored, first)

	fails(t, "ReplaceMark of another request", s.ReplaceMark(ctx, later, never), archive.ErrConflict)
	wrong := first
	wrong.Wish = "{}"
	fails(t, "ReplaceMark of another wish", s.ReplaceMark(ctx, wrong, never), archive.ErrConflict)
	fails(t, "ReplaceMark of no mark", s.ReplaceMark(ctx, never, later), archive.ErrConflict)
	unsent := first
	unsent.SentAt = time.Time{}
	ok(t, s.ReplaceMark(ctx, first, unsent))
	stored, err = s.SetMark(ctx, later)
	fails(t, "SetMark while something is wanted", err, archive.ErrConflict)
	same(t, "the mark without a request", stored, unsent)

	ok(t, s.ReplaceMark(ctx, unsent, never))
	_, err = s.SetMark(ctx, later)
	ok(t, err)
	got, err = s.Mark(ctx, corp, "pull")
	ok(t, err)
	same(t, "the second mark", got, later)
	untouched, err := s.Mark(ctx, other, "pull")
	ok(t, err)
	same(t, "the other corp's mark", untouched, archive.Mark{Corp: other, Work: "pull", SentAt: epoch})
	fresh := archive.Mark{Corp: corp, Work: "inspect"}
	returned, wanted := fresh, fresh
	returned.Wish = "{}"
	wanted.SentAt = epoch
	_, err = s.SetMark(ctx, returned)
	fails(t, "the first mark without a request", err, archive.ErrNotFound)
	fails(t, "ReplaceMark without a request and without a mark", s.ReplaceMark(ctx, fresh, returned), archive.ErrNotFound)
	fails(t, "ReplaceMark of a request that has no mark", s.ReplaceMark(ctx, wanted, fresh), archive.ErrConflict)
	ok(t, s.ReplaceMark(ctx, fresh, wanted))
	ok(t, s.ReplaceMark(ctx, wanted, fresh))
	_, err = s.SetMark(ctx, returned)
	ok(t, err)
}
