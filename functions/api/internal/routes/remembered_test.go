package routes_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/routes"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
)

// countedCorps counts the reads of corps.
type countedCorps struct {
	archive.CorpReader
	reads *int
}

func (c countedCorps) Corp(ctx context.Context, id string) (archive.Corp, error) {
	*c.reads++
	return c.CorpReader.Corp(ctx, id)
}

// The routes that read chats remember a registered corp for a minute. Other routes
// read it each time, and so does every route until the corp is registered.
func TestACorpIsRememberedForReadersOfChats(t *testing.T) {
	w := apitest.NewWorld(t)
	reads := 0
	w.Server = routes.New(w.Table, countedCorps{w.Corps, &reads}, slog.New(slog.DiscardHandler))
	w.Server.Now = w.Now
	get := func(what string, r session.Role, path string, status, want int) {
		t.Helper()
		reads = 0
		for range 2 {
			w.Get(w.As(r), "/v1/corps/"+w.Corp+path).Want(status)
		}
		if reads != want {
			t.Errorf("%s: got %d reads of the corp by two requests, want %d", what, reads, want)
		}
	}
	get("not registered", session.Reader, "/conversations?member=lin.hua", 404, 2)
	w.BareCorp(w.Corp)
	get("registered", session.Reader, "/conversations?member=lin.hua", 200, 1)
	get("status", session.Admin, "/status", 200, 2)
	w.Pass(time.Minute - time.Second)
	get("nearly a minute later", session.Reader, "/conversations?member=zhao", 200, 0)
	w.Pass(time.Second)
	get("a minute later", session.Reader, "/conversations?member=zhao", 200, 1)
	w.BareCorp(w.Other)
	w.Get(apitest.TokenOf(w.Other, session.Reader), "/v1/corps/"+w.Other+"/conversations?member=lin.hua").Want(200)
	get("after another corp", session.Reader, "/conversations?member=lin.hua", 200, 0)
}
