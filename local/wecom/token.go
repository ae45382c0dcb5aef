package wecom

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// A token is an access_token of gettoken.
type token struct {
	value   string
	corp    *Corp
	app     bool
	expires time.Time
}

// A credential is a corp with one of its secrets. It has one token at a time.
type credential struct {
	corp   *Corp
	secret string
}

// banTime is how long an address with too many wrong secrets is banned. Wrong
// secrets count for the same time (wecom.md 5.1).
const banTime = time.Hour

// owner finds the token with the given value. For an expired token it returns the
// token and a refusal.
func (s *Sim) owner(value string) (token, error) {
	if value == "" {
		return token{}, refusal(41001)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[value]
	switch {
	case t == nil:
		return token{}, refusal(40014)
	case !s.cfg.Now().Before(t.expires):
		return *t, refusal(42001)
	}
	return *t, nil
}

// Tokens lists the access_tokens that gettoken answered, as far as WeCom still
// remembers them, in no order.
func (s *Sim) Tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.tokens))
}

// dropTokens ends the tokens of the credentials.
func (s *Sim) dropTokens(credentials ...credential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cred := range credentials {
		if t := s.current[cred]; t != nil {
			delete(s.tokens, t.value)
			delete(s.current, cred)
		}
	}
}

// serveToken answers gettoken.
func (c *call) serveToken() {
	q := c.r.URL.Query()
	corpid, secret := q.Get("corpid"), q.Get("corpsecret")
	corp, err := c.sim.Corp(corpid)
	if err != nil {
		c.count()
		switch {
		case c.bannedNow():
			err = refusal(45009)
		case c.r.Method != http.MethodGet:
			err = or(c.sim.Choices().WrongMethodCode, 40058)
		case corpid == "":
			err = refusal(41002)
		default:
			err = refusal(40013)
		}
		c.refuse(err, "")
		return
	}
	c.corp = corp
	c.count()
	c.answerWithFaults("", func() (any, error) {
		switch {
		case c.bannedNow():
			return nil, refusal(45009)
		case c.r.Method != http.MethodGet:
			return nil, or(c.sim.Choices().WrongMethodCode, 40058)
		case secret == "":
			return nil, refusal(41004)
		}
		app, known := corp.takes(secret)
		if !known {
			c.noteWrongSecret()
			for _, other := range c.sim.Corps() {
				if _, known := other.takes(secret); known {
					return nil, refusal(40091)
				}
			}
			return nil, refusal(40001)
		}
		t, rest := c.sim.issue(credential{corp, secret}, app)
		// The secret may have been reset after the first check.
		if _, known := corp.takes(secret); !known {
			c.sim.dropTokens(credential{corp, secret})
			return nil, refusal(40001)
		}
		return struct {
			status
			AccessToken string `json:"access_token"`
			ExpiresIn   int    `json:"expires_in"`
		}{ok, t, int(rest / time.Second)}, nil
	})
}

// takes reports whether secret is known, which means that it is the archive's or
// the app's. app is true for the app's secret.
func (c *Corp) takes(secret string) (app, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	app = secret == c.app.secret
	return app, secret != "" && (app || secret == c.secret)
}

// issue returns the credential's token and the life to report. It makes a new
// token if the last one has expired.
func (s *Sim) issue(cred credential, app bool) (string, time.Duration) {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.current[cred]
	if t == nil || !now.Before(t.expires) {
		// An expired token is remembered for a day, so that its refusal is
		// 42001 and not 40014.
		for value, old := range s.tokens {
			if now.Sub(old.expires) > 24*time.Hour {
				delete(s.tokens, value)
			}
		}
		t = &token{value: randomID(s.rand, 214, false), corp: cred.corp, app: app, expires: now.Add(s.cfg.TokenLife)}
		s.tokens[t.value], s.current[cred] = t, t
	}
	if s.choices.Load().TokenTellsRest {
		return t.value, t.expires.Sub(now)
	}
	return t.value, s.cfg.TokenLife
}

// noteWrongSecret counts a wrong secret of the caller's address, and bans the
// address after too many.
func (c *call) noteWrongSecret() {
	s, now := c.sim, c.sim.cfg.Now()
	most := s.Choices().BanAfter
	def(&most, 20)
	s.mu.Lock()
	defer s.mu.Unlock()
	recent := slices.DeleteFunc(s.wrong[c.ip], func(t time.Time) bool { return now.Sub(t) >= banTime })
	s.wrong[c.ip] = append(recent, now)
	if len(s.wrong[c.ip]) >= most {
		s.banned[c.ip] = now.Add(banTime)
		delete(s.wrong, c.ip)
	}
}

// bannedNow reports whether the caller's address is banned. A ban holds for all
// corps.
func (c *call) bannedNow() bool {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	return c.sim.cfg.Now().Before(c.sim.banned[c.ip])
}
