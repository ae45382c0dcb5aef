package wecom_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/wecom"
)

// A console sends commands to the control interface.
type console struct {
	t *testing.T
	*httptest.Server
}

func newConsole(t *testing.T, w *world) console {
	t.Helper()
	s := httptest.NewServer(w.Control())
	t.Cleanup(s.Close)
	return console{t, s}
}

// do sends a command. It reads the answer into out unless out is nil.
func (c console) do(command, body string, out any) (code int, text string) {
	c.t.Helper()
	method, path, _ := strings.Cut(command, " ")
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.URL+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := c.Client().Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(b, out); err != nil {
			c.t.Fatalf("%s: %v in %s", command, err, b)
		}
	}
	return resp.StatusCode, string(b)
}

func TestEveryCommand(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := newConsole(t, w)
	r := newReceiver(t)
	const corp = "/corps/" + corpA
	must := func(command, body string, out any) {
		t.Helper()
		if code, text := c.do(command, body, out); code != http.StatusOK {
			t.Fatalf("%s: got %d %s", command, code, text)
		}
	}
	must("POST /corps", `{"id":"`+corpA+`","name":"云朵学校","crowd":{"staff":4,"customers":5,"rooms":3}}`, nil)
	var details wecom.Details
	must("GET "+corp, "", &details)
	if details.Secret == "" || len(details.Staff) != 4 || len(details.Customers) != 5 || len(details.Rooms) != 3 || details.Open {
		t.Fatalf("got %+v", details)
	}
	customer := details.Customers[0].ExternalUserID
	must("PUT "+corp+"/scope", `{"members":["lin.hua","0042","0000726","13800001111"],"seats":4}`, nil)
	var key struct{ Version uint32 }
	must("POST "+corp+"/keys", publicPEM(keyPair()), &key)
	must("PUT "+corp+"/trusted-ips", `{"ips":["127.0.0.0/8","::1"]}`, nil)
	must("PUT "+corp+"/callback", fmt.Sprintf(`{"url":%q,"token":%q,"encoding_aes_key":%q}`, r.URL, callbackToken, callbackKey), nil)
	must("PUT "+corp+"/app", `{"secret":"app","trusted_ips":["127.0.0.1"],"contacts":true}`, nil)
	must("PUT "+corp+"/app-callback", fmt.Sprintf(`{"url":%q,"token":%q,"encoding_aes_key":%q}`, r.URL, callbackToken, callbackKey), nil)
	must("PUT "+corp+"/open", `{"open":true}`, nil)

	var sent struct{ Messages []wecom.Sent }
	must("POST "+corp+"/messages", `{"count":10}`, &sent)
	if len(sent.Messages) != 10 || key.Version != 1 {
		t.Errorf("got %d messages, key version %d", len(sent.Messages), key.Version)
	}
	must("POST "+corp+"/messages", `{"drafts":[{"from":"lin.hua","to":["0042"],"text":"你好"}]}`, &sent)
	must("POST "+corp+"/redeliver", `{"msgid":"`+sent.Messages[0].MsgID+`"}`, nil)
	must("POST "+corp+"/seq", `{"above":2147483648}`, nil)
	must("POST "+corp+"/messages", `{"raw":[{"text":"e30=","msgid":"m1","spoil":"other_key"}]}`, &sent)
	if s := sent.Messages[0]; s.Seq <= 2147483648 || s.MsgID != "m1" || !s.Spoilt {
		t.Errorf("raw: got %+v", s)
	}
	must("POST "+corp+"/messages", `{"every":true}`, nil)
	var list []wecom.Sent
	must("GET "+corp+"/sent?after=2147483648&limit=1", "", &list)
	if len(list) != 1 || string(list[0].Plain) != "{}" {
		t.Errorf("sent: got %+v, want the raw message", list)
	}
	must("POST "+corp+"/consent", `{"customer":"`+customer+`","member":"lin.hua","agree":false}`, nil)
	must("POST "+corp+"/consent", `{"customer":"`+customer+`","member":"lin.hua","agree":true}`, nil)
	must("POST "+corp+"/events", `{"copies":2}`, nil)
	corpSim, err := w.Corp(corpA)
	if err != nil {
		t.Fatal(err)
	}
	ended(t, corpSim, 4) // events of the first message, the agreement and two copies
	var deliveries []wecom.Delivery
	must("GET "+corp+"/deliveries", "", &deliveries)
	if len(deliveries) < 4 {
		t.Errorf("deliveries: got %+v", deliveries)
	}
	must("POST "+corp+"/chatter", `{"rate":100}`, nil)
	before := w.Stats().Corps[corpA].Sent
	w.clock.Advance(time.Second)
	must("POST "+corp+"/chatter", `{"rate":0}`, nil)
	if got := w.Stats().Corps[corpA].Sent - before; got < 50 {
		t.Errorf("chatter: got %d messages in a second, want about 100", got)
	}
	must("PUT "+corp+"/faults", `{"empty":"absent","page_bytes":100000}`, nil)
	must("POST "+corp+"/failures", `{"errcode":40013,"times":9}`, nil)
	must("DELETE "+corp+"/failures", "", nil)
	must("POST "+corp+"/failures", `{"errcode":-1,"times":2}`, nil)
	must("PUT "+corp+"/faults", ``, nil)
	must("POST "+corp+"/age", `{"by":"120h"}`, nil)
	must("PUT "+corp+"/licence", `{"expires":"2026-06-01T00:00:00Z","edition":2}`, nil)
	must("DELETE "+corp+"/tokens", "", nil)
	var reset struct{ Secret string }
	must("POST "+corp+"/secret", "", &reset)
	must("GET "+corp, "", &details)
	if details.Secret != reset.Secret || details.Edition != 2 || details.CallbackURL != r.URL || len(details.Failures) != 1 {
		t.Errorf("got %+v", details)
	}
	must("PUT /choices", `{"ban_after":5,"unanswered":"omitted"}`, nil)
	var choices wecom.Choices
	must("GET /choices", "", &choices)
	if choices.BanAfter != 5 || choices.Unanswered != wecom.UnansweredOmitted {
		t.Errorf("choices: got %+v", choices)
	}
	var ids []string
	must("GET /corps", "", &ids)
	var stats wecom.Stats
	must("GET /counts", "", &stats)
	if len(ids) != 1 || stats.Corps[ids[0]].Sent != len(w.Sent(corpA)) {
		t.Errorf("got corps %v and %+v", ids, stats)
	}
	_, text := c.do("GET /", "", nil)
	for _, want := range []string{"POST /corps/{id}/messages", "PUT /corps/{id}/faults", "GET /counts"} {
		if !strings.Contains(text, want) {
			t.Errorf("list of commands: %s missing", want)
		}
	}
}

