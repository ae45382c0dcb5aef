package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
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
	// readsMost is how many items and lists of a company a round may read. What all
	// companies share, such as their list, is a small part of a read more.
	readsMost, readsShared = 5, 0.1
)

// queueAnswers stands for SQS: every queue takes every message and is empty.
type queueAnswers struct{}

func (queueAnswers) Do(*http.Request) (*http.Response, error) {
	const body = `{"Successful": [], "Failed": [], "Attributes": {"ApproximateNumberOfMessages": "0",
		"ApproximateNumberOfMessagesDelayed": "0"}}`
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// nobody is notified in the benchmark.
type nobody struct{}

func (nobody) Notify(context.Context, []watch.Change) error { return nil }

// noHeads stands for the bucket of daily heads.
type noHeads struct{}

func (noHeads) PutHead(context.Context, archive.Day, archive.Head) error { return nil }

// reads counts what is read from DynamoDB: each Query, and each key of a
// BatchGetItem.
type reads struct {
	sdk.HTTPClient
	n atomic.Int64
}

// Do implements [sdk.HTTPClient].
func (r *reads) Do(req *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	switch op {
	case "Query", "GetItem":
		r.n.Add(1)
	case "BatchGetItem":
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		r.n.Add(int64(bytes.Count(body, []byte(`"pk"`))))
	}
	return r.HTTPClient.Do(req)
}

// BenchmarkTick measures rounds over three kinds of corps: calm ones, of which each is
// due; busy ones, of which each had a page since the round before; and a flooded one,
// with pages that are not decoded, records set aside, files that wait, and jobs. It
// measures the processor time of this process, which holds the client of AWS and no
// store, so the load of the machine hardly changes the figures. It derives how long a
// round of a large calm fleet takes beside a flooded corp (aim: at most 40 seconds). It
// fails if a round reads too often.
func BenchmarkTick(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent)) // as wire does
	quiet, busy, flooded := newRounds(b, benchCorps), newRounds(b, benchCorps), newRounds(b, 1)
	flooded.flood()
	var each, active, of time.Duration
	busy.reads.n.Store(0)
	for b.Loop() {
		each += quiet.tick() / benchCorps
		busy.pages()
		active += busy.tick() / benchCorps
		of += flooded.tick()
	}
	each, active, of = each/time.Duration(b.N), active/time.Duration(b.N), of/time.Duration(b.N)
	round := time.Duration(float64(each*fleetCorps+of) / benchCPU)
	b.ReportMetric(float64(each.Microseconds()), "cpu-µs/corp")
	b.ReportMetric(float64(active.Microseconds()), "cpu-µs/busy-corp")
	b.ReportMetric(float64(of.Microseconds()), "cpu-µs/flooded-corp")
	b.ReportMetric(round.Seconds(), "s/round-of-5000")
	perCorp := float64(busy.reads.n.Load()) / float64(b.N*benchCorps)
	b.ReportMetric(perCorp, "reads/corp")
	if perCorp > readsMost+readsShared {
		b.Errorf("got %.2f reads of a corp in a round, want at most %d", perCorp, readsMost)
	}
}

// rounds are a dispatcher and its stores.
type rounds struct {
	b          *testing.B
	dispatcher *watch.Dispatcher
	ledger     *dynamostore.Ledger
	marks      *dynamostore.Marks
	messages   *dynamostore.Messages
	files      *dynamostore.Media
	reads      *reads
	corps      int
	now        time.Time
}

func (r *rounds) must(err error) {
	r.b.Helper()
	if err != nil {
		r.b.Fatal(err)
	}
}

func corpID(i int) string { return fmt.Sprintf("ww%014d", i) }

