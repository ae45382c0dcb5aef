package standin_test

import (
	"bytes"
	"crypto/rand"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/built"
	"github.com/yunduo-scrm/archive/local/needs"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/shared/financesdk"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// These tests load the library into their own process. Tests of crashes and
// attempts need a child process: they are in shared/sdkworker and
// layers/finance-sdk/worker.

const awkwardSecret = "a b&c=d/ü+%~-._"

func TestMain(m *testing.M) { os.Exit(built.Main(m)) }

// library is the path of the default library, compiled without a warning.
func library(t *testing.T) string { return built.Library(t, standin.Strict()) }

func TestLibraryHasExactlyTheVendorsFunctions(t *testing.T) {
	path := library(t)
	if filepath.Base(path) != standin.Name {
		t.Errorf("name: got %s, want %s", filepath.Base(path), standin.Name)
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			got = append(got, s.Name)
		}
	}
	slices.Sort(got)
	want := []string{
		"DecryptData", "DestroySdk", "FreeMediaData", "FreeSlice", "GetChatData", "GetContentFromSlice",
		"GetData", "GetDataLen", "GetIndexLen", "GetMediaData", "GetOutIndexBuf", "GetSliceLen", "Init",
		"IsMediaDataFinish", "NewMediaData", "NewSdk", "NewSlice",
	}
	if !slices.Equal(got, want) {
		t.Errorf("functions: got %v, want %v", got, want)
	}
}

func TestBuild(t *testing.T) {
	needs.Compiler(t)
	t.Run("variants without a compiler warning", func(t *testing.T) {
		if _, err := standin.Build(t.Context(), t.TempDir(), standin.Strict(), standin.InitChecksSecret(), standin.Leaky()); err != nil {
			t.Error(err)
		}
	})
	t.Run("relative directory with an old library", func(t *testing.T) {
		t.Chdir(t.TempDir())
		if err := os.Mkdir("lib", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("lib", standin.Name), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		path, err := standin.Build(t.Context(), "lib")
		if err != nil || path != filepath.Join("lib", standin.Name) {
			t.Errorf("got %q and %v, want the library in lib", path, err)
		}
		if _, err := financesdk.Check(path, runtime.GOARCH); err != nil {
			t.Errorf("library: got %v, want a new one", err)
		}
		left, err := os.ReadDir("lib")
		if err != nil || len(left) != 1 {
			t.Errorf("files: got %v and %v, want only the library", left, err)
		}
	})
	t.Run("missing directory", func(t *testing.T) {
		if _, err := standin.Build(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil {
			t.Error("got success, want an error")
		}
	})
}

func initSDK(t *testing.T, proxy string) *financesdk.SDK {
	t.Helper()
	l, err := financesdk.Open(library(t)) // the loader loads a file once
	if err != nil {
		t.Fatal(err)
	}
	sdk, err := l.Init(financesdk.Identity{CorpID: "ww1", Secret: secret.New(awkwardSecret), Proxy: proxy})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sdk.Close)
	return sdk
}

func TestDecryptDataOpensSealedMessages(t *testing.T) {
	sdk := initSDK(t, "")
	key := standin.NewKeyText(rand.Reader)
	msg := make([]byte, 1<<20)
	_, _ = rand.Read(msg)
	// The sizes are near those of ChaCha20's blocks and base64's groups.
	for _, n := range []int{0, 1, 2, 3, 59, 60, 61, 63, 64, 65, 1000, len(msg)} {
		var nonce [12]byte
		_, _ = rand.Read(nonce[:])
		got, err := sdk.Decrypt([]byte(key), []byte(standin.Seal(key, msg[:n], nonce)))
		if err != nil || !bytes.Equal(got, msg[:n]) {
			t.Errorf("%d bytes: got %d bytes and %v, want the message", n, len(got), err)
		}
	}
}

func TestDecryptDataRefuses(t *testing.T) {
	sdk := initSDK(t, "")
	key, other := standin.NewKeyText(rand.Reader), standin.NewKeyText(rand.Reader)
	good := standin.Seal(key, []byte("message"), [12]byte{})
	flipped := []byte(good)
	flipped[20] ^= 1 // a digit of the nonce
	tests := []struct {
		name, key, message string
		code               int32
	}{
		{"key of another message", other, good, 10006},
		{"no key", "", good, 10008},
		{"key without its last digit", key[:87], good, 10008},
		{"key with a character outside base64", "!" + key[1:], good, 10008},
		{"key without padding", key[:86] + "AA", good, 10008},
		{"no message", key, "", 10006},
		{"no prefix", key, good[1:], 10006},
		{"another version", key, "YDSTANDIN-02:" + good[13:], 10006},
		{"no base64", key, good + "!", 10006},
		{"too short for a checksum", key, good[:13+20], 10006},
		{"changed byte", key, string(flipped), 10006},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sdk.Decrypt([]byte(tt.key), []byte(tt.message))
			wantCode(t, err, tt.code)
		})
	}
}

