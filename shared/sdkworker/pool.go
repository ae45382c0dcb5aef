//go:build linux

// Package sdkworker starts, calls and stops the child process that runs WeCom's
// library, from the side of its parent. The program of the child is
// layers/finance-sdk/worker; the frames between the two are shared/sdkproto.
// The worker of the web console, web/src/decoder-thread.ts, is unrelated.
//
// A [Pool] holds the child processes, called workers. Each worker is
// initialised for one identity and serves one corp. A [Session] calls the
// library through the worker of its corp.
//
// This package keeps law 7. A worker gets an empty environment, so it has no
// AWS credential. It gets no descriptor but its pipes, and an empty folder of
// its own, which is removed with it; if the parent is killed, the next parent
// removes it. Every call has a time limit. A worker that died, hung or sent an
// unexpected answer is never used again: the call ends with [*archive.CrashError],
// and the next call starts a new worker.
//
// The worker limits itself before it loads the library: layers/finance-sdk/worker
// says how. The parent hides its own memory, see [HideFromChildren]. A hostile
// library can still read the files that the function may read. It can still use
// the network, and so Lambda's Runtime API, unless [Config.NoSockets] is set.
//
// The package does nothing between calls: it has no timer and sends no ping.
// Lambda freezes a parent and its workers between two calls; after the thaw,
// both continue unchanged.
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

// Config names the program and the library, and sets the limits. A limit of
// zero means its default.
type Config struct {
	Worker  string // path of the worker's executable
	Library string // path of libWeWorkFinanceSdk_C.so, absolute or relative to the parent

	// Proxy is http://host:port or socks5://host:port. The library sends every
	// request to WeCom through it; empty means no proxy. ProxyPassword is
	// user:password. GetChatData and GetMediaData get both as arguments. Init
	// has no such argument, so the worker also sets https_proxy for the library.
	Proxy         string
	ProxyPassword secret.Value

	// NoSockets forbids the workers to open sockets, so only Decrypt works. It
	// needs a library whose Init succeeds without sockets, see [WorksOffline].
	NoSockets bool

	// Each kind of call has a time limit, after which the pool kills the worker.
	// The start (20 s) loads the library. Init (30 s) may request a token from
	// WeCom. ChatData (60 s) and MediaChunk (60 s) send up to four requests to
	// WeCom: token and answer, and both again if the token was stale. The
	// library gets a fifth of the limit for each request, so that it can return
	// 10001 before the pool kills it. Decrypt (10 s) only computes.
	StartTimeout    time.Duration
	InitTimeout     time.Duration
	ChatDataTimeout time.Duration
	DecryptTimeout  time.Duration
	MediaTimeout    time.Duration

	// MaxRSS bounds a leak: after a call, the session stops a worker whose
	// resident memory exceeds MaxRSS bytes (256 MiB). The session checks after
	// every 64th Decrypt and after each call that sends requests to WeCom.
	MaxRSS int64
	// MemoryLimit is how many bytes a worker may allocate beyond its memory at
	// the start (512 MiB). A worker that needs more dies; its parent and other
	// workers continue.
	MemoryLimit int64
	// MaxProcesses is the largest number of workers (4). When another one is
	// needed, the pool stops the least recently used idle worker. If every
	// worker is in a call, the new call waits.
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

// Identity is the corp in whose name the library calls WeCom, and its archive
// secret.
type Identity struct {
	CorpID string
	Secret secret.Value
}

// ErrClosed is returned by calls after [Pool.Close].
var ErrClosed = errors.New("sdkworker: pool closed")

// A Pool keeps worker processes. It is safe for concurrent use.
type Pool struct {
	cfg Config

	mu       sync.Mutex
	slots    map[slotKey]*slot // one for every process that runs or starts
	calls    uint64            // number of calls so far, for the order of use
	released chan struct{}     // closed and replaced whenever a slot is released
	closed   bool
}

// slotKey identifies the process of a slot: the corp that it serves, and the
// identity that it was initialised for. serves is part of the key because two
// corps may use one identity, and corps share no process (law 8).
type slotKey struct{ serves, corpID, fingerprint string }

// A slot is the place of one process. The pool owns busy and lastCall, under
// its lock. The call that set busy owns proc.
type slot struct {
	busy     bool
	lastCall uint64   // Pool.calls at the last use
	proc     *process // nil until the first call has started the process
}

// NewPool makes an empty pool. The first call of a session starts a process. NewPool
// removes the working folders that killed parents left behind.
func NewPool(cfg Config) *Pool {
	p := &Pool{cfg: cfg.withDefaults(), slots: make(map[slotKey]*slot), released: make(chan struct{})}
	if err := removeLeftFolders(); err != nil {
		p.cfg.Log.Warn("folders of killed library processes stay", slog.Any("err", err))
	}
	return p
}

// Session calls the library as id, in a process that serves only the corp
// named by serves (law 8). The first call starts the process. Any number of
// sessions of one corp and identity share one process.
func (p *Pool) Session(serves string, id Identity) *Session {
	return &Session{pool: p, id: id, key: slotKey{serves, id.CorpID, id.Secret.Fingerprint()}}
}

var (
	_ pull.Sources  = (*Pool)(nil)
	_ media.Sources = (*Pool)(nil)
)

// Source returns a session that calls WeCom as the corp itself. A process that
// cannot be started is reported by the first call.
func (p *Pool) Source(_ context.Context, corp string, archiveSecret secret.Value) (pull.Source, error) {
	return p.Session(corp, Identity{CorpID: corp, Secret: archiveSecret}), nil
}

// MediaSource returns the same session as Source, for files.
func (p *Pool) MediaSource(_ context.Context, corp string, archiveSecret secret.Value) (media.Source, error) {
	return p.Session(corp, Identity{CorpID: corp, Secret: archiveSecret}), nil
}

// Close stops the idle processes before it returns. A process in a call is
// stopped at the end of that call.
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
	p.wakeWaitingCalls()
	p.mu.Unlock()
	for _, proc := range idle {
		proc.stop()
	}
}

