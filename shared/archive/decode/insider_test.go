package decode_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// forgedLedger is what an insider who may write to the tables leaves behind: rows
// that form a chain, and their head.
type forgedLedger struct {
	decode.ReplayLedger
	rows []archive.Row
}

func (l forgedLedger) Rows(_ context.Context, _ string, q archive.RowQuery) ([]archive.Row, error) {
	var out []archive.Row
	for _, r := range l.rows {
		if q.Descending && r.After <= q.From || !q.Descending && r.After >= q.From {
			out = append(out, r)
		}
	}
	if q.Descending {
		slices.Reverse(out)
	}
	return out[:min(len(out), q.Limit)], nil
}

type forgedHead struct{ head archive.Head }

func (f forgedHead) Head(context.Context, string) (archive.Head, error) { return f.head, nil }

// forge replaces the chain that the replayer reads by rows, hashed again to their
// end, and removes the messages of the seqs from the view. It returns the new head.
func forge(d *archivetest.DecodeFixture, rows []archive.Row, seqs ...uint64) archive.Head {
	return forgeAfter(d, archive.NewHead(archivetest.Corp), rows, seqs...)
}

// forgeAfter is forge for a chain that begins after a head.
func forgeAfter(d *archivetest.DecodeFixture, head archive.Head, rows []archive.Row, seqs ...uint64) archive.Head {
	for i := range rows {
		rows[i].Prev = head.Hash
		rows[i].Hash = archive.ChainHash(rows[i])
		head = head.Next(rows[i])
	}
	for _, seq := range seqs {
		d.View.Tamper(archivetest.Corp, seq, nil)
	}
	cfg := d.Config
	cfg.Jobs, cfg.Heads = forgedLedger{d.Ledger, rows}, forgedHead{head}
	d.Configure(cfg)
	return head
}

// newPages decodes three pages of two messages each, some time apart.
func newPages(t *testing.T, apart time.Duration, heads bool) *archivetest.DecodeFixture {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	for i := range uint64(3) {
		d.Say(archivetest.Corp, 2*i+1, 2)
		if heads || i == 0 {
			d.WriteHead()
		}
		d.Must(d.Pull(archive.PullRequest{Force: true}))
		d.Work()
		d.Clock.Advance(apart)
	}
	return d
}