func wantCode(t *testing.T, err error, code int32) {
	t.Helper()
	var got *financesdk.CodeError
	if !errors.As(err, &got) || got.Code != code {
		t.Errorf("got %v, want %d", err, code)
	}
}

// weCom is a simulated WeCom that records the requests.
type weCom struct {
	t       *testing.T
	mu      sync.Mutex
	asked   []string // method, URI and body of each request
	tokens  int
	token   func(n int) string // answer to the n-th gettoken; nil: the token "tok/n"
	answers []http.HandlerFunc // answers to the other requests; the last answer repeats
}

func startWeCom(t *testing.T, answers ...http.HandlerFunc) (*weCom, *financesdk.SDK) {
	t.Helper()
	w := &weCom{t: t, answers: answers}
	s := httptest.NewServer(w)
	t.Cleanup(s.Close)
	return w, initSDK(t, s.URL)
}

// The library sends requests from C. The race detector sees no order there
// between a test and the handler, so both use the lock for shared fields.

func (w *weCom) setToken(token func(n int) string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.token = token
}

func (w *weCom) seen() (asked []string, tokens int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked), w.tokens
}

func (w *weCom) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Errorf("request not read: %v", err)
	}
	w.asked = append(w.asked, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
	if r.Host != "qyapi.weixin.qq.com" {
		w.t.Errorf("host: got %s, want qyapi.weixin.qq.com", r.Host)
	}
	if r.URL.Path == "/cgi-bin/gettoken" {
		w.tokens++
		if w.token != nil {
			io.WriteString(rw, w.token(w.tokens))
			return
		}
		fmt.Fprintf(rw, `{"errcode":0,"errmsg":"ok","access_token":"tok/%d","expires_in":7200}`, w.tokens)
		return
	}
	answer := w.answers[0]
	if len(w.answers) > 1 {
		w.answers = w.answers[1:]
	}
	answer(rw, r)
}

func text(s string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, s) }
}

const emptyPage = `{"errcode":0,"errmsg":"ok","chatdata":[]}`

func TestChatDataSendsTheRequestsOfTheHiddenInterface(t *testing.T) {
	w, sdk := startWeCom(t, text(emptyPage))
	for range 2 {
		page, err := sdk.ChatData(18446744073709551615, 1000, 5*time.Second)
		if err != nil || string(page) != emptyPage {
			t.Fatalf("got %s and %v, want an empty page", page, err)
		}
	}
	post := `POST http://qyapi.weixin.qq.com/cgi-bin/message/getchatdata?access_token=tok%2F1 {"seq":18446744073709551615,"limit":1000}`
	want := []string{
		"GET http://qyapi.weixin.qq.com/cgi-bin/gettoken?corpid=ww1&corpsecret=a%20b%26c%3Dd%2F%C3%BC%2B%25~-._",
		post, post, // both with one token
	}
	if asked, _ := w.seen(); !slices.Equal(asked, want) {
		t.Errorf("requests: got %q, want %q", asked, want)
	}
}

