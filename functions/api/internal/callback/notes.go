package callback

import (
	"context"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
)

// The notes show the admin whether the three values in WeCom are right. They are
// hints: if one cannot be written, the request is answered all the same, and the
// next request is noted. How often they are written is decided by what the
// request read anyway, so a flood of requests causes few writes.

// checks are the checks that a refused request of a registered corp failed.
var checks = []struct {
	err error
	why archive.RefusedWhy
}{
	{msgcrypt.ErrSignature, archive.RefusedSignature},
	{msgcrypt.ErrMalformed, archive.RefusedDecrypt},
	{msgcrypt.ErrReceiver, archive.RefusedReceiver},
}

// noteVerified notes that WeCom checked the URL with the newest pair. A check
// with the old pair says nothing about the pair that the page shows.
func (h *Handlers) noteVerified(ctx context.Context, c *session.Call, kind archive.CallbackKind, o opened) {
	now := h.Now()
	if !o.newest || !due(o.state.VerifiedAt, now, archive.CallbackTouch) {
		return
	}
	if err := h.Corps.NoteVerified(ctx, c.CorpID, kind, o.state.Pair, now, c.RemoteAddr); err != nil {
		h.Log.WarnContext(ctx, "check of the callback URL not noted", "corp", c.CorpID, "err", err)
	}
}

// noteEvent notes that an authentic event arrived.
func (h *Handlers) noteEvent(ctx context.Context, c *session.Call, kind archive.CallbackKind, o opened, now time.Time) {
	if o.newest && o.state.Old != "" && o.state.FirstEventAt.IsZero() {
		if err := h.Corps.NoteFirstEvent(ctx, c.CorpID, kind, o.state.Pair, now); err != nil {
			// The next event notes its own time. Until then the old pair is accepted
			// for longer, but never beyond [archive.OldPairMost].
			h.Log.WarnContext(ctx, "first event of a new callback pair not noted", "corp", c.CorpID, "err", err)
		}
	}
	if !due(o.state.EventAt, now, archive.EventTouch) {
		return
	}
	if err := h.Corps.NoteEvent(ctx, c.CorpID, kind, now, c.RemoteAddr); err != nil {
		h.Log.WarnContext(ctx, "callback event not noted", "corp", c.CorpID, "err", err)
	}
}

// noteRefused counts a refused request, and writes the count at most once per
// [archive.CallbackTouch]. A process that ends before that forgets its part.
func (h *Handlers) noteRefused(ctx context.Context, c *session.Call, pairs *Pairs, state archive.Callback, why archive.RefusedWhy) {
	now := h.Now()
	count := pairs.countRefused(c.CorpID, due(state.RefusedAt, now, archive.CallbackTouch))
	if count == 0 {
		return
	}
	if day := archive.DayOf(now); state.RefusedDay == day {
		state.Refused += count
	} else {
		state.RefusedDay, state.Refused = day, count
	}
	state.RefusedAt, state.RefusedWhy, state.RefusedFrom = now, why, c.RemoteAddr
	if err := h.Corps.NoteRefused(ctx, c.CorpID, pairs.kind, state); err != nil {
		h.Log.WarnContext(ctx, "refused callback not noted", "corp", c.CorpID, "err", err)
	}
}

// countRefused counts one more refused request of a corp. If take is set it
// returns how many are not noted, and counts from 0 again; otherwise it returns 0.
func (p *Pairs) countRefused(corp string, take bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused[corp]++
	if !take {
		return 0
	}
	n := p.refused[corp]
	delete(p.refused, corp)
	return n
}

// due reports whether a note is to be written again.
func due(last, now time.Time, touch time.Duration) bool {
	return last.IsZero() || now.Sub(last) >= touch
}
