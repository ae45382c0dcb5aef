package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/rsakey"
)

// api answers requests. Its fields never change after the first request.
type api struct {
	corps     corpStore
	secrets   secretStore
	callbacks *callbackPairs
	// appCallbacks are those of the companies' self-built apps.
	appCallbacks *callbackPairs
	ledger       ledger
	messages     messageStore
	blobs        blobStore
	readings     readingStore
	files        fileTable
	links        fileLinks
	pulls        archive.PullQueue
	replays      decode.ReplayStarter

	names       *directory.NameBook
	contacts    contactStore
	consents    consentStore
	inspections directory.Queue

	makePair func() (rsakey.Pair, error)
	newID    func() string // letters and digits, never the same again
	now      func() time.Time

	trustedIPs []string // what companies enter in WeCom
	publicURL  string   // scheme and host
	log        *slog.Logger
}

// route is one operation of openapi.yaml; a test compares every field with it.
type route struct {
	method, path string
	// roles admits tokens; nil for what WeCom and load balancers call.
	roles []role
	query []string // parameters that it knows; unchecked where roles is nil
	body  []string // members of the JSON object; nil where a body is refused
	bytes int      // of the body at most; 0 for [maxBody]
	// unregistered: the corp need not be there yet.
	unregistered bool
	serve        func(*api, context.Context, *call) (answer, error)
}

var routes = []route{
	{method: "GET", path: "/health", serve: (*api).health},
	{method: "GET", path: "/callback/{corpid}", serve: (*api).verifyCallback},
	{method: "POST", path: "/callback/{corpid}", serve: (*api).receiveEvent},
	{method: "GET", path: "/callback/{corpid}/app", serve: (*api).verifyAppCallback},
	{method: "POST", path: "/callback/{corpid}/app", serve: (*api).receiveAppEvent},

	{method: "GET", path: "/v1/corps/{corpid}", roles: []role{admin, service}, serve: (*api).getCorp},
	{method: "PUT", path: "/v1/corps/{corpid}", roles: []role{admin, service}, body: []string{"name"}, unregistered: true, serve: (*api).putCorp},
	{method: "GET", path: "/v1/corps/{corpid}/setup", roles: []role{admin, service}, serve: (*api).getSetup},
	{method: "PUT", path: "/v1/corps/{corpid}/setup", roles: []role{admin, service}, body: []string{"secret", "publickey_ver", "key_id"}, serve: (*api).putSetup},
	{method: "POST", path: "/v1/corps/{corpid}/keys", roles: []role{admin, service}, serve: (*api).rotateKey},
	{method: "POST", path: "/v1/corps/{corpid}/keys/import", roles: []role{admin, service}, body: []string{"private_key", "publickey_ver"}, serve: (*api).importKey},
	{method: "PUT", path: "/v1/corps/{corpid}/state", roles: []role{admin, service}, body: []string{"enabled"}, serve: (*api).putState},
	{method: "GET", path: "/v1/corps/{corpid}/app", roles: []role{admin, service}, serve: (*api).getApp},
	{method: "PUT", path: "/v1/corps/{corpid}/app", roles: []role{admin, service}, body: []string{"secret", "agent_id"}, serve: (*api).putApp},
	{method: "GET", path: "/v1/corps/{corpid}/inspect", roles: []role{admin, auditor, service}, serve: (*api).getInspection},
	{method: "POST", path: "/v1/corps/{corpid}/inspect", roles: []role{admin, service}, body: []string{"pairs", "rooms"}, serve: (*api).requestInspection},

	{method: "GET", path: "/v1/corps/{corpid}/contacts", roles: []role{admin, service}, query: []string{"ids", "limit", "page"}, serve: (*api).listContacts},
	{method: "PUT", path: "/v1/corps/{corpid}/contacts", roles: []role{admin, service}, body: []string{"contacts"}, bytes: givenBytes, serve: (*api).putContacts},
	{method: "GET", path: "/v1/corps/{corpid}/rooms", roles: []role{admin, service}, query: []string{"ids", "limit", "page"}, serve: (*api).listRooms},
	{method: "PUT", path: "/v1/corps/{corpid}/rooms", roles: []role{admin, service}, body: []string{"rooms"}, bytes: givenBytes, serve: (*api).putRooms},
	{method: "GET", path: "/v1/corps/{corpid}/consents", roles: []role{reader, auditor, service}, query: []string{"member", "external_contact", "room", "limit", "page"}, serve: (*api).listConsents},

	{method: "POST", path: "/v1/corps/{corpid}/pull", roles: []role{admin, service}, serve: (*api).requestPull},
	{method: "GET", path: "/v1/corps/{corpid}/status", roles: []role{admin, auditor, service}, serve: (*api).getStatus},
	{method: "GET", path: "/v1/corps/{corpid}/ledger", roles: []role{auditor, service}, query: []string{"from", "order", "limit"}, serve: (*api).listLedger},
	{method: "GET", path: "/v1/corps/{corpid}/statements", roles: []role{auditor, service}, query: []string{"from", "to"}, serve: (*api).listStatements},
	{method: "GET", path: "/v1/corps/{corpid}/statements/{day}", roles: []role{auditor, service}, serve: (*api).getStatement},
	{method: "GET", path: "/v1/corps/{corpid}/types", roles: []role{admin, auditor, service}, query: []string{"from_day", "to_day"}, serve: (*api).listTypes},
	{method: "GET", path: "/v1/corps/{corpid}/set-aside", roles: []role{admin, auditor, service}, query: []string{"limit", "page"}, serve: (*api).listSetAside},
	{method: "GET", path: "/v1/corps/{corpid}/files", roles: []role{admin, auditor, service}, query: []string{"state", "limit", "page"}, serve: (*api).listFiles},
	{method: "POST", path: "/v1/corps/{corpid}/replays", roles: []role{admin, auditor, service}, body: []string{"from_seq", "to_seq", "waiting", "publickey_ver", "verify"}, serve: (*api).createReplay},
	{method: "GET", path: "/v1/corps/{corpid}/replays", roles: []role{admin, auditor, service}, serve: (*api).listReplays},
	{method: "GET", path: "/v1/corps/{corpid}/replays/{id}", roles: []role{admin, auditor, service}, serve: (*api).getReplay},
	{method: "GET", path: "/v1/corps/{corpid}/events", roles: []role{auditor, service}, query: []string{"day", "limit", "page"}, serve: (*api).listEvents},
	{method: "GET", path: "/v1/corps/{corpid}/readings", roles: []role{auditor, service}, query: []string{"day", "limit", "page"}, serve: (*api).listReadings},

	{method: "GET", path: "/v1/corps/{corpid}/conversations", roles: []role{reader, auditor, service}, query: []string{"member", "external_contact", "room", "unplaced", "limit", "page"}, serve: (*api).listConversations},
	{method: "GET", path: "/v1/corps/{corpid}/conversations/{conversation}/messages", roles: []role{reader, auditor, service}, query: []string{"from", "to", "revoked", "order", "limit", "page"}, serve: (*api).listMessages},
	{method: "GET", path: "/v1/corps/{corpid}/messages/{id}", roles: []role{reader, auditor, service}, serve: (*api).getMessage},
	{method: "GET", path: "/v1/corps/{corpid}/messages/{id}/raw", roles: []role{reader, auditor, service}, serve: (*api).getMessageBytes},
	{method: "GET", path: "/v1/corps/{corpid}/messages/{id}/files/{n}", roles: []role{reader, auditor, service}, query: []string{"redirect"}, serve: (*api).getFile},
}

