package e2e_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/aws"
	"github.com/yunduo-scrm/archive/local/cloud"
	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/needs"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/local/wecom"
)

// The flags with which make torture PART=cloud asks for other runs than the short
// one of make test.
var (
	tortureSeed   = flag.Uint64("torture-seed", 1, "seed of the faults of TestTorture")
	tortureFaults = flag.Int("torture-faults", 8, "faults of a run of TestTorture")
	tortureTalk   = flag.Int("torture-talk", 600, "messages of each company in a run of TestTorture")
)

// storm has the faults of one run.
type storm struct {
	t        *testing.T
	c        *cloud.Cloud
	services *aws.Services
	rand     *rand.Rand
	told     []string
}

// fault is one kind of fault. It returns what it did, and lasts until it returns.
type fault func(ctx context.Context, s *storm) string

// faults are the kinds. Those of WeCom affect one company.
var faults = []fault{
	killed, killed, killed, suspended, suspended, diskFull, unreachable, slowWeCom, lyingPages, lyingFiles, badLibrary, badLibrary, silent,
}

func (s *storm) lasts(ctx context.Context, least, most time.Duration) time.Duration {
	d := least + time.Duration(s.rand.Int64N(int64(most-least)))
	sleep(ctx, d)
	return d.Round(time.Millisecond)
}

// killed ends instances of functions, some times in a row.
func killed(ctx context.Context, s *storm) string {
	ids := []string{"PullFunction", "DecodeFunction", "MediaFunction", "DispatchFunction", "InspectFunction", "ApiFunction"}
	id, n := ids[s.rand.IntN(len(ids))], 0
	for range 1 + s.rand.IntN(4) {
		// The kill of an idle process would interrupt nothing.
		for range 40 {
			if s.c.Function(id).Stats().Busy > 0 {
				break
			}
			sleep(ctx, 50*time.Millisecond)
		}
		if s.c.Kill(id) {
			n++
		}
		s.lasts(ctx, 50*time.Millisecond, 400*time.Millisecond)
	}
	return fmt.Sprintf("%s killed %d times", id, n)
}

// suspended stops DynamoDB Local and moto where they are.
func suspended(ctx context.Context, s *storm) string {
	resume, err := s.services.Suspend()
	if err != nil {
		s.t.Error(err)
		return ""
	}
	defer resume()
	return fmt.Sprint("stores stopped for ", s.lasts(ctx, 200*time.Millisecond, 4*time.Second))
}

// diskFull lets a function make no file: its temporary folder is none.
func diskFull(ctx context.Context, s *storm) string {
	ids := []string{"PullFunction", "DecodeFunction", "MediaFunction"}
	id := ids[s.rand.IntN(len(ids))]
	dir := s.c.TempDir(id)
	if err := os.Rename(dir, dir+".away"); err != nil {
		s.t.Error(err)
		return ""
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		s.t.Error(err)
	}
	s.c.Kill(id) // a new instance starts a new library process
	d := s.lasts(ctx, time.Second, 4*time.Second)
	_ = os.Remove(dir)
	if err := os.Rename(dir+".away", dir); err != nil {
		s.t.Error(err)
	}
	return fmt.Sprintf("%s without a temporary folder for %s", id, d)
}

// wecomDoes gives one company's WeCom faults for a while.
func (s *storm) wecomDoes(ctx context.Context, f wecom.Faults, what string) string {
	corps := s.c.Sim.Corps()
	corp := corps[s.rand.IntN(len(corps))]
	if err := corp.SetFaults(f); err != nil {
		s.t.Error(err)
	}
	d := s.lasts(ctx, 500*time.Millisecond, 4*time.Second)
	if err := corp.SetFaults(wecom.Faults{}); err != nil {
		s.t.Error(err)
	}
	return fmt.Sprintf("WeCom of %s %s for %s", corp.ID(), what, d)
}

func unreachable(ctx context.Context, s *storm) string {
	return s.wecomDoes(ctx, wecom.Faults{Unreachable: true}, "unreachable")
}

