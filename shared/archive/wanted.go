package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Mark says that work of one kind is wanted for a corp. While the work's request is
// in a queue, every further wish for the work is added to the mark, and no request is
// sent.
type Mark struct {
	Corp string
	Work string // names the queue, and the lane if the queue has lanes
	// SentAt is when the request was sent; zero while no request waits.
	SentAt time.Time
	// Wish is what the work shall do, as JSON; empty while nothing is wanted.
	Wish string
}

// Marks keep at most one mark for each work of a corp. Safe for concurrent use.
// Writes are durable on return.
type Marks interface {
	// SetMark stores m unless the stored mark has a request or a wish. In that
	// case it answers [ErrConflict] and the stored mark. Of several concurrent
	// calls, one succeeds. Without a SentAt it answers [ErrNotFound] if the work
	// never had a mark, or the corp was erased: such a mark makes nothing happen.
	SetMark(ctx context.Context, m Mark) (stored Mark, err error)
	// Mark reads consistently. A work that was never wanted has a zero mark, with
	// Corp and Work set.
	Mark(ctx context.Context, corp, work string) (Mark, error)
	// ReplaceMark replaces the mark old with the mark now. It answers [ErrConflict] if
	// the stored mark differs from old, and [ErrNotFound] as SetMark does.
	ReplaceMark(ctx context.Context, old, now Mark) error
}

// PullKept is how long the queue of pulls keeps a request. template.yaml sets it.
// It exceeds five deliveries, after which SQS moves a request to the dead
// letters. If the request of a mark was lost, the next one is sent a little later
// than that.
const PullKept = 30 * time.Minute

const (
	// clockMargin is added to the time that a queue keeps a request: for clocks
	// that differ, and for the time from the mark to the request.
	clockMargin = time.Minute
	joinTries   = 10 // changes of one mark by others that one call accepts
	marksAtOnce = 10 // see corpsAtOnce in package watch
	sendsAtOnce = 10 // marks that one crash can leave without a request, in each goroutine
	// unmarkTime is the time to remove marks whose request was not sent, or to return
	// one, after the end of the context too. An answer of the API waits for it.
	unmarkTime = 500 * time.Millisecond
)

// Wanted keeps work of one kind wanted or not wanted: a mark in the table and at
// most one request that waits in the queue, however many callers want the work.
// While the consumer works on a request, one more may wait. So a queue holds at most
// two requests of a work that have a mark. An R is a wish, or the request that is sent for wishes. The
// fields of a Wanted never change.
type Wanted[R any] struct {
	Marks Marks
	// Work names the work that a wish or request is for.
	Work func(R) (corp, work string)
	// Join makes one wish of two for the same work. It answers [ErrFull] if one
	// request cannot ask for both.
	Join func(waiting, also R) (R, error)
	// Sent is the field of a request that holds the SentAt of its mark. A wish leaves
	// it unset.
	Sent func(*R) *time.Time
	Send func(context.Context, ...R) error
	// Kept is how long the queue keeps a request.
	Kept time.Duration
	// Now never gives the same time twice, see [Rising]: a mark's SentAt tells
	// whose request waits.
	Now func() time.Time
}

// Want makes the work of each wish wanted, and sends a request where none waits.
// Durable on return. After an error the work of any of the wishes may be wanted.
//
// The order of writes is: the mark, then the request. If the request is not sent,
// the mark is removed. A crash between the two leaves a mark without a request. Then
// nothing is done until the mark is older than Kept, and the next Want sends a
// request. So it does if the mark is from the future.
//
// A failure with one corp's mark stops no other (law 8).
func (w Wanted[R]) Want(ctx context.Context, wishes ...R) error {
	return inParts(ctx, wishes, w.want)
}

