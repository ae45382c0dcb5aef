// Package callback answers the two callbacks that a company enters in WeCom:
// the one of the archive, and the one of its self-built app (wecom.md 3, 4).
package callback

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
)

// notify is the event that announces new messages.
const notify = "msgaudit_notify"

// VerifyCallback answers WeCom's check of the callback URL with exactly the text
// that WeCom encrypted. WeCom waits one second (wecom.md 3.1).
func (h *Handlers) VerifyCallback(ctx context.Context, c *session.Call) (output.Answer, error) {
	return h.verify(ctx, c, h.Pairs)
}

func (h *Handlers) verify(ctx context.Context, c *session.Call, pairs *Pairs) (output.Answer, error) {
	o, err := h.open(ctx, c, pairs, sealed(c, c.URL.Query().Get("echostr")))
	if err != nil {
		return output.Answer{}, err
	}
	h.noteVerified(ctx, c, pairs.kind, o)
	return output.Answer{Status: 200, ContentType: "text/plain; charset=utf-8", Body: o.plain}, nil
}

// ReceiveEvent receives an event of the archive. WeCom sends an event up to three
// times until the answer is 200 within 5 seconds (wecom.md 3.2). So the pull
// request or the record of the event is durable before the answer, and writing
// it again changes nothing (law 3).
func (h *Handlers) ReceiveEvent(ctx context.Context, c *session.Call) (output.Answer, error) {
	arrived, event, err := h.receive(ctx, c, h.Pairs)
	if err != nil {
		return output.Answer{}, err
	}
	now := arrived.ArrivedAt
	if event.Type != notify {
		// Other event types do not prove that msgaudit_notify will arrive, so they
		// do not count as a callback and do not slow the timer.
		_, err := h.record(ctx, c.CorpID, arrived)
		return output.Answer{Status: 200}, err
	}
	if !arrived.Fresh() {
		// A recorded event that is replayed announces nothing. It neither requests a
		// pull nor slows the timer.
		h.Log.WarnContext(ctx, "event not fresh, no pull requested", "corp", c.CorpID, "sent_at", arrived.SentAt)
		return output.Answer{Status: 200}, nil
	}
	err = h.Pulls.RequestPulls(ctx, archive.PullRequest{Corp: c.CorpID, Why: "callback"})
	if err != nil {
		return output.Answer{}, err
	}
	if err := h.Corps.TouchCallback(ctx, c.CorpID, now); err != nil {
		// The time of the last callback is a hint. The pull is requested, so WeCom
		// need not send the event again.
		h.Log.WarnContext(ctx, "callback time not recorded", "corp", c.CorpID, "err", err)
	}
	return output.Answer{Status: 200}, nil
}

// receive reads an event and checks that it is authentic. An authentic text that
// is no known XML is still an event: its body holds it, and the parsed event is
// zero.
func (h *Handlers) receive(ctx context.Context, c *session.Call, pairs *Pairs) (archive.Event, msgcrypt.Event, error) {
	body, err := input.ReadLimited(c.Body, input.MaxBody)
	if err != nil {
		return archive.Event{}, msgcrypt.Event{}, err
	}
	encrypted, err := msgcrypt.Encrypted(body)
	if err != nil {
		return archive.Event{}, msgcrypt.Event{}, refuse(err)
	}
	env := sealed(c, encrypted)
	o, err := h.open(ctx, c, pairs, env)
	if err != nil {
		return archive.Event{}, msgcrypt.Event{}, err
	}
	event, _ := msgcrypt.ParseEvent(o.plain)
	now := h.Now()
	h.noteEvent(ctx, c, pairs.kind, o, now)
	return archive.Event{
		Type: event.Type, ChangeType: event.ChangeType, SentAt: sentAt(event), ArrivedAt: now, Body: o.plain,
		Signature: env.Signature, Timestamp: env.Timestamp, Nonce: env.Nonce, Encrypted: env.Encrypted,
	}, event, nil
}

// record stores an event, or reports that the company's events of the day leave
// no room for it.
func (h *Handlers) record(ctx context.Context, corp string, e archive.Event) (stored bool, _ error) {
	stored, err := h.Corps.RecordEvent(ctx, corp, e)
	if err == nil && !stored {
		h.Log.WarnContext(ctx, "daily limit of events reached, event only counted", "corp", corp)
	}
	return stored, err
}

// lastSecond is the last second that a date can name in four digits.
const lastSecond = 253402300799

// sentAt is the time that the event names, or zero.
func sentAt(event msgcrypt.Event) time.Time {
	if event.CreateTime <= 0 || event.CreateTime > lastSecond {
		return time.Time{}
	}
	return time.Unix(event.CreateTime, 0).UTC()
}

// refuse answers every request that is not authentic in the same way. The reason
// is for the log and holds no content.
func refuse(reason error) error {
	return fmt.Errorf("%w: %w", problem.New(problem.Unauthorized, nil), reason)
}

// sealed is what a request carries, with the text that it encrypts.
func sealed(c *session.Call, encrypted string) msgcrypt.Sealed {
	query := c.URL.Query()
	return msgcrypt.Sealed{
		Signature: query.Get("msg_signature"), Timestamp: query.Get("timestamp"), Nonce: query.Get("nonce"), Encrypted: encrypted,
	}
}

// open is [Pairs.open] for a request, whose refusal it turns into a problem.
func (h *Handlers) open(ctx context.Context, c *session.Call, pairs *Pairs, s msgcrypt.Sealed) (opened, error) {
	if !archive.ValidCorpID(c.CorpID) {
		return opened{}, refuse(errors.New("corpid malformed"))
	}
	if !utf8.ValidString(s.Timestamp) || !utf8.ValidString(s.Nonce) { // both are stored as text
		return opened{}, refuse(msgcrypt.ErrMalformed)
	}
	o, err := pairs.open(ctx, c.CorpID, s, h.Now())
	if errors.Is(err, errUnknownCorp) {
		return opened{}, refuse(errUnknownCorp)
	}
	for _, check := range checks {
		if errors.Is(err, check.err) {
			h.noteRefused(ctx, c, pairs, o.state, check.why)
			return opened{}, refuse(check.err)
		}
	}
	return o, err
}