// call is one request on its way.
type call struct {
	*http.Request
	input
	id     string // of the request
	lang   problem.Language
	caller caller       // zero where the route wants no token
	corpID string       // of the path
	corp   archive.Corp // as stored; zero where the route does not need it
}

// answer is what a route answers.
type answer struct {
	status      int
	contentType string // empty for an empty body
	header      http.Header
	body        []byte
}

// asJSON answers v. Raw JSON in v keeps its bytes but for the white space.
func asJSON(status int, v any) (answer, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return answer{}, fmt.Errorf("encode %T: %w", v, err)
	}
	return answer{status: status, contentType: "application/json", body: buf.Bytes()}, nil
}

// handler is what Lambda calls.
type handler struct{ serve http.Handler }

func newHandler(a *api) handler { return handler{serve: a.mux()} }

// reportTime is kept back from the deadline of an invocation, so that a slow
// store still leaves time to answer and log.
const reportTime = 2 * time.Second

func (h handler) handle(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reportTime))
		defer cancel()
	}
	return gateway.Serve(ctx, h.serve, e)
}

// mux routes requests. What no route takes is a problem like any other, not
// the plain text of net/http, and no path is redirected.
func (a *api) mux() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range routes {
		mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) { a.serve(rt, w, r) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed := methods(mux, r.URL)
		if slices.Contains(allowed, r.Method) {
			mux.ServeHTTP(w, r)
			return
		}
		p := problem.New(problem.NotFound, nil)
		if len(allowed) > 0 {
			p = problem.New(problem.MethodNotAllowed, nil)
			p.Header = http.Header{"Allow": {strings.Join(allowed, ", ")}}
		}
		a.finish(w, route{path: "none"}, a.begin(r), answer{}, p)
	})
}

