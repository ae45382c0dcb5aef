package wecomapi_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/wecom"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/secret"
	"github.com/yunduo-scrm/archive/shared/wecomapi"
)

const corpA, corpB = "ww0000000000000aaa", "ww0000000000000bbb"

// clock moves only in Sleep and advance.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	slept time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.slept = c.now.Add(d), c.slept+d
	return ctx.Err()
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a simulated WeCom with a corp, and a client of this WeCom.
type world struct {
	*wecom.Sim
	corp   *wecom.Corp
	clock  *clock
	client *wecomapi.Client
	url    string
}

const appSecret = "app-secret-of-a"

func newWorld(t *testing.T, cfg wecom.Config) *world {
	t.Helper()
	w := &world{clock: &clock{now: time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)}}
	cfg.Now = w.clock.Now
	w.Sim = wecom.New(cfg)
	t.Cleanup(w.Close)
	var err error
	if w.corp, err = w.AddCorp(wecom.CorpConfig{
		ID: corpA, Secret: "archive-secret-of-a", Open: true, ScopeAll: true, TrustedIPs: []string{"127.0.0.1"},
		Staff: []wecom.Staff{{UserID: "lin.hua", Name: "林华"}, {UserID: "0042", Name: "陈"}},
		Customers: []wecom.Customer{
			{ExternalUserID: "wmCustomer", Name: "小明妈妈", Type: 1, Followers: []string{"lin.hua"}},
			{ExternalUserID: "woPartner", Name: "王总", Type: 2, CorpName: "合作伙伴公司", Followers: []string{"lin.hua"}},
			{ExternalUserID: "wmGone", Name: "走了", Type: 1},
		},
		Rooms: []wecom.Room{
			{ID: "wrInternal", Name: "项目群", Kind: wecom.InternalRoom, Owner: "lin.hua", Members: []string{"lin.hua", "0042"}, CreatedAt: w.clock.now.Add(-time.Hour)},
			{ID: "wrCustomer", Name: "家长群", Kind: wecom.CustomerRoom, Owner: "lin.hua", Members: []string{"lin.hua", "wmCustomer"}, CreatedAt: w.clock.now.Add(-time.Hour)},
			{ID: "wrForeign", Name: "别人的群", Kind: wecom.ForeignRoom, Owner: "x", Members: []string{"lin.hua"}},
		},
		Robots: []wecom.Robot{{ID: "wbRobot", Name: "构建机器人", Creator: "lin.hua"}},
		App:    wecom.AppConfig{Secret: appSecret, TrustedIPs: []string{"127.0.0.1"}, Contacts: true},
	}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.Handler())
	t.Cleanup(server.Close)
	w.url = server.URL
	w.client = newClient(t, w.clock, w.url, "")
	return w
}

