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
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// counted counts what reaches an opener of pairs.
type counted struct {
	callback.Opener
	opened int
}

func (c *counted) Open(ctx context.Context, corp string, kind archive.CallbackKind, id, sealed string) (callbackpair.Pair, error) {
	c.opened++
	return c.Opener.Open(ctx, corp, kind, id, sealed)
}

// Forged callbacks for companies that do not exist open no pair, so they read no
// secret, and leave the pairs of real companies in memory. A company is known once
// it is registered.
func TestForgedCallbacksForUnknownCorps(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	pairs := &counted{Opener: w.Pairs}
	w.Callback.Pairs = callback.NewPairs(archive.ArchiveCallback, w.Corps, pairs)
	w.Do(post(t, w.Corp, apitest.Pair, notifyXML(w.Now().Unix()))).Want(200)
	for i := range 200 {
		id := fmt.Sprintf("ww%016x", i)
		w.Do(post(t, id, apitest.Pair, notifyXML(w.Now().Unix()))).WantProblem(401, "unauthorized")
		if i%20 == 0 {
			w.Pass(time.Minute)
			w.Do(post(t, w.Corp, apitest.Pair, notifyXML(w.Now().Unix()))).Want(200)
		}
	}
	if pairs.opened != 1 || w.Callback.Pairs.Held() != 1 {
		t.Errorf("got %d pairs opened, %d corps in memory, want 1 and 1", pairs.opened, w.Callback.Pairs.Held())
	}
	// A wrong signature opens none either.
	w.Do(post(t, w.Corp, callbackpair.Pair{Token: secret.New("other"), AESKey: apitest.Pair.AESKey}, notifyXML(1))).WantProblem(401, "unauthorized")
	if pairs.opened != 1 {
		t.Errorf("got %d pairs opened after a wrong signature, want 1", pairs.opened)
	}
	late := post(t, w.Other, apitest.Pair, notifyXML(w.Now().Unix()))
	w.Do(late).WantProblem(401, "unauthorized")
	w.WithPair(w.Other, apitest.Pair)
	w.Do(late).Want(200)
}

// noKey is a secret store without the pair key, as while it lags behind the
// stack's first registration, or after the key was deleted.
type noKey struct{}

func (noKey) PairKey(context.Context) (secret.Value, error) {
	return secret.Value{}, archive.ErrNotFound
}

func (noKey) CreatePairKey(context.Context, secret.Value) error { return archive.ErrExists }

// WeCom tries again if a pair cannot be opened: a missing key is no refusal.
func TestCallbackWithoutThePairKey(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	event := post(t, w.Corp, apitest.Pair, notifyXML(w.Now().Unix()))
	w.Callback.Pairs = callback.NewPairs(archive.ArchiveCallback, w.Corps, callbackpair.NewSealer(noKey{}))
	w.Do(event).WantProblem(500, "internal")
	w.Callback.Pairs = callback.NewPairs(archive.ArchiveCallback, w.Corps, w.Pairs)
	w.Do(event).Want(200)
}

// A writer of the table cannot give a company another one's pair, or the pair of
// its other callback.
func TestPairOfAnotherCallbackIsRefused(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	w.BareCorp(w.Other)
	stored, err := w.Corps.Callback(t.Context(), w.Corp, archive.ArchiveCallback)
	apitest.OK(t, err)
	apitest.OK(t, w.Corps.CreateCallback(t.Context(), w.Other, archive.ArchiveCallback, stored))
	apitest.OK(t, w.Corps.CreateCallback(t.Context(), w.Corp, archive.AppCallback, stored))
	w.Do(post(t, w.Other, apitest.Pair, notifyXML(w.Now().Unix()))).WantProblem(500, "internal")
	app := post(t, w.Corp, apitest.Pair, notifyXML(w.Now().Unix()))
	app.Path = strings.Replace(app.Path, w.Corp, w.Corp+"/app", 1)
	w.Do(app).WantProblem(500, "internal")
}