func slowWeCom(ctx context.Context, s *storm) string {
	return s.wecomDoes(ctx, wecom.Faults{DelayMS: 200 + s.rand.IntN(2500)}, "slow")
}

// lyingPages are answers that are no page, or break a rule of pages. A page whose
// records lack fields is none of them: it is kept as WeCom sent it.
func lyingPages(ctx context.Context, s *storm) string {
	kinds := []wecom.PageFault{
		wecom.PageNotJSON, wecom.PageBlank, wecom.PageTruncated, wecom.PageStatus500, wecom.PageNoErrcode, wecom.PageNoChatData,
		wecom.PageDuplicateSeq, wecom.PageFallingSeq, wecom.PageOldSeq, wecom.PageMissingSeq,
	}
	f := wecom.Faults{Page: kinds[s.rand.IntN(len(kinds))], PageTimes: 1 + s.rand.IntN(4)}
	return s.wecomDoes(ctx, f, "answers pages "+string(f.Page))
}

func lyingFiles(ctx context.Context, s *storm) string {
	kinds := []wecom.MediaFault{wecom.MediaCorrupt, wecom.MediaNoIndex, wecom.MediaEmptyTail, wecom.MediaNotJSON}
	f := wecom.Faults{Media: kinds[s.rand.IntN(len(kinds))], MediaTimes: 1}
	return s.wecomDoes(ctx, f, "answers files "+string(f.Media))
}

// badLibrary lets the library crash, end, run out of memory, leak or print while it
// fetches pages or files (law 7).
func badLibrary(ctx context.Context, s *storm) string {
	kinds := []string{"crash", "abort", "oom", "leak", "print", "hang"}
	kind := kinds[s.rand.IntN(len(kinds))]
	marker := "##standin:" + kind + "##"
	if s.rand.IntN(2) == 0 {
		return s.wecomDoes(ctx, wecom.Faults{MediaMarker: marker}, "makes the library "+kind+" in GetMediaData")
	}
	return s.wecomDoes(ctx, wecom.Faults{Marker: marker}, "makes the library "+kind+" in GetChatData")
}

// The texts that the stand-in library does not survive in DecryptData. Their records
// are set aside.
var deadly = []string{"##standin:crash##", "##standin:abort##"}

// sendMarked sends the deadly texts, and texts that the library survives.
func sendMarked(corp *wecom.Corp) error {
	details := corp.Details()
	for _, text := range append([]string{"##standin:print##", "##standin:leak##"}, deadly...) {
		if _, err := corp.Send(wecom.Draft{From: details.Staff[0].UserID, To: []string{details.Customers[0].ExternalUserID}, Text: text}); err != nil {
			return err
		}
	}
	return nil
}

// survivors are the sent messages without the deadly ones.
func survivors(sent []wecom.Sent) []wecom.Sent {
	return slices.DeleteFunc(slices.Clone(sent), func(s wecom.Sent) bool {
		return slices.ContainsFunc(deadly, func(text string) bool { return bytes.Contains(s.Plain, []byte(text)) })
	})
}

func silent(ctx context.Context, s *storm) string {
	kinds := []wecom.NotifyFault{wecom.NotifySilent, wecom.NotifyTwice, wecom.NotifyWrongSignature, wecom.NotifyWrongReceiver}
	f := wecom.Faults{Notify: kinds[s.rand.IntN(len(kinds))]}
	return s.wecomDoes(ctx, f, "sends callbacks "+string(f.Notify))
}

