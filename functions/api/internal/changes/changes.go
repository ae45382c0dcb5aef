// Package changes tells a page that polls what has changed: one cheap question in
// place of many. Each part of the answer is an opaque version, which differs when
// that part may have changed.
package changes

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
)

// Handlers answer pages that poll. The fields never change after the first
// request. The stores are safe for concurrent use.
type Handlers struct {
	Notes  NoteStore
	Ledger Ledger
	Keys   KeyStore
	Now    func() time.Time
}

// NoteStore reads the notes that messages were stored.
type NoteStore interface {
	// Changes lists the changes since a time, newest first, at most limit.
	Changes(ctx context.Context, corp string, since time.Time, limit int) ([]archive.Change, error)
}

// Ledger reads what a corp's status shows.
type Ledger interface {
	Head(ctx context.Context, corp string) (archive.Head, error)
	PullState(ctx context.Context, corp string) (archive.PullState, error)
	// Replays lists the newest jobs, newest first, at most limit.
	Replays(ctx context.Context, corp string, limit int) ([]decode.Replay, error)
}

// KeyStore reads a corp's keys, consistently.
type KeyStore interface {
	KeySet(ctx context.Context, corp string) (archive.KeySet, error)
}

const (
	// lookBack is how far a version of chats looks back. A page asks again within a
	// minute. When the last change becomes older, the version changes once more,
	// which costs a page one reload.
	lookBack = 15 * time.Minute
	// notesMost bounds the notes that are read for a limited caller.
	notesMost = 1000
	// jobsMost bounds the jobs whose changes count.
	jobsMost = 10
	// quiet is the time without new messages after which a page may ask less often.
	quiet = 5 * time.Minute
)

// How many seconds a page waits before it asks again.
const (
	whileSetup   = 3
	whileTalking = 15
	whileQuiet   = 60
)

type changesJSON struct {
	Chats  *string `json:"chats"`
	Setup  *string `json:"setup"`
	Status *string `json:"status"`
	Jobs   *string `json:"jobs"`
}

// GetChanges answers the versions of what the caller may read. For a limited caller
// everything follows from messages of its own members.
func (h *Handlers) GetChanges(ctx context.Context, c *session.Call) (output.Answer, error) {
	var j changesJSON
	wait := whileQuiet
	admits := func(roles []session.Role) bool {
		_, ok := c.Caller.As(roles)
		return ok && (!c.Caller.Limited || c.Caller.MayOverlook(roles))
	}
	if _, reads := c.Caller.As(session.Read); reads {
		newest, err := h.newest(ctx, c)
		if err != nil {
			return output.Answer{}, err
		}
		j.Chats = version(newest.At.UnixMilli(), newest.After)
		if !newest.At.IsZero() && h.Now().Sub(newest.At) < quiet {
			wait = whileTalking
		}
	}
	if !admits(session.Observe) {
		return answer(j, wait)
	}
	head, err := h.Ledger.Head(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	state, err := h.Ledger.PullState(ctx, c.CorpID)
	if err != nil {
		return output.Answer{}, err
	}
	latest, err := h.Notes.Changes(ctx, c.CorpID, h.Now().Add(-lookBack), 1)
	if err != nil {
		return output.Answer{}, err
	}
	j.Status = version(c.Corp.Enabled, head, state, latest)
	jobs, err := h.Ledger.Replays(ctx, c.CorpID, jobsMost)
	if err != nil {
		return output.Answer{}, err
	}
	j.Jobs = version(jobs)
	if admits(session.SetUp) {
		keys, err := h.Keys.KeySet(ctx, c.CorpID)
		if err != nil {
			return output.Answer{}, err
		}
		c.Corp.PageKey = [32]byte{}
		j.Setup = version(c.Corp, keys, state.Standing)
		if !c.Corp.SecretSetAt.IsZero() && (state.OKAt.Before(c.Corp.SecretSetAt) || len(keys.Bindings) == 0) {
			wait = whileSetup
		}
	}
	return answer(j, wait)
}

// newest finds the newest change that concerns the caller; a zero change without
// one.
func (h *Handlers) newest(ctx context.Context, c *session.Call) (archive.Change, error) {
	limit := 1
	if c.Caller.Limited {
		limit = notesMost
	}
	list, err := h.Notes.Changes(ctx, c.CorpID, h.Now().Add(-lookBack), limit)
	for _, change := range list {
		if !c.Caller.Limited || slices.ContainsFunc(c.Caller.Staff, change.Concerns) {
			return change, nil
		}
	}
	return archive.Change{}, err
}

// version is a digest of what it depends on.
func version(of ...any) *string {
	b, err := json.Marshal(of)
	if err != nil {
		b = fmt.Append(nil, of...) // a value without JSON still has a text
	}
	sum := sha256.Sum256(b)
	v := base64.RawURLEncoding.EncodeToString(sum[:9])
	return &v
}

func answer(j changesJSON, wait int) (output.Answer, error) {
	ans, err := output.JSON(200, j)
	ans.Header = http.Header{"Retry-After": {strconv.Itoa(wait)}}
	return ans, err
}
