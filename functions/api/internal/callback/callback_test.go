package callback_test

import (
	"bytes"
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
	"github.com/yunduo-scrm/archive/functions/api/internal/callbackpair"
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/local/wecom/envelope"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/archivetest"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// anotherAESKey is an EncodingAESKey that differs from the sample's.
const anotherAESKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"

const (
	sampleCorp    = "wx5823bf96d3bd56c7"
	sampleQuery   = "msg_signature=5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3&timestamp=1409659589&nonce=263014780"
	sampleEchostr = "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="
)

// post is WeCom's POST of an event.
func post(t *testing.T, id string, p callbackpair.Pair, plain string) apitest.Request {
	t.Helper()
	return postFor(t, id, id, p, plain)
}

func postFor(t *testing.T, id, receiver string, p callbackpair.Pair, plain string) apitest.Request {
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
	w.GivePair(sampleCorp, archive.ArchiveCallback, apitest.Pair)
	w.WithPair(w.Other, apitest.Pair)
	echostr := "&echostr=" + url.QueryEscape(sampleEchostr)
	for name, sent := range map[string]string{
		"as documented":      echostr,
		"plus sent as blank": "&echostr=" + sampleEchostr,
		"without padding":    strings.TrimSuffix(echostr, "%3D%3D"),
		"with neither":       "&echostr=" + strings.TrimSuffix(sampleEchostr, "=="),
	} {
		resp := w.Do(apitest.Request{Method: "GET", Path: "/callback/" + sampleCorp + "?" + sampleQuery + sent}).Want(200)
		if string(resp.Body) != "1616140317555161061" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: got %q as %s", name, resp.Body, resp.Header.Get("Content-Type"))
		}
	}
	for name, path := range map[string]string{
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
	sent := apitest.Noon.Unix()
	// WeCom makes three tries, and a stranger replays the event an hour later.
	for range 3 {
		if resp := w.Do(post(t, w.Corp, apitest.Pair, notifyXML(sent))).Want(200); len(resp.Body) != 0 {
			t.Errorf("got body %q", resp.Body)
		}
	}
	w.Pass(time.Minute)
	w.Do(post(t, w.Corp, apitest.Pair, notifyXML(sent))).Want(200)
	all := w.Drain(w.Pulls)
	for _, s := range all {
		if !strings.Contains(s.Body, `"why":"callback"`) || strings.Contains(s.Body, "force") || s.Group != w.Corp {
			t.Errorf("got %+v", s)
		}
	}
	if len(all) != 1 {
		t.Errorf("got %d pull requests while one waits, want one", len(all))
	}
	w.Do(post(t, w.Corp, apitest.Pair, notifyXML(sent+15))).Want(200)
	if next := w.Drain(w.Pulls); len(next) != 1 {
		t.Errorf("the next event: got %+v, want another request", next)
	}
	c, err := w.Corps.Corp(t.Context(), w.Corp)
	if err != nil || !c.CallbackAt.Equal(w.Now()) {
		t.Errorf("callback noted at %v, %v, want %v", c.CallbackAt, err, w.Now())
	}
	if events, err := archivetest.AllEvents(t.Context(), w.Corps, w.Corp, archive.DayOf(w.Now())); err != nil || len(events) != 0 {
		t.Errorf("notify events are recorded: %d, %v", len(events), err)
	}
}

// A recorded event that is replayed, or whose sender chose its time, neither
// requests a pull nor counts as a callback.
func TestOnlyFreshEventsRequestPulls(t *testing.T) {
	for name, tc := range map[string]struct {
		createTime int64
		want       int
	}{
		"an hour old":         {apitest.Noon.Add(-time.Hour).Unix(), 1},
		"older":               {apitest.Noon.Add(-time.Hour).Unix() - 1, 0},
		"of another year":     {1000000000, 0},
		"without a time":      {0, 0},
		"five minutes ahead":  {apitest.Noon.Add(5 * time.Minute).Unix(), 1},
		"further ahead":       {apitest.Noon.Add(5*time.Minute).Unix() + 1, 0},
		"after all calendars": {1<<63 - 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := apitest.NewWorld(t)
			w.WithPair(w.Corp, apitest.Pair)
			w.Do(post(t, w.Corp, apitest.Pair, notifyXML(tc.createTime))).Want(200)
			if got := w.PullRequests(); len(got) != tc.want {
				t.Errorf("got %d pull requests, want %d", len(got), tc.want)
			}
			c, err := w.Corps.Corp(t.Context(), w.Corp)
			if err != nil || c.CallbackAt.IsZero() != (tc.want == 0) {
				t.Errorf("callback noted at %v, error %v", c.CallbackAt, err)
			}
		})
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
	type event struct {
		At, Type string
		Change   string  `json:"change_type"`
		Sent     *string `json:"sent_at"`
		Arrived  string  `json:"arrived_at"`
		Body     []byte
		Envelope struct {
			Signature                 string `json:"msg_signature"`
			Timestamp, Nonce, Encrypt string
		}
	}
	page := apitest.Into[struct {
		Events  []event
		Dropped int
		Next    *string
	}](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/events?day=2026-01-31").Want(200))
	var got []string
	for _, e := range page.Events {
		got = append(got, e.At+" "+e.Type+" "+e.Change+" "+apitest.Deref(e.Sent))
		// The envelope proves that the body is authentic.
		box, err := msgcrypt.New(apitest.Pair.Token.Reveal(), apitest.Pair.AESKey.Reveal(), w.Corp)
		apitest.OK(t, err)
		plain, err := box.Open(msgcrypt.Sealed{Signature: e.Envelope.Signature, Timestamp: e.Envelope.Timestamp, Nonce: e.Envelope.Nonce, Encrypted: e.Envelope.Encrypt})
		if err != nil || !bytes.Equal(plain, e.Body) || e.Arrived != "2026-01-31T06:30:05.000Z" {
			t.Errorf("%s: arrived at %s, the envelope opens to %q, error %v", e.Type, e.Arrived, plain, err)
		}
	}
	want := []string{
		"2026-01-31T06:29:05.000Z change_external_contact msg_audit_approved 2026-01-31T06:29:05.000Z", "2026-01-31T06:29:06.000Z brand_new  2026-01-31T06:29:06.000Z",
		"2026-01-31T06:30:05.000Z   ", "2026-01-31T06:30:05.000Z from_the_future  2027-03-07T06:29:05.000Z", // at one time, in any order
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || page.Next != nil || page.Dropped != 0 {
		t.Errorf("got %q, %d dropped, want %q", got, page.Dropped, want)
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

// A company signs more events than its day has room for. The others are counted,
// and the list says how many.
func TestEventsBeyondTheBoundAreCounted(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	const size = 380 << 10
	for n := range archive.MaxEventBytes / size {
		_, err := w.Corps.RecordEvent(t.Context(), w.Corp, archive.Event{ArrivedAt: w.Now(), Body: fmt.Appendf(nil, "%0*d", size, n)})
		apitest.OK(t, err)
	}
	large := func(n int) string { return fmt.Sprintf("<xml><N>%d</N>%s</xml>", n, strings.Repeat(" ", 40<<10)) }
	for n := range 12 {
		w.Do(post(t, w.Corp, apitest.Pair, large(n))).Want(200)
	}
	page := apitest.Into[struct{ Dropped int }](w.Get(w.As(session.Auditor), "/v1/corps/"+w.Corp+"/events?limit=1").Want(200))
	count, err := w.Corps.EventCount(t.Context(), w.Corp, archive.DayOf(w.Now()))
	if err != nil || count.Bytes > archive.MaxEventBytes || page.Dropped < 8 || page.Dropped != count.Dropped {
		t.Errorf("got %+v, error %v, and %d dropped in the answer", count, err, page.Dropped)
	}
	w.Pass(24 * time.Hour)
	w.Do(post(t, w.Corp, apitest.Pair, large(99))).Want(200)
	if events, err := archivetest.AllEvents(t.Context(), w.Corps, w.Corp, archive.DayOf(w.Now())); err != nil || len(events) != 1 {
		t.Errorf("the next day: got %d events, error %v, want 1", len(events), err)
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
		"another's token":      post(t, w.Corp, callbackpair.Pair{Token: secret.New("other"), AESKey: apitest.Pair.AESKey}, marked),
		"another's key":        post(t, w.Corp, callbackpair.Pair{Token: apitest.Pair.Token, AESKey: secret.New(anotherAESKey)}, marked),
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
	w.Do(post(t, w.Corp, apitest.Pair, notifyXML(apitest.Noon.Unix()))).WantProblem(500, "internal")
	if !strings.Contains(w.Log.String(), "queue unreachable") {
		t.Error("the reason is not logged")
	}
}
