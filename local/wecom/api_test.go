package wecom_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"

	"github.com/yunduo-scrm/archive/local/wecom"
)

const pathPage = "/cgi-bin/message/getchatdata"

func TestTokens(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	first := w.token(corpA, c.Secret())
	if again := w.token(corpA, c.Secret()); again != first {
		t.Error("second gettoken: got another token")
	}
	if app := w.token(corpA, "app-secret-"+corpA); app == first {
		t.Error("app: got the archive's token")
	}
	w.clock.Advance(7199 * time.Second)
	if again := w.token(corpA, c.Secret()); again != first {
		t.Error("got another token before the first expired")
	}
	w.clock.Advance(time.Second)
	pull := func(token string) answer {
		return w.request(pathPage, url.Values{"access_token": {token}}, map[string]int{"seq": 0, "limit": 1})
	}
	if a := pull(first); a.Errcode != 42001 {
		t.Errorf("expired token: got %s, want 42001", a.raw)
	}
	second := w.token(corpA, c.Secret())
	if second == first {
		t.Error("got the expired token again")
	}
	c.InvalidateTokens()
	if a := pull(second); a.raw != `{"errcode":40014,"errmsg":"invalid access_token","chatdata":[]}` {
		t.Errorf("invalidated: got %s", a.raw)
	}
	third, old := w.token(corpA, c.Secret()), c.Secret()
	if c.ResetSecret() == old {
		t.Error("ResetSecret: got the old secret")
	}
	if a := pull(third); a.Errcode != 40014 {
		t.Errorf("token of a reset secret: got %s, want 40014", a.raw)
	}
	if a := w.request("/cgi-bin/gettoken", url.Values{"corpid": {corpA}, "corpsecret": {old}}, nil); a.Errcode != 40001 {
		t.Errorf("old secret: got %s, want 40001", a.raw)
	}
}

func TestExpiresInOfRepeatedToken(t *testing.T) {
	for _, test := range []struct {
		rest bool
		want int
	}{{false, 7200}, {true, 7100}} {
		w := newWorld(t, wecom.Config{Choices: wecom.Choices{TokenTellsRest: test.rest}})
		c := w.add(fullCorp(corpA))
		w.token(corpA, c.Secret())
		w.clock.Advance(100 * time.Second)
		if a := w.request("/cgi-bin/gettoken", url.Values{"corpid": {corpA}, "corpsecret": {c.Secret()}}, nil); a.ExpiresIn != test.want {
			t.Errorf("rest %t: got %d s, want %d", test.rest, a.ExpiresIn, test.want)
		}
	}
}

func TestGettokenRefusals(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	w.add(fullCorp(corpA))
	b := w.add(fullCorp(corpB))
	for _, test := range []struct {
		name  string
		query url.Values
		want  int
	}{
		{"no corpid", url.Values{"corpsecret": {"x"}}, 41002},
		{"unknown corpid", url.Values{"corpid": {"ww00000000nobody"}, "corpsecret": {"x"}}, 40013},
		{"no secret", url.Values{"corpid": {corpA}}, 41004},
		{"wrong secret", url.Values{"corpid": {corpA}, "corpsecret": {"x"}}, 40001},
		{"another corp's secret", url.Values{"corpid": {corpA}, "corpsecret": {b.Secret()}}, 40091},
	} {
		t.Run(test.name, func(t *testing.T) {
			if a := w.request("/cgi-bin/gettoken", test.query, nil); a.Errcode != test.want || a.Token != "" {
				t.Errorf("got %s, want %d", a.raw, test.want)
			}
		})
	}
	if a := w.request("/cgi-bin/gettoken", url.Values{"corpid": {corpA}}, map[string]int{}); a.Errcode != 40058 {
		t.Errorf("by POST: got %s, want 40058", a.raw)
	}
}

