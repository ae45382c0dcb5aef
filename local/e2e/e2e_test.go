// Package e2e_test tests the whole archive in a local cloud, as make run starts it.
// The tests compare the messages that the API returns with the messages that were
// sent. Some tests kill functions at random.
package e2e_test

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/cloudtest"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/s3store"
)

const (
	perCorp   = 10_000           // messages of ordinary traffic
	perTurn   = 250              // messages sent at a time
	kills     = 30               // most functions to kill
	timeLimit = 10 * time.Minute // far more than a test takes
)

// start starts a cloud and sets the archive up for all corps.
func start(t *testing.T, o cloud.Options) *cloud.Cloud {
	t.Helper()
	o.Root = "../.."
	c := cloudtest.Start(t, o)
	if err := c.SetUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// Two corps send 20,000 messages while functions are killed at random. Every
// message is read exactly once, byte for byte, and the chain has no break. Then
// everything that follows from the journal is removed and rebuilt from the journal
// without WeCom. The result is the same.
func TestNothingIsLost(t *testing.T) {
	c := start(t, cloud.Options{Tick: 2 * time.Second, FailureSpeed: 20, Sim: wecom.Config{Seed: 7, NotifyEvery: time.Second, UsualMediaMax: 2 << 10}})
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()

	stopKilling := killAtRandom(ctx, c)
	var chats sync.WaitGroup
	for _, corp := range c.Sim.Corps() {
		chats.Go(func() { sendThousands(ctx, t, c, corp) })
	}
	chats.Wait()
	for _, corp := range c.Sim.Corps() {
		untilDecoded(ctx, t, c, corp)
	}
	killed := stopKilling()
	interrupted := 0
	for _, id := range c.FunctionIDs() {
		interrupted += c.Function(id).Stats().Failures
	}
	if interrupted < 5 {
		t.Errorf("got %d invocations interrupted by %d kills, want at least 5: fewer prove nothing", interrupted, killed)
	}
	t.Logf("%d functions killed, %d invocations interrupted", killed, interrupted)

	before := make(map[string]derived)
	for _, corp := range c.Sim.Corps() {
		before[corp.ID()] = derive(ctx, t, c, corp)
		checkChain(ctx, t, c, corp)
	}
	removeDerived(ctx, t, c)
	var rebuilding sync.WaitGroup
	for _, corp := range c.Sim.Corps() {
		rebuilding.Go(func() { replayAll(ctx, t, c, corp) })
	}
	rebuilding.Wait()
	for _, corp := range c.Sim.Corps() {
		derive(ctx, t, c, corp).same(t, corp.ID(), before[corp.ID()])
	}
}

// killAtRandom kills functions in the background until stop is called or kills
// functions are killed. stop returns the number of killed functions.
func killAtRandom(ctx context.Context, c *cloud.Cloud) (stop func() int) {
	ctx, cancel := context.WithCancel(ctx)
	killed := 0
	var killer sync.WaitGroup
	killer.Go(func() {
		functions := []string{"PullFunction", "DecodeFunction", "DecodeFunction", "DispatchFunction"}
		for ctx.Err() == nil && killed < kills {
			if c.Kill(functions[rand.IntN(len(functions))]) {
				killed++
			}
			sleep(ctx, time.Duration(500+rand.IntN(1000))*time.Millisecond)
		}
	})
	return func() int {
		cancel()
		killer.Wait()
		return killed
	}
}

// sendThousands sends messages of every kind, large messages and perCorp messages
// of ordinary traffic. It rotates the key after half of them.
func sendThousands(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp) {
	if _, err := corp.Every(); err != nil {
		t.Error(err)
	}
	if err := people.SendLarge(corp); err != nil {
		t.Error(err)
	}
	for n := 0; n < perCorp; n += perTurn {
		if _, err := corp.Mixed(perTurn); err != nil {
			t.Error(err)
			return
		}
		if n == perCorp/2 {
			if err := people.RotateKey(ctx, c.API, corp); err != nil {
				t.Errorf("%s: rotate key: %v", corp.ID(), err)
			}
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// removeDerived removes everything that follows from the journal. It also makes
// WeCom unreachable and ends all processes, so that a rebuild uses the journal
// only.
func removeDerived(ctx context.Context, t *testing.T, c *cloud.Cloud) {
	t.Helper()
	for _, corp := range c.Sim.Corps() {
		if err := corp.SetFaults(wecom.Faults{Unreachable: true}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range c.FunctionIDs() {
		for c.Kill(id) {
		}
	}
	wipe(ctx, t, c)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// archived counts the messages of the corp that WeCom archived.
func archived(corp *wecom.Corp) (n int) {
	for _, s := range corp.Sent() {
		if s.LeftOut == "" {
			n++
		}
	}
	return n
}

// untilDecoded waits until all archived messages of the corp are in the view.
func untilDecoded(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp) {
	t.Helper()
	watch := people.Watcher{API: c.API, Corp: corp.ID()}
	want := archived(corp)
	var last people.Progress
	for {
		p, err := watch.Look(ctx)
		if err == nil && p.Decoded == want && p.Pending == 0 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: got %+v; want %d decoded", corp.ID(), last, want)
		}
		if err == nil {
			last = p
		}
		sleep(ctx, 300*time.Millisecond)
	}
}

// readAll is readBack for a corp with perCorp messages.
func readAll(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp) map[string]people.Message {
	t.Helper()
	read := readBack(ctx, t, c, corp)
	if len(read) < perCorp*9/10 {
		t.Errorf("%s: got %d messages, want about %d", corp.ID(), len(read), perCorp)
	}
	return read
}

// readBack reads all messages of the corp and compares them with the sent
// messages.
func readBack(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp) map[string]people.Message {
	t.Helper()
	read, err := people.ReadAll(ctx, c.API, corp)
	if err != nil {
		t.Fatalf("%s: read all messages: %v", corp.ID(), err)
	}
	if err := people.Compare(corp.Sent(), read); err != nil {
		t.Errorf("%s: %v", corp.ID(), err)
	}
	return read
}

// checkChain checks the corp's chain from the first row to the head, and the bytes
// of each page in the journal.
func checkChain(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp) {
	t.Helper()
	ledger := dynamostore.NewLedger(dynamodb.NewFromConfig(c.Config), c.Stack.Tables["LedgerTable"])
	bucket := c.Stack.Buckets[0].Name
	journal := s3store.NewJournal(s3.NewFromConfig(c.Config), bucket)
	at, records := archive.NewHead(corp.ID()), 0
	for {
		rows, err := ledger.Rows(ctx, corp.ID(), archive.RowQuery{From: at.Last, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		for _, r := range rows {
			if r.Kind != archive.PageRow || r.After != at.Last || r.Prev != at.Hash || archive.ChainHash(r) != r.Hash {
				t.Fatalf("%s: chain broken at the row after %d", corp.ID(), r.After)
			}
			page, err := journal.Page(ctx, r)
			if err != nil {
				t.Fatalf("%s: page after %d: %v", corp.ID(), r.After, err)
			}
			if sum := sha256.Sum256(page); hex.EncodeToString(sum[:]) != r.Sum {
				t.Fatalf("%s: page after %d has other bytes", corp.ID(), r.After)
			}
			at = at.Next(r)
			records += r.Count
		}
	}
	head, err := ledger.Head(ctx, corp.ID())
	if err != nil || head.Hash != at.Hash || head.Last != at.Last || head.Rows != at.Rows {
		t.Errorf("%s: got head %+v, %v; want the end of the chain, %+v", corp.ID(), head, err, at)
	}
	if want := archived(corp); records != want {
		t.Errorf("%s: got %d records in the journal, want %d", corp.ID(), records, want)
	}
}

// replayAll decodes all pages again, by a replay like an admin's.
func replayAll(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp) {
	var job struct {
		ID   string `json:"id"`
		Done bool   `json:"done"`
	}
	err := c.API.Call(ctx, people.Admin, http.MethodPost, corp.ID(), "/replays", map[string]any{}, &job)
	for err == nil && !job.Done {
		sleep(ctx, 300*time.Millisecond)
		err = c.API.Call(ctx, people.Admin, http.MethodGet, corp.ID(), "/replays/"+job.ID, nil, &job)
	}
	if err != nil {
		t.Errorf("%s: replay: %v", corp.ID(), err)
	}
}

// A function that must start first verifies a callback within a second and answers
// an event within five seconds. The simulated WeCom enforces both limits.
func TestCallbacksAfterColdStart(t *testing.T) {
	c := start(t, cloud.Options{Tick: time.Hour, Sim: wecom.Config{Seed: 3, NotifyEvery: time.Second}})
	corp := c.Sim.Corps()[0]
	var page struct {
		Callback struct {
			URL            string `json:"url"`
			Token          string `json:"token"`
			EncodingAESKey string `json:"encoding_aes_key"`
		} `json:"callback"`
	}
	if err := c.API.Call(t.Context(), people.Admin, http.MethodGet, corp.ID(), "/setup", nil, &page); err != nil {
		t.Fatal(err)
	}
	callback := wecom.Callback(page.Callback)
	for range 3 {
		for c.Kill("ApiFunction") {
		}
		if err := corp.SetCallback(t.Context(), callback); err != nil {
			t.Errorf("verification after a cold start: %v", err)
		}
		for c.Kill("ApiFunction") {
		}
		before := len(corp.Deliveries())
		if err := corp.Emit(wecom.Event{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		for len(corp.Deliveries()) == before && ctx.Err() == nil {
			sleep(ctx, 50*time.Millisecond)
		}
		cancel()
		deliveries := corp.Deliveries()
		if last := deliveries[len(deliveries)-1]; !last.Delivered || len(last.Tries) != 1 {
			t.Errorf("event after a cold start: got %+v, want one successful try", last)
		}
	}
}

// WeCom sends a message of every kind and shape, and files of many sizes up to
// 200 MB. The API returns each message byte for byte and with the content that a
// screen shows. It returns each file complete through a link.
func TestEveryKindWithItsFiles(t *testing.T) {
	c := start(t, cloud.Options{Tick: 2 * time.Second, Sim: wecom.Config{Seed: 11, NotifyEvery: time.Second, UsualMediaMax: 64 << 10}})
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	corp := c.Sim.Corps()[0]
	if _, err := corp.Every(); err != nil {
		t.Fatal(err)
	}
	staff, customer := corp.Details().Staff[0].UserID, corp.Details().Customers[0].ExternalUserID
	sizes := []int{0, 1, 524287, 524288, 524289, 5 << 20, 12<<20 + 1, 200 << 20}
	for _, size := range sizes {
		if _, err := corp.Send(wecom.Draft{From: staff, To: []string{customer}, Kind: "file", Text: fmt.Sprint(size, ".bin"), Size: &size}); err != nil {
			t.Fatal(err)
		}
	}
	untilDecoded(ctx, t, c, corp)
	read := readBack(ctx, t, c, corp)
	sent := make(map[string]wecom.Sent)
	for _, m := range corp.Sent() {
		sent[m.MsgID] = m
	}
	var sums []string
	for _, m := range read {
		var shown message
		for shown = (message{}); ; sleep(ctx, 300*time.Millisecond) {
			if err := c.API.Call(ctx, people.Reader, http.MethodGet, corp.ID(), "/messages/"+m.ID, nil, &shown); err != nil {
				t.Fatal(err)
			}
			if !shown.waits() {
				break
			}
		}
		if want, _, _ := strings.Cut(sent[m.MsgID].Kind, "/"); shown.Content.Kind != want {
			t.Errorf("message %s: got it shown as %s, want %s", m.MsgID, shown.Content.Kind, sent[m.MsgID].Kind)
		}
		for i, f := range shown.Content.Files {
			if f.Copy.State != "stored" {
				t.Errorf("message %s (%s), file %d: got %s, want stored", m.MsgID, shown.Content.Kind, i, f.Copy.State)
				continue
			}
			sums = append(sums, fetch(ctx, t, c, corp, fmt.Sprintf("/messages/%s/files/%d", m.ID, i)))
		}
	}
	// The comparison includes the files whose message names no md5.
	want := corp.FileSums()
	slices.Sort(sums)
	slices.Sort(want)
	if len(want) < 30 || !slices.Equal(sums, want) {
		t.Errorf("got %d files, want the %d sent files byte for byte", len(sums), len(want))
	}

	everybodyIsNamed(ctx, t, c, corp)

	// A verification by the archive itself finds no fault.
	var job struct {
		ID     string `json:"id"`
		Done   bool   `json:"done"`
		Faults int    `json:"faults"`
	}
	if err := c.API.Call(ctx, people.Auditor, http.MethodPost, corp.ID(), "/replays", map[string]any{"verify": true}, &job); err != nil {
		t.Fatal(err)
	}
	for !job.Done && ctx.Err() == nil {
		sleep(ctx, 300*time.Millisecond)
		if err := c.API.Call(ctx, people.Auditor, http.MethodGet, corp.ID(), "/replays/"+job.ID, nil, &job); err != nil {
			t.Fatal(err)
		}
	}
	if !job.Done || job.Faults != 0 {
		t.Errorf("got proof %+v, want a finished verification without faults", job)
	}
}

// everybodyIsNamed fails if a list shows a person or a room of the prepared company
// by its id.
func everybodyIsNamed(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp) {
	t.Helper()
	type named struct {
		ID   string
		Name *string
	}
	var list struct{ People, Rooms []named }
	for _, path := range []string{"/people?kind=member", "/people?kind=external", "/rooms?limit=100"} {
		list.People, list.Rooms = nil, nil
		if err := c.API.Call(ctx, people.Reader, http.MethodGet, corp.ID(), path, nil, &list); err != nil {
			t.Fatal(err)
		}
		if all := append(list.People, list.Rooms...); len(all) == 0 || slices.ContainsFunc(all, func(n named) bool { return n.Name == nil }) {
			t.Errorf("%s: got %+v, want names", path, all)
		}
	}
}

// message is a message of the API, with the content that a screen shows.
type message struct {
	Content struct {
		Kind  string `json:"kind"`
		Files []struct {
			MD5  string `json:"md5"`
			Copy struct {
				State string `json:"state"`
			} `json:"copy"`
		} `json:"files"`
	} `json:"content"`
}

func (m message) waits() bool {
	for _, f := range m.Content.Files {
		if f.Copy.State == "waiting" || f.Copy.State == "unknown" {
			return true
		}
	}
	return false
}

// fetch fetches a file through its link, and returns the md5 of the bytes.
func fetch(ctx context.Context, t *testing.T, c *cloud.Cloud, corp *wecom.Corp, path string) string {
	t.Helper()
	var link struct {
		URL string `json:"url"`
	}
	if err := c.API.Call(ctx, people.Reader, http.MethodGet, corp.ID(), path, nil, &link); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	sum := md5.New()
	if _, err := io.Copy(sum, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v", path, resp.StatusCode, err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
