package archivetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// TestLedger checks a ledger. It calls open once, for an empty ledger.
func TestLedger(t *testing.T, open func(t testing.TB) LedgerStore) {
	l := open(t)
	for name, test := range map[string]func(*testing.T, LedgerStore){
		"Chain":           ledgerChain,
		"Conflict":        ledgerConflict,
		"ConcurrentPulls": ledgerConcurrently,
		"PullState":       ledgerPullState,
		"Tries":           ledgerTries,
		"Finish":          ledgerFinish,
		"NoteRequest":     ledgerNoteRequest,
		"FirstPending":    ledgerFirstPending,
		"Losses":          ledgerLosses,
		"Replays":         ledgerReplays,
		"Running":         ledgerRunning,
		"Notified":        ledgerNotified,
		"Examined":        ledgerExamined,
		"Cancelled":       ledgerCancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, l) })
	}
}

// extend appends n pages of 10 seqs each, a minute apart, and returns all rows
// of the corp.
func extend(t *testing.T, l LedgerStore, corp string, n int) []archive.Row {
	t.Helper()
	head, err := l.Head(t.Context(), corp)
	ok(t, err)
	for range n {
		page := fmt.Appendf(nil, "page after %d", head.Last)
		row := PageRow(head, page, head.Last+1, head.Last+10, 10, epoch.Add(time.Duration(head.Rows)*time.Minute))
		ok(t, l.Append(t.Context(), head, row))
		head = head.Next(row)
	}
	rows, err := l.Rows(t.Context(), corp, archive.RowQuery{Limit: 1000})
	ok(t, err)
	return rows
}

func ledgerChain(t *testing.T, l LedgerStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	head, err := l.Head(t.Context(), corp)
	ok(t, err)
	same(t, "head without rows", head, archive.NewHead(corp))
	_, err = l.Row(t.Context(), corp, 0)
	fails(t, "row of a corp without rows", err, archive.ErrNotFound)
	var rows []archive.Row
	for i, make := range []func() archive.Row{
		func() archive.Row { return PageRow(head, []byte("page"), 5, 9, 3, epoch) },
		func() archive.Row {
			return GapRow(head, 12, "library_crashed", "seen\nthrice #|\"", epoch.Add(time.Second))
		},
		func() archive.Row { return PageRow(head, []byte("far"), far, far+7, 1000, epoch.Add(time.Hour)) },
		func() archive.Row {
			return PageRow(head, []byte("end"), far+8, ^uint64(0)-1, 1, epoch.Add(2*time.Hour))
		},
	} {
		row := make()
		ok(t, l.Append(t.Context(), head, row))
		rows, head = append(rows, row), head.Next(row)
		got, err := l.Row(t.Context(), corp, row.After)
		ok(t, err)
		same(t, fmt.Sprintf("row %d", i), got, row)
		now, err := l.Head(t.Context(), corp)
		ok(t, err)
		same(t, fmt.Sprintf("head after row %d", i), now, head)
	}
	for _, c := range []struct {
		name string
		q    archive.RowQuery
		want []archive.Row
	}{
		{"all", archive.RowQuery{Limit: 1000}, rows},
		{"first two", archive.RowQuery{Limit: 2}, rows[:2]},
		{"from the second", archive.RowQuery{From: 9, Limit: 1000}, rows[1:]},
		{"from after the second", archive.RowQuery{From: 10, Limit: 1000}, rows[2:]},
		{"descending from the third", archive.RowQuery{From: 12, Descending: true, Limit: 2}, []archive.Row{rows[2], rows[1]}},
		{"descending from below the third", archive.RowQuery{From: 11, Descending: true, Limit: 1}, rows[1:2]},
		{"descending from the end", archive.RowQuery{From: ^uint64(0), Descending: true, Limit: 1}, rows[3:]},
		{"from the end", archive.RowQuery{From: ^uint64(0), Limit: 1}, nil},
	} {
		got, err := l.Rows(t.Context(), corp, c.q)
		ok(t, err)
		if len(got) != 0 || len(c.want) != 0 {
			same(t, c.name, got, c.want)
		}
	}
	pending, err := l.Pendings(t.Context(), corp, 1000)
	ok(t, err)
	var want []archive.Pending
	for _, r := range rows {
		if r.Kind == archive.PageRow {
			want = append(want, archive.Pending{Corp: corp, After: r.After, RequestedAt: r.At, Tries: 1})
		}
	}
	same(t, "pending pages", pending, want)

	head, err = l.Head(t.Context(), other)
	ok(t, err)
	same(t, "head of another corp", head, archive.NewHead(other))
	none, err := l.Rows(t.Context(), other, archive.RowQuery{Limit: 1000})
	ok(t, err)
	if len(none) != 0 {
		t.Errorf("another corp has %d rows, want 0", len(none))
	}
}

