package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

const (
	benchCorps = 100
	fleetCorps = 5000
	// benchCPU is the share of a processor that Lambda gives a function of 256 MB.
	benchCPU = 0.145
	// roundLimit is the time in which a round of fleetCorps must end.
	roundLimit = 40 * time.Second
)

// nobody is notified in the benchmark.
type nobody struct{}

func (nobody) Notify(context.Context, []watch.Change) error { return nil }

// BenchmarkTick does rounds over corps of which every one is due and one is
// flooded: with pages that are not decoded, records set aside, files that wait, and
// jobs. It measures the processor time of this process, which has the client of
// AWS in it and no store, and fails if a round of a large fleet would be late.
func BenchmarkTick(b *testing.B) {
	cfg, ctx := awstest.Config(b), b.Context()
	db, queues := dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	corps := dynamostore.NewCorps(db, awstest.Table(b, "CorpsTable"))
	table := awstest.Table(b, "LedgerTable")
	ledger, marks := dynamostore.NewLedger(db, table), dynamostore.NewMarks(db, table)
	messages := dynamostore.NewMessages(db, awstest.Table(b, "MessagesTable"))
	files := dynamostore.NewMedia(db, awstest.Table(b, "MediaTable"))
	log, start := slog.New(slog.DiscardHandler), time.Now()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	id := func(i int) string { return fmt.Sprintf("ww%014d", i) }
	for i := range benchCorps {
		must(corps.CreateCorp(ctx, archive.Corp{ID: id(i), Name: "x", CreatedAt: start, Enabled: true, EnabledAt: start, SecretSetAt: start}))
		must(ledger.SavePullState(ctx, archive.PullState{Corp: id(i), LastEmptyAt: start}))
	}
	flood(b, ledger, messages, files, id(0), start)

	now := start.Add(time.Hour)
	clock := func() time.Time { return now }
	decodes, lanes := sqsqueue.NewDecode(queues, awstest.FIFOQueue(b), rand.Text), sqsqueue.NewMedia(queues, awstest.FIFOQueue(b), rand.Text)
	d := &watch.Dispatcher{
		Corps: corps, Ledger: ledger, SetAside: messages, Files: files,
		Pulls:   archive.NewWantedPulls(marks, sqsqueue.NewPull(queues, awstest.FIFOQueue(b), rand.Text), clock),
		Decodes: decodes, DecodeDepth: decodes, Media: media.NewWantedLanes(marks, lanes, clock), MediaDepth: lanes,
		Notifier: nobody{}, Metrics: metrics{namespace: "bench", now: clock, log: log}, Now: clock, Log: log,
	}
	must(d.Tick(ctx)) // the first round notifies of every corp
	begun := processorTime(b)
	for b.Loop() {
		now = now.Add(archive.PullKept + 2*time.Minute) // every pull is sent again
		must(d.Tick(ctx))
	}
	each := (processorTime(b) - begun) / time.Duration(b.N*benchCorps)
	round := time.Duration(float64(each) * fleetCorps / benchCPU)
	b.ReportMetric(float64(each.Microseconds()), "cpu-µs/corp")
	b.ReportMetric(round.Seconds(), "s/round-of-5000")
	if round > roundLimit {
		b.Errorf("a round of %d corps takes %v on %v of a processor, want at most %v", fleetCorps, round, benchCPU, roundLimit)
	}
}

// flood leaves much work of one corp behind.
func flood(b *testing.B, ledger *dynamostore.Ledger, messages *dynamostore.Messages, files *dynamostore.Media, corp string, at time.Time) {
	ctx, head := b.Context(), archive.NewHead(corp)
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	aside := decode.Decoded{Corp: corp}
	for i := range uint64(300) {
		row := archive.Row{
			Corp: corp, Kind: archive.PageRow, After: head.Last, First: head.Last + 1, Last: head.Last + 1, Count: 1,
			Sum: archive.Digest([]byte("x")), Size: 1, At: at, Prev: head.Hash, State: archive.RowRequested, Tries: 1,
		}
		row.Hash = archive.ChainHash(row)
		must(ledger.Append(ctx, head, row))
		head = head.Next(row)
		aside.SetAside = append(aside.SetAside, archive.SetAside{Corp: corp, Seq: i + 1, Reason: archive.ReasonNoKey, KeyVersion: 1, At: at})
		name := fmt.Sprint("file ", i)
		f := media.File{Corp: corp, ID: media.ID(name), SDKFileID: name, State: media.Waiting, Deadline: at.Add(archive.Retention), NotBefore: at}
		must(files.CreateFile(ctx, f))
		f.Rev = 1
		must(files.ListFile(ctx, f))
	}
	must(messages.WritePage(ctx, aside))
	for _, verify := range []bool{false, true} {
		must(ledger.SetRunning(ctx, decode.Running{Corp: corp, Verify: verify, ID: "job", RequestedAt: at}))
	}
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