func newClient(t *testing.T, c *clock, base, proxy string) *wecomapi.Client {
	t.Helper()
	client, err := wecomapi.New(wecomapi.Config{Base: base, Proxy: proxy, CallTimeout: 30 * time.Second, Now: c.Now, Sleep: c.Sleep})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (w *world) archive() directory.Credential {
	return directory.Credential{Corp: corpA, Secret: secret.New(w.corp.Secret())}
}

func (w *world) app() directory.Credential {
	return directory.Credential{Corp: corpA, Secret: secret.New(appSecret)}
}

func (w *world) calls(path string) int { return w.Stats().Corps[corpA].Calls["/cgi-bin/"+path] }

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks the errcode and the endpoint of the error.
func refused(t *testing.T, what string, err error, op string, code int) {
	t.Helper()
	refusal, ok := errors.AsType[*directory.APIError](err)
	if !ok || refusal.Op != op || refusal.Code != code || refusal.Cause != "" {
		t.Errorf("%s: got error %v, want errcode %d of %s", what, err, code, op)
	}
}

func TestPeople(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	ctx := t.Context()
	p, err := w.client.Member(ctx, w.app(), "lin.hua")
	must(t, err)
	equal(t, "member", p, directory.Person{ID: "lin.hua", Kind: directory.Member, Name: "林华"})
	p, err = w.client.Contact(ctx, w.app(), "wmCustomer")
	must(t, err)
	equal(t, "contact", p, directory.Person{ID: "wmCustomer", Kind: directory.External, Name: "小明妈妈"})
	p, err = w.client.Contact(ctx, w.app(), "woPartner")
	must(t, err)
	equal(t, "partner", p, directory.Person{ID: "woPartner", Kind: directory.External, Name: "王总", Company: "合作伙伴公司"})
	p, err = w.client.Robot(ctx, w.archive(), "wbRobot")
	must(t, err)
	equal(t, "robot", p, directory.Person{ID: "wbRobot", Kind: directory.Robot, Name: "构建机器人"})
	if got := w.calls("gettoken"); got != 2 {
		t.Errorf("got %d tokens fetched, want 2: one per secret", got)
	}
}

func TestRooms(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	r, err := w.client.InternalRoom(t.Context(), w.archive(), "wrInternal")
	must(t, err)
	if r.Kind != directory.InternalRoom || r.Name != "项目群" || r.Owner != "lin.hua" || len(r.Members) != 2 || !r.CreatedAt.Equal(w.clock.now.Add(-time.Hour)) {
		t.Errorf("internal: got %+v", r)
	}
	r, err = w.client.CustomerRoom(t.Context(), w.app(), "wrCustomer")
	must(t, err)
	want := []directory.RoomMember{{ID: "lin.hua", Name: "林华"}, {ID: "wmCustomer", Name: "小明妈妈"}}
	if r.Kind != directory.CustomerRoom || r.Name != "家长群" || !slices.Equal(r.Members, want) {
		t.Errorf("customers: got %+v", r)
	}
}

func TestScopeAndConsents(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	ids, err := w.client.Permitted(t.Context(), w.archive(), directory.AllEditions)
	must(t, err)
	if !slices.Equal(ids, []string{"lin.hua", "0042"}) {
		t.Errorf("scope: got %v", ids)
	}
	must(t, w.corp.SetScope([]string{"lin.hua", "0042"}, 1))
	if ids, err = w.client.Permitted(t.Context(), w.archive(), directory.AllEditions); err != nil || !slices.Equal(ids, []string{"lin.hua"}) {
		t.Errorf("with one seat: got %v, error %v", ids, err)
	}
	for e, want := range map[directory.Edition][]string{directory.Office: {}, directory.Service: {}, directory.Enterprise: {"lin.hua"}} {
		if ids, err := w.client.Permitted(t.Context(), w.archive(), e); err != nil || !slices.Equal(ids, want) {
			t.Errorf("edition %d: got %v, error %v, want %v", e, ids, err, want)
		}
	}
	list, err := w.client.PairConsents(t.Context(), w.archive(), []directory.Pair{{Member: "lin.hua", Contact: "wmCustomer"}})
	must(t, err)
	if len(list) != 1 || list[0] != (archive.Consent{Member: "lin.hua", Contact: "wmCustomer", Status: archive.AgreedDefault}) {
		t.Errorf("never answered: got %+v", list)
	}
	list, err = w.client.RoomConsents(t.Context(), w.archive(), "wrCustomer")
	must(t, err)
	if len(list) != 1 || list[0] != (archive.Consent{Room: "wrCustomer", Contact: "wmCustomer", Status: archive.AgreedDefault}) {
		t.Errorf("room: got %+v", list)
	}
	w.Choose(wecom.Choices{Unanswered: wecom.UnansweredOmitted})
	list, err = w.client.PairConsents(t.Context(), w.archive(), []directory.Pair{{Member: "lin.hua", Contact: "wmCustomer"}})
	if err != nil || len(list) != 0 {
		t.Errorf("omitted: got %+v, error %v", list, err)
	}
}

// TestRefusals covers every refusal of the simulated WeCom for these endpoints.
func TestRefusals(t *testing.T) {
	ctx := t.Context()
	for _, test := range []struct {
		name string
		spin func(*testing.T, *world)
		ask  func(*world) error
		op   string
		code int
	}{
		{"wrong secret", nil, func(w *world) error {
			_, err := w.client.Member(ctx, directory.Credential{Corp: corpA, Secret: secret.New("wrong")}, "lin.hua")
			return err
		}, "gettoken", 40001},
		{"another corp's secret", func(t *testing.T, w *world) {
			_, err := w.AddCorp(wecom.CorpConfig{ID: corpB, Secret: "secret of b"})
			must(t, err)
		}, func(w *world) error {
			_, err := w.client.Member(ctx, directory.Credential{Corp: corpA, Secret: secret.New("secret of b")}, "lin.hua")
			return err
		}, "gettoken", 40091},
		{"unknown corp", nil, func(w *world) error {
			_, err := w.client.Member(ctx, directory.Credential{Corp: "wwunknown0000", Secret: secret.New(appSecret)}, "lin.hua")
			return err
		}, "gettoken", 40013},
		{"no secret", nil, func(w *world) error {
			_, err := w.client.Member(ctx, directory.Credential{Corp: corpA}, "lin.hua")
			return err
		}, "gettoken", 41004},
		{"archive secret for members", nil, func(w *world) error { _, err := w.client.Member(ctx, w.archive(), "lin.hua"); return err }, "user/get", 48002},
		{"app's secret for the archive", nil, func(w *world) error { _, err := w.client.Permitted(ctx, w.app(), directory.AllEditions); return err }, "msgaudit/get_permit_user_list", 48002},
		{"app without contacts", func(t *testing.T, w *world) {
			must(t, w.corp.SetApp(wecom.AppConfig{Secret: appSecret, TrustedIPs: []string{"127.0.0.1"}}))
		}, func(w *world) error { _, err := w.client.Contact(ctx, w.app(), "wmCustomer"); return err }, "externalcontact/get", 48002},
		{"foreign address, app", func(t *testing.T, w *world) {
			must(t, w.corp.SetApp(wecom.AppConfig{Secret: appSecret, TrustedIPs: []string{"192.0.2.1"}, Contacts: true}))
		}, func(w *world) error { _, err := w.client.Member(ctx, w.app(), "lin.hua"); return err }, "user/get", 60020},
		{"foreign address, archive", func(t *testing.T, w *world) { must(t, w.corp.SetTrustedIPs("192.0.2.1")) },
			func(w *world) error { _, err := w.client.InternalRoom(ctx, w.archive(), "wrInternal"); return err }, "msgaudit/groupchat/get", 301042},
		{"archive not open", func(_ *testing.T, w *world) { w.corp.SetOpen(false) },
			func(w *world) error {
				_, err := w.client.Permitted(ctx, w.archive(), directory.AllEditions)
				return err
			}, "msgaudit/get_permit_user_list", 301053},
		{"licence over", func(t *testing.T, w *world) { must(t, w.corp.SetLicence(w.clock.now.Add(-time.Hour), 3)) },
			func(w *world) error {
				_, err := w.client.Permitted(ctx, w.archive(), directory.AllEditions)
				return err
			}, "msgaudit/get_permit_user_list", 301052},
		{"unknown member", nil, func(w *world) error { _, err := w.client.Member(ctx, w.app(), "nobody"); return err }, "user/get", 60111},
		{"member out of range", func(t *testing.T, w *world) {
			must(t, w.corp.SetApp(wecom.AppConfig{Secret: appSecret, TrustedIPs: []string{"127.0.0.1"}, Visible: []string{"0042"}, Contacts: true}))
		}, func(w *world) error { _, err := w.client.Member(ctx, w.app(), "lin.hua"); return err }, "user/get", 60011},
		{"contact without a follower", nil, func(w *world) error { _, err := w.client.Contact(ctx, w.app(), "wmGone"); return err }, "externalcontact/get", 84061},
		{"no contact's id", nil, func(w *world) error { _, err := w.client.Contact(ctx, w.app(), "wm@x"); return err }, "externalcontact/get", 40096},
		{"unknown robot", nil, func(w *world) error { _, err := w.client.Robot(ctx, w.archive(), "wbNone"); return err }, "msgaudit/get_robot_info", 40058},
		{"foreign room", nil, func(w *world) error { _, err := w.client.InternalRoom(ctx, w.archive(), "wrForeign"); return err }, "msgaudit/groupchat/get", 92002},
		{"customers' room as internal", nil, func(w *world) error { _, err := w.client.InternalRoom(ctx, w.archive(), "wrCustomer"); return err }, "msgaudit/groupchat/get", 301059},
		{"internal room as customers'", nil, func(w *world) error { _, err := w.client.CustomerRoom(ctx, w.app(), "wrInternal"); return err }, "externalcontact/groupchat/get", 40058},
		{"foreign room as customers'", nil, func(w *world) error { _, err := w.client.CustomerRoom(ctx, w.app(), "wrForeign"); return err }, "externalcontact/groupchat/get", 92002},
		{"unknown pair", nil, func(w *world) error {
			_, err := w.client.PairConsents(ctx, w.archive(), []directory.Pair{{Member: "nobody", Contact: "wmCustomer"}})
			return err
		}, "msgaudit/check_single_agree", 301061},
		{"too many pairs", nil, func(w *world) error {
			_, err := w.client.PairConsents(ctx, w.archive(), make([]directory.Pair, directory.PairsMost+1))
			return err
		}, "msgaudit/check_single_agree", 301060},
		{"busy", func(t *testing.T, w *world) {
			must(t, w.corp.FailNext(wecom.Failure{Endpoint: "/cgi-bin/user/get", Code: -1}))
		},
			func(w *world) error { _, err := w.client.Member(ctx, w.app(), "lin.hua"); return err }, "user/get", -1},
		{"rate", func(t *testing.T, w *world) {
			must(t, w.corp.FailNext(wecom.Failure{Endpoint: "/cgi-bin/user/get", Code: 45009}))
		}, func(w *world) error { _, err := w.client.Member(ctx, w.app(), "lin.hua"); return err }, "user/get", 45009},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, wecom.Config{})
			if test.spin != nil {
				test.spin(t, w)
			}
			err := test.ask(w)
			refused(t, test.name, err, test.op, test.code)
			if refusal, ok := errors.AsType[*directory.APIError](err); ok && refusal.Code != 301053 && refusal.Code != 301052 && refusal.FromIP != "127.0.0.1" {
				t.Errorf("got address %q, want 127.0.0.1", refusal.FromIP)
			}
		})
	}
}

