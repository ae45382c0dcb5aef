package sdkworker_test

import (
	"crypto/rand"
	"debug/elf"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secret"
)

const (
	corpID     = "ww0123456789abcdef"
	secretText = "Archive-Secret_of-the-tests"
)

// TestMain runs one of three programs. A single argument whose last element
// begins with "bad worker: " selects a worker that breaks the protocol:
// sdkworker passes the library's absolute path as the only argument. "doomed parent" selects a parent that a
// test kills. Any other arguments run the tests.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		if part, ok := strings.CutPrefix(filepath.Base(os.Args[1]), "bad worker: "); ok {
			os.Exit(badWorker(part))
		}
	}
	if len(os.Args) == 4 && os.Args[1] == "doomed parent" {
		os.Exit(doomedParent(os.Args[2], os.Args[3]))
	}
	os.Exit(built.Main(m))
}

// The variants of the stand-in.
func strict(t testing.TB) string  { return built.Library(t, standin.InitChecksSecret()) }
func leaky(t testing.TB) string   { return built.Library(t, standin.Leaky()) }
func lacking(t testing.TB) string { return built.Library(t, standin.Without("IsMediaDataFinish")) }

// foreign is a library for another processor.
func foreign(t testing.TB) string {
	if runtime.GOARCH == "arm64" {
		return built.Library(t, standin.ForMachine(elf.EM_X86_64))
	}
	return built.Library(t, standin.ForMachine(elf.EM_AARCH64))
}

// weCom answers the requests of the stand-in library. The tests of the stand-in
// cover the meaning of the answers.
type weCom struct {
	mu     sync.Mutex
	page   string
	header http.Header // of the last request
}

func startWeCom(t testing.TB) (*weCom, string) {
	w := &weCom{page: `{"errcode":0,"errmsg":"ok","chatdata":[]}`}
	s := httptest.NewServer(w)
	t.Cleanup(s.Close)
	return w, s.URL
}

func (w *weCom) setPage(page string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.page = page
}

// authorization is the proxy authorization of the last request.
func (w *weCom) authorization() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.header.Get("Proxy-Authorization")
}

func (w *weCom) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.header = r.Header.Clone()
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.URL.Host != "qyapi.weixin.qq.com":
		http.Error(rw, "request not in the form for a proxy", http.StatusBadRequest)
	case r.URL.Path == "/cgi-bin/gettoken" && r.URL.Query().Get("corpsecret") != secretText:
		io.WriteString(rw, `{"errcode":40001,"errmsg":"invalid credential"}`)
	case r.URL.Path == "/cgi-bin/gettoken":
		io.WriteString(rw, `{"errcode":0,"errmsg":"ok","access_token":"T","expires_in":7200}`)
	case r.URL.Path == "/cgi-bin/message/getchatdata":
		io.WriteString(rw, strings.ReplaceAll(w.page, "$BODY", strings.ReplaceAll(string(body), `"`, `'`)))
	case r.URL.Path == "/cgi-bin/message/getchatmediadata":
		rw.Header().Set("Content-Type", "application/octet-stream")
		if strings.Contains(string(body), `"indexbuf":""`) {
			rw.Header().Set("X-Is-Finish", "0")
			rw.Header().Set("X-Out-Index", "Range:bytes=524288-524290")
			rw.Write(make([]byte, 524288))
		} else {
			rw.Header().Set("X-Is-Finish", "1")
			rw.Write([]byte{0, 1, 2})
		}
	}
}

func identity() sdkworker.Identity {
	return sdkworker.Identity{CorpID: corpID, Secret: secret.New(secretText)}
}

// newPool makes a pool that is closed at the end of the test. edit may be nil.
func newPool(t testing.TB, edit func(*sdkworker.Config)) *sdkworker.Pool {
	t.Helper()
	cfg := sdkworker.Config{Worker: built.Worker(t), Library: built.Library(t)}
	if edit != nil {
		edit(&cfg)
	}
	p := sdkworker.NewPool(cfg)
	t.Cleanup(p.Close)
	return p
}

func newSession(t testing.TB, edit func(*sdkworker.Config)) *sdkworker.Session {
	t.Helper()
	return newPool(t, edit).Session(corpID, identity())
}

// sealed returns a new key text, and msg as a message sealed with it.
func sealed(msg string) (keyText []byte, message string) {
	key := standin.NewKeyText(rand.Reader)
	var nonce [12]byte
	_, _ = rand.Read(nonce[:])
	return []byte(key), standin.Seal(key, []byte(msg), nonce)
}

// decrypt seals msg and fails the test unless the worker returns msg.
func decrypt(t testing.TB, s *sdkworker.Session, msg string) {
	t.Helper()
	key, message := sealed(msg)
	got, err := s.Decrypt(t.Context(), key, message)
	if err != nil {
		t.Fatalf("decrypt: %v", err)
	}
	if string(got) != msg {
		t.Fatalf("decrypt: got %d bytes, want the sealed %d bytes", len(got), len(msg))
	}
}

func wantCrash(t testing.TB, err error, op string, how archive.CrashKind) {
	t.Helper()
	var crash *archive.CrashError
	if !errors.As(err, &crash) || crash.Op != op || crash.How != how {
		t.Fatalf("got %v, want a CrashError: %s in %s", err, how, op)
	}
}

func wantCode(t testing.TB, err error, op string, code int) {
	t.Helper()
	var sdk *archive.SDKError
	if !errors.As(err, &sdk) || sdk.Op != op || sdk.Code != code {
		t.Fatalf("got %v, want %d from %s", err, code, op)
	}
}
