package sdkworker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/sdkworker"
	"github.com/yunduo-scrm/archive/shared/secret"
)

func TestEveryCallPassesThroughTheWorker(t *testing.T) {
	w, url := startWeCom(t)
	w.setPage(`{"errcode":0,"errmsg":"ok","chatdata":[],"asked":"$BODY"}`)
	s := newSession(t, func(c *sdkworker.Config) { c.Proxy = url })

	page, err := s.ChatData(t.Context(), 1<<63+7, 1000)
	want := `{"errcode":0,"errmsg":"ok","chatdata":[],"asked":"{'seq':9223372036854775815,'limit':1000}"}`
	if err != nil || string(page) != want {
		t.Errorf("page: got %s and %v, want %s", page, err, want)
	}
	decrypt(t, s, `{"msgid":"1"}`)

	first, err := s.MediaChunk(t.Context(), "", "file")
	if err != nil || len(first.Data) != 524288 || first.Finished || first.Next != "Range:bytes=524288-524290" {
		t.Errorf("first chunk: got %d bytes, next %q, finished %v and %v", len(first.Data), first.Next, first.Finished, err)
	}
	last, err := s.MediaChunk(t.Context(), first.Next, "file")
	if err != nil || !bytes.Equal(last.Data, []byte{0, 1, 2}) || !last.Finished {
		t.Errorf("last chunk: got %d bytes, finished %v and %v", len(last.Data), last.Finished, err)
	}
}

func TestDecryptReturnsEveryByte(t *testing.T) {
	s := newSession(t, nil)
	for name, msg := range map[string]string{
		"empty":         "",
		"text":          `{"msgid":"1","text":{"content":"你好"}}`,
		"embedded NUL":  "{\"a\":\"x\x00y\"}\x00",
		"invalid UTF-8": "\xff\xfe\x80",
		"control":       "\x01\x02\x1f",
		"3 MB":          strings.Repeat("0123456789abcdefghijklmnopqrstu\x00", 3<<20/32),
		"print":         "after 128 KiB of noise ##standin:print##",
		"leak":          "##standin:leak##",
	} {
		t.Run(name, func(t *testing.T) { decrypt(t, s, msg) })
	}
}

func TestReturnCodesKeepTheProcess(t *testing.T) {
	_, url := startWeCom(t)
	s := newSession(t, func(c *sdkworker.Config) { c.Proxy = url })
	decrypt(t, s, "x")
	pid := s.PID()
	key, message := sealed("x")
	otherKey, coded := sealed("##standin:code:10003##")
	for name, tt := range map[string]struct {
		key     []byte
		message string
		code    int
	}{
		"key of another message":  {otherKey, message, 10006},
		"no key text":             {[]byte("not base64"), message, 10008},
		"key text with a NUL":     {append([]byte{0}, key...), message, 10008},
		"message with a NUL":      {key, message + "\x00", 10006},
		"message cut short":       {key, message[:20], 10006},
		"no message":              {key, "", 10006},
		"marker with a code":      {otherKey, coded, 10003},
		"key text one too long":   {append(bytes.Clone(key), 'A'), message, 10008},
		"message of invalid text": {key, "\xff\xff", 10006},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Decrypt(t.Context(), tt.key, tt.message)
			wantCode(t, err, "DecryptData", tt.code)
		})
	}
	for _, limit := range []int{-1, 0, 1001, 1 << 40} {
		_, err := s.ChatData(t.Context(), 0, limit)
		wantCode(t, err, "GetChatData", 10000)
	}
	_, err := s.MediaChunk(t.Context(), "", "")
	wantCode(t, err, "GetMediaData", 10000)
	if got := s.PID(); got != pid {
		t.Errorf("process: got %d, want %d unchanged", got, pid)
	}
}

