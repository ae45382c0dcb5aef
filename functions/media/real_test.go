package main

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/yunduo-scrm/archive/local/aws/awstest"
	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/local/cloud/lambda"
	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/dynamostore"
	"github.com/yunduo-scrm/archive/shared/message"
	"github.com/yunduo-scrm/archive/shared/rsakey"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

func TestMain(m *testing.M) { os.Exit(built.Main(m)) }

// stage is the function with real parts around it: the library in its worker, a
// simulated WeCom with a corp, tables, bucket and queue.
type stage struct {
	t        *testing.T
	corp     *wecom.Corp
	sim      *wecom.Sim
	files    *dynamostore.Media
	objects  *s3.Client
	bucket   string
	function *lambda.Function
	chunks   *atomic.Int64 // calls for a chunk that reached WeCom
}

const corpid = "ww0123456789abcdef"

func newStage(t *testing.T) *stage {
	t.Helper()
	cfg := awstest.Config(t)
	s := &stage{t: t, sim: wecom.New(wecom.Config{Seed: 1, UsualMediaMax: 1 << 30}), objects: s3.NewFromConfig(cfg), bucket: awstest.Bucket(t), chunks: new(atomic.Int64)}
	t.Cleanup(s.sim.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "getchatmediadata") {
			s.chunks.Add(1)
		}
		s.sim.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	s.corp = s.addCorp(corpid)

	tables := map[string]string{"CORPS_TABLE": "CorpsTable", "LEDGER_TABLE": "LedgerTable", "MEDIA_TABLE": "MediaTable"}
	env := map[string]string{
		"MEDIA_BUCKET": s.bucket, "MEDIA_QUEUE_URL": awstest.FIFOQueue(t), "SECRETS_PREFIX": awstest.Name(t),
		"SDK_WORKER": built.Worker(t), "SDK_LIBRARY": built.Library(t), "WECOM_PROXY": proxy.URL,
	}
	for name, id := range tables {
		env[name] = awstest.Table(t, id)
	}
	for _, v := range awstest.Services(t).Env() {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	db := dynamodb.NewFromConfig(cfg)
	s.files = dynamostore.NewMedia(db, env["MEDIA_TABLE"])
	corps, ledger := dynamostore.NewCorps(db, env["CORPS_TABLE"]), dynamostore.NewLedger(db, env["LEDGER_TABLE"])
	at := time.Now()
	must(t, corps.CreateCorp(t.Context(), archive.Corp{ID: corpid, Name: "x", CreatedAt: at}))
	must(t, corps.SetSecret(t.Context(), corpid, "abcd", at))
	must(t, secretstore.New(secretsmanager.NewFromConfig(cfg), env["SECRETS_PREFIX"], "").
		PutArchiveSecret(t.Context(), corpid, secret.New(s.corp.Secret())))
	saved, err := corps.Corp(t.Context(), corpid)
	must(t, err)
	must(t, ledger.SavePullState(t.Context(), archive.PullState{Corp: corpid, Standing: archive.Standing{SecretSetAt: saved.SecretSetAt, OKAt: saved.SecretSetAt}}))

	s.function = lambda.New(lambda.Config{
		Name: "media", ARN: "arn:aws:lambda:local:0:function:media", Binary: built.Function(t, "."), Handler: "bootstrap",
		MemorySize: 1024, Timeout: 5 * time.Minute, LogFormat: "JSON", LogLevel: "INFO", Env: env,
		Concurrency: 2, IdleAfter: time.Minute, Output: testLog{t}, Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(s.function.Close)
	return s
}

// testLog writes the output of the function to the log of the test.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *stage) addCorp(id string) *wecom.Corp {
	s.t.Helper()
	c, err := s.sim.AddCorp(wecom.CorpConfig{ID: id, Open: true, ScopeAll: true, TrustedIPs: []string{"127.0.0.1"}, Crowd: wecom.Crowd{Staff: 2, Customers: 2}})
	must(s.t, err)
	pair, err := rsakey.Make()
	must(s.t, err)
	_, err = c.AddKey(pair.PublicPEM)
	must(s.t, err)
	return c
}

// send sends a message with a file in WeCom, and registers the file as decoding
// does.
func (s *stage) send(c *wecom.Corp, d wecom.Draft) media.File {
	s.t.Helper()
	people := c.Details().Staff
	d.From, d.To = people[0].UserID, []string{people[1].UserID}
	if d.Kind == "" {
		d.Kind = "file"
	}
	sent, err := c.Send(d)
	must(s.t, err)
	named := message.Files(sent.Plain)
	if len(named) != 1 {
		s.t.Fatalf("got a message that names %d files, want one: %s", len(named), sent.LeftOut)
	}
	now := time.Now()
	f := media.File{
		Corp: corpid, ID: media.ID(named[0].SDKFileID), SDKFileID: named[0].SDKFileID, Kind: named[0].Kind,
		Name: named[0].Name, Ext: named[0].Ext, MD5: named[0].MD5, Size: named[0].Size, State: media.Waiting,
		From:     media.Use{Conversation: "single:a:b", Time: sent.SentAt, MsgID: sent.MsgID, Seq: sent.Seq},
		Deadline: media.Deadline(sent.SentAt, now), NotBefore: now,
	}
	_, err = media.Register(s.t.Context(), s.files, corpid, []media.File{f}, false)
	must(s.t, err)
	return f
}

// pass invokes the function for a file's lane.
func (s *stage) pass(f media.File) error {
	event, err := json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{
		MessageId: "1", Body: fmt.Sprintf(`{"v":1,"corp":"%s","lane":%d}`, corpid, media.Lane(f.ID)),
	}}})
	must(s.t, err)
	answer, err := s.function.Invoke(s.t.Context(), event)
	if err != nil {
		return err
	}
	var resp events.SQSEventResponse
	must(s.t, json.Unmarshal(answer, &resp))
	if len(resp.BatchItemFailures) != 0 {
		s.t.Error("got the request back as failed")
	}
	return nil
}

