package archivetest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// Notifier is a [watch.Notifier] that keeps the messages to people.
type Notifier struct {
	t      testing.TB
	faults *Faults
	mu     sync.Mutex
	sent   [][]watch.Change
}

var _ watch.Notifier = (*Notifier)(nil)

// NewNotifier makes a notifier that has sent no message.
func NewNotifier(t testing.TB, f *Faults) *Notifier { return &Notifier{t: t, faults: f} }

// Notify implements [watch.Notifier].
func (n *Notifier) Notify(ctx context.Context, changes []watch.Change) error {
	return write(ctx, n.faults, "Notifier.Notify", "", func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, c := range changes {
			if c.Corp == "" || c.From == "" || c.From == c.To || c.To != changes[0].To {
				n.t.Errorf("notified of %s going from %q to %q among changes to %q", c.Corp, c.From, c.To, changes[0].To)
			}
		}
		if len(changes) == 0 || len(changes) > watch.NotifyMost {
			n.t.Errorf("notified of %d changes in one message, want 1 to %d", len(changes), watch.NotifyMost)
		}
		n.sent = append(n.sent, slices.Clone(changes))
		return nil
	})
}

// Take removes and returns the messages, in the order in which they were sent.
func (n *Notifier) Take() [][]watch.Change {
	n.mu.Lock()
	defer n.mu.Unlock()
	sent := n.sent
	n.sent = nil
	return sent
}