// Whatever an insider removes who may write to the tables and not to the bucket,
// a verification finds it, and a weekly one does too.
func TestVerifyFindsWhatAnInsiderRemoves(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T) *archivetest.DecodeFixture
		want []string
	}{
		"page of today, under a longer row": {func(t *testing.T) *archivetest.DecodeFixture {
			d := newPages(t, 70*time.Minute, true)
			rows := d.Rows()
			rows[0].Last = rows[1].Last
			forge(d, []archive.Row{rows[0], rows[2]}, 3, 4)
			return d
		}, []string{"0/0 records_differ", "2/0 row_removed"}},
		"last page": {func(t *testing.T) *archivetest.DecodeFixture {
			d := newPages(t, 70*time.Minute, true)
			rows := d.Rows()
			rows[1].Last = rows[2].Last
			forge(d, rows[:2], 5, 6)
			return d
		}, []string{"2/0 records_differ", "4/0 end_removed"}},
		"last page, with the head set back": {func(t *testing.T) *archivetest.DecodeFixture {
			d := newPages(t, 70*time.Minute, true)
			forge(d, d.Rows()[:2], 5, 6)
			return d
		}, []string{"4/0 end_removed"}},
		"last page that a daily head has, with the head set back": {func(t *testing.T) *archivetest.DecodeFixture {
			d := newPages(t, 24*time.Hour, true)
			d.WriteHead()
			forge(d, d.Rows()[:2], 5, 6)
			return d
		}, []string{"2/0 head_disagrees", "4/0 end_removed"}},
		"heads of days": {func(t *testing.T) *archivetest.DecodeFixture {
			d := newPages(t, 24*time.Hour, false)
			d.WriteHead()
			return d
		}, []string{"2/0 head_missing", "4/0 head_missing"}},
		"first heads": {func(t *testing.T) *archivetest.DecodeFixture {
			d := newPages(t, 24*time.Hour, true)
			d.WriteHead()
			for _, r := range d.Rows()[:2] {
				d.Journal.LoseHead(archivetest.Corp, archive.DayOf(r.At))
			}
			return d
		}, []string{"2/0 head_missing"}},
		"page replaced by a gap": {func(t *testing.T) *archivetest.DecodeFixture {
			d := newPages(t, 70*time.Minute, true)
			rows := d.Rows()
			evidence := "9 calls at limit 1 failed"
			rows[1] = archive.Row{Corp: archivetest.Corp, Kind: archive.GapRow, After: 2, Last: 4, At: rows[1].At, Reason: "errcode_301058", Evidence: evidence, Sum: archive.Digest([]byte(evidence)), State: archive.RowDecoded}
			forge(d, rows, 3, 4)
			return d
		}, []string{"2/0 gap_over_page", "2/0 gap_unproved"}},
		"two pages replaced by a gap": {func(t *testing.T) *archivetest.DecodeFixture {
			d := newPages(t, 70*time.Minute, true)
			rows := d.Rows()
			rows[1] = archive.Row{Corp: archivetest.Corp, Kind: archive.GapRow, After: 2, Last: 6, At: rows[1].At, Reason: "errcode_301058", State: archive.RowDecoded}
			forge(d, rows[:2], 3, 4, 5, 6)
			return d
		}, []string{"2/0 gap_over_page", "2/0 gap_unproved", "4/0 gap_over_page"}},
		"first pages replaced by a gap": {func(t *testing.T) *archivetest.DecodeFixture {
			d := newPages(t, 70*time.Minute, true)
			rows := d.Rows()
			gap := archive.Row{Corp: archivetest.Corp, Kind: archive.GapRow, Last: 4, At: rows[1].At, Reason: "errcode_301058", State: archive.RowDecoded}
			forge(d, []archive.Row{gap, rows[2]}, 1, 2, 3, 4)
			return d
		}, []string{"0/0 gap_over_page", "0/0 gap_unproved", "2/0 gap_over_page"}},
		"page replaced by a gap, and the last page removed": {func(t *testing.T) *archivetest.DecodeFixture {
			d := newPages(t, 70*time.Minute, true)
			rows := d.Rows()
			gap := archive.Row{Corp: archivetest.Corp, Kind: archive.GapRow, After: 2, Last: 4, At: rows[1].At, Reason: "errcode_301058", State: archive.RowDecoded}
			forge(d, []archive.Row{rows[0], gap}, 3, 4, 5, 6)
			return d
		}, []string{"2/0 gap_over_page", "2/0 gap_unproved", "4/0 end_removed"}},
		"number and first seq of a page": {func(t *testing.T) *archivetest.DecodeFixture {
			d := newPages(t, 70*time.Minute, true)
			rows := d.Rows()
			rows[1].Count, rows[1].First = 999, 4
			forge(d, rows)
			return d
		}, []string{"2/0 records_differ"}},
		"first seq of a page": {func(t *testing.T) *archivetest.DecodeFixture {
			return edited(t, 1, func(r *archive.Row) { r.First = 4 })
		}, []string{"2/0 records_differ"}},
		"last seq of the last page": {func(t *testing.T) *archivetest.DecodeFixture {
			return edited(t, 2, func(r *archive.Row) { r.Last = 900 })
		}, []string{"4/0 records_differ"}},
		"last seq of a page": {func(t *testing.T) *archivetest.DecodeFixture {
			return edited(t, 1, func(r *archive.Row) { r.Last = 5 })
		}, []string{"2/0 records_differ", "4/0 chain_broken"}},
		"chain of another corp": {func(t *testing.T) *archivetest.DecodeFixture {
			d := newPages(t, 70*time.Minute, true)
			forgeAfter(d, archive.NewHead("ww1111111111111111"), d.Rows())
			return d
		}, []string{"0/0 chain_broken", "0/0 head_disagrees"}},
		"page under a row of no kind": {func(t *testing.T) *archivetest.DecodeFixture {
			return edited(t, 1, func(r *archive.Row) { r.Kind = "note" }, 3, 4)
		}, []string{"2/0 row_changed", "2/0 gap_over_page", "2/0 gap_unproved", "2/0 records_differ"}},
		"page under a row of no kind, with counts of a gap": {func(t *testing.T) *archivetest.DecodeFixture {
			return edited(t, 1, func(r *archive.Row) { r.Kind, r.First, r.Count, r.Size = "", 0, 0, 0 }, 3, 4)
		}, []string{"2/0 row_changed", "2/0 gap_over_page", "2/0 gap_unproved"}},
		"time of a page set to a coming year, so that a weekly verification never reads it": {func(t *testing.T) *archivetest.DecodeFixture {
			return edited(t, 2, func(r *archive.Row) { r.At = r.At.AddDate(3, 0, 0) })
		}, []string{"4/0 row_changed"}},
		"time of a page set to an hour from now, so that a weekly verification does not read it yet": {func(t *testing.T) *archivetest.DecodeFixture {
			return edited(t, 2, func(r *archive.Row) { r.At = r.At.Add(130 * time.Minute) })
		}, []string{"4/0 row_changed"}},
		"time of a page set to the year before, so that a weekly verification reads it once a year": {func(t *testing.T) *archivetest.DecodeFixture {
			return retimed(t, func(row int, at, _ time.Time) time.Time {
				if row == 2 {
					return at.AddDate(-1, 0, 0)
				}
				return at
			})
		}, []string{"4/0 head_disagrees"}},
		// The first row decides from which day on there must be heads.
		"whole chain, from a first row of a coming year": {func(t *testing.T) *archivetest.DecodeFixture {
			return retimed(t, func(_ int, _, now time.Time) time.Time { return now.AddDate(3, 0, 0) })
		}, []string{"0/0 row_changed", "2/0 row_changed", "2/0 head_disagrees", "4/0 row_changed", "4/0 head_disagrees"}},
		"whole chain, from a first row of now": {func(t *testing.T) *archivetest.DecodeFixture {
			return retimed(t, func(_ int, _, now time.Time) time.Time { return now })
		}, []string{"0/0 row_changed", "2/0 row_changed", "2/0 head_disagrees", "4/0 head_disagrees"}},
		"whole chain, with the time of the first row": {func(t *testing.T) *archivetest.DecodeFixture {
			return retimed(t, func(row int, _, _ time.Time) time.Time {
				return archivetest.Start.Add(time.Duration(row+2) * time.Second)
			})
		}, []string{"4/0 head_disagrees", "4/0 head_disagrees"}},
	} {
		for _, weekly := range []bool{false, true} {
			t.Run(name+map[bool]string{false: "", true: ", weekly"}[weekly], func(t *testing.T) {
				d := c.make(t)
				if _, got := verifyAs(d, decode.Replay{Weekly: weekly}); !slices.Equal(got, c.want) {
					t.Errorf("got %v, want %v", got, c.want)
				}
			})
		}
	}
}