// inParts calls do for parts of the requests, several at a time. A part that fails stops
// no other.
func inParts[R any](ctx context.Context, all []R, do func(context.Context, []R) error) error {
	errs := make([]error, (len(all)+sendsAtOnce-1)/sendsAtOnce)
	var group errgroup.Group
	group.SetLimit(marksAtOnce)
	for i, part := range slices.Collect(slices.Chunk(all, sendsAtOnce)) {
		group.Go(func() error {
			if errs[i] = ctx.Err(); errs[i] == nil {
				errs[i] = do(ctx, part)
			}
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(errs...)
}

func (w Wanted[R]) want(ctx context.Context, wishes []R) error {
	var errs []error
	var marks, unsent []Mark // unsent may be stored and get no request
	var reqs []R
	for _, r := range wishes {
		m, send, err := w.mark(ctx, r)
		switch {
		case err != nil && send:
			unsent = append(unsent, m)
		case send:
			*w.Sent(&r) = m.SentAt
			marks, reqs = append(marks, m), append(reqs, r)
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break // each further wish would only fail
		}
	}
	if len(reqs) > 0 {
		// A crash here leaves the marks without a request.
		if err := w.Send(ctx, reqs...); err != nil {
			errs, unsent = append(errs, err), append(unsent, marks...)
		}
	}
	if len(unsent) > 0 {
		w.unmark(ctx, unsent)
	}
	return errors.Join(errs...)
}

// mark makes one work wanted. send says that its request must be sent. After an
// error, send says that the store may hold m without a request.
//
// A write whose answer is lost is repeated by the AWS client, and then conflicts
// with itself. The mark that it finds has the time of this call.
func (w Wanted[R]) mark(ctx context.Context, r R) (m Mark, send bool, err error) {
	corp, work := w.Work(r)
	m = Mark{Corp: corp, Work: work, SentAt: w.Now()}
	if m.Wish, err = encodeWish(r); err != nil {
		return m, false, err
	}
	return w.set(ctx, m, r)
}

// set stores a new mark, or joins the wish r to the stored one. Its results are those of
// mark.
func (w Wanted[R]) set(ctx context.Context, mine Mark, r R) (m Mark, send bool, err error) {
	m, send = mine, !mine.SentAt.IsZero()
	stored, err := w.Marks.SetMark(ctx, m)
	for range joinTries {
		if !errors.Is(err, ErrConflict) {
			break
		}
		own := send && stored.SentAt.Equal(m.SentAt)
		m, send, err = w.join(stored, r, !mine.SentAt.IsZero())
		send = send || own
		if err != nil || m == stored {
			return m, send, err
		}
		if err = w.Marks.ReplaceMark(ctx, stored, m); errors.Is(err, ErrConflict) {
			if stored, err = w.Marks.Mark(ctx, m.Corp, m.Work); err == nil {
				err = ErrConflict // stored is what the others made of the mark
			}
		}
	}
	if err != nil {
		return m, send, fmt.Errorf("mark %s of %s as wanted: %w", m.Work, m.Corp, err)
	}
	return m, send, nil
}

// join makes the mark of a stored mark and a wish. send is true if no request of the
// stored mark is in the queue, and one may be sent.
func (w Wanted[R]) join(stored Mark, r R, maySend bool) (m Mark, send bool, err error) {
	m = stored
	if stored.Wish != "" {
		waiting, err := decodeWish[R](stored.Wish)
		if err != nil {
			return stored, false, err
		}
		if r, err = w.Join(waiting, r); err != nil {
			return stored, false, err
		}
	}
	if m.Wish, err = encodeWish(r); err != nil {
		return stored, false, err
	}
	// A mark from the future says nothing about the queue: it would never grow old.
	now := w.Now()
	waits := now.Sub(stored.SentAt) < w.Kept+clockMargin && stored.SentAt.Sub(now) <= clockMargin
	if maySend && !waits {
		m.SentAt, send = now, true
	}
	return m, send, nil
}

// unmark removes SentAt from marks whose request was not sent, also from what other
// wishes made of the marks. It does so after the end of the context too. If that
// fails too, the mark stays without a request, as after a crash.
func (w Wanted[R]) unmark(ctx context.Context, marks []Mark) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unmarkTime)
	defer cancel()
	for _, m := range marks {
		stored := m
		for range joinTries {
			if !stored.SentAt.Equal(m.SentAt) {
				break
			}
			unsent := stored
			unsent.SentAt = time.Time{}
			err := w.Marks.ReplaceMark(ctx, stored, unsent) // the caller learns why the request was not sent
			if !errors.Is(err, ErrConflict) {
				break
			}
			if stored, err = w.Marks.Mark(ctx, m.Corp, m.Work); err != nil {
				break
			}
		}
	}
}

// Take removes the mark and returns what was wanted, with the SentAt of req. The
// consumer calls it with its request before it reads anything that the work is about.
// From then on, Want sends another request. A request takes only the mark that it was sent for, or an
// older one. A later mark has a request of its own: if this request took it, the
// queue could hold a third one with a mark. If there is no such mark, the request was delivered
// before. Take then returns it unchanged, and the consumer does the work again
// (law 3). A request without a SentAt has no mark: Take returns it unchanged.
//
// After an error the mark may be taken, and the result is what it wanted. A consumer
// that fails calls Return with this result. After a crash behind Take, SQS delivers
// the request again, but the wishes that were added to its mark are lost.
func (w Wanted[R]) Take(ctx context.Context, req R) (R, error) {
	sentAt := *w.Sent(&req)
	if sentAt.IsZero() {
		return req, nil
	}
	corp, work := w.Work(req)
	wish, sent := req, req
	*w.Sent(&sent) = time.Time{}
	// Most marks are as their request was sent: then the write alone finds that out.
	stored := Mark{Corp: corp, Work: work, SentAt: sentAt}
	var err error
	if stored.Wish, err = encodeWish(sent); err != nil {
		return wish, err
	}
	for range joinTries {
		err := w.Marks.ReplaceMark(ctx, stored, Mark{Corp: corp, Work: work})
		if err == nil {
			return wish, nil
		}
		if !errors.Is(err, ErrConflict) {
			return wish, fmt.Errorf("take %s of %s: %w", work, corp, err)
		}
		// Another wish was added, or the mark is not of this request.
		if stored, err = w.Marks.Mark(ctx, corp, work); err != nil {
			return wish, fmt.Errorf("read mark of %s of %s: %w", work, corp, err)
		}
		if stored.Wish == "" || stored.SentAt.After(sentAt) {
			return wish, nil // also after a write that succeeded and was repeated
		}
		if wish, err = decodeWish[R](stored.Wish); err != nil {
			return req, err
		}
		*w.Sent(&wish) = sentAt
	}
	return wish, fmt.Errorf("take %s of %s: %w", work, corp, ErrConflict)
}

// Return makes work wanted again that a consumer took and could not finish. It
// sends no request: the consumer's own request is delivered again and takes the
// mark, which has no SentAt, unless another request is sent first. It works after
// the end of the context too. It does nothing if the corp was erased meanwhile, or if r
// has no SentAt: nothing can have been added to a request without a mark.
func (w Wanted[R]) Return(ctx context.Context, r R) (err error) {
	if w.Sent(&r).IsZero() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unmarkTime)
	defer cancel()
	corp, work := w.Work(r)
	m := Mark{Corp: corp, Work: work}
	*w.Sent(&r) = time.Time{}
	if m.Wish, err = encodeWish(r); err != nil {
		return err
	}
	if _, _, err = w.set(ctx, m, r); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func encodeWish(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode wish: %w", err)
	}
	return string(b), nil
}

func decodeWish[R any](wish string) (r R, err error) {
	if err := json.Unmarshal([]byte(wish), &r); err != nil {
		return r, fmt.Errorf("wish unreadable: %w", ErrCorrupt)
	}
	return r, nil
}
