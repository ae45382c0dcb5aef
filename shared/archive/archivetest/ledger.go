package archivetest

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// Ledger is a [LedgerStore].
type Ledger struct {
	t       testing.TB
	faults  *Faults
	journal *Journal // holds the pages of rows; nil: not checked
	view    *View    // holds the messages of decoded pages; nil: not checked

	*TryLog

	mu     sync.Mutex
	chains map[string]*chain
}

// chain is what is stored of one corp.
type chain struct {
	head     archive.Head
	rows     map[uint64]archive.Row     // by After
	files    map[uint64][]string        // by After: ids of files
	pending  map[uint64]archive.Pending // by After
	state    archive.PullState
	losses   map[time.Time]archive.Loss // by Since
	replays  map[string]decode.Replay
	running  map[bool]decode.Running // by Verify
	notified watch.Notified
	examined doctor.Record
	changes  []doctor.Change // the newest last
}

var _ LedgerStore = (*Ledger)(nil)

// NewLedger makes an empty ledger.
func NewLedger(t testing.TB, f *Faults) *Ledger {
	return &Ledger{t: t, faults: f, TryLog: NewTryLog(f), chains: make(map[string]*chain)}
}

// of returns what is stored of the corp. The caller holds mu.
func (l *Ledger) of(corp string) *chain {
	c, ok := l.chains[corp]
	if !ok {
		c = &chain{
			head:     archive.NewHead(corp),
			rows:     make(map[uint64]archive.Row),
			files:    make(map[uint64][]string),
			pending:  make(map[uint64]archive.Pending),
			state:    archive.PullState{Corp: corp},
			losses:   make(map[time.Time]archive.Loss),
			replays:  make(map[string]decode.Replay),
			running:  make(map[bool]decode.Running),
			notified: watch.Notified{Corp: corp},
			examined: doctor.Record{Corp: corp},
		}
		l.chains[corp] = c
	}
	return c
}

// Head implements [pull.Ledger].
func (l *Ledger) Head(ctx context.Context, corp string) (archive.Head, error) {
	return read(ctx, l.faults, "Ledger.Head", corp, func() (archive.Head, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.of(corp).head, nil
	})
}

// Append implements [pull.Ledger].
func (l *Ledger) Append(ctx context.Context, prev archive.Head, row archive.Row) error {
	return write(ctx, l.faults, "Ledger.Append", row.Corp, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.checkAppend(prev, row)
		c := l.of(row.Corp)
		_, there := c.rows[row.After]
		if there || c.head.Last != prev.Last || c.head.Rows != prev.Rows || c.head.Hash != prev.Hash {
			return archive.ErrConflict
		}
		row = keptRow(row)
		c.rows[row.After] = row
		c.head = prev.Next(row)
		if row.Kind == archive.PageRow {
			c.pending[row.After] = archive.Pending{
				Corp: row.Corp, After: row.After, RequestedAt: row.At, Tries: row.Tries,
			}
		}
		return nil
	})
}

// checkAppend compares the row with prev, the head that it was made for. The
// stored head may differ from prev without a mistake of the caller.
func (l *Ledger) checkAppend(prev archive.Head, row archive.Row) {
	bad := func(what string) {
		l.t.Errorf("row of %s after seq %d: %s", row.Corp, row.After, what)
	}
	if prev.Corp != row.Corp || row.Corp == "" {
		bad("corp differs from that of the head")
	}
	if row.After != prev.Last || row.Last <= row.After {
		bad("does not continue from the head")
	}
	if row.Prev != prev.Hash || row.Hash != archive.ChainHash(row) {
		bad("does not chain to the head")
	}
	switch row.Kind {
	case archive.PageRow:
		if row.First <= row.After || row.First > row.Last || row.Count < 1 || row.Size < 1 || len(row.Sum) != 64 {
			bad("seqs, count, size or digest impossible for a page")
		}
		if row.State != archive.RowRequested || row.Result != nil {
			bad("state or result wrong: a new page is requested and has no result")
		}
		if l.journal != nil && !l.journal.holds(pageName(row)) {
			bad("its page is not in the journal (law 1)")
		}
	case archive.GapRow:
		if row.First != 0 || row.Count != 0 || row.Reason == "" || row.Sum != Sum([]byte(row.Evidence)) {
			bad("seqs, count, reason or digest impossible for a gap")
		}
		if l.journal != nil && !l.journal.holds(gapName(row)) {
			bad("its evidence is not in the journal (law 1)")
		}
		if row.State != archive.RowDecoded {
			bad("state wrong: a gap is decoded from the start")
		}
	default:
		bad("kind unknown")
	}
}

