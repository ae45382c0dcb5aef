package callback_test

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

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/callback"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/local/wecom/envelope"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

// anotherAESKey is an EncodingAESKey that differs from the sample's.
const anotherAESKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"

const (
	sampleCorp    = "wx5823bf96d3bd56c7"
	sampleQuery   = "msg_signature=5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3&timestamp=1409659589&nonce=263014780"
	sampleEchostr = "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="
)

// post is WeCom's POST of an event.
func post(t *testing.T, id string, p secretstore.CallbackPair, plain string) apitest.Request {
	t.Helper()
	return postFor(t, id, id, p, plain)
}

func postFor(t *testing.T, id, receiver string, p secretstore.CallbackPair, plain string) apitest.Request {
	t.Helper()
	key, err := envelope.ParseKey(p.AESKey.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	encrypted := key.Seal([]byte(plain), receiver, [16]byte{1})
	q := url.Values{"timestamp": {"1767225735"}, "nonce": {"n+1"}, "msg_signature": {envelope.Sign(p.Token.Reveal(), "1767225735", "n+1", encrypted)}}
	return apitest.Request{
		Method: "POST", Path: "/callback/" + id + "?" + q.Encode(), Header: map[string]string{"Content-Type": "text/xml"},
		Body: fmt.Sprintf("<xml><ToUserName><![CDATA[%s]]></ToUserName><Encrypt><![CDATA[%s]]></Encrypt></xml>", id, encrypted),
	}
}

func notifyXML(createTime int64) string {
	return fmt.Sprintf("<xml><ToUserName><![CDATA[x]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName><CreateTime>%d</CreateTime><MsgType><![CDATA[event]]></MsgType><AgentID>2000004</AgentID><Event><![CDATA[msgaudit_notify]]></Event></xml>", createTime)
}

// refused sends a callback and checks that it is refused. The refusal writes one
// line to the log, and the line holds no value from the request.
func refused(w *apitest.World, r apitest.Request) {
	w.T.Helper()
	before := w.Log.String()
	w.Do(r).WantProblem(401, "unauthorized")
	line := strings.TrimPrefix(w.Log.String(), before)
	if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
		w.T.Errorf("got log %q, want one line", line)
	}
	_, query, _ := strings.Cut(r.Path, "?")
	body, _ := r.Body.(string)
	sent := append(regexp.MustCompile(`CDATA\[([^\]]{20,})`).FindStringSubmatch(body), apitest.ContentMark, body)
	for param := range strings.SplitSeq(query, "&") {
		_, value, _ := strings.Cut(param, "=")
		plain, _ := url.QueryUnescape(value)
		sent = append(sent, value, plain)
	}
	for _, s := range sent {
		if s != "" && strings.Contains(line, s) {
			w.T.Errorf("the log line %q holds %q, which was sent", line, s)
		}
	}
}

func TestCallbackURLCheck(t *testing.T) {
	w := apitest.NewWorld(t)
	apitest.OK(t, w.Secrets.CreateCallback(t.Context(), sampleCorp, apitest.Pair))
	w.WithPair(w.Other, apitest.Pair)
	echostr := "&echostr=" + url.QueryEscape(sampleEchostr)
	resp := w.Do(apitest.Request{Method: "GET", Path: "/callback/" + sampleCorp + "?" + sampleQuery + echostr}).Want(200)
	if string(resp.Body) != "1616140317555161061" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("got %q as %s", resp.Body, resp.Header.Get("Content-Type"))
	}
	for name, path := range map[string]string{
		"plus sent as blank":    "/callback/" + sampleCorp + "?" + sampleQuery + "&echostr=" + sampleEchostr,
		"no query":              "/callback/" + sampleCorp,
		"no echostr":            "/callback/" + sampleCorp + "?" + sampleQuery,
		"wrong signature":       "/callback/" + sampleCorp + "?" + strings.Replace(sampleQuery, "5c45", "5c46", 1) + echostr,
		"another receiver":      "/callback/" + w.Other + "?" + sampleQuery + echostr,
		"corp not registered":   "/callback/ww5555555555555555?" + sampleQuery + echostr,
		"no corpid":             "/callback/x?" + sampleQuery + echostr,
		"corpid with a slash":   "/callback/..%2Fx?" + sampleQuery + echostr,
		"query badly encoded":   "/callback/" + sampleCorp + "?" + sampleQuery + "&echostr=%zz",
		"signature of a prefix": "/callback/" + sampleCorp + "?msg_signature=5c45&timestamp=1409659589&nonce=263014780" + echostr,
	} {
		w.Run(name, func(*testing.T) { refused(w, apitest.Request{Method: "GET", Path: path}) })
	}
	for _, reason := range []string{"wrong signature", "meant for another receiver", "corp has no callback pair"} {
		if !strings.Contains(w.Log.String(), reason) {
			t.Errorf("the log does not say %q", reason)
		}
	}
}

