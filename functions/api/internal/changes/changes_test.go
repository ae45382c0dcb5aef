package changes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/changes"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

type versions struct{ Chats, Consents, Setup, Status, Jobs *string }

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
		if sees := who["role"] != "reader"; same || (v.Chats != nil) != reads || (v.Consents != nil) != (who["staff"] == "*") || (v.Status != nil) != sees || (v.Setup != nil) != sees || (v.Jobs != nil) != sees || wait != "60" {
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
	apitest.OK(t, w.Consents.RecordConsents(t.Context(), []archive.Consent{
		{Corp: w.Corp, Member: "lin.hua", Contact: "wmA", Status: archive.Disagreed, ChangedAt: w.Now(), Source: archive.ConsentCheck, At: w.Now()},
	}))
	check("an answer to archiving", map[string]bool{"whole": true})
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

// noted are the notes of a corp, newest first.
type noted []archive.Change

func (n noted) Changes(context.Context, string, time.Time, int) iter.Seq2[archive.Change, error] {
	return func(yield func(archive.Change, error) bool) {
		for _, c := range n {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// chatsOf is the version of chats of a reader who is limited to lin.hua.
func chatsOf(t *testing.T, key byte, notes noted) string {
	t.Helper()
	h := &changes.Handlers{Notes: notes, Now: func() time.Time { return apitest.Noon }}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	apitest.OK(t, err)
	c := &session.Call{
		Request: r, CorpID: "ww0123456789abcdef", Corp: archive.Corp{PageKey: [32]byte{key}},
		Caller: session.Caller{Roles: []session.Role{session.Reader}, Limited: true, Staff: []string{"lin.hua"}},
	}
	ans, err := h.GetChanges(t.Context(), c)
	apitest.OK(t, err)
	var v versions
	apitest.OK(t, json.Unmarshal(ans.Body, &v))
	return *v.Chats
}

// The version of a limited reader depends on the pages with messages of its members
// only: neither on the seq before such a page nor on the number of other pages. The
// reader cannot find the time of a page by trying digests, because a key is in them.
func TestLimitedVersionHidesOtherMessages(t *testing.T) {
	hers := func(after uint64) archive.Change {
		return archive.NewChange(apitest.Noon, after, []string{"lin.hua", "wmA"})
	}
	want := chatsOf(t, 1, noted{hers(1)})
	var others noted
	for i := range 5000 {
		others = append(others, archive.NewChange(apitest.Noon.Add(time.Minute), uint64(i), []string{"zhao"}))
	}
	for name, notes := range map[string]noted{
		"messages of others before":    {hers(5001)},
		"pages of others afterwards":   append(others, hers(1)),
		"a page of others at the time": {archive.NewChange(apitest.Noon, 2, []string{"zhao"}), hers(1)},
	} {
		if got := chatsOf(t, 1, notes); got != want {
			t.Errorf("%s: got another version", name)
		}
	}
	if chatsOf(t, 2, noted{hers(1)}) == want {
		t.Error("another key makes the same version")
	}
	if chatsOf(t, 1, noted{archive.NewChange(apitest.Noon.Add(time.Millisecond), 1, []string{"lin.hua"}), hers(1)}) == want {
		t.Error("a later page of hers makes the same version")
	}
}
