// Package apitest is the fixture of the API's tests: the whole API on real
// stores, requests as API Gateway sends them, and every answer compared with
// openapi.yaml.
//
// The tests of a process share one set of tables. Each [World] has corps of its
// own in them, and queues, secrets, a clock and a log of its own, so tests may
// run in parallel.
package apitest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	sdk "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/yunduo-scrm/archive/functions/api/internal/callback"
	"github.com/yunduo-scrm/archive/functions/api/internal/callbackpair"
	"github.com/yunduo-scrm/archive/functions/api/internal/changes"
	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	"github.com/yunduo-scrm/archive/functions/api/internal/console"
	"github.com/yunduo-scrm/archive/functions/api/internal/directory"
	"github.com/yunduo-scrm/archive/functions/api/internal/doctor"
	"github.com/yunduo-scrm/archive/functions/api/internal/proof"
	"github.com/yunduo-scrm/archive/functions/api/internal/routes"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/functions/api/internal/setup"
	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
	examine "github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/opaque"
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/secretstore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
)

// Noon is the time at which tests begin, in Beijing's afternoon.
var Noon = time.Date(2026, 1, 31, 6, 30, 5, 0, time.UTC)

// World is the API on real stores. A test may replace a port of a subject
// before its first request.
type World struct {
	T           *testing.T
	Corp, Other string // the ids of two companies that are not registered yet

	Server    *routes.Server
	Table     []routes.Route
	Callback  *callback.Handlers
	Setup     *setup.Handlers
	Directory *directory.Handlers
	Doctor    *doctor.Handlers
	Proof     *proof.Handlers
	Chats     *chats.Handlers

	Corps    *dynamostore.Corps
	Ledger   *dynamostore.Ledger
	Marks    *dynamostore.Marks
	Messages *dynamostore.Messages
	Media    *dynamostore.Media
	Readings *dynamostore.Readings
	Contacts *dynamostore.Contacts
	Consents *dynamostore.Consents
	Files    *s3store.Media
	Journal  *s3store.Journal
	Secrets  *secretstore.Store
	Pairs    *callbackpair.Sealer

	queues                   *sqs.Client
	inspections              book.WantedInspections
	Pulls, Decodes, Inspects string // queue URLs
	Log                      *LogBuffer
	WeCom                    *WeCom

	mu    sync.Mutex
	clock time.Time
}

