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

// Config describes a [Sim]. The zero Config is complete.
type Config struct {
	// Now is the clock, which must not go back. Nil means time.Now.
	Now func() time.Time
	// AfterFunc runs f once, d later by the same clock, and returns a function
	// that cancels the run. f must not run before AfterFunc has returned. Nil
	// means time.AfterFunc.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)
	// Seed is the seed of all randomness.
	Seed uint64
	// Client sends the callbacks. Nil means a client without a proxy.
	Client *http.Client
	// ClientIP returns the address of a request's caller. Nil means the address
	// of the connection.
	ClientIP func(*http.Request) string
	// Logger receives the failures of callbacks and of background chat, unless
	// nil.
	Logger *slog.Logger

	NotifyEvery time.Duration // shortest time between two msgaudit_notify events; 0 means 15 s
	EventLimit  time.Duration // time limit of one try to deliver an event; 0 means 5 s
	CheckLimit  time.Duration // time limit of the check of a callback URL; 0 means 1 s
	TokenLife   time.Duration // 0 means 7200 s
	Retention   time.Duration // 0 means 5 days
	// PullsPerMinute is how many pages a corp may request in a minute. 0 means
	// 600.
	PullsPerMinute int
	// UsualMediaMax is the largest size of a file whose draft sets no size. 0
	// means 700 KiB, which is two chunks.
	UsualMediaMax int

	Choices Choices
}

// Choices answers the open questions of wecom.md 10. A zero field selects the
// answer that seems more likely, or the answer that is harder for the client.
type Choices struct {
	// TokenTellsRest means that a repeated gettoken reports the seconds that
	// the token has left, and not 7200 (question 10).
	TokenTellsRest bool `json:"token_tells_rest"`
	// BanAfter is how many wrong secrets within an hour ban an address for an
	// hour. 0 means 20 (question 10).
	BanAfter int `json:"ban_after"`
	// RetainBySending means that the five days begin at msgtime, and not when
	// the message is archived (question 11).
	RetainBySending bool `json:"retain_by_sending"`
	// ForeignIPCode is the errcode of msgaudit/* for an address that is not
	// trusted. 0 means 301042. A negative code means that msgaudit/* does not
	// check the address (question 5).
	ForeignIPCode int `json:"foreign_ip_code"`
	// Unanswered is the consent of a customer who never answered (questions 6
	// and 12).
	Unanswered Unanswered `json:"unanswered"`
	// InternalRoomCode is the errcode of externalcontact/groupchat/get for an
	// internal room. 0 means 40058 (question 12).
	InternalRoomCode int `json:"internal_room_code"`
	// InternalConsentCode is the errcode of check_room_agree for an internal
	// room. 0 means a successful answer with an empty list (question 12).
	InternalConsentCode int `json:"internal_consent_code"`
	// WrongMethodCode is the errcode for the wrong HTTP method. BrokenJSONCode
	// is the errcode for a body that is not JSON. 0 means 40058 for both
	// (question 13).
	WrongMethodCode int `json:"wrong_method_code"`
	BrokenJSONCode  int `json:"broken_json_code"`
	// TryPauseMS is the pause between the three tries of an event, in ms.
	// SignEachTry means that each try has its own timestamp, nonce and
	// signature (question 14).
	TryPauseMS  int  `json:"try_pause_ms"`
	SignEachTry bool `json:"sign_each_try"`
	// ArchiveReadsUsers means that the archive secret may call user/get
	// (question 15).
	ArchiveReadsUsers bool `json:"archive_reads_users"`
}

// Unanswered is the consent of a customer who never answered.
type Unanswered string

// The values of Unanswered.
const (
	UnansweredAgrees  Unanswered = ""        // messages archived, consent reported as Default_Agree
	UnansweredOmitted Unanswered = "omitted" // messages not archived, consent left out of the report
	UnansweredRefuses Unanswered = "refuses" // messages not archived, consent reported as Disagree
)

// A Sim is a simulated WeCom, made by [New].
type Sim struct {
	cfg     Config
	choices atomic.Pointer[Choices]

	// background lives from New to Close. Its end stops every callback.
	background context.Context
	stop       context.CancelFunc
	work       sync.WaitGroup

	// mu guards the fields below. No goroutine locks a Corp while it holds mu.
	mu      sync.Mutex
	closed  bool
	corps   map[string]*Corp
	tokens  map[string]*token
	current map[credential]*token
	wrong   map[string][]time.Time // times of wrong secrets in the last hour, by address
	banned  map[string]time.Time   // end of the ban, by address
	rand    *rand.Rand
	strays  map[string]int // calls without a corp, by endpoint
}

// New makes a WeCom without companies. The caller must close it with [Sim.Close].
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

// stream is a source of random bytes that follow from seed and name.
func stream(seed uint64, name string) *rand.ChaCha8 {
	return rand.NewChaCha8(sha256.Sum256(binary.BigEndian.AppendUint64([]byte(name), seed)))
}

// Close stops the background chat of all corps, cancels the callbacks that are
// not delivered yet and waits for their end. Handlers still answer after Close.
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

// inBackground runs f in a goroutine that Close waits for. After Close it runs
// nothing.
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
		return fmt.Errorf("unanswered %q is not empty, %q or %q", c.Unanswered, UnansweredOmitted, UnansweredRefuses)
	}
	if c.BanAfter < 0 || c.TryPauseMS < 0 {
		return errors.New("ban_after or try_pause_ms negative")
	}
	s.choices.Store(&c)
	return nil
}

// Choices returns the current choices.
func (s *Sim) Choices() Choices { return *s.choices.Load() }

// Corp finds a company by its corpid.
func (s *Sim) Corp(id string) (*Corp, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.corps[id]
	if !ok {
		return nil, fmt.Errorf("corp %q unknown", id)
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

// Send calls [Corp.Send] of the corp.
func (s *Sim) Send(corp string, d Draft) (Sent, error) {
	c, err := s.Corp(corp)
	if err != nil {
		return Sent{}, err
	}
	return c.Send(d)
}

// SendRaw calls [Corp.SendRaw] of the corp.
func (s *Sim) SendRaw(corp string, plaintext []byte, o RawOptions) (Sent, error) {
	c, err := s.Corp(corp)
	if err != nil {
		return Sent{}, err
	}
	return c.SendRaw(plaintext, o)
}

// Sent calls [Corp.Sent] of the corp. It returns nil for an unknown corp.
func (s *Sim) Sent(corp string) []Sent {
	c, err := s.Corp(corp)
	if err != nil {
		return nil
	}
	return c.Sent()
}

// Stats are the counts since New.
type Stats struct {
	Corps  map[string]CorpStats `json:"corps"`
	Strays map[string]int       `json:"strays"` // calls without a corp, by endpoint
}

// CorpStats are the counts of one company.
type CorpStats struct {
	Sent    int                    `json:"sent"`     // archived messages, repeated copies included
	LeftOut map[string]int         `json:"left_out"` // messages not archived, by reason
	LastSeq uint64                 `json:"last_seq"`
	Calls   map[string]int         `json:"calls"`   // by endpoint
	Refused map[string]map[int]int `json:"refused"` // by endpoint and errcode
	Events  map[string]int         `json:"events"`  // deliveries by outcome: delivered, failed
}

// Stats returns the counts at this moment.
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
