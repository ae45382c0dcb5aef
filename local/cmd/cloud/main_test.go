package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/needs"
)

// These tests start whole clouds with services of their own, as make run does,
// one at a time.

var onFreePorts = []string{"-root", "../../..", "-api-port", "0", "-control-port", "0", "-wecom-port", "0"}

// A running is a call of run whose output is watched.
type running struct {
	t    *testing.T
	out  string // file
	stop context.CancelFunc
	done chan struct{}
	err  error // once done
}

func begun(t *testing.T, args ...string) *running {
	t.Helper()
	needs.Servers(t)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute) // for hanging
	r := &running{t: t, out: out.Name(), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer out.Close()
		r.err = run(ctx, append(slices.Clone(onFreePorts), args...), nil, out, out)
	}()
	t.Cleanup(func() {
		stop()
		<-r.done
	})
	return r
}

func (r *running) text() string {
	r.t.Helper()
	text, err := os.ReadFile(r.out)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// says waits until the pattern is printed, and returns what it captures.
func (r *running) says(pattern string) []string {
	r.t.Helper()
	form := regexp.MustCompile("(?m)" + pattern)
	for {
		ended := false
		select {
		case <-r.done:
			ended = true
		default:
		}
		if m := form.FindStringSubmatch(r.text()); m != nil {
			return m[1:]
		}
		if ended {
			r.t.Fatalf("ended with %v before it said %s; it said:\n%s", r.err, pattern, r.text())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// ended waits for the end, after which nothing is left.
func (r *running) ended(temp string) {
	r.t.Helper()
	<-r.done
	if r.err != nil {
		r.t.Errorf("got %v; it said:\n%s", r.err, r.text())
	}
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(lists) == 0 {
		r.t.Fatalf("cannot list processes: %v", err)
	}
	for _, list := range lists {
		pids, _ := os.ReadFile(list) // a thread may have ended
		for _, pid := range strings.Fields(string(pids)) {
			command, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			r.t.Errorf("process %s is still there: %q", pid, command)
		}
	}
	left, err := os.ReadDir(temp)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range left {
		r.t.Errorf("%s is left in the folder of temporary files", f.Name())
	}
}

// temporary is an empty folder that stands in for /tmp.
func temporary(t *testing.T) string {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return dir
}

func TestOnce(t *testing.T) {
	temp := temporary(t)
	r := begun(t, "-once", "20")
	for _, corp := range []string{"ww0123456789abcdef", "wwfedcba9876543210"} {
		r.says(corp + ` \S+ sets the archive up`)
		sent := r.says(corp + ` sent (\d+) messages`)
		r.says(corp + `: ` + sent[0] + ` messages read back as they were sent, byte for byte$`)
	}
	r.says(`^ok, in [0-9.]+s$`)
	r.ended(temp)
}

func TestDataIsKept(t *testing.T) {
	temp, data := temporary(t), t.TempDir()
	const corp = "ww0123456789abcdef"
	r := begun(t, "-data", data, "-no-chat", "-notify", "1s")
	r.says(`^sent 0   journaled 0   decoded 0   waiting 0   lag \S+$`)
	console := r.says(`^WeCom +http://127\.0\.0\.1:\d+ +its console: (http://\S+/wecom/)$`)[0]
	answer := ask(t, http.MethodPost, console+"corps/"+corp+"/messages", "", `{"count":30}`)
	sent := strconv.Itoa(30 - strings.Count(answer, `"left_out"`))
	allThere := `^sent ` + sent + `   journaled ` + sent + `   decoded ` + sent + `   waiting 0   lag \S+$`
	r.says(allThere)
	conversations := func(r *running) string {
		api := r.says(`^API +(http://127\.0\.0\.1:\d+)$`)[0]
		token := r.says(`^tokens of ` + corp + `\nadmin +\S+\nreader +(\S+)\nauditor +\S+\nservice +\S+$`)[0]
		list := ask(t, http.MethodGet, api+"/v1/corps/"+corp+"/conversations?member=lin.hua", token, "")
		list, _, _ = strings.Cut(list, `"names":`) // they may come later
		return list
	}
	before := conversations(r)
	if !strings.Contains(before, `"id"`) {
		t.Errorf("got conversations %s, want some", before)
	}
	r.says(`^logs +` + regexp.QuoteMeta(filepath.Join(data, "logs")) + `$`)
	r.says(`^kept in +` + regexp.QuoteMeta(data) + `$`)
	commands := r.says(`^commands +(http://127\.0\.0\.1:\d+) +lists them$`)[0]
	r.stop()
	r.says(`^stopping \.\.\.$`)
	r.says(`^stopped$`)
	r.ended(temp)
	if conn, err := net.Dial("tcp", strings.TrimPrefix(commands, "http://")); err == nil {
		_ = conn.Close()
		t.Errorf("%s still answers", commands)
	}

	r = begun(t, "-data", data, "-no-chat")
	r.says(`^` + sent + ` messages were there already`)
	r.says(allThere)
	if after := conversations(r); after != before {
		t.Errorf("got conversations %s in the second run, want %s", after, before)
	}
	r.stop()
	r.ended(temp)
}

func TestTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	temp := temporary(t)
	r := begun(t, "-control-port", port)
	<-r.done
	if want := taken.Addr().String() + " is in use: choose another port with -control-port"; r.err == nil || !strings.Contains(r.err.Error(), want) {
		t.Errorf("got %v, want %q", r.err, want)
	}
	r.err = nil
	r.ended(temp)
}

func TestInterruptedStart(t *testing.T) {
	temp := temporary(t)
	r := begun(t)
	r.says(`^starting `)
	r.stop()
	<-r.done
	if r.err == nil || r.err.Error() != "interrupted before it was ready" {
		t.Errorf("got %v", r.err)
	}
	r.err = nil
	r.ended(temp)
}

// ask sends a request, with a token unless that is empty, and wants status 200.
func ask(t *testing.T, method, url, token, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: status %d, %v: %s", method, url, resp.StatusCode, err, text)
	}
	return string(text)
}
