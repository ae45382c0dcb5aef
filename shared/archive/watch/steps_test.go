package watch_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// busy makes a corp for which every step of the next tick has work: it is due, its
// last days are lost, its health changed, a page, a job and a file were left behind,
// and its turns for the daily head, the daily check and the weekly verification
// have come.
func busy(t *testing.T, f *archivetest.Faults) (*archivetest.DecodeFixture, *watch.Dispatcher) {
	t.Helper()
	d, disp := newDispatch(t, f)
	d.AddKey(archivetest.Corp, "k1", 1)
	d.Say(archivetest.Corp, 1, 1)
	d.Must(d.Pull(archive.PullRequest{}))
	d.Must(d.Replayer.StartReplay(t.Context(), decode.Replay{Corp: archivetest.Corp, ID: "r", CreatedAt: d.Clock.Now(), UpdatedAt: d.Clock.Now()}))
	file := media.File{
		Corp: archivetest.Corp, ID: media.ID("x"), SDKFileID: "x", State: media.Waiting, NotBefore: archivetest.Start, Deadline: archivetest.Start.Add(archive.Retention),
	}
	d.Must(d.Files.CreateFile(t.Context(), file))
	file.Rev = 1
	d.Must(d.Files.ListFile(t.Context(), file))
	d.Decodes.Take()
	d.Clock.Advance(archive.Retention)
	const week = 7 * 24 * 60
	h := fnv.New32a()
	h.Write([]byte(archivetest.Corp))
	since := (d.Clock.Now().Unix()/60 + int64(h.Sum32())%week) % week
	d.Clock.Advance(time.Duration(week-since) * time.Minute)
	return d, disp
}

// done lists what a tick has done for the busy corp. calls are those that took
// effect.
func done(d *archivetest.DecodeFixture, disp *watch.Dispatcher, calls []archivetest.Call) []string {
	var all []string
	add := func(what string, n int) {
		if n > 0 {
			all = append(all, what)
		}
	}
	add("pull", len(d.Pulls.Take()))
	add("notice", len(d.Notified.Take()))
	add("measure", disp.Metrics.(*gauge).last.Corps)
	add("file", len(d.Media.Take()))
	for _, r := range d.Decodes.Take() {
		switch r.Replay {
		case "":
			add("page", 1)
		case "r":
			add("job", 1)
		default:
			add("verification", 1)
		}
	}
	for _, c := range calls {
		switch c.Name {
		case "Ledger.RecordLoss":
			add("loss", 1)
		case "Journal.PutHead":
			add("head", 1)
		}
	}
	return all
}

// stepsByCall says for each call of a busy tick what is lost if the call hangs: the
// rest of its step, and what follows from the step. A step begins with the call of
// its name.
var stepsByCall = []struct{ begins, lost string }{
	{"Corps.Corps", "everything"}, {"Marks.SetMark", "pull"}, {"View.ListSetAside", "notice page file"}, {"Ledger.RecordLoss", "loss"}, {"Ledger.Notified", "notice"},
	{"Ledger.NoteRequest", "page"}, {"Ledger.AllRunning", "job"}, {"Marks.SetMark", "file"}, {"Ledger.Heads", "head"}, {"Marks.SetMark", "verification"},
}

// Whichever call hangs, its step ends with its time, and every other step is done.
func TestEveryHangingCallEndsWithItsStep(t *testing.T) {
	f := &archivetest.Faults{}
	d, disp := busy(t, f)
	f.Arm(nil)
	d.Must(disp.Tick(t.Context()))
	calls := f.Calls()
	all := done(d, disp, calls)
	if got := strings.Join(all, " "); got != "pull notice measure file page job verification loss head" {
		t.Fatalf("without a hanging call: got %s done", got)
	}
	step := -1
	for n, call := range calls {
		if step+1 < len(stepsByCall) && call.Name == stepsByCall[step+1].begins {
			step++
		}
		lost := stepsByCall[step].lost
		t.Run(fmt.Sprint(call.N, " ", call.Name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { checkHang(t, n, lost, all) })
		})
	}
	if step != len(stepsByCall)-1 {
		t.Errorf("got %d steps, want %d", step+1, len(stepsByCall))
	}
}

// checkHang does a tick in which one call, counted from 0, hangs.
func checkHang(t *testing.T, hangs int, lost string, all []string) {
	f := &archivetest.Faults{}
	d, disp := busy(t, f)
	n := -1
	var effects []archivetest.Call
	f.Through(func(ctx context.Context, c archivetest.Call, effect func()) error {
		if n++; n == hangs {
			<-ctx.Done()
			return ctx.Err()
		}
		effects = append(effects, c)
		effect()
		return nil
	})
	begun := time.Now()
	err := disp.Tick(t.Context())
	if took := time.Since(begun); took > watch.TickTime {
		t.Errorf("the tick took %v, want at most %v", took, watch.TickTime)
	}
	if err == nil {
		t.Error("got no error, want that of the hanging call")
	}
	f.Through(nil)
	got := done(d, disp, effects)
	for _, what := range all {
		if lost != "everything" && !strings.Contains(lost, what) && !slices.Contains(got, what) {
			t.Errorf("got %v done, want also %s", got, what)
		}
	}
}

// measured keeps the calls that came before the fleet was measured.
type measured struct {
	faults *archivetest.Faults
	before []archivetest.Call
}

func (m *measured) Fleet(context.Context, watch.Fleet) { m.before = m.faults.Calls() }

// Pulls, notices and metrics of all corps come before anything is requested again.
func TestPullsNoticesAndMetricsComeFirst(t *testing.T) {
	f := &archivetest.Faults{}
	d, disp := busy(t, f)
	m := &measured{faults: f}
	disp.Metrics = m
	f.Arm(nil)
	d.Must(disp.Tick(t.Context()))
	f.Disarm()
	called := func(calls []archivetest.Call, name string) bool {
		return slices.ContainsFunc(calls, func(c archivetest.Call) bool { return c.Name == name })
	}
	for _, name := range []string{"PullQueue.SendPulls", "Notifier.Notify"} {
		if !called(m.before, name) {
			t.Errorf("%s: want it before the metrics", name)
		}
	}
	for _, name := range []string{"Ledger.NoteRequest", "DecodeQueue.RequestDecodes", "MediaQueue.SendMedia", "Journal.PutHead", "Ledger.SetRunning"} {
		if called(m.before, name) || !called(f.Calls(), name) {
			t.Errorf("%s: want it after the metrics", name)
		}
	}
}

// unknownDepth is a queue whose depth cannot be read.
type unknownDepth struct{}

func (unknownDepth) Depth(context.Context) (int, error) { return 0, errUnknownDepth }

var errUnknownDepth = errors.New("depth unknown")

// While the depth of a queue is unknown, nothing is requested again through it.
func TestNothingIsRequestedAgainWithoutADepth(t *testing.T) {
	f := &archivetest.Faults{}
	d, disp := busy(t, f)
	disp.DecodeDepth, disp.MediaDepth = unknownDepth{}, unknownDepth{}
	f.Arm(nil)
	if err := disp.Tick(t.Context()); !errors.Is(err, errUnknownDepth) {
		t.Errorf("got %v, want the error of the queues", err)
	}
	f.Disarm()
	got := done(d, disp, f.Calls())
	if want := []string{"pull", "notice", "measure", "verification", "loss", "head"}; !slices.Equal(got, want) {
		t.Errorf("got %v done, want %v", got, want)
	}
}