// Heads implements [watch.Ledger].
func (l *Ledger) Heads(ctx context.Context, corps []string) (map[string]archive.Head, error) {
	return read(ctx, l.faults, "Ledger.Heads", "", func() (map[string]archive.Head, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		heads := make(map[string]archive.Head, len(corps))
		for _, corp := range corps {
			heads[corp] = l.of(corp).head
		}
		return heads, nil
	})
}

// PullState implements [pull.Ledger].
func (l *Ledger) PullState(ctx context.Context, corp string) (archive.PullState, error) {
	return read(ctx, l.faults, "Ledger.PullState", corp, func() (archive.PullState, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return keptState(l.of(corp).state), nil
	})
}

// SavePullState implements [pull.Ledger].
func (l *Ledger) SavePullState(ctx context.Context, s archive.PullState) error {
	return write(ctx, l.faults, "Ledger.SavePullState", s.Corp, func() error {
		if s.Corp == "" {
			l.t.Error("SavePullState without a corp")
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.of(s.Corp).state = keptState(s)
		return nil
	})
}

// Row implements [decode.Ledger].
func (l *Ledger) Row(ctx context.Context, corp string, after uint64) (archive.Row, error) {
	return read(ctx, l.faults, "Ledger.Row", corp, func() (archive.Row, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		r, ok := l.of(corp).rows[after]
		if !ok {
			return archive.Row{}, archive.ErrNotFound
		}
		return keptRow(r), nil
	})
}

// Finish implements [decode.Ledger].
func (l *Ledger) Finish(ctx context.Context, corp string, after uint64, result archive.Result, files []string) error {
	return write(ctx, l.faults, "Ledger.Finish", corp, func() error {
		if len(files) != min(result.Files, archive.MaxFileIDs) || !slices.IsSorted(files) {
			l.t.Errorf("page of %s after seq %d: got ids of %d files, want those of all %d, sorted", corp, after, len(files), result.Files)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		c := l.of(corp)
		row, ok := c.rows[after]
		if !ok {
			l.t.Errorf("page of %s after seq %d is finished and has no row", corp, after)
			return errors.New("no such row")
		}
		row.Result, row.State, row.Tries = &result, archive.RowDecoded, 0
		l.checkResult(row)
		c.rows[after] = keptRow(row)
		delete(c.pending, after)
		if len(files) > 0 {
			c.files[after] = slices.Clone(files)
		}
		return nil
	})
}

// PageFiles reads the ids of the files that pages name, by After. A page that
// names no file may be absent.
func (l *Ledger) PageFiles(ctx context.Context, corp string, afters []uint64) (map[uint64][]string, error) {
	return read(ctx, l.faults, "Ledger.PageFiles", corp, func() (map[uint64][]string, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		found := make(map[uint64][]string)
		for _, after := range afters {
			if ids, ok := l.of(corp).files[after]; ok {
				found[after] = slices.Clone(ids)
			}
		}
		return found, nil
	})
}

// unread reports whether the page was unusable in the journal. Then the result
// counts its records, and the view has one entry for all of them.
func unread(r *archive.Result) bool { return r.SetAside[string(archive.ReasonJournal)] > 0 }

// checkResult complains unless the result counts every record of the page, and
// agrees with the view.
func (l *Ledger) checkResult(row archive.Row) {
	if row.Kind != archive.PageRow {
		l.t.Errorf("result for the gap of %s after seq %d: a gap has nothing to decode", row.Corp, row.After)
		return
	}
	r := row.Result
	if r.Stored+r.CountSetAside() != row.Count {
		l.t.Errorf("page of %s after seq %d: %d stored and %d set aside of %d records (law 5)",
			row.Corp, row.After, r.Stored, r.CountSetAside(), row.Count)
	}
	if l.view == nil || unread(r) {
		return
	}
	// Another decoder may have stored the same page with more keys.
	stored, setAside := l.view.of(row.Corp, row.After)
	if stored < r.Stored || stored+setAside < row.Count {
		l.t.Errorf("page of %s after seq %d: the view has %d messages and %d set aside, the result says %d and %d",
			row.Corp, row.After, stored, setAside, r.Stored, r.CountSetAside())
	}
}

// Rows implements [decode.ReplayLedger].
func (l *Ledger) Rows(ctx context.Context, corp string, q archive.RowQuery) ([]archive.Row, error) {
	return read(ctx, l.faults, "Ledger.Rows", corp, func() ([]archive.Row, error) {
		if q.Limit < 1 || q.Limit > 1000 {
			l.t.Errorf("Rows with limit %d, want 1 to 1000", q.Limit)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		rows := l.of(corp).sorted()
		rows = slices.DeleteFunc(rows, func(r archive.Row) bool {
			if q.Descending {
				return r.After > q.From
			}
			return r.After < q.From
		})
		if q.Descending {
			slices.Reverse(rows)
		}
		rows = rows[:min(len(rows), q.Limit)]
		if q.ChainOnly {
			for i := range rows {
				rows[i].State, rows[i].Tries, rows[i].Result = "", 0, nil
			}
		}
		return rows, nil
	})
}

func (c *chain) sorted() []archive.Row {
	var rows []archive.Row
	for _, after := range slices.Sorted(maps.Keys(c.rows)) {
		rows = append(rows, keptRow(c.rows[after]))
	}
	return rows
}

// CreateReplay implements [decode.ReplayLedger].
func (l *Ledger) CreateReplay(ctx context.Context, r decode.Replay) error {
	return write(ctx, l.faults, "Ledger.CreateReplay", r.Corp, func() error {
		if r.Corp == "" || r.ID == "" || r.Done {
			l.t.Errorf("CreateReplay of %q, id %q, done %v: a new job has a corp and an id and is unfinished", r.Corp, r.ID, r.Done)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		c := l.of(r.Corp)
		if _, ok := c.replays[r.ID]; ok {
			return archive.ErrExists
		}
		c.replays[r.ID] = keptReplay(r)
		return nil
	})
}

// Replay implements [decode.ReplayLedger].
func (l *Ledger) Replay(ctx context.Context, corp, id string) (decode.Replay, error) {
	return read(ctx, l.faults, "Ledger.Replay", corp, func() (decode.Replay, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		r, ok := l.of(corp).replays[id]
		if !ok {
			return decode.Replay{}, archive.ErrNotFound
		}
		return r, nil
	})
}

// AdvanceReplay implements [decode.ReplayLedger].
func (l *Ledger) AdvanceReplay(ctx context.Context, old, now decode.Replay) error {
	return write(ctx, l.faults, "Ledger.AdvanceReplay", old.Corp, func() error {
		if old.Corp != now.Corp || old.ID != now.ID || now.Next < old.Next {
			l.t.Errorf("AdvanceReplay of %s %s at %d to %s %s at %d: a job keeps its name and moves forward",
				old.Corp, old.ID, old.Next, now.Corp, now.ID, now.Next)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		c := l.of(old.Corp)
		if r, ok := c.replays[old.ID]; !ok || r.Next != old.Next || r.Pages != old.Pages || r.Done != old.Done || !r.UpdatedAt.Equal(old.UpdatedAt) {
			return archive.ErrConflict
		}
		c.replays[now.ID] = keptReplay(now)
		return nil
	})
}

// Replays lists the corp's jobs by ID, the newest first, at most limit.
func (l *Ledger) Replays(ctx context.Context, corp string, limit int) ([]decode.Replay, error) {
	return read(ctx, l.faults, "Ledger.Replays", corp, func() ([]decode.Replay, error) {
		jobs := l.replays(corp)
		slices.Reverse(jobs)
		return jobs[:min(len(jobs), limit)], nil
	})
}

func (l *Ledger) replays(corp string) []decode.Replay {
	l.mu.Lock()
	defer l.mu.Unlock()
	var jobs []decode.Replay
	c := l.of(corp)
	for _, id := range slices.Sorted(maps.Keys(c.replays)) {
		jobs = append(jobs, c.replays[id])
	}
	return jobs
}

// PullStates implements [watch.Ledger].
func (l *Ledger) PullStates(ctx context.Context, corps []string) (map[string]archive.PullState, error) {
	return read(ctx, l.faults, "Ledger.PullStates", "", func() (map[string]archive.PullState, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		states := make(map[string]archive.PullState, len(corps))
		for _, corp := range corps {
			states[corp] = keptState(l.of(corp).state)
		}
		return states, nil
	})
}

// LastPending implements [pull.Ledger].
func (l *Ledger) LastPending(ctx context.Context, corp string) (archive.Pending, error) {
	return read(ctx, l.faults, "Ledger.LastPending", corp, func() (archive.Pending, error) {
		pages := l.pendings(corp)
		if len(pages) == 0 {
			return archive.Pending{}, archive.ErrNotFound
		}
		return pages[len(pages)-1], nil
	})
}

// FirstPending implements [archive.PendingPages].
func (l *Ledger) FirstPending(ctx context.Context, corp string, lane, limit int) ([]archive.Pending, error) {
	return read(ctx, l.faults, "Ledger.FirstPending", corp, func() ([]archive.Pending, error) {
		pages := slices.DeleteFunc(l.pendings(corp), func(p archive.Pending) bool {
			return archive.DecodeLane(p.After) != lane || !p.HoldsPlace()
		})
		if len(pages) == 0 {
			return nil, nil
		}
		return pages[:min(len(pages), limit)], nil
	})
}

// Pendings lists the corp's pages that are not decoded: the lowest seq first, at
// most limit.
func (l *Ledger) Pendings(ctx context.Context, corp string, limit int) ([]archive.Pending, error) {
	return read(ctx, l.faults, "Ledger.Pendings", corp, func() ([]archive.Pending, error) {
		pages := l.pendings(corp)
		return pages[:min(len(pages), limit)], nil
	})
}

func (l *Ledger) pendings(corp string) []archive.Pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.of(corp).pending), func(a, b archive.Pending) int {
		return cmp.Compare(a.After, b.After)
	})
}

// NoteRequest implements [archive.PendingPages].
func (l *Ledger) NoteRequest(ctx context.Context, p archive.Pending, at time.Time, stuck bool) error {
	return write(ctx, l.faults, "Ledger.NoteRequest", p.Corp, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		c := l.of(p.Corp)
		now, ok := c.pending[p.After]
		if !ok || now.Tries != p.Tries || !now.RequestedAt.Equal(p.RequestedAt) {
			return archive.ErrConflict
		}
		now.Tries, now.RequestedAt, now.Stuck = now.Tries+1, kept(at), now.Stuck || stuck
		c.pending[p.After] = now
		row := c.rows[p.After]
		row.Tries = now.Tries
		if now.Stuck {
			row.State = archive.RowStuck
		}
		c.rows[p.After] = row
		return nil
	})
}

// RecordLoss implements [watch.Ledger].
func (l *Ledger) RecordLoss(ctx context.Context, loss archive.Loss) error {
	return write(ctx, l.faults, "Ledger.RecordLoss", loss.Corp, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		losses := l.of(loss.Corp).losses
		loss.Since, loss.At = kept(loss.Since), kept(loss.At)
		if _, ok := losses[loss.Since]; !ok {
			losses[loss.Since] = loss
		}
		return nil
	})
}

