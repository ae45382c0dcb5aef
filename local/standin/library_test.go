package standin_test

import (
	"bytes"
	"context"
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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/needs"
	"github.com/yunduo-scrm/archive/local/standin"
	"github.com/yunduo-scrm/archive/shared/financesdk"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// The library is loaded into the test's own process here. Its misbehaviour is
// tested in shared/sdkworker, in a child.

const awkwardSecret = "a b&c=d/ü+%~-._"

func TestTheLibraryHasTheVendorsFunctionsAndNoOthers(t *testing.T) {
	needs.Compiler(t)
	path, err := standin.Build(t.Context(), t.TempDir(), standin.Strict())
	if err != nil {
		t.Fatal(err)
	}
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
	t.Run("variants compile without a warning", func(t *testing.T) {
		if _, err := standin.Build(t.Context(), t.TempDir(), standin.Strict(), standin.InitChecksSecret(), standin.Leaky()); err != nil {
			t.Error(err)
		}
	})
	t.Run("into a relative directory, over the last one", func(t *testing.T) {
		t.Chdir(t.TempDir())
		if err := os.Mkdir("lib", 0o700); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			path, err := standin.Build(t.Context(), "lib")
			if err != nil || path != filepath.Join("lib", standin.Name) {
				t.Errorf("got %q and %v", path, err)
			}
		}
		left, err := os.ReadDir("lib")
		if err != nil || len(left) != 1 {
			t.Errorf("files: got %v and %v, want the library alone", left, err)
		}
	})
	t.Run("nowhere", func(t *testing.T) {
		if _, err := standin.Build(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil {
			t.Error("got no error")
		}
	})
}

// library is built once for all tests that are content with the common one.
var library = sync.OnceValues(func() (*financesdk.Library, error) {
	dir, err := os.MkdirTemp("", "standin-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // once it is loaded its file is not needed
	path, err := standin.Build(context.Background(), dir)
	if err != nil {
		return nil, err
	}
	return financesdk.Open(path)
})

func initSDK(t *testing.T, proxy string) *financesdk.SDK {
	t.Helper()
	needs.Compiler(t)
	l, err := library()
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

func TestTheLibraryOpensWhatSealMade(t *testing.T) {
	sdk := initSDK(t, "")
	key := standin.NewKeyText(rand.Reader)
	msg := make([]byte, 1<<20)
	_, _ = rand.Read(msg)
	// Around the sizes of ChaCha20's blocks and of base64's groups.
	for _, n := range []int{0, 1, 2, 3, 59, 60, 61, 63, 64, 65, 1000, len(msg)} {
		var nonce [12]byte
		_, _ = rand.Read(nonce[:])
		got, err := sdk.Decrypt([]byte(key), []byte(standin.Seal(key, msg[:n], nonce)))
		if err != nil || !bytes.Equal(got, msg[:n]) {
			t.Errorf("%d bytes: got %d bytes and %v", n, len(got), err)
		}
	}
}

func TestDecryptDataRefuses(t *testing.T) {
	sdk := initSDK(t, "")
	key, other := standin.NewKeyText(rand.Reader), standin.NewKeyText(rand.Reader)
	good := standin.Seal(key, []byte("message"), [12]byte{})
	flipped := []byte(good)
	flipped[20] ^= 1 // another digit, a group of which is the nonce
	tests := []struct {
		name, key, message string
		code               int32
	}{
		{"the key of another message", other, good, 10006},
		{"no key", "", good, 10008},
		{"a key one digit short", key[:87], good, 10008},
		{"a key with a character that is no digit", "!" + key[1:], good, 10008},
		{"a key without padding", key[:86] + "AA", good, 10008},
		{"no message", key, "", 10006},
		{"no prefix", key, good[1:], 10006},
		{"another version", key, "YDSTANDIN-02:" + good[13:], 10006},
		{"no base64", key, good + "!", 10006},
		{"no room for a checksum", key, good[:13+20], 10006},
		{"a changed byte", key, string(flipped), 10006},
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

// weCom answers one path after another and notes what it was asked.
type weCom struct {
	t       *testing.T
	mu      sync.Mutex
	asked   []string // method, URI and body
	tokens  int
	token   func(n int) string // n-th answer to gettoken; nil: a token "tok/n"
	answers []http.HandlerFunc // to everything else, the last one for good
}

func startWeCom(t *testing.T, answers ...http.HandlerFunc) (*weCom, *financesdk.SDK) {
	t.Helper()
	w := &weCom{t: t, answers: answers}
	s := httptest.NewServer(w)
	t.Cleanup(s.Close)
	return w, initSDK(t, s.URL)
}

// The library asks from C, where the race detector sees no order between a
// test and the handler: so what they share is reached under the lock.

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
		w.t.Errorf("read a request: %v", err)
	}
	w.asked = append(w.asked, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
	if r.Host != "qyapi.weixin.qq.com" {
		w.t.Errorf("host: got %s", r.Host)
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

func TestChatDataAsksAsTheHiddenInterfaceIsAsked(t *testing.T) {
	w, sdk := startWeCom(t, text(emptyPage))
	for range 2 {
		page, err := sdk.ChatData(18446744073709551615, 1000, 5*time.Second)
		if err != nil || string(page) != emptyPage {
			t.Fatalf("got %s and %v", page, err)
		}
	}
	post := `POST http://qyapi.weixin.qq.com/cgi-bin/message/getchatdata?access_token=tok%2F1 {"seq":18446744073709551615,"limit":1000}`
	want := []string{
		"GET http://qyapi.weixin.qq.com/cgi-bin/gettoken?corpid=ww1&corpsecret=a%20b%26c%3Dd%2F%C3%BC%2B%25~-._",
		post, post, // one token for both
	}
	if asked, _ := w.seen(); !slices.Equal(asked, want) {
		t.Errorf("asked: got %q, want %q", asked, want)
	}
}

func TestPagesComeUnchanged(t *testing.T) {
	large := `{"errcode":0,"errmsg":"ok","chatdata":["` + strings.Repeat("0123456789abcdef", 20<<20/16) + `"]}`
	for name, page := range map[string]string{
		"errors inside":   `{"errcode":301042,"errmsg":"whiteip not match, from ip: 203.0.113.9","chatdata":[]}`,
		"odd white space": " {\n\t\"errcode\" : 0 , \"a\":{\"}\":[1,-2.5e3,true,null,\"\\\"]\"]},\"errmsg\":\"ok\"}\r\n",
		"no chatdata":     `{"errcode":0,"errmsg":"ok"}`,
		"20 MB":           large,
		"no object":       `{}`,
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

func TestStaleTokensAreFetchedAnewOnce(t *testing.T) {
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

func TestATokenLastsAsLongAsWeComSays(t *testing.T) {
	w, sdk := startWeCom(t, text(emptyPage))
	w.setToken(func(int) string { return `{"errcode":0,"access_token":"T","expires_in":0}` })
	for range 3 {
		if _, err := sdk.ChatData(0, 1, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if _, tokens := w.seen(); tokens != 3 {
		t.Errorf("tokens: got %d, want a new one each time", tokens)
	}
}

func TestARefusedTokenBecomesAPage(t *testing.T) {
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
		"limit 0":            {0, text(emptyPage), 10000},
		"limit 1001":         {1001, text(emptyPage), 10000},
		"hung up":            {1, hangUp, 10001},
		"no JSON":            {1, text("<html>"), 10002},
		"JSON, cut short":    {1, text(`{"errcode":0,"chatdata":[`), 10002},
		"more than JSON":     {1, text(emptyPage + "}"), 10002},
		"an array":           {1, text(`[]`), 10002},
		"brackets crossed":   {1, text(`{"a":[}]}`), 10002},
		"nothing":            {1, text(""), 10002},
		"HTTP status 502":    {1, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(502) }, 10002},
		"a marker in errmsg": {1, text(`{"errcode":0,"errmsg":"##standin:code:10003##","chatdata":[]}`), 10003},
	} {
		t.Run(name, func(t *testing.T) {
			_, sdk := startWeCom(t, tt.answer)
			_, err := sdk.ChatData(0, tt.limit, 5*time.Second)
			wantCode(t, err, tt.code)
		})
	}
}

func TestAMarkerOutsideOfErrmsgIsData(t *testing.T) {
	page := `{"errcode":0,"errmsg":"ok","chatdata":[{"x":"##standin:code:10003##"}]}`
	_, sdk := startWeCom(t, text(page))
	if got, err := sdk.ChatData(0, 1, 5*time.Second); err != nil || string(got) != page {
		t.Errorf("got %s and %v, want the page", got, err)
	}
}

func TestWhatCannotBeReachedIsANetworkError(t *testing.T) {
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	for name, proxy := range map[string]string{
		"no proxy":         "",
		"nobody there":     "http://127.0.0.1:1",
		"no port":          "http://127.0.0.1",
		"not a known kind": "socks5://127.0.0.1:1",
		"never answers":    "http://" + deaf.Addr().String(),
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
		t.Errorf("a file of no bytes: got %d bytes, %v and %v", len(empty.Data), empty.Finished, err)
	}
	want := `POST http://qyapi.weixin.qq.com/cgi-bin/message/getchatmediadata?access_token=tok%2F1 ` +
		`{"sdkfileid":"CtY=\u0022\u005c\u000a","indexbuf":"Range:bytes=524288-524289"}`
	if asked, _ := w.seen(); asked[2] != want {
		t.Errorf("asked: got %s, want %s", asked[2], want)
	}
}

func TestMediaCodes(t *testing.T) {
	code := func(n int) http.HandlerFunc { return text(fmt.Sprintf(`{"errcode":%d,"errmsg":"x"}`, n)) }
	for name, tt := range map[string]struct {
		file   string
		answer http.HandlerFunc
		code   int32
	}{
		"no file id":           {"", chunk("1", "", nil), 10000},
		"address not trusted":  {"f", code(301042), 10009},
		"expired":              {"f", code(301048), 10010},
		"bad index":            {"f", code(40058), 10000},
		"bad file id":          {"f", code(40007), 10005},
		"anything else":        {"f", code(48002), 10002},
		"no error and no data": {"f", code(0), 10002},
		"over 512 KiB":         {"f", chunk("0", "x", make([]byte, 524289)), 10002},
		"finished or not?":     {"f", chunk("", "x", nil), 10002},
		"finished perhaps":     {"f", chunk("2", "x", nil), 10002},
	} {
		t.Run(name, func(t *testing.T) {
			_, sdk := startWeCom(t, tt.answer)
			_, err := sdk.MediaChunk("", tt.file, 5*time.Second)
			wantCode(t, err, tt.code)
		})
	}
	t.Run("token refused for the address", func(t *testing.T) {
		w, sdk := startWeCom(t, code(0))
		w.setToken(func(int) string { return `{"errcode":301042,"errmsg":"x"}` })
		_, err := sdk.MediaChunk("", "f", 5*time.Second)
		wantCode(t, err, 10009)
	})
}
