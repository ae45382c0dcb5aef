package routes_test

import (
	"sync"
	"testing"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/apitest"
	"github.com/yunduo-scrm/archive/functions/api/internal/routes"
)

// Every route answers within ten seconds, whichever call of a store hangs: at most
// a second after the time of the server is over, which is nine seconds. A new route
// takes part by itself.
func TestAnswersComeWithinTenSeconds(t *testing.T) {
	const answerTime, after = time.Second, time.Second
	w := apitest.NewWorld(t)
	if got := w.Server.AnswerTime; routes.New(nil, nil, nil).AnswerTime+after > 10*time.Second {
		t.Errorf("got a time of %s for an answer, want ten seconds with what comes after it", got)
	}
	c := newCompany(t, w)
	w.Server.AnswerTime = answerTime
	slots := make(chan struct{}, 32)
	var group sync.WaitGroup
	for _, rt := range w.Table {
		group.Go(func() {
			for answered := 0; ; answered++ {
				slots <- struct{}{}
				r := c.request(t, rt, answered)
				r.Unchecked = true
				ctx, hang := apitest.Hanging(t.Context(), answered)
				begun := time.Now()
				resp := w.Within(ctx, r)
				took := time.Since(begun)
				<-slots
				if !hang.Hung() {
					if answered == 0 && rt.Roles != nil {
						t.Errorf("%s %s: called no store", rt.Method, rt.Path)
					}
					return
				}
				if took > answerTime+after {
					t.Errorf("%s %s, call %d hangs: got an answer after %s, want at most %s after the time of the server", rt.Method, rt.Path, answered+1, took, after)
				}
				if resp.Status == 500 {
					t.Errorf("%s %s, call %d hangs: got status 500, want 503 or an answer without it", rt.Method, rt.Path, answered+1)
				}
			}
		})
	}
	group.Wait()
}