func newRounds(b *testing.B, corps int) *rounds {
	cfg, ctx, now := awstest.Config(b), b.Context(), time.Now()
	counted := &reads{HTTPClient: awshttp.NewBuildableClient()}
	db := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.HTTPClient = counted })
	queues := sqs.NewFromConfig(cfg, func(o *sqs.Options) { o.HTTPClient, o.DisableMessageChecksumValidation = queueAnswers{}, true })
	table, log := awstest.Table(b, "LedgerTable"), slog.New(slog.DiscardHandler)
	r := &rounds{
		b: b, ledger: dynamostore.NewLedger(db, table), marks: dynamostore.NewMarks(dynamodb.NewFromConfig(cfg), table), reads: counted, corps: corps, now: now,
		messages: dynamostore.NewMessages(db, awstest.Table(b, "MessagesTable")), files: dynamostore.NewMedia(db, awstest.Table(b, "MediaTable")),
	}
	settings := dynamostore.NewCorps(db, awstest.Table(b, "CorpsTable"))
	for i := range corps {
		r.must(settings.CreateCorp(ctx, archive.Corp{ID: corpID(i), Name: "x", CreatedAt: now, Enabled: true, EnabledAt: now, SecretSetAt: now}))
		r.must(r.ledger.SavePullState(ctx, archive.PullState{Corp: corpID(i), LastEmptyAt: now}))
	}
	clock := func() time.Time { return r.now }
	decodes, lanes := sqsqueue.NewDecode(queues, "https://sqs/d", rand.Text), sqsqueue.NewMedia(queues, "https://sqs/m", rand.Text)
	r.dispatcher = &watch.Dispatcher{
		Corps: settings, Ledger: r.ledger, SetAside: r.messages, Files: r.files,
		Pulls:   archive.NewWantedPulls(dynamostore.NewMarks(db, table), sqsqueue.NewPull(queues, "https://sqs/p", rand.Text), clock),
		Decodes: decodes, DecodeDepth: decodes, Media: media.NewWantedLanes(r.marks, lanes, clock), MediaDepth: lanes,
		Inspections: book.NewWantedInspections(r.marks, sqsqueue.NewInspect(queues, "https://sqs/i", rand.Text), clock), Heads: noHeads{}, Jobs: decode.NewJobStarter(r.ledger, decodes, clock), Notifier: nobody{}, Metrics: metrics{namespace: "bench", now: clock, log: log}, Now: clock, Log: log,
	}
	r.tick() // the first round notifies of every corp
	return r
}

// tick does a round and returns the processor time that it took. Before it, the
// consumers take the marks of the round before.
func (r *rounds) tick() time.Duration {
	ctx := r.b.Context()
	for i := range r.corps {
		m, err := r.marks.Mark(ctx, corpID(i), "pull")
		r.must(err)
		if !m.SentAt.IsZero() {
			r.must(r.marks.ReplaceMark(ctx, m, archive.Mark{Corp: m.Corp, Work: m.Work}))
		}
	}
	r.now = r.now.Add(time.Minute)
	begun := processorTime(r.b)
	r.must(r.dispatcher.Tick(ctx))
	return processorTime(r.b) - begun
}

// pages notes in the state of every corp that a page came.
func (r *rounds) pages() {
	for i := range r.corps {
		r.must(r.ledger.SavePullState(r.b.Context(), archive.PullState{Corp: corpID(i), LastEmptyAt: r.now, LastPageAt: r.now}))
	}
}

// flood leaves much work of the first corp behind.
func (r *rounds) flood() {
	ctx, corp, at := r.b.Context(), corpID(0), r.now
	head, aside := archive.NewHead(corp), decode.Decoded{Corp: corp}
	for i := range uint64(300) {
		row := archive.Row{
			Corp: corp, Kind: archive.PageRow, After: head.Last, First: head.Last + 1, Last: head.Last + 1, Count: 1,
			Sum: archive.Digest([]byte("x")), Size: 1, At: at, Prev: head.Hash, State: archive.RowRequested, Tries: 1,
		}
		row.Hash = archive.ChainHash(row)
		r.must(r.ledger.Append(ctx, head, row))
		head = head.Next(row)
		aside.SetAside = append(aside.SetAside, archive.SetAside{Corp: corp, Seq: i + 1, Reason: archive.ReasonNoKey, KeyVersion: 1, At: at})
		name := fmt.Sprint("file ", i)
		f := media.File{Corp: corp, ID: media.ID(name), SDKFileID: name, State: media.Waiting, Deadline: at.Add(archive.Retention), NotBefore: at}
		_, err := r.files.AddFiles(ctx, []media.File{f})
		r.must(err)
	}
	r.must(r.messages.WritePage(ctx, aside))
	for _, verify := range []bool{false, true} {
		r.must(r.ledger.SetRunning(ctx, decode.Running{Corp: corp, Verify: verify, ID: "job", RequestedAt: at}))
	}
	r.now = r.now.Add(time.Hour)
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
