// Package gateway serves API Gateway's HTTP API events (payload format 2.0)
// with a net/http handler.
//
// The package aws-lambda-go-api-proxy serves the same events for any framework.
// It was rejected: it reads an address from the environment, splits headers at
// commas, fails the invocation on a path with a stray percent sign, and guesses
// content types. It also answers binary bodies that are valid UTF-8 as text, which
// Lambda's JSON may enlarge to six times their size, over Lambda's limit.
package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// MaxBody is the largest body of an answer, in bytes. As base64 it has 5.6 million
// characters, and Lambda accepts 6 MB for the whole answer.
const MaxBody = 4 << 20

// Event is the part of API Gateway's event that the API reads. The event type of
// aws-lambda-go takes claims that are strings only: with any other claim Lambda
// would fail before it called this code.
type Event struct {
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	RequestContext  struct {
		RequestID  string `json:"requestId"`
		DomainName string `json:"domainName"`
		HTTP       struct {
			Method   string `json:"method"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
		Authorizer struct {
			JWT struct {
				Claims Claims `json:"claims"`
			} `json:"jwt"`
		} `json:"authorizer"`
	} `json:"requestContext"`
}

// Claims are the claims of a token as texts. A claim that is not a string is
// its JSON text. A claim that is null is absent.
type Claims map[string]string

// UnmarshalJSON implements [json.Unmarshaler].
func (c *Claims) UnmarshalJSON(b []byte) error {
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(b, &claims); err != nil {
		return fmt.Errorf("claims are not a JSON object: %w", err)
	}
	*c = make(Claims, len(claims))
	for name, value := range claims {
		var text string
		switch {
		case string(value) == "null":
		case json.Unmarshal(value, &text) == nil:
			(*c)[name] = text
		default:
			(*c)[name] = string(value)
		}
	}
	return nil
}

// maxText is the largest body that is answered as text, in bytes. JSON may need six
// characters for a byte.
const maxText = 512 << 10

// Request is what API Gateway reports about a request in addition to HTTP.
type Request struct {
	ID string
	// Claims are the claims of the token, which API Gateway has verified; nil for a
	// route without a token. API Gateway writes an array as "[a b]".
	Claims Claims
}

type contextKey struct{}

// From returns the Request of the event that ctx belongs to.
func From(ctx context.Context) Request {
	r, _ := ctx.Value(contextKey{}).(Request)
	return r
}

// Serve answers one event. It fails if the event is malformed, or if the handler
// answers more than [MaxBody].
//
// Serve does not decode the path. API Gateway decodes it and a custom domain may
// not; no path of the API needs a percent sign. Serve parses the query string as
// sent, because API Gateway's decoded copy does not distinguish a comma within a
// value from a repeated parameter.
func Serve(ctx context.Context, h http.Handler, e Event) (events.APIGatewayV2HTTPResponse, error) {
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return events.APIGatewayV2HTTPResponse{}, fmt.Errorf("body of request %s not base64", e.RequestContext.RequestID)
		}
	}
	about := Request{ID: e.RequestContext.RequestID, Claims: e.RequestContext.Authorizer.JWT.Claims}
	r, err := http.NewRequestWithContext(context.WithValue(ctx, contextKey{}, about), e.RequestContext.HTTP.Method, "/", bytes.NewReader(body))
	if err != nil {
		return events.APIGatewayV2HTTPResponse{}, fmt.Errorf("method of request %s malformed", about.ID)
	}
	r.URL = &url.URL{Path: e.RawPath, RawQuery: e.RawQueryString}
	r.Host, r.RemoteAddr = e.RequestContext.DomainName, e.RequestContext.HTTP.SourceIP
	for name, value := range e.Headers {
		r.Header.Set(name, value)
	}
	w := writer{header: make(http.Header)}
	h.ServeHTTP(&w, r)
	return w.response()
}

// writer collects an answer.
type writer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *writer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

func (w *writer) response() (events.APIGatewayV2HTTPResponse, error) {
	w.WriteHeader(http.StatusOK)
	if w.body.Len() > MaxBody {
		return events.APIGatewayV2HTTPResponse{}, fmt.Errorf("answer of %d bytes exceeds %d", w.body.Len(), MaxBody)
	}
	resp := events.APIGatewayV2HTTPResponse{StatusCode: w.status, Headers: make(map[string]string, len(w.header))}
	for name, values := range w.header {
		resp.Headers[name] = strings.Join(values, ", ")
	}
	if b := w.body.Bytes(); isText(w.header.Get("Content-Type")) && len(b) <= maxText && utf8.Valid(b) {
		resp.Body = string(b)
	} else {
		resp.Body, resp.IsBase64Encoded = base64.StdEncoding.EncodeToString(b), true
	}
	return resp, nil
}

func isText(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return kind == "" || strings.HasPrefix(kind, "text/") || kind == "application/json" || kind == "application/problem+json"
}