// A verification that begins within the chain reads the head of the day of the row
// before: that head may be of this row.
func TestVerifyFromWithinADay(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	day := archive.DayOf(archivetest.Start).Next().Start()
	for i, page := range []time.Duration{-time.Hour, 10 * time.Minute, 10 * time.Hour} {
		if i != 1 { // dispatch writes the head of the day half an hour after the second page
			d.Clock.Set(day.Add(min(page, 40*time.Minute)))
			d.WriteHead()
		}
		d.Clock.Set(day.Add(page))
		d.Say(archivetest.Corp, uint64(2*i+1), 2)
		d.Must(d.Pull(archive.PullRequest{Force: true}))
		d.Work()
	}
	if _, got := verify(d, 4); got != nil {
		t.Errorf("got %v, want no finding", got)
	}
	rows := d.Rows()
	rows[1].At = rows[1].At.Add(time.Second)
	forge(d, rows)
	if _, got := verify(d, 4); !slices.Equal(got, []string{"4/0 head_disagrees"}) {
		t.Errorf("got %v, want the head of the day", got)
	}
}

// The clocks of the processes that write rows and heads differ by some minutes.
func TestVerifyAllowsForDifferentClocks(t *testing.T) {
	type step struct {
		at   time.Duration // from midnight on
		does string
	}
	const first = -10 * time.Hour
	for name, steps := range map[string][]step{
		"row behind the head of the next day": {{first, "page"}, {time.Minute, "head"}, {-5 * time.Minute, "page"}, {10 * time.Minute, "page"}},
		"row ahead of the head that has it":   {{first, "page"}, {5 * time.Minute, "page"}, {time.Minute, "head"}, {10 * time.Minute, "page"}},
		"row ahead of the verification":       {{first, "page"}, {time.Minute, "head"}, {20 * time.Minute, "page"}, {10 * time.Minute, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			for i, s := range steps {
				d.Clock.Set(archive.DayOf(archivetest.Start).Next().Start().Add(s.at))
				switch s.does {
				case "head":
					d.WriteHead()
				case "page":
					d.Say(archivetest.Corp, uint64(2*i+1), 2)
					d.Must(d.Pull(archive.PullRequest{Force: true}))
					d.Work()
				}
			}
			if _, got := verify(d, 0); got != nil {
				t.Errorf("got %v, want no finding", got)
			}
		})
	}
}

