package callback

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/functions/api/internal/input"
	"github.com/yunduo-scrm/archive/functions/api/internal/output"
	"github.com/yunduo-scrm/archive/functions/api/internal/session"
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/msgcrypt"
)

// Events of the self-built app's own callback (wecom.md 4.2, 4.3).
const (
	contactChanged  = "change_external_contact"
	roomChanged     = "change_external_chat"
	consentApproved = "msg_audit_approved" // a ChangeType of contactChanged
)

// subject is whom an event of the app is about.
type subject struct {
	Member  string `xml:"UserID"`
	Contact string `xml:"ExternalUserID"`
	Room    string `xml:"ChatId"`
}

// VerifyAppCallback answers WeCom's check of the app's callback URL.
func (h *Handlers) VerifyAppCallback(ctx context.Context, c *session.Call) (output.Answer, error) {
	return h.verify(ctx, c, h.AppPairs)
}

// ReceiveAppEvent takes an event of the self-built app. It is recorded, and
// besides is a hint: a consent is noted, and a name that was fetched before is
// fetched anew. It tells nothing of messages, so it does not count as a
// callback of the archive.
func (h *Handlers) ReceiveAppEvent(ctx context.Context, c *session.Call) (output.Answer, error) {
	plain, event, err := h.receive(ctx, c, h.AppPairs)
	if err != nil {
		return output.Answer{}, err
	}
	about := readSubject(plain)
	at := eventTime(event, h.Now())
	if event.Type == contactChanged && event.ChangeType == consentApproved && about.Member != "" && about.Contact != "" {
		// Each of WeCom's three tries notes the same.
		err := h.Consents.RecordConsents(ctx, []archive.Consent{{
			Corp: c.CorpID, Member: about.Member, Contact: about.Contact, Status: archive.Agreed, ChangedAt: at.Truncate(time.Second),
			Source: archive.ConsentEvent, At: h.Now(),
		}})
		if err != nil {
			return output.Answer{}, err
		}
	}
	if err := h.Corps.RecordEvent(ctx, c.CorpID, archive.Event{Type: event.Type, ChangeType: event.ChangeType, At: at, Body: plain}); err != nil {
		return output.Answer{}, err
	}
	if err := h.fetchAnew(ctx, c.CorpID, event, about); err != nil {
		// A hint only: asking WeCom to try again would not be worth it.
		h.Log.WarnContext(ctx, "changed name not requested", "corp", c.CorpID, "err", err)
	}
	return output.Answer{Status: 200}, nil
}

// readSubject reads what it can. Ids that no request could name are left out.
func readSubject(plain []byte) subject {
	var s subject
	if xml.Unmarshal(plain, &s) != nil {
		return subject{}
	}
	for _, id := range []*string{&s.Member, &s.Contact, &s.Room} {
		if *id = strings.TrimSpace(*id); len(*id) > input.MaxParty {
			*id = ""
		}
	}
	return s
}

// fetchAnew requests the name that an event says has changed, if it was ever
// fetched: names are fetched for readers, not for every new contact.
func (h *Handlers) fetchAnew(ctx context.Context, corp string, event msgcrypt.Event, about subject) error {
	req := directory.Request{Corp: corp, Why: "event", Anew: true}
	switch {
	case event.Type == contactChanged && event.ChangeType != consentApproved && about.Contact != "":
		known, err := h.Names.People(ctx, corp, []string{about.Contact})
		if err != nil {
			return fmt.Errorf("read what is known: %w", err)
		}
		if known[about.Contact].Fetched == nil {
			return nil
		}
		req.People = []string{about.Contact}
	case event.Type == roomChanged && about.Room != "":
		known, err := h.Names.Rooms(ctx, corp, []string{about.Room})
		if err != nil {
			return fmt.Errorf("read what is known: %w", err)
		}
		if known[about.Room].Fetched == nil {
			return nil
		}
		req.Rooms = []string{about.Room}
	default:
		return nil
	}
	// WeCom's three tries of one event are one question.
	req.Dedup = fmt.Sprintf("event-%d-%s-%s", event.CreateTime, about.Contact, about.Room)
	return h.Inspections.RequestInspections(ctx, req)
}
