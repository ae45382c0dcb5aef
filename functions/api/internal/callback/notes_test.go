package callback_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/callback"
	"github.com/yunduo-scrm/archive/functions/api/internal/callbackpair"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// noted counts what is written about the requests of callbacks.
type noted struct {
	callback.Corps
	refused int
	fail    bool
}

func (n *noted) NoteRefused(ctx context.Context, id string, kind archive.CallbackKind, cb archive.Callback) error {
	if n.refused++; n.fail {
		return errors.New("lost")
	}
	return n.Corps.NoteRefused(ctx, id, kind, cb)
}

func (n *noted) NoteVerified(ctx context.Context, id string, kind archive.CallbackKind, pair string, at time.Time, from string) error {
	if n.fail {
		return errors.New("lost")
	}
	return n.Corps.NoteVerified(ctx, id, kind, pair, at, from)
}

func (n *noted) NoteEvent(ctx context.Context, id string, kind archive.CallbackKind, at time.Time, from string) error {
	if n.fail {
		return errors.New("lost")
	}
	return n.Corps.NoteEvent(ctx, id, kind, at, from)
}

// urlCheck is WeCom's check of the URL with a pair.
func urlCheck(r rotation, p callbackpair.Pair) apitest.Request {
	r.w.T.Helper()
	e := post(r.w.T, r.w.Corp, p, "echo")
	_, encrypted, _ := strings.Cut(e.Body.(string), "<Encrypt><![CDATA[")
	encrypted, _, _ = strings.Cut(encrypted, "]]>")
	return apitest.Request{Method: "GET", Path: strings.Replace(e.Path, r.w.Corp, r.w.Corp+r.path(), 1) + "&echostr=" + url.QueryEscape(encrypted)}
}

func (r rotation) state() archive.Callback {
	r.w.T.Helper()
	state, err := r.w.Corps.Callback(r.w.T.Context(), r.w.Corp, r.kind)
	apitest.OK(r.w.T, err)
	return state
}

// What arrives at a callback is noted for the set-up page.
func TestCallbackNotesWhatArrives(t *testing.T) {
	rotations(t, func(t *testing.T, r rotation) {
		begun := r.w.Now()
		r.w.Do(urlCheck(r, apitest.Pair)).Want(200)
		if got := r.state(); !got.VerifiedAt.Equal(begun) || !got.EventAt.IsZero() || got.SeenFrom != "203.0.113.7" {
			t.Errorf("after a check of the URL: got %+v", got)
		}
		r.w.Pass(time.Minute)
		r.takes("event", apitest.Pair, true)
		if got := r.state(); !got.EventAt.Equal(begun.Add(time.Minute)) || !got.VerifiedAt.Equal(begun) {
			t.Errorf("after an event: got %+v", got)
		}
		r.w.Pass(archive.EventTouch - time.Second)
		r.takes("event soon after", apitest.Pair, true)
		if got := r.state(); !got.EventAt.Equal(begun.Add(time.Minute)) {
			t.Errorf("an event soon after another is noted: got %+v", got)
		}
		r.w.Pass(time.Second)
		r.takes("event later", apitest.Pair, true)
		if got := r.state(); !got.EventAt.Equal(r.w.Now()) {
			t.Errorf("a later event: got %+v", got)
		}
		// A new pair begins without notes. A check with the old one proves nothing
		// about it.
		next := r.rotate(201, false)
		r.w.Do(urlCheck(r, apitest.Pair)).Want(200)
		if got := r.state(); !got.VerifiedAt.IsZero() || !got.EventAt.IsZero() {
			t.Errorf("after a rotation: got %+v", got)
		}
		r.w.Do(urlCheck(r, next.pair())).Want(200)
		if got := r.state(); !got.VerifiedAt.Equal(r.w.Now()) {
			t.Errorf("after a check with the new pair: got %+v", got)
		}
	})
}

// Refused requests are counted, and however many come, they make the archive
// write once a minute. They write nothing for a corp without a pair.
func TestRefusedCallbacksAreCounted(t *testing.T) {
	rotations(t, func(t *testing.T, r rotation) {
		notes := &noted{Corps: r.w.Callback.Corps}
		r.w.Callback.Corps = notes
		wrong := func(token, key, receiver string) apitest.Request {
			p := callbackpair.Pair{Token: secret.New(token), AESKey: secret.New(key)}
			e := postFor(t, r.w.Corp, receiver, p, "<xml><Event>e</Event></xml>")
			e.Path = strings.Replace(e.Path, r.w.Corp, r.w.Corp+r.path(), 1)
			return e
		}
		token, key := apitest.Pair.Token.Reveal(), apitest.Pair.AESKey.Reveal()
		for i, tc := range []struct {
			sent apitest.Request
			why  archive.RefusedWhy
		}{
			{wrong("another", key, r.w.Corp), archive.RefusedSignature},
			{wrong(token, anotherAESKey, r.w.Corp), archive.RefusedDecrypt},
			{wrong(token, key, r.w.Other), archive.RefusedReceiver},
		} {
			r.w.Do(tc.sent).WantProblem(401, "unauthorized")
			want := archive.Callback{Pair: "sample", PairSealed: r.state().PairSealed, RefusedDay: "2026-01-31", Refused: i + 1, RefusedAt: r.w.Now(), RefusedWhy: tc.why, RefusedFrom: "203.0.113.7"}
			if got := r.state(); got != want {
				t.Errorf("%s: got %+v, want %+v", tc.why, got, want)
			}
			r.w.Pass(archive.CallbackTouch)
		}
		for range 20 {
			r.w.Do(wrong("another", key, r.w.Corp)).WantProblem(401, "unauthorized")
		}
		if got := r.state(); notes.refused != 4 || got.Refused != 4 {
			t.Errorf("20 within a minute: got %d writes, %d counted, want 4 and 4", notes.refused, got.Refused)
		}
		r.w.Pass(archive.CallbackTouch)
		r.w.Do(wrong("another", key, r.w.Corp)).WantProblem(401, "unauthorized")
		if got := r.state(); notes.refused != 5 || got.Refused != 24 {
			t.Errorf("a minute later: got %d writes, %d counted, want 5 and 24", notes.refused, got.Refused)
		}
		r.w.Pass(24 * time.Hour)
		r.w.Do(wrong("another", key, r.w.Corp)).WantProblem(401, "unauthorized")
		if got := r.state(); got.Refused != 1 || got.RefusedDay != "2026-02-01" {
			t.Errorf("the next day: got %+v, want a new count", got)
		}
		r.w.Do(post(t, fmt.Sprintf("ww%016x", 1), apitest.Pair, "x")).WantProblem(401, "unauthorized")
		if notes.refused != 6 {
			t.Errorf("a corp that is not registered: got %d writes, want 6", notes.refused)
		}
	})
}

// A note that is lost changes no answer.
func TestCallbackAnswersWithoutNotes(t *testing.T) {
	rotations(t, func(t *testing.T, r rotation) {
		r.w.Callback.Corps = &noted{Corps: r.w.Callback.Corps, fail: true}
		r.w.Do(urlCheck(r, apitest.Pair)).Want(200)
		r.takes("event", apitest.Pair, true)
		r.takes("event with another pair", callbackpair.Pair{Token: secret.New("another"), AESKey: apitest.Pair.AESKey}, false)
	})
}
