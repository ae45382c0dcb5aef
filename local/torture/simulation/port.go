package simulation

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
)

// process is one invocation of a function.
type process struct {
	id       int
	name     string // function and corp
	corp     string
	deadline time.Time
	skew     time.Duration // how far its clock is from the true time
	instance *instance     // nil for the API, which remembers nothing
	cancel   context.CancelFunc
	dead     bool // it was killed: no further call has an effect
}

func (p *process) now() time.Time { return time.Now().Add(p.skew).UTC() }

type processKey struct{}

// processOf returns the process that a context belongs to; nil for the checker
// and for people, whose calls always work.
func processOf(ctx context.Context) *process {
	p, _ := ctx.Value(processKey{}).(*process)
	return p
}

// waiter is a call that waits for its turn.
type waiter struct {
	ctx   context.Context
	proc  *process
	call  archivetest.Call
	again bool // the call was slow, or is made a second time: it is not disturbed again
	turn  chan verdict
}

// verdict is how a call goes.
type verdict struct {
	kind  kind
	fault error
	wait  time.Duration
}

type kind int

const (
	works kind = iota
	failsBefore
	failsAfter
	twice // the answer is lost, and the AWS client repeats the call
	slow
	hangs
	died // the process died: before the call, or earlier
	diedAfter
)

func (k kind) String() string {
	return [...]string{"works", "fails before", "fails after", "made twice", "slow", "no answer", "process dead", "process dies after"}[k]
}

var (
	errDead     = errors.New("process dead")
	errInjected = errors.New("injected fault")
	errThrottle = errors.New("throttled")
)

// port makes calls one after another. It is an [archivetest.Port].
type port struct {
	seed    uint64
	stormy  func() bool
	mu      sync.Mutex
	waiting []*waiter
	wake    chan struct{}
}

func newPort(seed uint64, stormy func() bool) *port {
	return &port{seed: seed, stormy: stormy, wake: make(chan struct{}, 1)}
}

// poke ends the scheduler's sleep.
func (p *port) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// call waits for the scheduler's decision and makes the call.
func (p *port) call(ctx context.Context, c archivetest.Call, effect func()) error {
	proc := processOf(ctx)
	if proc == nil {
		effect()
		return nil
	}
	if c.Name == "Openers.Opener" {
		return p.opener(proc, c, effect)
	}
	w := &waiter{ctx: ctx, proc: proc, call: c, turn: make(chan verdict, 1)}
	for {
		switch v := p.await(w); v.kind {
		case works:
			effect()
			return nil
		case failsBefore, died:
			return v.fault
		case failsAfter, diedAfter:
			effect()
			return v.fault
		case twice:
			effect()
			w.again = true
		case slow, hangs:
			if err := archive.Sleep(ctx, v.wait); err != nil {
				return err
			}
			if w.again = true; v.kind == hangs {
				return v.fault
			}
		}
	}
}

func (p *port) await(w *waiter) verdict {
	p.mu.Lock()
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()
	p.poke()
	return <-w.turn
}

// opener decides at once, because the decoder holds a lock during this call: a
// call that waited would keep other goroutines from ever coming to rest. The
// decision follows from the process and the key alone, in whatever order a page's
// goroutines ask.
func (p *port) opener(proc *process, c archivetest.Call, effect func()) error {
	h := fnv.New64a()
	_, _ = h.Write([]byte{byte(p.seed), byte(p.seed >> 8), byte(p.seed >> 16), byte(proc.id), byte(proc.id >> 8)}) // a hash never fails
	if p.stormy() && h.Sum64()%29 == 0 {
		return errThrottle
	}
	effect()
	return nil
}

// ready takes the calls that wait, in an order that does not depend on the order
// in which goroutines ran.
func (p *port) ready() []*waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortFunc(p.waiting, func(a, b *waiter) int {
		return cmp.Or(cmp.Compare(a.proc.id, b.proc.id), cmp.Compare(a.call.Name, b.call.Name),
			cmp.Compare(a.call.Corp, b.call.Corp), cmp.Compare(a.call.Item, b.call.Item))
	})
	return p.waiting
}

// grant lets a call go on.
func (p *port) grant(w *waiter, v verdict) {
	p.mu.Lock()
	p.waiting = slices.DeleteFunc(p.waiting, func(x *waiter) bool { return x == w })
	p.mu.Unlock()
	w.turn <- v
}