func ledgerConflict(t *testing.T, l LedgerStore) {
	corp := corpFor(t, 1)
	genesis := archive.NewHead(corp)
	rows := extend(t, l, corp, 2)
	head := genesis.Next(rows[0]).Next(rows[1])
	// Another chain with the same seqs and the same number of rows.
	elsewhere := genesis.Next(PageRow(genesis, []byte("another page"), 1, 10, 10, epoch))
	elsewhere = elsewhere.Next(PageRow(elsewhere, []byte("and another"), 11, 20, 10, epoch))
	ahead := archive.Head{Corp: corp, Last: 90, Rows: 9, Hash: Sum(nil)}
	for name, c := range map[string]struct {
		prev archive.Head
		row  archive.Row
	}{
		"same row again":           {genesis, rows[0]},
		"from a head without rows": {genesis, PageRow(genesis, []byte("p"), 1, 3, 1, epoch)},
		"one row behind":           {genesis.Next(rows[0]), PageRow(genesis.Next(rows[0]), []byte("p"), 11, 99, 1, epoch)},
		"another chain":            {elsewhere, GapRow(elsewhere, 30, "r", "e", epoch)},
		"ahead of the head":        {ahead, GapRow(ahead, 99, "r", "e", epoch)},
	} {
		fails(t, name, l.Append(t.Context(), c.prev, c.row), archive.ErrConflict)
	}
	now, err := l.Head(t.Context(), corp)
	ok(t, err)
	same(t, "head afterwards", now, head)
	after, err := l.Rows(t.Context(), corp, archive.RowQuery{Limit: 1000})
	ok(t, err)
	same(t, "rows afterwards", after, rows)
	pending, err := l.Pendings(t.Context(), corp, 1000)
	ok(t, err)
	if len(pending) != 2 {
		t.Errorf("got %d pending pages afterwards, want 2", len(pending))
	}
}

func ledgerConcurrently(t *testing.T, l LedgerStore) {
	corp := corpFor(t, 1)
	head := archive.NewHead(corp)
	const pullers = 6
	errs := make([]error, pullers)
	rows := make([]archive.Row, pullers)
	var wg sync.WaitGroup
	for i := range pullers {
		rows[i] = PageRow(head, fmt.Appendf(nil, "page %d", i), 1, uint64(i)+1, 1, epoch)
		wg.Go(func() { errs[i] = l.Append(t.Context(), head, rows[i]) })
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case !errors.Is(err, archive.ErrConflict):
			t.Errorf("puller %d: got error %v, want one success and %v for the others", i, err, archive.ErrConflict)
		}
	}
	now, err := l.Head(t.Context(), corp)
	ok(t, err)
	if winner < 0 {
		// Pullers that collide may all fail. Then the head has not moved.
		same(t, "head", now, head)
		return
	}
	same(t, "head", now, head.Next(rows[winner]))
	got, err := l.Row(t.Context(), corp, 0)
	ok(t, err)
	same(t, "row", got, rows[winner])
}