// unlisted is a journal whose list was read before a head was written.
type unlisted struct{ archive.Journal }

func (unlisted) Heads(context.Context, string) iter.Seq2[archive.HeadObject, error] {
	return func(func(archive.HeadObject, error) bool) {}
}

func TestVerifyOfAHeadThatIsWrittenMeanwhile(t *testing.T) {
	d := newThreePages(t)
	cfg := d.Config
	cfg.Journal = unlisted{d.Journal}
	d.Configure(cfg)
	if _, got := verify(d, 0); got != nil {
		t.Errorf("got %v, want no finding", got)
	}
}

// A verification of a range says nothing of the rest of the chain, and finds that its
// first row has none before.
func TestVerifyOfARange(t *testing.T) {
	d := newThreePages(t)
	for to, pages := range map[uint64]int{1: 1, 2: 1, 3: 2, 4: 2, 6: 3, 100: 3} {
		if job, got := verifyAs(d, decode.Replay{To: to}); got != nil || job.Pages != pages {
			t.Errorf("up to %d: got %v in %d pages, want no finding in %d", to, got, job.Pages, pages)
		}
		d.Clock.Advance(time.Second)
	}
	for _, from := range []uint64{1, 2, 4, 5, 6, 100} {
		if _, got := verify(d, from); got != nil {
			t.Errorf("from %d on: got %v, want no finding", from, got)
		}
		d.Clock.Advance(time.Second)
	}
	removeRows(d, 0, 2)
	if _, got := verify(d, 4); !slices.Equal(got, []string{"4/0 chain_broken", "4/0 head_disagrees", "4/0 head_disagrees"}) {
		t.Errorf("without the rows before: got %v", got)
	}
}

// brokenList is a journal whose listing fails after some objects.
type brokenList struct {
	archive.Journal
	after int
}

var errList = errors.New("list broken")

func (b brokenList) Pages(ctx context.Context, corp string, from uint64) iter.Seq2[archive.PageObject, error] {
	return func(yield func(archive.PageObject, error) bool) {
		n := 0
		for p, err := range b.Journal.Pages(ctx, corp, from) {
			if n == b.after || !yield(p, err) {
				break
			}
			n++
		}
		if n == b.after {
			yield(archive.PageObject{}, errList)
		}
	}
}

// A listing that fails is no finding.
func TestVerifyFailsWithTheListing(t *testing.T) {
	for _, after := range []int{-1, 0, 2, 3} {
		d := newThreePages(t)
		if after < 0 { // before the end of the chain
			removeRows(d, 0, 4)
			after = 0
		}
		cfg := d.Config
		cfg.Journal = brokenList{d.Journal, after}
		d.Configure(cfg)
		startReplay(d, decode.Replay{ID: "v", Verify: true})
		if err := d.Replayer.Run(t.Context(), d.Decodes.Take()[0]); !errors.Is(err, errList) {
			t.Errorf("after %d objects: got %v, want the error", after, err)
		}
	}
}

// A run without time for a step leaves it to the next.
func TestVerifyBeginsNoStepWithoutTime(t *testing.T) {
	d := newThreePages(t)
	startReplay(d, decode.Replay{ID: "v", Verify: true})
	d.Clock.Set(time.Now())
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(20*time.Second))
	defer cancel()
	d.Must(d.Replayer.Run(ctx, d.Decodes.Take()[0]))
	if job, err := d.Ledger.Replay(t.Context(), archivetest.Corp, "v"); err != nil || job.Pages != 0 || job.Done {
		t.Errorf("got job %+v, %v, want no progress", job, err)
	}
}

// laggingLedger answers a read of the chain alone without the newest row, and a read with
// progress only if the progress is there.
type laggingLedger struct {
	decode.ReplayLedger
	progress bool
	alone    int // reads of the chain alone
}

func (l *laggingLedger) Rows(ctx context.Context, corp string, q archive.RowQuery) ([]archive.Row, error) {
	rows, err := l.ReplayLedger.Rows(ctx, corp, q)
	switch {
	case q.ChainOnly:
		l.alone++
		rows = slices.DeleteFunc(rows, func(r archive.Row) bool { return r.After == 4 })
	case !l.progress && !q.Descending:
		rows = nil
	}
	return rows, err
}