func TestOneBadMessageEndsOneProcess(t *testing.T) {
	t.Parallel()
	tests := []struct {
		marker string
		how    archive.CrashKind
		note   string
	}{
		{"crash", archive.Crashed, "signal: segmentation fault"},
		{"abort", archive.Crashed, "signal: aborted"},
		{"hang", archive.Hung, "no answer within"},
	}
	for _, tt := range tests {
		t.Run(tt.marker, func(t *testing.T) {
			s := newSession(t, func(c *sdkworker.Config) {
				if tt.how == archive.Hung {
					c.DecryptTimeout = time.Second
				}
			})
			decrypt(t, s, "before")
			pid := s.PID()
			key, message := sealed("##standin:" + tt.marker + "##")
			_, err := s.Decrypt(t.Context(), key, message)
			wantCrash(t, err, "DecryptData", tt.how)
			if !strings.Contains(err.Error(), tt.note) {
				t.Errorf("error: got %v, want %q in it", err, tt.note)
			}
			if s.PID() != 0 || syscall.Kill(pid, 0) != syscall.ESRCH {
				t.Errorf("process %d: got a running process, want its end", pid)
			}
			decrypt(t, s, "after")
			if s.PID() == pid {
				t.Errorf("process after the crash: got %d again, want a new one", pid)
			}
		})
	}
}

// A batch returns what a call for each of its records would return, in their order.
func TestBatchReturnsEachRecordsOutcome(t *testing.T) {
	s := newSession(t, nil)
	var records []decode.Sealed
	var want []decode.Decrypted
	add := func(key []byte, message, raw string, code int) {
		records = append(records, decode.Sealed{KeyText: key, Message: message})
		want = append(want, decode.Decrypted{Raw: []byte(raw), Code: code})
	}
	for _, msg := range []string{"first", "", "a\x00b\xff", strings.Repeat("long ", 1<<20)} {
		key, message := sealed(msg)
		add(key, message, msg, 0)
	}
	other, coded := sealed("##standin:code:10003##")
	key, message := sealed("x")
	add(other, coded, "", 10003)
	add(other, message, "", 10006)
	add([]byte("no key"), message, "", 10008)
	add(key, message+"\x00", "", 10006)
	add(key, message, "x", 0)
	got, err := s.DecryptAll(t.Context(), records)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %d outcomes and %v, want those of the %d records", len(got), err, len(want))
	}
	if none, err := s.DecryptAll(t.Context(), nil); err != nil || len(none) != 0 {
		t.Errorf("no records: got %v and %v, want no outcome", none, err)
	}
}

// A batch that ends the process returns no outcome. The next call gets a new
// process.
func TestBadRecordEndsItsBatch(t *testing.T) {
	t.Parallel()
	for marker, how := range map[string]archive.CrashKind{"crash": archive.Crashed, "hang": archive.Hung} {
		t.Run(marker, func(t *testing.T) {
			s := newSession(t, func(c *sdkworker.Config) { c.DecryptTimeout = time.Second })
			decrypt(t, s, "before")
			pid := s.PID()
			var records []decode.Sealed
			for _, msg := range []string{"good", "##standin:" + marker + "##", "good too"} {
				key, message := sealed(msg)
				records = append(records, decode.Sealed{KeyText: key, Message: message})
			}
			got, err := s.DecryptAll(t.Context(), records)
			wantCrash(t, err, "DecryptData", how)
			if len(got) != 0 || syscall.Kill(pid, 0) != syscall.ESRCH {
				t.Errorf("got %d outcomes, want none and the end of process %d", len(got), pid)
			}
			decrypt(t, s, "after")
		})
	}
}

func TestExhaustedMemoryKillsOnlyTheWorker(t *testing.T) {
	const limit = 48 << 20
	s := newSession(t, func(c *sdkworker.Config) { c.MemoryLimit = limit })
	decrypt(t, s, strings.Repeat("m", 3<<20)) // a large message fits in the limit
	key, message := sealed("##standin:oom##")
	_, err := s.Decrypt(t.Context(), key, message)
	wantCrash(t, err, "DecryptData", archive.Crashed)
	// The stand-in aborts when malloc fails. A kill by the kernel would be
	// another signal.
	if !strings.Contains(err.Error(), "signal: aborted") {
		t.Errorf("error: got %v, want an abort after malloc failed", err)
	}
	decrypt(t, s, "after")
}

