package routes_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// Long JSON answers are compressed for callers who accept it, and say the same.
func TestCompressedAnswers(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	var raws []string
	for i := range 50 {
		raws = append(raws, apitest.Chat(fmt.Sprintf("m%02d", i), "lin.hua", "wmA", "", apitest.Noon.Add(time.Duration(i)*time.Second), "你好"))
	}
	w.Store(w.Corp, raws...)
	list := "/v1/corps/" + w.Corp + "/conversations/" + apitest.ConversationID(t, w.Corp, archive.PartyConversation([]string{"lin.hua", "wmA"})) + "/messages"
	get := func(path, accepted string) apitest.Response {
		t.Helper()
		return w.Do(apitest.Request{Who: w.As(session.Reader), Method: "GET", Path: path, Header: map[string]string{"Accept-Encoding": accepted}})
	}
	plain := get(list, "")
	for accepted, want := range map[string]bool{
		"gzip": true, "br, gzip;q=0.5": true, "GZIP": true, "*": true, "deflate, * ; q = 1": true, "gzip ;q=0.001": true,
		"": false, "br": false, "gzip;q=0": false, "*;q=0": false, "*, gzip;q=0": false, "gzip;q=0, *": false, "x-gzip": false,
	} {
		resp := get(list, accepted).Want(200)
		if got := resp.Header.Get("Content-Encoding") == "gzip"; got != want || string(resp.Body) != string(plain.Body) {
			t.Errorf("%q: compressed %v, want %v", accepted, got, want)
		}
		if want && resp.Sent > len(resp.Body)/4 {
			t.Errorf("%q: %d of %d bytes", accepted, resp.Sent, len(resp.Body))
		}
		if got := resp.Header.Get("Vary"); got != "Accept-Encoding" {
			t.Errorf("%q: Vary %q", accepted, got)
		}
	}
	if resp := get("/v1/session", "gzip").Want(200); resp.Header.Get("Content-Encoding") != "" {
		t.Errorf("an answer of %d bytes is compressed", len(resp.Body))
	}
}
