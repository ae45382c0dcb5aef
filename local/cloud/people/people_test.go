package people_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/local/cloud/people"
	"github.com/yunduo-scrm/archive/local/wecom"
)

const corp = "ww0123456789abcdef"

// api starts a server and returns an API that calls it.
func api(t *testing.T, h http.HandlerFunc) *people.API {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return &people.API{
		Base: server.URL, Client: server.Client(),
		Token: func(corp, role string) (string, error) { return corp + "/" + role, nil },
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	a := api(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"got":%q}`, strings.Join([]string{r.Method, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)}, " "))
	})
	var out struct{ Got string }
	if err := a.Call(t.Context(), people.Admin, "PUT", corp, "/setup", map[string]int{"n": 1}, &out); err != nil {
		t.Fatal(err)
	}
	if want := "PUT /v1/corps/" + corp + "/setup Bearer " + corp + `/admin application/json {"n":1}`; out.Got != want {
		t.Errorf("got %q, want %q", out.Got, want)
	}
}

func TestCallRefused(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"problem": `{"title":"No such corp","detail":"none"}`, "mistake": `{"title":"Mistakes","errors":[{"field":"name","remedy":"give one"}]}`, "gateway": `{"message":"Not Found"}`, "no JSON": `<html>`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := api(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusNotFound)
				_, _ = io.WriteString(w, body)
			})
			err := a.Call(t.Context(), people.Admin, "GET", corp, "/status", nil, nil)
			var p *people.Problem
			if !errors.As(err, &p) || p.Status != http.StatusNotFound || !strings.Contains(err.Error(), "GET /status: status 404") {
				t.Errorf("got %v, want a problem with status 404", err)
			}
			if name == "mistake" && !strings.HasSuffix(err.Error(), "; name: give one") {
				t.Errorf("got %v, want the mend in it", err)
			}
		})
	}
}

// A Watcher pages through a ledger with a pending row, and reads settled rows
// only once.
func TestWatcher(t *testing.T) {
	t.Parallel()
	type result struct {
		Stored   int            `json:"stored"`
		SetAside map[string]int `json:"set_aside"`
	}
	type row struct {
		After  uint64  `json:"after,string"`
		Last   uint64  `json:"last,string"`
		Count  int     `json:"count"`
		State  string  `json:"state"`
		Result *result `json:"result"`
	}
	decoded := func(after uint64, n, setAside int) row {
		r := row{After: after, Last: after + 10, Count: n, State: "decoded", Result: &result{Stored: n - setAside}}
		if setAside > 0 {
			r.Result.SetAside = map[string]int{"no_key": setAside}
		}
		return r
	}
	rows := []row{decoded(0, 5, 0), decoded(10, 3, 0), {After: 20, Last: 30, Count: 2, State: "requested"}, decoded(30, 4, 1)}
	var reads []string
	a := api(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/status") {
			_, _ = io.WriteString(w, `{"head":{"seq":"40"},"lag_seconds":7,"trouble":{"cause":"network"}}`)
			return
		}
		reads = append(reads, r.URL.Query().Get("from"))
		from, _ := strconv.ParseUint(r.URL.Query().Get("from"), 10, 64)
		var page struct {
			Rows []row   `json:"rows"`
			Next *string `json:"next"`
		}
		for _, row := range rows {
			switch {
			case row.After < from:
			case len(page.Rows) == 2:
				next := fmt.Sprint(row.After)
				if page.Next == nil {
					page.Next = &next
				}
			default:
				page.Rows = append(page.Rows, row)
			}
		}
		_ = json.NewEncoder(w).Encode(page)
	})
	w := &people.Watcher{API: a, Corp: corp}
	want := people.Progress{Head: 40, Journaled: 14, Decoded: 11, Pages: 4, Pending: 1, SetAside: 1, Lag: 7 * time.Second, Trouble: "network"}
	for _, look := range []string{"first", "second"} {
		got, err := w.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s look: got %+v, want %+v", look, got, want)
		}
	}
	rows[2], rows[3] = decoded(20, 2, 0), decoded(30, 4, 0)
	want.Decoded, want.Pending, want.SetAside = 14, 0, 0
	if got, err := w.Look(t.Context()); err != nil || got != want {
		t.Errorf("third look: got %+v and %v, want %+v", got, err, want)
	}
	if got, want := strings.Join(reads, " "), "0 20 20 20"; got != want {
		t.Errorf("reads began at %q, want %q", got, want)
	}
}

// Lists leave out the bytes of large messages. ReadAll fetches these bytes
// separately, in as many parts as the server requires.
func TestReadAllOfLargeMessages(t *testing.T) {
	t.Parallel()
	const large, partSize = "0123456789", 4
	a := api(t, func(w http.ResponseWriter, r *http.Request) {
		switch path := strings.TrimPrefix(r.URL.Path, "/v1/corps/"+corp); {
		case path == "/conversations" && r.URL.Query().Get("member") != "":
			_, _ = io.WriteString(w, `{"conversations":[{"id":"c"}]}`)
		case path == "/conversations":
			_, _ = io.WriteString(w, `{}`)
		case path == "/conversations/c/messages":
			_, _ = io.WriteString(w, `{"messages":[{"id":"1","seq":"1","msgid":"small","raw":"czE="},{"id":"2","seq":"2","msgid":"large","raw":null}]}`)
		case path == "/messages/2/raw":
			var first int
			if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &first); err != nil {
				t.Errorf("got Range %q: %v", r.Header.Get("Range"), err)
			}
			last := min(first+partSize, len(large))
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last-1, len(large)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, large[first:last])
		}
	})
	got, err := people.ReadAll(t.Context(), a, company(t))
	if err != nil {
		t.Fatal(err)
	}
	if string(got["small"].Raw) != "s1" || string(got["large"].Raw) != large {
		t.Errorf("got %+v, want both messages with their bytes", got)
	}
}

// ReadAll reads a conversation once, even if several people's lists name it. It
// refuses messages that are out of time order or listed twice.
func TestReadAllChecksConversations(t *testing.T) {
	t.Parallel()
	const first, second = `{"id":"1","msgid":"a","time":"2026-03-01T08:00:00Z","raw":"QQ=="}`, `{"id":"2","msgid":"b","time":"2026-03-01T08:00:01Z","raw":"Qg=="}`
	for name, c := range map[string]struct{ messages, want string }{
		"in order":     {first + "," + second, ""},
		"out of order": {second + "," + first, "message a out of time order in its conversation"},
		"twice":        {first + "," + first, "message a listed twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := api(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/messages") {
					fmt.Fprintf(w, `{"messages":[%s]}`, c.messages)
					return
				}
				_, _ = io.WriteString(w, `{"conversations":[{"id":"c"}]}`)
			})
			messages, err := people.ReadAll(t.Context(), a, company(t))
			switch {
			case c.want == "" && (err != nil || len(messages) != 2):
				t.Errorf("got %d messages and error %v, want 2 messages", len(messages), err)
			case c.want != "" && (err == nil || err.Error() != c.want):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// company is a simulated company with one member.
func company(t *testing.T) *wecom.Corp {
	t.Helper()
	sim := wecom.New(wecom.Config{})
	t.Cleanup(sim.Close)
	c, err := sim.AddCorp(wecom.CorpConfig{ID: corp, Staff: []wecom.Staff{{UserID: "lin.hua"}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCompare(t *testing.T) {
	t.Parallel()
	sent := []wecom.Sent{
		{MsgID: "a", Plain: []byte("A")}, {MsgID: "b", Plain: []byte("B")}, {MsgID: "large", Plain: []byte("L")},
		{MsgID: "spoilt", Spoilt: true}, {MsgID: "left", LeftOut: "scope"},
	}
	read := func(change func(map[string]people.Message)) map[string]people.Message {
		m := map[string]people.Message{"a": {MsgID: "a", Raw: []byte("A")}, "b": {MsgID: "b", Raw: []byte("B")}, "large": {MsgID: "large", Raw: []byte("L")}}
		if change != nil {
			change(m)
		}
		return m
	}
	for name, c := range map[string]struct {
		read map[string]people.Message
		want string
	}{
		"same":    {read(nil), ""},
		"missing": {read(func(m map[string]people.Message) { delete(m, "b") }), "message b (seq 0, ) missing"},
		"changed": {read(func(m map[string]people.Message) { m["a"] = people.Message{Raw: []byte("X")} }), "message a (seq 0, ) has other bytes"},
		"no raw":  {read(func(m map[string]people.Message) { m["large"] = people.Message{} }), "message large (seq 0, ) has other bytes"},
		"unsent":  {read(func(m map[string]people.Message) { m["x"] = people.Message{Seq: 9} }), "message x (seq 9) never sent"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := people.Compare(sent, c.read); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