func TestTokenIsKeptAndFetchedAgainOnce(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	ask := func() error {
		_, err := w.client.Member(t.Context(), w.app(), "lin.hua")
		return err
	}
	for range 3 {
		must(t, ask())
	}
	equal(t, "fetched", w.calls("gettoken"), 1)
	w.clock.advance(2*time.Hour - 4*time.Minute) // the token's end is near
	must(t, ask())
	equal(t, "fetched near its end", w.calls("gettoken"), 2)
	for i, code := range []int{40014, 42001} {
		must(t, w.corp.FailNext(wecom.Failure{Endpoint: "/cgi-bin/user/get", Code: code}))
		must(t, ask())
		equal(t, fmt.Sprint("fetched after ", code), w.calls("gettoken"), 3+i)
	}
	must(t, w.corp.FailNext(wecom.Failure{Endpoint: "/cgi-bin/user/get", Code: 40014, Times: 2}))
	before := w.calls("user/get")
	refused(t, "refused twice", ask(), "user/get", 40014)
	equal(t, "asked twice", w.calls("user/get")-before, 2)

	// WeCom drops the tokens of the old secret when the secret is reset.
	must(t, w.corp.SetApp(wecom.AppConfig{Secret: "another", TrustedIPs: []string{"127.0.0.1"}, Contacts: true}))
	refused(t, "reset", ask(), "gettoken", 40001)
	if _, err := w.client.Member(t.Context(), directory.Credential{Corp: corpA, Secret: secret.New("another")}, "lin.hua"); err != nil {
		t.Errorf("new secret: got error %v", err)
	}
}