func (s *stage) row(f media.File) media.File {
	s.t.Helper()
	row, err := s.files.File(s.t.Context(), corpid, f.ID)
	must(s.t, err)
	return row
}

// want checks a file's state, and its object by digest.
func (s *stage) want(f media.File, state media.State, reason, sum string, size int64) {
	s.t.Helper()
	row := s.row(f)
	if row.State != state || row.Reason != reason {
		s.t.Errorf("got %s, %q; want %s, %q", row.State, row.Reason, state, reason)
	}
	out, err := s.objects.GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: &s.bucket, Key: sdk.String(corpid + "/files/" + f.ID)})
	if state != media.Stored && state != media.Mismatch {
		if err == nil {
			s.t.Errorf("got an object of a file in state %s, want none", state)
		}
		return
	}
	must(s.t, err)
	defer func() { _ = out.Body.Close() }()
	h := md5.New()
	n, err := io.Copy(h, out.Body)
	must(s.t, err)
	if got := hex.EncodeToString(h.Sum(nil)); n != size || sum != "" && got != sum || row.Stored.MD5 != got || row.Stored.Size != n {
		s.t.Errorf("got an object of %d bytes and md5 %s, want %d and %s; the row has %+v", n, got, size, sum, row.Stored)
	}
}

func size(n int) *int { return &n }

func TestFilesOfEverySizeAreStored(t *testing.T) {
	s := newStage(t)
	for _, n := range []int{0, 1, 524287, 524288, 524289, 5 << 20, 12 << 20} {
		f := s.send(s.corp, wecom.Draft{Size: size(n)})
		must(t, s.pass(f))
		s.want(f, media.Stored, "", f.MD5, int64(n))
	}
	for kind, want := range map[string]media.Type{"image": media.JPEG, "voice": media.AMR, "emotion": media.GIF} {
		f := s.send(s.corp, wecom.Draft{Kind: kind, Size: size(2000)})
		must(t, s.pass(f))
		if row := s.row(f); row.State != media.Stored || row.Stored.Type != want {
			t.Errorf("%s: got %s of type %q, want type %q", kind, row.State, row.Stored.Type, want)
		}
	}
}

