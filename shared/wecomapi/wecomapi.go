// Package wecomapi calls WeCom's HTTP API (wecom.md 5): names of people and rooms, the
// members whose chats are archived, and the answers to archiving. It pulls no messages;
// WeCom's library does that.
//
// Both levels of every answer are read, HTTP and errcode (law 10). Every failure except
// the context's is a [*directory.APIError]. Such an error holds only the errcode and the
// address that WeCom saw. It never holds the URL, in which WeCom requires tokens and
// secrets.
//
// Answers hold texts of customers, so a field that is not needed never makes an answer
// unreadable. An answer of errcode 0 about one id, without a readable name, gives an
// empty name and no error, because the access works.
package wecomapi

import (
	"bytes"
	"cmp"
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
	"github.com/yunduo-scrm/archive/shared/message"
	"github.com/yunduo-scrm/archive/shared/pattern"
)

// DefaultBase is the address of WeCom's HTTP API.
const DefaultBase = "https://qyapi.weixin.qq.com"

// Config holds the settings of a [Client].
type Config struct {
	// Base is scheme and host: [DefaultBase], except in tests and for a simulated
	// WeCom.
	Base string
	// Proxy is the URL of an HTTP or SOCKS5 proxy; empty means a direct connection.
	// The proxy of the environment is never used, because WeCom must see the trusted
	// address.
	Proxy string
	// CallTimeout bounds one call with the body of its answer.
	CallTimeout time.Duration
	Now         func() time.Time
	// Sleep waits. It returns the context's error as soon as the context ends.
	Sleep func(context.Context, time.Duration) error
}

const (
	maxBody     = 8 << 20 // bytes; a room of 2000, and a scope of 100,000 members, are smaller
	callsAtOnce = 16      // of all corps
	// tokenMargin is the time before a token's end in which the token is not used.
	// For a short life it is a tenth of the life.
	tokenMargin = 5 * time.Minute
	// usualLife is the life of a token whose answer names none (wecom.md 5.1). If the
	// token ends earlier, WeCom's refusal of it fetches another.
	usualLife = 2 * time.Hour
)

// Client calls WeCom for any number of corps. It is safe for concurrent use.
type Client struct {
	cfg  Config
	http *http.Client
	slot chan struct{} // as many as calls may run at once

	mu     sync.Mutex
	tokens map[credential]*token
	paces  map[pace]time.Time // when the next call may start
}

var _ directory.WeCom = (*Client)(nil)

// credential identifies the secret of a token without holding the secret.
type credential struct{ corp, fingerprint string }

// token is locked while it is fetched, so that one fetch serves all waiting calls.
type token struct {
	mu      sync.Mutex
	value   string
	expires time.Time
}

type pace struct{ corp, path string }

// New makes a client. It fails if Base or Proxy is not a URL of its kind.
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
			return http.ErrUseLastResponse // a token goes only to Base
		}},
		slot: make(chan struct{}, callsAtOnce), tokens: make(map[credential]*token), paces: make(map[pace]time.Time),
	}, nil
}

// endpoint is one path of the API.
type endpoint struct {
	path      string // below /cgi-bin/
	post      bool
	perMinute int // the calls of one corp that WeCom takes
}

// generalLimit applies to paths without a documented limit.
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

// ask calls an endpoint with a token of c and reads the answer into out. If WeCom
// refuses the token, ask fetches a new token, once.
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

// token returns the credential's token. It fetches a new token when the one in memory
// is near its end.
func (cl *Client) token(ctx context.Context, c directory.Credential) (string, error) {
	t := cl.held(c)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value != "" && cl.cfg.Now().Before(t.expires) {
		return t.value, nil
	}
	var answer struct {
		Token     maybe `json:"access_token"`
		ExpiresIn life  `json:"expires_in"`
	}
	asked := cl.cfg.Now()
	query := url.Values{"corpid": {c.Corp}, "corpsecret": {c.Secret.Reveal()}}
	err := cl.call(ctx, c.Corp, getToken, query, nil, &answer)
	if _, odd := errors.AsType[contentError](err); odd || err == nil && answer.Token == "" {
		return "", &directory.APIError{Op: getToken.path, Cause: archive.CauseBadAnswer} // without a token there is no access
	}
	if err != nil {
		return "", err
	}
	life := cmp.Or(time.Duration(answer.ExpiresIn), usualLife)
	t.value, t.expires = string(answer.Token), asked.Add(life-min(life/10, tokenMargin))
	return t.value, nil
}

// Accepts asks WeCom whether it accepts a secret, by fetching a token with it. The
// answer nil means that it does.
func (cl *Client) Accepts(ctx context.Context, c directory.Credential) error {
	t := cl.held(c)
	t.mu.Lock()
	t.value = "" // a token in memory says nothing about a secret that was reset
	t.mu.Unlock()
	_, err := cl.token(ctx, c)
	return err
}

// forget drops a token, unless another call has replaced it.
func (cl *Client) forget(c directory.Credential, value string) {
	t := cl.held(c)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value == value {
		t.value = ""
	}
}

// A contentError is an answer of errcode 0 whose content is not readable as a whole.
type contentError struct{ err *directory.APIError }

func (e contentError) Error() string { return e.err.Error() }
func (e contentError) Unwrap() error { return e.err }

// aboutID returns nil for an answer about one id whose content is unreadable: the
// answer shows that the access works. What is readable before the mistake was read.
func aboutID(err error) error {
	if _, ok := errors.AsType[contentError](err); ok {
		return nil
	}
	return err
}

