package wecom

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/yunduo-scrm/archive/local/wecom/envelope"
)

// Callback has the three fields of the console's form for the event server
// (接收事件服务器).
type Callback struct {
	URL            string `json:"url"`
	Token          string `json:"token"`
	EncodingAESKey string `json:"encoding_aes_key"`
}

// callback is a Callback whose URL passed the check, with its decoded key.
type callback struct {
	Callback
	key envelope.Key
}

// tries is the number of tries to deliver an event (wecom.md 3.2).
const tries = 3

// agentArchive is the id of the built-in archive app (wecom.md 4.1).
const agentArchive = 2000004

// SetCallback saves the archive page's callback if the URL passes a check: the
// URL must answer a GET with the decrypted echostr within a second. An empty URL
// removes the callback.
func (c *Corp) SetCallback(ctx context.Context, cb Callback) error {
	return c.saveCallback(ctx, cb, &c.callback)
}

// SetAppCallback is like [Corp.SetCallback] for the self-built app's callback.
func (c *Corp) SetAppCallback(ctx context.Context, cb Callback) error {
	return c.saveCallback(ctx, cb, &c.appCallback)
}

func (c *Corp) saveCallback(ctx context.Context, cb Callback, into **callback) error {
	var checked *callback
	if cb.URL != "" {
		key, err := envelope.ParseKey(cb.EncodingAESKey)
		if err != nil {
			return err
		}
		if len(cb.Token) == 0 || len(cb.Token) > 32 || !alphanumeric(cb.Token) {
			return errors.New("token is not 1 to 32 letters and digits")
		}
		u, err := url.Parse(cb.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("%q is not an http or https URL", cb.URL)
		}
		checked = &callback{cb, key}
		if err := c.checkCallback(ctx, checked); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	*into = checked
	return nil
}

// checkCallback checks that the server at the URL has the token and the key.
func (c *Corp) checkCallback(ctx context.Context, cb *callback) error {
	c.mu.Lock()
	echo := strconv.FormatUint(1e18+c.rand.Uint64N(8e18), 10)
	q := c.signed(cb, echo, c.id)
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, c.sim.cfg.CheckLimit)
	defer cancel()
	code, body, err := c.request(ctx, http.MethodGet, cb, q.query("echostr"), nil)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("callback gave no answer within %v", c.sim.cfg.CheckLimit)
	case err != nil:
		return fmt.Errorf("callback unreachable: %w", err)
	case code != http.StatusOK:
		return fmt.Errorf("callback answered the check with status %d, want 200", code)
	case string(body) != echo:
		return errors.New("callback's answer is not exactly the decrypted echostr")
	}
	return nil
}

// signature holds an encrypted text and its signature parameters.
type signature struct {
	encrypt, timestamp, nonce, value string
}

// query is the signature as URL parameters. Unless name is empty, the sealed text
// is a parameter with this name.
func (s signature) query(name string) url.Values {
	q := url.Values{"msg_signature": {s.value}, "timestamp": {s.timestamp}, "nonce": {s.nonce}}
	if name != "" {
		q.Set(name, s.encrypt)
	}
	return q
}

// signed seals and signs msg for cb. The caller holds the corp's lock.
func (c *Corp) signed(cb *callback, msg, receiveID string) signature {
	var prefix [16]byte
	copy(prefix[:], randomID(c.rand, len(prefix), true))
	return c.sign(cb, cb.key.Seal([]byte(msg), receiveID, prefix))
}

// sign signs a sealed text with a new timestamp and nonce. The caller holds the corp's lock.
func (c *Corp) sign(cb *callback, encrypt string) signature {
	s := signature{encrypt: encrypt, timestamp: strconv.FormatInt(c.sim.cfg.Now().Unix(), 10), nonce: strconv.Itoa(1e9 + c.rand.IntN(1e9))}
	s.value = envelope.Sign(cb.Token, s.timestamp, s.nonce, s.encrypt)
	return s
}