func TestNotifyRequestsOnePull(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	// WeCom makes three tries, and a stranger replays the event an hour later.
	for range 3 {
		if resp := w.Do(post(t, w.Corp, apitest.Pair, notifyXML(1767225735))).Want(200); len(resp.Body) != 0 {
			t.Errorf("got body %q", resp.Body)
		}
	}
	w.Pass(time.Minute)
	w.Do(post(t, w.Corp, apitest.Pair, notifyXML(1767225735))).Want(200)
	all := w.Drain(w.Pulls)
	for _, s := range all {
		if !strings.Contains(s.Body, `"why":"callback"`) || strings.Contains(s.Body, "force") || s.Group != w.Corp {
			t.Errorf("got %+v", s)
		}
	}
	if len(all) != 1 {
		t.Errorf("got %d pull requests while one waits, want one", len(all))
	}
	w.Do(post(t, w.Corp, apitest.Pair, notifyXML(1767225750))).Want(200)
	if next := w.Drain(w.Pulls); len(next) != 1 {
		t.Errorf("the next event: got %+v, want another request", next)
	}
	c, err := w.Corps.Corp(t.Context(), w.Corp)
	if err != nil || !c.CallbackAt.Equal(w.Now()) {
		t.Errorf("callback noted at %v, %v, want %v", c.CallbackAt, err, w.Now())
	}
	for _, day := range []archive.Day{archive.DayOf(w.Now()), archive.DayOf(time.Unix(1767225735, 0))} {
		if events, err := w.Corps.Events(t.Context(), w.Corp, day); err != nil || len(events) != 0 {
			t.Errorf("notify events are recorded: %d, %v", len(events), err)
		}
	}
}