func TestBadCommandsAreExplained(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	w.add(fullCorp(corpA))
	c := newConsole(t, w)
	const corp = "/corps/" + corpA
	for _, test := range []struct {
		command, body string
		code          int
		want          string
	}{
		{"GET /corps/ww00000000nobody", "", 404, "unknown"},
		{"POST /corps", `{"id":"x"}`, 400, "is not ww or wx"},
		{"POST /corps", `{"id":"` + corpA + `"}`, 400, "exists already"},
		{"POST /corps", `{"idd":"x"}`, 400, `unknown field \"idd\"`},
		{"POST /corps", `{`, 400, "body invalid"},
		{"POST /corps", `{} {}`, 400, "continues after the JSON"},
		{"PUT " + corp + "/scope", `{"seats":-1}`, 400, "seats negative"},
		{"PUT " + corp + "/scope", `{"members":[""]}`, 400, "userid in the scope empty"},
		{"PUT " + corp + "/trusted-ips", `{"ips":["localhost"]}`, 400, "not an IP address or CIDR range"},
		{"PUT " + corp + "/licence", `{"edition":9}`, 400, "edition 9"},
		{"POST " + corp + "/keys", "hello", 400, "not in PEM form"},
		{"POST " + corp + "/messages", `{}`, 400, "exactly one"},
		{"POST " + corp + "/messages", `{"count":1,"every":true}`, 400, "exactly one"},
		{"POST " + corp + "/messages", `{"count":-1}`, 400, "negative"},
		{"POST " + corp + "/messages", `{"drafts":[{"from":"a","to":["b"]},{"from":"a"}]}`, 400, "draft 1"},
		{"POST " + corp + "/messages", `{"raw":[{"text":"e30=","spoil":"x"}]}`, 400, "unknown"},
		{"POST " + corp + "/messages", `{"raw":[{"text":"e30="},{"text":"e30=","key_version":9}]}`, 400, "raw message 1 (earlier raw messages are sent): public key version 9 unknown"},
		{"POST " + corp + "/redeliver", `{"msgid":"x"}`, 400, "not archived"},
		{"POST " + corp + "/chatter", `{"rate":-2}`, 400, "rate is not above 0"},
		{"POST " + corp + "/age", `{"by":"long"}`, 400, "not a duration"},
		{"POST " + corp + "/age", `{"by":"-1h"}`, 400, "age negative"},
		{"POST " + corp + "/consent", `{"customer":"bob","member":"lin.hua"}`, 400, "not a customer"},
		{"POST " + corp + "/events", `{"copies":1000}`, 400, "1 to 100"},
		{"POST " + corp + "/events", `{"app":true}`, 400, "app's callback not set"},
		{"PUT " + corp + "/app", `{"trusted_ips":["x"]}`, 400, "not an IP address or CIDR range"},
		{"PUT /choices", `{"unanswered":"maybe"}`, 400, "unanswered"},
		{"GET " + corp + "/sent?after=x", "", 400, "not a number"},
		{"DELETE " + corp, "", 405, ""},
	} {
		if code, text := c.do(test.command, test.body, nil); code != test.code || !strings.Contains(text, test.want) {
			t.Errorf("%s %s: got %d %s, want %d and %q", test.command, test.body, code, text, test.code, test.want)
		}
	}
}

