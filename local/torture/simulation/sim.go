package simulation

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/archive/media"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// Report is what a run found.
type Report struct {
	Seed   uint64
	Faults []string // what the checker and the stores complain about; empty if all laws hold
	Calls  int
	Digest uint64        // of the story
	Lasted time.Duration // in simulated time
	Story  []string
}

// Run plays a seed. It may be called by several tests at once. keep says that the
// report shall have the whole story.
func Run(t *testing.T, seed uint64, keep bool) Report {
	var r Report
	synctest.Test(t, func(t *testing.T) { r = newSim(t, seed, keep).run() })
	return r
}

// sim is one run.
type sim struct {
	seed      uint64
	rand      *rand.Rand // used by one goroutine at a time
	weather   weather
	tb        *complaints
	world     *archivetest.World
	consents  *archivetest.Consents
	ledger    *staleLedger
	corps     *staleCorps
	view      *staleView
	secrets   *past[secret.Value]
	files     staleFiles
	port      *port
	log       *slog.Logger
	companies map[string]*company
	ids       []string // of companies, in their order
	outages   map[string]time.Time
	sent      map[string]watch.Health // by corp: the last notice
	fleet     watch.Fleet             // of the last round

	pullQueue, decodeQueue, mediaQueue *queue

	begun                       time.Time
	awayFrom, awayUntil, calmAt time.Time
	calm                        bool
	events                      []event
	eventN                      int
	processes                   int
	running                     map[int]*process
	warm                        map[string][]*instance // by function: those that wait for an invocation

	mu    sync.Mutex
	ended []end

	calls  int
	digest uint64
	keep   bool
	story  []string
}

// event is something that happens at a time.
type event struct {
	at   time.Time
	n    int // of equal times the lower one is first
	what string
	do   func()
}

// end is the end of a process.
type end struct {
	p    *process
	err  error
	then func(error)
}

// complaints collects what the fakes complain about.
type complaints struct {
	testing.TB
	mu      sync.Mutex
	said    []string
	ignored []string // erased companies, about which only the checker complains
}

func (c *complaints) Helper()                           {}
func (c *complaints) Error(args ...any)                 { c.add(fmt.Sprint(args...)) }
func (c *complaints) Errorf(format string, args ...any) { c.add(fmt.Sprintf(format, args...)) }
func (c *complaints) Fatalf(format string, args ...any) { c.add(fmt.Sprintf(format, args...)) }

func (c *complaints) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range c.ignored {
		if strings.Contains(text, id) {
			return
		}
	}
	if len(c.said) < 30 && !slices.Contains(c.said, text) {
		c.said = append(c.said, text)
	}
}

func newSim(t *testing.T, seed uint64, keep bool) *sim {
	r := rand.New(rand.NewPCG(seed, 0x79756e64756f))
	s := &sim{
		seed: seed, rand: r, weather: newWeather(r), tb: &complaints{TB: t}, companies: make(map[string]*company),
		outages: make(map[string]time.Time), sent: make(map[string]watch.Health), running: make(map[int]*process), warm: make(map[string][]*instance),
		log: newLog(), keep: keep,
	}
	time.Sleep(time.Duration(r.IntN(7*24*60*60)) * time.Second) // a run may begin at any time of a week
	s.begun = time.Now()
	s.port = newPort(seed, s.stormy)
	faults := &archivetest.Faults{}
	faults.Through(s.port.call)
	s.world = archivetest.NewWorld(s.tb, faults)
	s.consents = archivetest.NewConsents(s.tb, faults)
	s.world.Openers.Implicit = r.IntN(2) == 0
	s.ledger = newStaleLedger(s)
	s.corps = &staleCorps{all: s.world.Corps, listed: newPast[archive.Corp](s)}
	s.view = &staleView{viewInParts: viewInParts{s.world.View}, aside: newPast[[]archive.SetAside](s)}
	s.secrets = newPast[secret.Value](s)
	s.files = staleFiles{Files: s.world.Files, sim: s}
	newQueue := func(name string, visibility, kept, timeout time.Duration) *queue {
		return &queue{name: name, port: s.port, visibility: visibility, kept: kept, timeout: timeout, running: make(map[string]int), few: name != "DecodeQueue", complain: s.tb.Errorf}
	}
	s.pullQueue = newQueue("PullQueue", 180*time.Second, archive.PullKept, pullTimeout)
	s.decodeQueue = newQueue("DecodeQueue", 360*time.Second, 96*time.Hour, decodeTimeout)
	s.mediaQueue = newQueue("MediaQueue", 360*time.Second, media.Kept, mediaTimeout)
	lib := s.world.Library
	lib.OnChatData = func(corp string, after uint64, limit int) *archivetest.Answer {
		return s.companies[corp].chatData(after, limit)
	}
	lib.OnDecrypt = func(corp string, seq uint64, try int) *archivetest.Answer { return s.companies[corp].decrypt(seq, try) }
	lib.OnMediaChunk = func(corp, _, id string, c media.Chunk, err error) (media.Chunk, error) {
		return s.companies[corp].chunk(id, c, err)
	}
	return s
}