// request sends one request to cb and reads the beginning of the answer.
func (c *Corp) request(ctx context.Context, method string, cb *callback, q url.Values, body []byte) (code int, answer []byte, err error) {
	u, err := url.Parse(cb.URL)
	if err != nil {
		return 0, nil, err
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += q.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "text/xml")
	}
	resp, err := c.sim.cfg.Client.Do(r)
	if err != nil {
		return 0, nil, errors.Unwrap(err) // the url.Error around it contains the signed URL
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 4096))
	return resp.StatusCode, answer, err
}

// An Event is an event that WeCom sends to a callback.
type Event struct {
	// App sends the event to the self-built app's callback and not to the
	// archive page's.
	App            bool   `json:"app"`
	Event          string `json:"event"`       // empty means msgaudit_notify
	ChangeType     string `json:"change_type"` // such as msg_audit_approved
	UserID         string `json:"user_id"`
	ExternalUserID string `json:"external_user_id"`
	// Body replaces the XML of the fields above.
	Body string `json:"body"`
	// Copies is how many times the event is sent, each time with another
	// signature. 0 means 1.
	Copies         int  `json:"copies"`
	WrongSignature bool `json:"wrong_signature"`
	WrongReceiver  bool `json:"wrong_receiver"` // receiveid names another corp
	// SkewSeconds is added to the timestamp and to the event's time.
	SkewSeconds int `json:"skew_seconds"`
}

// A Delivery is the result of sending an event.
type Delivery struct {
	Event      string    `json:"event"`
	ChangeType string    `json:"change_type,omitempty"`
	At         time.Time `json:"at"`
	Delivered  bool      `json:"delivered"`
	Tries      []string  `json:"tries"` // status or error of each try
}

// keptDeliveries is how many deliveries Deliveries lists.
const keptDeliveries = 1000

// Emit sends an event in the background, in up to three tries. It fails if the
// callback is not set.
func (c *Corp) Emit(e Event) error {
	if e.Copies < 0 || e.Copies > 100 {
		return errors.New("copies is not 1 to 100")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.App && c.appCallback == nil {
		return errors.New("app's callback not set")
	}
	if !e.App && c.callback == nil {
		return errors.New("archive page's callback not set")
	}
	c.emit(e)
	return nil
}

// Deliveries lists the last 1000 finished deliveries, oldest first.
func (c *Corp) Deliveries() []Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.deliveries)
}

// cdata is an element with a CDATA section.
type cdata struct {
	Text string `xml:",cdata"`
}

// optional is nil for an empty text, so that the element is left out.
func optional(s string) *cdata {
	if s == "" {
		return nil
	}
	return &cdata{s}
}

// emit is Emit for a locked corp. It does nothing if the callback is not set.
func (c *Corp) emit(e Event) {
	cb, agent := c.callback, agentArchive
	if e.App {
		cb, agent = c.appCallback, 0
	}
	if cb == nil {
		return
	}
	def(&e.Event, "msgaudit_notify")
	def(&e.Copies, 1)
	receiver := c.id
	if e.WrongReceiver {
		receiver = "ww0000000000000000"
	}
	at := c.sim.cfg.Now().Add(time.Duration(e.SkewSeconds) * time.Second)
	if e.Body == "" {
		e.Body = marshalXML(struct {
			XMLName        xml.Name `xml:"xml"`
			To             cdata    `xml:"ToUserName"`
			From           cdata    `xml:"FromUserName"`
			Created        int64    `xml:"CreateTime"`
			Type           cdata    `xml:"MsgType"`
			Agent          int      `xml:"AgentID,omitempty"`
			Event          cdata    `xml:"Event"`
			ChangeType     *cdata   `xml:"ChangeType"`
			UserID         *cdata   `xml:"UserID"`
			ExternalUserID *cdata   `xml:"ExternalUserID"`
		}{
			To: cdata{receiver}, From: cdata{"sys"}, Created: at.Unix(), Type: cdata{"event"}, Agent: agent, Event: cdata{e.Event},
			ChangeType: optional(e.ChangeType), UserID: optional(e.UserID), ExternalUserID: optional(e.ExternalUserID),
		})
	}
	for range e.Copies {
		s := c.signed(cb, e.Body, receiver)
		c.sim.inBackground(func(ctx context.Context) { c.deliver(ctx, cb, e, agent, s) })
	}
}

