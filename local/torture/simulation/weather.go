package simulation

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
)

// weather says which faults a run has, and how often. Each seed leaves most kinds
// of fault out: faults that always come together hide each other.
type weather struct {
	companies int
	storm     time.Duration
	away      time.Duration // the schedule stops for so long in the middle of the storm; 0: it does not

	// One call in so many meets the fault; 0: none does.
	fails, failsAfter, twice, slow, hangs, dies int
	lies                                        int // answers of WeCom
	stale                                       int // answers of our stores
	garbled                                     int // reads of the journal's objects
	// One message in so many is of the kind.
	poison, breaks int
	files          bool

	skew       time.Duration // clocks differ by up to so much
	steps      int           // at one call in so many the clock of its process is set
	lost       int           // one request in so many vanishes
	repeated   int           // one request in so many is delivered twice at once
	overtaken  int           // one delivery in so many is not the first of its group
	ticksLost  int
	ticksTwice int
	outages    bool // whole stores fail for minutes
	crowd      bool // many companies with wrong secrets
	strict     bool // WeCom refuses a seq whose next record it has deleted
	keyTrouble, secretTrouble, switches, jobs, erase,
	flood bool
}

func newWeather(r *rand.Rand) weather {
	pick := func(chance int, list ...int) int {
		if r.IntN(chance) != 0 {
			return 0
		}
		return list[r.IntN(len(list))]
	}
	w := weather{
		companies: 1 + r.IntN(3), storm: time.Duration(8+r.IntN(40)) * time.Minute,
		fails: pick(2, 20, 60, 200), failsAfter: pick(2, 30, 100, 300), twice: pick(3, 30, 100), slow: pick(2, 15, 60),
		hangs: pick(4, 200, 600), dies: pick(2, 100, 300, 1000), lies: pick(2, 4, 12), stale: pick(2, 1), garbled: pick(4, 10, 60),
		poison: pick(4, 40, 120), breaks: pick(4, 40, 120), files: r.IntN(2) == 0,
		lost: pick(3, 4, 15), repeated: pick(3, 6, 25), overtaken: pick(4, 5), ticksLost: pick(3, 3), ticksTwice: pick(4, 5),
		outages: r.IntN(3) == 0, crowd: r.IntN(15) == 0, strict: r.IntN(2) == 0,
		keyTrouble: r.IntN(2) == 0, secretTrouble: r.IntN(3) == 0, switches: r.IntN(4) == 0, jobs: r.IntN(3) == 0,
		erase: r.IntN(8) == 0, flood: r.IntN(8) == 0,
	}
	switch r.IntN(6) {
	case 0:
		w.skew = 20 * time.Second
	case 1:
		w.skew = 2 * time.Second
	}
	switch r.IntN(12) {
	case 0:
		w.away = time.Duration(1+r.IntN(10)) * time.Hour
	case 1:
		w.away = time.Duration(4+r.IntN(5)) * 24 * time.Hour
	}
	w.steps = pick(8, 100, 600)
	if w.crowd {
		w.companies = 12
		w.storm = min(w.storm, 20*time.Minute)
	}
	return w
}

// chance is true once in n times while the storm lasts.
func (s *sim) chance(n int) bool {
	return s.stormy() && s.weather.stale > 0 && s.rand.IntN(n) == 0
}

// stepClock sets the clock of a process forward or back, by a second to some hours.
// The clock goes on from there until it is set again, or the instance is replaced.
func (s *sim) stepClock(p *process) {
	most := []time.Duration{time.Second, time.Minute, 15 * time.Minute, longestStep}[s.rand.IntN(4)]
	clock := time.Duration(s.rand.Int64N(int64(2*most))) - most
	p.skew = clock + time.Duration(p.id)*time.Microsecond
	if p.instance != nil {
		p.instance.clock = clock
	}
	s.tell("the clock of %s#%d is set %s off", p.name, p.id, clock)
}

const longestStep = 2 * time.Hour

// off is how far a clock may be from the true time.
func (w weather) off() time.Duration {
	if w.steps > 0 {
		return longestStep
	}
	return w.skew
}

// hit is true for one call in n.
func (s *sim) hit(n int) bool { return n > 0 && s.rand.IntN(n) == 0 }