// shown is a callback on the set-up page.
type shown struct {
	URL            string  `json:"url"`
	Token          string  `json:"token"`
	EncodingAESKey string  `json:"encoding_aes_key"`
	OldUntil       *string `json:"old_until"`
}

func (s shown) pair() callbackpair.Pair {
	return callbackpair.Pair{Token: secret.New(s.Token), AESKey: secret.New(s.EncodingAESKey)}
}

// rotation rotates a callback of a world, and tries pairs.
type rotation struct {
	w    *apitest.World
	kind archive.CallbackKind
}

func (r rotation) path() string {
	if r.kind == archive.AppCallback {
		return "/app"
	}
	return ""
}

func (r rotation) rotate(status int, revoke bool) shown {
	r.w.T.Helper()
	path := "/v1/corps/" + r.w.Corp + r.path() + "/callback/rotate"
	return apitest.Into[shown](r.w.Send(r.w.As(session.Admin), "POST", path, map[string]any{"revoke_old": revoke}).Want(status))
}

// takes checks whether an event that is signed with a pair is taken.
func (r rotation) takes(what string, p callbackpair.Pair, want bool) {
	r.w.T.Helper()
	event := post(r.w.T, r.w.Corp, p, fmt.Sprintf("<xml><Event>e</Event><CreateTime>%d</CreateTime></xml>", r.w.Now().Unix()))
	event.Path = strings.Replace(event.Path, r.w.Corp, r.w.Corp+r.path(), 1)
	if got := r.w.Do(event).Status; got == 200 != want {
		r.w.T.Errorf("%s: got %d, want it taken: %v", what, got, want)
	}
}

func rotations(t *testing.T, test func(t *testing.T, r rotation)) {
	for _, kind := range []archive.CallbackKind{archive.ArchiveCallback, archive.AppCallback} {
		t.Run(string(kind), func(t *testing.T) {
			w := apitest.NewWorld(t)
			w.BareCorp(w.Corp)
			w.GivePair(w.Corp, kind, apitest.Pair)
			test(t, rotation{w, kind})
		})
	}
}

// The old pair is accepted until a day after the first event under the new one.
func TestRotationOverlapsForADay(t *testing.T) {
	rotations(t, func(t *testing.T, r rotation) {
		next := r.rotate(201, false)
		if !strings.HasSuffix(next.URL, r.w.Corp+r.path()) || next.Token == apitest.Pair.Token.Reveal() || apitest.Deref(next.OldUntil) != "2026-02-07T06:30:05.000Z" {
			t.Errorf("got %+v", next)
		}
		r.takes("old pair at once", apitest.Pair, true)
		r.w.Pass(time.Hour)
		if again := r.rotate(200, false); again.pair() == apitest.Pair || again.Token != next.Token || again.EncodingAESKey != next.EncodingAESKey {
			t.Error("a second rotation made another pair while the old one is accepted")
		}
		r.w.Pass(2 * 24 * time.Hour)
		r.takes("old pair before an event of the new one", apitest.Pair, true)
		r.takes("new pair", next.pair(), true)
		r.w.Pass(24*time.Hour - time.Second)
		r.takes("old pair within a day", apitest.Pair, true)
		r.takes("new pair again", next.pair(), true)
		r.w.Pass(time.Second)
		r.takes("old pair after a day", apitest.Pair, false)
		r.takes("new pair after a day", next.pair(), true)
		third := r.rotate(201, false)
		r.takes("second pair after another rotation", next.pair(), true)
		r.takes("third pair", third.pair(), true)
		r.takes("first pair", apitest.Pair, false)
	})
}

// A check of the URL is no event: WeCom may still send with the old pair.
func TestOldPairEndsAfterAWeek(t *testing.T) {
	rotations(t, func(t *testing.T, r rotation) {
		next := r.rotate(201, false)
		r.w.Pass(7*24*time.Hour - 2*time.Hour)
		r.takes("new pair", next.pair(), true)
		r.takes("old pair", apitest.Pair, true)
		r.w.Pass(2 * time.Hour)
		r.takes("old pair after a week", apitest.Pair, false)
		r.takes("new pair after a week", next.pair(), true)
	})
}