// adjust applies SkewSeconds and WrongSignature to a signature.
func (e Event) adjust(cb *callback, s signature) signature {
	if e.SkewSeconds != 0 {
		t, _ := strconv.ParseInt(s.timestamp, 10, 64) // sign wrote the timestamp
		s.timestamp = strconv.FormatInt(t+int64(e.SkewSeconds), 10)
		s.value = envelope.Sign(cb.Token, s.timestamp, s.nonce, s.encrypt)
	}
	if e.WrongSignature {
		s.value = envelope.Sign(cb.Token+"x", s.timestamp, s.nonce, s.encrypt)
	}
	return s
}

// deliver sends an event until the callback answers with status 200, or until all
// tries have failed.
func (c *Corp) deliver(ctx context.Context, cb *callback, e Event, agent int, s signature) {
	outer := struct {
		XMLName xml.Name `xml:"xml"`
		To      cdata    `xml:"ToUserName"`
		Agent   cdata    `xml:"AgentID"`
		Encrypt cdata    `xml:"Encrypt"`
	}{To: cdata{c.id}, Encrypt: cdata{s.encrypt}}
	if agent != 0 {
		outer.Agent.Text = strconv.Itoa(agent)
	}
	body := []byte(marshalXML(outer))
	d := Delivery{Event: e.Event, ChangeType: e.ChangeType, At: c.sim.cfg.Now()}
	choices := c.sim.Choices()
	for i := range tries {
		if i > 0 && !c.sim.pause(ctx, time.Duration(choices.TryPauseMS)*time.Millisecond) {
			break
		}
		if i > 0 && choices.SignEachTry {
			c.mu.Lock()
			s = c.sign(cb, s.encrypt)
			c.mu.Unlock()
		}
		tryCtx, cancel := context.WithTimeout(ctx, c.sim.cfg.EventLimit)
		code, _, err := c.request(tryCtx, http.MethodPost, cb, e.adjust(cb, s).query(""), body)
		cancel()
		if err != nil {
			d.Tries = append(d.Tries, err.Error())
			continue
		}
		d.Tries = append(d.Tries, strconv.Itoa(code))
		if code == http.StatusOK {
			d.Delivered = true
			break
		}
	}
	outcome := "delivered"
	if !d.Delivered {
		outcome = "failed"
		c.sim.cfg.Logger.Info("event not delivered", "corp", c.id, "event", e.Event, "tries", d.Tries)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counted.Events[outcome]++
	if len(c.deliveries) == keptDeliveries {
		c.deliveries = append(c.deliveries[:0], c.deliveries[1:]...)
	}
	c.deliveries = append(c.deliveries, d)
}

// pause waits for d by the Sim's clock. It returns false if ctx ended first.
func (s *Sim) pause(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		over := make(chan struct{})
		stop := s.cfg.AfterFunc(d, func() { close(over) })
		defer stop()
		select {
		case <-over:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

func marshalXML(v any) string {
	b, err := xml.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("wecom: write XML: %v", err)) // impossible: v is one of this package's plain structs
	}
	return string(b)
}

// notify announces a new message. It announces at once if the last announcement
// is older than the interval, and otherwise at the end of the interval.
func (c *Corp) notify() {
	if c.callback == nil || c.notifyStop != nil || c.stopped {
		return
	}
	now := c.sim.cfg.Now()
	if wait := c.notified.Add(c.sim.cfg.NotifyEvery).Sub(now); !c.notified.IsZero() && wait > 0 {
		c.notifyStop = c.sim.cfg.AfterFunc(wait, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.notifyStop == nil { // Sim.Close came in between
				return
			}
			c.notifyStop = nil
			c.announce()
		})
		return
	}
	c.announce()
}

// announce sends msgaudit_notify, with the fault that is set. The caller holds the corp's lock.
func (c *Corp) announce() {
	c.notified = c.sim.cfg.Now()
	e := Event{}
	switch c.faults.Notify {
	case NotifySilent:
		return
	case NotifyTwice:
		e.Copies = 2
	case NotifyWrongSignature:
		e.WrongSignature = true
	case NotifyWrongReceiver:
		e.WrongReceiver = true
	}
	c.emit(e)
}
