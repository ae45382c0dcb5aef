package chats_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/chats"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// FuzzRange compares the range that a header requests with that of net/http.
func FuzzRange(f *testing.F) {
	for _, header := range []string{"", "bytes=0-", "bytes=-1", "bytes=-0", "bytes=2-1", "bytes=0-0", "bytes=3-999999999999999999", "bytes=0-1,3-4", " bytes=1-2 ", "octets=0-1", "bytes=\xff-"} {
		f.Add(header, uint16(10))
	}
	f.Fuzz(func(t *testing.T, header string, length uint16) {
		size := int(length) + 1 // no message is empty
		first, last, requested := chats.ByteRange(header, size)
		if !requested || first >= size {
			return
		}
		if first < 0 || first > last || last >= size {
			t.Fatalf("%q of %d bytes: got %d to %d", header, size, first, last)
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Range", strings.TrimSpace(header)) // as a server reads it from the network
		w := httptest.NewRecorder()
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(make([]byte, size)))
		if want := w.Header().Get("Content-Range"); w.Code != http.StatusPartialContent || want != fmt.Sprintf("bytes %d-%d/%d", first, last, size) {
			t.Errorf("%q of %d bytes: got %d to %d, net/http answers %d with %q", header, size, first, last, w.Code, want)
		}
	})
}

// A page token and an id of a message may hold any JSON, because callers can make them.
// A list refuses it as it refuses a text that is no token, or begins at a place that
// can be the place of a message; a token of this place leads to the same place.
func FuzzPlaces(f *testing.F) {
	for _, content := range []string{
		`{"t":1767225600123,"m":"7310022004455667788_1767225600123"}`, `{"t":1,"s":18446744073709551615,"b":true}`, `{"c":"room:x","t":1,"m":"a"}`,
		`{"t":-1}`, `{"t":9223372036854775807}`, `{"t":253402300800000}`, `{"t":"1"}`, `[]`, `null`, `7`, `{"m":"\ud800","t":0}`,
	} {
		f.Add([]byte(content), true)
		f.Add([]byte(content), false)
	}
	const corp = "ww5823bf96d3bd56c7"
	conv := archive.RoomConversation("x")
	f.Fuzz(func(t *testing.T, content []byte, paged bool) {
		if !json.Valid(content) || len(content) > 400 { // of which even the escaped form fits into a token
			return
		}
		first, err := startOf(t, corp, conv, json.RawMessage(content), paged)
		if p, ok := errors.AsType[*problem.Problem](err); err != nil {
			want := problem.NotFound
			if paged {
				want = problem.InvalidRequest
			}
			if !ok || p.Kind != want {
				t.Errorf("%s, page %v: got %v", content, paged, err)
			}
			return
		}
		if ms := first.Time.UnixMilli(); ms < 0 || first.Time.UTC().Year() > 9999 || first.MsgID != "" && first.Seq != 0 {
			t.Errorf("%s, page %v: begins at %+v", content, paged, first)
		}
		again, err := startOf(t, corp, conv, chats.PlaceOf(conv, first), paged)
		if err != nil || again.MsgID != first.MsgID || again.Seq != first.Seq || !again.Time.Equal(first.Time) {
			t.Errorf("%s, page %v: got %+v, %v, want %+v", content, paged, again, err, first)
		}
	})
}

// startOf reads where a list begins whose page token, or whose middle, holds the
// content.
func startOf(t *testing.T, corp string, conv archive.ConversationID, content any, paged bool) (archive.Position, error) {
	t.Helper()
	path, err := opaque.Conversation(corp).Seal(conv)
	if err != nil {
		t.Fatal(err)
	}
	c := &session.Call{Request: httptest.NewRequest(http.MethodGet, "/", nil), CorpID: corp}
	c.SetPathValue("conversation", path)
	use, name := opaque.Message(corp), "around"
	if paged {
		use, name = opaque.Page("/", nil), "page"
	}
	c.UsePages(use)
	text, err := use.Seal(content)
	if err != nil {
		t.Fatal(err)
	}
	c.Query = url.Values{name: {text}}
	return chats.StartOf(c)
}
