package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/yunduo-scrm/archive/cmd/internal/operator"
	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/local/cloud/template"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/s3store"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

var (
	at      = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	lockEnd = time.Now().UTC().Add(time.Hour).Truncate(time.Second)
)

const (
	leaving = "ww0123456789abcdef"
	staying = "ww0123456789abcdef0" // begins with the id of the leaving corp
)

// fill stores an item or object of every kind for a corp, through the adapters.
func fill(t *testing.T, e eraser, corp string, locked bool) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	corps, ledger := dynamostore.NewCorps(e.dynamo, e.tables[0]), dynamostore.NewLedger(e.dynamo, e.tables[1])
	messages, views := dynamostore.NewMessages(e.dynamo, e.tables[2]), dynamostore.NewReadings(e.dynamo, e.tables[3])
	files, contacts := dynamostore.NewMedia(e.dynamo, e.tables[4]), dynamostore.NewContacts(e.dynamo, e.tables[5])
	consents := dynamostore.NewConsents(e.dynamo, e.tables[6], nil)
	journal, objects := s3store.NewJournal(e.s3, e.buckets[0]), s3store.NewMedia(e.s3, e.buckets[1])
	must(corps.CreateCorp(ctx, archive.Corp{ID: corp, Name: "x", CreatedAt: at}))
	must(corps.SetEnabled(ctx, corp, true, "admin", "", at))
	must(corps.AddKey(ctx, corp, archive.Key{ID: "k1", PublicPEM: "pem", CreatedAt: at}, false, ""))
	_, err := corps.RecordEvent(ctx, corp, archive.Event{Type: "e", ArrivedAt: at, Body: []byte("{}")})
	must(err)
	must(corps.CreateCallback(ctx, corp, archive.ArchiveCallback, archive.Callback{Pair: "p", PairSealed: "sealed"}))
	genesis := archive.NewHead(corp)
	row := archive.Row{
		Corp: corp, Kind: archive.PageRow, First: 1, Last: 9, Count: 9, Sum: fmt.Sprintf("%064d", 7), Size: 4, At: at,
		Prev: genesis.Hash, State: archive.RowRequested, Tries: 1,
	}
	row.Hash = archive.ChainHash(row)
	must(ledger.Append(ctx, genesis, row))
	view := decode.Decoded{Corp: corp}
	for i := range 60 { // more than one batch of 25
		view.Messages = append(view.Messages, archive.Message{
			Corp: corp, Conversation: archive.RoomConversation("r"), Time: at, MsgID: fmt.Sprint(i), Seq: uint64(i), Raw: []byte("{}"),
		})
	}
	must(messages.WritePage(ctx, view))
	must(views.RecordReading(ctx, archive.Reading{Corp: corp, By: "v", Role: "reader", List: archive.PartyList, Party: "p", At: at}))
	must(ledger.CreateReplay(ctx, decode.Replay{Corp: corp, ID: "job", CreatedAt: at, UpdatedAt: at}))
	must(ledger.SetRunning(ctx, decode.Running{Corp: corp, ID: "job", RequestedAt: at}))
	_, err = dynamostore.NewMarks(e.dynamo, e.tables[1]).SetMark(ctx, archive.Mark{Corp: corp, Work: "pull", SentAt: at})
	must(err)
	// A partition that no adapter writes today must be erased too.
	_, err = e.dynamo.PutItem(ctx, &dynamodb.PutItemInput{TableName: &e.tables[1], Item: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: corp + "#others"}, "sk": &types.AttributeValueMemberS{Value: "x"},
	}})
	must(err)
	id := media.ID("file")
	_, err = files.AddFiles(ctx, []media.File{{Corp: corp, ID: id, SDKFileID: "file", Deadline: at, State: media.Waiting}})
	must(err)
	must(contacts.SavePerson(ctx, corp, directory.Person{ID: "wmA", Name: "客户"}))
	must(contacts.SaveRoom(ctx, corp, directory.Room{ID: "wrA", Name: "群"}))
	must(consents.RecordConsents(ctx, []archive.Consent{
		{Corp: corp, Contact: "wmA", Member: "m", Status: "agree", At: at}, {Corp: corp, Contact: "wmA", Room: "wrA", Status: "agree", At: at},
	}))
	must(objects.PutFile(ctx, corp, id, []byte("file")))
	_, err = objects.BeginUpload(ctx, corp, media.ID("unfinished"))
	must(err)
	must(journal.PutHead(ctx, archive.DayOf(at), genesis))
	// A versioned bucket keeps overwritten and deleted objects.
	key := corp + "/pages/x"
	for range 2 {
		in := &s3.PutObjectInput{Bucket: &e.buckets[0], Key: &key, Body: strings.NewReader("page")}
		if locked {
			in.ObjectLockMode, in.ObjectLockRetainUntilDate = s3types.ObjectLockModeCompliance, &lockEnd
			in.ChecksumAlgorithm = s3types.ChecksumAlgorithmSha256
		}
		_, err := e.s3.PutObject(ctx, in)
		must(err)
	}
	_, err = e.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &e.buckets[0], Key: &key})
	must(err)
	secrets := secretstore.New(e.secrets, e.stack, "")
	must(secrets.CreatePrivateKey(ctx, corp, "k1", secret.New("pem")))
	must(secrets.PutArchiveSecret(ctx, corp, secret.New("s")))
	must(secrets.PutAppSecret(ctx, corp, secret.New("s")))
}

