package wecom_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20"

	"github.com/yunduo-scrm/archive/local/wecom"
)

const (
	corpA = "ww0000000000000aaa"
	corpB = "ww0000000000000bbb"
)

// A clock moves only by Advance and jump.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*timer
}

type timer struct {
	at time.Time
	f  func()
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{c.now.Add(d), f}
	c.timers = append(c.timers, t)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		n := len(c.timers)
		c.timers = slices.DeleteFunc(c.timers, func(o *timer) bool { return o == t })
		return len(c.timers) < n
	}
}

// Advance moves the clock and runs the functions that become due, in order.
func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	end := c.now.Add(d)
	for {
		var next *timer
		for _, t := range c.timers {
			if !t.at.After(end) && (next == nil || t.at.Before(next.at)) {
				next = t
			}
		}
		if next == nil {
			break
		}
		c.timers = slices.DeleteFunc(c.timers, func(o *timer) bool { return o == next })
		if next.at.After(c.now) {
			c.now = next.at
		}
		c.mu.Unlock()
		next.f()
		c.mu.Lock()
	}
	c.now = end
	c.mu.Unlock()
}

// jump moves the clock and runs nothing, like a machine that slept.
func (c *clock) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// keyPair and otherKeyPair are made once, because making a key is slow.
var keyPair = sync.OnceValue(func() *rsa.PrivateKey { return makeKey() })

var otherKeyPair = sync.OnceValue(func() *rsa.PrivateKey { return makeKey() })

func makeKey() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}

func publicPEM(k *rsa.PrivateKey) string {
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// A world is a simulated WeCom with a server and a clock.
type world struct {
	*wecom.Sim
	t     *testing.T
	clock *clock
	api   *httptest.Server
}

func newWorld(t *testing.T, cfg wecom.Config) *world {
	t.Helper()
	w := &world{t: t, clock: newClock()}
	cfg.Now, cfg.AfterFunc = w.clock.Now, w.clock.AfterFunc
	w.Sim = wecom.New(cfg)
	t.Cleanup(w.Close)
	w.api = httptest.NewServer(w.Handler())
	t.Cleanup(w.api.Close)
	return w
}

// fullCorp is a corp whose archive is set up except for the key.
func fullCorp(id string) wecom.CorpConfig {
	return wecom.CorpConfig{
		ID: id, Open: true, ScopeAll: true, TrustedIPs: []string{"127.0.0.1"},
		Crowd: wecom.Crowd{Staff: 8, Customers: 20, Rooms: 6},
		App:   wecom.AppConfig{Secret: "app-secret-" + id, TrustedIPs: []string{"127.0.0.0/8"}, Contacts: true},
	}
}

// add adds a corp with a key.
func (w *world) add(cfg wecom.CorpConfig) *wecom.Corp {
	w.t.Helper()
	c, err := w.AddCorp(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := c.AddKey(publicPEM(keyPair())); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// A record is a message in a page.
type record struct {
	Seq        uint64 `json:"seq"`
	MsgID      string `json:"msgid"`
	KeyVersion uint32 `json:"publickey_ver"`
	RandomKey  string `json:"encrypt_random_key"`
	Message    string `json:"encrypt_chat_msg"`
}

// answer has the common fields of WeCom's JSON answers, and the fields of a page.
type answer struct {
	Errcode   int      `json:"errcode"`
	Errmsg    string   `json:"errmsg"`
	Token     string   `json:"access_token"`
	ExpiresIn int      `json:"expires_in"`
	ChatData  []record `json:"chatdata"`
	IDs       []string `json:"ids"`
	Agree     []struct {
		ChangedAt int64  `json:"status_change_time"`
		UserID    string `json:"userid"`
		Customer  string `json:"exteranalopenid"`
		Status    string `json:"agree_status"`
	} `json:"agreeinfo"`

	raw    string
	header http.Header
	code   int
}

// request sends one request. A nil body means a GET.
func (w *world) request(path string, query url.Values, body any) answer {
	w.t.Helper()
	a, err := ask(w.t.Context(), w.api.Client(), w.api.URL+path+"?"+query.Encode(), body)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// ask sends one request with the given client.
func ask(ctx context.Context, client *http.Client, u string, body any) (answer, error) {
	method, reader := http.MethodGet, io.Reader(nil)
	if body != nil {
		b, ok := body.([]byte)
		if !ok {
			var err error
			if b, err = json.Marshal(body); err != nil {
				return answer{}, err
			}
		}
		method, reader = http.MethodPost, bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, u, reader)
	if err != nil {
		return answer{}, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{raw: string(b), header: resp.Header, code: resp.StatusCode}
	if strings.HasPrefix(a.raw, "{") {
		_ = json.Unmarshal(b, &a) // tests check broken answers by raw
	}
	return a, nil
}

// token returns the token of a secret.
func (w *world) token(corp, secret string) string {
	w.t.Helper()
	a := w.request("/cgi-bin/gettoken", url.Values{"corpid": {corp}, "corpsecret": {secret}}, nil)
	if a.Errcode != 0 || a.Token == "" {
		w.t.Fatalf("gettoken: got %s", a.raw)
	}
	return a.Token
}

// call calls an interface with the corp's archive secret.
func (w *world) call(c *wecom.Corp, path string, body any) answer {
	w.t.Helper()
	return w.request(path, url.Values{"access_token": {w.token(c.ID(), c.Secret())}}, body)
}

// page requests a page as the library does.
func (w *world) page(c *wecom.Corp, seq uint64, limit int) answer {
	w.t.Helper()
	return w.call(c, "/cgi-bin/message/getchatdata", map[string]any{"seq": seq, "limit": limit})
}

// open opens a record of the stand-in's format, without code of the product or of
// the stand-in.
func open(key *rsa.PrivateKey, randomKey, message string) ([]byte, error) {
	wrapped, err := base64.StdEncoding.DecodeString(randomKey)
	if err != nil {
		return nil, err
	}
	//lint:ignore SA1019 WeCom wraps its keys with PKCS #1 v1.5.
	keyText, err := rsa.DecryptPKCS1v15(nil, key, wrapped)
	if err != nil {
		return nil, err
	}
	if len(keyText) != 88 {
		return nil, fmt.Errorf("key text has %d characters, want 88", len(keyText))
	}
	k, err := base64.StdEncoding.DecodeString(string(keyText))
	if err != nil {
		return nil, err
	}
	body, found := strings.CutPrefix(message, "YDSTANDIN-01:")
	if !found {
		return nil, errors.New("message is not in the stand-in's format")
	}
	sealed, err := base64.StdEncoding.DecodeString(body)
	if err != nil || len(sealed) < 16 {
		return nil, errors.New("message is not base64 or too short")
	}
	for i := range 32 {
		k[i] ^= k[32+i]
	}
	cipher, err := chacha20.NewUnauthenticatedCipher(k[:32], sealed[:12])
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(sealed)-12)
	cipher.XORKeyStream(plain, sealed[12:])
	if binary.BigEndian.Uint32(plain) != crc32.ChecksumIEEE(plain[4:]) {
		return nil, errors.New("checksum differs")
	}
	return plain[4:], nil
}
