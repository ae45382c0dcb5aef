package wecom

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// CorpConfig is the initial state of a company. Only ID is required. WeCom
// archives nothing without a public key, a scope and Open.
type CorpConfig struct {
	ID     string `json:"id"` // ww or wx, then letters and digits
	Name   string `json:"name"`
	Secret string `json:"secret"` // archive secret; empty means an invented secret
	// Open means that the archive is switched on.
	Open    bool      `json:"open"`
	Expires time.Time `json:"expires"` // end of the licence; zero means never
	// Edition is 1 office (internal chats only), 2 service, or 3 enterprise
	// (voice calls too). 0 means 3.
	Edition int `json:"edition"`
	// Scope lists the members to archive. Only the first Seats members are
	// archived, or all members if Seats is zero. ScopeAll adds all staff.
	Scope    []string `json:"scope"`
	ScopeAll bool     `json:"scope_all"`
	Seats    int      `json:"seats"`
	// TrustedIPs are addresses or CIDR ranges. All other addresses are refused.
	TrustedIPs []string `json:"trusted_ips"`
	// FirstKeyVersion and KeyVersionStep number the uploaded keys. 0 means 1
	// for both.
	FirstKeyVersion uint32 `json:"first_key_version"`
	KeyVersionStep  uint32 `json:"key_version_step"`
	// FirstSeq is just below the first seq.
	FirstSeq uint64 `json:"first_seq"`

	Staff     []Staff    `json:"staff"`
	Customers []Customer `json:"customers"`
	Rooms     []Room     `json:"rooms"`
	Robots    []Robot    `json:"robots"`
	Crowd     Crowd      `json:"crowd"` // people invented in addition

	App AppConfig `json:"app"`
}

// AppConfig is the corp's self-built app (wecom.md 5.8, 7.1.8). An empty Secret
// means that the corp has no app.
type AppConfig struct {
	Secret     string   `json:"secret"`
	TrustedIPs []string `json:"trusted_ips"` // 企业可信IP of the app, separate from the archive page's
	// Visible lists the members in the app's range. Nil means all staff.
	Visible []string `json:"visible"`
	// Contacts means that the app is listed under 可调用接口的应用.
	Contacts bool `json:"contacts"`
}

// A Corp is a company of a [Sim].
type Corp struct {
	sim *Sim
	id  string

	// mu guards the fields below.
	mu        sync.Mutex
	stopped   bool // Sim.Close was called
	rand      *rand.Rand
	bytes     *rand.ChaCha8 // random bytes of keys and nonces
	name      string
	secret    string
	open      bool
	expires   time.Time
	edition   int
	scope     []string
	seats     int
	trusted   []netip.Prefix
	app       app
	staff     []Staff
	customers []Customer
	rooms     []Room
	robots    []Robot
	consents  map[consentKey]consent

	keys           []publicKey // in the order of upload; WeCom encrypts with the last
	nextKeyVersion uint32
	keyVersionStep uint32

	log     []entry        // all archived messages, in order of seq
	firstOf map[string]int // index in log of the first entry with a msgid
	kept    int            // all entries of log before this index are past retention
	lastSeq uint64
	aged    time.Duration // how far the clock of retention is ahead
	files   map[string]file

	callback, appCallback *callback
	notified              time.Time   // time of the last msgaudit_notify
	notifyStop            func() bool // cancels the scheduled msgaudit_notify; nil without one
	deliveries            []Delivery
	chatter               *chatter // background chat; nil while stopped
	recent                []Draft  // recent drafts of ordinary traffic, with msgid; a revoke picks one

	faults   Faults
	failures []Failure
	calls    map[string][]time.Time // times of calls in the last minute, by endpoint
	counted  CorpStats
}

type app struct {
	secret   string
	trusted  []netip.Prefix
	visible  []string // nil means all staff
	contacts bool
}

type publicKey struct {
	version uint32
	key     *rsa.PublicKey
}

// A consentKey names a customer, and the member or room of the consent.
type consentKey struct{ with, customer string }

type consent struct {
	agrees bool
	at     time.Time
}

