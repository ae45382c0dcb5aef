// Package watch does the round of every minute. It requests pulls, requests
// again what was lost, records possible losses, notifies people of changes, and
// measures the fleet (laws 3 and 9).
package watch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// A CorpLister lists every registered corp, in any order. The sequence ends
// after the first error.
type CorpLister interface {
	Corps(ctx context.Context) iter.Seq2[archive.Corp, error]
}

// A Ledger is the part of the ledger that the dispatcher reads and writes. Safe
// for concurrent use.
type Ledger interface {
	// PullStates, Pendings and Notified may miss changes of the last seconds, at half
	// the cost: what a tick acts on is older, and its writes are conditional.

	// PullStates reads the states of the corps. A corp whose state was never
	// saved has the zero state.
	PullStates(ctx context.Context, corps []string) (map[string]archive.PullState, error)
	// Pendings lists the corp's pages that are not decoded: the lowest seq first,
	// at most limit.
	Pendings(ctx context.Context, corp string, limit int) ([]archive.Pending, error)
	// NoteRequest is the method of [archive.PendingPages].
	NoteRequest(ctx context.Context, p archive.Pending, at time.Time, stuck bool) error
	// RecordLoss stores a loss once. Storing a loss with the same Corp and Since
	// again changes nothing.
	RecordLoss(ctx context.Context, l archive.Loss) error
	// Heads reads the heads of the corps as [archive.HeadReader] does.
	Heads(ctx context.Context, corps []string) (map[string]archive.Head, error)
	// Notified reads what people were last notified of, for each corp. A corp without
	// a notice so far has a zero Notified with Corp set.
	Notified(ctx context.Context, corps []string) (map[string]Notified, error)
	// SaveNotified replaces the value old with the value now. It returns
	// [archive.ErrConflict] if the stored value differs from old.
	SaveNotified(ctx context.Context, old, now Notified) error
	// Replay is the method of [decode.ReplayLedger].
	Replay(ctx context.Context, corp, id string) (decode.Replay, error)
	// AdvanceReplay is the method of [decode.ReplayLedger].
	AdvanceReplay(ctx context.Context, old, now decode.Replay) error
	// AllRunning lists the running jobs of all corps. Changes of the last seconds
	// may be missing.
	AllRunning(ctx context.Context) ([]decode.Running, error)
	// ReplaceRunning is the method of [decode.RunningJobs].
	ReplaceRunning(ctx context.Context, old, now decode.Running) error
}

// A SetAsideLister lists the records set aside with a seq above after: the
// lowest seq first, at most limit. more says that there are further records.
// The list may be some seconds old. Safe for concurrent use.
type SetAsideLister interface {
	ListSetAside(ctx context.Context, corp string, after uint64, limit int) (list []archive.SetAside, more bool, err error)
}

// WaitingFiles reports the files that wait to be fetched. Safe for concurrent
// use.
type WaitingFiles interface {
	// Waiting returns the lanes with a waiting file that was due before the
	// given time. next is the earliest deadline after now of all waiting files,
	// or zero if there is none. Changes of the last seconds may be missing.
	Waiting(ctx context.Context, corp string, before, now time.Time) (lanes []int, next time.Time, err error)
}

// QueueDepth estimates how many requests wait in a queue. Those that a function works
// on do not count: a large fleet always has many of them, and nothing would be
// requested again.
type QueueDepth interface {
	Depth(ctx context.Context) (int, error)
}

// A HeadWriter keeps daily heads beside the journal's pages. Durable on return.
// Safe for concurrent use.
type HeadWriter interface {
	// PutHead stores the corp's head of a day. The first head of a day stays: a
	// later one succeeds and changes nothing.
	PutHead(ctx context.Context, day archive.Day, head archive.Head) error
}

// Inspections takes requests to inspect the set-up of corps. Durable on return.
type Inspections interface {
	// RequestChecks requests that WeCom is asked about everything of the corps, and
	// that the doctor examines them.
	RequestChecks(ctx context.Context, corps ...string) error
	// RequestExaminations requests that the doctor examines the corps, without
	// asking WeCom.
	RequestExaminations(ctx context.Context, corps ...string) error
}

