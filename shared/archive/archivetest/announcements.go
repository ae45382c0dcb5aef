package archivetest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// Announcements is a [decode.Announcer] that keeps what it announced.
type Announcements struct {
	t       testing.TB
	mu      sync.Mutex
	updates []decode.Update
}

var _ decode.Announcer = (*Announcements)(nil)

// NewAnnouncements makes one that has announced nothing.
func NewAnnouncements(t testing.TB) *Announcements { return &Announcements{t: t} }

// AnnounceMessages implements [decode.Announcer].
func (a *Announcements) AnnounceMessages(_ context.Context, corp string, updates []decode.Update) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, u := range updates {
		if corp == "" || u.Conversation == "" || u.Seq == 0 || u.LastAt.IsZero() || !slices.IsSorted(u.Parties) {
			a.t.Errorf("corp %q announced %+v", corp, u)
		}
	}
	a.updates = append(a.updates, updates...)
}

// Take removes and returns the updates, in the order in which they were announced.
func (a *Announcements) Take() []decode.Update {
	a.mu.Lock()
	defer a.mu.Unlock()
	updates := a.updates
	a.updates = nil
	return updates
}
