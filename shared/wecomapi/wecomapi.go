// Package wecomapi asks WeCom's HTTP API (wecom.md 5): names of people and
// rooms, who is archived, and who has agreed to it. Pulling messages is not
// its business: that goes through WeCom's library.
//
// Every answer is read at both levels, HTTP and errcode; every failure but the
// context's is an [*directory.APIError], which holds nothing of what was sent or
// answered but the errcode and the address that WeCom saw. In particular the
// URL, which carries tokens and secrets as WeCom wants it, is never part of an
// error.
package wecomapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// DefaultBase is where WeCom's HTTP API is.
const DefaultBase = "https://qyapi.weixin.qq.com"

// Config is what a [Client] is made of.
type Config struct {
	// Base is scheme and host, [DefaultBase] but for tests and imitations.
	Base string
	// Proxy is the URL of an HTTP or SOCKS5 proxy; empty for none. The
	// environment's proxy is never used: the address that we leave by is known
	// to WeCom.
	Proxy string
	// CallTimeout bounds one call, the answer's body included.
	CallTimeout time.Duration
	Now         func() time.Time
	// Sleep waits, or returns the context's error as soon as that ends.
	Sleep func(context.Context, time.Duration) error
}

const (
	maxBody     = 8 << 20 // bytes; a room of 2000, and a scope of 100,000 members, are smaller
	callsAtOnce = 16      // of all corps
	// tokenMargin is how long before its end a token is not used any more, at
	// most; of a short life it is a tenth.
	tokenMargin = 5 * time.Minute
)

// Client asks WeCom for any number of corps. Safe for concurrent use.
type Client struct {
	cfg  Config
	http *http.Client
	slot chan struct{} // as many as calls may run at once

	mu     sync.Mutex
	tokens map[credential]*token
	paces  map[pace]time.Time // when the next call may start
}

var _ directory.WeCom = (*Client)(nil)

// credential names what a token is for, without the secret itself.
type credential struct{ corp, fingerprint string }

// token is held while it is fetched, so that one fetch serves all who wait.
type token struct {
	mu      sync.Mutex
	value   string
	expires time.Time
}

type pace struct{ corp, path string }

// New makes a client. It fails if Base or Proxy is no URL of its kind.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.Base)
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || strings.Trim(base.Path, "/") != "" {
		return nil, errors.New("WeCom's API needs scheme and host, such as " + DefaultBase)
	}
	cfg.Base = base.Scheme + "://" + base.Host
	transport := &http.Transport{
		TLSHandshakeTimeout: 10 * time.Second, MaxIdleConnsPerHost: callsAtOnce, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
	}
	if cfg.Proxy != "" {
		proxy, err := url.Parse(cfg.Proxy)
		if err != nil || proxy.Scheme != "http" && proxy.Scheme != "socks5" || proxy.Host == "" {
			return nil, errors.New("the proxy needs scheme http or socks5 and a host, such as http://10.0.0.1:8081")
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	return &Client{
		cfg: cfg,
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a token goes to nobody else
		}},
		slot: make(chan struct{}, callsAtOnce), tokens: make(map[credential]*token), paces: make(map[pace]time.Time),
	}, nil
}

// endpoint is one path of the API.
type endpoint struct {
	path      string // below /cgi-bin/
	post      bool
	perMinute int // calls of one corp that WeCom takes
}

// generalLimit holds for paths that document no limit of their own.
const generalLimit = 10000

var (
	getToken     = endpoint{"gettoken", false, generalLimit}
	permitted    = endpoint{"msgaudit/get_permit_user_list", true, 1000}
	pairAgree    = endpoint{"msgaudit/check_single_agree", true, 2500}
	roomAgree    = endpoint{"msgaudit/check_room_agree", true, 1500}
	internalRoom = endpoint{"msgaudit/groupchat/get", true, 2000}
	robotInfo    = endpoint{"msgaudit/get_robot_info", false, 600}
	member       = endpoint{"user/get", false, generalLimit}
	contact      = endpoint{"externalcontact/get", false, generalLimit}
	customerRoom = endpoint{"externalcontact/groupchat/get", true, generalLimit}
)

// ask calls an endpoint with a token of c and reads the answer into out. A
// token that WeCom does not know any more is fetched anew, once.
func (cl *Client) ask(ctx context.Context, c directory.Credential, e endpoint, query url.Values, body, out any) error {
	for fresh := false; ; fresh = true {
		value, err := cl.token(ctx, c)
		if err != nil {
			return err
		}
		q := url.Values{"access_token": {value}}
		for name, values := range query {
			q[name] = values
		}
		err = cl.call(ctx, c.Corp, e, q, body, out)
		refusal, ok := errors.AsType[*directory.APIError](err)
		if !ok || fresh || refusal.Code != 40014 && refusal.Code != 42001 {
			return err
		}
		cl.forget(c, value)
	}
}

