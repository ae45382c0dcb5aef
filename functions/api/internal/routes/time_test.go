package routes_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/gateway"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/routes"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
)

// Every route answers within ten seconds, even while a store hangs.
func TestAnswersComeWithinTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := routes.Route{Method: "GET", Path: "/hangs", Serve: func(ctx context.Context, _ *session.Call) (output.Answer, error) {
			<-ctx.Done()
			return output.Answer{}, errors.New("store hangs")
		}}
		e := gateway.Event{RawPath: "/hangs"}
		e.RequestContext.HTTP.Method = "GET"
		begun := time.Now()
		resp, err := routes.New([]routes.Route{hangs}, nil, slog.New(slog.DiscardHandler)).Handle(t.Context(), e)
		if took := time.Since(begun); err != nil || resp.StatusCode != 503 || resp.Headers["Retry-After"] == "" || took > 10*time.Second {
			t.Errorf("got status %d, %v after %s, headers %v", resp.StatusCode, err, took, resp.Headers)
		}
	})
}
