package decode_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
)

// pullPages pulls n pages of one record each, from seq on.
func pullPages(d *archivetest.DecodeFixture, seq uint64, n int) {
	d.T.Helper()
	for i := range uint64(n) {
		d.Say(archivetest.Corp, seq+i, 1)
		d.Must(d.Pull(archive.PullRequest{Force: true}))
	}
}

// undecoded counts the pages that are not decoded.
func undecoded(d *archivetest.DecodeFixture) int {
	d.T.Helper()
	pages, err := d.Ledger.Pendings(d.T.Context(), archivetest.Corp, 1000)
	d.Must(err)
	return len(pages)
}

// While the decoder is stopped, at most two requests of each lane wait. When it
// starts again, it decodes every page: each one brings about the request of the
// next, so that a lane always has one waiting.
func TestFewPageRequestsWait(t *testing.T) {
	d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
	d.AddKey(archivetest.Corp, "k1", 1)
	pullPages(d, 1, 300)
	waiting := d.Decodes.Take()
	for done := 0; len(waiting) > 0; done++ {
		lanes := make(map[int]int)
		for _, r := range waiting {
			if r.Replay == "" {
				lanes[archive.DecodeLane(r.After)]++
			}
		}
		for lane := range archive.DecodeLanes {
			if n := lanes[lane]; n > 2 || n < 2 && done < 200 {
				t.Fatalf("after %d pages: lane %d has %d requests, want 2", done, lane, n)
			}
		}
		next := waiting[0]
		if next.Replay != "" {
			d.Must(d.Replayer.Run(t.Context(), next))
		} else {
			d.Must(d.Decoder.Decode(t.Context(), next.Corp, next.After, decode.FirstTime))
		}
		waiting = append(waiting[1:], d.Decodes.Take()...)
	}
	if n := undecoded(d); n != 0 {
		t.Errorf("got %d pages that are not decoded, want none", n)
	}
	d.Check()
}

// meanwhile is a ledger in which the decoder works before or after a call of the
// puller.
type meanwhile struct {
	pull.Ledger
	work  func()
	calls int // so many calls until the decoder works
}

func (m *meanwhile) step() {
	if m.calls--; m.calls == 0 {
		m.work()
	}
}

func (m *meanwhile) FirstPending(ctx context.Context, corp string, lane, limit int) ([]archive.Pending, error) {
	m.step()
	defer m.step()
	return m.Ledger.FirstPending(ctx, corp, lane, limit)
}

func (m *meanwhile) Append(ctx context.Context, prev archive.Head, row archive.Row) error {
	m.step()
	defer m.step()
	return m.Ledger.Append(ctx, prev, row)
}

// A page that becomes pending while the decoder finishes the last pages before it in
// its lane is requested, whichever of the two comes first.
func TestPageThatComesAsItsLaneEndsIsRequested(t *testing.T) {
	for n := 1; ; n++ {
		m := &meanwhile{calls: n}
		t.Run(fmt.Sprint("decoder works at step ", n), func(t *testing.T) {
			d := archivetest.NewDecodeFixture(t, &archivetest.Faults{})
			d.AddKey(archivetest.Corp, "k1", 1)
			pullPages(d, 1, 30)
			d.Say(archivetest.Corp, 31, 1)
			m.Ledger, m.work = d.Ledger, d.Work
			d.Puller.Ledger = m
			d.Must(d.Pull(archive.PullRequest{Force: true}))
			d.Work()
			if n := undecoded(d); n != 0 {
				t.Errorf("got %d pages that are not decoded, want none", n)
			}
		})
		if m.calls > 0 { // the pull has fewer steps
			return
		}
	}
}

// Whichever call of a pull or of the decoder fails, the request that SQS delivers
// again goes on; at the latest dispatch does, which is not part of this test.
func TestLanesGoOnAfterEveryFault(t *testing.T) {
	archivetest.EveryFault(t, func(t *testing.T, f *archivetest.Faults, arm func()) {
		d := archivetest.NewDecodeFixture(t, f)
		d.AddKey(archivetest.Corp, "k1", 1)
		pullPages(d, 1, 12)
		arm()
		failed := false
		for _, r := range d.Decodes.Take() {
			for try := 0; ; try++ {
				var err error
				if r.Replay != "" {
					err = d.Replayer.Run(t.Context(), r)
				} else {
					err = d.Decoder.Decode(t.Context(), r.Corp, r.After, decode.FirstTime)
				}
				if err == nil {
					break
				}
				failed = true
				f.Disarm()
				if try > 1 {
					t.Fatal(err)
				}
			}
		}
		f.Disarm()
		d.Work()
		// A request that was noted and not sent is one of two of its lane.
		if n := undecoded(d); n > 1 || n > 0 && !failed {
			t.Errorf("got %d pages that are not decoded, want none but the one whose request was lost", n)
		}
	})
}
