package gateway_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
)

// recorded is an event as API Gateway sends it.
func recorded(t *testing.T) gateway.Event {
	t.Helper()
	b, err := os.ReadFile("testdata/event.json")
	if err != nil {
		t.Fatal(err)
	}
	var e gateway.Event
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestServeHandsTheRequestOver(t *testing.T) {
	resp, err := gateway.Serve(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "<xml>云</xml>" {
			t.Errorf("body: got %q, %v", body, err)
		}
		about := gateway.From(r.Context())
		for _, c := range []struct{ what, got, want string }{
			{"method", r.Method, "POST"},
			{"path", r.URL.Path, "/callback/ww0123456789abcdef"},
			{"plus sign", r.URL.Query().Get("echostr"), "a+b c=="},
			{"comma", r.URL.Query()["nonce"][0], "1,2"},
			{"header with commas", r.Header.Get("Accept-Language"), "zh-CN,zh;q=0.9,en;q=0.8"},
			{"request id", about.ID, "JKJaXmPLvHcESHA="},
			{"claim", about.Claims["staff"], "[lin.hua 0042]"},
			{"address", r.RemoteAddr, "203.0.113.7"},
		} {
			if c.got != c.want {
				t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
			}
		}
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("好"))
	}), recorded(t))
	if err != nil || resp.StatusCode != 202 || resp.Body != "好" || resp.IsBase64Encoded || resp.Headers["Content-Type"] != "text/plain" {
		t.Errorf("got %+v, %v", resp, err)
	}
}

// A claim that is not a string reaches the handler as its JSON text, and no claim
// makes the event unreadable.
func TestClaimsThatAreNotStrings(t *testing.T) {
	for claim, want := range map[string]string{
		`"a b"`: "a b", `["a","b"]`: `["a","b"]`, `[]`: "[]", `{"a":1}`: `{"a":1}`, `42`: "42", `1.5e9`: "1.5e9", `true`: "true", `""`: "",
	} {
		var e gateway.Event
		if err := json.Unmarshal([]byte(`{"requestContext":{"authorizer":{"jwt":{"claims":{"sub":"u","staff":`+claim+`}}}}}`), &e); err != nil {
			t.Errorf("%s: %v", claim, err)
			continue
		}
		claims := e.RequestContext.Authorizer.JWT.Claims
		if got, ok := claims["staff"]; !ok || got != want || claims["sub"] != "u" {
			t.Errorf("%s: got %v, want %s", claim, claims, want)
		}
	}
	for _, event := range []string{
		`{"requestContext":{"authorizer":{"jwt":{"claims":{"staff":null}}}}}`, `{"requestContext":{"authorizer":{"jwt":{"claims":null}}}}`,
		`{"requestContext":{"authorizer":null}}`, `{}`,
	} {
		var e gateway.Event
		if err := json.Unmarshal([]byte(event), &e); err != nil || len(e.RequestContext.Authorizer.JWT.Claims) != 0 {
			t.Errorf("%s: got %v, %v, want no claim", event, e.RequestContext.Authorizer.JWT.Claims, err)
		}
	}
}

// lambdaLimit is the largest answer that Lambda takes, in bytes.
const lambdaLimit = 6 << 20

func TestServeEncodesBodies(t *testing.T) {
	for _, tc := range []struct {
		name, contentType string
		body              []byte
		asBase64          bool
	}{
		{"nothing", "", nil, false},
		{"json", "application/json", []byte(`{"a":"\u0001"}`), false},
		{"problem", "application/problem+json; charset=utf-8", []byte(`{}`), false},
		{"long json", "application/json", bytes.Repeat([]byte{'"'}, 512<<10+1), true},
		{"bytes that are text", "application/octet-stream", []byte("text"), true},
		{"text that is none", "text/plain", []byte{0xff}, true},
		{"largest", "application/octet-stream", make([]byte, gateway.MaxBody), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, err := gateway.Serve(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tc.contentType != "" {
					w.Header().Set("Content-Type", tc.contentType)
				}
				_, _ = w.Write(tc.body)
			}), recorded(t))
			got := []byte(resp.Body)
			if resp.IsBase64Encoded {
				got, _ = base64.StdEncoding.DecodeString(resp.Body)
			}
			if err != nil || resp.IsBase64Encoded != tc.asBase64 || !bytes.Equal(got, tc.body) {
				t.Errorf("got %d bytes, base64 %v, %v; want %d bytes, base64 %v", len(got), resp.IsBase64Encoded, err, len(tc.body), tc.asBase64)
			}
			answer, err := json.Marshal(resp)
			if err != nil || len(answer) > lambdaLimit-64<<10 {
				t.Errorf("the answer has %d bytes, %v", len(answer), err)
			}
		})
	}
}

func TestServeFails(t *testing.T) {
	never := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("served") })
	broken := recorded(t)
	broken.Body = "not base64"
	if _, err := gateway.Serve(t.Context(), never, broken); err == nil {
		t.Error("a body that is not base64: got no error")
	}
	noMethod := recorded(t)
	noMethod.RequestContext.HTTP.Method = "GET /"
	if _, err := gateway.Serve(t.Context(), never, noMethod); err == nil {
		t.Error("no method: got no error")
	}
	tooMuch := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, gateway.MaxBody+1)) })
	if _, err := gateway.Serve(t.Context(), tooMuch, recorded(t)); err == nil {
		t.Error("an answer over the limit: got no error")
	}
}