// A read of the chain alone costs less, and may lack what was written just now.
func TestVerifyReadsTheNewestRows(t *testing.T) {
	for progress, want := range map[bool][]string{true: nil, false: {"0/0 not_decoded", "2/0 not_decoded", "4/0 rows_missing", "4/0 end_removed"}} {
		d := newThreePages(t)
		ledger := &laggingLedger{d.Ledger, progress, 0}
		cfg := d.Config
		cfg.Jobs = ledger
		d.Configure(cfg)
		if _, got := verify(d, 0); !slices.Equal(got, want) || ledger.alone == 0 {
			t.Errorf("progress %v: got %v after %d reads of the chain alone, want %v", progress, got, ledger.alone, want)
		}
	}
}

// A verification stores its progress after so many rows, and after so many bytes of
// pages.
func TestStepsOfAVerification(t *testing.T) {
	many := make([]archive.Row, 1001)
	for i := range many {
		many[i] = archive.Row{Corp: archivetest.Corp, Kind: archive.GapRow, After: uint64(i), Last: uint64(i + 1), At: archivetest.Start, State: archive.RowDecoded}
	}
	long := slices.Clone(many[:4])
	for i := range long {
		long[i].Kind, long[i].Size = archive.PageRow, 800<<10
	}
	long[3].Size = 3 << 20 // alone more than a step has
	forged := slices.Clone(long)
	forged[0].Size = -100 << 20
	for name, c := range map[string]struct {
		rows   []archive.Row
		weekly bool
		want   int
	}{
		"few": {many[:1000], false, 1}, "many": {many, false, 2}, "long pages": {long, false, 3}, "long pages that are not read": {long, true, 1},
		"forged size": {forged, false, 2},
	} {
		f := &archivetest.Faults{}
		d := archivetest.NewDecodeFixture(t, f)
		forge(d, slices.Clone(c.rows))
		f.Arm(nil)
		verifyAs(d, decode.Replay{ChainOnly: true, Weekly: c.weekly})
		steps := -2 // the range, and the end
		for _, call := range f.Calls() {
			if call.Name == "Ledger.AdvanceReplay" {
				steps++
			}
		}
		if steps != c.want {
			t.Errorf("%s: got %d steps, want %d", name, steps, c.want)
		}
	}
}

// edited decodes three pages and changes the row with that index.
func edited(t *testing.T, row int, edit func(*archive.Row), seqs ...uint64) *archivetest.DecodeFixture {
	d := newPages(t, 70*time.Minute, true)
	rows := d.Rows()
	edit(&rows[row])
	forge(d, rows, seqs...)
	return d
}

// retimed decodes pages of three days and changes the times of their rows. The head
// of the day after them is that of the changed rows.
func retimed(t *testing.T, at func(row int, at, now time.Time) time.Time) *archivetest.DecodeFixture {
	d := newPages(t, 24*time.Hour, true)
	rows := d.Rows()
	for i := range rows {
		rows[i].At = at(i, rows[i].At, d.Clock.Now())
	}
	d.Must(d.Journal.PutHead(t.Context(), archive.DayOf(d.Clock.Now()), forge(d, rows)))
	return d
}

// headsRead counts the daily heads that are read.
type headsRead struct {
	archive.Journal
	n int
}

func (h *headsRead) Head(ctx context.Context, corp string, day archive.Day) (archive.Head, error) {
	h.n++
	return h.Journal.Head(ctx, corp, day)
}

// A row of a coming year does not make a verification read a head for each day
// until then.
func TestVerifyReadsNoHeadsOfComingDays(t *testing.T) {
	d := edited(t, 2, func(r *archive.Row) { r.At = r.At.AddDate(3, 0, 0) })
	heads := &headsRead{Journal: d.Journal}
	cfg := d.Config
	cfg.Journal = heads
	d.Configure(cfg)
	if _, got := verify(d, 0); !slices.Equal(got, []string{"4/0 row_changed"}) || heads.n > 3 {
		t.Errorf("got %v after %d heads, want the row with a wrong time after few", got, heads.n)
	}
}