func (s *sim) stormy() bool { return !s.calm }

// at plans an event.
func (s *sim) at(t time.Time, what string, do func()) {
	s.eventN++
	s.events = append(s.events, event{t, s.eventN, what, do})
	slices.SortFunc(s.events, func(a, b event) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.n, b.n)) })
}

// in plans an event after a while.
func (s *sim) in(d time.Duration, what string, do func()) { s.at(time.Now().Add(d), what, do) }

// tell adds a line to the story.
func (s *sim) tell(format string, args ...any) {
	if !s.keep {
		return
	}
	s.story = append(s.story, fmt.Sprintf("%14s  ", time.Since(s.begun))+fmt.Sprintf(format, args...))
}

// start starts a process. then is called with its result; with [errDead] if the
// process was killed.
func (s *sim) start(name, corp string, timeout time.Duration, do func(context.Context, *process) error, then func(error)) *process {
	s.processes++
	p := &process{id: s.processes, name: name, corp: corp, deadline: time.Now().Add(timeout)}
	p.skew = time.Duration(p.id) * time.Microsecond // no two processes read the same time
	if timeout == apiTimeout {
		p.skew += s.someSkew()
	} else {
		p.instance = s.instanceFor(name)
		p.instance.serves = p
		if s.stormy() {
			p.skew += p.instance.clock
		}
	}
	ctx, cancel := context.WithDeadline(context.WithValue(context.Background(), processKey{}, p), p.deadline)
	p.cancel = cancel
	s.running[p.id] = p
	s.tell("%s#%d of %s starts", name, p.id, corp)
	go func() {
		err := do(ctx, p)
		cancel()
		s.mu.Lock()
		s.ended = append(s.ended, end{p, err, then})
		s.mu.Unlock()
		s.port.poke()
	}()
	return p
}

// kill ends a process: nothing that it still does has an effect.
func (s *sim) kill(p *process) {
	p.dead = true
	p.cancel()
}

// reap takes the ends of processes.
func (s *sim) reap() {
	s.mu.Lock()
	ended := s.ended
	s.ended = nil
	s.mu.Unlock()
	slices.SortFunc(ended, func(a, b end) int { return cmp.Compare(a.p.id, b.p.id) })
	for _, e := range ended {
		delete(s.running, e.p.id)
		if err := e.err; e.p.dead || !time.Now().Before(e.p.deadline) {
			s.tell("%s#%d of %s was killed", e.p.name, e.p.id, e.p.corp)
			e.then(errDead)
		} else {
			s.tell("%s#%d of %s ends: %v", e.p.name, e.p.id, e.p.corp, err)
			s.keepWarm(e.p)
			e.then(err)
		}
	}
}

// step does one thing that can be done now: it makes a call, delivers a request, or
// lets an event happen. It reports false if nothing can be done now.
func (s *sim) step() bool {
	synctest.Wait()
	s.reap()
	now := time.Now()
	waiting := s.port.ready()
	var due []*message
	for _, q := range []*queue{s.pullQueue, s.decodeQueue, s.mediaQueue} {
		q.expire(now)
		due = append(due, q.deliverable(now)...)
	}
	events := 0
	if len(s.events) > 0 && !s.events[0].at.After(now) {
		events = 1
	}
	n := len(waiting) + len(due) + events
	if n == 0 {
		return false
	}
	switch i := s.rand.IntN(n); {
	case i < len(waiting):
		s.grant(waiting[i])
	case i < len(waiting)+len(due):
		s.deliver(due[i-len(waiting)])
	default:
		e := s.events[0]
		s.events = s.events[1:]
		if e.what != "" {
			s.tell("%s", e.what)
		}
		e.do()
	}
	return true
}

func (s *sim) grant(w *waiter) {
	if s.stormy() && s.hit(s.weather.steps) {
		s.stepClock(w.proc)
	}
	v := s.decide(w)
	s.calls++
	h := fnv.New64a()
	fmt.Fprint(h, s.digest, w.proc.id, w.call.Name, w.call.Corp, w.call.Item, v.kind)
	s.digest = h.Sum64()
	if s.keep {
		how := ""
		if v.kind != works {
			how = ": " + v.kind.String()
		}
		s.tell("  %s#%d %s %s %.6s%s", w.proc.name, w.proc.id, w.call.Name, w.call.Corp, w.call.Item, how)
	}
	s.port.grant(w, v)
}

