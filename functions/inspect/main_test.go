package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/doctor"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/secretstore"
	"github.com/yunduo-scrm/archive/shared/sqsqueue"
	"github.com/yunduo-scrm/archive/shared/wecomapi"
)

const (
	corpA = "ww0000000000000001"
	corpB = "ww0000000000000002"
)

func TestConfigNamesEveryMistake(t *testing.T) {
	_, err := parseConfig(func(string) string { return "" })
	for _, name := range []string{"CORPS_TABLE", "LEDGER_TABLE", "CONTACTS_TABLE", "CONSENTS_TABLE", "INSPECT_QUEUE_URL", "SECRETS_PREFIX", "WECOM_API"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want it to name %s", err, name)
		}
	}
	if _, err := parseConfig(func(string) string { return "x" }); err != nil {
		t.Errorf("all set: got %v", err)
	}
}

// TestAgainstWeCom has everything real but WeCom: a read asks for names, the
// queue carries the request, the handler asks the simulated WeCom, and the
// next read shows them.
func TestAgainstWeCom(t *testing.T) {
	sim := wecom.New(wecom.Config{})
	t.Cleanup(sim.Close)
	company, err := sim.AddCorp(wecom.CorpConfig{
		ID: corpA, Open: true, ScopeAll: true, TrustedIPs: []string{"127.0.0.1"},
		Crowd: wecom.Crowd{Staff: 8, Customers: 20, Rooms: 6},
		App:   wecom.AppConfig{Secret: "app secret of a corp", TrustedIPs: []string{"192.0.2.1"}, Contacts: true},
	})
	must(t, err)
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(server.Close)

	aws := awstest.Config(t)
	db, queues, url := dynamodb.NewFromConfig(aws), sqs.NewFromConfig(aws), awstest.FIFOQueue(t)
	corps := dynamostore.NewCorps(db, awstest.Table(t, "CorpsTable"))
	contacts := dynamostore.NewContacts(db, awstest.Table(t, "ContactsTable"))
	consents := dynamostore.NewConsents(db, awstest.Table(t, "ConsentsTable"), nil)
	secrets := secretstore.New(secretsmanager.NewFromConfig(aws), awstest.Name(t), "")
	api, err := wecomapi.New(wecomapi.Config{Base: server.URL, CallTimeout: callTimeout, Now: time.Now, Sleep: archive.Sleep})
	must(t, err)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	table := awstest.Table(t, "LedgerTable")
	ledger := dynamostore.NewLedger(db, table)
	requests := directory.NewWantedInspections(dynamostore.NewMarks(db, table), sqsqueue.NewInspect(queues, url, rand.Text), time.Now)
	inspector := &directory.Inspector{
		Corps: corps, Secrets: secretstore.NewMemory(secrets, time.Now), WeCom: api, Ledger: ledger, Gate: &archive.Gate{Log: ledger, Now: time.Now}, Store: contacts,
		Consents: consents, Requests: requests, Now: time.Now, Sleep: archive.Sleep, Log: log,
		Doctor: &doctor.Examiner{
			Reader: &doctor.Reader{
				Ledger: ledger, Settings: corps, Reach: contacts, SetAside: dynamostore.NewMessages(db, awstest.Table(t, "MessagesTable")),
				Files: dynamostore.NewMedia(db, awstest.Table(t, "MediaTable")), TrustedIPs: []string{"127.0.0.1"}, Now: time.Now,
			},
			Records: ledger, Log: log,
		},
	}
	handle := sqsqueue.Serve(log, sqsqueue.ParseInspect, inspector.Inspect)
	book := &directory.NameBook{Names: contacts, Asker: contacts, Reach: contacts, Witness: dynamostore.NewMessages(db, awstest.Table(t, "MessagesTable")), Requests: requests, Now: time.Now, Log: log}

	ctx := t.Context()
	must(t, corps.CreateCorp(ctx, archive.Corp{ID: corpA, Name: "公司", CreatedAt: time.Now()}))
	must(t, corps.SetSecret(ctx, corpA, "secr", time.Now()))
	must(t, secrets.PutArchiveSecret(ctx, corpA, secret.New(company.Secret())))
	must(t, contacts.SetApp(ctx, corpA, directory.App{SecretPrefix: "app ", SetAt: time.Now()}))
	must(t, secrets.PutAppSecret(ctx, corpA, secret.New("app secret of a corp")))

	view := company.Details()
	people, rooms := idsOf(view)
	serve := func() int { return serveAll(t, queues, url, handle) }
	corp, err := corps.Corp(ctx, corpA)
	must(t, err)

	// The app's own trusted address is not set: robots and internal rooms have
	// names, nobody else, and the set-up step is named.
	if book.Lookup(ctx, corp, people, rooms); serve() == 0 {
		t.Fatal("a read of unknown ids requested nothing")
	}
	reach, err := contacts.Reach(ctx, corpA)
	must(t, err)
	if s := reach.Access[directory.AccessCustomers]; s.Trouble == nil || s.Trouble.Cause != archive.CauseTrustedIP || s.Trouble.Code != 60020 {
		t.Errorf("got %+v, want that the address is not trusted", s.Trouble)
	}
	if s := reach.Access[directory.AccessArchive]; s.Trouble != nil {
		t.Errorf("the archive: got %+v, want no trouble", s.Trouble)
	}

	// The admin corrects the address and requests a check.
	must(t, company.SetApp(wecom.AppConfig{Secret: "app secret of a corp", TrustedIPs: []string{"127.0.0.1"}, Contacts: true}))
	must(t, requests.RequestInspections(ctx, directory.Request{
		Corp: corpA, Why: "asked", Check: true, Force: true,
		Pairs: []directory.Pair{{Member: view.Customers[0].Followers[0], Contact: view.Customers[0].ExternalUserID}}, ConsentRooms: rooms,
	}))
	serve()
	if reach, err = contacts.Reach(ctx, corpA); err != nil || reach.Scope == nil || reach.Scope.Count != len(view.Staff) || reach.Access[directory.AccessCustomers].Trouble != nil {
		t.Errorf("got %+v, error %v, want a scope and no trouble", reach, err)
	}
	book.Lookup(ctx, corp, people, rooms)
	serve()
	shown := book.Lookup(ctx, corp, people, rooms)
	checkNames(t, view, shown)
	list, _, err := consents.Consents(ctx, corpA, archive.ConsentQuery{Member: view.Customers[0].Followers[0]}, "", 10)
	if err != nil || len(list) != 1 || list[0].Status != archive.AgreedDefault {
		t.Errorf("consents: got %+v, error %v, want one default", list, err)
	}
	if refused := company.Details().Stats.Refused; refused["/cgi-bin/gettoken"] != nil {
		t.Errorf("got refused secrets %v, want none", refused["/cgi-bin/gettoken"])
	}
	book.Lookup(ctx, corp, people, rooms)
	if n := serve(); n != 0 {
		t.Errorf("everything is known: got %d requests more", n)
	}
}

