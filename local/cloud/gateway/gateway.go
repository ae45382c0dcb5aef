// Package gateway stands in for an API Gateway HTTP API. A [Gateway] finds the
// route of a request, verifies the token, turns the request into an event of
// payload format 2.0, and turns the function's answer into a response. It keeps
// API Gateway's limits.
//
// Sources: docs.aws.amazon.com/apigateway/latest/developerguide, pages
// http-api-develop-integrations-lambda, http-api-develop-routes,
// http-api-jwt-authorizer, http-api-cors, http-api-quotas. These pages leave out
// that paths arrive decoded and that form bodies arrive in base64. Users of the
// service observed both.
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

// API Gateway's fixed quotas.
const (
	requestLimit = 10 * 1024 * 1024
	timeLimit    = 30 * time.Second
)

// An Invoker is the function of a route. Invoke fails with
// [lambda.ErrTooLarge] if the event is too large for Lambda.
type Invoker interface {
	Invoke(ctx context.Context, event []byte) ([]byte, error)
}

// A Route leads requests to a function.
type Route struct {
	// Method is a method such as GET, or ANY. In Path, {name} matches one
	// segment, and {name+} at the end matches one or more segments.
	Method, Path string
	// Open means that requests need no token.
	Open     bool
	Function Invoker
}

// Config describes a gateway. It never changes after [New].
type Config struct {
	// Account is the AWS account that events name.
	Account string
	Routes  []Route
	Tokens  *Issuer
	CORS    CORS
	// TimeLimit is the longest time that a function may take to answer. 0
	// means API Gateway's 30 s.
	TimeLimit time.Duration
	Now       func() time.Time
	NewID     func() string
	Log       *slog.Logger
}

// CORS says which web pages of other origins may call the API, and how. An
// origin is exact, or * for all origins. Without Origins, responses carry no
// CORS headers.
type CORS struct {
	Origins, Methods, Headers, Expose []string
	MaxAge                            time.Duration
}

// allowedOrigin is the Access-Control-Allow-Origin for a page of the given
// origin. Empty means that the page may not call.
func (c CORS) allowedOrigin(origin string) string {
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

// preflight answers the request in which a browser asks whether a page may
// call. That request carries no token.
func (c CORS) preflight(w http.ResponseWriter, r *http.Request) {
	if origin := c.allowedOrigin(r.Header.Get("Origin")); origin != "" {
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
	routes []route // most specific first
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
	// A fixed segment is preferred to a variable, a variable to a greedy
	// variable, and a method to ANY.
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

// vagueness is 0 for a fixed segment, 1 for a variable and 2 for a greedy
// variable.
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

// match reports whether the route matches, and returns the path's variables.
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
			if claims, ok = g.authorize(w, r); !ok {
				return
			}
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestLimit))
		if err != nil {
			refuse(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
			return
		}
		if origin := g.cfg.CORS.allowedOrigin(r.Header.Get("Origin")); origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", strings.Join(g.cfg.CORS.Expose, ","))
		}
		e := newEvent(r, route, vars, claims, body, id, g.cfg.Now())
		e.RequestContext.AccountID = g.cfg.Account
		g.pass(w, r, route, e)
		return
	}
	if len(g.cfg.CORS.Origins) > 0 && r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		g.cfg.CORS.preflight(w, r)
		return
	}
	refuse(w, http.StatusNotFound, "Not Found")
}

// authorize returns the claims of the request's token. If the token is invalid,
// authorize answers the request and returns false.
func (g *Gateway) authorize(w http.ResponseWriter, r *http.Request) (map[string]string, bool) {
	header := r.Header.Get("Authorization")
	claims, err := g.cfg.Tokens.verify(header)
	if err != nil {
		challenge := "Bearer"
		if header != "" {
			challenge += ` scope="" error="invalid_token"`
		}
		w.Header().Set("Www-Authenticate", challenge)
		refuse(w, http.StatusUnauthorized, "Unauthorized")
		return nil, false
	}
	return claims, true
}

// pass invokes the function and answers the request.
func (g *Gateway) pass(w http.ResponseWriter, r *http.Request, route route, e event) {
	raw, err := json.Marshal(e)
	if err != nil {
		g.cfg.Log.Error("event not encodable", "route", route.key, "err", err)
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
		return // the caller has closed the connection
	case errors.Is(err, context.DeadlineExceeded):
		g.cfg.Log.Error("function exceeded the API's time limit", "route", route.key, "limit", g.cfg.TimeLimit)
		refuse(w, http.StatusServiceUnavailable, "Service Unavailable")
		return
	case err != nil:
		g.cfg.Log.Error("function failed", "route", route.key, "err", err)
		refuse(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	if err := respond(w, answer); err != nil {
		g.cfg.Log.Error("function's answer invalid", "route", route.key, "err", err)
		refuse(w, http.StatusInternalServerError, "Internal Server Error")
	}
}

// refuse answers with an error in API Gateway's format.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// respond writes the function's answer. If respond fails, it has written
// nothing.
func respond(w http.ResponseWriter, answer []byte) error {
	var a struct {
		StatusCode      *int
		Headers         map[string]any
		Cookies         []string
		Body            string
		IsBase64Encoded bool
	}
	if !json.Valid(answer) {
		return errors.New("answer is not JSON")
	}
	if err := json.Unmarshal(answer, &a); err != nil || a.StatusCode == nil {
		// An answer that is not a response object is the body itself.
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
		return nil
	}
	if *a.StatusCode < 100 || *a.StatusCode > 599 {
		return errors.New("status out of range")
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
			return errors.New("header value is not text")
		}
	}
	// The server sets the length of the body. The function's own is ignored.
	h.Del("Content-Length")
	for _, c := range a.Cookies {
		h.Add("Set-Cookie", c)
	}
	w.WriteHeader(*a.StatusCode)
	_, _ = w.Write(body)
	return nil
}

// An event is the function's input in payload format 2.0.
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
		Scopes []string          `json:"scopes"` // the route's scopes: null, since routes have no scopes
	} `json:"jwt"`
}

// newEvent makes the event of a request. claims are nil for an open route.
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
		// HTTP APIs decode the path. REST APIs do not.
		RawPath:        r.URL.Path,
		RawQueryString: r.URL.RawQuery,
		Headers:        map[string]string{},
		PathParameters: vars,
		RequestContext: requestContext{
			APIID: "local", DomainName: host, DomainPrefix: "local",
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

// isText reports whether a body of this type is passed on without base64.
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
