package archive_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
)

// Whatever call fails or is the last before a crash: at most two requests wait, and
// the work is done in the end, at the latest when the queue has surely dropped the
// request.
func TestWantedSurvivesEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		w := archivetest.NewWorld(t, f)
		clock := archivetest.NewClock(archivetest.Start)
		pulls := archive.NewWantedPulls(w.Marks, w.Pulls, clock.Now)
		req := archive.PullRequest{Corp: archivetest.Corp, Why: "callback"}
		waiting := func() int {
			n, err := w.Pulls.Depth(context.WithoutCancel(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		arm()
		for range 3 {
			_ = pulls.RequestPulls(t.Context(), req)
		}
		f.Disarm()
		if n := waiting(); n > 2 {
			t.Errorf("got %d requests, want at most 2", n)
		}
		clock.Advance(archive.PullKept + 2*time.Minute)
		before := waiting()
		if err := pulls.RequestPulls(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if n := waiting(); n == before {
			t.Error("got no request although the queue has dropped the first one")
		}
	})
}

// While the queue may hold the request of a mark, no further one is sent. When the
// queue has surely dropped the request, the next wish sends another one.
func TestWantedRestsAsLongAsTheQueueKeeps(t *testing.T) {
	w := archivetest.NewWorld(t, &archivetest.Faults{})
	clock := archivetest.NewClock(archivetest.Start)
	pulls := archive.NewWantedPulls(w.Marks, w.Pulls, clock.Now)
	want := func(after time.Duration, requests int) {
		t.Helper()
		clock.Advance(after)
		if err := pulls.RequestPulls(t.Context(), archive.PullRequest{Corp: archivetest.Corp, Why: "callback"}); err != nil {
			t.Fatal(err)
		}
		if n := len(w.Pulls.Waiting()); n != requests {
			t.Errorf("got %d requests, want %d", n, requests)
		}
	}
	want(0, 1)
	want(archive.PullKept, 1)
	want(time.Minute, 2)
	want(archive.PullKept, 2)
}

// A mark from the future, by a wrong clock or a wrong writer, stops no work: the next
// wish sends a request. Clocks may differ a little.
func TestMarkFromTheFutureStopsNothing(t *testing.T) {
	for ahead, requests := range map[time.Duration]int{30 * time.Second: 1, time.Minute: 1, time.Minute + time.Second: 2, 100 * 365 * 24 * time.Hour: 2} {
		w := archivetest.NewWorld(t, &archivetest.Faults{})
		for _, at := range []time.Time{archivetest.Start.Add(ahead), archivetest.Start, archivetest.Start.Add(time.Second)} {
			pulls := archive.NewWantedPulls(w.Marks, w.Pulls, archivetest.NewClock(at).Now)
			if err := pulls.RequestPulls(t.Context(), archive.PullRequest{Corp: archivetest.Corp, Why: "callback"}); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(w.Pulls.Waiting()); n != requests {
			t.Errorf("mark %s ahead: got %d requests, want %d", ahead, n, requests)
		}
	}
}

// Of many that want the same work at the same moment, one sends.
func TestWantedAtTheSameMoment(t *testing.T) {
	w := archivetest.NewWorld(t, &archivetest.Faults{})
	pulls := archive.NewWantedPulls(w.Marks, w.Pulls, time.Now)
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			if err := pulls.RequestPulls(t.Context(), archive.PullRequest{Corp: archivetest.Corp, Why: fmt.Sprint(i), Force: i%7 == 0}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	reqs := w.Pulls.Waiting()
	if len(reqs) != 1 {
		t.Fatalf("got %d requests, want 1", len(reqs))
	}
	got, err := pulls.Take(t.Context(), reqs[0])
	if err != nil || !got.Force {
		t.Errorf("got %+v, %v; want a forced pull: several asked for one", got, err)
	}
}

// unsendable is a queue that takes nothing.
type unsendable struct{}

var errUnsendable = errors.New("queue unavailable")

func (unsendable) SendPulls(context.Context, ...archive.PullRequest) error { return errUnsendable }

// A request that could not be sent leaves no mark that stops the next one.
func TestWantedAfterAFailedSend(t *testing.T) {
	w := archivetest.NewWorld(t, &archivetest.Faults{})
	clock := archivetest.NewClock(archivetest.Start)
	req := archive.PullRequest{Corp: archivetest.Corp, Why: "asked", Force: true}
	if err := archive.NewWantedPulls(w.Marks, unsendable{}, clock.Now).RequestPulls(t.Context(), req); !errors.Is(err, errUnsendable) {
		t.Fatalf("got %v, want the queue's error", err)
	}
	pulls := archive.NewWantedPulls(w.Marks, w.Pulls, clock.Now)
	if err := pulls.RequestPulls(t.Context(), archive.PullRequest{Corp: archivetest.Corp, Why: archive.Timer}); err != nil {
		t.Fatal(err)
	}
	reqs := w.Pulls.Waiting()
	if len(reqs) != 1 {
		t.Fatalf("got %d requests, want 1", len(reqs))
	}
	got, err := pulls.Take(t.Context(), reqs[0])
	if err != nil || !got.Force {
		t.Errorf("got %+v, %v; want what was wanted first too", got, err)
	}
}

// A request that is delivered again leaves the mark of a later request: that one is
// in the queue, and a third would be sent if its mark were taken.
func TestRedeliveredMessageLeavesALaterMark(t *testing.T) {
	w := archivetest.NewWorld(t, &archivetest.Faults{})
	pulls := archive.NewWantedPulls(w.Marks, w.Pulls, archivetest.NewClock(archivetest.Start).Now)
	want := func(force bool) {
		t.Helper()
		if err := pulls.RequestPulls(t.Context(), archive.PullRequest{Corp: archivetest.Corp, Force: force}); err != nil {
			t.Fatal(err)
		}
	}
	want(false)
	first := w.Pulls.Waiting()[0]
	for delivery := range 3 {
		got, err := pulls.Take(t.Context(), first)
		if err != nil || got.Force {
			t.Errorf("delivery %d: got %+v, %v; want the wish of the first request", delivery+1, got, err)
		}
		want(true)
	}
	reqs := w.Pulls.Waiting()
	if len(reqs) != 2 {
		t.Fatalf("got %d requests, want 2", len(reqs))
	}
	if got, err := pulls.Take(t.Context(), reqs[1]); err != nil || !got.Force {
		t.Errorf("second request: got %+v, %v; want its own wish", got, err)
	}
}

// What a consumer returns is wanted again: by its own request, or by one that was
// sent meanwhile.
func TestReturnedWishIsWantedAgain(t *testing.T) {
	for name, meanwhile := range map[string]bool{"by the same request": false, "by a request sent meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			w := archivetest.NewWorld(t, &archivetest.Faults{})
			pulls := archive.NewWantedPulls(w.Marks, w.Pulls, archivetest.NewClock(archivetest.Start).Now)
			timer, asked := archive.PullRequest{Corp: archivetest.Corp}, archive.PullRequest{Corp: archivetest.Corp, Force: true}
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(pulls.RequestPulls(t.Context(), timer, asked))
			got, err := pulls.Take(t.Context(), w.Pulls.Waiting()[0])
			must(err)
			if meanwhile {
				must(pulls.RequestPulls(t.Context(), timer))
			}
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			must(pulls.Return(ended, got))
			if !meanwhile {
				if n := len(w.Pulls.Waiting()); n != 1 {
					t.Errorf("got %d requests, want 1", n)
				}
			}
			reqs := w.Pulls.Waiting()
			if got, err := pulls.Take(t.Context(), reqs[len(reqs)-1]); err != nil || !got.Force {
				t.Errorf("got %+v, %v; want what was returned", got, err)
			}
		})
	}
}

// A write of a mark may take effect although its answer is an error. The work must
// not rest then.
func TestWantedAfterALostAnswer(t *testing.T) {
	req := archive.PullRequest{Corp: archivetest.Corp, Why: "callback"}
	for _, c := range []struct {
		name   string
		call   string
		err    error
		old    bool // a mark exists whose request was lost
		joined bool // another wish joins before the answer
	}{
		{name: "first mark, repeated", call: "Marks.SetMark", err: archive.ErrConflict},
		{name: "first mark, repeated after another joined", call: "Marks.SetMark", err: archive.ErrConflict, joined: true},
		{name: "first mark, failed", call: "Marks.SetMark"},
		{name: "first mark, failed after another joined", call: "Marks.SetMark", joined: true},
		{name: "old mark, repeated", call: "Marks.ReplaceMark", err: archive.ErrConflict, old: true},
		{name: "old mark, repeated after another joined", call: "Marks.ReplaceMark", err: archive.ErrConflict, old: true, joined: true},
		{name: "old mark, failed", call: "Marks.ReplaceMark", old: true},
		{name: "old mark, failed after another joined", call: "Marks.ReplaceMark", old: true, joined: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &archivetest.Faults{}
			w := archivetest.NewWorld(t, f)
			clock := archivetest.NewClock(archivetest.Start)
			now := archive.Rising(clock.Now) // of both, as no two processes have the same time
			others := archive.NewWantedPulls(w.Marks, w.Pulls, now)
			if c.old {
				lost := archive.Mark{Corp: archivetest.Corp, Work: "pull", SentAt: now(), Wish: `{"corp":"ww0123456789abcdef","why":"timer"}`}
				if _, err := w.Marks.SetMark(t.Context(), lost); err != nil {
					t.Fatal(err)
				}
				clock.Advance(archive.PullKept + 2*time.Minute)
			}
			store := archive.Marks(w.Marks)
			if c.joined {
				store = joinedMarks{w.Marks, c.call, f, func() {
					if err := others.RequestPulls(t.Context(), archive.PullRequest{Corp: archivetest.Corp, Force: true}); err != nil {
						t.Error(err)
					}
				}}
			}
			failed := false
			f.Arm(func(call archivetest.Call) (archivetest.Outcome, error) {
				if failed || call.Name != c.call {
					return archivetest.Works, nil
				}
				failed = true
				return archivetest.FailsAfter, c.err
			})
			err := archive.NewWantedPulls(store, w.Pulls, now).RequestPulls(t.Context(), req)
			f.Disarm()
			if (err == nil) != (c.err != nil) {
				t.Errorf("got error %v", err)
			}
			if err != nil {
				if err := others.RequestPulls(t.Context(), req); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(w.Pulls.Take()); n != 1 {
				t.Errorf("got %d requests, want 1", n)
			}
		})
	}
}

// joinedMarks are marks that another wish joins after a failed write.
type joinedMarks struct {
	archive.Marks
	call   string // which write
	faults *archivetest.Faults
	join   func()
}

func (s joinedMarks) SetMark(ctx context.Context, m archive.Mark) (archive.Mark, error) {
	stored, err := s.Marks.SetMark(ctx, m)
	if err == nil || s.call != "Marks.SetMark" {
		return stored, err
	}
	s.faults.Disarm()
	s.join()
	if now, readErr := s.Marks.Mark(ctx, m.Corp, m.Work); readErr == nil {
		stored = now
	}
	return stored, err
}

func (s joinedMarks) ReplaceMark(ctx context.Context, old, now archive.Mark) error {
	err := s.Marks.ReplaceMark(ctx, old, now)
	if err != nil && s.call == "Marks.ReplaceMark" && now.SentAt.After(old.SentAt) {
		s.faults.Disarm()
		s.join()
	}
	return err
}
