package apitest

import (
	"context"
	"net/http"
	"sync/atomic"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
)

type hangingKey struct{}

// A Hang says which calls of the AWS services hang.
type Hang struct {
	left atomic.Int64 // calls that still get an answer
	hung atomic.Bool
}

// Hung reports whether a call hung.
func (h *Hang) Hung() bool { return h.hung.Load() }

// Hanging makes a context in which the first calls of the AWS services work, as
// many as answered says. Every further call hangs until its own context ends.
func Hanging(ctx context.Context, answered int) (context.Context, *Hang) {
	h := &Hang{}
	h.left.Store(int64(answered))
	return context.WithValue(ctx, hangingKey{}, h), h
}

// network carries the calls of a world.
type network struct{ sdk.HTTPClient }

// Do implements [sdk.HTTPClient].
func (n network) Do(r *http.Request) (*http.Response, error) {
	if h, ok := r.Context().Value(hangingKey{}).(*Hang); ok && h.left.Add(-1) < 0 {
		h.hung.Store(true)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return n.HTTPClient.Do(r)
}
