package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// Ledger shows how far pulling and decoding are.
type Ledger interface {
	Head(ctx context.Context, corp string) (archive.Head, error)
	PullState(ctx context.Context, corp string) (archive.PullState, error)
	// Pendings lists the oldest pages that are not decoded, at most limit.
	Pendings(ctx context.Context, corp string, limit int) ([]archive.Pending, error)
	Losses(ctx context.Context, corp string) ([]archive.Loss, error)
}

// Settings holds the keys and the callbacks of corps.
type Settings interface {
	KeySet(ctx context.Context, corp string) (archive.KeySet, error)
	// Callback returns [archive.ErrNotFound] if the callback has no pair.
	Callback(ctx context.Context, corp string, kind archive.CallbackKind) (archive.Callback, error)
}

// SetAside lists records set aside.
type SetAside interface {
	// ListSetAside lists the records with a seq above afterSeq, by seq.
	ListSetAside(ctx context.Context, corp string, afterSeq uint64, limit int) (list []archive.SetAside, more bool, err error)
}

// Files counts the files that wait or have a problem.
type Files interface {
	Backlog(ctx context.Context, corp string, now time.Time) (media.Backlog, error)
}

// Reader reads the facts about a corp. Its fields never change; safe for
// concurrent use.
type Reader struct {
	Ledger     Ledger
	Settings   Settings
	Reach      directory.ReachReader
	SetAside   SetAside
	Files      Files
	TrustedIPs []string
	Now        func() time.Time
}

// The most records set aside, and the most pages not decoded, that Read reads.
const (
	asideMost   = 1000
	pendingMost = 100
)

// Read reads what is stored about a corp.
func (r *Reader) Read(ctx context.Context, corp archive.Corp) (Facts, error) {
	f := Facts{Now: r.Now(), Corp: corp, TrustedIPs: r.TrustedIPs}
	group, ctx := errgroup.WithContext(ctx)
	read := func(what string, do func() error) {
		group.Go(func() error {
			if err := do(); err != nil && !errors.Is(err, archive.ErrNotFound) {
				return fmt.Errorf("read %s: %w", what, err)
			}
			return nil
		})
	}
	read("head", func() error {
		head, err := r.Ledger.Head(ctx, corp.ID)
		f.Came = head.Rows > 0
		return err
	})
	read("pull state", func() (err error) { f.Pull, err = r.Ledger.PullState(ctx, corp.ID); return err })
	read("pending pages", func() (err error) { f.Pendings, err = r.Ledger.Pendings(ctx, corp.ID, pendingMost); return err })
	read("losses", func() (err error) { f.Losses, err = r.Ledger.Losses(ctx, corp.ID); return err })
	read("keys", func() (err error) { f.Keys, err = r.Settings.KeySet(ctx, corp.ID); return err })
	read("callback", func() (err error) {
		f.Callback, err = r.Settings.Callback(ctx, corp.ID, archive.ArchiveCallback)
		return err
	})
	read("callback of the app", func() (err error) {
		f.AppCallback, err = r.Settings.Callback(ctx, corp.ID, archive.AppCallback)
		return err
	})
	read("reach", func() (err error) { f.Reach, err = r.Reach.Reach(ctx, corp.ID); return err })
	read("records set aside", func() (err error) {
		f.SetAside, f.MoreAside, err = r.SetAside.ListSetAside(ctx, corp.ID, 0, asideMost)
		return err
	})
	read("files", func() (err error) { f.Files, err = r.Files.Backlog(ctx, corp.ID, f.Now); return err })
	return f, group.Wait()
}

// Known is the recorded state of a check.
type Known struct {
	State State
	Cause Cause
	Since time.Time
	// Told is whether the notice about the corp's health told that the check is bad.
	// That notice then tells the end of the trouble, too.
	Told bool
}

// Record is what the last examination of a corp found.
type Record struct {
	Corp   string
	Rev    uint64    // number of changes so far; 0 before the first examination
	At     time.Time // the last change
	Checks map[Check]Known
}

// Change is one check whose state or cause has changed.
type Change struct {
	Check     Check
	From, To  State // From is empty for a check that was never examined
	Was, Now  Cause
	At        time.Time
	Operators bool // whether the remedy of the new cause is the operators' task
	Evidence  []Evidence
	// Told is whether the notice about the corp's health tells the change, when it is
	// found. It is not stored.
	Told bool
}

// tells reports whether the notice about the corp's health tells that a check is bad.
// A corp that is switched off has the health off, whatever is wrong with it, and the
// health knows no trouble that only the HTTP API found.
func (f Facts) tells(was Record, r Result) bool {
	if r.State != Bad {
		return false
	}
	health := watch.HealthOf(f.Corp, f.Pull, len(f.SetAside), "", f.Now)
	switch r.Check {
	case CheckApp, CheckAppCallback:
		return false
	case CheckVersions, CheckSetAside:
		// The health stays the same if records were set aside before.
		before := was.Checks[CheckVersions].State == Bad || was.Checks[CheckSetAside].State == Bad
		return health == watch.SetAside && !before
	}
	return health == watch.Health(r.Cause)
}

