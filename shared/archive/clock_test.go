package archive_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
)

func TestSleep(t *testing.T) {
	if err := archive.Sleep(t.Context(), time.Millisecond); err != nil {
		t.Errorf("got %v, want to sleep through", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := archive.Sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want to be woken", err)
	}
}
