// Package console serves the web console, which is embedded in this binary. The
// console is static files and one answer that depends on the deployment,
// config.json. Every page of the console calls the public API for all else.
//
// Serving it from here makes one unit to deploy and one origin. So the console needs
// no CORS and no domain of its own, and its version is always that of the API.
package console

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// built is what web/pack.js puts here: each text file compressed in two ways, as
// name.br and name.gz; pictures as they are; build.json with the digest of all.
// Git keeps .keep alone, which lets this package compile before the console is
// built.
//
//go:embed all:dist
var built embed.FS

// Config is what the console must know about its deployment. The JSON fields are
// served as config.json.
type Config struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	Scopes   string `json:"scopes"`
	Audience string `json:"audience"`
	// Parents are the origins of the pages that may embed the console.
	Parents []string `json:"parents"`
	Version string   `json:"version"`

	// LoginOrigins are further origins of the issuer's endpoints, in addition to the
	// origin of Issuer.
	LoginOrigins []string `json:"-"`
	// Media makes the links to files.
	Media Linker `json:"-"`
}

// Linker makes links to files. Safe for concurrent use.
type Linker interface {
	// Origin is the scheme and the host that every link begins with.
	Origin(context.Context) (string, error)
}

// Handlers serve the console. Safe for concurrent use.
type Handlers struct {
	files  fs.FS
	digest string // of this build; begins the ETag of every file
	about  Config
	config []byte
	tag    string // the ETag of config

	mu     sync.Mutex
	policy string // of the page; empty until the first request
}

// New makes the handlers of the embedded console.
func New(cfg Config) (*Handlers, error) {
	files, err := fs.Sub(built, "dist")
	if err != nil {
		return nil, fmt.Errorf("embedded console: %w", err)
	}
	return newHandlers(files, cfg)
}

func newHandlers(files fs.FS, cfg Config) (*Handlers, error) {
	h := &Handlers{files: files, about: cfg}
	cfg.Parents = append([]string{}, cfg.Parents...) // a list, also where it is empty
	var err error
	if h.config, err = json.Marshal(cfg); err != nil {
		return nil, fmt.Errorf("config of the console: %w", err)
	}
	h.tag = strconv.Quote(archive.Digest(h.config)[:32])
	var build struct{ Digest string }
	switch raw, err := fs.ReadFile(files, "build.json"); {
	case err != nil: // built without the console: every file is missing
	case json.Unmarshal(raw, &build) != nil || len(build.Digest) < 32:
		return nil, fmt.Errorf("build.json of the console malformed")
	default:
		h.digest = build.Digest[:32]
	}
	return h, nil
}

// pagePolicy is the content security policy of the page. Only the origin of the files
// must be looked up. It never changes, so the policy is made once.
func (h *Handlers) pagePolicy(ctx context.Context) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.policy != "" {
		return h.policy, nil
	}
	media, err := h.about.Media.Origin(ctx)
	if err != nil {
		return "", err
	}
	h.policy = policy(h.about, media)
	return h.policy, nil
}

// policy allows nothing inline on the page, and nothing from a third party.
func policy(cfg Config, media string) string {
	sources := func(list ...string) string {
		list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
		slices.Sort(list)
		return strings.Join(append([]string{"'self'"}, slices.Compact(list)...), " ")
	}
	parents := "'none'"
	if len(cfg.Parents) > 0 {
		parents = strings.Join(cfg.Parents, " ")
	}
	return strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "font-src 'self'",
		"img-src " + sources("blob:", "data:", media),
		"media-src " + sources("blob:", media),
		"connect-src " + sources(append(slices.Clone(cfg.LoginOrigins), media, originOf(cfg.Issuer))...),
		"worker-src 'self'", "object-src 'none'", "frame-src 'none'", "base-uri 'none'", "form-action 'none'",
		"frame-ancestors " + parents,
	}, "; ")
}

