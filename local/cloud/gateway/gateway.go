// Package gateway stands in for an API Gateway HTTP API: it finds the route,
// verifies the token, turns the request into an event of payload format 2.0
// and the function's answer into a response, within API Gateway's limits.
//
// Sources: docs.aws.amazon.com/apigateway/latest/developerguide, pages
// http-api-develop-integrations-lambda, http-api-develop-routes,
// http-api-jwt-authorizer, http-api-cors, http-api-quotas; what these leave out
// (paths arrive decoded, form bodies in base64) is as observed by users of the
// service.
package gateway

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/local/cloud/lambda"
)

// API Gateway's quotas, which cannot be raised.
const (
	requestLimit = 10 * 1024 * 1024
	timeLimit    = 30 * time.Second
)

// Invoker is a function behind a route. Invoke fails with [lambda.ErrTooLarge]
// if the event is too large for Lambda.
type Invoker interface {
	Invoke(ctx context.Context, event []byte) ([]byte, error)
}

// A Route leads requests to a function.
type Route struct {
	// Method is one, or ANY. Path has variables as {name}, and at its end
	// {name+} for one or more segments.
	Method, Path string
	// Open routes need no token.
	Open     bool
	Function Invoker
}

// Config says what the gateway does. It never changes after [New].
type Config struct {
	Routes []Route
	Tokens *Issuer
	CORS   CORS
	// TimeLimit is the most that a function takes to answer; 0 means API
	// Gateway's 30 s.
	TimeLimit time.Duration
	Now       func() time.Time
	NewID     func() string
	Log       *slog.Logger
}

// CORS is which pages of other origins may call, and how: origins are exact,
// or * for all; without any nothing is said of them.
type CORS struct {
	Origins, Methods, Headers, Expose []string
	MaxAge                            time.Duration
}

// allowed is what a page of that origin is told to be allowed; empty for
// nothing.
func (c CORS) allowed(origin string) string {
	switch {
	case origin == "":
		return ""
	case slices.Contains(c.Origins, "*"):
		return "*"
	case slices.Contains(c.Origins, origin):
		return origin
	}
	return ""
}

// preflight answers a browser that asks whether a page may call. It carries no
// token.
func (c CORS) preflight(w http.ResponseWriter, r *http.Request) {
	if origin := c.allowed(r.Header.Get("Origin")); origin != "" {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", strings.Join(c.Methods, ","))
		h.Set("Access-Control-Allow-Headers", strings.Join(c.Headers, ","))
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(c.MaxAge.Seconds())))
	}
	w.WriteHeader(http.StatusNoContent)
}

// A Gateway answers HTTP requests. Safe for concurrent use.
type Gateway struct {
	cfg    Config
	routes []route // the most specific first
}

type route struct {
	Route
	key      string
	segments []string
}

// New makes a gateway.
func New(cfg Config) *Gateway {
	g := &Gateway{cfg: cfg}
	if g.cfg.TimeLimit == 0 {
		g.cfg.TimeLimit = timeLimit
	}
	for _, r := range cfg.Routes {
		g.routes = append(g.routes, route{r, r.Method + " " + r.Path, strings.Split(strings.Trim(r.Path, "/"), "/")})
	}
	// A full match is preferred to variables, variables to a greedy one, and a
	// method to ANY.
	slices.SortStableFunc(g.routes, func(a, b route) int {
		for n := range min(len(a.segments), len(b.segments)) {
			if c := cmp.Compare(vagueness(a.segments[n]), vagueness(b.segments[n])); c != 0 {
				return c
			}
		}
		return cmp.Or(-cmp.Compare(len(a.segments), len(b.segments)), cmp.Compare(btoi(a.Method == "ANY"), btoi(b.Method == "ANY")))
	})
	return g
}