// A pull that crashed between the journal and the ledger leaves an object that no
// row names. That is no finding while a row with the same After follows, or may
// still follow.
func TestVerifyKnowsWhatACrashedPullLeaves(t *testing.T) {
	d := newPages(t, time.Hour, true)
	leave := func(after uint64) {
		page := []byte(`{"errcode":0,"chatdata":[]}`)
		d.Must(d.Journal.PutPage(t.Context(), archivetest.PageRow(archive.Head{Corp: archivetest.Corp, Last: after}, page, after+1, after+1, 1, d.Clock.Now()), page))
	}
	leave(2)
	leave(6)
	if _, got := verify(d, 0); got != nil {
		t.Errorf("got %v, want no finding", got)
	}
	d.Clock.Advance(2 * time.Hour)
	if _, got := verify(d, 0); !slices.Equal(got, []string{"6/0 end_removed"}) {
		t.Errorf("two hours later: got %v, want the page behind the end", got)
	}
	if _, got := verifyAs(d, decode.Replay{To: 6}); got != nil {
		t.Errorf("a range with an end: got %v, want no finding", got)
	}
}

// The time of an object excuses only what lies behind the range of the job, and an
// object with another digest is not the page of a row.
func TestVerifyOfYoungPages(t *testing.T) {
	d := newPages(t, time.Minute, true)
	config, rows := d.Config, d.Rows()
	removeRows(d, 4, 4)
	if _, got := verifyAs(d, decode.Replay{Weekly: true}); !slices.Equal(got, []string{"4/0 rows_missing", "4/0 end_removed"}) {
		t.Errorf("row of a page of a minute ago removed: got %v", got)
	}
	d.Configure(config)
	page := []byte(`{"errcode":0,"chatdata":[]}`)
	empty := archivetest.PageRow(archive.Head{Corp: archivetest.Corp, Last: 2}, page, 3, 4, 0, d.Clock.Now())
	d.Must(d.Journal.PutPage(t.Context(), empty, page))
	d.Journal.Lose(rows[1])
	if _, got := verifyAs(d, decode.Replay{Weekly: true}); !slices.Equal(got, []string{"2/0 journal_missing"}) {
		t.Errorf("page lost beside another object: got %v", got)
	}
	forge(d, []archive.Row{rows[0], empty, rows[2]}, 3, 4)
	if _, got := verifyAs(d, decode.Replay{ChainOnly: true}); !slices.Equal(got, []string{"2/0 records_differ"}) {
		t.Errorf("row of a page without records: got %v", got)
	}
}

// Evidence of a gap is in the journal, and a verification finds a change of it.
func TestVerifyReadsTheEvidenceOfGaps(t *testing.T) {
	d := newPages(t, time.Hour, true)
	row := archivetest.GapRow(d.Head(), 8, "errcode_301058", "9 calls failed", d.Clock.Now())
	d.Must(d.Journal.PutGap(t.Context(), row))
	d.Must(d.Ledger.Append(t.Context(), d.Head(), row))
	if _, got := verify(d, 0); got != nil {
		t.Errorf("got %v, want no finding", got)
	}
	config, rows := d.Config, d.Rows()
	for name, c := range map[string]struct {
		edit func(*archive.Row)
		want []string
	}{
		"longer, so that pull skips what follows": {func(r *archive.Row) { r.Last = 900 }, []string{"6/0 gap_unproved"}},
		"reason":   {func(r *archive.Row) { r.Reason = "library_crash" }, []string{"6/0 gap_unproved"}},
		"evidence": {func(r *archive.Row) { r.Evidence = "8 calls failed" }, []string{"6/0 gap_unproved"}},
		"counts":   {func(r *archive.Row) { r.Count = 999 }, []string{"6/0 records_differ"}},
		"first":    {func(r *archive.Row) { r.First = 7 }, []string{"6/0 records_differ"}},
		"size":     {func(r *archive.Row) { r.Size = 7 }, []string{"6/0 records_differ"}},
	} {
		forged := slices.Clone(rows)
		c.edit(&forged[3])
		forge(d, forged)
		if _, got := verifyAs(d, decode.Replay{Weekly: true}); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		d.Configure(config)
	}
	d.Journal.LoseGap(row)
	if _, got := verify(d, 0); !slices.Equal(got, []string{"6/0 gap_unproved"}) {
		t.Errorf("got %v, want the gap without evidence", got)
	}
}