// originOf returns the scheme and the host of an address.
func originOf(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

// workerPolicy is the content security policy of the thread that decodes voice. A web
// worker gets its policy with its own script. See web/README.md.
const workerPolicy = "default-src 'none'; script-src 'unsafe-eval'; connect-src data:"

const (
	page    = "index.html"
	forever = "public, max-age=31536000, immutable"
	newest  = "no-cache"
)

// types are the content types of the console's files. A file of any other type
// is not served.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".json": "application/json", ".md": "text/plain; charset=utf-8", ".png": "image/png",
}

// Serve answers a file of the console. A path that names no file, and has no dot
// in its last segment, is an address within the console and gets the page. A
// file that is missing is never answered with the page: an old page that asks
// for a script of an earlier build must learn that it is gone.
func (h *Handlers) Serve(ctx context.Context, c *session.Call) (output.Answer, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(c.URL.Path, "/console"), "/")
	if path.Ext(name) == "" {
		name = page
	}
	policy, err := h.pagePolicy(ctx)
	if err != nil {
		return output.Answer{}, err
	}
	head := http.Header{
		"Referrer-Policy": {"no-referrer"}, "Cross-Origin-Resource-Policy": {"same-origin"},
		"Content-Security-Policy": {policy}, "Permissions-Policy": {"camera=(), geolocation=(), microphone=()"},
		"Cache-Control": {newest},
	}
	if name == "config.json" {
		return file(c, head, h.tag, types[".json"], h.config), nil
	}
	contentType, ok := types[path.Ext(name)]
	if !ok || !fs.ValidPath(name) || name == "build.json" {
		return output.Answer{}, problem.New(problem.NotFound, nil)
	}
	body, encoding, err := h.read(name, c.Header.Get("Accept-Encoding"))
	if err != nil {
		return output.Answer{}, err
	}
	worker := strings.HasPrefix(path.Base(name), "voice-worker-")
	if worker {
		head.Set("Content-Security-Policy", workerPolicy)
	}
	if worker || strings.HasPrefix(name, "assets/") {
		head.Set("Cache-Control", forever)
	}
	head.Set("Vary", "Accept-Encoding")
	if encoding != "" {
		head.Set("Content-Encoding", encoding)
	}
	// A strong ETag must differ if the bytes differ, so the tag names the encoding.
	tag := strconv.Quote(h.digest + "-" + cmp.Or(encoding, "plain"))
	return file(c, head, tag, contentType, body), nil
}

// file answers with a file, or with 304 if the caller has the file with this ETag.
func file(c *session.Call, head http.Header, tag, contentType string, body []byte) output.Answer {
	head.Set("ETag", tag)
	if output.Matches(c.Header.Get("If-None-Match"), tag) {
		return output.Answer{Status: http.StatusNotModified, Header: head}
	}
	return shorten(c, output.Answer{Status: http.StatusOK, ContentType: contentType, Header: head, Body: body})
}

// shorten leaves the body out of the answer to a HEAD request.
func shorten(c *session.Call, a output.Answer) output.Answer {
	if c.Method == http.MethodHead {
		a.Body = nil
	}
	return a
}

// read reads a file in the best encoding that the caller accepts.
func (h *Handlers) read(name, accept string) (body []byte, encoding string, err error) {
	for _, e := range []struct{ name, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if !output.Accepts(accept, e.name) {
			continue
		}
		if body, err = fs.ReadFile(h.files, name+e.suffix); err == nil {
			return body, e.name, nil
		}
	}
	if body, err = fs.ReadFile(h.files, name); err == nil {
		return body, "", nil
	}
	packed, err := fs.ReadFile(h.files, name+".gz")
	if err != nil {
		return nil, "", problem.New(problem.NotFound, nil)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, "", fmt.Errorf("embedded %s.gz: %w", name, err)
	}
	if body, err = io.ReadAll(r); err != nil {
		return nil, "", fmt.Errorf("embedded %s.gz: %w", name, err)
	}
	return body, "", nil
}