func TestBadPageEndsOneProcess(t *testing.T) {
	t.Parallel()
	for marker, how := range map[string]archive.CrashKind{"crash": archive.Crashed, "hang": archive.Hung} {
		t.Run(marker, func(t *testing.T) {
			w, url := startWeCom(t)
			s := newSession(t, func(c *sdkworker.Config) { c.Proxy, c.ChatDataTimeout = url, 2*time.Second })
			w.setPage(`{"errcode":0,"errmsg":"##standin:` + marker + `##","chatdata":[]}`)
			_, err := s.ChatData(t.Context(), 0, 10)
			wantCrash(t, err, "GetChatData", how)
			w.setPage(`{"errcode":0,"errmsg":"##standin:print##","chatdata":[]}`)
			if _, err := s.ChatData(t.Context(), 0, 10); err != nil {
				t.Errorf("the next page: %v", err)
			}
		})
	}
}

func TestMissingAnswerOfWeComIsANetworkError(t *testing.T) {
	t.Parallel()
	addr := deafListener(t)
	s := newSession(t, func(c *sdkworker.Config) { c.Proxy, c.ChatDataTimeout = "http://"+addr, 8*time.Second })
	_, err := s.ChatData(t.Context(), 0, 10)
	wantCode(t, err, "GetChatData", 10001)
}

func TestInitFailures(t *testing.T) {
	_, url := startWeCom(t)
	refused := sdkworker.Identity{CorpID: corpID, Secret: secret.New("wrong")}

	t.Run("secret refused at Init", func(t *testing.T) {
		p := newPool(t, func(c *sdkworker.Config) { c.Proxy, c.Library = url, strict(t) })
		s := p.Session(corpID, refused)
		for range 2 {
			_, err := s.ChatData(t.Context(), 0, 10)
			wantCode(t, err, "Init", 10000)
		}
		key, message := sealed("x")
		_, err := s.Decrypt(t.Context(), key, message)
		wantCode(t, err, "Init", 10000)
		if n := p.Processes(); n != 0 {
			t.Errorf("processes: got %d, want none", n)
		}
		decrypt(t, p.Session(corpID, identity()), "the right secret works")
	})
	t.Run("WeCom unreachable at Init", func(t *testing.T) {
		s := newSession(t, func(c *sdkworker.Config) { c.Proxy, c.Library = "http://127.0.0.1:1", strict(t) })
		_, err := s.ChatData(t.Context(), 0, 10)
		wantCode(t, err, "Init", 10001)
	})
	t.Run("secret refused at the first call", func(t *testing.T) {
		s := newPool(t, func(c *sdkworker.Config) { c.Proxy = url }).Session(corpID, refused)
		page, err := s.ChatData(t.Context(), 0, 10)
		want := `{"errcode":40001,"errmsg":"invalid credential","chatdata":[]}`
		if err != nil || string(page) != want {
			t.Errorf("page: got %s and %v, want %s", page, err, want)
		}
		decrypt(t, s, "DecryptData works with a refused secret")
	})
	t.Run("no secret", func(t *testing.T) {
		s := newPool(t, nil).Session(corpID, sdkworker.Identity{CorpID: corpID})
		_, err := s.ChatData(t.Context(), 0, 10)
		wantCode(t, err, "Init", 10000)
	})
}

func TestLibraryGetsTheProxyAndItsPassword(t *testing.T) {
	w, url := startWeCom(t)
	s := newSession(t, func(c *sdkworker.Config) {
		c.Library, c.Proxy, c.ProxyPassword = strict(t), url, secret.New("user:p@ss/wörd:2")
	})
	decrypt(t, s, "x")
	const want = "Basic dXNlcjpwQHNzL3fDtnJkOjI="
	if got := w.authorization(); got != want {
		t.Errorf("at Init: got %q, want %q", got, want)
	}
	if _, err := s.ChatData(t.Context(), 0, 10); err != nil {
		t.Fatalf("chat data: %v", err)
	}
	if got := w.authorization(); got != want {
		t.Errorf("at GetChatData: got %q, want %q", got, want)
	}
}