// NewWorld makes a world for a test, which runs in parallel with others.
func NewWorld(t *testing.T) *World {
	t.Helper()
	t.Parallel()
	cfg := awstest.Config(t)
	cfg.HTTPClient = network{awshttp.NewBuildableClient()}
	table := tables(t)
	db := dynamodb.NewFromConfig(cfg)
	objects := s3.NewFromConfig(cfg)
	w := &World{
		T: t, Corp: NewCorpID(), Other: NewCorpID(),
		Corps:    dynamostore.NewCorps(db, table.names["CorpsTable"]),
		Ledger:   dynamostore.NewLedger(db, table.names["LedgerTable"]),
		Marks:    dynamostore.NewMarks(db, table.names["LedgerTable"]),
		Messages: dynamostore.NewMessages(db, table.names["MessagesTable"]),
		Readings: dynamostore.NewReadings(db, table.names["ReadingsTable"]),
		Media:    dynamostore.NewMedia(db, table.names["MediaTable"]),
		Contacts: dynamostore.NewContacts(db, table.names["ContactsTable"]),
		Consents: dynamostore.NewConsents(db, table.names["ConsentsTable"], nil),
		Files:    s3store.NewMedia(objects, table.bucket),
		Journal:  s3store.NewJournal(objects, table.bucket),
		Secrets:  secretstore.New(secretsmanager.NewFromConfig(cfg), awstest.Name(t), ""),
		queues:   sqs.NewFromConfig(cfg),
		Pulls:    awstest.FIFOQueue(t),
		Decodes:  awstest.FIFOQueue(t),
		Inspects: awstest.FIFOQueue(t),
		Log:      &LogBuffer{},
		WeCom:    &WeCom{},
		clock:    Noon,
	}
	w.Pairs = callbackpair.NewSealer(w.Secrets)
	log := slog.New(slog.NewTextHandler(w.Log, nil))
	pulls := archive.NewWantedPulls(w.Marks, sqsqueue.NewPull(w.queues, w.Pulls, rand.Text), w.Now)
	inspections := book.NewWantedInspections(w.Marks, sqsqueue.NewInspect(w.queues, w.Inspects, rand.Text), w.Now)
	replays := decode.NewJobStarter(w.Ledger, sqsqueue.NewDecode(w.queues, w.Decodes, rand.Text), w.Now)
	w.inspections = inspections
	recorded := session.NewReadingMemory(w.Readings)
	w.Callback = &callback.Handlers{
		Pairs: callback.NewPairs(archive.ArchiveCallback, w.Corps, w.Pairs), AppPairs: callback.NewPairs(archive.AppCallback, w.Corps, w.Pairs),
		Corps: w.Corps, Pulls: pulls, Consents: w.Consents, Names: w.Contacts, Inspections: inspections, Now: w.Now, Log: log,
	}
	w.Directory = &directory.Handlers{
		Book:     &book.NameBook{Names: w.Contacts, Asker: w.Contacts, Reach: w.Contacts, Witness: w.Messages, Requests: inspections, Now: w.Now, Log: log},
		Contacts: w.Contacts, Consents: w.Consents, Inspections: inspections, Activity: w.Messages, Readings: recorded, Now: w.Now,
	}
	w.Setup = &setup.Handlers{
		Corps: w.Corps, Secrets: w.Secrets, Pairs: w.Pairs, Ledger: w.Ledger, Gate: &archive.Gate{Log: w.Ledger, Now: w.Now}, WeCom: w.WeCom, SetAside: w.Messages, App: w.Contacts, Checks: w.Directory, Pulls: pulls, Replays: replays,
		MakePair: rsakey.Make, NewID: rand.Text, Now: w.Now,
		TrustedIPs: []string{"203.0.113.9", "203.0.113.10"}, PublicURL: "https://archive.example.com",
	}
	w.Doctor = &doctor.Handlers{
		Facts: &examine.Reader{
			Ledger: w.Ledger, Settings: w.Corps, Reach: w.Contacts, SetAside: w.Messages, Files: w.Media, TrustedIPs: w.Setup.TrustedIPs, Now: w.Now,
		},
		Records: w.Ledger, Marks: w.Marks, Pulls: pulls, Checks: w.Directory, Now: w.Now,
	}
	w.Proof = &proof.Handlers{
		Ledger: w.Ledger, Events: w.Corps, Messages: w.Messages, Files: w.Media, Readings: w.Readings, Replays: replays, Names: w.Directory, NewID: rand.Text, Now: w.Now,
	}
	links := s3store.NewLinks(s3.NewPresignClient(objects), table.bucket)
	w.Chats = &chats.Handlers{
		Messages: w.Messages, Blobs: w.Journal, Files: w.Media, Links: links,
		Names: w.Directory, Readings: recorded, Seen: w.Readings, Now: w.Now,
	}
	pages, err := console.New(console.Config{Issuer: "https://login.example.com", Media: links, Version: "1.2.3-test"})
	if err != nil {
		t.Fatal(err)
	}
	w.Table = routes.Table(routes.Subjects{
		Callback: w.Callback, Setup: w.Setup, Directory: w.Directory, Doctor: w.Doctor, Proof: w.Proof, Chats: w.Chats, Console: pages, Session: &session.Handlers{Corps: w.Corps}, Changes: &changes.Handlers{Notes: w.Messages, Consents: w.Consents, Ledger: w.Ledger, Keys: w.Corps, Now: w.Now}, Version: "1.2.3-test",
	})
	w.Server = routes.New(w.Table, w.Corps, log)
	w.Server.Now = w.Now
	w.Server.AnswerTime = time.Hour // a busy machine must not end the pages of tests
	t.Cleanup(w.checkLog)
	return w
}

// NewCorpID makes a corp id that no other test uses.
func NewCorpID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return "ww" + hex.EncodeToString(b)
}

// Run runs a subtest. While it runs, the world reports to it.
func (w *World) Run(name string, f func(t *testing.T)) {
	outer := w.T
	outer.Run(name, func(t *testing.T) {
		w.T = t
		defer func() { w.T = outer }()
		f(t)
	})
}

// Now is the time of the world's clock, which stands still between passes.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

// Pass lets time pass.
func (w *World) Pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

// WeCom answers on the open way. It does not say whether it accepts a secret
// until a test sets an answer.
type WeCom struct {
	mu     sync.Mutex
	answer func(secret.Value) error
	Asked  int
}

// Answer sets the answer.
func (c *WeCom) Answer(f func(secret.Value) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = f
}

// Accepts implements the port of the set-up.
func (c *WeCom) Accepts(_ context.Context, cred book.Credential) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Asked++
	if c.answer == nil {
		return &book.APIError{Op: "gettoken", Cause: archive.CauseNetwork}
	}
	return c.answer(cred.Secret)
}

