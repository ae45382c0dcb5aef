// Package callback answers the two callbacks that a company enters in WeCom:
// the one of the archive, and the one of its self-built app (wecom.md 3, 4).
package callback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
)

// notify is the event that announces new messages.
const notify = "msgaudit_notify"

// maxAhead is the largest time by which a CreateTime may be ahead of our clock.
const maxAhead = 24 * time.Hour

// VerifyCallback answers WeCom's check of the callback URL with exactly the text
// that WeCom encrypted. WeCom waits one second (wecom.md 3.1).
func (h *Handlers) VerifyCallback(ctx context.Context, c *session.Call) (output.Answer, error) {
	return h.verify(ctx, c, h.Pairs)
}

func (h *Handlers) verify(ctx context.Context, c *session.Call, pairs *Pairs) (output.Answer, error) {
	plain, err := h.open(ctx, c, pairs, c.URL.Query().Get("echostr"))
	if err != nil {
		return output.Answer{}, err
	}
	return output.Answer{Status: 200, ContentType: "text/plain; charset=utf-8", Body: plain}, nil
}

// ReceiveEvent receives an event of the archive. WeCom sends an event up to three
// times until the answer is 200 within 5 seconds (wecom.md 3.2). So the pull
// request or the record of the event is durable before the answer, and writing
// it again changes nothing (law 3).
func (h *Handlers) ReceiveEvent(ctx context.Context, c *session.Call) (output.Answer, error) {
	plain, event, err := h.receive(ctx, c, h.Pairs)
	if err != nil {
		return output.Answer{}, err
	}
	now := h.Now()
	if event.Type != notify {
		// Other event types do not prove that msgaudit_notify will arrive, so they
		// do not count as a callback and do not slow the timer.
		return output.Answer{Status: 200}, h.Corps.RecordEvent(ctx, c.CorpID, archive.Event{
			Type: event.Type, ChangeType: event.ChangeType, At: eventTime(event, now), Body: plain,
		})
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
// is no known XML is still an event: plain holds it, and the parsed event is
// zero.
func (h *Handlers) receive(ctx context.Context, c *session.Call, pairs *Pairs) (plain []byte, _ msgcrypt.Event, _ error) {
	body, err := input.ReadLimited(c.Body, input.MaxBody)
	if err != nil {
		return nil, msgcrypt.Event{}, err
	}
	encrypted, err := msgcrypt.Encrypted(body)
	if err != nil {
		return nil, msgcrypt.Event{}, refuse(err)
	}
	if plain, err = h.open(ctx, c, pairs, encrypted); err != nil {
		return nil, msgcrypt.Event{}, err
	}
	event, _ := msgcrypt.ParseEvent(plain)
	return plain, event, nil
}

// eventTime is the time of the event. An absent or implausible time counts as
// now.
func eventTime(event msgcrypt.Event, now time.Time) time.Time {
	if t := time.Unix(event.CreateTime, 0); event.CreateTime > 0 && t.Before(now.Add(maxAhead)) {
		return t
	}
	return now
}

// refuse answers every request that is not authentic in the same way. The reason
// is for the log and holds no content.
func refuse(reason error) error {
	return fmt.Errorf("%w: %w", problem.New(problem.Unauthorized, nil), reason)
}

// open verifies and decrypts with the callback pair of the corp. A pair in memory
// may be older than the stored pair, so open checks a wrong signature once more
// with the stored pair.
func (h *Handlers) open(ctx context.Context, c *session.Call, pairs *Pairs, encrypted string) ([]byte, error) {
	if !archive.ValidCorpID(c.CorpID) {
		return nil, refuse(errors.New("corpid malformed"))
	}
	query := c.URL.Query()
	sealed := msgcrypt.Sealed{
		Signature: query.Get("msg_signature"), Timestamp: query.Get("timestamp"), Nonce: query.Get("nonce"), Encrypted: encrypted,
	}
	var plain []byte
	var err error
	for _, maxAge := range []time.Duration{pairAge, pairRetryAge} {
		var box *msgcrypt.Box
		if box, err = pairs.box(ctx, c.CorpID, maxAge); err != nil {
			break
		}
		if plain, err = box.Open(sealed); !errors.Is(err, msgcrypt.ErrSignature) {
			break
		}
	}
	for _, reason := range []error{ErrUnknownCorp, msgcrypt.ErrSignature, msgcrypt.ErrMalformed, msgcrypt.ErrReceiver} {
		if errors.Is(err, reason) {
			return nil, refuse(reason)
		}
	}
	return plain, err
}