// idsOf lists every person and every room of a company.
func idsOf(view wecom.Details) (people, rooms []string) {
	for _, s := range view.Staff {
		people = append(people, s.UserID)
	}
	for _, c := range view.Customers {
		people = append(people, c.ExternalUserID)
	}
	for _, r := range view.Robots {
		people = append(people, r.ID)
	}
	for _, r := range view.Rooms {
		rooms = append(rooms, r.ID)
	}
	return people, rooms
}

// serveAll gives the queue's requests to the handler, one by one, until the
// queue is empty.
func serveAll(t *testing.T, queues *sqs.Client, url string, handle func(context.Context, events.SQSEvent) (events.SQSEventResponse, error)) (served int) {
	t.Helper()
	ctx := t.Context()
	for {
		out, err := queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10})
		must(t, err)
		if len(out.Messages) == 0 {
			return served
		}
		for _, m := range out.Messages {
			resp, err := handle(ctx, events.SQSEvent{Records: []events.SQSMessage{{MessageId: *m.MessageId, Body: *m.Body}}})
			must(t, err)
			if len(resp.BatchItemFailures) > 0 {
				t.Fatal("the request failed")
			}
			_, err = queues.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle})
			must(t, err)
			served++
		}
	}
}

// checkNames compares the names that a read shows with those in WeCom.
func checkNames(t *testing.T, view wecom.Details, shown directory.Names) {
	t.Helper()
	for _, s := range view.Staff {
		if got := shown.People[s.UserID]; got.Name != s.Name || got.Kind != directory.Member {
			t.Errorf("member %s: got %+v, want %s", s.UserID, got, s.Name)
		}
	}
	for _, c := range view.Customers {
		if got := shown.People[c.ExternalUserID]; got.Name != c.Name || got.Company != c.CorpName {
			t.Errorf("contact: got %+v, want %s of %q", got, c.Name, c.CorpName)
		}
	}
	for _, r := range view.Robots {
		if got := shown.People[r.ID]; got.Name != r.Name || got.Kind != directory.Robot {
			t.Errorf("robot: got %+v, want %s", got, r.Name)
		}
	}
	for _, r := range view.Rooms {
		got := shown.Rooms[r.ID]
		if string(got.Kind) != string(r.Kind) {
			t.Errorf("room %s: got kind %q, want %q", r.Name, got.Kind, r.Kind)
		}
		if r.Kind == wecom.ForeignRoom {
			if got.Missing != directory.MissingForeign || got.Name != "" {
				t.Errorf("foreign room: got %+v", got)
			}
		} else if got.Name != r.Name || got.Owner != r.Owner || len(got.Members) != len(r.Members) {
			t.Errorf("room: got %+v, want %s with %d members", got, r.Name, len(r.Members))
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
