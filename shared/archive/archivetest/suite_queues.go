package archivetest

import (
	"slices"
	"testing"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// PullQueueStore has all methods of a queue of pull requests.
type PullQueueStore interface {
	archive.PullSender
	watch.QueueDepth
}

// DecodeQueueStore has all methods of a queue of decode requests.
type DecodeQueueStore interface {
	archive.DecodeQueue
	watch.QueueDepth
}

// TestQueues checks an empty queue of each kind. The functions remove and return
// all requests of a queue, in any order.
func TestQueues(t *testing.T, pulls PullQueueStore, takePulls func() []archive.PullRequest,
	decodes DecodeQueueStore, takeDecodes func() []archive.DecodeRequest) {
	t.Run("Pulls", func(t *testing.T) { queuePulls(t, pulls, takePulls) })
	t.Run("Decodes", func(t *testing.T) { queueDecodes(t, decodes, takeDecodes) })
}

func wantDepth(t *testing.T, q watch.QueueDepth, want int) {
	t.Helper()
	got, err := q.Depth(t.Context())
	ok(t, err)
	if got != want {
		t.Errorf("got depth %d, want %d", got, want)
	}
}

func queuePulls(t *testing.T, q PullQueueStore, take func() []archive.PullRequest) {
	a, b := corpFor(t, 1), corpFor(t, 2)
	ok(t, q.SendPulls(t.Context()))
	wantDepth(t, q, 0)
	timer := archive.PullRequest{Corp: a, Why: "timer"}
	asked := archive.PullRequest{Corp: b, Why: "asked \"<&>\" 问", Force: true}
	ok(t, q.SendPulls(t.Context(), timer, asked, timer))
	ok(t, q.SendPulls(t.Context(), timer))
	want := []archive.PullRequest{timer, timer, timer, asked}
	wantDepth(t, q, len(want))
	sameRequests(t, take(), want)
	wantDepth(t, q, 0)
}

func queueDecodes(t *testing.T, q DecodeQueueStore, take func() []archive.DecodeRequest) {
	a, b := corpFor(t, 1), corpFor(t, 2)
	want := []archive.DecodeRequest{
		{Corp: a}, {Corp: a}, {Corp: b}, {Corp: b, After: ^uint64(0)}, {Corp: a, Replay: "2025-a"},
	}
	for i := range uint64(23) { // more than one batch
		want = append(want, archive.DecodeRequest{Corp: a, After: far + i})
	}
	ok(t, q.RequestDecodes(t.Context(), want...))
	wantDepth(t, q, len(want))
	sameRequests(t, take(), want)
	wantDepth(t, q, 0)
}

// sameRequests checks that got has each request as often as want, in any order.
func sameRequests[R comparable](t *testing.T, got, want []R) {
	t.Helper()
	rest := slices.Clone(got)
	for _, r := range want {
		i := slices.Index(rest, r)
		if i < 0 {
			t.Errorf("request %+v is missing", r)
			continue
		}
		rest = slices.Delete(rest, i, i+1)
	}
	if len(rest) != 0 {
		t.Errorf("got additional requests %+v", rest)
	}
}
