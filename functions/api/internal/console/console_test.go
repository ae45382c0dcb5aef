package console_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/yunduo-scrm/archive/functions/api/internal/console"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
)

var config = console.Config{
	Issuer: "https://login.example.com/realms/scrm", ClientID: "yunduo-console", Scopes: "openid", Audience: "yunduo-archive",
	Version: "1.4.0", Media: bucket("https://files.s3.example.com"), LoginOrigins: []string{"https://token.example.com"},
}

type bucket string

func (b bucket) Origin(context.Context) (string, error) { return string(b), nil }

const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func packed(text string) *fstest.MapFile {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return &fstest.MapFile{Data: b.Bytes()}
}

func files() fstest.MapFS {
	plain := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	return fstest.MapFS{
		"build.json":    plain(`{"digest":"` + digest + `"}`),
		"index.html.br": plain("page as brotli"), "index.html.gz": packed("page"),
		"assets/app-1a2b.js.br": plain("script as brotli"), "assets/app-1a2b.js.gz": packed("script"),
		"assets/voice-worker-9f.js.gz": packed("worker"), "assets/cloud-77.png": plain("\x89PNG"),
		".keep": plain(""),
	}
}

func serve(t *testing.T, h *console.Handlers, method, path string, header ...string) (output.Answer, error) {
	t.Helper()
	r := httptest.NewRequest(method, "https://archive.example.com"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return h.Serve(t.Context(), &session.Call{Request: r})
}

func TestFiles(t *testing.T) {
	h, err := console.NewOf(files(), config)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, accept                      string
		body, encoding, contentType, kept string
	}{
		{"/console", "gzip, deflate, br", "page as brotli", "br", "text/html; charset=utf-8", "no-cache"},
		{"/console/", "br;q=0, identity", "page", "", "text/html; charset=utf-8", "no-cache"},
		{"/console", "*", "page as brotli", "br", "text/html; charset=utf-8", "no-cache"},
		{"/console", "br;q=0, *", string(packed("page").Data), "gzip", "text/html; charset=utf-8", "no-cache"},
		{"/console", "br;q=0, gzip;q=0, *", "page", "", "text/html; charset=utf-8", "no-cache"},
		{"/console/setup/3", "", "page", "", "text/html; charset=utf-8", "no-cache"},
		{"/console/index.html", "br", "page as brotli", "br", "text/html; charset=utf-8", "no-cache"},
		{"/console/assets/app-1a2b.js", "BR ; q=0.5", "script as brotli", "br", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/console/assets/app-1a2b.js", "", "script", "", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/console/assets/cloud-77.png", "br, gzip", "\x89PNG", "", "image/png", "public, max-age=31536000, immutable"},
	} {
		a, err := serve(t, h, "GET", c.path, "Accept-Encoding", c.accept)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if a.Status != http.StatusOK || string(a.Body) != c.body || a.ContentType != c.contentType ||
			a.Header.Get("Content-Encoding") != c.encoding || a.Header.Get("Cache-Control") != c.kept || a.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s with %q: got %d %q %q %v", c.path, c.accept, a.Status, a.Body, a.ContentType, a.Header)
		}
	}
}

// A gzipped answer is the embedded bytes.
func TestGzip(t *testing.T) {
	h, err := console.NewOf(files(), config)
	if err != nil {
		t.Fatal(err)
	}
	a, err := serve(t, h, "GET", "/console", "Accept-Encoding", "gzip")
	if err != nil || a.Header.Get("Content-Encoding") != "gzip" || !bytes.Equal(a.Body, files()["index.html.gz"].Data) {
		t.Errorf("got %v %v, want the embedded file", a.Header, err)
	}
}

// A script of an earlier build is missing, and so is what is not the console's:
// neither gets the page.
func TestMissingFiles(t *testing.T) {
	h, err := console.NewOf(files(), config)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"/console/assets/app-old.js", "/console/build.json", "/console/.keep", "/console/index.html.br", "/console/assets/../index.html", "/console//index.html", "/console/x.exe",
	} {
		a, err := serve(t, h, "GET", path)
		if p, ok := errors.AsType[*problem.Problem](err); !ok || p.Status() != http.StatusNotFound {
			t.Errorf("%s: got %d, %v; want a 404", path, a.Status, err)
		}
	}
}

