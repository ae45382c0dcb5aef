// Package sdkworker is the parent's side of WeCom's library: a [Pool] of worker
// processes (layers/finance-sdk/worker), each initialised for one identity and
// serving one corp, and a [Session] that calls the library as one of them.
//
// Law 7 is kept here. A worker is given an empty environment, so no AWS
// credential, and no descriptors but its pipes. Every call has a time limit. A
// worker that died, hung, or answered anything unexpected is never used again:
// the call ends with [*archive.CrashError] and the next one starts afresh. This
// stops accidents and a careless library; it is no sandbox, see
// [HideFromChildren].
//
// Nothing runs between calls: no timer, no ping. A parent that is frozen
// between two calls together with its workers, as Lambda does, goes on as if
// nothing had been.
package sdkworker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/pull"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// Config says what to start, and its limits. Zero limits mean the defaults.
type Config struct {
	Worker  string // path of the worker's executable
	Library string // path of libWeWorkFinanceSdk_C.so, as the worker sees it

	// Proxy is http://host:port or socks5://host:port for everything that the
	// library asks of WeCom; empty for none. ProxyPassword is user:password.
	// Both reach the library as arguments and, for Init, which has none, as its
	// https_proxy.
	Proxy         string
	ProxyPassword secret.Value

	// Limits of each kind of call, past which the worker is killed. Starting
	// (20 s) is loading the library. Init (30 s) may ask WeCom for a token.
	// ChatData (60 s) and MediaChunk (60 s) ask WeCom: the library is told a
	// fifth of it for each of its requests, of which there may be four (token,
	// answer, and both again if the token was stale), so that it can answer
	// 10001 before it is killed. Decrypt (10 s) only computes.
	StartTimeout    time.Duration
	InitTimeout     time.Duration
	ChatDataTimeout time.Duration
	DecryptTimeout  time.Duration
	MediaTimeout    time.Duration

	// MaxRSS is the resident memory in bytes past which a worker is ended after
	// a call, so that a leak stays small: 256 MiB. It is looked at every 64
	// calls and after each one that asks WeCom.
	MaxRSS int64
	// MemoryLimit is how many bytes a worker may take beyond what it starts
	// with; a worker that needs more dies, and nobody else: 512 MiB.
	MemoryLimit int64
	// MaxProcesses bounds the workers: 4. For one more, the least recently used
	// idle one is ended; if all are in calls, the call waits.
	MaxProcesses int

	Log *slog.Logger // nil for none
}

func (c Config) withDefaults() Config {
	or := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	or(&c.StartTimeout, 20*time.Second)
	or(&c.InitTimeout, 30*time.Second)
	or(&c.ChatDataTimeout, 60*time.Second)
	or(&c.DecryptTimeout, 10*time.Second)
	or(&c.MediaTimeout, 60*time.Second)
	if c.MaxRSS == 0 {
		c.MaxRSS = 256 << 20
	}
	if c.MemoryLimit == 0 {
		c.MemoryLimit = 512 << 20
	}
	if c.MaxProcesses == 0 {
		c.MaxProcesses = 4
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Identity is whom the library speaks for.
type Identity struct {
	CorpID string
	Secret secret.Value
}

// ErrClosed is returned by calls after [Pool.Close].
var ErrClosed = errors.New("sdkworker: the pool is closed")

// A Pool keeps worker processes. It is safe for concurrent use.
type Pool struct {
	cfg Config

	mu     sync.Mutex
	slots  map[key]*slot // of every process that runs or is being started
	turn   uint64        // counts calls, for the order of use
	idle   chan struct{} // closed, and made anew, when a slot is let go of
	closed bool
}

// key is what a process was made for. Who is served is part of it even where
// two corps speak with one identity: corps share no process (law 8).
type key struct{ serves, corpID, fingerprint string }

// A slot is one process's place. busy and used are the pool's, under its lock;
// proc is its that made it busy.
type slot struct {
	busy bool
	used uint64
	proc *process // nil until the first call has started it
}

// NewPool starts nothing yet.
func NewPool(cfg Config) *Pool {
	return &Pool{cfg: cfg.withDefaults(), slots: make(map[key]*slot), idle: make(chan struct{})}
}

// Session calls the library as id, in a process that serves nobody but the
// corp named by serves (law 8). Nothing is started before the first call. Any
// number of sessions of one corp and identity share one process.
func (p *Pool) Session(serves string, id Identity) *Session {
	return &Session{pool: p, id: id, key: key{serves, id.CorpID, id.Secret.Fingerprint()}}
}

var (
	_ pull.Sources  = (*Pool)(nil)
	_ media.Sources = (*Pool)(nil)
)

// Source is the session of a corp as itself. Whether a process can be started
// shows at the first call.
func (p *Pool) Source(_ context.Context, corp string, archiveSecret secret.Value) (pull.Source, error) {
	return p.Session(corp, Identity{CorpID: corp, Secret: archiveSecret}), nil
}

// MediaSource is like Source.
func (p *Pool) MediaSource(_ context.Context, corp string, archiveSecret secret.Value) (media.Source, error) {
	return p.Session(corp, Identity{CorpID: corp, Secret: archiveSecret}), nil
}

// Close ends the idle processes before it returns. A process in a call ends
// after it.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	var idle []*process
	for k, s := range p.slots {
		if !s.busy {
			delete(p.slots, k)
			idle = append(idle, s.proc)
		}
	}
	p.wakeWaiting()
	p.mu.Unlock()
	for _, proc := range idle {
		proc.stop()
	}
}

// acquire waits for the slot of k and makes it busy.
func (p *Pool) acquire(ctx context.Context, k key) (*slot, error) {
	for {
		s, evicted, idle, err := p.tryAcquire(k)
		if evicted != nil {
			evicted.stop()
		}
		if s != nil || err != nil {
			return s, err
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a library process: %w", ctx.Err())
		}
	}
}

// tryAcquire returns a busy slot, or a channel that is closed when it is worth
// trying again. An evicted process is left to the caller to stop.
func (p *Pool) tryAcquire(k key) (s *slot, evicted *process, idle <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, nil, ErrClosed
	}
	s = p.slots[k]
	if s == nil && len(p.slots) >= p.cfg.MaxProcesses {
		evicted = p.evict()
	}
	switch {
	case s != nil && s.busy, s == nil && len(p.slots) >= p.cfg.MaxProcesses:
		return nil, evicted, p.idle, nil
	case s == nil:
		s = new(slot)
		p.slots[k] = s
	}
	p.turn++
	s.busy, s.used = true, p.turn
	return s, evicted, nil, nil
}

// evict takes the least recently used idle slot out and returns its process,
// or nil if all are busy.
func (p *Pool) evict() *process {
	var oldest key
	var found *slot
	for k, s := range p.slots {
		if !s.busy && (found == nil || s.used < found.used) {
			oldest, found = k, s
		}
	}
	if found == nil {
		return nil
	}
	delete(p.slots, oldest)
	return found.proc
}

// release lets go of a busy slot. One without a process is taken out; so are
// all after Close.
func (p *Pool) release(k key, s *slot) {
	p.mu.Lock()
	closed := p.closed
	s.busy = false
	if s.proc == nil || closed {
		delete(p.slots, k)
	}
	p.wakeWaiting()
	p.mu.Unlock()
	if closed && s.proc != nil {
		s.proc.stop()
	}
}

func (p *Pool) wakeWaiting() {
	close(p.idle)
	p.idle = make(chan struct{})
}