// Companies talk on the whole local cloud while faults come one after another, in an
// order that a seed decides. Every message is read back once, byte for byte, the
// chain has no break, and the archive's own verification finds nothing. make torture
// PART=cloud repeats this for other seeds.
func TestTorture(t *testing.T) {
	needs.Servers(t)
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	r := rand.New(rand.NewPCG(*tortureSeed, 0))
	// The stores are this test's own: it stops them where they are.
	services, err := aws.Start(ctx, aws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(services.Stop)
	o := cloud.Options{
		Tick: 2 * time.Second, FailureSpeed: 20, Services: services,
		Sim: wecom.Config{Seed: *tortureSeed, NotifyEvery: time.Second, UsualMediaMax: 2 << 10},
	}
	if r.IntN(2) == 0 {
		if o.Library, err = standin.Build(ctx, t.TempDir(), standin.Leaky()); err != nil {
			t.Fatal(err)
		}
	}
	s := &storm{t: t, c: start(t, o), services: services, rand: r}

	var talk sync.WaitGroup
	for _, corp := range s.c.Sim.Corps() {
		talk.Go(func() {
			if _, err := corp.Every(); err != nil {
				t.Error(err)
			}
			for turn := range 10 {
				if _, err := corp.Mixed(*tortureTalk / 10); err != nil {
					t.Error(err)
				}
				if turn == 5 {
					if err := sendMarked(corp); err != nil {
						t.Error(err)
					}
				}
				sleep(ctx, time.Duration(*tortureFaults)*150*time.Millisecond)
			}
		})
	}
	for range *tortureFaults {
		s.told = append(s.told, faults[r.IntN(len(faults))](ctx, s))
	}
	talk.Wait()
	for _, corp := range s.c.Sim.Corps() {
		s.readBack(ctx, corp)
		checkChain(ctx, t, s.c, corp)
		s.verify(ctx, corp)
	}
	interrupted := 0
	for _, id := range s.c.FunctionIDs() {
		interrupted += s.c.Function(id).Stats().Failures
	}
	if interrupted == 0 {
		t.Errorf("got no invocation interrupted by %q: the run proves nothing", s.told)
	}
	t.Logf("seed %d: %q", *tortureSeed, s.told)
}

// readBack reads all messages of the corp and compares them with the sent messages.
// Exactly the deadly ones are set aside.
func (s *storm) readBack(ctx context.Context, corp *wecom.Corp) {
	s.t.Helper()
	untilHandled(ctx, s.t, s.c, corp)
	watch := people.Watcher{API: s.c.API, Corp: corp.ID()}
	if p, err := watch.Look(ctx); err != nil || p.SetAside != len(deadly) {
		s.t.Errorf("%s: got %+v, %v; want %d records set aside", corp.ID(), p, err, len(deadly))
	}
	read, err := people.ReadAll(ctx, s.c.API, corp)
	if err != nil {
		s.t.Fatalf("%s: read all messages: %v", corp.ID(), err)
	}
	if err := people.Compare(survivors(corp.Sent()), read); err != nil {
		s.t.Errorf("%s: %v", corp.ID(), err)
	}
}

// verify lets the archive verify itself.
func (s *storm) verify(ctx context.Context, corp *wecom.Corp) {
	s.t.Helper()
	var job struct {
		ID       string `json:"id"`
		Done     bool   `json:"done"`
		Findings []struct {
			What string `json:"what"`
		} `json:"findings"`
	}
	if err := s.c.API.Call(ctx, people.Auditor, http.MethodPost, corp.ID(), "/replays", map[string]any{"verify": true}, &job); err != nil {
		s.t.Error(err)
		return
	}
	for !job.Done && ctx.Err() == nil {
		sleep(ctx, 300*time.Millisecond)
		if err := s.c.API.Call(ctx, people.Auditor, http.MethodGet, corp.ID(), "/replays/"+job.ID, nil, &job); err != nil {
			s.t.Error(err)
			return
		}
	}
	// A day's head may be due after midnight in Beijing and not be there yet.
	job.Findings = slices.DeleteFunc(job.Findings, func(f struct {
		What string `json:"what"`
	}) bool {
		return f.What == "head_missing"
	})
	if !job.Done || len(job.Findings) > 0 {
		s.t.Errorf("%s: got verification %+v, want it done without findings", corp.ID(), job)
	}
}