func TestWrongSecretsBanAddress(t *testing.T) {
	ip := "203.0.113.9"
	w := newWorld(t, wecom.Config{Choices: wecom.Choices{BanAfter: 3}, ClientIP: func(*http.Request) string { return ip }})
	a, b := w.add(fullCorp(corpA)), w.add(fullCorp(corpB))
	try := func(c *wecom.Corp, secret string) int {
		return w.request("/cgi-bin/gettoken", url.Values{"corpid": {c.ID()}, "corpsecret": {secret}}, nil).Errcode
	}
	for range 2 {
		try(a, "wrong")
	}
	w.clock.Advance(time.Hour)
	for i := range 3 {
		if got := try(a, "wrong"); got != 40001 {
			t.Errorf("try %d of this hour: got %d, want 40001", i+1, got)
		}
	}
	if got := try(b, b.Secret()); got != 45009 {
		t.Errorf("another corp with the right secret: got %d, want 45009", got)
	}
	ip = "203.0.113.10"
	if got := try(b, b.Secret()); got != 0 {
		t.Errorf("from another address: got %d, want 0", got)
	}
	ip = "203.0.113.9"
	w.clock.Advance(time.Hour)
	if got := try(b, b.Secret()); got != 0 {
		t.Errorf("after an hour: got %d, want 0", got)
	}
}

func TestPageRefusals(t *testing.T) {
	hinted := func(text string, code int) string {
		return fmt.Sprintf(`^\{"errcode":%d,"errmsg":"%s, hint: \[\d+_\d+_[0-9a-f]{32}\], from ip: 127\.0\.0\.1, more info at https://open\.work\.weixin\.qq\.com/devtool/query\?e=%d","chatdata":\[\]\}$`, code, text, code)
	}
	for _, test := range []struct {
		name   string
		change func(*wecom.CorpConfig)
		app    bool
		body   any
		want   string
	}{
		{name: "address not trusted", change: func(c *wecom.CorpConfig) { c.TrustedIPs = []string{"203.0.113.0/24", "10.0.0.1"} }, want: hinted("get chatdata whiteip not match", 301042)},
		{name: "no address trusted", change: func(c *wecom.CorpConfig) { c.TrustedIPs = nil }, want: hinted("get chatdata whiteip not match", 301042)},
		{name: "the app's token", app: true, want: hinted("api forbidden", 48002)},
		{name: "expired", change: func(c *wecom.CorpConfig) { c.Expires = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC) }, want: `^\{"errcode":301052,"errmsg":"contract is over time.pls recharge","chatdata":\[\]\}$`},
		{name: "not open", change: func(c *wecom.CorpConfig) { c.Open = false }, want: `^\{"errcode":301053,"errmsg":"corp is not open msgaudit","chatdata":\[\]\}$`},
		{name: "limit 0", body: map[string]int{"seq": 0, "limit": 0}, want: hinted("invalid Request Parameter", 40058)},
		{name: "limit 1001", body: map[string]int{"seq": 0, "limit": 1001}, want: hinted("invalid Request Parameter", 40058)},
		{name: "negative seq", body: map[string]int{"seq": -1, "limit": 1}, want: hinted("invalid Request Parameter", 40058)},
		{name: "not JSON", body: []byte("{seq"), want: hinted("invalid Request Parameter", 40058)},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, wecom.Config{})
			cfg := fullCorp(corpA)
			if test.change != nil {
				test.change(&cfg)
			}
			c := w.add(cfg)
			secret := c.Secret()
			if test.app {
				secret = cfg.App.Secret
			}
			if test.body == nil {
				test.body = map[string]int{"seq": 0, "limit": 1}
			}
			a := w.request(pathPage, url.Values{"access_token": {w.token(corpA, secret)}}, test.body)
			if !regexp.MustCompile(test.want).MatchString(a.raw) {
				t.Errorf("got %s, want %s", a.raw, test.want)
			}
			if got := w.Stats().Corps[corpA].Refused[pathPage]; len(got) != 1 {
				t.Errorf("refusals counted: got %v, want one", got)
			}
		})
	}
	w := newWorld(t, wecom.Config{})
	if a := w.request(pathPage, nil, map[string]int{}); a.Errcode != 41001 {
		t.Errorf("no token: got %s, want 41001", a.raw)
	}
	if a := w.request(pathPage, url.Values{"access_token": {"x"}}, map[string]int{}); a.Errcode != 40014 {
		t.Errorf("unknown token: got %s, want 40014", a.raw)
	}
	if a := w.request("/cgi-bin/msgaudit/get_chat_data", nil, map[string]int{}); a.code != 404 || a.raw != "" {
		t.Errorf("unknown path: got %d %q, want an empty 404", a.code, a.raw)
	}
	if got := w.Stats().Strays[pathPage]; got != 2 {
		t.Errorf("strays: got %d, want 2", got)
	}
}