func TestCheckOfTheURLWithBothPairs(t *testing.T) {
	rotations(t, func(t *testing.T, r rotation) {
		next := r.rotate(201, false)
		for what, p := range map[string]callbackpair.Pair{"old": apitest.Pair, "new": next.pair()} {
			e := post(t, r.w.Corp, p, "echo")
			_, encrypted, _ := strings.Cut(e.Body.(string), "<Encrypt><![CDATA[")
			encrypted, _, _ = strings.Cut(encrypted, "]]>")
			path := strings.Replace(e.Path, r.w.Corp, r.w.Corp+r.path(), 1) + "&echostr=" + url.QueryEscape(encrypted)
			if got := r.w.Do(apitest.Request{Method: "GET", Path: path}).Want(200); string(got.Body) != "echo" {
				t.Errorf("%s pair: got %q", what, got.Body)
			}
		}
		state, err := r.w.Corps.Callback(t.Context(), r.w.Corp, r.kind)
		if err != nil || !state.FirstEventAt.IsZero() {
			t.Errorf("got %+v, error %v: a check of the URL counts as an event", state, err)
		}
	})
}

func TestRevokeOldEndsItAtOnce(t *testing.T) {
	rotations(t, func(t *testing.T, r rotation) {
		// While both are accepted: the old pair ends, and the new one stays.
		next := r.rotate(201, false)
		r.takes("old pair", apitest.Pair, true)
		r.w.Pass(time.Hour)
		if same := r.rotate(200, true); same.Token != next.Token || same.OldUntil != nil {
			t.Errorf("got %+v, want the present pair alone", same)
		}
		r.takes("old pair after its revocation", apitest.Pair, false)
		r.takes("new pair", next.pair(), true)
		// Otherwise a new pair is made, and the present one ends.
		r.w.Pass(session.DoubleClick)
		third := r.rotate(201, true)
		if third.Token == next.Token || third.OldUntil != nil {
			t.Errorf("got %+v, want another pair alone", third)
		}
		r.takes("second pair after its revocation", next.pair(), false)
		r.takes("third pair", third.pair(), true)
		if click := r.rotate(200, true); click.Token != third.Token {
			t.Error("a second click made another pair")
		}
		r.w.Pass(session.DoubleClick)
		if later := r.rotate(201, true); later.Token == third.Token {
			t.Error("a later revocation made no pair")
		}
	})
}

func TestRotationNeedsACallback(t *testing.T) {
	w := apitest.NewWorld(t)
	w.BareCorp(w.Corp)
	path := "/v1/corps/" + w.Corp + "/app/callback/rotate"
	w.Send(w.As(session.Admin), "POST", path, map[string]any{}).WantProblem(404, "not-found")
	if got := w.Send(w.As(session.Admin), "POST", path, `{"revoke_old":"yes"}`).WantProblem(400, "invalid-request").Rules(); got != "revoke_old:type" {
		t.Errorf("got %s", got)
	}
}

// lostNote fails to note the first event.
type lostNote struct{ callback.Corps }

func (lostNote) NoteFirstEvent(context.Context, string, archive.CallbackKind, string, time.Time) error {
	return errors.New("lost")
}

// The event is taken even if the time of it is not noted; the next event notes
// its own.
func TestFirstEventIsNotedByTheNext(t *testing.T) {
	rotations(t, func(t *testing.T, r rotation) {
		next := r.rotate(201, false)
		corps := r.w.Callback.Corps
		r.w.Callback.Corps = lostNote{corps}
		r.takes("first event", next.pair(), true)
		r.w.Callback.Corps = corps
		r.w.Pass(time.Hour)
		r.takes("second event", next.pair(), true)
		state, err := r.w.Corps.Callback(t.Context(), r.w.Corp, r.kind)
		if err != nil || !state.FirstEventAt.Equal(r.w.Now()) {
			t.Errorf("got %+v, error %v, want it noted at %v", state, err, r.w.Now())
		}
	})
}
