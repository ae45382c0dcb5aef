package archivetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// ErrInjected is the error of a fault that names no other.
var ErrInjected = errors.New("injected fault")

// Call is one call of a fake.
type Call struct {
	N      int    // 1 for the first since [Faults.Arm], over all fakes
	Name   string // fake and method, such as Ledger.Append
	Corp   string // empty where a call concerns no single corp
	Writes bool   // only such a call differs between FailsBefore and FailsAfter
}

// Outcome is how a call goes.
type Outcome int

// The outcomes.
const (
	Works       Outcome = iota
	FailsBefore         // nothing happened, and the caller is told so
	FailsAfter          // it happened, and the caller is told otherwise
)

func (o Outcome) String() string {
	return [...]string{"works", "fails before", "fails after"}[o]
}

// A Hook decides how a call goes. A nil error stands for [ErrInjected]. It is
// called from one goroutine at a time and must not call a fake.
type Hook func(Call) (Outcome, error)

// Faults decides which calls fail. The fakes of a test share one, so that it
// sees their calls in order. It does nothing until armed. Safe for concurrent
// use.
type Faults struct {
	mu    sync.Mutex
	armed bool
	hook  Hook
	calls []Call
}

// Arm starts to count and record the calls anew, and lets hook decide about
// them; with a nil hook all work.
func (f *Faults) Arm(hook Hook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.hook, f.calls = true, hook, nil
}

// Disarm lets all calls work again, and stops recording. It is the repaired
// network, or the process that starts after a crash.
func (f *Faults) Disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
}

// Calls returns the calls between the last Arm and Disarm, or now.
func (f *Faults) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *Faults) decide(c Call) (Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed {
		return Works, nil
	}
	c.N = len(f.calls) + 1
	f.calls = append(f.calls, c)
	if f.hook == nil {
		return Works, nil
	}
	o, err := f.hook(c)
	if o != Works && err == nil {
		err = ErrInjected
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", c.Name, err)
	}
	return o, err
}

// read runs a call that changes nothing.
func read[T any](ctx context.Context, f *Faults, name, corp string, do func() (T, error)) (T, error) {
	return run(ctx, f, Call{Name: name, Corp: corp}, do)
}

// write runs a call that changes something.
func write(ctx context.Context, f *Faults, name, corp string, do func() error) error {
	_, err := run(ctx, f, Call{Name: name, Corp: corp, Writes: true}, func() (struct{}, error) {
		return struct{}{}, do()
	})
	return err
}

// run does nothing once the context has ended, as the real adapters.
func run[T any](ctx context.Context, f *Faults, c Call, do func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("%s: %w", c.Name, err)
	}
	outcome, fault := f.decide(c)
	if outcome == FailsBefore {
		return none, fault
	}
	v, err := do()
	if outcome == FailsAfter {
		return none, fault
	}
	return v, err
}

// FailNth is a hook for one fault: the nth call.
func FailNth(n int, o Outcome) Hook {
	return func(c Call) (Outcome, error) {
		if c.N == n {
			return o, nil
		}
		return Works, nil
	}
}

// CrashAt is a hook for the end of the process: the nth call has the outcome,
// and of what the process would have done then, nothing happens.
func CrashAt(n int, o Outcome) Hook {
	return func(c Call) (Outcome, error) {
		switch {
		case c.N < n:
			return Works, nil
		case c.N == n:
			return o, nil
		}
		return FailsBefore, nil
	}
}

// EveryFault runs a scenario with every fault that it can meet. The scenario
// prepares its world, calls arm, does what is under test, taking errors as
// they come, calls [Faults.Disarm], does it again as a retry would, and checks
// that all is as if nothing had happened.
//
// It runs once undisturbed to learn the calls, then, as a subtest each, with
// every call failing before and (where it writes) after it took effect, alone
// and as the end of the process.
func EveryFault(t *testing.T, scenario func(t *testing.T, f *Faults, arm func())) {
	t.Helper()
	var calls []Call
	ok := t.Run("undisturbed", func(t *testing.T) {
		f := &Faults{}
		scenario(t, f, func() { f.Arm(nil) })
		calls = f.Calls()
		if len(calls) == 0 {
			t.Error("the scenario makes no call between arm and Disarm")
		}
	})
	if !ok {
		return
	}
	for _, c := range calls {
		for _, o := range []Outcome{FailsBefore, FailsAfter} {
			if o == FailsAfter && !c.Writes {
				continue
			}
			for _, kind := range []struct {
				name string
				hook func(int, Outcome) Hook
			}{{"once", FailNth}, {"crash", CrashAt}} {
				t.Run(fmt.Sprintf("%d %s %s %s", c.N, c.Name, o, kind.name), func(t *testing.T) {
					f := &Faults{}
					scenario(t, f, func() { f.Arm(kind.hook(c.N, o)) })
				})
			}
		}
	}
}
