// Package changes tells a page that polls what has changed: one cheap question in
// place of many. Each part of the answer is an opaque version, which differs when
// that part may have changed.
package changes

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"iter"
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
	Notes    NoteStore
	Consents ConsentStore
	Ledger   Ledger
	Keys     KeyStore
	Now      func() time.Time
}

// NoteStore reads the notes that messages were stored.
type NoteStore interface {
	// Changes lists the changes since a time, newest first. It reads atOnce at a time,
	// as the caller asks for them, and ends after the first error.
	Changes(ctx context.Context, corp string, since time.Time, atOnce int) iter.Seq2[archive.Change, error]
}

// ConsentStore reads which answers to archiving are known.
type ConsentStore interface {
	// ConsentsVersion differs from an earlier one if a newer answer became known. It may
	// miss the last answer before a crash.
	ConsentsVersion(ctx context.Context, corp string) (string, error)
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
	// notesAtOnce is how many notes are read together for a limited caller.
	notesAtOnce = 1000
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
	Chats    *string `json:"chats"`
	Consents *string `json:"consents"`
	Setup    *string `json:"setup"`
	Status   *string `json:"status"`
	Jobs     *string `json:"jobs"`
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
		newest, err := h.newest(ctx, c, c.Caller.Limited)
		if err != nil {
			return output.Answer{}, err
		}
		j.Chats = version(newest.At.UnixMilli(), newest.After)
		if c.Caller.Limited {
			key, err := c.PageKey()
			if err != nil {
				return output.Answer{}, err
			}
			// After shows how many messages the corp has. In an unkeyed digest the caller
			// could find the time by trying.
			j.Chats = digest(hmac.New(sha256.New, key[:]), newest.At.UnixMilli())
		} else {
			consents, err := h.Consents.ConsentsVersion(ctx, c.CorpID)
			if err != nil {
				return output.Answer{}, err
			}
			j.Consents = version(consents)
		}
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
	latest, err := h.newest(ctx, c, false)
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

// newest finds the newest change, or, if limited is set, the newest one that concerns
// a member of the caller's staff; a zero change without one. It has no other bound than
// its time: the answer would show how many changes concern other parties only.
func (h *Handlers) newest(ctx context.Context, c *session.Call, limited bool) (archive.Change, error) {
	atOnce := 1
	if limited {
		atOnce = notesAtOnce
	}
	for change, err := range h.Notes.Changes(ctx, c.CorpID, h.Now().Add(-lookBack), atOnce) {
		if err != nil || !limited || slices.ContainsFunc(c.Caller.Staff, change.Concerns) {
			return change, err
		}
	}
	return archive.Change{}, nil
}

// version is a digest of what it depends on.
func version(of ...any) *string { return digest(sha256.New(), of...) }

func digest(h hash.Hash, of ...any) *string {
	b, err := json.Marshal(of)
	if err != nil {
		b = fmt.Append(nil, of...) // a value without JSON still has a text
	}
	h.Write(b)
	v := base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:9])
	return &v
}

func answer(j changesJSON, wait int) (output.Answer, error) {
	ans, err := output.JSON(200, j)
	ans.Header = http.Header{"Retry-After": {strconv.Itoa(wait)}}
	return ans, err
}
