package routes

import (
	"bytes"
	"cmp"
	"context"
	"errors"
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
	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/message"
	"github.com/yunduo-scrm/archive/shared/opaque"
	"github.com/yunduo-scrm/archive/shared/pattern"
)

// Server serves routes. Its fields never change after the first request.
type Server struct {
	// AnswerTime bounds the work for one answer. After a slow store there is still
	// time to answer and to log within ten seconds.
	AnswerTime time.Duration

	// Now says when a remembered corp is read again.
	Now func() time.Time

	corps      archive.CorpReader
	remembered rememberedCorps
	log        *slog.Logger
	handler    http.Handler
}

// New makes a server of the routes.
func New(table []Route, corps archive.CorpReader, log *slog.Logger) *Server {
	s := &Server{AnswerTime: 9 * time.Second, Now: time.Now, corps: corps, log: log}
	s.handler = s.mux(table)
	return s
}

// Handle answers one event of API Gateway. Lambda calls it.
func (s *Server) Handle(ctx context.Context, e gateway.Event) (events.APIGatewayV2HTTPResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.AnswerTime)
	defer cancel()
	return gateway.Serve(ctx, s.handler, e)
}

// mux routes requests. A request without a route gets a problem like any other
// failure, in place of the plain text of net/http. No path is redirected.
func (s *Server) mux(table []Route) http.Handler {
	mux := http.NewServeMux()
	for _, rt := range table {
		mux.HandleFunc(rt.Method+" "+rt.Path, func(w http.ResponseWriter, r *http.Request) { s.serve(rt, w, r) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allowed := methods(mux, r.URL)
		if slices.Contains(allowed, r.Method) {
			mux.ServeHTTP(w, r)
			return
		}
		p := problem.NoAddress()
		if len(allowed) > 0 {
			p = problem.New(problem.MethodNotAllowed, nil)
			p.Header = http.Header{"Allow": {strings.Join(allowed, ", ")}}
		}
		s.finish(w, Route{Path: "none"}, begin(r), output.Answer{}, p)
	})
}

// methods lists the methods that the path is served with. The list is empty for
// a path that net/http would redirect to a cleaner one.
func methods(mux *http.ServeMux, u *url.URL) []string {
	if clean := path.Clean(u.Path); u.Path != clean && u.Path != clean+"/" {
		return nil
	}
	var allowed []string
	for _, m := range []string{"GET", "HEAD", "POST", "PUT"} {
		if _, pattern := mux.Handler(&http.Request{Method: m, URL: u}); strings.HasPrefix(pattern, m+" ") {
			allowed = append(allowed, m)
		}
	}
	return allowed
}

func begin(r *http.Request) *session.Call {
	return &session.Call{
		Request: r,
		ID:      gateway.From(r.Context()).ID,
		Lang:    problem.Choose(r.Header.Get("Accept-Language")),
		CorpID:  r.PathValue("corpid"),
	}
}

func (s *Server) serve(rt Route, w http.ResponseWriter, r *http.Request) {
	c := begin(r)
	var ans output.Answer
	err := s.admit(rt, c)
	if err == nil {
		ans, err = rt.Serve(r.Context(), c)
	}
	s.finish(w, rt, c, ans, err)
}

// admit checks what all routes with a token have in common. The order reveals
// nothing to strangers: first the token, then whether the corp is the token's,
// then the staff and the role, then whether the corp is registered. Only then
// does it read the query and the body.
func (s *Server) admit(rt Route, c *session.Call) error {
	if rt.Roles == nil {
		return nil
	}
	if err := s.authorize(rt, c); err != nil {
		return err
	}
	c.ReadQuery(c.URL.RawQuery, rt.Query)
	if err := usePages(rt, c); err != nil {
		return err
	}
	if rt.Body != nil {
		return readBody(rt, c)
	}
	if c.ContentLength != 0 {
		c.Reject("", problem.Unknown, problem.RemedyNoBody, nil)
	}
	if rt.Query == nil {
		return c.Err() // the route has no input, so it does not ask for mistakes
	}
	return nil
}

// authorize checks the token, the corp, the staff and the role, and reads the
// corp.
func (s *Server) authorize(rt Route, c *session.Call) error {
	ctx := c.Context()
	var ok bool
	if c.Caller, ok = session.CallerOf(gateway.From(ctx).Claims); !ok {
		return problem.New(problem.Unauthorized, nil)
	}
	if !strings.Contains(rt.Path, "{corpid}") {
		c.CorpID = c.Caller.Corp
	}
	if c.Caller.Corp != c.CorpID || !archive.ValidCorpID(c.CorpID) {
		return problem.New(problem.NotFound, nil)
	}
	if c.Caller.LacksStaff {
		return problem.New(problem.StaffMissing, nil)
	}
	if c.Role, ok = c.Caller.As(rt.Roles); !ok {
		return problem.NeedsRole(rt.Roles, c.Caller.Roles)
	}
	if c.Caller.Limited && !rt.Limited && !c.Caller.MayOverlook(rt.Roles) {
		return problem.New(problem.Forbidden, nil)
	}
	if rt.Unregistered {
		return nil
	}
	var err error
	if rt.Remembered {
		c.Corp, err = s.remembered.corp(ctx, s.corps, c.CorpID, s.Now())
	} else {
		c.Corp, err = s.corps.Corp(ctx, c.CorpID)
	}
	return err
}

// usePages sets the list that page tokens belong to. The tokens of a limited
// caller are encrypted: a page that ended because its time was over may end at a
// message that the caller may not see.
func usePages(rt Route, c *session.Call) error {
	use := opaque.Page(c.URL.Path, c.Query)
	if c.Caller.Limited && slices.Contains(rt.Query, "page") {
		key, err := c.PageKey()
		if err != nil {
			return err
		}
		use = use.HiddenBy(key)
	}
	c.UsePages(use)
	return nil
}

func readBody(rt Route, c *session.Call) error {
	b, err := input.ReadLimited(c.Body, cmp.Or(rt.Bytes, input.MaxBody))
	if err != nil {
		return err
	}
	if media, _, err := mime.ParseMediaType(c.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return problem.New(problem.UnsupportedMediaType, nil)
	}
	if rt.Lenient {
		b = message.Tolerable(bytes.ToValidUTF8(b, []byte("\ufffd")))
	}
	c.ReadBody(b, rt.Body)
	return nil
}

// retryAfter is how long a caller waits after an answer that came too late.
const retryAfter = "5"

// problemOf is what the caller learns of an error: the problem in it, that
// something does not exist, that the time was over, or only that the fault is
// ours.
func problemOf(ctx context.Context, err error) *problem.Problem {
	if p, ok := errors.AsType[*problem.Problem](err); ok {
		return p
	}
	if errors.Is(err, archive.ErrNotFound) {
		return problem.New(problem.NotFound, nil)
	}
	if ctx.Err() != nil {
		return problem.New(problem.Unavailable, nil)
	}
	return problem.New(problem.Internal, nil)
}

var (
	pathName = pattern.New(`\{(\w+)\}`)
	// plainID is the form of corpids, msgids, days, numbers and our own ids.
	plainID = pattern.New(`^[0-9A-Za-z_.=-]{1,256}$`)
)

// asked lists the ids in the path of a refused request, so that the log shows
// whether a person guesses ids or mistyped one. The caller chose the path, so an id of
// another form is only noted.
func asked(rt Route, c *session.Call) []string {
	ids := []string{}
	for _, name := range pathName().FindAllStringSubmatch(rt.Path, -1) {
		id := c.PathValue(name[1])
		if !plainID().MatchString(id) {
			id = "odd"
		}
		ids = append(ids, id)
	}
	return ids
}

// finish writes the answer, or the problem of err, and the one log line of the
// request.
func (s *Server) finish(w http.ResponseWriter, rt Route, c *session.Call, ans output.Answer, err error) {
	level, attrs := slog.LevelInfo, []any{"method", c.Method, "route", rt.Path, "request", c.ID}
	if c.Caller.Subject != "" {
		attrs = append(attrs, "corp", c.Caller.Corp, "sub", c.Caller.Subject, "roles", c.Caller.Roles)
	} else if archive.ValidCorpID(c.CorpID) {
		attrs = append(attrs, "corp", c.CorpID)
	}
	h := w.Header()
	if err != nil {
		p := problemOf(c.Context(), err)
		var failed error
		if ans, failed = output.JSON(p.Status(), p.In(c.Lang, c.ID)); failed != nil {
			ans = output.Answer{Status: http.StatusInternalServerError}
		}
		ans.ContentType, ans.Header = "application/problem+json", p.Header
		h.Set("Content-Language", c.Lang.Tag())
		if ans.Status == http.StatusServiceUnavailable {
			h.Set("Retry-After", retryAfter)
		}
		if ans.Status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
		attrs = append(attrs, "err", errors.Join(err, failed))
		if ans.Status == http.StatusForbidden || ans.Status == http.StatusNotFound {
			attrs = append(attrs, "asked", asked(rt, c))
		}
	}
	if rt.Tagged {
		ans = tag(h, ans, c.Header.Get("If-None-Match"))
	}
	for name, values := range ans.Header {
		h[name] = values
	}
	if ans.ContentType != "" {
		h.Set("Content-Type", ans.ContentType)
	}
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	body := compress(h, ans, c.Header.Get("Accept-Encoding"))
	w.WriteHeader(ans.Status)
	_, _ = w.Write(body) // the writer is a buffer and does not fail
	// The metric of refused callbacks reads the message, the route and the status.
	s.log.Log(c.Context(), level, "answered", append(attrs, "status", ans.Status, "bytes", len(ans.Body))...)
}