func newEraser(t *testing.T, confirmed bool) eraser {
	t.Helper()
	cfg := awstest.Config(t)
	e := eraser{
		job:    job{stack: awstest.Name(t), corp: leaving, confirmed: confirmed, secretsWindow: 7},
		dynamo: dynamodb.NewFromConfig(cfg), s3: s3.NewFromConfig(cfg), secrets: secretsmanager.NewFromConfig(cfg),
		now:   func() time.Time { return at },
		sleep: func(context.Context, time.Duration) error { return nil },
	}
	for _, id := range []string{"CorpsTable", "LedgerTable", "MessagesTable", "ReadingsTable", "MediaTable", "ContactsTable", "ConsentsTable"} {
		e.tables = append(e.tables, awstest.Table(t, id))
	}
	for range 2 {
		bucket := awstest.Name(t)
		if _, err := e.s3.CreateBucket(t.Context(), &s3.CreateBucketInput{
			Bucket: &bucket, ObjectLockEnabledForBucket: aws.Bool(true),
			CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(cfg.Region)},
		}); err != nil {
			t.Fatal(err)
		}
		e.buckets = append(e.buckets, bucket)
	}
	return e
}

func switchOff(t *testing.T, e eraser) {
	t.Helper()
	if err := dynamostore.NewCorps(e.dynamo, e.tables[0]).SetEnabled(t.Context(), leaving, false, "admin", "", at); err != nil {
		t.Fatal(err)
	}
}