func vagueness(segment string) int {
	switch {
	case strings.HasSuffix(segment, "+}"):
		return 2
	case strings.HasPrefix(segment, "{"):
		return 1
	}
	return 0
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// match returns the path's variables.
func (r route) match(method, path string) (map[string]string, bool) {
	if r.Method != "ANY" && r.Method != method {
		return nil, false
	}
	if r.Path == "$default" {
		return nil, true
	}
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	vars := map[string]string{}
	for n, s := range r.segments {
		if n >= len(parts) {
			return nil, false
		}
		name := strings.Trim(s, "{+}")
		switch vagueness(s) {
		case 2:
			rest := strings.Join(parts[n:], "/")
			vars[name] = rest
			return vars, rest != ""
		case 1:
			if parts[n] == "" {
				return nil, false
			}
			vars[name] = parts[n]
		default:
			if parts[n] != s {
				return nil, false
			}
		}
	}
	return vars, len(parts) == len(r.segments)
}

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := g.cfg.NewID()
	w.Header().Set("Apigw-Requestid", id)
	for _, route := range g.routes {
		vars, ok := route.match(r.Method, r.URL.Path)
		if !ok {
			continue
		}
		var claims map[string]string
		if !route.Open {
			var err error
			if claims, err = g.cfg.Tokens.verify(r.Header.Get("Authorization")); err != nil {
				challenge := "Bearer"
				if r.Header.Get("Authorization") != "" {
					challenge += ` scope="" error="invalid_token"`
				}
				w.Header().Set("Www-Authenticate", challenge)
				refuse(w, http.StatusUnauthorized, "Unauthorized")
				return
			}
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestLimit))
		if err != nil {
			refuse(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
			return
		}
		if origin := g.cfg.CORS.allowed(r.Header.Get("Origin")); origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", strings.Join(g.cfg.CORS.Expose, ","))
		}
		g.pass(w, r, route, newEvent(r, route, vars, claims, body, id, g.cfg.Now()))
		return
	}
	if len(g.cfg.CORS.Origins) > 0 && r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		g.cfg.CORS.preflight(w, r)
		return
	}
	refuse(w, http.StatusNotFound, "Not Found")
}

