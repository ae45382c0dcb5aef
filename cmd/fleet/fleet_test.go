package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
)

var now = time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)

// stack is a survey of tables in DynamoDB Local.
type stack struct {
	survey
	corps    *dynamostore.Corps
	ledger   *dynamostore.Ledger
	messages *dynamostore.Messages
	media    *dynamostore.Media
	tables   map[string]string // names, by logical id
}

func newStack(t *testing.T, options ...func(*middleware.Stack) error) *stack {
	t.Helper()
	cfg := awstest.Config(t)
	cfg.APIOptions = append(cfg.APIOptions, options...)
	db := dynamodb.NewFromConfig(cfg)
	tables := map[string]string{}
	for _, id := range []string{"CorpsTable", "LedgerTable", "MessagesTable", "MediaTable"} {
		tables[id] = awstest.Table(t, id)
	}
	s := &stack{
		corps: dynamostore.NewCorps(db, tables["CorpsTable"]), ledger: dynamostore.NewLedger(db, tables["LedgerTable"]),
		messages: dynamostore.NewMessages(db, tables["MessagesTable"]), media: dynamostore.NewMedia(db, tables["MediaTable"]), tables: tables,
	}
	s.survey = survey{corps: s.corps, ledger: s.ledger, setAside: s.messages, files: s.media, now: now}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// add registers a company that was caught up some time ago.
func (s *stack) add(t *testing.T, id, name string, enabled bool, lag time.Duration, trouble *archive.Trouble) {
	t.Helper()
	corp := archive.Corp{ID: id, Name: name, CreatedAt: now.Add(-1000 * time.Hour)}
	must(t, s.corps.CreateCorp(t.Context(), corp))
	if enabled {
		must(t, s.corps.SetEnabled(t.Context(), id, true, "admin", "", corp.CreatedAt))
	}
	state := archive.PullState{Corp: id, LastEmptyAt: now.Add(-lag)}
	state.Trouble = trouble
	must(t, s.ledger.SavePullState(t.Context(), state))
}

func id(n int) string { return fmt.Sprintf("ww%016d", n) }

// docs/deploying.md names what a caller of make fleet may do with the tables.
func TestFleetReadsWhatItsDocumentSays(t *testing.T) {
	var mutex sync.Mutex
	called := map[string]bool{}
	s := newStack(t, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("called", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			mutex.Lock()
			defer mutex.Unlock()
			switch p := in.Parameters.(type) {
			case *dynamodb.QueryInput:
				called["Query "+*p.TableName] = true
			case *dynamodb.BatchGetItemInput:
				for table := range p.RequestItems {
					called["BatchGetItem "+table] = true
				}
			default:
				called[fmt.Sprintf("%T", p)] = true
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	})
	s.add(t, id(1), "well", true, time.Minute, nil)
	clear(called)
	if _, err := s.companies(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"BatchGetItem " + s.tables["LedgerTable"]: true}
	for _, table := range s.tables {
		want["Query "+table] = true
	}
	if !maps.Equal(called, want) {
		t.Errorf("got the calls %v, want %v", called, want)
	}
	document, err := os.ReadFile("../../docs/deploying.md")
	if err != nil {
		t.Fatal(err)
	}
	const needs = "`cloudformation:DescribeStackResource`, `dynamodb:Query` on the tables `ledger`, `messages` and `media` and on the index of `corps`, `dynamodb:BatchGetItem` on `ledger`, and `kms:Decrypt` on the output `TablesKey`."
	if !strings.Contains(strings.Join(strings.Fields(string(document)), " "), needs) {
		t.Errorf("docs/deploying.md lacks %s", needs)
	}
}

func TestFleetShowsTheWorstFirst(t *testing.T) {
	s := newStack(t)
	refused := &archive.Trouble{Cause: archive.CauseSecret, Op: "gettoken", Code: 40001, Since: now.Add(-3 * time.Hour)}
	s.add(t, id(1), "well", true, time.Minute, nil)
	s.add(t, id(2), "well, and slower\n", true, 3*time.Hour, nil)
	s.add(t, id(3), "off", false, time.Hour, nil)
	s.add(t, id(4), "late", true, 60*time.Hour, nil)
	s.add(t, id(5), "refused", true, 10*time.Hour, refused)
	s.add(t, id(6), "refused for longer", true, 20*time.Hour, refused)
	s.add(t, id(7), "losing", true, 121*time.Hour, refused)
	s.add(t, id(8), "set aside", true, time.Minute, nil)
	s.add(t, id(9), "a page waits", true, time.Minute, nil)
	s.add(t, id(10), "a file waits", true, time.Minute, nil)
	must(t, s.messages.WritePage(t.Context(), decode.Decoded{Corp: id(8), SetAside: []archive.SetAside{{Corp: id(8), Seq: 7, Reason: archive.ReasonNoKey, KeyVersion: 3, At: now}}}))
	row := archive.Row{Corp: id(9), Kind: archive.PageRow, First: 1, Last: 2, Count: 2, Sum: archive.Digest([]byte("page")), Size: 4, At: now.Add(-time.Hour), State: archive.RowRequested, Tries: 5}
	head, err := s.ledger.Head(t.Context(), id(9))
	must(t, err)
	row.Prev = head.Hash
	row.Hash = archive.ChainHash(row)
	must(t, s.ledger.Append(t.Context(), head, row))
	file := media.File{Corp: id(10), ID: media.ID("f"), State: media.Waiting, SDKFileID: "f", Registered: now, Deadline: now.Add(90 * time.Hour)}
	_, err = s.media.AddFiles(t.Context(), []media.File{file})
	must(t, err)
	must(t, s.ledger.SaveNotified(t.Context(), watch.Notified{Corp: id(4)}, watch.Notified{Corp: id(4), Health: watch.Late, At: now.Add(-5 * time.Hour)}))

	all, err := s.companies(t.Context())
	must(t, err)
	var got []string
	for _, c := range all {
		got = append(got, strings.TrimLeft(c.ID, "w0")+" "+string(c.health))
	}
	want := []string{"7 losing", "6 secret_refused", "5 secret_refused", "4 late", "8 set_aside", "2 well", "10 well", "9 well", "1 well", "3 off"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	var out bytes.Buffer
	must(t, write(&out, "archive-prod", all, false))
	for _, want := range []string{
		"archive-prod: 10 companies (1 losing, 2 secret_refused, 1 late, 1 set_aside, 4 well, 1 off)\n",
		"secret_refused, gettoken errcode 40001, since 2026-11-29T05:00:00Z, set-up step ",
		"“well and slower”", "121h0m0s", "-1.0",
		"\nlosing: The company was not caught up for 120 hours", "Follow Losing in docs/runbooks.md now.",
		"\nsecret_refused: ", "\nlate: ", "\nset_aside: ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got\n%s\nwant %q in it", out.String(), want)
		}
	}
	out.Reset()
	must(t, write(&out, "archive-prod", all, true))
	if strings.Contains(out.String(), id(1)) || strings.Contains(out.String(), id(3)) || !strings.Contains(out.String(), id(8)) {
		t.Errorf("got\n%s\nwant the companies that need a person only", out.String())
	}
}

func TestFleetWithoutCompanies(t *testing.T) {
	all, err := newStack(t).companies(t.Context())
	must(t, err)
	var out bytes.Buffer
	must(t, write(&out, "archive-dev", all, false))
	if got := out.String(); got != "archive-dev: 0 companies\n" {
		t.Errorf("got %q", got)
	}
}

// broken is a list of records set aside that cannot be read.
type broken struct{}

func (broken) ListSetAside(context.Context, string, uint64, int) ([]archive.SetAside, bool, error) {
	return nil, false, errors.New("access denied")
}

// What cannot be read of one company is an error, and the list is still there.
func TestFleetNamesWhatItCouldNotRead(t *testing.T) {
	s := newStack(t)
	s.add(t, id(1), "a", true, time.Minute, nil)
	s.setAside = broken{}
	all, err := s.companies(t.Context())
	if err == nil || !strings.Contains(err.Error(), id(1)+": access denied") || len(all) != 1 || all[0].rank() != 4 {
		t.Errorf("got %v and %v, want the company and the error", all, err)
	}
	var out bytes.Buffer
	must(t, write(&out, "archive-dev", all, true))
	if !strings.Contains(out.String(), "partly unread") {
		t.Errorf("got\n%s\nwant a mark at the company", out.String())
	}
}
