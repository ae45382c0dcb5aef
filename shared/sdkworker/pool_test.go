package sdkworker_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secret"
)

func TestCorpsShareNoProcess(t *testing.T) {
	p := newPool(t, nil)
	other := identity()
	other.CorpID = "wwfedcba9876543210"
	reset := identity()
	reset.Secret = secret.New("another secret")
	sessions := map[string]*sdkworker.Session{
		"corp with its own identity":     p.Session(corpID, identity()),
		"other corp, same identity":      p.Session("wwfedcba9876543210", identity()),
		"same corp, other identity":      p.Session(corpID, other),
		"same corp after a secret reset": p.Session(corpID, reset),
	}
	seen := make(map[int]string)
	for name, s := range sessions {
		decrypt(t, s, "x")
		if before, ok := seen[s.PID()]; ok {
			t.Errorf("%q and %q share a process", name, before)
		}
		seen[s.PID()] = name
	}
	again := p.Session(corpID, identity())
	decrypt(t, again, "x")
	if seen[again.PID()] != "corp with its own identity" {
		t.Error("second session of one corp and identity: got another process, want the same")
	}
}

func TestPoolStopsTheLeastRecentlyUsedProcess(t *testing.T) {
	p := newPool(t, func(c *sdkworker.Config) { c.MaxProcesses = 2 })
	a, b, c := p.Session("wwaaaaaaaa", identity()), p.Session("wwbbbbbbbb", identity()), p.Session("wwcccccccc", identity())
	decrypt(t, a, "x")
	decrypt(t, b, "x")
	decrypt(t, a, "x")
	pidA, pidB := a.PID(), b.PID()
	decrypt(t, c, "x")
	if a.PID() != pidA || b.PID() != 0 || c.PID() == 0 || p.Processes() != 2 {
		t.Errorf("processes of a, b, c: got %d, %d, %d, want those of a and c", a.PID(), b.PID(), c.PID())
	}
	waitGone(t, pidB)
	decrypt(t, b, "started again")
}

func TestCallsWaitWhileAllProcessesAreBusy(t *testing.T) {
	p := newPool(t, func(c *sdkworker.Config) { c.MaxProcesses = 2 })
	var wg sync.WaitGroup
	for _, corp := range []string{"wwaaaaaaaa", "wwbbbbbbbb", "wwcccccccc", "wwaaaaaaaa", "wwaaaaaaaa"} {
		wg.Go(func() {
			s := p.Session(corp, identity())
			for range 5 {
				key, message := sealed(corp)
				got, err := s.Decrypt(t.Context(), key, message)
				if err != nil || string(got) != corp {
					t.Errorf("%s: got %q and %v", corp, got, err)
				}
				if n := p.Processes(); n > 2 {
					t.Errorf("processes: got %d, want at most 2", n)
				}
			}
		})
	}
	wg.Wait()
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	p := newPool(t, func(c *sdkworker.Config) { c.MaxProcesses = 1 })
	decrypt(t, p.Session("wwaaaaaaaa", identity()), "x")
	busy, release := context.WithCancel(t.Context())
	done := make(chan error)
	key, message := sealed("##standin:hang##")
	started := p.Session("wwaaaaaaaa", identity())
	go func() {
		_, err := started.Decrypt(busy, key, message)
		done <- err
	}()
	// Either call may get the only slot first. In both orders one call hangs in
	// the library and one waits, and each ends with its context.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := p.Session("wwbbbbbbbb", identity()).Decrypt(ctx, key, message)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("call of wwbbbbbbbb: got %v, want context.DeadlineExceeded", err)
	}
	release()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("call of wwaaaaaaaa: got %v, want context.Canceled", err)
	}
}

func TestCloseStopsEveryProcess(t *testing.T) {
	p := newPool(t, nil)
	a, b := p.Session("wwaaaaaaaa", identity()), p.Session("wwbbbbbbbb", identity())
	decrypt(t, a, "x")
	decrypt(t, b, "x")
	pids := []int{a.PID(), b.PID()}
	p.Close()
	for _, pid := range pids {
		waitGone(t, pid)
	}
	if _, err := a.ChatData(t.Context(), 0, 10); !errors.Is(err, sdkworker.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
	p.Close()
}
