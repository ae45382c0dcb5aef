// Package callback answers the two callbacks that a company enters in WeCom:
// the one of the archive, and the one of its self-built app (wecom.md 3, 4).
package callback

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/opaque"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/problem"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
	"github.com/yunduo-scrm/archive/shared/secretstore"
)

// notify is the event that says that there are new messages.
const notify = "msgaudit_notify"

// maxAhead is how far a CreateTime may be ahead of our clock.
const maxAhead = 24 * time.Hour

// VerifyCallback answers WeCom's check of the URL, within a second, with
// exactly the text that it encrypted (wecom.md 3.1).
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

// ReceiveEvent takes an event. WeCom tries again, three times in all, unless
// it is answered 200 within 5 seconds (wecom.md 3.2), so whatever must not be
// lost is durable before that, and is the same however often it comes (law 3).
func (h *Handlers) ReceiveEvent(ctx context.Context, c *session.Call) (output.Answer, error) {
	plain, event, err := h.receive(ctx, c, h.Pairs)
	if err != nil {
		return output.Answer{}, err
	}
	now := h.Now()
	if event.Type != notify {
		// It says nothing of whether those will come that do tell of messages.
		return output.Answer{Status: 200}, h.Corps.RecordEvent(ctx, c.CorpID, archive.Event{
			Type: event.Type, ChangeType: event.ChangeType, At: eventTime(event, now), Body: plain,
		})
	}
	err = h.Pulls.RequestPulls(ctx, archive.PullRequest{
		Corp: c.CorpID, Why: "callback",
		// WeCom's three tries, and somebody's replay of them, are one request.
		Dedup: "callback-" + c.CorpID + "-" + strconv.FormatInt(event.CreateTime, 10),
	})
	if err != nil {
		return output.Answer{}, err
	}
	if err := h.Corps.TouchCallback(ctx, c.CorpID, now); err != nil {
		// A hint only: asking WeCom to try again would not be worth it.
		h.Log.WarnContext(ctx, "callback not noted", "corp", c.CorpID, "err", err)
	}
	return output.Answer{Status: 200}, nil
}

// receive reads an event and proves it authentic. What is authentic is kept
// even if it is nothing that we understand: then the event is zero.
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

// eventTime is when the event happened; now, where it does not say so.
func eventTime(event msgcrypt.Event, now time.Time) time.Time {
	if t := time.Unix(event.CreateTime, 0); event.CreateTime > 0 && t.Before(now.Add(maxAhead)) {
		return t
	}
	return now
}

// refuse is the one answer to everything that is not authentic. The reason is
// for the log, and holds no content.
func refuse(reason error) error {
	return fmt.Errorf("%w: %w", problem.New(problem.Unauthorized, nil), reason)
}

// open verifies and decrypts with the corp's callback pair. A pair from memory
// may be older than what the corp was given, so a signature that it does not
// fit is checked once more with the stored one.
func (h *Handlers) open(ctx context.Context, c *session.Call, pairs *Pairs, encrypted string) ([]byte, error) {
	if !archive.ValidCorpID(c.CorpID) {
		return nil, refuse(errors.New("not a corpid"))
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

const (
	// pairAge is how long a callback pair is used from memory.
	pairAge = 5 * time.Minute
	// pairRetryAge bounds how often a corp's pair is read because of requests
	// with wrong signatures, which anybody can send.
	pairRetryAge = 10 * time.Second
	// maxPairs bounds the memory that requests for corps that do not exist
	// take up.
	maxPairs = 1000
)

var ErrUnknownCorp = errors.New("corp has no callback pair")

// Pairs keeps callback pairs in memory for a while, and that a corp
// has none. Safe for concurrent use; two callers who miss the same pair both
// read it.
type Pairs struct {
	read func(ctx context.Context, corp string) (secretstore.CallbackPair, error)
	now  func() time.Time

	mu    sync.Mutex
	pairs map[string]heldPair
}

type heldPair struct {
	box   *msgcrypt.Box // nil where the corp has none
	pages opaque.Key    // see PageKey
	read  time.Time
}

func NewPairs(read func(context.Context, string) (secretstore.CallbackPair, error), now func() time.Time) *Pairs {
	return &Pairs{read: read, now: now, pairs: make(map[string]heldPair)}
}

// box is the corp's box, read not longer than maxAge ago; ErrUnknownCorp. That
// a corp has no pair is believed for pairRetryAge only.
func (p *Pairs) box(ctx context.Context, corp string, maxAge time.Duration) (*msgcrypt.Box, error) {
	held, err := p.get(ctx, corp, maxAge)
	return held.box, err
}

// PageKey hides the page tokens of the corp's callers who may not see all of
// it; ErrUnknownCorp. It comes from the one secret of the corp's that every
// instance has at hand and no reader knows. A token outlives no change of the
// pair, which nothing here makes.
func (p *Pairs) PageKey(ctx context.Context, corp string) (opaque.Key, error) {
	held, err := p.get(ctx, corp, pairAge)
	return held.pages, err
}

func (p *Pairs) get(ctx context.Context, corp string, maxAge time.Duration) (heldPair, error) {
	p.mu.Lock()
	held, ok := p.pairs[corp]
	p.mu.Unlock()
	now := p.now()
	if ok && held.box == nil {
		maxAge = pairRetryAge
	}
	if !ok || now.Sub(held.read) >= maxAge {
		held = heldPair{read: now}
		pair, err := p.read(ctx, corp)
		switch {
		case errors.Is(err, archive.ErrNotFound):
		case err != nil:
			return heldPair{}, err
		default:
			if held.box, err = msgcrypt.New(pair.Token.Reveal(), pair.AESKey.Reveal(), corp); err == nil {
				held.pages, err = opaque.KeyFrom(pair.AESKey.Reveal(), "page tokens")
			}
			if err != nil {
				return heldPair{}, fmt.Errorf("callback pair of corp %s: %w", corp, err)
			}
		}
		p.mu.Lock()
		if len(p.pairs) >= maxPairs {
			clear(p.pairs)
		}
		p.pairs[corp] = held
		p.mu.Unlock()
	}
	if held.box == nil {
		return heldPair{}, ErrUnknownCorp
	}
	return held, nil
}
