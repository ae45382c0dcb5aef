package changes_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

type versions struct{ Chats, Setup, Status, Jobs *string }

func TestChanges(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	tag := map[string]string{}
	ask := func(who apitest.Token) (v versions, same bool, wait string) {
		t.Helper()
		key := fmt.Sprint(who)
		resp := w.Do(apitest.Request{Who: who, Method: "GET", Path: "/v1/corps/" + w.Corp + "/changes", Header: map[string]string{"If-None-Match": tag[key]}})
		if resp.Status == 304 {
			if len(resp.Body) > 0 || resp.Header.Get("Etag") != tag[key] {
				t.Errorf("got 304 with %q, tag %s", resp.Body, resp.Header.Get("Etag"))
			}
			return v, true, resp.Header.Get("Retry-After")
		}
		tag[key] = resp.Want(200).Header.Get("Etag")
		return apitest.Into[versions](resp), false, resp.Header.Get("Retry-After")
	}
	said := func(parties ...string) {
		t.Helper()
		w.Pass(time.Second)
		apitest.OK(t, w.Messages.WritePage(t.Context(), decode.Decoded{Corp: w.Corp, Change: archive.NewChange(w.Now(), 7, parties)}))
	}
	whole, limited := w.As(session.Reader), w.As(session.Reader).With("staff", "lin.hua")
	admin, both := w.As(session.Admin), w.As(session.Reader).With("role", "admin reader").With("staff", "lin.hua")
	for _, who := range []apitest.Token{whole, limited, admin, both} {
		v, same, wait := ask(who)
		_, reads := who["staff"]
		if sees := who["role"] != "reader"; same || (v.Chats != nil) != reads || (v.Status != nil) != sees || (v.Setup != nil) != sees || (v.Jobs != nil) != sees || wait != "60" {
			t.Errorf("%s: got %+v, same %v, wait %s", who["role"], v, same, wait)
		}
		if _, same, _ := ask(who); !same {
			t.Errorf("%s: got another answer without a change", who["role"])
		}
	}
	check := func(what string, want map[string]bool) {
		t.Helper()
		for name, who := range map[string]apitest.Token{"whole": whole, "limited": limited, "admin": admin, "both": both} {
			if _, same, _ := ask(who); same == want[name] {
				t.Errorf("%s, %s: got the same answer %v, want %v", what, name, same, !want[name])
			}
		}
	}
	said("zhao", "wmA")
	check("messages of others", map[string]bool{"whole": true, "admin": true, "both": true})
	said("lin.hua", "wmA")
	check("messages of hers", map[string]bool{"whole": true, "limited": true, "admin": true, "both": true})
	if _, _, wait := ask(limited); wait != "15" {
		t.Errorf("after a message: wait %s", wait)
	}
	apitest.OK(t, w.Corps.SetSecret(t.Context(), w.Corp, "secr", w.Now()))
	check("a saved secret", map[string]bool{"admin": true, "both": true})
	if _, _, wait := ask(admin); wait != "3" {
		t.Errorf("while a step waits: wait %s", wait)
	}
	w.AppendRow(0, 3)
	check("a pulled page", map[string]bool{"admin": true, "both": true})
	w.Pass(6 * time.Minute)
	if _, _, wait := ask(whole); wait != "60" {
		t.Errorf("after five quiet minutes: wait %s", wait)
	}
	// Another corp's messages change nothing here.
	apitest.OK(t, w.Messages.WritePage(t.Context(), decode.Decoded{Corp: w.Other, Change: archive.NewChange(w.Now(), 9, []string{"lin.hua"})}))
	check("another corp", nil)
}