func ledgerPullState(t *testing.T, l LedgerStore) {
	corps := []string{corpFor(t, 1), corpFor(t, 2), corpFor(t, 3)}
	none, err := l.PullState(t.Context(), corps[0])
	ok(t, err)
	same(t, "never saved", none, archive.PullState{Corp: corps[0]})
	full := archive.PullState{
		Corp: corps[0], LastCallAt: epoch, LastPageAt: epoch.Add(time.Second), LastEmptyAt: epoch.Add(time.Minute), UnannouncedAt: epoch.Add(time.Hour),
		Standing: archive.Standing{SecretSetAt: epoch.Add(-time.Minute), OKAt: epoch.Add(-time.Hour), Refusals: 3, RefusedAt: epoch, NotBefore: epoch.Add(2 * time.Hour), HeldUntil: epoch.Add(time.Hour), Trouble: &archive.Trouble{
			Cause: archive.CauseTrustedIP, Op: "GetChatData", Code: 301042, Native: true, FromIP: "203.0.113.9",
			Since: epoch, At: epoch.Add(time.Hour),
		}},
		Limit:     10,
		GapSearch: &archive.GapSearch{After: far, At: far + 2, Reason: "record_too_large", Attempts: 4, Since: epoch},
		Gaps:      2, LastGap: &archive.GapNote{After: far, Last: far + 1, Reason: "record_too_large", At: epoch.Add(time.Hour)},
	}
	bare := archive.PullState{Corp: corps[1], LastCallAt: epoch}
	for _, s := range []archive.PullState{{Corp: corps[0], Limit: 1}, full, bare} {
		ok(t, l.SavePullState(t.Context(), s))
		got, err := l.PullState(t.Context(), s.Corp)
		ok(t, err)
		same(t, "saved", got, s)
	}
	states, err := l.PullStates(t.Context(), corps)
	ok(t, err)
	same(t, "states", states, map[string]archive.PullState{corps[0]: full, corps[1]: bare, corps[2]: {Corp: corps[2]}})
	states, err = l.PullStates(t.Context(), nil)
	ok(t, err)
	if len(states) != 0 {
		t.Errorf("states of no corps: got %d, want 0", len(states))
	}
	many := make([]string, 250) // more than a table reads in one request
	for i := range many {
		many[i] = corpFor(t, 100+i)
	}
	ok(t, l.SavePullState(t.Context(), archive.PullState{Corp: many[249], Limit: 7}))
	states, err = l.PullStates(t.Context(), many)
	ok(t, err)
	if len(states) != len(many) || states[many[249]].Limit != 7 || states[many[0]].Corp != many[0] {
		t.Errorf("states of %d corps: got %d, or not theirs", len(many), len(states))
	}
}

