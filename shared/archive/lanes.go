package archive

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"
)

const (
	// DecodeLanes is the number of pages of one corp that may be decoded at once.
	DecodeLanes = 4
	// LaneRequests is how many pages of a lane have a request at a time: one is
	// decoded while the other waits.
	LaneRequests = 2
	// maxCounted is the number of requests at which a page stops counting towards
	// LaneRequests. Otherwise two pages that cannot be decoded would block all later
	// pages of their lane.
	maxCounted = 2
)

// DecodeLane returns the lane of a page. It hashes After (the last seq of the page
// before) instead of taking it modulo DecodeLanes, because these seqs are often
// multiples of one number.
func DecodeLane(after uint64) int {
	h := fnv.New32a()
	_, _ = h.Write(strconv.AppendUint(nil, after, 10)) // a hash never fails
	return int(h.Sum32() % DecodeLanes)
}

// HoldsPlace reports whether the page counts towards [LaneRequests]. A page that was
// requested twice (Tries is 2) no longer counts.
func (p Pending) HoldsPlace() bool { return p.Tries < maxCounted }

// PendingPages are the pages that are not decoded. Safe for concurrent use.
type PendingPages interface {
	// FirstPending reads consistently the pages of a lane for which
	// [Pending.HoldsPlace] is true: the lowest seq first, at most limit.
	FirstPending(ctx context.Context, corp string, lane, limit int) ([]Pending, error)
	// NoteRequest notes one more decode request on the pending page p: Tries goes
	// up by one. stuck, if true, makes the row's state [RowStuck]. It returns
	// [ErrConflict] if the page was requested or decoded after p was read.
	NoteRequest(ctx context.Context, p Pending, at time.Time, stuck bool) error
}

// PageRequests limits the decode requests of a corp in the queue, however many of
// its pages are pending: only the first [LaneRequests] pages of a lane have a
// request. When a page is decoded, the next page of its lane is requested. Its
// fields never change.
//
// The puller stores a page and then reads which pages are first. The decoder
// removes a page and then reads which pages are first. Both write before they read,
// so whichever reads last sees both writes, and requests the page whose turn it is.
// If both request it, the page has two requests.
type PageRequests struct {
	Pages PendingPages
	Queue DecodeQueue
	Now   func() time.Time
}

// Room reports whether the page with this After may be requested at once: its lane
// has fewer than [LaneRequests] pages that count.
func (q PageRequests) Room(ctx context.Context, corp string, after uint64) (bool, error) {
	first, err := q.first(ctx, corp, after)
	return len(first) < LaneRequests, err
}

// RequestOwn requests a page that was not requested yet, if its turn has come. The
// puller calls it after the page became pending.
func (q PageRequests) RequestOwn(ctx context.Context, corp string, after uint64) error {
	return q.requestFirst(ctx, corp, after, func(p Pending) bool { return p.After == after })
}

// RequestNext requests the pages of a page's lane whose turn has come and that were
// not requested yet. The decoder calls it after it finished the page.
func (q PageRequests) RequestNext(ctx context.Context, corp string, after uint64) error {
	return q.requestFirst(ctx, corp, after, func(Pending) bool { return true })
}

func (q PageRequests) requestFirst(ctx context.Context, corp string, after uint64, wanted func(Pending) bool) error {
	first, err := q.first(ctx, corp, after)
	if err != nil {
		return err
	}
	for _, p := range first {
		if p.Tries > 0 || !wanted(p) {
			continue
		}
		if err := q.Request(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// Request requests a pending page, and then notes that it did. A crash between the
// two leaves a page that the next caller requests once more; the second request
// finds the page decoded.
func (q PageRequests) Request(ctx context.Context, p Pending) error {
	if err := q.Queue.RequestDecodes(ctx, DecodeRequest{Corp: p.Corp, After: p.After}); err != nil {
		return fmt.Errorf("request decoding of page after %d: %w", p.After, err)
	}
	err := q.Pages.NoteRequest(ctx, p, q.Now(), p.Stuck)
	if err != nil && !errors.Is(err, ErrConflict) { // another process requested it, or the page is decoded already
		return fmt.Errorf("note request of page after %d: %w", p.After, err)
	}
	return nil
}

func (q PageRequests) first(ctx context.Context, corp string, after uint64) ([]Pending, error) {
	first, err := q.Pages.FirstPending(ctx, corp, DecodeLane(after), LaneRequests)
	if err != nil {
		return nil, fmt.Errorf("read first pages of the lane: %w", err)
	}
	return first, nil
}