func TestPagesStayUnchanged(t *testing.T) {
	large := `{"errcode":0,"errmsg":"ok","chatdata":["` + strings.Repeat("0123456789abcdef", 20<<20/16) + `"]}`
	for name, page := range map[string]string{
		"page with an error": `{"errcode":301042,"errmsg":"whiteip not match, from ip: 203.0.113.9","chatdata":[]}`,
		"odd white space":    " {\n\t\"errcode\" : 0 , \"a\":{\"}\":[1,-2.5e3,true,null,\"\\\"]\"]},\"errmsg\":\"ok\"}\r\n",
		"no chatdata":        `{"errcode":0,"errmsg":"ok"}`,
		"20 MB":              large,
		"empty object":       `{}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, sdk := startWeCom(t, func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Length", fmt.Sprint(len(page)))
				io.WriteString(rw, page)
			}, func(rw http.ResponseWriter, _ *http.Request) {
				for i, part := range []string{page[:len(page)/3], page[len(page)/3:]} { // chunked
					io.WriteString(rw, part)
					if i == 0 {
						rw.(http.Flusher).Flush()
					}
				}
			})
			for _, how := range []string{"with a length", "chunked"} {
				got, err := sdk.ChatData(0, 1, 20*time.Second)
				if err != nil || string(got) != page {
					t.Errorf("%s: got %d bytes and %v, want %d bytes", how, len(got), err, len(page))
				}
			}
		})
	}
}

func TestStaleTokenIsReplacedOnce(t *testing.T) {
	stale := func(code int) string { return fmt.Sprintf(`{"errcode":%d,"errmsg":"stale","chatdata":[]}`, code) }
	for name, tt := range map[string]struct {
		answers []http.HandlerFunc
		want    string
		tokens  int
	}{
		"invalid":       {[]http.HandlerFunc{text(stale(40014)), text(emptyPage)}, emptyPage, 2},
		"expired":       {[]http.HandlerFunc{text(stale(42001)), text(emptyPage)}, emptyPage, 2},
		"twice invalid": {[]http.HandlerFunc{text(stale(40014))}, stale(40014), 2},
		"another error": {[]http.HandlerFunc{text(stale(48002))}, stale(48002), 1},
	} {
		t.Run(name, func(t *testing.T) {
			w, sdk := startWeCom(t, tt.answers...)
			got, err := sdk.ChatData(0, 1, 5*time.Second)
			_, tokens := w.seen()
			if err != nil || string(got) != tt.want || tokens != tt.tokens {
				t.Errorf("got %s, %v and %d tokens, want %s and %d", got, err, tokens, tt.want, tt.tokens)
			}
		})
	}
}

func TestTokenExpires(t *testing.T) {
	w, sdk := startWeCom(t, text(emptyPage))
	w.setToken(func(int) string { return `{"errcode":0,"access_token":"T","expires_in":0}` })
	for range 3 {
		if _, err := sdk.ChatData(0, 1, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if _, tokens := w.seen(); tokens != 3 {
		t.Errorf("tokens: got %d, want 3", tokens)
	}
}

func TestRefusedTokenBecomesAPage(t *testing.T) {
	w, sdk := startWeCom(t, text(emptyPage))
	w.setToken(func(n int) string {
		if n == 1 {
			return `{"errcode":40001,"errmsg":"invalid \"credential\", from ip: 203.0.113.9"}`
		}
		return `{"errcode":0,"access_token":"T","expires_in":7200}`
	})
	got, err := sdk.ChatData(0, 1, 5*time.Second)
	want := `{"errcode":40001,"errmsg":"invalid \"credential\", from ip: 203.0.113.9","chatdata":[]}`
	if err != nil || string(got) != want {
		t.Errorf("got %s and %v, want %s", got, err, want)
	}
	if got, err = sdk.ChatData(0, 1, 5*time.Second); err != nil || string(got) != emptyPage {
		t.Errorf("next: got %s and %v, want %s", got, err, emptyPage)
	}
}

func TestChatDataCodes(t *testing.T) {
	hangUp := func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Length", "1000")
		io.WriteString(rw, "{")
		panic(http.ErrAbortHandler)
	}
	for name, tt := range map[string]struct {
		limit  uint32
		answer http.HandlerFunc
		code   int32
	}{
		"limit 0":              {0, text(emptyPage), 10000},
		"limit 1001":           {1001, text(emptyPage), 10000},
		"hung up":              {1, hangUp, 10001},
		"no JSON":              {1, text("<html>"), 10002},
		"JSON, cut short":      {1, text(`{"errcode":0,"chatdata":[`), 10002},
		"JSON, then a bracket": {1, text(emptyPage + "}"), 10002},
		"array":                {1, text(`[]`), 10002},
		"brackets crossed":     {1, text(`{"a":[}]}`), 10002},
		"empty body":           {1, text(""), 10002},
		"HTTP status 502":      {1, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(502) }, 10002},
		"marker in errmsg":     {1, text(`{"errcode":0,"errmsg":"##standin:code:10003##","chatdata":[]}`), 10003},
	} {
		t.Run(name, func(t *testing.T) {
			_, sdk := startWeCom(t, tt.answer)
			_, err := sdk.ChatData(0, tt.limit, 5*time.Second)
			wantCode(t, err, tt.code)
		})
	}
}

func TestMarkerOutsideErrmsgIsData(t *testing.T) {
	page := `{"errcode":0,"errmsg":"ok","chatdata":[{"x":"##standin:code:10003##"}]}`
	_, sdk := startWeCom(t, text(page))
	if got, err := sdk.ChatData(0, 1, 5*time.Second); err != nil || string(got) != page {
		t.Errorf("got %s and %v, want the page", got, err)
	}
}

func TestUnreachableProxyIsANetworkError(t *testing.T) {
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	for name, proxy := range map[string]string{
		"no proxy":    "",
		"closed port": "http://127.0.0.1:1",
		"no port":     "http://127.0.0.1",
		"SOCKS proxy": "socks5://127.0.0.1:1",
		"no answer":   "http://" + deaf.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := initSDK(t, proxy).ChatData(0, 1, time.Second)
			wantCode(t, err, 10001)
		})
	}
}

func chunk(finish, index string, data []byte) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/octet-stream")
		if finish != "" {
			rw.Header().Set("X-Is-Finish", finish)
		}
		if index != "" {
			rw.Header().Set("X-Out-Index", index)
		}
		rw.Write(data)
	}
}

func TestMediaComesInChunks(t *testing.T) {
	full := make([]byte, 524288)
	_, _ = rand.Read(full)
	w, sdk := startWeCom(t,
		chunk("0", "Range:bytes=524288-524289", full),
		chunk("1", "", []byte{0, 0xff}),
		chunk("1", "", nil))
	file := `CtY="\` + "\n"
	first, err := sdk.MediaChunk("", file, 5*time.Second)
	if err != nil || !bytes.Equal(first.Data, full) || first.Finished || first.Next != "Range:bytes=524288-524289" {
		t.Errorf("first: got %d bytes, %q, %v and %v", len(first.Data), first.Next, first.Finished, err)
	}
	last, err := sdk.MediaChunk(first.Next, file, 5*time.Second)
	if err != nil || !bytes.Equal(last.Data, []byte{0, 0xff}) || !last.Finished || last.Next != "" {
		t.Errorf("last: got %d bytes, %q, %v and %v", len(last.Data), last.Next, last.Finished, err)
	}
	empty, err := sdk.MediaChunk("", "empty", 5*time.Second)
	if err != nil || len(empty.Data) != 0 || !empty.Finished {
		t.Errorf("empty file: got %d bytes, %v and %v", len(empty.Data), empty.Finished, err)
	}
	want := `POST http://qyapi.weixin.qq.com/cgi-bin/message/getchatmediadata?access_token=tok%2F1 ` +
		`{"sdkfileid":"CtY=\u0022\u005c\u000a","indexbuf":"Range:bytes=524288-524289"}`
	if asked, _ := w.seen(); asked[2] != want {
		t.Errorf("third request: got %s, want %s", asked[2], want)
	}
}

func TestMediaCodes(t *testing.T) {
	code := func(n int) http.HandlerFunc { return text(fmt.Sprintf(`{"errcode":%d,"errmsg":"x"}`, n)) }
	for name, tt := range map[string]struct {
		file   string
		answer http.HandlerFunc
		code   int32
	}{
		"no file id":             {"", chunk("1", "", nil), 10000},
		"address not trusted":    {"f", code(301042), 10009},
		"expired":                {"f", code(301048), 10010},
		"bad index":              {"f", code(40058), 10000},
		"bad file id":            {"f", code(40007), 10005},
		"other errcode":          {"f", code(48002), 10002},
		"errcode 0 without data": {"f", code(0), 10002},
		"over 512 KiB":           {"f", chunk("0", "x", make([]byte, 524289)), 10002},
		"no X-Is-Finish":         {"f", chunk("", "x", nil), 10002},
		"X-Is-Finish of 2":       {"f", chunk("2", "x", nil), 10002},
	} {
		t.Run(name, func(t *testing.T) {
			_, sdk := startWeCom(t, tt.answer)
			_, err := sdk.MediaChunk("", tt.file, 5*time.Second)
			wantCode(t, err, tt.code)
		})
	}
	t.Run("token refused because of the address", func(t *testing.T) {
		w, sdk := startWeCom(t, code(0))
		w.setToken(func(int) string { return `{"errcode":301042,"errmsg":"x"}` })
		_, err := sdk.MediaChunk("", "f", 5*time.Second)
		wantCode(t, err, 10009)
	})
}