func ledgerTries(t *testing.T, l LedgerStore) {
	a, b := corpFor(t, 1), corpFor(t, 2)
	at := func(d time.Duration) time.Time { return epoch.Add(d) }
	try := func(way archive.Way, corp, by string, d time.Duration, state archive.TryState) archive.Try {
		return archive.Try{Way: way, Corp: corp, By: by, At: at(d), State: state}
	}
	second := try(archive.Trusted, b, "pull", time.Hour, archive.TryRunning)
	second.ID = "2" // of another caller at the same moment
	mark := archive.Try{Way: archive.Trusted, Corp: b, At: at(0), State: archive.TryWaiting, Registered: at(-time.Hour)}
	for _, put := range []archive.Try{
		try(archive.Trusted, a, "pull", 0, archive.TryRunning),
		try(archive.Trusted, a, "decode", 0, archive.TryRefused),
		try(archive.Trusted, b, "pull", time.Minute, archive.TryRunning),
		try(archive.Open, a, "setup", time.Minute, archive.TryRefused),
		try(archive.Trusted, b, "pull", time.Hour, archive.TryRefused),
		mark,
		try(archive.Trusted, b, "pull", time.Minute, archive.TryReleased), // replaces
		try(archive.Trusted, b, "pull", time.Hour, archive.TryRefused),    // the same again
		second,
	} {
		ok(t, l.PutTry(t.Context(), put))
	}
	want := []archive.Try{
		try(archive.Trusted, a, "decode", 0, archive.TryRefused),
		try(archive.Trusted, a, "pull", 0, archive.TryRunning),
		try(archive.Trusted, b, "pull", time.Minute, archive.TryReleased),
		try(archive.Trusted, b, "pull", time.Hour, archive.TryRefused),
		second,
	}
	list := func(way archive.Way, since time.Duration) []archive.Try {
		t.Helper()
		got, err := l.Tries(t.Context(), way, at(since))
		ok(t, err)
		slices.SortFunc(got, func(a, b archive.Try) int {
			return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.By, b.By), cmp.Compare(a.ID, b.ID))
		})
		return got
	}
	for since, n := range map[time.Duration]int{-time.Hour: 0, 0: 0, time.Millisecond: 2, time.Minute: 2, time.Hour: 3, time.Hour + time.Millisecond: 5} {
		var tries []archive.Try
		var marks int
		for _, got := range list(archive.Trusted, since) {
			if got.Mark() {
				marks++
				same(t, "mark", got, mark)
				continue
			}
			tries = append(tries, got)
		}
		if marks != 1 {
			t.Errorf("since %v: got %d marks, want 1: a mark does not age", since, marks)
		}
		if len(tries) != len(want)-n {
			t.Errorf("since %v: got %d tries, want %d", since, len(tries), len(want)-n)
			continue
		}
		for i, got := range tries {
			same(t, "try", got, want[n+i])
		}
	}
	mark.State, mark.At = archive.TryReleased, at(time.Minute)
	ok(t, l.PutTry(t.Context(), mark))
	for _, got := range list(archive.Trusted, 2*time.Hour) {
		same(t, "mark", got, mark)
	}
	if got := list(archive.Open, 0); len(got) != 1 || got[0].By != "setup" {
		t.Errorf("got %+v on the open way, want the one try of it", got)
	}
}

func ledgerFinish(t *testing.T, l LedgerStore) {
	corp := corpFor(t, 1)
	rows := extend(t, l, corp, 3)
	results := []archive.Result{
		{At: epoch, Stored: 8, Unreadable: 1, SetAside: map[string]int{"no_key": 2}, Types: map[string]int{"text": 6, "音频 . #": 1}},
		{At: epoch.Add(time.Hour), Stored: 10, Types: map[string]int{"text": 10}},
		{At: epoch.Add(2 * time.Hour), Stored: 10},
	}
	for _, want := range results {
		for range 2 {
			ok(t, l.Finish(t.Context(), corp, rows[1].After, want, nil))
			got, err := l.Row(t.Context(), corp, rows[1].After)
			ok(t, err)
			row := rows[1]
			row.State, row.Tries, row.Result = archive.RowDecoded, 0, &want
			same(t, "finished row", got, row)
			listed, err := l.Rows(t.Context(), corp, archive.RowQuery{From: rows[0].After, Limit: 3})
			ok(t, err)
			same(t, "rows", listed, []archive.Row{rows[0], row, rows[2]})
			chain, err := l.Rows(t.Context(), corp, archive.RowQuery{From: rows[1].After, Descending: true, Limit: 1, ChainOnly: true})
			ok(t, err)
			row.State, row.Result = "", nil
			same(t, "row of the chain only", chain, []archive.Row{row})
		}
	}
	pending, err := l.Pendings(t.Context(), corp, 1000)
	ok(t, err)
	same(t, "pending pages", pending, []archive.Pending{
		{Corp: corp, After: rows[0].After, RequestedAt: rows[0].At, Tries: 1},
		{Corp: corp, After: rows[2].After, RequestedAt: rows[2].At, Tries: 1},
	})
	last, err := l.LastPending(t.Context(), corp)
	ok(t, err)
	same(t, "last pending page", last, pending[1])
	ok(t, l.Finish(t.Context(), corp, rows[0].After, results[1], nil))
	ok(t, l.Finish(t.Context(), corp, rows[2].After, results[1], nil))
	_, err = l.LastPending(t.Context(), corp)
	fails(t, "without pending pages", err, archive.ErrNotFound)
	ids := []string{media.ID("a"), media.ID("b"), media.ID("c")}
	slices.Sort(ids)
	for _, files := range [][]string{ids, ids[:1]} {
		ok(t, l.Finish(t.Context(), corp, rows[1].After, archive.Result{Stored: 10, Files: len(files)}, files))
		got, err := l.PageFiles(t.Context(), corp, []uint64{rows[0].After, rows[1].After, 5})
		ok(t, err)
		same(t, "files of pages", got, map[uint64][]string{rows[1].After: files})
	}
	_, err = l.Row(t.Context(), corp, 5)
	fails(t, "no such row", err, archive.ErrNotFound)
}