func TestUnchangedFiles(t *testing.T) {
	h, err := console.NewOf(files(), config)
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string]bool{}
	for _, accept := range []string{"br", "gzip", ""} {
		first, err := serve(t, h, "GET", "/console", "Accept-Encoding", accept)
		tag := first.Header.Get("ETag")
		if err != nil || tag == "" || tags[tag] {
			t.Fatalf("got tag %q again, or %v: each encoding needs a tag of its own", tag, err)
		}
		tags[tag] = true
		again, err := serve(t, h, "GET", "/console", "Accept-Encoding", accept, "If-None-Match", `"other", W/`+tag)
		if err != nil || again.Status != http.StatusNotModified || len(again.Body) > 0 || again.Header.Get("ETag") != tag {
			t.Errorf("got %d with %d bytes, %v; want 304", again.Status, len(again.Body), err)
		}
	}
}

func TestHeadHasNoBody(t *testing.T) {
	h, err := console.NewOf(files(), config)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/console", "/console/config.json"} {
		if a, err := serve(t, h, "HEAD", path); err != nil || a.Status != http.StatusOK || len(a.Body) > 0 || a.ContentType == "" {
			t.Errorf("%s: got %d, %d bytes, %v", path, a.Status, len(a.Body), err)
		}
	}
}

// The page allows nothing inline and nothing from a third party; the thread that
// decodes voices may evaluate code and reach nothing.
func TestPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		parents []string
		want    string
	}{
		"no parents": {nil, "frame-ancestors 'none'"},
		"parents":    {[]string{"https://scrm.example.com", "https://b.example.com"}, "frame-ancestors https://scrm.example.com https://b.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config
			cfg.Parents = c.parents
			h, err := console.NewOf(files(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			want := "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' blob: data: https://files.s3.example.com; " +
				"media-src 'self' blob: https://files.s3.example.com; connect-src 'self' https://files.s3.example.com https://login.example.com https://token.example.com; " +
				"worker-src 'self'; object-src 'none'; frame-src 'none'; base-uri 'none'; form-action 'none'; " + c.want
			for _, path := range []string{"/console", "/console/assets/app-1a2b.js", "/console/config.json"} {
				if a, err := serve(t, h, "GET", path); err != nil || a.Header.Get("Content-Security-Policy") != want {
					t.Errorf("%s: got the policy\n%s\nwant\n%s", path, a.Header.Get("Content-Security-Policy"), want)
				}
			}
			a, err := serve(t, h, "GET", "/console/assets/voice-worker-9f.js")
			if got := a.Header.Get("Content-Security-Policy"); err != nil || got != "default-src 'none'; script-src 'unsafe-eval'; connect-src data:" {
				t.Errorf("got the policy %q for the thread", got)
			}
		})
	}
}

func TestConfigOfTheConsole(t *testing.T) {
	h, err := console.NewOf(files(), config)
	if err != nil {
		t.Fatal(err)
	}
	a, err := serve(t, h, "GET", "/console/config.json")
	want := `{"issuer":"https://login.example.com/realms/scrm","client_id":"yunduo-console","scopes":"openid","audience":"yunduo-archive","parents":[],"version":"1.4.0"}`
	if err != nil || string(a.Body) != want || a.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("got %s, %v", a.Body, a.Header)
	}
	again, err := serve(t, h, "GET", "/console/config.json", "If-None-Match", a.Header.Get("ETag"))
	if err != nil || a.Header.Get("ETag") == "" || again.Status != 304 || len(again.Body) != 0 {
		t.Errorf("with the ETag %q: got status %d, error %v, want 304", a.Header.Get("ETag"), again.Status, err)
	}
	other := config
	other.Version = "1.4.1"
	h, err = console.NewOf(files(), other)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := serve(t, h, "GET", "/console/config.json", "If-None-Match", a.Header.Get("ETag")); err != nil || changed.Status != 200 {
		t.Errorf("another config: got status %d, error %v, want 200", changed.Status, err)
	}
}

// This binary may have been built without the console. It then serves no page,
// and starts.
func TestWithoutTheConsole(t *testing.T) {
	h, err := console.NewOf(fstest.MapFS{".keep": &fstest.MapFile{}}, config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serve(t, h, "GET", "/console"); err == nil {
		t.Error("a page is served that does not exist")
	}
	if _, err := console.NewOf(fstest.MapFS{"build.json": &fstest.MapFile{Data: []byte(`{}`)}}, config); err == nil || !strings.Contains(err.Error(), "build.json") {
		t.Errorf("got %v for a malformed build.json", err)
	}
}