// AddCorp adds a company.
func (s *Sim) AddCorp(cfg CorpConfig) (*Corp, error) {
	if !plausibleCorpID(cfg.ID) {
		return nil, fmt.Errorf("corpid %q is not ww or wx followed by 8 to 40 letters and digits", cfg.ID)
	}
	def(&cfg.Edition, 3)
	def(&cfg.FirstKeyVersion, 1)
	def(&cfg.KeyVersionStep, 1)
	c := &Corp{
		sim: s, id: cfg.ID, name: cfg.Name, secret: cfg.Secret, expires: cfg.Expires,
		rand: rand.New(stream(s.cfg.Seed, "talk of "+cfg.ID)), bytes: stream(s.cfg.Seed, "keys of "+cfg.ID),
		staff: slices.Clone(cfg.Staff), customers: slices.Clone(cfg.Customers), rooms: slices.Clone(cfg.Rooms), robots: slices.Clone(cfg.Robots),
		nextKeyVersion: cfg.FirstKeyVersion, keyVersionStep: cfg.KeyVersionStep, lastSeq: cfg.FirstSeq, open: cfg.Open,
		consents: map[consentKey]consent{}, firstOf: map[string]int{}, files: map[string]file{}, calls: map[string][]time.Time{},
		counted: CorpStats{LeftOut: map[string]int{}, Calls: map[string]int{}, Refused: map[string]map[int]int{}, Events: map[string]int{}},
	}
	if c.secret == "" {
		c.secret = randomID(c.rand, 43, false)
	}
	c.invent(cfg.Crowd)
	if cfg.ScopeAll {
		for _, m := range c.staff {
			cfg.Scope = append(cfg.Scope, m.UserID)
		}
	}
	err := errors.Join(
		c.SetScope(cfg.Scope, cfg.Seats), c.SetTrustedIPs(cfg.TrustedIPs...),
		c.SetLicence(cfg.Expires, cfg.Edition), c.SetApp(cfg.App),
	)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("simulated WeCom closed")
	}
	if s.corps[c.id] != nil {
		return nil, fmt.Errorf("corp %q exists already", c.id)
	}
	s.corps[c.id] = c
	return c, nil
}

// plausibleCorpID reports whether id has the form of a corpid.
func plausibleCorpID(id string) bool {
	if len(id) < 10 || len(id) > 42 || (id[:2] != "ww" && id[:2] != "wx") {
		return false
	}
	return alphanumeric(id)
}

// alphanumeric reports whether s consists of ASCII letters and digits only.
func alphanumeric(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// ID is the corpid.
func (c *Corp) ID() string { return c.id }

// Secret is the archive secret as the console shows it.
func (c *Corp) Secret() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.secret
}

// ResetSecret makes a new archive secret and returns it. From then on WeCom
// refuses the old secret and its token.
func (c *Corp) ResetSecret() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.secret
	c.secret = randomID(c.rand, 43, false)
	c.sim.dropTokens(credential{c, old})
	return c.secret
}

// InvalidateTokens ends the corp's tokens before they expire.
func (c *Corp) InvalidateTokens() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sim.dropTokens(credential{c, c.secret}, credential{c, c.app.secret})
}

// AddKey uploads an RSA-2048 public key as PEM, in PKIX or PKCS #1 form, and
// returns the key's version. From then on WeCom encrypts messages with this key.
// A second upload of the same key gets another version.
func (c *Corp) AddKey(publicPEM string) (version uint32, err error) {
	block, _ := pem.Decode([]byte(publicPEM))
	if block == nil {
		return 0, errors.New("key is not in PEM form")
	}
	var key *rsa.PublicKey
	switch block.Type {
	case "PUBLIC KEY":
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return 0, fmt.Errorf("public key unreadable: %w", err)
		}
		key, _ = parsed.(*rsa.PublicKey)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return 0, fmt.Errorf("public key unreadable: %w", err)
		}
	default:
		return 0, fmt.Errorf("PEM type %q is not PUBLIC KEY", block.Type)
	}
	if key == nil || key.N.BitLen() != 2048 {
		return 0, errors.New("key is not an RSA key of 2048 bits")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	version = c.nextKeyVersion
	c.nextKeyVersion += c.keyVersionStep
	c.keys = append(c.keys, publicKey{version, key})
	return version, nil
}

