package archive

import (
	"context"
	"sync"
	"time"
)

// Sleep waits for d, or returns early with the context's error. It is the
// Sleep that the algorithms are given outside of tests.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// NearlyOver reports whether less than margin is left until ctx's deadline. A
// function that stops then can still store its place and request the rest.
func NearlyOver(ctx context.Context, now time.Time, margin time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && deadline.Sub(now) < margin
}

// Rising makes a clock that never gives the same time twice. Safe for concurrent
// use.
func Rising(now func() time.Time) func() time.Time {
	var mu sync.Mutex
	var last time.Time
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		t := now()
		if !t.After(last) {
			t = last.Add(time.Nanosecond)
		}
		last = t
		return t
	}
}