// deliver gives a message to its function, as SQS and Lambda do.
func (s *sim) deliver(m *message) {
	q, f := m.queue, s.weather
	if s.stormy() && m.receives == 0 && s.hit(f.lost) {
		s.tell("a request of %s vanishes: %s", q.name, m.body)
		q.remove(m)
		return
	}
	if s.stormy() && s.hit(f.overtaken) {
		for _, later := range q.messages {
			if later.group == m.group && !later.running {
				m = later
			}
		}
	}
	m.receives++
	m.visibleAt = time.Now().Add(q.visibility)
	s.serve(m, true)
	if s.stormy() && s.hit(f.repeated) {
		s.tell("a request of %s is delivered a second time: %s", q.name, m.body)
		s.serve(m, false)
	}
}

// serve starts the function of a message.
func (s *sim) serve(m *message, own bool) {
	q := m.queue
	do, name := s.pull, "pull"
	switch q {
	case s.decodeQueue:
		do, name = s.decode, "decode"
	case s.mediaQueue:
		do, name = s.fetch, "media"
	}
	corp := m.group[:min(len(m.group), corpLength)]
	q.running[m.group]++
	m.running = true
	body := *m
	s.start(name, corp, q.timeout, func(ctx context.Context, p *process) error { return do(ctx, p, &body) }, func(err error) {
		q.running[m.group]--
		if own {
			m.running = false
		}
		if name == "pull" && err != nil {
			s.companies[corp].broken = append(s.companies[corp].broken, time.Now())
		}
		if err == nil {
			q.remove(m)
		}
	})
}

// tick lets the schedule start dispatch, and plans the next time.
func (s *sim) tick(every time.Duration) {
	s.in(every, "", func() {
		f := s.weather
		now := time.Now()
		if s.away(now) {
			s.tick(s.awayUntil.Sub(now) + time.Second)
			return
		}
		if !s.stormy() || !s.hit(f.ticksLost) {
			s.startDispatch()
		}
		if s.stormy() && s.hit(f.ticksTwice) {
			s.startDispatch()
		}
		next := time.Minute
		if s.calm {
			next = s.calmTick()
		}
		s.tick(next)
	})
}

func (s *sim) startDispatch() {
	s.start("dispatch", "", dispatchTimeout, s.dispatch, func(error) {})
}

// api starts an invocation of the API. The person or WeCom tries again until it
// succeeds, at most so often. The API knows no erased company.
func (s *sim) api(name string, c *company, tries int, do func(context.Context, *process) error, then func()) {
	if c.erased {
		return
	}
	s.start(name, c.id, apiTimeout, do, func(err error) {
		switch {
		case err == nil:
			if then != nil {
				then()
			}
		case tries > 1:
			s.in(time.Duration(5+s.rand.IntN(60))*time.Second, "", func() { s.api(name, c, tries-1, do, then) })
		}
	})
}

// until goes on until a time, or until done is true.
func (s *sim) until(end time.Time, done func() bool) {
	for !s.over() {
		if s.step() {
			continue
		}
		now := time.Now()
		if done != nil && done() || !now.Before(end) {
			return
		}
		next := end
		if len(s.events) > 0 && s.events[0].at.Before(next) {
			next = s.events[0].at
		}
		for _, q := range []*queue{s.pullQueue, s.decodeQueue, s.mediaQueue} {
			if at := q.next(now); !at.IsZero() && at.Before(next) {
				next = at
			}
		}
		timer := time.NewTimer(next.Sub(now))
		select {
		case <-timer.C:
		case <-s.port.wake:
		}
		timer.Stop()
	}
}

// over reports that the run has failed: what comes after the first complaint tells
// nothing new.
func (s *sim) over() bool {
	s.tb.mu.Lock()
	defer s.tb.mu.Unlock()
	return s.calls >= maxCalls || len(s.tb.said) > 0
}

// maxCalls bounds a run: the algorithms never come to rest in a longer one.
const maxCalls = 400_000

// put stores a company's secret in the secret store.
func (s *sim) put(c *company, v string) {
	c.saved = v
	s.secrets.keep(c.id, func() secret.Value {
		was, _ := s.world.Secrets.ArchiveSecret(context.Background(), c.id, time.Time{}) // zero before the first one
		return was
	})
	s.world.Secrets.Put(c.id, secretValue(v))
}

func (s *sim) run() Report {
	s.setUp()
	s.rage()
	if !s.over() {
		s.settle()
	}
	if s.calls >= maxCalls {
		s.tb.add(fmt.Sprintf("no rest after %d calls", s.calls))
	}
	s.stop()
	return Report{
		Seed: s.seed, Faults: s.tb.said, Calls: s.calls, Digest: s.digest, Lasted: time.Since(s.begun), Story: s.story,
	}
}

// stop ends everything, so that no goroutine is left.
func (s *sim) stop() {
	s.events = nil
	for _, q := range []*queue{s.pullQueue, s.decodeQueue, s.mediaQueue} {
		q.messages = nil
	}
	for _, p := range s.running {
		s.kill(p)
	}
	for len(s.running) > 0 {
		if !s.step() {
			<-s.port.wake
		}
		for _, q := range []*queue{s.pullQueue, s.decodeQueue, s.mediaQueue} {
			q.messages = nil
		}
		s.events = nil
	}
}
