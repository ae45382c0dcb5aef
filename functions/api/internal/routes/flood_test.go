package routes_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/routes"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/local/wecom/envelope"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	book "github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/archive/media"
)

// stopped are queues whose consumers are stopped. They drop a message when its
// queue in template.yaml would.
type stopped struct {
	now  func() time.Time
	mu   sync.Mutex
	sent map[string][]time.Time // by queue and group
	most map[string]int         // the most messages that waited at a time
}

func (q *stopped) put(queue, group string, kept time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	name := queue + " " + group
	waiting := slices.DeleteFunc(q.sent[name], func(at time.Time) bool { return q.now().Sub(at) >= kept })
	q.sent[name] = append(waiting, q.now())
	q.most[name] = max(q.most[name], len(q.sent[name]))
}

func (q *stopped) SendPulls(_ context.Context, reqs ...archive.PullRequest) error {
	for _, r := range reqs {
		q.put("pull", r.Corp, 30*time.Minute)
	}
	return nil
}

func (q *stopped) RequestDecodes(_ context.Context, reqs ...archive.DecodeRequest) error {
	for _, r := range reqs {
		q.put("decode", r.Corp, 4*24*time.Hour) // jobs share a lane
	}
	return nil
}

func (q *stopped) SendInspections(_ context.Context, reqs ...book.Request) error {
	for _, r := range reqs {
		q.put("inspect", r.Corp, time.Hour)
	}
	return nil
}

// stop puts stopped queues in the place of the world's queues. A route that still
// reaches one of the world's queues fails the test at its end.
func stop(w *apitest.World) *stopped {
	q := &stopped{now: w.Now, sent: map[string][]time.Time{}, most: map[string]int{}}
	pulls := archive.NewWantedPulls(w.Marks, q, w.Now)
	inspections := book.NewWantedInspections(w.Marks, q, w.Now)
	jobs := decode.NewJobStarter(w.Ledger, q, w.Now)
	w.Callback.Pulls, w.Callback.Inspections = pulls, inspections
	w.Setup.Pulls, w.Setup.Replays = pulls, jobs
	w.Directory.Inspections, w.Directory.Book.Requests = inspections, inspections
	w.Doctor.Pulls = pulls
	w.Proof.Replays = jobs
	return q
}

// callbackOf signs an event with the company's own pair.
func callbackOf(t *testing.T, w *apitest.World, path, event string, n int) apitest.Request {
	t.Helper()
	key, err := envelope.ParseKey(apitest.Pair.AESKey.Reveal())
	apitest.OK(t, err)
	at := fmt.Sprint(w.Now().Unix() - int64(n))
	xml := "<xml><FromUserName>sys</FromUserName><CreateTime>" + at + "</CreateTime><MsgType>event</MsgType>" + event + "</xml>"
	sealed := key.Seal([]byte(xml), w.Corp, [16]byte{1})
	query := url.Values{"timestamp": {at}, "nonce": {"n"}, "msg_signature": {envelope.Sign(apitest.Pair.Token.Reveal(), at, "n", sealed)}}
	return apitest.Request{
		Method: "POST", Path: path + "?" + query.Encode(), Header: map[string]string{"Content-Type": "text/xml"},
		Body: fmt.Sprintf("<xml><ToUserName>%s</ToUserName><Encrypt>%s</Encrypt></xml>", w.Corp, sealed),
	}
}

