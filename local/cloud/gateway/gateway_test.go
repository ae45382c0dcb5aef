package gateway_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/golang-jwt/jwt/v5"

	"github.com/yunduo-scrm/archive/local/cloud/gateway"
	"github.com/yunduo-scrm/archive/local/cloud/lambda"
)

var at = time.Date(2026, 3, 12, 19, 3, 58, 390e6, time.UTC)

const issuer, audience = "http://issuer", "archive"

// function is an invoker that keeps the event and gives a fixed answer.
type function struct {
	event  []byte
	answer string
	err    error
	wait   bool // waits until the caller gives up
}

func (f *function) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	f.event = event
	if f.wait {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []byte(f.answer), f.err
}

// makeTokens makes one issuer for all tests, because a key takes a while to
// make.
var makeTokens = sync.OnceValues(func() (*gateway.Issuer, error) {
	return gateway.NewIssuer(issuer, []string{audience}, func() time.Time { return at })
})

func tokens(t *testing.T) *gateway.Issuer {
	t.Helper()
	i, err := makeTokens()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

type fixture struct {
	function *function
	tokens   *gateway.Issuer
	server   *httptest.Server
}

func start(t *testing.T, routes ...gateway.Route) *fixture {
	t.Helper()
	f := &fixture{function: &function{answer: `{"statusCode":204}`}, tokens: tokens(t)}
	if routes == nil {
		routes = []gateway.Route{
			{Method: "GET", Path: "/health", Open: true},
			{Method: "POST", Path: "/callback/{corpid}", Open: true},
			{Method: "ANY", Path: "/v1/{proxy+}"},
		}
	}
	for n := range routes {
		if routes[n].Function == nil {
			routes[n].Function = f.function
		}
	}
	g := gateway.New(gateway.Config{
		Account: "123456789012", Routes: routes, Tokens: f.tokens, TimeLimit: 200 * time.Millisecond,
		Now: func() time.Time { return at }, NewID: func() string { return "id" },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	f.server = httptest.NewServer(g)
	t.Cleanup(f.server.Close)
	return f
}

func (f *fixture) token(t *testing.T, claims map[string]any) string {
	t.Helper()
	token, err := f.tokens.Token(time.Hour, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// do sends a request. headers alternates names and values.
func (f *fixture) do(t *testing.T, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(headers); n += 2 {
		r.Header.Add(headers[n], headers[n+1])
	}
	got, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	raw, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got, string(raw)
}

// TestEvent compares the event with AWS's example of format 2.0.
func TestEvent(t *testing.T) {
	t.Parallel()
	f := start(t)
	token := f.token(t, map[string]any{"sub": "lin", "corp": "ww1", "n": 7, "ok": true, "groups": []string{"a", "b"}})
	f.do(t, "POST", "/v1/my%20path/%E4%BA%91?parameter1=value1&parameter1=value2&parameter2=a%20b", "{\r\n\t\"a\": 1\r\n}",
		"Authorization", "Bearer "+token, "Content-Type", "application/json",
		"Cookie", "cookie1; cookie2=x", "X-Two", "value1", "X-Two", "value2", "User-Agent", "agent")
	var got map[string]any
	if err := json.Unmarshal(f.function.event, &got); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(f.server.URL, "http://")
	_, port, _ := strings.Cut(host, ":")
	want := map[string]any{
		"version": "2.0", "routeKey": "ANY /v1/{proxy+}", "rawPath": "/v1/my path/云",
		"rawQueryString":        "parameter1=value1&parameter1=value2&parameter2=a%20b",
		"cookies":               []any{"cookie1", "cookie2=x"},
		"queryStringParameters": map[string]any{"parameter1": "value1,value2", "parameter2": "a b"},
		"pathParameters":        map[string]any{"proxy": "my path/云"},
		"headers": map[string]any{
			"authorization": "Bearer " + token, "content-type": "application/json", "x-two": "value1,value2",
			"user-agent": "agent", "content-length": "13", "accept-encoding": "gzip", "host": host,
			"x-forwarded-for": "127.0.0.1", "x-forwarded-port": port, "x-forwarded-proto": "http",
		},
		"body": "{\r\n\t\"a\": 1\r\n}", "isBase64Encoded": false,
		"requestContext": map[string]any{
			"accountId": "123456789012", "apiId": "local", "domainName": "127.0.0.1", "domainPrefix": "local",
			"requestId": "id", "routeKey": "ANY /v1/{proxy+}", "stage": "$default",
			"time": "12/Mar/2026:19:03:58 +0000", "timeEpoch": float64(at.UnixMilli()),
			"http": map[string]any{
				"method": "POST", "path": "/v1/my path/云", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "agent",
			},
			"authorizer": map[string]any{"jwt": map[string]any{
				"scopes": nil,
				"claims": map[string]any{
					"sub": "lin", "corp": "ww1", "n": "7", "ok": "true", "groups": "[a b]",
					"iss": issuer, "aud": audience, "iat": "1773342238", "nbf": "1773342238", "exp": "1773345838",
				},
			}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		gotJSON, _ := json.MarshalIndent(got, "", " ")
		wantJSON, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("got %s\nwant %s", gotJSON, wantJSON)
	}
	// aws-lambda-go can read the event.
	var typed events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(f.function.event, &typed); err != nil || typed.RequestContext.Authorizer.JWT.Claims["corp"] != "ww1" {
		t.Errorf("aws-lambda-go: got error %v and authorizer %+v", err, typed.RequestContext.Authorizer)
	}
}

func TestEventBody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		contentType, body string
		want              string
		encoded           bool
	}{
		"xml":     {"text/xml; charset=utf-8", "<xml/>", "<xml/>", false},
		"problem": {"application/problem+json", "{}", "{}", false},
		"none":    {"text/plain", "", "", false},
		"form":    {"application/x-www-form-urlencoded", "a=b", "YT1i", true},
		"binary":  {"application/octet-stream", "\xff\x00", "/wA=", true},
		"no type": {"", "abc", "YWJj", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			f.do(t, "POST", "/callback/ww1", c.body, "Content-Type", c.contentType)
			var got events.APIGatewayV2HTTPRequest
			if err := json.Unmarshal(f.function.event, &got); err != nil {
				t.Fatal(err)
			}
			if got.Body != c.want || got.IsBase64Encoded != c.encoded {
				t.Errorf("got %q, encoded %t, want %q, %t", got.Body, got.IsBase64Encoded, c.want, c.encoded)
			}
			if got.RequestContext.Authorizer != nil || got.PathParameters["corpid"] != "ww1" {
				t.Errorf("got authorizer %v and path parameters %v", got.RequestContext.Authorizer, got.PathParameters)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	f := start(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{"iss": issuer, "aud": audience, "exp": at.Add(time.Hour).Unix()}
	sign := func(method jwt.SigningMethod, key any) string {
		token, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, c := range map[string]struct {
		header string
		want   int
	}{
		"good":           {"Bearer " + f.token(t, nil), 204},
		"without scheme": {f.token(t, nil), 204},
		"audience list":  {"Bearer " + f.token(t, map[string]any{"aud": []string{"x", audience}}), 204},
		"no token":       {"", 401},
		"garbage":        {"Bearer x.y.z", 401},
		"basic":          {"Basic " + f.token(t, nil), 401},
		"other key":      {"Bearer " + sign(jwt.SigningMethodRS256, stranger), 401},
		"other method":   {"Bearer " + sign(jwt.SigningMethodHS256, []byte("key")), 401},
		"no signature":   {"Bearer " + sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType), 401},
		"other issuer":   {"Bearer " + f.token(t, map[string]any{"iss": "http://other"}), 401},
		"other audience": {"Bearer " + f.token(t, map[string]any{"aud": "other"}), 401},
		"expired":        {"Bearer " + f.token(t, map[string]any{"exp": at.Add(-time.Second).Unix()}), 401},
		"without expiry": {"Bearer " + f.token(t, map[string]any{"exp": nil}), 401},
		"not yet valid":  {"Bearer " + f.token(t, map[string]any{"nbf": at.Add(time.Minute).Unix()}), 401},
		"issued later":   {"Bearer " + f.token(t, map[string]any{"iat": at.Add(time.Minute).Unix()}), 401},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			if c.header != "" {
				headers = []string{"Authorization", c.header}
			}
			got, body := f.do(t, "GET", "/v1/corps", "", headers...)
			if got.StatusCode != c.want {
				t.Fatalf("got %d, want %d", got.StatusCode, c.want)
			}
			if c.want == 401 && (body != `{"message":"Unauthorized"}`+"\n" || got.Header.Get("Www-Authenticate") == "") {
				t.Errorf("got %q and challenge %q", body, got.Header.Get("Www-Authenticate"))
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	named := func(name string) *function { return &function{answer: `{"statusCode":200,"body":"` + name + `"}`} }
	f := start(t,
		gateway.Route{Method: "ANY", Path: "/a/{rest+}", Open: true, Function: named("greedy")},
		gateway.Route{Method: "ANY", Path: "/a/{one}", Open: true, Function: named("variable")},
		gateway.Route{Method: "ANY", Path: "/a/b", Open: true, Function: named("any")},
		gateway.Route{Method: "GET", Path: "/a/b", Open: true, Function: named("get")},
		gateway.Route{Method: "GET", Path: "/", Open: true, Function: named("root")},
	)
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/a/b", "get"}, {"PUT", "/a/b", "any"}, {"GET", "/a/c", "variable"}, {"GET", "/a/b/c", "greedy"},
		{"GET", "/", "root"}, {"GET", "/a", ""}, {"GET", "/a/", ""}, {"GET", "/b", ""}, {"POST", "/", ""},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			got, body := f.do(t, c.method, c.path, "")
			if c.want == "" {
				if got.StatusCode != 404 || body != `{"message":"Not Found"}`+"\n" {
					t.Errorf("got %d %s, want 404", got.StatusCode, body)
				}
				return
			}
			if body != c.want {
				t.Errorf("got %q, want %q", body, c.want)
			}
		})
	}
}

func TestResponses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		function function
		status   int
		body     string
		header   http.Header // expected among the response's headers
	}{
		"full": {
			function{answer: `{"statusCode":201,"headers":{"Content-Type":"text/html","x-n":5},"cookies":["a=1","b=2"],"body":"<p>"}`},
			201, "<p>", http.Header{"Content-Type": {"text/html"}, "X-N": {"5"}, "Set-Cookie": {"a=1", "b=2"}},
		},
		"base64": {
			function{answer: `{"statusCode":200,"body":"/wA=","isBase64Encoded":true}`},
			200, "\xff\x00", http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		},
		"wrong length": {
			function{answer: `{"statusCode":200,"headers":{"content-length":"9"},"body":"text"}`}, 200, "text", http.Header{"Content-Length": {"4"}},
		},
		"bare":            {function{answer: `{"a":1}`}, 200, `{"a":1}`, http.Header{"Content-Type": {"application/json"}}},
		"bare text":       {function{answer: `"a"`}, 200, `"a"`, nil},
		"bad status":      {function{answer: `{"statusCode":9}`}, 500, `{"message":"Internal Server Error"}` + "\n", nil},
		"bad base64":      {function{answer: `{"statusCode":200,"body":"?","isBase64Encoded":true}`}, 500, `{"message":"Internal Server Error"}` + "\n", nil},
		"not JSON":        {function{answer: `x`}, 500, `{"message":"Internal Server Error"}` + "\n", nil},
		"function failed": {function{err: errors.New("secret detail")}, 500, `{"message":"Internal Server Error"}` + "\n", nil},
		"too slow":        {function{wait: true}, 503, `{"message":"Service Unavailable"}` + "\n", nil},
		"event too large": {function{err: lambda.ErrTooLarge}, 413, `{"message":"Request Entity Too Large"}` + "\n", nil},
		"without a body":  {function{answer: `{"statusCode":204}`}, 204, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			*f.function = c.function
			got, body := f.do(t, "GET", "/health", "")
			if got.StatusCode != c.status || body != c.body {
				t.Errorf("got %d %q, want %d %q", got.StatusCode, body, c.status, c.body)
			}
			for name, want := range c.header {
				if !reflect.DeepEqual(got.Header[name], want) {
					t.Errorf("%s: got %q, want %q", name, got.Header[name], want)
				}
			}
			if got.Header.Get("Apigw-Requestid") != "id" {
				t.Error("Apigw-Requestid is missing")
			}
		})
	}
}

func TestRequestTooLarge(t *testing.T) {
	t.Parallel()
	f := start(t)
	got, _ := f.do(t, "POST", "/callback/ww1", strings.Repeat("x", 10*1024*1024+1), "Content-Type", "text/plain")
	if got.StatusCode != http.StatusRequestEntityTooLarge || f.function.event != nil {
		t.Errorf("got %d, want 413 and no invocation", got.StatusCode)
	}
}

// A page of another origin may call if its origin is listed. The browser first
// sends a preflight request without a token, which no function receives.
func TestCORS(t *testing.T) {
	t.Parallel()
	const scrm = "https://scrm.example.com"
	listed := gateway.CORS{Origins: []string{scrm}, Methods: []string{"GET", "PUT"}, Headers: []string{"authorization"}, Expose: []string{"etag"}, MaxAge: time.Hour}
	all := listed
	all.Origins = []string{"*"}
	for name, c := range map[string]struct {
		cors   gateway.CORS
		origin string
		status int    // of the response to the preflight request
		want   string // Access-Control-Allow-Origin
	}{
		"listed":     {listed, scrm, http.StatusNoContent, scrm},
		"not listed": {listed, "https://scrm.example.com.evil.example", http.StatusNoContent, ""},
		"all":        {all, "https://other.example.com", http.StatusNoContent, "*"},
		"no origins": {gateway.CORS{}, scrm, http.StatusNotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPage(t, c.cors, c.origin)
			preflight := p.do(t, "OPTIONS", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
			if got := preflight.Header().Get("Access-Control-Allow-Origin"); preflight.Code != c.status || got != c.want {
				t.Errorf("preflight: got %d, origin %q, want %d, %q", preflight.Code, got, c.status, c.want)
			}
			if c.want != "" {
				expectHeaders(t, preflight.Header(), map[string]string{
					"Access-Control-Allow-Methods": "GET,PUT", "Access-Control-Allow-Headers": "authorization", "Access-Control-Max-Age": "3600",
				})
			}
			if p.function.event != nil {
				t.Error("the function received the preflight request")
			}
			got := p.do(t, "GET", "Authorization", "Bearer "+p.token)
			exposed := map[bool]string{true: "etag", false: ""}[c.want != ""]
			if got.Code != http.StatusNoContent {
				t.Errorf("call: got %d, want 204", got.Code)
			}
			expectHeaders(t, got.Header(), map[string]string{"Access-Control-Allow-Origin": c.want, "Access-Control-Expose-Headers": exposed})
			if got := p.do(t, "GET"); got.Code != http.StatusUnauthorized {
				t.Errorf("without a token: got %d", got.Code)
			}
		})
	}
}

// A page calls a gateway from its own origin.
type page struct {
	gateway  *gateway.Gateway
	function *function
	origin   string
	token    string
}

func newPage(t *testing.T, cors gateway.CORS, origin string) page {
	t.Helper()
	p := page{function: &function{answer: `{"statusCode":204}`}, origin: origin}
	var err error
	if p.token, err = tokens(t).Token(time.Hour, map[string]any{"sub": "lin"}); err != nil {
		t.Fatal(err)
	}
	p.gateway = gateway.New(gateway.Config{
		Routes: []gateway.Route{{Method: "GET", Path: "/v1/{proxy+}", Function: p.function}}, Tokens: tokens(t), CORS: cors,
		Now: func() time.Time { return at }, NewID: func() string { return "id" }, Log: slog.New(slog.DiscardHandler),
	})
	return p
}

// do sends a request of the page. headers alternates names and values.
func (p page) do(t *testing.T, method string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/v1/corps", nil)
	r.Header.Set("Origin", p.origin)
	for n := 0; n < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	w := httptest.NewRecorder()
	p.gateway.ServeHTTP(w, r)
	return w
}

func expectHeaders(t *testing.T, got http.Header, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got.Get(name) != value {
			t.Errorf("%s: got %q, want %q", name, got.Get(name), value)
		}
	}
}