// ledgerFirstPending checks which pages of each lane are first: those that were
// requested at most once, the lowest seqs first.
func ledgerFirstPending(t *testing.T, l LedgerStore) {
	corp := corpFor(t, 1)
	rows := extend(t, l, corp, 60) // more than one read of the adapter covers
	lanes := make(map[int][]archive.Pending)
	for _, r := range rows {
		lane := archive.DecodeLane(r.After)
		lanes[lane] = append(lanes[lane], archive.Pending{Corp: corp, After: r.After, RequestedAt: r.At, Tries: r.Tries})
	}
	check := func(when string) {
		t.Helper()
		for lane := range archive.DecodeLanes {
			got, err := l.FirstPending(t.Context(), corp, lane, 2)
			ok(t, err)
			same(t, fmt.Sprint(when, ": lane ", lane), got, lanes[lane][:min(len(lanes[lane]), 2)])
		}
	}
	check("in the beginning")
	late := epoch.Add(time.Hour)
	ok(t, l.NoteRequest(t.Context(), lanes[0][0], late, false))
	ok(t, l.NoteRequest(t.Context(), lanes[1][1], late, true))
	ok(t, l.Finish(t.Context(), corp, lanes[2][0].After, archive.Result{At: late, Stored: 10}, nil))
	lanes[0], lanes[2] = lanes[0][1:], lanes[2][1:]
	lanes[1] = slices.Delete(lanes[1], 1, 2)
	check("after requests and a result")
	for _, p := range slices.Clone(lanes[3]) {
		ok(t, l.Finish(t.Context(), corp, p.After, archive.Result{At: late, Stored: 10}, nil))
	}
	lanes[3] = nil
	check("after the end of a lane")
}