// Callbacks may be lost. A Dispatcher makes sure that everything is done
// without them (law 3). At every tick it requests a pull of each corp that is
// due, requests again what was not decoded or fetched, records what may have
// been lost, notifies people of changed health, measures the fleet, keeps daily
// heads, and starts weekly verifications. Its exported fields never change. Its ticks
// follow one another.
type Dispatcher struct {
	Corps       CorpLister
	Ledger      Ledger
	SetAside    SetAsideLister
	Pulls       Pulls
	PullDepth   QueueDepth
	Decodes     archive.DecodeQueue
	DecodeDepth QueueDepth
	Files       WaitingFiles
	Media       media.Queue
	MediaDepth  QueueDepth
	Heads       HeadWriter
	Jobs        decode.ReplayStarter
	Inspections Inspections
	Notifier    Notifier
	Metrics     Metrics
	Now         func() time.Time
	Log         *slog.Logger

	calm map[string]calm // by corp
}

// The steps of a tick in their order, each with the most time that it may take.
// Together they end before Lambda's limit (template.yaml), so that a step that
// hangs takes no time from another step.
const (
	beginTime   = 8 * time.Second
	pullTime    = 11 * time.Second
	lookTime    = 14 * time.Second
	lossTime    = 2 * time.Second
	noticeTime  = 6 * time.Second
	requestTime = 2 * time.Second // for each of pages, jobs, files, daily heads, and verifications with checks; see sendTime

	// TickTime is the time of all steps together.
	TickTime = beginTime + pullTime + lookTime + lossTime + noticeTime + 5*requestTime + 2*sendTime
)

// Tick does one round. Pulls, notices and metrics of all corps come first; then
// what was lost is requested again, as far as its budget goes. A failure with
// one corp or in one step is reported at the end; the other corps and steps are
// still processed. A crash anywhere is repaired by the next tick.
func (d *Dispatcher) Tick(ctx context.Context) error {
	var t *tick
	err := within(ctx, beginTime, func(ctx context.Context) (err error) {
		t, err = d.begin(ctx)
		return err
	})
	if err != nil {
		return err
	}
	errs := []error{
		within(ctx, pullTime, t.requestPulls),
		within(ctx, lookTime, t.look),
		within(ctx, lossTime, t.recordLosses),
		within(ctx, noticeTime, t.notifyChanges),
	}
	d.Metrics.Fleet(ctx, t.fleet)
	return errors.Join(append(errs,
		within(ctx, requestTime, t.requestDecodes),
		within(ctx, requestTime, t.requestJobs),
		within(ctx, requestTime, t.requestFiles),
		within(ctx, requestTime, t.keepHeads),
		within(ctx, requestTime, func(ctx context.Context) error {
			return errors.Join(t.requestChecks(ctx), t.requestVerifications(ctx))
		}),
	)...)
}

// within runs a step, and stops it after its time.
func within(ctx context.Context, most time.Duration, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return step(ctx)
}

// tick is one round over all corps.
type tick struct {
	*Dispatcher
	now    time.Time
	corps  []archive.Corp
	states map[string]archive.PullState // by corp
	seen   []sight                      // of each corp, in the order of corps
	fleet  Fleet                        // completed by the steps
}

// begin reads what every step needs.
func (d *Dispatcher) begin(ctx context.Context) (*tick, error) {
	t := &tick{Dispatcher: d, now: d.Now(), fleet: newFleet()}
	for c, err := range d.Corps.Corps(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list corps: %w", err)
		}
		t.corps = append(t.corps, c)
	}
	// The turns of the corps need the same order at every tick.
	slices.SortFunc(t.corps, func(x, y archive.Corp) int { return strings.Compare(x.ID, y.ID) })
	var err error
	if t.states, err = d.Ledger.PullStates(ctx, t.ids()); err != nil {
		return nil, fmt.Errorf("read pull states: %w", err)
	}
	return t, nil
}

func (t *tick) ids() []string {
	ids := make([]string, len(t.corps))
	for i, c := range t.corps {
		ids[i] = c.ID
	}
	return ids
}