// LogBuffer is a log that tests can read.
type LogBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *LogBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *LogBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// ContentMark is in every message text of these tests, and SecretMark in every
// secret. The log may hold neither.
const (
	ContentMark = "CONTENT-MARK"
	SecretMark  = "SECRET-MARK"
)

func (w *World) checkLog() {
	for _, bad := range []string{ContentMark, SecretMark, "PRIVATE KEY"} {
		if strings.Contains(w.Log.String(), bad) {
			w.T.Errorf("the log holds %s", bad)
		}
	}
}

// BareCorp stores a corp without keys or callback pair. Making a key takes a
// while, and most tests need none.
func (w *World) BareCorp(id string) {
	w.T.Helper()
	if err := w.Corps.CreateCorp(w.T.Context(), archive.Corp{ID: id, Name: "n", CreatedAt: Noon, PageKey: opaque.NewKey()}); err != nil {
		w.T.Fatal(err)
	}
}

// Pair is the published sample pair (wecom.md 3.5, V1 and V2).
var Pair = callbackpair.Pair{ID: "sample", Token: secret.New("QDG6eK"), AESKey: secret.New("jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C")}

// WithPair stores a corp with a pair of the archive's callback, without a key.
func (w *World) WithPair(id string, p callbackpair.Pair) {
	w.T.Helper()
	w.BareCorp(id)
	w.GivePair(id, archive.ArchiveCallback, p)
}

// GivePair stores the first pair of a callback. Worlds share the table, so
// another world may have stored a corp of a fixed id before.
func (w *World) GivePair(id string, kind archive.CallbackKind, p callbackpair.Pair) {
	w.T.Helper()
	sealed, err := w.Pairs.Seal(w.T.Context(), id, kind, p)
	OK(w.T, err)
	if err := w.Corps.CreateCallback(w.T.Context(), id, kind, archive.Callback{Pair: p.ID, PairSealed: sealed}); err != nil && !errors.Is(err, archive.ErrExists) {
		w.T.Fatal(err)
	}
}

// Sent is a message of a queue: its body, group and deduplication id.
type Sent struct{ Body, Group, Dedup string }

// Drain takes all messages out of a queue. Like their consumer it clears their
// marks.
func (w *World) Drain(queue string) []Sent {
	w.T.Helper()
	all := w.receive(queue)
	work := map[string]string{w.Pulls: "pull", w.Inspects: book.InspectionWork}[queue]
	if work == "" {
		return all
	}
	for _, s := range all {
		m, err := w.Marks.Mark(w.T.Context(), s.Group, work)
		OK(w.T, err)
		OK(w.T, w.Marks.ReplaceMark(w.T.Context(), m, archive.Mark{Corp: s.Group, Work: work}))
	}
	return all
}

func (w *World) receive(queue string) []Sent {
	w.T.Helper()
	var all []Sent
	for {
		out, err := w.queues.ReceiveMessage(w.T.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &queue, MaxNumberOfMessages: 10,
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		})
		if err != nil {
			w.T.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return all
		}
		for _, m := range out.Messages {
			all = append(all, Sent{sdk.ToString(m.Body), m.Attributes["MessageGroupId"], m.Attributes["MessageDeduplicationId"]})
			if _, err := w.queues.DeleteMessage(w.T.Context(), &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
				w.T.Fatal(err)
			}
		}
	}
}

// PullRequests drains the queue of pull requests.
func (w *World) PullRequests() []archive.PullRequest {
	w.T.Helper()
	var reqs []archive.PullRequest
	for _, s := range w.Drain(w.Pulls) {
		var r archive.PullRequest
		if err := json.Unmarshal([]byte(s.Body), &r); err != nil {
			w.T.Fatal(err)
		}
		reqs = append(reqs, r)
	}
	return reqs
}

// InspectRequests drains the queue of inspections, each with what joined it.
func (w *World) InspectRequests() []book.Request {
	w.T.Helper()
	var reqs []book.Request
	for _, s := range w.receive(w.Inspects) {
		r, err := sqsqueue.ParseInspect(events.SQSMessage{Body: s.Body})
		if err == nil {
			r, err = w.inspections.Take(w.T.Context(), r)
		}
		if err != nil {
			w.T.Fatal(err)
		}
		reqs = append(reqs, r)
	}
	return reqs
}

// OK fails the test at once if err is not nil.
func OK(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Deref is what p points to, or the zero value.
func Deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
