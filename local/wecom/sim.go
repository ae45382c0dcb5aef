package wecom

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what a [Sim] is made of. The zero Config is complete.
type Config struct {
	// Now is the clock; time.Now if nil. It must not go back.
	Now func() time.Time
	// AfterFunc runs f once, d later by the same clock, and returns what stops
	// it; time.AfterFunc if nil. f must not run before AfterFunc has returned.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)
	// Seed begins all randomness.
	Seed uint64
	// Client sends the callbacks. If nil, one that uses no proxy.
	Client *http.Client
	// ClientIP tells the address of whoever calls; that of the connection if
	// nil.
	ClientIP func(*http.Request) string
	// Logger is told of callbacks that failed; nobody if nil.
	Logger *slog.Logger

	NotifyEvery time.Duration // least time between two msgaudit_notify; 15 s if zero
	EventLimit  time.Duration // for one try to deliver an event; 5 s if zero
	CheckLimit  time.Duration // for the check of a callback URL; 1 s if zero
	TokenLife   time.Duration // 7200 s if zero
	Retention   time.Duration // 5 days if zero
	// PullsPerMinute is how often a corp may ask for chat data; 600 if zero.
	PullsPerMinute int
	// UsualMediaMax is the most bytes of a file whose size nobody asked for;
	// 700 KiB if zero, which is two chunks.
	UsualMediaMax int

	Choices Choices
}

// Choices answers the questions that wecom.md 10 leaves open. A zero field is
// the answer that seems likelier, or the one that is harder for the client.
type Choices struct {
	// TokenTellsRest: a repeated gettoken reports the seconds left, not 7200
	// (question 10).
	TokenTellsRest bool `json:"token_tells_rest"`
	// BanAfter is how many wrong secrets within an hour ban an address for an
	// hour; 20 if zero (question 10).
	BanAfter int `json:"ban_after"`
	// RetainBySending: the five days count from msgtime, not from archiving
	// (question 11).
	RetainBySending bool `json:"retain_by_sending"`
	// ForeignIPCode is what msgaudit/* answers to an address that is not
	// trusted; 301042 if zero, no check at all if negative (question 5).
	ForeignIPCode int `json:"foreign_ip_code"`
	// Unanswered is what holds for a customer who never answered (questions 6
	// and 12).
	Unanswered Unanswered `json:"unanswered"`
	// InternalRoomCode is what externalcontact/groupchat/get answers about an
	// internal room; 40058 if zero (question 12).
	InternalRoomCode int `json:"internal_room_code"`
	// InternalConsentCode is what check_room_agree answers about an internal
	// room; if zero, nobody's consent (question 12).
	InternalConsentCode int `json:"internal_consent_code"`
	// WrongMethodCode is for the wrong HTTP method, BrokenJSONCode for a body
	// that is not JSON; 40058 if zero (question 13).
	WrongMethodCode int `json:"wrong_method_code"`
	BrokenJSONCode  int `json:"broken_json_code"`
	// TryPauseMS is the pause between the three tries of an event, in ms; none
	// if zero. SignEachTry: each try has a timestamp, nonce and signature of
	// its own (question 14).
	TryPauseMS  int  `json:"try_pause_ms"`
	SignEachTry bool `json:"sign_each_try"`
	// ArchiveReadsUsers: the archive secret may call user/get (question 15).
	ArchiveReadsUsers bool `json:"archive_reads_users"`
}

// Unanswered is what holds for a customer who was asked and never answered.
type Unanswered string

// The answers.
const (
	UnansweredAgrees  Unanswered = ""        // archived, reported as Default_Agree
	UnansweredOmitted Unanswered = "omitted" // not archived, left out of the answer
	UnansweredRefuses Unanswered = "refuses" // not archived, reported as Disagree
)

// A Sim is a simulated WeCom. Make one with [New].
type Sim struct {
	cfg     Config
	choices atomic.Pointer[Choices]

	// background lives from New to Close; it bounds every callback.
	background context.Context
	stop       context.CancelFunc
	work       sync.WaitGroup

	// mu guards what follows. It is never held while a Corp's is taken.
	mu      sync.Mutex
	closed  bool
	corps   map[string]*Corp
	tokens  map[string]*token
	current map[credential]*token
	wrong   map[string][]time.Time // wrong secrets of the last hour by address
	banned  map[string]time.Time   // until when, by address
	rand    *rand.Rand
	strays  map[string]int // calls per endpoint that belong to no corp
}