func ledgerNoteRequest(t *testing.T, l LedgerStore) {
	corp := corpFor(t, 1)
	extend(t, l, corp, 4)
	pending := func(limit int) []archive.Pending {
		t.Helper()
		p, err := l.Pendings(t.Context(), corp, limit)
		ok(t, err)
		return p
	}
	if got := pending(3); len(got) != 3 || got[0].After != 0 || got[2].After != 20 {
		t.Errorf("limited: got %v, want the 3 oldest seqs", got)
	}
	p := pending(10)[1]
	at := epoch.Add(2 * time.Hour)
	ok(t, l.NoteRequest(t.Context(), p, at, false))
	fails(t, "with an old state", l.NoteRequest(t.Context(), p, at.Add(time.Hour), true), archive.ErrConflict)
	want := archive.Pending{Corp: corp, After: 10, RequestedAt: at, Tries: 2}
	got := pending(10)
	if len(got) != 4 {
		t.Fatalf("got %d pending pages, want 4", len(got))
	}
	same(t, "requested again", got[1], want)
	row, err := l.Row(t.Context(), corp, 10)
	ok(t, err)
	if row.State != archive.RowRequested || row.Tries != 2 {
		t.Errorf("requested again: got row %s after %d tries, want %s after 2", row.State, row.Tries, archive.RowRequested)
	}

	ok(t, l.NoteRequest(t.Context(), want, at.Add(time.Hour), true))
	stuck := archive.Pending{Corp: corp, After: 10, RequestedAt: at.Add(time.Hour), Tries: 3, Stuck: true}
	got = pending(10)
	same(t, "stuck", got[1], stuck)
	row, err = l.Row(t.Context(), corp, 10)
	ok(t, err)
	if row.State != archive.RowStuck || row.Tries != 3 {
		t.Errorf("stuck: got row %s after %d tries, want %s after 3", row.State, row.Tries, archive.RowStuck)
	}
	late := at.Add(25 * time.Hour)
	ok(t, l.NoteRequest(t.Context(), stuck, late, false))
	stuck.RequestedAt, stuck.Tries = late, 4
	same(t, "tried again", pending(10)[1], stuck)
	row, err = l.Row(t.Context(), corp, 10)
	ok(t, err)
	if row.State != archive.RowStuck {
		t.Errorf("tried again: got row %s, want %s until it is decoded", row.State, archive.RowStuck)
	}

	ok(t, l.NoteRequest(t.Context(), stuck, late, false))
	fails(t, "with an old state, at the same time", l.NoteRequest(t.Context(), stuck, late, false), archive.ErrConflict)
	stuck.Tries = 5

	ok(t, l.Finish(t.Context(), corp, 10, archive.Result{At: at, Stored: 10}, nil))
	fails(t, "decoded since", l.NoteRequest(t.Context(), stuck, at, true), archive.ErrConflict)
	row, err = l.Row(t.Context(), corp, 10)
	ok(t, err)
	if row.State != archive.RowDecoded {
		t.Errorf("decoded: got row %s, want %s", row.State, archive.RowDecoded)
	}
}

func ledgerLosses(t *testing.T, l LedgerStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	late := archive.Loss{Corp: corp, Since: epoch.Add(time.Hour), At: epoch.Add(121 * time.Hour)}
	early := archive.Loss{Corp: corp, Since: epoch, At: epoch.Add(120 * time.Hour)}
	again := early
	again.At = again.At.Add(time.Hour)
	for _, loss := range []archive.Loss{late, early, again} {
		ok(t, l.RecordLoss(t.Context(), loss))
	}
	got, err := l.Losses(t.Context(), corp)
	ok(t, err)
	same(t, "losses", got, []archive.Loss{early, late})
	if got, err = l.Losses(t.Context(), other); err != nil || len(got) != 0 {
		t.Errorf("another corp: got %d losses, error %v, want 0", len(got), err)
	}
}

func ledgerReplays(t *testing.T, l LedgerStore) {
	corp := corpFor(t, 1)
	a := decode.Replay{
		Corp: corp, ID: "20250301-a", CreatedAt: epoch, By: "小王 #1", Asked: true, From: 3, To: far, OnlySetAside: true, Version: 4,
		UpdatedAt: epoch,
	}
	b := decode.Replay{Corp: corp, ID: "20250302-b/é", CreatedAt: epoch.Add(time.Hour), UpdatedAt: epoch.Add(time.Hour)}
	_, err := l.Replay(t.Context(), corp, a.ID)
	fails(t, "before", err, archive.ErrNotFound)
	for _, r := range []decode.Replay{b, a} {
		ok(t, l.CreateReplay(t.Context(), r))
		fails(t, "again", l.CreateReplay(t.Context(), r), archive.ErrExists)
		got, err := l.Replay(t.Context(), corp, r.ID)
		ok(t, err)
		same(t, "job", got, r)
	}
	next := a
	next.Next, next.Pages, next.UpdatedAt = far, 2, epoch.Add(2*time.Hour)
	ok(t, l.AdvanceReplay(t.Context(), a, next))
	fails(t, "with an old state", l.AdvanceReplay(t.Context(), a, next), archive.ErrConflict)
	for name, age := range map[string]func(*decode.Replay){
		"elsewhere":     func(r *decode.Replay) { r.Next-- },
		"another count": func(r *decode.Replay) { r.Pages-- },
		"another time":  func(r *decode.Replay) { r.UpdatedAt = r.UpdatedAt.Add(-time.Millisecond) },
		"done":          func(r *decode.Replay) { r.Done = true },
		"absent":        func(r *decode.Replay) { r.ID = "none" },
	} {
		old, now := next, next
		age(&old)
		now.ID, now.By = old.ID, "another user"
		fails(t, name, l.AdvanceReplay(t.Context(), old, now), archive.ErrConflict)
	}
	got, err := l.Replay(t.Context(), corp, a.ID)
	ok(t, err)
	same(t, "advanced", got, next)
	done := next
	done.Done, done.Failed, done.UpdatedAt = true, true, epoch.Add(3*time.Hour)
	ok(t, l.AdvanceReplay(t.Context(), next, done))
	for limit, want := range map[int][]decode.Replay{10: {b, done}, 1: {b}} {
		list, err := l.Replays(t.Context(), corp, limit)
		ok(t, err)
		same(t, fmt.Sprintf("the newest %d", limit), list, want)
	}
}

