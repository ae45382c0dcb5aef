package dynamostore_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

// pageRow is the row that follows prev, of ten records.
func pageRow(prev archive.Head, note string) archive.Row {
	row := archive.Row{
		Corp: prev.Corp, Kind: archive.PageRow, After: prev.Last, First: prev.Last + 1, Last: prev.Last + 10,
		Count: 10, Sum: note, Size: 100, At: start, Prev: prev.Hash, State: archive.RowRequested, Tries: 1,
	}
	row.Hash = archive.ChainHash(row)
	return row
}

// grow appends n pages to the chain.
func grow(t *testing.T, s *dynamostore.Ledger, head archive.Head, n int) archive.Head {
	t.Helper()
	for range n {
		row := pageRow(head, "")
		must(t, s.Append(t.Context(), head, row))
		head = head.Next(row)
	}
	return head
}

func afters(rows []archive.Row) []uint64 {
	var out []uint64
	for _, r := range rows {
		out = append(out, r.After)
	}
	return out
}

func TestHeadMovesOnlyFromWhereItWas(t *testing.T) {
	s, ctx := newLedger(t), t.Context()
	genesis := archive.NewHead(corp)
	first := pageRow(genesis, "first")
	must(t, s.Append(ctx, genesis, first))
	head := genesis.Next(first)
	second := pageRow(head, "second")
	must(t, s.Append(ctx, head, second))
	end := head.Next(second)

	// No row exists yet at these places, so only the condition on the head refuses.
	hash, rows, last := end, end, end
	hash.Hash, rows.Rows, last.Last = "other", 7, end.Last+1
	empty := archive.NewHead(corp)
	empty.Last = end.Last
	for name, prev := range map[string]archive.Head{
		"genesis": genesis, "old head": head, "another hash": hash, "another count": rows, "another seq": last, "no rows": empty,
	} {
		checkError(t, name, s.Append(ctx, prev, pageRow(prev, "late")), archive.ErrConflict)
	}
	// The head is as it was read, but the row exists: Append must not overwrite it.
	stray := pageRow(end, "stray")
	stray.After = first.After
	checkError(t, "row exists", s.Append(ctx, end, stray), archive.ErrConflict)

	got, err := s.Head(ctx, corp)
	must(t, err)
	check(t, "head", got, end)
	all, err := s.Rows(ctx, corp, archive.RowQuery{Limit: 10})
	must(t, err)
	check(t, "rows", all, []archive.Row{first, second})
	head, err = s.Head(ctx, neighbor)
	must(t, err)
	check(t, "the neighbour's head", head, archive.NewHead(neighbor))
}

func TestOneOfManyAppendsSucceeds(t *testing.T) {
	s, ctx := newLedger(t), t.Context()
	for _, prev := range []archive.Head{archive.NewHead(corp), grow(t, s, archive.NewHead(neighbor), 1)} {
		errs := make([]error, 8)
		var group errgroup.Group
		for i := range errs {
			group.Go(func() error {
				errs[i] = s.Append(ctx, prev, pageRow(prev, fmt.Sprint(i)))
				return nil
			})
		}
		must(t, group.Wait())
		var winners []int
		for i, err := range errs {
			if err == nil {
				winners = append(winners, i)
			} else {
				checkError(t, "loser", err, archive.ErrConflict)
			}
		}
		if len(winners) != 1 {
			t.Fatalf("got winners %v, want one", winners)
		}
		row, err := s.Row(ctx, prev.Corp, prev.Last)
		must(t, err)
		check(t, "row", row.Sum, fmt.Sprint(winners[0]))
		head, err := s.Head(ctx, prev.Corp)
		must(t, err)
		check(t, "head", head, prev.Next(row))
	}
}

func TestGapIsNotPending(t *testing.T) {
	s, ctx := newLedger(t), t.Context()
	head := archive.NewHead(corp)
	gap := archive.Row{
		Corp: corp, Kind: archive.GapRow, Last: 5, At: start, Reason: "too_large", Evidence: "301058",
		Prev: head.Hash, State: archive.RowDecoded,
	}
	gap.Hash = archive.ChainHash(gap)
	must(t, s.Append(ctx, head, gap))
	pending, err := s.Pendings(ctx, corp, 10)
	must(t, err)
	check(t, "pending", len(pending), 0)
	row, err := s.Row(ctx, corp, 0)
	must(t, err)
	check(t, "gap", row, gap)
}

