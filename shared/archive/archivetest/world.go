package archivetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// World has every fake, linked so that they check the order of writes across each
// other. A ledger row needs its page in the journal. A finished page needs its
// messages in the view. A decode request needs its row in the ledger.
type World struct {
	Faults    *Faults
	Corps     *Corps
	Secrets   *Secrets
	Ledger    *Ledger
	Marks     *Marks
	Journal   *Journal
	View      *View
	Pulls     *PullQueue
	Decodes   *DecodeQueue
	Library   *Library
	Openers   *Openers
	Notified  *Notifier
	Files     *Files
	Objects   *Objects
	Media     *MediaQueue
	Announced *Announcements

	t testing.TB
}

// NewWorld makes an empty world. Its fakes complain to t.
func NewWorld(t testing.TB, f *Faults) *World {
	w := &World{
		Faults:    f,
		Corps:     NewCorps(t, f),
		Secrets:   NewSecrets(f),
		Ledger:    NewLedger(t, f),
		Marks:     NewMarks(t, f),
		Journal:   NewJournal(t, f),
		View:      NewView(t, f),
		Pulls:     NewPullQueue(t, f),
		Decodes:   NewDecodeQueue(t, f),
		Library:   NewLibrary(t, f),
		Openers:   NewOpeners(f),
		Notified:  NewNotifier(t, f),
		Files:     NewFiles(t, f),
		Objects:   NewObjects(t, f),
		Media:     NewMediaQueue(t, f),
		Announced: NewAnnouncements(t),
		t:         t,
	}
	w.Ledger.journal, w.Ledger.view = w.Journal, w.View
	w.View.journal = w.Journal
	w.Decodes.ledger = w.Ledger
	w.Files.objects = w.Objects
	w.Pulls.marks, w.Media.marks = w.Marks, w.Marks
	return w
}

// Check complains to t about everything that breaks an invariant: in the chains,
// in the journal, and in what decoded pages left in the view. It may be called at
// any moment between two calls.
func (w *World) Check() {
	w.t.Helper()
	w.Ledger.check()
}

// Secrets is an [archive.SecretReader].
type Secrets struct {
	faults *Faults
	mu     sync.Mutex
	values map[string]secret.Value
}

var _ archive.SecretReader = (*Secrets)(nil)

// NewSecrets makes an empty secret store.
func NewSecrets(f *Faults) *Secrets {
	return &Secrets{faults: f, values: make(map[string]secret.Value)}
}

// Put saves a corp's archive secret.
func (s *Secrets) Put(corp string, v secret.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[corp] = v
}

// ArchiveSecret implements [archive.SecretReader]. It remembers nothing.
func (s *Secrets) ArchiveSecret(ctx context.Context, corp string, _ time.Time) (secret.Value, error) {
	return read(ctx, s.faults, "Secrets.ArchiveSecret", corp, func() (secret.Value, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		v, ok := s.values[corp]
		if !ok {
			return secret.Value{}, archive.ErrNotFound
		}
		return v, nil
	})
}

// kept is a time as the stores keep it. It can be compared with ==.
func kept(t time.Time) time.Time { return t.UTC().Round(0) }

// PageRow makes the row of a page that follows head.
func PageRow(head archive.Head, page []byte, first, last uint64, count int, at time.Time) archive.Row {
	row := archive.Row{
		Corp:  head.Corp,
		Kind:  archive.PageRow,
		After: head.Last,
		First: first,
		Last:  last,
		Count: count,
		Sum:   Sum(page),
		Size:  len(page),
		At:    kept(at),
		Prev:  head.Hash,
		State: archive.RowRequested,
		Tries: 1,
	}
	row.Hash = archive.ChainHash(row)
	return row
}

// GapRow makes the row of a gap that follows head.
func GapRow(head archive.Head, last uint64, reason, evidence string, at time.Time) archive.Row {
	row := archive.Row{
		Corp:     head.Corp,
		Kind:     archive.GapRow,
		After:    head.Last,
		Last:     last,
		Sum:      Sum([]byte(evidence)),
		At:       kept(at),
		Reason:   reason,
		Evidence: evidence,
		Prev:     head.Hash,
		State:    archive.RowDecoded,
	}
	row.Hash = archive.ChainHash(row)
	return row
}