// bodies makes the nth body of each route that takes one and names no message.
func bodies(t *testing.T) map[string]func(n int) any {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	apitest.OK(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	apitest.OK(t, err)
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return map[string]func(n int) any{
		"PUT /v1/corps/{corpid}":              func(n int) any { return map[string]any{"name": fmt.Sprint("n", n)} },
		"PUT /v1/corps/{corpid}/setup":        func(n int) any { return map[string]any{"secret": fmt.Sprintf("secret-of-a-company-%d", n)} },
		"POST /v1/corps/{corpid}/keys/import": func(int) any { return map[string]any{"private_key": private} },
		"PUT /v1/corps/{corpid}/state":        func(n int) any { return map[string]any{"enabled": n%2 == 0} },
		"PUT /v1/corps/{corpid}/app":          func(n int) any { return map[string]any{"secret": fmt.Sprintf("secret-of-an-app-%d", n)} },
		"POST /v1/corps/{corpid}/inspect": func(n int) any {
			return map[string]any{"pairs": []any{map[string]any{"member": fmt.Sprint("m", n), "external_contact": "wmA"}}, "rooms": []string{fmt.Sprint("wr", n)}}
		},
		"PUT /v1/corps/{corpid}/contacts": func(n int) any {
			return map[string]any{"contacts": []any{map[string]any{"id": fmt.Sprint("c", n), "name": "x"}}}
		},
		"PUT /v1/corps/{corpid}/rooms": func(n int) any {
			return map[string]any{"rooms": []any{map[string]any{"id": fmt.Sprint("r", n), "name": "x"}}}
		},
		"POST /v1/corps/{corpid}/callback/rotate":     func(int) any { return map[string]any{} },
		"POST /v1/corps/{corpid}/app/callback/rotate": func(int) any { return map[string]any{} },
		"POST /v1/corps/{corpid}/replays":             func(n int) any { return map[string]any{"verify": n%2 == 0} },
	}
}

// company makes requests of a company to every route.
type company struct {
	w *apitest.World
	// Ids of a chat that the company has, and of a message with a file in it.
	conversation, message string
	body                  map[string]func(n int) any
}

// newCompany stores a chat in a room; one of its parties has no name yet.
func newCompany(t *testing.T, w *apitest.World) company {
	t.Helper()
	w.WithPair(w.Corp, apitest.Pair)
	w.GivePair(w.Corp, archive.AppCallback, apitest.Pair)
	apitest.OK(t, w.Contacts.SavePerson(t.Context(), w.Corp, book.Person{ID: "wmA", Kind: book.External, Name: "x"}))
	apitest.OK(t, w.Corps.SetSecret(t.Context(), w.Corp, "secr", w.Now()))
	m := w.Store(w.Corp, named("m1", "lin.hua", "wmA", "wr1", apitest.Noon, "file"))[0]
	w.File(w.Corp, "file", 5, media.Stored, "", apitest.Noon)
	c := company{w: w, conversation: apitest.ConversationID(t, w.Corp, m.Conversation), message: messageID(t, m), body: bodies(t)}
	c.body["POST /v1/corps/{corpid}/links"] = func(int) any { return map[string]any{"files": []any{map[string]any{"message": c.message, "n": 0}}} }
	c.body["PUT /v1/corps/{corpid}/seen"] = func(int) any { return map[string]any{"conversation": c.conversation, "until": "2026-01-31T06:30:05Z"} }
	c.body["POST /v1/corps/{corpid}/messages:batch"] = func(int) any { return map[string]any{"ids": []string{c.message}} }
	return c
}

// request makes the nth request to a route.
func (c company) request(t *testing.T, rt routes.Route, n int) apitest.Request {
	t.Helper()
	path := strings.ReplaceAll(rt.Path, "{conversation}", c.conversation)
	if strings.Contains(path, "/messages/{id}") {
		path = strings.ReplaceAll(path, "{id}", c.message)
	}
	if strings.Contains(path, "/replays/{id}") {
		path = strings.ReplaceAll(path, "{id}", c.newestJob(t))
	}
	path = examplePath(path, c.w.Corp)
	switch {
	case rt.Path == "/callback/{corpid}" && rt.Method == "POST":
		return callbackOf(t, c.w, path, "<Event>msgaudit_notify</Event>", n)
	case rt.Path == "/callback/{corpid}/app" && rt.Method == "POST":
		return callbackOf(t, c.w, path, "<Event>change_external_contact</Event><ChangeType>edit_external_contact</ChangeType><ExternalUserID>wmA</ExternalUserID>", n)
	case slices.Contains(rt.Query, "ids"):
		path += "?ids=" + strings.Join([]string{fmt.Sprint("wm", n), fmt.Sprint("lin", n), "lin.hua", "wr1"}, ",")
	case strings.HasSuffix(rt.Path, "/consents/history"):
		path += "?member=lin.hua&external_contact=wmA"
	case slices.Contains(rt.Query, "member"):
		path += "?member=lin.hua"
	case strings.HasSuffix(rt.Path, "/files"):
		path += "?state=waiting"
	case slices.Contains(rt.Query, "q") && strings.HasSuffix(rt.Path, "/search"):
		path += "?q=e"
	}
	r := apitest.Request{Method: rt.Method, Path: path}
	if rt.Roles != nil {
		r.Who = c.w.As(rt.Roles[0])
	}
	if rt.Body != nil {
		r.Body = c.body[rt.Method+" "+rt.Path](n)
	}
	return r
}

// newestJob is the id of the newest job of the company, running or not.
func (c company) newestJob(t *testing.T) string {
	t.Helper()
	jobs, err := c.w.Ledger.Replays(t.Context(), c.w.Corp, 1)
	apitest.OK(t, err)
	if len(jobs) == 0 {
		return "none"
	}
	return jobs[0].ID
}

// Whatever the people, tokens and callbacks of a company do for a day while the
// consumers are stopped: at most two of its messages wait in each queue. A new
// route takes part by itself; one with a body must say here what it is sent.
func TestADayOfOneCompanyFillsNoQueue(t *testing.T) {
	w := apitest.NewWorld(t)
	c := newCompany(t, w)
	q := stop(w)
	for _, rt := range w.Table {
		if _, ok := c.body[rt.Method+" "+rt.Path]; rt.Body != nil && !ok {
			t.Fatalf("%s %s: want a body for it in this test", rt.Method, rt.Path)
		}
	}
	// At first every route once: those that send or change anything go on through the
	// day.
	senders, active := 0, []routes.Route(nil)
	for _, rt := range w.Table {
		q.sent = map[string][]time.Time{}
		w.Pass(25 * time.Hour) // a mark rests as long as its message may wait, and a name for a day
		resp := w.Do(c.request(t, rt, 0))
		if rt.Roles != nil && resp.Status >= 400 {
			t.Errorf("%s %s: got status %d, %.200s; want a request that succeeds", rt.Method, rt.Path, resp.Status, resp.Body)
		}
		if len(q.sent) > 0 {
			senders++
		}
		if len(q.sent) > 0 || rt.Roles != nil && rt.Method != "GET" {
			active = append(active, rt)
		}
	}
	if senders < 18 {
		t.Errorf("got %d routes that send messages, want at least 18", senders)
	}
	q.sent, q.most = map[string][]time.Time{}, map[string]int{}
	n := 1
	for range 24 * 2 {
		for _, rt := range active {
			n++
			w.Do(c.request(t, rt, n))
		}
		w.Pass(30 * time.Minute)
	}
	// Many at the same moment.
	for _, rt := range active {
		var group sync.WaitGroup
		for range 10 {
			n++
			r := c.request(t, rt, n)
			group.Go(func() { w.Do(r) })
		}
		group.Wait()
	}
	for name, most := range q.most {
		if most > 2 {
			t.Errorf("%s: got %d messages waiting, want at most 2", name, most)
		}
	}
	for _, real := range []string{w.Pulls, w.Decodes, w.Inspects} {
		if got := w.Drain(real); len(got) > 0 {
			t.Errorf("got messages past the stopped queues: %+v", got)
		}
	}
}

// A person stops jobs and starts others while decode is stopped: each kind of job
// has one message in the queue, and so have the jobs of imported keys.
func TestStoppedJobsFillNoQueue(t *testing.T) {
	w := apitest.NewWorld(t)
	c := newCompany(t, w)
	q := stop(w)
	send := func(method, path string, body any) apitest.Response {
		t.Helper()
		w.Pass(time.Second)
		return w.Send(w.As(session.Admin), method, "/v1/corps/"+w.Corp+path, body)
	}
	for range 5 {
		for _, verify := range []bool{true, false} {
			send("POST", "/replays", map[string]any{"verify": verify}).Want(202)
			send("POST", "/replays/"+c.newestJob(t)+"/stop", nil).Want(200)
		}
	}
	for range 3 {
		send("POST", "/keys/import", bodies(t)["POST /v1/corps/{corpid}/keys/import"](0)).Want(201)
		send("POST", "/replays/"+c.newestJob(t)+"/stop", nil).Want(200)
	}
	if got := q.most["decode "+w.Corp]; got != 2 {
		t.Errorf("got %d messages of jobs waiting, want 2", got)
	}
}