// Concurrent calls share one token.
func TestTokenIsFetchedOnceForConcurrentCalls(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := w.client.Member(t.Context(), w.app(), "lin.hua"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	equal(t, "fetched", w.calls("gettoken"), 1)
}

// The pace stays below WeCom's limit of 600 calls a minute for robots. Other endpoints
// do not wait for it.
func TestPace(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	for range 700 {
		_, err := w.client.Robot(t.Context(), w.archive(), "wbRobot")
		must(t, err)
	}
	if w.clock.slept < time.Minute {
		t.Errorf("700 calls took %s, want more than a minute", w.clock.slept)
	}
	slept := w.clock.slept
	_, err := w.client.Permitted(t.Context(), w.archive(), directory.AllEditions)
	must(t, err)
	equal(t, "slept for another endpoint", w.clock.slept-slept, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.client.Robot(ctx, w.archive(), "wbRobot"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got error %v", err)
	}
}

func TestProxy(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	client := newClient(t, w.clock, "http://qyapi.weixin.qq.com", w.url)
	if p, err := client.Member(t.Context(), w.app(), "lin.hua"); err != nil || p.Name != "林华" {
		t.Errorf("through the proxy: got %+v, error %v", p, err)
	}
	// The host does not exist, so only the proxy can answer.
	client = newClient(t, w.clock, "http://elsewhere.invalid", w.url)
	_, err := client.Member(t.Context(), w.app(), "lin.hua")
	failedFor(t, "proxy refuses", err, archive.CauseBadAnswer)
}

func failedFor(t *testing.T, what string, err error, want archive.Cause) {
	t.Helper()
	failure, ok := errors.AsType[*directory.APIError](err)
	if !ok || failure.Cause != want || failure.Code != 0 {
		t.Errorf("%s: got error %v, want cause %s", what, err, want)
	}
}

// Any answer that is not WeCom's gives an error of a known cause, without secret and
// token.
func TestForeignAnswers(t *testing.T) {
	const secretText = "secret-in-the-address"
	credential := directory.Credential{Corp: corpA, Secret: secret.New(secretText)}
	const good = `{"errcode":0,"errmsg":"ok","access_token":"token-in-the-address","expires_in":"7200"}`
	var hits atomic.Int32
	for _, test := range []struct {
		name  string
		token string
		serve http.HandlerFunc
		want  archive.Cause
	}{
		{"not JSON", good, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, archive.CauseBadAnswer},
		{"empty", good, func(http.ResponseWriter, *http.Request) {}, archive.CauseBadAnswer},
		{"no errcode", good, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"name":"x"}`) }, archive.CauseBadAnswer},
		{"errcode of another type", good, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"errcode":[]}`) }, archive.CauseBadAnswer},
		{"server error", good, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, archive.CauseBusy},
		{"not found", good, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, archive.CauseBadAnswer},
		{"redirect", good, func(w http.ResponseWriter, r *http.Request) {
			hits.Add(1)
			http.Redirect(w, r, "/cgi-bin/user/get", http.StatusFound)
		}, archive.CauseBadAnswer},
		{"dropped", good, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, archive.CauseNetwork},
		{"broken off", good, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"errcode":0`)
		}, archive.CauseNetwork},
		{"endless", good, func(w http.ResponseWriter, _ *http.Request) {
			for chunk := []byte(strings.Repeat("x", 1<<20)); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, archive.CauseBadAnswer},
		{"no token", `{"errcode":0,"errmsg":"ok"}`, nil, archive.CauseBadAnswer},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/cgi-bin/gettoken" {
					fmt.Fprint(w, test.token)
					return
				}
				test.serve(w, r)
			}))
			defer server.Close()
			c := &clock{now: time.Unix(1e9, 0)}
			_, err := newClient(t, c, server.URL, "").Member(t.Context(), credential, "lin.hua")
			failedFor(t, test.name, err, test.want)
			if err != nil && (strings.Contains(err.Error(), "in-the-address") || strings.Contains(err.Error(), "lin.hua")) {
				t.Errorf("got error %v, want no content in it", err)
			}
		})
	}
	if got := hits.Load(); got != 1 {
		t.Errorf("redirect: got %d requests, want 1", got)
	}
}

func TestNoServer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	url := server.URL
	server.Close()
	c := &clock{now: time.Unix(1e9, 0)}
	_, err := newClient(t, c, url, "").Permitted(t.Context(), directory.Credential{Corp: corpA, Secret: secret.New("hunter2")}, directory.AllEditions)
	failedFor(t, "connection refused", err, archive.CauseNetwork)
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS() // its certificate is not trusted
	defer server.Close()
	c := &clock{now: time.Unix(1e9, 0)}
	_, err := newClient(t, c, server.URL, "").Permitted(t.Context(), directory.Credential{Corp: corpA, Secret: secret.New("hunter2")}, directory.AllEditions)
	failedFor(t, "unknown authority", err, archive.CauseTLS)
}

func TestCallTimeout(t *testing.T) {
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(stop)
	c := &clock{now: time.Unix(1e9, 0)}
	client, err := wecomapi.New(wecomapi.Config{Base: server.URL, CallTimeout: 20 * time.Millisecond, Now: c.Now, Sleep: c.Sleep})
	must(t, err)
	credential := directory.Credential{Corp: corpA, Secret: secret.New("hunter2")}
	_, err = client.Permitted(t.Context(), credential, directory.AllEditions)
	failedFor(t, "no answer", err, archive.CauseNetwork)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := client.Permitted(ctx, credential, directory.AllEditions); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("caller's deadline: got error %v", err)
	}
}

func TestNewRefusesWrongAddresses(t *testing.T) {
	for _, cfg := range []wecomapi.Config{
		{Base: ""}, {Base: "qyapi.weixin.qq.com"}, {Base: "ftp://x"}, {Base: "https://x/path"}, {Base: "https://x", Proxy: "x:1"}, {Base: "https://x", Proxy: "ftp://x"},
	} {
		if _, err := wecomapi.New(cfg); err == nil {
			t.Errorf("base %q, proxy %q: got no error", cfg.Base, cfg.Proxy)
		}
	}
	for _, cfg := range []wecomapi.Config{{Base: wecomapi.DefaultBase}, {Base: "http://127.0.0.1:1/"}, {Base: "https://x", Proxy: "socks5://h:1"}} {
		if _, err := wecomapi.New(cfg); err != nil {
			t.Errorf("base %q, proxy %q: got error %v", cfg.Base, cfg.Proxy, err)
		}
	}
}

// Long names are cut between characters.
func TestNamesAreBounded(t *testing.T) {
	long := strings.Repeat("长", 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cgi-bin/gettoken":
			fmt.Fprint(w, `{"errcode":0,"access_token":"t","expires_in":7200}`)
		default:
			fmt.Fprintf(w, `{"errcode":"0","external_contact":{"name":%q,"avatar":%q,"corp_full_name":"全名"}}`, long, long)
		}
	}))
	defer server.Close()
	c := &clock{now: time.Unix(1e9, 0)}
	p, err := newClient(t, c, server.URL, "").Contact(t.Context(), directory.Credential{Corp: corpA, Secret: secret.New("s")}, "wmX")
	must(t, err)
	if len(p.Name) > 512 || len(p.Name) < 500 || !strings.HasPrefix(long, p.Name) || p.Avatar != "" || p.Company != "全名" {
		t.Errorf("got %d bytes of name, avatar %q, company %q", len(p.Name), p.Avatar, p.Company)
	}
}