func (cl *Client) held(c directory.Credential) *token {
	name := credential{c.Corp, c.Secret.Fingerprint()}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	t, ok := cl.tokens[name]
	if !ok {
		t = &token{}
		cl.tokens[name] = t
	}
	return t
}

// token is the credential's token, from memory as long as it is good.
func (cl *Client) token(ctx context.Context, c directory.Credential) (string, error) {
	t := cl.held(c)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value != "" && cl.cfg.Now().Before(t.expires) {
		return t.value, nil
	}
	var answer struct {
		Token     string `json:"access_token"`
		ExpiresIn number `json:"expires_in"`
	}
	asked := cl.cfg.Now()
	query := url.Values{"corpid": {c.Corp}, "corpsecret": {c.Secret.Reveal()}}
	if err := cl.call(ctx, c.Corp, getToken, query, nil, &answer); err != nil {
		return "", err
	}
	if answer.Token == "" {
		return "", &directory.APIError{Op: getToken.path, Cause: archive.CauseBadAnswer}
	}
	life := time.Duration(answer.ExpiresIn) * time.Second
	t.value, t.expires = answer.Token, asked.Add(life-min(life/10, tokenMargin))
	return t.value, nil
}

// forget drops a token, unless another has taken its place already.
func (cl *Client) forget(c directory.Credential, value string) {
	t := cl.held(c)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value == value {
		t.value = ""
	}
}

// call makes one call and reads both levels of error (law 10).
func (cl *Client) call(ctx context.Context, corp string, e endpoint, query url.Values, body, out any) error {
	if err := cl.enter(ctx, corp, e); err != nil {
		return err
	}
	defer func() { <-cl.slot }()
	limited, cancel := context.WithTimeout(ctx, cl.cfg.CallTimeout)
	defer cancel()
	raw, status, err := cl.roundTrip(limited, e, query, body)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	failed := func(c archive.Cause) error { return &directory.APIError{Op: e.path, Cause: c} }
	switch {
	case err != nil && aboutTLS(err):
		return failed(archive.CauseTLS)
	case err != nil:
		return failed(archive.CauseNetwork)
	case status >= 500:
		return failed(archive.CauseBusy)
	case status != http.StatusOK || len(raw) > maxBody:
		return failed(archive.CauseBadAnswer)
	}
	var answer struct {
		Errcode *number `json:"errcode"`
		Errmsg  string  `json:"errmsg"`
	}
	if json.Unmarshal(raw, &answer) != nil || answer.Errcode == nil {
		return failed(archive.CauseBadAnswer)
	}
	if code := int(*answer.Errcode); code != 0 {
		return &directory.APIError{Op: e.path, Code: code, FromIP: directory.FromIP(answer.Errmsg)}
	}
	if json.Unmarshal(raw, out) != nil {
		return failed(archive.CauseBadAnswer)
	}
	return nil
}

// enter waits until the call fits into WeCom's limits. Calls of a corp to an
// endpoint keep a distance, a little more than the limit asks for, since WeCom
// counts by a clock of its own.
func (cl *Client) enter(ctx context.Context, corp string, e endpoint) error {
	distance := time.Minute * 11 / 10 / time.Duration(e.perMinute)
	name := pace{corp, e.path}
	cl.mu.Lock()
	now := cl.cfg.Now()
	at := cl.paces[name]
	if at.Before(now) {
		at = now
	}
	cl.paces[name] = at.Add(distance)
	cl.mu.Unlock()
	if wait := at.Sub(now); wait > 0 {
		if err := cl.cfg.Sleep(ctx, wait); err != nil {
			return err
		}
	}
	select {
	case cl.slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// roundTrip reads at most a byte more than maxBody. Its error may hold the URL
// and is not to be passed on.
func (cl *Client) roundTrip(ctx context.Context, e endpoint, query url.Values, body any) (raw []byte, status int, err error) {
	method, sent := http.MethodGet, []byte(nil)
	if e.post {
		method = http.MethodPost
		if sent, err = json.Marshal(body); err != nil {
			return nil, 0, fmt.Errorf("encode request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, cl.cfg.Base+"/cgi-bin/"+e.path+"?"+query.Encode(), bytes.NewReader(sent))
	if err != nil {
		return nil, 0, err
	}
	if e.post {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := cl.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	raw, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	return raw, resp.StatusCode, err
}

func aboutTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok
}

// number is a JSON number, or a string that holds one (wecom.md 2.2).
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(string(bytes.Trim(b, `"`)), 10, 64)
	if err != nil {
		return errors.New("not a whole number")
	}
	*n = number(v)
	return nil
}

func (n number) time() time.Time {
	if n <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(n), 0).UTC()
}
