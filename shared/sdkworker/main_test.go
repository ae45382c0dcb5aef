package sdkworker_test

import (
	"context"
	"crypto/rand"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secret"
)

const (
	corpID     = "ww0123456789abcdef"
	secretText = "Archive-Secret_of-the-tests"
)

// built is what the tests run: a worker as it is shipped and variants of the
// stand-in.
var built struct {
	worker                                     string
	library, strict, leaky, lacking, wrongArch string
}

// TestMain plays three parts, told by its only argument, which no test run has
// but which sdkworker gives to a worker: the tests, a worker that breaks the
// rules, a parent that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		if part, ok := strings.CutPrefix(os.Args[1], "bad worker: "); ok {
			os.Exit(badWorker(part))
		}
	}
	if len(os.Args) == 4 && os.Args[1] == "doomed parent" {
		os.Exit(doomedParent(os.Args[2], os.Args[3]))
	}
	dir, err := os.MkdirTemp("", "sdkworker-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func build(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	built.worker = filepath.Join(dir, "worker")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", built.worker, "github.com/yunduo-scrm/archive/layers/finance-sdk/worker")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the worker: %w: %s", err, out)
	}
	other := elf.EM_AARCH64
	if runtime.GOARCH == "arm64" {
		other = elf.EM_X86_64
	}
	for path, options := range map[*string][]standin.Option{
		&built.library:   nil,
		&built.strict:    {standin.InitChecksSecret()},
		&built.leaky:     {standin.Leaky()},
		&built.lacking:   {standin.Without("IsMediaDataFinish")},
		&built.wrongArch: {standin.ForMachine(other)},
	} {
		sub, err := os.MkdirTemp(dir, "")
		if err != nil {
			return err
		}
		if *path, err = standin.Build(ctx, sub, options...); err != nil {
			return err
		}
	}
	return nil
}

// weCom is as much of WeCom as the library needs. What its answers mean is
// tested with the stand-in.
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

// authorization is what came with the last request.
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
		http.Error(rw, "not as a proxy is asked", http.StatusBadRequest)
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

// newPool makes a pool that ends with the test. edit may be nil.
func newPool(t testing.TB, edit func(*sdkworker.Config)) *sdkworker.Pool {
	t.Helper()
	cfg := sdkworker.Config{Worker: built.worker, Library: built.library}
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

// sealed is a key text and a message that holds msg.
func sealed(msg string) (keyText []byte, message string) {
	key := standin.NewKeyText(rand.Reader)
	var nonce [12]byte
	_, _ = rand.Read(nonce[:])
	return []byte(key), standin.Seal(key, []byte(msg), nonce)
}

// decrypt fails the test if msg does not come back.
func decrypt(t testing.TB, s *sdkworker.Session, msg string) {
	t.Helper()
	key, message := sealed(msg)
	got, err := s.Decrypt(t.Context(), key, message)
	if err != nil {
		t.Fatalf("decrypt: %v", err)
	}
	if string(got) != msg {
		t.Fatalf("decrypt: got %d bytes, want the %d that were sealed", len(got), len(msg))
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