func TestCancelEndsTheCallAndTheProcess(t *testing.T) {
	s := newSession(t, func(c *sdkworker.Config) { c.DecryptTimeout = time.Hour })
	decrypt(t, s, "x")
	pid := s.PID()
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(100*time.Millisecond, cancel)
	defer timer.Stop()
	key, message := sealed("##standin:hang##")
	if _, err := s.Decrypt(ctx, key, message); !errors.Is(err, context.Canceled) {
		t.Errorf("in flight: got %v, want context.Canceled", err)
	}
	if syscall.Kill(pid, 0) != syscall.ESRCH {
		t.Errorf("process %d: got a running process, want its end", pid)
	}
	if _, err := s.Decrypt(ctx, key, message); !errors.Is(err, context.Canceled) || s.PID() != 0 {
		t.Errorf("before the call: got %v and process %d, want context.Canceled and no process", err, s.PID())
	}
	decrypt(t, s, "after")
}

func TestDeadlineOfTheCallerIsNoCrash(t *testing.T) {
	s := newSession(t, nil)
	decrypt(t, s, "x")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	key, message := sealed("##standin:hang##")
	if _, err := s.Decrypt(ctx, key, message); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
}

func TestTimeBetweenCallsHasNoLimit(t *testing.T) {
	t.Parallel()
	s := newSession(t, func(c *sdkworker.Config) { c.DecryptTimeout = 2 * time.Second })
	decrypt(t, s, "x")
	pid := s.PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2500 * time.Millisecond) // longer than the limit of a call
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	decrypt(t, s, "thawed")
	if got := s.PID(); got != pid {
		t.Errorf("process: got %d, want %d unchanged", got, pid)
	}
}

func TestDeathBetweenCallsIsNoCrash(t *testing.T) {
	s := newSession(t, nil)
	decrypt(t, s, "x")
	pid := s.PID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pid)
	decrypt(t, s, "after")
}

func TestPoolReplacesALeakingProcess(t *testing.T) {
	const calls, maxRSS = 17_000, 64 << 20
	s := newSession(t, func(c *sdkworker.Config) { c.Library, c.MaxRSS = leaky(t), maxRSS })
	key, message := sealed(`{"msgid":"1"}`)
	pids := make(map[int]bool)
	var largest int64
	two := []decode.Sealed{{KeyText: key, Message: message}, {KeyText: key, Message: message}}
	for i := range calls { // the library leaks 1.6 GB in total
		var err error
		if i%2 == 0 {
			_, err = s.DecryptAll(t.Context(), two)
		} else {
			_, err = s.Decrypt(t.Context(), key, message)
		}
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		if i%125 == 0 {
			if pid := s.PID(); pid != 0 {
				pids[pid] = true
				largest = max(largest, residentMemory(t, pid))
			}
		}
	}
	// 64 records may leak 64 KiB each before the next check of the memory.
	if largest == 0 || largest > maxRSS+8<<20 {
		t.Errorf("largest process: got %d MiB, want at most %d MiB and the leak of 64 records", largest>>20, maxRSS>>20)
	}
	if len(pids) < 10 {
		t.Errorf("processes seen: got %d, want a new one every thousand calls", len(pids))
	}
}

func TestOutputOfTheLibraryIsCountedAndNotLogged(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := newPool(t, func(c *sdkworker.Config) { c.Log = logger })
	s := p.Session(corpID, identity())
	decrypt(t, s, "##standin:print##")
	decrypt(t, s, "content ##standin:tell##")
	p.Close()
	if !strings.Contains(log.String(), "printed_bytes=131120") { // 48 of the second text
		t.Errorf("log: got %s, want the number of bytes printed", log.String())
	}
	for _, never := range []string{"!\"#$", secretText, "standin", "content"} {
		if strings.Contains(log.String(), never) {
			t.Errorf("log: got %q in it, want only the counts", never)
		}
	}
}

func BenchmarkDecrypt1KB(b *testing.B) {
	s := newSession(b, nil)
	msg := `{"msgid":"1","text":{"content":"` + strings.Repeat("x", 1000) + `"}}`
	key, message := sealed(msg)
	decrypt(b, s, msg)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := s.Decrypt(b.Context(), key, message); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	for range b.N {
		p := newPool(b, nil)
		decrypt(b, p.Session(corpID, identity()), "x")
		p.Close()
	}
}