// Losses lists the corp's losses, the oldest first.
func (l *Ledger) Losses(ctx context.Context, corp string) ([]archive.Loss, error) {
	return read(ctx, l.faults, "Ledger.Losses", corp, func() ([]archive.Loss, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return slices.SortedFunc(maps.Values(l.of(corp).losses), func(a, b archive.Loss) int {
			return a.Since.Compare(b.Since)
		}), nil
	})
}

// check walks every chain from its beginning to its head, and complains about
// everything that breaks an invariant.
func (l *Ledger) check() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for corp, c := range l.chains {
		head := archive.NewHead(corp)
		for _, row := range c.sorted() {
			if row.After != head.Last || row.Prev != head.Hash || row.Hash != archive.ChainHash(row) {
				l.t.Errorf("chain of %s breaks at the row after seq %d", corp, row.After)
				break
			}
			head = head.Next(row)
			if row.Kind == archive.PageRow && l.journal != nil && !l.journal.holds(pageName(row)) {
				l.t.Errorf("page of %s after seq %d is not in the journal", corp, row.After)
			}
			_, pending := c.pending[row.After]
			if pending == (row.State == archive.RowDecoded) {
				l.t.Errorf("row of %s after seq %d: state %s, pending %v", corp, row.After, row.State, pending)
			}
			// While a page is decoded again, the view may have more messages than
			// the result counts, and never fewer.
			if row.Result != nil && l.view != nil && !unread(row.Result) {
				stored, setAside := l.view.of(corp, row.After)
				if stored < row.Result.Stored || stored+setAside < row.Count {
					l.t.Errorf("page of %s after seq %d: of %d records the view has %d messages and %d set aside, the result counts %d stored",
						corp, row.After, row.Count, stored, setAside, row.Result.Stored)
				}
			}
		}
		if head != c.head {
			l.t.Errorf("head of %s: got seq %d after %d rows, want seq %d after %d", corp, c.head.Last, c.head.Rows, head.Last, head.Rows)
		}
	}
}