// methods lists the methods that the path is served with, none for a path
// that net/http would redirect to a tidier one.
func methods(mux *http.ServeMux, u *url.URL) []string {
	if path.Clean(u.Path) != u.Path {
		return nil
	}
	var allowed []string
	for _, m := range []string{"GET", "POST", "PUT"} {
		if _, pattern := mux.Handler(&http.Request{Method: m, URL: u}); strings.HasPrefix(pattern, m+" ") {
			allowed = append(allowed, m)
		}
	}
	return allowed
}

func (a *api) begin(r *http.Request) *call {
	return &call{
		Request: r,
		id:      gateway.From(r.Context()).ID,
		lang:    problem.Choose(r.Header.Get("Accept-Language")),
		corpID:  r.PathValue("corpid"),
	}
}

func (a *api) serve(rt route, w http.ResponseWriter, r *http.Request) {
	c := a.begin(r)
	var ans answer
	err := a.admit(rt, c)
	if err == nil {
		ans, err = rt.serve(a, r.Context(), c)
	}
	a.finish(w, rt, c, ans, err)
}

// admit checks what all routes that want a token have in common, in an order
// that tells strangers nothing: who asks, whether the corp is his, whether
// his role is admitted, whether the corp is there. Only then is the request
// looked at.
func (a *api) admit(rt route, c *call) error {
	if rt.roles == nil {
		return nil
	}
	ctx := c.Context()
	var ok bool
	if c.caller, ok = callerOf(gateway.From(ctx).Claims); !ok {
		return problem.New(problem.Unauthorized, nil)
	}
	if c.caller.corp != c.corpID || !archive.ValidCorpID(c.corpID) {
		return problem.New(problem.NotFound, nil)
	}
	if !slices.Contains(rt.roles, c.caller.role) {
		return problem.New(problem.Forbidden, nil)
	}
	if !rt.unregistered {
		var err error
		if c.corp, err = a.corps.Corp(ctx, c.corpID); err != nil {
			return err
		}
	}
	c.readQuery(c.URL.RawQuery, rt.query)
	c.use = pageUse(c.URL.Path, c.query)
	if c.caller.limited && slices.Contains(rt.query, "page") {
		// A page may end at something that the caller may not see.
		key, err := a.callbacks.pageKey(ctx, c.corpID)
		if errors.Is(err, errUnknownCorp) { // its registration is not complete
			return problem.New(problem.NotFound, nil)
		}
		if err != nil {
			return err
		}
		c.use = c.use.HiddenBy(key)
	}
	if rt.body == nil {
		if c.ContentLength != 0 {
			c.reject("", problem.Unknown, problem.MendNoBody, nil)
		}
		if rt.query == nil {
			return c.err() // nobody else would ask
		}
		return nil
	}
	b, err := readLimited(c.Body, cmp.Or(rt.bytes, maxBody))
	if err != nil {
		return err
	}
	if media, _, err := mime.ParseMediaType(c.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return problem.New(problem.UnsupportedMediaType, nil)
	}
	c.readBody(b, rt.body)
	return nil
}

// pageUse makes page tokens that are good for the same path and query, which
// name corp, route and list. The limit may change from page to page.
func pageUse(path string, query url.Values) opaque.Use {
	list := url.Values{}
	for name, values := range query {
		if name != "limit" && name != "page" {
			list[name] = values
		}
	}
	return opaque.UseOf("page", path, list.Encode())
}

// told is what the caller learns of an error: the problem in it, that
// something is not there, or only that it is our fault.
func told(err error) *problem.Problem {
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		return p
	}
	if errors.Is(err, archive.ErrNotFound) {
		return problem.New(problem.NotFound, nil)
	}
	return problem.New(problem.Internal, nil)
}

// finish writes the answer, or what is told of err, and the one log line of
// the request.
func (a *api) finish(w http.ResponseWriter, rt route, c *call, ans answer, err error) {
	level, attrs := slog.LevelInfo, []any{"method", c.Method, "route", rt.path, "request", c.id}
	if c.caller.subject != "" {
		attrs = append(attrs, "corp", c.caller.corp, "sub", c.caller.subject, "role", c.caller.role)
	} else if archive.ValidCorpID(c.corpID) {
		attrs = append(attrs, "corp", c.corpID)
	}
	h := w.Header()
	if err != nil {
		p := told(err)
		var failed error
		if ans, failed = asJSON(p.Status(), p.In(c.lang, c.id)); failed != nil {
			ans = answer{status: http.StatusInternalServerError}
		}
		ans.contentType, ans.header = "application/problem+json", p.Header
		h.Set("Content-Language", c.lang.Tag())
		if ans.status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
		attrs = append(attrs, "err", errors.Join(err, failed))
	}
	for name, values := range ans.header {
		h[name] = values
	}
	if ans.contentType != "" {
		h.Set("Content-Type", ans.contentType)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(ans.status)
	_, _ = w.Write(ans.body) // into memory
	a.log.Log(c.Context(), level, "answered", append(attrs, "status", ans.status, "bytes", len(ans.body))...)
}
