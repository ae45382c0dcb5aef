package wecomapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// An answer of any bytes is read or refused. What is read has no control character,
// which a screen could not show, and an error quotes no secret.
func FuzzAnswers(f *testing.F) {
	for _, answer := range []string{
		`{"errcode":0,"errmsg":"ok","external_contact":{"external_userid":"wm1","name":"阿木"}}`, `{"errcode":"0","roomname":"x","members":[{"memberid":"a"}]}`,
		`{"errcode":0,"ids":["a"],"agreeinfo":[{"status_change_time":1e9,"userid":"a","exteranalopenid":"b","agree_status":"Agree"}]}`,
		`{"errcode":0,"group_chat":{"name":"x","member_list":[{"userid":"a","type":1}]}}`, `{"errcode":0,"data":{"name":"r","creator_userid":"u"}}`,
		`{"errcode":40001,"errmsg":"from ip: 1.2.3.4"}`, `{`, "\xff", `null`, `{"errcode":1e99}`,
	} {
		f.Add([]byte(answer))
	}
	var answer atomic.Pointer[[]byte]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cgi-bin/gettoken" {
			_, _ = w.Write([]byte(`{"errcode":0,"access_token":"t","expires_in":7200}`))
			return
		}
		_, _ = w.Write(*answer.Load())
	}))
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, body []byte) {
		answer.Store(&body)
		client := newClient(t, &clock{now: time.Unix(1e9, 0)}, server.URL, "")
		c := directory.Credential{Corp: corpA, Secret: secret.New("very-secret")}
		check := func(names []string, err error) {
			t.Helper()
			if err != nil && strings.Contains(err.Error(), "very-secret") {
				t.Errorf("%q: the error holds the secret", body)
			}
			for _, name := range names {
				if strings.ContainsFunc(name, unicode.IsControl) {
					t.Errorf("%q: got the name %q", body, name)
				}
			}
		}
		person, err := client.Member(t.Context(), c, "a")
		check([]string{person.Name}, err)
		person, err = client.Contact(t.Context(), c, "wm1")
		check([]string{person.Name}, err)
		person, err = client.Robot(t.Context(), c, "r")
		check([]string{person.Name}, err)
		room, err := client.InternalRoom(t.Context(), c, "wr1")
		check([]string{room.Name}, err)
		room, err = client.CustomerRoom(t.Context(), c, "wr1")
		check([]string{room.Name}, err)
		_, err = client.Permitted(t.Context(), c, directory.AllEditions)
		check(nil, err)
		_, err = client.PairConsents(t.Context(), c, []directory.Pair{{Member: "a", Contact: "b"}})
		check(nil, err)
		_, err = client.RoomConsents(t.Context(), c, "wr1")
		check(nil, err)
	})
}

// An answer to gettoken of any bytes gives a token or an error of WeCom's API. Accepts
// and the next call agree on it, so no call is made without a token; the errcode of a
// well-formed refusal is the error's, and an error quotes neither secret nor answer.
func FuzzTokens(f *testing.F) {
	for _, answer := range []string{
		`{"errcode":0,"errmsg":"ok","access_token":"t","expires_in":7200}`, `{"errcode":"0","access_token":7,"expires_in":"-1"}`, `{"errcode":0,"access_token":""}`,
		`{"access_token":"t"}`, `{"errcode":40001,"errmsg":"invalid credential, from ip: 1.2.3.4"}`, `[{"errcode":0,"access_token":"t","expires_in":1e99}]`,
		`"{\"errcode\":0,\"access_token\":\"t\"}"`, `{"errcode":0,"access_token":"a&b=%zz\u0000"}`, `{"errcode":0,"access_token":"t"`, "\xff", `null`,
	} {
		f.Add([]byte(answer))
	}
	var answer atomic.Pointer[[]byte]
	var shown atomic.Pointer[string]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cgi-bin/gettoken" {
			_, _ = w.Write(*answer.Load())
			return
		}
		token := r.URL.Query().Get("access_token")
		shown.Store(&token)
		_, _ = w.Write([]byte(`{"errcode":0,"name":"n"}`))
	}))
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, body []byte) {
		answer.Store(&body)
		shown.Store(nil)
		client := newClient(t, &clock{now: time.Unix(1e9, 0)}, server.URL, "")
		c := directory.Credential{Corp: corpA, Secret: secret.New("very-secret")}
		err := client.Accepts(t.Context(), c)
		_, callErr := client.Member(t.Context(), c, "a")
		token := shown.Load()
		if (err == nil) != (callErr == nil) || (err == nil) != (token != nil) || token != nil && *token == "" {
			t.Errorf("%q: Accepts says %v, a call %v, with the token %v", body, err, callErr, token)
		}
		refusal, ok := errors.AsType[*directory.APIError](err)
		if err != nil && (!ok || refusal.Op != "gettoken" || strings.Contains(err.Error(), "very-secret")) {
			t.Errorf("%q: got the error %v", body, err)
		}
		if err != nil && err.Error() != "gettoken: "+string(refusal.Cause) && err.Error() != fmt.Sprint("gettoken: errcode ", refusal.Code) {
			t.Errorf("%q: the error quotes: %v", body, err)
		}
		var plain struct {
			Code  *int    `json:"errcode"`
			Token *string `json:"access_token"`
		}
		if !utf8.Valid(body) || json.Unmarshal(body, &plain) != nil || plain.Code == nil || strings.Count(strings.ToLower(string(body)), "errcode") != 1 {
			return
		}
		if *plain.Code != 0 && (refusal == nil || refusal.Code != *plain.Code) {
			t.Errorf("%q: got %v, want errcode %d", body, err, *plain.Code)
		}
		if *plain.Code == 0 && plain.Token != nil && err == nil && *token != *plain.Token && strings.Count(string(body), `"access_token"`) == 1 && !strings.Contains(string(body), `\`) {
			t.Errorf("%q: called with the token %q", body, *token)
		}
	})
}