// has reports whether the page's row is stored.
func (l *Ledger) has(corp string, after uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.of(corp).rows[after]
	return ok
}

func (l *Ledger) hasReplay(corp, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.of(corp).replays[id]
	return ok
}

func keptRow(r archive.Row) archive.Row {
	r.At = kept(r.At)
	if r.Result != nil {
		res := *r.Result
		res.At = kept(res.At)
		res.SetAside, res.Types = maps.Clone(res.SetAside), maps.Clone(res.Types)
		r.Result = &res
	}
	return r
}

func keptReplay(r decode.Replay) decode.Replay {
	r.CreatedAt, r.UpdatedAt = kept(r.CreatedAt), kept(r.UpdatedAt)
	return r
}

func keptState(s archive.PullState) archive.PullState {
	for _, at := range []*time.Time{&s.LastCallAt, &s.LastPageAt, &s.LastEmptyAt, &s.UnannouncedAt, &s.NotBefore, &s.SecretSetAt, &s.OKAt, &s.RefusedAt, &s.HeldUntil} {
		*at = kept(*at)
	}
	if s.Trouble != nil {
		t := *s.Trouble
		t.Since, t.At = kept(t.Since), kept(t.At)
		s.Trouble = &t
	}
	if s.GapSearch != nil {
		p := *s.GapSearch
		p.Since = kept(p.Since)
		s.GapSearch = &p
	}
	if s.LastGap != nil {
		g := *s.LastGap
		g.At = kept(g.At)
		s.LastGap = &g
	}
	return s
}

