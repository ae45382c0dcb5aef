package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/wecom/envelope"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

// pair is the published sample pair (wecom.md 3.5, V1 and V2).
var pair = secretstore.CallbackPair{Token: secret.New("QDG6eK"), AESKey: secret.New("jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C")}

const (
	sampleCorp    = "wx5823bf96d3bd56c7"
	sampleQuery   = "msg_signature=5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3&timestamp=1409659589&nonce=263014780"
	sampleEchostr = "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="
)

// withPair registers a corp with a callback pair, without a key.
func (w *world) withPair(id string, p secretstore.CallbackPair) {
	w.t.Helper()
	w.bareCorp(id)
	if err := w.secrets.CreateCallback(w.t.Context(), id, p); err != nil {
		w.t.Fatal(err)
	}
}

// callback is WeCom's POST of an event.
func callback(t *testing.T, id string, p secretstore.CallbackPair, plain string) request {
	t.Helper()
	return callbackFor(t, id, id, p, plain)
}

func callbackFor(t *testing.T, id, receiver string, p secretstore.CallbackPair, plain string) request {
	t.Helper()
	key, err := envelope.ParseKey(p.AESKey.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	encrypted := key.Seal([]byte(plain), receiver, [16]byte{1})
	q := url.Values{"timestamp": {"1767225735"}, "nonce": {"n+1"}, "msg_signature": {envelope.Sign(p.Token.Reveal(), "1767225735", "n+1", encrypted)}}
	return request{
		method: "POST", path: "/callback/" + id + "?" + q.Encode(), header: map[string]string{"Content-Type": "text/xml"},
		body: fmt.Sprintf("<xml><ToUserName><![CDATA[%s]]></ToUserName><Encrypt><![CDATA[%s]]></Encrypt></xml>", id, encrypted),
	}
}

func notifyXML(createTime int64) string {
	return fmt.Sprintf("<xml><ToUserName><![CDATA[x]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName><CreateTime>%d</CreateTime><MsgType><![CDATA[event]]></MsgType><AgentID>2000004</AgentID><Event><![CDATA[msgaudit_notify]]></Event></xml>", createTime)
}

// refused sends a callback that is refused, and checks that this leaves one
// line in the log, which holds nothing of what was sent.
func (w *world) refused(r request) {
	w.t.Helper()
	before := w.log.String()
	w.do(r).wantProblem(401, "unauthorized")
	line := strings.TrimPrefix(w.log.String(), before)
	if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
		w.t.Errorf("got log %q, want one line", line)
	}
	_, query, _ := strings.Cut(r.path, "?")
	body, _ := r.body.(string)
	sent := append(regexp.MustCompile(`CDATA\[([^\]]{20,})`).FindStringSubmatch(body), contentMark, body)
	for param := range strings.SplitSeq(query, "&") {
		_, value, _ := strings.Cut(param, "=")
		plain, _ := url.QueryUnescape(value)
		sent = append(sent, value, plain)
	}
	for _, s := range sent {
		if s != "" && strings.Contains(line, s) {
			w.t.Errorf("the log line %q holds %q, which was sent", line, s)
		}
	}
}

func TestCallbackURLCheck(t *testing.T) {
	w := newWorld(t)
	w.withPair(sampleCorp, pair)
	w.withPair(other, pair)
	echostr := "&echostr=" + url.QueryEscape(sampleEchostr)
	resp := w.do(request{method: "GET", path: "/callback/" + sampleCorp + "?" + sampleQuery + echostr}).want(200)
	if string(resp.body) != "1616140317555161061" || !strings.HasPrefix(resp.header.Get("Content-Type"), "text/plain") {
		t.Errorf("got %q as %s", resp.body, resp.header.Get("Content-Type"))
	}
	for name, path := range map[string]string{
		"plus sent as blank":    "/callback/" + sampleCorp + "?" + sampleQuery + "&echostr=" + sampleEchostr,
		"no query":              "/callback/" + sampleCorp,
		"no echostr":            "/callback/" + sampleCorp + "?" + sampleQuery,
		"wrong signature":       "/callback/" + sampleCorp + "?" + strings.Replace(sampleQuery, "5c45", "5c46", 1) + echostr,
		"another receiver":      "/callback/" + other + "?" + sampleQuery + echostr,
		"corp not registered":   "/callback/ww5555555555555555?" + sampleQuery + echostr,
		"no corpid":             "/callback/x?" + sampleQuery + echostr,
		"corpid with a slash":   "/callback/..%2Fx?" + sampleQuery + echostr,
		"query badly encoded":   "/callback/" + sampleCorp + "?" + sampleQuery + "&echostr=%zz",
		"signature of a prefix": "/callback/" + sampleCorp + "?msg_signature=5c45&timestamp=1409659589&nonce=263014780" + echostr,
	} {
		w.run(name, func(*testing.T) { w.refused(request{method: "GET", path: path}) })
	}
	for _, reason := range []string{"wrong signature", "meant for another receiver", "corp has no callback pair"} {
		if !strings.Contains(w.log.String(), reason) {
			t.Errorf("the log does not say %q", reason)
		}
	}
}