func TestRows(t *testing.T) {
	s, ctx := newLedger(t), t.Context()
	head := grow(t, s, archive.NewHead(corp), 5)
	grow(t, s, archive.NewHead(neighbor), 2)
	far := archive.Row{Corp: corp, Kind: archive.GapRow, After: head.Last, Last: math.MaxUint64 - 20, State: archive.RowDecoded, Hash: "far"}
	must(t, s.Append(ctx, head, far))
	grow(t, s, head.Next(far), 1)
	const top = uint64(math.MaxUint64 - 20)
	for _, c := range []struct {
		name string
		q    archive.RowQuery
		want []uint64
	}{
		{"all", archive.RowQuery{Limit: 1000}, []uint64{0, 10, 20, 30, 40, 50, top}},
		{"first", archive.RowQuery{Limit: 2}, []uint64{0, 10}},
		{"from one", archive.RowQuery{From: 20, Limit: 2}, []uint64{20, 30}},
		{"from between", archive.RowQuery{From: 21, Limit: 2}, []uint64{30, 40}},
		{"down from one", archive.RowQuery{From: 20, Descending: true, Limit: 2}, []uint64{20, 10}},
		{"down from between", archive.RowQuery{From: 19, Descending: true, Limit: 9}, []uint64{10, 0}},
		{"down from the end", archive.RowQuery{From: math.MaxUint64, Descending: true, Limit: 2}, []uint64{top, 50}},
		{"beyond", archive.RowQuery{From: math.MaxUint64, Limit: 2}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, err := s.Rows(ctx, corp, c.q)
			must(t, err)
			check(t, "rows", afters(rows), c.want)
		})
	}
}

func TestFinish(t *testing.T) {
	s, ctx := newLedger(t), t.Context()
	grow(t, s, archive.NewHead(corp), 2)
	_, err := s.Row(ctx, corp, 99)
	checkError(t, "the absent row", err, archive.ErrNotFound)

	for i, result := range []archive.Result{
		{At: start, Stored: 9, SetAside: map[string]int{"no_key": 1}, Types: map[string]int{"text": 9}},
		{At: start.Add(time.Hour), Stored: 10, Types: map[string]int{"text": 9, "": 1}, Files: 3},
	} {
		must(t, s.Finish(ctx, corp, 0, result, nil))
		must(t, s.Finish(ctx, corp, 0, result, nil))
		row, err := s.Row(ctx, corp, 0)
		must(t, err)
		check(t, fmt.Sprintf("result %d", i), row.Result, &result)
		check(t, "state", row.State, archive.RowDecoded)
		check(t, "the chain", archive.ChainHash(row), row.Hash)
	}
	pending, err := s.Pendings(ctx, corp, 10)
	must(t, err)
	check(t, "pending", pending, []archive.Pending{{Corp: corp, After: 10, RequestedAt: start, Tries: 1}})
}

// Only Append writes to the partition of the chain, so that roles can keep every
// function but pull out of it (template.yaml).
func TestOnlyAppendWritesToTheChain(t *testing.T) {
	db, table, ctx := client(t), awstest.Table(t, "LedgerTable"), t.Context()
	s := dynamostore.NewLedger(db, table)
	grow(t, s, archive.NewHead(corp), 2)
	chain := func() []map[string]types.AttributeValue {
		t.Helper()
		out, err := db.Query(ctx, &dynamodb.QueryInput{
			TableName: &table, KeyConditionExpression: aws.String("pk = :pk"), ConsistentRead: aws.Bool(true),
			ExpressionAttributeValues: map[string]types.AttributeValue{":pk": &types.AttributeValueMemberS{Value: corp + "#chain"}},
		})
		must(t, err)
		return out.Items
	}
	before := chain()
	check(t, "items of the chain", len(before), 3) // two rows and the head
	pages, err := s.Pendings(ctx, corp, 2)
	must(t, err)
	must(t, s.NoteRequest(ctx, pages[0], start.Add(time.Hour), true))
	must(t, s.Finish(ctx, corp, 10, archive.Result{Stored: 10, Files: 1}, []string{archive.Digest(nil)}))
	must(t, s.SavePullState(ctx, archive.PullState{Corp: corp, Limit: 1}))
	must(t, s.RecordLoss(ctx, archive.Loss{Corp: corp, Since: start, At: start}))
	must(t, s.CreateReplay(ctx, decode.Replay{Corp: corp, ID: "r"}))
	must(t, s.SaveNotified(ctx, watch.Notified{Corp: corp}, watch.Notified{Corp: corp, Health: "late", At: start}))
	check(t, "chain after the other writes", chain(), before)
}

// Several decoders may finish one page at once; every decoder succeeds.
func TestFinishConcurrently(t *testing.T) {
	s, ctx := newLedger(t), t.Context()
	grow(t, s, archive.NewHead(corp), 1)
	var group errgroup.Group
	for i := range 8 {
		group.Go(func() error { return s.Finish(ctx, corp, 0, archive.Result{Stored: i}, nil) })
	}
	must(t, group.Wait())
}

