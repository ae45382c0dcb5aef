package callback

import (
	"context"
	"fmt"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
)

// roomChanged is the event of a changed room (wecom.md 4.3).
const roomChanged = "change_external_chat"

// subject is what an event of the app is about: a contact of a member, or a room.
type subject struct{ Member, Contact, Room string }

// VerifyAppCallback answers WeCom's check of the callback URL of the app.
func (h *Handlers) VerifyAppCallback(ctx context.Context, c *session.Call) (output.Answer, error) {
	return h.verify(ctx, c, h.AppPairs)
}

// ReceiveAppEvent receives an event of the self-built app. It stores the event,
// then a consent in it, then requests a name that has changed. An event of the
// app announces no messages, so it does not count as a callback of the archive.
// An event that the bound of the day leaves no room for is only counted. If it reports
// a consent, the agree message of the customer or WeCom's check records the consent.
//
// After a crash between these writes WeCom sends the event again, and each write
// has the same result the second time.
func (h *Handlers) ReceiveAppEvent(ctx context.Context, c *session.Call) (output.Answer, error) {
	arrived, event, err := h.receive(ctx, c, h.AppPairs)
	if err != nil {
		return output.Answer{}, err
	}
	kept, err := h.record(ctx, c.CorpID, arrived)
	if err != nil || !kept {
		return output.Answer{Status: 200}, err
	}
	about := readSubject(arrived.Body)
	if event.Type == archive.ContactChanged && event.ChangeType == archive.ConsentApproved && about.Member != "" && about.Contact != "" {
		// Each of WeCom's three tries stores the same consent.
		err := h.Consents.RecordConsents(ctx, []archive.Consent{{
			Corp: c.CorpID, Member: about.Member, Contact: about.Contact, Status: archive.Agreed, ChangedAt: consentedAt(arrived).Truncate(time.Second),
			Source: archive.ConsentEvent, At: arrived.ArrivedAt,
		}})
		if err != nil {
			return output.Answer{}, err
		}
	}
	if err := h.refreshName(ctx, c.CorpID, event, about); err != nil {
		// The name is a convenience for readers. The event is stored, so WeCom need
		// not send it again.
		h.Log.WarnContext(ctx, "changed name not requested", "corp", c.CorpID, "err", err)
	}
	if about.lacks(event) {
		h.Log.WarnContext(ctx, "event unreadable, only stored", "corp", c.CorpID, "event", event.Type, "change", event.ChangeType)
	}
	return output.Answer{Status: 200}, nil
}

// lacks reports whether an event is unreadable: it has no type, or it has the type of
// an event that the archive acts on and lacks the ids for that.
func (s subject) lacks(event msgcrypt.Event) bool {
	switch event.Type {
	case "":
		return true
	case archive.ContactChanged:
		return s.Contact == "" || event.ChangeType == archive.ConsentApproved && s.Member == ""
	case roomChanged:
		return s.Room == ""
	}
	return false
}

// consentedAt is the time of a consent: the sender's, even if it is long ago, so
// that a replayed event never replaces a later answer. An event that names no
// time, or one in the future, counts as sent when it arrived.
func consentedAt(e archive.Event) time.Time {
	if e.SentAt.IsZero() || e.SentAt.After(e.ArrivedAt.Add(archive.EventAhead)) {
		return e.ArrivedAt
	}
	return e.SentAt
}

// readSubject reads the ids that the event names. It ignores an id that is longer than
// any request could name, and a damaged one.
func readSubject(plain []byte) subject {
	e, _ := msgcrypt.ReadElements(plain) // an unreadable event has no elements
	id := func(name string) string {
		id := e.Text(name)
		if len(id) > input.MaxParty || directory.Damaged(id) {
			return ""
		}
		return id
	}
	return subject{Member: id("UserID"), Contact: id("ExternalUserID"), Room: id("ChatId")}
}

// refreshName requests the changed name of an event if the archive has fetched
// the name before. The archive fetches names for readers; it does not fetch the
// name of every new contact.
func (h *Handlers) refreshName(ctx context.Context, corp string, event msgcrypt.Event, about subject) error {
	req := directory.Request{Corp: corp, Why: "event", Again: true}
	switch {
	case event.Type == archive.ContactChanged && event.ChangeType != archive.ConsentApproved && about.Contact != "":
		known, err := h.Names.People(ctx, corp, []string{about.Contact})
		if err != nil {
			return fmt.Errorf("read known name: %w", err)
		}
		if known[about.Contact].Fetched == nil {
			return nil
		}
		req.People = []string{about.Contact}
	case event.Type == roomChanged && about.Room != "":
		known, err := h.Names.Rooms(ctx, corp, []string{about.Room})
		if err != nil {
			return fmt.Errorf("read known name: %w", err)
		}
		if known[about.Room].Fetched == nil {
			return nil
		}
		req.Rooms = []string{about.Room}
	default:
		return nil
	}
	return h.Inspections.RequestInspections(ctx, req)
}