func TestConsoleRefusesOtherMachines(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	for name, change := range map[string]func(*http.Request){
		"remote address":    func(r *http.Request) { r.RemoteAddr = "203.0.113.9:1234" },
		"foreign host name": func(r *http.Request) { r.Host = "evil.example.com" },
		"foreign page":      func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
	} {
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8080/corps", bytes.NewReader(nil))
		r.RemoteAddr = "127.0.0.1:1234"
		change(r)
		rec := httptest.NewRecorder()
		w.Control().ServeHTTP(rec, r)
		if rec.Code != http.StatusForbidden {
			t.Errorf("%s: got %d, want 403", name, rec.Code)
		}
	}
}

// Many goroutines use a Sim at the same time, for the race detector.
func TestConcurrentUse(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	corps := []*wecom.Corp{w.add(fullCorp(corpA)), w.add(fullCorp(corpB))}
	r := newReceiver(t)
	if err := corps[0].SetCallback(t.Context(), r.config()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, c := range corps {
		query := "/cgi-bin/gettoken?corpid=" + c.ID() + "&corpsecret=" + c.Secret()
		do := func(f func(i int) error) {
			all.Go(func() {
				for i := range 20 {
					if err := f(i); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		do(func(int) error { _, err := c.Mixed(5); return err })
		do(func(int) error { _, err := c.Mixed(5); return err })
		do(func(int) error {
			token, err := ask(t.Context(), w.api.Client(), w.api.URL+query, nil)
			if err != nil {
				return err
			}
			_, err = ask(t.Context(), w.api.Client(), w.api.URL+pathPage+"?access_token="+token.Token, map[string]int{"seq": 0, "limit": 50})
			return err
		})
		do(func(int) error { c.InvalidateTokens(); c.Details(); w.Stats(); return nil })
		do(func(i int) error { return c.SetFaults(wecom.Faults{PageBytes: 100000 + i}) })
		do(func(int) error { return c.StartChatter(50) })
		do(func(int) error { w.clock.Advance(time.Second); return nil })
	}
	all.Wait()
	w.Close()
	if err := corps[0].StartChatter(1); err == nil {
		t.Error("StartChatter after Close: got no error")
	}
}