func TestNoteRequest(t *testing.T) {
	s, ctx := newLedger(t), t.Context()
	grow(t, s, archive.NewHead(corp), 3)
	later := start.Add(time.Hour)
	old, err := s.Pendings(ctx, corp, 2)
	must(t, err)
	check(t, "pending", old, []archive.Pending{
		{Corp: corp, After: 0, RequestedAt: start, Tries: 1}, {Corp: corp, After: 10, RequestedAt: start, Tries: 1},
	})

	must(t, s.NoteRequest(ctx, old[0], later, true))
	checkError(t, "requested by another dispatcher", s.NoteRequest(ctx, old[0], later, true), archive.ErrConflict)
	must(t, s.Finish(ctx, corp, 10, archive.Result{}, nil))
	checkError(t, "decoded before the request", s.NoteRequest(ctx, old[1], later, true), archive.ErrConflict)
	row, err := s.Row(ctx, corp, 10)
	must(t, err)
	check(t, "decoded row", row.State, archive.RowDecoded)

	again := archive.Pending{Corp: corp, After: 0, RequestedAt: later, Tries: 2, Stuck: true}
	got, err := s.Pendings(ctx, corp, 1)
	must(t, err)
	check(t, "requested again", got, []archive.Pending{again})
	must(t, s.NoteRequest(ctx, again, later.Add(time.Hour), false))
	got, err = s.Pendings(ctx, corp, 1)
	must(t, err)
	again.RequestedAt, again.Tries = later.Add(time.Hour), 3
	check(t, "stuck after a request without stuck", got, []archive.Pending{again})
	row, err = s.Row(ctx, corp, 0)
	must(t, err)
	check(t, "stuck row", [2]any{row.State, row.Tries}, [2]any{archive.RowStuck, 3})
	check(t, "the chain", archive.ChainHash(row), row.Hash)
}

func TestLossIsRecordedOnce(t *testing.T) {
	s, ctx := newLedger(t), t.Context()
	first := archive.Loss{Corp: corp, Since: start, At: start.Add(archive.Retention)}
	later := archive.Loss{Corp: corp, Since: start.Add(time.Hour), At: start.Add(200 * time.Hour)}
	again := first
	again.At = again.At.Add(time.Minute)
	for _, l := range []archive.Loss{later, first, again} {
		must(t, s.RecordLoss(ctx, l))
	}
	got, err := s.Losses(ctx, corp)
	must(t, err)
	check(t, "losses", got, []archive.Loss{first, later})
}

func TestPullStatesOfManyCorps(t *testing.T) {
	s, ctx := newLedger(t), t.Context()
	want, ids := map[string]archive.PullState{}, []string(nil)
	for i := range 150 {
		id := fmt.Sprintf("ww%016d", i)
		ids = append(ids, id)
		state := archive.PullState{Corp: id}
		if i%50 == 0 {
			state.Refusals = i + 1
			must(t, s.SavePullState(ctx, state))
		}
		want[id] = state
	}
	got, err := s.PullStates(ctx, ids)
	must(t, err)
	check(t, "states", got, want)
	got, err = s.PullStates(ctx, nil)
	must(t, err)
	check(t, "no states", len(got), 0)
	one, err := s.PullState(ctx, ids[1])
	must(t, err)
	check(t, "state never saved", one, archive.PullState{Corp: ids[1]})
}

func TestReplays(t *testing.T) {
	db, table, ctx := client(t), awstest.Table(t, "LedgerTable"), t.Context()
	s := dynamostore.NewLedger(db, table)
	job := decode.Replay{Corp: corp, ID: "2026-1", CreatedAt: start, UpdatedAt: start, By: "operator", To: 100}
	must(t, s.CreateReplay(ctx, job))
	checkError(t, "CreateReplay again", s.CreateReplay(ctx, job), archive.ErrExists)
	_, err := s.Replay(ctx, neighbor, job.ID)
	checkError(t, "of another corp", err, archive.ErrNotFound)

	next := job
	next.Next, next.Pages, next.UpdatedAt = 20, 2, start.Add(time.Minute)
	must(t, s.AdvanceReplay(ctx, job, next))
	checkError(t, "advanced by another worker", s.AdvanceReplay(ctx, job, next), archive.ErrConflict)
	for name, change := range map[string]func(*decode.Replay){
		"next":    func(r *decode.Replay) { r.Next++ },
		"pages":   func(r *decode.Replay) { r.Pages++ },
		"updated": func(r *decode.Replay) { r.UpdatedAt = r.UpdatedAt.Add(1) },
		"done":    func(r *decode.Replay) { r.Done = true },
	} {
		other := next
		change(&other)
		checkError(t, "another "+name, s.AdvanceReplay(ctx, other, next), archive.ErrConflict)
	}
	unknown := job
	unknown.ID = "2026-2"
	checkError(t, "unknown", s.AdvanceReplay(ctx, unknown, unknown), archive.ErrConflict)

	done := next
	done.Done = true
	must(t, s.AdvanceReplay(ctx, next, done))
	newer := job
	newer.ID = "2026-3"
	must(t, s.CreateReplay(ctx, newer))
	got, err := s.Replays(ctx, corp, 10)
	must(t, err)
	check(t, "newest first", got, []decode.Replay{newer, done})

	// Jobs are in a partition of their own, which keeps functions that may only
	// start jobs away from the rows.
	all, err := db.Scan(ctx, &dynamodb.ScanInput{TableName: &table})
	must(t, err)
	check(t, "items", len(all.Items), 2)
	for _, it := range all.Items {
		check(t, "partition", it["pk"], types.AttributeValue(&types.AttributeValueMemberS{Value: corp + "#jobs"}))
	}
}