// New makes a WeCom without companies. The caller calls [Sim.Close].
func New(cfg Config) *Sim {
	def(&cfg.NotifyEvery, 15*time.Second)
	def(&cfg.EventLimit, 5*time.Second)
	def(&cfg.CheckLimit, time.Second)
	def(&cfg.TokenLife, 7200*time.Second)
	def(&cfg.Retention, 5*24*time.Hour)
	def(&cfg.PullsPerMinute, 600)
	def(&cfg.UsualMediaMax, 700<<10)
	def(&cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.AfterFunc == nil {
		cfg.AfterFunc = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}}
	}
	if cfg.ClientIP == nil {
		cfg.ClientIP = func(r *http.Request) string {
			host, _, err := net.SplitHostPort(r.RemoteAddr)
			if err != nil {
				return r.RemoteAddr
			}
			return host
		}
	}
	s := &Sim{
		cfg: cfg, corps: map[string]*Corp{}, tokens: map[string]*token{}, current: map[credential]*token{},
		wrong: map[string][]time.Time{}, banned: map[string]time.Time{}, strays: map[string]int{},
		rand: rand.New(stream(cfg.Seed, "")),
	}
	s.background, s.stop = context.WithCancel(context.Background())
	s.choices.Store(&cfg.Choices)
	return s
}

// def sets *v to d if it is zero.
func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// stream is the random bytes that belong to seed and name.
func stream(seed uint64, name string) *rand.ChaCha8 {
	return rand.NewChaCha8(sha256.Sum256(binary.BigEndian.AppendUint64([]byte(name), seed)))
}

// Close stops all background talk, drops callbacks in flight and waits for
// them to end. Handlers go on answering.
func (s *Sim) Close() {
	s.mu.Lock()
	s.closed = true
	corps := slices.Collect(maps.Values(s.corps))
	s.mu.Unlock()
	s.stop()
	for _, c := range corps {
		c.stopTimers()
	}
	s.work.Wait()
}

// inBackground runs f until it returns, unless the Sim is closed already.
func (s *Sim) inBackground(f func(context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.work.Go(func() { f(s.background) })
}

// Choose replaces the choices.
func (s *Sim) Choose(c Choices) error {
	switch c.Unanswered {
	case UnansweredAgrees, UnansweredOmitted, UnansweredRefuses:
	default:
		return fmt.Errorf("unanswered is %q: it is empty, %q or %q", c.Unanswered, UnansweredOmitted, UnansweredRefuses)
	}
	if c.BanAfter < 0 || c.TryPauseMS < 0 {
		return errors.New("ban_after and try_pause_ms cannot be negative")
	}
	s.choices.Store(&c)
	return nil
}

// Choices returns the choices in force.
func (s *Sim) Choices() Choices { return *s.choices.Load() }

// Corp finds a company.
func (s *Sim) Corp(id string) (*Corp, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.corps[id]
	if !ok {
		return nil, fmt.Errorf("there is no corp %q", id)
	}
	return c, nil
}

// Corps lists all companies by id.
func (s *Sim) Corps() []*Corp {
	s.mu.Lock()
	defer s.mu.Unlock()
	corps := make([]*Corp, 0, len(s.corps))
	for _, id := range slices.Sorted(maps.Keys(s.corps)) {
		corps = append(corps, s.corps[id])
	}
	return corps
}

// Send is [Corp.Send] of the corp with that id.
func (s *Sim) Send(corp string, d Draft) (Sent, error) {
	c, err := s.Corp(corp)
	if err != nil {
		return Sent{}, err
	}
	return c.Send(d)
}

// SendRaw is [Corp.SendRaw] of the corp with that id.
func (s *Sim) SendRaw(corp string, plaintext []byte, o RawOptions) (Sent, error) {
	c, err := s.Corp(corp)
	if err != nil {
		return Sent{}, err
	}
	return c.SendRaw(plaintext, o)
}

// Sent is [Corp.Sent] of the corp with that id; nothing if there is none.
func (s *Sim) Sent(corp string) []Sent {
	c, err := s.Corp(corp)
	if err != nil {
		return nil
	}
	return c.Sent()
}

// Stats counts since the beginning.
type Stats struct {
	Corps  map[string]CorpStats `json:"corps"`
	Strays map[string]int       `json:"strays"` // calls per endpoint that belong to no corp
}

// CorpStats counts what concerns one company.
type CorpStats struct {
	Sent    int                    `json:"sent"`     // archived, second copies included
	LeftOut map[string]int         `json:"left_out"` // not archived, by reason
	LastSeq uint64                 `json:"last_seq"`
	Calls   map[string]int         `json:"calls"`   // per endpoint
	Refused map[string]map[int]int `json:"refused"` // per endpoint and errcode
	Events  map[string]int         `json:"events"`  // deliveries, by how they ended: delivered, failed
}

// Stats returns the counts of this moment.
func (s *Sim) Stats() Stats {
	stats := Stats{Corps: map[string]CorpStats{}}
	for _, c := range s.Corps() {
		stats.Corps[c.id] = c.stats()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stats.Strays = maps.Clone(s.strays)
	return stats
}
