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
		state, before := t.states[c.ID], notified[c.ID].Health
		left := archive.HoursLeft(c, state, t.now)
		health := HealthOf(c, state, len(t.seen[i].setAside), before, t.now)
		t.fleet.count(c, left, health)
		if before == "" {
			before = Off
		}
		if notifiedErr != nil || t.seen[i].setAsideErr != nil || health == before {
			continue
		}
		changes[health] = append(changes[health], Change{
			Corp: c.ID, Name: c.Name, From: before, To: health, At: t.now, Trouble: archive.TroubleOf(c, state), Left: left,
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

// notify sends one message and then notes it. After a crash between the two the
// message is sent again. In the reverse order a crash could leave people
// without the message.
func (t *tick) notify(ctx context.Context, changes []Change, notified map[string]Notified) error {
	for _, c := range changes {
		t.Log.InfoContext(ctx, "health changed", "corp", c.Corp, "from", c.From, "to", c.To)
	}
	if err := t.Notifier.Notify(ctx, changes); err != nil {
		return fmt.Errorf("notify of %d corps that changed to %s: %w", len(changes), changes[0].To, err)
	}
	ids := make([]string, len(changes))
	for i, c := range changes {
		ids[i] = c.Corp
	}
	// A failure here, or a crash, leaves the list of changes of the set-up without
	// this one until the daily check.
	errs := []error{t.Inspections.RequestExaminations(ctx, ids...)}
	for _, c := range changes {
		err := t.Ledger.SaveNotified(ctx, notified[c.Corp], Notified{Corp: c.Corp, Health: c.To, At: t.now})
		if err != nil && !errors.Is(err, archive.ErrConflict) { // on a conflict another tick has notified
			errs = append(errs, fmt.Errorf("note the notification about %s: %w", c.Corp, err))
		}
	}
	return errors.Join(errs...)
}
