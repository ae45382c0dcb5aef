package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
)

// An event of any content is served or refused. A body that a client sent reaches
// the handler byte for byte, and the answer's bytes come back.
func FuzzEvent(f *testing.F) {
	recorded, err := os.ReadFile("testdata/event.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(recorded)
	f.Add([]byte(`{"requestContext":{"http":{"method":"GET"},"authorizer":{"jwt":{"claims":{"a":[1],"b":null}}}},"rawPath":"%","rawQueryString":"%&;="}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		var e gateway.Event
		if json.Unmarshal(event, &e) != nil {
			return
		}
		var got []byte
		resp, err := gateway.Serve(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got, _ = io.ReadAll(r.Body) // a reader of bytes never fails
			_ = r.URL.Query()
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write(got)
		}), e)
		if err != nil {
			return
		}
		want := []byte(e.Body)
		if e.IsBase64Encoded {
			want, _ = base64.StdEncoding.DecodeString(e.Body)
		}
		back := []byte(resp.Body)
		if resp.IsBase64Encoded {
			back, _ = base64.StdEncoding.DecodeString(resp.Body)
		}
		if string(got) != string(want) || string(back) != string(want) {
			t.Errorf("body of %d bytes arrived as %d and came back as %d", len(want), len(got), len(back))
		}
	})
}
