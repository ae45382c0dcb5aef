package archivetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// ErrInjected is the error of a fault whose hook names no error.
var ErrInjected = errors.New("injected fault")

// Call is one call of a fake.
type Call struct {
	N      int    // counts the calls of all fakes since [Faults.Arm], from 1
	Name   string // fake and method, such as Ledger.Append
	Corp   string // empty where a call is not about a single corp
	Item   string // the id of a file; empty for calls that one goroutine makes for a corp
	Writes bool   // the call changes something; only then FailsBefore and FailsAfter differ
}

// Outcome is how a call goes.
type Outcome int

// The outcomes.
const (
	Works       Outcome = iota
	FailsBefore         // the call has no effect and returns an error
	FailsAfter          // the call takes effect and returns an error
)

func (o Outcome) String() string {
	return [...]string{"works", "fails before", "fails after"}[o]
}

// A Hook decides the outcome of a call. A nil error stands for [ErrInjected]. One
// goroutine at a time calls it. It must not call a fake.
type Hook func(Call) (Outcome, error)

// A Port makes the calls of all fakes in place of a [Hook]. It calls effect when
// the call takes effect: once, or not at all, or twice, as the AWS client does that
// repeats a write whose answer was lost. The caller gets the error of the port, or
// else what the last effect returned. A port may block. Several goroutines call it
// at once.
type Port func(ctx context.Context, c Call, effect func()) error

// Faults decides which calls fail. The fakes of a test share one Faults, so that
// it sees all calls in order. It has no effect until it is armed. Safe for
// concurrent use.
type Faults struct {
	mu    sync.Mutex
	armed bool
	hook  Hook
	calls []Call
	port  Port
}

// Through sends every call through a port, which decides alone: Arm then has no
// effect.
func (f *Faults) Through(p Port) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.port = p
}

func (f *Faults) through() Port {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.port
}

// Arm forgets the recorded calls and starts to record. From then on hook decides
// the outcome of each call. With a nil hook every call works.
func (f *Faults) Arm(hook Hook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.hook, f.calls = true, hook, nil
}

// Disarm lets every call work again, and stops recording. It stands for the
// repaired network, or for the process that starts after a crash.
func (f *Faults) Disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
}

// Calls returns the calls since the last Arm, up to Disarm.
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

// writeItem is write for a call about one of several items of a corp that several
// goroutines write at once.
func writeItem(ctx context.Context, f *Faults, name, corp, item string, do func() error) error {
	_, err := run(ctx, f, Call{Name: name, Corp: corp, Item: item, Writes: true}, func() (struct{}, error) {
		return struct{}{}, do()
	})
	return err
}

// run makes a call with the outcome that the hook decides. Like the real adapters
// it has no effect after ctx has ended.
func run[T any](ctx context.Context, f *Faults, c Call, do func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("%s: %w", c.Name, err)
	}
	if port := f.through(); port != nil {
		var v T
		var err error
		if fault := port(ctx, c, func() { v, err = do() }); fault != nil {
			return none, fmt.Errorf("%s: %w", c.Name, fault)
		}
		return v, err
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

// FailNth is a hook with which only the nth call fails.
func FailNth(n int, o Outcome) Hook {
	return func(c Call) (Outcome, error) {
		if c.N == n {
			return o, nil
		}
		return Works, nil
	}
}

// CrashAt is a hook for a crash of the process: the nth call has the outcome, and
// no later call has an effect.
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

// EveryFault runs a scenario with every fault that it can meet. A scenario does
// these steps:
//  1. It prepares its world and calls arm.
//  2. It does what is under test, and ignores errors.
//  3. It calls [Faults.Disarm] and does the same again, as a retry would.
//  4. It checks that everything is as if no call had failed.
//
// The first run has no fault; it records the calls. Then each call fails in
// subtests of its own: before it takes effect, and if it writes also after, each
// time alone and as the last call before a crash.
func EveryFault(t *testing.T, scenario func(t *testing.T, f *Faults, arm func())) {
	t.Helper()
	var calls []Call
	ok := t.Run("without a fault", func(t *testing.T) {
		f := &Faults{}
		scenario(t, f, func() { f.Arm(nil) })
		calls = f.Calls()
		if len(calls) == 0 {
			t.Error("scenario without a call between arm and Disarm")
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