func ledgerRunning(t *testing.T, l LedgerStore) {
	ctx := t.Context()
	corp, other := corpFor(t, 1), corpFor(t, 2)
	replay := decode.Running{Corp: corp, ID: "2025-a", RequestedAt: epoch}
	verify := decode.Running{Corp: corp, Verify: true, ID: "2025-b", RequestedAt: epoch}
	others := decode.Running{Corp: other, ID: "2025-c", RequestedAt: epoch, KeyCame: true, Tries: 3, TookOver: true}
	_, err := l.Running(ctx, corp, false)
	fails(t, "before the first", err, archive.ErrNotFound)
	for _, r := range []decode.Running{replay, verify, others} {
		ok(t, l.SetRunning(ctx, r))
	}
	second := replay
	second.ID = "2025-d"
	fails(t, "a second replay", l.SetRunning(ctx, second), archive.ErrExists)
	got, err := l.Running(ctx, corp, true)
	ok(t, err)
	same(t, "the verification", got, verify)

	later := replay
	later.RequestedAt, later.KeyCame, later.Tries = epoch.Add(time.Hour), true, 3
	ok(t, l.ReplaceRunning(ctx, replay, later))
	for name, age := range map[string]func(*decode.Running){
		"another job":     func(r *decode.Running) { r.ID = "x" },
		"another request": func(r *decode.Running) { r.RequestedAt = epoch },
		"without a key":   func(r *decode.Running) { r.KeyCame = false },
	} {
		old := later
		age(&old)
		fails(t, name, l.ReplaceRunning(ctx, old, replay), archive.ErrConflict)
		fails(t, name, l.RemoveRunning(ctx, old), archive.ErrConflict)
	}
	all, err := l.AllRunning(ctx)
	ok(t, err)
	all = slices.DeleteFunc(all, func(r decode.Running) bool { return r.Corp != corp && r.Corp != other })
	slices.SortFunc(all, func(a, b decode.Running) int { return strings.Compare(a.ID, b.ID) })
	same(t, "all", all, []decode.Running{later, verify, others})
	ok(t, l.RemoveRunning(ctx, later))
	fails(t, "removed twice", l.RemoveRunning(ctx, later), archive.ErrConflict)
	fails(t, "removed", l.ReplaceRunning(ctx, later, replay), archive.ErrConflict)
	ok(t, l.SetRunning(ctx, second))
}

func ledgerCancelled(t *testing.T, l LedgerStore) {
	corp := corpFor(t, 1)
	head := archive.NewHead(corp)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Append(ctx, head, PageRow(head, []byte("page"), 1, 1, 1, epoch)); err == nil {
		t.Error("append after the context has ended: got no error")
	}
	if _, err := l.Head(ctx, corp); err == nil {
		t.Error("head after the context has ended: got no error")
	}
	now, err := l.Head(t.Context(), corp)
	ok(t, err)
	same(t, "head", now, head)
	if rows := extend(t, l, corp, 1); !slices.ContainsFunc(rows, func(r archive.Row) bool { return r.After == 0 }) {
		t.Error("append afterwards: the row is not there")
	}
}

