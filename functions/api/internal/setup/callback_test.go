package setup_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/functions/api/internal/setup"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// rotate asks for a new callback pair.
func rotate(w *apitest.World) apitest.Response {
	w.T.Helper()
	return w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/callback/rotate", map[string]any{})
}

func (s crashingCorps) CreateCallback(ctx context.Context, id string, kind archive.CallbackKind, cb archive.Callback) error {
	return s.at("create", func() error { return s.Corps.CreateCallback(ctx, id, kind, cb) })
}

func (s crashingCorps) SwapCallback(ctx context.Context, id string, kind archive.CallbackKind, from, to archive.Callback) error {
	return s.at("swap", func() error { return s.Corps.SwapCallback(ctx, id, kind, from, to) })
}

// A registration or a rotation may crash before or after its one write. Before it
// nothing has changed; after it the repetition shows the pair that is stored.
func TestCallbackPairAfterACrash(t *testing.T) {
	w := apitest.NewWorld(t)
	c := &crash{}
	w.Setup.Corps = crashingCorps{w.Corps, c}
	put := func() apitest.Response {
		return w.Send(w.As(session.Admin), "PUT", "/v1/corps/"+w.Corp, map[string]any{"name": "n"})
	}
	state := func() archive.Callback {
		t.Helper()
		state, err := w.Corps.Callback(t.Context(), w.Corp, archive.ArchiveCallback)
		apitest.OK(t, err)
		return state
	}
	*c = crash{step: "create"}
	put().WantProblem(500, "internal")
	if s := page(w); s.Callback != nil {
		t.Error("the page shows a pair that is not stored")
	}
	*c = crash{step: "create", after: true}
	put().WantProblem(500, "internal")
	first := state()
	*c = crash{}
	put().Want(200)
	s := page(w)
	if got := state(); s.Callback == nil || got != first {
		t.Errorf("got %+v, want the stored pair", s.Callback)
	}

	*c = crash{step: "swap"}
	rotate(w).WantProblem(500, "internal")
	if again := page(w); state() != first || again.Callback.Token != s.Callback.Token {
		t.Errorf("got %+v, want the first pair alone", state())
	}
	*c = crash{step: "swap", after: true}
	rotate(w).WantProblem(500, "internal")
	second := state()
	if second.Pair == first.Pair || second.Old != first.Pair || second.OldSealed != first.PairSealed {
		t.Errorf("got %+v, want another pair beside the first", second)
	}
	*c = crash{}
	again := apitest.Into[setup.CallbackJSON](rotate(w).Want(200))
	if s := page(w); again.Token != s.Callback.Token || again.OldUntil == nil || *s.Callback.OldUntil != *again.OldUntil || state() != second {
		t.Errorf("got %+v, want the stored pair beside the first", again)
	}
}

// Two clicks that revoke the old pair leave the pair that WeCom uses.
func TestOldPairIsRevokedOnce(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	second := apitest.Into[setup.CallbackJSON](rotate(w).Want(201))
	w.Pass(time.Hour)
	for _, click := range []string{"first", "second"} {
		resp := w.Send(w.As(session.Admin), "POST", "/v1/corps/"+w.Corp+"/callback/rotate", map[string]any{"revoke_old": true}).Want(200)
		if got := apitest.Into[setup.CallbackJSON](resp); got.Token != second.Token || got.OldUntil != nil {
			t.Errorf("%s click: got %+v, want the present pair alone", click, got)
		}
		w.Pass(session.DoubleClick - time.Second)
	}
	w.Pass(time.Second)
	rotate(w).Want(201)
}

// Several people rotate at once, and all get one pair.
func TestRotationsOfACallbackAtOnce(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	answers := make([]apitest.Response, 5)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = rotate(w) })
	}
	wg.Wait()
	now := page(w).Callback
	for _, a := range answers {
		if a.Status != 200 && a.Status != 201 {
			t.Fatalf("got status %d: %s", a.Status, a.Body)
		}
		if got := apitest.Into[setup.CallbackJSON](a); got.Token != now.Token || got.EncodingAESKey != now.EncodingAESKey || got.OldUntil == nil {
			t.Errorf("got %+v, want the pair of the set-up page", got)
		}
	}
	if now.Token == apitest.Pair.Token.Reveal() {
		t.Error("no pair was made")
	}
}

// changing is a store in which another request changes the callback before each
// swap.
type changing struct{ setup.Corps }

func (changing) SwapCallback(context.Context, string, archive.CallbackKind, archive.Callback, archive.Callback) error {
	return archive.ErrConflict
}

func TestRotationGivesUpAfterConflicts(t *testing.T) {
	w := apitest.NewWorld(t)
	w.WithPair(w.Corp, apitest.Pair)
	w.Setup.Corps = changing{w.Corps}
	rotate(w).WantProblem(409, "changed-meanwhile")
	state, err := w.Corps.Callback(t.Context(), w.Corp, archive.ArchiveCallback)
	if err != nil || state.Pair != apitest.Pair.ID || !errors.Is(w.Corps.CreateCallback(t.Context(), w.Corp, archive.ArchiveCallback, state), archive.ErrExists) {
		t.Errorf("got %+v, error %v, want the callback unchanged", state, err)
	}
}