// erase removes everything of the company, and nothing of a company whose id
// begins with the same letters. The key of all callback pairs stays.
func TestErase(t *testing.T) {
	e := newEraser(t, true)
	fill(t, e, leaving, false)
	fill(t, e, staying, false)
	secrets := secretstore.New(e.secrets, e.stack, "")
	if err := secrets.CreatePairKey(t.Context(), secret.New("key")); err != nil {
		t.Fatal(err)
	}
	other := e
	other.corp, other.confirmed = staying, false
	before, err := other.erase(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	if _, err := e.erase(t.Context()); err == nil || !strings.Contains(err.Error(), "switched on") {
		t.Fatalf("company switched on: got %v, want an error", err)
	}
	switchOff(t, e)
	counting := e
	counting.confirmed = false
	counted, err := counting.erase(t.Context())
	if err != nil || counted.Erased {
		t.Fatalf("count: got %+v and %v, want a receipt with erased false", counted, err)
	}
	r, err := e.erase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !r.Erased || len(r.Left) > 0 {
		t.Errorf("got %+v, want everything erased", r)
	}
	wantEverythingListed(t, e, r)
	wantSameCounts(t, counted, r)

	after, err := other.erase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(after, before) {
		t.Errorf("other company: got %+v, want %+v unchanged", after, before)
	}
	if _, err := secrets.PairKey(t.Context()); err != nil {
		t.Errorf("key of the callback pairs: got error %v", err)
	}
	again, err := e.erase(t.Context())
	if err != nil || !again.Erased || again.Head != nil || len(again.Secrets) > 0 {
		t.Errorf("second run: got %+v and %v, want an empty receipt", again, err)
	}
}

// wantEverythingListed compares a receipt with the contents that fill stored.
func wantEverythingListed(t *testing.T, e eraser, r receipt) {
	t.Helper()
	if r.Head == nil || r.Head.Last != 9 || r.Head.Rows != 1 || len(r.Head.Hash) != 64 {
		t.Errorf("head: got %+v, want the head of the chain before the deletion", r.Head)
	}
	if n := r.Buckets[e.buckets[0]]; n.Versions != 4 || n.Bytes < 8 {
		t.Errorf("journal: got %+v, want a daily head, two versions of a page and a delete marker", n)
	}
	if n := r.Buckets[e.buckets[1]]; n != (count{Versions: 1, Bytes: 4, Uploads: 1}) {
		t.Errorf("media: got %+v, want a file and an unfinished upload", n)
	}
	for i, least := range []int{3, 5, 60, 1, 1, 2, 2} {
		if got := r.Tables[e.tables[i]]; got < least {
			t.Errorf("%s: got %d items, want %d at least", e.tables[i], got, least)
		}
	}
	var want []string
	for _, name := range []string{"app", "archive", "key/k1"} {
		want = append(want, e.stack+"/"+leaving+"/"+name)
	}
	if !slices.Equal(r.Secrets, want) {
		t.Errorf("secrets: got %v, want %v with private keys last", r.Secrets, want)
	}
}

// wantSameCounts compares the receipt of a count with that of the deletion.
func wantSameCounts(t *testing.T, counted, erased receipt) {
	t.Helper()
	if !reflect.DeepEqual(erased.Buckets, counted.Buckets) {
		t.Errorf("buckets: counted %v, erased %v", counted.Buckets, erased.Buckets)
	}
	for table, n := range counted.Tables {
		if erased.Tables[table] != n {
			t.Errorf("%s: counted %d, erased %d", table, n, erased.Tables[table])
		}
	}
}

// Locked versions stay and are named in the receipt. Everything else is erased.
func TestEraseNamesLockedVersions(t *testing.T) {
	e := newEraser(t, true)
	fill(t, e, leaving, true)
	switchOff(t, e)
	r, err := e.erase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left := strings.Join(r.Left, "\n")
	if r.Erased || strings.Count(left, leaving+"/pages/x of ") != 2 || strings.Count(left, "COMPLIANCE lock until "+lockEnd.Format(time.RFC3339)) != 2 {
		t.Errorf("left: got %q, want each locked version named once with the end of its lock", r.Left)
	}
	if len(r.Secrets) != 3 || r.Tables[e.tables[2]] < 60 || r.Buckets[e.buckets[0]].Versions != 4 {
		t.Errorf("got %+v, want the rest erased, and everything counted once", r)
	}
}

// A function that runs during the first pass may write after it. The second
// pass erases those writes.
func TestEraseRemovesLateWrites(t *testing.T) {
	e := newEraser(t, true)
	fill(t, e, leaving, false)
	switchOff(t, e)
	e.sleep = func(ctx context.Context, d time.Duration) error {
		if d != settle {
			t.Errorf("pause: got %v, want %v", d, settle)
		}
		if _, err := dynamostore.NewCorps(e.dynamo, e.tables[0]).Corp(ctx, leaving); !errors.Is(err, archive.ErrNotFound) {
			t.Errorf("settings after the first pass: got %v, want ErrNotFound", err)
		}
		err := dynamostore.NewMessages(e.dynamo, e.tables[2]).WritePage(ctx, decode.Decoded{Corp: leaving, Messages: []archive.Message{
			{Corp: leaving, Conversation: archive.RoomConversation("r"), Time: at, MsgID: "late", Seq: 99, Raw: []byte("{}")},
		}})
		return errors.Join(err, s3store.NewMedia(e.s3, e.buckets[1]).PutFile(ctx, leaving, media.ID("late"), []byte("late")))
	}
	r, err := e.erase(t.Context())
	if err != nil || !r.Erased {
		t.Fatalf("got %+v and %v, want everything erased", r, err)
	}
	if r.Tables[e.tables[2]] != 61 || r.Buckets[e.buckets[1]].Versions != 2 {
		t.Errorf("got %+v, want the late item and the late file counted", r)
	}
	e.sleep = func(context.Context, time.Duration) error { return context.Canceled }
	if _, err := e.erase(t.Context()); err == nil || !strings.Contains(err.Error(), "run it again") {
		t.Errorf("interrupted: got %v, want an error with the advice to run it again", err)
	}
}

func TestPauseIsLongerThanAnyFunctionRuns(t *testing.T) {
	source, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	stack, err := template.Read(source, template.Options{StackName: "s", Region: "cn-north-1", QueueEndpoint: "http://q", Parameters: map[string]string{"JwtIssuer": "https://i"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range stack.Functions {
		if f.Timeout >= settle-30*time.Second {
			t.Errorf("%s: got a time limit of %v, want 30 s less than the pause of %v", f.ID, f.Timeout, settle)
		}
	}
}

// With -role the command signs with the credentials of the role, in a session
// that names the company.
func TestActsAsTheRole(t *testing.T) {
	cfg := awstest.Config(t)
	const role = "arn:aws-cn:iam::123456789012:role/break-glass"
	assumed := actAs(cfg, role, leaving)
	who, err := sts.NewFromConfig(assumed).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := aws.ToString(who.Arn), ":assumed-role/break-glass/erase-"+leaving; !strings.HasSuffix(got, want) {
		t.Errorf("got caller %s, want %s at its end", got, want)
	}
	own, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := assumed.Credentials.Retrieve(t.Context()); err != nil || got.AccessKeyID == own.AccessKeyID || got.SessionToken == "" {
		t.Errorf("got error %v, or the operator's own credentials", err)
	}
}

// The command assumes the role before it reads or deletes anything.
func TestRunActsAsTheRole(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1", "AWS_REGION": "cn-north-1",
		"AWS_ACCESS_KEY_ID": "made", "AWS_SECRET_ACCESS_KEY": "up", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	args := []string{"-stack", "archive", "-corp", leaving, "-tables", "a b", "-buckets", "c", "-role", "arn:aws-cn:iam::123456789012:role/break-glass"}
	err := run(t.Context(), args, operator.Streams{Out: io.Discard, Progress: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "AssumeRole") {
		t.Errorf("got %v, want the failure of AssumeRole", err)
	}
}

func TestReceiptIsJSON(t *testing.T) {
	var out bytes.Buffer
	if err := (receipt{Stack: "s", CorpID: leaving, At: at, Left: []string{}}).write(&out); err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(out.Bytes(), &v); err != nil || v["corp_id"] != leaving || v["head"] != nil {
		t.Errorf("got %s, error %v", out.String(), err)
	}
}

func TestArguments(t *testing.T) {
	good := []string{"-stack", "archive", "-corp", leaving, "-tables", "a b", "-buckets", "c"}
	if j, err := parse(good); err != nil || j.confirmed || len(j.tables) != 2 {
		t.Errorf("without -confirm: got %+v and %v, want a job that only counts", j, err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no flags":        {nil, "-stack is missing"},
		"another company": {append(slices.Clone(good), "-confirm", staying), "-confirm names another"},
		"no corpid":       {append(slices.Clone(good), "-corp", "acme"), "no corpid"},
		"no tables":       {[]string{"-stack", "archive", "-corp", leaving}, "-tables and -buckets"},
		"no role":         {append(slices.Clone(good), "-role", "break-glass"), "no ARN of a role"},
		"window":          {append(slices.Clone(good), "-secrets-window", "0"), "7 to 30"},
		"extra argument":  {append(slices.Clone(good), "now"), `unknown argument "now"`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(t.Context(), c.args, operator.Streams{Out: io.Discard, Progress: io.Discard}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