func TestPullsPerMinute(t *testing.T) {
	w := newWorld(t, wecom.Config{PullsPerMinute: 3})
	a, b := w.add(fullCorp(corpA)), w.add(fullCorp(corpB))
	for i, want := range []int{0, 0, 0, 45009, 45009} {
		if got := w.page(a, 0, 1).Errcode; got != want {
			t.Errorf("call %d: got %d, want %d", i+1, got, want)
		}
	}
	if got := w.page(b, 0, 1).Errcode; got != 0 {
		t.Errorf("another corp: got %d, want 0", got)
	}
	w.clock.Advance(time.Minute)
	if got := w.page(a, 0, 1).Errcode; got != 0 {
		t.Errorf("a minute later: got %d, want 0", got)
	}
}

func TestEmptyPages(t *testing.T) {
	for form, want := range map[wecom.EmptyForm]string{
		wecom.EmptyArray:  `{"errcode":0,"errmsg":"ok","chatdata":[]}`,
		wecom.EmptyAbsent: `{"errcode":0,"errmsg":"ok"}`,
		wecom.EmptyNull:   `{"errcode":0,"errmsg":"ok","chatdata":null}`,
	} {
		w := newWorld(t, wecom.Config{})
		c := w.add(fullCorp(corpA))
		if err := c.SetFaults(wecom.Faults{Empty: form}); err != nil {
			t.Fatal(err)
		}
		if a := w.page(c, 0, 1000); a.raw != want {
			t.Errorf("%q: got %s, want %s", form, a.raw, want)
		}
	}
}

func TestBrokenPages(t *testing.T) {
	type check = func(a answer, seqs []uint64) bool
	for fault, broken := range map[wecom.PageFault]check{
		wecom.PageNotJSON:       func(a answer, _ []uint64) bool { return strings.HasPrefix(a.raw, "<html>") },
		wecom.PageBlank:         func(a answer, _ []uint64) bool { return a.raw == "" && a.code == 200 },
		wecom.PageTruncated:     func(a answer, _ []uint64) bool { return strings.HasPrefix(a.raw, "{") && !json.Valid([]byte(a.raw)) },
		wecom.PageStatus500:     func(a answer, _ []uint64) bool { return a.code == 500 },
		wecom.PageNoErrcode:     func(a answer, _ []uint64) bool { return strings.HasPrefix(a.raw, `{"chatdata":[{"seq"`) },
		wecom.PageNoChatData:    func(a answer, _ []uint64) bool { return a.raw == `{"errcode":0,"errmsg":"ok"}` },
		wecom.PageDuplicateSeq:  func(_ answer, s []uint64) bool { return len(s) == 4 && s[3] == s[0] },
		wecom.PageFallingSeq:    func(_ answer, s []uint64) bool { return len(s) == 3 && s[0] > s[1] && s[1] > s[2] },
		wecom.PageOldSeq:        func(_ answer, s []uint64) bool { return len(s) == 3 && s[0] == 1 },
		wecom.PageMissingSeq:    func(a answer, s []uint64) bool { return s[0] == 0 && strings.Contains(a.raw, `"chatdata":[{"msgid"`) },
		wecom.PageMissingFields: func(a answer, _ []uint64) bool { return strings.Count(a.raw, "encrypt_random_key") == 2 },
		wecom.PageGarbageKeys:   func(a answer, _ []uint64) bool { return strings.Count(a.raw, `"encrypt_random_key":"!`) == 3 },
	} {
		t.Run(string(fault), func(t *testing.T) {
			w := newWorld(t, wecom.Config{})
			c := threeMessages(t, w)
			if err := c.SetFaults(wecom.Faults{Page: fault, PageTimes: 1}); err != nil {
				t.Fatal(err)
			}
			a := w.page(c, 1, 10)
			var seqs []uint64
			for _, r := range a.ChatData {
				seqs = append(seqs, r.Seq)
			}
			if !broken(a, seqs) {
				t.Errorf("got %d, %v, %.200s", a.code, seqs, a.raw)
			}
			if a := w.page(c, 1, 10); a.Errcode != 0 || len(a.ChatData) != 3 || a.ChatData[0].Seq <= 10 {
				t.Errorf("next page: got %.200s, want a whole page", a.raw)
			}
		})
	}
}