// errcodes finds the errcode of an answer that is not JSON as a whole: the first one,
// because a text of a customer may stand behind it. In a text the quotation marks are
// escaped.
var errcodes = pattern.New(`(?:^|[^\\])"errcode"\s*:\s*(?:("[-+.0-9eE]*"|[-+.0-9eE]+|null)\s*[,}])?`)

// damagedCode reads that errcode. The errcode of a refusal counts only in front of all
// texts: a customer's text could refuse the access for every id.
func damagedCode(raw []byte) (code number, ok bool) {
	m := errcodes().FindSubmatchIndex(raw)
	if m == nil || m[2] < 0 || code.UnmarshalJSON(raw[m[2]:m[3]]) != nil {
		return 0, false
	}
	first := bytes.IndexByte(raw, '"')
	return code, code == 0 || m[0] <= first
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
	failed := func(c archive.Cause) *directory.APIError { return &directory.APIError{Op: e.path, Cause: c} }
	switch {
	case err != nil && aboutTLS(err):
		return failed(archive.CauseTLS)
	case err != nil:
		return failed(archive.CauseNetwork)
	case status >= 500:
		return failed(archive.CauseBusy)
	case status != http.StatusOK:
		return failed(archive.CauseBadAnswer)
	}
	raw = opened(message.Tolerable(raw))
	var answer struct {
		Errcode json.RawMessage `json:"errcode"`
		Errmsg  maybe           `json:"errmsg"`
	}
	var code number
	whole := len(raw) <= maxBody && json.Unmarshal(raw, &answer) == nil && answer.Errcode != nil && code.UnmarshalJSON(answer.Errcode) == nil
	if !whole {
		var ok bool
		if code, ok = damagedCode(raw); !ok {
			return failed(archive.CauseBadAnswer)
		}
		answer.Errmsg = maybe(raw) // for the address in it
	}
	switch {
	case code != 0:
		return &directory.APIError{Op: e.path, Code: int(code), FromIP: directory.FromIP(string(answer.Errmsg))}
	case !whole:
		_ = json.Unmarshal(mended(raw), out) // null leaves the field of a damaged part zero
		return contentError{failed(archive.CauseBadAnswer)}
	case json.Unmarshal(raw, out) != nil:
		return contentError{failed(archive.CauseBadAnswer)}
	}
	return nil
}

// opened returns what is written into a string, or alone in a list.
func opened(b []byte) []byte {
	var s string
	if json.Unmarshal(b, &s) == nil {
		b = message.Tolerable([]byte(s))
	}
	if only := message.Alone(b); only != nil {
		return only
	}
	return b
}

// enter waits until WeCom's limits allow the call. Calls of a corp to an endpoint keep
// a distance. It is a little longer than the limit requires, because WeCom's clock may
// differ.
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

// roundTrip makes one HTTP call and reads at most one byte more than maxBody. Its error
// may hold the URL, so the caller must not return it.
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

// number is a whole number, which WeCom may write as a text or with a fraction
// (wecom.md 2.2). null is 0.
type number int64

func (n *number) UnmarshalJSON(b []byte) error {
	s := strings.TrimSpace(strings.Trim(string(b), `"`))
	if s == "" || s == "null" {
		*n = 0
		return nil
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f != f || f < -1<<53 || f > 1<<53 {
			return errors.New("not a whole number")
		}
		v = int64(f)
	}
	*n = number(v)
	return nil
}

// lastSecond is the last one of the year 9999; JSON and the tables hold no later time.
const lastSecond = 253402300799

// moment is a number of seconds or milliseconds since 1970 that is not needed: another
// form reads as the zero time.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(b []byte) error {
	var n number
	if n.UnmarshalJSON(b) != nil {
		return nil
	}
	if n >= 1e12 {
		n /= 1000
	}
	if n > 0 && n <= lastSecond {
		m.Time = time.Unix(int64(n), 0).UTC()
	}
	return nil
}

// life is a number of seconds that is not needed: another form reads as 0.
type life time.Duration

func (l *life) UnmarshalJSON(b []byte) error {
	var n number
	if n.UnmarshalJSON(b) == nil && n > 0 && n <= 1<<31 {
		*l = life(time.Duration(n) * time.Second)
	}
	return nil
}

// text is a text, or a number in its written form.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		var n json.Number
		if json.Unmarshal(b, &n) != nil {
			return errors.New("not a text")
		}
		s = n.String()
	}
	*t = text(s)
	return nil
}

// maybe is a text that is not needed: another form reads as empty. Of a member that is
// written twice, null does not count.
type maybe string

func (m *maybe) UnmarshalJSON(b []byte) error {
	var t text
	if t.UnmarshalJSON(b) == nil && string(b) != "null" {
		*m = maybe(t)
	}
	return nil
}

// ident is an id. A damaged one, a longer one than WeCom's, and another form read as
// empty.
type ident string

func (id *ident) UnmarshalJSON(b []byte) error {
	var m maybe
	_ = m.UnmarshalJSON(b) // it never fails
	if s := strings.TrimSpace(string(m)); len(s) <= longestID && !directory.Damaged(s) {
		*id = ident(s)
	}
	return nil
}

// one is an object, also in a string or alone in a list. Another form reads as zero.
type one[T any] struct{ is T }

func (o *one[T]) UnmarshalJSON(b []byte) error {
	_ = json.Unmarshal(opened(b), &o.is)
	return nil
}

// some is a list that is not needed whole: elements of another form are left out, and
// another form of the list reads as empty.
type some[T any] []T

func (l *some[T]) UnmarshalJSON(b []byte) error {
	var elements []json.RawMessage
	if json.Unmarshal(b, &elements) != nil {
		return nil
	}
	for _, e := range elements {
		var v T
		if json.Unmarshal(e, &v) == nil {
			*l = append(*l, v)
		}
	}
	return nil
}
