package watch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

// Notified is what people were last notified of about a corp.
type Notified struct {
	Corp   string
	Health Health // empty before the first notification
	At     time.Time
	// Sending is the health of a notice that is being sent; empty if none is. After a
	// crash it says that people may have read that notice.
	Sending Health
}

// last returns the health that people may have read last, which becomes
// [Change.From]. It leaves out a notice about the present health that may have been
// sent. told is true if people were notified of the present health for certain, and
// of nothing since.
func (n Notified) last(present Health) (health Health, told bool) {
	health = n.Health
	if health == "" {
		health = Off
	}
	switch n.Sending {
	case "":
		return health, health == present
	case present:
		return health, false
	}
	return n.Sending, false
}

// A Change is a corp whose health has changed, with the facts that people need.
type Change struct {
	Corp, Name string
	From, To   Health // From is never empty
	At         time.Time
	Trouble    *archive.Trouble // the trouble of the last pull; nil without trouble
	Left       time.Duration    // see [archive.HoursLeft]
	// SetAside has records set aside, the lowest seqs first. MoreSetAside says
	// that there are further records.
	SetAside     []archive.SetAside
	MoreSetAside bool
}

// A Notifier sends messages to people.
type Notifier interface {
	// Notify sends one message about the changes. All of them have the same To,
	// and there are 1 to [NotifyMost]. It may be called again with the same
	// changes.
	Notify(ctx context.Context, changes []Change) error
}

const (
	// NotifyMost is the largest number of changes that one message is about. The
	// message names each of them.
	NotifyMost = 200
	// Up to notifyEach corps that change to the same health get a message each. If
	// there are more, they share messages: one fault on our side may affect every
	// corp at once.
	notifyEach = 10
)

// notifyChanges notifies people of every corp whose health differs from the one
// they were last notified of. It also completes the fleet's numbers, because the
// health is known here.
//
// A corp whose records set aside cannot be read keeps its health until the next
// tick.
func (t *tick) notifyChanges(ctx context.Context) error {
	notified, notifiedErr := t.Ledger.Notified(ctx, t.ids())
	if notifiedErr != nil {
		notifiedErr = fmt.Errorf("read the last notifications: %w", notifiedErr)
	}
	changes := make(map[Health][]Change)
	for i, c := range t.corps {
		state, before := t.states[c.ID], notified[c.ID]
		left := archive.HoursLeft(c, state, t.now)
		health := HealthOf(c, state, len(t.seen[i].setAside), before.Health, t.now)
		t.fleet.count(c, left, health)
		last, told := before.last(health)
		if notifiedErr != nil || t.seen[i].setAsideErr != nil || told {
			continue
		}
		changes[health] = append(changes[health], Change{
			Corp: c.ID, Name: c.Name, From: last, To: health, At: t.now, Trouble: archive.TroubleOf(c, state), Left: left,
			SetAside: t.seen[i].setAside, MoreSetAside: t.seen[i].moreAside,
		})
	}
	errs := []error{notifiedErr}
	for _, health := range slices.Sorted(maps.Keys(changes)) {
		size := 1
		if len(changes[health]) > notifyEach {
			size = NotifyMost
		}
		for part := range slices.Chunk(changes[health], size) {
			if ctx.Err() != nil { // the next tick notifies of the rest
				return errors.Join(append(errs, ctx.Err())...)
			}
			errs = append(errs, t.notify(ctx, part, notified))
		}
	}
	return errors.Join(errs...)
}

// notify notes which notices it sends, sends them in one message, and notes that
// they are sent. After a crash in between, the next tick sends the notices again,
// or those that hold by then. So the notice that people read last is one that still
// holds. In the reverse order a crash could leave people without the message.
func (t *tick) notify(ctx context.Context, changes []Change, notified map[string]Notified) error {
	var errs []error
	noted := make(map[string]Notified, len(changes))
	changes = slices.DeleteFunc(slices.Clone(changes), func(c Change) bool {
		sending := Notified{Corp: c.Corp, Health: c.From, At: t.now, Sending: c.To}
		err := t.Ledger.SaveNotified(ctx, notified[c.Corp], sending)
		if err != nil && !errors.Is(err, archive.ErrConflict) { // on a conflict another tick notifies
			errs = append(errs, fmt.Errorf("note a notice about %s: %w", c.Corp, err))
		}
		noted[c.Corp] = sending
		return err != nil
	})
	if len(changes) == 0 {
		return errors.Join(errs...)
	}
	ids := make([]string, len(changes))
	for i, c := range changes {
		t.Log.InfoContext(ctx, "health changed", "corp", c.Corp, "from", c.From, "to", c.To)
		ids[i] = c.Corp
	}
	if err := t.Notifier.Notify(ctx, changes); err != nil {
		return errors.Join(append(errs, fmt.Errorf("notify of %d corps that changed to %s: %w", len(changes), changes[0].To, err))...)
	}
	// After a failure or a crash here, the set-up's list of changes lacks this change
	// until the daily check.
	errs = append(errs, t.Inspections.RequestExaminations(ctx, ids...))
	for _, c := range changes {
		if err := t.noteSent(ctx, noted[c.Corp], Notified{Corp: c.Corp, Health: c.To, At: t.now}); err != nil {
			errs = append(errs, fmt.Errorf("note the notification about %s: %w", c.Corp, err))
		}
	}
	return errors.Join(errs...)
}

// noteSent notes the notice that was just sent. If another tick stored a notice
// meanwhile, this one replaces it: people may read it last. The next
// tick sees whether it still holds.
func (t *tick) noteSent(ctx context.Context, old, now Notified) error {
	for {
		err := t.Ledger.SaveNotified(ctx, old, now)
		if !errors.Is(err, archive.ErrConflict) {
			return err
		}
		stored, err := t.Ledger.Notified(ctx, []string{now.Corp})
		if err != nil {
			return err
		}
		if old = stored[now.Corp]; old.Health == now.Health && old.Sending == "" {
			return nil
		}
	}
}
