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

// A clock stands still until it is moved.
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

// Advance moves the clock and runs what falls due, in order.
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
		c.now = next.at
		c.mu.Unlock()
		next.f()
		c.mu.Lock()
	}
	c.now = end
	c.mu.Unlock()
}

// keyPair is made once: making one is slow.
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

// A world is a WeCom with a server and a clock.
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

// fullCorp is a corp that archives.
func fullCorp(id string) wecom.CorpConfig {
	return wecom.CorpConfig{
		ID: id, Open: true, ScopeAll: true, TrustedIPs: []string{"127.0.0.1"},
		Crowd: wecom.Crowd{Staff: 8, Customers: 20, Rooms: 6},
		App:   wecom.AppConfig{Secret: "app-secret-" + id, TrustedIPs: []string{"127.0.0.0/8"}, Contacts: true},
	}
}

// add adds a corp that has a key.
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

// answer is what WeCom's JSON answers have in common, and the page.
type answer struct {
	Errcode   int    `json:"errcode"`
	Errmsg    string `json:"errmsg"`
	Token     string `json:"access_token"`
	ExpiresIn int    `json:"expires_in"`
	ChatData  []struct {
		Seq        uint64 `json:"seq"`
		MsgID      string `json:"msgid"`
		KeyVersion uint32 `json:"publickey_ver"`
		RandomKey  string `json:"encrypt_random_key"`
		Message    string `json:"encrypt_chat_msg"`
	} `json:"chatdata"`
	IDs   []string `json:"ids"`
	Agree []struct {
		ChangedAt int64  `json:"status_change_time"`
		UserID    string `json:"userid"`
		Customer  string `json:"exteranalopenid"`
		Status    string `json:"agree_status"`
	} `json:"agreeinfo"`

	raw    string
	header http.Header
	code   int
}

// request sends one request; a nil body makes it a GET.
func (w *world) request(path string, query url.Values, body any) answer {
	w.t.Helper()
	a, err := ask(w.t.Context(), w.api.Client(), w.api.URL+path+"?"+query.Encode(), body)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

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
		_ = json.Unmarshal(b, &a) // broken answers are looked at through raw
	}
	return a, nil
}

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

// page pulls as the library does.
func (w *world) page(c *wecom.Corp, seq uint64, limit int) answer {
	w.t.Helper()
	return w.call(c, "/cgi-bin/message/getchatdata", map[string]any{"seq": seq, "limit": limit})
}

// open undoes RSA and the stand-in scheme, without any code of either side.
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
		return nil, fmt.Errorf("the key text has %d characters", len(keyText))
	}
	k, err := base64.StdEncoding.DecodeString(string(keyText))
	if err != nil {
		return nil, err
	}
	body, found := strings.CutPrefix(message, "YDSTANDIN-01:")
	if !found {
		return nil, errors.New("the message is not of the stand-in's scheme")
	}
	sealed, err := base64.StdEncoding.DecodeString(body)
	if err != nil || len(sealed) < 16 {
		return nil, errors.New("the message is not base64 or too short")
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
		return nil, errors.New("the checksum differs")
	}
	return plain[4:], nil
}
