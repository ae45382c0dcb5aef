// Package session holds what every route knows of the request that it
// answers: the caller and its role, the corp, the input, and the record that a
// user read a chat.
package session

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/opaque"
)

// Call is one request. Package routes fills it before a route sees it.
type Call struct {
	*http.Request
	input.Input
	ID     string // of the request
	Lang   problem.Language
	Caller Caller       // zero where the route takes no token
	Role   Role         // the role of the token for which the route admits it
	CorpID string       // of the path; of the token where the path names no corp
	Corp   archive.Corp // as stored; zero where the route accepts an unregistered corp
}

// PageKey returns the key that hides what a limited caller holds and may not read.
// An absent key is an error: it would hide nothing.
func (c *Call) PageKey() (opaque.Key, error) {
	key := opaque.Key(c.Corp.PageKey)
	if key == (opaque.Key{}) {
		return key, fmt.Errorf("page key of corp %s: %w", c.CorpID, archive.ErrCorrupt)
	}
	return key, nil
}

// ReadingWriter stores that a user read a chat. The record is durable on
// return. Safe for concurrent use.
type ReadingWriter interface {
	RecordReading(ctx context.Context, r archive.Reading) error
}

// RecordReading records that the caller is about to see what r names, a
// conversation or a list; RecordReading adds the caller and the slot. A route
// records the reading before it answers; if recording fails, the route fails. After
// a crash between the two, or if the route fails for another reason, the record
// names a reading that the caller never received.
func (c *Call) RecordReading(ctx context.Context, to ReadingWriter, now time.Time, r archive.Reading) error {
	r.Corp, r.By, r.Role, r.At = c.CorpID, c.Caller.Subject, string(c.Role), now.UTC().Truncate(archive.ReadingSlot)
	return to.RecordReading(ctx, r)
}

// stopMargin is the time that is left for an answer when a route stops its
// search: the last look at a store, names, and the record of the reading.
const stopMargin = 3 * time.Second

// Ending reports whether a route must stop its search and answer a page that
// says where to go on. A route asks only after some progress, so a client that
// follows the pages reaches the end.
func Ending(ctx context.Context) bool { return archive.NearlyOver(ctx, time.Now(), stopMargin) }

// DoubleClick is the time in which two requests of a person for the same thing
// count as one.
const DoubleClick = 10 * time.Second