func TestFailuresOfFiles(t *testing.T) {
	s := newStage(t)
	stranger := s.addCorp("ww1111111111111111")
	for _, c := range []struct {
		name   string
		draft  wecom.Draft
		faults wecom.Faults
		state  media.State
		reason string
	}{
		{"a wrong byte once", wecom.Draft{Size: size(1 << 20)}, wecom.Faults{Media: wecom.MediaCorrupt, MediaTimes: 1}, media.Stored, ""},
		{"a wrong md5", wecom.Draft{Size: size(1 << 20), MD5: wecom.MD5Wrong}, wecom.Faults{}, media.Mismatch, media.ReasonMD5},
		{"no md5", wecom.Draft{Size: size(1 << 20), MD5: wecom.MD5Empty}, wecom.Faults{}, media.Stored, ""},
		{"no index once", wecom.Draft{Size: size(1 << 20)}, wecom.Faults{Media: wecom.MediaNoIndex, MediaTimes: 1}, media.Stored, ""},
		{"no index", wecom.Draft{Size: size(1 << 20)}, wecom.Faults{Media: wecom.MediaNoIndex}, media.Waiting, media.ReasonNoIndex},
		{"an empty last chunk", wecom.Draft{Size: size(1 << 20)}, wecom.Faults{Media: wecom.MediaEmptyTail}, media.Stored, ""},
		{"an empty last chunk after a part", wecom.Draft{Size: size(5 << 20)}, wecom.Faults{Media: wecom.MediaEmptyTail}, media.Stored, ""},
		{"no JSON once", wecom.Draft{Size: size(10)}, wecom.Faults{Media: wecom.MediaNotJSON, MediaTimes: 1}, media.Stored, ""},
		{"no JSON", wecom.Draft{Size: size(10)}, wecom.Faults{Media: wecom.MediaNotJSON}, media.Waiting, "sdk_10002"},
		{"WeCom unreachable", wecom.Draft{Size: size(10)}, wecom.Faults{Unreachable: true}, media.Waiting, "sdk_10001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := *s
			s.t = t
			f := s.send(s.corp, c.draft)
			must(t, s.corp.SetFaults(c.faults))
			must(t, s.pass(f))
			must(t, s.corp.SetFaults(wecom.Faults{}))
			sum := f.MD5
			if c.state == media.Mismatch {
				sum = ""
			}
			s.want(f, c.state, c.reason, sum, int64(*c.draft.Size))
			if c.state != media.Waiting {
				return
			}
			row := s.row(f)
			row.NotBefore = time.Now()
			row, err := s.files.SaveFile(t.Context(), row)
			must(t, errors.Join(err, s.files.ListFile(t.Context(), row)))
			must(t, s.pass(f))
			s.want(f, media.Stored, "", sum, int64(*c.draft.Size))
		})
	}
	t.Run("another corp's file", func(t *testing.T) {
		s := *s
		s.t = t
		f := s.send(stranger, wecom.Draft{Size: size(10)})
		must(t, s.pass(f))
		s.want(f, media.Waiting, media.ReasonBadFileID, "", 0)
	})
	t.Run("expired", func(t *testing.T) { // comes last: it ages every file of the corp
		s := *s
		s.t = t
		f := s.send(s.corp, wecom.Draft{Size: size(10)})
		must(t, s.corp.Age(6*24*time.Hour))
		must(t, s.pass(f))
		s.want(f, media.Expired, media.ReasonDeleted, "", 0)
	})
}

// memory is the peak of a process's resident memory, in bytes.
func memory(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	must(t, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			must(t, err)
			return kb << 10
		}
	}
	t.Fatal("got no VmHWM in the status of the process")
	return 0
}

// processes are the child processes of a process: they run the library.
func processes(t *testing.T, pid int) []int {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	must(t, err)
	var pids []int
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if errors.Is(err, os.ErrNotExist) {
			continue // a thread that ended
		}
		must(t, err)
		for child := range strings.FieldsSeq(string(children)) {
			pid, err := strconv.Atoi(child)
			must(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

const (
	large       = 200_000_000
	largeChunks = (large + 524287) / 524288
)

// The product's bound on memory: a file of 200 MB takes less than 64 MB, together
// with the library's process.
func TestLargeFileInLittleMemory(t *testing.T) {
	const bound = 64_000_000
	s := newStage(t)
	f := s.send(s.corp, wecom.Draft{Size: size(large)})
	must(t, s.pass(f))
	s.want(f, media.Stored, "", f.MD5, large)
	if got := s.chunks.Load(); got != largeChunks {
		t.Errorf("got %d chunks fetched, want %d: the measured processes must fetch them all", got, largeChunks)
	}
	function := s.function.Processes()[0]
	resident, library := memory(t, function), int64(0)
	for _, pid := range processes(t, function) {
		library += memory(t, pid)
	}
	if library == 0 {
		t.Fatal("got no process of the library")
	}
	t.Logf("file of %d bytes: %d bytes resident at most in the function, %d in the library's process", large, resident, library)
	if resident+library > bound {
		t.Errorf("got %d + %d bytes resident, want at most %d", resident, library, bound)
	}
}

// The function is killed twice during a download. The next pass goes on after
// the last durable part.
func TestLargeFileResumesAfterKills(t *testing.T) {
	s := newStage(t)
	f := s.send(s.corp, wecom.Draft{Size: size(large)})
	for _, at := range []int64{55, 255} {
		ended := make(chan error, 1)
		go func() { ended <- s.pass(f) }()
		for s.chunks.Load() < at {
			select {
			case err := <-ended:
				t.Fatalf("the function ended before it was killed: %v", err)
			case <-time.After(time.Millisecond):
			}
		}
		s.function.Kill()
		if err := <-ended; err == nil {
			t.Fatal("the function ended without an error, want it killed during the download")
		}
		if r := s.row(f).Resume; r == nil || r.Chunks < int(at)-25 {
			t.Errorf("killed after %d chunks: got resume point %+v", at, r)
		}
	}
	must(t, s.pass(f))
	s.want(f, media.Stored, "", f.MD5, large)
	// The chunks after the last durable part are fetched again: at most the ten of
	// the next part, and the chunks that were on their way.
	if again := s.chunks.Load() - largeChunks; again > 2*25 {
		t.Errorf("got %d chunks fetched again after two kills, want less than two parts for each", again)
	}
}