// Notified implements [watch.Ledger].
func (l *Ledger) Notified(ctx context.Context, corps []string) (map[string]watch.Notified, error) {
	return read(ctx, l.faults, "Ledger.Notified", "", func() (map[string]watch.Notified, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		notified := make(map[string]watch.Notified, len(corps))
		for _, corp := range corps {
			notified[corp] = l.of(corp).notified
		}
		return notified, nil
	})
}

// SaveNotified implements [watch.Ledger].
func (l *Ledger) SaveNotified(ctx context.Context, old, now watch.Notified) error {
	return write(ctx, l.faults, "Ledger.SaveNotified", now.Corp, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if old.Corp != now.Corp || now.Health == "" {
			l.t.Errorf("notification of %q replaced by that of %q, health %q: want one corp and a health", old.Corp, now.Corp, now.Health)
		}
		c := l.of(now.Corp)
		if c.notified.Health != old.Health || !c.notified.At.Equal(old.At) || c.notified.Sending != old.Sending {
			return archive.ErrConflict
		}
		c.notified = now
		return nil
	})
}

// Examined implements [doctor.Records].
func (l *Ledger) Examined(ctx context.Context, corp string) (doctor.Record, error) {
	return read(ctx, l.faults, "Ledger.Examined", corp, func() (doctor.Record, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		r := l.of(corp).examined
		r.Checks = maps.Clone(r.Checks)
		return r, nil
	})
}

// SaveExamined implements [doctor.Records].
func (l *Ledger) SaveExamined(ctx context.Context, r doctor.Record, changes []doctor.Change) error {
	return write(ctx, l.faults, "Ledger.SaveExamined", r.Corp, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		c := l.of(r.Corp)
		if r.Rev != c.examined.Rev+1 {
			return archive.ErrConflict
		}
		r.Checks = maps.Clone(r.Checks)
		c.examined, c.changes = r, append(c.changes, changes...)
		slices.SortStableFunc(c.changes, func(a, b doctor.Change) int {
			return cmp.Or(a.At.Compare(b.At), strings.Compare(string(a.Check), string(b.Check)))
		})
		return nil
	})
}

// SetupChanges lists the changes that examinations found, the newest first.
func (l *Ledger) SetupChanges(ctx context.Context, corp, cursor string, limit int) (list []doctor.Change, next string, err error) {
	list, err = read(ctx, l.faults, "Ledger.SetupChanges", corp, func() ([]doctor.Change, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		all := slices.Clone(l.of(corp).changes)
		slices.Reverse(all)
		from, _ := strconv.Atoi(cursor)
		from = min(from, len(all))
		if all = all[from:]; len(all) > limit {
			all, next = all[:limit], strconv.Itoa(from+limit)
		}
		return all, nil
	})
	return list, next, err
}
