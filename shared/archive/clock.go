package archive

import (
	"context"
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