// threeMessages adds a corp with three messages, whose seqs are above 10.
func threeMessages(t *testing.T, w *world) *wecom.Corp {
	t.Helper()
	cfg := fullCorp(corpA)
	cfg.FirstSeq = 10
	c := w.add(cfg)
	for range 3 {
		if _, err := c.SendRaw([]byte("{}"), wecom.RawOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestPageTooLarge(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	for range 3 {
		if _, err := c.SendRaw(make([]byte, 3000), wecom.RawOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SetFaults(wecom.Faults{PageBytes: 6000}); err != nil {
		t.Fatal(err)
	}
	if got := w.page(c, 0, 3).Errcode; got != 301058 {
		t.Errorf("three records: got %d, want 301058", got)
	}
	if a := w.page(c, 0, 1); a.Errcode != 0 || len(a.ChatData) != 1 {
		t.Errorf("one record: got %.100s, want a page", a.raw)
	}
}

func TestMarkers(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	var seqs []uint64
	for range 3 {
		s, err := c.SendRaw([]byte("{}"), wecom.RawOptions{})
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, s.Seq)
	}
	const crash = "##standin:crash##"
	if err := c.SetFaults(wecom.Faults{Marker: crash, MarkerSeq: seqs[1]}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"ok", crash, "ok"} {
		if got := w.page(c, seqs[i]-1, 1).Errmsg; got != want {
			t.Errorf("page of record %d: got %q, want %q", i, got, want)
		}
	}
	if err := c.SetFaults(wecom.Faults{Marker: crash}); err != nil {
		t.Fatal(err)
	}
	if got := w.page(c, seqs[2], 1).Errmsg; got != crash {
		t.Errorf("every page: got %q, want %q", got, crash)
	}
}

func TestUnreachableAndDelay(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	if err := c.SetFaults(wecom.Faults{Unreachable: true}); err != nil {
		t.Fatal(err)
	}
	u := w.api.URL + "/cgi-bin/gettoken?" + url.Values{"corpid": {corpA}, "corpsecret": {c.Secret()}}.Encode()
	if a, err := ask(t.Context(), w.api.Client(), u, nil); err == nil {
		t.Errorf("unreachable: got %s, want a closed connection", a.raw)
	}
	if err := c.SetFaults(wecom.Faults{DelayMS: 30}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.token(corpA, c.Secret())
	if took := time.Since(began); took < 30*time.Millisecond {
		t.Errorf("slow: answered after %v", took)
	}
}

func TestFailNext(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	if err := c.FailNext(wecom.Failure{Endpoint: pathPage, Code: -1, Times: 2}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{-1, -1, 0} {
		if got := w.page(c, 0, 1).Errcode; got != want {
			t.Errorf("call %d: got %d, want %d", i+1, got, want)
		}
	}
	if err := c.FailNext(wecom.Failure{Endpoint: pathPage, Code: -1, Body: `{"errcode":7,"errmsg":"quoted"}`}); err != nil {
		t.Fatal(err)
	}
	if got := w.page(c, 0, 1); got.Errcode != 7 || got.Errmsg != "quoted" {
		t.Errorf("call with another body: got %d %q, want 7 and quoted", got.Errcode, got.Errmsg)
	}
	for name, f := range map[string]wecom.Failure{
		"no code": {}, "negative times": {Code: 1, Times: -1}, "unknown path": {Code: 1, Endpoint: "/cgi-bin/nothing"},
	} {
		if err := c.FailNext(f); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestSetFaultsRefusals(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	for name, f := range map[string]wecom.Faults{
		"page": {Page: "x"}, "media": {Media: "x"}, "empty": {Empty: "x"}, "notify": {Notify: "x"}, "delay": {DelayMS: -1},
	} {
		if err := c.SetFaults(f); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestRequestsAsProxy(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	proxy, err := url.Parse(w.api.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}}
	query := "/cgi-bin/gettoken?corpid=" + corpA + "&corpsecret=" + url.QueryEscape(c.Secret())
	if a, err := ask(t.Context(), client, "http://qyapi.weixin.qq.com"+query, nil); err != nil || a.Token == "" {
		t.Errorf("through the proxy: got %s and %v, want a token", a.raw, err)
	}
	if a, err := ask(t.Context(), client, "http://example.com"+query, nil); err != nil || a.code != http.StatusForbidden {
		t.Errorf("to another host: got %d and %v, want 403", a.code, err)
	}
}

func TestMedia(t *testing.T) {
	const path = "/cgi-bin/message/getchatmediadata"
	type part struct{ size, finish, index string }
	for _, test := range []struct {
		name  string
		size  int
		fault wecom.MediaFault
		want  []part
	}{
		{"empty", 0, "", []part{{"0", "1", ""}}},
		{"small", 1000, "", []part{{"1000", "1", ""}}},
		{"one chunk", 524288, "", []part{{"524288", "1", ""}}},
		{"one byte more", 524289, "", []part{{"524288", "0", "Range:bytes=524288-524288"}, {"1", "1", ""}}},
		{"two chunks", 1048576, "", []part{{"524288", "0", "Range:bytes=524288-1048575"}, {"524288", "1", ""}}},
		{"empty tail", 524288, wecom.MediaEmptyTail, []part{{"524288", "0", "Range:bytes=524288-524288"}, {"0", "1", ""}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, wecom.Config{})
			c := w.add(fullCorp(corpA))
			id, sum := sendFile(t, c, wecom.Draft{Size: &test.size})
			if err := c.SetFaults(wecom.Faults{Media: test.fault}); err != nil {
				t.Fatal(err)
			}
			index, all := "", ""
			for i, want := range test.want {
				a := w.call(c, path, map[string]string{"sdkfileid": id, "indexbuf": index})
				got := part{fmt.Sprint(len(a.raw)), a.header.Get("X-Is-Finish"), a.header.Get("X-Out-Index")}
				if got != want || a.header.Get("Content-Type") != "application/octet-stream" {
					t.Fatalf("chunk %d: got %v, want %v", i, got, want)
				}
				index, all = got.index, all+a.raw
			}
			if got := md5.Sum([]byte(all)); hex.EncodeToString(got[:]) != sum || len(all) != test.size {
				t.Errorf("got %d bytes of md5 %x, want %d of %s", len(all), got, test.size, sum)
			}
		})
	}
}

// A voice file of any size consists of whole AMR frames.
func TestVoiceFrames(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	for _, size := range []int{6, 37, 38, 5000, 20000} {
		id, _ := sendFile(t, c, wecom.Draft{Kind: "voice", Size: &size})
		voice := w.call(c, "/cgi-bin/message/getchatmediadata", map[string]string{"sdkfileid": id, "indexbuf": ""}).raw
		frames, isAMR := strings.CutPrefix(voice, "#!AMR\n")
		tones := 0
		for len(frames) >= 32 && frames[0] == 0x3c {
			frames, tones = frames[32:], tones+1
		}
		if !isAMR || len(voice) != size || tones != (size-6)/32 || strings.Trim(frames, "\x7c") != "" {
			t.Errorf("%d bytes: got %d bytes of tone, then %q", size, 32*tones, frames)
		}
	}
}

func TestMediaRefusals(t *testing.T) {
	const path = "/cgi-bin/message/getchatmediadata"
	w := newWorld(t, wecom.Config{})
	a, b := w.add(fullCorp(corpA)), w.add(fullCorp(corpB))
	size := 600000
	id, _ := sendFile(t, a, wecom.Draft{Size: &size})
	get := func(c *wecom.Corp, id, index string) int {
		r := w.call(c, path, map[string]string{"sdkfileid": id, "indexbuf": index})
		return r.Errcode
	}
	for name, test := range map[string]struct {
		corp      *wecom.Corp
		id, index string
		want      int
	}{
		"unknown id":         {a, "x", "", 40007},
		"another corp's id":  {b, id, "", 40007},
		"no range":           {a, id, "undefined", 40058},
		"past the end":       {a, id, "Range:bytes=600000-600001", 40058},
		"end before begin":   {a, id, "Range:bytes=5-4", 40058},
		"more than a chunk":  {a, id, "Range:bytes=0-524288", 40058},
		"far past the end":   {a, id, "Range:bytes=999999999999999999-999999999999999999", 40058},
		"middle of the file": {a, id, "Range:bytes=100-199", 0},
	} {
		if got := get(test.corp, test.id, test.index); got != test.want {
			t.Errorf("%s: got %d, want %d", name, got, test.want)
		}
	}
	w.clock.Advance(120 * time.Hour)
	if got := get(a, id, ""); got != 301048 {
		t.Errorf("after five days: got %d, want 301048", got)
	}
	if err := a.SetTrustedIPs(); err != nil {
		t.Fatal(err)
	}
	if got := get(a, id, ""); got != 301042 {
		t.Errorf("address not trusted: got %d, want 301042", got)
	}
}

func TestMediaFaults(t *testing.T) {
	const path = "/cgi-bin/message/getchatmediadata"
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	size := 1000
	id, sum := sendFile(t, c, wecom.Draft{Size: &size})
	get := func(f wecom.MediaFault) answer {
		if err := c.SetFaults(wecom.Faults{Media: f, MediaTimes: 1}); err != nil {
			t.Fatal(err)
		}
		return w.call(c, path, map[string]string{"sdkfileid": id})
	}
	if a := get(wecom.MediaCorrupt); md5Hex(a.raw) == sum || len(a.raw) != size {
		t.Errorf("corrupt: got %d bytes with the right md5", len(a.raw))
	}
	if a := get(wecom.MediaNoIndex); a.header.Get("X-Is-Finish") != "0" || a.header.Get("X-Out-Index") != "" {
		t.Errorf("no index: got %v", a.header)
	}
	if a := get(wecom.MediaNotJSON); a.code != http.StatusBadGateway {
		t.Errorf("not JSON: got %d, want 502", a.code)
	}
	if a := w.call(c, path, map[string]string{"sdkfileid": id}); md5Hex(a.raw) != sum {
		t.Error("the fault lasts longer than MediaTimes")
	}
	_, wrong := sendFile(t, c, wecom.Draft{Size: &size, MD5: wecom.MD5Wrong})
	if len(wrong) != 32 {
		t.Errorf("wrong md5: got %q", wrong)
	}
}

func TestPicturesDecode(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	c := w.add(fullCorp(corpA))
	for kind, format := range map[string]string{"image": "jpeg", "emotion": "gif", "emotion/png": "png"} {
		id, _ := sendFile(t, c, wecom.Draft{Kind: kind})
		a := w.call(c, "/cgi-bin/message/getchatmediadata", map[string]string{"sdkfileid": id})
		if _, got, err := image.Decode(strings.NewReader(a.raw)); err != nil || got != format {
			t.Errorf("%s: got %s and %v, want %s", kind, got, err, format)
		}
	}
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// sendFile sends a file and reads its id and md5 from the message.
func sendFile(t *testing.T, c *wecom.Corp, d wecom.Draft) (id, sum string) {
	t.Helper()
	d.From, d.To = "lin.hua", []string{"0042"}
	if d.Kind == "" {
		d.Kind = "file"
	}
	s, err := c.Send(d)
	if err != nil {
		t.Fatal(err)
	}
	field := func(name string) string {
		m := regexp.MustCompile(`"` + name + `":"([^"]*)"`).FindSubmatch(s.Plain)
		if m == nil {
			t.Fatalf("no %s in %s", name, s.Plain)
		}
		return string(m[1])
	}
	return field("sdkfileid"), field("md5sum")
}

func TestDirectory(t *testing.T) {
	const member, hidden, customer, lost = "lin.hua", "0042", "wmcustomer0000000001", "wmcustomer0000000002"
	w := newWorld(t, wecom.Config{})
	created := w.clock.Now().Add(-time.Hour)
	c := w.add(wecom.CorpConfig{
		ID: corpA, Open: true, Scope: []string{member, hidden}, Seats: 1, TrustedIPs: []string{"127.0.0.1"}, Edition: 2,
		Staff:     []wecom.Staff{{UserID: member, Name: "林华"}, {UserID: hidden, Name: "藏"}},
		Customers: []wecom.Customer{{ExternalUserID: customer, Name: "客", Followers: []string{member, hidden}}, {ExternalUserID: lost, Name: "失"}},
		Rooms: []wecom.Room{
			{ID: "wrinternal", Name: "项目群", Kind: wecom.InternalRoom, Owner: member, Members: []string{member, hidden}, CreatedAt: created},
			{ID: "wrcustomer", Name: "客户群", Kind: wecom.CustomerRoom, Owner: member, Members: []string{member, customer}, CreatedAt: created},
			{ID: "wrforeign", Kind: wecom.ForeignRoom, Members: []string{member, customer}},
		},
		Robots: []wecom.Robot{{ID: "wbrobot", Name: "机器人", Creator: member}},
		App:    wecom.AppConfig{Secret: "app", TrustedIPs: []string{"127.0.0.1"}, Visible: []string{member}, Contacts: true},
	})
	w.add(wecom.CorpConfig{ID: corpB, Rooms: []wecom.Room{{ID: "wrtheirs", Kind: wecom.InternalRoom}}})
	w.clock.Advance(time.Second)
	if _, err := c.Send(wecom.Draft{From: customer, To: []string{member}, Kind: "disagree", Time: time.Unix(1767225826, 0)}); err != nil {
		t.Fatal(err)
	}
	pairs := func(n int, userid, customer string) map[string]any {
		var list []map[string]string
		for range n {
			list = append(list, map[string]string{"userid": userid, "exteranalopenid": customer})
		}
		return map[string]any{"info": list}
	}
	for _, test := range []struct {
		name, path, query string
		body              any
		app               bool
		code              int
		want              string // part of the answer
	}{
		{name: "permit list limited by seats", path: "msgaudit/get_permit_user_list", body: map[string]int{}, want: `"ids":["lin.hua"]`},
		{name: "permit list of the edition", path: "msgaudit/get_permit_user_list", body: map[string]int{"type": 2}, want: `"ids":["lin.hua"]`},
		{name: "permit list of another edition", path: "msgaudit/get_permit_user_list", body: map[string]int{"type": 1}, want: `"ids":[]`},
		{name: "permit list of an unknown edition", path: "msgaudit/get_permit_user_list", body: map[string]int{"type": 4}, code: 40058, want: `"ids":[]`},
		{name: "permit list for the app", path: "msgaudit/get_permit_user_list", body: map[string]int{}, app: true, code: 48002, want: `"ids":[]`},
		{name: "permit list by GET", path: "msgaudit/get_permit_user_list", code: 40058},
		{name: "consent", path: "msgaudit/check_single_agree", body: pairs(1, member, customer), want: `{"status_change_time":1767225826,"userid":"lin.hua","exteranalopenid":"wmcustomer0000000001","agree_status":"Disagree"}`},
		{name: "consent by default", path: "msgaudit/check_single_agree", body: pairs(1, member, lost), want: `"agree_status":"Default_Agree"`},
		{name: "consent of 100", path: "msgaudit/check_single_agree", body: pairs(100, member, lost), want: `"agreeinfo":[{`},
		{name: "consent of 101", path: "msgaudit/check_single_agree", body: pairs(101, member, lost), code: 301060},
		{name: "consent of an unknown customer", path: "msgaudit/check_single_agree", body: pairs(1, member, "wmnobody"), code: 301061},
		{name: "consent to an unknown member", path: "msgaudit/check_single_agree", body: pairs(1, "nobody", lost), code: 301061},
		{name: "consent in a room", path: "msgaudit/check_room_agree", body: map[string]string{"roomid": "wrcustomer"}, want: `"agreeinfo":[{"status_change_time":0,"exteranalopenid":"wmcustomer0000000001","agree_status":"Default_Agree"}]`},
		{name: "consent in an internal room", path: "msgaudit/check_room_agree", body: map[string]string{"roomid": "wrinternal"}, want: `"agreeinfo":[]`},
		{name: "internal room", path: "msgaudit/groupchat/get", body: map[string]string{"roomid": "wrinternal"}, want: `"roomname":"项目群","creator":"lin.hua","room_create_time":1767250800,"notice":"","members":[{"memberid":"lin.hua","jointime":1767250800}`},
		{name: "customers' room as internal", path: "msgaudit/groupchat/get", body: map[string]string{"roomid": "wrcustomer"}, code: 301059},
		{name: "foreign room", path: "msgaudit/groupchat/get", body: map[string]string{"roomid": "wrforeign"}, code: 92002},
		{name: "another corp's room", path: "msgaudit/groupchat/get", body: map[string]string{"roomid": "wrtheirs"}, code: 92002},
		{name: "unknown room", path: "msgaudit/groupchat/get", body: map[string]string{"roomid": "wrnothing"}, code: 301059},
		{name: "no room", path: "msgaudit/groupchat/get", body: map[string]int{"roomid": 1}, code: 40058},
		{name: "robot", path: "msgaudit/get_robot_info", query: "robot_id=wbrobot", want: `"data":{"robot_id":"wbrobot","name":"机器人","creator_userid":"lin.hua"}`},
		{name: "unknown robot", path: "msgaudit/get_robot_info", query: "robot_id=wb", code: 40058},
		{name: "callback addresses", path: "getcallbackip", want: `"ip_list":["127.0.0.1"]`},
		{name: "api addresses, for the app", path: "get_api_domain_ip", app: true, want: `"ip_list":[`},
		{name: "user", path: "user/get", query: "userid=lin.hua", app: true, want: `"userid":"lin.hua","name":"林华"`},
		{name: "user out of range", path: "user/get", query: "userid=0042", app: true, code: 60011},
		{name: "unknown user", path: "user/get", query: "userid=nobody", app: true, code: 60111},
		{name: "user with the archive secret", path: "user/get", query: "userid=lin.hua", code: 48002},
		{name: "customer", path: "externalcontact/get", query: "external_userid=" + customer, app: true, want: `"external_contact":{"external_userid":"wmcustomer0000000001","name":"客"`},
		{name: "customer without followers", path: "externalcontact/get", query: "external_userid=" + lost, app: true, code: 84061},
		{name: "invalid customer id", path: "externalcontact/get", query: "external_userid=x", app: true, code: 40096},
		{name: "customer with the archive secret", path: "externalcontact/get", query: "external_userid=" + customer, code: 48002},
		{name: "customers' room", path: "externalcontact/groupchat/get", body: map[string]any{"chat_id": "wrcustomer", "need_name": 1}, app: true, want: `"group_chat":{"chat_id":"wrcustomer","name":"客户群","owner":"lin.hua"`},
		{name: "internal room as customers'", path: "externalcontact/groupchat/get", body: map[string]any{"chat_id": "wrinternal"}, app: true, code: 40058},
		{name: "foreign room as customers'", path: "externalcontact/groupchat/get", body: map[string]any{"chat_id": "wrforeign"}, app: true, code: 92002},
	} {
		t.Run(test.name, func(t *testing.T) {
			secret := c.Secret()
			if test.app {
				secret = "app"
			}
			query, err := url.ParseQuery(test.query)
			if err != nil {
				t.Fatal(err)
			}
			query.Set("access_token", w.token(corpA, secret))
			a := w.request("/cgi-bin/"+test.path, query, test.body)
			if a.Errcode != test.code || !strings.Contains(a.raw, test.want) {
				t.Errorf("got %s, want %d and %s", a.raw, test.code, test.want)
			}
		})
	}
}

func TestForeignAddressChoices(t *testing.T) {
	for _, test := range []struct {
		choices          wecom.Choices
		permitted, users int
	}{
		{wecom.Choices{}, 301042, 48002},
		{wecom.Choices{ForeignIPCode: 60020, ArchiveReadsUsers: true}, 60020, 0},
		{wecom.Choices{ForeignIPCode: -1}, 0, 48002},
	} {
		w := newWorld(t, wecom.Config{Choices: test.choices})
		cfg := fullCorp(corpA)
		cfg.TrustedIPs, cfg.App.TrustedIPs = nil, nil
		c := w.add(cfg)
		if a := w.call(c, "/cgi-bin/msgaudit/get_permit_user_list", map[string]int{}); a.Errcode != test.permitted {
			t.Errorf("%+v: permit list: got %d, want %d", test.choices, a.Errcode, test.permitted)
		}
		token := w.token(corpA, c.Secret())
		if a := w.request("/cgi-bin/user/get", url.Values{"access_token": {token}, "userid": {"lin.hua"}}, nil); a.Errcode != test.users {
			t.Errorf("%+v: user: got %d, want %d", test.choices, a.Errcode, test.users)
		}
		token = w.token(corpA, cfg.App.Secret)
		if a := w.request("/cgi-bin/user/get", url.Values{"access_token": {token}, "userid": {"lin.hua"}}, nil); a.Errcode != 60020 {
			t.Errorf("app from a foreign address: got %d, want 60020", a.Errcode)
		}
	}
}

func TestConnectIsRefused(t *testing.T) {
	w := newWorld(t, wecom.Config{})
	rec := httptest.NewRecorder()
	w.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodConnect, "http://qyapi.weixin.qq.com:443", nil))
	if rec.Code != http.StatusForbidden {
		t.Errorf("got %d, want 403", rec.Code)
	}
}