func ledgerExamined(t *testing.T, l LedgerStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	examined := func(id string) doctor.Record {
		t.Helper()
		r, err := l.Examined(t.Context(), id)
		ok(t, err)
		return r
	}
	same(t, "never examined", examined(corp), doctor.Record{Corp: corp})
	first := doctor.Record{Corp: corp, Rev: 1, At: epoch, Checks: map[doctor.Check]doctor.Known{
		doctor.CheckScope: {State: doctor.Bad, Cause: doctor.CauseEmpty, Since: epoch.Add(-time.Hour), Told: true}, doctor.CheckApp: {State: doctor.Off},
	}}
	change := func(check doctor.Check, at time.Duration) doctor.Change {
		return doctor.Change{Check: check, From: doctor.OK, To: doctor.Bad, Was: "", Now: doctor.CauseEmpty, At: epoch.Add(at), Operators: true, Evidence: []doctor.Evidence{{Fact: doctor.FactMembers, Value: "0"}}}
	}
	ok(t, l.SaveExamined(t.Context(), first, []doctor.Change{change(doctor.CheckScope, 0)}))
	same(t, "examined", examined(corp), first)
	fails(t, "two at once", l.SaveExamined(t.Context(), first, []doctor.Change{change(doctor.CheckApp, 0)}), archive.ErrConflict)
	second := first
	second.Rev, second.At = 2, epoch.Add(time.Minute)
	ok(t, l.SaveExamined(t.Context(), second, []doctor.Change{change(doctor.CheckScope, time.Minute), change(doctor.CheckFiles, time.Minute)}))
	same(t, "examined again", examined(corp), second)
	same(t, "another corp", examined(other), doctor.Record{Corp: other})

	want := []doctor.Change{change(doctor.CheckScope, time.Minute), change(doctor.CheckFiles, time.Minute), change(doctor.CheckScope, 0)}
	for _, limit := range []int{1, 2, 3, 10} {
		var got []doctor.Change
		for cursor := ""; ; {
			list, next, err := l.SetupChanges(t.Context(), corp, cursor, limit)
			ok(t, err)
			if got = append(got, list...); next == "" || len(got) > 10 {
				break
			}
			cursor = next
		}
		same(t, fmt.Sprint("changes, ", limit, " at a time"), got, want)
	}
	list, next, err := l.SetupChanges(t.Context(), other, "change#\x00", 10)
	ok(t, err)
	if len(list) != 0 || next != "" {
		t.Errorf("another corp: got %d changes, next %q", len(list), next)
	}
}

func ledgerNotified(t *testing.T, l LedgerStore) {
	corp, other := corpFor(t, 1), corpFor(t, 2)
	none, err := l.Notified(t.Context(), []string{corp, other})
	ok(t, err)
	same(t, "never notified", none, map[string]watch.Notified{corp: {Corp: corp}, other: {Corp: other}})
	first := watch.Notified{Corp: corp, Health: watch.Health(archive.CauseSecret), At: epoch}
	second := watch.Notified{Corp: corp, Health: watch.Well, At: epoch.Add(time.Minute)}
	ok(t, l.SaveNotified(t.Context(), none[corp], first))
	fails(t, "notified again with the first state", l.SaveNotified(t.Context(), none[corp], second), archive.ErrConflict)
	sending := first
	sending.Sending = watch.Well
	ok(t, l.SaveNotified(t.Context(), first, sending))
	fails(t, "notified while a notice is being sent", l.SaveNotified(t.Context(), first, second), archive.ErrConflict)
	ok(t, l.SaveNotified(t.Context(), sending, second))
	fails(t, "notified again with an old state", l.SaveNotified(t.Context(), first, second), archive.ErrConflict)
	got, err := l.Notified(t.Context(), []string{corp, other, corp})
	ok(t, err)
	same(t, "notified", got, map[string]watch.Notified{corp: second, other: {Corp: other}})
}