func TestEventsAreRecordedOnce(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	at := apitest.Noon.Add(-time.Minute).Unix()
	consent := fmt.Sprintf("<xml><CreateTime>%d</CreateTime><Event>change_external_contact</Event><ChangeType>msg_audit_approved</ChangeType><UserID>"+apitest.ContentMark+"</UserID></xml>", at)
	unknown := fmt.Sprintf("<xml><Event>brand_new</Event><CreateTime>%d</CreateTime></xml>", at+1)
	for range 3 {
		w.Do(post(t, w.Corp, apitest.Pair, consent)).Want(200)
		w.Do(post(t, w.Corp, apitest.Pair, unknown)).Want(200)
	}
	w.Do(post(t, w.Corp, apitest.Pair, "not even XML")).Want(200)
	w.Do(post(t, w.Corp, apitest.Pair, fmt.Sprintf("<xml><Event>from_the_future</Event><CreateTime>%d</CreateTime></xml>", at+400*24*3600))).Want(200)
	page := apitest.Into[struct {
		Events []struct {
			At, Type string
			Change   string `json:"change_type"`
			Body     []byte
		}
		Next *string
	}](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/events?day=2026-01-31").Want(200))
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
	// These events do not prove that WeCom announces messages.
	if c, err := w.Corps.Corp(t.Context(), w.Corp); err != nil || !c.CallbackAt.IsZero() {
		t.Errorf("noted at %v, %v as if they announced messages", c.CallbackAt, err)
	}
	if reqs := w.PullRequests(); len(reqs) != 0 {
		t.Errorf("got %d pull requests for events that bring no messages", len(reqs))
	}
}

func TestFloodOfEvents(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	const n = 120
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range n / 4 {
				xml := fmt.Sprintf("<xml><Event>change_contact</Event><CreateTime>%d</CreateTime><N>%d-%d</N><Pad>%s</Pad></xml>", apitest.Noon.Unix(), worker, i, strings.Repeat("p", 30<<10))
				if resp := w.Do(post(t, w.Corp, apitest.Pair, xml)); resp.Status != 200 {
					t.Errorf("got %d, want 200", resp.Status)
				}
			}
		})
	}
	wg.Wait()
	seen := make(map[string]bool)
	pages, path := 0, "/v1/corps/"+w.Corp+"/events?limit=200"
	for next := ""; ; pages++ {
		resp := w.Get(w.As(session.Auditor), path+next).Want(200)
		page := apitest.Into[struct {
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
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	marked := notifyXML(1) + "<!-- " + apitest.ContentMark + " -->"
	good := post(t, w.Corp, apitest.Pair, marked)
	long := good
	long.Body = strings.Repeat("x", input.MaxBody+1)
	w.Do(long).WantProblem(413, "body-too-large")
	for name, r := range map[string]apitest.Request{
		"no body":              {Method: "POST", Path: good.Path, Body: "", Header: good.Header},
		"no XML":               {Method: "POST", Path: good.Path, Body: apitest.ContentMark, Header: good.Header},
		"no Encrypt":           {Method: "POST", Path: good.Path, Body: "<xml><Content>" + apitest.ContentMark + "</Content></xml>", Header: good.Header},
		"other body":           {Method: "POST", Path: good.Path, Body: strings.Replace(good.Body.(string), "CDATA[", "CDATA[A", 2), Header: good.Header},
		"no signature":         {Method: "POST", Path: "/callback/" + w.Corp, Body: good.Body, Header: good.Header},
		"for another receiver": postFor(t, w.Corp, w.Other, apitest.Pair, marked),
		"another's token":      post(t, w.Corp, secretstore.CallbackPair{Token: secret.New("other"), AESKey: apitest.Pair.AESKey}, marked),
		"another's key":        post(t, w.Corp, secretstore.CallbackPair{Token: apitest.Pair.Token, AESKey: secret.New(anotherAESKey)}, marked),
		"unknown corp":         post(t, "ww5555555555555555", apitest.Pair, marked),
	} {
		w.Run(name, func(*testing.T) { refused(w, r) })
	}
	c, err := w.Corps.Corp(t.Context(), w.Corp)
	if err != nil || !c.CallbackAt.IsZero() {
		t.Errorf("a refused callback was noted at %v, %v", c.CallbackAt, err)
	}
	if all := w.Drain(w.Pulls); len(all) != 0 {
		t.Errorf("a refused callback requested %d pulls", len(all))
	}
}

// deadQueue is an unreachable queue.
type deadQueue struct{}

func (deadQueue) RequestPulls(context.Context, ...archive.PullRequest) error {
	return errors.New("queue unreachable")
}

func TestCallbackWhenTheQueueFails(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	w.Callback.Pulls = deadQueue{}
	// WeCom tries again after a 500.
	w.Do(post(t, w.Corp, apitest.Pair, notifyXML(1767225735))).WantProblem(500, "internal")
	if !strings.Contains(w.Log.String(), "queue unreachable") {
		t.Error("the reason is not logged")
	}
}

func TestCallbackPairsAreKeptForAWhile(t *testing.T) {
	const corp, other = "ww0123456789abcdef", "ww9999999999999999"
	now := apitest.Noon
	reads, stored := 0, apitest.Pair
	pairs := callback.NewPairs(func(_ context.Context, id string) (secretstore.CallbackPair, error) {
		reads++
		if id != corp {
			return secretstore.CallbackPair{}, archive.ErrNotFound
		}
		return stored, nil
	}, func() time.Time { return now })
	check := func(what, id string, maxAge time.Duration, wantReads int, wantErr error) {
		t.Helper()
		if _, err := callback.Box(pairs, t.Context(), id, maxAge); !errors.Is(err, wantErr) || reads != wantReads {
			t.Errorf("%s: got %v after %d reads, want %v after %d", what, err, reads, wantErr, wantReads)
		}
	}
	check("first", corp, callback.PairAge, 1, nil)
	check("again", corp, callback.PairAge, 1, nil)
	check("wrong signature at once", corp, callback.PairRetryAge, 1, nil)
	now = now.Add(callback.PairRetryAge)
	check("wrong signature later", corp, callback.PairRetryAge, 2, nil)
	now = now.Add(callback.PairAge)
	check("too old", corp, callback.PairAge, 3, nil)
	check("unknown corp", other, callback.PairAge, 4, callback.ErrUnknownCorp)
	check("unknown corp again", other, callback.PairAge, 4, callback.ErrUnknownCorp)
	now = now.Add(callback.PairRetryAge)
	check("unknown corp later", other, callback.PairAge, 5, callback.ErrUnknownCorp)
	for i := range 3 * callback.MaxPairs {
		_, _ = callback.Box(pairs, t.Context(), fmt.Sprintf("ww%014d", i), callback.PairAge)
	}
	if pairs.Held() > callback.MaxPairs {
		t.Errorf("%d pairs are kept, want at most %d", pairs.Held(), callback.MaxPairs)
	}
}

// A corp's callback pair may be replaced while another instance of the
// function has the old one in memory.
func TestReplacedCallbackPairIsReadAgain(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	stored := apitest.Pair
	w.Callback.Pairs = callback.NewPairs(func(context.Context, string) (secretstore.CallbackPair, error) { return stored, nil }, w.Now)
	w.Do(post(t, w.Corp, apitest.Pair, notifyXML(1))).Want(200)
	stored = secretstore.CallbackPair{Token: secret.New("newer"), AESKey: secret.New(anotherAESKey)}
	w.Pass(callback.PairRetryAge)
	w.Do(post(t, w.Corp, stored, notifyXML(2))).Want(200)
}