func TestNotifyAsksForOnePull(t *testing.T) {
	w := newWorld(t)
	w.withPair(corp, pair)
	// Three tries of WeCom, and a replay by somebody else an hour later.
	for range 3 {
		if resp := w.do(callback(t, corp, pair, notifyXML(1767225735))).want(200); len(resp.body) != 0 {
			t.Errorf("got body %q", resp.body)
		}
	}
	w.pass(time.Hour)
	w.do(callback(t, corp, pair, notifyXML(1767225735))).want(200)
	all := w.drain(w.pulls)
	dedups := make(map[string]bool)
	for _, s := range all {
		dedups[s.dedup] = true
		if !strings.Contains(s.body, `"why":"callback"`) || strings.Contains(s.body, "force") || s.group != corp {
			t.Errorf("got %+v", s)
		}
	}
	if len(dedups) != 1 {
		t.Errorf("got %d deduplication ids, want one", len(dedups))
	}
	w.do(callback(t, corp, pair, notifyXML(1767225750))).want(200)
	if next := w.drain(w.pulls); len(next) != 1 || dedups[next[0].dedup] {
		t.Errorf("the next event: got %+v, want another deduplication id", next)
	}
	c, err := w.corps.Corp(t.Context(), corp)
	if err != nil || !c.CallbackAt.Equal(w.now()) {
		t.Errorf("callback noted at %v, %v, want %v", c.CallbackAt, err, w.now())
	}
	for _, day := range []archive.Day{archive.DayOf(w.now()), archive.DayOf(time.Unix(1767225735, 0))} {
		if events, err := w.corps.Events(t.Context(), corp, day); err != nil || len(events) != 0 {
			t.Errorf("notify events are recorded: %d, %v", len(events), err)
		}
	}
}

