package wecomapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

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
