package apitest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
)

// Token is the claims of a token.
type Token map[string]string

// TokenOf makes the token of a role in a corp. A reader may see every message.
func TokenOf(corp string, r session.Role) Token {
	t := Token{"sub": "u-" + string(r), "corp": corp, "role": string(r), "aud": "yunduo-archive"}
	if r == session.Reader {
		t["staff"] = "*"
	}
	return t
}

// With is the token with another claim.
func (t Token) With(name, value string) Token {
	c := maps.Clone(t)
	c[name] = value
	return c
}

// Without is the token without a claim.
func (t Token) Without(name string) Token {
	c := maps.Clone(t)
	delete(c, name)
	return c
}

// As is the token of a role in the first corp of the world.
func (w *World) As(r session.Role) Token { return TokenOf(w.Corp, r) }

// Host is the host at which API Gateway gets the requests of tests. It is not the
// one of the world's public address.
const Host = "api1234567.execute-api.cn-north-1.amazonaws.com.cn"

// Request is what a test sends. Who is nil for a request without a token.
type Request struct {
	Who          Token
	Method, Path string // the path includes the query string
	Body         any    // a string is sent as it is, anything else as JSON
	Header       map[string]string
	// Unchecked: openapi.yaml is not asked about the answer, which takes most of the
	// time of a request. For a request that a test repeats.
	Unchecked bool
}

// Response is an answer, decoded.
type Response struct {
	t      *testing.T
	Status int
	Header http.Header
	Body   []byte
	Sent   int // bytes of the body as sent, perhaps compressed
}

// Do sends a request as API Gateway would. It compares the answer with
// openapi.yaml, and the request too if it succeeded.
func (w *World) Do(r Request) Response {
	w.T.Helper()
	return w.Within(w.T.Context(), r)
}

// Within is Do in a context, for example one in which a store hangs (see [Hanging]).
func (w *World) Within(ctx context.Context, r Request) Response {
	w.T.Helper()
	e, body := event(w.T, r)
	resp, err := w.Server.Handle(ctx, e)
	if err != nil {
		w.T.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	out := Response{t: w.T, Status: resp.StatusCode, Header: http.Header{}, Body: []byte(resp.Body)}
	if resp.IsBase64Encoded {
		if out.Body, err = base64.StdEncoding.DecodeString(resp.Body); err != nil {
			w.T.Fatal(err)
		}
	}
	for name, v := range resp.Headers {
		out.Header.Set(name, v)
	}
	out.Sent = len(out.Body)
	if out.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(out.Body))
		OK(w.T, err)
		out.Body, err = io.ReadAll(z)
		OK(w.T, err)
	}
	if !r.Unchecked {
		conforms(w.T, e, body, out)
	}
	return out
}

// Get sends a GET request with a token.
func (w *World) Get(who Token, path string) Response {
	w.T.Helper()
	return w.Do(Request{Who: who, Method: "GET", Path: path})
}

// Send sends a request with a token and a body.
func (w *World) Send(who Token, method, path string, body any) Response {
	w.T.Helper()
	return w.Do(Request{Who: who, Method: method, Path: path, Body: body})
}

// Want checks the status and returns the response.
func (r Response) Want(status int) Response {
	r.t.Helper()
	if r.Status != status {
		r.t.Fatalf("got status %d, want %d: %.600s", r.Status, status, r.Body)
	}
	return r
}

// Into decodes the body.
func Into[T any](r Response) T {
	r.t.Helper()
	var v T
	if err := json.Unmarshal(r.Body, &v); err != nil {
		r.t.Fatalf("body %.200s: %v", r.Body, err)
	}
	return v
}

// Problem is what tests read of a problem.
type Problem struct {
	Type   string
	Title  string
	Detail string
	Errors []struct{ Field, Rule, Remedy string }
}

// Rules lists the mistakes of a problem as "field:rule".
func (r Response) Rules() string {
	r.t.Helper()
	var list []string
	for _, e := range Into[Problem](r).Errors {
		list = append(list, e.Field+":"+e.Rule)
	}
	return strings.Join(list, " ")
}

// WantProblem checks the status and the kind of a problem.
func (r Response) WantProblem(status int, kind string) Response {
	r.t.Helper()
	r.Want(status)
	if got, want := Into[Problem](r).Type, "urn:yunduo-archive:problem:"+kind; got != want {
		r.t.Errorf("got problem %s, want %s", got, want)
	}
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		r.t.Errorf("got content type %s", got)
	}
	return r
}

// event is the JSON that API Gateway sends, read as Lambda reads it.
func event(t *testing.T, r Request) (gateway.Event, []byte) {
	t.Helper()
	path, query, _ := strings.Cut(r.Path, "?")
	headers := map[string]string{"host": "archive.example.com", "accept-language": "en"}
	var body []byte
	switch b := r.Body.(type) {
	case nil:
	case string:
		body = []byte(b)
	default:
		var err error
		if body, err = json.Marshal(b); err != nil {
			t.Fatal(err)
		}
	}
	if body != nil {
		headers["content-type"] = "application/json"
	}
	for name, v := range r.Header {
		headers[strings.ToLower(name)] = v
	}
	raw := map[string]any{
		"version": "2.0", "routeKey": "ANY /v1/{proxy+}", "rawPath": path, "rawQueryString": query, "headers": headers,
		"requestContext": map[string]any{
			"requestId": "req-1", "domainName": Host, "stage": "$default",
			"http": map[string]any{"method": r.Method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"},
		},
		"body": base64.StdEncoding.EncodeToString(body), "isBase64Encoded": true,
	}
	if r.Who != nil {
		raw["requestContext"].(map[string]any)["authorizer"] = map[string]any{"jwt": map[string]any{"claims": r.Who, "scopes": nil}}
	}
	b, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	var e gateway.Event
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	return e, body
}
