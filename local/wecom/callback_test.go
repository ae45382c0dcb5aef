package wecom_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
)

const (
	callbackToken = "QDG6eK"
	callbackKey   = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
)

// A receiver is a callback server. It opens events with the product's own code.
type receiver struct {
	*httptest.Server
	box *msgcrypt.Box

	mu      sync.Mutex
	answers []int // statuses of the next POSTs; later POSTs get 200
	events  []received
	more    chan struct{} // gets a value for each event
}

type received struct {
	query url.Values
	body  string
	plain string
	err   error
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	box, err := msgcrypt.New(callbackToken, callbackKey, corpA)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{box: box, more: make(chan struct{}, 1000)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	sealed := msgcrypt.Sealed{Signature: q.Get("msg_signature"), Timestamp: q.Get("timestamp"), Nonce: q.Get("nonce"), Encrypted: q.Get("echostr")}
	if req.Method == http.MethodGet {
		plain, err := r.box.Open(sealed)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		_, _ = w.Write(plain)
		return
	}
	body, _ := io.ReadAll(req.Body)
	e := received{query: q, body: string(body)}
	if sealed.Encrypted, e.err = msgcrypt.Encrypted(body); e.err == nil {
		var plain []byte
		plain, e.err = r.box.Open(sealed)
		e.plain = string(plain)
	}
	r.mu.Lock()
	code := http.StatusOK
	if len(r.answers) > 0 {
		code, r.answers = r.answers[0], r.answers[1:]
	}
	r.events = append(r.events, e)
	r.mu.Unlock()
	w.WriteHeader(code)
	r.more <- struct{}{}
}

// wait waits for the next event.
func (r *receiver) wait(t *testing.T) received {
	t.Helper()
	select {
	case <-r.more:
	case <-time.After(20 * time.Second):
		t.Fatal("got no event within 20 s")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[len(r.events)-1]
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

func (r *receiver) config() wecom.Callback {
	return wecom.Callback{URL: r.URL + "/callback?corp=1", Token: callbackToken, EncodingAESKey: callbackKey}
}

// ended waits until n deliveries have succeeded or failed.
func ended(t *testing.T, c *wecom.Corp, n int) []wecom.Delivery {
	t.Helper()
	for range 2000 {
		if d := c.Deliveries(); len(d) >= n {
			return d
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("got %d ended deliveries, want %d", len(c.Deliveries()), n)
	return nil
}

func withCallback(t *testing.T, cfg wecom.Config) (*world, *wecom.Corp, *receiver) {
	t.Helper()
	w := newWorld(t, cfg)
	c := w.add(fullCorp(corpA))
	r := newReceiver(t)
	if err := c.SetCallback(t.Context(), r.config()); err != nil {
		t.Fatal(err)
	}
	return w, c, r
}

func TestNotification(t *testing.T) {
	w, c, r := withCallback(t, wecom.Config{})
	if _, err := c.SendRaw([]byte("{}"), wecom.RawOptions{}); err != nil {
		t.Fatal(err)
	}
	e := r.wait(t)
	if e.err != nil {
		t.Fatal(e.err)
	}
	want := fmt.Sprintf("<xml><ToUserName><![CDATA[%s]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName><CreateTime>%d</CreateTime>"+
		"<MsgType><![CDATA[event]]></MsgType><AgentID>2000004</AgentID><Event><![CDATA[msgaudit_notify]]></Event></xml>", corpA, w.clock.Now().Unix())
	if e.plain != want {
		t.Errorf("event: got %s, want %s", e.plain, want)
	}
	if !strings.HasPrefix(e.body, "<xml><ToUserName><![CDATA["+corpA+"]]></ToUserName><AgentID><![CDATA[2000004]]></AgentID><Encrypt><![CDATA[") {
		t.Errorf("body: got %s", e.body)
	}
	if e.query.Get("corp") != "1" || e.query.Get("timestamp") != strconv.FormatInt(w.clock.Now().Unix(), 10) {
		t.Errorf("query: got %v", e.query)
	}
	if d := ended(t, c, 1)[0]; !d.Delivered || len(d.Tries) != 1 || d.Tries[0] != "200" {
		t.Errorf("delivery: got %+v", d)
	}
	if got := w.Stats().Corps[corpA].Events["delivered"]; got != 1 {
		t.Errorf("delivered: got %d, want 1", got)
	}
}

func TestNotificationInterval(t *testing.T) {
	w, c, r := withCallback(t, wecom.Config{})
	say := func() {
		if _, err := c.SendRaw([]byte("{}"), wecom.RawOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	say()
	ended(t, c, 1) // the first event comes at once
	w.clock.Advance(5 * time.Second)
	for range 10 {
		say()
	}
	w.clock.Advance(10*time.Second - time.Nanosecond)
	if got := r.count(); got != 1 {
		t.Errorf("within 15 s: got %d events, want 1", got)
	}
	w.clock.Advance(time.Nanosecond)
	ended(t, c, 2)
	w.clock.Advance(time.Hour)
	if got := len(c.Deliveries()); got != 2 {
		t.Errorf("in silence: got %d events, want 2", got)
	}
	say()
	ended(t, c, 3)
	if got := r.count(); got != 3 {
		t.Errorf("after silence: got %d events, want a third at once", got)
	}
}

func TestEventTries(t *testing.T) {
	for _, test := range []struct {
		name      string
		answers   []int
		delivered bool
		tries     string
	}{
		{"second succeeds", []int{500}, true, "500 200"},
		{"other status fails", []int{204, 302, 201}, false, "204 302 201"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, c, r := withCallback(t, wecom.Config{})
			r.answers = test.answers
			if err := c.Emit(wecom.Event{}); err != nil {
				t.Fatal(err)
			}
			d := ended(t, c, 1)[0]
			if got := strings.Join(d.Tries, " "); d.Delivered != test.delivered || got != test.tries {
				t.Errorf("got delivered %t after %s, want %t after %s", d.Delivered, got, test.delivered, test.tries)
			}
			if r.events[0].query.Encode() != r.events[1].query.Encode() {
				t.Error("the second try has another signature")
			}
		})
	}
}

func TestTriesWithPauseAndNewSignature(t *testing.T) {
	w, c, r := withCallback(t, wecom.Config{Choices: wecom.Choices{TryPauseMS: 5000, SignEachTry: true}})
	r.answers = []int{500}
	if err := c.Emit(wecom.Event{}); err != nil {
		t.Fatal(err)
	}
	first := r.wait(t)
	// The clock moves until the pause has begun and ended.
	for range 2000 {
		w.clock.Advance(time.Second)
		if len(c.Deliveries()) == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	ended(t, c, 1)
	second := r.wait(t)
	if second.err != nil || first.query.Get("nonce") == second.query.Get("nonce") {
		t.Errorf("second try: got %v and %v, want another nonce and a valid signature", second.err, second.query)
	}
}

func TestSlowCallbackFails(t *testing.T) {
	_, c, r := withCallback(t, wecom.Config{EventLimit: 50 * time.Millisecond})
	release := make(chan struct{})
	r.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	if err := c.Emit(wecom.Event{}); err != nil {
		t.Fatal(err)
	}
	if d := ended(t, c, 1)[0]; d.Delivered || len(d.Tries) != 3 {
		t.Errorf("got %+v, want three failed tries", d)
	} else if strings.Contains(strings.Join(d.Tries, " "), "msg_signature") {
		t.Errorf("tries contain the signed URL: %v", d.Tries)
	}
}

func TestBrokenEvents(t *testing.T) {
	for _, test := range []struct {
		name   string
		event  wecom.Event
		events int
		want   error
	}{
		{"wrong signature", wecom.Event{WrongSignature: true}, 3, msgcrypt.ErrSignature},
		{"wrong receiver", wecom.Event{WrongReceiver: true}, 3, msgcrypt.ErrReceiver},
		{"no XML", wecom.Event{Body: "hello"}, 1, nil},
		{"old", wecom.Event{SkewSeconds: -86400}, 1, nil},
		{"twice", wecom.Event{Copies: 2}, 2, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, c, r := withCallback(t, wecom.Config{})
			if test.want != nil {
				r.answers = []int{403, 403, 403}
			}
			if err := c.Emit(test.event); err != nil {
				t.Fatal(err)
			}
			var e received
			for range test.events {
				e = r.wait(t)
			}
			if !errors.Is(e.err, test.want) || (test.want == nil) != (e.err == nil) {
				t.Errorf("got %v, want %v", e.err, test.want)
			}
			if b := test.event.Body; b != "" && e.plain != b {
				t.Errorf("body: got %q, want %q", e.plain, b)
			}
			at := strconv.FormatInt(w.clock.Now().Unix()+int64(test.event.SkewSeconds), 10)
			if got := e.query.Get("timestamp"); got != at {
				t.Errorf("timestamp: got %s, want %s", got, at)
			}
		})
	}
}

func TestBrokenNotifications(t *testing.T) {
	for fault, want := range map[wecom.NotifyFault]error{
		wecom.NotifyWrongSignature: msgcrypt.ErrSignature, wecom.NotifyWrongReceiver: msgcrypt.ErrReceiver, wecom.NotifyTwice: nil,
	} {
		_, c, r := withCallback(t, wecom.Config{})
		if err := c.SetFaults(wecom.Faults{Notify: fault}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.SendRaw([]byte("{}"), wecom.RawOptions{}); err != nil {
			t.Fatal(err)
		}
		if e := r.wait(t); !errors.Is(e.err, want) {
			t.Errorf("%s: got %v, want %v", fault, e.err, want)
		}
		if fault == wecom.NotifyTwice {
			ended(t, c, 2)
		}
	}
	_, c, r := withCallback(t, wecom.Config{})
	if err := c.SetFaults(wecom.Faults{Notify: wecom.NotifySilent}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SendRaw([]byte("{}"), wecom.RawOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Emit(wecom.Event{Event: "change_external_chat"}); err != nil {
		t.Fatal(err)
	}
	if e := r.wait(t); !strings.Contains(e.plain, "change_external_chat") {
		t.Errorf("silent: got %s", e.plain)
	}
}

func TestAgreementEvent(t *testing.T) {
	w, c, r := withCallback(t, wecom.Config{})
	app := newReceiver(t)
	if err := c.SetAppCallback(t.Context(), app.config()); err != nil {
		t.Fatal(err)
	}
	customer := c.Details().Customers[0].ExternalUserID
	if _, err := c.Send(wecom.Draft{From: customer, To: []string{"lin.hua"}, Kind: "agree"}); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("<CreateTime>%d</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[change_external_contact]]></Event>"+
		"<ChangeType><![CDATA[msg_audit_approved]]></ChangeType><UserID><![CDATA[lin.hua]]></UserID><ExternalUserID><![CDATA[%s]]></ExternalUserID></xml>", w.clock.Now().Unix(), customer)
	if e := app.wait(t); e.err != nil || !strings.HasSuffix(e.plain, want) {
		t.Errorf("got %s and %v, want %s", e.plain, e.err, want)
	}
	if e := r.wait(t); !strings.Contains(e.plain, "msgaudit_notify") {
		t.Errorf("archive page: got %s", e.plain)
	}
}

func TestCallbackCheck(t *testing.T) {
	w := newWorld(t, wecom.Config{CheckLimit: 5 * time.Second})
	c := w.add(fullCorp(corpA))
	good := newReceiver(t)
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	for _, test := range []struct {
		name   string
		change func(*wecom.Callback)
		want   string // part of the error; empty if the callback is saved
	}{
		{"good", func(*wecom.Callback) {}, ""},
		{"removed", func(cb *wecom.Callback) { *cb = wecom.Callback{} }, ""},
		{"another token", func(cb *wecom.Callback) { cb.Token = "other" }, "status 403"},
		{"short key", func(cb *wecom.Callback) { cb.EncodingAESKey = "x" }, "43"},
		{"token with a space", func(cb *wecom.Callback) { cb.Token = "a b" }, "letters and digits"},
		{"no URL", func(cb *wecom.Callback) { cb.URL = "callback" }, "not an http or https URL"},
		{"no server", func(cb *wecom.Callback) { cb.URL = "http://127.0.0.1:1" }, "unreachable"},
		{"quoted answer", func(cb *wecom.Callback) {
			cb.URL = serve(func(w http.ResponseWriter, r *http.Request) {
				rec := httptest.NewRecorder()
				good.ServeHTTP(rec, r)
				_, _ = fmt.Fprintf(w, "%q", rec.Body.String())
			})
		}, "not exactly the decrypted echostr"},
		{"redirect", func(cb *wecom.Callback) {
			cb.URL = serve(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, good.URL+"?"+r.URL.RawQuery, http.StatusFound)
			})
		}, "status 302"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cb := good.config()
			test.change(&cb)
			err := c.SetCallback(t.Context(), cb)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), cb.EncodingAESKey) && len(cb.EncodingAESKey) > 1 {
				t.Error("the error contains the key")
			}
		})
	}
	if err := c.Emit(wecom.Event{}); err == nil {
		t.Error("event without a callback: got no error")
	}
}

func TestSlowCallbackIsNotSaved(t *testing.T) {
	w := newWorld(t, wecom.Config{CheckLimit: 50 * time.Millisecond})
	c := w.add(fullCorp(corpA))
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(s.Close)
	defer close(release)
	err := c.SetCallback(t.Context(), wecom.Callback{URL: s.URL, Token: callbackToken, EncodingAESKey: callbackKey})
	if err == nil || !strings.Contains(err.Error(), "within 50ms") {
		t.Errorf("got %v, want an error with the limit", err)
	}
	if got := c.Details().CallbackURL; got != "" {
		t.Errorf("saved: got %s, want no URL", got)
	}
}