// acquire waits for the slot of k and makes it busy.
func (p *Pool) acquire(ctx context.Context, k slotKey) (*slot, error) {
	for {
		s, evicted, released, err := p.tryAcquire(k)
		if evicted != nil {
			evicted.stop()
		}
		if s != nil || err != nil {
			return s, err
		}
		select {
		case <-released:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a library process: %w", ctx.Err())
		}
	}
}

// tryAcquire returns a busy slot, or a channel that is closed when a slot is
// released, so that the caller tries again. The caller stops the evicted
// process, outside the lock.
func (p *Pool) tryAcquire(k slotKey) (s *slot, evicted *process, released <-chan struct{}, err error) {
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
		return nil, evicted, p.released, nil
	case s == nil:
		s = new(slot)
		p.slots[k] = s
	}
	p.calls++
	s.busy, s.lastCall = true, p.calls
	return s, evicted, nil, nil
}

// evict removes the least recently used idle slot and returns its process. It
// returns nil if every slot is busy.
func (p *Pool) evict() *process {
	var oldest slotKey
	var found *slot
	for k, s := range p.slots {
		if !s.busy && (found == nil || s.lastCall < found.lastCall) {
			oldest, found = k, s
		}
	}
	if found == nil {
		return nil
	}
	delete(p.slots, oldest)
	return found.proc
}

// release makes a busy slot idle. A slot without a process is removed. After
// Close every released slot is removed and its process stopped.
func (p *Pool) release(k slotKey, s *slot) {
	p.mu.Lock()
	closed := p.closed
	s.busy = false
	if s.proc == nil || closed {
		delete(p.slots, k)
	}
	p.wakeWaitingCalls()
	p.mu.Unlock()
	if closed && s.proc != nil {
		s.proc.stop()
	}
}

// The caller must hold p's lock.
func (p *Pool) wakeWaitingCalls() {
	close(p.released)
	p.released = make(chan struct{})
}