// ends reports whether the notice about the corp's health tells that a check is no
// longer bad: it told that the check is, or it tells that the corp is switched off.
func ends(old Known, r Result) bool {
	switchedOff := r.State == Off && (r.Check == CheckSwitch || r.Check == CheckPulls || r.Check == CheckHours)
	return old.State == Bad && r.State != Bad && (old.Told || switchedOff)
}

// Worth reports whether the change is worth a notice to the operators: the check became
// bad, is bad for another reason, or is no longer bad, and no notice about the corp's
// health tells it. Of every other change, such as a step that was done, nothing follows
// for a person: the list of changes and the announcements have it.
func (c Change) Worth() bool { return (c.From == Bad || c.To == Bad) && !c.Told }

// Records keeps the examinations. Durable on return. Safe for concurrent use.
type Records interface {
	// Examined reads consistently. A corp that was never examined has a zero
	// Record, with Corp set.
	Examined(ctx context.Context, corp string) (Record, error)
	// SaveExamined replaces the record whose Rev is one lower and adds the changes
	// to the list, or does neither. It returns [archive.ErrConflict] if the stored
	// Rev is another one.
	SaveExamined(ctx context.Context, r Record, changes []Change) error
}

// A Notifier tells others of changes: the operators of those that are worth a notice,
// see [Change.Worth], the SCRM of all. It may be called again with the same changes.
type Notifier interface {
	NotifySetup(ctx context.Context, corp archive.Corp, changes []Change) error
}

// An Examiner examines corps, and records and tells what has changed. Its fields
// never change.
type Examiner struct {
	Reader    *Reader
	Records   Records
	Notifiers []Notifier
	Log       *slog.Logger
}

// Examine examines a corp. The order is: notice, then record. After a crash
// between the two the notice is sent again; in the reverse order a crash could lose
// the notice. If two examinations run at once, only one of them is recorded.
func (e *Examiner) Examine(ctx context.Context, corp archive.Corp) error {
	facts, err := e.Reader.Read(ctx, corp)
	if err != nil {
		return fmt.Errorf("examine %s: %w", corp.ID, err)
	}
	was, err := e.Records.Examined(ctx, corp.ID)
	if err != nil {
		return fmt.Errorf("read the last examination of %s: %w", corp.ID, err)
	}
	now, changes := Compare(was, facts)
	if len(changes) == 0 && was.Rev > 0 {
		return nil
	}
	if len(changes) > 0 {
		for _, n := range e.Notifiers {
			if err := n.NotifySetup(ctx, corp, changes); err != nil {
				return fmt.Errorf("tell of %d changes of %s: %w", len(changes), corp.ID, err)
			}
		}
		e.Log.InfoContext(ctx, "set-up changed", "corp", corp.ID, "changes", len(changes))
	}
	// A crash before this line sends the notice again.
	if err := e.Records.SaveExamined(ctx, now, changes); err != nil && !errors.Is(err, archive.ErrConflict) {
		return fmt.Errorf("record the examination of %s: %w", corp.ID, err)
	}
	return nil
}

// Compare gives the record after an examination, and what has changed. The first
// examination of a check is a change only if the check is bad: a step that is not
// done yet is not reported.
func Compare(was Record, f Facts) (Record, []Change) {
	now := Record{Corp: was.Corp, Rev: was.Rev + 1, At: f.Now, Checks: make(map[Check]Known, len(Checks))}
	var changes []Change
	for _, r := range Derive(f) {
		old, known := was.Checks[r.Check]
		if known && old.State == r.State && old.Cause == r.Cause {
			now.Checks[r.Check] = old
			continue
		}
		since := r.Since
		if since.IsZero() {
			since = f.Now
		}
		told := f.tells(was, r)
		now.Checks[r.Check] = Known{r.State, r.Cause, since, told}
		if known || r.State == Bad {
			changes = append(changes, Change{
				Check: r.Check, From: old.State, To: r.State, Was: old.Cause, Now: r.Cause, At: f.Now, Operators: r.Cause.Operators(), Evidence: r.Evidence,
				Told: told || ends(old, r),
			})
		}
	}
	return now, changes
}

// Since is when the present state of a check began, as far as it is known.
func (r Record) Since(now Result) time.Time {
	if k, ok := r.Checks[now.Check]; ok && k.State == now.State && k.Cause == now.Cause {
		return k.Since
	}
	return now.Since
}