// A row that says that its file still waits hides the object of the file only while
// WeCom may have the file.
func TestVerifyBelievesThatAFileWaitsForSomeDays(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration // since the pull
		edit  func(*media.File)
		want  []string
	}{
		"of today":       {after: time.Hour},
		"of this week":   {after: archive.Retention},
		"of last year":   {after: 300 * 24 * time.Hour, want: []string{"0/1 file_differs"}},
		"of next year":   {after: time.Hour, edit: func(f *media.File) { f.Registered = f.Registered.AddDate(1, 0, 0) }, want: []string{"0/1 file_differs"}},
		"with its copy":  {after: 300 * 24 * time.Hour, edit: func(f *media.File) { f.Stored = &media.Object{Size: 5, Differs: media.ReasonMD5} }, want: []string{"0/1 file_differs"}},
		"without object": {after: 300 * 24 * time.Hour, edit: func(f *media.File) { f.ID = media.ID("g") }},
	} {
		d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
		d.AddKey(archivetest.Corp, "k1", 1)
		d.Library.Say(archivetest.Corp, archivetest.Record{Seq: 1, MsgID: "m", KeyVersion: 1, KeyID: "k1", Text: fmt.Appendf(nil,
			`{"msgid":"m","action":"send","from":"lin.hua","tolist":["wmcustomer"],"msgtime":%d,"msgtype":"image","image":{"sdkfileid":"f"}}`, archivetest.Start.UnixMilli())})
		d.PullAndDecode()
		row, err := d.Files.File(t.Context(), archivetest.Corp, media.ID("f"))
		d.Must(err)
		object := row
		if c.edit != nil {
			c.edit(&object)
		}
		d.Must(d.Objects.PutFile(t.Context(), archivetest.Corp, object.ID, []byte("bytes")))
		object.ID = row.ID
		_, err = d.Files.SaveFile(t.Context(), object)
		d.Must(err)
		d.Clock.Advance(c.after)
		_, got := verify(d, 0)
		got = slices.DeleteFunc(got, func(f string) bool { return strings.HasSuffix(f, "head_missing") }) // dispatch did not run meanwhile
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// A verification compares files by their checksums, and reads none.
func TestVerifyComparesFilesByTheirChecksums(t *testing.T) {
	f := &archivetest.Faults{}
	d := archivetest.NewDecodeFixture(t, f)
	d.AddKey(archivetest.Corp, "k1", 1)
	for i, name := range []string{"same", "changed", "gone", "row gone", "waits", "hidden", "expired", "waits with a copy"} {
		d.Library.Say(archivetest.Corp, archivetest.Record{Seq: uint64(i + 1), MsgID: name, KeyVersion: 1, KeyID: "k1", Text: fmt.Appendf(nil,
			`{"msgid":%q,"action":"send","from":"lin.hua","tolist":["wmcustomer"],"msgtime":%d,"msgtype":"image","image":{"sdkfileid":%q}}`, name, archivetest.Start.UnixMilli(), name)})
	}
	d.Library.Say(archivetest.Corp, archivetest.Record{Seq: 9, MsgID: "again", KeyVersion: 1, KeyID: "k1", Text: fmt.Appendf(nil,
		`{"msgid":"again","action":"send","from":"lin.hua","tolist":["wmcustomer"],"msgtime":%d,"msgtype":"image","image":{"sdkfileid":"gone"}}`, archivetest.Start.UnixMilli())})
	d.PullAndDecode()
	for _, name := range []string{"same", "changed", "gone", "row gone", "hidden", "waits with a copy"} {
		body, id := []byte("bytes of "+name), media.ID(name)
		d.Must(d.Objects.PutFile(t.Context(), archivetest.Corp, id, body))
		size, checksum, err := d.Objects.StatFile(t.Context(), archivetest.Corp, id)
		d.Must(err)
		row, err := d.Files.File(t.Context(), archivetest.Corp, id)
		d.Must(err)
		row.State, row.Stored = media.Stored, &media.Object{Size: size, Checksum: checksum}
		_, err = d.Files.SaveFile(t.Context(), row)
		d.Must(err)
	}
	set := func(name string, change func(*media.File)) {
		t.Helper()
		row, err := d.Files.File(t.Context(), archivetest.Corp, media.ID(name))
		d.Must(err)
		change(&row)
		_, err = d.Files.SaveFile(t.Context(), row)
		d.Must(err)
	}
	set("expired", func(f *media.File) { f.State = media.Expired })
	set("waits with a copy", func(f *media.File) { f.State, f.Stored.Differs = media.Waiting, media.ReasonMD5 })
	d.Objects.Replace(archivetest.Corp, media.ID("waits with a copy"), []byte("the right bytes, just now"))
	if _, got := verify(d, 0); got != nil {
		t.Errorf("got %v, want no finding", got)
	}
	set("hidden", func(f *media.File) { f.State, f.Stored = media.Expired, nil })
	d.Objects.Replace(archivetest.Corp, media.ID("changed"), []byte("bytes of Changed"))
	d.Objects.Replace(archivetest.Corp, media.ID("gone"), nil)
	d.Files.Lose(archivetest.Corp, media.ID("row gone"))
	f.Arm(nil)
	_, got := verify(d, 0)
	if want := []string{"0/2 file_differs", "0/3 file_missing", "0/4 file_missing", "0/6 file_differs"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, c := range f.Calls() {
		if strings.HasSuffix(c.Name, "OpenFile") {
			t.Error("the verification reads a file")
		}
	}
}

// A weekly verification looks at every row, head and object. It reads the pages of
// eight days except the youngest, and each older one once in 52 weeks.
func TestWeeklyVerificationReadsFewPages(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	const days = 60
	for i := range uint64(days) {
		d.Say(archivetest.Corp, i+1, 1)
		d.PullAndDecode()
		d.Clock.Advance(24 * time.Hour)
	}
	d.WriteHead()
	read := make(map[uint64]int)
	for week := range 52 {
		reads := &pagesRead{Journal: d.Journal}
		cfg := d.Config
		cfg.Journal = reads
		d.Configure(cfg)
		job, got := verifyAs(d, decode.Replay{Weekly: true})
		if got != nil || job.Pages != days {
			t.Fatalf("week %d: got findings %v after %d rows, want none after %d", week, got, job.Pages, days)
		}
		if week == 0 {
			for after := uint64(days - 7); after < days; after++ {
				if !slices.Contains(reads.afters, after) {
					t.Errorf("page after %d of the last days is not read", after)
				}
			}
		}
		for _, after := range reads.afters {
			read[after]++
		}
		for range 7 {
			d.Clock.Advance(24 * time.Hour)
			d.WriteHead()
		}
	}
	for after := range uint64(days) {
		if old := after <= days-8; read[after] == 0 || old && read[after] > 1 { // at the first verification
			t.Errorf("page after %d is read %d times in 52 weeks", after, read[after])
		}
	}
	d.Say(archivetest.Corp, days+1, 1)
	d.Must(d.Pull(archive.PullRequest{Force: true}))
	d.Decodes.Take()
	if _, got := verifyAs(d, decode.Replay{Weekly: true}); got != nil {
		t.Errorf("got %v about a page that waits to be decoded, want no finding", got)
	}
}

// noLibrary decrypts nothing: WeCom refuses the secret.
type noLibrary struct{}

func (noLibrary) Decrypter(context.Context, string) (decode.Decrypter, error) {
	return nil, decode.ErrRefused
}

// A verification of a corp whose secret WeCom refuses decodes no page. It still
// looks at rows, heads and objects, and compares pages with their rows: the state
// that says that the secret is refused is in the ledger too.
func TestVerifyWithoutTheLibrary(t *testing.T) {
	d := newPages(t, 70*time.Minute, true)
	rows, config := d.Rows(), d.Config
	config.Decrypters = noLibrary{}
	rows[0].Last = rows[1].Last
	forge(d, []archive.Row{rows[0], rows[2]}, 3, 4, 5)
	d.Journal.Damage(rows[2])
	cfg := d.Config
	cfg.Decrypters = noLibrary{}
	d.Configure(cfg)
	if job, got := verifyAs(d, decode.Replay{Weekly: true}); !job.ChainOnly || !slices.Equal(got, []string{"0/0 records_differ", "2/0 row_removed", "4/0 journal_changed"}) {
		t.Errorf("got %v, chain only %t, want what needs no library", got, job.ChainOnly)
	}
	d.Say(archivetest.Corp, 7, 1)
	d.Must(d.Pull(archive.PullRequest{Force: true}))
	d.Decodes.Take()
	d.Clock.Advance(2 * time.Hour)
	d.Configure(config)
	if job, got := verifyAs(d, decode.Replay{From: 6, Weekly: true}); !job.ChainOnly || got != nil {
		t.Errorf("got %v, chain only %t about a page that waits for the secret, want no finding", got, job.ChainOnly)
	}
	startReplay(d, decode.Replay{ID: "asked", Verify: true})
	if err := d.Replayer.Run(t.Context(), d.Decodes.Take()[0]); !errors.Is(err, decode.ErrRefused) {
		t.Errorf("got %v for a person's verification, want it to wait for the secret", err)
	}
}

// pagesRead notes which pages are read.
type pagesRead struct {
	archive.Journal
	mu     sync.Mutex
	afters []uint64
}

func (p *pagesRead) Page(ctx context.Context, r archive.Row) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.afters = append(p.afters, r.After)
	return p.Journal.Page(ctx, r)
}