// SetScope replaces the members to archive. Only the first seats members are
// archived, or all members if seats is zero.
func (c *Corp) SetScope(members []string, seats int) error {
	if seats < 0 {
		return errors.New("number of seats negative")
	}
	if slices.Contains(members, "") {
		return errors.New("userid in the scope empty")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scope, c.seats = slices.Clone(members), seats
	return nil
}

// SetTrustedIPs replaces the archive page's trusted addresses and CIDR ranges.
func (c *Corp) SetTrustedIPs(ips ...string) error {
	trusted, err := parseIPs(ips)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trusted = trusted
	return nil
}

// SetOpen switches the archive on or off.
func (c *Corp) SetOpen(open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = open
}

// SetLicence replaces the edition and the end of the licence. A zero end means
// never.
func (c *Corp) SetLicence(expires time.Time, edition int) error {
	if edition < 1 || edition > 3 {
		return fmt.Errorf("edition %d is not 1 office, 2 service or 3 enterprise", edition)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expires, c.edition = expires, edition
	return nil
}

// SetApp replaces the self-built app.
func (c *Corp) SetApp(cfg AppConfig) error {
	trusted, err := parseIPs(cfg.TrustedIPs)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cfg.Secret != "" && cfg.Secret == c.secret {
		return errors.New("app secret equals archive secret")
	}
	if cfg.Secret != c.app.secret {
		c.sim.dropTokens(credential{c, c.app.secret})
	}
	c.app = app{secret: cfg.Secret, trusted: trusted, visible: slices.Clone(cfg.Visible), contacts: cfg.Contacts}
	return nil
}

// Age makes all archived messages older by d, for retention only.
func (c *Corp) Age(d time.Duration) error {
	if d < 0 {
		return errors.New("age negative")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aged += d
	return nil
}

// JumpSeq makes the seq of the next message higher than least.
func (c *Corp) JumpSeq(least uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if least < c.lastSeq {
		return fmt.Errorf("seq below the last seq %d", c.lastSeq)
	}
	if least > math.MaxUint64-1<<32 {
		return fmt.Errorf("seq %d too high", least)
	}
	c.lastSeq = least
	return nil
}

// Details are the console's page of a corp.
type Details struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Secret      string     `json:"secret"`
	Open        bool       `json:"open"`
	Expires     time.Time  `json:"expires,omitzero"`
	Edition     int        `json:"edition"`
	Scope       []string   `json:"scope"`
	Seats       int        `json:"seats"`
	TrustedIPs  []string   `json:"trusted_ips"`
	KeyVersions []uint32   `json:"key_versions"`
	CallbackURL string     `json:"callback_url"`
	AppSecret   string     `json:"app_secret"`
	AppCallback string     `json:"app_callback_url"`
	Staff       []Staff    `json:"staff"`
	Customers   []Customer `json:"customers"`
	Rooms       []Room     `json:"rooms"`
	Robots      []Robot    `json:"robots"`
	ChatterRate float64    `json:"chatter_rate"`
	Faults      Faults     `json:"faults"`
	Failures    []Failure  `json:"failures"`
	Stats       CorpStats  `json:"stats"`
}

// Details returns the console's page of the corp at this moment.
func (c *Corp) Details() Details {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := Details{
		ID: c.id, Name: c.name, Secret: c.secret, Open: c.open, Expires: c.expires, Edition: c.edition,
		Scope: slices.Clone(c.scope), Seats: c.seats, TrustedIPs: []string{}, KeyVersions: []uint32{}, AppSecret: c.app.secret,
		Staff: slices.Clone(c.staff), Customers: slices.Clone(c.customers), Rooms: slices.Clone(c.rooms), Robots: slices.Clone(c.robots),
		Faults: c.faults, Failures: slices.Clone(c.failures), Stats: c.statsLocked(),
	}
	for _, p := range c.trusted {
		v.TrustedIPs = append(v.TrustedIPs, p.String())
	}
	for _, k := range c.keys {
		v.KeyVersions = append(v.KeyVersions, k.version)
	}
	if c.callback != nil {
		v.CallbackURL = c.callback.URL
	}
	if c.chatter != nil {
		v.ChatterRate = c.chatter.rate
	}
	if c.appCallback != nil {
		v.AppCallback = c.appCallback.URL
	}
	return v
}

func (c *Corp) stats() CorpStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.statsLocked()
}

// statsLocked is stats for a caller that has locked c.
func (c *Corp) statsLocked() CorpStats {
	s := c.counted
	if s.Sent = len(c.log); s.Sent > 0 {
		s.LastSeq = c.log[s.Sent-1].Seq
	}
	s.LeftOut, s.Calls, s.Events = maps.Clone(s.LeftOut), maps.Clone(s.Calls), maps.Clone(s.Events)
	s.Refused = map[string]map[int]int{}
	for endpoint, codes := range c.counted.Refused {
		s.Refused[endpoint] = maps.Clone(codes)
	}
	return s
}

// inScope lists the members of the scope that have a seat. WeCom archives these
// members only.
func (c *Corp) inScope() []string {
	if c.seats == 0 || c.seats >= len(c.scope) {
		return c.scope
	}
	return c.scope[:c.seats]
}

// expired reports whether the licence has ended.
func (c *Corp) expired() bool {
	return !c.expires.IsZero() && !c.sim.cfg.Now().Before(c.expires)
}

func (c *Corp) member(userid string) (Staff, bool) {
	i := slices.IndexFunc(c.staff, func(s Staff) bool { return s.UserID == userid })
	if i < 0 {
		return Staff{}, false
	}
	return c.staff[i], true
}

func (c *Corp) customer(id string) (Customer, bool) {
	i := slices.IndexFunc(c.customers, func(p Customer) bool { return p.ExternalUserID == id })
	if i < 0 {
		return Customer{}, false
	}
	return c.customers[i], true
}

func (c *Corp) room(id string) (Room, bool) {
	i := slices.IndexFunc(c.rooms, func(r Room) bool { return r.ID == id })
	if i < 0 {
		return Room{}, false
	}
	return c.rooms[i], true
}

// sees reports whether the member is in the app's visible range.
func (c *Corp) sees(userid string) bool {
	return c.app.visible == nil || slices.Contains(c.app.visible, userid)
}

// parseIPs reads addresses and CIDR ranges.
func parseIPs(ips []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, s := range ips {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return nil, fmt.Errorf("%q is not an IP address or CIDR range", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

// contains reports whether a prefix of the list contains ip.
func contains(list []netip.Prefix, ip string) bool {
	a, err := netip.ParseAddr(ip)
	return err == nil && slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}