func TestEventsAreRecordedOnce(t *testing.T) {
	w := newWorld(t)
	w.withPair(corp, pair)
	at := noon.Add(-time.Minute).Unix()
	consent := fmt.Sprintf("<xml><CreateTime>%d</CreateTime><Event>change_external_contact</Event><ChangeType>msg_audit_approved</ChangeType><UserID>"+contentMark+"</UserID></xml>", at)
	unknown := fmt.Sprintf("<xml><Event>brand_new</Event><CreateTime>%d</CreateTime></xml>", at+1)
	for range 3 {
		w.do(callback(t, corp, pair, consent)).want(200)
		w.do(callback(t, corp, pair, unknown)).want(200)
	}
	w.do(callback(t, corp, pair, "not even XML")).want(200)
	w.do(callback(t, corp, pair, fmt.Sprintf("<xml><Event>from_the_future</Event><CreateTime>%d</CreateTime></xml>", at+400*24*3600))).want(200)
	page := into[struct {
		Events []struct {
			At, Type string
			Change   string `json:"change_type"`
			Body     []byte
		}
		Next *string
	}](w.get(tokenOf(corp, auditor), "/v1/corps/"+corp+"/events?day=2026-01-31").want(200))
	var got []string
	for _, e := range page.Events {
		got = append(got, e.At+" "+e.Type+" "+e.Change)
	}
	want := []string{
		"2026-01-31T06:29:05.000Z change_external_contact msg_audit_approved", "2026-01-31T06:29:06.000Z brand_new ",
		"2026-01-31T06:30:05.000Z  ", "2026-01-31T06:30:05.000Z from_the_future ", // at one time, in any order
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || page.Next != nil {
		t.Errorf("got %q, want %q", got, want)
	}
	if string(page.Events[0].Body) != consent {
		t.Errorf("got body %q, want it as decrypted", page.Events[0].Body)
	}
	// Nor do they promise that one comes when there are messages.
	if c, err := w.corps.Corp(t.Context(), corp); err != nil || !c.CallbackAt.IsZero() {
		t.Errorf("noted at %v, %v as if they told of messages", c.CallbackAt, err)
	}
	if reqs := w.pullRequests(); len(reqs) != 0 {
		t.Errorf("got %d pull requests for events that bring no messages", len(reqs))
	}
}

func TestFloodOfEvents(t *testing.T) {
	w := newWorld(t)
	w.withPair(corp, pair)
	const n = 120
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range n / 4 {
				xml := fmt.Sprintf("<xml><Event>change_contact</Event><CreateTime>%d</CreateTime><N>%d-%d</N><Pad>%s</Pad></xml>", noon.Unix(), worker, i, strings.Repeat("p", 30<<10))
				if resp := w.do(callback(t, corp, pair, xml)); resp.status != 200 {
					t.Errorf("got %d, want 200", resp.status)
				}
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	pages, path := 0, "/v1/corps/"+corp+"/events?limit=200"
	for next := ""; ; pages++ {
		resp := w.get(tokenOf(corp, auditor), path+next).want(200)
		page := into[struct {
			Events []struct{ Body []byte }
			Next   *string
		}](resp)
		for _, e := range page.Events {
			seen[string(e.Body)] = true
		}
		if page.Next == nil {
			break
		}
		next = "&page=" + *page.Next
	}
	if len(seen) != n || pages == 0 {
		t.Errorf("got %d events on %d pages, want %d on several", len(seen), pages+1, n)
	}
}

func TestCallbackRefusals(t *testing.T) {
	w := newWorld(t)
	w.withPair(corp, pair)
	marked := notifyXML(1) + "<!-- " + contentMark + " -->"
	good := callback(t, corp, pair, marked)
	long := good
	long.body = strings.Repeat("x", maxBody+1)
	w.do(long).wantProblem(413, "body-too-large")
	for name, r := range map[string]request{
		"no body":              {method: "POST", path: good.path, body: "", header: good.header},
		"no XML":               {method: "POST", path: good.path, body: contentMark, header: good.header},
		"no Encrypt":           {method: "POST", path: good.path, body: "<xml><Content>" + contentMark + "</Content></xml>", header: good.header},
		"other body":           {method: "POST", path: good.path, body: strings.Replace(good.body.(string), "CDATA[", "CDATA[A", 2), header: good.header},
		"no signature":         {method: "POST", path: "/callback/" + corp, body: good.body, header: good.header},
		"for another receiver": callbackFor(t, corp, other, pair, marked),
		"another's token":      callback(t, corp, secretstore.CallbackPair{Token: secret.New("other"), AESKey: pair.AESKey}, marked),
		"another's key":        callback(t, corp, secretstore.CallbackPair{Token: pair.Token, AESKey: secret.New(newAESKey())}, marked),
		"unknown corp":         callback(t, "ww5555555555555555", pair, marked),
	} {
		w.run(name, func(*testing.T) { w.refused(r) })
	}
	c, err := w.corps.Corp(t.Context(), corp)
	if err != nil || !c.CallbackAt.IsZero() {
		t.Errorf("a refused callback was noted at %v, %v", c.CallbackAt, err)
	}
	if all := w.drain(w.pulls); len(all) != 0 {
		t.Errorf("a refused callback asked for %d pulls", len(all))
	}
}

// deadQueue cannot be reached.
type deadQueue struct{}

func (deadQueue) RequestPulls(context.Context, ...archive.PullRequest) error {
	return errors.New("queue cannot be reached")
}

func TestCallbackWhenTheQueueFails(t *testing.T) {
	w := newWorld(t)
	w.withPair(corp, pair)
	w.api.pulls = deadQueue{}
	// 500, so that WeCom tries again.
	w.do(callback(t, corp, pair, notifyXML(1767225735))).wantProblem(500, "internal")
	if !strings.Contains(w.log.String(), "queue cannot be reached") {
		t.Error("the reason is not logged")
	}
}

func TestCallbackPairsAreKeptForAWhile(t *testing.T) {
	now := noon
	reads, stored := 0, pair
	pairs := newCallbackPairs(func(_ context.Context, id string) (secretstore.CallbackPair, error) {
		reads++
		if id != corp {
			return secretstore.CallbackPair{}, archive.ErrNotFound
		}
		return stored, nil
	}, func() time.Time { return now })
	check := func(what, id string, maxAge time.Duration, wantReads int, wantErr error) {
		t.Helper()
		if _, err := pairs.box(t.Context(), id, maxAge); !errors.Is(err, wantErr) || reads != wantReads {
			t.Errorf("%s: got %v after %d reads, want %v after %d", what, err, reads, wantErr, wantReads)
		}
	}
	check("first", corp, pairAge, 1, nil)
	check("again", corp, pairAge, 1, nil)
	check("wrong signature at once", corp, pairRetryAge, 1, nil)
	now = now.Add(pairRetryAge)
	check("wrong signature later", corp, pairRetryAge, 2, nil)
	now = now.Add(pairAge)
	check("too old", corp, pairAge, 3, nil)
	check("unknown corp", other, pairAge, 4, errUnknownCorp)
	check("unknown corp again", other, pairAge, 4, errUnknownCorp)
	now = now.Add(pairRetryAge)
	check("unknown corp later", other, pairAge, 5, errUnknownCorp)
	for i := range 3 * maxPairs {
		_, _ = pairs.box(t.Context(), fmt.Sprintf("ww%014d", i), pairAge)
	}
	if len(pairs.pairs) > maxPairs {
		t.Errorf("%d pairs are kept, want at most %d", len(pairs.pairs), maxPairs)
	}
}

// A corp's callback pair may be replaced while another instance of the
// function has the old one in memory.
func TestReplacedCallbackPairIsReadAgain(t *testing.T) {
	w := newWorld(t)
	w.withPair(corp, pair)
	stored := pair
	w.api.callbacks = newCallbackPairs(func(context.Context, string) (secretstore.CallbackPair, error) { return stored, nil }, w.now)
	w.do(callback(t, corp, pair, notifyXML(1))).want(200)
	stored = secretstore.CallbackPair{Token: secret.New("newer"), AESKey: secret.New(newAESKey())}
	w.pass(pairRetryAge)
	w.do(callback(t, corp, stored, notifyXML(2))).want(200)
}