// pass invokes the function and answers.
func (g *Gateway) pass(w http.ResponseWriter, r *http.Request, route route, e event) {
	raw, err := json.Marshal(e)
	if err != nil {
		g.cfg.Log.Error("cannot make an event", "route", route.key, "err", err)
		refuse(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.cfg.TimeLimit)
	defer cancel()
	answer, err := route.Function.Invoke(ctx, raw)
	switch {
	case errors.Is(err, lambda.ErrTooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	case errors.Is(err, context.Canceled):
		return // the caller has gone
	case errors.Is(err, context.DeadlineExceeded):
		g.cfg.Log.Error("function is too slow for the API", "route", route.key, "limit", g.cfg.TimeLimit)
		refuse(w, http.StatusServiceUnavailable, "Service Unavailable")
		return
	case err != nil:
		g.cfg.Log.Error("function failed", "route", route.key, "err", err)
		refuse(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	if err := respond(w, answer); err != nil {
		g.cfg.Log.Error("function's answer is no response", "route", route.key, "err", err)
		refuse(w, http.StatusInternalServerError, "Internal Server Error")
	}
}

// refuse answers in API Gateway's own form.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// respond writes the function's answer. After an error nothing is written.
func respond(w http.ResponseWriter, answer []byte) error {
	var a struct {
		StatusCode      *int
		Headers         map[string]any
		Cookies         []string
		Body            string
		IsBase64Encoded bool
	}
	if !json.Valid(answer) {
		return errors.New("not JSON")
	}
	if err := json.Unmarshal(answer, &a); err != nil || a.StatusCode == nil {
		// Whatever is no response object is the body itself.
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
		return nil
	}
	if *a.StatusCode < 100 || *a.StatusCode > 599 {
		return errors.New("impossible status")
	}
	body := []byte(a.Body)
	if a.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(a.Body); err != nil {
			return errors.New("body is not base64")
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	for name, value := range a.Headers {
		switch v := value.(type) {
		case string:
			h.Set(name, v)
		case float64, bool:
			raw, _ := json.Marshal(v)
			h.Set(name, string(raw))
		default:
			return errors.New("a header is no text")
		}
	}
	// The length is that of the body, whatever the function says.
	h.Del("Content-Length")
	for _, c := range a.Cookies {
		h.Add("Set-Cookie", c)
	}
	w.WriteHeader(*a.StatusCode)
	_, _ = w.Write(body)
	return nil
}

// event is payload format 2.0.
type event struct {
	Version               string            `json:"version"`
	RouteKey              string            `json:"routeKey"`
	RawPath               string            `json:"rawPath"`
	RawQueryString        string            `json:"rawQueryString"`
	Cookies               []string          `json:"cookies,omitempty"`
	Headers               map[string]string `json:"headers"`
	QueryStringParameters map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext        requestContext    `json:"requestContext"`
	Body                  string            `json:"body,omitempty"`
	PathParameters        map[string]string `json:"pathParameters,omitempty"`
	IsBase64Encoded       bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	Authorizer   *authorizer `json:"authorizer,omitempty"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         httpContext `json:"http"`
	RequestID    string      `json:"requestId"`
	RouteKey     string      `json:"routeKey"`
	Stage        string      `json:"stage"`
	Time         string      `json:"time"`
	TimeEpoch    int64       `json:"timeEpoch"`
}

type httpContext struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

type authorizer struct {
	JWT struct {
		Claims map[string]string `json:"claims"`
		Scopes []string          `json:"scopes"` // of the route, which has none: null
	} `json:"jwt"`
}

func newEvent(r *http.Request, route route, vars, claims map[string]string, body []byte, id string, now time.Time) event {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, "80"
	}
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		source = r.RemoteAddr
	}
	e := event{
		Version: "2.0", RouteKey: route.key,
		// Decoded, unlike in other kinds of API.
		RawPath:        r.URL.Path,
		RawQueryString: r.URL.RawQuery,
		Headers:        map[string]string{},
		PathParameters: vars,
		RequestContext: requestContext{
			AccountID: "123456789012", APIID: "local", DomainName: host, DomainPrefix: "local",
			HTTP: httpContext{
				Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: source, UserAgent: r.UserAgent(),
			},
			RequestID: id, RouteKey: route.key, Stage: "$default",
			Time: now.UTC().Format("02/Jan/2006:15:04:05 +0000"), TimeEpoch: now.UnixMilli(),
		},
	}
	headers := maps.Clone(map[string][]string(r.Header))
	for _, line := range headers["Cookie"] {
		for c := range strings.SplitSeq(line, ";") {
			e.Cookies = append(e.Cookies, strings.TrimSpace(c))
		}
	}
	delete(headers, "Cookie")
	headers["Host"] = []string{r.Host}
	if len(body) > 0 {
		headers["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	headers["X-Forwarded-For"] = append(slices.Clone(headers["X-Forwarded-For"]), source)
	headers["X-Forwarded-Port"] = []string{port}
	headers["X-Forwarded-Proto"] = []string{"http"}
	for name, values := range headers {
		e.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	for name, values := range r.URL.Query() {
		if e.QueryStringParameters == nil {
			e.QueryStringParameters = map[string]string{}
		}
		e.QueryStringParameters[name] = strings.Join(values, ",")
	}
	if claims != nil {
		e.RequestContext.Authorizer = &authorizer{}
		e.RequestContext.Authorizer.JWT.Claims = claims
	}
	if len(body) > 0 {
		if isText(r.Header.Get("Content-Type")) {
			e.Body = string(body)
		} else {
			e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
		}
	}
	return e
}

// isText tells the bodies that are passed on as they are.
func isText(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch kind {
	case "application/json", "application/javascript", "application/xml":
		return true
	}
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml")
}