// decide says how a call goes.
func (s *sim) decide(w *waiter) verdict {
	now := time.Now()
	if w.proc.dead || !now.Before(w.proc.deadline) {
		w.proc.dead = true
		return verdict{kind: died, fault: errDead}
	}
	if err := w.ctx.Err(); err != nil {
		return verdict{kind: failsBefore, fault: err}
	}
	if !s.stormy() || w.again {
		return verdict{}
	}
	store, _, _ := strings.Cut(w.call.Name, ".")
	if until, out := s.outages[store]; out && now.Before(until) && s.rand.IntN(4) > 0 {
		return verdict{kind: failsBefore, fault: errThrottle}
	}
	f := s.weather
	library := strings.HasPrefix(store, "Source") || strings.HasPrefix(store, "Decrypter") || strings.HasPrefix(store, "MediaSource") || store == "Library"
	switch {
	case s.hit(f.dies):
		s.kill(w.proc)
		if w.call.Writes && s.rand.IntN(2) == 0 {
			return verdict{kind: diedAfter, fault: errDead}
		}
		return verdict{kind: died, fault: errDead}
	case library:
		if s.hit(f.slow) {
			return verdict{kind: slow, wait: time.Duration(s.rand.IntN(15_000)) * time.Millisecond}
		}
	case (w.call.Name == "Journal.Page" || w.call.Name == "Journal.Message") && s.hit(f.garbled):
		return verdict{kind: failsBefore, fault: archive.ErrCorrupt}
	case s.hit(f.fails):
		return verdict{kind: failsBefore, fault: errInjected}
	case w.call.Writes && s.hit(f.failsAfter):
		return verdict{kind: failsAfter, fault: errInjected}
	case w.call.Writes && !transaction[w.call.Name] && s.hit(f.twice):
		return verdict{kind: twice}
	case s.hit(f.slow):
		return verdict{kind: slow, wait: time.Duration(s.rand.IntN(3000)) * time.Millisecond}
	case s.hit(f.hangs):
		return verdict{kind: hangs, wait: time.Minute, fault: errInjected}
	}
	return verdict{}
}

// transaction has the writes that the AWS client repeats with the same token, so
// that the repetition changes nothing and succeeds.
var transaction = map[string]bool{
	"Ledger.Append": true, "Ledger.Finish": true, "Corps.AddKey": true, "PullQueue.Send": true, "DecodeQueue.Send": true, "MediaQueue.Send": true,
}

// lie makes a wrong answer of WeCom, or nil.
func (s *sim) lie() *archivetest.Answer {
	if !s.stormy() || !s.hit(s.weather.lies) {
		return nil
	}
	switch s.rand.IntN(10) {
	case 0:
		return &archivetest.Answer{Bytes: []byte(`{"errcode":0,"errmsg":"ok","chatdata":[{"seq":1`)}
	case 1:
		return &archivetest.Answer{Bytes: []byte(`{"errcode":0,"errmsg":"ok","chatdata":[{"seq":0,"msgid":"x"}]}`)}
	case 2:
		return &archivetest.Answer{Bytes: []byte("<html>502</html>")}
	case 3:
		return &archivetest.Answer{Err: &archive.SDKError{Op: "GetChatData", Code: 10001}}
	case 4:
		return &archivetest.Answer{Err: &archive.SDKError{Op: "GetChatData", Code: 10002}}
	case 5:
		return &archivetest.Answer{Err: &archive.CrashError{Op: "GetChatData", How: archive.Hung, Note: "no answer"}}
	case 6:
		return &archivetest.Answer{Err: &archive.CrashError{Op: "start", How: archive.Crashed, Note: "exit status 1"}}
	case 7:
		return &archivetest.Answer{Bytes: archivetest.Refused(-1, "busy")}
	case 8:
		return &archivetest.Answer{Bytes: archivetest.Refused(45009, "too many")}
	default:
		return &archivetest.Answer{Bytes: archivetest.Refused(301042, "not allow to access from your ip, from ip: 192.0.2.7")}
	}
}

// lieAboutFile makes an error of GetMediaData, or nil.
func (s *sim) lieAboutFile() error {
	if !s.stormy() || !s.hit(s.weather.lies) {
		return nil
	}
	switch s.rand.IntN(4) {
	case 0:
		return &archive.SDKError{Op: "GetMediaData", Code: 10001}
	case 1:
		return &archive.CrashError{Op: "GetMediaData", How: archive.Crashed, Note: "signal 11"}
	case 2:
		return &archive.CrashError{Op: "GetMediaData", How: archive.Hung, Note: "no answer"}
	default:
		return &archive.SDKError{Op: "GetMediaData", Code: 10009}
	}
}
